//! What dead runs left open: whichever command comes first on their cluster gives it the outcomes that the cluster shows;
//! others leave it alone, within bounds. On a cluster in memory, and a real one with runs that are killed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::carry_out::Run;
use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kafka::{KafkaError, NewTopic};
use kafka_toolbox::clients::kubernetes::{ObjectName, PodState, Resource, StatefulSet, Strategy, Verb};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::recorders::folder::journals;
use kafka_toolbox::recorders::journal::{Header, Journal, Line};
use uuid::Uuid;

use super::toolbox::assert_each_ended_once;
use crate::clients::kafka::contract::{create, topic};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::clients::kubernetes::twin;
use crate::reassign::bench::{Row, plan};
use crate::reassign::stalled_live::shared;
use crate::support::desk::Desk;
use crate::support::toolbox::{Toolbox, audited};

/// An intent: command, kind, subject, before, after; and its outcome, as the cluster of these tests shows it.
type Left<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, Outcome);

const LIST: &str = "leader.replication.throttled.replicas";
const RATE: &str = "leader.replication.throttled.rate";

/// What runs of every kind may leave open on [`cluster`].
fn left() -> Vec<(Event, Outcome)> {
    use Outcome::{Done, Failed, Unknown};
    let (none, set) = (format!("{RATE}: not set"), format!("{RATE}: 50000000 (50.0 MB/s)"));
    let (list, other) = (format!("{LIST}: 0:1,0:2"), format!("{LIST}: 7:1"));
    let (given, removed) = ("rate: 5 (5 B/s)\nsince: 2026-11-22T08:00:00Z", "all rates: none");
    let rows: [Left<'_>; 15] = [
        ("topics apply", "topics.created", "topic:orders", "", "partitions: 1", Done),
        ("topics apply", "topics.created", "topic:bills", "", "partitions: 1", Failed),
        ("topics apply", "topics.ownership_taken", "topic:orders", "owner: a", "owner: b", Unknown),
        ("topics apply", "topics.apply.started", "cluster:this-one", "", "", Failed),
        ("reassign execute", "reassign.move_started", "partition:orders-0", "replicas: [2,1]", "replicas: [1,2]", Done),
        (
            "reassign cancel",
            "reassign.move_cancelled",
            "partition:orders-0",
            "replicas: [3,2]",
            "replicas: [1,2]",
            Done,
        ),
        ("reassign elect", "reassign.leader_elected", "partition:orders-0", "leader: 2", "leader: 1", Done),
        ("reassign elect", "reassign.leader_elected", "partition:orders-0", "leader: 1", "leader: 2", Failed),
        ("throttle set", "throttle.set", "broker:1", &none, &set, Done),
        ("throttle clear", "throttle.released", "broker:1", &set, &none, Failed),
        ("throttle run", "throttle.released", "broker:2", &set, &none, Done),
        ("reassign execute", "throttle.set", "topic:orders", "", &list, Done),
        ("reassign execute", "throttle.set", "topic:orders", "", &other, Failed),
        ("throttle set", "throttle.override_set", "broker:1", "", given, Failed),
        ("throttle clear", "throttle.override_removed", "brokers:all", "", removed, Done),
    ];
    let intent = |(command, kind, subject, before, after, outcome): Left<'_>| {
        let run = run(command, "this-one");
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let event = run.event(kind, subject, Outcome::Planned, subject);
        (Event { before: text(before), after: text(after), ..event }, outcome)
    };
    rows.into_iter().map(intent).collect()
}

/// A run on the cluster of this id, whose name is always the same.
fn run(command: &str, cluster: &str) -> Run {
    let (actor, clock) = ("ann".to_owned(), Timestamp::now as fn() -> Timestamp);
    let (cluster, cluster_id) = ("prod".to_owned(), Some(cluster.to_owned()));
    Run { id: Uuid::now_v7(), cluster, cluster_id, actor, command: command.to_owned(), clock }
}

/// The journal of a run that died after these intents.
fn dies_after(state: &Path, intents: &[Event]) {
    let (run_id, command) = (Uuid::now_v7(), intents[0].command.clone());
    let header = Header { run_id, command, sinks: Vec::new(), open_until: None };
    let journal = Journal::create(&state.join("open"), &run_id.to_string(), &header).unwrap();
    let lines: Vec<_> = intents.iter().map(|intent| Line::Event(Box::new(intent.clone()))).collect();
    journal.append_durably(&lines).unwrap();
}

