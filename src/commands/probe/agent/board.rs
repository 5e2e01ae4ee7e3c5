//! What the last look found, for whoever asks over HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::commands::probe::agent::looks::Found;
use crate::commands::probe::verdict::aged::Last;
use crate::commands::probe::verdict::{Verdict, aged};

/// The last look, and when it ended.
#[derive(Debug)]
pub struct Board {
    last: Mutex<Option<(Found, Instant)>>,
    period: Duration,
}

impl Board {
    /// Of looks that are so far apart.
    pub fn new(period: Duration) -> Self {
        Self { last: Mutex::new(None), period }
    }

    /// Keeps what a look found that has just ended.
    pub fn keep(&self, found: Found) {
        *self.lock() = Some((found, Instant::now()));
    }

    /// Whether the server is alive, and how old that is.
    pub fn live(&self) -> (Verdict, Option<Duration>) {
        let last = self.lock();
        let last = last.as_ref().map(|(found, at)| Last { verdict: &found.live, age: at.elapsed() });
        (aged::live(last, self.period), last.map(|last| last.age))
    }

    /// Whether it is ready, and how old that is.
    pub fn ready(&self) -> (Verdict, Option<Duration>) {
        let last = self.lock();
        let is_latched = last.as_ref().is_some_and(|(found, _)| found.is_latched);
        let last = last.as_ref().map(|(found, at)| Last { verdict: &found.ready, age: at.elapsed() });
        (aged::ready(last, self.period, is_latched), last.map(|last| last.age))
    }

    /// All that the last look saw.
    pub fn detail(&self) -> Option<Value> {
        self.lock().as_ref().map(|(found, _)| found.detail.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Found, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
