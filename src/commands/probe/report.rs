//! What a probe prints: one line, or the same as JSON with what was seen.

use serde::Serialize;

use crate::cluster::visible;
use crate::commands::probe::verdict::{State, Verdict};

/// A verdict with what it was made from.
#[derive(Debug, Clone, Serialize)]
pub struct Answer<S> {
    /// What was found.
    pub state: State,
    /// Why, in one line.
    pub reason: String,
    /// From what.
    pub seen: S,
}

impl<S> Answer<S> {
    /// Of a verdict and what was seen.
    pub fn new(verdict: Verdict, seen: S) -> Self {
        Self { state: verdict.state, reason: verdict.reason, seen }
    }

    /// The verdict alone.
    pub fn verdict(&self) -> Verdict {
        Verdict::new(self.state, self.reason.clone())
    }

    /// As a person reads it.
    pub fn line(&self) -> String {
        format!("{}: {}\n", self.state.text(), visible::line(&self.reason))
    }
}
