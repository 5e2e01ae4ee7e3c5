//! Two moves, second by second, in a fluid model: network cards of 125 MB/s, quotas as Kafka counts them, and when a card
//! is full, clients and copying lose in proportion. Our law ends both without one full second; the rule in Kafka's
//! documents never ends the second; kafka-kit's formula ends, and fills the cards for minutes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Overrides;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{OwnRate, Side, Sides, ThrottleRecord};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::throttle::plan::flows::{Flow, share};
use crate::commands::throttle::plan::law::{RateDecision, State, plan};
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::snapshot::{Load, Moving, Snapshot};
use crate::commands::throttle::plan::tests::cases::{at, one_move};

const MB: f64 = 1e6;
const CARD: f64 = 125.0 * MB;
const SECONDS_MAX: usize = 24_000;

type Ends = BTreeMap<(BrokerId, Side), f64>;

/// A partition on its way.
struct Copy {
    from: BrokerId,
    to: BrokerId,
    remaining: f64,
}

struct Scenario {
    copies: Vec<Copy>,
    /// What producers write to each partition.
    writes: f64,
    /// Followers in sync of each.
    followers: u32,
    /// What clients and followers in sync take of a card at a second.
    clients: fn(f64, Side, f64) -> f64,
    /// How long a wave of clients is.
    wave_seconds: f64,
}

/// 48 partitions of 20 GB from four brokers to two, which are busy for half an hour; then consumers catch up.
fn many_to_few_with_waves_of(wave_seconds: f64) -> Scenario {
    let copy = |p: i32| Copy { from: BrokerId(1 + p % 4), to: BrokerId(5 + p / 4 % 2), remaining: 20_000.0 * MB };
    let clients = |second: f64, side, wave_seconds: f64| match side {
        Side::Leader => {
            let surge = if (2_400.0..4_800.0).contains(&second) { 25.0 } else { 0.0 };
            let wave = 0.15 * (second / wave_seconds * std::f64::consts::TAU).sin();
            (55.0 * (1.0 + wave) + surge) * MB
        }
        Side::Follower if second < 1_800.0 => 75.0 * MB,
        Side::Follower => 0.0,
    };
    Scenario { copies: (0..48).map(copy).collect(), writes: 0.4 * MB, followers: 2, clients, wave_seconds }
}

fn many_to_few() -> Scenario {
    many_to_few_with_waves_of(5_400.0)
}

/// 12 partitions of 15 GB with many writes from three brokers to three: what the leaders send is mostly in sync.
fn few_writes_left() -> Scenario {
    let copy = |p: i32| Copy { from: BrokerId(1 + p % 3), to: BrokerId(4 + p / 3 % 3), remaining: 15_000.0 * MB };
    let clients = |_, side, _| match side {
        Side::Leader => 80.0 * MB,
        Side::Follower => 0.0,
    };
    Scenario { copies: (0..12).map(copy).collect(), writes: 6.0 * MB, followers: 2, clients, wave_seconds: 1.0 }
}

/// How a move went.
#[derive(Debug)]
struct Outcome {
    done: Option<usize>,
    full_seconds: usize,
    displaced: f64,
    writes: usize,
}

/// What was measured since the last tick, as means.
struct Measured {
    used: Ends,
    moving: Ends,
}

/// Lets a controller, asked every so many seconds, pace a move to its end.
fn simulate(
    mut scenario: Scenario,
    every: usize,
    mut control: impl FnMut(usize, &Scenario, &Measured, &mut Ends) -> usize,
) -> Outcome {
    let mut outcome = Outcome { done: None, full_seconds: 0, displaced: 0.0, writes: 0 };
    let mut rates = Ends::new();
    let clients = |scenario: &Scenario, second| {
        ends(scenario).into_iter().map(|end| (end, used_by_clients(scenario, end, second))).collect()
    };
    let mut sums = Measured { used: clients(&scenario, 0), moving: Ends::new() };
    for second in 0..SECONDS_MAX {
        if second % every == 0 {
            let seconds = if second == 0 { 1.0 } else { every_f64(every) };
            let mean = |sums: &Ends| sums.iter().map(|(end, sum)| (*end, sum / seconds)).collect();
            let measured = Measured { used: mean(&sums.used), moving: mean(&sums.moving) };
            outcome.writes += control(second, &scenario, &measured, &mut rates);
            sums = Measured { used: Ends::new(), moving: Ends::new() };
        }
        step(&mut scenario, second, &rates, (&mut sums, &mut outcome));
        if scenario.copies.iter().all(|copy| copy.remaining <= 0.0) {
            outcome.done = Some(second);
            break;
        }
    }
    outcome
}

