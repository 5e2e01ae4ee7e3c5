//! What the Kafka cluster lists: live brokers, who has replicas, and which partitions would have nothing left without
//! one broker's disk.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Metadata;
use crate::cluster::topic::TopicPartition;

/// Most partitions of one broker that are named.
pub const NAMED_MAX: usize = 10;

/// Replicas beside the in-sync ones that may become leader without loss (KIP-966), of each partition that has some.
/// None where brokers do not show it.
pub type Eligible = BTreeMap<TopicPartition, Vec<BrokerId>>;

/// What the cluster lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listed {
    /// The cluster's id.
    pub cluster_id: String,
    /// Live brokers.
    pub brokers: BTreeSet<BrokerId>,
    /// How many partitions have a replica on each id, live or not.
    pub replicas: BTreeMap<BrokerId, usize>,
    /// Partitions of which only this id has all records.
    pub last: BTreeMap<BrokerId, Last>,
}

/// Partitions of which one broker has the last replica.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Last {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub named: Vec<TopicPartition>,
}

/// Counts what matters for identities.
pub fn listed(metadata: &Metadata, eligible: Option<&Eligible>) -> Listed {
    let mut listed = Listed {
        cluster_id: metadata.cluster_id.clone(),
        brokers: metadata.brokers.keys().copied().collect(),
        ..Listed::default()
    };
    for (name, topic) in &metadata.topics {
        for partition in &topic.partitions {
            for replica in &partition.replicas {
                *listed.replicas.entry(*replica).or_default() += 1;
            }
            let at = TopicPartition { topic: name.clone(), partition: partition.partition };
            let also = eligible.and_then(|eligible| eligible.get(&at)).map(Vec::as_slice).unwrap_or_default();
            for broker in only_holders(&partition.isr, also, &partition.replicas) {
                let last = listed.last.entry(broker).or_default();
                last.count += 1;
                if last.named.len() < NAMED_MAX {
                    last.named.push(at.clone());
                }
            }
        }
    }
    listed
}

/// The brokers of whose loss a partition would not recover: the only one in sync; with nobody in sync, the only one that
/// is eligible; where neither is known, each replica.
fn only_holders(isr: &[BrokerId], eligible: &[BrokerId], replicas: &[BrokerId]) -> Vec<BrokerId> {
    match (isr, eligible) {
        ([only], _) | ([], [only]) => vec![*only],
        ([], []) => replicas.to_vec(),
        _ => Vec::new(),
    }
}
