//! What goes wrong in the middle of moves, on real clusters: a run that is asked to stop, a target and a leader that die, a
//! replica that Kafka waits for, a log dir that fails, others who move and throttle beside us. Every record survives, no
//! partition ends with fewer replicas in sync than it had, and words say what to do.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal as Posix, kill_process};

use super::live::{begin_slowly, create, every_side_effect_has_one_outcome, seen};
use crate::clients::kafka::live::{PATIENT, open};
use crate::live::kafka::records::{digest, fill};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::Toolbox;

/// Longest wait for words, or for an end.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs a status again and again until it says this; what it said last.
fn await_words(toolbox: &Toolbox, words: &str) -> String {
    let start = Instant::now();
    loop {
        let said = toolbox.run(&["reassign", "status", "--sample", "50ms"]).out;
        if said.contains(words) {
            return said;
        }
        assert!(start.elapsed() < LIMIT, "no status says `{words}`: {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Lets an execution that was begun slowly go on fast; how it ended.
fn let_go(toolbox: &Toolbox, executing: Child) -> Option<i32> {
    let asked = toolbox.run(&["throttle", "set", "200MB/s"]).ends_with(0);
    assert!(asked.out.contains("is asked for 200.0 MB/s on all brokers"), "{asked:#?}");
    ends(executing)
}

fn ends(mut executing: Child) -> Option<i32> {
    let start = Instant::now();
    while executing.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < LIMIT, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    executing.wait().unwrap().code()
}

fn survives_deaths(kind: Kind) {
    let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c", "d"])).unwrap();
    create(&cluster, "orders", "1:2,1:2");
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let before = digest(&cluster, "orders").unwrap();
    let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
    let file = |rows: &[Row<'_>]| toolbox.file("plan.json", &plan(cluster.id(), rows));

    // Asked to stop: moves and throttles stay, and the next run goes on with them.
    let there = file(&[("orders", 0, &[1, 2], &[4, 2], 0), ("orders", 1, &[1, 2], &[3, 2], 0)]);
    let stopped = begin_slowly(&toolbox, &there, 2);
    kill_process(Pid::from_child(&stopped), Posix::TERM).unwrap();
    let stopped = stopped.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(1), "{words}");
    assert!(words.contains("moves that run go on, and so do their throttles"), "{words}");
    await_words(&toolbox, "throttled by this toolbox");

    // A target dies and comes back.
    let executing = begin_slowly(&toolbox, &there, 2);
    cluster.stop_broker(4, Signal::Kill).unwrap();
    await_words(&toolbox, "broker 4 is down: start it, or take the moves back");
    cluster.start_broker(4).unwrap();
    assert_eq!(let_go(&toolbox, executing), Some(0), "{}: a target came back", kind.name());
    toolbox.run(&["reassign", "verify"]).ends_with(0);
    assert_eq!(seen(&kafka, "orders", 0), (vec![4, 2], Some(4)));

    // The leader that is copied from dies: the other one in sync takes its place.
    let executing = begin_slowly(&toolbox, &file(&[("orders", 0, &[4, 2], &[1, 2], 0)]), 1);
    cluster.stop_broker(4, Signal::Kill).unwrap();
    assert_eq!(let_go(&toolbox, executing), Some(0), "{}: the leader died", kind.name());
    assert_eq!(seen(&kafka, "orders", 0), (vec![1, 2], Some(1)));
    // A throttle on a broker that is down can't be taken away before it is back.
    let verified = toolbox.run(&["reassign", "verify"]).ends_with(5);
    assert!(verified.out.contains("`toolbox throttle clear` takes them away once broker 4 is back"), "{verified:#?}");
    cluster.start_broker(4).unwrap();
    // A broker that is asked may not know yet that it is back, and leaves its throttle for the next time.
    let start = Instant::now();
    let mut verified = verified;
    while verified.code != Some(0) {
        assert!(start.elapsed() < LIMIT, "it is not verified: {verified:#?}");
        toolbox.run(&["throttle", "gc", "--older-than", "1s", "--yes"]).ends_with(0);
        verified = toolbox.run(&["reassign", "verify"]);
    }

    // All data is there, and a replica that stays is down: up to 4.2 Kafka waits for it (KAFKA-19975).
    let last = file(&[("orders", 0, &[1, 2], &[1, 2, 3], 0)]);
    let executing = begin_slowly(&toolbox, &last, 1);
    cluster.stop_broker(2, Signal::Kill).unwrap();
    cluster.await_brokers(&[1, 3, 4]).unwrap();
    toolbox.run(&["throttle", "set", "200MB/s"]).ends_with(0);
    if kind == Kind::Kafka43Kraft {
        // Moved, and said not to be as it should.
        assert_eq!(ends(executing), Some(1));
        let verified = toolbox.run(&["reassign", "verify"]).ends_with(5);
        assert!(verified.out.contains("partition orders-0: not in sync: [2]"), "{verified:#?}");
        cluster.start_broker(2).unwrap();
        // What was throttled on the broker that was down goes with the next run.
        toolbox.run(&["reassign", "execute", &last, "--yes", "--max-risk", "moves-data"]).ends_with(0);
    } else {
        await_words(&toolbox, "Kafka waits for replica 2, which is not in sync: start that broker");
        cluster.start_broker(2).unwrap();
        assert_eq!(ends(executing), Some(0), "{}: a replica came back", kind.name());
    }
    let start = Instant::now();
    let mut verified = toolbox.run(&["reassign", "verify"]);
    while verified.code != Some(0) {
        assert!(start.elapsed() < LIMIT, "it is not verified: {verified:#?}");
        std::thread::sleep(Duration::from_millis(200));
        verified = toolbox.run(&["reassign", "verify"]);
    }

    assert_eq!(digest(&cluster, "orders").unwrap(), before, "{}", kind.name());
    every_side_effect_has_one_outcome(&toolbox);
}

/// With KRaft, too, where `make acceptance` runs it: it takes a minute.
#[test]
fn a_run_that_is_stopped_and_brokers_that_die_cost_time_and_nothing_else_on_kafka_3_9() {
    survives_deaths(Kind::Kafka39Zookeeper);
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_some() {
        survives_deaths(Kind::Kafka39Kraft);
    }
}

#[test]
fn a_run_that_is_stopped_and_brokers_that_die_cost_time_and_nothing_else_on_kafka_4_3() {
    survives_deaths(Kind::Kafka43Kraft);
}

/// The log dir that the new replica is in fails; the broker lives on with its other one.
#[test]
fn a_log_dir_that_fails_in_the_middle_is_named_and_the_move_can_be_taken_back() {
    let dirs = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let shape = Shape {
        properties: vec![
            dirs("log.dirs", "{files}/one-{id},{files}/two-{id}"),
            dirs("metadata.log.dir", "{files}/metadata-{id}"),
        ],
        ..Shape::racks(&["a", "b", "c"])
    };
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape).unwrap();
    create(&cluster, "orders", "1:2");
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let before = digest(&cluster, "orders").unwrap();
    let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
    let rows: [Row<'_>; 1] = [("orders", 0, &[1, 2], &[3, 2], 0)];
    let mut executing = begin_slowly(&toolbox, &toolbox.file("plan.json", &plan(cluster.id(), &rows)), 1);

    let files = cluster.folder().join("files");
    let holds = |dir: &&&str| files.join(dir).join("orders-0").exists();
    let dir = ["one-3", "two-3"].iter().find(holds).expect("the copy has begun");
    std::fs::rename(files.join(dir), files.join("gone")).unwrap();
    std::fs::write(files.join(dir), "no folder").unwrap();
    let said = await_words(&toolbox, "stalled: broker 3: ");
    assert!(said.contains(dir) && said.contains("make room there, or take the moves back"), "{said}");

    toolbox.run(&["reassign", "cancel", "--yes", "--brokers", "3"]).ends_with(0);
    assert_eq!(executing.wait().unwrap().code(), Some(4), "the cancel ends the execution");
    assert_eq!(seen(&kafka, "orders", 0), (vec![1, 2], Some(1)));
    assert_eq!(digest(&cluster, "orders").unwrap(), before);
    every_side_effect_has_one_outcome(&toolbox);
}

/// What others set before is there afterwards, and what they begin meanwhile is theirs.
#[test]
fn throttles_and_moves_of_others_survive_ours() {
    let properties = vec![("leader.replication.throttled.rate".to_owned(), "55000000".to_owned())];
    let shape = Shape { properties, ..Shape::racks(&["a", "b", "c"]) };
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape).unwrap();
    create(&cluster, "orders", "1:2,1:2");
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
    let bootstrap = cluster.bootstrap();
    let alter = |entity: &[&str], config: &str| {
        let line = [&["--bootstrap-server", &bootstrap, "--alter", "--add-config", config], entity].concat();
        cluster.tool("kafka.admin.ConfigCommand", &line).unwrap();
    };
    alter(&["--entity-type", "brokers", "--entity-default"], "follower.replication.throttled.rate=66000000");
    alter(&["--entity-type", "brokers", "--entity-name", "1"], "leader.replication.throttled.rate=77000000");
    alter(&["--entity-type", "topics", "--entity-name", "orders"], "follower.replication.throttled.replicas=*");
    let throttles = || {
        let said = toolbox.run(&["throttle", "status", "--watch", "50ms", "-o", "json"]).ends_with(0);
        let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        (value["rates"].clone(), value["lists"].clone())
    };
    let before = throttles();
    assert!(
        before.0.to_string().contains("77000000") && before.1.to_string().contains(r#""is_every":true"#),
        "{before:?}"
    );

    let rows: [Row<'_>; 2] = [("orders", 0, &[1, 2], &[3, 2], 0), ("orders", 1, &[1, 2], &[3, 2], 0)];
    let executing = begin_slowly(&toolbox, &toolbox.file("plan.json", &plan(cluster.id(), &rows)), 2);
    let theirs = r#"{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[1,3]}]}"#;
    let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    let theirs = toolbox.file("theirs.json", theirs);
    let overlay = ["--bootstrap-server", &bootstrap, "--reassignment-json-file", &theirs, "--execute", "--additional"];
    cluster.tool(class, &overlay).unwrap();
    assert_eq!(let_go(&toolbox, executing), Some(1), "one move is not as planned any more");
    let start = Instant::now();
    while seen(&kafka, "orders", 0).0 != [1, 3] {
        assert!(start.elapsed() < LIMIT, "their move ends as they wanted: {:?}", seen(&kafka, "orders", 0));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(seen(&kafka, "orders", 1).0, [3, 2], "ours, too");
    let verified = toolbox.run(&["reassign", "verify"]).ends_with(5);
    assert!(verified.out.contains("partition orders-0: its replicas are [1,3] instead of [3,2]"), "{verified:#?}");
    assert_eq!(throttles(), before);
    every_side_effect_has_one_outcome(&toolbox);
}