#[expect(clippy::cast_precision_loss, reason = "some thousand seconds")]
fn every_f64(seconds: usize) -> f64 {
    seconds as f64
}

fn ends(scenario: &Scenario) -> Vec<(BrokerId, Side)> {
    let mut ends: Vec<_> =
        scenario.copies.iter().flat_map(|copy| [(copy.from, Side::Leader), (copy.to, Side::Follower)]).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

fn open(scenario: &Scenario, end: (BrokerId, Side)) -> usize {
    let is_at = |copy: &&Copy| match end.1 {
        Side::Leader => copy.from == end.0,
        Side::Follower => copy.to == end.0,
    };
    scenario.copies.iter().filter(|copy| copy.remaining > 0.0).filter(is_at).count()
}

/// What the followers in sync of what still moves take of the leaders' quota.
fn in_sync(scenario: &Scenario, end: (BrokerId, Side)) -> f64 {
    let followers = if end.1 == Side::Leader { f64::from(scenario.followers) } else { 0.0 };
    every_f64(open(scenario, end)) * scenario.writes * followers
}

fn used_by_clients(scenario: &Scenario, end: (BrokerId, Side), second: usize) -> f64 {
    (scenario.clients)(every_f64(second), end.1, scenario.wave_seconds)
}

/// One second: the quotas share the copying out, the cards carry it.
fn step(scenario: &mut Scenario, second: usize, rates: &Ends, (sums, outcome): (&mut Measured, &mut Outcome)) {
    let ends = ends(scenario);
    let index: BTreeMap<_, _> = ends.iter().enumerate().map(|(at, end)| (*end, at)).collect();
    let left = |end: &(BrokerId, Side)| match rates.get(end) {
        Some(rate) => (rate - in_sync(scenario, *end)).max(0.0),
        None => CARD,
    };
    let budgets: Vec<_> = ends.iter().map(left).collect();
    let moving: Vec<_> = (0..scenario.copies.len()).filter(|at| scenario.copies[*at].remaining > 0.0).collect();
    let flow = |at: &usize| {
        let Copy { from, to, remaining } = &scenario.copies[*at];
        Flow { from: index[&(*from, Side::Leader)], to: index[&(*to, Side::Follower)], weight: 1.0, wants: *remaining }
    };
    let flows: Vec<_> = moving.iter().map(flow).collect();
    let copied = share(&flows, &budgets);
    let mut load: Vec<f64> = ends.iter().map(|end| used_by_clients(scenario, *end, second)).collect();
    for (flow, rate) in flows.iter().zip(&copied) {
        load[flow.from] += rate;
        load[flow.to] += rate;
    }
    let fits: Vec<f64> = load.iter().map(|load| (CARD / load).min(1.0)).collect();
    if fits.iter().any(|fit| *fit < 1.0) {
        outcome.full_seconds += 1;
    }
    for (at, end) in ends.iter().enumerate() {
        outcome.displaced += used_by_clients(scenario, *end, second) * (1.0 - fits[at]);
        *sums.used.entry(*end).or_default() += load[at].min(CARD);
    }
    for ((at, flow), rate) in moving.iter().zip(&flows).zip(&copied) {
        let rate = rate * fits[flow.from].min(fits[flow.to]);
        for end in [flow.from, flow.to] {
            *sums.moving.entry(ends[end]).or_default() += rate;
        }
        let writes = scenario.writes;
        let copy = &mut scenario.copies[*at];
        // The last bytes are caught up with at once.
        copy.remaining = if copy.remaining <= rate { 0.0 } else { copy.remaining + writes - rate };
    }
}

fn snapshot(second: usize, scenario: &Scenario, measured: &Measured) -> (Timestamp, Snapshot) {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(second).unwrap());
    let moving = (0..).zip(&scenario.copies).filter(|(_, copy)| copy.remaining > 0.0).map(|(partition, copy)| Moving {
        partition: TopicPartition { topic: TopicName::new("t").unwrap(), partition },
        leader: Some(copy.from),
        sources: vec![copy.from],
        followers_in_sync: scenario.followers,
        adding: vec![(copy.to, Bytes(ByteRate::of_f64(copy.remaining).0))],
        writes: ByteRate::of_f64(scenario.writes),
    });
    let mut brokers = BTreeMap::<BrokerId, Load>::new();
    for (broker, side) in ends(scenario) {
        let load = brokers.entry(broker).or_default();
        let rate = |of: &Ends| ByteRate::of_f64(of.get(&(broker, side)).copied().unwrap_or(0.0));
        load.capacity = Some(Sides { leader: ByteRate::of_f64(CARD), follower: ByteRate::of_f64(CARD) });
        *load.used.get_or_insert_default().of_mut(side) = rate(&measured.used);
        *load.moving.of_mut(side) = rate(&measured.moving);
        load.at = Some(now);
    }
    (now, Snapshot { moving: moving.collect(), brokers })
}

