//! What takes running moves back: cancels, and where Kafka loses the order of the former replicas, their order again.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::Plan;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::seen::{Observed, State, grown, same_set};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::spec::Selection;

/// The moves that run, with the replicas that each partition had before: by the record of whoever began them, else as
/// Kafka tells it, which may be in another order.
pub fn running(known: &[PartitionMove], observed: &Observed) -> (Vec<PartitionMove>, BTreeSet<TopicPartition>) {
    let known: BTreeMap<_, _> = known.iter().map(|one| (&one.partition, one)).collect();
    let mut unknown = BTreeSet::new();
    let moves = observed.running.iter().map(|(partition, running)| {
        let to = running.target();
        let is_known = |one: &&&PartitionMove| to == one.to || to == grown(one);
        if let Some(one) = known.get(partition).filter(is_known) {
            return (*one).clone();
        }
        unknown.insert(partition.clone());
        let from = running.replicas.iter().filter(|one| !running.adding.contains(one)).copied().collect();
        PartitionMove { partition: partition.clone(), from, to, bytes: 0 }
    });
    (moves.collect(), unknown)
}

/// Which running moves are taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chosen {
    /// These are.
    pub moves: Vec<PartitionMove>,
    /// Of them, those that no record knows.
    pub strangers: Vec<TopicPartition>,
    /// Those that are selected, but that no record knows and nobody named: they stay.
    pub left: Vec<TopicPartition>,
}

/// Chooses: what a record knows, and of other moves only those of topics that were named, or all with `with_others`.
pub fn chosen(known: &[PartitionMove], observed: &Observed, selection: &Selection, with_others: bool) -> Chosen {
    let (moves, unknown) = running(known, observed);
    let mut chosen = Chosen::default();
    for one in moves.into_iter().filter(|one| selection.has(one)) {
        let is_stranger = unknown.contains(&one.partition);
        if is_stranger && !with_others && !selection.topics.contains(&one.partition.topic) {
            chosen.left.push(one.partition);
            continue;
        }
        if is_stranger {
            chosen.strangers.push(one.partition.clone());
        }
        chosen.moves.push(one);
    }
    chosen
}

/// The cancels of these moves, as far as they run.
pub fn cancels(moves: &[PartitionMove], observed: &Observed) -> Plan<ReassignStep> {
    let mut plan = Plan::default();
    for one in moves.iter().filter(|one| observed.running.contains_key(&one.partition)) {
        plan.steps.push(ReassignStep::Cancel {
            partition: one.partition.clone(),
            from: observed.running.get(&one.partition).map(Reassignment::target).unwrap_or_default(),
            to: one.from.clone(),
        });
    }
    plan
}

/// What still differs from the former replicas after the cancels: order, or replicas too many. Kafka in ZooKeeper mode
/// refuses brokers that are down; those partitions are named apart.
pub fn restores(moves: &[PartitionMove], observed: &Observed) -> Vec<ReassignStep> {
    let differs = |one: &&PartitionMove| {
        let seen = observed.partitions.get(&one.partition);
        !observed.running.contains_key(&one.partition) && seen.is_some_and(|seen| seen.replicas != one.from)
    };
    let restore = |one: &PartitionMove| {
        let seen = observed.partitions.get(&one.partition)?;
        // A move that ended in the meantime stays where it is: to take it back copies again, and is a plan of its own.
        let is_done = seen.replicas == one.to && !same_set(&one.from, &one.to);
        // Nothing is copied by giving an order back, or by dropping replicas too many.
        let copies_nothing = one.from.iter().all(|broker| seen.replicas.contains(broker));
        (!is_done && copies_nothing).then(|| ReassignStep::Restore {
            partition: one.partition.clone(),
            from: seen.replicas.clone(),
            to: one.from.clone(),
        })
    };
    moves.iter().filter(differs).filter_map(restore).collect()
}

/// The elections that give former preferred leaders their partitions back.
pub fn elections(moves: &[PartitionMove], observed: &Observed) -> Vec<ReassignStep> {
    let election = |one: &PartitionMove| {
        let (seen, to) = (observed.partitions.get(&one.partition)?, *one.from.first()?);
        let is_back = seen.replicas == one.from && !observed.running.contains_key(&one.partition);
        let can_lead = seen.isr.contains(&to) && observed.brokers.contains(&to);
        (is_back && can_lead && seen.leader != Some(to)).then(|| ReassignStep::Elect {
            partition: one.partition.clone(),
            from: seen.leader,
            to,
        })
    };
    moves.iter().filter_map(election).collect()
}

/// What is wrong after the moves, in words; nothing if each partition is as planned.
pub fn differences(moves: &[PartitionMove], observed: &Observed) -> Vec<(TopicPartition, String)> {
    let mut differences = Vec::new();
    for one in moves {
        let now = observed.partitions.get(&one.partition);
        let list = |brokers: &[BrokerId]| crate::commands::reassign::plan::step::list(brokers);
        let replicas = now.map_or_else(String::new, |seen| list(&seen.replicas));
        let words = match observed.state(one) {
            State::Gone => "it does not exist any more".to_owned(),
            State::Running => format!("it still moves to {}", list(&one.to)),
            State::Foreign => {
                let target = observed.running.get(&one.partition).map(Reassignment::target).unwrap_or_default();
                format!("another move of it runs, to {}", list(&target))
            }
            State::Waiting | State::Grown | State::Strayed => {
                format!("its replicas are {replicas} instead of {}", list(&one.to))
            }
            State::Done => match now {
                Some(seen) if seen.isr.len() < seen.replicas.len() => {
                    let late = seen.replicas.iter().filter(|broker| !seen.isr.contains(broker)).copied();
                    format!("not in sync: {}", list(&late.collect::<Vec<_>>()))
                }
                Some(seen) if seen.leader != seen.replicas.first().copied() => {
                    let leader = seen.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
                    format!("led by {leader} instead of the preferred {}", one.to[0])
                }
                _ => continue,
            },
        };
        differences.push((one.partition.clone(), words));
    }
    differences
}
