//! [`OneNode`]: one connection to one broker or controller, asked for what it says itself. No other one is asked in its
//! place, nothing is retried, and nothing is written: what a probe needs. Every call ends at the deadline that it is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::connection::Connection;
use crate::clients::kafka::live::connection::Dialer;
use crate::clients::kafka::live::connection::Trouble;
use crate::clients::kafka::live::partitions::Pages;
use crate::clients::kafka::live::quorum;
use crate::clients::kafka::live::reassignments::moves_of;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::clients::kafka::live::topics::metadata_of;
use crate::clients::kafka::live::topics::metadata_request;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::tls::Connector;
use crate::cluster::address::Address;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::Reassignment;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::quorum::Controllers;
use crate::cluster::quorum::QuorumState;
use crate::cluster::topic::PartitionState;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// Opens connections to single nodes with the settings of one cluster. Made once; a plaintext one touches no TLS code.
#[derive(Debug, Clone)]
pub struct Nodes {
    dialer: Arc<Dialer>,
}

/// A connection to one node.
#[derive(Debug)]
pub struct OneNode {
    connection: Connection,
    address: Address,
    dialer: Arc<Dialer>,
}

impl Nodes {
    /// Reads stores and prepares TLS, where the settings ask for it.
    pub fn new(settings: Settings) -> Result<Self, KafkaError> {
        let connector = Connector::new(&settings)?;
        Ok(Self { dialer: Arc::new(Dialer::new(settings, connector)) })
    }

    /// Connects to a node, TLS and SASL included where the settings ask for them.
    pub async fn connect(&self, host: &str, port: u16, deadline: Instant) -> Result<OneNode, KafkaError> {
        let address = Address { host: host.to_owned(), port };
        let connection = Connection::open(&self.dialer, &address, None, deadline).await?;
        Ok(OneNode { connection, address, dialer: Arc::clone(&self.dialer) })
    }
}

impl OneNode {
    /// Whether the cluster runs on KRaft: only there nodes tell about the quorum.
    pub fn is_kraft(&self) -> bool {
        self.connection.versions().is_kraft()
    }

    /// What this broker has in its own image: the cluster's id, brokers that are not fenced, topics. Topics that are just
    /// being created are left out.
    pub async fn metadata(&self, topics: TopicSelection<'_>, deadline: Instant) -> Result<Metadata, KafkaError> {
        let answer = self.call(&|version| metadata_request(topics, version), deadline).await?;
        metadata_of(answer).map(|(metadata, _)| metadata)
    }

    /// The offset of the metadata log that this node's image has, in KRaft; none in ZooKeeper mode. An idle controller
    /// appends a record each half second, so that it grows while the node hears of the controller.
    pub async fn image_offset(&self, deadline: Instant) -> Result<Option<i64>, KafkaError> {
        if !self.is_kraft() {
            return Ok(None);
        }
        let answer = self.call(&|_| NamedApiVersionsRequest::ours(None), deadline).await?;
        Ok(Some(answer.finalized_features_epoch).filter(|offset| *offset >= 0))
    }

    /// Whether this broker gets an answer from the controller for its clients, in KRaft: it is asked for the moves of no
    /// topic, which only the controller can answer. That the controller refuses the question is an answer, too.
    pub async fn passes_on(&self, deadline: Instant) -> Result<(), KafkaError> {
        let make =
            |_| ListPartitionReassignmentsRequest::default().with_topics(Some(Vec::new())).with_timeout_ms(1_000);
        let answer = self.call(&make, deadline).await?;
        match answer.error_code {
            code @ (codes::NOT_CONTROLLER | codes::REQUEST_TIMED_OUT) => {
                Err(KafkaError::broker(code, answer.error_message.as_deref()))
            }
            _ => Ok(()),
        }
    }

    /// The moves that are running now: in KRaft from any broker, in ZooKeeper mode from the controller.
    pub async fn moves(&self, deadline: Instant) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
        let make = |_| ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(1_000);
        let answer = self.call(&make, deadline).await?;
        match answer.error_code {
            0 => Ok(moves_of(&answer)),
            code => Err(KafkaError::broker(code, answer.error_message.as_deref())),
        }
    }

    /// Partitions of topics with their eligible leaders, as this broker has them in its own image (Kafka 3.8 in KRaft). Topics
    /// that it does not know are left out.
    pub async fn partitions(
        &self,
        topics: &[TopicName],
        deadline: Instant,
    ) -> Result<BTreeMap<TopicPartition, PartitionState>, KafkaError> {
        let mut pages = Pages::of(topics);
        while let Some(request) = pages.next() {
            let answer = self.call(&|_| request.clone(), deadline).await?;
            pages.take(answer, &self.address.to_string())?;
        }
        Ok(pages.found)
    }

    /// The quorum, from its leader or from a broker; a controller that does not lead answers NOT_LEADER_OR_FOLLOWER.
    pub async fn quorum(&self, deadline: Instant) -> Result<QuorumState, KafkaError> {
        let answer = self.call(&|_| quorum::describe_request(), deadline).await?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        match partition {
            _ if answer.error_code != 0 => Err(KafkaError::broker(answer.error_code, answer.error_message.as_deref())),
            Some(partition) if partition.error_code == 0 => Ok(quorum::state_of(partition, answer.nodes)),
            Some(partition) => Err(KafkaError::broker(partition.error_code, partition.error_message.as_deref())),
            None => Err(self.failed("DescribeQuorum: its answer has no partition".to_owned())),
        }
    }

    /// The controllers, from one of them (Kafka 3.7 and newer).
    pub async fn controllers(&self, deadline: Instant) -> Result<Controllers, KafkaError> {
        let answer = self.call(&quorum::controllers_only, deadline).await?;
        quorum::check_described(&answer, &self.address).map(|()| quorum::controllers_of(answer))
    }

    async fn call<C: Call>(
        &self,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, KafkaError> {
        self.connection.call(make, deadline).await.map_err(|trouble| match trouble {
            Trouble::Fatal(error) => error,
            Trouble::NotSent(why) | Trouble::Lost(why) => self.failed(format!("{}: {why}", C::NAME)),
            Trouble::Garbled(message) => KafkaError::Protocol { address: self.address.to_string(), message },
        })
    }

    fn failed(&self, why: String) -> KafkaError {
        KafkaError::Unreachable { tried: vec![(self.address.to_string(), why)], within: self.dialer.settings.timeout }
    }
}
