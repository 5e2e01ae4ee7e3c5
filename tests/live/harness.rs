//! The harness itself: what it starts is as asked, and nothing outlives its owner.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::live::kafka::{Cluster, Kind, Shape, Signal, records, runs};

#[test]
fn a_cluster_has_the_ids_and_racks_that_were_asked_for() {
    for kind in [Kind::Kafka39Zookeeper, Kind::Kafka43Kraft] {
        let shape = Shape { ids: vec![1001, 1002, 1003], zookeepers: 3, ..Shape::racks(&["a", "b", "c"]) };
        let cluster = Cluster::start(kind, &shape).unwrap();
        let seen = cluster.seen().unwrap();
        let expected = [(1001, "a"), (1002, "b"), (1003, "c")].map(|(id, rack)| (id, Some(rack.to_owned())));
        assert_eq!(seen.brokers, expected, "{}", kind.name());
        assert_eq!(seen.id, cluster.id());
        assert!(shape.ids.contains(&cluster.controller().unwrap()));
        assert_eq!(cluster.bootstrap().split(',').count(), 3);
        assert_eq!(cluster.zookeeper().split_terminator(',').count(), if kind.has_zookeeper() { 3 } else { 0 });
    }
}

#[test]
fn every_kind_has_a_shared_cluster_that_is_started_once() {
    for kind in Kind::ALL {
        let cluster = Cluster::shared(kind);
        assert_eq!(cluster.kind(), kind);
        assert_eq!(cluster.seen().unwrap().brokers.len(), 3);
        assert!(std::ptr::eq(cluster, Cluster::shared(kind)));
    }
}

#[test]
fn a_broker_is_stopped_killed_frozen_and_started_again() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    let first = cluster.pid(2).unwrap();
    cluster.stop_broker(2, Signal::Term).unwrap();
    assert_eq!(cluster.pid(2), None);
    cluster.await_brokers(&[1, 3]).unwrap();
    cluster.start_broker(2).unwrap();
    cluster.await_brokers(&[1, 2, 3]).unwrap();
    assert_ne!(cluster.pid(2).unwrap(), first);

    cluster.stop_broker(3, Signal::Kill).unwrap();
    cluster.await_brokers(&[1, 2]).unwrap();
    cluster.start_broker(3).unwrap();

    cluster.freeze(1).unwrap();
    cluster.freeze(2).unwrap();
    cluster.thaw(2).unwrap();
    cluster.await_brokers(&[2, 3]).unwrap();
    cluster.thaw(1).unwrap();
    cluster.await_brokers(&[1, 2, 3]).unwrap();
}

#[test]
fn records_are_written_read_back_and_compared() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let create = |topic: &str| {
        let bootstrap = cluster.bootstrap();
        let where_to = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic];
        let shape = ["--partitions", "3", "--replication-factor", "3"];
        cluster.tool("org.apache.kafka.tools.TopicCommand", &[&where_to[..], &shape[..]].concat()).unwrap();
    };
    create("harness.bulk");
    records::fill(cluster, "harness.bulk", 2_000, 500).unwrap();
    let digest = records::digest(cluster, "harness.bulk").unwrap();
    assert_eq!(digest.count, 2_000);
    assert_eq!(digest, records::digest(cluster, "harness.bulk").unwrap());

    create("harness.trickle");
    let writer = records::Writer::start(cluster, "harness.trickle", 500, 100).unwrap();
    records::fill(cluster, "harness.bulk", 1, 500).unwrap();
    let written = writer.finish().unwrap();
    assert!(written > 0);
    assert_eq!(records::numbers(cluster, "harness.trickle").unwrap(), (0..written).collect());
    let grown = records::digest(cluster, "harness.bulk").unwrap();
    assert_eq!(grown.count, 2_001);
    assert_ne!(grown.sum, digest.sum);
}

#[test]
fn listeners_files_properties_and_users_are_as_asked_for() {
    let shape = Shape::default()
        .listener("SASL", "SASL_PLAINTEXT")
        .proxied("DETOUR")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-256")
        .property(
            "listener.name.sasl.scram-sha-256.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        )
        .property("num.io.threads", "3")
        .property("log.dirs", "{files}/data")
        .file("note", "hello")
        .user("SCRAM-SHA-256", "ada", "lovelace");
    let cluster = Cluster::start(Kind::Kafka39Kraft, &shape).unwrap();
    let files = cluster.folder().join("files");
    assert_eq!(std::fs::read(files.join("note")).unwrap(), b"hello");
    assert!(files.join("data/meta.properties").exists());
    let [detour] = cluster.ports_of("DETOUR")[..] else { panic!("one broker has one port") };
    assert_ne!(detour.real, detour.advertised);
    assert!(TcpStream::connect(("127.0.0.1", detour.real)).is_ok());

    let bootstrap = cluster.bootstrap_of("SASL");
    for (password, works) in [("lovelace", true), ("wrong", false)] {
        let config = cluster.folder().join("client.properties");
        let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required";
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\n\
             sasl.jaas.config={jaas} username=\"ada\" password=\"{password}\";\n"
        );
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let arguments = ["--bootstrap-server", &bootstrap, "--command-config", config, "--list"];
        let listed = cluster.tool("org.apache.kafka.tools.TopicCommand", &arguments);
        assert_eq!(listed.is_ok(), works, "{listed:?}");
    }
    let log = std::fs::read_to_string(cluster.logs().join("broker-1.log")).unwrap();
    assert!(log.contains("num.io.threads = 3"));
}

