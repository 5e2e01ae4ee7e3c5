//! Partitions with their eligible leaders: DescribeTopicPartitions, page by page.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::DescribeTopicPartitionsResponse;
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
    let mut pages = Pages::of(topics);
    while let Some(request) = pages.next() {
        let (answer, address) = cluster.read(Target::Any(None), |_| request.clone(), cluster.deadline()).await?;
        pages.take(answer, &address.to_string())?;
    }
    Ok(pages.found)
}

/// What is asked for next, and what was found so far.
pub(super) struct Pages<'a> {
    /// Topics that are not asked for yet.
    left: Vec<&'a TopicName>,
    /// Those that are asked for now.
    names: Vec<&'a TopicName>,
    /// Where the next page of these begins, after the first one.
    from: Option<Place>,
    /// How many pages of these were read.
    read: usize,
    /// What was found.
    pub(super) found: Found,
}

impl<'a> Pages<'a> {
    /// Nothing is found yet of some topics.
    pub(super) fn of(topics: &'a [TopicName]) -> Self {
        let left: BTreeSet<_> = topics.iter().collect();
        Self { left: left.into_iter().collect(), names: Vec::new(), from: None, read: 0, found: Found::new() }
    }

    /// The next request; none where all was asked for.
    pub(super) fn next(&mut self) -> Option<DescribeTopicPartitionsRequest> {
        if self.names.is_empty() {
            let rest = self.left.split_off(self.left.len().min(TOPICS_MAX));
            self.names = std::mem::replace(&mut self.left, rest);
            (self.from, self.read) = (None, 0);
        }
        (!self.names.is_empty()).then(|| page(&self.names, self.from.as_ref()))
    }

    /// Takes an answer of the broker at this address.
    pub(super) fn take(&mut self, answer: DescribeTopicPartitionsResponse, address: &str) -> Result<(), KafkaError> {
        let fault = |message: String| KafkaError::Protocol { address: address.to_owned(), message };
        for topic in answer.topics {
            add(topic, &self.names, &mut self.found)?;
        }
        self.read += 1;
        let Some(next) = answer.next_cursor else {
            self.names.clear();
            return Ok(());
        };
        if self.read >= PAGES_MAX {
            return Err(fault(format!("its answers to DescribeTopicPartitions have more than {PAGES_MAX} pages")));
        }
        let place = place_after(self.from.take(), &next);
        self.from = Some(place.map_err(|why| fault(format!("its answer to DescribeTopicPartitions goes on {why}")))?);
        Ok(())
    }
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
    fn many_topics_are_asked_for_in_several_requests_and_each_once() {
        let names: Vec<_> = (0..=TOPICS_MAX).map(|number| name(&format!("t{number:05}"))).collect();
        let mut pages = Pages::of(&names);
        let mut asked = Vec::new();
        while let Some(request) = pages.next() {
            assert!(asked.len() < 3, "it ends");
            asked.push(request.topics.len());
            let cursor = (asked.len() == 1).then(|| next("t00999", 1));
            pages.take(DescribeTopicPartitionsResponse::default().with_next_cursor(cursor), "a broker").unwrap();
        }
        assert_eq!(asked, [TOPICS_MAX, 1, 1], "the first request has two pages");
        assert!(Pages::of(&[]).next().is_none());
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
