//! Assignments in JSON: the file that Kafka's own tools take, and the plan that `mapping` writes.
//!
//! - [`read`] and [`write()`]: `{"version":1,"partitions":[{"topic":…,"partition":…,"replicas":[…]}]}`, as of
//!   `kafka-reassign-partitions.sh --reassignment-json-file`.
//! - [`read_plan`] and [`write_plan`]: a [`MovePlan`].
//! - [`read_either`]: whichever of the two a person hands over.
//! - [`read_partitions`]: partitions alone, as of `kafka-leader-election.sh --path-to-json-file`.
//!
//! What serde understands wrong ends the reading at its place; everything else that is wrong is listed, each with the
//! place of its entry.

mod partitions;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::cluster::assignment::{MOVE_PLAN_VERSION, MovePlan, PartitionMove};
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::formats::json;
use crate::formats::place::{Fault, Faults, Place};
use crate::formats::source::Source;

pub use partitions::read_partitions;

/// The only version of Kafka's file that there is.
const KAFKA_VERSION: i64 = 1;

/// Most faults that are listed for one text.
const FAULTS_MAX: usize = 100;

/// Replicas of partitions, in the order in which they stand in the file.
pub type Assignment = Vec<(TopicPartition, Vec<BrokerId>)>;

/// What a file of moves can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moves {
    /// A plan of `toolbox mapping`, with the state that it was made from.
    Plan(MovePlan),
    /// Kafka's own file: only where the replicas should be.
    Assignment(Assignment),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaFile {
    version: Option<i64>,
    partitions: Vec<KafkaPartition>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaPartition {
    topic: String,
    partition: i64,
    replicas: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_dirs: Option<Vec<String>>,
}

/// A plan of moves, as `toolbox mapping --out FOLDER` writes it to plan.json and `toolbox reassign` carries it out.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MovePlan")]
#[serde(deny_unknown_fields)]
struct PlanFile {
    /// Version of this form: 1.
    version: u32,
    /// The version of the toolbox that wrote it.
    tool_version: String,
    /// The cluster that it was made for.
    cluster_id: String,
    /// When the state that it was made from was read, RFC 3339.
    observed_at: String,
    /// The command that made it.
    made_by: String,
    /// Ids of its topics when it was made: it is not carried out on a topic that was deleted and created again since.
    #[serde(default)]
    topic_ids: BTreeMap<String, String>,
    /// The moves, ordered by topic and partition.
    moves: Vec<PlanMove>,
}

/// What changes for one partition.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PartitionMove")]
#[serde(deny_unknown_fields)]
struct PlanMove {
    /// The topic.
    topic: String,
    /// The partition's number, from 0.
    partition: i64,
    /// Its replicas when the plan was made, in their order.
    from: Vec<i64>,
    /// Its replicas afterwards, the preferred leader first.
    to: Vec<i64>,
    /// What one copy of it takes on disk; 0 where that is not known.
    #[serde(default)]
    bytes: u64,
}

/// Reads Kafka's file.
pub fn read(source: &Source) -> Result<Assignment, Faults> {
    let text = decode(source)?;
    let file: KafkaFile = parse(source, text)?;
    let mut checks = Checks::new(source, text, "partitions");
    if let Some(version) = file.version.filter(|version| *version != KAFKA_VERSION) {
        checks.fault_of_file(format!("its version is {version}; only version {KAFKA_VERSION} is known"));
    }
    if file.partitions.is_empty() {
        checks.fault_of_file("it names no partition: there is nothing to move".into());
    }
    let mut assignment = Vec::with_capacity(file.partitions.len());
    for (index, entry) in file.partitions.iter().enumerate() {
        checks.log_dirs(index, entry);
        let partition = checks.partition(index, &entry.topic, entry.partition);
        let replicas = checks.replicas(index, "replicas", &entry.replicas);
        assignment.extend(partition.zip(replicas));
    }
    checks.end().map(|()| assignment)
}

/// Writes Kafka's file: one line of JSON and a newline.
pub fn write<'a>(
    assignment: impl IntoIterator<Item = (&'a TopicPartition, &'a [BrokerId])>,
) -> serde_json::Result<String> {
    let partitions = assignment.into_iter().map(|(at, replicas)| KafkaPartition {
        topic: at.topic.to_string(),
        partition: at.partition.into(),
        replicas: replicas.iter().map(|broker| broker.0.into()).collect(),
        log_dirs: None,
    });
    let file = KafkaFile { version: Some(KAFKA_VERSION), partitions: partitions.collect() };
    serde_json::to_string(&file).map(|text| text + "\n")
}

