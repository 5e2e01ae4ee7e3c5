//! What a person is told is true: bounds are bounds, sums add up, losses are counted once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::answer::{Answer, Asked, Part, Planned};
use super::flow::{flows, seconds, traffic};
use super::holdings::Holdings;
use super::text;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::{BrokerId, Rack};
use crate::cluster::metadata::LogDir;
use crate::cluster::size::ByteRate;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::mapping::observe::{Observed, ObservedBroker, ObservedPartition, ObservedTopic};
use crate::commands::mapping::plan::{Mapping, plan};
use crate::commands::mapping::spec::goal::{Goal, Operation};

fn name() -> TopicName {
    TopicName::new("t").unwrap()
}

/// Brokers 1, 2, 3, … in racks a, b, c, a, …; partitions of topic `t` with the size of one replica.
fn cluster(brokers: i32, partitions: &[(&[i32], u64)]) -> Observed {
    let broker = |id: i32| {
        let rack = ["c", "a", "b"][usize::try_from(id).unwrap() % 3];
        (BrokerId(id), ObservedBroker { live: true, rack: Some(Rack(rack.into())), ..ObservedBroker::default() })
    };
    let partition = |(replicas, bytes): &(&[i32], u64)| ObservedPartition {
        leader: replicas.first().copied().map(BrokerId),
        replicas: replicas.iter().copied().map(BrokerId).collect(),
        bytes: vec![*bytes; replicas.len()],
        ..ObservedPartition::default()
    };
    let topic = ObservedTopic {
        min_insync_replicas: Some(2),
        partitions: partitions.iter().map(partition).collect(),
        ..ObservedTopic::default()
    };
    Observed {
        cluster_id: "c".into(),
        brokers: (1..=brokers).map(broker).collect(),
        topics: BTreeMap::from([(name(), topic)]),
        ..Observed::default()
    }
}

fn goal(operation: Operation, brokers: impl IntoIterator<Item = i32>) -> Goal {
    Goal {
        operation,
        topics: BTreeSet::from([name()]),
        brokers: brokers.into_iter().map(BrokerId).collect(),
        replication_factor: None,
        tolerance: 0.05,
        range: None,
        budget_bytes: None,
        moves_max: None,
        leaders: false,
        disk_limit: 1.0,
        require_n_minus_1: false,
        capacities: BTreeMap::new(),
        racks: BTreeMap::new(),
    }
}

fn answer(observed: &Observed, goal: Goal) -> (Answer, Mapping) {
    let mapping = plan(&goal, observed);
    let planned = [Planned { goal, moves: mapping.moves.clone() }];
    (Answer::of(observed, &planned, &mapping.findings, &Asked::default()), mapping)
}

fn moved(partition: i32, from: &[i32], to: &[i32], bytes: u64) -> PartitionMove {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    PartitionMove { partition: TopicPartition { topic: name(), partition }, from: ids(from), to: ids(to), bytes }
}

prop_compose! {
    fn any_cluster()(racks in 2..5_i32)(
        brokers in Just(racks * 3),
        partitions in prop::collection::vec(([0..racks, 0..racks, 0..racks], 0..3_usize, 0..1_000_u64), 1..60),
    ) -> Observed {
        // One replica a rack: brokers 1, 4, 7, … are in rack a, 2, 5, 8, … in b.
        let rows: Vec<(Vec<i32>, u64)> = partitions.into_iter().map(|(at, first, size)| {
            let mut row: Vec<i32> = (0..3).zip(at).map(|(rack, at)| 1 + rack + 3 * at).collect();
            row.rotate_left(first);
            (row, size)
        }).collect();
        let rows: Vec<(&[i32], u64)> = rows.iter().map(|(row, size)| (row.as_slice(), *size)).collect();
        cluster(brokers, &rows)
    }
}

