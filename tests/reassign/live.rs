//! `reassign` on real clusters: small data, each way of moving, all that the twin can't know.

use std::process::Child;

use kafka_toolbox::clients::kafka::Cluster as _;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::cluster::metadata::TopicSelection;

use crate::clients::kafka::contract::name;
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::{Writer, digest, fill};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::{Ran, Toolbox};

const KINDS: [Kind; 3] = [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft];

/// A topic with its replicas, made by `topics apply`'s own door: through Kafka's tool.
pub(crate) fn create(cluster: &Cluster, topic: &str, assignment: &str) {
    let arguments =
        ["--bootstrap-server", &cluster.bootstrap(), "--create", "--topic", topic, "--replica-assignment", assignment];
    cluster.tool("org.apache.kafka.tools.TopicCommand", &arguments).unwrap();
}

fn execute(toolbox: &Toolbox, file: &str, more: &[&str]) -> Ran {
    let line = ["reassign", "execute", file, "--yes", "--max-risk", "moves-data"];
    toolbox.run(&[&line[..], more].concat())
}

/// The replicas of a partition and its leader, as a broker shows them.
pub(crate) fn seen(kafka: &Live, topic: &str, partition: usize) -> (Vec<i32>, Option<i32>) {
    let metadata = wait(kafka.metadata(TopicSelection::All)).unwrap();
    let one = &metadata.topics[&name(topic)].partitions[partition];
    (one.replicas.iter().map(|broker| broker.0).collect(), one.leader.map(|broker| broker.0))
}

/// Starts an execution that a throttle keeps from ending, and waits until its moves run.
pub(crate) fn begin_slowly(toolbox: &Toolbox, file: &str, moves: usize) -> Child {
    let line = ["reassign", "execute", file, "--yes", "--max-risk", "moves-data", "--throttle", "1kB/s"];
    let mut executing = toolbox.command(&line).spawn().unwrap();
    let running = format!(" {moves} moving");
    while !toolbox.run(&["reassign", "status", "--sample", "50ms"]).out.contains(&running) {
        assert!(executing.try_wait().unwrap().is_none(), "it runs");
    }
    // Moves may run from before: it has begun once it manages their throttles.
    while !toolbox.run(&["throttle", "set", "1kB/s", "--dry-run"]).out.contains("would be asked for") {
        assert!(executing.try_wait().unwrap().is_none(), "it runs");
    }
    executing
}

pub(super) fn every_side_effect_has_one_outcome(toolbox: &Toolbox) {
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
    }
}

