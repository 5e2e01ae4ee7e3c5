//! [`Live`]: the traits of the client, each method handed to the file that knows how.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clients::kafka::Configs;
use crate::clients::kafka::Election;
use crate::clients::kafka::Factor;
use crate::clients::kafka::Groups;
use crate::clients::kafka::Kafka;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::NewPartitions;
use crate::clients::kafka::NewTopic;
use crate::clients::kafka::Quorum;
use crate::clients::kafka::Reassignments;
use crate::clients::kafka::ReplicaSizes;
use crate::clients::kafka::Topics;
use crate::clients::kafka::gate::WriteGate;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::configs;
use crate::clients::kafka::live::early;
use crate::clients::kafka::live::groups;
use crate::clients::kafka::live::lock_group::LiveLockGroups;
use crate::clients::kafka::live::log_dirs;
use crate::clients::kafka::live::offsets;
use crate::clients::kafka::live::partitions;
use crate::clients::kafka::live::quorum;
use crate::clients::kafka::live::reassignments;
use crate::clients::kafka::live::registrations;
use crate::clients::kafka::live::topics;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::settings::Settings;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigChange;
use crate::cluster::config::ConfigEntry;
use crate::cluster::config::ConfigResource;
use crate::cluster::group::LiveGroup;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::Reassignment;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::offset::FoundOffset;
use crate::cluster::offset::OffsetQuery;
use crate::cluster::quorum::Controllers;
use crate::cluster::quorum::Features;
use crate::cluster::quorum::NewVoter;
use crate::cluster::quorum::NodeId;
use crate::cluster::quorum::QuorumState;
use crate::cluster::quorum::ReplicaKey;
use crate::cluster::reaction::Reaction;
use crate::cluster::topic::PartitionState;
use crate::cluster::topic::Topic;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// A cluster that is reached over the network. Connections are opened when they are first needed.
#[derive(Debug)]
pub struct Live {
    cluster: Arc<Cluster>,
}

impl Live {
    /// Prepares connections; none is opened yet. Fails on settings that can't work.
    pub fn new(settings: Settings) -> Result<Self, KafkaError> {
        Ok(Self { cluster: Arc::new(Cluster::new(settings)?) })
    }

    /// Says that the configs of so many topics will be asked for: where they are many, connections are made at once.
    #[must_use]
    pub fn expecting_configs(self, topics: usize) -> Self {
        if topics >= configs::TOPICS_WORTH_SPREADING {
            early::open(&self.cluster);
        }
        self
    }

    /// How many requests were sent so far, over all connections.
    pub fn requests_sent(&self) -> u64 {
        self.cluster.requests_sent()
    }
}