fn cluster() -> Memory {
    let kafka = Memory::kraft(3).cluster_id("this-one").topic("orders", &[&[1, 2]]).config("orders", LIST, "0:1,0:2");
    kafka.edit(|model| {
        let rates = model.broker_configs.entry(BrokerId(1)).or_default();
        rates.insert(RATE.to_owned(), "50000000".to_owned());
    });
    kafka
}

fn assert_settled(state: &Path, intents: &[(Event, Outcome)], by: &str) {
    let events = audited(state);
    assert_each_ended_once(&events);
    for (intent, expected) in intents {
        let ended = events.iter().find(|event| event.event_id == intent.event_id && !event.is_intent());
        let outcome = ended.map(|event| event.outcome);
        assert_eq!(
            outcome,
            Some(*expected),
            "{by}: {} {}: {:?} {:?}",
            intent.kind,
            intent.subject,
            intent.before,
            intent.after
        );
    }
    assert_eq!(journals(&state.join("open")), Vec::<std::path::PathBuf>::new(), "{by}");
}

#[tokio::test]
async fn whichever_command_comes_first_settles_what_every_command_left_open() {
    let commands: [&[&str]; 5] = [
        &["throttle", "gc", "--yes"],
        &["throttle", "clear", "--yes"],
        &["reassign", "elect", "--all", "--yes"],
        &["reassign", "cancel", "--yes"],
        &["topics", "apply", "--yes", "-f", "spec.yaml"],
    ];
    for command in commands {
        let desk = Desk::new(cluster());
        let state = desk.folder().join("state");
        let spec = desk.declare(&["{name: orders, partitions: 1}"]);
        let intents = left();
        for (intent, _) in &intents {
            dies_after(&state, std::slice::from_ref(intent));
        }
        let command: Vec<_> =
            command.iter().map(|word| if *word == "spec.yaml" { spec.as_str() } else { word }).collect();
        let said = desk.run(&command).await;
        assert_settled(&state, &intents, &command.join(" "));
        assert!(said.err.contains("the cluster shows how 13 of its changes ended"), "{said:#?}");
        let audit = audited(&state).len();
        desk.run(&command).await;
        assert_eq!(audited(&state).len(), audit, "a second run has nothing to settle");
    }
}

#[tokio::test]
async fn what_a_dead_run_left_is_settled_before_the_next_one_changes_the_same() {
    let desk = Desk::new(Memory::kraft(3).cluster_id("this-one"));
    let state = desk.folder().join("state");
    let created = run("topics apply", "this-one").event("topics.created", "topic:orders", Outcome::Planned, "+ orders");
    dies_after(&state, std::slice::from_ref(&created));
    desk.declare(&["{name: orders, partitions: 1, replicationFactor: 2}"]);
    desk.apply(&[]).await;
    // It was not there before this run, which has created it.
    assert_settled(&state, &[(created, Outcome::Failed)], "topics apply");
}

#[tokio::test]
async fn runs_that_cannot_ask_the_cluster_leave_its_changes_open_for_one_that_can() {
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    let intents = left();
    for (intent, _) in &intents {
        dies_after(&state, std::slice::from_ref(intent));
    }
    let waiting = |state: &Path| journals(&state.join("open")).len();
    // A script, a run of another cluster, and one to which this cluster does not answer.
    desk.run(&["events", "send", "--title", "x"]).await;
    assert_eq!(waiting(&state), intents.len() - 1, "only the end of the run as a whole needs no cluster");
    let other = Desk::new(Memory::kraft(1).cluster_id("another"));
    let line = ["throttle", "gc", "--yes", "--state-folder", state.to_str().unwrap()];
    other.run(&line).await;
    let silent = KafkaError::TimedOut { what: "broker 1".to_owned(), after: Duration::from_secs(1) };
    let kafka = cluster().failing(Call::ListReassignments, 2, silent);
    Desk::new(kafka).run(&line).await;
    assert_eq!(waiting(&state), intents.len() - 1);
    desk.run(&["throttle", "gc", "--yes"]).await;
    assert_settled(&state, &intents, "throttle gc");
}

