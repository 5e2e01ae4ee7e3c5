//! Reads what the planner needs: one Metadata request for all, configs of declared topics with only the needed keys,
//! and what only some plans ask for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::looks::Looks;
use crate::clients::kafka::{Kafka, KafkaError, codes};
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::group::LiveGroup;
use crate::cluster::in_order;
use crate::cluster::metadata::{Metadata, Reassignment, TopicSelection};
use crate::cluster::offset::{FoundOffset, OffsetQuery};
use crate::cluster::size::Bytes;
use crate::cluster::topic::{Topic, TopicName, TopicPartition};
use crate::commands::mapping::observe as mapping;
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::Held;
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::plan::questions::Questions;
use crate::commands::topics::spec::{Spec, State};
use crate::formats::secret::is_secret_key;

/// Keys that are asked of every declared topic.
const KEYS_ALWAYS: [&str; 2] = ["cleanup.policy", "min.insync.replicas"];

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster's id, brokers and topics.
    pub metadata: Metadata,
    /// Config of the declared topics that are there: the keys that matter.
    #[serde(deserialize_with = "in_order::map")]
    pub configs: BTreeMap<TopicName, Vec<ConfigEntry>>,
    /// Keys that the brokers know; empty where nobody asked.
    #[serde(default)]
    pub known_keys: BTreeSet<String>,
    /// What was last applied of this spec; none where there is no record.
    #[serde(default)]
    pub last_applied: Option<LastApplied>,
    /// Declared topics that other owners declare, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declared_by_others: BTreeMap<TopicName, Vec<Declared>>,
    /// The brokers' defaults, where a topic is to be created.
    #[serde(default)]
    pub broker_defaults: Option<BrokerDefaults>,
    /// Moves that are running, by topic and partition, where that matters.
    #[serde(default)]
    pub moves: BTreeMap<TopicName, BTreeMap<i32, Reassignment>>,
    /// Bytes that the largest replica of each partition holds, added up, where that matters.
    #[serde(default)]
    pub bytes: BTreeMap<TopicName, u64>,
    /// What every broker holds, where replicas are to be placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<mapping::Observed>,
    /// Who uses the topics that are to be deleted.
    #[serde(default)]
    pub uses: BTreeMap<TopicName, Use>,
    /// What holds for a topic's config key that is not set, where that decides what a change costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_defaults: Option<Defaults>,
    /// What topics hold, and what of it new configs would delete.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<TopicName, Held>,
    /// Partitions with eligible leaders that are not in sync, of topics whose `min.insync.replicas` changes; a topic that could
    /// not be asked is not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub eligible: BTreeMap<TopicName, Vec<i32>>,
    /// The first and the end offset of each partition of topics that get more partitions or are to be deleted; topics whose
    /// offsets could not be read are not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logs: BTreeMap<TopicName, Vec<(i64, i64)>>,
}

/// Who declares a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The owner (`--owner`).
    pub owner: String,
    /// The source that it last applied.
    pub source: String,
}

/// What holds for a new topic that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerDefaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
}

impl Default for BrokerDefaults {
    /// Kafka's own.
    fn default() -> Self {
        Self { partitions: 1, replication_factor: 1, min_insync_replicas: 1 }
    }
}

/// Who uses a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Use {
    /// Groups with live members that read it.
    pub groups: Vec<String>,
    /// When a record that is newer than `--min-idle` was written, where there is one.
    pub newest: Option<Timestamp>,
    /// Why it could not be found out.
    pub unclear: Option<String>,
    /// Whether brokers give the records their times (`message.timestamp.type`); else their times are what producers say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_append_times: bool,
}

impl Observed {
    /// What a topic's leaders hold, where that is known.
    pub fn bytes_of(&self, name: &TopicName) -> Option<Bytes> {
        self.bytes.get(name).copied().map(Bytes)
    }

    /// How many records a topic holds at most, where that was read.
    pub fn records(&self, name: &TopicName) -> Option<u64> {
        let held = |(start, end): &(i64, i64)| u64::try_from(end.saturating_sub(*start)).unwrap_or(0);
        Some(self.logs.get(name)?.iter().map(held).fold(0, u64::saturating_add))
    }

