//! Reads what execution needs to know: who lives, where the touched partitions are, what moves, what is copied already.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;

use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicName;
use crate::commands::reassign::plan::seen::{Disk, Held, Observed, SeenPartition, Sizes};

/// Reads the state of these topics. The moves are listed first: what is not listed and not at its target afterwards has
/// really not moved, or is shown late.
pub(super) async fn observe(kafka: &dyn Kafka, topics: &BTreeSet<TopicName>) -> Result<Observed, KafkaError> {
    let running = kafka.reassignments().await?;
    let names: Vec<_> = topics.iter().cloned().collect();
    let (metadata, fenced) = join(kafka.metadata(TopicSelection::Named(&names)), kafka.fenced_brokers()).await;
    let (metadata, fenced) = (metadata?, fenced?.unwrap_or_default());
    let mut partitions = BTreeMap::new();
    let mut topic_ids = BTreeMap::new();
    for topic in metadata.topics.into_values() {
        topic_ids.extend(topic.id.map(|id| (topic.name.clone(), id)));
        for one in topic.partitions {
            let key = crate::cluster::topic::TopicPartition { topic: topic.name.clone(), partition: one.partition };
            partitions.insert(key, SeenPartition { leader: one.leader, replicas: one.replicas, isr: one.isr });
        }
    }
    Ok(Observed {
        cluster_id: metadata.cluster_id,
        brokers: metadata.brokers.keys().filter(|broker| !fenced.contains(broker)).copied().collect(),
        partitions,
        topic_ids,
        running,
        sizes: Sizes::default(),
    })
}

/// Reads what these brokers hold of the topics, and how full their log dirs are. Brokers that can't be asked are left
/// out: what they hold is not known.
pub(super) async fn sizes(
    kafka: &dyn Kafka,
    brokers: &BTreeSet<BrokerId>,
    topics: &BTreeSet<TopicName>,
) -> Result<Sizes, KafkaError> {
    let asked: Vec<_> = brokers.iter().copied().collect();
    let answer = kafka.replica_sizes(&asked).await?;
    let mut sizes = Sizes::default();
    let are_several = |broker: &BrokerId| answer.log_dirs.get(broker).is_some_and(|dirs| dirs.len() > 1);
    for (key, replicas) in answer.sizes {
        for replica in &replicas {
            let total = sizes.totals.entry(replica.broker).or_default();
            *total = total.saturating_add(replica.bytes);
        }
        if !topics.contains(&key.topic) {
            continue;
        }
        for replica in replicas.into_iter().filter(|replica| !replica.is_future) {
            let held = Held { bytes: replica.bytes, offset_lag: replica.offset_lag };
            sizes.held.entry(key.clone()).or_default().insert(replica.broker, held);
            if are_several(&replica.broker) {
                sizes.placed.entry(key.clone()).or_default().insert(replica.broker, replica.log_dir);
            }
        }
    }
    sizes.disks = answer.log_dirs.into_iter().map(|(broker, dirs)| (broker, Disk { dirs })).collect();
    Ok(sizes)
}
