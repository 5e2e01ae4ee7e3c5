//! Topics of all sources into one spec: what no single line shows.

use std::collections::BTreeMap;

use crate::cluster::topic::TopicName;
use crate::commands::topics::spec::Spec;
use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::read::Draft;
use crate::formats::place::Faults;

/// Refuses topics that are declared twice, names that collide in Kafka's metrics, and wishes that contradict each other.
pub(super) fn merge(draft: Draft) -> Result<Spec, Faults> {
    let Draft { mut reader, topics, mut notes } = draft;
    let mut merged: BTreeMap<TopicName, TopicSpec> = BTreeMap::new();
    for topic in topics {
        let Some(first) = merged.get(&topic.name.value) else {
            merged.insert(topic.name.value.clone(), topic);
            continue;
        };
        let message = format!("topic `{}` is declared twice", topic.name.value);
        let hint = format!("the first is at {}; remove one of them", first.name.place);
        reader.fault_with_hint(&topic.name.place, message, hint);
    }
    let mut keys: BTreeMap<String, &TopicSpec> = BTreeMap::new();
    for topic in merged.values().filter(|topic| topic.state == State::Present) {
        let Some(first) = keys.insert(topic.name.value.collision_key(), topic) else { continue };
        let (one, two) = (&first.name, &topic.name);
        let (one, two) = if one.place <= two.place { (one, two) } else { (two, one) };
        let message = format!(
            "topic `{}` collides with `{}`: Kafka refuses names that differ only in `.` and `_`",
            two.value, one.value
        );
        reader.fault_with_hint(&two.place, message, format!("the other is at {}; rename one of them", one.place));
    }
    Faults::check(reader.faults)?;
    notes.sort();
    notes.dedup();
    Ok(Spec { topics: merged, notes: notes.iter().map(ToString::to_string).collect() })
}
