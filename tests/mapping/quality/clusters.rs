//! Synthetic clusters: topics whose sizes follow Pareto's law, replicas placed at random over racks.

use std::collections::BTreeMap;

use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::broker::Rack;
use kafka_toolbox::cluster::metadata::LogDir;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::commands::mapping::observe::Observed;
use kafka_toolbox::commands::mapping::observe::ObservedBroker;
use kafka_toolbox::commands::mapping::observe::ObservedPartition;
use kafka_toolbox::commands::mapping::observe::ObservedTopic;

/// What kind of cluster is wanted.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) brokers: i32,
    pub(super) partitions: usize,
    pub(super) racks: i32,
    /// Topics draw one of these.
    pub(super) replicas: Vec<usize>,
    /// The last so many brokers hold nothing.
    pub(super) empty: i32,
    /// A topic's partitions have at most this size, before they vary.
    pub(super) largest_gb: f64,
    /// Bytes of each broker's disk, from its id and what it holds; none if brokers don't tell.
    pub(super) disk: Option<fn(i32, u64) -> u64>,
    pub(super) seed: u64,
}

impl Shape {
    /// RF 3 in three racks.
    pub(super) fn new(brokers: i32, partitions: usize, seed: u64) -> Self {
        Self { brokers, partitions, racks: 3, replicas: vec![3], empty: 0, largest_gb: 200.0, disk: None, seed }
    }

    /// Makes the cluster.
    pub(super) fn make(&self) -> Observed {
        let mut dice = fastrand::Rng::with_seed(self.seed);
        let mut observed = Observed { cluster_id: "synthetic".into(), ..Observed::default() };
        for id in 0..self.brokers {
            let rack = Some(Rack(format!("rack-{}", id % self.racks)));
            observed.brokers.insert(BrokerId(id), ObservedBroker { live: true, rack, ..ObservedBroker::default() });
        }
        let mut left = self.partitions;
        while left > 0 {
            let count = left.min(dice.usize(1..=64.min(self.partitions / 10 + 1)));
            left -= count;
            let Ok(name) = TopicName::new(format!("topic-{:05}", observed.topics.len())) else { break };
            observed.topics.insert(name, self.topic(count, &mut dice));
        }
        self.give_disks(&mut observed);
        observed
    }

    /// A topic: Pareto(1.2) × 2 GB, capped; partitions vary by ±30 %.
    fn topic(&self, partitions: usize, dice: &mut fastrand::Rng) -> ObservedTopic {
        let size = ((1.0 - dice.f64()).powf(-1.0 / 1.2) * 2.0).min(self.largest_gb);
        let replicas = self.replicas[dice.usize(0..self.replicas.len())];
        let partition = |_| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size of at most 260 GB")]
            let bytes = (size * (0.7 + 0.6 * dice.f64()) * 1e9) as u64;
            let replicas = self.place(replicas, dice);
            ObservedPartition {
                leader: replicas.first().copied(),
                bytes: vec![bytes; replicas.len()],
                replicas,
                ..ObservedPartition::default()
            }
        };
        ObservedTopic { partitions: (0..partitions).map(partition).collect(), ..ObservedTopic::default() }
    }

    /// Random brokers, one rack after the other.
    fn place(&self, replicas: usize, dice: &mut fastrand::Rng) -> Vec<BrokerId> {
        let mut racks: Vec<i32> = (0..self.racks).collect();
        dice.shuffle(&mut racks);
        let mut chosen = Vec::new();
        for rack in racks.iter().cycle() {
            if chosen.len() == replicas {
                break;
            }
            let inside: Vec<_> = (0..self.brokers - self.empty).filter(|id| id % self.racks == *rack).collect();
            let id = BrokerId(inside[dice.usize(0..inside.len())]);
            if !chosen.contains(&id) {
                chosen.push(id);
            }
        }
        chosen
    }

    fn give_disks(&self, observed: &mut Observed) {
        let Some(disk) = self.disk else { return };
        let used = loads(observed);
        for (id, broker) in &mut observed.brokers {
            let total = disk(id.0, used[id]);
            broker.log_dirs.push(LogDir {
                path: "/data".into(),
                total_bytes: Some(total),
                usable_bytes: Some(total.saturating_sub(used[id])),
                ..LogDir::default()
            });
        }
    }
}

/// What each broker holds.
pub(super) fn loads(observed: &Observed) -> BTreeMap<BrokerId, u64> {
    let mut loads: BTreeMap<_, _> = observed.brokers.keys().map(|id| (*id, 0)).collect();
    for partition in observed.topics.values().flat_map(|topic| &topic.partitions) {
        for id in &partition.replicas {
            *loads.entry(*id).or_default() += partition.size();
        }
    }
    loads
}
