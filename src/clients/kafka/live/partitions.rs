//! Partitions with their eligible leaders: DescribeTopicPartitions, page by page.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::describe_topic_partitions_response::Cursor as NextCursor;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::topics::brokers_of;
use crate::clients::kafka::live::topics::wire_name;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::Partition;
use crate::cluster::topic::PartitionState;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// Most partitions of one answer: a broker's default `max.request.partition.size.limit`.
const PARTITIONS_MAX: i32 = 2_000;

/// Most topics that one request names.
const TOPICS_MAX: usize = 1_000;

/// Most pages that one request's topics may have: 20 million partitions.
const PAGES_MAX: usize = 10_000;

/// What was found so far.
type Found = BTreeMap<TopicPartition, PartitionState>;

/// Where the next page begins.
type Place = (TopicName, i32);

/// Describes the partitions of some topics.
pub(super) async fn describe(cluster: &Cluster, topics: &[TopicName]) -> Result<Found, KafkaError> {
    let names: BTreeSet<_> = topics.iter().collect();
    let names: Vec<_> = names.into_iter().collect();
    let mut found = Found::new();
    for some in names.chunks(TOPICS_MAX) {
        describe_some(cluster, some, &mut found).await?;
    }
    Ok(found)
}

async fn describe_some(cluster: &Cluster, names: &[&TopicName], found: &mut Found) -> Result<(), KafkaError> {
    let mut from: Option<Place> = None;
    for _ in 0..PAGES_MAX {
        let make = |_| page(names, from.as_ref());
        let (answer, address) = cluster.read(Target::Any(None), make, cluster.deadline()).await?;
        for topic in answer.topics {
            add(topic, names, found)?;
        }
        let Some(next) = answer.next_cursor else { return Ok(()) };
        from = Some(place_after(from, &next).map_err(|message| {
            let message = format!("its answer to DescribeTopicPartitions goes on {message}");
            KafkaError::Protocol { address: address.to_string(), message }
        })?);
    }
    let message = format!("its answers to DescribeTopicPartitions have more than {PAGES_MAX} pages");
    Err(KafkaError::Protocol { address: "a broker".to_owned(), message })
}

/// The request for a page. Topics that are done are not named again.
fn page(names: &[&TopicName], from: Option<&Place>) -> DescribeTopicPartitionsRequest {
    let left = names.iter().filter(|name| from.is_none_or(|(topic, _)| **name >= topic));
    let topics = left.map(|name| TopicRequest::default().with_name(wire_name(name)));
    let cursor = from
        .map(|(topic, partition)| Cursor::default().with_topic_name(wire_name(topic)).with_partition_index(*partition));
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(PARTITIONS_MAX)
        .with_cursor(cursor)
}

/// Where the next page begins: behind the present one, else it would never end.
fn place_after(from: Option<Place>, next: &NextCursor) -> Result<Place, String> {
    let name = TopicName::new(next.topic_name.as_str()).map_err(|error| format!("at an illegal topic: {error}"))?;
    let next = (name, next.partition_index);
    match from {
        Some(from) if next <= from => {
            Err(format!("at {}-{}, which is not behind {}-{}", next.0, next.1, from.0, from.1))
        }
        _ => Ok(next),
    }
}

fn add(topic: DescribeTopicPartitionsResponseTopic, names: &[&TopicName], found: &mut Found) -> Result<(), KafkaError> {
    let name = topic.name.as_ref().map(|name| name.as_str()).unwrap_or_default();
    match topic.error_code {
        0 => {}
        codes::UNKNOWN_TOPIC_OR_PARTITION => return Ok(()),
        code => return Err(KafkaError::broker(code, Some(&format!("topic {name} can't be described")))),
    }
    // What was not asked for, or has an illegal name, is not ours to read.
    let Some(name) = names.iter().find(|one| one.as_str() == name) else { return Ok(()) };
    for partition in topic.partitions {
        let key = TopicPartition { topic: (*name).clone(), partition: partition.partition_index };
        found.insert(key, state_of(&partition));
    }
    Ok(())
}

fn state_of(partition: &DescribeTopicPartitionsResponsePartition) -> PartitionState {
    let list = |list: &Option<Vec<_>>| list.as_deref().map(brokers_of).unwrap_or_default();
    PartitionState {
        partition: Partition {
            partition: partition.partition_index,
            leader: (partition.leader_id.0 >= 0).then_some(BrokerId(partition.leader_id.0)),
            replicas: brokers_of(&partition.replica_nodes),
            isr: brokers_of(&partition.isr_nodes),
            offline: brokers_of(&partition.offline_replicas),
        },
        leader_epoch: partition.leader_epoch,
        eligible: list(&partition.eligible_leader_replicas),
        last_known: list(&partition.last_known_elr),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName as WireName;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    fn next(topic: &'static str, partition: i32) -> NextCursor {
        NextCursor::default()
            .with_topic_name(WireName(StrBytes::from_static_str(topic)))
            .with_partition_index(partition)
    }

    #[test]
    fn a_page_names_what_is_left_and_where_it_begins() {
        let names = [name("a"), name("b"), name("c")];
        let names: Vec<_> = names.iter().collect();
        let asked = |from: Option<Place>| {
            let request = page(&names, from.as_ref());
            let topics: Vec<_> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
            (topics.join(","), request.cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)))
        };
        assert_eq!(asked(None), ("a,b,c".to_owned(), None));
        assert_eq!(asked(Some((name("b"), 7))), ("b,c".to_owned(), Some(("b".to_owned(), 7))));
    }

    #[test]
    fn pages_go_forwards_only() {
        assert_eq!(place_after(None, &next("a", 0)), Ok((name("a"), 0)));
        assert_eq!(place_after(Some((name("a"), 5)), &next("a", 6)), Ok((name("a"), 6)));
        assert_eq!(place_after(Some((name("a"), 5)), &next("b", 0)), Ok((name("b"), 0)));
        for back in [next("a", 5), next("a", 4), next("A", 9), next("not a name", 9)] {
            assert!(place_after(Some((name("a"), 5)), &back).is_err(), "{back:?}");
        }
    }
}
