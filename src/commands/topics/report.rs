//! Rows of `list` and `describe`: trouble first, in words. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::cluster::group::LiveGroup;
use crate::cluster::metadata::{Reassignment, ReplicaSize};
use crate::cluster::size::Bytes;
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};
use crate::cluster::visible;
use crate::commands::topics::plan::step::count;

/// What is known of topics beyond their metadata; whatever nobody asked for is empty.
#[derive(Debug, Clone, Default)]
pub struct More {
    /// Moves that are running.
    pub moves: BTreeMap<TopicPartition, Reassignment>,
    /// Whether rows show the config that is set on a topic, and who declares it.
    pub shows_config: bool,
    /// Configs by topic; only some keys where rows do not show them.
    pub configs: BTreeMap<TopicName, Vec<ConfigEntry>>,
    /// What replicas hold.
    pub sizes: Option<BTreeMap<TopicPartition, Vec<ReplicaSize>>>,
    /// The sources that declare topics, by topic.
    pub specs: BTreeMap<TopicName, String>,
    /// Groups with live members, where that was asked for.
    pub groups: Option<Vec<LiveGroup>>,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: TopicName,
    /// Whether Kafka keeps it for itself.
    pub internal: bool,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many replicas each has.
    pub replication_factor: usize,
    /// Partitions without a leader: they can be neither read nor written.
    pub without_leader: usize,
    /// Partitions with fewer replicas in sync than `min.insync.replicas`, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below_min_isr: Option<usize>,
    /// Partitions with a replica that is not in sync; replicas that a move is adding do not count.
    pub under_replicated: usize,
    /// Partitions that are being moved.
    pub moving: usize,
    /// Bytes of all replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Config that is set on the topic itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    /// The source that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
}

impl Row {
    /// The row of one topic.
    pub fn of(topic: &Topic, more: &More) -> Self {
        let states: Vec<_> = topic.partitions.iter().map(|partition| State::of(topic, partition, more)).collect();
        let count = |is: fn(&State) -> bool| states.iter().filter(|state| is(state)).count();
        let entries = more.configs.get(&topic.name);
        let least = entries.and_then(|entries| min_insync_replicas(entries));
        Self {
            name: topic.name.clone(),
            internal: topic.internal,
            partitions: topic.partitions.len(),
            replication_factor: states.iter().map(|state| state.replicas).min().unwrap_or(0),
            without_leader: count(|state| !state.has_leader),
            below_min_isr: least.map(|least| states.iter().filter(|state| state.in_sync < least).count()),
            under_replicated: count(|state| !state.lagging.is_empty()),
            moving: count(|state| state.is_moving),
            bytes: more.sizes.as_ref().map(|sizes| bytes_of(topic, sizes)),
            config: entries.filter(|_| more.shows_config).map(|entries| own_config(entries)),
            spec: more.specs.get(&topic.name).cloned(),
        }
    }

    /// The worst first, then by name.
    fn rank(&self) -> (std::cmp::Reverse<[usize; 3]>, &TopicName) {
        let trouble = [self.without_leader, self.below_min_isr.unwrap_or(0), self.under_replicated];
        (std::cmp::Reverse(trouble.map(|count| count.min(1))), &self.name)
    }

    /// What is wrong, in words; empty where nothing is.
    fn trouble(&self) -> String {
        let words = [
            (self.without_leader, "without leader"),
            (self.below_min_isr.unwrap_or(0), "below min.insync.replicas"),
            (self.under_replicated, "under-replicated"),
            (self.moving, "moving"),
        ];
        let parts: Vec<_> =
            words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        parts.join(", ")
    }
}

/// Orders rows: trouble first, then by name.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by(|one, other| one.rank().cmp(&other.rank()));
}

/// Head and cells of a list; what was asked for beyond the metadata has its columns.
pub fn list_table(rows: &[Row], more: &More) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let (with_size, with_config) = (more.sizes.is_some(), more.shows_config);
    let mut head = vec!["TOPIC", "PARTITIONS", "RF", "TROUBLE"];
    head.extend(with_size.then_some("SIZE"));
    head.extend(with_config.then_some(["CONFIG", "SPEC"]).into_iter().flatten());
    let cells = |row: &Row| {
        let mut cells = vec![
            row.name.to_string(),
            row.partitions.to_string(),
            row.replication_factor.to_string(),
            or_dash(row.trouble()),
        ];
        if with_size {
            cells.push(or_dash(row.bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default()));
        }
        if with_config {
            let config: Vec<_> = row.config.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
            cells.push(or_dash(config.join(",")));
            cells.push(or_dash(row.spec.clone().unwrap_or_default()));
        }
        cells
    };
    (head, rows.iter().map(cells).collect())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A topic, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What a list shows of it.
    #[serde(flatten)]
    pub row: Row,
    /// What is wrong, in words.
    pub trouble: Vec<String>,
    /// Its partitions.
    pub state: Vec<PartitionRow>,
    /// Config that differs from Kafka's own defaults.
    pub settings: Vec<ConfigEntry>,
    /// Groups with live members that read it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Live groups that do not tell whether they read it, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden_groups: Vec<String>,
}

