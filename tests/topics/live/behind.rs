//! A second apply finds nothing to do and records nothing, whichever broker answers: brokers may be seconds behind after
//! many creations.

use crate::live::kafka::{Cluster, Kind, Shape};
use crate::support::toolbox::{Ran, Toolbox};

/// How often, and how many topics: a few, or all of it where `make acceptance` runs it.
fn size() -> (usize, usize) {
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_some() { (10, 3_000) } else { (3, 150) }
}

/// A spec of so many topics; `rest` ends each line.
fn spec(toolbox: &Toolbox, count: usize, rest: &str) -> String {
    let lines = (0..count).map(|number| format!("  - {{name: behind-{number:04}, {rest}}}\n"));
    toolbox.file("spec.yaml", &format!("topics:\n{}", lines.collect::<String>()))
}

/// Applies until it is done; the last run. A cluster in ZooKeeper mode is slow with many topics.
fn apply(toolbox: &Toolbox, file: &str, count: usize) -> Ran {
    let most = count.to_string();
    let arguments = ["topics", "apply", "-f", file, "--yes", "--max-risk", "loses-data", "--max-deletes", &most];
    toolbox.run(&[&arguments[..], &["--timeout", "30s"]].concat())
}

/// The apply that follows one that is done finds nothing to do and records nothing.
fn is_quiet(toolbox: &Toolbox, file: &str, count: usize, when: &str) {
    let before = toolbox.audit().len();
    let second = apply(toolbox, file, count).ends_with(0);
    assert_eq!(second.lines(), ["nothing to do"], "{when}: {second:#?}");
    let events: Vec<_> = toolbox.audit().split_off(before);
    let changes: Vec<_> = events.iter().filter(|event| event.kind != "command.executed").collect();
    assert!(changes.is_empty(), "{when}: {changes:#?}");
}

fn goes_round(cluster: &Cluster, rounds: usize, count: usize) {
    let toolbox = Toolbox::new(&cluster.bootstrap());
    for round in 1..=rounds {
        let when = |what: &str| format!("{}, round {round}, {what}", cluster.kind().name());
        let file = spec(&toolbox, count, "partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}");
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("created"));
        let file = spec(&toolbox, count, "partitions: 2, config: {retention.ms: 2000000}");
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("changed"));
        let file = spec(&toolbox, count, "state: absent");
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("deleted"));
    }
}

#[test]
fn a_second_apply_finds_nothing_to_do_and_records_nothing() {
    let (rounds, count) = size();
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_none() {
        return goes_round(Cluster::shared(Kind::Kafka43Kraft), rounds, count);
    }
    for kind in Kind::ALL {
        let cluster = Cluster::start(kind, &Shape { heap: 1_024, ..Shape::brokers(3) }).unwrap();
        goes_round(&cluster, rounds, count);
        // The broker that is frozen is not the controller: that one would have to be found anew first.
        let controller = cluster.controller().unwrap();
        let frozen = [1, 2, 3].into_iter().find(|id| *id != controller).unwrap();
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let file = spec(&toolbox, count, "partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}");
        apply(&toolbox, &file, count).ends_with(0);
        cluster.freeze(frozen).unwrap();
        for _ in 0..rounds {
            is_quiet(&toolbox, &file, count, &format!("{}, broker {frozen} is frozen", kind.name()));
        }
        cluster.thaw(frozen).unwrap();
    }
}
