//! [`OneNode`]: one connection to one broker or controller, asked for what it says itself. No other one is asked in its
//! place, nothing is retried, and nothing is written: what a probe needs. Every call ends at the deadline that it is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::TopicName as WireName;
use kafka_protocol::messages::describe_quorum_request::PartitionData;
use kafka_protocol::messages::describe_quorum_request::TopicData;
use kafka_protocol::messages::describe_quorum_response::PartitionData as QuorumPartition;
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::connection::Address;
use crate::clients::kafka::live::connection::Connection;
use crate::clients::kafka::live::connection::Dialer;
use crate::clients::kafka::live::connection::Trouble;
use crate::clients::kafka::live::reassignments::moves_of;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::clients::kafka::live::topics::metadata_of;
use crate::clients::kafka::live::topics::metadata_request;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::tls::Connector;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::Reassignment;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicPartition;
use crate::cluster::voters::ControllerNode;
use crate::cluster::voters::Controllers;
use crate::cluster::voters::QuorumReplica;
use crate::cluster::voters::QuorumView;

/// Which kind of nodes DescribeCluster shows: controllers (KIP-919).
const CONTROLLERS: i8 = 2;

/// The version of DescribeCluster from which on it tells kinds of nodes apart.
const KINDS_SINCE: i16 = 1;

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
        let requests_sent = AtomicU64::new(0);
        Ok(Self { dialer: Arc::new(Dialer { settings, connector, salted: Arc::default(), requests_sent }) })
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

    /// The quorum, from its leader or from a broker; a controller that does not lead answers NOT_LEADER_OR_FOLLOWER.
    pub async fn quorum(&self, deadline: Instant) -> Result<QuorumView, KafkaError> {
        let make = |_| {
            let partition = PartitionData::default().with_partition_index(0);
            let name = WireName(StrBytes::from_static_str("__cluster_metadata"));
            let topic = TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
            DescribeQuorumRequest::default().with_topics(vec![topic])
        };
        let answer = self.call(&make, deadline).await?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        match partition {
            _ if answer.error_code != 0 => Err(KafkaError::broker(answer.error_code, answer.error_message.as_deref())),
            Some(partition) if partition.error_code == 0 => Ok(view_of(partition)),
            Some(partition) => Err(KafkaError::broker(partition.error_code, partition.error_message.as_deref())),
            None => Err(self.failed("DescribeQuorum: its answer has no partition".to_owned())),
        }
    }

    /// The controllers, from one of them (Kafka 3.7 and newer).
    pub async fn controllers(&self, deadline: Instant) -> Result<Controllers, KafkaError> {
        let make = |version| {
            let request = DescribeClusterRequest::default();
            if version >= KINDS_SINCE { request.with_endpoint_type(CONTROLLERS) } else { request }
        };
        let answer = self.call(&make, deadline).await?;
        if answer.error_code != 0 {
            return Err(KafkaError::broker(answer.error_code, answer.error_message.as_deref()));
        }
        let node = |node: &kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker| {
            let port = u16::try_from(node.port).ok()?;
            Some(ControllerNode { node: BrokerId(node.broker_id.0), host: node.host.to_string(), port })
        };
        let leader = (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0));
        Ok(Controllers { leader, nodes: answer.brokers.iter().filter_map(node).collect() })
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

fn view_of(partition: &QuorumPartition) -> QuorumView {
    QuorumView {
        leader: (partition.leader_id.0 >= 0).then_some(BrokerId(partition.leader_id.0)),
        epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: partition.current_voters.iter().map(replica_of).collect(),
        observers: partition.observers.iter().map(replica_of).collect(),
    }
}

fn replica_of(replica: &ReplicaState) -> QuorumReplica {
    QuorumReplica {
        node: BrokerId(replica.replica_id.0),
        directory: Some(replica.replica_directory_id).filter(|id| !id.is_nil()),
        log_end: replica.log_end_offset,
        fetched_ms: Some(replica.last_fetch_timestamp).filter(|at| *at >= 0),
    }
}