/// Runs `throttle gc` on a cluster that is called like this there, with this state folder.
async fn collect_as(desk: &Desk, name: &str, state: &Path) {
    let file = desk.folder().join("toolbox.yaml");
    std::fs::write(&file, format!("clusters: {{{name}: {{bootstrapServers: memory:1}}}}\n")).unwrap();
    let place =
        ["--toolbox-file", file.to_str().unwrap(), "--cluster", name, "--state-folder", state.to_str().unwrap()];
    let said = desk.run(&[&["throttle", "gc", "--yes"], &place[..]].concat()).await;
    assert_eq!(said.exit, Exit::Done, "{said:#?}");
}

#[tokio::test]
async fn a_cluster_of_the_same_name_is_never_asked_about_the_changes_of_another() {
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    let created = run("topics apply", "this-one").event("topics.created", "topic:orders", Outcome::Planned, "+ orders");
    assert_eq!(created.cluster, "prod");
    dies_after(&state, std::slice::from_ref(&created));
    // It has no such topic, and would say that it was not created.
    let namesake = Desk::new(Memory::kraft(1).cluster_id("another"));
    collect_as(&namesake, "prod", &state).await;
    assert_eq!(journals(&state.join("open")).len(), 1, "{:#?}", audited(&state));
    collect_as(&desk, "prod", &state).await;
    assert_settled(&state, &[(created, Outcome::Done)], "the cluster itself");
}

#[tokio::test]
async fn a_cluster_that_is_called_otherwise_now_is_asked_about_its_own_changes() {
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    let created = run("topics apply", "this-one").event("topics.created", "topic:orders", Outcome::Planned, "+ orders");
    dies_after(&state, std::slice::from_ref(&created));
    collect_as(&desk, "production", &state).await;
    assert_settled(&state, &[(created, Outcome::Done)], "another name");
}

#[tokio::test]
async fn changes_of_an_older_version_which_wrote_no_id_are_asked_of_nobody_and_end_as_unknown() {
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    let left = |hours: i64, cluster: &str| {
        let event = run("topics apply", "").event("topics.created", "topic:orders", Outcome::Planned, "+ orders");
        let time = Timestamp::now() - SignedDuration::from_hours(hours);
        Event { time, cluster: cluster.to_owned(), cluster_id: None, ..event }
    };
    let (young, old) = (left(1, "prod"), left(25, "this-one"));
    for intent in [&young, &old] {
        dies_after(&state, std::slice::from_ref(intent));
    }
    collect_as(&desk, "prod", &state).await;
    assert_eq!(journals(&state.join("open")).len(), 1, "the young one waits");
    let ended: Vec<_> = audited(&state).into_iter().filter(|event| event.outcome == Outcome::Unknown).collect();
    assert_eq!(ended.iter().map(|event| event.event_id).collect::<Vec<_>>(), [old.event_id], "{}", young.event_id);
}

#[tokio::test]
async fn what_was_asked_of_a_run_and_who_owns_a_topic_is_settled_by_the_records() {
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    // `mine` has taken the topic from nobody; its record names it.
    desk.declare(&["{name: orders, partitions: 1}"]);
    desk.apply(&["--owner", "mine"]).await.ends_with(Exit::Done);
    let left = |kind: &str, subject: &str, before: &str, after: &str| {
        let event = run("topics apply", "this-one").event(kind, subject, Outcome::Planned, subject);
        Event { before: Some(before.to_owned()), after: Some(after.to_owned()), ..event }
    };
    let taken = |from: &str, to: &str| {
        left("topics.ownership_taken", "topic:orders", &format!("owner: {from}"), &format!("owner: {to}"))
    };
    let rows = [
        (taken("theirs", "mine"), Outcome::Done),
        (taken("mine", "theirs"), Outcome::Failed),
        (taken("theirs", "nobody"), Outcome::Unknown),
    ];
    for (intent, _) in &rows {
        dies_after(&state, std::slice::from_ref(intent));
    }
    collect_as(&desk, "prod", &state).await;
    assert_settled(&state, &rows, "throttle gc");
}