    /// The end offsets of a topic's partitions, where they were read: each record that is appended moves one of them.
    pub fn ends(&self, name: &TopicName) -> Option<Vec<i64>> {
        Some(self.logs.get(name)?.iter().map(|(_, end)| *end).collect())
    }

    /// The topics' ids, where brokers tell them.
    pub fn ids(&self) -> BTreeMap<TopicName, Uuid> {
        let topics = self.metadata.topics.iter();
        topics.filter_map(|(name, topic)| Some((name.clone(), topic.id?))).collect()
    }

    /// Whether partitions of a topic are being reassigned.
    pub fn is_moving(&self, name: &TopicName) -> bool {
        self.moves.contains_key(name)
    }

    /// How many replicas the partitions of a topic have; those of a running move as they will be.
    pub fn replication_factor(&self, topic: &Topic) -> usize {
        let moves = self.moves.get(&topic.name);
        let target = |partition: &crate::cluster::topic::Partition| {
            let leaving = moves.and_then(|moves| moves.get(&partition.partition)).map_or(0, |one| one.removing.len());
            partition.replicas.len().saturating_sub(leaving)
        };
        topic.partitions.iter().map(target).min().unwrap_or(0)
    }
}

/// What an observation begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The cluster.
    pub metadata: Metadata,
    /// What was last applied of this spec.
    pub last_applied: Option<LastApplied>,
    /// Declared topics that other owners declare, too.
    pub declared_by_others: BTreeMap<TopicName, Vec<Declared>>,
}

/// Reads all that planning this spec needs. `now`, and the moment of `--min-idle` ago.
pub async fn observe(
    kafka: &dyn Kafka,
    spec: &Spec,
    begun: Begun,
    (now, idle_since): (Timestamp, Timestamp),
) -> anyhow::Result<Observed> {
    let Begun { mut metadata, last_applied, declared_by_others } = begun;
    let configs = configs(kafka, spec, &mut metadata, last_applied.as_ref()).await?;
    let mut observed = Observed { metadata, configs, last_applied, declared_by_others, ..Observed::default() };
    let Questions { reassignments, sizes, broker_defaults, placement, known_keys, uses, logs } =
        Questions::of(spec, &observed);
    if reassignments {
        observed.moves = moves(kafka).await?;
    }
    if sizes {
        observed.bytes = bytes(kafka, spec, &observed.metadata).await?;
    }
    if placement {
        observed.placement = Some(mapping::live::observe(kafka, now).await?);
    }
    if broker_defaults {
        observed.broker_defaults = Some(defaults(kafka, &observed.metadata).await?);
    }
    if known_keys {
        observed.known_keys = self::known_keys(kafka, &observed.metadata).await?;
    }
    if !logs.is_empty() {
        observed.logs = self::logs(kafka, &logs, &observed.metadata).await;
    }
    if !uses.is_empty() {
        let unknown;
        (observed.uses, unknown) = self::uses(kafka, &uses, &observed.metadata, idle_since).await;
        forget_deleted(kafka, unknown, &mut observed.metadata).await?;
    }
    Ok(observed)
}

/// Configs of the declared topics that are there: of strict ones all keys, of others those that matter. Topics that turn
/// out to have been deleted a moment ago are taken out of `metadata`.
async fn configs(
    kafka: &dyn Kafka,
    spec: &Spec,
    metadata: &mut Metadata,
    last_applied: Option<&LastApplied>,
) -> anyhow::Result<BTreeMap<TopicName, Vec<ConfigEntry>>> {
    let mut keys: BTreeSet<&str> = KEYS_ALWAYS.into();
    let (mut strict, mut others) = (Vec::new(), Vec::new());
    for (name, declared) in &spec.topics {
        if declared.state == State::Absent || !metadata.topics.contains_key(name) {
            continue;
        }
        let last = last_applied.and_then(|last| last.topics.get(name));
        keys.extend(declared.config.keys().chain(last.iter().flat_map(|last| last.keys())).map(String::as_str));
        let group = if declared.strict { &mut strict } else { &mut others };
        group.push(ConfigResource::Topic(name.clone()));
    }
    let keys: Vec<_> = keys.into_iter().collect();
    let mut answers = configs_of(kafka, strict, None).await?;
    answers.extend(configs_of(kafka, others, Some(&keys)).await?);
    let unknown = answers.iter().filter(|(_, entries)| entries.as_ref().is_err_and(is_unknown));
    forget_deleted(kafka, unknown.map(|(name, _)| name.clone()).collect(), metadata).await?;
    let mut found = BTreeMap::new();
    for (name, entries) in answers {
        if metadata.topics.contains_key(&name) {
            let entries = entries.with_context(|| format!("failed to read the config of topic {name}"))?;
            found.insert(name, entries.into_iter().map(without_secret).collect());
        }
    }
    Ok(found)
}