/// A partition, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionRow {
    /// Its number.
    pub partition: i32,
    /// Its leader.
    pub leader: Option<BrokerId>,
    /// Its replicas, preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
    /// Those that a move is adding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adding: Vec<BrokerId>,
    /// Those that a move is removing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removing: Vec<BrokerId>,
    /// What its largest replica holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Description {
    /// The description of one topic.
    pub fn of(topic: &Topic, more: &More) -> Self {
        let entries = more.configs.get(&topic.name).map_or(&[][..], Vec::as_slice);
        let least = min_insync_replicas(entries);
        let trouble = topic.partitions.iter().filter_map(|partition| trouble(topic, partition, more, least)).collect();
        let settings = entries.iter().filter(|entry| entry.source != ConfigSource::Default).cloned();
        let groups = |is_meant: &dyn Fn(&&LiveGroup) -> bool| {
            let groups = more.groups.as_ref()?.iter().filter(|group| !group.is_lock()).filter(is_meant);
            Some(groups.map(|group| group.id.clone()).collect::<Vec<_>>())
        };
        let reads = |group: &&LiveGroup| group.topics.contains(&topic.name);
        Self {
            row: Row::of(topic, more),
            trouble,
            state: topic.partitions.iter().map(|partition| PartitionRow::of(topic, partition, more)).collect(),
            settings: settings.collect(),
            groups: groups(&reads),
            hidden_groups: groups(&|group| group.hides_topics && !reads(group)).unwrap_or_default(),
        }
    }

    /// The description as text.
    pub fn text(&self, table: impl Fn(&[&str], &[Vec<String>]) -> String) -> String {
        let Self { row, trouble, state, settings, groups, hidden_groups } = self;
        let mut out = format!(
            "topic {}: {}, replication factor {}",
            row.name,
            count(row.partitions, "partition"),
            row.replication_factor
        );
        let internal = row.internal.then(|| "internal".to_owned());
        let bytes = row.bytes.map(|bytes| format!("{} on disk", Bytes(bytes)));
        let spec = row.spec.as_ref().map(|spec| format!("declared in {}", visible::value(spec)));
        for part in [internal, bytes, spec].into_iter().flatten() {
            let _ = write!(out, ", {part}");
        }
        out.push('\n');
        for line in trouble {
            let _ = writeln!(out, "! {}", visible::line(line));
        }
        out.push('\n');
        let head = ["PARTITION", "LEADER", "REPLICAS", "ISR", "MOVE", "SIZE"];
        let columns = [true, true, true, true, row.moving > 0, row.bytes.is_some()];
        let pick =
            |cells: Vec<String>| cells.into_iter().zip(columns).filter(|(_, shown)| *shown).map(|(cell, _)| cell);
        let head: Vec<_> = head.iter().zip(columns).filter(|(_, shown)| *shown).map(|(cell, _)| *cell).collect();
        let rows: Vec<Vec<String>> = state.iter().map(|row| pick(row.cells()).collect()).collect();
        out.push_str(&table(&head, &rows));
        if !settings.is_empty() {
            let rows: Vec<_> = settings.iter().map(setting_cells).collect();
            let _ = write!(out, "\n{}", table(&["CONFIG", "VALUE", "SET BY"], &rows));
        }
        if let Some(groups) = groups {
            let ids = |ids: &[String]| ids.iter().map(|id| visible::value(id)).collect::<Vec<_>>().join(", ");
            let shown = if groups.is_empty() { "none".to_owned() } else { ids(groups) };
            let hidden = match ids(hidden_groups) {
                ids if ids.is_empty() => ids,
                ids => format!("; may read it, because what they read cannot be found out: {ids}"),
            };
            let _ = writeln!(out, "\nlive groups: {shown}{hidden}");
        }
        out
    }
}

impl PartitionRow {
    fn of(topic: &Topic, partition: &Partition, more: &More) -> Self {
        let key = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
        let (adding, removing) =
            more.moves.get(&key).map(|one| (one.adding.clone(), one.removing.clone())).unwrap_or_default();
        let sizes = more.sizes.as_ref().and_then(|sizes| sizes.get(&key));
        Self {
            partition: partition.partition,
            leader: partition.leader,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            adding,
            removing,
            bytes: sizes.and_then(|sizes| sizes.iter().map(|size| size.bytes).max()),
        }
    }

