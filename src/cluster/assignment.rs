//! Assignments: which brokers hold a partition, and what changes when it moves.
//!
//! [`PartitionMove`] is what `mapping` plans and `reassign` carries out; [`MovePlan`] is the file between the two.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};

/// Raised when a saved plan of an older version can't be read any more.
pub const MOVE_PLAN_VERSION: u32 = 1;

/// What changes for one partition: other replicas, or the same ones in another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMove {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// Its replicas when the plan was made, in their order: the base that must still hold when it is carried out.
    pub from: Vec<BrokerId>,
    /// Its replicas afterwards, the preferred leader first.
    pub to: Vec<BrokerId>,
    /// What one copy of it takes on disk; 0 where that is not known.
    #[serde(default)]
    pub bytes: u64,
}

impl PartitionMove {
    /// Brokers that get a copy.
    pub fn adding(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.to.iter().copied().filter(|broker| !self.from.contains(broker))
    }

    /// Brokers whose copy goes.
    pub fn removing(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.from.iter().copied().filter(|broker| !self.to.contains(broker))
    }

    /// Bytes that are copied over the network.
    pub fn bytes_copied(&self) -> u64 {
        let copies = u64::try_from(self.adding().count()).unwrap_or(u64::MAX);
        self.bytes.saturating_mul(copies)
    }

    /// Whether no copy is made or removed: only the order, and with it the preferred leader, changes.
    pub fn is_reorder(&self) -> bool {
        self.from.len() == self.to.len() && self.adding().next().is_none()
    }

    /// The move that takes this one back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone(), ..self.clone() }
    }

    /// Whether the target names a broker twice, or none at all.
    pub fn is_malformed(&self) -> bool {
        self.to.is_empty() || self.to.iter().collect::<BTreeSet<_>>().len() != self.to.len()
    }
}

/// A plan of moves as `mapping` writes it (`plan.json`) and `reassign` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovePlan {
    /// [`MOVE_PLAN_VERSION`].
    pub version: u32,
    /// The tool that wrote it.
    pub tool_version: String,
    /// The cluster that it was made for; `reassign` refuses another one.
    pub cluster_id: String,
    /// When the state that it was made from was read, RFC 3339.
    pub observed_at: String,
    /// The verb and what it was asked for, as `rebalance --map map1 --tolerance 5%`.
    pub made_by: String,
    /// Ids of its topics when it was made, where brokers tell them (Kafka 2.8 and later): a plan is not carried out on a
    /// topic that was deleted and created again since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_ids: BTreeMap<TopicName, Uuid>,
    /// The moves, ordered by topic and partition.
    pub moves: Vec<PartitionMove>,
}
