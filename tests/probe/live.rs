//! Probes of real servers.

use std::time::{Duration, Instant};

use crate::live::kafka::{Cluster, Kind, Shape, Signal, records, throttle};
use crate::live::security;
use crate::probe::probe;
use crate::support::toolbox::{Ran, Toolbox};

const MODERN: [Kind; 3] = [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft];

/// The machine is busy: a kubelet's second is short.
const TIMEOUT: [&str; 2] = ["--timeout", "20s"];

fn address(cluster: &Cluster, id: usize) -> String {
    format!("127.0.0.1:{}", cluster.ports_of("PLAINTEXT")[id - 1].real)
}

/// The data folder of a broker.
fn log_dir(cluster: &Cluster, id: i32) -> String {
    cluster.folder().join("data").join(format!("broker-{id}")).display().to_string()
}

fn create(cluster: &Cluster, topic: &str) {
    let bootstrap = cluster.bootstrap();
    let line = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic, "--partitions", "3"];
    let factor = ["--replication-factor", "3"];
    cluster.tool("org.apache.kafka.tools.TopicCommand", &[&line[..], &factor].concat()).unwrap();
}

/// Runs a probe again until it ends with a code.
#[track_caller]
fn until(code: i32, run: impl Fn() -> Ran) -> Ran {
    let begun = Instant::now();
    loop {
        let ran = run();
        if ran.code == Some(code) {
            return ran;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{ran:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_broker_in_sync_is_ready_after_two_looks_on_each_kind_of_cluster() {
    for kind in MODERN {
        let (toolbox, cluster) = (Toolbox::alone(), Cluster::shared(kind));
        create(cluster, "probe.ready");
        let (address, folder) = (address(cluster, 2), log_dir(cluster, 2));
        let alive = probe(&toolbox, &[&["kafka", "live"], &TIMEOUT[..]].concat(), &address).ends_with(0);
        assert!(alive.out.ends_with("answers ApiVersions\n"), "{alive:?}");
        let latch = toolbox.state().join("latch.json").display().to_string();
        let line = ["kafka", "ready", "--log-dir", &folder, "--latch", &latch];
        let ready = || probe(&toolbox, &[&line[..], &TIMEOUT].concat(), &address);
        // A broker may not show for a moment what it hosts since then.
        let began = Instant::now();
        let second = loop {
            let _ = std::fs::remove_file(&latch);
            let (first, second) = (ready(), ready());
            if second.out.contains("is in sync: ") {
                assert!(first.code == Some(5) && first.out.starts_with("not_ready: "), "{}: {first:?}", kind.name());
                break second.ends_with(0);
            }
            assert!(began.elapsed() < Duration::from_mins(1), "{}: {second:?}", kind.name());
        };
        assert!(second.out.starts_with("ready: broker 2 is in sync: "), "{}: {second:?}", kind.name());
        let latched = ready().ends_with(0);
        assert!(latched.out.starts_with("ready: broker 2 was in sync and is ready since "), "{latched:?}");
        // Another start of the process begins anew.
        let kept = std::fs::read_to_string(&latch).unwrap();
        let start = kept.split("\"start\":\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(start.starts_with(&format!("{}@", cluster.pid(2).unwrap())), "{kept}");
        std::fs::write(&latch, kept.replace(start, "1@1@before")).unwrap();
        ready().ends_with(5);
        until(0, || {
            probe(&toolbox, &[&["kafka", "ready", "--broker", "2", "--strict"], &TIMEOUT[..]].concat(), &address)
        });
        let other =
            probe(&toolbox, &[&["kafka", "ready", "--broker", "9", "--strict"], &TIMEOUT[..]].concat(), &address);
        assert!(other.ends_with(5).out.contains("does not list it"));
    }
}

#[test]
fn a_broker_that_comes_back_is_not_ready_while_a_replica_is_missing_and_a_frozen_one_is_not_alive() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    let toolbox = Toolbox::alone();
    create(&cluster, "probe.behind");
    let address = address(&cluster, 3);
    let latch = toolbox.state().join("latch.json").display().to_string();
    let ready = || {
        let line = ["kafka", "ready", "--broker", "3", "--latch", &latch];
        probe(&toolbox, &[&line[..], &TIMEOUT].concat(), &address)
    };
    let live = |timeout: &str| probe(&toolbox, &["kafka", "live", "--timeout", timeout], &address);
    until(0, ready);

    cluster.stop_broker(3, Signal::Term).unwrap();
    live("20s").ends_with(5);
    assert!(ready().ends_with(5).out.starts_with("not_ready: "), "the latch is the stopped process's");
    throttle::set(&cluster, "probe.behind", Some(1_024)).unwrap();
    records::fill(&cluster, "probe.behind", 40_000, 500).unwrap();
    cluster.start_broker(3).unwrap();
    let begun = Instant::now();
    loop {
        let behind = ready().ends_with(5).out;
        if behind.contains("replicas are not in sync: probe.behind-") {
            assert!(behind.contains("behind leader "), "{behind}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{behind}");
    }
    assert!(ready().ends_with(5).out.contains("behind leader"), "only what lacked replicas is asked for again");

    throttle::set(&cluster, "probe.behind", None).unwrap();
    assert!(until(0, ready).out.contains("is in sync"));
    cluster.freeze(3).unwrap();
    let frozen = live("3s").ends_with(5);
    assert!(frozen.out.contains("has used no CPU time for") && frozen.out.contains("it is frozen"), "{frozen:?}");
    cluster.thaw(3).unwrap();
    until(0, || live("20s"));
}

#[test]
fn a_controller_is_ready_as_leader_and_as_follower_and_not_with_another_directory() {
    let (toolbox, cluster) = (Toolbox::alone(), Cluster::shared(Kind::Kafka43Kraft));
    let leader = cluster.controller().unwrap();
    for id in 1..=3 {
        let properties = cluster.folder().join(format!("broker-{id}/server.properties"));
        let properties = std::fs::read_to_string(properties).unwrap();
        let listeners = properties.lines().find(|line| line.starts_with("listeners=")).unwrap();
        let address = listeners.split("CONTROLLER://").nth(1).unwrap().split(',').next().unwrap();
        let folder = log_dir(cluster, id);
        let line = ["kafka", "controller", "--log-dir", &folder];
        let ran = until(0, || probe(&toolbox, &[&line[..], &TIMEOUT].concat(), address));
        let part = if id == leader { "leads the quorum of 3".to_owned() } else { format!("follows leader {leader}") };
        assert!(ran.out.contains(&format!("controller {id} {part}")), "{ran:?}");
        let line = ["kafka", "controller", "--node", &id.to_string(), "--directory-id", "AAECAwQFBgcICQoLDA0ODw"];
        let other = probe(&toolbox, &[&line[..], &TIMEOUT].concat(), address);
        assert!(other.ends_with(5).out.contains("another directory id"));
        probe(&toolbox, &[&["kafka", "live"], &TIMEOUT[..]].concat(), address).ends_with(0);
    }
}

#[test]
fn liveness_of_secure_listeners_needs_no_credentials_and_readiness_takes_those_of_the_properties() {
    let (toolbox, bed) = (Toolbox::alone(), security::bed::bed(Kind::Kafka43Kraft));
    for listener in ["SASL", "MTLS"] {
        let address = bed.address(listener);
        let line = [&["kafka", "live", "--tls"], &TIMEOUT[..]].concat();
        let out = probe(&toolbox, &line, &address).ends_with(0).out;
        assert!(out.ends_with("answers TLS handshake\n"), "{out}");
    }
    let out = probe(&toolbox, &[&["kafka", "live"], &TIMEOUT[..]].concat(), &bed.address("SASL")).ends_with(0).out;
    assert!(out.contains("give --tls"), "{out}");
    let open = probe(&toolbox, &[&["kafka", "live"], &TIMEOUT[..]].concat(), &bed.address("OPEN")).ends_with(0).out;
    assert!(open.ends_with("answers ApiVersions\n"), "{open}");

    let keys = security::bed::keys();
    let properties = format!(
        "security.protocol=SSL\n{}{}",
        keys.stores.trusting("PEM", "ca.pem"),
        keys.stores.showing("PEM", "client.pem")
    );
    let file = security::bed::write(&properties).display().to_string();
    let line = ["kafka", "ready", "--broker", "1", "--strict", "--command-config", &file];
    let ready = until(0, || probe(&toolbox, &[&line[..], &TIMEOUT].concat(), &bed.address("MTLS")));
    assert!(ready.out.contains("no other broker was there to compare with"), "{ready:?}");
    let wrong = security::bed::write("security.protocol=SSL\n").display().to_string();
    let line = ["kafka", "ready", "--broker", "1", "--strict", "--command-config", &wrong];
    probe(&toolbox, &[&line[..], &TIMEOUT].concat(), &bed.address("MTLS")).ends_with(1);
}

#[test]
fn a_zookeeper_server_that_runs_alone_is_alive_and_ready_only_where_that_is_expected() {
    let (toolbox, cluster) = (Toolbox::alone(), Cluster::shared(Kind::Kafka39Zookeeper));
    let address = cluster.zookeeper();
    probe(&toolbox, &[&["zookeeper", "live"], &TIMEOUT[..]].concat(), &address).ends_with(0);
    let ran = probe(&toolbox, &[&["zookeeper", "ready"], &TIMEOUT[..]].concat(), &address).ends_with(5);
    assert!(ran.out.contains("runs standalone"), "{ran:?}");
    probe(&toolbox, &[&["zookeeper", "ready", "--standalone"], &TIMEOUT[..]].concat(), &address).ends_with(0);
}
