//! The world breaks while topics are applied: the same end, and clear words.

use std::time::Duration;

use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::support::toolbox::Toolbox;

/// Topics, and a value for the config of each.
fn many(numbers: std::ops::Range<usize>, retention: u64) -> String {
    let line = |number| {
        format!(
            "  - {{name: many-{number:04}, partitions: 3, replicationFactor: 2, config: {{retention.ms: {retention}}}}}\n"
        )
    };
    format!("topics:\n{}", numbers.map(line).collect::<String>())
}

/// Applies what creates some topics and then changes others, and lets `disturb` do something between these two batches;
/// then again until the cluster is as declared.
fn apply_while(cluster: &Cluster, count: usize, disturb: impl FnOnce()) {
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let file = toolbox.file("spec.yaml", &many(0..count, 1_000_000));
    let apply = ["topics", "apply", "-f", &file, "--yes", "--timeout", "20s"];
    toolbox.run(&apply).ends_with(0);
    toolbox.is_as_declared(&file);
    let before = toolbox.outcomes().len();
    toolbox.file("spec.yaml", &many(0..2 * count, 2_000_000));
    let first = toolbox.run_and_meanwhile("intents:2", &apply, |_| {
        let created = toolbox.outcomes().into_values().flatten().filter(|event| event.kind == "topics.created").count();
        assert_eq!(created, 2 * count, "the first batch is done, the second one is not begun");
        disturb();
    });
    assert!(matches!(first.code, Some(0 | 1)), "{first:#?}");
    assert!(toolbox.outcomes().len() > before + count, "{first:#?}");
    settles(&toolbox, &apply);
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
    }
}

/// Applies until nothing is to do. A broker in ZooKeeper mode may show for a while what was before a change.
fn settles(toolbox: &Toolbox, apply: &[&str]) {
    let mut last = toolbox.run(apply);
    for _ in 0..5 {
        if last.code == Some(0) && last.lines().last() == Some(&"nothing to do") {
            return;
        }
        std::thread::sleep(Duration::from_secs(2));
        last = toolbox.run(apply);
    }
    panic!("there is always something to do: {last:#?}");
}

#[test]
fn a_broker_that_dies_meanwhile_changes_nothing_about_the_end() {
    for (kind, count) in [(Kind::Kafka39Zookeeper, 60), (Kind::Kafka43Kraft, 400)] {
        let cluster = Cluster::start(kind, &Shape::brokers(3)).unwrap();
        let controller = cluster.controller().unwrap();
        let other = [1, 2, 3].into_iter().find(|id| *id != controller).unwrap();
        apply_while(&cluster, count, || cluster.stop_broker(other, Signal::Kill).unwrap());
    }
}

#[test]
fn a_controller_that_moves_meanwhile_changes_nothing_about_the_end() {
    for (kind, count) in [(Kind::Kafka39Zookeeper, 60), (Kind::Kafka43Kraft, 400)] {
        let cluster = Cluster::start(kind, &Shape::brokers(3)).unwrap();
        let controller = cluster.controller().unwrap();
        apply_while(&cluster, count, || cluster.stop_broker(controller, Signal::Kill).unwrap());
    }
}

#[test]
fn datadog_being_down_costs_no_more_than_the_flush_budget() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let file = toolbox.file("spec.yaml", "topics:\n  - {name: no-datadog, partitions: 1, replicationFactor: 2}\n");
    let more = ["--datadog-url", "http://127.0.0.1:1", "--events-flush-timeout", "1s", "--events-to", "datadog"];
    let ran = toolbox.run(&[&["topics", "apply", "-f", &file, "--yes"], &more[..]].concat()).ends_with(0);
    assert!(ran.err.contains("spooled, 0 dropped"), "{ran:#?}");
    assert!(ran.took < Duration::from_secs(15), "{ran:#?}");
}

#[test]
fn no_broker_is_a_clear_error_that_names_every_address() {
    let toolbox = Toolbox::new("127.0.0.1:1,127.0.0.1:2");
    let ran = toolbox.run(&["topics", "list", "--timeout", "1s"]).ends_with(1);
    assert!(ran.err.contains("127.0.0.1:1: ") && ran.err.contains("127.0.0.1:2: "), "{ran:#?}");
    assert!(ran.took < Duration::from_secs(9), "{ran:#?}");
}

#[test]
fn a_run_that_is_asked_to_stop_ends_its_batch_and_says_what_is_left() {
    let cluster = Cluster::shared(Kind::Kafka39Zookeeper);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let topics = |from: usize, state: &str| {
        let lines = (from..from + 40).map(|number| format!("  - {{name: stop-{number:03}{state}}}\n"));
        format!("topics:\n{}", lines.collect::<Vec<_>>().concat())
    };
    let file = toolbox.file("spec.yaml", &topics(0, ", partitions: 1, replicationFactor: 2"));
    let apply = ["topics", "apply", "-f", &file, "--yes", "--max-risk", "moves-data"];
    toolbox.run(&apply).ends_with(0);
    toolbox.is_as_declared(&file);
    // Two batches: creates, then partitions.
    let more = topics(0, ", partitions: 2").replace("topics:\n", "");
    toolbox.file("spec.yaml", &format!("{}{more}", topics(40, ", partitions: 2, replicationFactor: 2")));
    let stopped = toolbox.run_and_meanwhile("intents:1", &apply, |pid| {
        rustix::process::kill_process(*pid, rustix::process::Signal::TERM).unwrap();
    });
    assert!(stopped.code.is_some(), "it ends by itself, not by the signal: {stopped:#?}");
    assert!(stopped.err.contains("40 of 80 steps were not begun; run the same command again"), "{stopped:#?}");
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
    }
    settles(&toolbox, &apply);
}
