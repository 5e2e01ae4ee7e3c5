//! Outside Kubernetes: names, disks, output files, and a kill between the registry and the files.

use kafka_toolbox::change::event::Outcome;
use serde_json::Value;

use super::pods::{Pods, text};
use crate::support::toolbox::{Toolbox, finish};

const OPTIONAL: &str = "--rack-optional";

#[test]
fn a_pod_gets_its_id_its_rack_and_all_files_and_a_second_run_changes_no_byte() {
    let pods = Pods::new();
    let listeners = ["--advertised-listeners", "PLAINTEXT://{host-ip}:9092"];
    let run = || {
        let mut command = pods.command("my-kafka-2", &listeners);
        finish(command.env("POD_ZONE", "eu-1a").env("NODE_NAME", "n2").env("HOST_IP", "10.0.0.2"))
    };
    let first = run().ends_with(0);
    assert!(first.out.starts_with("+ broker 1003: pod my-kafka-2 gets the id\n"), "{first:#?}");
    let output = |name: &str| pods.output("my-kafka-2", name);
    let plain = ["broker.id", "rack.id", "node.name", "host.ip", "map"].map(output);
    assert_eq!(plain, ["1003\n", "eu-1a\n", "n2\n", "10.0.0.2\n", "map1\n"]);
    assert_eq!(
        output("env"),
        "KAFKA_BROKER_ID=1003\nKAFKA_NODE_ID=1003\nKAFKA_BROKER_RACK=eu-1a\n\
         KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://10.0.0.2:9092\n"
    );
    assert!(
        output("overrides.properties").ends_with("broker.rack=eu-1a\nadvertised.listeners=PLAINTEXT://10.0.0.2:9092\n")
    );
    let evidence: Value = serde_json::from_str(&output("identity.json")).unwrap();
    assert_eq!((&evidence["source"], &evidence["rack"]["source"]), (&"ordinal".into(), &"pod_label".into()));
    let before = output("identity.json");
    assert_eq!(run().ends_with(0).lines(), ["nothing to do"]);
    assert_eq!(output("identity.json"), before);

    let out = pods.out("my-kafka-2");
    let shown = pods.toolbox.run(&["identity", "show", "--out", text(&out), "--map", "map1"]).ends_with(0);
    let rows: Vec<_> = shown.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(rows.contains(&"id 1003 the pod's ordinal".to_owned()), "{}", shown.out);
    assert!(rows.iter().any(|row| row.starts_with("1003 assigned my-kafka-2 n2 eu-1a ")), "{}", shown.out);
    let json = pods.toolbox.run(&["identity", "show", "--out", text(&out), "-o", "json"]).ends_with(0);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["evidence"]["id"], 1003);
    pods.toolbox.run(&["identity", "show", "--out", "nowhere"]).ends_with(2);
}

#[test]
fn names_without_an_ordinal_and_unfilled_ids_are_refused_and_nothing_is_written() {
    let pods = Pods::new();
    for (pod, why) in [
        ("kafka-007", "`kafka-007` ends in `007`, which has a leading zero"),
        ("kafka", "`kafka` has no `-` with an ordinal behind it"),
        ("kafka-12-canary", "ends in `canary`, which is no ordinal"),
        ("my-kafka-eu-12", "has ordinal 12, but map map1 has 6 ids only"),
    ] {
        let refused = pods.assign(pod, &[OPTIONAL]).ends_with(4);
        assert!(refused.out.contains("E_") && refused.out.contains(why), "{refused:#?}");
        assert!(!pods.out(pod).exists());
    }
    for (variable, value, why) in [
        ("KAFKA_BROKER_ID", "-1", "KAFKA_BROKER_ID: `-1` is negative"),
        ("KAFKA_NODE_ID", "${HOSTNAME##*-}", "holds `$`: nothing is substituted"),
        ("TOOLBOX_IDENTITY_ID", "10 03", "the environment variable TOOLBOX_IDENTITY_ID (for --id) has a wrong value"),
    ] {
        let wrong = finish(pods.command("kafka-0", &[OPTIONAL]).env(variable, value)).ends_with(2);
        assert!(wrong.err.contains(why), "{wrong:#?}");
    }
    let given = finish(pods.command("kafka-0", &[OPTIONAL]).env("KAFKA_NODE_ID", "1005")).ends_with(0);
    assert!(given.out.contains("broker 1005"), "{given:#?}");
}

