//! Events: the record of what was done, to whom, and how it ended.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One side effect, before ([`Outcome::Planned`]) or after it. Two events with one `event_id` are one side effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// UUIDv7 of the side effect: its intent and its outcome share it.
    pub event_id: Uuid,
    /// UUIDv7 of the run of `toolbox`.
    pub run_id: Uuid,
    /// When this was written.
    pub time: Timestamp,
    /// What kind of side effect, as `topic.created`.
    pub kind: String,
    /// How it ended, or that it is about to start.
    pub outcome: Outcome,
    /// Why it failed or was refused, or what a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How loud it is.
    pub severity: Severity,
    /// The cluster's name in `toolbox.yaml`, else its id.
    pub cluster: String,
    /// Who did it: a ServiceAccount, a pod, or a person (`--actor`).
    pub actor: String,
    /// The command, as `topics apply`.
    pub command: String,
    /// `kind:name`, as `topic:orders`.
    pub subject: String,
    /// One line that says what happens, as the plan showed it.
    pub title: String,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is there now, or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The tool's version.
    pub tool_version: String,
}

/// How a side effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An intent: it is about to be tried.
    Planned,
    /// It is done.
    Done,
    /// It was tried and failed.
    Failed,
    /// It was not tried: a guard or a limit forbids it.
    Refused,
    /// It may or may not have happened: the run died, or the answer was lost, between act and record.
    Unknown,
}

/// How loud an event is: Datadog's `alert_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Chatter; Datadog's priority `low`.
    Low,
    /// For the record.
    Info,
    /// Something was brought to its desired state.
    Success,
    /// A person should look when awake.
    Warning,
    /// A person should look now.
    Error,
}

/// Where events go. Recording never fails a command: what can't be delivered is kept, and what can't be kept is
/// said loudly.
#[async_trait]
pub trait Recorder: Send {
    /// Makes the events durable, with one fsync for all, and hands them to the sinks without waiting for them.
    async fn record(&mut self, events: &[Event]);

    /// Delivers what is waiting, within the flush budget, and says what became of all of it. Called once, last.
    async fn close(&mut self) -> Delivery;
}

/// What became of the events of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delivery {
    /// Taken by every sink.
    pub sent: usize,
    /// Kept in the spool for the next run.
    pub spooled: usize,
    /// Lost, and said so.
    pub dropped: usize,
}
