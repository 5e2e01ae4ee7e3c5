//! "100 % in sync": strict, then latched; what is excused; what is named.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::cluster::broker::BrokerId;
use crate::cluster::in_sync::{Excuse, Lack, Replicas};
use crate::cluster::reaction::Reaction;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::probe::verdict::kafka::{Channel, LOOKS, Look, Memory, Next, Seen, Terms, ready};
use crate::commands::probe::verdict::{State, Verdict};

const ME: BrokerId = BrokerId(3);
const TERMS: Terms = Terms { looks: LOOKS, strict_max: Duration::from_mins(30) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn fresh() -> Memory {
    Memory::new("1@2@boot".to_owned(), ME, at(0))
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition { topic: TopicName::new(topic).unwrap(), partition: 0 }
}

/// What is seen of a broker with ten replicas that lacks these topics.
fn lacks(topics: &[&str]) -> Look {
    let named: Vec<_> = topics.iter().map(|name| (partition(name), Lack::Behind { leader: BrokerId(1) })).collect();
    Look {
        seen_by: BrokerId(1),
        is_listed: true,
        lists_itself: true,
        replicas: Replicas { hosted: 10, missing: named.len(), named, ..Replicas::default() },
        channel: Channel::Works,
        moves_unseen: None,
        image: Some(100),
        other_image: Some(100),
    }
}

fn judge(memory: Memory, look: Look, second: i64) -> (Verdict, Memory) {
    ready(memory, &Seen::Strict(Box::new(look)), TERMS, at(second))
}

fn port(reaction: Reaction) -> Seen {
    Seen::Latched { reaction, channel: Channel::Works }
}

#[test]
fn a_strict_phase_that_began_in_the_future_begins_now() {
    let kept = Memory { since: at(86_400), ready_since: Some(at(86_400)), ..fresh() };
    let memory = Memory::or_new(Some(kept), "1@2@boot".to_owned(), ME, at(5));
    assert_eq!((memory.since, memory.ready_since), (at(5), Some(at(86_400))), "what is latched stays latched");
    assert_eq!(Memory::or_new(Some(fresh()), "1@2@boot".to_owned(), ME, at(5)).since, at(0));
}

#[test]
fn a_broker_is_ready_when_nothing_is_missing_in_two_looks_and_then_latched() {
    let (verdict, memory) = judge(fresh(), lacks(&["a", "b", "c", "d"]), 0);
    assert_eq!(verdict.state, State::NotReady);
    let words =
        "4 of 10 replicas are not in sync: a-0 behind leader 1, b-0 behind leader 1, c-0 behind leader 1 and 1 more";
    assert_eq!(verdict.reason, words);
    assert!(matches!(memory.next(), Next::Topics([_, _, _, _])));
    let (verdict, memory) = judge(memory, lacks(&[]), 10);
    assert_eq!(verdict.reason, "broker 3 is in sync: 10 of 10 replicas; that was look 1 of 2");
    assert_eq!((verdict.state, memory.next()), (State::NotReady, Next::Everything));
    let (verdict, memory) = judge(memory, lacks(&[]), 20);
    assert_eq!((verdict.state, memory.next()), (State::Ready, Next::Port));
    let (verdict, after) = ready(memory.clone(), &port(Reaction::Answered), TERMS, at(30));
    assert_eq!((verdict.state, &after), (State::Ready, &memory));
}

#[test]
fn one_incomplete_look_between_two_complete_ones_begins_the_count_anew() {
    let (_, memory) = judge(fresh(), lacks(&[]), 0);
    let (_, memory) = judge(memory, lacks(&["a"]), 10);
    let (verdict, memory) = judge(memory, lacks(&[]), 20);
    assert_eq!(verdict.state, State::NotReady);
    assert_eq!(judge(memory.clone(), lacks(&[]), 30).0.state, State::Ready);
    let (_, memory) = ready(memory, &Seen::NoAnswer("silent".to_owned()), TERMS, at(30));
    assert_eq!(judge(memory, lacks(&[]), 40).0.state, State::NotReady);
}

#[test]
fn a_latched_broker_stays_ready_while_its_port_is_open_and_begins_anew_with_its_process() {
    let latched = Memory { ready_since: Some(at(0)), ..fresh() };
    for open in [Reaction::Answered, Reaction::HungUp, Reaction::OtherAnswer, Reaction::Silent] {
        assert_eq!(ready(latched.clone(), &port(open), TERMS, at(9)).0.state, State::Ready);
    }
    let closed = port(Reaction::Refused("refused".to_owned()));
    assert_eq!(ready(latched.clone(), &closed, TERMS, at(9)).0.state, State::NotReady);
    let again = Memory::or_new(Some(latched.clone()), "7@9@boot".to_owned(), ME, at(50));
    assert_eq!((again.ready_since, again.since), (None, at(50)));
    let other = Memory::or_new(Some(latched.clone()), latched.start.clone(), BrokerId(4), at(50));
    assert_eq!(other.ready_since, None, "the file was another broker's");
    assert_eq!(Memory::or_new(Some(latched.clone()), latched.start.clone(), ME, at(50)), latched);
}

#[test]
fn what_is_excused_does_not_keep_a_broker_from_being_ready_and_is_named() {
    let waits = Excuse::WaitsFor { brokers: vec![BrokerId(2)] };
    let named_excused = vec![(partition("a"), Excuse::Adding), (partition("b"), waits)];
    let replicas = Replicas { hosted: 10, excused: 2, named_excused, ..Replicas::default() };
    let look = || Look { replicas: replicas.clone(), ..lacks(&[]) };
    let (_, memory) = judge(fresh(), look(), 0);
    let (verdict, _) = judge(memory, look(), 10);
    assert_eq!(verdict.state, State::Ready);
    let words = "broker 3 is in sync: 8 of 10 replicas; not waited for: a-0 added by a running move, b-0 without a leader, \
                 waits for 2";
    assert_eq!(verdict.reason, words);
}

#[test]
fn a_broker_that_hosts_nothing_is_ready_once_it_is_registered() {
    let nothing = |is_listed| Look { replicas: Replicas::default(), is_listed, ..lacks(&[]) };
    let (verdict, memory) = judge(fresh(), nothing(false), 0);
    assert!(verdict.reason.contains("broker 1 does not list it"), "{}", verdict.reason);
    let (_, memory) = judge(memory, nothing(true), 10);
    let (verdict, _) = judge(memory, nothing(true), 20);
    assert_eq!((verdict.state, verdict.reason.as_str()), (State::Ready, "broker 3 is registered and hosts nothing"));
}

#[test]
fn a_broker_whose_channel_to_the_controller_hangs_is_named_in_both_phases() {
    let hangs = Channel::Hangs("no answer in time".to_owned());
    let look = Look { channel: hangs.clone(), ..lacks(&[]) };
    let (verdict, _) = judge(fresh(), look, 0);
    assert_eq!(verdict.state, State::NotReady);
    let words = "broker 3 answers metadata, but gets no answer from the controller: no answer in time";
    assert_eq!(verdict.reason, words);
    let latched = Memory { ready_since: Some(at(0)), ..fresh() };
    let seen = Seen::Latched { reaction: Reaction::Answered, channel: hangs };
    let (verdict, _) = ready(latched, &seen, TERMS, at(9));
    assert_eq!(verdict.state, State::Ready);
    assert!(verdict.reason.ends_with("but it gets no answer from the controller: no answer in time"));
}

#[test]
fn metadata_that_stand_still_while_another_brokers_move_on_are_named() {
    let look = |image, other| Look { image: Some(image), other_image: Some(other), ..lacks(&[]) };
    let (_, memory) = judge(fresh(), look(100, 100), 0);
    let (verdict, _) = judge(memory.clone(), look(100, 140), 10);
    assert_eq!(verdict.state, State::NotReady);
    assert!(verdict.reason.ends_with("its metadata is at offset 100, that of broker 1 at 140"), "{}", verdict.reason);
    assert_eq!(judge(memory.clone(), look(100, 140), 2).0.state, State::Ready, "a moment behind");
    assert_eq!(judge(memory.clone(), look(130, 140), 10).0.state, State::Ready, "it moves");
    let unseen = Look { image: None, other_image: None, ..lacks(&[]) };
    assert_eq!(judge(memory, unseen, 10).0.state, State::Ready, "ZooKeeper mode does not tell");
}

#[test]
fn after_thirty_minutes_it_is_degraded_and_still_not_ready() {
    let look = Look { moves_unseen: Some("the controller does not answer".to_owned()), ..lacks(&["a"]) };
    let (verdict, memory) = judge(fresh(), look.clone(), 1_799);
    assert_eq!(verdict.state, State::NotReady);
    let (verdict, _) = judge(memory.clone(), look, 1_860);
    assert_eq!(verdict.state, State::ReadyDegraded);
    assert!(!verdict.state.passes());
    assert!(verdict.reason.starts_with("not in sync for 31 min: 1 of 10 replicas"), "{}", verdict.reason);
    assert!(verdict.reason.contains("running moves can't be seen"), "{}", verdict.reason);
    let (verdict, _) = ready(memory, &Seen::NoAnswer("silent".to_owned()), TERMS, at(1_860));
    assert_eq!(verdict.state, State::ReadyDegraded);
}

#[test]
fn topics_that_are_remembered_are_bounded() {
    let names: Vec<_> = (0..90).map(|number| format!("t{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (_, memory) = judge(fresh(), lacks(&names), 0);
    assert!(matches!(memory.next(), Next::Topics(topics) if topics.len() == 20));
}

#[derive(Debug, Clone)]
enum Step {
    Complete,
    Incomplete,
    Silent,
    Hangs,
    Unlisted,
    Restarted,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Complete),
        1 => Just(Step::Incomplete),
        1 => Just(Step::Silent),
        1 => Just(Step::Hangs),
        1 => Just(Step::Unlisted),
        1 => Just(Step::Restarted),
    ]
}

proptest! {
    /// Whatever happens: it becomes ready only after two complete looks since the process started, and stays so until a
    /// restart; a memory survives being written and read.
    #[test]
    fn histories_keep_the_laws(steps in proptest::collection::vec(step(), 0..40)) {
        let (mut memory, mut complete, mut start) = (fresh(), 0, 0);
        for (second, step) in (0..).step_by(10).zip(steps) {
            if matches!(step, Step::Restarted) {
                start += 1;
                complete = 0;
            }
            let kept = serde_json::from_slice(&serde_json::to_vec(&memory).unwrap()).unwrap();
            prop_assert_eq!(&kept, &memory);
            memory = Memory::or_new(Some(kept), format!("{start}"), ME, at(second));
            let was_ready = memory.ready_since.is_some();
            let seen = match (was_ready, &step) {
                (true, Step::Silent) => port(Reaction::Silent),
                (true, _) => port(Reaction::Answered),
                (false, Step::Silent) => Seen::NoAnswer("silent".to_owned()),
                (false, Step::Incomplete) => Seen::Strict(Box::new(lacks(&["a"]))),
                (false, Step::Hangs) => Seen::Strict(Box::new(Look { channel: Channel::Hangs(String::new()), ..lacks(&[]) })),
                (false, Step::Unlisted) => Seen::Strict(Box::new(Look { is_listed: false, ..lacks(&[]) })),
                (false, Step::Complete | Step::Restarted) => Seen::Strict(Box::new(lacks(&[]))),
            };
            complete = if matches!(&seen, Seen::Strict(look) if look.replicas.is_complete() && look.is_listed && look.channel == Channel::Works) { complete + 1 } else { 0 };
            let (verdict, after) = ready(memory, &seen, TERMS, at(second));
            prop_assert_eq!(verdict.state == State::Ready, was_ready || complete >= 2);
            prop_assert!(!verdict.reason.is_empty() && !verdict.reason.contains('\n'));
            memory = after;
        }
    }
}