#[test]
fn disks_of_others_are_refused_and_never_written() {
    let cases = [
        ("version=1\nnode.id=1001\ncluster.id=a\n", "E_DISK_MISMATCH"),
        ("version=0\nbroker.id=1003\ncluster.id=another\n", "E_WRONG_CLUSTER"),
        ("version=1\nnode.id=${HOSTNAME##*-}\ncluster.id=a\n", "E_DISK_IO"),
        ("", "E_DISK_IO"),
        ("version=1\nnode.id=10", "E_DISK_MISMATCH"),
    ];
    for (written, code) in cases {
        let pods = Pods::new();
        let path = pods.format("kafka-2", written);
        let refused = pods.assign("kafka-2", &[OPTIONAL, "--cluster-id", "a"]).ends_with(4);
        assert!(refused.out.contains(&format!("{code}: ")), "{written:?}: {refused:#?}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), written);
        assert!(!pods.out("kafka-2").exists());
    }
    let pods = Pods::new();
    std::fs::create_dir(pods.disk("kafka-2").join("orders-0")).unwrap();
    assert!(pods.assign("kafka-2", &[OPTIONAL]).ends_with(4).out.contains("E_DISK_NO_ID: "));
    let other = pods.format("kafka-3", "version=1\nnode.id=1004\ncluster.id=a\n");
    let (one, two) = (pods.disk("kafka-3"), pods.disk("kafka-4"));
    pods.format("kafka-4", "version=1\nnode.id=1005\ncluster.id=a\n");
    let both = format!("{},{}", text(&one), text(&two));
    let refused =
        pods.toolbox.run(&["identity", "assign", "--yes", OPTIONAL, "--pod-name", "kafka-3", "--log-dirs", &both]);
    assert!(refused.ends_with(4).out.contains("E_DISK_MISMATCH: "));
    assert!(other.exists());
}

#[test]
fn the_disks_of_broker_a_under_the_ordinal_of_broker_b_are_refused_and_keep_every_byte() {
    let pods = Pods::new();
    let folders = |pod: &str| [1, 2].map(|number| pods.disk(pod).join(format!("data-{number}")));
    let assign = |pod: &str| {
        let [one, other] = folders(pod);
        let dirs = format!("{},{}", text(&one), text(&other));
        let out = pods.out(pod);
        let own =
            ["identity", "assign", "--yes", OPTIONAL, "--pod-name", pod, "--cluster-id", "a", "--log-dirs", &dirs];
        pods.toolbox.run(&[&own[..], &["--out", text(&out)]].concat())
    };
    let meta = |pod: &str| folders(pod).map(|folder| folder.join("meta.properties"));
    for (pod, id) in [("kafka-2", 1003), ("kafka-3", 1004)] {
        for folder in folders(pod) {
            std::fs::create_dir(folder).unwrap();
        }
        assign(pod).ends_with(0);
        assert_eq!(pods.output(pod, "broker.id"), format!("{id}\n"));
        // As Kafka writes it: a comment with the time first.
        for (number, path) in (1..).zip(meta(pod)) {
            let text = format!(
                "#Sun Nov 29 12:00:00 UTC 2026\nnode.id={id}\ndirectory.id=d{id}{number}\nversion=1\ncluster.id=a\n"
            );
            std::fs::write(path, text).unwrap();
        }
        assign(pod).ends_with(0);
    }

    let swap = || {
        let [one, other] = ["kafka-2", "kafka-3"].map(|pod| pods.disk(pod));
        let aside = one.with_extension("aside");
        for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
            std::fs::rename(from, to).unwrap();
        }
    };
    let bytes =
        |pod: &str| meta(pod).map(|path| (std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap()));
    let outputs = || ["kafka-2", "kafka-3"].map(|pod| pods.output(pod, "identity.json"));
    let (of_one, of_other, written) = (bytes("kafka-2"), bytes("kafka-3"), outputs());
    swap();
    for (pod, own, other) in [("kafka-2", 1003, 1004), ("kafka-3", 1004, 1003)] {
        let refused = assign(pod).ends_with(4);
        assert!(refused.out.contains("E_DISK_MISMATCH: "), "{refused:#?}");
        assert!(refused.out.contains(&own.to_string()) && refused.out.contains(&other.to_string()), "{refused:#?}");
    }
    assert_eq!((bytes("kafka-2"), bytes("kafka-3"), outputs()), (of_other, of_one, written));

    // One folder of two is another broker's.
    swap();
    let [_, mine] = folders("kafka-2");
    let [_, foreign] = folders("kafka-3");
    let aside = mine.with_extension("aside");
    std::fs::rename(&mine, &aside).unwrap();
    std::fs::rename(&foreign, &mine).unwrap();
    let before = bytes("kafka-2");
    assert!(assign("kafka-2").ends_with(4).out.contains("E_DISK_MISMATCH: "));
    assert_eq!(bytes("kafka-2"), before);
    std::fs::rename(&mine, &foreign).unwrap();
    std::fs::rename(&aside, &mine).unwrap();
    assign("kafka-2").ends_with(0);
    assign("kafka-3").ends_with(0);
}

