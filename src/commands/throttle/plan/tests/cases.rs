//! Cases of the control law: one broker that leads, one that gets a copy.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::{Override, Overrides};
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{Side, Sides};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::throttle::plan::floor::below_floor;
use crate::commands::throttle::plan::law::{Decision, RateDecision, State, plan};
use crate::commands::throttle::plan::limits::{Limits, Policy};
use crate::commands::throttle::plan::outlook::words;
use crate::commands::throttle::plan::pace::Reason;
use crate::commands::throttle::plan::snapshot::{Load, Moving, Snapshot};

const MB: u64 = 1_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn mb(rate: u64) -> ByteRate {
    ByteRate(rate * MB)
}

fn load(capacity: u64, used: (u64, u64)) -> Load {
    Load {
        capacity: Some(Sides { leader: mb(capacity), follower: mb(capacity) }),
        used: Some(Sides { leader: mb(used.0), follower: mb(used.1) }),
        at: Some(at(0)),
        ..Load::default()
    }
}

/// Partition 0 of `t` from broker 1 to broker 3, with two followers in sync.
pub(super) fn one_move(writes_mb: u64, remaining_mb: u64) -> Snapshot {
    let moving = Moving {
        partition: TopicPartition { topic: TopicName::new("t").unwrap(), partition: 0 },
        leader: Some(BrokerId(1)),
        sources: vec![BrokerId(1), BrokerId(2)],
        followers_in_sync: 2,
        adding: vec![(BrokerId(3), Bytes(remaining_mb * MB))],
        writes: mb(writes_mb),
    };
    let brokers = [(BrokerId(1), load(125, (40, 20))), (BrokerId(3), load(125, (0, 10)))];
    Snapshot { moving: vec![moving], brokers: brokers.into() }
}

/// Broker 1 sends 20 MB/s to clients, and copies at 60 MB/s, then at 5 MB/s. Its load is a mean over two minutes.
#[test]
fn a_mean_that_still_holds_a_faster_copy_is_not_taken_for_clients() {
    const OVER: i64 = 120;
    let copies = |second: i64| if (0..300).contains(&second) { 60 } else { 5 * u64::from(second >= 300) };
    let mut state = State::default();
    for tick in 0..40 {
        let second = tick * 15;
        let mut snapshot = one_move(1, 9_000);
        let load = snapshot.brokers.get_mut(&BrokerId(1)).unwrap();
        let in_the_mean: u64 = (second - OVER..second).map(copies).sum();
        let since_the_last: u64 = (second - 15..second).map(copies).sum();
        load.used =
            Some(Sides { leader: ByteRate(20 * MB + in_the_mean * MB / OVER.unsigned_abs()), follower: mb(10) });
        load.over = Duration::from_secs(OVER.unsigned_abs());
        load.moving = Sides { leader: ByteRate(since_the_last * MB / 15), follower: ByteRate(0) };
        snapshot.brokers.values_mut().for_each(|load| load.at = Some(at(second)));
        let (decision, next) = plan(at(second), &Limits::default(), &snapshot, &Overrides::default(), &state);
        let sends = decision.rates.iter().find(|rate| (rate.broker, rate.side) == (BrokerId(1), Side::Leader)).unwrap();
        let foreground = sends.foreground.unwrap().0;
        assert!((19 * MB..=21 * MB).contains(&foreground), "{second} s: {foreground}");
        state = next;
    }
}

/// What was copied is remembered while nothing moves; what clients take is measured anew.
#[test]
fn a_next_batch_does_not_take_the_last_one_for_clients() {
    let mut snapshot = one_move(1, 9_000);
    let load = snapshot.brokers.get_mut(&BrokerId(1)).unwrap();
    load.moving = Sides { leader: mb(60), follower: mb(0) };
    load.over = Duration::from_mins(2);
    load.used = Some(Sides { leader: mb(80), follower: mb(10) });
    let ask = |second: i64, snapshot: &Snapshot, state: &State| {
        let mut snapshot = snapshot.clone();
        snapshot.brokers.values_mut().for_each(|load| load.at = Some(at(second)));
        plan(at(second), &Limits::default(), &snapshot, &Overrides::default(), state)
    };
    let (_, state) = ask(0, &snapshot, &State::default());
    let (_, state) = ask(30, &Snapshot::default(), &state);
    assert!(state.health.is_empty());
    let load = snapshot.brokers.get_mut(&BrokerId(1)).unwrap();
    load.moving = Sides::default();
    // A quarter of the two minutes without the copy: 45 + 20.
    load.used = Some(Sides { leader: mb(65), follower: mb(10) });
    let (decision, _) = ask(30, &snapshot, &state);
    let sends = decision.rates.iter().find(|rate| (rate.broker, rate.side) == (BrokerId(1), Side::Leader)).unwrap();
    assert_eq!(sends.foreground, Some(mb(20)));
}

