//! The controller quorum: described and changed through brokers, which pass it on to the active controller, or there.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use jiff::Timestamp;
use kafka_protocol::messages::AddRaftVoterResponse;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::DescribeClusterResponse;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::RemoveRaftVoterRequest;
use kafka_protocol::messages::RemoveRaftVoterResponse;
use kafka_protocol::messages::TopicName as WireName;
use kafka_protocol::messages::UnregisterBrokerRequest;
use kafka_protocol::messages::UnregisterBrokerResponse;
use kafka_protocol::messages::describe_quorum_request::PartitionData as Wanted;
use kafka_protocol::messages::describe_quorum_request::TopicData;
use kafka_protocol::messages::describe_quorum_response::Node;
use kafka_protocol::messages::describe_quorum_response::PartitionData;
use kafka_protocol::messages::describe_quorum_response::ReplicaState;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clients::first_answer::{Greeting, greet};
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::schemas::AddRaftVoterRequest;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::clients::kafka::live::schemas::UnregisterControllerRequest;
use crate::clients::kafka::live::schemas::UnregisterControllerResponse;
use crate::clients::kafka::live::schemas::VoterListener;
use crate::clients::kafka::live::writing::Batch;
use crate::clients::kafka::patience::Patience;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::quorum::Controllers;
use crate::cluster::quorum::DirectoryId;
use crate::cluster::quorum::Endpoint;
use crate::cluster::quorum::Features;
use crate::cluster::quorum::Levels;
use crate::cluster::quorum::NewVoter;
use crate::cluster::quorum::NodeId;
use crate::cluster::quorum::QuorumReplica;
use crate::cluster::quorum::QuorumState;
use crate::cluster::quorum::ReplicaKey;
use crate::cluster::reaction::Reaction;

/// The endpoint type of controllers, in DescribeCluster from version 1 on.
const CONTROLLERS: i8 = 2;

/// The quorum as its leader describes it.
pub(super) async fn describe(cluster: &Cluster) -> Result<QuorumState, KafkaError> {
    let (partition, nodes) = ask(cluster, cluster.deadline()).await?;
    Ok(state_of(&partition, nodes))
}

/// The request for the quorum.
pub(super) fn describe_request() -> DescribeQuorumRequest {
    let name = WireName(StrBytes::from_static_str("__cluster_metadata"));
    let wanted = vec![Wanted::default().with_partition_index(0)];
    let topic = TopicData::default().with_topic_name(name).with_partitions(wanted);
    DescribeQuorumRequest::default().with_topics(vec![topic])
}

/// The quorum as an answer has it.
pub(super) fn state_of(partition: &PartitionData, nodes: Vec<Node>) -> QuorumState {
    QuorumState {
        leader: (partition.leader_id.0 >= 0).then_some(NodeId(partition.leader_id.0)),
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: partition.current_voters.iter().map(replica_of).collect(),
        observers: partition.observers.iter().map(replica_of).collect(),
        endpoints: nodes.into_iter().map(|node| (NodeId(node.node_id.0), endpoints_of(node))).collect(),
    }
}

/// Asks the leader, and again while it moves.
pub(super) async fn ask(cluster: &Cluster, deadline: Instant) -> Result<(PartitionData, Vec<Node>), KafkaError> {
    let mut patience = Patience::until(deadline);
    loop {
        let (answer, address) = cluster.read(Target::Controller, |_| describe_request(), deadline).await?;
        let partition = answer.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let inner = partition.as_ref().map_or(0, |partition| partition.error_code);
        let code = if answer.error_code == 0 { inner } else { answer.error_code };
        match partition {
            Some(partition) if code == 0 => return Ok((partition, answer.nodes)),
            None if code == 0 => {
                let message = "its answer to DescribeQuorum has no partition".to_owned();
                return Err(KafkaError::Protocol { address: address.to_string(), message });
            }
            _ if code == codes::CLUSTER_AUTHORIZATION_FAILED || !patience.pause().await => {
                return Err(KafkaError::broker(code, Some("DescribeQuorum failed")));
            }
            // The leader moves.
            _ => cluster.refresh(deadline).await?,
        }
    }
}

