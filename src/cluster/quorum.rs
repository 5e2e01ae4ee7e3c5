//! The controller quorum of a KRaft cluster, as its leader describes it, and the feature levels of its nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::visible;

/// The id of a node in KRaft (`node.id`), of a controller or a broker. 0 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<BrokerId> for NodeId {
    fn from(broker: BrokerId) -> Self {
        Self(broker.0)
    }
}

/// The id of a metadata log directory (`directory.id` in its `meta.properties`): another one for each formatted disk. As
/// text it is 22 characters of URL-safe base64 without padding, as Kafka writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(Uuid);

impl DirectoryId {
    /// An id as it stands in the protocol; none for zeros, which say that no id is known (a static quorum, or a node that did
    /// not name its directory).
    pub fn of(id: Uuid) -> Option<Self> {
        (!id.is_nil()).then_some(Self(id))
    }

    /// The id as it stands in the protocol.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl FromStr for DirectoryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.map(Uuid::from_bytes).and_then(Self::of).ok_or_else(|| {
            let text = visible::value(text);
            format!("`{text}` is not a directory id: 22 characters of base64 are expected, as in meta.properties")
        })
    }
}

impl Serialize for DirectoryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DirectoryId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A replica of the metadata log: a node and the directory that it keeps the log in. The same node with a new disk is
/// another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaKey {
    /// The node.
    pub id: NodeId,
    /// Its directory; none where it is not known: a static quorum (`kraft.version` 0), or a leader before Kafka 3.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directory {
            Some(directory) => write!(f, "{} (directory {directory})", self.id),
            None => write!(f, "{} (directory unknown)", self.id),
        }
    }
}

/// How far a replica of the metadata log is, by the leader's knowledge and clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReplica {
    /// Which replica.
    #[serde(flatten)]
    pub key: ReplicaKey,
    /// The offset after its last record; none where it has not fetched from this leader yet.
    pub log_end_offset: Option<i64>,
    /// When it fetched last; none for the leader itself, for one that has not fetched yet, and before Kafka 3.5.
    pub last_fetch: Option<Timestamp>,
    /// When it was last at the end of the log; of the leader the present. None as above.
    pub last_caught_up: Option<Timestamp>,
}

/// Where a controller listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// The listener's name, as `CONTROLLER`. Text of a peer.
    pub listener: String,
    /// Host name or address. Text of a peer.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The quorum as its leader describes it (DescribeQuorum).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuorumState {
    /// The leader, which is the active controller; none while there is none.
    pub leader: Option<NodeId>,
    /// The leader's epoch: it grows with each election.
    pub leader_epoch: i32,
    /// The offset after the last committed record; -1 where the leader does not know it yet.
    pub high_watermark: i64,
    /// Who votes.
    pub voters: Vec<QuorumReplica>,
    /// Who follows without a vote: brokers, controllers that are not voters (yet), and for some minutes those that were.
    pub observers: Vec<QuorumReplica>,
    /// Where the voters listen; empty before Kafka 3.9.
    pub endpoints: BTreeMap<NodeId, Vec<Endpoint>>,
}

impl QuorumState {
    /// The voter on a node.
    pub fn voter(&self, id: NodeId) -> Option<&QuorumReplica> {
        self.voters.iter().find(|voter| voter.key.id == id)
    }

    /// The observer with a key.
    pub fn observer(&self, key: ReplicaKey) -> Option<&QuorumReplica> {
        self.observers.iter().find(|observer| observer.key == key)
    }

    /// Whether the voters can be changed: a static quorum (`kraft.version` 0) shows no directories. What the finalized
    /// feature level says is no proof: Kafka 3.9 raises it and goes on refusing changes.
    pub fn is_dynamic(&self) -> bool {
        !self.voters.is_empty() && self.voters.iter().all(|voter| voter.key.directory.is_some())
    }

    /// How many records a replica lacks against the leader; none where one of the two is not known.
    pub fn lag(&self, replica: &QuorumReplica) -> Option<i64> {
        let end = self.voter(self.leader?)?.log_end_offset?;
        Some(end.saturating_sub(replica.log_end_offset?).max(0))
    }
}

