//! Reads a cluster: one Metadata request, then at once the log dirs of every broker, the running moves and, of the
//! topics' configs, `min.insync.replicas`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures_util::future::join4;
use jiff::Timestamp;

use crate::change::looks::Looks;
use crate::clients::kafka::{Kafka, KafkaError, ReplicaSizes};
use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::config::ConfigResource;
use crate::cluster::metadata::{Metadata, Reassignment, TopicSelection};
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};
use crate::commands::mapping::observe::{Observed, ObservedBroker, ObservedPartition, ObservedTopic};

const MIN_ISR: &str = "min.insync.replicas";

/// What the planner needs of a live cluster.
pub async fn observe(kafka: &dyn Kafka, now: Timestamp) -> anyhow::Result<Observed> {
    let metadata = topics(kafka).await.context("failed to read the cluster's topics")?;
    let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
    let (sizes, moves, least, fenced) = join4(
        kafka.replica_sizes(&brokers),
        kafka.reassignments(),
        min_insync_replicas(kafka, &metadata),
        kafka.fenced_brokers(),
    )
    .await;
    let fenced = fenced.context("failed to read which brokers are fenced")?.unwrap_or_default();
    let sizes = sizes.context("failed to read how much the replicas hold")?;
    let moves = moves.context("failed to list the moves that are running")?;
    Ok(combine((&metadata, &fenced), &sizes, &moves, &least?, now))
}

/// The brokers and all topics. Right after a broker died, partitions with another replica in sync still have it, or nobody,
/// as their leader: an election that is under way is waited for, within limits.
async fn topics(kafka: &dyn Kafka) -> Result<Metadata, KafkaError> {
    let mut looks = Looks::default();
    let mut metadata = kafka.metadata(TopicSelection::All).await?;
    while metadata.topics.values().any(|topic| is_electing(topic, &metadata)) && looks.again().await {
        metadata = kafka.metadata(TopicSelection::All).await?;
    }
    Ok(metadata)
}

fn is_electing(topic: &Topic, metadata: &Metadata) -> bool {
    let is_live = |broker: &BrokerId| metadata.brokers.contains_key(broker);
    topic.partitions.iter().any(|one| !one.leader.as_ref().is_some_and(is_live) && one.isr.iter().any(is_live))
}

/// `min.insync.replicas` of each topic. One that was deleted meanwhile has none.
async fn min_insync_replicas(kafka: &dyn Kafka, metadata: &Metadata) -> anyhow::Result<BTreeMap<TopicName, usize>> {
    let resources: Vec<_> = metadata.topics.keys().cloned().map(ConfigResource::Topic).collect();
    if resources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answers = kafka.configs(&resources, Some(&[MIN_ISR])).await.context("failed to read the topics' configs")?;
    let least = answers.into_iter().filter_map(|(resource, entries)| {
        let (ConfigResource::Topic(name), Ok(entries)) = (resource, entries) else { return None };
        let entry = entries.into_iter().find(|entry| entry.name == MIN_ISR)?;
        Some((name, entry.value?.parse().ok()?))
    });
    Ok(least.collect())
}

fn combine(
    (metadata, fenced): (&Metadata, &BTreeSet<BrokerId>),
    sizes: &ReplicaSizes,
    moves: &BTreeMap<TopicPartition, Reassignment>,
    least: &BTreeMap<TopicName, usize>,
    now: Timestamp,
) -> Observed {
    let has_many_dirs = sizes.log_dirs.values().any(|dirs| dirs.len() > 1);
    let topics = metadata.topics.iter().filter(|(name, topic)| is_whole(name, topic)).map(|(name, topic)| {
        let partitions = topic.partitions.iter().map(|partition| {
            let at = TopicPartition { topic: name.clone(), partition: partition.partition };
            observed_partition(partition, &at, sizes, (moves.contains_key(&at), has_many_dirs))
        });
        let observed = ObservedTopic {
            id: topic.id,
            internal: topic.internal,
            min_insync_replicas: least.get(name).copied(),
            partitions: partitions.collect(),
        };
        (name.clone(), observed)
    });
    let topics: BTreeMap<_, _> = topics.collect();
    Observed {
        cluster_id: metadata.cluster_id.clone(),
        observed_at: now.to_string(),
        sizes_from: "the brokers (DescribeLogDirs)".to_owned(),
        sizes_given: false,
        brokers: brokers((metadata, fenced), sizes, &topics),
        topics,
    }
}

/// Whether all its partitions are there: of a topic that is being deleted some may be gone.
fn is_whole(name: &TopicName, topic: &Topic) -> bool {
    let is_whole = (0..).zip(&topic.partitions).all(|(number, partition)| partition.partition == number);
    if !is_whole {
        tracing::warn!(topic = %name, "some of its partitions are missing, as while it is being deleted: it is left out");
    }
    is_whole && !topic.partitions.is_empty()
}

