//! `toolbox throttle` on real brokers: a partition under constant writes, which a rate below the floor never moves and
//! ours does; and an agent that is killed again and again and leaves nothing.

use std::process::Child;
use std::time::{Duration, Instant};

use kafka_toolbox::cluster::size::Bytes;

use crate::live::kafka::records::{Writer, fill};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::acceptance::bytes_or;
use crate::support::toolbox::Toolbox;

/// Longest wait for a move to end.
const LIMIT: Duration = Duration::from_mins(2);

/// A file that moves a topic's one partition.
fn moves(toolbox: &Toolbox, topic: &str, replicas: &str) -> String {
    let text = format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":0,"replicas":{replicas}}}]}}"#);
    toolbox.file("moves.json", &text)
}

/// Begins to move a topic's one partition and does not wait.
fn begin(cluster: &Cluster, toolbox: &Toolbox, topic: &str, replicas: &str) {
    let file = moves(toolbox, topic, replicas);
    let class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    let bootstrap = cluster.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--reassignment-json-file", &file, "--execute"];
    cluster.tool(class, &arguments).unwrap();
}

/// Begins to give a partition a second replica; somebody else holds its leader to 100 KB/s.
pub(super) fn begin_slowly(cluster: &Cluster, toolbox: &Toolbox, (topic, from, to): (&str, i64, i64)) {
    let class = "kafka.admin.ConfigCommand";
    let bootstrap = cluster.bootstrap();
    let alter = |kind: &str, name: &str, config: &str| {
        let words = ["--bootstrap-server", &bootstrap, "--entity-type", kind, "--entity-name", name, "--alter"];
        cluster.tool(class, &[&words[..], &["--add-config", config]].concat()).unwrap();
    };
    alter("topics", topic, &format!("leader.replication.throttled.replicas=[0:{from}]"));
    alter("brokers", &from.to_string(), "leader.replication.throttled.rate=100000");
    begin(cluster, toolbox, topic, &format!("[{from},{to}]"));
}

pub(super) fn create(toolbox: &Toolbox, topic: &str) {
    let spec = format!("topics:\n  - {{name: {topic}, partitions: 1, replicationFactor: 1}}\n");
    let file = toolbox.file("topics.yaml", &spec);
    toolbox.run(&["topics", "apply", "-f", &file, "--yes"]).ends_with(0);
}

/// The replicas of partition 0, as JSON has them; and those in sync.
pub(super) fn replicas(toolbox: &Toolbox, topic: &str) -> (Vec<i64>, Vec<i64>) {
    let described = toolbox.run(&["topics", "describe", topic, "-o", "json"]).ends_with(0);
    let value: serde_json::Value = serde_json::from_str(&described.out).unwrap();
    let partition = find(&value, "state").unwrap()[0].clone();
    let ids = |key: &str| partition[key].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    (ids("replicas"), ids("isr"))
}

/// The first value of a key, wherever it stands.
fn find<'a>(value: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(map) => {
            map.get(key).filter(|found| found.is_array()).or_else(|| map.values().find_map(|inner| find(inner, key)))
        }
        serde_json::Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

