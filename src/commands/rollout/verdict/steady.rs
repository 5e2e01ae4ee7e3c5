//! One look is not enough: a server may stop when two looks, some time apart and with nothing against it between them, say
//! so. A broker that has just died is still in every ISR for some seconds.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::commands::rollout::verdict::{ReasonCode, Verdict};

/// The time between two looks that must agree, unless another one is asked for.
pub const APART: Duration = Duration::from_secs(10);

/// What is kept from look to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Steady {
    /// When the first of those looks was made that all said that the server may stop.
    pub since: Option<Timestamp>,
}

impl Steady {
    /// The verdict of this look together with those before. Looks must come in order.
    pub fn look(&mut self, verdict: Verdict, at: Timestamp, apart: Duration) -> Verdict {
        if !verdict.may_stop() {
            self.since = None;
            return verdict;
        }
        // A clock that was set back begins anew.
        let since = self.since.filter(|since| *since <= at).unwrap_or(at);
        self.since = Some(since);
        let passed = Duration::try_from(at.duration_since(since)).unwrap_or_default();
        if passed >= apart {
            return verdict;
        }
        let mut verdict = verdict;
        let left = apart.saturating_sub(passed).as_secs_f64().ceil();
        verdict.waits(ReasonCode::OneLook, format!("nothing is against it; a second look in {left} s decides"));
        verdict
    }
}