/// Our law, with a deadline so many seconds after the beginning; and the highest rate that it set.
fn ours(scenario: Scenario, deadline: Option<i64>) -> (Outcome, f64) {
    let deadline = deadline.map(|seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds));
    let limits = Limits { deadline, ..Limits::default() };
    let (mut state, mut highest) = (State::default(), 0.0_f64);
    let every = usize::try_from(limits.tick.as_secs()).unwrap();
    let outcome = simulate(scenario, every, |second, scenario, measured, rates| {
        let (now, snapshot) = snapshot(second, scenario, measured);
        let (decision, next) = plan(now, &limits, &snapshot, &Overrides::default(), &state);
        state = next;
        let decided: Ends = decision.rates.iter().map(|rate| ((rate.broker, rate.side), rate.rate.to_f64())).collect();
        highest = decided.values().copied().fold(highest, f64::max);
        let writes = decided.iter().filter(|(end, rate)| rates.get(*end) != Some(rate)).count();
        *rates = decided;
        writes
    });
    (outcome, highest)
}

fn fixed(scenario: Scenario, rate: f64) -> Outcome {
    simulate(scenario, SECONDS_MAX, |_, scenario, _, rates| {
        // Kafka's own tool sets both rates on every broker that takes part.
        *rates = ends(scenario).into_iter().map(|end| (end, rate)).collect();
        2 * rates.len()
    })
}

/// kafka-kit's autothrottle: the headroom is taken from what it had allowed, not from what was copied.
fn kafka_kit(scenario: Scenario) -> Outcome {
    simulate(scenario, 180, |_, _, measured, rates| {
        let mut writes = 0;
        for (end, used) in &measured.used {
            let before = rates.get(end).copied().unwrap_or(0.0);
            let headroom = CARD - (used - before).max(0.0) - (used - CARD).max(0.0);
            let rate = (headroom * 0.9).max(10.0 * MB);
            if before == 0.0 || ((rate - before) / before).abs() >= 0.1 {
                rates.insert(*end, rate);
                writes += 1;
            }
        }
        writes
    })
}

#[test]
fn our_law_ends_both_moves_without_one_full_second_and_with_few_writes() {
    for (name, scenario, longest) in
        [("many to few", many_to_few(), 11_500), ("few writes left", few_writes_left(), 5_000)]
    {
        let outcome = ours(scenario, None).0;
        println!("{name}: ours {outcome:?}");
        assert!(outcome.done.is_some_and(|done| done <= longest), "{name}: {outcome:?}");
        assert_eq!(outcome.full_seconds, 0, "{name}: {outcome:?}");
        assert!(outcome.writes <= 54, "{name}: {outcome:?}");
    }
}

