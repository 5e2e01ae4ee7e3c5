//! Plans and their steps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::event::Severity;
use crate::cluster::broker::BrokerId;

/// What to change and in which order; an empty plan means that the cluster is as desired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan<S> {
    /// The changes, in the order in which they are carried out.
    pub steps: Vec<S>,
    /// What a person should know; nothing is done about it.
    pub warnings: Vec<Warning>,
    /// Changes that are not carried out, each with its reason and what to do instead.
    pub refusals: Vec<Refusal>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { steps: Vec::new(), warnings: Vec::new(), refusals: Vec::new() }
    }
}

impl<S> Plan<S> {
    /// Adds a warning that is shown and nothing else.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning { text: text.into(), finding: None });
    }

    /// Adds a warning that is recorded as an event too.
    pub fn find(&mut self, subject: impl Into<String>, kind: &str, text: impl Into<String>) {
        let finding = Some(Finding { subject: subject.into(), kind: kind.to_owned() });
        self.warnings.push(Warning { text: text.into(), finding });
    }

    /// Adds a refusal.
    pub fn refuse(&mut self, subject: impl Into<String>, change: &str, reason: impl Into<String>) {
        let change = change.to_owned();
        self.refusals.push(Refusal { subject: subject.into(), change, reason: reason.into() });
    }
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The warning itself.
    pub text: String,
    /// What was found and where, if it is recorded as an event when the plan is carried out.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
}

/// Something that was found, as `topics.drift`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// `kind:name`, as `topic:orders`.
    pub subject: String,
    /// The event's kind.
    pub kind: String,
}

/// A change that a guard refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `kind:name`, as `topic:orders`.
    pub subject: String,
    /// The verb of the change that is refused, as `delete`.
    pub change: String,
    /// Why, and what to do next.
    pub reason: String,
}

/// One change to one subject, small enough to be retried on its own. `Display` is its line in the plan; it starts
/// with `+` (create), `~` (change) or `-` (remove).
pub trait Step: fmt::Display + Clone + Serialize + Send + Sync {
    /// The kinds of steps of a command, in the order in which a plan has them where that matters. It is shown as a word, as
    /// `create`: what a refusal and the summary of a long plan call such a step.
    type Batch: fmt::Display + Copy + Ord + Send + Sync;

    /// `kind:name`: `topic:orders`, `broker:3`.
    fn subject(&self) -> String;

    /// What could be lost.
    fn risk(&self) -> Risk;

    /// The event's kind, as `topics.created`: the command and what it did ([`crate::change::event::Event::kind`]).
    fn kind(&self) -> &'static str;

    /// Which neighbouring steps one call may carry along: those of the same batch.
    fn batch(&self) -> Self::Batch;

    /// How loud its event is once it is done.
    fn severity(&self) -> Severity {
        Severity::Info
    }

    /// How much of a batch it fills, in records that the controller writes for it (1 or more). A batch holds
    /// [`crate::cluster::records::RECORDS_MAX`] at most, or one step.
    fn weight(&self) -> usize {
        1
    }

    /// The replicas that it adds and removes, for the summary of a long plan.
    fn replica_changes(&self) -> Vec<ReplicaChange> {
        Vec::new()
    }

    /// Whether another command carries it out once this one has recorded it: the run is complete when that has ended.
    fn is_handed_over(&self) -> bool {
        false
    }

    /// What was there and what will be, one `key: value` a line, for the event's table. Secrets never.
    fn before_after(&self) -> (Option<String>, Option<String>) {
        (None, None)
    }
}

/// A replica that a step adds to a broker or removes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaChange {
    /// The broker.
    pub broker: BrokerId,
    /// Whether it is added; else it is removed.
    pub is_added: bool,
    /// Bytes of the replica.
    pub bytes: u64,
}

impl ReplicaChange {
    /// What changes when a partition of so many bytes gets other replicas.
    pub fn between(from: &[BrokerId], to: &[BrokerId], bytes: u64) -> Vec<Self> {
        let added = to.iter().filter(|broker| !from.contains(broker)).map(|broker| (*broker, true));
        let removed = from.iter().filter(|broker| !to.contains(broker)).map(|broker| (*broker, false));
        added.chain(removed).map(|(broker, is_added)| Self { broker, is_added, bytes }).collect()
    }
}

/// What a step could cost. Ordered: `--max-risk` refuses what lies above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// It can be taken back, and costs nothing.
    Reversible,
    /// It copies data between brokers, or shuffles where records with one key go.
    MovesData,
    /// It loses data for good.
    LosesData,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reversible => "reversible",
            Self::MovesData => "moves-data",
            Self::LosesData => "loses-data",
        })
    }
}
