//! What the twin shows of topics and disks.

use crate::clients::kafka::ReplicaSizes;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelPartition;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::metadata::ReplicaSize;
use crate::cluster::topic::Partition;
use crate::cluster::topic::Topic;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// A topic as metadata shows it.
pub(super) fn described(model: &Model, name: &TopicName) -> Topic {
    let topic = &model.topics[name];
    let partition = |(number, partition): (i32, &ModelPartition)| {
        let is_live = |broker: &&BrokerId| !model.brokers.contains_key(broker);
        Partition {
            partition: number,
            leader: partition.leader,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            offline: partition.replicas.iter().filter(is_live).copied().collect(),
        }
    };
    Topic {
        name: name.clone(),
        internal: topic.internal,
        id: topic.id,
        partitions: (0..).zip(&topic.partitions).map(partition).collect(),
    }
}

/// Adds what one broker holds.
pub(super) fn add_sizes(model: &Model, broker: BrokerId, sizes: &mut ReplicaSizes) {
    let held = model.topics.values().flat_map(|topic| &topic.partitions).filter(|p| p.replicas.contains(&broker));
    let used: u64 = held.filter_map(|partition| partition.bytes.get(&broker)).sum();
    let total = model.disk_bytes;
    let dir = LogDir {
        path: "/var/lib/kafka".to_owned(),
        total_bytes: total,
        usable_bytes: total.map(|total| total.saturating_sub(used)),
        is_cordoned: model.cordoned.contains(&broker),
        ..LogDir::default()
    };
    sizes.log_dirs.insert(broker, vec![dir]);
    for (name, topic) in &model.topics {
        for (number, partition) in (0..).zip(&topic.partitions) {
            if !partition.replicas.contains(&broker) {
                continue;
            }
            let size = ReplicaSize {
                broker,
                bytes: partition.bytes.get(&broker).copied().unwrap_or(0),
                offset_lag: 0,
                log_dir: 0,
                is_future: false,
            };
            sizes.sizes.entry(TopicPartition { topic: name.clone(), partition: number }).or_default().push(size);
        }
    }
}
