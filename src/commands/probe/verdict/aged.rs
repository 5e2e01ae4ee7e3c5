//! What is made of an answer from memory that has an age.
//!
//! | | younger than three periods | older |
//! |---|---|---|
//! | live | as it is | as it is: a probe that hangs must not restart the server |
//! | ready, latched | as it is | as it is |
//! | ready, strict | as it is | not ready |

use std::time::Duration;

use crate::commands::probe::verdict::{State, Verdict};

/// An answer counts for so many periods.
const PERIODS: u32 = 3;

/// The last verdict.
#[derive(Debug, Clone, Copy)]
pub struct Last<'a> {
    /// What it was.
    pub verdict: &'a Verdict,
    /// How long ago its look ended.
    pub age: Duration,
}

/// Liveness from memory; alive before the first look has ended.
pub fn live(last: Option<Last<'_>>, period: Duration) -> Verdict {
    match last {
        None => Verdict::new(State::Alive, "no look has ended yet"),
        Some(Last { verdict, age }) => with_age(verdict.clone(), age, period),
    }
}

/// Readiness from memory.
pub fn ready(last: Option<Last<'_>>, period: Duration, is_latched: bool) -> Verdict {
    let Some(Last { verdict, age }) = last else {
        return Verdict::new(State::NotReady, "no look has ended yet");
    };
    if age <= period * PERIODS || is_latched || !verdict.state.passes() {
        return with_age(verdict.clone(), age, period);
    }
    Verdict::new(State::NotReady, format!("the last look is {} s old: {}", age.as_secs(), verdict.reason))
}

fn with_age(verdict: Verdict, age: Duration, period: Duration) -> Verdict {
    if age <= period * PERIODS {
        return verdict;
    }
    let reason = format!("{} (seen {} s ago: no look has ended since)", verdict.reason, age.as_secs());
    Verdict { reason, ..verdict }
}
