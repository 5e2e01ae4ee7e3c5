//! [`Cluster`]: what may be asked of a cluster as a whole: brokers, topics, disks.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clients::kafka::KafkaError;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::{LogDir, Metadata, ReplicaSize, TopicSelection};
use crate::cluster::topic::TopicPartition;

/// What a cluster consists of. Everything here is a read.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// The cluster's id, brokers and topics, with one request.
    async fn metadata(&self, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError>;

    /// The same in the image of one broker, which is asked itself. In KRaft a broker that is cut off from the controllers goes
    /// on answering with what it had.
    async fn metadata_of(&self, broker: BrokerId, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError>;

    /// Brokers that are registered and fenced, as those that died are: such a broker is down, whatever else lists it. None
    /// where brokers do not tell (before Kafka 4.0).
    async fn fenced_brokers(&self) -> Result<Option<BTreeSet<BrokerId>>, KafkaError>;

    /// What each replica holds on disk; all brokers are asked at once. Brokers that can't be asked are named apart.
    async fn replica_sizes(&self, brokers: &[BrokerId]) -> Result<ReplicaSizes, KafkaError>;
}

/// What replicas hold, and which brokers could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicaSizes {
    /// Sizes by partition, one entry a replica.
    pub sizes: BTreeMap<TopicPartition, Vec<ReplicaSize>>,
    /// The log dirs of each broker that answered.
    #[serde(default)]
    pub log_dirs: BTreeMap<BrokerId, Vec<LogDir>>,
    /// Brokers that did not answer, or all of whose log dirs are offline, and why. What is offline beside log dirs that
    /// work is told by [`LogDir::fault`].
    pub missing: BTreeMap<BrokerId, String>,
}
