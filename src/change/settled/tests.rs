//! What the cluster shows of the changes of runs that died, kind by kind.

use uuid::Uuid;

use super::ensembles::{ShownEnsemble, settled_by_ensemble};
use super::identities::{ShownRegistry, settled_by_registry};
use super::rolls::elected_lines;
use super::workloads::{Placed, ShownPod, ShownSet, ShownWorkloads, Workloads, is_of_workload, settled_by_workloads};
use super::{KeptOverrides, Shown, Subjects, Verdict, is_of_run, settled};
use crate::change::carry_out::Run;
use crate::change::event::{Event, Outcome};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::cluster::metadata::Reassignment;
use crate::cluster::overrides::{Override, Overrides};
use crate::cluster::size::ByteRate;
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
        cluster_id: Some("main-id".to_owned()),
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
    assert_eq!(outcome(with(PresentRate::Set(ByteRate(50_000_001)))), Some(Outcome::Done));
    assert_eq!(outcome(with(PresentRate::Unset)), Some(Outcome::Failed));
    assert_eq!(outcome(with(PresentRate::Set(ByteRate(50_000_000)))), None, "somebody else's");
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
fn ownership_is_settled_by_the_records_of_the_owners() {
    use Outcome::{Done, Failed};
    let taken =
        intent("topics apply", ("topics.ownership_taken", "topic:orders"), ("owner: a, b, c, d", "owner: to, me"));
    assert_eq!(settled(&taken, &Shown::default()), Verdict::NotAsked, "the records can't be read");
    let with = |owners: &[&str]| {
        let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
        let owners = Some([(name("orders"), owners)].into());
        outcome(settled(&taken, &Shown { owners, ..Shown::default() }))
    };
    assert_eq!(with(&["to, me"]), Some(Done));
    assert_eq!(with(&["a"]), Some(Failed), "it died before it wrote anything");
    assert_eq!(with(&["b, c", "to, me"]), Some(Failed), "a name with a comma is still a former owner");
    assert_eq!(with(&["another", "to, me"]), Some(Done), "whoever took it later is no former owner");
    assert_eq!(with(&["another"]), None, "somebody else took it since");
    assert_eq!(with(&[]), None);
}

#[test]
fn a_rate_that_somebody_gave_is_settled_by_the_record_of_such_rates() {
    use Outcome::{Done, Failed};
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let given = |second: i64| Override {
        rate: ByteRate(5_000_000),
        since: at(second),
        until: None,
        autoremove: false,
        has_applied: false,
        by: "ann".to_owned(),
    };
    let ask = |kind: &str, subject: &str, after: &str| {
        let intent = intent("throttle set", (kind, subject), ("", after));
        Event { time: at(1_000), ..intent }.cleaned()
    };
    let with = |intent: &Event, cluster: Option<i64>, broker: Option<i64>, saved: Option<i64>| {
        let brokers = broker.map(|second| (BrokerId(1), given(second))).into_iter().collect();
        let value = Overrides { cluster: cluster.map(given), brokers };
        let kept = KeptOverrides { value, saved_at: saved.map(at) };
        outcome(settled(intent, &Shown { overrides: Some(kept), ..Shown::default() }))
    };
    let set = ask("throttle.override_set", "broker:1", &given(1_000).lines());
    assert_eq!(settled(&set, &Shown::default()), Verdict::NotAsked, "the record can't be read");
    assert_eq!(with(&set, None, Some(1_000), Some(1_000)), Some(Done));
    assert_eq!(with(&set, Some(1_000), Some(900), Some(900)), Some(Failed), "the one before it still holds");
    assert_eq!(with(&set, None, Some(1_100), Some(1_100)), None, "a later one holds");
    assert_eq!(with(&set, None, None, None), Some(Failed), "there was never a record");
    assert_eq!(with(&set, None, None, Some(900)), Some(Failed), "nobody wrote anything since");
    assert_eq!(with(&set, None, None, Some(990)), None, "clocks may differ by so much");
    assert_eq!(with(&set, None, None, Some(1_100)), None, "it may have ended since");
    let of_all = ask("throttle.override_set", "brokers:all", &given(1_000).lines());
    assert_eq!(with(&of_all, Some(1_000), None, Some(1_000)), Some(Done));
    let removed = |subject: &str, key: &str| ask("throttle.override_removed", subject, &format!("{key}: none"));
    let (one, every) = (removed("broker:1", "rate"), removed("brokers:all", "rate"));
    assert_eq!(with(&one, Some(900), None, Some(1_000)), Some(Done));
    assert_eq!(with(&one, None, Some(900), Some(900)), Some(Failed));
    assert_eq!(with(&one, None, Some(1_100), Some(1_100)), None, "it was given again");
    assert_eq!(with(&every, None, Some(900), Some(1_000)), Some(Done));
    let single = removed("brokers:all", "rates of single brokers");
    assert_eq!(with(&single, Some(900), None, Some(1_000)), Some(Done));
    assert_eq!(with(&single, None, Some(900), Some(900)), Some(Failed));
    let all = removed("brokers:all", "all rates");
    assert_eq!(with(&all, Some(900), None, Some(900)), Some(Failed));
    assert_eq!(with(&all, None, None, Some(1_000)), Some(Done));
    let odd = ask("throttle.override_set", "broker:x", "rate: 1");
    assert_eq!(with(&odd, None, None, None), None);
}

