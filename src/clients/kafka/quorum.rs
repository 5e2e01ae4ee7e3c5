//! [`Quorum`]: the controllers of a KRaft cluster: who votes, who is registered, which feature levels hold.

use std::time::Duration;

use async_trait::async_trait;

use crate::clients::kafka::KafkaError;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::quorum::{Controllers, Features, NewVoter, NodeId, QuorumState, ReplicaKey};
use crate::cluster::reaction::Reaction;

/// The controllers of a KRaft cluster, and the features of its nodes.
///
/// Brokers pass what concerns the quorum on to the active controller. What a server does not offer (all but
/// [`Quorum::features`] in ZooKeeper mode, or what only newer versions have) ends in [`KafkaError::Unsupported`].
/// A change takes effect on the leader before it is committed, and Kafka answers REQUEST_TIMED_OUT for many causes: where
/// an error [leaves the result unknown], ask [`Quorum::quorum`] before anything else is changed.
///
/// [leaves the result unknown]: KafkaError::leaves_result_unknown
#[async_trait]
pub trait Quorum: Send + Sync {
    /// Leader, voters and observers, as the leader describes them (DescribeQuorum, Kafka 3.3).
    async fn quorum(&self) -> Result<QuorumState, KafkaError>;

    /// Makes a controller that runs and follows a voter, and waits until that is committed (AddRaftVoter, Kafka 3.9). A voter
    /// of the same id, also with another directory, is DUPLICATE_VOTER (126); a static quorum is UNSUPPORTED_VERSION (35).
    /// Kafka counts one as caught up that fetched within the last hour: who asks checks that before.
    async fn add_voter(&self, voter: &NewVoter) -> Result<(), KafkaError>;

    /// Takes a voter's vote away (RemoveRaftVoter, Kafka 3.9); none is there, or it is the last one: VOTER_NOT_FOUND (127).
    /// Kafka does not check whether the others are alive: who asks checks that before.
    async fn remove_voter(&self, voter: ReplicaKey) -> Result<(), KafkaError>;

    /// Forgets a broker (UnregisterBroker, Kafka 2.8 in KRaft); unknown: BROKER_ID_NOT_REGISTERED (102). Kafka checks neither
    /// whether it is alive nor whether it has replicas: who asks checks both before.
    async fn unregister_broker(&self, broker: BrokerId) -> Result<(), KafkaError>;

    /// Forgets a controller (UnregisterController, Kafka 4.4 with `metadata.version` 33); unknown: CONTROLLER_ID_NOT_REGISTERED
    /// (136); the active one: INVALID_REQUEST (42). Kafka 4.4.0 checks neither whether it votes nor whether it is alive: who
    /// asks checks both before.
    async fn unregister_controller(&self, controller: NodeId) -> Result<(), KafkaError>;

    /// The controllers that are registered, and which one is active (DescribeCluster of controllers, Kafka 3.7). Only
    /// controllers answer it: over brokers it is MISMATCHED_ENDPOINT_TYPE (114).
    async fn controllers(&self) -> Result<Controllers, KafkaError>;

    /// The features of one node, or of any (ApiVersions). Nodes are brokers, or controllers where those are reached directly.
    async fn features(&self, node: Option<NodeId>) -> Result<Features, KafkaError>;

    /// How the port at an address reacts to a first greeting within a limit, without credentials: a process that does not run refuses
    /// connections, a frozen one does not.
    async fn reaction(&self, at: &Address, limit: Duration) -> Reaction;
}
