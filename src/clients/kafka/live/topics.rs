//! Metadata of topics; creating, growing and deleting them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::messages::BrokerId as WireBroker;
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::CreatePartitionsResponse;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DeleteTopicsResponse;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::TopicName as WireName;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::NewPartitions;
use crate::clients::kafka::NewTopic;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::writing::Batch;
use crate::clients::kafka::patience::Patience;
use crate::cluster::broker::Broker;
use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::Partition;
use crate::cluster::topic::Topic;
use crate::cluster::topic::TopicName;

/// Records that a topic with the cluster's own number of partitions (`num.partitions`) is taken for.
const DEFAULT_PARTITIONS_GUESS: usize = 50;

/// Most topics that are asked for by name.
const NAMES_MAX: usize = 100_000;

/// Brokers that are asked one after the other for topics that one of them does not show.
const BROKERS_ASKED_MAX: usize = 8;

/// Brokers and topics.
pub(super) async fn metadata(cluster: &Cluster, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError> {
    metadata_until(cluster, topics, cluster.deadline()).await
}

/// The same with a deadline of its own.
pub(super) async fn metadata_until(
    cluster: &Cluster,
    topics: TopicSelection<'_>,
    deadline: Instant,
) -> Result<Metadata, KafkaError> {
    metadata_from(cluster, Target::Any(None), topics, deadline).await
}

/// The same from one broker.
pub(super) async fn metadata_of_one(
    cluster: &Cluster,
    broker: BrokerId,
    topics: TopicSelection<'_>,
) -> Result<Metadata, KafkaError> {
    metadata_from(cluster, Target::Broker(broker), topics, cluster.deadline()).await
}

async fn metadata_from(
    cluster: &Cluster,
    target: Target,
    topics: TopicSelection<'_>,
    deadline: Instant,
) -> Result<Metadata, KafkaError> {
    let mut patience = Patience::until(deadline);
    let asked = askable(topics, NAMES_MAX);
    let make = |version| metadata_request(asked, version);
    loop {
        let (answer, address) = cluster.read(target, make, deadline).await?;
        cluster.learn(&answer, &address)?;
        let (mut metadata, unsettled) = metadata_of(answer)?;
        if let (TopicSelection::Named(names), TopicSelection::All) = (topics, asked) {
            let names: BTreeSet<_> = names.iter().collect();
            metadata.topics.retain(|name, _| names.contains(name));
        }
        let Some(error) = unsettled else { return Ok(metadata) };
        if !patience.pause().await {
            return Err(error);
        }
    }
}

/// What one request may ask for: brokers of Kafka 4.4 take no list of more than a million elements. Of more topics than
/// the limit, all are asked for, which is no list.
fn askable(topics: TopicSelection<'_>, names_max: usize) -> TopicSelection<'_> {
    match topics {
        TopicSelection::Named(names) if names.len() > names_max => TopicSelection::All,
        other => other,
    }
}

/// Those of some topics that a broker shows with at least so many partitions. Brokers are asked one after the other, until
/// each topic was shown: one that is behind does not know a young topic.
pub(super) async fn find(
    cluster: &Cluster,
    least: &BTreeMap<TopicName, usize>,
) -> Result<BTreeMap<TopicName, Topic>, KafkaError> {
    let deadline = cluster.deadline();
    let mut found = BTreeMap::new();
    let mut failed = None;
    let brokers = cluster.know_brokers(deadline).await?;
    for broker in brokers.into_iter().take(BROKERS_ASKED_MAX) {
        let open: Vec<_> = least.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
        if open.is_empty() {
            break;
        }
        let asked = askable(TopicSelection::Named(&open), NAMES_MAX);
        let make = |version| metadata_request(asked, version);
        let answer = cluster.read(Target::Any(Some(broker)), make, deadline).await;
        match answer.and_then(|(answer, _)| metadata_of(answer)) {
            Ok((metadata, _)) => {
                let is_wanted = |topic: &Topic| least.get(&topic.name).is_some_and(|n| topic.partitions.len() >= *n);
                found.extend(metadata.topics.into_iter().filter(|(_, topic)| is_wanted(topic)));
            }
            Err(error @ KafkaError::Security { .. }) => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

pub(super) fn metadata_request(topics: TopicSelection<'_>, version: i16) -> MetadataRequest {
    let wanted = |name: &TopicName| {
        let mut topic = MetadataRequestTopic::default().with_name(Some(wire_name(name)));
        if version >= 10 {
            topic.topic_id = uuid::Uuid::nil();
        }
        topic
    };
    let topics = match topics {
        TopicSelection::All => None,
        TopicSelection::None => Some(Vec::new()),
        TopicSelection::Named(names) => Some(names.iter().map(wanted).collect()),
    };
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
}

/// What an answer says, and why it should be asked for again: a broker that has just started knows no brokers yet, and a
/// topic that is being created has no partitions.
pub(super) fn metadata_of(answer: MetadataResponse) -> Result<(Metadata, Option<KafkaError>), KafkaError> {
    if answer.error_code != 0 {
        return Err(KafkaError::broker(answer.error_code, Some("Metadata failed")));
    }
    let mut unsettled = answer
        .brokers
        .is_empty()
        .then(|| KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("the cluster names no live broker")));
    let mut topics = BTreeMap::new();
    for topic in answer.topics {
        match topic_of(&topic) {
            Ok(Some(topic)) => {
                topics.insert(topic.name.clone(), topic);
            }
            Ok(None) => {}
            Err(error) if error.code() == Some(codes::LEADER_NOT_AVAILABLE) => unsettled = Some(error),
            Err(error) => return Err(error),
        }
    }
    let metadata = Metadata {
        cluster_id: answer.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
        controller: (answer.controller_id.0 >= 0).then_some(BrokerId(answer.controller_id.0)),
        brokers: answer.brokers.into_iter().map(broker_of).map(|broker| (broker.id, broker)).collect(),
        topics,
    };
    Ok((metadata, unsettled))
}

fn broker_of(broker: MetadataResponseBroker) -> Broker {
    Broker {
        id: BrokerId(broker.node_id.0),
        host: broker.host.to_string(),
        port: u16::try_from(broker.port).unwrap_or(0),
        rack: broker.rack.filter(|rack| !rack.is_empty()).map(|rack| Rack(rack.to_string())),
    }
}

/// A topic; none if it does not exist.
fn topic_of(topic: &MetadataResponseTopic) -> Result<Option<Topic>, KafkaError> {
    let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
    match topic.error_code {
        0 => {}
        codes::UNKNOWN_TOPIC_OR_PARTITION => return Ok(None),
        code => return Err(KafkaError::broker(code, Some(&format!("topic {name} can't be described")))),
    }
    let name = TopicName::new(name).map_err(|error| KafkaError::Protocol {
        address: "a broker".to_owned(),
        message: format!("its metadata has a topic with an illegal name: {error}"),
    })?;
    let mut partitions: Vec<_> = topic.partitions.iter().map(partition_of).collect();
    partitions.sort_by_key(|partition| partition.partition);
    let complete = (0..).zip(&partitions).all(|(number, partition)| partition.partition == number);
    if !complete || partitions.is_empty() {
        let message = format!("topic {name} is being created");
        return Err(KafkaError::broker(codes::LEADER_NOT_AVAILABLE, Some(&message)));
    }
    let id = (!topic.topic_id.is_nil()).then_some(topic.topic_id);
    Ok(Some(Topic { name, internal: topic.is_internal, id, partitions }))
}

fn partition_of(partition: &MetadataResponsePartition) -> Partition {
    Partition {
        partition: partition.partition_index,
        leader: (partition.leader_id.0 >= 0).then_some(BrokerId(partition.leader_id.0)),
        replicas: brokers_of(&partition.replica_nodes),
        isr: brokers_of(&partition.isr_nodes),
        offline: brokers_of(&partition.offline_replicas),
    }
}

/// Broker ids as our own type.
pub(super) fn brokers_of(brokers: &[WireBroker]) -> Vec<BrokerId> {
    brokers.iter().map(|broker| BrokerId(broker.0)).collect()
}

/// A topic's name as the protocol's type.
pub(super) fn wire_name(name: &TopicName) -> WireName {
    WireName(StrBytes::from_string(name.as_str().to_owned()))
}

fn wire_text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Our broker ids as the protocol's type.
pub(super) fn wire_brokers(brokers: &[BrokerId]) -> Vec<WireBroker> {
    brokers.iter().map(|broker| WireBroker(broker.0)).collect()
}

fn text_of(message: Option<StrBytes>) -> Option<String> {
    message.map(|text| text.to_string())
}

/// Topics to create.
pub(super) struct Creations<'a> {
    /// The topics.
    pub(super) topics: &'a [NewTopic],
    /// Whether they are created.
    pub(super) mode: Mode,
}

impl Batch for Creations<'_> {
    type Request = CreateTopicsRequest;

    fn len(&self) -> usize {
        self.topics.len()
    }

    fn key(&self, item: usize) -> String {
        self.topics[item].name.to_string()
    }

    fn records(&self, item: usize) -> usize {
        let topic = &self.topics[item];
        let partitions = match (&topic.assignment, topic.partitions) {
            (Some(assignment), _) => assignment.len(),
            (None, Some(count)) => usize::try_from(count).unwrap_or(0),
            (None, None) => DEFAULT_PARTITIONS_GUESS,
        };
        1 + partitions + topic.config.len()
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn request(&self, items: &[usize], _version: i16, timeout_ms: i32) -> CreateTopicsRequest {
        CreateTopicsRequest::default()
            .with_topics(items.iter().map(|item| creation(&self.topics[*item])).collect())
            .with_timeout_ms(timeout_ms)
            .with_validate_only(self.mode == Mode::Validate)
    }

    fn outcomes(&self, answer: CreateTopicsResponse) -> BTreeMap<String, (i16, Option<String>)> {
        let outcome = |topic: kafka_protocol::messages::create_topics_response::CreatableTopicResult| {
            (topic.name.to_string(), (topic.error_code, text_of(topic.error_message)))
        };
        answer.topics.into_iter().map(outcome).collect()
    }
}

fn creation(topic: &NewTopic) -> CreatableTopic {
    let config = topic.config.iter().map(|(key, value)| {
        CreatableTopicConfig::default().with_name(wire_text(key)).with_value(Some(wire_text(value)))
    });
    let new = CreatableTopic::default().with_name(wire_name(&topic.name)).with_configs(config.collect());
    let Some(assignment) = &topic.assignment else {
        return new
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication_factor.unwrap_or(-1));
    };
    let assignments = (0..).zip(assignment).map(|(partition, brokers)| {
        CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(wire_brokers(brokers))
    });
    new.with_num_partitions(-1).with_replication_factor(-1).with_assignments(assignments.collect())
}

/// Topics to give more partitions.
pub(super) struct Growths<'a> {
    /// The topics.
    pub(super) topics: &'a [NewPartitions],
    /// Whether they grow.
    pub(super) mode: Mode,
}

impl Batch for Growths<'_> {
    type Request = CreatePartitionsRequest;

    fn len(&self) -> usize {
        self.topics.len()
    }

    fn key(&self, item: usize) -> String {
        self.topics[item].name.to_string()
    }

    fn records(&self, item: usize) -> usize {
        let topic = &self.topics[item];
        topic.assignment.as_ref().map_or(usize::try_from(topic.count).unwrap_or(0), Vec::len)
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn request(&self, items: &[usize], _version: i16, timeout_ms: i32) -> CreatePartitionsRequest {
        let growth = |item: &usize| {
            let topic = &self.topics[*item];
            let assignment = topic.assignment.as_ref().map(|partitions| {
                let partition = |brokers: &Vec<BrokerId>| {
                    CreatePartitionsAssignment::default().with_broker_ids(wire_brokers(brokers))
                };
                partitions.iter().map(partition).collect()
            });
            CreatePartitionsTopic::default()
                .with_name(wire_name(&topic.name))
                .with_count(topic.count)
                .with_assignments(assignment)
        };
        CreatePartitionsRequest::default()
            .with_topics(items.iter().map(growth).collect())
            .with_timeout_ms(timeout_ms)
            .with_validate_only(self.mode == Mode::Validate)
    }

    fn outcomes(&self, answer: CreatePartitionsResponse) -> BTreeMap<String, (i16, Option<String>)> {
        let results = answer.results.into_iter();
        results.map(|topic| (topic.name.to_string(), (topic.error_code, text_of(topic.error_message)))).collect()
    }
}

/// Topics to delete.
pub(super) struct Deletions<'a> {
    /// The topics.
    pub(super) topics: &'a [TopicName],
}

