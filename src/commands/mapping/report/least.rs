//! The least bytes that any plan for a goal must copy: what a plan is measured against.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::{BrokerId, Rack};
use crate::commands::mapping::observe::{Observed, ObservedPartition};
use crate::commands::mapping::report::load::Load;
use crate::commands::mapping::spec::goal::{Goal, Operation};
use crate::commands::mapping::spec::select::holders;

/// Thirds that are taken off to find the best place of a window: enough for the last byte of a petabyte.
const NARROWINGS: usize = 96;

/// What the brokers of each rack hold.
type ByRack<'o> = BTreeMap<Option<&'o Rack>, Vec<(BrokerId, f64)>>;

/// A lower bound of the bytes that must be copied, or none where none is known that means something.
///
/// 1. Replicas on brokers that may not hold them afterwards, and replicas that a larger replication factor adds, are
///    copied by every plan.
/// 2. A rebalance where each rack holds one replica of each partition can't change what a rack holds:
///    Σ over racks of max(Σ max(0, used − (1+t) mean), Σ max(0, (1−t) mean − used)); for a range, with the window that makes
///    it least instead of the means. In a scale, only what new brokers lack.
pub fn least(goal: &Goal, observed: &Observed, loads: &BTreeMap<BrokerId, Load>) -> Option<u64> {
    let forced = forced(goal, observed);
    match &goal.operation {
        Operation::Evacuate { leaders_only: true, .. } => Some(0),
        Operation::Rebalance => Some(forced.max(of_racks(goal, observed, loads, |_| true)?)),
        // Only brokers that hold nothing yet get their share.
        Operation::Scale => {
            let held = holders(observed, &goal.topics);
            Some(forced.max(of_racks(goal, observed, loads, |id| !held.contains(&id)).unwrap_or(0)))
        }
        Operation::Rebuild { force: true } => None,
        _ => Some(forced),
    }
}

/// The selected partitions.
fn selected<'a>(goal: &'a Goal, observed: &'a Observed) -> impl Iterator<Item = &'a ObservedPartition> {
    let topics = observed.topics.iter().filter(|(name, _)| goal.topics.contains(*name));
    topics.flat_map(|(_, topic)| &topic.partitions)
}

fn forced(goal: &Goal, observed: &Observed) -> u64 {
    let is_live = |id: &BrokerId| observed.brokers.get(id).is_some_and(|broker| broker.live);
    let may_stay = |id: &BrokerId| match &goal.operation {
        Operation::Rebuild { .. } => goal.brokers.contains(id) && is_live(id),
        Operation::Rebalance | Operation::Scale => goal.brokers.contains(id),
        // Only the pairs' replicas go, whatever else is allowed.
        Operation::Replace { pairs } => pairs.get(id).is_none_or(|to| *to == Some(*id)),
        Operation::Evacuate { brokers, .. } => !brokers.contains(id),
    };
    let copies = |partition: &ObservedPartition| {
        let staying = partition.replicas.iter().filter(|id| may_stay(id)).count();
        let wanted = goal.replication_factor.unwrap_or(partition.replicas.len());
        wanted.saturating_sub(staying)
    };
    let bytes = |one: &ObservedPartition| one.size().saturating_mul(u64::try_from(copies(one)).unwrap_or(u64::MAX));
    selected(goal, observed).filter(|one| !one.moving && one.leader.is_some()).map(bytes).sum()
}

