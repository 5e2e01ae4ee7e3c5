//! Where new replicas go: pure, deterministic, rack-aware, even.
//!
//! Steps for each new partition:
//! 1. Leader: the broker that leads the fewest partitions of this topic, then holds the fewest of its replicas, then
//!    carries the least in the whole cluster, then has the lowest id.
//! 2. Each further replica: a broker of a rack that has the fewest replicas of this partition, then by the same
//!    measures. So replicas span as many racks as there are. The second replica leads when the first broker is down:
//!    among equals it is one that stands in for this leader least often.

use std::collections::BTreeMap;

use crate::cluster::broker::{Broker, BrokerId, Rack};
use crate::cluster::metadata::Metadata;

/// How many replicas and leaders each broker carries.
#[derive(Debug, Clone, Default)]
pub struct Load {
    brokers: BTreeMap<BrokerId, Carried>,
    /// How often a broker (second) stands in for a leader (first).
    substitutes: BTreeMap<(BrokerId, BrokerId), usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Carried {
    leaders: usize,
    replicas: usize,
}

impl Load {
    /// What the brokers of a cluster carry now; the preferred leader counts, not who leads by chance.
    pub fn of(metadata: &Metadata) -> Self {
        let mut load = Self::default();
        for partition in metadata.topics.values().flat_map(|topic| &topic.partitions) {
            load.add(&partition.replicas);
        }
        load
    }

    fn add(&mut self, replicas: &[BrokerId]) {
        for (index, broker) in replicas.iter().enumerate() {
            let carried = self.brokers.entry(*broker).or_default();
            carried.replicas += 1;
            carried.leaders += usize::from(index == 0);
        }
        if let [leader, second, ..] = replicas {
            *self.substitutes.entry((*leader, *second)).or_default() += 1;
        }
    }

    fn stands_in(&self, leader: Option<&&Broker>, second: BrokerId) -> usize {
        leader.and_then(|leader| self.substitutes.get(&(leader.id, second))).copied().unwrap_or(0)
    }

    fn on(&self, broker: BrokerId) -> Carried {
        self.brokers.get(&broker).copied().unwrap_or_default()
    }
}

/// Places `count` new partitions of `factor` replicas each on `brokers`, beside the topic's `existing` ones, and adds
/// them to the cluster's load. There must be at least `factor` brokers; with fewer, partitions get what there is.
pub fn place(
    brokers: &[&Broker],
    existing: &[&[BrokerId]],
    (count, factor): (usize, usize),
    cluster: &mut Load,
) -> Vec<Vec<BrokerId>> {
    let mut topic = Load::default();
    for replicas in existing {
        topic.add(replicas);
    }
    let mut placed = Vec::with_capacity(count);
    for _ in 0..count {
        let replicas = one(brokers, factor, &topic, cluster);
        topic.add(&replicas);
        cluster.add(&replicas);
        placed.push(replicas);
    }
    placed
}

fn one(brokers: &[&Broker], factor: usize, topic: &Load, cluster: &Load) -> Vec<BrokerId> {
    let mut chosen: Vec<&Broker> = Vec::with_capacity(factor);
    while chosen.len() < factor {
        let free = brokers.iter().filter(|broker| !chosen.iter().any(|taken| taken.id == broker.id));
        let next = free.min_by_key(|broker| {
            let here = topic.on(broker.id);
            let everywhere = cluster.on(broker.id);
            let leads = if chosen.is_empty() { (here.leaders, everywhere.leaders) } else { (0, 0) };
            let neighbours = chosen.iter().filter(|taken| shares_rack(taken, broker)).count();
            let stands_in = topic.stands_in(chosen.first(), broker.id);
            let stands_in_anywhere = cluster.stands_in(chosen.first(), broker.id);
            let balance = (neighbours, leads.0, here.replicas, leads.1, everywhere.replicas);
            (balance, stands_in, stands_in_anywhere, broker.id)
        });
        let Some(next) = next else { break };
        chosen.push(next);
    }
    chosen.iter().map(|broker| broker.id).collect()
}

/// Brokers without a rack stand each for itself.
fn shares_rack(one: &Broker, other: &Broker) -> bool {
    one.rack.is_some() && one.rack == other.rack
}

/// How many racks the replicas span, for tests and reports; brokers without a rack are not counted.
pub fn racks(replicas: &[BrokerId], brokers: &BTreeMap<BrokerId, Broker>) -> usize {
    let racks: std::collections::BTreeSet<&Rack> =
        replicas.iter().filter_map(|id| brokers.get(id)?.rack.as_ref()).collect();
    racks.len()
}