#[async_trait]
impl crate::clients::kafka::Cluster for Live {
    async fn metadata(&self, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError> {
        topics::metadata(&self.cluster, topics).await
    }

    async fn metadata_of(&self, broker: BrokerId, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError> {
        topics::metadata_of_one(&self.cluster, broker, topics).await
    }

    async fn fenced_brokers(&self) -> Result<Option<BTreeSet<BrokerId>>, KafkaError> {
        registrations::fenced(&self.cluster).await
    }

    async fn replica_sizes(&self, brokers: &[BrokerId]) -> Result<ReplicaSizes, KafkaError> {
        log_dirs::replica_sizes(&self.cluster, brokers).await
    }
}

#[async_trait]
impl Topics for Live {
    async fn find_topics(&self, least: &BTreeMap<TopicName, usize>) -> Result<BTreeMap<TopicName, Topic>, KafkaError> {
        topics::find(&self.cluster, least).await
    }

    async fn create_topics(&self, topics: &[NewTopic], mode: Mode) -> Vec<Result<(), KafkaError>> {
        self.cluster.write_all(&topics::Creations { topics, mode }).await
    }

    async fn create_partitions(&self, topics: &[NewPartitions], mode: Mode) -> Vec<Result<(), KafkaError>> {
        self.cluster.write_all(&topics::Growths { topics, mode }).await
    }

    async fn delete_topics(&self, topics: &[TopicName]) -> Vec<Result<(), KafkaError>> {
        self.cluster.write_all(&topics::Deletions { topics }).await
    }

    async fn describe_partitions(
        &self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicPartition, PartitionState>, KafkaError> {
        partitions::describe(&self.cluster, topics).await
    }

    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        query: OffsetQuery,
    ) -> Result<BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>, KafkaError> {
        offsets::find(&self.cluster, partitions, query).await
    }
}

#[async_trait]
impl Configs for Live {
    async fn configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[&str]>,
    ) -> Result<BTreeMap<ConfigResource, Result<Vec<ConfigEntry>, KafkaError>>, KafkaError> {
        configs::describe(&self.cluster, resources, keys).await
    }

    async fn configs_of_one(
        &self,
        brokers: &[BrokerId],
        keys: &[&str],
    ) -> Result<(BrokerId, Vec<ConfigEntry>), KafkaError> {
        configs::of_one(&self.cluster, brokers, keys).await
    }

    async fn alter_configs(&self, changes: &[ConfigChange], mode: Mode) -> Vec<Result<(), KafkaError>> {
        configs::alter(&self.cluster, changes, mode).await
    }

    async fn catch_up(&self, own_configs: &BTreeSet<BrokerId>) -> Result<BTreeSet<BrokerId>, KafkaError> {
        registrations::catch_up(&self.cluster, own_configs).await
    }
}

#[async_trait]
impl Groups for Live {
    async fn live_groups(&self) -> Result<Vec<LiveGroup>, KafkaError> {
        groups::live(&self.cluster).await
    }

    async fn sees_all_groups(&self) -> Result<Option<bool>, KafkaError> {
        registrations::sees_all_groups(&self.cluster).await
    }

    fn lock_groups(&self) -> Arc<dyn LockGroups> {
        Arc::new(LiveLockGroups::of(self.cluster.beside()))
    }
}

#[async_trait]
impl Reassignments for Live {
    async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
        reassignments::list(&self.cluster).await
    }

    async fn alter_reassignments(
        &self,
        targets: &[(TopicPartition, Option<Vec<BrokerId>>)],
        factor: Factor,
    ) -> Vec<Result<(), KafkaError>> {
        self.cluster.write_all(&reassignments::Alterations { targets, factor }).await
    }

    async fn elect_leaders(&self, election: Election, partitions: &[TopicPartition]) -> Vec<Result<(), KafkaError>> {
        self.cluster.write_all(&reassignments::Elections { election, partitions }).await
    }
}

#[async_trait]
impl Quorum for Live {
    async fn quorum(&self) -> Result<QuorumState, KafkaError> {
        quorum::describe(&self.cluster).await
    }

    async fn add_voter(&self, voter: &NewVoter) -> Result<(), KafkaError> {
        quorum::add_voter(&self.cluster, voter).await
    }

    async fn remove_voter(&self, voter: ReplicaKey) -> Result<(), KafkaError> {
        quorum::remove_voter(&self.cluster, voter).await
    }

    async fn unregister_broker(&self, broker: BrokerId) -> Result<(), KafkaError> {
        quorum::unregister_broker(&self.cluster, broker).await
    }

    async fn unregister_controller(&self, controller: NodeId) -> Result<(), KafkaError> {
        quorum::unregister_controller(&self.cluster, controller).await
    }

    async fn controllers(&self) -> Result<Controllers, KafkaError> {
        quorum::controllers(&self.cluster).await
    }

    async fn features(&self, node: Option<NodeId>) -> Result<Features, KafkaError> {
        quorum::features(&self.cluster, node).await
    }

    async fn reaction(&self, at: &Address, limit: Duration) -> Reaction {
        quorum::reaction(&self.cluster, at, limit).await
    }
}

impl Kafka for Live {
    fn begin_look(&self) {
        if let Some(losses) = self.cluster.losses() {
            losses.forget();
        }
    }

    fn write_gate(&self) -> &WriteGate {
        self.cluster.gate()
    }
}
