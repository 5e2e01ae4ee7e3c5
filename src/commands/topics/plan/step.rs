//! One change to one topic: what it is called, what it costs, how it reads.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::event::Severity;
use crate::change::plan::{ReplicaChange, Risk, Step};
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::cluster::topic::TopicName;
use crate::commands::topics::plan::effects::Effect;
use crate::formats::secret::{HIDDEN, is_secret_key};

/// One change to one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum TopicStep {
    /// Takes it over from other owners: it leaves their records.
    TakeOwnership {
        /// Its name.
        name: TopicName,
        /// Who declares it now.
        from: Vec<String>,
        /// Who declares it from then on.
        to: String,
    },
    /// Creates it.
    Create {
        /// Its name.
        name: TopicName,
        /// Replicas of each partition, preferred leader first.
        assignment: Vec<Vec<BrokerId>>,
        /// Its config.
        config: BTreeMap<String, String>,
    },
    /// Gives it more partitions.
    AddPartitions {
        /// Its name.
        name: TopicName,
        /// How many it has.
        from: i32,
        /// Replicas of each new partition, preferred leader first.
        assignment: Vec<Vec<BrokerId>>,
        /// Whether records with one key will go elsewhere from now on, and somebody relies on where they go, or may.
        keyed: bool,
    },
    /// Sets and unsets config keys.
    SetConfig {
        /// Its name.
        name: TopicName,
        /// What happens to each key, ordered by key.
        edits: Vec<ConfigEdit>,
    },
    /// Gives its partitions more or fewer replicas: `reassign` carries the moves out.
    ChangeReplicas {
        /// Its name.
        name: TopicName,
        /// Its replication factor now.
        from: usize,
        /// The one that it gets.
        to: usize,
        /// A move for each partition that has other replicas afterwards.
        moves: Vec<PartitionMove>,
    },
    /// Deletes it with all its records.
    Delete {
        /// Its name.
        name: TopicName,
        /// How many partitions it has.
        partitions: usize,
        /// How much its leaders hold, where that is known.
        bytes: Option<Bytes>,
    },
}

/// What happens to one config key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEdit {
    /// The key.
    pub key: String,
    /// The value that is set on the topic now; none while the default holds.
    pub from: Option<String>,
    /// The value that will be set; none lets the default hold again.
    pub to: Option<String>,
    /// Why it changes.
    pub cause: Cause,
    /// What it costs, where it costs something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// Why a config key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The spec says so.
    Declared,
    /// Somebody changed it by hand since it was last applied.
    Drift,
    /// It was applied once and is not declared any more.
    NoLongerDeclared,
    /// The spec is strict and does not name it.
    Strict,
}

impl TopicStep {
    /// The topic.
    pub fn name(&self) -> &TopicName {
        match self {
            Self::TakeOwnership { name, .. }
            | Self::Create { name, .. }
            | Self::AddPartitions { name, .. }
            | Self::SetConfig { name, .. }
            | Self::ChangeReplicas { name, .. }
            | Self::Delete { name, .. } => name,
        }
    }
}

/// What happens to topics, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicBatch {
    /// Taken over from other owners.
    TakeOwnership,
    /// Created.
    Create,
    /// Given more partitions.
    AddPartitions,
    /// Given other configs.
    SetConfig,
    /// Given other replicas.
    ChangeReplicas,
    /// Deleted.
    Delete,
}

impl fmt::Display for TopicBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TakeOwnership => "take-ownership",
            Self::Create => "create",
            Self::AddPartitions => "add-partitions",
            Self::SetConfig => "set-config",
            Self::ChangeReplicas => "change-replicas",
            Self::Delete => "delete",
        })
    }
}

impl Step for TopicStep {
    type Batch = TopicBatch;

    fn subject(&self) -> String {
        subject(self.name())
    }

    fn risk(&self) -> Risk {
        match self {
            Self::TakeOwnership { .. } | Self::Create { .. } | Self::AddPartitions { keyed: false, .. } => {
                Risk::Reversible
            }
            Self::SetConfig { edits, .. } => risk_of(edits),
            Self::AddPartitions { keyed: true, .. } | Self::ChangeReplicas { .. } => Risk::MovesData,
            Self::Delete { .. } => Risk::LosesData,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::TakeOwnership { .. } => "topics.ownership_taken",
            Self::Create { .. } => "topics.created",
            Self::AddPartitions { .. } => "topics.partitions_increased",
            Self::SetConfig { .. } => "topics.config_changed",
            Self::ChangeReplicas { .. } => "topics.moves_planned",
            Self::Delete { .. } => "topics.deleted",
        }
    }