#[test]
fn only_what_the_intents_are_about_is_looked_at() {
    let topics = intent("topics apply", ("topics.created", "topic:a"), ("", "partitions: 1"));
    let subjects = Subjects::of([&topics]);
    assert_eq!((subjects.topics.len(), subjects.configs.len(), subjects.moves), (1, 0, false));
    let config = intent("topics apply", ("topics.config_changed", "topic:a"), ("a.key: 1", "a.key: 2\nb.key: 3"));
    let subjects = Subjects::of([&config]);
    assert_eq!(subjects.config_keys.into_iter().collect::<Vec<_>>(), ["a.key", "b.key"]);
    let rate = intent("throttle set", ("throttle.override_set", "broker:1"), ("", "rate: 1"));
    let owner = intent("topics apply", ("topics.ownership_taken", "topic:a"), ("owner: a", "owner: b"));
    let subjects = Subjects::of([&rate, &owner]);
    assert!(subjects.overrides && subjects.owned_topics.len() == 1);
    assert!(!subjects.is_empty() && !subjects.are_in_cluster(), "the records alone show it: {subjects:?}");
    assert!(Subjects::of([&topics, &rate]).are_in_cluster());
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
    let with = |membership: Option<&str>| ShownEnsemble {
        membership: membership.map(str::to_owned),
        ..ShownEnsemble::default()
    };
    let shows = |members: &str| outcome(settled_by_ensemble(&change, &with(Some(members))).unwrap());
    assert_eq!(shows("server.2: b:1:2;3\nserver.1: a:1:2:participant;3"), Some(Outcome::Done));
    assert_eq!(shows("server.1: a:1:2:participant;3"), Some(Outcome::Failed));
    assert_eq!(shows("server.9: a:1:2:participant;3"), None, "somebody else changed it");
    assert_eq!(settled_by_ensemble(&change, &with(None)), Some(Verdict::NotAsked), "they were not read");
    let written = intent("ensemble prestart", ("ensemble.written", "server:2"), (before, after));
    assert_eq!(settled_by_ensemble(&written, &with(Some(before))), None);
}

#[test]
fn the_node_of_an_ensemble_shows_whether_it_got_its_id() {
    let change = intent("ensemble adopt", ("ensemble.identified", "ensemble:membership"), ("", ""));
    let of = |id: Option<&str>| {
        let shown = ShownEnsemble { id: id.map(str::to_owned), ..ShownEnsemble::default() };
        settled_by_ensemble(&change, &shown).unwrap()
    };
    assert_eq!(outcome(of(Some("main-id"))), Some(Outcome::Done));
    assert_eq!((outcome(of(Some(""))), outcome(of(Some("other")))), (Some(Outcome::Failed), None));
    assert_eq!(of(None), Verdict::NotAsked);
}

