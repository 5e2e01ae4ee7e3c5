//! Plans of `mapping` from saved observations, whole processes: how time and memory grow with the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;

use kafka_toolbox::cluster::broker::BrokerId;
use serde_json::json;

use crate::clusters::Shape;
use crate::lines::{Stage, contender};
use crate::measure::{Goal, Line};

/// A verb on a cluster of a size, and what it may cost.
struct Task {
    brokers: i32,
    partitions: usize,
    words: &'static [&'static str],
    seconds: f64,
    megabytes: Option<f64>,
}

const fn task(brokers: i32, partitions: usize, words: &'static [&'static str], seconds: f64) -> Task {
    Task { brokers, partitions, words, seconds, megabytes: None }
}

/// What is planned, on clusters of growing size.
const TASKS: &[Task] = &[
    task(30, 1_000, &["rebalance"], 0.2),
    task(100, 10_000, &["rebalance"], 0.2),
    task(100, 10_000, &["rebalance", "--tolerance", "100%"], 0.1),
    Task { megabytes: Some(150.0), ..task(300, 30_000, &["rebalance"], 0.5) },
    task(500, 100_000, &["replace", "7"], 1.0),
    task(500, 100_000, &["rebuild", "--force"], 1.0),
    Task { megabytes: Some(3_000.0), ..task(2_000, 1_000_000, &["rebalance"], 20.0) },
];

/// Partitions from which on one run is enough: it takes seconds, and their noise is small beside that.
const HEAVY: usize = 1_000_000;

/// How often a line is run where others are run so often.
pub(crate) fn rounds(wanted: &str, others: usize) -> usize {
    let heavy = TASKS.iter().any(|task| task.partitions >= HEAVY && title(task) == wanted);
    if heavy { 1 } else { others }
}

/// The titles of the lines.
pub(crate) fn titles() -> impl Iterator<Item = String> {
    TASKS.iter().map(title)
}

fn title(task: &Task) -> String {
    format!("mapping {}: {} brokers, {} partitions", task.words.join(" "), task.brokers, task.partitions)
}

impl Stage<'_> {
    /// The line of that title, and the observation that it reads.
    pub(crate) fn planning(&self, wanted: &str) -> anyhow::Result<Option<Line>> {
        let Some(task) = TASKS.iter().find(|task| title(task) == wanted) else { return Ok(None) };
        let mut observed = Shape::new(task.brokers, task.partitions, 1).make();
        let is_replace = task.words.first() == Some(&"replace");
        if let Some(gone) = observed.brokers.get_mut(&BrokerId(7)).filter(|_| is_replace) {
            gone.live = false;
            gone.rack = None;
            lose(&mut observed, BrokerId(7));
        }
        let path = self.path("planned.json");
        let saved = json!({
            "kind": "mapping", "version": 1, "tool_version": env!("CARGO_PKG_VERSION"), "observed": observed
        });
        serde_json::to_writer(BufWriter::new(fs::File::create(&path)?), &saved)?;
        let words = [&["mapping"], task.words, &["--observed", &path, "-o", "json"]].concat();
        let mut ours = contender("toolbox", self.toolbox, &words);
        ours.right = vec![0, 3];
        ours.goal = Goal { seconds: Some(task.seconds), megabytes: task.megabytes, ..Goal::default() };
        ours.countable = false;
        Ok(Some(Line { title: wanted.to_owned(), contenders: vec![ours], times: 1 }))
    }
}

/// A broker is gone: its replicas are out of sync, and others lead.
fn lose(observed: &mut kafka_toolbox::commands::mapping::observe::Observed, gone: BrokerId) {
    let racks: BTreeMap<_, _> = observed.brokers.iter().map(|(id, broker)| (*id, broker.live)).collect();
    for partition in observed.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.replicas.contains(&gone) {
            partition.out_of_sync = vec![gone];
            partition.leader = partition.replicas.iter().copied().find(|id| racks[id]);
        }
    }
}
