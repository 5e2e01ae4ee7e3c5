//! A second apply finds nothing to do and records nothing, whichever broker answers: brokers may be seconds behind after
//! many creations.

use std::time::Duration;

use crate::live::kafka::{Cluster, Kind, Shape};
use crate::support::toolbox::{Ran, Toolbox};

/// Topics of a small round and of a large one.
const SMALL: usize = 150;
const LARGE: usize = 3_000;

/// How often a second apply must find nothing to do on each kind of cluster.
const TIMES: usize = 10;

/// Longest apply: a cluster in ZooKeeper mode takes minutes for thousands of topics.
const APPLY_MAX: Duration = Duration::from_mins(10);

/// A spec of so many topics of a round; `rest` ends each line. Each round has names of its own: in ZooKeeper mode topics are
/// deleted long after the answer, and can't be created again meanwhile.
fn spec(toolbox: &Toolbox, (round, count): (usize, usize), rest: &str) -> String {
    let lines = (0..count).map(|number| format!("  - {{name: behind-{round}-{number:04}, {rest}}}\n"));
    toolbox.file("spec.yaml", &format!("topics:\n{}", lines.collect::<String>()))
}

/// Applies.
fn apply(toolbox: &Toolbox, file: &str, count: usize) -> Ran {
    let most = count.to_string();
    let arguments = ["topics", "apply", "-f", file, "--yes", "--max-risk", "loses-data", "--max-deletes", &most];
    toolbox.run_within(APPLY_MAX, &[&arguments[..], &["--timeout", "30s"]].concat())
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
        let file = spec(&toolbox, (round, count), CREATED);
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("created"));
        let file = spec(&toolbox, (round, count), "partitions: 2, config: {retention.ms: 2000000}");
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("changed"));
        let file = spec(&toolbox, (round, count), "state: absent");
        apply(&toolbox, &file, count).ends_with(0);
        is_quiet(&toolbox, &file, count, &when("deleted"));
    }
}

/// Many topics are created once; then a second apply is asked for again and again, with a frozen broker, too.
fn stays_quiet(cluster: &Cluster) {
    let (toolbox, kind) = (Toolbox::new(&cluster.bootstrap()), cluster.kind().name());
    let file = spec(&toolbox, (0, LARGE), CREATED);
    apply(&toolbox, &file, LARGE).ends_with(0);
    for time in 1..=TIMES {
        is_quiet(&toolbox, &file, LARGE, &format!("{kind}, time {time}"));
    }
    // The broker that is frozen is not the controller: that one would have to be found anew first.
    let controller = cluster.controller().unwrap();
    let frozen = [1, 2, 3].into_iter().find(|id| *id != controller).unwrap();
    cluster.freeze(frozen).unwrap();
    for time in 1..=TIMES {
        is_quiet(&toolbox, &file, LARGE, &format!("{kind}, broker {frozen} is frozen, time {time}"));
    }
    cluster.thaw(frozen).unwrap();
}

const CREATED: &str = "partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}";

#[test]
fn a_second_apply_finds_nothing_to_do_and_records_nothing() {
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_none() {
        return goes_round(Cluster::shared(Kind::Kafka43Kraft), 3, SMALL);
    }
    for kind in Kind::ALL {
        let cluster = Cluster::start(kind, &Shape { heap: 1_024, ..Shape::brokers(3) }).unwrap();
        // A cluster in ZooKeeper mode takes a minute or two for each change of thousands of topics.
        let count = if kind.has_zookeeper() { SMALL } else { LARGE };
        goes_round(&cluster, TIMES, count);
        stays_quiet(&cluster);
    }
}
