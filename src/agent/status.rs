//! What an agent is and how it fares: for health, for metrics, and for those who ask whether it leads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// So many ticks that fail one after another make an agent unhealthy.
const FAILURES_MAX: u32 = 3;

/// An agent without a good tick for so many intervals is unhealthy.
const INTERVALS_MAX: u32 = 5;

/// A standby that has not seen for so long who leads is unhealthy.
const UNSEEN_MAX: Duration = Duration::from_mins(1);

/// What an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It has just begun, and does not know who leads.
    Starting,
    /// Another one works; in words, who.
    Standby(String),
    /// It works.
    Leader,
}

/// How an agent fares.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What it is.
    pub role: Role,
    /// Ticks by how they ended: `done`, `failed`, `stopped`.
    pub ticks: BTreeMap<&'static str, u64>,
    /// When the last tick ended, however it did.
    pub ended_at: Option<Timestamp>,
    /// When the last tick ended that went well.
    pub done_at: Option<Timestamp>,
    /// How long the last tick took.
    pub took: Option<Duration>,
    /// Ticks that failed one after another.
    pub failures: u32,
    /// Why the last tick, or the last look for the leader, failed; none where it did not.
    pub failure: Option<String>,
    /// When all was well last: a good tick, the begin of a term, a look that saw who leads.
    well: Instant,
    /// When the loop last did anything.
    alive: Instant,
}

/// Shared between an agent and those who ask how it fares.
#[derive(Debug)]
pub struct Status {
    standing: Mutex<Standing>,
    interval: Duration,
    /// Longest time in which a loop that works does nothing that is seen.
    silence_max: Duration,
}

impl Status {
    /// Of an agent with this time between two ticks, and with ticks that take this long at most.
    pub fn new(interval: Duration, tick_max: Duration) -> Self {
        let now = Instant::now();
        let standing = Standing {
            role: Role::Starting,
            ticks: BTreeMap::from([("done", 0), ("failed", 0), ("stopped", 0)]),
            ended_at: None,
            done_at: None,
            took: None,
            failures: 0,
            failure: None,
            well: now,
            alive: now,
        };
        Self { standing: Mutex::new(standing), interval, silence_max: interval + tick_max + Duration::from_mins(2) }
    }

    /// How it fares now.
    pub fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// It begins to work.
    pub(super) fn leads(&self) {
        let standing = &mut *self.change();
        (standing.role, standing.failures, standing.failure) = (Role::Leader, 0, None);
        standing.well = Instant::now();
    }

    /// It saw who works.
    pub(super) fn stands_by(&self, leader: &str) {
        let standing = &mut *self.change();
        (standing.role, standing.failure) = (Role::Standby(leader.to_owned()), None);
        (standing.failures, standing.well) = (0, Instant::now());
    }

    /// It could not see who works.
    pub(super) fn sees_nobody(&self, why: String) {
        let standing = &mut *self.change();
        if standing.role == Role::Leader {
            standing.role = Role::Starting;
        }
        standing.failure = Some(why);
    }

    /// The loop is alive.
    pub(super) fn is_alive(&self) {
        drop(self.change());
    }

    /// A tick ended: `done`, `failed` or `stopped`.
    pub(super) fn ticked(&self, result: &'static str, now: Timestamp, took: Duration, failure: Option<String>) {
        let standing = &mut *self.change();
        *standing.ticks.entry(result).or_default() += 1;
        (standing.ended_at, standing.took) = (Some(now), Some(took));
        match result {
            "done" => {
                (standing.done_at, standing.well) = (Some(now), Instant::now());
                (standing.failures, standing.failure) = (0, None);
            }
            "failed" => {
                standing.failures = standing.failures.saturating_add(1);
                standing.failure = failure;
            }
            _ => {}
        }
    }

    /// Why it is not healthy, if it is not.
    pub fn trouble(&self) -> Option<String> {
        let standing = self.standing();
        let because = standing.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let since = standing.well.elapsed();
        match standing.role {
            Role::Starting => Some(format!("it is not known yet who leads{because}")),
            Role::Standby(_) if since > UNSEEN_MAX => {
                Some(format!("standing by, but who leads could not be seen for {} s{because}", since.as_secs()))
            }
            Role::Standby(_) => None,
            Role::Leader if standing.failures >= FAILURES_MAX => {
                Some(format!("the last {} ticks failed{because}", standing.failures))
            }
            Role::Leader => {
                // Ticks that take long and go well are slow, not ill.
                let limit = (self.interval * INTERVALS_MAX).max(standing.took.unwrap_or_default() * 2);
                (since > limit).then(|| format!("no tick went well for {} s{because}", since.as_secs()))
            }
        }
    }

    /// Why it hangs, if it does: its loop has not done anything for longer than a tick may take.
    pub fn hangs(&self) -> Option<String> {
        let silent = self.lock().alive.elapsed();
        (silent > self.silence_max).then(|| format!("the loop has not done anything for {} s", silent.as_secs()))
    }

    fn change(&self) -> MutexGuard<'_, Standing> {
        let mut standing = self.lock();
        standing.alive = Instant::now();
        standing
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    fn fail(status: &Status) {
        status.ticked("failed", Timestamp::UNIX_EPOCH, Duration::from_secs(1), Some("no broker answers".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_fails_each_time_is_unhealthy_and_one_that_goes_well_is_healthy_again() {
        let status = Status::new(EVERY, EVERY);
        assert_eq!(status.trouble().as_deref(), Some("it is not known yet who leads"));
        status.leads();
        assert_eq!(status.trouble(), None);
        fail(&status);
        fail(&status);
        assert_eq!(status.trouble(), None);
        fail(&status);
        assert_eq!(status.trouble().as_deref(), Some("the last 3 ticks failed: no broker answers"));
        status.ticked("done", Timestamp::UNIX_EPOCH, EVERY, None);
        assert_eq!(status.trouble(), None);
        advance(EVERY * 6).await;
        assert_eq!(status.trouble().as_deref(), Some("no tick went well for 180 s"));
        assert_eq!(status.hangs(), None);
        advance(EVERY * 6).await;
        assert_eq!(status.hangs().as_deref(), Some("the loop has not done anything for 360 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_is_healthy_while_it_sees_who_leads() {
        let status = Status::new(EVERY, EVERY);
        status.stands_by("pod throttle-1");
        advance(UNSEEN_MAX).await;
        status.sees_nobody("the API server does not answer".into());
        assert_eq!(status.trouble(), None);
        advance(EVERY).await;
        let words = "standing by, but who leads could not be seen for 90 s: the API server does not answer";
        assert_eq!(status.trouble().as_deref(), Some(words));
        status.stands_by("pod throttle-1");
        assert_eq!(status.trouble(), None);
    }
}
