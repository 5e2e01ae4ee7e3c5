//! How long a command has waited for answers that did not come, so that one wait does not follow another: looks that ask
//! the same broker, or any, share one timeout where they get no answer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::broker::BrokerId;

/// The part of the timeout that each look has in any case: a broker may be well again.
const LEAST: u32 = 5;

/// Time that was waited in vain, for one broker, or for any of them (none).
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<BTreeMap<Option<BrokerId>, Lost>>);

#[derive(Debug)]
struct Lost {
    sum: Duration,
    /// Waits beside each other count once: time before this is counted.
    until: Instant,
}

impl Losses {
    /// How long the next look may take. What was lost longer ago than that is forgotten: a command that looks for hours
    /// does not pay for an outage that is over.
    pub(super) fn left_of(&self, broker: Option<BrokerId>, timeout: Duration) -> Duration {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.retain(|_, one| one.until.elapsed() < timeout);
        let sum = lost.get(&broker).map_or(Duration::ZERO, |one| one.sum);
        timeout.saturating_sub(sum).max(timeout / LEAST)
    }

    /// Counts a wait that ends now without an answer.
    pub(super) fn count(&self, broker: Option<BrokerId>, since: Instant) {
        let now = Instant::now();
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = lost.entry(broker).or_insert(Lost { sum: Duration::ZERO, until: since });
        one.sum += now.saturating_duration_since(one.until.max(since));
        one.until = now;
    }

    /// Forgets all: another reading begins.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    async fn lose(losses: &Losses, broker: Option<BrokerId>, seconds: u64) {
        let since = Instant::now();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        losses.count(broker, since);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_in_vain_share_one_timeout_and_each_look_keeps_a_part_of_it() {
        let losses = Losses::default();
        let start = Instant::now();
        assert_eq!(losses.left_of(None, TIMEOUT), TIMEOUT);
        lose(&losses, None, 3).await;
        assert_eq!(losses.left_of(None, TIMEOUT), Duration::from_secs(7));
        losses.count(None, start);
        assert_eq!(losses.left_of(None, TIMEOUT), Duration::from_secs(7), "waits beside each other count once");
        lose(&losses, None, 70).await;
        assert_eq!(losses.left_of(None, TIMEOUT), Duration::from_secs(2));
        losses.forget();
        assert_eq!(losses.left_of(None, TIMEOUT), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_takes_no_time_from_others_and_an_outage_that_is_over_is_forgotten() {
        let losses = Losses::default();
        lose(&losses, Some(BrokerId(1)), 6).await;
        assert_eq!(losses.left_of(Some(BrokerId(1)), TIMEOUT), Duration::from_secs(4));
        assert_eq!(losses.left_of(Some(BrokerId(2)), TIMEOUT), TIMEOUT);
        assert_eq!(losses.left_of(None, TIMEOUT), TIMEOUT);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(losses.left_of(Some(BrokerId(1)), TIMEOUT), Duration::from_secs(4));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(losses.left_of(Some(BrokerId(1)), TIMEOUT), TIMEOUT);
    }
}
