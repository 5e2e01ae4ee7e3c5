//! What each broker carries: bytes, replicas, preferred leaders; now, or after moves.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::Capacity;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::{Observed, ObservedBroker, ObservedPartition};

/// What one broker carries, all topics counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Load {
    /// Bytes of its replicas.
    pub bytes: u64,
    /// How many replicas it holds.
    pub replicas: usize,
    /// How many partitions it is the preferred leader of.
    pub leaders: usize,
    /// Bytes a second that producers write to those; left out where none is known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
}

/// Moves by partition.
pub type Changes<'a> = HashMap<(&'a TopicName, i32), &'a PartitionMove>;

/// Moves by partition.
pub fn changes<'m>(moves: impl IntoIterator<Item = &'m PartitionMove>) -> Changes<'m> {
    moves.into_iter().map(|one| ((&one.partition.topic, one.partition.partition), one)).collect()
}

/// The load of every broker after these moves; without any, the load now. Each broker that is known or a target has one.
pub fn loads(observed: &Observed, changes: &Changes<'_>) -> BTreeMap<BrokerId, Load> {
    let targets = changes.values().flat_map(|one| &one.to);
    let ids = observed.brokers.keys().chain(targets).copied();
    let mut loads: BTreeMap<BrokerId, Load> = ids.map(|id| (id, Load::default())).collect();
    for (name, topic) in &observed.topics {
        for (number, partition) in (0_i32..).zip(&topic.partitions) {
            match changes.get(&(name, number)) {
                Some(one) => add(&mut loads, (&one.to, partition), |broker| bytes_after(partition, one, broker)),
                None => add(&mut loads, (&partition.replicas, partition), |broker| bytes_on(partition, broker)),
            }
        }
    }
    loads
}

fn add(
    loads: &mut BTreeMap<BrokerId, Load>,
    (replicas, partition): (&[BrokerId], &ObservedPartition),
    bytes: impl Fn(BrokerId) -> u64,
) {
    for (slot, broker) in replicas.iter().enumerate() {
        let load = loads.entry(*broker).or_default();
        load.bytes = load.bytes.saturating_add(bytes(*broker));
        load.replicas += 1;
        if slot == 0 {
            load.leaders += 1;
            load.bytes_in = load.bytes_in.saturating_add(partition.bytes_in.unwrap_or(0));
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(rate: &u64) -> bool {
    *rate == 0
}

/// Bytes of a replica now; 0 where that is not known.
pub fn bytes_on(partition: &ObservedPartition, broker: BrokerId) -> u64 {
    let slot = partition.replicas.iter().position(|replica| *replica == broker);
    slot.and_then(|slot| partition.bytes.get(slot)).copied().unwrap_or(0)
}

/// A replica that stays keeps its bytes; a new one will hold what the largest one holds.
fn bytes_after(partition: &ObservedPartition, one: &PartitionMove, broker: BrokerId) -> u64 {
    if partition.replicas.contains(&broker) { bytes_on(partition, broker) } else { one.bytes }
}

/// Where a capacity is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityFrom {
    /// The broker tells (Kafka 3.3 and newer), or kafka-kit's file does.
    Broker,
    /// The map or its instance type says so.
    Map,
}

/// Bytes of a broker's disks: what it tells itself, else what its map says.
pub fn capacity(broker: Option<&ObservedBroker>, known: Option<&Capacity>) -> Option<(u64, CapacityFrom)> {
    let dirs = broker.map_or(&[][..], |broker| &broker.log_dirs);
    let usable = dirs.iter().filter(|dir| dir.fault.is_none());
    let totals: Option<Vec<u64>> = usable.map(|dir| dir.total_bytes).collect();
    let told = totals.filter(|totals| !totals.is_empty()).map(|totals| totals.iter().sum::<u64>());
    let told = told.filter(|bytes| *bytes > 0).map(|bytes| (bytes, CapacityFrom::Broker));
    told.or_else(|| known?.disk_bytes.map(|bytes| (bytes, CapacityFrom::Map)))
}

/// A part of a whole, 0 to 1 and above; nothing of nothing is 0.
#[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit after the point")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