/// Throttles that are there: rates and lists.
fn throttles(toolbox: &Toolbox) -> (usize, usize) {
    let status = toolbox.run(&["throttle", "status", "--watch", "100ms", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let set = |row: &&serde_json::Value| row["owner"] != "none";
    (value["rates"].as_array().unwrap().iter().filter(set).count(), value["lists"].as_array().unwrap().len())
}

pub(super) fn leader(replicas: &[i64]) -> (i64, i64) {
    let from = replicas[0];
    (from, if from == 1 { 2 } else { 1 })
}

pub(super) fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what} took longer than {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    start.elapsed()
}

pub(super) fn cluster(kind: Kind) -> Cluster {
    Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap()
}

/// 500 KB/s are written to a partition that is to be copied: at 100 KB/s that never ends; the agent ends it.
#[test]
fn a_rate_below_the_floor_never_ends_a_move_and_the_agent_does() {
    let cluster = cluster(Kind::Kafka43Kraft);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    create(&toolbox, "written");
    // More than the ten seconds' worth that an idle quota lets through at once.
    fill(&cluster, "written", 6_000, 1_000).unwrap();
    let (before, _) = replicas(&toolbox, "written");
    let (from, to) = leader(&before);
    let writer = Writer::start(&cluster, "written", 500, 1_000).unwrap();
    begin_slowly(&cluster, &toolbox, ("written", from, to));
    std::thread::sleep(Duration::from_secs(9));
    let (_, isr) = replicas(&toolbox, "written");
    assert_eq!(isr, [from], "at 100 KB/s it is not done");
    let status = toolbox.run(&["throttle", "status"]).ends_with(5);
    assert!(status.out.contains("below the floor: it never ends"), "{status:?}");
    assert!(status.out.contains("foreign"), "{status:?}");

    let agent = ["throttle", "run", "--until-idle", "--interval", "2s", "--capacity", "50MB/s"];
    let ran = toolbox.run(&agent).ends_with(0);
    let (_, isr) = replicas(&toolbox, "written");
    assert_eq!(isr.len(), 2, "{ran:?}");
    writer.finish().unwrap();
    // What was there before it is there again.
    let rates = toolbox.run(&["throttle", "status", "-o", "json"]).ends_with(0);
    assert!(rates.out.contains("100000") && rates.out.contains("foreign"), "{rates:?}");
    toolbox.run(&["throttle", "clear", "--all", "--yes"]).ends_with(0);
    assert_eq!(throttles(&toolbox), (0, 0));
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Killed at many moments of a move, in its ticks and between them; the next one takes over, and nothing is left.
fn killed_again_and_again(kind: Kind, moments: u64) {
    let cluster = cluster(kind);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    create(&toolbox, "killed");
    if kind == Kind::Kafka24Zookeeper {
        // Its jars have no tool that writes.
        let writer = Writer::start(&cluster, "killed", 10_000, 1_000).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        writer.finish().unwrap();
    } else {
        fill(&cluster, "killed", 40_000, 1_000).unwrap();
    }
    let (before, _) = replicas(&toolbox, "killed");
    let (from, to) = leader(&before);
    let agent = ["throttle", "run", "--until-idle", "--interval", "1s", "--capacity", "6MB/s"];
    let file = moves(&toolbox, "killed", &format!("[{to}]"));
    let execute = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", "300kB/s"];
    let executor = Killed(toolbox.command(&execute).spawn().unwrap());
    wait_for("the first throttle", || throttles(&toolbox) == (2, 2));
    std::thread::sleep(Duration::from_secs(1));
    drop(executor);
    for moment in 0..moments {
        let killed = Killed(toolbox.command(&agent).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(40 + moment * 137 % 2_900));
        drop(killed);
    }
    wait_for("the last agent", || toolbox.run(&agent).code == Some(0));
    wait_for("the move", || replicas(&toolbox, "killed").0 == [to]);
    wait_for("the last agent", || toolbox.run(&agent).code == Some(0) && throttles(&toolbox) == (0, 0));
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "side effect {id} has {} outcomes: {outcomes:#?}", outcomes.len());
    }
    assert_ne!(from, to);
}

#[test]
fn an_agent_that_is_killed_again_and_again_leaves_nothing_on_kafka_3_9_with_zookeeper() {
    killed_again_and_again(Kind::Kafka39Zookeeper, 4);
}

#[test]
fn an_agent_that_is_killed_again_and_again_leaves_nothing_on_kafka_4_3() {
    killed_again_and_again(Kind::Kafka43Kraft, 10);
}

