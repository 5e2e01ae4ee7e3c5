//! One look at a cluster: what moves, how large its replicas are, how far they are.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::clients::kafka::Kafka;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigResource;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::offset::OffsetQuery;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::throttle::plan::look::{Look, short_of_replicas};

/// Looks at what moves. All topics are looked at while something moves, and where that is asked for: the growth of every
/// replica tells the brokers' load, and replicas out of sync are found.
pub async fn look(kafka: &dyn Kafka, now: Timestamp, all_topics: bool) -> anyhow::Result<Look> {
    kafka.begin_look();
    let moves = kafka.reassignments().await.context("failed to read what moves")?;
    // While something moves, the health of everything that its brokers lead counts.
    let selection = if all_topics || !moves.is_empty() { TopicSelection::All } else { TopicSelection::None };
    let metadata = kafka.metadata(selection).await.context("failed to read the cluster's metadata")?;
    let mut look = Look { at: now, metadata, moves, ..Look::default() };
    if look.moves.is_empty() && !all_topics {
        return Ok(look);
    }
    let brokers: Vec<BrokerId> = look.metadata.brokers.keys().copied().collect();
    let sizes = kafka.replica_sizes(&brokers).await.context("failed to read the replicas' sizes")?;
    for (broker, why) in &sizes.missing {
        tracing::warn!(%broker, why, "the sizes on the broker can't be read");
    }
    look.sized = brokers.into_iter().filter(|broker| !sizes.missing.contains_key(broker)).collect();
    look.sizes = sizes.sizes;
    look.min_isr = min_isr(kafka, &short_of_replicas(&look)).await;
    look.offsets = offsets(kafka, &look.moves.keys().cloned().collect::<Vec<_>>()).await;
    Ok(look)
}

/// What a topic is taken to need at least where that can't be read: with one replica in sync it may take no writes.
const LEAST_UNKNOWN: usize = 2;

/// What these topics need at least.
async fn min_isr(kafka: &dyn Kafka, topics: &[TopicName]) -> BTreeMap<TopicName, usize> {
    if topics.is_empty() {
        return BTreeMap::new();
    }
    let resources: Vec<_> = topics.iter().cloned().map(ConfigResource::Topic).collect();
    let configs = kafka.configs(&resources, Some(&["min.insync.replicas"])).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "min.insync.replicas can't be read: {LEAST_UNKNOWN} is assumed");
        BTreeMap::new()
    });
    let found = configs.into_iter().filter_map(|(resource, entries)| {
        let ConfigResource::Topic(topic) = resource else { return None };
        let least = entries.ok()?.into_iter().find_map(|entry| entry.value)?.parse().ok()?;
        Some((topic, least))
    });
    let mut least: BTreeMap<_, _> = topics.iter().map(|topic| (topic.clone(), LEAST_UNKNOWN)).collect();
    least.extend(found);
    least
}

/// The first offset and the one after the last. Partitions without a leader have none: their sizes must do.
async fn offsets(kafka: &dyn Kafka, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, (i64, i64)> {
    if partitions.is_empty() {
        return BTreeMap::new();
    }
    let (first, last) =
        tokio::join!(kafka.offsets(partitions, OffsetQuery::Earliest), kafka.offsets(partitions, OffsetQuery::Latest));
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let found = partitions.iter().filter_map(|partition| {
        let first = first.get(partition)?.as_ref().ok()?.as_ref()?.offset;
        let last = last.get(partition)?.as_ref().ok()?.as_ref()?.offset;
        Some((partition.clone(), (first, last)))
    });
    found.collect()
}
