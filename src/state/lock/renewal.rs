//! When a lock was last renewed, shared by whoever renews it and whoever is about to write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::state::clock::BootClock;

/// The state of a lock that has to be renewed.
#[derive(Debug)]
pub struct Renewal {
    clock: BootClock,
    /// The lock is safe for so long after a renewal was sent.
    safe: Duration,
    /// When the last renewal that was confirmed had been sent, in milliseconds of the clock.
    last: AtomicU64,
    lost: watch::Sender<Option<String>>,
    what: String,
}

impl Renewal {
    /// A lock that was taken by a request sent at `sent`. `what` names it in messages, as `the Lease kafka/x`.
    pub fn new(clock: BootClock, safe: Duration, sent: Duration, what: String) -> Self {
        let renewal = Self { clock, safe, last: AtomicU64::new(0), lost: watch::Sender::new(None), what };
        renewal.renewed(sent);
        renewal
    }

    /// The lock was renewed by a request that was sent at that time.
    pub fn renewed(&self, sent: Duration) {
        let sent = u64::try_from(sent.as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(sent, Ordering::SeqCst);
    }

    /// How old the last renewal is.
    pub fn age(&self) -> Duration {
        (self.clock)().saturating_sub(Duration::from_millis(self.last.load(Ordering::SeqCst)))
    }

    /// Whether the last renewal is too old to write anything.
    pub fn is_stale(&self) -> bool {
        self.age() >= self.safe
    }

    /// The lock is lost for good. The first reason stays.
    pub fn lose(&self, why: impl Into<String>) {
        let why = why.into();
        self.lost.send_if_modified(|lost| {
            let is_first = lost.is_none();
            lost.get_or_insert(why);
            is_first
        });
    }

    /// Why the lock is lost, if it is.
    pub fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }

    /// Waits until the lock is lost, and says why.
    pub async fn until_lost(&self) -> String {
        let mut changes = self.lost.subscribe();
        let lost = changes.wait_for(Option::is_some).await.map(|why| why.clone()).ok().flatten();
        lost.unwrap_or_default()
    }

    /// Whether something may be written now; else why not.
    pub fn check(&self) -> Result<(), String> {
        if let Some(why) = self.lost() {
            return Err(why);
        }
        if self.is_stale() {
            return Err(format!(
                "{} was not renewed for {:.0} s; nothing is written until it is",
                self.what,
                self.age().as_secs_f64()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_good_for_its_safe_time_after_the_renewal_was_sent_and_never_after_it_was_lost() {
        fn clock() -> Duration {
            thread_local!(static START: tokio::time::Instant = tokio::time::Instant::now());
            START.with(tokio::time::Instant::elapsed)
        }
        let renewal = Renewal::new(clock, Duration::from_secs(10), clock(), "the lock".into());
        assert_eq!(renewal.check(), Ok(()));
        let sent = clock();
        tokio::time::advance(Duration::from_secs(9)).await;
        renewal.renewed(sent);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(renewal.check().unwrap_err(), "the lock was not renewed for 10 s; nothing is written until it is");
        renewal.renewed(clock());
        assert_eq!(renewal.check(), Ok(()));
        renewal.lose("another run took it");
        renewal.lose("later");
        renewal.renewed(clock());
        assert_eq!(renewal.check().unwrap_err(), "another run took it");
        assert_eq!(renewal.until_lost().await, "another run took it");
    }
}
