//! `topics apply` is killed at any moment; the next run compares what it had begun with the cluster, and no outcome is
//! unknown.

use std::process::Stdio;
use std::time::Duration;

use kafka_toolbox::change::event::Outcome;
use rustix::process::{Pid, Signal, kill_process};

use crate::live::kafka::{Cluster, Kind};
use crate::support::toolbox::Toolbox;

/// How often, and how many topics: a few, or all of it where `make acceptance` runs it.
fn size() -> (usize, usize) {
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_some() { (40, 500) } else { (3, 40) }
}

/// Topics that are created, then changed, then deleted, round by round.
fn spec(toolbox: &Toolbox, round: usize, count: usize) -> String {
    let rest = match round % 3 {
        0 => "partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}",
        1 => "partitions: 2, config: {retention.ms: 2000000}",
        _ => "state: absent",
    };
    let lines = (0..count).map(|number| format!("  - {{name: settled-{number:04}, {rest}}}\n"));
    toolbox.file("spec.yaml", &format!("topics:\n{}", lines.collect::<String>()))
}

#[test]
fn no_outcome_of_a_killed_apply_is_unknown_after_the_next_run() {
    let toolbox = Toolbox::new(&Cluster::shared(Kind::Kafka43Kraft).bootstrap());
    let (rounds, count) = size();
    let most = count.to_string();
    for round in 0..rounds {
        let file = spec(&toolbox, round, count);
        let apply = ["topics", "apply", "-f", &file, "--yes", "--max-risk", "loses-data", "--max-deletes", &most];
        if rounds == 3 {
            // Once before a batch is sent, twice after it.
            let place = ["intents:1", "applied:1", "applied:1"][round];
            let kill = |pid: &Pid| kill_process(*pid, Signal::KILL).unwrap();
            let killed = toolbox.run_and_meanwhile(place, &apply, kill);
            assert_eq!(killed.code, None, "{killed:#?}");
        } else {
            let mut child = toolbox.command(&apply).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(fastrand::u64(50..2_000)));
            // It may have ended before.
            let _ = child.kill();
            child.wait().unwrap();
        }
        let next = toolbox.run(&apply).ends_with(0);
        toolbox.is_as_declared(&file);
        for (id, outcomes) in toolbox.outcomes() {
            assert_eq!(outcomes.len(), 1, "round {round}: side effect {id}: {outcomes:#?}");
            assert_ne!(outcomes[0].outcome, Outcome::Unknown, "round {round}: {:#?} {next:#?}", outcomes[0]);
        }
    }
}
