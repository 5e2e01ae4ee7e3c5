//! `topics apply` dies at every boundary of every batch; the next run ends as declared, and the audit log has exactly
//! one outcome for every change.

use std::collections::BTreeMap;

use kafka_toolbox::change::event::Outcome;

use crate::live::kafka::{Cluster, Kind};
use crate::support::toolbox::Toolbox;

/// Creates, partitions, configs, deletes: four batches in this order.
const BATCHES: usize = 4;

/// Where a run can die: before a batch is tried, after it, after it was recorded.
const BOUNDARIES: [&str; 3] = ["intents", "applied", "recorded"];

fn die_everywhere(kind: Kind) {
    for batch in 1..=BATCHES {
        for boundary in BOUNDARIES {
            die_once(kind, boundary, batch);
        }
    }
}

fn die_once(kind: Kind, boundary: &str, batch: usize) {
    let toolbox = Toolbox::new(&Cluster::shared(kind).bootstrap());
    let at = format!("{boundary}:{batch}");
    let prefix = format!("killed-{boundary}-{batch}");
    let before = format!(
        "topics:\n  - {{name: {prefix}-grow, partitions: 1, replicationFactor: 2}}\n  - {{name: {prefix}-set, \
         partitions: 1, replicationFactor: 2, config: {{retention.ms: 1000000}}}}\n  - {{name: {prefix}-gone, \
         partitions: 1, replicationFactor: 2}}\n"
    );
    let after = format!(
        "topics:\n  - {{name: {prefix}-new1, partitions: 2, replicationFactor: 3}}\n  - {{name: {prefix}-new2, \
         partitions: 1, replicationFactor: 2, config: {{segment.ms: 700000}}}}\n  - {{name: {prefix}-grow, partitions: \
         3}}\n  - {{name: {prefix}-set, config: {{retention.ms: 2000000}}}}\n  - {{name: {prefix}-gone, state: absent}}\n"
    );
    let file = toolbox.file("spec.yaml", &before);
    let apply = ["topics", "apply", "-f", &file, "--yes", "--max-risk", "loses-data"];
    toolbox.run(&apply).ends_with(0);
    toolbox.file("spec.yaml", &after);
    let killed = toolbox.run_until(&at, &apply);
    assert_eq!(killed.code, None, "the run dies at {at}: {killed:#?}");
    toolbox.run(&apply).ends_with(0);

    toolbox.is_as_declared(&file);
    every_change_has_one_outcome(&toolbox, &prefix, &at);
}

/// No intent is without an outcome, none has two, and every change that was declared is among the done or unknown.
fn every_change_has_one_outcome(toolbox: &Toolbox, prefix: &str, at: &str) {
    let mut happened: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (id, outcomes) in toolbox.outcomes() {
        assert_eq!(outcomes.len(), 1, "{at}: side effect {id} has {} outcomes: {outcomes:#?}", outcomes.len());
        let event = &outcomes[0];
        if matches!(event.outcome, Outcome::Done | Outcome::Unknown) {
            *happened.entry((event.kind.clone(), event.subject.clone())).or_default() += 1;
        }
    }
    let expected = [
        ("topic.created", "new1"),
        ("topic.created", "new2"),
        ("topic.partitions_increased", "grow"),
        ("topic.config_changed", "set"),
        ("topic.deleted", "gone"),
    ];
    for (kind, name) in expected {
        let key = (kind.to_owned(), format!("topic:{prefix}-{name}"));
        assert!(happened.contains_key(&key), "{at}: {key:?} is lost; there are {happened:#?}");
    }
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_3_9_with_zookeeper() {
    die_everywhere(Kind::Kafka39Zookeeper);
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_3_9_with_kraft() {
    die_everywhere(Kind::Kafka39Kraft);
}

#[test]
fn a_run_that_dies_anywhere_is_finished_by_the_next_on_kafka_4_3() {
    die_everywhere(Kind::Kafka43Kraft);
}