    fn cells(&self) -> Vec<String> {
        let signed =
            |sign: char, brokers: &[BrokerId]| brokers.iter().map(|id| format!("{sign}{id}")).collect::<Vec<_>>();
        vec![
            self.partition.to_string(),
            self.leader.map_or("none".to_owned(), |leader| leader.to_string()),
            ids(&self.replicas),
            or_dash(ids(&self.isr)),
            or_dash([signed('+', &self.adding), signed('-', &self.removing)].concat().join(" ")),
            self.bytes.map_or("-".to_owned(), |bytes| Bytes(bytes).to_string()),
        ]
    }
}

fn setting_cells(entry: &ConfigEntry) -> Vec<String> {
    let by = match entry.source {
        ConfigSource::Topic => "topic",
        ConfigSource::Broker => "broker",
        ConfigSource::BrokerDefaults => "all brokers",
        ConfigSource::BrokerFile => "server.properties",
        ConfigSource::Default => "default",
        ConfigSource::Other => "other",
    };
    vec![entry.name.clone(), entry.value.clone().unwrap_or_else(|| "(hidden)".to_owned()), by.to_owned()]
}

/// How one partition is.
struct State {
    has_leader: bool,
    is_moving: bool,
    /// Replicas, without those that a move is adding.
    replicas: usize,
    in_sync: usize,
    /// Replicas that are not in sync and not just being added.
    lagging: Vec<BrokerId>,
}

impl State {
    fn of(topic: &Topic, partition: &Partition, more: &More) -> Self {
        // Building the key costs a copy of the name: most lists have no moves at all.
        let moving = (!more.moves.is_empty())
            .then(|| TopicPartition { topic: topic.name.clone(), partition: partition.partition })
            .and_then(|key| more.moves.get(&key));
        let settled = |id: &&BrokerId| moving.is_none_or(|moving| !moving.adding.contains(id));
        let replicas: Vec<_> = partition.replicas.iter().filter(settled).copied().collect();
        Self {
            has_leader: partition.leader.is_some(),
            is_moving: moving.is_some(),
            in_sync: partition.isr.len(),
            lagging: replicas.iter().filter(|id| !partition.isr.contains(id)).copied().collect(),
            replicas: replicas.len(),
        }
    }
}

/// What is wrong with one partition, in words.
fn trouble(topic: &Topic, partition: &Partition, more: &More, least: Option<usize>) -> Option<String> {
    let state = State::of(topic, partition, more);
    let number = partition.partition;
    if !state.has_leader {
        return Some(format!(
            "partition {number} has no leader: it can be neither read nor written; in sync when last seen: {}; its \
             replicas are on brokers {}",
            if partition.isr.is_empty() { "none".to_owned() } else { ids(&partition.isr) },
            ids(&partition.replicas)
        ));
    }
    let below = least.filter(|least| state.in_sync < *least);
    let below = below.map(|least| format!("; min.insync.replicas is {least}, so writes with acks=all fail"));
    if state.lagging.is_empty() {
        return below.map(|below| format!("partition {number} has {} in sync{below}", state.in_sync));
    }
    let down: BTreeSet<_> = partition.offline.iter().collect();
    let words: Vec<_> = state
        .lagging
        .iter()
        .map(|id| format!("{id} ({})", if down.contains(id) { "down" } else { "behind" }))
        .collect();
    Some(format!(
        "partition {number}: {} of {} replicas in sync; not in sync: {}{}",
        state.in_sync.min(state.replicas),
        state.replicas,
        words.join(", "),
        below.unwrap_or_default()
    ))
}

fn ids(brokers: &[BrokerId]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn min_insync_replicas(entries: &[ConfigEntry]) -> Option<usize> {
    entries.iter().find(|entry| entry.name == "min.insync.replicas")?.value.as_deref()?.parse().ok()
}

fn own_config(entries: &[ConfigEntry]) -> BTreeMap<String, String> {
    let own = entries.iter().filter(|entry| entry.source == ConfigSource::Topic);
    own.map(|entry| (entry.name.clone(), entry.value.clone().unwrap_or_else(|| "(hidden)".to_owned()))).collect()
}

fn bytes_of(topic: &Topic, sizes: &BTreeMap<TopicPartition, Vec<ReplicaSize>>) -> u64 {
    let key = |partition: &Partition| TopicPartition { topic: topic.name.clone(), partition: partition.partition };
    let replicas = topic.partitions.iter().filter_map(|partition| sizes.get(&key(partition))).flatten();
    replicas.map(|replica| replica.bytes).sum()
}

/// Whether a topic may be under-replicated: then running moves must be known to tell.
pub fn may_be_under_replicated(topic: &Topic) -> bool {
    topic.partitions.iter().any(|partition| partition.isr.len() < partition.replicas.len())
}