#[test]
fn the_record_shows_whether_it_was_written() {
    let settle = |kind: &str, (before, after): (&str, &str), record: Option<&str>| {
        let change = intent("ensemble apply", (kind, "server:2"), (before, after));
        let shown = ShownEnsemble { record: record.map(str::to_owned), ..ShownEnsemble::default() };
        settled_by_ensemble(&change, &shown).unwrap()
    };
    let record = |state: &str, change: &str| format!("size: 3\nserver.2: b:1:2;3 ({state})\nchange: {change}");
    let declared = ("size: 3\nserver.2: b:1:2;3 (a member)", "size: 3\nserver.2: b:1:2;3 (leaving)");
    let state = ("state: a member", "state: leaving");
    for (kind, lines) in [("ensemble.declared", declared), ("ensemble.member_marked", state)] {
        let of = |state: &str| outcome(settle(kind, lines, Some(&record(state, "none"))));
        assert_eq!(of("leaving"), Some(Outcome::Done), "{kind}");
        assert_eq!(of("a member"), Some(Outcome::Failed), "{kind}");
        assert_eq!(of("retired"), None, "{kind}: somebody else wrote it since");
        assert_eq!(settle(kind, lines, None), Verdict::NotAsked, "{kind}: it was not read");
    }
    let forgotten = ("change: PROMOTE of server 2", "change: none");
    let of = |change: &str| outcome(settle("ensemble.change_forgotten", forgotten, Some(&record("joining", change))));
    assert_eq!(of("none"), Some(Outcome::Done));
    assert_eq!(of("PROMOTE of server 2"), Some(Outcome::Failed));
    assert_eq!(of("DROP of server 3"), None);
    let first = ("", declared.0);
    let of = |record: &str| outcome(settle("ensemble.declared", first, Some(record)));
    assert_eq!(of(&record("a member", "none")), Some(Outcome::Done));
    assert_eq!((of(""), of("size: 5")), (Some(Outcome::Failed), None), "no record, and another one");
    let same = (declared.0, declared.0);
    assert_eq!(outcome(settle("ensemble.declared", same, Some(declared.0))), None, "what these lines do not show");
}

/// What the API server shows of StatefulSet `kafka/zk` and of pod `kafka/kafka-1`.
fn workloads(set: Option<ShownSet>, pod: Option<ShownPod>) -> ShownWorkloads {
    let named = |name: &str| Placed { namespace: Some("kafka".to_owned()), name: name.to_owned() };
    ShownWorkloads { sets: [(named("zk"), set)].into(), pods: [(named("kafka-1"), pod)].into() }
}

/// A StatefulSet with uid `u`.
fn set(replicas: u32, partition: Option<u32>) -> ShownSet {
    ShownSet { uid: "u".to_owned(), replicas, partition }
}

/// Replicas of `kafka/zk` that are lowered.
fn lowered(from: u32, to: u32) -> Event {
    let lines = |count: u32| format!("statefulset: kafka/zk\nstatefulset uid: u\nreplicas: {count}");
    intent("ensemble apply", ("ensemble.replicas_lowered", "server:4"), (&lines(from), &lines(to)))
}

proptest::proptest! {
    #[test]
    fn lowered_replicas_are_done_where_there_are_so_many_and_not_done_where_there_are_as_many_as_before(
        from in 1u32..9,
        now in 0u32..9,
    ) {
        let to = from - 1;
        let expected = [(to, Outcome::Done), (from, Outcome::Failed)];
        let expected = expected.into_iter().find(|(count, _)| *count == now).map(|(_, outcome)| outcome);
        let shown = outcome(settled_by_workloads(&lowered(from, to), &workloads(Some(set(now, None)), None)));
        proptest::prop_assert_eq!(shown, expected);
    }
}