/// Kafka 2.4 doubles entries that are appended twice, can't append to a list that is not set, and hides rates.
#[test]
fn an_agent_that_is_killed_leaves_nothing_on_kafka_2_4() {
    killed_again_and_again(Kind::Kafka24Zookeeper, 1);
}

/// The 99th percentile of a producer's latencies in milliseconds, over eight seconds in which a move begins; three before
/// that warm it up.
fn p99(cluster: &Cluster, topic: &str) -> f64 {
    let servers = format!("bootstrap.servers={}", cluster.bootstrap());
    let line = ["--topic", topic, "--num-records", "5500", "--record-size", "1000", "--throughput", "500"];
    let warm = ["--warmup-records", "1500"];
    let more = ["--producer-props", &servers, "acks=all", "linger.ms=0"];
    let said = cluster.tool("org.apache.kafka.tools.ProducerPerformance", &[&line[..], &warm, &more].concat()).unwrap();
    // The last line that has percentiles is that of the time after the warm-up.
    let last = said.lines().rfind(|line| line.contains("99th")).unwrap();
    let words = last.split(',').find(|words| words.contains("99th")).unwrap();
    words.split_whitespace().next().unwrap().parse().unwrap()
}

/// What a producer feels of a move with and without the agent: of as many bytes as `TOOLBOX_TEST_BYTES` says, 2 GB at most.
/// The figures are shown; only that both end is asserted.
#[test]
fn a_move_ends_beside_a_producer_with_and_without_the_agent() {
    let cluster = cluster(Kind::Kafka43Kraft);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let bytes = bytes_or(150_000_000).min(2_000_000_000);
    create(&toolbox, "quiet");
    let mut figures = vec![("without a move", p99(&cluster, "quiet"), Duration::ZERO)];
    for (topic, words, is_paced) in
        [("unpaced", "beside a move, not paced", false), ("paced", "beside a move, throttle run", true)]
    {
        create(&toolbox, topic);
        fill(&cluster, topic, bytes / 1_000, 1_000).unwrap();
        let (before, _) = replicas(&toolbox, topic);
        let (_, to) = leader(&before);
        let agent = ["throttle", "run", "--interval", "1s", "--capacity", "50MB/s"];
        let agent = is_paced.then(|| Killed(toolbox.command(&agent).spawn().unwrap()));
        let (latency, took) = std::thread::scope(|scope| {
            let measured = scope.spawn(|| p99(&cluster, topic));
            std::thread::sleep(Duration::from_secs(4));
            begin(&cluster, &toolbox, topic, &format!("[{to}]"));
            let took = wait_for("the move", || replicas(&toolbox, topic).0 == [to]);
            (measured.join().unwrap(), took)
        });
        drop(agent);
        figures.push((words, latency, took));
    }
    toolbox.run(&["throttle", "run", "--until-idle", "--interval", "1s"]).ends_with(0);
    assert_eq!(throttles(&toolbox), (0, 0));
    println!("{:<30} {:>12} {:>14}", "a producer with acks=all", "p99 in ms", format!("{} in", Bytes(bytes)));
    for (words, latency, took) in figures {
        println!("{words:<30} {latency:>12.0} {:>12.0} s", took.as_secs_f64());
    }
}

#[test]
fn an_agent_that_finds_nothing_to_do_says_how_the_changes_of_a_dead_run_ended() {
    let cluster = cluster(Kind::Kafka43Kraft);
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let file = toolbox.file("died.yaml", "topics:\n- name: died\n  partitions: 1\n  replicationFactor: 1\n");
    let died = toolbox.run_until("outbox.written:1", &["topics", "apply", "-f", &file, "--yes"]);
    assert_eq!(died.code, None, "{died:#?}");
    assert!(toolbox.outcomes().values().any(Vec::is_empty), "an intent without an outcome");
    toolbox.run(&["throttle", "run", "--until-idle", "--interval", "1s"]).ends_with(0);
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "{id}: {outcomes:#?}");
    }
}
