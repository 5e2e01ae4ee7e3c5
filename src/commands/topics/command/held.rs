//! Measures what a change of configs would delete: records by age, bytes by size. Only for such changes, with few requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::metadata::Metadata;
use crate::cluster::offset::{FoundOffset, OffsetQuery};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::topics::observe::{Observed, Offsets, settled_offsets, without_secret};
use crate::commands::topics::plan::asks::{self, Ask};
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::{Held, KEYS, KEYS_NEEDED, MIN_INSYNC};
use crate::commands::topics::spec::Spec;

/// Most partitions that are measured: of more, how much is deleted is unknown.
const PARTITIONS_MAX: usize = 10_000;

/// Most retention times that records are counted by: each is one more request to every leader.
const TIMES_MAX: usize = 10;

/// How long brokers may take to say their defaults after the first one did: a broker that hangs delays nobody for longer.
const OTHERS_WITHIN: Duration = Duration::from_secs(2);

/// Keys of brokers that say how long records are kept where `log.retention.ms` is not set, and their milliseconds.
const RETENTIONS: [(&str, i64); 2] = [("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)];

/// Reads what is needed to say what the changes of this spec cost; nothing where no change can cost anything.
pub(super) async fn measure(kafka: &dyn Kafka, spec: &Spec, observed: &mut Observed, now: Timestamp) {
    let risky = asks::risky(spec, observed);
    if risky.is_empty() {
        return;
    }
    more_keys(kafka, &risky, observed).await;
    if asks::needs_defaults(spec, observed, &risky) {
        observed.topic_defaults = defaults(kafka, &observed.metadata).await;
    }
    let names = asks::changing(spec, observed, &risky, MIN_INSYNC);
    observed.eligible = eligible(kafka, &names).await;
    let asks = asks::asks(spec, observed, &risky);
    if !asks.is_empty() {
        observed.held = held(kafka, &asks, &observed.metadata, now).await;
    }
}

/// The keys that the rules need, of topics of which only declared keys were read. What can't be read stays unknown.
async fn more_keys(kafka: &dyn Kafka, risky: &BTreeSet<TopicName>, observed: &mut Observed) {
    let resources: Vec<_> = risky.iter().cloned().map(ConfigResource::Topic).collect();
    let Ok(answers) = kafka.configs(&resources, Some(&KEYS_NEEDED)).await else { return };
    for (resource, entries) in answers {
        let (ConfigResource::Topic(name), Ok(entries)) = (resource, entries) else { continue };
        let Some(known) = observed.configs.get_mut(&name) else { continue };
        let is_new = |entry: &ConfigEntry| !known.iter().any(|one| one.name == entry.name);
        let new: Vec<_> = entries.into_iter().filter(is_new).map(without_secret).collect();
        known.extend(new);
    }
}

/// What holds for a topic's key that is not set, by all live brokers; none where no broker says.
async fn defaults(kafka: &dyn Kafka, metadata: &Metadata) -> Option<Defaults> {
    let names = KEYS.iter().map(|(_, broker)| *broker).filter(|broker| !broker.is_empty());
    let names: Vec<_> = names.chain(RETENTIONS.iter().map(|(key, _)| *key)).collect();
    let one = async |broker: BrokerId| {
        let resource = ConfigResource::Broker(broker);
        let mut answers = kafka.configs(std::slice::from_ref(&resource), Some(&names)).await.ok()?;
        answers.remove(&resource)?.ok().map(|entries| topic_defaults(&entries))
    };
    let mut asked: FuturesUnordered<_> = metadata.brokers.keys().map(|broker| one(*broker)).collect();
    let mut brokers = Vec::new();
    let mut until = None;
    loop {
        let answer = match until {
            None => asked.next().await,
            Some(until) => timeout_at(until, asked.next()).await.unwrap_or_else(|_| {
                tracing::warn!("{} of the live brokers do not say their defaults in time", asked.len());
                None
            }),
        };
        let Some(answer) = answer else { break };
        brokers.extend(answer);
        if !brokers.is_empty() {
            until.get_or_insert_with(|| Instant::now() + OTHERS_WITHIN);
        }
    }
    (!brokers.is_empty()).then(|| Defaults::of(&brokers))
}

/// The defaults of topics that a broker's own config says.
fn topic_defaults(entries: &[ConfigEntry]) -> BTreeMap<String, String> {
    let value = |key: &str| entries.iter().find(|entry| entry.name == key)?.value.clone();
    let mut defaults: BTreeMap<_, _> =
        KEYS.iter().filter_map(|(topic, broker)| Some(((*topic).to_owned(), value(broker)?))).collect();
    if !defaults.contains_key("retention.ms") {
        let in_units = RETENTIONS.iter().find_map(|(key, unit)| Some((value(key)?.parse::<i64>().ok()?, unit)));
        let milliseconds = in_units.map(|(number, unit)| if number < 0 { -1 } else { number.saturating_mul(*unit) });
        defaults.extend(milliseconds.map(|number| ("retention.ms".to_owned(), number.to_string())));
    }
    defaults
}

/// Partitions with eligible leaders that are not in sync. Where brokers do not know such leaders (ZooKeeper mode, and Kafka
/// before 3.8) there are none; where they can't be asked, the topics are left out.
async fn eligible(kafka: &dyn Kafka, names: &[TopicName]) -> BTreeMap<TopicName, Vec<i32>> {
    let mut eligible: BTreeMap<_, Vec<_>> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    if names.is_empty() {
        return eligible;
    }
    match kafka.eligible_leaders(names).await {
        Ok(found) => {
            for TopicPartition { topic, partition } in found.unwrap_or_default().into_keys() {
                eligible.entry(topic).or_default().push(partition);
            }
            eligible
        }
        Err(error) => {
            tracing::warn!(%error, "eligible leaders could not be read");
            BTreeMap::new()
        }
    }
}

/// What these topics hold. Failures are no failures of the run: then it is unknown.
async fn held(
    kafka: &dyn Kafka,
    asks: &BTreeMap<TopicName, Ask>,
    metadata: &Metadata,
    now: Timestamp,
) -> BTreeMap<TopicName, Held> {
    let partitions: Vec<_> = asks.keys().flat_map(|name| partitions_of(metadata, name)).collect();
    let unclear = |why: String| -> BTreeMap<TopicName, Held> {
        let held = Held { unclear: Some(why), ..Held::default() };
        asks.keys().map(|name| (name.clone(), held.clone())).collect()
    };
    if partitions.len() > PARTITIONS_MAX {
        return unclear(format!("{} partitions are too many to measure", partitions.len()));
    }
    // Partitions that are too young to be known by their leaders are asked again, for all queries at the same time.
    let (first, last, newer) = tokio::join!(
        settled_offsets(kafka, &partitions, OffsetQuery::Earliest),
        settled_offsets(kafka, &partitions, OffsetQuery::Latest),
        newer(kafka, asks, metadata, now)
    );
    let (first, last) = match (first, last) {
        (Ok(first), Ok(last)) => (first, last),
        (Err(error), _) | (_, Err(error)) => return unclear(error.to_string()),
    };
    let mut held = BTreeMap::new();
    for (name, ask) in asks {
        let older = match ask.older_than.map(|time| newer.get(&time)) {
            Some(Some(Ok(newer))) => records(metadata, name, &first, |key| end(newer, &last, key)),
            Some(Some(Err(error))) => Err(error.to_string()),
            _ => Err("it was not measured".to_owned()),
        };
        let all = records(metadata, name, &first, |key| offset(last.get(key)));
        let unclear = all.as_ref().err().or(older.as_ref().err()).cloned();
        held.insert(name.clone(), Held { records: all.ok(), records_older: older.ok(), unclear, ..Held::default() });
    }
    sizes(kafka, asks, metadata, &mut held).await;
    held
}

fn partitions_of(metadata: &Metadata, name: &TopicName) -> Vec<TopicPartition> {
    let partitions = metadata.topics.get(name).map_or(&[][..], |topic| &topic.partitions);
    partitions.iter().map(|one| TopicPartition { topic: name.clone(), partition: one.partition }).collect()
}

/// By retention time, the first record of each partition that is newer.
async fn newer(
    kafka: &dyn Kafka,
    asks: &BTreeMap<TopicName, Ask>,
    metadata: &Metadata,
    now: Timestamp,
) -> BTreeMap<i64, Result<Offsets, KafkaError>> {
    let mut by_time: BTreeMap<i64, Vec<TopicPartition>> = BTreeMap::new();
    for (name, ask) in asks {
        if let Some(time) = ask.older_than {
            by_time.entry(time).or_default().extend(partitions_of(metadata, name));
        }
    }
    let one = async |time: i64, partitions: Vec<TopicPartition>| {
        let since = now.as_millisecond().saturating_sub(time).max(0);
        (time, settled_offsets(kafka, &partitions, OffsetQuery::AtOrAfter(since)).await)
    };
    let asked = by_time.into_iter().take(TIMES_MAX).map(|(time, partitions)| one(time, partitions));
    join_all(asked).await.into_iter().collect()
}

/// The records from the first offset of each partition to an end.
fn records(
    metadata: &Metadata,
    name: &TopicName,
    first: &Offsets,
    end: impl Fn(&TopicPartition) -> Result<i64, String>,
) -> Result<u64, String> {
    let mut sum = 0_u64;
    for key in partitions_of(metadata, name) {
        let count = end(&key)?.saturating_sub(offset(first.get(&key))?);
        sum = sum.saturating_add(u64::try_from(count).unwrap_or(0));
    }
    Ok(sum)
}

/// Where the older records of a partition end: at its end where none is newer.
fn end(newer: &Offsets, last: &Offsets, key: &TopicPartition) -> Result<i64, String> {
    match newer.get(key) {
        Some(Ok(None)) => offset(last.get(key)),
        found => offset(found),
    }
}

fn offset(found: Option<&Result<Option<FoundOffset>, KafkaError>>) -> Result<i64, String> {
    match found {
        Some(Ok(Some(found))) => Ok(found.offset),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(None)) | None => Err("a partition's leader did not say".to_owned()),
    }
}

/// Adds how much the partitions hold, and how much of it lies beyond the limit.
async fn sizes(
    kafka: &dyn Kafka,
    asks: &BTreeMap<TopicName, Ask>,
    metadata: &Metadata,
    held: &mut BTreeMap<TopicName, Held>,
) {
    if asks.values().all(|ask| ask.beyond.is_none()) {
        return;
    }
    let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
    let Ok(sizes) = kafka.replica_sizes(&brokers).await else { return };
    for (TopicPartition { topic, .. }, replicas) in sizes.sizes {
        let (Some(ask), Some(held)) = (asks.get(&topic), held.get_mut(&topic)) else { continue };
        let Some(limit) = ask.beyond else { continue };
        let largest = replicas.iter().filter(|one| !one.is_future).map(|one| one.bytes).max().unwrap_or(0);
        *held.bytes.get_or_insert(0) += largest;
        *held.bytes_beyond.get_or_insert(0) += largest.saturating_sub(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::config::ConfigSource;

    #[test]
    fn the_retention_of_brokers_is_in_milliseconds_or_minutes_or_hours() {
        let of = |set: &[(&str, Option<&str>)]| {
            let entry = |(key, value): &(&str, Option<&str>)| ConfigEntry {
                name: (*key).to_owned(),
                value: value.map(str::to_owned),
                source: ConfigSource::BrokerFile,
                sensitive: false,
                read_only: false,
            };
            topic_defaults(&set.iter().map(entry).collect::<Vec<_>>()).remove("retention.ms")
        };
        assert_eq!(of(&[("log.retention.ms", Some("5")), ("log.retention.hours", Some("168"))]).as_deref(), Some("5"));
        assert_eq!(
            of(&[("log.retention.ms", None), ("log.retention.hours", Some("168"))]).as_deref(),
            Some("604800000")
        );
        assert_eq!(
            of(&[("log.retention.minutes", Some("2")), ("log.retention.hours", Some("1"))]).as_deref(),
            Some("120000")
        );
        assert_eq!(of(&[("log.retention.hours", Some("-1"))]).as_deref(), Some("-1"));
        assert_eq!(of(&[]), None);
    }
}