#[test]
fn another_stateful_set_of_the_same_name_and_one_that_is_gone_show_nothing_and_one_that_was_not_read_is_left_open() {
    let change = lowered(4, 3);
    assert!(is_of_workload(&change));
    let other = Some(ShownSet { uid: "other".to_owned(), replicas: 3, partition: None });
    for set in [other, None] {
        assert_eq!(settled_by_workloads(&change, &workloads(set, None)), Verdict::NotShown);
    }
    assert_eq!(settled_by_workloads(&change, &ShownWorkloads::default()), Verdict::NotAsked);
    let older = ("statefulset: zk\nreplicas: 4", "statefulset: zk\nreplicas: 3");
    let older = intent("ensemble apply", ("ensemble.replicas_lowered", "server:4"), older);
    let place = Placed { namespace: None, name: "zk".to_owned() };
    assert_eq!(Workloads::of([&older]).sets, [place.clone()].into(), "it is in the namespace of whoever asks");
    let shown = ShownWorkloads { sets: [(place, Some(set(3, None)))].into(), ..ShownWorkloads::default() };
    assert_eq!(outcome(settled_by_workloads(&older, &shown)), Some(Outcome::Done));
}

#[test]
fn a_pod_that_was_replaced_is_known_by_its_uid_and_a_stepped_partition_by_its_ordinal() {
    let deleted = ("uid: old\nnode: n\nrevision: 1", "revision: 2");
    let deleted = intent("rollout run", ("rollout.pod_deleted", "pod:kafka/kafka-1"), deleted);
    let pod = |uid: &str, is_deleting| Some(ShownPod { uid: uid.to_owned(), is_deleting });
    let of = |pod| outcome(settled_by_workloads(&deleted, &workloads(None, pod)));
    assert_eq!([of(None), of(pod("new", false)), of(pod("old", true))], [Some(Outcome::Done); 3]);
    assert_eq!(of(pod("old", false)), Some(Outcome::Failed));
    let lines = "revision: 2\nstatefulset: kafka/zk\nstatefulset uid: u\npartition: 2";
    let stepped =
        intent("rollout run", ("rollout.partition_stepped", "pod:kafka/zk-2"), ("uid: old\nrevision: 1", lines));
    let of = |partition| outcome(settled_by_workloads(&stepped, &workloads(Some(set(4, partition)), None)));
    assert_eq!([of(Some(2)), of(Some(1))], [Some(Outcome::Done); 2]);
    assert_eq!((of(Some(3)), of(None)), (Some(Outcome::Failed), None));
    let older = intent("rollout run", ("rollout.partition_stepped", "pod:kafka/zk-2"), ("uid: old", "revision: 2"));
    assert_eq!(settled_by_workloads(&older, &workloads(Some(set(4, Some(2))), None)), Verdict::NotShown);
    assert!(Workloads::of([&older]).is_empty() && Workloads::of([&deleted, &stepped]).pods.len() == 1);
}

#[test]
fn a_broker_that_is_out_was_stopped_and_one_that_answers_was_started_and_nothing_more_is_certain() {
    let of = |kind: &str, brokers: Option<&[(i32, bool)]>| {
        let brokers = brokers.map(|all| all.iter().map(|(id, answers)| (BrokerId(*id), *answers)).collect());
        let intent = intent("rollout run", (kind, "broker:2"), ("", "revision: v2"));
        assert_eq!(Subjects::of([&intent]).brokers, ids(&[2]).into_iter().collect());
        outcome(settled(&intent, &Shown { brokers, ..Shown::default() }))
    };
    let (stopped, started) = ("rollout.stopped", "rollout.started");
    assert_eq!((of(stopped, Some(&[])), of(started, Some(&[(2, true)]))), (Some(Outcome::Done), Some(Outcome::Done)));
    assert_eq!(of(stopped, Some(&[(2, true)])), None, "it may have been started since");
    assert_eq!(of(stopped, Some(&[(2, false)])), None, "its stop command may still run");
    assert_eq!(of(started, Some(&[(2, false)])), None, "a killed process is registered for a while");
    assert_eq!(of(started, Some(&[])), None, "it may be on its way up");
    assert_eq!((of(stopped, None), of(started, None)), (None, None));
    let server = intent("rollout run", ("rollout.stopped", "server:2"), ("", ""));
    assert!(Subjects::of([&server]).is_empty());
    assert_eq!(outcome(settled(&server, &Shown { brokers: Some([].into()), ..Shown::default() })), None);
}