#[test]
fn clients_that_come_and_go_in_waves_of_any_length_never_fill_the_cards_and_cost_few_writes() {
    // The rhythms of the table in `pace.rs`.
    let rhythms = [60.0, 120.0, 300.0, 600.0, 1_200.0, 1_500.0, 1_800.0, 2_700.0, 3_600.0, 5_400.0, 10_800.0];
    for wave_seconds in rhythms {
        let outcome = ours(many_to_few_with_waves_of(wave_seconds), None).0;
        println!("waves of {wave_seconds} s: ours {outcome:?}");
        assert!(outcome.done.is_some_and(|done| done <= 13_600), "waves of {wave_seconds} s: {outcome:?}");
        assert_eq!(outcome.full_seconds, 0, "waves of {wave_seconds} s: {outcome:?}");
        assert!(outcome.writes <= 54, "waves of {wave_seconds} s: {outcome:?}");
    }
}

/// Twice the time that it needs: it is done in time, and the rates are far below what clients leave.
#[test]
fn a_deadline_that_leaves_time_is_kept_with_gentle_rates() {
    let (fast, quick) = ours(many_to_few(), None);
    let (outcome, gentle) = ours(many_to_few(), Some(20_000));
    println!("deadline of 20,000 s: {outcome:?}, at most {gentle:.0} B/s instead of {quick:.0}");
    assert!(outcome.done.is_some_and(|done| done <= 19_900 && Some(done) > fast.done), "{outcome:?}");
    assert!(gentle < quick * 0.7 && outcome.full_seconds == 0 && outcome.writes <= 96, "{outcome:?} {gentle}");
}

#[test]
fn a_rate_that_only_exceeds_the_writes_never_ends() {
    // 24 MB/s are written to each leader's partitions, 30 MB/s are allowed: Kafka's documents call that enough.
    let outcome = fixed(few_writes_left(), 30.0 * MB);
    println!("30 MB/s: {outcome:?}");
    assert_eq!((outcome.done, outcome.full_seconds), (None, 0));
    let outcome = fixed(many_to_few(), 10.0 * MB);
    println!("10 MB/s: {outcome:?}");
    assert_eq!(outcome.done, None);
    let outcome = fixed(many_to_few(), 30.0 * MB);
    println!("30 MB/s, many to few: {outcome:?}");
    assert!(outcome.done.is_some_and(|done| done > 15_000), "{outcome:?}");
}

#[test]
fn the_formula_of_kafka_kit_ends_and_fills_the_cards() {
    let outcome = kafka_kit(many_to_few());
    println!("kafka-kit: {outcome:?}");
    assert!(outcome.done.is_some(), "{outcome:?}");
    assert!(outcome.full_seconds > 600, "{outcome:?}");
    assert!(outcome.displaced > 1_000.0 * MB, "{outcome:?}");
}

/// One broker sends to another, each with a card of 125 MB/s; clients take this much of each until they end.
fn clients_that_end_at(end_second: i64, taken: f64, tick: Duration) -> Vec<(i64, RateDecision)> {
    let limits = Limits::default().at_every(tick);
    let (mut state, mut decided) = (State::default(), Vec::new());
    let tick = i64::try_from(tick.as_secs()).unwrap();
    for second in (0..end_second + 200).step_by(usize::try_from(tick).unwrap()) {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        // The mean since the last look.
        let part = every_f64(usize::try_from((end_second - second + tick).clamp(0, tick)).unwrap())
            / every_f64(usize::try_from(tick).unwrap());
        let used = ByteRate::of_f64(taken * part);
        let load = Load {
            capacity: Some(Sides { leader: ByteRate(125_000_000), follower: ByteRate(125_000_000) }),
            used: Some(Sides { leader: used, follower: used }),
            at: Some(now),
            ..Load::default()
        };
        let moving = Moving {
            partition: TopicPartition { topic: TopicName::new("t").unwrap(), partition: 0 },
            leader: Some(BrokerId(1)),
            sources: vec![BrokerId(1)],
            followers_in_sync: 0,
            adding: vec![(BrokerId(2), Bytes(900_000_000_000 - 100_000_000 * second.unsigned_abs()))],
            writes: ByteRate(0),
        };
        let brokers = [(BrokerId(1), load.clone()), (BrokerId(2), load)].into();
        let (decision, next) =
            plan(now, &limits, &Snapshot { moving: vec![moving], brokers }, &Overrides::default(), &state);
        state = next;
        decided.extend(decision.rates.into_iter().map(|rate| (second, rate)));
    }
    decided
}