/// Half of what is left at each tick, and said once.
#[test]
fn a_broker_that_is_not_well_gets_less_and_is_named_once() {
    let mut snapshot = one_move(1, 9_000);
    let ask = |snapshot: &Snapshot, second: i64, state: &State| {
        let mut snapshot = snapshot.clone();
        snapshot.brokers.values_mut().for_each(|load| load.at = Some(at(second)));
        plan(at(second), &Limits::default(), &snapshot, &Overrides::default(), state)
    };
    let (_, well) = ask(&snapshot, 0, &State::default());
    snapshot.brokers.get_mut(&BrokerId(1)).unwrap().unwell = Some("its request handlers are busy".to_owned());
    let (decision, state) = ask(&snapshot, 30, &well);
    let [note] = &decision.notes[..] else { panic!("{:?}", decision.notes) };
    assert_eq!((note.kind, note.subject.as_str(), note.is_new), ("throttle.broker_unwell", "broker:1", true));
    assert_eq!(note.text, "broker 1 is not well: its request handlers are busy; what it copies gets less until it is");
    let is_halved = |broker: i32| (state.health[&BrokerId(broker)] - 0.5).abs() < 1e-9;
    assert!(is_halved(1) && is_halved(3), "and who copies from it");
    let (_, state) = ask(&snapshot, 35, &state);
    assert!((state.health[&BrokerId(1)] - 0.5).abs() < 1e-9, "not twice within ten seconds");
    let (decision, state) = ask(&snapshot, 60, &state);
    assert!(!decision.notes[0].is_new);
    assert!((state.health[&BrokerId(1)] - 0.25).abs() < 1e-9, "half again");
}

fn decide(snapshot: &Snapshot, limits: &Limits) -> Decision {
    plan(at(0), limits, snapshot, &Overrides::default(), &State::default()).0
}

/// Asked every 30 s with the same load, until it does not change any more.
fn settled(snapshot: &Snapshot, limits: &Limits) -> Decision {
    let (mut state, mut decision) = (State::default(), Decision::default());
    for tick in 0..18 {
        let mut snapshot = snapshot.clone();
        for load in snapshot.brokers.values_mut() {
            load.at = load.at.map(|_| at(tick * 30));
        }
        (decision, state) = plan(at(tick * 30), limits, &snapshot, &Overrides::default(), &state);
    }
    decision
}

fn of(decision: &Decision, broker: i32, side: Side) -> &RateDecision {
    decision.rates.iter().find(|rate| rate.broker == BrokerId(broker) && rate.side == side).unwrap()
}

