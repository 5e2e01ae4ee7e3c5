//! Clients that end, on real brokers: `reassign execute --throttle auto` and `throttle run` follow with one pace.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::live::{cluster, wait_for};
use crate::live::kafka::records::{Writer, fill};
use crate::live::kafka::{Cluster, Kind};
use crate::reassign::bench::{Row, plan};
use crate::reassign::live::create;
use crate::support::toolbox::Toolbox;

/// What the networks of the brokers can do; where only replicas show the load, 60 % of it are filled.
const CAPACITY: &str = "5MB/s";

/// That, less what is lost to the noise of the brokers' own topics.
const CEILING: u64 = 2_850_000;

/// The most that is left while clients write 1.5 MB/s.
const BESIDE_CLIENTS: u64 = 1_900_000;

/// Ticks are of a second here, so that two minutes of ticks of 30 s are four seconds; Kafka's quotas and a busy machine take
/// longer.
const SOON: Duration = Duration::from_secs(30);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The rate at which broker 2 receives.
fn rate(toolbox: &Toolbox) -> u64 {
    let status = toolbox.run(&["throttle", "status", "--watch", "10ms", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let row = value["rates"].as_array().unwrap().iter().find(|row| row["broker"] == 2 && row["side"] == "follower");
    row.and_then(|row| row["rate"].as_u64()).unwrap_or(0)
}

/// Runs a command that paces a move to broker 2, beside clients that end; then ends the move.
fn follows_clients_that_end(cluster: &Cluster, toolbox: &Toolbox, run: &[&str], begin: impl FnOnce()) {
    let writer = Writer::start(cluster, "busy", 1_500, 1_000).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let paced = Killed(toolbox.command(run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    begin();
    wait_for("a rate", || rate(toolbox) > 0);
    let since = Instant::now();
    let mut highest = 0;
    while since.elapsed() < Duration::from_secs(6) {
        highest = highest.max(rate(toolbox));
    }
    assert!(highest <= BESIDE_CLIENTS, "{run:?}: {highest} B/s beside clients");
    writer.finish().unwrap();
    let took = wait_for("the ceiling", || rate(toolbox) >= CEILING);
    assert!(took < SOON, "{run:?}: it took {took:?}");
    toolbox.run(&["throttle", "set", "500MB/s", "--yes"]).ends_with(0);
    wait_for("the end", || rate(toolbox) == 0);
    drop(paced);
}

#[test]
fn the_rate_rises_to_the_ceiling_soon_after_clients_have_ended_with_both_commands() {
    let cluster = cluster(Kind::Kafka43Kraft);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    create(&cluster, "busy", "1:2:3");
    for topic in ["first", "second"] {
        create(&cluster, topic, "1");
        fill(&cluster, topic, 150_000, 1_000).unwrap();
    }
    let row = |topic| -> Row<'static> { (topic, 0, &[1], &[2], 150_000_000) };
    let execute = |topic, more: &[&str]| {
        let file = toolbox.file(&format!("{topic}.json"), &plan(cluster.id(), &[row(topic)]));
        let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"];
        line.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let auto = execute("first", &["--throttle", "auto", "--capacity", CAPACITY, "--tick", "1s"]);
    let auto: Vec<_> = auto.iter().map(String::as_str).collect();
    follows_clients_that_end(&cluster, &toolbox, &auto, || {});

    let agent = ["throttle", "run", "--interval", "1s", "--capacity", CAPACITY];
    let second = execute("second", &["--tick", "1s"]);
    let second: Vec<_> = second.iter().map(String::as_str).collect();
    let mut moved = None;
    follows_clients_that_end(&cluster, &toolbox, &agent, || {
        wait_for("the agent to lead", || {
            toolbox.run(&["throttle", "set", "1MB/s", "--dry-run"]).out.contains("would be asked for")
        });
        let child = toolbox.command(&second).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        moved = Some(Killed(child.unwrap()));
    });
}
