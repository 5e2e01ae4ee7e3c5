//! The raft quorum of KRaft's controllers, as one of them shows it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::broker::BrokerId;

/// What the leader says of the quorum (DescribeQuorum).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuorumView {
    /// The leader; none while there is none.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub epoch: i32,
    /// The offset after the last committed record of the metadata log.
    pub high_watermark: i64,
    /// Who votes.
    pub voters: Vec<QuorumReplica>,
    /// Who follows without a vote: brokers, and controllers that join or were removed.
    pub observers: Vec<QuorumReplica>,
}

/// One replica of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReplica {
    /// Its node id.
    pub node: BrokerId,
    /// The directory id of its disk; none where the quorum is static, or from servers before Kafka 3.9.
    pub directory: Option<Uuid>,
    /// The offset after its last record.
    pub log_end: i64,
    /// When it fetched last, by the leader's clock, in milliseconds since 1970; none where that is not known. The leader does
    /// not fetch.
    pub fetched_ms: Option<i64>,
}

/// The controllers that are registered, as one of them shows them (DescribeCluster of controllers, KIP-919).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controllers {
    /// The active one.
    pub leader: Option<BrokerId>,
    /// Host and port of each.
    pub nodes: Vec<ControllerNode>,
}

/// Where a controller listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerNode {
    /// Its node id.
    pub node: BrokerId,
    /// Host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}