proptest! {
    #[test]
    fn no_plan_that_reaches_its_goal_copies_less_than_the_bound(observed in any_cluster(), verb in 0..3) {
        let all = 1..=i32::try_from(observed.brokers.len()).unwrap();
        let goal = match verb {
            0 => goal(Operation::Rebalance, all),
            1 => goal(Operation::Evacuate { brokers: BTreeSet::from([BrokerId(1)]), leaders_only: false }, all.skip(1)),
            _ => goal(Operation::Scale, all),
        };
        let (answer, mapping) = answer(&observed, goal);
        let is_reached = !mapping.findings.iter().any(|finding| {
            ["tolerance-not-reached", "no-place", "unknown-size"].contains(&finding.code)
        });
        if let Some(least) = answer.totals.least_bytes.filter(|_| is_reached) {
            prop_assert!(answer.totals.bytes >= least, "{} < {least}", answer.totals.bytes);
        }
    }

    #[test]
    fn what_is_shown_adds_up(observed in any_cluster()) {
        let all = 1..=i32::try_from(observed.brokers.len()).unwrap();
        let (answer, _) = answer(&observed, goal(Operation::Rebalance, all));
        let sum = |of: &dyn Fn(&super::answer::BrokerRow) -> u64| answer.brokers.iter().map(of).sum::<u64>();
        prop_assert_eq!(sum(&|row| row.before.bytes), sum(&|row| row.after.bytes));
        prop_assert_eq!(sum(&|row| row.traffic.sends), answer.totals.bytes);
        prop_assert_eq!(sum(&|row| row.traffic.receives), answer.totals.bytes);
        prop_assert_eq!(answer.flows.iter().map(|flow| flow.bytes).sum::<u64>(), answer.totals.bytes);
        let leaders = answer.brokers.iter().map(|row| row.after.leaders).sum::<usize>();
        prop_assert_eq!(leaders, observed.topics[&name()].partitions.len());
        let nothing = text::sums(&answer.totals).contains("nothing to do");
        prop_assert_eq!(nothing, answer.moves.is_empty());
    }
}

#[test]
fn replicas_are_paired_by_place_then_rack_then_as_they_come() {
    let observed = cluster(9, &[]);
    let moves = [moved(0, &[1, 2, 3], &[4, 2, 6], 10), moved(1, &[1, 2], &[2, 4], 5), moved(2, &[1], &[1, 2], 3)];
    let shown: Vec<_> = flows(&moves, &observed)
        .iter()
        .map(|flow| (flow.from.map(|id| id.0), flow.to.map(|id| id.0), flow.replicas, flow.bytes))
        .collect();
    assert_eq!(shown, [(Some(1), Some(4), 2, 15), (Some(3), Some(6), 1, 10), (None, Some(2), 1, 3)]);
}

#[test]
fn the_busiest_broker_decides_how_long_it_takes() {
    let observed = cluster(9, &[(&[1, 2], 100), (&[1, 3], 100)]);
    let moves = [moved(0, &[1, 2], &[1, 5], 100), moved(1, &[1, 3], &[1, 6], 100)];
    // Broker 1 leads both and sends 200; 5 and 6 receive 100 each.
    assert_eq!(seconds(&traffic(&moves, &observed), ByteRate(10)), Some(20));
    assert_eq!(seconds(&traffic(&[], &observed), ByteRate(10)), None);
}

#[test]
fn a_loss_is_what_fails_beyond_what_fails_already() {
    let mut observed = cluster(3, &[(&[1, 2, 3], 1), (&[1, 2], 1), (&[3], 1), (&[1, 2, 3], 1)]);
    let partitions = &mut observed.topics.get_mut(&name()).unwrap().partitions;
    partitions[3].leader = None;
    partitions[1].out_of_sync = vec![BrokerId(2)];
    let holdings = Holdings::of(&observed, &BTreeSet::from([name()]), &BTreeMap::new());
    let now = holdings.now;
    // Two of four have fewer than two in sync and a leader: partitions 1 and 2.
    assert_eq!((now.offline, now.under_min_isr, now.under_replicated), (1, 2, 1));
    let lost: Vec<_> = holdings.brokers.iter().map(|one| (one.if_lost.offline, one.if_lost.under_min_isr)).collect();
    assert_eq!(lost, [(1, 0), (0, 0), (1, 0)]);
    assert_eq!(holdings.racks.len(), 3);
}

#[test]
fn shares_are_shown_only_where_capacities_are_known() {
    let mut observed = cluster(4, &[(&[1, 2, 3], 40)]);
    let evacuate = || Operation::Evacuate { brokers: BTreeSet::from([BrokerId(1)]), leaders_only: false };
    let table = |head: &[&str], _: &[Vec<String>]| head.join(" ");
    let (bare, _) = answer(&observed, goal(evacuate(), 2..=4));
    assert!(bare.capacity_from.ends_with("absolute bytes only"));
    assert!(!text::answer(&bare, None, false, table).contains("SHARE"));
    for broker in observed.brokers.values_mut() {
        let dir = LogDir { path: "/d".into(), total_bytes: Some(100), usable_bytes: Some(60), ..LogDir::default() };
        broker.log_dirs = vec![dir];
    }
    let (told, _) = answer(&observed, goal(evacuate(), 2..=4));
    assert_eq!(told.capacity_from, "the brokers");
    assert_eq!(told.brokers[0].part, Part::Emptied);
    assert_eq!(told.brokers[3].part, Part::Joins);
    assert!(text::answer(&told, Some("3 s"), false, table).contains("read 3 s ago"));
}