#[test]
fn a_cluster_that_does_not_start_names_its_log_and_what_it_says() {
    let shape = Shape::default().property("num.io.threads", "none");
    let error = format!("{:#}", Cluster::start(Kind::Kafka39Zookeeper, &shape).unwrap_err());
    assert!(error.contains("Invalid value none for configuration num.io.threads"), "{error}");
    let log = error.split_whitespace().find(|word| word.ends_with("broker-1.log")).unwrap();
    assert!(Path::new(log).exists(), "{error}");
    let folder = Path::new(log).parent().unwrap().parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "only the logs stay");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn servers_end_and_their_folder_goes_when_the_owner_is_killed() {
    let mut owner = Command::new(servers())
        .args(["hold", "--kind", "kafka-4.3-kraft"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let folder = PathBuf::from(line.trim());
    let read = |path: PathBuf| -> i32 { std::fs::read_to_string(path).unwrap().trim().parse().unwrap() };
    let (keeper, broker) = (read(folder.join("keeper.pid")), read(folder.join("broker-1/pid")));
    let there = |pid: i32| Path::new(&format!("/proc/{pid}")).exists();
    assert!(runs(&folder));
    assert!(there(broker));

    owner.kill().unwrap();
    owner.wait().unwrap();
    let start = Instant::now();
    while there(broker) || there(keeper) {
        assert!(start.elapsed() < Duration::from_secs(20), "the servers outlived their owner");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!folder.exists());
}

#[test]
fn servers_for_hands_outlive_their_command_until_they_are_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let run = |verb: &str| {
        let output = Command::new(servers())
            .args([verb, "--kind", "kafka-4.3-kraft", "--file"])
            .arg(folder.path().join("toolbox.yaml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let first = run("start");
    assert!(first.contains("--cluster kafka-4.3-kraft"), "{first}");
    let file = std::fs::read_to_string(folder.path().join("toolbox.yaml")).unwrap();
    let address = file.lines().find_map(|line| line.trim().strip_prefix("bootstrapServers: ")).unwrap();
    let address = address.trim_matches('"').split(',').next().unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok());

    let again = run("start");
    assert!(again.contains("runs already"), "{again}");
    assert_eq!(std::fs::read_to_string(folder.path().join("toolbox.yaml")).unwrap(), file);

    // By its process, not by its port: another cluster may have that one at once.
    let broker = broker_for_hands(&folder.path().join("toolbox.yaml"));
    assert!(broker.exists());
    run("stop");
    assert!(!broker.exists());
    assert!(!folder.path().join("toolbox.yaml").exists());
    assert!(run("stop").contains("none run"));
}

/// The first broker's process of the cluster that was left running for a toolbox.yaml.
fn broker_for_hands(file: &Path) -> PathBuf {
    let mut folders = std::fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap().path());
    let is_for = |folder: &PathBuf| {
        let text = std::fs::read_to_string(folder.join("for-hands")).unwrap_or_default();
        text.lines().next() == file.to_str()
    };
    let pid = std::fs::read_to_string(folders.find(is_for).unwrap().join("broker-1/pid")).unwrap();
    Path::new("/proc").join(pid.trim())
}

/// The example binary, built from what is there now.
fn servers() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "--locked", "--example", "servers"]).status().unwrap();
    assert!(built.success());
    // target/debug/deps/suite-… and target/debug/examples/servers
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/servers")
}

#[test]
fn a_command_runs_beside_a_cluster_of_its_own_and_its_exit_code_is_kept() {
    let script = r#"test "${#SERVERS_CLUSTER_ID}" = 22 && "$SERVERS_TOOL" org.apache.kafka.tools.TopicCommand \
        --bootstrap-server "$TOOLBOX_BOOTSTRAP_SERVER" --create --topic made-by-hand && exit 7"#;
    let output = Command::new(servers())
        .args(["run", "--kind", "kafka-4.3-kraft", "--", "bash", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Created topic made-by-hand."));
}
