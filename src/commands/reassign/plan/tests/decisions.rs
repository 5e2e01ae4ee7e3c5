//! Single decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{act, at, finish, how_far, ids, one, world};
use crate::change::carry_out::Ended;
use crate::change::throttle::step::{RateEdit, ThrottleStep, Why};
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{PresentThrottles, Side, Sides, Throttles};
use crate::commands::reassign::plan::next::{Limits, Manner, next};
use crate::commands::reassign::plan::pace::{Left, Pace};
use crate::commands::reassign::plan::seen::{Disk, Held, Observed};
use crate::commands::reassign::plan::stalls::{Reason, Watched};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::unthrottled::Unthrottled;
use crate::commands::reassign::plan::{preflight, undo};

const WIDE: Limits = Limits { partitions: 10, bytes: u64::MAX, moves: 100, free: 0.0 };

fn order(moves: &[crate::cluster::assignment::PartitionMove], observed: &Observed, limits: &Limits) -> Vec<i32> {
    let next = next(moves, observed, (limits, Manner::default()), &BTreeSet::new());
    next.moves.iter().map(|step| step.partition().partition).collect()
}

#[test]
fn what_mends_comes_first_then_what_copies_nothing_then_small_before_big() {
    let moves = [
        one(0, &[1, 2], &[1, 3], 500),
        one(1, &[1, 2], &[1, 3], 100),
        one(2, &[1, 2], &[2, 1], 900),
        one(3, &[1, 9], &[1, 4], 800),
    ];
    let observed = world(&[1, 2, 3, 4], &moves);
    assert_eq!(order(&moves, &observed, &WIDE), [3, 2, 1, 0]);
}

#[test]
fn a_partition_beyond_the_bound_is_copied_alone() {
    let moves = [one(0, &[1], &[3], 500), one(1, &[2], &[3], 700)];
    let observed = world(&[1, 2, 3], &moves);
    assert_eq!(order(&moves, &observed, &Limits { bytes: 100, ..WIDE }), [0]);
    assert_eq!(order(&moves, &observed, &WIDE), [0, 1]);
}

#[test]
fn a_full_disk_waits_until_others_have_left() {
    let moves = [one(0, &[3], &[1], 60), one(1, &[1], &[3], 50)];
    let mut observed = world(&[1, 2, 3], &moves);
    let disk = |usable| {
        let dir = LogDir { total_bytes: Some(100), usable_bytes: Some(usable), ..LogDir::default() };
        Disk { dirs: vec![dir] }
    };
    observed.sizes.disks = BTreeMap::from([(ids(&[1])[0], disk(90)), (ids(&[3])[0], disk(40))]);
    let first = next(&moves, &observed, (&WIDE, Manner::default()), &BTreeSet::new());
    assert_eq!(first.moves.len(), 1);
    assert_eq!(first.held[&at(1)], "broker 3 has no room for it now");
    act(&mut observed, &first.moves[0]);
    finish(&mut observed, &at(0));
    observed.sizes.disks.insert(ids(&[3])[0], disk(100));
    assert_eq!(order(&moves, &observed, &WIDE), [1]);
    // In all it fits, so that the plan is not refused for it.
    let fits = preflight::check(
        moves.to_vec(),
        &world(&[1, 2, 3], &moves),
        (&WIDE, Manner::default()),
        preflight::Allowed::default(),
    );
    assert!(fits.plan.refusals.is_empty());
}

#[test]
fn replicas_in_sync_are_not_given_up_for_one_that_lags() {
    let moves = [one(0, &[1, 2, 3], &[1, 3], 10)];
    let mut observed = world(&[1, 2, 3], &moves);
    observed.partitions.get_mut(&at(0)).unwrap().isr = ids(&[1, 2]);
    let held = next(&moves, &observed, (&WIDE, Manner::default()), &BTreeSet::new()).held;
    assert_eq!(held[&at(0)], "it would have fewer replicas in sync than now: broker 3 lags");
}