#[test]
fn a_disk_that_holds_the_id_is_believed_and_a_lost_one_is_refused() {
    let pods = Pods::new();
    pods.assign("kafka-2", &[OPTIONAL]).ends_with(0);
    let path = pods.format("kafka-2", "version=1\nnode.id=1003\ncluster.id=a\ndirectory.id=d1\n");
    let known = pods.assign("kafka-2", &[OPTIONAL]).ends_with(0);
    assert!(known.out.contains("~ broker 1003: pod kafka-2 starts again"), "{known:#?}");
    std::fs::remove_file(path).unwrap();
    let refused = pods.assign("kafka-2", &[OPTIONAL]).ends_with(4);
    assert!(refused.out.contains("E_DISK_LOST: the disk is empty, but id 1003 had one before"), "{refused:#?}");
    let refused = pods.assign("kafka-2", &[OPTIONAL, "--replaced", "same-id"]).ends_with(4);
    assert!(refused.out.contains("E_CLUSTER_UNKNOWN: "), "{refused:#?}");
    let refused = pods.assign("kafka-2", &[OPTIONAL, "--replaced", "new-id"]).ends_with(4);
    assert!(refused.out.contains("--max-risk moves-data lets it through"), "{refused:#?}");
    let other = pods.assign("kafka-2", &[OPTIONAL, "--replaced", "new-id", "--max-risk", "moves-data"]).ends_with(0);
    assert!(other.out.contains("+ broker 1001: pod kafka-2 gets it instead of 1003, which is retired"), "{other:#?}");
    assert_eq!(pods.output("kafka-2", "broker.id"), "1001\n");
    pods.format("kafka-9", "version=1\nnode.id=1003\ncluster.id=a\ndirectory.id=d1\n");
    assert!(pods.assign("kafka-9", &[OPTIONAL, "--id", "1003"]).ends_with(4).out.contains("E_RETIRED_DISK: "));
}

#[test]
fn one_that_is_killed_between_registry_and_files_gets_the_same_id_when_it_runs_again() {
    let pods = Pods::new();
    let flags = [OPTIONAL, "--allocation", "first-free"];
    pods.assign("kafka-a", &flags).ends_with(0);
    let killed = finish(pods.command("kafka-b", &flags).env("TOOLBOX_DIE_AT", "applied:1"));
    assert_eq!(killed.code, None, "{killed:#?}");
    assert!(!pods.out("kafka-b").exists());
    pods.assign("kafka-c", &flags).ends_with(0);
    let again = pods.assign("kafka-b", &flags).ends_with(0);
    assert!(!again.out.contains("gets the id"), "it has it: {again:#?}");
    let ids = ["kafka-a", "kafka-b", "kafka-c"].map(|pod| pods.output(pod, "broker.id"));
    assert_eq!(ids, ["1001\n", "1002\n", "1003\n"]);
}

#[test]
fn how_the_entry_of_a_start_that_died_ended_is_read_from_the_registry_by_the_next_one() {
    let pods = Pods::new();
    pods.assign("kafka-0", &[OPTIONAL]).ends_with(0);
    let dies = |place: &str| {
        let killed = finish(pods.command("kafka-1", &[OPTIONAL]).env("TOOLBOX_DIE_AT", place));
        assert_eq!(killed.code, None, "{killed:#?}");
    };
    let assigned = || {
        let events = pods.toolbox.audit().into_iter();
        let ended =
            events.filter(|it| it.kind == "identity.assigned" && it.subject == "broker:1002" && !it.is_intent());
        ended.map(|event| event.outcome).collect::<Vec<_>>()
    };
    dies("intents:1");
    let begins = pods.assign("kafka-0", &[OPTIONAL]).ends_with(0);
    assert_eq!(assigned(), [Outcome::Failed], "another start reads the same file: {begins:#?}");
    dies("applied:1");
    pods.assign("kafka-1", &[OPTIONAL]).ends_with(0);
    assert_eq!(assigned(), [Outcome::Failed, Outcome::Done]);
    assert_eq!(pods.toolbox.files("open"), 0);
}

