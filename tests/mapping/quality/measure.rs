//! Measures a plan: bytes against the lower bound, how even it leaves brokers and leaders.

use std::collections::BTreeMap;

use kafka_toolbox::cluster::assignment::PartitionMove;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::commands::mapping::observe::Observed;
use kafka_toolbox::commands::mapping::plan;
use kafka_toolbox::commands::mapping::plan::Mapping;
use kafka_toolbox::commands::mapping::spec::goal::Goal;
use kafka_toolbox::commands::mapping::spec::goal::Operation;

use super::clusters::loads;

/// What a plan is worth.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) mapping: Mapping,
    /// The cluster after the plan.
    pub(super) after: Observed,
    /// Bytes copied.
    pub(super) moved: u64,
    /// Bytes that any plan must copy.
    pub(super) least: f64,
    /// The largest distance of a broker from the mean of its rack, as a fraction of it.
    pub(super) worst: f64,
    /// Preferred leaders of the broker with the most, less those of the broker with the fewest.
    pub(super) leader_range: usize,
    /// Bytes of the fullest broker less those of the emptiest.
    pub(super) range: u64,
}

/// Plans, checks the laws, and measures.
pub(super) fn measured(goal: &Goal, observed: &Observed) -> Measured {
    let mapping = plan::plan(goal, observed);
    assert_eq!(plan::verify(goal, observed, &mapping), []);
    let after = carried_out(observed, &mapping);
    let loads = loads(&after);
    let leaders = leaders(&after);
    Measured {
        moved: mapping.moves.iter().map(PartitionMove::bytes_copied).sum(),
        least: least(goal, observed),
        worst: shares(&after).map(|(load, mean)| (load / mean - 1.0).abs()).fold(0.0, f64::max),
        leader_range: leaders.values().max().unwrap() - leaders.values().min().unwrap(),
        range: loads.values().max().unwrap() - loads.values().min().unwrap(),
        after,
        mapping,
    }
}

/// The cluster after a plan.
pub(super) fn carried_out(observed: &Observed, mapping: &Mapping) -> Observed {
    let mut after = observed.clone();
    for one in &mapping.moves {
        let topic = after.topics.get_mut(&one.partition.topic).unwrap();
        let partition = &mut topic.partitions[usize::try_from(one.partition.partition).unwrap()];
        partition.bytes = vec![partition.size(); one.to.len()];
        partition.replicas.clone_from(&one.to);
        partition.leader = one.to.first().copied();
    }
    let (before, now) = (loads(observed), loads(&after));
    for (id, broker) in &mut after.brokers {
        for dir in &mut broker.log_dirs {
            dir.usable_bytes = dir.usable_bytes.map(|usable| (usable + before[id]).saturating_sub(now[id]));
        }
    }
    after
}

/// Σ over racks of max(Σ above the bands, Σ below them).
fn least(goal: &Goal, observed: &Observed) -> f64 {
    let mut racks: BTreeMap<_, (f64, f64)> = BTreeMap::new();
    for ((load, mean), broker) in shares(observed).zip(observed.brokers.values()) {
        let (above, below) = racks.entry(&broker.rack).or_default();
        *above += (load - mean * (1.0 + goal.tolerance)).max(0.0);
        *below += (mean * (1.0 - goal.tolerance) - load).max(0.0);
    }
    racks.values().map(|(above, below)| above.max(*below)).sum()
}

/// Each broker's load and its share of what its rack holds, weighted by disks where they are known.
#[expect(clippy::cast_precision_loss, reason = "compared with a tolerance")]
fn shares(observed: &Observed) -> impl Iterator<Item = (f64, f64)> {
    let disk = |id: &BrokerId| {
        let dirs = &observed.brokers[id].log_dirs;
        dirs.first().and_then(|dir| dir.total_bytes).unwrap_or(1) as f64
    };
    let loads = loads(observed);
    let mut racks: BTreeMap<_, (f64, f64)> = BTreeMap::new();
    for (id, load) in &loads {
        let (sum, disks) = racks.entry(&observed.brokers[id].rack).or_default();
        *sum += *load as f64;
        *disks += disk(id);
    }
    let share = |(id, load): (&BrokerId, &u64)| {
        let (sum, disks) = racks[&observed.brokers[id].rack];
        (*load as f64, sum * disk(id) / disks)
    };
    loads.iter().map(share).collect::<Vec<_>>().into_iter()
}

/// Preferred leaders by broker.
pub(super) fn leaders(observed: &Observed) -> BTreeMap<BrokerId, usize> {
    let mut leaders: BTreeMap<_, _> = observed.brokers.keys().map(|id| (*id, 0)).collect();
    for partition in observed.topics.values().flat_map(|topic| &topic.partitions) {
        *leaders.get_mut(&partition.replicas[0]).unwrap() += 1;
    }
    leaders
}

/// A goal over all of a cluster.
pub(super) fn goal(observed: &Observed, operation: Operation, tolerance: f64) -> Goal {
    Goal {
        operation,
        topics: observed.topics.keys().cloned().collect(),
        brokers: observed.brokers.keys().copied().collect(),
        replication_factor: None,
        tolerance,
        range: None,
        budget_bytes: None,
        moves_max: None,
        leaders: false,
        disk_limit: 0.97,
        require_n_minus_1: false,
        capacities: BTreeMap::new(),
        racks: BTreeMap::new(),
    }
}
