//! Names and values that would move a terminal's cursor, turn its direction, hide themselves or forge a line: nothing of it
//! reaches a terminal as it is, in whatever command.

use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::cluster::broker::{BrokerId, Rack};
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::cluster::visible::has_hidden;
use kafka_toolbox::formats::yaml;

use crate::support::desk::{Desk, Said};
use crate::support::toolbox::Toolbox;

/// C0 and C1 controls, a change of direction, no width, an escape, a tag, and a line that looks like ours.
const EVIL: &str = "x\u{1b}[2J\u{9b}1m\u{202e}\u{200b}\u{7f}\r\u{e0041}\n+ topic FORGED: 1 partition\u{7}";

/// A cluster in which everything that may be any text is such a text.
fn cluster() -> Memory {
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2], &[2, 3]]).disks(1_000_000).group(EVIL, &["orders"]);
    kafka.edit(|model| {
        EVIL.clone_into(&mut model.cluster_id);
        for broker in model.brokers.values_mut() {
            EVIL.clone_into(&mut broker.host);
            broker.rack = Some(Rack(format!("{EVIL}{}", broker.id)));
        }
        model.broker_defaults.insert("cleanup.policy".to_owned(), EVIL.to_owned());
        model.broker_configs.entry(BrokerId(1)).or_default().insert(EVIL.to_owned(), EVIL.to_owned());
        let topic = model.topics.get_mut(&TopicName::new("orders").unwrap()).unwrap();
        for key in ["retention.ms", "leader.replication.throttled.replicas", EVIL] {
            topic.config.insert(key.to_owned(), EVIL.to_owned());
        }
    });
    kafka
}

#[track_caller]
fn is_harmless(said: &Said) {
    for text in [&said.out, &said.err] {
        assert!(!has_hidden(text), "{text:?}");
        let forged = text.lines().find(|line| line.trim_start().starts_with("+ topic FORGED"));
        assert_eq!(forged, None, "{text}");
    }
}

#[tokio::test]
async fn a_hostile_cluster_writes_nothing_to_a_terminal_but_what_can_be_seen() {
    let desk = Desk::new(cluster());
    let spec =
        desk.declare(&["{name: orders, partitions: 4, config: {retention.ms: 5}}", "{name: new, partitions: 1}"]);
    let lines: [&[&str]; 14] = [
        &["topics", "list", "-o", "wide"],
        &["topics", "describe", "orders", "--groups", "-o", "wide"],
        &["topics", "export"],
        &["topics", "diff", "-f", &spec],
        &["topics", "diff", "-f", &spec, "--cluster-id", "other"],
        &["topics", "apply", "-f", &spec, "--delete", "orders"],
        &["mapping", "show", "-o", "wide"],
        &["mapping", "rebuild"],
        &["mapping", "evacuate", "--brokers", "1"],
        &["throttle", "status"],
        &["throttle", "clear", "--all", "--dry-run"],
        &["reassign", "status"],
        &["reassign", "elect", "--topics", "orders"],
        &["events", "list", "-o", "wide"],
    ];
    for line in lines {
        is_harmless(&desk.run(line).await);
    }
    is_harmless(&desk.run_and_answer(Some(true), &["topics", "apply", "-f", &spec]).await);
    is_harmless(&desk.run(&["events", "list", "-o", "wide"]).await);
}

#[tokio::test]
async fn json_and_yaml_of_a_hostile_cluster_are_escaped_and_mean_what_the_cluster_said() {
    let desk = Desk::new(cluster());
    for line in
        [&["topics", "list"][..], &["topics", "describe", "orders"], &["mapping", "show"], &["topics", "export"]]
    {
        let json = desk.run(&[line, &["-o", "json"]].concat()).await;
        is_harmless(&json);
        let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        let yaml = desk.run(&[line, &["-o", "yaml"]].concat()).await;
        assert!(!has_hidden(&yaml.out), "{:?}", yaml.out);
        let (documents, faults) = yaml::documents(&yaml::Origin::new("out"), &yaml.out);
        assert!(faults.is_empty() && documents.len() == 1, "{line:?}: {faults:?}\n{}", yaml.out);
        if line[1] == "describe" {
            assert!(value.to_string().contains("FORGED"), "it is all there: {value}");
            let again: serde_json::Value = serde_saphyr::from_str(&yaml.out).unwrap();
            assert_eq!(again, value);
        }
    }
}

#[test]
fn hostile_files_are_complained_of_in_what_can_be_seen() {
    let toolbox = Toolbox::alone();
    let spec =
        toolbox.file("spec.yaml", "topics:\n  - {name: \"a\\e[2J\\u202E\", partitions: \"\\x9b\", \"\\u200b\": 1}\n");
    let plan = toolbox
        .file("plan.json", "{\"partitions\":[{\"topic\":\"a\\u001b\\u202e\",\"partition\":0,\"replicas\":[1]}]}");
    let properties = toolbox.file("c.properties", "security.protocol=\\u001b[2J\\u202e\nclient\\u001b.id=x\n");
    let lines: [&[&str]; 4] = [
        &["topics", "validate", "-f", &spec],
        &["reassign", "verify", "--plan", &plan, "--bootstrap-server", "127.0.0.1:1", "--timeout", "1s"],
        &["topics", "list", "--bootstrap-server", "a\u{1b}[2J\u{202e}:1"],
        &["topics", "list", "--bootstrap-server", "127.0.0.1:1", "--command-config", &properties],
    ];
    for line in lines {
        let ran = toolbox.run(line);
        assert_ne!(ran.code, Some(0), "{line:?}: {ran:#?}");
        assert!(!has_hidden(&ran.err) && !has_hidden(&ran.out), "{line:?}: {ran:?}");
    }
}

#[test]
fn a_file_of_passwords_that_is_given_by_mistake_is_not_repeated() {
    let toolbox = Toolbox::alone();
    let shadow = "root:$6$saltsalt$hashhashhash:19000:0:99999:7:::\ndaemon:$6$saltsalt$otherhash:19000:0:99999:7:::\n";
    for text in
        [shadow, "AKIAIOSFODNN7EXAMPLEhash\n", "user:$6$hash: x\n", "a:$6$hash: x\nb: {c:$6$hash: 1}\n", "- $6$hash\n"]
    {
        let file = toolbox.file("given", text);
        for line in [&["topics", "validate", "-f", &file][..], &["topics", "list", "--toolbox-file", &file]] {
            let ran = toolbox.run(line).ends_with(2);
            assert!(!ran.err.contains("hash") && !ran.out.contains("hash"), "{text:?}: {ran:#?}");
        }
    }
}

#[test]
fn an_argument_that_a_terminal_would_obey_is_escaped_in_the_error_about_it() {
    let toolbox = Toolbox::alone();
    for line in [
        &["topics", "list", "--\u{202e}\u{1b}[2Jx"][..],
        &["\u{9b}1m"],
        &["topics", "list", "-o", "\u{200b}\u{1b}]0;x\u{7}"],
    ] {
        let ran = toolbox.run(line).ends_with(2);
        assert!(!has_hidden(&ran.err) && ran.err.contains("\\u{"), "{:?}", ran.err);
    }
    let ran = toolbox.run(&["topics", "list", "--ouput"]).ends_with(2);
    assert!(ran.err.contains("Usage:"), "an ordinary mistake keeps its usage: {:?}", ran.err);
}
