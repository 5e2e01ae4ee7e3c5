//! Topics of all sources into one spec: what no single line shows.

use std::collections::BTreeMap;

use crate::cluster::internal::keeper;
use crate::commands::topics::spec::Placed;
use crate::commands::topics::spec::Spec;
use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::clusters;
use crate::commands::topics::spec::keys::{self, Opinion};
use crate::commands::topics::spec::read::Draft;
use crate::formats::place::{Fault, Faults};
use crate::formats::yaml::Reader;

/// Refuses topics that are declared twice, names that collide in Kafka's metrics, and values that contradict each other.
pub(super) fn merge(draft: Draft) -> Result<Spec, Faults> {
    let Draft { mut reader, mut topics, mut notes, lost, references: _ } = draft;
    // Sorting is stable: of one name the topic that was declared first comes first.
    topics.sort_by(|one, other| one.name.value.cmp(&other.name.value));
    let mut merged: Vec<TopicSpec> = Vec::with_capacity(topics.len());
    for topic in topics {
        let Some(first) = merged.last().filter(|first| first.name.value == topic.name.value) else {
            merged.push(topic);
            continue;
        };
        let message = format!("topic `{}` is declared twice", topic.name.value);
        let hint = format!("the first is at {}; remove one of them", first.name.place);
        reader.fault_with_hint(&topic.name.place, message, hint);
    }
    let mut keys: BTreeMap<String, &TopicSpec> = BTreeMap::new();
    let colliding =
        |topic: &&TopicSpec| topic.state == State::Present && topic.name.value.as_str().contains(['.', '_']);
    for topic in merged.iter().filter(colliding) {
        let Some(first) = keys.insert(topic.name.value.collision_key(), topic) else { continue };
        let (one, two) = (&first.name, &topic.name);
        let (one, two) = if one.place <= two.place { (one, two) } else { (two, one) };
        let message = format!(
            "topic `{}` collides with `{}`: Kafka refuses names that differ only in `.` and `_`",
            two.value, one.value
        );
        reader.fault_with_hint(&two.place, message, format!("the other is at {}; rename one of them", one.place));
    }
    reader.faults.extend(clusters::faults(&merged.iter().collect::<Vec<_>>()));
    let mut unknown_keys = Vec::new();
    for topic in &merged {
        check_values(topic, &mut reader, (&mut notes, &mut unknown_keys));
    }
    Faults::check(reader.faults)?;
    for (field, (place, count)) in lost {
        let topics = if count == 1 { "1 topic".to_owned() } else { format!("{count} topics") };
        notes.push(Fault::new(place, format!("`{field}` has no counterpart here and is left out ({topics})")));
    }
    notes.sort();
    notes.dedup();
    for (key, value) in merged.iter_mut().flat_map(|topic| &mut topic.config) {
        if value.value.trim() == keys::NONE && keys::is_set(key) {
            value.value.clear();
        }
    }
    let topics = merged.into_iter().map(|topic| (topic.name.value.clone(), topic)).collect();
    unknown_keys.sort();
    unknown_keys.dedup();
    Ok(Spec { topics, notes, unknown_keys })
}

/// What is wrong with one topic whatever the cluster.
fn check_values(topic: &TopicSpec, reader: &mut Reader, (notes, unknown): (&mut Vec<Fault>, &mut Vec<Fault>)) {
    let Placed { value: name, place } = &topic.name;
    if let Some(keeper) = keeper(name) {
        let message = format!("{keeper} keeps its own data in topic `{name}`; it stays as it is");
        let hint = format!("--internal-topic {name} of `topics apply` lets it be changed; else remove it");
        notes.push(Fault::new(place.clone(), message).with_hint(hint));
    }
    for (key, value) in &topic.config {
        match keys::opinion(key, value) {
            Opinion::Fine => {}
            Opinion::Note(note) => notes.push(note),
            Opinion::Unknown(key) => unknown.push(key),
            Opinion::Fault(fault) => reader.faults.push(fault),
        }
    }
    let (Some(least), Some(factor)) = (topic.config.get("min.insync.replicas"), &topic.replication_factor) else {
        return;
    };
    let Placed { value, place } = least;
    let least = value.trim().parse::<i64>().unwrap_or(0);
    if least > i64::from(factor.value) {
        let message = format!(
            "`min.insync.replicas` {least} is more than the replication factor {} of topic `{}`: no write would succeed",
            factor.value, topic.name.value
        );
        let hint = match factor.value {
            1 => "1 is all that one replica allows".to_owned(),
            factor => format!("{} lets writes go on while one broker is down", factor - 1),
        };
        reader.fault_with_hint(place, message, hint);
    }
}
