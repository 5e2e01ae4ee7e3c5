//! A sink: one place outside that takes events.

mod datadog;
mod kubernetes;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::change::event::Event;

pub use datadog::DatadogSink;
pub use kubernetes::{KubernetesSink, Named};

/// Records that are older than this are late: Datadog refuses what is older than 18 hours.
pub const LATE_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(17);

/// One place outside that takes outcomes.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Its name in the journal and in messages.
    fn name(&self) -> &'static str;

    /// How many messages may be under way at once.
    fn parallel(&self) -> usize;

    /// How many late records one message may carry.
    fn late_group(&self) -> usize;

    /// Delivers one message, once.
    async fn deliver(&self, message: &Message<'_>) -> Verdict;
}

/// What is delivered as one: a single outcome, or late ones of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// One event, or several late ones of the same cluster, kind and outcome.
    pub events: &'a [Event],
    /// The time.
    pub now: Timestamp,
    /// The sink called it too large: this time it must be much shorter.
    pub short: bool,
}

/// How a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The sink has it.
    Taken,
    /// The sink may take it later; at the earliest after that time, where it says so.
    Later {
        /// How long to wait.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// It is too large.
    TooLarge(String),
    /// The sink calls it malformed: it will never take it.
    Malformed(String),
    /// Nothing will be taken until a person does something: wrong key, wrong URL.
    Stop(String),
}

/// Whether an event is too old to be delivered under its own time.
pub fn is_late(event: &Event, now: Timestamp) -> bool {
    now.duration_since(event.time) > LATE_AFTER
}
