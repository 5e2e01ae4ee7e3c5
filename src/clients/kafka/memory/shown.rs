//! What the twin shows of topics and disks.

use std::collections::BTreeMap;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::ReplicaSizes;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelDir;
use crate::clients::kafka::memory::ModelPartition;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::ReplicaSize;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::Partition;
use crate::cluster::topic::PartitionState;
use crate::cluster::topic::Topic;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// What a broker says of a log dir that is offline.
const KAFKA_STORAGE_ERROR: i16 = 56;

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

/// The cluster as any broker shows it.
pub(super) fn metadata(model: &Model, topics: TopicSelection<'_>) -> Metadata {
    let wanted = |name: &&TopicName| match topics {
        TopicSelection::All => true,
        TopicSelection::None => false,
        TopicSelection::Named(names) => names.contains(name),
    };
    let names = model.topics.keys().filter(wanted);
    Metadata {
        cluster_id: model.cluster_id.clone(),
        controller: model.brokers.keys().next().copied(),
        brokers: model.brokers.clone(),
        topics: names.map(|name| (name.clone(), described(model, name))).collect(),
    }
}

/// The partitions of topics with their eligible leaders.
pub(super) fn states(
    model: &Model,
    names: &[TopicName],
) -> Result<BTreeMap<TopicPartition, PartitionState>, KafkaError> {
    if !model.kraft {
        return Err(unsupported("DescribeTopicPartitions", "3.8"));
    }
    let mut states = BTreeMap::new();
    for (name, topic) in names.iter().filter_map(|name| model.topics.get_key_value(name)) {
        for (shown, partition) in described(model, name).partitions.into_iter().zip(&topic.partitions) {
            let key = TopicPartition { topic: name.clone(), partition: shown.partition };
            let (eligible, last_known) = (partition.eligible.clone(), partition.last_known.clone());
            states.insert(key, PartitionState { partition: shown, leader_epoch: 0, eligible, last_known });
        }
    }
    Ok(states)
}

/// What a server says that lacks a request.
pub(super) fn unsupported(request: &'static str, since: &'static str) -> KafkaError {
    KafkaError::Unsupported { broker: "127.0.0.1:9093".to_owned(), request, since }
}

/// Adds what one broker holds.
pub(super) fn add_sizes(model: &Model, broker: BrokerId, sizes: &mut ReplicaSizes) {
    let dirs = dirs_of(model, broker);
    let mut held = vec![(0_u64, 0_u32); dirs.len()];
    for (name, topic) in &model.topics {
        for (number, partition) in (0..).zip(&topic.partitions).filter(|(_, one)| one.replicas.contains(&broker)) {
            let log_dir = partition.log_dirs.get(&broker).copied().unwrap_or(0).min(dirs.len() - 1);
            let bytes = partition.bytes.get(&broker).copied().unwrap_or(0);
            held[log_dir] = (held[log_dir].0.saturating_add(bytes), held[log_dir].1 + 1);
            if dirs[log_dir].offline {
                continue;
            }
            let size = ReplicaSize { broker, bytes, offset_lag: 0, log_dir, is_future: false };
            sizes.sizes.entry(TopicPartition { topic: name.clone(), partition: number }).or_default().push(size);
        }
    }
    let has_sizes = model.disk_bytes.is_some() || model.log_dirs.contains_key(&broker);
    let dir = |(dir, (used, partitions)): (ModelDir, (u64, u32))| LogDir {
        path: dir.path,
        total_bytes: (has_sizes && !dir.offline).then_some(dir.bytes),
        usable_bytes: (has_sizes && !dir.offline).then_some(dir.bytes.saturating_sub(used)),
        fault: dir.offline.then(|| KafkaError::broker(KAFKA_STORAGE_ERROR, None).to_string()),
        partitions: (!dir.offline).then_some(partitions),
        is_cordoned: model.cordoned.contains(&broker),
    };
    sizes.log_dirs.insert(broker, dirs.into_iter().zip(held).map(dir).collect());
}

/// The log dir that a broker puts a new replica of a partition into: an online one with the fewest partitions.
pub(super) fn next_dir(model: &Model, broker: BrokerId, key: &TopicPartition) -> usize {
    let mut counts: Vec<_> = dirs_of(model, broker).into_iter().map(|dir| (dir.offline, 0_usize)).collect();
    for (name, topic) in &model.topics {
        for (number, partition) in (0..).zip(&topic.partitions).filter(|(_, one)| one.replicas.contains(&broker)) {
            let is_itself = *name == key.topic && number == key.partition;
            let dir = partition.log_dirs.get(&broker).copied().unwrap_or(0);
            if let Some((_, count)) = counts.get_mut(dir).filter(|_| !is_itself) {
                *count += 1;
            }
        }
    }
    counts.iter().enumerate().min_by_key(|(_, count)| **count).map_or(0, |(dir, _)| dir)
}

/// The log dirs of a broker: its own, or the one that every broker has.
fn dirs_of(model: &Model, broker: BrokerId) -> Vec<ModelDir> {
    let own = model.log_dirs.get(&broker).filter(|dirs| !dirs.is_empty());
    let path = "/var/lib/kafka".to_owned();
    own.cloned().unwrap_or_else(|| vec![ModelDir { path, bytes: model.disk_bytes.unwrap_or(0), offline: false }])
}
