//! Laws of the control law, for any cluster.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::cases::at;
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Overrides;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{Side, Sides};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::throttle::plan::flows::{Flow, share};
use crate::commands::throttle::plan::law::{State, plan};
use crate::commands::throttle::plan::limits::{Limits, Policy};
use crate::commands::throttle::plan::pace::{Held, Reason};
use crate::commands::throttle::plan::snapshot::{Load, Moving, Snapshot};

fn rate(most: u64) -> impl Strategy<Value = ByteRate> {
    (0..=most).prop_map(ByteRate)
}

fn some_load() -> impl Strategy<Value = Load> {
    let sides = |most| (rate(most), rate(most)).prop_map(|(leader, follower)| Sides { leader, follower });
    (prop::option::of(sides(300_000_000)), prop::option::of(sides(200_000_000)), sides(50_000_000), -400..=0_i64)
        .prop_map(|(capacity, used, moving, age)| Load { capacity, used, at: Some(at(age)), moving, ..Load::default() })
}

fn some_moving() -> impl Strategy<Value = Vec<Moving>> {
    let one = (0..4_i32, 4..8_i32, 0..3_u32, 0..200_000_000_000_u64, rate(20_000_000));
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let moving =
            |(partition, (leader, to, followers, remaining, writes)): (i32, (i32, i32, u32, u64, ByteRate))| Moving {
                partition: TopicPartition { topic: TopicName::new("t").unwrap(), partition },
                leader: Some(BrokerId(leader)),
                sources: vec![BrokerId(leader)],
                followers_in_sync: followers,
                adding: vec![(BrokerId(to), Bytes(remaining))],
                writes,
            };
        (0..).zip(all).map(moving).collect()
    })
}

fn some_snapshot() -> impl Strategy<Value = Snapshot> {
    let brokers = prop::collection::vec(some_load(), 8)
        .prop_map(|loads| (0..).map(BrokerId).zip(loads).collect::<BTreeMap<_, _>>());
    (some_moving(), brokers).prop_map(|(moving, brokers)| Snapshot { moving, brokers })
}

fn some_limits() -> impl Strategy<Value = Limits> {
    (prop::bool::ANY, prop::option::of(1..100_000_i64)).prop_map(|(protects, deadline)| Limits {
        policy: if protects { Policy::Protect } else { Policy::Progress },
        deadline: deadline.map(at),
        ..Limits::default()
    })
}

fn some_state() -> impl Strategy<Value = State> {
    let rates = prop::collection::vec((rate(300_000_000), -600..0_i64), 0..8)
        .prop_map(|rates| (0..).map(BrokerId).zip(rates).collect::<BTreeMap<_, _>>());
    rates.prop_map(|rates| {
        let hold = |(broker, (rate, since)): (BrokerId, (ByteRate, i64))| {
            Side::BOTH.map(|side| ((broker, side), Held { rate, since: at(since), seen: at(since) }))
        };
        State { held: rates.into_iter().flat_map(hold).collect(), ..State::default() }
    })
}