#[test]
fn leader_first_grows_hands_over_and_shrinks() {
    let moves = [one(0, &[1, 2], &[3, 2], 10)];
    let manner = Manner { leader_first: true, elects: true };
    let mut observed = world(&[1, 2, 3], &moves);
    let mut lines = Vec::new();
    for _ in 0..3 {
        let next = next(&moves, &observed, (&WIDE, manner), &BTreeSet::new());
        for step in next.moves.iter().chain(&next.elections) {
            lines.push(step.to_string());
            act(&mut observed, step);
            finish(&mut observed, &at(0));
        }
    }
    assert_eq!(
        lines,
        [
            "~ partition t-0: replicas [1,2] -> [3,2,1] (copies 10 B)",
            "~ partition t-0: leader 1 -> 3",
            "~ partition t-0: replicas [3,2,1] -> [3,2] (copies nothing)"
        ]
    );
}

#[test]
fn the_time_left_is_that_of_the_slowest_broker() {
    let moves = [one(0, &[1], &[2], 1_000), one(1, &[1], &[3], 1_000)];
    let mut observed = world(&[1, 2, 3], &moves);
    for step in next(&moves, &observed, (&WIDE, Manner::default()), &BTreeSet::new()).moves {
        act(&mut observed, &step);
    }
    let (mut pace, all) = (Pace::default(), moves.iter().collect::<Vec<_>>());
    for (seconds, held) in [(0, [0, 0]), (10, [500, 100])] {
        for (partition, (broker, bytes)) in (0..).zip([2, 3].into_iter().zip(held)) {
            let held = Held { bytes, offset_lag: 0 };
            observed.sizes.held.get_mut(&at(partition)).unwrap().insert(ids(&[broker])[0], held);
        }
        pace.see(Duration::from_secs(seconds), &all, &observed);
    }
    let now = how_far(&moves, &observed);
    assert_eq!((now.bytes, now.bytes_done, pace.rate()), (2_000, 600, Some(60)));
    assert_eq!(pace.left(&now), Left::In(Duration::from_secs(90)), "broker 3 has 900 B left at 10 B/s");
}

/// A running move of one partition to brokers 3 and 4, with so many bytes on both.
fn running(held: u64) -> (Vec<crate::cluster::assignment::PartitionMove>, Observed) {
    let moves = vec![one(0, &[1, 2], &[1, 3, 4], 100)];
    let mut observed = world(&[1, 2, 3, 4], &moves);
    act(&mut observed, &ReassignStep::Move { partition: at(0), from: ids(&[1, 2]), to: ids(&[1, 3, 4]), bytes: 200 });
    for broker in ids(&[3, 4]) {
        observed.sizes.held.get_mut(&at(0)).unwrap().insert(broker, Held { bytes: held, offset_lag: 0 });
    }
    (moves, observed)
}

fn reasons(moves: &[crate::cluster::assignment::PartitionMove], observed: &Observed, waited: u64) -> Vec<Reason> {
    let mut watched = Watched::default();
    watched.see(Duration::ZERO, &how_far(moves, observed));
    let at = Duration::from_secs(waited);
    let stalled = watched.stalled(at, (moves, observed), Duration::from_mins(5), Some(ByteRate(7)));
    stalled.into_keys().collect()
}

#[test]
fn a_stall_is_named_with_its_reason() {
    let (moves, mut observed) = running(10);
    assert_eq!(reasons(&moves, &observed, 299), []);
    assert_eq!(reasons(&moves, &observed, 300), [Reason::Unknown]);
    observed.brokers.remove(&ids(&[4])[0]);
    assert_eq!(reasons(&moves, &observed, 0), [Reason::BrokerDown(ids(&[4])[0])], "what can be seen is said at once");

    // All data is there, but an old replica of the target is down.
    let (moves, mut observed) = running(100);
    let seen = observed.partitions.get_mut(&at(0)).unwrap();
    (seen.isr, seen.leader) = (ids(&[2, 3, 4]), Some(ids(&[2])[0]));
    observed.brokers.remove(&ids(&[1])[0]);
    let [reason] = &reasons(&moves, &observed, 0)[..] else { panic!("one reason") };
    assert_eq!(*reason, Reason::WaitsForReplica(ids(&[1])[0]));
    assert!(reason.words().contains("Kafka waits for replica 1"), "{}", reason.words());
}