/// Reads a plan.
pub fn read_plan(source: &Source) -> Result<MovePlan, Faults> {
    let text = decode(source)?;
    let file: PlanFile = parse(source, text)?;
    let mut checks = Checks::new(source, text, "moves");
    if file.version != MOVE_PLAN_VERSION {
        let words = format!("it is a plan of version {}; this toolbox reads {MOVE_PLAN_VERSION}", file.version);
        checks.fault_of_file(format!("{words}: make it anew with `toolbox {}`", file.made_by));
    }
    let mut moves = Vec::with_capacity(file.moves.len());
    for (index, entry) in file.moves.iter().enumerate() {
        let partition = checks.partition(index, &entry.topic, entry.partition);
        let from = checks.replicas(index, "from", &entry.from);
        let to = checks.replicas(index, "to", &entry.to);
        if from == to && from.is_some() {
            checks.fault(
                index,
                format!("{}-{} does not change: `from` and `to` are equal", entry.topic, entry.partition),
            );
        }
        if let (Some(partition), Some(from), Some(to)) = (partition, from, to) {
            moves.push(PartitionMove { partition, from, to, bytes: entry.bytes });
        }
    }
    let mut topic_ids = BTreeMap::new();
    for (topic, id) in &file.topic_ids {
        match (TopicName::new(topic.as_str()), Uuid::parse_str(id)) {
            (Ok(topic), Ok(id)) => {
                topic_ids.insert(topic, id);
            }
            _ => checks.fault_of_file("`topic_ids` has an entry that is not the id of a topic".to_owned()),
        }
    }
    checks.end()?;
    let PlanFile { version, tool_version, cluster_id, observed_at, made_by, .. } = file;
    Ok(MovePlan { version, tool_version, cluster_id, observed_at, made_by, topic_ids, moves })
}

/// Writes a plan, one move a line: people read it, and `diff` and `grep` do.
pub fn write_plan(plan: &MovePlan) -> serde_json::Result<String> {
    let head = MovePlan { moves: Vec::new(), ..plan.clone() };
    let head = serde_json::to_string_pretty(&head)?;
    let head = head.strip_suffix("[]\n}").unwrap_or(&head);
    let moves = plan.moves.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let lines = moves.join(",\n    ");
    let body = if moves.is_empty() { "[]\n}\n".to_owned() } else { format!("[\n    {lines}\n  ]\n}}\n") };
    Ok(format!("{head}{body}"))
}

/// Reads whichever of the two files it is.
pub fn read_either(source: &Source) -> Result<Moves, Faults> {
    #[derive(Deserialize)]
    struct Head {
        moves: Option<IgnoredAny>,
        partitions: Option<IgnoredAny>,
    }
    let head: Head = parse(source, decode(source)?)?;
    match (head.moves, head.partitions) {
        (Some(_), _) => read_plan(source).map(Moves::Plan),
        (None, Some(_)) => read(source).map(Moves::Assignment),
        (None, None) => {
            let hint = "a plan.json of `toolbox mapping` has `moves`, a file for Kafka's own tools has `partitions`";
            Err(Faults(vec![Fault::new(place(source, 1, 1), "this is no file of moves").with_hint(hint)]))
        }
    }
}

/// The JSON schema of a plan.
pub fn plan_schema() -> Value {
    schemars::schema_for!(PlanFile).into()
}

fn place(source: &Source, line: usize, column: usize) -> Place {
    Place { source: Arc::clone(&source.label), line: line as u64, column: column as u64 }
}

fn decode(source: &Source) -> Result<&str, Faults> {
    let bytes = source.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&source.bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        Faults(vec![Fault::new(place(source, line, column), "a byte that is not UTF-8").with_hint("save it as UTF-8")])
    })
}

fn parse<T: DeserializeOwned>(source: &Source, text: &str) -> Result<T, Faults> {
    // Serde takes a list for an object, field by field.
    if text.trim_start().starts_with('[') {
        let words =
            "this is not the JSON that was expected: it begins with a list, and these files with an object in `{ }`";
        let (line, column) = position(text.as_bytes(), text.len() - text.trim_start().len());
        return Err(Faults(vec![Fault::new(place(source, line, column), words)]));
    }
    serde_json::from_str(text).map_err(|error| {
        let words = format!("this is not the JSON that was expected: {}", json::words(&error, text));
        let fault = Fault::new(place(source, error.line().max(1), error.column().max(1)), words);
        let is_printed = text.trim_start().starts_with("Current partition");
        let hint =
            "this is all that kafka-reassign-partitions.sh --generate printed: keep only the JSON below `Proposed …`";
        Faults(vec![if is_printed { fault.with_hint(hint) } else { fault }])
    })
}

/// Line and column, from 1, of a byte.
fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    Cursor::new(bytes).position(at)
}

