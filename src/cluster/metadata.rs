//! What one Metadata request tells: the cluster's id, its live brokers and its topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::in_order;
use crate::cluster::topic::{Topic, TopicName};

/// A cluster as its metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// The cluster's id. Every cluster since Kafka 0.10.1 has one.
    pub cluster_id: String,
    /// The controller in ZooKeeper mode. In KRaft Kafka names some live broker, another one each time: do not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<BrokerId>,
    /// Live brokers by id.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// Topics by name, those that were asked for and exist.
    #[serde(default, deserialize_with = "in_order::map")]
    pub topics: BTreeMap<TopicName, Topic>,
}

/// Which topics a Metadata request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicSelection<'a> {
    /// Every topic that this principal may describe.
    All,
    /// Brokers only.
    None,
    /// These; missing ones are left out of the answer.
    Named(&'a [TopicName]),
}

/// A move of one partition that is running now (ListPartitionReassignments).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassignment {
    /// All replicas at this moment, adding and removing ones too.
    pub replicas: Vec<BrokerId>,
    /// Those being added.
    pub adding: Vec<BrokerId>,
    /// Those being removed.
    pub removing: Vec<BrokerId>,
}

impl Reassignment {
    /// Where the move ends: all replicas but those that are being removed, the preferred leader first.
    pub fn target(&self) -> Vec<BrokerId> {
        self.replicas.iter().filter(|one| !self.removing.contains(one)).copied().collect()
    }
}

/// What one replica holds on one broker's disk (DescribeLogDirs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaSize {
    /// The broker.
    pub broker: BrokerId,
    /// Bytes of the log's segments.
    pub bytes: u64,
    /// How far the replica's log end lies behind its leader's high watermark, in records. 0 for the leader itself.
    pub offset_lag: i64,
    /// Which of its broker's log dirs it lies in, an index into [`LogDir`]s.
    #[serde(default)]
    pub log_dir: usize,
    /// Whether this is the new copy of a move between two log dirs of one broker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_future: bool,
}

/// One log dir of one broker (DescribeLogDirs).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogDir {
    /// Its path on the broker.
    pub path: String,
    /// Bytes of its volume; none from brokers before Kafka 3.3 (KIP-827).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes of its volume that Kafka may still use; none from brokers before Kafka 3.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_bytes: Option<u64>,
    /// Why it can't be used, where the broker has taken it offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How many partitions it holds, new copies of moves between log dirs too: Kafka puts new replicas where the fewest
    /// are. None where that was not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Whether it gets no new replicas (KIP-1066). False from brokers before Kafka 4.3, which have no such dirs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cordoned: bool,
}
