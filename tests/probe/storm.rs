//! A storm of shrunken ISRs on every broker of a real cluster at once: what readiness must not take part in. For `make acceptance`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::live::kafka::wait::say;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::probe::probe;
use crate::support::toolbox::{Ran, Toolbox};

/// Has partition 0 led by broker 1, partition 1 by broker 2, partition 2 by broker 3; every broker has a replica of each.
const TOPIC: &str = "storm";

const BROKERS: [usize; 3] = [1, 2, 3];

/// What a broker that comes back lacks; it copies a thousandth of that a second.
const BYTES: usize = 4 << 20;

fn address(cluster: &Cluster, id: usize) -> String {
    format!("127.0.0.1:{}", cluster.ports_of("PLAINTEXT")[id - 1].real)
}

fn kcat(arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", "kcat"]).args(arguments).stderr(Stdio::null());
    command
}

/// The ISR of each partition, as a broker has it.
fn isr(cluster: &Cluster, by: usize) -> Vec<BTreeSet<i64>> {
    let output = kcat(&["-b", &address(cluster, by), "-L", "-J", "-t", TOPIC]).output().unwrap();
    let page: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let partitions = page["topics"][0]["partitions"].as_array().cloned().unwrap_or_default();
    let isr = |partition: &Value| {
        let ids = partition["isrs"].as_array().cloned().unwrap_or_default();
        ids.iter().filter_map(|broker| broker["id"].as_i64()).collect()
    };
    partitions.iter().map(isr).collect()
}

/// Writes to the partition that a broker leads.
fn fill(cluster: &Cluster, leader: usize) {
    let (address, partition) = (address(cluster, leader), (leader - 1).to_string());
    let arguments = ["-b", &address, "-P", "-t", TOPIC, "-p", &partition, "-X", "acks=1", "-X", "batch.size=16384"];
    let mut child = kcat(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let line = format!("{}\n", "x".repeat(1_000));
    child.stdin.take().unwrap().write_all(line.repeat(BYTES / line.len()).as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Waits until something that a broker does is as wanted.
#[track_caller]
fn until<T>(what: &str, look: impl Fn() -> T, is_wanted: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let begun = Instant::now();
    loop {
        let seen = look();
        if is_wanted(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{what}: {seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A topic with a partition led by each broker, whose followers get 1 KiB a second.
fn create_throttled(cluster: &Cluster) {
    let bootstrap = cluster.bootstrap();
    let all = ["leader.replication.throttled.replicas=*", "follower.replication.throttled.replicas=*"];
    let create =
        ["--bootstrap-server", &bootstrap, "--create", "--topic", TOPIC, "--replica-assignment", "1:2:3,2:3:1,3:1:2"];
    let create = [&create[..], &["--config", all[0], "--config", all[1]]].concat();
    cluster.tool("org.apache.kafka.tools.TopicCommand", &create).unwrap();
    let rate = "leader.replication.throttled.rate=1024,follower.replication.throttled.rate=1024";
    let alter = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "brokers", "--entity-default"];
    cluster.tool("kafka.admin.ConfigCommand", &[&alter[..], &["--add-config", rate]].concat()).unwrap();
}

#[test]
fn a_storm_of_shrunken_isrs_makes_no_latched_broker_unready_and_rollout_check_names_what_each_leads_alone() {
    if std::env::var_os("TOOLBOX_TEST_MEMBERSHIP").is_none() {
        return;
    }
    for kind in [Kind::Kafka39Kraft, Kind::Kafka43Kraft] {
        say(&format!("a storm of shrunken ISRs on {}", kind.name()));
        storm(kind);
    }
}

fn storm(kind: Kind) {
    let shape = Shape::brokers(3)
        .property("replica.lag.time.max.ms", "1500")
        .property("replica.fetch.max.bytes", "65536")
        // One that stands still for a moment stays registered, and leads what it led.
        .property("broker.session.timeout.ms", "60000");
    let cluster = Cluster::start(kind, &shape).unwrap();
    let (toolbox, bootstrap) = (Toolbox::alone(), cluster.bootstrap());
    create_throttled(&cluster);

    let ready = |id: usize, more: &[&str]| -> Ran {
        let (id_text, latch) = (id.to_string(), toolbox.state().join(format!("latch-{id}.json")).display().to_string());
        let own = ["kafka", "ready", "--timeout", "20s", "--broker", &id_text];
        let more = if more.is_empty() { vec!["--latch", latch.as_str()] } else { more.to_vec() };
        probe(&toolbox, &[&own[..], &more].concat(), &address(&cluster, id))
    };
    for id in BROKERS {
        let latched = |ran: &Ran| ran.code == Some(0) && ran.out.contains(" was in sync and is ready since ");
        until("the latch", || ready(id, &[]), latched);
    }

    // Each stands still for a moment while the others are written to, and is throttled when it goes on.
    for id in BROKERS {
        let others: Vec<_> = BROKERS.into_iter().filter(|other| *other != id).collect();
        cluster.freeze(i32::try_from(id).unwrap()).unwrap();
        for other in &others {
            fill(&cluster, *other);
        }
        let id = i64::try_from(id).unwrap();
        let lost = |isr: &Vec<BTreeSet<i64>>| {
            others.iter().all(|other| isr.get(other - 1).is_some_and(|isr| !isr.contains(&id)))
        };
        until("the ISRs to shrink", || isr(&cluster, others[0]), lost);
        cluster.thaw(i32::try_from(id).unwrap()).unwrap();
    }
    let alone = BROKERS.map(|id| BTreeSet::from([i64::try_from(id).unwrap()])).to_vec();
    until("only leaders to be left", || isr(&cluster, 1), |isr| *isr == alone);

    for id in BROKERS {
        let latched = ready(id, &[]).ends_with(0);
        assert!(latched.out.starts_with(&format!("ready: broker {id} was in sync and is ready since ")), "{latched:?}");
        // Who has no latch sees what there is.
        let strict = ready(id, &["--strict"]).ends_with(5);
        assert!(strict.out.contains("2 of 3 replicas are not in sync: storm-"), "{strict:?}");
        let check =
            ["rollout", "check", "--bootstrap-server", &bootstrap, "--broker", &id.to_string(), "--timeout", "20s"];
        let check = toolbox.run(&check).ends_with(5);
        let row = check.out.lines().find(|line| line.starts_with(&format!("storm-{}", id - 1)));
        let words: Vec<_> = row.unwrap_or_else(|| panic!("{check:#?}")).split_whitespace().collect();
        assert_eq!(words[1..3], [id.to_string().as_str(), "1"], "ISR and minimum: {words:?}");
    }
    assert_eq!(isr(&cluster, 1), alone, "all of that while nothing had come back");
}