impl Batch for Deletions<'_> {
    type Request = DeleteTopicsRequest;

    fn len(&self) -> usize {
        self.topics.len()
    }

    fn key(&self, item: usize) -> String {
        self.topics[item].to_string()
    }

    fn records(&self, _item: usize) -> usize {
        1
    }

    fn mode(&self) -> Mode {
        Mode::Apply
    }

    fn request(&self, items: &[usize], version: i16, timeout_ms: i32) -> DeleteTopicsRequest {
        let names = items.iter().map(|item| wire_name(&self.topics[*item]));
        let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms);
        if version < 6 {
            return request.with_topic_names(names.collect());
        }
        request.with_topics(names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect())
    }

    fn outcomes(&self, answer: DeleteTopicsResponse) -> BTreeMap<String, (i16, Option<String>)> {
        let outcome = |topic: kafka_protocol::messages::delete_topics_response::DeletableTopicResult| {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            (name, (topic.error_code, text_of(topic.error_message)))
        };
        answer.responses.into_iter().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_topics_than_a_request_may_name_all_are_asked_for() {
        let names = ["a", "b", "c"].map(|name| TopicName::new(name).unwrap());
        assert_eq!(askable(TopicSelection::Named(&names), 3), TopicSelection::Named(&names));
        assert_eq!(askable(TopicSelection::Named(&names), 2), TopicSelection::All);
        assert_eq!(askable(TopicSelection::None, 0), TopicSelection::None);
    }
}
