//! An eviction that was allowed: it goes on until the pod's server is back in sync, or until a limit; until then no other one
//! is allowed.

use std::time::Duration;

use jiff::Timestamp;

/// An eviction begins within this time: after the webhook, the API server asks the PodDisruptionBudgets, which may refuse it.
pub const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// An eviction that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disruption {
    /// The pod's name.
    pub pod: String,
    /// The uid of the pod that is evicted.
    pub uid: String,
    /// When it was allowed last: the same pod may be evicted again.
    pub since: Timestamp,
}

/// What is seen of the pod's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodNow {
    /// It could not be read.
    Unknown,
    /// There is no pod of this name.
    Gone,
    /// There is one.
    There {
        /// Its uid.
        uid: String,
        /// Whether it is being deleted.
        is_being_deleted: bool,
    },
}

/// How it stands with an eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was allowed, and its pod still runs.
    NotBegun,
    /// The pod stops, or its successor is not there yet.
    Out,
    /// The successor is there, and its server is not known to be in sync.
    Returning,
    /// It is over.
    Over(End),
}

/// How an eviction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server is back in sync.
    Back,
    /// The pod was not evicted.
    NotEvicted,
    /// The limit passed.
    TimedOut,
}

impl Standing {
    /// In words, for whoever has to wait.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotBegun => "its eviction was allowed, and it still runs",
            Self::Out => "it was evicted, and its successor does not run yet",
            Self::Returning => "it was evicted, and its server is not back in sync",
            Self::Over(End::Back) => "its server is back in sync",
            Self::Over(End::NotEvicted) => "it was not evicted",
            Self::Over(End::TimedOut) => "its server did not come back in time",
        }
    }
}

/// How it stands now. `is_back` says whether the server is in sync, as far as that is known; `limit` is the longest time
/// for which others wait.
pub fn standing(disruption: &Disruption, pod: &PodNow, is_back: bool, now: Timestamp, limit: Duration) -> Standing {
    // A clock that was set back makes others wait longer, never shorter.
    let passed = Duration::try_from(now.duration_since(disruption.since)).unwrap_or_default();
    let is_same = matches!(pod, PodNow::There { uid, is_being_deleted: false } if *uid == disruption.uid);
    let is_new = matches!(pod, PodNow::There { uid, is_being_deleted: false } if *uid != disruption.uid);
    if is_same && passed >= BEGINS_WITHIN {
        return Standing::Over(End::NotEvicted);
    }
    if is_new && is_back {
        return Standing::Over(End::Back);
    }
    if passed >= limit {
        return Standing::Over(End::TimedOut);
    }
    match (is_same, is_new) {
        (true, _) => Standing::NotBegun,
        (_, true) => Standing::Returning,
        _ => Standing::Out,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(30);

    fn disruption() -> Disruption {
        Disruption { pod: "kafka-0".into(), uid: "old".into(), since: Timestamp::UNIX_EPOCH }
    }

    fn there(uid: &str) -> PodNow {
        PodNow::There { uid: uid.into(), is_being_deleted: false }
    }

    fn after(seconds: i64, pod: &PodNow, is_back: bool) -> Standing {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        standing(&disruption(), pod, is_back, now, LIMIT)
    }

    #[test]
    fn it_is_over_when_the_successor_is_in_sync_and_not_before() {
        let stopping = PodNow::There { uid: "old".into(), is_being_deleted: true };
        assert_eq!(after(1, &there("old"), true), Standing::NotBegun);
        assert_eq!(after(2, &stopping, true), Standing::Out);
        assert_eq!(after(9, &PodNow::Gone, true), Standing::Out);
        assert_eq!(after(20, &there("new"), false), Standing::Returning);
        assert_eq!(after(90, &there("new"), true), Standing::Over(End::Back));
    }

    #[test]
    fn a_pod_that_a_budget_keeps_makes_others_wait_half_a_minute() {
        assert_eq!(after(29, &there("old"), true), Standing::NotBegun);
        assert_eq!(after(30, &there("old"), true), Standing::Over(End::NotEvicted));
    }

    #[test]
    fn a_server_that_never_comes_back_is_waited_for_up_to_the_limit() {
        assert_eq!(after(1_799, &PodNow::Gone, false), Standing::Out);
        assert_eq!(after(1_800, &PodNow::Gone, false), Standing::Over(End::TimedOut));
        assert_eq!(after(-60, &PodNow::Gone, false), Standing::Out);
    }

    proptest! {
        /// Before the limit, nothing but a new pod whose server is in sync, or the old one still running, ends it.
        #[test]
        fn nobody_else_may_go_while_the_server_is_out(seconds in 0..1_800_i64, kind in 0..4, is_back in any::<bool>()) {
            let pod = match kind {
                0 => PodNow::Unknown,
                1 => PodNow::Gone,
                2 => PodNow::There { uid: "old".into(), is_being_deleted: true },
                _ => PodNow::There { uid: "new".into(), is_being_deleted: true },
            };
            prop_assert_eq!(after(seconds, &pod, is_back), Standing::Out);
            prop_assert!(!matches!(after(seconds, &there("new"), false), Standing::Over(_)));
        }
    }
}
