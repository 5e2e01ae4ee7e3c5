//! Changes of `rollout` that the cluster shows: brokers that commands stop and start, and leaders that were elected.
//!
//! A broker that is out was stopped, and one that is registered and answers was started: a roll starts only what is stopped. Nothing
//! more is certain: one that is still registered may have been stopped and started since, or its stop command may still run; one that
//! is not registered may be on its way up. Servers of ZooKeeper and controllers register nowhere, and what shows that one runs does not
//! show whether it was stopped before. All these stay unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::event::Event;
use crate::change::settled::{Shown, values};
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::{TopicName, TopicPartition};

const STOPPED: &str = "rollout.stopped";
const STARTED: &str = "rollout.started";

/// An election of preferred leaders.
pub(super) const LEADERS_ELECTED: &str = "rollout.leaders_elected";

/// Before the id of a broker: the line of the partitions that it is to lead.
const LEADS: &str = "broker ";

/// Longer lists than this are not kept with an event: nobody knows then how its election ended.
const BYTES_MAX: usize = 32_000;

/// The brokers that are to lead partitions, a `broker ID: TOPIC-PARTITION,…` a line; none where that would be too long.
pub fn elected_lines<'a>(wanted: impl IntoIterator<Item = (BrokerId, &'a TopicPartition)>) -> Option<String> {
    let mut of_broker: BTreeMap<BrokerId, Vec<String>> = BTreeMap::new();
    for (broker, partition) in wanted {
        of_broker.entry(broker).or_default().push(partition.to_string());
    }
    let lines = of_broker.into_iter().map(|(broker, partitions)| format!("{LEADS}{broker}: {}", partitions.join(",")));
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| text.len() <= BYTES_MAX)
}

/// The broker that a command was to stop or start.
pub(super) fn broker(intent: &Event) -> Option<BrokerId> {
    let id = intent.subject.strip_prefix("broker:")?.parse().ok().map(BrokerId)?;
    [STOPPED, STARTED].contains(&intent.kind.as_str()).then_some(id)
}

/// The topics of which leaders were elected.
pub(super) fn topics(intent: &Event) -> BTreeSet<TopicName> {
    if intent.kind != LEADERS_ELECTED {
        return BTreeSet::new();
    }
    wanted(intent).into_keys().map(|partition| partition.topic).collect()
}

/// Whether the cluster shows it done; none where it shows neither.
pub(super) fn is_done(intent: &Event, shown: &Shown) -> Option<bool> {
    match intent.kind.as_str() {
        STOPPED => (!shown.brokers.as_ref()?.contains_key(&broker(intent)?)).then_some(true),
        STARTED => shown.brokers.as_ref()?.get(&broker(intent)?)?.then_some(true),
        LEADERS_ELECTED => are_elected(intent, shown),
        _ => None,
    }
}

/// Whether all partitions that are still there have the leaders that they were to get.
fn are_elected(intent: &Event, shown: &Shown) -> Option<bool> {
    let leader = |key: &TopicPartition| {
        let partitions = &shown.topics.get(&key.topic)?.partitions;
        Some(partitions.iter().find(|one| one.partition == key.partition)?.leader)
    };
    let wanted = wanted(intent);
    let found: Vec<_> = wanted.iter().filter_map(|(key, broker)| Some(leader(key)? == Some(*broker))).collect();
    (!found.is_empty()).then(|| found.iter().all(|leads| *leads))
}

/// Who is to lead what.
fn wanted(intent: &Event) -> BTreeMap<TopicPartition, BrokerId> {
    let partition = |text: &str| {
        let (topic, partition) = text.rsplit_once('-')?;
        Some(TopicPartition { topic: TopicName::new(topic).ok()?, partition: partition.parse().ok()? })
    };
    let mut wanted = BTreeMap::new();
    for (key, list) in values(intent.after.as_deref()) {
        let Some(broker) = key.strip_prefix(LEADS).and_then(|id| id.parse().ok()).map(BrokerId) else { continue };
        wanted.extend(list.split(',').filter_map(|text| Some((partition(text)?, broker))));
    }
    wanted
}
