//! Changes of `topics apply`.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::event::Event;
use crate::change::settled::{Shown, Verdict, values};
use crate::cluster::config::{ConfigEntry, ConfigSource, same_value};
use crate::cluster::topic::{Topic, TopicName, TopicPartition};
use crate::formats::secret::HIDDEN;

pub(super) const CONFIG_CHANGED: &str = "topics.config_changed";
pub(super) const MOVES_PLANNED: &str = "topics.moves_planned";
pub(super) const OWNERSHIP_TAKEN: &str = "topics.ownership_taken";

/// Whether the cluster shows it done; none where it shows neither.
pub(super) fn is_done(intent: &Event, shown: &Shown) -> Option<bool> {
    let name = TopicName::new(intent.subject.strip_prefix("topic:")?).ok()?;
    let topic = shown.topics.get(&name);
    let after = values(intent.after.as_deref());
    let number = |key: &str| after.get(key)?.parse::<usize>().ok();
    Some(match intent.kind.as_str() {
        "topics.created" => topic.is_some(),
        "topics.deleted" => topic.is_none(),
        "topics.partitions_increased" => topic?.partitions.len() >= number("partitions")?,
        MOVES_PLANNED => replication_factor(topic?, shown) == number("replication factor")?,
        CONFIG_CHANGED => has_config(shown.configs.get(&name)?, &values(intent.before.as_deref()), &after)?,
        _ => return None,
    })
}

/// Whether a topic was taken over, as the owners' records show it. The new owner's record is written first, then the topic leaves
/// those of the former owners.
pub(super) fn ownership(intent: &Event, owners: Option<&BTreeMap<TopicName, BTreeSet<String>>>) -> Verdict {
    let Some(owners) = owners else { return Verdict::NotAsked };
    let (before, after) = (values(intent.before.as_deref()), values(intent.after.as_deref()));
    let name = intent.subject.strip_prefix("topic:").and_then(|name| TopicName::new(name).ok());
    let (Some(name), Some(from), Some(to)) = (name, before.get("owner"), after.get("owner")) else {
        return Verdict::NotShown;
    };
    let none = BTreeSet::new();
    let now = owners.get(&name).unwrap_or(&none);
    // A name may have a comma in it.
    let from = format!(", {from}, ");
    let is_former = |owner: &String| owner != to && from.contains(&format!(", {owner}, "));
    match (now.iter().any(is_former), now.contains(*to)) {
        (true, _) => Verdict::of(Some(false)),
        (false, true) => Verdict::of(Some(true)),
        (false, false) => Verdict::NotShown,
    }
}

/// The fewest replicas of a partition, those of running moves as they will be.
fn replication_factor(topic: &Topic, shown: &Shown) -> usize {
    let factor = |partition: &crate::cluster::topic::Partition| {
        let key = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
        shown.moves.get(&key).map_or(partition.replicas.len(), |running| running.target().len())
    };
    topic.partitions.iter().map(factor).min().unwrap_or(0)
}

/// Whether a topic has the config of after a change, or that of before it; none where it has neither, or where a value was
/// not read.
fn has_config(entries: &[ConfigEntry], before: &BTreeMap<&str, &str>, after: &BTreeMap<&str, &str>) -> Option<bool> {
    let mut found = BTreeMap::new();
    for (key, value) in before.iter().chain(after) {
        let entry = entries.iter().find(|entry| entry.name == *key)?;
        let set = (entry.source == ConfigSource::Topic).then_some(entry.value.as_deref());
        found.insert(
            *key,
            match set {
                None => "default",
                Some(value) => value?,
            },
        );
        if *value == HIDDEN {
            return None;
        }
    }
    let is_so = |wanted: &BTreeMap<&str, &str>| {
        wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| same_value(found, value, true)))
    };
    match (is_so(after), is_so(before)) {
        (true, _) if !after.is_empty() => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}