fn is_unknown(error: &KafkaError) -> bool {
    error.code() == Some(codes::UNKNOWN_TOPIC_OR_PARTITION)
}

type Configs = BTreeMap<TopicName, Result<Vec<ConfigEntry>, KafkaError>>;

/// Configs of topics that one broker says are there. Another broker, or the same one after it lost its controller, may
/// not know a young topic yet: it is asked again.
async fn configs_of(
    kafka: &dyn Kafka,
    mut open: Vec<ConfigResource>,
    keys: Option<&[&str]>,
) -> anyhow::Result<Configs> {
    let mut found = Configs::new();
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        let answers = kafka.configs(&open, keys).await.context("failed to read the topics' configs")?;
        open.clear();
        for (resource, entries) in answers {
            let ConfigResource::Topic(name) = &resource else { continue };
            let is_young = entries.as_ref().is_err_and(is_unknown);
            found.insert(name.clone(), entries);
            if is_young {
                open.push(resource);
            }
        }
    }
    Ok(found)
}

/// An observation can be saved to a file: no secret may be in it.
pub fn without_secret(mut entry: ConfigEntry) -> ConfigEntry {
    if entry.sensitive || is_secret_key(&entry.name) {
        entry.value = None;
    }
    entry
}

async fn moves(kafka: &dyn Kafka) -> anyhow::Result<BTreeMap<TopicName, BTreeMap<i32, Reassignment>>> {
    let mut moves: BTreeMap<TopicName, BTreeMap<i32, Reassignment>> = BTreeMap::new();
    let running = kafka.reassignments().await.context("failed to list the moves that are running")?;
    for (TopicPartition { topic, partition }, reassignment) in running {
        moves.entry(topic).or_default().insert(partition, reassignment);
    }
    Ok(moves)
}

/// The size of each declared topic that is there; those of brokers that can't be asked count by their other replicas.
async fn bytes(kafka: &dyn Kafka, spec: &Spec, metadata: &Metadata) -> anyhow::Result<BTreeMap<TopicName, u64>> {
    let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
    let sizes = kafka.replica_sizes(&brokers).await.context("failed to read how large the topics are")?;
    let mut bytes = BTreeMap::new();
    for (TopicPartition { topic, .. }, replicas) in sizes.sizes {
        if spec.topics.contains_key(&topic) {
            let largest = replicas.iter().filter(|replica| !replica.is_future).map(|replica| replica.bytes).max();
            *bytes.entry(topic).or_insert(0) += largest.unwrap_or(0);
        }
    }
    Ok(bytes)
}

/// What one live broker says holds for new topics.
async fn defaults(kafka: &dyn Kafka, metadata: &Metadata) -> anyhow::Result<BrokerDefaults> {
    const KEYS: [&str; 3] = ["num.partitions", "default.replication.factor", "min.insync.replicas"];
    let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
    if brokers.is_empty() {
        return Ok(BrokerDefaults::default());
    }
    let answer = kafka.configs_of_one(&brokers, &KEYS).await;
    let (_, entries) = answer.context("failed to read the brokers' defaults for new topics")?;
    let value = |key: &str| entries.iter().find(|entry| entry.name == key)?.value.as_deref()?.parse::<i16>().ok();
    let kafkas = BrokerDefaults::default();
    Ok(BrokerDefaults {
        partitions: value(KEYS[0]).map_or(kafkas.partitions, i32::from),
        replication_factor: value(KEYS[1]).unwrap_or(kafkas.replication_factor),
        min_insync_replicas: value(KEYS[2]).and_then(|least| least.try_into().ok()).unwrap_or(1),
    })
}

