//! Offsets of partitions: ListOffsets, each partition asked of its leader.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::future::join_all;
use kafka_protocol::messages::BrokerId as WireBroker;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::topics;
use crate::clients::kafka::patience::Patience;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::offset::FoundOffset;
use crate::cluster::offset::OffsetQuery;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// Most partitions in one request: brokers of Kafka 4.4 take no list of more than a million elements.
const PARTITIONS_MAX: usize = 100_000;

/// What each partition says, or why it does not.
pub(super) type Found = BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>;

/// A leader's answers that mean: the leader is elsewhere, not ready, or has not heard of a topic that the metadata has
/// (in KRaft, right after it was created). They are worth another look at the metadata.
const UNSETTLED: [i16; 6] =
    [codes::UNKNOWN_TOPIC_OR_PARTITION, codes::LEADER_NOT_AVAILABLE, codes::NOT_LEADER_OR_FOLLOWER, 74, 75, 78];

/// Finds offsets. A partition without a leader has an error of its own at once; one whose leader has just moved is asked
/// again until the deadline.
pub(super) async fn find(
    cluster: &Cluster,
    partitions: &[TopicPartition],
    query: OffsetQuery,
) -> Result<Found, KafkaError> {
    let deadline = cluster.deadline();
    let mut patience = Patience::until(deadline);
    let mut found = Found::new();
    let mut left: BTreeSet<TopicPartition> = partitions.iter().cloned().collect();
    while !left.is_empty() {
        let by_leader = by_leader(cluster, &left, &mut found, deadline).await?;
        let asked = by_leader.iter().map(|(leader, share)| ask(cluster, *leader, share, query, deadline));
        for (share, answer) in by_leader.values().zip(join_all(asked).await) {
            match answer {
                Ok(answers) => found.extend(answers),
                Err(error) => found.extend(share.iter().map(|partition| (partition.clone(), Err(error.clone())))),
            }
        }
        // What the metadata itself says, that there is no such partition or no leader, is final.
        let asked: BTreeSet<_> = by_leader.values().flatten().cloned().collect();
        left.retain(|partition| match found.get(partition) {
            _ if !asked.contains(partition) => false,
            Some(Err(error)) => error.code().is_some_and(|code| UNSETTLED.contains(&code)),
            Some(Ok(_)) => false,
            None => {
                let missing = KafkaError::Protocol {
                    address: "a broker".to_owned(),
                    message: format!("its answer to ListOffsets lacks {partition}"),
                };
                found.insert(partition.clone(), Err(missing));
                false
            }
        });
        if !left.is_empty() && !patience.pause().await {
            break;
        }
    }
    Ok(found)
}

/// Partitions by the leader that they have now; those without one get their error.
async fn by_leader(
    cluster: &Cluster,
    partitions: &BTreeSet<TopicPartition>,
    found: &mut Found,
    deadline: Instant,
) -> Result<BTreeMap<BrokerId, Vec<TopicPartition>>, KafkaError> {
    let names: BTreeSet<TopicName> = partitions.iter().map(|partition| partition.topic.clone()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let metadata = topics::metadata_until(cluster, TopicSelection::Named(&names), deadline).await?;
    let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
    for key in partitions {
        let partition = metadata
            .topics
            .get(&key.topic)
            .and_then(|topic| usize::try_from(key.partition).ok().and_then(|number| topic.partitions.get(number)));
        let leader = partition.map(|partition| partition.leader);
        match leader {
            Some(Some(leader)) => by_leader.entry(leader).or_default().push(key.clone()),
            Some(None) => {
                let error = KafkaError::broker(codes::LEADER_NOT_AVAILABLE, Some("the partition is offline"));
                found.insert(key.clone(), Err(error));
            }
            None => {
                found.insert(key.clone(), Err(KafkaError::broker(codes::UNKNOWN_TOPIC_OR_PARTITION, None)));
            }
        }
    }
    Ok(by_leader)
}

async fn ask(
    cluster: &Cluster,
    leader: BrokerId,
    partitions: &[TopicPartition],
    query: OffsetQuery,
    deadline: Instant,
) -> Result<Found, KafkaError> {
    let timeout_ms = i32::try_from(cluster.timeout().as_millis()).unwrap_or(i32::MAX);
    let mut found = Found::new();
    for some in partitions.chunks(PARTITIONS_MAX) {
        let make = |version| request(some, query, version, timeout_ms);
        let (answer, _) = cluster.read(Target::Broker(leader), make, deadline).await?;
        for topic in &answer.topics {
            let Ok(name) = TopicName::new(topic.name.as_str()) else { continue };
            for partition in &topic.partitions {
                let key = TopicPartition { topic: name.clone(), partition: partition.partition_index };
                found.insert(key, offset_of(partition, query));
            }
        }
    }
    Ok(found)
}

fn request(partitions: &[TopicPartition], query: OffsetQuery, version: i16, timeout_ms: i32) -> ListOffsetsRequest {
    let timestamp = match query {
        OffsetQuery::Earliest => -2,
        OffsetQuery::Latest => -1,
        OffsetQuery::AtOrAfter(milliseconds) => milliseconds,
    };
    let mut by_topic: BTreeMap<&TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        let wanted = ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(timestamp);
        by_topic.entry(topic).or_default().push(wanted);
    }
    let topics = by_topic
        .into_iter()
        .map(|(name, wanted)| ListOffsetsTopic::default().with_name(topics::wire_name(name)).with_partitions(wanted));
    let request = ListOffsetsRequest::default().with_replica_id(WireBroker(-1)).with_topics(topics.collect());
    if version >= 10 { request.with_timeout_ms(timeout_ms) } else { request }
}

fn offset_of(partition: &ListOffsetsPartitionResponse, query: OffsetQuery) -> Result<Option<FoundOffset>, KafkaError> {
    if partition.error_code != 0 {
        return Err(KafkaError::broker(partition.error_code, None));
    }
    let by_time = matches!(query, OffsetQuery::AtOrAfter(_));
    let timestamp = (by_time && partition.timestamp >= 0).then_some(partition.timestamp);
    Ok((partition.offset >= 0).then_some(FoundOffset { offset: partition.offset, timestamp }))
}
