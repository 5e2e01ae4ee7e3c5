//! A small world that does what Kafka does with moves, elections and cancels.

use std::collections::BTreeMap;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::progress::{Progress, progress};
use crate::commands::reassign::plan::seen::{Held, Observed, SeenPartition};
use crate::commands::reassign::plan::step::ReassignStep;

/// Broker ids.
pub(super) fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// A partition of the topic `t`.
pub(super) fn at(partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new("t").unwrap(), partition }
}

/// A move of a partition of the topic `t`.
pub(super) fn one(partition: i32, from: &[i32], to: &[i32], bytes: u64) -> PartitionMove {
    PartitionMove { partition: at(partition), from: ids(from), to: ids(to), bytes }
}

/// A cluster of these live brokers where nothing of these moves has begun: all are in sync, the first leads.
pub(super) fn world(brokers: &[i32], moves: &[PartitionMove]) -> Observed {
    let mut observed = Observed { brokers: ids(brokers).into_iter().collect(), ..Observed::default() };
    for one in moves {
        let isr: Vec<_> = one.from.iter().filter(|broker| observed.brokers.contains(broker)).copied().collect();
        let seen = SeenPartition { leader: isr.first().copied(), replicas: one.from.clone(), isr };
        let held = one.from.iter().map(|broker| (*broker, Held { bytes: one.bytes, offset_lag: 0 }));
        observed.sizes.held.insert(one.partition.clone(), held.collect::<BTreeMap<_, _>>());
        observed.partitions.insert(one.partition.clone(), seen);
    }
    observed
}

/// Does a step as Kafka would.
pub(super) fn act(observed: &mut Observed, step: &ReassignStep) {
    let partition = step.partition().clone();
    let seen = observed.partitions.get_mut(&partition).unwrap();
    match step {
        ReassignStep::Elect { to, .. } => {
            assert!(seen.isr.contains(to), "{step}: not in sync");
            seen.leader = Some(*to);
        }
        ReassignStep::Move { to, .. } | ReassignStep::Restore { to, .. } => {
            assert!(!observed.running.contains_key(&partition), "{step}: a running move is overlaid");
            let adding: Vec<_> = to.iter().filter(|one| !seen.replicas.contains(one)).copied().collect();
            let removing: Vec<_> = seen.replicas.iter().filter(|one| !to.contains(one)).copied().collect();
            seen.replicas = to.iter().chain(&removing).copied().collect();
            let running = Reassignment { replicas: seen.replicas.clone(), adding, removing };
            let is_done = running.adding.is_empty();
            observed.running.insert(partition.clone(), running);
            if is_done {
                finish(observed, &partition);
            }
        }
        ReassignStep::Cancel { .. } => cancel(observed, &partition),
    }
}

/// Cancels the move of a partition, if one runs.
pub(super) fn cancel(observed: &mut Observed, partition: &TopicPartition) {
    let Some(running) = observed.running.remove(partition) else { return };
    let seen = observed.partitions.get_mut(partition).unwrap();
    // KRaft gives what was to go back in the order that the move had.
    seen.replicas.retain(|one| !running.adding.contains(one));
    seen.isr.retain(|one| !running.adding.contains(one));
    if let Some(held) = observed.sizes.held.get_mut(partition) {
        held.retain(|broker, _| !running.adding.contains(broker));
    }
    if !seen.leader.is_some_and(|leader| seen.isr.contains(&leader)) {
        seen.leader = seen.isr.first().copied();
    }
}

/// How far these moves are, with nothing remembered.
pub(super) fn how_far(moves: &[PartitionMove], observed: &Observed) -> Progress {
    progress(moves, observed, &BTreeMap::new(), |_| false)
}

/// Ends a running move: all its targets are in sync.
pub(super) fn finish(observed: &mut Observed, partition: &TopicPartition) {
    let Some(running) = observed.running.remove(partition) else { return };
    let seen = observed.partitions.get_mut(partition).unwrap();
    let target = running.target();
    seen.isr = target.iter().filter(|one| seen.isr.contains(one) || running.adding.contains(one)).copied().collect();
    let size = observed.sizes.held.get(partition).and_then(|held| held.values().map(|held| held.bytes).max());
    let held = target.iter().map(|broker| (*broker, Held { bytes: size.unwrap_or(0), offset_lag: 0 })).collect();
    observed.sizes.held.insert(partition.clone(), held);
    seen.replicas = target;
    if !seen.leader.is_some_and(|leader| seen.replicas.contains(&leader)) {
        seen.leader = seen.replicas.iter().find(|one| seen.isr.contains(one)).copied();
    }
}
