//! What one look at a Kafka cluster showed, as far as a verdict needs it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::{Metadata, Reassignment};
use crate::cluster::quorum::QuorumState;
use crate::cluster::topic::{TopicName, TopicPartition};

/// One look at a cluster, made for one broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was made.
    pub at: Timestamp,
    /// Whose metadata it has: another broker's, unless there is no other.
    pub seen_by: BrokerId,
    /// That broker's view of the cluster, with all topics.
    pub view: Metadata,
    /// `min.insync.replicas` of the topics that the broker has replicas of. One that is missing here counts as unknown: all
    /// of its replicas must be in sync then.
    pub minimums: BTreeMap<TopicName, usize>,
    /// Moves that are running. Text keys in JSON are of the form `topic-partition`, so they are kept as a list.
    pub moves: Vec<(TopicPartition, Reassignment)>,
    /// Eligible leaders of partitions without a leader, where the cluster shows them.
    pub eligible: Vec<(TopicPartition, Vec<BrokerId>)>,
    /// Brokers that are registered and fenced, where the cluster shows them.
    pub fenced: Option<BTreeSet<BrokerId>>,
    /// The quorum of controllers; none in ZooKeeper mode.
    pub quorum: Option<QuorumState>,
}

impl Sample {
    /// Brokers that are registered and not fenced.
    pub fn live(&self) -> BTreeSet<BrokerId> {
        let fenced = self.fenced.as_ref();
        self.view.brokers.keys().filter(|id| !fenced.is_some_and(|fenced| fenced.contains(id))).copied().collect()
    }

    /// The active controller: of the quorum, in ZooKeeper mode the broker that is controller.
    pub fn controller(&self) -> Option<BrokerId> {
        match &self.quorum {
            Some(quorum) => quorum.leader.map(|leader| BrokerId(leader.0)),
            None => self.view.controller,
        }
    }
}
