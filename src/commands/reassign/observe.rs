//! Reads what execution needs to know: who lives, where the touched partitions are, what moves, what is copied already.

use std::collections::{BTreeMap, BTreeSet};

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
    let metadata = kafka.metadata(TopicSelection::Named(&names)).await?;
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
        brokers: metadata.brokers.keys().copied().collect(),
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
        }
    }
    for (broker, dirs) in answer.log_dirs {
        let healthy = || dirs.iter().filter(|dir| dir.fault.is_none());
        let disk = Disk {
            // Kafka chooses the log dir itself: what must fit has to fit into the fullest.
            usable: healthy().map(|dir| dir.usable_bytes).min().flatten(),
            total: healthy().map(|dir| dir.total_bytes).min().flatten(),
            fault: dirs.iter().find_map(|dir| dir.fault.as_ref().map(|fault| format!("{}: {fault}", dir.path))),
        };
        sizes.disks.insert(broker, disk);
    }
    Ok(sizes)
}
