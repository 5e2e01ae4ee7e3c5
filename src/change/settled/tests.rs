//! What the cluster shows of the changes of runs that died, kind by kind.

use uuid::Uuid;

use super::{Shown, Subjects, Verdict, is_of_run, settled, settled_by_membership};
use crate::change::carry_out::Run;
use crate::change::event::{Event, Outcome};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::cluster::metadata::Reassignment;
use crate::cluster::throttle::{PresentRate, Sides};
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A topic with the replicas of each partition; the first one leads.
fn topic(topic: &str, partitions: &[&[i32]]) -> Topic {
    let partition = |(partition, replicas): (i32, &&[i32])| Partition {
        partition,
        leader: Some(BrokerId(replicas[0])),
        replicas: ids(replicas),
        isr: ids(replicas),
        offline: vec![],
    };
    Topic { name: name(topic), internal: false, id: None, partitions: (0..).zip(partitions).map(partition).collect() }
}

fn shown(topics: &[Topic]) -> Shown {
    Shown { topics: topics.iter().map(|topic| (topic.name.clone(), topic.clone())).collect(), ..Shown::default() }
}

fn intent(command: &str, (kind, subject): (&str, &str), (before, after): (&str, &str)) -> Event {
    let run = Run {
        id: Uuid::nil(),
        cluster: "main".to_owned(),
        actor: "user:ann".to_owned(),
        command: command.to_owned(),
        clock: || jiff::Timestamp::UNIX_EPOCH,
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Event { before: text(before), after: text(after), ..run.event(kind, subject, Outcome::Planned, "") }
}

/// How it ended; none where the cluster shows neither.
fn outcome(verdict: Verdict) -> Option<Outcome> {
    match verdict {
        Verdict::Ended(ended) => Some(ended.outcome),
        Verdict::NotShown => None,
        Verdict::NotAsked => panic!("everything was asked"),
    }
}

#[test]
fn changes_of_topics_are_settled_where_the_topics_show_them() {
    use Outcome::{Done, Failed};
    let mut shown = shown(&[topic("orders", &[&[1, 2], &[1, 2], &[2, 1]])]);
    let entry = |key: &str, value: &str, source| ConfigEntry {
        name: key.to_owned(),
        value: Some(value.to_owned()),
        source,
        sensitive: false,
        read_only: false,
    };
    let entries = vec![
        entry("retention.ms", "1000", ConfigSource::Topic),
        entry("segment.ms", "604800000", ConfigSource::Default),
    ];
    shown.configs.insert(name("orders"), entries);
    let cases = [
        ("topics.created", "orders", "", "partitions: 3", Some(Done)),
        ("topics.created", "bills", "", "partitions: 3", Some(Failed)),
        ("topics.deleted", "bills", "partitions: 1", "", Some(Done)),
        ("topics.deleted", "orders", "partitions: 3", "", Some(Failed)),
        ("topics.partitions_increased", "orders", "partitions: 1", "partitions: 3", Some(Done)),
        ("topics.partitions_increased", "orders", "partitions: 3", "partitions: 5", Some(Failed)),
        ("topics.partitions_increased", "bills", "partitions: 3", "partitions: 5", None),
        ("topics.moves_planned", "orders", "replication factor: 1", "replication factor: 2", Some(Done)),
        ("topics.config_changed", "orders", "retention.ms: default", "retention.ms: 1000", Some(Done)),
        ("topics.config_changed", "orders", "retention.ms: 1000", "retention.ms: 7", Some(Failed)),
        ("topics.config_changed", "orders", "segment.ms: 7", "segment.ms: default", Some(Done)),
        ("topics.config_changed", "orders", "retention.ms: 5", "retention.ms: 7", None),
        ("topics.config_changed", "orders", "cleanup.policy: a", "cleanup.policy: b", None),
        ("topics.ownership_taken", "orders", "owner: a", "owner: b", None),
    ];
    for (kind, topic, before, after, expected) in cases {
        let intent = intent("topics apply", (kind, &format!("topic:{topic}")), (before, after));
        assert_eq!(outcome(settled(&intent, &shown)), expected, "{kind} {topic} {before} -> {after}");
    }
}

/// How an intent about `orders-0` ended, whose replicas are these now; `to` is where it moves.
fn moved((kind, before, after): (&str, &str, &str), now: &[i32], to: Option<&[i32]>) -> Option<Outcome> {
    let mut shown = shown(&[topic("orders", &[now])]);
    if let Some(to) = to {
        let adding = ids(to).into_iter().filter(|one| !ids(now).contains(one)).collect::<Vec<_>>();
        let removing = ids(now).into_iter().filter(|one| !ids(to).contains(one)).collect::<Vec<_>>();
        let replicas = [ids(to), removing.clone()].concat();
        let key = TopicPartition { topic: name("orders"), partition: 0 };
        shown.moves.insert(key, Reassignment { replicas, adding, removing });
    }
    outcome(settled(&intent("reassign cancel", (kind, "partition:orders-0"), (before, after)), &shown))
}

#[test]
fn moves_cancels_and_elections_are_settled_where_the_partitions_show_them() {
    use Outcome::{Done, Failed};
    let begun = ("reassign.move_started", "replicas: [1,2]", "replicas: [3,1]");
    assert_eq!(moved(begun, &[3, 1], None), Some(Done));
    assert_eq!(moved(begun, &[1, 2], Some(&[3, 1])), Some(Done), "it is under way");
    assert_eq!(moved(begun, &[1, 2], None), Some(Failed));
    assert_eq!(moved(begun, &[1, 2], Some(&[4, 5])), None, "somebody else moves it");
    assert_eq!(moved(begun, &[4, 5], None), None);
    let cancelled = ("reassign.move_cancelled", "replicas: [3,1]", "replicas: [1,2]");
    assert_eq!(moved(cancelled, &[1, 2], None), Some(Done));
    assert_eq!(moved(cancelled, &[2, 1], None), Some(Done), "KRaft gives them back in another order");
    assert_eq!(moved(cancelled, &[1, 2], Some(&[3, 1])), Some(Failed));
    assert_eq!(moved(cancelled, &[3, 1], None), None, "it ended by itself, before or after");
    let of_order = ("reassign.move_cancelled", "replicas: [2,1]", "replicas: [1,2]");
    assert_eq!(moved(of_order, &[2, 1], None), None, "the same brokers before and after");
    let restored = ("reassign.order_restored", "replicas: [2,1]", "replicas: [1,2]");
    assert_eq!((moved(restored, &[1, 2], None), moved(restored, &[2, 1], None)), (Some(Done), Some(Failed)));
    for kind in ["reassign.leader_elected", "reassign.unclean_leader_elected"] {
        let elected = (kind, "leader: 2", "leader: 1");
        assert_eq!((moved(elected, &[1, 2], None), moved(elected, &[2, 1], None)), (Some(Done), Some(Failed)));
    }
}

#[test]
fn a_rate_is_settled_by_its_broker_and_waits_for_one_that_is_away() {
    let lines =
        ("leader.replication.throttled.rate: not set", "leader.replication.throttled.rate: 50000001 (50.0 MB/s)");
    let set = intent("throttle set", ("throttle.set", "broker:1"), lines);
    let with = |rate| {
        let mut shown = Shown::default();
        shown.throttles.rates.insert(BrokerId(1), Sides { leader: rate, follower: PresentRate::Unset });
        settled(&set, &shown)
    };
    assert_eq!(outcome(with(PresentRate::Set(crate::cluster::size::ByteRate(50_000_001)))), Some(Outcome::Done));
    assert_eq!(outcome(with(PresentRate::Unset)), Some(Outcome::Failed));
    assert_eq!(outcome(with(PresentRate::Set(crate::cluster::size::ByteRate(50_000_000)))), None, "somebody else's");
    assert_eq!(outcome(with(PresentRate::Hidden)), None, "Kafka before 2.6 does not tell");
    assert_eq!(settled(&set, &Shown::default()), Verdict::NotAsked);
}

#[test]
fn lists_go_with_their_topic_and_what_cannot_be_read_is_not_shown() {
    let list = "leader.replication.throttled.replicas";
    let removed = intent("throttle clear", ("throttle.released", "topic:t"), (&format!("{list}: 0:1,0:2"), ""));
    let mut gone = Shown::default();
    gone.throttles.gone.insert(name("t"));
    assert_eq!(outcome(settled(&removed, &gone)), Some(Outcome::Done));
    assert_eq!(outcome(settled(&removed, &Shown::default())), None);
    let mut there = Shown::default();
    there.throttles.lists.insert(name("t"), Sides::default());
    for text in ["", "0-1", "… 3 more", "(whole"] {
        let odd = intent("throttle clear", ("throttle.released", "topic:t"), (&format!("{list}: {text}"), ""));
        assert_eq!(outcome(settled(&odd, &there)), None, "{text}");
    }
}

#[test]
fn only_what_the_intents_are_about_is_looked_at() {
    let topics = intent("topics apply", ("topics.created", "topic:a"), ("", "partitions: 1"));
    let subjects = Subjects::of([&topics]);
    assert_eq!((subjects.topics.len(), subjects.configs.len(), subjects.moves), (1, 0, false));
    let config = intent("topics apply", ("topics.config_changed", "topic:a"), ("a.key: 1", "a.key: 2\nb.key: 3"));
    let subjects = Subjects::of([&config]);
    assert_eq!(subjects.config_keys.into_iter().collect::<Vec<_>>(), ["a.key", "b.key"]);
    let script = intent("events send", ("deploy.begun", "topic:a"), ("", ""));
    assert!(Subjects::of([&script]).is_empty());
    let moves = intent("reassign execute", ("reassign.move_started", "partition:a-b-7"), ("", ""));
    let subjects = Subjects::of([&moves]);
    assert_eq!((subjects.topics.first().unwrap().as_str(), subjects.moves), ("a-b", true));
}

#[test]
fn the_intents_of_a_run_as_a_whole_are_no_changes() {
    let is_of_run = |command, kind| is_of_run(&intent(command, (kind, "cluster:main"), ("", "")));
    assert!(is_of_run("topics apply", "topics.apply.started") && is_of_run("throttle set", "command.executed"));
    assert!(!is_of_run("reassign execute", "reassign.move_started"));
}

#[test]
fn the_present_members_show_whether_a_change_of_the_membership_was_made() {
    let (before, after) =
        ("server.1: a:1:2:participant;3\nversion: 1", "server.1: a:1:2:participant;3\nserver.2: b:1:2;3");
    let change = intent("ensemble apply", ("ensemble.reconfigured", "server:2"), (before, after));
    let shows = |members: &str| outcome(settled_by_membership(&change, members));
    assert_eq!(shows("server.2: b:1:2;3\nserver.1: a:1:2:participant;3"), Some(Outcome::Done));
    assert_eq!(shows("server.1: a:1:2:participant;3"), Some(Outcome::Failed));
    assert_eq!(shows("server.9: a:1:2:participant;3"), None, "somebody else changed it");
    let declared = intent("ensemble join", ("ensemble.declared", "server:2"), (before, after));
    assert_eq!(outcome(settled_by_membership(&declared, before)), None);
}