fn endpoints_of(node: Node) -> Vec<Endpoint> {
    let endpoint = |listener: kafka_protocol::messages::describe_quorum_response::Listener| Endpoint {
        listener: listener.name.to_string(),
        host: listener.host.to_string(),
        port: listener.port,
    };
    node.listeners.into_iter().map(endpoint).collect()
}

fn replica_of(replica: &ReplicaState) -> QuorumReplica {
    let time = |milliseconds: i64| (milliseconds > 0).then(|| Timestamp::from_millisecond(milliseconds).ok()).flatten();
    QuorumReplica {
        key: ReplicaKey { id: NodeId(replica.replica_id.0), directory: DirectoryId::of(replica.replica_directory_id) },
        log_end_offset: (replica.log_end_offset >= 0).then_some(replica.log_end_offset),
        last_fetch: time(replica.last_fetch_timestamp),
        last_caught_up: time(replica.last_caught_up_timestamp),
    }
}

/// The registered controllers, as one of them describes them.
pub(super) async fn controllers(cluster: &Cluster) -> Result<Controllers, KafkaError> {
    let answer = match cluster.read(Target::Any(None), controllers_only, cluster.deadline()).await {
        Ok((answer, address)) => check_described(&answer, &address).map(|()| answer)?,
        Err(KafkaError::Unsupported { broker, .. }) => return Err(no_controllers(broker)),
        Err(error) => return Err(error),
    };
    Ok(controllers_of(answer))
}

/// The controllers as an answer has them.
pub(super) fn controllers_of(answer: DescribeClusterResponse) -> Controllers {
    let nodes = answer.brokers.into_iter().filter_map(|node| {
        let port = u16::try_from(node.port).ok()?;
        Some((NodeId(node.broker_id.0), Address { host: node.host.to_string(), port }))
    });
    Controllers {
        cluster_id: answer.cluster_id.to_string(),
        active: (answer.controller_id.0 >= 0).then_some(NodeId(answer.controller_id.0)),
        nodes: nodes.collect(),
    }
}

/// The request for controllers. Version 0 has no endpoint type: what speaks that describes brokers, and
/// [`check_described`] finds it out.
pub(super) fn controllers_only(version: i16) -> DescribeClusterRequest {
    DescribeClusterRequest::default().with_endpoint_type(if version >= 1 { CONTROLLERS } else { 1 })
}

/// Checks that an answer describes controllers.
pub(super) fn check_described(answer: &DescribeClusterResponse, address: &Address) -> Result<(), KafkaError> {
    match answer.error_code {
        0 if answer.endpoint_type == CONTROLLERS => Ok(()),
        0 => Err(no_controllers(address.to_string())),
        code => {
            let why = "this listener belongs to a broker; give --bootstrap-controller the addresses of controllers";
            let message = answer.error_message.as_deref().unwrap_or_default();
            let is_broker = code == codes::MISMATCHED_ENDPOINT_TYPE;
            Err(KafkaError::broker(code, Some(if is_broker { why } else { message })))
        }
    }
}

fn no_controllers(broker: String) -> KafkaError {
    KafkaError::Unsupported { broker, request: "DescribeCluster of controllers", since: "3.7" }
}

/// The features of one node, or of any.
pub(super) async fn features(cluster: &Cluster, node: Option<NodeId>) -> Result<Features, KafkaError> {
    let target = node.map_or(Target::Any(None), |node| Target::Broker(BrokerId(node.0)));
    let make = |_| NamedApiVersionsRequest::ours(None);
    let (answer, _) = cluster.read(target, make, cluster.deadline()).await?;
    if answer.error_code != 0 {
        return Err(KafkaError::broker(answer.error_code, Some("ApiVersions failed")));
    }
    Ok(features_of(answer))
}

/// How a port reacts to a first greeting.
pub(super) async fn reaction(cluster: &Cluster, at: &Address, limit: Duration) -> Reaction {
    let greeting = if cluster.has_tls() { Greeting::TlsHello } else { Greeting::ApiVersions };
    greet(&at.host, at.port, greeting, Instant::now() + limit).await
}

