//! The outcomes of the changes of a run that died, from what the cluster shows: (intent, observation) in, outcome out. Pure.

use std::collections::BTreeMap;

use crate::change::carry_out::Ended;
use crate::change::event::Event;
use crate::cluster::config::ConfigSource;
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::configs::same_value;
use crate::formats::secret::HIDDEN;

/// How an intent of a dead run ended; none where the observation does not tell.
pub fn settled(intent: &Event, observed: &Observed) -> Option<Ended> {
    if intent.kind == "topics.apply.started" {
        return Some(Ended::failed("the run died before its end"));
    }
    let name = TopicName::new(intent.subject.strip_prefix("topic:")?).ok()?;
    let topic = observed.metadata.topics.get(&name);
    let after = values(intent.after.as_deref());
    let number = |key: &str| after.get(key)?.parse::<usize>().ok();
    let is_done = match intent.kind.as_str() {
        "topics.created" => topic.is_some(),
        "topics.deleted" => topic.is_none(),
        "topics.partitions_increased" => topic?.partitions.len() >= number("partitions")?,
        "topics.moves_planned" => observed.replication_factor(topic?) == number("replication factor")?,
        "topics.config_changed" => has_config(observed, &name, (&values(intent.before.as_deref()), &after))?,
        _ => return None,
    };
    Some(Ended::settled(is_done))
}

/// Lines of `key: value`.
fn values(text: Option<&str>) -> BTreeMap<&str, &str> {
    text.unwrap_or_default().lines().filter_map(|line| line.split_once(": ")).collect()
}

/// Whether a topic has the config of after a change, or that of before it; none where it has neither, or where a value was
/// not read.
fn has_config(
    observed: &Observed,
    name: &TopicName,
    (before, after): (&BTreeMap<&str, &str>, &BTreeMap<&str, &str>),
) -> Option<bool> {
    let entries = observed.configs.get(name)?;
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
        wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| same_value(key, found, value)))
    };
    match (is_so(after), is_so(before)) {
        (true, _) if !after.is_empty() => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::change::carry_out::Run;
    use crate::change::event::Outcome;
    use crate::cluster::config::ConfigEntry;
    use crate::cluster::topic::{Partition, Topic};

    fn observed() -> Observed {
        let name = TopicName::new("orders").unwrap();
        let partition =
            |partition| Partition { partition, leader: None, replicas: vec![], isr: vec![], offline: vec![] };
        let topic =
            Topic { name: name.clone(), internal: false, id: None, partitions: (0..3).map(partition).collect() };
        let entry = |key: &str, value: &str, source| ConfigEntry {
            name: key.to_owned(),
            value: Some(value.to_owned()),
            source,
            sensitive: false,
            read_only: false,
        };
        let mut observed = Observed::default();
        observed.metadata.topics.insert(name.clone(), topic);
        let entries = vec![
            entry("retention.ms", "1000", ConfigSource::Topic),
            entry("segment.ms", "604800000", ConfigSource::Default),
        ];
        observed.configs.insert(name, entries);
        observed
    }

    /// How an intent ended; none where it is not known.
    fn ended(kind: &str, topic: &str, before: &str, after: &str) -> Option<Outcome> {
        let run = Run {
            id: Uuid::nil(),
            cluster: "main".to_owned(),
            actor: "user:ann".to_owned(),
            command: "topics apply".to_owned(),
            clock: || jiff::Timestamp::UNIX_EPOCH,
        };
        let intent = run.event(kind, &format!("topic:{topic}"), Outcome::Planned, "");
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let intent = Event { before: text(before), after: text(after), ..intent };
        settled(&intent, &observed()).map(|ended| ended.outcome)
    }

    #[test]
    fn the_cluster_settles_what_it_shows_and_leaves_the_rest_unknown() {
        use Outcome::{Done, Failed};
        let cases = [
            ("topics.created", "orders", "", "partitions: 3", Some(Done)),
            ("topics.created", "bills", "", "partitions: 3", Some(Failed)),
            ("topics.deleted", "bills", "partitions: 1", "", Some(Done)),
            ("topics.deleted", "orders", "partitions: 3", "", Some(Failed)),
            ("topics.partitions_increased", "orders", "partitions: 1", "partitions: 3", Some(Done)),
            ("topics.partitions_increased", "orders", "partitions: 3", "partitions: 5", Some(Failed)),
            ("topics.partitions_increased", "bills", "partitions: 3", "partitions: 5", None),
            ("topics.config_changed", "orders", "retention.ms: default", "retention.ms: 1000", Some(Done)),
            ("topics.config_changed", "orders", "retention.ms: 1000", "retention.ms: 7", Some(Failed)),
            ("topics.config_changed", "orders", "segment.ms: 7", "segment.ms: default", Some(Done)),
            ("topics.config_changed", "orders", "retention.ms: 5", "retention.ms: 7", None),
            ("topics.config_changed", "orders", "cleanup.policy: a", "cleanup.policy: b", None),
            ("topics.ownership_taken", "orders", "owner: a", "owner: b", None),
            ("topics.apply.started", "orders", "", "", Some(Failed)),
        ];
        for (kind, topic, before, after, expected) in cases {
            assert_eq!(ended(kind, topic, before, after), expected, "{kind} {topic} {before} -> {after}");
        }
    }
}