proptest! {
    /// The rate is at least the floor, or a note names the broker.
    #[test]
    fn no_rate_is_below_the_floor_without_a_word(snapshot in some_snapshot(), limits in some_limits(), state in some_state()) {
        let (decision, _) = plan(at(0), &limits, &snapshot, &Overrides::default(), &state);
        for rate in &decision.rates {
            let is_named = decision.notes.iter().any(|note| note.subject == format!("broker:{}", rate.broker));
            prop_assert!(rate.rate.to_f64() >= rate.floor.to_f64() * 0.95 || is_named, "{rate:?}");
        }
    }

    /// What is decided anew keeps to what clients leave, or to the floor.
    #[test]
    fn a_rate_that_is_set_keeps_to_the_headroom(snapshot in some_snapshot(), state in some_state()) {
        let limits = Limits::default();
        let (decision, _) = plan(at(0), &limits, &snapshot, &Overrides::default(), &state);
        for rate in &decision.rates {
            let Some(ceiling) = rate.ceiling else { continue };
            let most = if rate.reason == Reason::Held { ceiling.to_f64() * 1.21 } else { ceiling.to_f64() };
            prop_assert!(rate.rate.to_f64() <= most.max(rate.floor.to_f64() * 1.06) + 2.0, "{rate:?}");
        }
    }

    /// Asked again at the same moment, it says the same.
    #[test]
    fn asked_twice_it_says_the_same(snapshot in some_snapshot(), limits in some_limits(), state in some_state()) {
        let (first, after) = plan(at(0), &limits, &snapshot, &Overrides::default(), &state);
        let (second, _) = plan(at(0), &limits, &snapshot, &Overrides::default(), &after);
        // What is first set is set once more only where the floor asks for it.
        prop_assert_eq!(first.throttles, second.throttles);
    }

    /// A rate grows by a third of what clients leave or by 5 MB/s at most, or goes to the floor.
    #[test]
    fn rates_rise_slowly(snapshot in some_snapshot(), limits in some_limits(), state in some_state()) {
        let limits = Limits { deadline: None, ..limits };
        let (decision, _) = plan(at(0), &limits, &snapshot, &Overrides::default(), &state);
        for rate in &decision.rates {
            let Some(held) = state.held.get(&(rate.broker, rate.side)) else { continue };
            let step = rate.ceiling.map_or(0.0, |ceiling| ceiling.to_f64() * 0.39).max(5.3e6);
            let most = (held.rate.to_f64() + step).max(rate.floor.to_f64());
            prop_assert!(rate.rate.to_f64() <= most + 2.0, "{rate:?} after {held:?}");
        }
    }

    /// A broker with a faster network does not get less.
    #[test]
    fn more_capacity_is_never_less_rate(snapshot in some_snapshot(), more in 0..200_000_000_u64, broker in 0..8_i32) {
        let limits = Limits::default();
        let (before, _) = plan(at(0), &limits, &snapshot, &Overrides::default(), &State::default());
        let mut faster = snapshot;
        let load = faster.brokers.get_mut(&BrokerId(broker)).unwrap();
        if let Some(capacity) = &mut load.capacity {
            capacity.leader.0 += more;
            capacity.follower.0 += more;
        }
        let (after, _) = plan(at(0), &limits, &faster, &Overrides::default(), &State::default());
        for (before, after) in before.rates.iter().zip(&after.rates).filter(|(before, _)| before.broker == BrokerId(broker)) {
            prop_assert!(after.rate.to_f64() * (1.0 + 1e-6) + 2.0 >= before.rate.to_f64(), "{before:?} {after:?}");
        }
    }

    /// The order of the moves does not matter, and nothing is throttled where nothing moves.
    #[test]
    fn the_order_of_the_input_does_not_matter(snapshot in some_snapshot()) {
        let decide = |snapshot: &Snapshot| plan(at(0), &Limits::default(), snapshot, &Overrides::default(), &State::default()).0;
        let mut turned = snapshot.clone();
        turned.moving.reverse();
        let near = |one: ByteRate, two: ByteRate| (one.to_f64() - two.to_f64()).abs() <= 2.0 + one.to_f64() * 1e-6;
        let (one, two) = (decide(&snapshot), decide(&turned));
        prop_assert_eq!(&one.throttles.lists, &two.throttles.lists);
        for (one, two) in one.rates.iter().zip(&two.rates) {
            prop_assert!(near(one.rate, two.rate), "{one:?} {two:?}");
        }
        prop_assert!(!snapshot.moving.is_empty() || one.throttles.is_empty());
    }

    /// Flows never exceed a budget, none is below 0, and each is held back by one of its ends or has what it wants.
    #[test]
    fn flows_fit_their_budgets_and_use_them_up(
        ends in prop::collection::vec((0..6_usize, 6..12_usize, 1.0..1e9_f64, prop::option::of(0.0..1e8_f64)), 0..30),
        budgets in prop::collection::vec(0.0..1e8_f64, 12),
    ) {
        let flows: Vec<_> = ends
            .into_iter()
            .map(|(from, to, weight, wants)| Flow { from, to, weight, wants: wants.unwrap_or(f64::INFINITY) })
            .collect();
        let rates = share(&flows, &budgets);
        let mut used = BTreeMap::<usize, f64>::new();
        for (flow, rate) in flows.iter().zip(&rates) {
            prop_assert!(*rate >= 0.0 && *rate <= flow.wants * (1.0 + 1e-6) + 1.0);
            *used.entry(flow.from).or_default() += rate;
            *used.entry(flow.to).or_default() += rate;
        }
        for (end, used) in &used {
            prop_assert!(*used <= budgets[*end] * (1.0 + 1e-5) + 1.0);
        }
        let is_full = |end: usize| used[&end] >= budgets[end] * (1.0 - 1e-4) - 10.0;
        for (flow, rate) in flows.iter().zip(&rates) {
            prop_assert!(is_full(flow.from) || is_full(flow.to) || *rate >= flow.wants * (1.0 - 1e-6) - 1.0);
        }
    }
}
