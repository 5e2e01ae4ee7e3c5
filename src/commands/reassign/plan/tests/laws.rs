//! Laws of execution, whatever the plan and whatever ends first.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{act, at, finish, how_far, ids, world};
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::commands::reassign::plan::next::{Limits, Manner, Next, next};
use crate::commands::reassign::plan::seen::{Observed, State};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::undo;

fn replicas() -> impl Strategy<Value = Vec<BrokerId>> {
    prop::sample::subsequence(vec![1, 2, 3, 4, 5, 6], 1..=3).prop_shuffle().prop_map(|list| ids(&list))
}

fn moves() -> impl Strategy<Value = Vec<PartitionMove>> {
    prop::collection::vec((replicas(), replicas(), 0..100_u64), 1..12).prop_map(|rows| {
        let rows = (0..).zip(rows);
        rows.map(|(number, (from, to, bytes))| PartitionMove { partition: at(number), from, to, bytes }).collect()
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..4_usize, 0..200_u64, 1..6_usize).prop_map(|(partitions, bytes, moves)| Limits {
        partitions,
        bytes,
        moves,
        free: 0.0,
    })
}

fn manner() -> impl Strategy<Value = Manner> {
    any::<(bool, bool)>().prop_map(|(leader_first, elects)| Manner { leader_first, elects })
}

fn decide(moves: &[PartitionMove], observed: &Observed, limits: &Limits, manner: Manner) -> Next {
    next(moves, observed, (limits, manner), &BTreeSet::new())
}

/// What is under way keeps to the bounds; a broker with one partition alone may exceed its bytes.
fn check_bounds(observed: &Observed, moves: &[PartitionMove], limits: &Limits) -> Result<(), TestCaseError> {
    prop_assert!(observed.running.len() <= limits.moves);
    let mut sides: BTreeMap<(bool, BrokerId), (usize, u64)> = BTreeMap::new();
    for one in moves.iter().filter(|one| observed.running.contains_key(&one.partition)) {
        let adding = observed.running[&one.partition].adding.clone();
        let leader = observed.partitions[&one.partition].leader.unwrap();
        let copies = u64::try_from(adding.len()).unwrap();
        let into = adding.iter().map(|broker| ((true, *broker), one.bytes));
        for (side, bytes) in into.chain([((false, leader), one.bytes * copies)]) {
            let under_way = sides.entry(side).or_default();
            *under_way = (under_way.0 + 1, under_way.1 + bytes);
        }
    }
    for ((is_into, broker), (partitions, bytes)) in sides {
        prop_assert!(partitions <= limits.partitions, "{is_into} {broker}");
        prop_assert!(bytes <= limits.bytes || partitions == 1, "{is_into} {broker}: {bytes} of {partitions}");
    }
    Ok(())
}

proptest! {
    /// Bounds hold at every moment, nothing is overlaid or begun twice, no step leaves fewer replicas in sync than the
    /// plan wants, and at the end everything is as planned, whichever move ends first.
    #[test]
    fn every_plan_ends_within_its_bounds(
        moves in moves(), limits in limits(), manner in manner(), order in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let mut observed = world(&[1, 2, 3, 4, 5, 6], &moves);
        let mut begun: BTreeMap<_, usize> = BTreeMap::new();
        let mut order = order.into_iter().cycle();
        for round in 0.. {
            prop_assert!(round < 200, "it goes on for ever: {observed:?}");
            let next = decide(&moves, &observed, &limits, manner);
            prop_assert!(next.held.is_empty(), "{:?}", next.held);
            for step in next.moves.iter().chain(&next.elections) {
                let before = observed.partitions[step.partition()].clone();
                act(&mut observed, step);
                if let ReassignStep::Move { partition, to, .. } = step {
                    *begun.entry(partition.clone()).or_default() += 1;
                    let after = &observed.partitions[partition].isr;
                    prop_assert!(after.len() >= before.isr.len().min(to.len()), "{step}: {before:?} -> {after:?}");
                }
            }
            check_bounds(&observed, &moves, &limits)?;
            if observed.running.is_empty() && next.moves.is_empty() && next.elections.is_empty() {
                break;
            }
            let running: Vec<_> = observed.running.keys().cloned().collect();
            if let Some(index) = order.next().filter(|_| !running.is_empty()) {
                finish(&mut observed, &running[index.index(running.len())]);
            }
        }
        for one in &moves {
            prop_assert_eq!(observed.state(one), State::Done);
            let seen = &observed.partitions[&one.partition];
            prop_assert!(!manner.elects || seen.leader == one.to.first().copied());
            let phases = if manner.leader_first { 2 } else { 1 };
            prop_assert!(begun.get(&one.partition).copied().unwrap_or(0) <= phases);
        }
        let end = how_far(&moves, &observed);
        prop_assert_eq!((end.done, end.bytes_done), (moves.len(), end.bytes));
    }

    /// The order of the moves in the plan decides nothing.
    #[test]
    fn what_is_next_does_not_depend_on_the_order_of_the_plan(
        moves in moves(), limits in limits(), manner in manner(), seed in any::<u64>(),
    ) {
        let observed = world(&[1, 2, 3, 4, 5], &moves);
        let mut shuffled = moves.clone();
        let length = shuffled.len();
        shuffled.rotate_left(usize::try_from(seed % u64::try_from(length).unwrap()).unwrap());
        let (one, mut two) = (decide(&moves, &observed, &limits, manner), decide(&shuffled, &observed, &limits, manner));
        two.elections.sort_by_key(|step| step.partition().clone());
        prop_assert_eq!(one, two);
    }

    /// Nothing goes to a broker that is down, and what would lose its last copy in sync is held.
    #[test]
    fn nothing_is_begun_towards_a_broker_that_is_down(moves in moves(), limits in limits(), manner in manner()) {
        let mut observed = world(&[1, 2, 3, 4], &moves);
        let next = decide(&moves, &observed, &limits, manner);
        for step in &next.moves {
            let ReassignStep::Move { partition, to, .. } = step else { continue };
            let before = observed.partitions[partition].clone();
            let fresh = to.iter().filter(|one| !before.replicas.contains(one));
            prop_assert!(fresh.clone().all(|one| observed.brokers.contains(one)), "{step}");
            act(&mut observed, step);
            finish(&mut observed, partition);
            let after = &observed.partitions[partition].isr;
            prop_assert!(after.len() >= before.isr.len().min(to.len()), "{step}: {before:?} -> {after:?}");
        }
    }

    /// Wherever an execution is cancelled, each partition is back in its order, or where it was to go.
    #[test]
    fn a_cancel_ends_where_it_began(moves in moves(), limits in limits(), manner in manner(), finished in 0..12_i32) {
        let mut observed = world(&[1, 2, 3, 4, 5, 6], &moves);
        for step in decide(&moves, &observed, &limits, manner).moves {
            act(&mut observed, &step);
        }
        finish(&mut observed, &at(finished));
        let (running, unknown) = undo::running(&moves, &observed);
        prop_assert!(unknown.is_empty());
        for step in undo::cancels(&running, &observed).steps {
            act(&mut observed, &step);
        }
        for step in undo::restores(&running, &observed) {
            act(&mut observed, &step);
        }
        prop_assert!(observed.running.is_empty());
        for one in &running {
            prop_assert_eq!(&observed.partitions[&one.partition].replicas, &one.from);
        }
        prop_assert!(undo::restores(&running, &observed).is_empty());
    }
}
