//! Others decide on real clusters: Kafka's own tool cancels, another person cancels from another machine, a topic is deleted
//! and created again, while an execution of ours runs.

use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::cluster::topic::TopicPartition;

use super::live::{begin_slowly, create, every_side_effect_has_one_outcome, seen};
use crate::clients::kafka::contract::name;
use crate::clients::kafka::live::{PATIENT, open};
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::Toolbox;

/// Longest wait for an end.
const LIMIT: Duration = Duration::from_mins(2);

const ROWS: [Row<'static>; 2] = [("orders", 0, &[1, 2], &[3, 2], 0), ("bills", 0, &[1, 2], &[1, 3], 0)];

/// Takes a running move back with `kafka-reassign-partitions`, as people do.
pub(super) fn cancel_with_kafkas_tool(cluster: &Cluster, toolbox: &Toolbox, (at, to): (&TopicPartition, &[i32])) {
    let partition = serde_json::json!({ "topic": at.topic, "partition": at.partition, "replicas": to });
    let file = serde_json::json!({ "version": 1, "partitions": [partition] }).to_string();
    let file = toolbox.file("cancel.json", &file);
    let line = ["--bootstrap-server", &cluster.bootstrap(), "--cancel", "--reassignment-json-file", &file];
    cluster.tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", &line).unwrap();
}

/// Where a partition is, whatever the order: Kafka gives another one back after a cancel.
fn brokers(kafka: &Live, topic: &str) -> Vec<i32> {
    let mut brokers = seen(kafka, topic, 0).0;
    brokers.sort_unstable();
    brokers
}

/// Lets the execution go on fast; its exit code, and what it said.
fn ends(toolbox: &Toolbox, mut executing: std::process::Child) -> (Option<i32>, String) {
    toolbox.run(&["throttle", "set", "200MB/s"]).ends_with(0);
    let start = Instant::now();
    while executing.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < LIMIT, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = executing.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

fn prepared(kind: Kind) -> (Cluster, Toolbox, String) {
    let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap();
    for topic in ["orders", "bills"] {
        create(&cluster, topic, "1:2");
        fill(&cluster, topic, 10_000, 1_000).unwrap();
    }
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let file = toolbox.file("plan.json", &plan(cluster.id(), &ROWS));
    (cluster, toolbox, file)
}

fn a_cancel_is_respected(kind: Kind) {
    let (cluster, toolbox, file) = prepared(kind);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let executing = begin_slowly(&toolbox, &file, 2);
    let orders = TopicPartition { topic: name("orders"), partition: 0 };
    cancel_with_kafkas_tool(&cluster, &toolbox, (&orders, &[3, 2]));
    let (code, said) = ends(&toolbox, executing);
    assert_eq!(code, Some(1), "{}: {said}", kind.name());
    assert!(said.contains("! partition orders-0: cancelled by somebody else"), "{said}");
    assert_eq!(brokers(&kafka, "orders"), [1, 2], "what they decided stays");
    assert_eq!(seen(&kafka, "bills", 0).0, [1, 3], "the rest goes on");
    let kinds: Vec<_> = toolbox.audit().into_iter().map(|event| event.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "reassign.move_cancelled_by_others"), "{kinds:?}");
    assert!(!kinds.iter().any(|kind| kind == "reassign.execute.completed"), "{kinds:?}");

    let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"];
    let again = toolbox.run(&line).ends_with(0);
    assert!(again.err.contains("left out: 1 move of this plan, cancelled before"), "{again:#?}");
    assert_eq!(brokers(&kafka, "orders"), [1, 2]);
    toolbox.run(&[&line[..], &["--include-cancelled"]].concat()).ends_with(0);
    assert_eq!(seen(&kafka, "orders", 0).0, [3, 2]);
    toolbox.run(&["reassign", "verify"]).ends_with(0);
    every_side_effect_has_one_outcome(&toolbox);
}

#[test]
fn a_cancel_by_kafka_reassign_partitions_is_respected_on_kafka_4_3() {
    a_cancel_is_respected(Kind::Kafka43Kraft);
}

#[test]
fn a_cancel_by_kafka_reassign_partitions_is_respected_on_kafka_3_9_with_zookeeper() {
    a_cancel_is_respected(Kind::Kafka39Zookeeper);
}

/// The execution keeps its lock and its record in a folder that the other person does not have; then its topic goes.
#[test]
fn a_cancel_from_another_state_folder_and_a_topic_that_is_created_again_are_respected() {
    let (cluster, toolbox, file) = prepared(Kind::Kafka43Kraft);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let toolbox = toolbox.with("TOOLBOX_LOCK", "file");
    let executing = begin_slowly(&toolbox, &file, 2);
    let other = Toolbox::new(&cluster.bootstrap()).with("TOOLBOX_LOCK", "file");
    let refused = other.run(&["reassign", "cancel", "--yes"]).ends_with(4);
    assert!(refused.out.contains("under way, not begun from here: 2 moves"), "{refused:#?}");
    other.run(&["reassign", "cancel", "--yes", "--topics", "orders"]).ends_with(0);
    let line = ["--bootstrap-server", &cluster.bootstrap(), "--delete", "--topic", "bills"];
    cluster.tool("org.apache.kafka.tools.TopicCommand", &line).unwrap();
    create(&cluster, "bills", "1:2");
    let (code, said) = ends(&toolbox, executing);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("! partition orders-0: cancelled by somebody else"), "{said}");
    assert!(said.contains("! partition bills-0: its topic was deleted and created again"), "{said}");
    assert_eq!((brokers(&kafka, "orders"), seen(&kafka, "bills", 0).0), (vec![1, 2], vec![1, 2]));
    let again = toolbox.run(&["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"]).ends_with(4);
    assert!(again.out.contains("deleted and created again since the plan was begun: topic bills"), "{again:#?}");
    every_side_effect_has_one_outcome(&toolbox);
}