    fn batch(&self) -> TopicBatch {
        match self {
            Self::TakeOwnership { .. } => TopicBatch::TakeOwnership,
            Self::Create { .. } => TopicBatch::Create,
            Self::AddPartitions { .. } => TopicBatch::AddPartitions,
            Self::SetConfig { .. } => TopicBatch::SetConfig,
            Self::ChangeReplicas { .. } => TopicBatch::ChangeReplicas,
            Self::Delete { .. } => TopicBatch::Delete,
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Delete { .. } => Severity::Warning,
            Self::SetConfig { edits, .. } if risk_of(edits) == Risk::LosesData => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// KRaft writes one record for the topic, one for each partition and one for each config key.
    fn weight(&self) -> usize {
        match self {
            Self::Create { assignment, config, .. } => 1 + assignment.len() + config.len(),
            Self::AddPartitions { assignment, .. } => assignment.len().max(1),
            Self::SetConfig { edits, .. } => edits.len().max(1),
            // They are handed on, and written in batches of their own.
            Self::TakeOwnership { .. } | Self::ChangeReplicas { .. } | Self::Delete { .. } => 1,
        }
    }

    fn replica_changes(&self) -> Vec<ReplicaChange> {
        let Self::ChangeReplicas { moves, .. } = self else { return Vec::new() };
        moves.iter().flat_map(|one| ReplicaChange::between(&one.from, &one.to, one.bytes)).collect()
    }

    fn is_handed_over(&self) -> bool {
        matches!(self, Self::ChangeReplicas { .. })
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::TakeOwnership { from, to, .. } => {
                (Some(format!("owner: {}", from.join(", "))), Some(format!("owner: {to}")))
            }
            Self::Create { assignment, config, .. } => {
                let mut after = vec![
                    format!("partitions: {}", assignment.len()),
                    format!("replication factor: {}", replication_factor(assignment)),
                ];
                after.extend(config.iter().map(|(key, value)| format!("{key}: {}", shown(key, value))));
                (None, Some(after.join("\n")))
            }
            Self::AddPartitions { from, assignment, .. } => {
                let to = from.unsigned_abs() as usize + assignment.len();
                (Some(format!("partitions: {from}")), Some(format!("partitions: {to}")))
            }
            Self::SetConfig { edits, .. } => {
                let side = |value: fn(&ConfigEdit) -> Option<&str>| {
                    let line = |edit: &ConfigEdit| format!("{}: {}", edit.key, edit.show(value(edit)));
                    edits.iter().map(line).collect::<Vec<_>>().join("\n")
                };
                (Some(side(|edit| edit.from.as_deref())), Some(side(|edit| edit.to.as_deref())))
            }
            Self::ChangeReplicas { from, to, .. } => {
                (Some(format!("replication factor: {from}")), Some(format!("replication factor: {to}")))
            }
            Self::Delete { partitions, .. } => (Some(format!("partitions: {partitions}")), None),
        }
    }
}

impl ConfigEdit {
    /// What was found and what it should be, as a finding says it.
    pub fn difference(&self) -> String {
        format!("{} is {}, not {}", self.key, self.show(self.from.as_deref()), self.show(self.to.as_deref()))
    }

    fn show<'a>(&self, value: Option<&'a str>) -> &'a str {
        value.map_or("default", |value| shown(&self.key, value))
    }
}

impl fmt::Display for ConfigEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.key, self.show(self.from.as_deref()), self.show(self.to.as_deref()))?;
        f.write_str(match self.cause {
            Cause::Declared => "",
            Cause::Drift => " (drift: changed by hand)",
            Cause::NoLongerDeclared => " (no longer declared)",
            Cause::Strict => " (strict: not declared)",
        })?;
        match &self.effect {
            Some(Effect { risk, words }) => write!(f, " ({risk}: {words})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TopicStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeOwnership { name, from, to } => {
                write!(f, "~ topic {name}: owner {} -> {to}", from.join(", "))
            }
            Self::Create { name, assignment, config } => {
                let factor = replication_factor(assignment);
                write!(f, "+ topic {name}: {}, replication factor {factor}", count(assignment.len(), "partition"))?;
                config.iter().try_for_each(|(key, value)| write!(f, ", {key}={}", shown(key, value)))
            }
            Self::AddPartitions { name, from, assignment, keyed: _ } => {
                let to = from.unsigned_abs() as usize + assignment.len();
                write!(f, "~ topic {name}: partitions {from} -> {to}")
            }
            Self::SetConfig { name, edits } => {
                write!(f, "~ topic {name}: ")?;
                let edits: Vec<_> = edits.iter().map(ToString::to_string).collect();
                f.write_str(&edits.join(", "))
            }
            Self::ChangeReplicas { name, from, to, moves } => {
                let bytes = moves.iter().map(PartitionMove::bytes_copied).sum();
                let partitions = count(moves.len(), "partition");
                let what = match to.cmp(from) {
                    Ordering::Greater => format!("{partitions} to move, copies {}", Bytes(bytes)),
                    _ => format!("{partitions} to shrink"),
                };
                write!(f, "~ topic {name}: replication factor {from} -> {to} ({what})")
            }
            Self::Delete { name, partitions, bytes } => {
                write!(f, "- topic {name}: {}", count(*partitions, "partition"))?;
                bytes.map_or(Ok(()), |bytes| write!(f, ", {bytes}"))
            }
        }
    }
}

/// The highest risk of the edits of one topic.
fn risk_of(edits: &[ConfigEdit]) -> Risk {
    let risks = edits.iter().filter_map(|edit| Some(edit.effect.as_ref()?.risk));
    risks.max().unwrap_or(Risk::Reversible)
}

/// How events and refusals name a topic.
pub fn subject(name: &TopicName) -> String {
    format!("topic:{name}")
}

/// `1 partition`, `2 partitions`.
pub fn count(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

fn replication_factor(assignment: &[Vec<BrokerId>]) -> usize {
    assignment.first().map_or(0, Vec::len)
}

fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    match value {
        _ if is_secret_key(key) => HIDDEN,
        "" => "\"\"",
        _ => value,
    }
}