#[test]
fn partitions_move_verified_with_every_record() {
    for kind in KINDS {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap();
        create(&cluster, "orders", "1:2,2:1");
        fill(&cluster, "orders", 20_000, 1_000).unwrap();
        let before = digest(&cluster, "orders").unwrap();
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let rows: [Row<'_>; 2] =
            [("orders", 0, &[1, 2], &[3, 2], 10_000_000), ("orders", 1, &[2, 1], &[1, 3, 2], 10_000_000)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let ran = execute(&toolbox, &file, &["--throttle", "20MB/s"]).ends_with(0);
        assert!(ran.out.ends_with("2 of 2 partitions are as planned\n"), "{}: {ran:#?}", kind.name());
        toolbox.run(&["reassign", "verify"]).ends_with(0);
        assert_eq!(digest(&cluster, "orders").unwrap(), before, "{}", kind.name());
        every_side_effect_has_one_outcome(&toolbox);
    }
}

/// KRaft gives the replicas [2,1] back as [1,2]: what was kept mends it.
#[test]
fn a_cancelled_move_is_back_in_its_order_and_led_as_before() {
    for kind in KINDS {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap();
        create(&cluster, "orders", "2:1,1:2");
        fill(&cluster, "orders", 20_000, 1_000).unwrap();
        let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
        let rows: [Row<'_>; 2] = [("orders", 0, &[2, 1], &[3], 0), ("orders", 1, &[1, 2], &[3, 1], 0)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let mut executing = begin_slowly(&toolbox, &file, 2);
        let cancelled = toolbox.run(&["reassign", "cancel", "--yes"]).ends_with(0);
        assert!(cancelled.out.contains("- partition orders-0: its move to [3], back to [2,1]"), "{cancelled:#?}");
        assert_eq!(executing.wait().unwrap().code(), Some(4), "the cancel ends the execution");
        let back = [seen(&kafka, "orders", 0), seen(&kafka, "orders", 1)];
        assert_eq!(back, [(vec![2, 1], Some(2)), (vec![1, 2], Some(1))], "{}", kind.name());
        let verified = toolbox.run(&["reassign", "verify", &file]).ends_with(5);
        assert!(!verified.out.contains("throttles of ours"), "{verified:#?}");
        every_side_effect_has_one_outcome(&toolbox);
    }
}

#[test]
fn a_broker_that_dies_in_the_middle_holds_its_own_moves_alone_and_they_can_be_taken_back() {
    for kind in KINDS {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c", "d"])).unwrap();
        create(&cluster, "orders", "1:2,2:1");
        fill(&cluster, "orders", 20_000, 1_000).unwrap();
        let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
        let rows: [Row<'_>; 2] = [("orders", 0, &[1, 2], &[4, 1], 0), ("orders", 1, &[2, 1], &[3, 2], 0)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let mut executing = begin_slowly(&toolbox, &file, 2);
        cluster.stop_broker(4, Signal::Kill).unwrap();
        executing.kill().unwrap();
        executing.wait().unwrap();
        cluster.await_brokers(&[1, 2, 3]).unwrap();
        let line = ["--patience", "4s", "--tick", "500ms"];
        let ran = execute(&toolbox, &file, &line).ends_with(1);
        assert!(ran.err.contains("broker 4 is down: start it, or take"), "{}: {ran:#?}", kind.name());
        assert_eq!(seen(&kafka, "orders", 1).0, [3, 2], "the rest goes on");

        toolbox.run(&["reassign", "cancel", "--yes", "--brokers", "4"]).ends_with(0);
        assert_eq!(seen(&kafka, "orders", 0), (vec![1, 2], Some(1)));
        cluster.start_broker(4).unwrap();
        toolbox.run(&["reassign", "cancel", "--yes"]).ends_with(0);
        let verified = toolbox.run(&["reassign", "verify"]).ends_with(0);
        assert_eq!(verified.out, "1 of 1 partitions are as planned\n");
        every_side_effect_has_one_outcome(&toolbox);
    }
}

#[test]
fn a_controller_that_moves_meanwhile_changes_nothing_about_the_end() {
    for kind in [Kind::Kafka39Zookeeper, Kind::Kafka43Kraft] {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c", "d"])).unwrap();
        let controller = cluster.controller().unwrap();
        let others: Vec<_> = [1, 2, 3, 4].into_iter().filter(|id| *id != controller).collect();
        create(&cluster, "orders", &vec![format!("{}:{}", others[0], others[1]); 40].join(","));
        fill(&cluster, "orders", 40_000, 1_000).unwrap();
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let (from, to) = ([others[0], others[1]], [others[2], others[1]]);
        let rows: Vec<Row<'_>> = (0..40).map(|number| ("orders", number, &from[..], &to[..], 0)).collect();
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--partitions-per-broker", "2"];
        let mut executing = toolbox.command(&line).spawn().unwrap();
        while !toolbox.run(&["reassign", "status", "--sample", "10ms"]).out.contains(" moving") {
            assert!(executing.try_wait().unwrap().is_none(), "it runs");
        }
        cluster.stop_broker(controller, Signal::Kill).unwrap();
        assert_eq!(executing.wait().unwrap().code(), Some(0), "{}", kind.name());
        toolbox.run(&["reassign", "verify"]).ends_with(0);
        every_side_effect_has_one_outcome(&toolbox);
    }
}

/// Dies before, in and after each batch of throttles, moves and elections; the next run goes on to the same end.
#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    create(&cluster, "orders", "1:2,2:1");
    fill(&cluster, "orders", 2_000, 1_000).unwrap();
    let there: [Row<'_>; 2] = [("orders", 0, &[1, 2], &[3, 2], 0), ("orders", 1, &[2, 1], &[3, 1], 0)];
    let back = there.map(|(topic, number, from, to, bytes)| (topic, number, to, from, bytes));
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let mut deaths = 0;
    let places =
        (1..=6).flat_map(|batch| ["intents", "applied", "recorded"].map(|boundary| format!("{boundary}:{batch}")));
    for (place, rows) in places.zip([there, back].into_iter().cycle()) {
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", "20MB/s"];
        let killed = toolbox.run_until(&place, &line);
        deaths += usize::from(killed.code.is_none());
        let ran = toolbox.run(&line);
        assert_eq!(ran.code, Some(0), "{place}: {ran:#?}");
        toolbox.run(&["reassign", "verify", &file]).ends_with(0);
    }
    assert!(deaths >= 12, "{deaths} runs died");
    every_side_effect_has_one_outcome(&toolbox);
}

/// The law finds the rates, from what grows on disk: the move ends, and nothing is left of it.
#[test]
fn an_automatic_throttle_lets_a_move_end_under_constant_writes() {
    for kind in [Kind::Kafka39Zookeeper, Kind::Kafka43Kraft] {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap();
        create(&cluster, "orders", "1:2,2:1");
        fill(&cluster, "orders", 30_000, 1_000).unwrap();
        let writer = Writer::start(&cluster, "orders", 500, 1_000).unwrap();
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let rows: [Row<'_>; 2] = [("orders", 0, &[1, 2], &[3, 2], 0), ("orders", 1, &[2, 1], &[2, 3], 0)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        execute(&toolbox, &file, &["--throttle", "auto", "--capacity", "50MB/s", "--tick", "1s"]).ends_with(0);
        writer.finish().unwrap();
        toolbox.run(&["reassign", "verify"]).ends_with(0);
        let kinds: Vec<_> = toolbox.audit().into_iter().map(|event| event.kind).collect();
        for kind in ["throttle.set", "throttle.released", "reassign.execute.completed"] {
            assert!(kinds.iter().any(|found| found == kind), "{kind}: {kinds:?}");
        }
        every_side_effect_has_one_outcome(&toolbox);
    }
}
