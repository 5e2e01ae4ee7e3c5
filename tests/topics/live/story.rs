//! The whole life of declared topics, on every kind of cluster.

use crate::live::kafka::{Cluster, Kind};
use crate::support::toolbox::{Ran, Toolbox};

fn spec(toolbox: &Toolbox, prefix: &str, topics: &str) -> String {
    let text = topics.replace("PREFIX", prefix);
    toolbox.file("spec.yaml", &format!("topics:\n{text}\n"))
}

fn apply(toolbox: &Toolbox, spec: &str, more: &[&str]) -> Ran {
    toolbox.run(&[&["topics", "apply", "-f", spec, "--yes"], more].concat())
}

fn tell(kind: Kind) {
    let toolbox = Toolbox::new(&Cluster::shared(kind).bootstrap());
    let prefix = "story";

    let first = "  - {name: PREFIX-a, partitions: 3, replicationFactor: 3, config: {retention.ms: 1000000}}\n  \
                 - {name: PREFIX-b, partitions: 1, replicationFactor: 2, config: {cleanup.policy: compact}}";
    let file = spec(&toolbox, prefix, first);
    let shown = toolbox.run(&["topics", "diff", "-f", &file]).ends_with(3);
    assert_eq!(shown.lines().last(), Some(&"2 to create; risk reversible"));
    let created = apply(&toolbox, &file, &[]).ends_with(0);
    assert_eq!(created.lines().last(), Some(&"2 done, 0 failed, 0 refused, 0 unknown"));
    toolbox.is_as_declared(&file);
    assert_eq!(apply(&toolbox, &file, &[]).ends_with(0).lines(), ["nothing to do"]);

    a_change_by_hand_is_drift_and_is_mended(&toolbox, &file, kind);

    let second = "  - {name: PREFIX-a, partitions: 5, replicationFactor: 3}\n  - {name: PREFIX-b, state: absent}";
    let file = spec(&toolbox, prefix, second);
    let changed = apply(&toolbox, &file, &[]).ends_with(4);
    assert!(changed.out.contains("~ topic story-a: partitions 3 -> 5"), "{changed:#?}");
    assert!(changed.out.contains("retention.ms 1000000 -> default (no longer declared)"), "{changed:#?}");
    assert!(changed.out.contains("--max-risk loses-data lets it through"), "{changed:#?}");
    assert_eq!(changed.lines().last(), Some(&"2 done, 0 failed, 1 refused, 0 unknown"));
    let deleted = apply(&toolbox, &file, &["--max-risk", "loses-data"]).ends_with(0);
    assert_eq!(deleted.lines().last(), Some(&"1 done, 0 failed, 0 refused, 0 unknown"));
    toolbox.is_as_declared(&file);

    let described = toolbox.run(&["topics", "describe", "story-a", "story-b"]).ends_with(1);
    assert!(described.out.starts_with("topic story-a: 5 partitions, replication factor 3"), "{described:#?}");
    assert!(described.err.contains("there is no topic story-b"), "{described:#?}");
    let listed = toolbox.run(&["topics", "list", "story-*"]).ends_with(0);
    assert_eq!(listed.lines(), ["TOPIC    PARTITIONS  RF  TROUBLE", "story-a  5           3   -"]);
}

/// Looks until what somebody else has changed shows: the broker that answers may not have heard of it yet.
fn until_it_differs(toolbox: &Toolbox, file: &str) -> Ran {
    let mut shown = toolbox.run(&["topics", "diff", "-f", file]);
    for _ in 0..50 {
        if shown.code == Some(3) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        shown = toolbox.run(&["topics", "diff", "-f", file]);
    }
    shown
}

/// Somebody else, with a state folder of their own, changes a topic.
fn a_change_by_hand_is_drift_and_is_mended(toolbox: &Toolbox, file: &str, kind: Kind) {
    let hand = Toolbox::new(&Cluster::shared(kind).bootstrap());
    let theirs = spec(&hand, "story", "  - {name: PREFIX-a, config: {retention.ms: 2000000, segment.ms: 700000}}");
    apply(&hand, &theirs, &[]).ends_with(0);
    let shown = until_it_differs(toolbox, file);
    let drift = "retention.ms 2000000 -> 1000000 (drift: changed by hand)";
    assert_eq!(shown.lines()[0], format!("~ topic story-a: {drift}"), "segment.ms is theirs");
    apply(toolbox, file, &[]).ends_with(0);
    toolbox.is_as_declared(file);
    let found: Vec<_> = toolbox.audit().into_iter().filter(|event| event.kind == "topics.drift").collect();
    assert_eq!((found.len(), found[0].subject.as_str()), (1, "topic:story-a"));
    // What they set they take away again: the next chapter counts changes.
    let theirs = spec(&hand, "story", "  - {name: PREFIX-a}");
    apply(&hand, &theirs, &[]).ends_with(0);
    until_it_differs(toolbox, file);
    apply(toolbox, file, &[]).ends_with(0);
    toolbox.is_as_declared(file);
}

#[test]
fn topics_live_and_die_as_declared_on_kafka_3_9_with_zookeeper() {
    tell(Kind::Kafka39Zookeeper);
}

#[test]
fn topics_live_and_die_as_declared_on_kafka_3_9_with_kraft() {
    tell(Kind::Kafka39Kraft);
}

#[test]
fn topics_live_and_die_as_declared_on_kafka_4_3() {
    tell(Kind::Kafka43Kraft);
}