/// Every config key of topics that the brokers know: those of any topic.
pub async fn known_keys(kafka: &dyn Kafka, metadata: &Metadata) -> anyhow::Result<BTreeSet<String>> {
    let Some(name) = metadata.topics.keys().next() else { return Ok(BTreeSet::new()) };
    let resource = ConfigResource::Topic(name.clone());
    let answers = kafka.configs(&[resource], None).await.context("failed to read which config keys there are")?;
    let entries = answers.into_values().filter_map(Result::ok).flatten();
    Ok(entries.map(|entry| entry.name).collect())
}

/// Takes out topics that were deleted a moment ago, and that one broker still showed while others did not know them any
/// more. The answer may come from the broker that is behind: it is asked again.
async fn forget_deleted(
    kafka: &dyn Kafka,
    mut unknown: BTreeSet<TopicName>,
    metadata: &mut Metadata,
) -> anyhow::Result<()> {
    let mut looks = Looks::default();
    while !unknown.is_empty() && looks.again().await {
        let names: Vec<_> = unknown.iter().cloned().collect();
        let now = kafka.metadata(TopicSelection::Named(&names)).await;
        let now = now.context("failed to read the cluster's metadata again")?;
        let (there, gone) = unknown.into_iter().partition(|name| now.topics.contains_key(name));
        metadata.topics.retain(|name, _| !BTreeSet::contains(&gone, name));
        unknown = there;
    }
    Ok(())
}

/// Who uses topics, and those that their leaders do not know. What can't be found out is said, and nothing is deleted then.
async fn uses(
    kafka: &dyn Kafka,
    topics: &BTreeSet<TopicName>,
    metadata: &Metadata,
    idle_since: Timestamp,
) -> (BTreeMap<TopicName, Use>, BTreeSet<TopicName>) {
    let groups = readers(kafka).await;
    let partitions = partitions_of(topics, metadata);
    // The first record of each partition that is newer than that.
    let newest = settled_offsets(kafka, &partitions, OffsetQuery::AtOrAfter(idle_since.as_millisecond())).await;
    let appended = with_append_times(kafka, topics).await;
    let mut unknown = BTreeSet::new();
    let mut uses: BTreeMap<TopicName, Use> = topics.iter().map(|name| (name.clone(), Use::default())).collect();
    for (name, one) in &mut uses {
        one.has_append_times = appended.contains(name);
        match &groups {
            Ok((groups, unclear)) => {
                let readers = groups.iter().filter(|group| group.topics.contains(name));
                one.groups = readers.map(|group| group.id.clone()).collect();
                one.unclear.clone_from(unclear);
            }
            Err(error) => one.unclear = Some(format!("consumer groups: {error}")),
        }
        if let Err(error) = &newest {
            one.unclear = Some(format!("newest records: {error}"));
        }
    }
    for (TopicPartition { topic, partition }, found) in newest.unwrap_or_default() {
        let Some(one) = uses.get_mut(&topic) else { continue };
        match found {
            Ok(found) => {
                // A record without a time is newer than any limit: better not deleted than lost.
                let time = found.map(|found| found.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok()));
                one.newest = one.newest.max(time.map(|time| time.unwrap_or(Timestamp::MAX)));
            }
            Err(error) => {
                if is_unknown(&error) {
                    unknown.insert(topic);
                }
                one.unclear = Some(format!("newest records of partition {partition}: {error}"));
            }
        }
    }
    (uses, unknown)
}

/// The groups that may read topics, and why they may read more than is known.
async fn readers(kafka: &dyn Kafka) -> Result<(Vec<LiveGroup>, Option<String>), KafkaError> {
    let mut groups = kafka.live_groups().await?;
    // Locks of this toolbox read nothing.
    groups.retain(|group| !group.is_lock());
    let hides = groups.iter().find(|group| group.hides_topics);
    let unclear = match hides {
        Some(group) => Some(format!("{} is live, and what it reads cannot be found out", group.label())),
        None if kafka.sees_all_groups().await? == Some(false) => {
            Some("brokers show only some consumer groups: the right to Describe the cluster is missing".to_owned())
        }
        None => None,
    };
    Ok((groups, unclear))
}

