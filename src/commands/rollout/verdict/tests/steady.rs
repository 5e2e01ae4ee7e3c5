//! Two looks must agree.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::commands::rollout::verdict::steady::{APART, Steady};
use crate::commands::rollout::verdict::{ReasonCode, Verdict};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn no() -> Verdict {
    let mut verdict = Verdict::default();
    verdict.waits(ReasonCode::Moves, "no");
    verdict
}

#[test]
fn a_stop_needs_two_looks_apart_with_nothing_against_it_between() {
    let mut steady = Steady::default();
    let mut look = |verdict, seconds| steady.look(verdict, at(seconds), APART).may_stop();
    assert!(!look(Verdict::default(), 0), "one look is not enough");
    assert!(!look(Verdict::default(), 9));
    assert!(look(Verdict::default(), 10));
    assert!(look(Verdict::default(), 30), "it stays so");
    assert!(!look(no(), 31));
    assert!(!look(Verdict::default(), 45), "it begins anew");
    assert!(look(Verdict::default(), 55));
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut steady = Steady::default();
    steady.look(Verdict::default(), at(100), APART);
    assert!(!steady.look(Verdict::default(), at(50), APART).may_stop());
    assert!(steady.look(Verdict::default(), at(60), APART).may_stop());
    assert!(Steady::default().look(Verdict::default(), at(0), Duration::ZERO).may_stop(), "without a time apart");
}