#[test]
fn a_zookeeper_server_gets_its_myid_once() {
    let pods = Pods::of(Toolbox::alone(), "clusters: {main: {}}\n");
    let flags = ["--kind", "zookeeper"];
    let first = pods.assign("zk-2", &flags).ends_with(0);
    assert!(first.out.contains("+ server 3: "), "{first:#?}");
    let myid = pods.disk("zk-2").join("myid");
    assert_eq!(std::fs::read_to_string(&myid).unwrap(), "3\n");
    assert_eq!((pods.output("zk-2", "myid"), pods.output("zk-2", "env")), ("3\n".into(), "ZOO_MY_ID=3\n".into()));
    pods.assign("zk-2", &flags).ends_with(0);
    assert_eq!(pods.assign("zk-2", &flags).ends_with(0).lines(), ["nothing to do"]);
    std::fs::write(&myid, "4\n").unwrap();
    assert!(pods.assign("zk-2", &flags).ends_with(4).out.contains("E_DISK_MISMATCH: "));
    assert_eq!(std::fs::read_to_string(&myid).unwrap(), "4\n");
    let many = pods.assign("zk-255", &flags).ends_with(4);
    assert!(many.out.contains("E_NO_ID: "), "{many:#?}");
}

#[test]
fn ranges_that_overlap_and_ids_of_controllers_are_wrong_usage() {
    let maps =
        "clusters: {main: {maps: {a: {topics: a, brokers: [1-3]}, b: {topics: b, brokers: [3-5], overlap: true}}}}\n";
    let pods = Pods::of(Toolbox::alone(), maps);
    let wrong = pods.assign("kafka-0", &[OPTIONAL, "--map", "a"]).ends_with(2);
    assert!(wrong.err.contains("maps `a` and `b` both have id 3"), "{wrong:#?}");
    let pods = Pods::new();
    let wrong = pods.assign("kafka-0", &[OPTIONAL, "--controller-ids", "1006-1008"]).ends_with(2);
    assert!(wrong.err.contains("map `map1` has id 1006, which is a KRaft controller's"), "{wrong:#?}");
    let wrong = pods.assign("kafka-0", &[OPTIONAL, "--map", "map2"]).ends_with(2);
    assert!(wrong.err.contains("there is no map `map2` (did you mean `map1`?)"), "{wrong:#?}");
}

#[test]
fn without_a_rack_the_start_is_refused_and_a_variable_can_name_one() {
    let pods = Pods::new();
    let refused = finish(pods.command("kafka-0", &[]).env("POD_ZONE", "")).ends_with(4);
    assert!(refused.out.contains("E_RACK_UNKNOWN: no rack is known"), "{refused:#?}");
    finish(pods.command("kafka-0", &["--rack-from-env", "RACK"]).env("RACK", "r1")).ends_with(0);
    assert_eq!(pods.output("kafka-0", "rack.id"), "r1\n");
    let moved = finish(pods.command("kafka-0", &["--rack-from-env", "RACK"]).env("RACK", "r2")).ends_with(0);
    assert!(moved.out.contains("! broker 1001: rack r1 -> r2"), "{moved:#?}");
    assert!(pods.toolbox.audit().iter().any(|event| event.kind == "identity.rack_changed"));
    let back = ["--rack-from-env", "RACK", "--rack-immutable"];
    assert!(finish(pods.command("kafka-0", &back).env("RACK", "r1")).ends_with(4).out.contains("E_RACK_CHANGED: "));
}

#[test]
fn a_dry_run_shows_the_id_and_writes_nothing_and_a_saved_observation_gives_the_same() {
    let pods = Pods::new();
    let saved = pods.out("saved.json");
    let shown = pods.assign("kafka-1", &[OPTIONAL, "--dry-run", "--save-observed", text(&saved)]).ends_with(3);
    assert!(shown.out.contains("+ broker 1002: pod kafka-1 gets the id"), "{shown:#?}");
    assert!(!pods.out("kafka-1").exists());
    let again = pods.assign("kafka-1", &[OPTIONAL, "--observed", text(&saved)]).ends_with(3);
    assert_eq!(again.out, shown.out);
}