/// None where replicas may change their rack, or where disks differ: then there is no such simple bound.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bound that is rounded down is one, too"
)]
fn of_racks(
    goal: &Goal,
    observed: &Observed,
    loads: &BTreeMap<BrokerId, Load>,
    counts: impl Fn(BrokerId) -> bool,
) -> Option<u64> {
    let mut racks = ByRack::new();
    for id in &goal.brokers {
        let broker = observed.brokers.get(id).filter(|broker| broker.live)?;
        racks.entry(broker.rack.as_ref()).or_default().push((*id, loads.get(id).map_or(0.0, |load| load.bytes as f64)));
    }
    let one_each = |partition: &ObservedPartition| {
        let held: BTreeSet<_> = partition
            .replicas
            .iter()
            .filter(|id| goal.brokers.contains(id))
            .filter_map(|id| Some(observed.brokers.get(id)?.rack.as_ref()))
            .collect();
        held.len() == racks.len() && partition.replicas.len() == racks.len()
    };
    if goal.replication_factor.is_some() || !selected(goal, observed).all(one_each) || !are_alike(goal, observed) {
        return None;
    }
    // Where a disk is too full, who must take what is another question.
    if goal.brokers.iter().any(|id| is_near_limit(goal, observed, (*id, &racks))) {
        return None;
    }
    let of_window = |(low, high): (f64, f64)| -> f64 {
        let of_rack = |used: &Vec<(BrokerId, f64)>| {
            let counted = || used.iter().filter(|(id, _)| counts(*id)).map(|(_, one)| one);
            let over: f64 = counted().map(|one| (one - high).max(0.0)).sum();
            let under: f64 = counted().map(|one| (low - one).max(0.0)).sum();
            over.max(under)
        };
        racks.values().map(of_rack).sum()
    };
    if let Some(range) = goal.range {
        let most = racks.values().flatten().map(|(_, one)| *one).fold(0.0, f64::max);
        return Some(narrowed((0.0, most), |low| of_window((low, low + range as f64))) as u64);
    }
    let of_rack = |used: &Vec<(BrokerId, f64)>| {
        let mean = used.iter().map(|(_, one)| one).sum::<f64>() / used.len() as f64;
        let counted = || used.iter().filter(|(id, _)| counts(*id)).map(|(_, one)| one);
        let over: f64 = counted().map(|one| (one - (1.0 + goal.tolerance) * mean).max(0.0)).sum();
        let under: f64 = counted().map(|one| ((1.0 - goal.tolerance) * mean - one).max(0.0)).sum();
        over.max(under)
    };
    Some(racks.values().map(of_rack).sum::<f64>() as u64)
}

/// Whether a broker's disks hold less below their limit than its part of what its rack holds.
#[expect(clippy::cast_precision_loss, reason = "compared with a mean")]
fn is_near_limit(goal: &Goal, observed: &Observed, (id, racks): (BrokerId, &ByRack<'_>)) -> bool {
    let Some(broker) = observed.brokers.get(&id) else { return false };
    let Some(used) = racks.get(&broker.rack.as_ref()) else { return false };
    let dirs = || broker.log_dirs.iter().filter_map(|dir| dir.total_bytes.zip(dir.usable_bytes));
    let own = used.iter().find(|(other, _)| *other == id).map_or(0.0, |(_, bytes)| *bytes);
    let known = goal.capacities.get(&id).and_then(|known| known.disk_bytes);
    let left: f64 = match (dirs().next(), known) {
        (Some(_), _) => {
            dirs().map(|(total, usable)| goal.disk_limit * total as f64 - total.saturating_sub(usable) as f64).sum()
        }
        (None, Some(capacity)) => goal.disk_limit * capacity as f64 - own,
        (None, None) => return false,
    };
    let mean = used.iter().map(|(_, bytes)| bytes).sum::<f64>() / used.len() as f64;
    left < 0.0 || own + left < mean * (1.0 + goal.tolerance)
}

/// The least of a convex function between two places.
fn narrowed((mut from, mut to): (f64, f64), of: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..NARROWINGS {
        let third = (to - from) / 3.0;
        if of(from + third) <= of(to - third) { to -= third } else { from += third }
    }
    of(from.midpoint(to))
}

/// Whether all disks are equally large, or none is known.
fn are_alike(goal: &Goal, observed: &Observed) -> bool {
    let capacity = |id| {
        let known = goal.capacities.get(id);
        crate::commands::mapping::report::load::capacity(observed.brokers.get(id), known).map(|(bytes, _)| bytes)
    };
    goal.brokers.iter().map(capacity).collect::<BTreeSet<_>>().len() <= 1
}