#[test]
fn an_election_of_a_roll_is_done_where_every_partition_that_is_left_has_its_leader() {
    let partition = |topic: &str, partition| TopicPartition { topic: name(topic), partition };
    let keys = [partition("orders", 0), partition("orders", 1), partition("a.b-c", 0)];
    let lines = elected_lines([BrokerId(1), BrokerId(2), BrokerId(1)].into_iter().zip(&keys)).unwrap();
    assert_eq!(lines, "broker 1: orders-0,a.b-c-0\nbroker 2: orders-1");
    let elected = intent("rollout run", ("rollout.leaders_elected", "cluster:main"), ("", &lines));
    assert_eq!(Subjects::of([&elected]).topics, [name("orders"), name("a.b-c")].into());
    let of = |topics: &[Topic]| outcome(settled(&elected, &shown(topics)));
    let orders = |second: i32| topic("orders", &[&[1, 2], &[second, 3 - second]]);
    assert_eq!(of(&[orders(2), topic("a.b-c", &[&[1]])]), Some(Outcome::Done));
    assert_eq!(of(&[orders(2)]), Some(Outcome::Done), "a topic was deleted since");
    assert_eq!(of(&[orders(1), topic("a.b-c", &[&[1]])]), Some(Outcome::Failed));
    assert_eq!(of(&[]), None);
    let older = intent("rollout run", ("rollout.leaders_elected", "cluster:main"), ("", ""));
    assert_eq!(outcome(settled(&older, &shown(&[orders(2)]))), None);
    let many: Vec<_> = (0..9_000).map(|number| partition("orders", number)).collect();
    assert_eq!(elected_lines(many.iter().map(|key| (BrokerId(1), key))), None, "too long for an event");
}

#[test]
fn an_entry_of_a_registry_is_settled_by_the_same_registry_alone() {
    let place = "ConfigMap kafka/toolbox-brokers-main-map1";
    let after = format!("pod: kafka-1\npod_uid: new\nregistry: {place}");
    let refreshed =
        intent("identity assign", ("identity.refreshed", "broker:1002"), ("pod: kafka-1\npod_uid: old", &after));
    let assigned = intent("identity assign", ("identity.assigned", "broker:1002"), ("", &after));
    let registry = |entry: Option<&str>| ShownRegistry {
        place: place.to_owned(),
        pod_uid: Some("new".to_owned()),
        is_file: false,
        entries: entry.map(|lines| (1002, lines.to_owned())).into_iter().collect(),
    };
    let of = |intent: &Event, shown: &ShownRegistry| outcome(settled_by_registry(intent, Some(shown)).unwrap());
    let (old, new) = ("pod: kafka-1\npod_uid: old", "pod: kafka-1\npod_uid: new");
    assert_eq!(
        (of(&assigned, &registry(Some(new))), of(&assigned, &registry(None))),
        (Some(Outcome::Done), Some(Outcome::Failed))
    );
    assert_eq!(
        (of(&refreshed, &registry(Some(new))), of(&refreshed, &registry(Some(old)))),
        (Some(Outcome::Done), Some(Outcome::Failed))
    );
    assert_eq!(of(&assigned, &registry(Some("pod: kafka-7"))), None, "somebody else has it");
    let open = [
        ShownRegistry { place: "ConfigMap other/toolbox-brokers-main-map1".to_owned(), ..registry(None) },
        ShownRegistry { pod_uid: Some("another".to_owned()), ..registry(None) },
        ShownRegistry { pod_uid: None, ..registry(None) },
    ];
    for shown in &open {
        assert_eq!(settled_by_registry(&assigned, Some(shown)), Some(Verdict::NotAsked), "{shown:?}");
    }
    let file = ShownRegistry { pod_uid: None, is_file: true, ..registry(None) };
    assert_eq!(of(&assigned, &file), Some(Outcome::Failed), "a file of the state folder is one alone");
    assert_eq!(settled_by_registry(&assigned, None), Some(Verdict::NotAsked));
    let written = intent("identity assign", ("identity.written", "broker:1002"), ("", ""));
    assert_eq!(settled_by_registry(&written, Some(&registry(None))), None);
}
