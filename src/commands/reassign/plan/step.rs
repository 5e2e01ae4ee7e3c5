//! The steps of a reassignment: one partition each.

use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{ReplicaChange, Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::cluster::topic::TopicPartition;

/// One request about one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum ReassignStep {
    /// Begins a move.
    Move {
        /// The partition.
        partition: TopicPartition,
        /// Its replicas now.
        from: Vec<BrokerId>,
        /// The replicas that it gets, the preferred leader first.
        to: Vec<BrokerId>,
        /// Bytes that are copied.
        bytes: u64,
    },
    /// Lets the preferred leader lead.
    Elect {
        /// The partition.
        partition: TopicPartition,
        /// Who leads now.
        from: Option<BrokerId>,
        /// The preferred leader.
        to: BrokerId,
    },
    /// Cancels a running move.
    Cancel {
        /// The partition.
        partition: TopicPartition,
        /// Where the move was to end.
        from: Vec<BrokerId>,
        /// The former replicas, in their order.
        to: Vec<BrokerId>,
    },
    /// Gives the former replicas back in their order, after a cancel that lost it.
    Restore {
        /// The partition.
        partition: TopicPartition,
        /// Its replicas now.
        from: Vec<BrokerId>,
        /// The former replicas, in their order.
        to: Vec<BrokerId>,
    },
}

impl ReassignStep {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        match self {
            Self::Move { partition, .. }
            | Self::Elect { partition, .. }
            | Self::Cancel { partition, .. }
            | Self::Restore { partition, .. } => partition,
        }
    }
}

/// Broker ids as `[1,2,3]`.
pub fn list(brokers: &[BrokerId]) -> String {
    format!("[{}]", brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

impl fmt::Display for ReassignStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = self.partition();
        match self {
            Self::Move { from, to, bytes, .. } => {
                write!(f, "~ partition {partition}: replicas {} -> {}", list(from), list(to))?;
                let adding = to.iter().any(|broker| !from.contains(broker));
                let gives_up = from.iter().any(|broker| !to.contains(broker));
                match (adding, gives_up) {
                    (true, _) => write!(f, " (copies {})", Bytes(*bytes)),
                    (false, true) => f.write_str(" (copies nothing)"),
                    (false, false) => f.write_str(" (order only)"),
                }
            }
            Self::Elect { from, to, .. } => {
                let from = from.map_or_else(|| "none".to_owned(), |broker| broker.to_string());
                write!(f, "~ partition {partition}: leader {from} -> {to}")
            }
            Self::Cancel { from, to, .. } => {
                write!(f, "- partition {partition}: its move to {}, back to {}", list(from), list(to))
            }
            Self::Restore { from, to, .. } => {
                write!(f, "~ partition {partition}: replicas {} -> {} (as before the move)", list(from), list(to))
            }
        }
    }
}

/// What happens to partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReassignBatch {
    /// Moves are begun.
    Move,
    /// Preferred leaders are elected.
    Elect,
    /// Moves are cancelled.
    Cancel,
    /// Former replicas are given back.
    Restore,
}

impl fmt::Display for ReassignBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Move => "move",
            Self::Elect => "elect",
            Self::Cancel => "cancel",
            Self::Restore => "restore",
        })
    }
}

impl Step for ReassignStep {
    type Batch = ReassignBatch;

    fn subject(&self) -> String {
        format!("partition:{}", self.partition())
    }

    fn risk(&self) -> Risk {
        match self {
            Self::Move { from, to, .. } if from.len() == to.len() && to.iter().all(|one| from.contains(one)) => {
                Risk::Reversible
            }
            Self::Move { .. } => Risk::MovesData,
            Self::Elect { .. } | Self::Cancel { .. } | Self::Restore { .. } => Risk::Reversible,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Move { .. } => "reassign.move_started",
            Self::Elect { .. } => "reassign.leader_elected",
            Self::Cancel { .. } => "reassign.move_cancelled",
            Self::Restore { .. } => "reassign.order_restored",
        }
    }

    fn batch(&self) -> ReassignBatch {
        match self {
            Self::Move { .. } => ReassignBatch::Move,
            Self::Elect { .. } => ReassignBatch::Elect,
            Self::Cancel { .. } => ReassignBatch::Cancel,
            Self::Restore { .. } => ReassignBatch::Restore,
        }
    }

    fn severity(&self) -> Severity {
        Severity::Low
    }

    fn replica_changes(&self) -> Vec<ReplicaChange> {
        let Self::Move { from, to, bytes, .. } = self else { return Vec::new() };
        // The bytes of the step are those of all its copies.
        let copies = to.iter().filter(|broker| !from.contains(broker)).count().max(1);
        ReplicaChange::between(from, to, bytes / u64::try_from(copies).unwrap_or(1))
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Move { from, to, .. } | Self::Cancel { from, to, .. } | Self::Restore { from, to, .. } => {
                (Some(format!("replicas: {}", list(from))), Some(format!("replicas: {}", list(to))))
            }
            Self::Elect { from, to, .. } => {
                (from.map(|broker| format!("leader: {broker}")), Some(format!("leader: {to}")))
            }
        }
    }
}
