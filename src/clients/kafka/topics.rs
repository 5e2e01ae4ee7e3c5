//! [`Topics`]: topics and their partitions: found, created, grown, deleted; their offsets.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clients::kafka::{KafkaError, Mode};
use crate::cluster::broker::BrokerId;
use crate::cluster::offset::{FoundOffset, OffsetQuery};
use crate::cluster::topic::{PartitionState, Topic, TopicName, TopicPartition};

/// Topics and their partitions.
#[async_trait]
pub trait Topics: Send + Sync {
    /// Those of some topics that a broker shows with at least so many partitions: several brokers are asked, one after the
    /// other, since each of them may be behind. A topic that none of them shows so is left out.
    async fn find_topics(&self, least: &BTreeMap<TopicName, usize>) -> Result<BTreeMap<TopicName, Topic>, KafkaError>;

    /// Creates topics, or asks whether they could be.
    async fn create_topics(&self, topics: &[NewTopic], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Grows topics to a number of partitions, or asks whether they could be.
    async fn create_partitions(&self, topics: &[NewPartitions], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Deletes topics with all their records.
    async fn delete_topics(&self, topics: &[TopicName]) -> Vec<Result<(), KafkaError>>;

    /// Partitions of topics with their eligible leaders (DescribeTopicPartitions, Kafka 3.8 in KRaft), in pages. A topic that
    /// does not exist is left out. ZooKeeper mode and older brokers: [`KafkaError::Unsupported`].
    async fn describe_partitions(
        &self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicPartition, PartitionState>, KafkaError>;

    /// Replicas that are not in sync and may lead without a loss (KIP-966), of each partition that has some. None where brokers
    /// know no such replicas: in ZooKeeper mode, and before Kafka 3.8.
    async fn eligible_leaders(
        &self,
        topics: &[TopicName],
    ) -> Result<Option<BTreeMap<TopicPartition, Vec<BrokerId>>>, KafkaError> {
        match self.describe_partitions(topics).await {
            Ok(states) => {
                let some = states.into_iter().filter(|(_, state)| !state.eligible.is_empty());
                Ok(Some(some.map(|(partition, state)| (partition, state.eligible)).collect()))
            }
            Err(KafkaError::Unsupported { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Offsets of partitions; each is asked of its leader.
    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        query: OffsetQuery,
    ) -> Result<BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>, KafkaError>;
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions; none for the broker's default (`num.partitions`; brokers from 2.4).
    pub partitions: Option<i32>,
    /// Replicas a partition; none for the broker's default (`default.replication.factor`).
    pub replication_factor: Option<i16>,
    /// Replicas of each partition, preferred leader first; where given, the two numbers above are not sent.
    pub assignment: Option<Vec<Vec<BrokerId>>>,
    /// Config keys and values that differ from the defaults.
    pub config: BTreeMap<String, String>,
}

/// A topic to give more partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPartitions {
    /// The topic.
    pub name: TopicName,
    /// How many partitions it has afterwards.
    pub count: i32,
    /// Replicas of each new partition; none lets Kafka choose.
    pub assignment: Option<Vec<Vec<BrokerId>>>,
}
