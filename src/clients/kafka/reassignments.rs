//! [`Reassignments`]: moves of replicas and elections of leaders.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::clients::kafka::KafkaError;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicPartition;

/// Where replicas are, and who leads.
#[async_trait]
pub trait Reassignments: Send + Sync {
    /// Moves that are running now.
    async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError>;

    /// Begins moves onto other replicas (the preferred leader first), or cancels them (`None`).
    ///
    /// What Kafka does not check, the caller does. KRaft takes a target that is registered and down: such a move hangs.
    /// A target for a partition that moves already overlays the running move; KRaft then forgets where it came from.
    /// A cancel in KRaft gives the former replicas back in another order, and after an overlay with extra ones.
    /// Kafka 4.4 refuses each target that names a cordoned broker.
    async fn alter_reassignments(
        &self,
        targets: &[(TopicPartition, Option<Vec<BrokerId>>)],
        factor: Factor,
    ) -> Vec<Result<(), KafkaError>>;

    /// Elects a leader of each partition. Where none needs to be elected, nothing happens and the answer is the error
    /// [`ELECTION_NOT_NEEDED`](crate::clients::kafka::codes::ELECTION_NOT_NEEDED).
    async fn elect_leaders(&self, election: Election, partitions: &[TopicPartition]) -> Vec<Result<(), KafkaError>>;
}

/// Who is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The preferred leader: the first replica, if it is in sync.
    Preferred,
    /// Of a partition without a leader, the first live replica, even if it is not in sync: what it lacks is lost.
    Unclean,
}

/// Whether moves may change how many replicas their partitions have (KIP-860). Brokers before Kafka 4.1 do not check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A target of another number of replicas is refused.
    Kept,
    /// Any number is taken: the number is the aim, or a step of a move changes it for a while.
    MayChange,
}