#[test]
fn writes_that_outrun_the_throttle_are_said() {
    let (moves, mut observed) = running(10);
    let mut watched = Watched::default();
    watched.see(Duration::ZERO, &how_far(&moves, &observed));
    let held = observed.sizes.held.get_mut(&at(0)).unwrap();
    held.insert(ids(&[1])[0], Held { bytes: 500, offset_lag: 0 });
    held.insert(ids(&[3])[0], Held { bytes: 200, offset_lag: 9 });
    held.insert(ids(&[4])[0], Held { bytes: 200, offset_lag: 9 });
    let at = Duration::from_mins(5);
    watched.see(at, &how_far(&moves, &observed));
    let stalled = watched.stalled(at, (&moves, &observed), at, Some(ByteRate(7)));
    assert_eq!(stalled.into_keys().collect::<Vec<_>>(), [Reason::ThrottleTooLow(ByteRate(7))]);
}

#[test]
fn a_restore_copies_nothing_and_leaves_what_has_arrived() {
    let moves = [one(0, &[2, 1], &[3], 10), one(1, &[2, 1], &[3], 10), one(2, &[1], &[2], 10)];
    let mut observed = world(&[1, 2, 3], &moves);
    let seen = |observed: &mut Observed, partition, replicas: &[i32]| {
        observed.partitions.get_mut(&at(partition)).unwrap().replicas = ids(replicas);
    };
    seen(&mut observed, 0, &[1, 2]);
    seen(&mut observed, 1, &[3]);
    // An overlay in KRaft left one too many.
    seen(&mut observed, 2, &[3, 1]);
    let lines: Vec<_> = undo::restores(&moves, &observed).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "~ partition t-0: replicas [1,2] -> [2,1] (as before the move)",
            "~ partition t-2: replicas [3,1] -> [1] (as before the move)"
        ]
    );
}

#[test]
fn only_what_can_not_be_throttled_is_held() {
    let moves = [one(0, &[1], &[3], 5), one(1, &[2], &[4], 5), one(2, &[2, 1], &[1, 2], 5)];
    let observed = world(&[1, 2, 3, 4], &moves);
    let copied = moves.iter().map(|one| (&one.partition, &one.from[..], observed.arriving(one)));
    let copied: Vec<_> = copied.collect();
    let desired = Throttles::of_moves(copied.iter().map(|(at, from, to)| (*at, *from, &to[..])), ByteRate(9));
    let seen = |brokers: &[i32]| PresentThrottles {
        rates: ids(brokers).into_iter().map(|broker| (broker, Sides::default())).collect(),
        ..PresentThrottles::default()
    };
    let held = |unthrottled: &Unthrottled| -> Vec<i32> {
        unthrottled.held(&moves, &observed).keys().map(|partition| partition.partition).collect()
    };
    let rate = |to| ThrottleStep::Rates {
        broker: BrokerId(3),
        edits: vec![RateEdit { side: Side::Follower, from: None, to }],
        why: if to.is_some() { Why::Set } else { Why::Released },
    };
    let after =
        |seen: &PresentThrottles, step, ended| Unthrottled::after(&desired, &observed.brokers, seen, &[(step, ended)]);

    let all = seen(&[1, 2, 3, 4]);
    assert!(after(&all, rate(Some(ByteRate(9))), Ended::done()).is_empty());
    assert_eq!(held(&after(&all, rate(Some(ByteRate(9))), Ended::unknown("lost"))), [0]);
    assert!(after(&all, rate(None), Ended::failed("no")).is_empty(), "what is left behind holds nothing up");
    let silent = after(&seen(&[1, 3, 4]), rate(None), Ended::done());
    assert_eq!((held(&silent), silent.reasons().count()), (vec![1], 1), "what copies nothing needs no throttle");
    let both = silent.and(after(&all, rate(Some(ByteRate(9))), Ended::unknown("lost")));
    assert_eq!(held(&both), [0, 1]);
    let nothing = Unthrottled { all: Some("no record".into()), ..Unthrottled::default() };
    assert_eq!(held(&nothing), [0, 1]);
}
