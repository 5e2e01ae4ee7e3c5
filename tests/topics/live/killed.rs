//! `topics apply` dies at every boundary of every batch; the next run ends as declared, and the audit log has exactly
//! one outcome for every change.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Configs, Mode, Reassignments};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::config::{ConfigChange, ConfigOperation, ConfigResource};
use kafka_toolbox::cluster::topic::TopicName;
use rustix::process::{Pid, kill_process};

use crate::live::kafka::records::{digest, fill};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::support::toolbox::Toolbox;

/// Creates, partitions, configs, deletes: four batches in this order.
const BATCHES: usize = 4;

/// Where a run can die: before a batch is tried, after it, after it was recorded.
const BOUNDARIES: [&str; 3] = ["intents", "applied", "recorded"];

fn die_everywhere(kind: Kind) {
    for batch in 1..=BATCHES {
        for boundary in BOUNDARIES {
            die_once(kind, boundary, batch);
        }
    }
}

fn die_once(kind: Kind, boundary: &str, batch: usize) {
    let toolbox = Toolbox::new(&Cluster::shared(kind).bootstrap());
    let at = format!("{boundary}:{batch}");
    let prefix = format!("killed-{boundary}-{batch}");
    let before = format!(
        "topics:\n  - {{name: {prefix}-grow, partitions: 1, replicationFactor: 2}}\n  - {{name: {prefix}-set, \
         partitions: 1, replicationFactor: 2, config: {{retention.ms: 1000000}}}}\n  - {{name: {prefix}-gone, \
         partitions: 1, replicationFactor: 2}}\n"
    );
    let after = format!(
        "topics:\n  - {{name: {prefix}-new1, partitions: 2, replicationFactor: 3}}\n  - {{name: {prefix}-new2, \
         partitions: 1, replicationFactor: 2, config: {{segment.ms: 700000}}}}\n  - {{name: {prefix}-grow, partitions: \
         3}}\n  - {{name: {prefix}-set, config: {{retention.ms: 2000000}}}}\n  - {{name: {prefix}-gone, state: absent}}\n"
    );
    let file = toolbox.file("spec.yaml", &before);
    let apply = ["topics", "apply", "-f", &file, "--yes", "--max-risk", "loses-data"];
    toolbox.run(&apply).ends_with(0);
    toolbox.file("spec.yaml", &after);
    let killed = toolbox.run_until(&at, &apply);
    assert_eq!(killed.code, None, "the run dies at {at}: {killed:#?}");
    toolbox.run(&apply).ends_with(0);

    toolbox.is_as_declared(&file);
    every_change_has_one_outcome(&toolbox, &prefix, &at);
}