fn features_of(answer: ApiVersionsResponse) -> Features {
    let supported = answer.supported_features.into_iter();
    let finalized = answer.finalized_features.into_iter();
    Features {
        supported: supported
            .map(|one| (one.name.to_string(), Levels { min: one.min_version, max: one.max_version }))
            .collect(),
        finalized: finalized.map(|one| (one.name.to_string(), one.max_version_level)).collect(),
        finalized_at: (answer.finalized_features_epoch >= 0).then_some(answer.finalized_features_epoch),
        zk_migration_ready: answer.zk_migration_ready,
    }
}

/// Makes a controller a voter.
pub(super) async fn add_voter(cluster: &Cluster, voter: &NewVoter) -> Result<(), KafkaError> {
    let cluster_id = cluster.cluster_id(cluster.deadline()).await?;
    let listener = |endpoint: &Endpoint| VoterListener {
        name: StrBytes::from_string(endpoint.listener.clone()),
        host: StrBytes::from_string(endpoint.host.clone()),
        port: endpoint.port,
    };
    let listeners: Vec<_> = voter.endpoints.iter().map(listener).collect();
    change(cluster, |timeout_ms| AddRaftVoterRequest {
        cluster_id: cluster_id.clone(),
        timeout_ms,
        voter_id: voter.id.0,
        voter_directory_id: voter.directory.uuid(),
        listeners: listeners.clone(),
    })
    .await
}

/// Takes a voter's vote away.
pub(super) async fn remove_voter(cluster: &Cluster, voter: ReplicaKey) -> Result<(), KafkaError> {
    let cluster_id = cluster.cluster_id(cluster.deadline()).await?;
    change(cluster, |_| {
        RemoveRaftVoterRequest::default()
            .with_cluster_id(cluster_id.clone())
            .with_voter_id(voter.id.0)
            .with_voter_directory_id(voter.directory.map_or(Uuid::nil(), DirectoryId::uuid))
    })
    .await
}

/// Forgets a broker.
pub(super) async fn unregister_broker(cluster: &Cluster, broker: BrokerId) -> Result<(), KafkaError> {
    let id = kafka_protocol::messages::BrokerId(broker.0);
    change(cluster, |_| UnregisterBrokerRequest::default().with_broker_id(id)).await
}

/// Forgets a controller.
pub(super) async fn unregister_controller(cluster: &Cluster, controller: NodeId) -> Result<(), KafkaError> {
    change(cluster, |_| UnregisterControllerRequest { controller_id: controller.0 }).await
}

/// Sends one change, of which a request holds no other.
async fn change<R: Change>(cluster: &Cluster, make: impl Fn(i32) -> R + Sync) -> Result<(), KafkaError> {
    let alone = Alone { make, request: PhantomData };
    let left_out = Err(KafkaError::Settings(format!("{}: nothing was sent", R::NAME)));
    cluster.write_all(&alone).await.pop().unwrap_or(left_out)
}

/// A request that changes one thing.
trait Change: Call {
    /// The answer's code and words.
    fn outcome(answer: Self::Answer) -> (i16, Option<String>);
}

macro_rules! changes {
    ($($request:ident => $answer:ident;)*) => {$(
        impl Change for $request {
            fn outcome(answer: $answer) -> (i16, Option<String>) {
                (answer.error_code, answer.error_message.map(|text| text.to_string()))
            }
        }
    )*};
}

changes! {
    AddRaftVoterRequest => AddRaftVoterResponse;
    RemoveRaftVoterRequest => RemoveRaftVoterResponse;
    UnregisterBrokerRequest => UnregisterBrokerResponse;
    UnregisterControllerRequest => UnregisterControllerResponse;
}

/// A batch of one.
struct Alone<R, F> {
    make: F,
    request: PhantomData<fn() -> R>,
}

impl<R: Change, F: Fn(i32) -> R + Sync> Batch for Alone<R, F> {
    type Request = R;

    fn len(&self) -> usize {
        1
    }

    fn key(&self, _item: usize) -> String {
        String::new()
    }

    fn records(&self, _item: usize) -> usize {
        1
    }

    fn mode(&self) -> Mode {
        Mode::Apply
    }

    fn request(&self, _items: &[usize], _version: i16, timeout_ms: i32) -> R {
        (self.make)(timeout_ms)
    }

    fn outcomes(&self, answer: R::Answer) -> BTreeMap<String, (i16, Option<String>)> {
        [(String::new(), R::outcome(answer))].into()
    }
}
