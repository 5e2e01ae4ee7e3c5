//! Moves: begun, cancelled, and those that are running now; elections of leaders. The controller is asked:
//! other brokers of ZooKeeper mode do not know.

use std::collections::BTreeMap;

use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::AlterPartitionReassignmentsResponse;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ElectLeadersResponse;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ListPartitionReassignmentsResponse;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::protocol::StrBytes;

use crate::clients::kafka::Election;
use crate::clients::kafka::Factor;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::topics::brokers_of;
use crate::clients::kafka::live::topics::wire_brokers;
use crate::clients::kafka::live::topics::wire_name;
use crate::clients::kafka::live::writing::Batch;
use crate::clients::kafka::patience::Patience;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// All running moves.
pub(super) async fn list(cluster: &Cluster) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
    let deadline = cluster.deadline();
    let mut patience = Patience::until(deadline);
    let timeout_ms = i32::try_from(cluster.timeout().as_millis()).unwrap_or(i32::MAX);
    let make = |_| ListPartitionReassignmentsRequest::default().with_topics(None).with_timeout_ms(timeout_ms);
    loop {
        let (answer, _) = cluster.read(Target::Controller, make, deadline).await?;
        match answer.error_code {
            0 => return Ok(moves_of(&answer)),
            code @ (codes::NOT_CONTROLLER | codes::REQUEST_TIMED_OUT) => {
                if !patience.pause().await {
                    return Err(KafkaError::broker(code, answer.error_message.as_deref()));
                }
                cluster.refresh(deadline).await?;
            }
            code => return Err(KafkaError::broker(code, answer.error_message.as_deref())),
        }
    }
}

pub(super) fn moves_of(answer: &ListPartitionReassignmentsResponse) -> BTreeMap<TopicPartition, Reassignment> {
    let moves = answer.topics.iter().filter_map(|topic| Some((TopicName::new(topic.name.as_str()).ok()?, topic)));
    let moves = moves.flat_map(|(name, topic)| {
        topic.partitions.iter().map(move |partition| {
            let key = TopicPartition { topic: name.clone(), partition: partition.partition_index };
            let reassignment = Reassignment {
                replicas: brokers_of(&partition.replicas),
                adding: brokers_of(&partition.adding_replicas),
                removing: brokers_of(&partition.removing_replicas),
            };
            (key, reassignment)
        })
    });
    moves.collect()
}

/// Moves to begin, and to cancel where there is no target.
pub(super) struct Alterations<'a> {
    /// Partitions and their targets.
    pub(super) targets: &'a [(TopicPartition, Option<Vec<BrokerId>>)],
    /// Whether a target may have another number of replicas than there are.
    pub(super) factor: Factor,
}

impl Batch for Alterations<'_> {
    type Request = AlterPartitionReassignmentsRequest;

    fn len(&self) -> usize {
        self.targets.len()
    }

    fn key(&self, item: usize) -> String {
        self.targets[item].0.to_string()
    }

    fn records(&self, _item: usize) -> usize {
        1
    }

    fn mode(&self) -> Mode {
        Mode::Apply
    }

    fn request(&self, items: &[usize], version: i16, timeout_ms: i32) -> AlterPartitionReassignmentsRequest {
        let items = items.iter().map(|item| &self.targets[*item]);
        let topics = by_topic(items.map(|(key, target)| {
            let target = target.as_ref().map(|brokers| wire_brokers(brokers));
            (key, ReassignablePartition::default().with_partition_index(key.partition).with_replicas(target))
        }));
        let topic = |(name, partitions): (&TopicName, Vec<_>)| {
            ReassignableTopic::default().with_name(wire_name(name)).with_partitions(partitions)
        };
        AlterPartitionReassignmentsRequest::default()
            // Version 0 has no such field, and its controller takes any number.
            .with_allow_replication_factor_change(version < 1 || self.factor == Factor::MayChange)
            .with_topics(topics.into_iter().map(topic).collect())
            .with_timeout_ms(timeout_ms)
    }

    fn outcomes(&self, answer: AlterPartitionReassignmentsResponse) -> BTreeMap<String, (i16, Option<String>)> {
        if answer.error_code != 0 {
            let outcome = (answer.error_code, answer.error_message.map(|text| text.to_string()));
            return (0..self.len()).map(|item| (self.key(item), outcome.clone())).collect();
        }
        let outcomes = answer.responses.into_iter().flat_map(|topic| {
            topic
                .partitions
                .into_iter()
                .map(move |one| outcome(&topic.name, one.partition_index, one.error_code, one.error_message))
        });
        outcomes.collect()
    }
}

/// Partitions whose leaders are to be elected.
pub(super) struct Elections<'a> {
    /// Who is elected.
    pub(super) election: Election,
    /// The partitions.
    pub(super) partitions: &'a [TopicPartition],
}

impl Batch for Elections<'_> {
    type Request = ElectLeadersRequest;

    fn len(&self) -> usize {
        self.partitions.len()
    }

    fn key(&self, item: usize) -> String {
        self.partitions[item].to_string()
    }

    fn records(&self, _item: usize) -> usize {
        1
    }

    fn mode(&self) -> Mode {
        Mode::Apply
    }

    fn request(&self, items: &[usize], _version: i16, timeout_ms: i32) -> ElectLeadersRequest {
        let topics = by_topic(items.iter().map(|item| &self.partitions[*item]).map(|key| (key, key.partition)));
        let topic = |(name, partitions): (&TopicName, Vec<i32>)| {
            TopicPartitions::default().with_topic(wire_name(name)).with_partitions(partitions)
        };
        ElectLeadersRequest::default()
            .with_election_type(match self.election {
                Election::Preferred => 0,
                Election::Unclean => 1,
            })
            .with_topic_partitions(Some(topics.into_iter().map(topic).collect()))
            .with_timeout_ms(timeout_ms)
    }

    fn outcomes(&self, answer: ElectLeadersResponse) -> BTreeMap<String, (i16, Option<String>)> {
        if answer.error_code != 0 {
            return (0..self.len()).map(|item| (self.key(item), (answer.error_code, None))).collect();
        }
        let outcomes = answer.replica_election_results.into_iter().flat_map(|topic| {
            topic
                .partition_result
                .into_iter()
                .map(move |one| outcome(&topic.topic, one.partition_id, one.error_code, one.error_message))
        });
        outcomes.collect()
    }
}

fn by_topic<'a, T>(items: impl Iterator<Item = (&'a TopicPartition, T)>) -> BTreeMap<&'a TopicName, Vec<T>> {
    let mut topics: BTreeMap<_, Vec<T>> = BTreeMap::new();
    for (key, item) in items {
        topics.entry(&key.topic).or_default().push(item);
    }
    topics
}

/// The key is that of [`TopicPartition`]'s words, `orders-3`.
fn outcome(topic: &str, partition: i32, code: i16, message: Option<StrBytes>) -> (String, (i16, Option<String>)) {
    (format!("{topic}-{partition}"), (code, message.map(|text| text.to_string())))
}