#[test]
fn the_rate_is_what_clients_leave_and_the_lists_are_exact() {
    let decision = settled(&one_move(1, 50_000), &Limits::default());
    // 80 % of 125 less 40, and the two followers in sync on top.
    assert_eq!(of(&decision, 1, Side::Leader).ceiling, Some(mb(62)));
    // The last step would be less than 30 %, and clients come and go.
    assert_eq!(of(&decision, 1, Side::Leader).rate, ByteRate(57_660_000));
    assert_eq!(of(&decision, 1, Side::Leader).foreground, Some(mb(40)));
    // The leader is the limit: the destination gets half as much again, not its whole headroom of 115.
    assert!((mb(70)..=mb(90)).contains(&of(&decision, 3, Side::Follower).rate), "{decision:?}");
    let lists = serde_json::to_string(&decision.throttles.lists).unwrap();
    assert_eq!(lists, r#"{"t":{"leader":["0:1","0:2"],"follower":["0:3"]}}"#);
    assert_eq!(decision.notes, []);
}

#[test]
fn the_first_rate_is_careful_because_an_idle_quota_lets_a_burst_through() {
    let decision = decide(&one_move(1, 50_000), &Limits::default());
    let first = of(&decision, 1, Side::Leader);
    assert_eq!((first.rate, first.reason), (ByteRate(15_500_000), Reason::First));
}

#[test]
fn the_floor_counts_followers_in_sync() {
    let decision = decide(&one_move(10, 50_000), &Limits::default());
    // (10 for the copy + 20 for the followers in sync) x 1.2 + 1 MiB/s.
    assert_eq!(of(&decision, 1, Side::Leader).floor, ByteRate(36 * MB + (1 << 20)));
    assert_eq!(of(&decision, 3, Side::Follower).floor, ByteRate(12 * MB + (1 << 20)));
    let below = below_floor(&one_move(10, 50_000), mb(30));
    assert_eq!(below, [(BrokerId(1), Side::Leader, mb(30))]);
    assert_eq!(below_floor(&one_move(10, 50_000), mb(31)), []);
}

#[test]
fn nothing_is_throttled_where_nothing_moves() {
    let decision = decide(&Snapshot::default(), &Limits::default());
    assert!(decision.throttles.is_empty() && decision.notes.is_empty());
}

#[test]
fn a_floor_above_the_headroom_is_met_or_kept_away_as_the_policy_says() {
    let mut snapshot = one_move(10, 50_000);
    snapshot.brokers.insert(BrokerId(1), load(125, (95, 20)));
    let kept = settled(&snapshot, &Limits::default());
    assert_eq!(of(&kept, 1, Side::Leader).rate, ByteRate(36 * MB + (1 << 20)));
    assert!(kept.notes[0].text.ends_with("it gets what it needs"), "{:?}", kept.notes);
    let limits = Limits { policy: Policy::Protect, ..Limits::default() };
    let kept = settled(&snapshot, &limits);
    assert_eq!(of(&kept, 1, Side::Leader).rate, mb(25));
    assert!(kept.notes[0].text.contains("cancel some of them"), "{:?}", kept.notes);
    assert_eq!((kept.notes[0].kind, kept.notes[0].is_new), ("throttle.floor_conflict", false));
    snapshot.brokers.insert(BrokerId(1), load(125, (120, 20)));
    let kept = settled(&snapshot, &Limits::default());
    assert!(kept.notes[0].text.contains("all that there is"), "{:?}", kept.notes);
}

#[test]
fn a_load_that_was_not_measured_lately_holds_the_rate_and_then_falls_to_the_floor() {
    let limits = Limits::default();
    let snapshot = one_move(1, 50_000);
    let (_, state) = plan(at(0), &limits, &snapshot, &Overrides::default(), &State::default());
    let reason = |seconds| {
        let (decision, _) = plan(at(seconds), &limits, &snapshot, &Overrides::default(), &state);
        let rate = of(&decision, 1, Side::Leader).clone();
        (rate.rate, rate.reason, decision.notes.iter().map(|note| note.kind).collect::<Vec<_>>())
    };
    assert_eq!(reason(10).1, Reason::Held);
    assert_eq!(reason(120), (ByteRate(15_500_000), Reason::HeldStale, vec![]));
    let (rate, why, notes) = reason(300);
    assert_eq!((rate, why), (ByteRate(3_600_000 + (1 << 20)), Reason::Unknown));
    assert_eq!(notes, ["throttle.metrics_stale", "throttle.metrics_stale"]);
}

#[test]
fn a_destination_that_nobody_measures_is_taken_for_half_a_broker() {
    let mut snapshot = one_move(1, 50_000);
    snapshot.brokers.get_mut(&BrokerId(3)).unwrap().used = None;
    let decision = settled(&snapshot, &Limits::default());
    // 80 % of half a network.
    let rate = of(&decision, 3, Side::Follower);
    assert_eq!((rate.ceiling, rate.rate), (Some(mb(50)), mb(50)));
    snapshot.brokers.clear();
    let decision = settled(&snapshot, &Limits::default());
    assert_eq!(of(&decision, 3, Side::Follower).reason, Reason::Unknown);
    assert!(decision.notes[0].text.contains("give --capacity"), "{:?}", decision.notes);
}

#[test]
fn a_deadline_makes_it_gentle_where_there_is_time_and_says_when_there_is_not() {
    let limits = |seconds| Limits { deadline: Some(at(seconds)), ..Limits::default() };
    let gentle = decide(&one_move(1, 36_000), &limits(3_600));
    assert_eq!(gentle.notes, []);
    // 10 MB/s for the copy and 1 for the writes, half as much again for growth, 2 for the followers in sync.
    let state = State::default();
    let rate = |decision: &Decision| of(decision, 1, Side::Leader).ceiling.unwrap();
    assert_eq!(rate(&gentle), mb(62));
    let late = plan(at(0), &limits(300), &one_move(1, 36_000), &Overrides::default(), &state).0;
    // 95 % instead of 80 % of 125.
    assert_eq!(rate(&late), ByteRate(80_750_000));
    assert_eq!(late.notes[0].kind, "throttle.deadline_at_risk");
}

#[test]
fn a_rate_that_a_person_gave_goes_first_and_one_below_the_floor_is_named() {
    let given = |rate| Override {
        rate: mb(rate),
        since: at(0),
        until: Some(at(60)),
        autoremove: false,
        has_applied: false,
        by: "ann".into(),
    };
    let mut overrides = Overrides { cluster: Some(given(50)), ..Overrides::default() };
    overrides.brokers.insert(BrokerId(3), given(9));
    let (decision, _) = plan(at(0), &Limits::default(), &one_move(10, 50_000), &overrides, &State::default());
    assert_eq!(of(&decision, 1, Side::Leader).rate, mb(50));
    assert_eq!(
        (of(&decision, 3, Side::Follower).rate, of(&decision, 3, Side::Follower).reason),
        (mb(9), Reason::Override)
    );
    assert_eq!(decision.notes.len(), 1);
    assert!(decision.notes[0].text.contains("will never end"), "{:?}", decision.notes);
    assert_eq!(decision.eta_seconds, None);
    assert!(overrides.at(at(59), true) == overrides && overrides.at(at(60), false).is_empty());
}

#[test]
fn a_destination_that_stands_still_although_it_may_is_named_and_not_pushed() {
    let (mut state, mut last) = (State::default(), Decision::default());
    let mut snapshot = one_move(1, 0);
    for tick in 0..22 {
        snapshot.brokers.values_mut().for_each(|load| load.at = Some(at(tick * 30)));
        (last, state) = plan(at(tick * 30), &Limits::default(), &snapshot, &Overrides::default(), &state);
    }
    assert_eq!((last.notes[0].kind, last.notes[0].subject.as_str()), ("reassign.stalled", "broker:3"));
    let before = of(&last, 3, Side::Follower).rate;
    snapshot.brokers.values_mut().for_each(|load| load.at = Some(at(900)));
    let (last, _) = plan(at(900), &Limits::default(), &snapshot, &Overrides::default(), &state);
    assert!(of(&last, 3, Side::Follower).rate <= before);
}

#[test]
fn a_broker_that_is_not_well_gets_less_at_once() {
    let mut snapshot = one_move(1, 50_000);
    let well = decide(&snapshot, &Limits::default());
    snapshot.brokers.get_mut(&BrokerId(3)).unwrap().unwell = Some("under min ISR".into());
    let unwell = decide(&snapshot, &Limits::default());
    let ceiling = |decision: &Decision| of(decision, 1, Side::Leader).ceiling.unwrap().0 - 2 * MB;
    assert_eq!(ceiling(&unwell) * 2, ceiling(&well));
}

#[test]
fn times_are_shown_for_people() {
    let shown: Vec<_> = [0.0, 59.2, 61.0, 3_661.0, 200_000.0].into_iter().map(words).collect();
    assert_eq!(shown, ["0s", "1min", "1min", "1h 1min", "2d 7h"]);
}