/// Finds lines and columns. Places in the order of the text cost one pass over it, all together.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1, column: 1 }
    }

    /// Line and column, from 1, of a byte.
    fn position(&mut self, at: usize) -> (usize, usize) {
        let at = at.min(self.bytes.len());
        if at < self.at {
            *self = Self::new(self.bytes);
        }
        for byte in &self.bytes[self.at..at] {
            match byte {
                b'\n' => (self.line, self.column) = (self.line + 1, 1),
                // The later bytes of a character in UTF-8.
                0x80..=0xbf => {}
                _ => self.column += 1,
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}

/// Collects what is wrong with entries.
struct Checks<'a> {
    source: &'a Source,
    text: &'a str,
    /// The field that holds the entries.
    list: &'static str,
    /// Where each partition stood first.
    seen: BTreeMap<TopicPartition, usize>,
    /// Entry and fault; none is the file as a whole.
    faults: Vec<(Option<usize>, String)>,
}

impl<'a> Checks<'a> {
    fn new(source: &'a Source, text: &'a str, list: &'static str) -> Self {
        Self { source, text, list, seen: BTreeMap::new(), faults: Vec::new() }
    }

    fn fault_of_file(&mut self, words: String) {
        self.faults.push((None, words));
    }

    fn fault(&mut self, index: usize, words: String) {
        self.faults.push((Some(index), words));
    }

    fn partition(&mut self, index: usize, topic: &str, partition: i64) -> Option<TopicPartition> {
        let topic = match TopicName::new(topic) {
            Ok(topic) => topic,
            Err(error) => {
                self.fault(index, error.to_string());
                return None;
            }
        };
        let Some(partition) = i32::try_from(partition).ok().filter(|partition| *partition >= 0) else {
            self.fault(index, format!("{topic} has no partition {partition}: they are counted from 0"));
            return None;
        };
        let key = TopicPartition { topic, partition };
        if let Some(first) = self.seen.get(&key) {
            let words = format!("{key} is listed twice: it is entry {}, too", first + 1);
            self.fault(index, words);
            return None;
        }
        self.seen.insert(key.clone(), index);
        Some(key)
    }

    fn replicas(&mut self, index: usize, field: &str, replicas: &[i64]) -> Option<Vec<BrokerId>> {
        if replicas.is_empty() {
            self.fault(index, format!("`{field}` is empty: a partition has at least one replica"));
            return None;
        }
        let mut times = BTreeMap::new();
        let mut brokers = Vec::with_capacity(replicas.len());
        for replica in replicas {
            let seen = times.entry(*replica).or_insert(0_usize);
            *seen += 1;
            match i32::try_from(*replica) {
                Ok(id) if id >= 0 && *seen == 1 => brokers.push(BrokerId(id)),
                Ok(id) if id >= 0 => {}
                _ => self.fault(index, format!("`{field}` has {replica}, which is no broker id")),
            }
        }
        for (id, times) in
            times.into_iter().filter(|(id, times)| *times > 1 && i32::try_from(*id).is_ok_and(|id| id >= 0))
        {
            let times = if times == 2 { "twice".to_owned() } else { format!("{times} times") };
            self.fault(index, format!("`{field}` has broker {id} {times}"));
        }
        (brokers.len() == replicas.len()).then_some(brokers)
    }

    fn log_dirs(&mut self, index: usize, entry: &KafkaPartition) {
        let Some(log_dirs) = &entry.log_dirs else { return };
        if log_dirs.len() != entry.replicas.len() {
            let words = format!("`log_dirs` has {} entries for {} replicas", log_dirs.len(), entry.replicas.len());
            self.fault(index, words);
        }
        if let Some(path) = log_dirs.iter().find(|path| *path != "any") {
            let hint = "moves between log dirs of one broker are not carried out; write `any`, or leave `log_dirs` out";
            self.fault(index, format!("`log_dirs` names {path}: {hint}"));
        }
    }

    fn end(self) -> Result<(), Faults> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let places = entries(self.text, self.list, self.faults.iter().filter_map(|(index, _)| *index).max());
        let mut cursor = Cursor::new(self.text.as_bytes());
        let faults = self.faults.into_iter().take(FAULTS_MAX).map(|(index, words)| {
            let at = index.and_then(|index| places.get(index)).copied();
            let (line, column) = at.map_or((1, 1), |at| cursor.position(at));
            Fault::new(place(self.source, line, column), words)
        });
        Err(Faults(faults.collect()))
    }
}

/// Where the entries of a list begin, up to the last one that is asked for. The text is known to be JSON.
fn entries(text: &str, list: &str, highest: Option<usize>) -> Vec<usize> {
    let Some(highest) = highest else { return Vec::new() };
    let mut found = Vec::new();
    let (mut depth, mut start_of_text, mut key, mut is_escaped) = (0_usize, None, "", false);
    for (at, byte) in text.bytes().enumerate() {
        if let Some(start) = start_of_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    if depth == 1 {
                        key = text.get(start + 1..at).unwrap_or_default();
                    }
                    start_of_text = None;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => start_of_text = Some(at),
            b'{' | b'[' => {
                if depth == 2 && key == list {
                    found.push(at);
                }
                depth += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if found.len() > highest {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests;
