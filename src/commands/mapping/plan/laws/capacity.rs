//! Capacity comes before evenness: who ends above the disk limit can't be helped by any one move more, and is named.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::goals;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::ObservedPartition;
use crate::commands::mapping::plan::Mapping;
use crate::commands::mapping::plan::plan;
use crate::commands::mapping::plan::verify;
use crate::commands::mapping::spec::goal::Goal;
use crate::commands::mapping::spec::goal::Operation;

/// A partition and its replicas after a plan.
struct Placed<'o> {
    at: TopicPartition,
    observed: &'o ObservedPartition,
    to: Vec<BrokerId>,
}

/// The selected partitions after a plan.
fn placed<'o>(goal: &Goal, observed: &'o Observed, mapping: &Mapping) -> Vec<Placed<'o>> {
    let mut all = Vec::new();
    for (topic, described) in observed.topics.iter().filter(|(topic, _)| goal.topics.contains(topic)) {
        for (partition, observed) in (0..).zip(&described.partitions) {
            let at = TopicPartition { topic: topic.clone(), partition };
            let moved = mapping.moves.iter().find(|one| one.partition == at);
            let to = moved.map_or(&observed.replicas, |one| &one.to).clone();
            all.push(Placed { at, observed, to });
        }
    }
    all
}

/// By log dir of the brokers that may be used: bytes above the limit now (below it where negative), less what goes.
fn above(goal: &Goal, observed: &Observed, placed: &[Placed<'_>]) -> BTreeMap<(BrokerId, usize), i128> {
    let mut above = BTreeMap::new();
    for (id, broker) in observed.brokers.iter().filter(|(id, broker)| broker.live && goal.brokers.contains(id)) {
        for (dir, known) in broker.log_dirs.iter().enumerate() {
            let (total, usable) = (known.total_bytes.unwrap(), known.usable_bytes.unwrap());
            above.insert((*id, dir), i128::from(total - usable) - i128::from(total * 9 / 10));
        }
    }
    for one in placed {
        for (slot, id) in one.observed.replicas.iter().enumerate().filter(|(_, id)| !one.to.contains(id)) {
            if let Some(above) = above.get_mut(&(*id, dir_of(one.observed, slot))) {
                *above -= i128::from(one.observed.size());
            }
        }
    }
    above
}

fn dir_of(partition: &ObservedPartition, slot: usize) -> usize {
    partition.log_dirs.get(slot).copied().unwrap_or(0)
}

/// The plan with one more replica put from one broker onto another; none where that could not be, whatever the rest is.
fn with(
    mapping: &Mapping,
    (goal, observed): (&Goal, &Observed),
    one: &Placed<'_>,
    (from, to): (BrokerId, BrokerId),
) -> Option<Mapping> {
    let broker = |id: &BrokerId| &observed.brokers[id];
    // A broker that has it now would take it back; a partition that could not leave a broker stays as it is.
    if one.to.contains(&to) || one.observed.replicas.contains(&to) || !one.to.iter().all(|id| goal.brokers.contains(id))
    {
        return None;
    }
    let mut replicas = one.to.clone();
    *replicas.iter_mut().find(|id| **id == from)? = to;
    let synced =
        |id: &BrokerId| broker(id).live && one.observed.replicas.contains(id) && !one.observed.out_of_sync.contains(id);
    if replicas.len() > 1 && !replicas.iter().any(synced) {
        return None;
    }
    let mut more = mapping.clone();
    more.moves.retain(|known| known.partition != one.at);
    more.moves.push(PartitionMove {
        partition: one.at.clone(),
        from: one.observed.replicas.clone(),
        to: replicas,
        bytes: one.observed.size(),
    });
    more.moves.sort_by(|one, other| one.partition.cmp(&other.partition));
    (fits_at_once(observed, &more) && verify(goal, observed, &more).is_empty()).then_some(more)
}

/// Whether all copies fit while nothing is gone yet.
fn fits_at_once(observed: &Observed, mapping: &Mapping) -> bool {
    observed.brokers.iter().filter(|(_, broker)| !broker.log_dirs.is_empty()).all(|(id, broker)| {
        let comes: u64 =
            mapping.moves.iter().filter(|one| one.adding().any(|new| new == *id)).map(|one| one.bytes).sum();
        let room = broker.log_dirs.iter().map(|dir| {
            let (total, usable) = (dir.total_bytes.unwrap(), dir.usable_bytes.unwrap());
            (total * 9 / 10).saturating_sub(total - usable)
        });
        comes <= room.sum()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_ends_above_the_limit_is_named_and_no_further_move_helps((observed, goal) in goals()) {
        let goal = Goal { operation: Operation::Rebalance, replication_factor: None, ..goal };
        let mapping = plan(&goal, &observed);
        let placed = placed(&goal, &observed, &mapping);
        for ((broker, dir), above) in above(&goal, &observed, &placed) {
            let subject = format!("broker:{broker}");
            let is_named = mapping.findings.iter().any(|one| one.code == "above-disk-limit" && one.subject == subject);
            prop_assert!(above <= 0 || is_named, "broker {broker}: {mapping:#?}");
            if above <= 0 {
                continue;
            }
            let here = |one: &&Placed<'_>| {
                let slot = one.observed.replicas.iter().position(|id| *id == broker);
                let is_there = slot.is_some_and(|slot| dir_of(one.observed, slot) == dir);
                is_there && one.to.contains(&broker) && one.observed.size() > 0
            };
            for one in placed.iter().filter(here) {
                for to in observed.brokers.keys() {
                    let more = with(&mapping, (&goal, &observed), one, (broker, *to));
                    prop_assert!(more.is_none(), "broker {broker}, {} to {to}: {mapping:#?}", one.at);
                }
            }
        }
    }
}
