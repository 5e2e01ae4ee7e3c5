//! Who is alive, and what is made of answers that have an age.

use std::time::Duration;

use proptest::prelude::*;

use crate::cluster::reaction::{CpuUse, Reaction};
use crate::commands::probe::verdict::aged::Last;
use crate::commands::probe::verdict::alive::{Tries, alive};
use crate::commands::probe::verdict::{State, Verdict, aged};
use crate::exit::Exit;

fn tries(reactions: &[Reaction], cpu: CpuUse) -> Tries {
    Tries {
        address: "127.0.0.1:9092".to_owned(),
        asked: "ApiVersions",
        expected: "a Kafka broker",
        reactions: reactions.to_vec(),
        cpu,
        age: None,
        startup_window: None,
    }
}

fn frozen() -> CpuUse {
    CpuUse::StoodStill(Duration::from_millis(600))
}

#[test]
fn frozen_fails_and_busy_does_not() {
    let silent = [Reaction::Silent, Reaction::Silent, Reaction::Silent];
    let dead = alive(&tries(&silent, frozen()));
    assert_eq!(dead.state, State::NotAlive);
    assert_eq!(
        dead.reason,
        "127.0.0.1:9092 answered none of 3 ApiVersions, and its process has used no CPU time for 600 ms: it is frozen"
    );
    assert_eq!(alive(&tries(&silent, CpuUse::Grew)).state, State::Alive);
    let full = [Reaction::NotAccepted, Reaction::NotAccepted];
    assert_eq!(alive(&tries(&full, CpuUse::Grew)).state, State::Alive, "its queue of connections is full");
    assert_eq!(alive(&tries(&full, frozen())).state, State::NotAlive);
}

#[test]
fn without_a_process_to_look_at_a_port_that_accepts_is_alive() {
    let unseen = || CpuUse::Unseen("no process".to_owned());
    let accepts = alive(&tries(&[Reaction::Silent, Reaction::Silent], unseen()));
    assert_eq!(accepts.state, State::Alive);
    assert!(accepts.reason.contains("whether it is frozen can't be seen: no process"), "{}", accepts.reason);
    assert_eq!(alive(&tries(&[Reaction::NotAccepted], unseen())).state, State::NotAlive);
}

#[test]
fn a_closed_port_fails_unless_the_process_is_young_and_a_name_that_does_not_resolve_is_unknown() {
    let refused = [Reaction::Refused("connection refused".to_owned())];
    assert_eq!(alive(&tries(&refused, CpuUse::NotLookedAt)).state.exit(), Exit::Unhealthy);
    let window = Some(Duration::from_mins(5));
    let young = |seconds| Tries {
        age: Some(Duration::from_secs(seconds)),
        startup_window: window,
        ..tries(&refused, CpuUse::NotLookedAt)
    };
    assert_eq!(alive(&young(20)).reason, "127.0.0.1:9092 does not listen yet, 20 s after its start; it has 300 s");
    assert_eq!(alive(&young(301)).state, State::NotAlive);
    let unknown = alive(&tries(&[Reaction::NoWay("no such name".to_owned())], CpuUse::NotLookedAt));
    assert_eq!(unknown.state.exit(), Exit::Failed);
}

#[test]
fn whatever_the_process_itself_does_with_a_connection_is_a_sign_of_life() {
    for reaction in [Reaction::Answered, Reaction::OtherAnswer, Reaction::HungUp] {
        let seen = tries(&[Reaction::Silent, reaction.clone()], CpuUse::NotLookedAt);
        assert_eq!(alive(&seen).state, State::Alive, "{reaction:?}");
    }
}

#[test]
fn a_port_that_answers_another_protocol_is_alive_and_said_to_be_no_such_server() {
    let other = alive(&tries(&[Reaction::OtherAnswer], CpuUse::NotLookedAt));
    assert_eq!(other.state, State::Alive);
    assert!(other.reason.contains("its port answers, but not as a Kafka broker"), "{}", other.reason);
}

fn reaction() -> impl Strategy<Value = Reaction> {
    prop_oneof![
        Just(Reaction::Answered),
        Just(Reaction::OtherAnswer),
        Just(Reaction::HungUp),
        Just(Reaction::Silent),
        Just(Reaction::NotAccepted),
        Just(Reaction::Refused("refused".to_owned())),
        Just(Reaction::NoWay("no way".to_owned())),
    ]
}

fn cpu() -> impl Strategy<Value = CpuUse> {
    prop_oneof![
        Just(CpuUse::NotLookedAt),
        Just(CpuUse::Grew),
        Just(frozen()),
        Just(CpuUse::Unseen("hidden".to_owned())),
    ]
}

proptest! {
    /// A process that used CPU time and has a port that accepts is never called dead.
    #[test]
    fn a_process_that_works_behind_an_open_port_is_alive(reactions in proptest::collection::vec(reaction(), 1..5)) {
        let is_open = !matches!(reactions.last(), Some(Reaction::Refused(_) | Reaction::NoWay(_)));
        prop_assert!(!is_open || alive(&tries(&reactions, CpuUse::Grew)).state == State::Alive);
    }

    /// Each verdict explains itself in one line that has something to say.
    #[test]
    fn a_verdict_is_one_line(reactions in proptest::collection::vec(reaction(), 0..5), cpu in cpu()) {
        let verdict = alive(&tries(&reactions, cpu));
        prop_assert!(!verdict.reason.is_empty() && !verdict.reason.contains('\n'));
    }
}

fn last(verdict: &Verdict, age: Duration) -> Last<'_> {
    Last { verdict, age }
}

#[test]
fn an_answer_that_is_too_old_is_not_ready_while_strict_and_stays_as_it_was_while_latched() {
    let (period, old) = (Duration::from_secs(5), Duration::from_secs(16));
    let ready = Verdict::new(State::Ready, "in sync");
    assert_eq!(aged::ready(Some(last(&ready, Duration::from_secs(15))), period, false), ready);
    let strict = aged::ready(Some(last(&ready, old)), period, false);
    assert_eq!((strict.state, strict.reason.as_str()), (State::NotReady, "the last look is 16 s old: in sync"));
    let latched = aged::ready(Some(last(&ready, old)), period, true);
    assert_eq!(latched.state, State::Ready);
    assert!(latched.reason.contains("seen 16 s ago"), "{}", latched.reason);
    assert_eq!(aged::ready(None, period, true).state, State::NotReady);
}

#[test]
fn a_probe_that_hangs_does_not_restart_the_server() {
    let period = Duration::from_secs(5);
    assert_eq!(aged::live(None, period).state, State::Alive);
    let was = Verdict::new(State::Alive, "answers");
    assert_eq!(aged::live(Some(last(&was, Duration::from_hours(1))), period).state, State::Alive);
    let dead = Verdict::new(State::NotAlive, "frozen");
    assert_eq!(aged::live(Some(last(&dead, Duration::from_hours(1))), period).state, State::NotAlive);
}