/// Intents of a dead run on the cluster, with their outcomes.
fn rows<'a>(rows: impl IntoIterator<Item = Left<'a>>) -> Vec<(Event, Outcome)> {
    let one = |(command, kind, subject, before, after, outcome): Left<'_>| {
        let event = run(command, "this-one").event(kind, subject, Outcome::Planned, subject);
        (Event { before: Some(before.to_owned()), after: Some(after.to_owned()), ..event }, outcome)
    };
    rows.into_iter().map(one).collect()
}

#[tokio::test]
async fn pods_and_stateful_sets_that_a_dead_run_changed_are_asked_of_the_api_server_by_whichever_command_comes_next() {
    use Outcome::{Done, Failed};
    let server = Arc::new(twin());
    let named = |name: &str| ObjectName::new("kafka", name);
    let set = StatefulSet { name: named("one"), uid: "u".to_owned(), replicas: 3, ..StatefulSet::default() };
    server.add_stateful_set(StatefulSet { strategy: Strategy::Partition(2), ..set });
    server.add_pod(PodState { name: named("one-1"), uid: "u1".to_owned(), ..PodState::default() });
    let stepped = |ordinal: u32| format!("statefulset: kafka/one\nstatefulset uid: u\npartition: {ordinal}");
    let count = |replicas: u32| format!("statefulset: kafka/one\nstatefulset uid: u\nreplicas: {replicas}");
    let (two, one, four, three) = (stepped(2), stepped(1), count(4), count(3));
    let intents = rows([
        ("rollout run", "rollout.pod_deleted", "pod:kafka/one-0", "uid: u0", "revision: new", Done),
        ("rollout run", "rollout.pod_deleted", "pod:kafka/one-1", "uid: u1", "revision: new", Failed),
        ("rollout run", "rollout.partition_stepped", "pod:kafka/one-2", "uid: u2", &two, Done),
        ("rollout run", "rollout.partition_stepped", "pod:kafka/one-1", "uid: u1", &one, Failed),
        ("ensemble apply", "ensemble.replicas_lowered", "server:4", &four, &three, Done),
        ("ensemble apply", "ensemble.replicas_lowered", "server:3", &three, &count(2), Failed),
    ]);
    let desk = Desk::new(cluster()).in_kubernetes(server.clone());
    let state = desk.folder().join("state");
    for (intent, _) in &intents {
        dies_after(&state, std::slice::from_ref(intent));
    }
    let command = ["throttle", "gc", "--yes", "--events-to", "none"];
    server.set_broken(Verb::Get, Resource::Pods, true);
    desk.run(&command).await.ends_with(Exit::Done);
    assert_eq!(journals(&state.join("open")).len(), 2, "what the API server does not say is left open");
    server.set_broken(Verb::Get, Resource::Pods, false);
    desk.run(&command).await.ends_with(Exit::Done);
    assert_settled(&state, &intents, "throttle gc");
}