/// A controller that is to vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVoter {
    /// Its node.
    pub id: NodeId,
    /// Its directory.
    pub directory: DirectoryId,
    /// Where the other controllers reach it, the default listener first.
    pub endpoints: Vec<Endpoint>,
}

/// The controllers as one of them describes them (DescribeCluster on a controller's listener).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controllers {
    /// The cluster's id.
    pub cluster_id: String,
    /// The active controller; none while there is none.
    pub active: Option<NodeId>,
    /// Those that are registered: host and port of each. Dead ones are among them.
    pub nodes: BTreeMap<NodeId, Address>,
}

/// The levels of a feature that a node supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// The lowest.
    pub min: i16,
    /// The highest.
    pub max: i16,
}

/// Features as a node tells them (ApiVersions).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Features {
    /// What this node supports. Before version 4 of the request (Kafka 3.9) those are missing whose lowest level is 0.
    pub supported: BTreeMap<String, Levels>,
    /// The levels that hold in the cluster, as `metadata.version`.
    pub finalized: BTreeMap<String, i16>,
    /// The offset of the metadata image that `finalized` was read from; none in ZooKeeper mode before it has features.
    pub finalized_at: Option<i64>,
    /// Whether a ZooKeeper broker, or a controller that migrates from ZooKeeper, is ready for the migration.
    pub zk_migration_ready: bool,
}

impl Features {
    /// The level of a feature that holds in the cluster; 0 where it is not on.
    pub fn level(&self, feature: &str) -> i16 {
        self.finalized.get(feature).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replica(id: i32, directory: u128, end: i64) -> QuorumReplica {
        QuorumReplica {
            key: ReplicaKey { id: NodeId(id), directory: DirectoryId::of(Uuid::from_u128(directory)) },
            log_end_offset: (end >= 0).then_some(end),
            last_fetch: None,
            last_caught_up: None,
        }
    }

    #[test]
    fn a_directory_id_is_written_as_kafka_writes_it() {
        let id: DirectoryId = "mJxZrVbDTYe0tYv1yq1gYg".parse().unwrap();
        assert_eq!(id.to_string(), "mJxZrVbDTYe0tYv1yq1gYg");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"mJxZrVbDTYe0tYv1yq1gYg\"");
        for wrong in ["", "AAAAAAAAAAAAAAAAAAAAAA", "mJxZrVbDTYe0tYv1yq1gY", "mJxZrVbDTYe0tYv1yq1gYg==", "\u{1b}[31m"] {
            let error = wrong.parse::<DirectoryId>().unwrap_err();
            assert!(error.contains("22 characters") && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn a_quorum_without_directories_is_static_and_the_lag_counts_from_the_leader() {
        let state =
            |voters: Vec<QuorumReplica>| QuorumState { leader: Some(NodeId(1)), voters, ..QuorumState::default() };
        assert!(!state(Vec::new()).is_dynamic());
        assert!(!state(vec![replica(1, 7, 10), replica(2, 0, 10)]).is_dynamic());
        let dynamic = state(vec![replica(1, 7, 10), replica(2, 8, 4)]);
        assert!(dynamic.is_dynamic());
        let lags: Vec<_> = dynamic.voters.iter().map(|voter| dynamic.lag(voter)).collect();
        assert_eq!(lags, [Some(0), Some(6)]);
        assert_eq!(dynamic.lag(&replica(3, 9, 12)), Some(0), "it fetched since the leader looked");
        assert_eq!(dynamic.lag(&replica(3, 9, -1)), None);
        assert_eq!(QuorumState { leader: None, ..dynamic.clone() }.lag(&dynamic.voters[1]), None);
    }

    proptest! {
        #[test]
        fn every_directory_id_is_read_back(id in 1_u128..) {
            let id = DirectoryId::of(Uuid::from_u128(id)).unwrap();
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