fn observed_partition(
    partition: &Partition,
    at: &TopicPartition,
    sizes: &ReplicaSizes,
    (moving, has_many_dirs): (bool, bool),
) -> ObservedPartition {
    let held = sizes.sizes.get(at).map_or(&[][..], Vec::as_slice);
    // The new copy of a move between two dirs of one broker is not the replica yet.
    let on = |broker: &BrokerId| held.iter().find(|one| one.broker == *broker && !one.is_future);
    let replicas = || partition.replicas.iter().map(on);
    let is_known = replicas().flatten().next().is_some();
    let bytes = replicas().map(|one| one.map_or(0, |one| one.bytes));
    let log_dirs = replicas().map(|one| one.map_or(0, |one| one.log_dir));
    ObservedPartition {
        leader: partition.leader,
        replicas: partition.replicas.clone(),
        out_of_sync: partition.replicas.iter().filter(|one| !partition.isr.contains(one)).copied().collect(),
        bytes: if is_known { bytes.collect() } else { Vec::new() },
        log_dirs: if is_known && has_many_dirs { log_dirs.collect() } else { Vec::new() },
        moving,
        bytes_in: None,
    }
}

/// Live brokers, and those that replicas are assigned to although they are gone. A fenced one is not live, whatever the
/// broker that was asked for the metadata knows.
fn brokers(
    (metadata, fenced): (&Metadata, &BTreeSet<BrokerId>),
    sizes: &ReplicaSizes,
    topics: &BTreeMap<TopicName, ObservedTopic>,
) -> BTreeMap<BrokerId, ObservedBroker> {
    let is_live = |broker: &&Broker| !fenced.contains(&broker.id);
    let live = metadata.brokers.values().filter(is_live).map(|broker| {
        let observed = ObservedBroker {
            live: true,
            rack: broker.rack.clone(),
            log_dirs: sizes.log_dirs.get(&broker.id).cloned().unwrap_or_default(),
            missing: sizes.missing.get(&broker.id).cloned(),
        };
        (broker.id, observed)
    });
    let mut brokers: BTreeMap<_, _> = live.collect();
    let partitions = topics.values().flat_map(|topic| &topic.partitions);
    let assigned: BTreeSet<_> = partitions.flat_map(|partition| &partition.replicas).copied().collect();
    for id in assigned {
        let why = if fenced.contains(&id) { "it is not live: it is registered and fenced" } else { "it is not live" };
        brokers
            .entry(id)
            .or_insert_with(|| ObservedBroker { missing: Some(why.to_owned()), ..ObservedBroker::default() });
    }
    brokers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::metadata::{LogDir, ReplicaSize};

    /// Four brokers that hold everything, in two log dirs each; what they tell comes in the order of their answers.
    fn told(sizes: &[(u64, usize)]) -> (Metadata, ReplicaSizes) {
        let mut metadata = Metadata { cluster_id: "c".into(), ..Metadata::default() };
        let mut answers = ReplicaSizes::default();
        let name = TopicName::new("t").unwrap();
        let ids: Vec<_> = (1..=4).map(BrokerId).collect();
        let partition = |partition: i32| Partition {
            partition,
            leader: Some(ids[0]),
            replicas: ids.clone(),
            isr: ids.clone(),
            offline: Vec::new(),
        };
        let partitions: Vec<_> = (0..).zip(sizes).map(|(at, _)| partition(at)).collect();
        for (partition, (bytes, log_dir)) in partitions.iter().zip(sizes) {
            let at = TopicPartition { topic: name.clone(), partition: partition.partition };
            let size = |broker: BrokerId, is_future: bool| ReplicaSize {
                broker,
                bytes: if is_future { 1 } else { *bytes },
                offset_lag: 0,
                log_dir: if is_future { 1 - *log_dir } else { *log_dir },
                is_future,
            };
            // The first broker moves each to its other dir.
            let entries = ids.iter().map(|id| size(*id, false)).chain([size(ids[0], true)]);
            answers.sizes.insert(at, entries.collect());
        }
        for id in ids {
            let dir = |path: &str| LogDir { path: path.into(), ..LogDir::default() };
            answers.log_dirs.insert(id, vec![dir("/a"), dir("/b")]);
        }
        metadata.topics.insert(name.clone(), Topic { name, internal: false, id: None, partitions });
        (metadata, answers)
    }

    proptest! {
        #[test]
        fn the_order_of_the_brokers_answers_does_not_matter(
            sizes in proptest::collection::vec((1_u64..99, 0_usize..2), 1..6),
            order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let (metadata, sizes) = told(&sizes);
            let mut other = sizes.clone();
            for entries in other.sizes.values_mut() {
                *entries = order.iter().map(|at| entries[*at].clone()).collect();
            }
            let combined = |sizes: &ReplicaSizes| {
                combine((&metadata, &BTreeSet::new()), sizes, &BTreeMap::new(), &BTreeMap::new(), Timestamp::UNIX_EPOCH)
            };
            prop_assert_eq!(combined(&other), combined(&sizes));
        }
    }
}