/// `throttle run` looks every 30 s, `reassign execute --throttle auto` every 5 s: both have the law and the pace of these.
#[test]
fn the_rate_is_at_the_ceiling_two_minutes_after_clients_have_ended() {
    for tick in [30, 5, 1].map(Duration::from_secs) {
        for (taken, ends_at) in [(40e6, 600), (70e6, 615), (97e6, 3_600)] {
            let decided = clients_that_end_at(ends_at, taken, tick);
            for (second, rate) in decided.iter().filter(|(second, _)| *second >= ends_at + 120) {
                let is_near = (ByteRate(95_000_000)..=ByteRate(100_000_000)).contains(&rate.rate);
                assert!(is_near, "{tick:?}, {taken} B/s, at {second} s: {rate:?}");
            }
            let before = decided.iter().filter(|(second, _)| *second < ends_at);
            assert!(before.clone().all(|(_, rate)| rate.rate.to_f64() <= 100e6 - taken + 1.0), "{tick:?} {taken}");
            let mut writes: Vec<_> = decided.iter().map(|(_, rate)| (rate.broker, rate.rate)).collect();
            writes.sort_unstable();
            writes.dedup();
            assert!(writes.len() <= 2 * 8, "{tick:?}, {taken} B/s: {writes:?}");
        }
    }
}

/// A destination whose rate its source could not use for a while was lowered, and held at that for half an hour.
#[test]
fn a_rate_that_was_not_used_for_a_while_rises_with_what_can_be_used() {
    let limits = Limits::default();
    let mut state = State::default();
    let mut rates = Vec::new();
    for second in (0..1_200).step_by(30) {
        let mut snapshot = one_move(0, 900_000 - 100 * u64::try_from(second).unwrap());
        let taken = if (300..900).contains(&second) { 95_000_000 } else { 0 };
        for (broker, load) in &mut snapshot.brokers {
            let used = if *broker == BrokerId(1) { taken } else { 0 };
            load.used = Some(Sides { leader: ByteRate(used), follower: ByteRate(used) });
            load.at = Some(at(second));
        }
        let (decision, next) = plan(at(second), &limits, &snapshot, &Overrides::default(), &state);
        state = next;
        let rate = decision.rates.iter().find(|rate| rate.side == Side::Follower).unwrap();
        rates.push((second, rate.rate));
    }
    let rate_at = |second: i64| rates.iter().find(|(at, _)| *at == second).unwrap().1;
    assert_eq!((rate_at(270), rate_at(1_020)), (ByteRate(100_000_000), ByteRate(100_000_000)), "{rates:?}");
    assert!(rate_at(600) < ByteRate(20_000_000), "{rates:?}");
}

/// Whoever takes over knows since when the rates hold: it neither begins at a quarter nor waits with the first rise.
#[test]
fn who_takes_over_a_rate_raises_it_at_once() {
    let own = |rate| Some(OwnRate { set: Some(ByteRate(rate)), ..OwnRate::default() });
    let record = ThrottleRecord {
        changed_at: at(-60).to_string(),
        rates: [
            (BrokerId(1), Sides { leader: own(25_000_000), follower: None }),
            (BrokerId(3), Sides { leader: None, follower: own(25_000_000) }),
        ]
        .into(),
        ..ThrottleRecord::default()
    };
    let mut state = State::adopting(&record, at(0));
    let mut rates = Vec::new();
    for second in [0, 30, 60, 90] {
        let mut snapshot = one_move(0, 900_000);
        for load in snapshot.brokers.values_mut() {
            load.used = Some(Sides::default());
            load.at = Some(at(second));
        }
        let (decision, next) = plan(at(second), &Limits::default(), &snapshot, &Overrides::default(), &state);
        state = next;
        rates.push(decision.rates.iter().map(|rate| rate.rate.0 / 1_000_000).min().unwrap());
    }
    assert_eq!(rates, [59, 93, 100, 100]);
}
