//! Carries a plan out: batches of neighbouring steps, an intent for each before, an outcome for each after.
//!
//! Steps:
//! 1. Cut the plan into batches ([`batches`]).
//! 2. For each batch: record all intents (one fsync), apply, record one outcome a step.
//! 3. Count. A failed step does not stop the others.

use std::ops::Range;

use serde::Serialize;

use crate::change::event::Outcome;
use crate::change::plan::Step;

/// Most records that the steps of one batch make the controller write: half of the 10,000 that KRaft takes in one
/// atomic batch, so that a whole batch fits one request.
pub const BATCH_WEIGHT_MAX: usize = 5_000;

/// How a step ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended; never [`Outcome::Planned`].
    pub outcome: Outcome,
    /// Why, where it is not done.
    pub reason: Option<String>,
}

impl Ended {
    /// It is done.
    pub fn done() -> Self {
        Self { outcome: Outcome::Done, reason: None }
    }

    /// It was tried and failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason.into()) }
    }

    /// Nobody knows.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, reason: Some(reason.into()) }
    }
}

/// How many steps ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Done.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Refused.
    pub refused: usize,
    /// Unknown: the answer was lost and a look at the cluster did not settle it.
    pub unknown: usize,
}

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Planned => {}
            Outcome::Done => self.done += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }
}

/// Cuts a plan into runs of neighbouring steps that say the same [`Step::batch`] and together weigh
/// [`BATCH_WEIGHT_MAX`] at most; a heavier step is a batch of its own.
pub fn batches<S: Step>(steps: &[S]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = 0;
    let mut weight = 0;
    for (index, step) in steps.iter().enumerate() {
        let fits =
            index == start || (step.batch() == steps[start].batch() && weight + step.weight() <= BATCH_WEIGHT_MAX);
        if !fits {
            cuts.push(start..index);
            start = index;
            weight = 0;
        }
        weight += step.weight();
    }
    if start < steps.len() {
        cuts.push(start..steps.len());
    }
    cuts
}