fn partitions_of(topics: &BTreeSet<TopicName>, metadata: &Metadata) -> Vec<TopicPartition> {
    let topics = topics.iter().filter_map(|name| metadata.topics.get(name));
    let partitions = topics.flat_map(|topic| {
        let partition = |number| TopicPartition { topic: topic.name.clone(), partition: number };
        topic.partitions.iter().map(move |one| partition(one.partition))
    });
    partitions.collect()
}

/// The topics whose brokers give records their times; none where that can't be read.
async fn with_append_times(kafka: &dyn Kafka, topics: &BTreeSet<TopicName>) -> BTreeSet<TopicName> {
    let resources: Vec<_> = topics.iter().cloned().map(ConfigResource::Topic).collect();
    let answers = kafka.configs(&resources, Some(&["message.timestamp.type"])).await.unwrap_or_default();
    let is_append = |entries: &[ConfigEntry]| {
        entries
            .iter()
            .any(|entry| entry.name == "message.timestamp.type" && entry.value.as_deref() == Some("LogAppendTime"))
    };
    let appended = answers.into_iter().filter_map(|(resource, entries)| match (resource, entries) {
        (ConfigResource::Topic(name), Ok(entries)) if is_append(&entries) => Some(name),
        _ => None,
    });
    appended.collect()
}

/// The end offsets of a topic's partitions now; none where one of them can't be read.
pub async fn ends(kafka: &dyn Kafka, name: &TopicName, partitions: usize) -> Option<Vec<i64>> {
    let numbers = 0..i32::try_from(partitions).ok()?;
    let partitions: Vec<_> = numbers.map(|partition| TopicPartition { topic: name.clone(), partition }).collect();
    let found = settled_offsets(kafka, &partitions, OffsetQuery::Latest).await.ok()?;
    let end = |partition| Some(found.get(partition)?.as_ref().ok()?.as_ref()?.offset);
    partitions.iter().map(end).collect()
}

/// The first and the end offset of each partition of some topics; topics whose offsets can't be read are left out.
async fn logs(
    kafka: &dyn Kafka,
    topics: &BTreeSet<TopicName>,
    metadata: &Metadata,
) -> BTreeMap<TopicName, Vec<(i64, i64)>> {
    let partitions = partitions_of(topics, metadata);
    let (starts, ends) = tokio::join!(
        settled_offsets(kafka, &partitions, OffsetQuery::Earliest),
        settled_offsets(kafka, &partitions, OffsetQuery::Latest)
    );
    let (starts, ends) = (starts.unwrap_or_default(), ends.unwrap_or_default());
    let at = |found: &Offsets, partition: &TopicPartition| Some(found.get(partition)?.as_ref().ok()?.as_ref()?.offset);
    let mut logs = BTreeMap::new();
    for name in topics {
        let Some(topic) = metadata.topics.get(name) else { continue };
        let log = topic.partitions.iter().map(|one| {
            let partition = TopicPartition { topic: name.clone(), partition: one.partition };
            Some((at(&starts, &partition)?, at(&ends, &partition)?))
        });
        if let Some(log) = log.collect() {
            logs.insert(name.clone(), log);
        }
    }
    logs
}

/// Offsets of partitions, as their leaders say them.
pub(super) type Offsets = BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>;

/// Offsets of partitions. The leader of a young partition may not know yet that it is one, and a broker may not know the
/// topic: they are asked again, within limits.
pub(super) async fn settled_offsets(
    kafka: &dyn Kafka,
    partitions: &[TopicPartition],
    query: OffsetQuery,
) -> Result<Offsets, KafkaError> {
    let mut found = Offsets::new();
    let mut open = partitions.to_vec();
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        found.extend(kafka.offsets(&open, query).await?);
        open.retain(|partition| !matches!(found.get(partition), Some(Ok(_))));
    }
    Ok(found)
}