/// No intent is without an outcome, none has two, none is unknown, since the next run looked at the cluster; and every
/// change that was declared is among those that are done.
fn every_change_has_one_outcome(toolbox: &Toolbox, prefix: &str, at: &str) {
    let mut happened: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "{at}: side effect {id} has {} outcomes: {outcomes:#?}", outcomes.len());
        let event = &outcomes[0];
        assert_ne!(event.outcome, Outcome::Unknown, "{at}: the cluster shows how this ended: {event:#?}");
        if event.outcome == Outcome::Done {
            *happened.entry((event.kind.clone(), event.subject.clone())).or_default() += 1;
        }
    }
    let expected = [
        ("topics.created", "new1"),
        ("topics.created", "new2"),
        ("topics.partitions_increased", "grow"),
        ("topics.config_changed", "set"),
        ("topics.deleted", "gone"),
    ];
    for (kind, name) in expected {
        let key = (kind.to_owned(), format!("topic:{prefix}-{name}"));
        assert!(happened.contains_key(&key), "{at}: {key:?} is lost; there are {happened:#?}");
    }
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_3_9_with_zookeeper() {
    die_everywhere(Kind::Kafka39Zookeeper);
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_3_9_with_kraft() {
    die_everywhere(Kind::Kafka39Kraft);
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_4_3() {
    die_everywhere(Kind::Kafka43Kraft);
}

/// Asks the cluster for something.
fn ask<T>(cluster: &Cluster, question: impl AsyncFnOnce(&Live) -> T) -> T {
    let bootstrap = cluster.bootstrap();
    let given = Given { bootstrap_server: Some(&bootstrap), timeout: Some(Duration::from_mins(1)), ..Given::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { question(&Live::new(Settings::load(None, given).unwrap()).unwrap()).await })
}

/// Holds whatever is copied to a broker back to a crawl, or lets it go.
fn hold(cluster: &Cluster, topic: &str, held: bool) {
    let operation = |value: &str| if held { ConfigOperation::Set(value.to_owned()) } else { ConfigOperation::Delete };
    let change = |resource, key: &str, value: &str| ConfigChange {
        resource,
        operations: [(key.to_owned(), operation(value))].into(),
    };
    let mut changes = vec![change(
        ConfigResource::Topic(TopicName::new(topic).unwrap()),
        "follower.replication.throttled.replicas",
        "*",
    )];
    for broker in 1..=3 {
        let resource = ConfigResource::Broker(BrokerId(broker));
        changes.push(change(resource, "follower.replication.throttled.rate", "1000"));
    }
    ask(cluster, async |kafka| {
        for result in kafka.alter_configs(&changes, Mode::Apply).await {
            result.unwrap();
        }
    });
}

#[test]
fn a_replication_factor_whose_run_was_killed_is_under_way_or_begun_again_and_gets_there() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let spec = |factor| format!("topics:\n  - {{name: heavy, partitions: 2, replicationFactor: {factor}}}\n");
    let file = toolbox.file("spec.yaml", &spec(1));
    let apply = ["topics", "apply", "-f", &file, "--yes", "--max-risk", "moves-data"];
    toolbox.run(&apply).ends_with(0);
    fill(&cluster, "heavy", 20_000, 1_000).unwrap();
    let before = digest(&cluster, "heavy").unwrap();
    hold(&cluster, "heavy", true);
    toolbox.file("spec.yaml", &spec(2));
    let kill = |pid: &Pid| kill_process(*pid, rustix::process::Signal::KILL).unwrap();
    let moving = || ask(&cluster, async |kafka| kafka.reassignments().await.unwrap().len());

    // After the hand-over, before the first move.
    let killed = toolbox.run_and_meanwhile("recorded:1", &apply, kill);
    assert_eq!((killed.code, moving()), (None, 0), "{killed:#?}");
    // The moves were sent.
    let killed = toolbox.run_and_meanwhile("applied:2", &apply, kill);
    assert_eq!((killed.code, moving()), (None, 2), "{killed:#?}");
    let reversible = ["topics", "apply", "-f", &file, "--yes"];
    let again = toolbox.run(&reversible).ends_with(0);
    let words =
        "! topic heavy: replication factor 1 -> 2 is under way: 2 partitions move now; `toolbox reassign status`";
    assert!(again.out.contains(words) && again.lines().last() == Some(&"nothing to do"), "{again:#?}");

    hold(&cluster, "heavy", false);
    let mut last = toolbox.run(&reversible);
    for _ in 0..120 {
        if last.code == Some(0) && last.lines() == ["nothing to do"] {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        last = toolbox.run(&reversible);
    }
    assert_eq!(last.lines(), ["nothing to do"], "{last:#?}");
    assert_eq!(digest(&cluster, "heavy").unwrap(), before, "every record is there");

    hold(&cluster, "heavy", true);
    toolbox.file("spec.yaml", &spec(3));
    a_run_that_is_stopped_while_the_moves_run_is_not_completed(&toolbox, &apply);
    assert_eq!(moving(), 2);
}

/// The whole of `topics apply` has ended when its moves have.
fn a_run_that_is_stopped_while_the_moves_run_is_not_completed(toolbox: &Toolbox, apply: &[&str]) {
    let before = toolbox.audit().len();
    let stop = |pid: &Pid| kill_process(*pid, rustix::process::Signal::TERM).unwrap();
    let stopped = toolbox.run_and_meanwhile("applied:2", apply, stop).ends_with(1);
    let events = toolbox.audit().split_off(before);
    let ends: Vec<_> = events.iter().filter(|event| event.kind.starts_with("topics.apply.")).collect();
    let kinds: Vec<_> = ends.iter().map(|event| (event.kind.as_str(), event.outcome)).collect();
    let expected = [("topics.apply.started", Outcome::Planned), ("topics.apply.stopped", Outcome::Failed)];
    assert_eq!(kinds, expected, "{stopped:#?}");
    assert_eq!(ends[0].event_id, ends[1].event_id, "one side effect");
    assert!(ends[1].reason.as_ref().unwrap().contains("SIGTERM"), "{ends:#?}");
    let place = |kind: &str| events.iter().position(|event| event.kind == kind);
    assert!(place("reassign.execute.stopped") < place("topics.apply.stopped"), "{events:#?}");
}