#[tokio::test]
async fn changes_of_an_ensemble_and_what_only_the_api_server_knows_are_left_to_a_run_that_can_see_them() {
    use Outcome::Unknown;
    let intents = rows([
        ("ensemble apply", "ensemble.reconfigured", "controller:4", "voter.1: a", "voter.4: b", Unknown),
        ("ensemble leave", "ensemble.declared", "controller:4", "size: 3", "size: 5", Unknown),
        ("rollout run", "rollout.pod_deleted", "pod:kafka/one-0", "uid: u0", "revision: new", Unknown),
    ]);
    let desk = Desk::new(cluster());
    let state = desk.folder().join("state");
    for (intent, _) in &intents {
        dies_after(&state, std::slice::from_ref(intent));
    }
    desk.run(&["throttle", "gc", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(journals(&state.join("open")).len(), intents.len(), "{:#?}", audited(&state));
}

#[tokio::test]
async fn brokers_that_a_dead_roll_stopped_or_started_and_leaders_that_it_elected_are_shown_by_the_cluster() {
    use Outcome::{Done, Failed, Unknown};
    let kafka = cluster();
    kafka.edit(|model| model.stop_broker(3));
    let intents = rows([
        ("rollout run", "rollout.stopped", "broker:3", "", "revision: v2", Done),
        ("rollout run", "rollout.stopped", "broker:1", "", "revision: v2", Unknown),
        ("rollout run", "rollout.started", "broker:1", "", "revision: v2", Done),
        ("rollout run", "rollout.started", "broker:3", "", "revision: v2", Unknown),
        ("rollout run", "rollout.stopped", "controller:101", "", "revision: v2", Unknown),
        ("rollout run", "rollout.leaders_elected", "cluster:prod", "", "broker 1: orders-0", Done),
        ("rollout run", "rollout.leaders_elected", "cluster:prod", "", "broker 2: orders-0", Failed),
    ]);
    let desk = Desk::new(kafka);
    let state = desk.folder().join("state");
    for (intent, _) in &intents {
        dies_after(&state, std::slice::from_ref(intent));
    }
    desk.run(&["throttle", "gc", "--yes"]).await;
    assert_settled(&state, &intents, "throttle gc");
}

#[tokio::test]
async fn nobody_waits_for_ever_for_a_run_that_could_ask() {
    let desk = Desk::new(Memory::kraft(1).cluster_id("another"));
    let state = desk.folder().join("state");
    let created = |hours: i64| {
        let event =
            run("topics apply", "this-one").event("topics.created", "topic:orders", Outcome::Planned, "+ orders");
        Event { time: Timestamp::now() - SignedDuration::from_hours(hours), ..event }
    };
    let (young, old) = (created(23), created(25));
    for intent in [&young, &old] {
        dies_after(&state, std::slice::from_ref(intent));
    }
    desk.run(&["throttle", "gc", "--yes"]).await;
    let ended: Vec<_> = audited(&state).into_iter().filter(|event| event.outcome == Outcome::Unknown).collect();
    assert_eq!(ended.iter().map(|event| event.event_id).collect::<Vec<_>>(), [old.event_id], "{}", young.event_id);
    for _ in 0..100 {
        dies_after(&state, &[created(0)]);
    }
    desk.run(&["throttle", "gc", "--yes"]).await;
    let ended = audited(&state).into_iter().filter(|event| event.outcome == Outcome::Unknown).count();
    assert_eq!((ended, journals(&state.join("open")).len()), (2, 100), "the oldest of more than a hundred");
}

/// A move with a throttle dies before and after each of its batches; then a run of another command comes, which may die
/// while it settles that.
#[test]
fn no_outcome_of_a_killed_move_or_throttle_is_unknown_though_another_command_comes_next() {
    let (cluster, _alone) = shared();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let spec = toolbox.file("spec.yaml", "topics: [{name: outcomes, partitions: 1, replicationFactor: 1}]\n");
    let apply = ["topics", "apply", "-f", &spec, "--yes"];
    let assignment = Some(vec![vec![BrokerId(1)]]);
    wait(create(&kafka, NewTopic { assignment, ..topic("outcomes") }));
    toolbox.run(&apply).ends_with(0);
    let mut at = 1;
    // Rates, lists, the move.
    for (place, dies_again) in [
        ("intents:1", None),
        ("applied:1", Some("recover.unknown:1")),
        ("applied:2", Some("recover.audited:1")),
        ("intents:3", Some("recover.moved:1")),
        ("applied:3", None),
    ] {
        let to = at % 3 + 1;
        let (from, target) = ([at], [to]);
        let rows: [Row<'_>; 1] = [("outcomes", 0, &from, &target, 0)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let line = [
            "reassign",
            "execute",
            &file,
            "--yes",
            "--max-risk",
            "moves-data",
            "--throttle",
            "20MB/s",
            "--beside-others",
        ];
        let killed = toolbox.run_until(place, &line);
        assert_eq!(killed.code, None, "{place}: {killed:#?}");
        if let Some(dies_again) = dies_again {
            let killed = toolbox.run_until(dies_again, &apply);
            assert_eq!(killed.code, None, "{dies_again}: {killed:#?}");
        }
        // While the move runs on, the topic may be shown with both replicas, which is refused.
        let began = Instant::now();
        while toolbox.run(&apply).code != Some(0) {
            assert!(began.elapsed() < Duration::from_mins(1), "{place}: {:#?}", toolbox.run(&apply));
        }
        assert_eq!(toolbox.files("open"), 0, "{place}");
        for (id, outcomes) in toolbox.outcomes() {
            assert_eq!(outcomes.len(), 1, "{place}: side effect {id}: {outcomes:#?}");
            assert_ne!(outcomes[0].outcome, Outcome::Unknown, "{place}: {:#?}", outcomes[0]);
        }
        toolbox.run(&line).ends_with(0);
        at = to;
    }
}
