//! This tool's own form: `defaults`, `topics`, `strict`.

use std::collections::BTreeMap;

use crate::cluster::topic::TopicName;
use crate::commands::topics::spec::PARTITIONS_MAX;
use crate::commands::topics::spec::REPLICATION_FACTOR_MAX;
use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::read::Draft;
use crate::formats::place::{Fault, Placed};
use crate::formats::suggest::nearest;
use crate::formats::yaml::{Fields, Node, Reader, Scalar, short};

/// Keys of a document.
pub(super) const DOCUMENT: &[&str] = &["defaults", "topics", "strict"];
const DEFAULTS: &[&str] = &["partitions", "replicationFactor", "config", "map", "labels", "strict"];
const TOPIC: &[&str] = &["name", "partitions", "replicationFactor", "config", "map", "state", "labels", "strict"];

/// Reads one document.
pub(super) fn read(draft: &mut Draft, document: &Node<'_>) {
    let reader = &mut draft.reader;
    let Some(fields) = reader.fields(document, "a topics file", DOCUMENT) else { return };
    let mut defaults = fields.get("defaults").map(|node| values_of_defaults(reader, node)).unwrap_or_default();
    if let Some(node) = fields.get("strict") {
        let strict = reader.flag(node, "`strict`");
        if let (Some(strict), Some(default)) = (&strict, &defaults.strict) {
            let hint = format!("it is in `defaults`, too, at {}; say it once", default.place);
            reader.fault_with_hint(&strict.place, "`strict` is said twice", hint);
        }
        defaults.strict = strict.or(defaults.strict);
    }
    let Some(node) = fields.get("topics") else {
        if !fields.lacks("topics") {
            return;
        }
        let hint = "write `topics:` and below it one `- name: …` a topic";
        return reader.fault_with_hint(fields.place, "the list `topics` is missing", hint);
    };
    for node in reader.list(node, "`topics`").unwrap_or_default() {
        if let Some(topic) = topic(draft, node, &defaults) {
            draft.topics.push(topic);
        }
    }
}

/// What both `defaults` and a topic can say.
#[derive(Debug, Default, Clone)]
struct Values {
    partitions: Option<Placed<i32>>,
    replication_factor: Option<Placed<i16>>,
    config: BTreeMap<String, Placed<String>>,
    map: Option<Placed<String>>,
    labels: BTreeMap<String, String>,
    strict: Option<Placed<bool>>,
}

fn values_of_defaults(reader: &mut Reader, node: &Node<'_>) -> Values {
    let Some(fields) = reader.fields(node, "`defaults`", DEFAULTS) else { return Values::default() };
    values(reader, &fields)
}

fn values(reader: &mut Reader, fields: &Fields<'_, '_>) -> Values {
    Values {
        partitions: fields.get("partitions").and_then(|node| partitions(reader, node, "`partitions`")),
        replication_factor: fields
            .get("replicationFactor")
            .and_then(|node| replication_factor(reader, node, "`replicationFactor`")),
        config: fields.get("config").and_then(|node| reader.texts_and_lists(node, "`config`")).unwrap_or_default(),
        map: fields.get("map").and_then(|node| map_name(reader, node)),
        labels: fields.get("labels").map(|node| labels(reader, node)).unwrap_or_default(),
        strict: fields.get("strict").and_then(|node| reader.flag(node, "`strict`")),
    }
}

/// Of a topic that should be absent the rest is not even looked at.
fn values_of_absent(reader: &mut Reader, fields: &Fields<'_, '_>) -> Values {
    Values {
        map: fields.get("map").and_then(|node| map_name(reader, node)),
        labels: fields.get("labels").map(|node| labels(reader, node)).unwrap_or_default(),
        strict: fields.get("strict").and_then(|node| reader.flag(node, "`strict`")),
        ..Values::default()
    }
}

fn topic(draft: &mut Draft, node: &Node<'_>, defaults: &Values) -> Option<TopicSpec> {
    let reader = &mut draft.reader;
    let fields = reader.fields(node, "a topic", TOPIC)?;
    let state = fields.get("state").map_or(State::Present, |node| state(reader, node));
    let values = match state {
        State::Present => values(reader, &fields),
        State::Absent => values_of_absent(reader, &fields),
    };
    if state == State::Absent {
        let beside = ["partitions", "replicationFactor", "config"].into_iter().filter(|key| fields.get(key).is_some());
        let beside: Vec<_> = beside.map(|key| format!("`{key}`")).collect();
        if !beside.is_empty() {
            let message = format!("{} of a topic that should be absent: it is ignored", beside.join(", "));
            draft.notes.push(Fault::new(fields.place.clone(), message));
        }
    }
    let reader = &mut draft.reader;
    let Some(node) = fields.get("name") else {
        if fields.lacks("name") {
            reader.fault(fields.place, "a topic without a `name`");
        }
        return None;
    };
    let name = topic_name(reader, node, "`name`")?;
    let defaults = if state == State::Absent {
        Values { labels: defaults.labels.clone(), map: defaults.map.clone(), ..Values::default() }
    } else {
        defaults.clone()
    };
    let mut config = defaults.config;
    config.extend(values.config);
    let mut labels = defaults.labels;
    labels.extend(values.labels);
    Some(TopicSpec {
        name,
        partitions: values.partitions.or(defaults.partitions),
        replication_factor: values.replication_factor.or(defaults.replication_factor),
        config,
        map: values.map.or(defaults.map),
        state,
        labels,
        strict: values.strict.or(defaults.strict).is_some_and(|strict| strict.value),
    })
}

/// A topic's name; `what` says which field it is.
pub(super) fn topic_name(reader: &mut Reader, node: &Node<'_>, what: &str) -> Option<Placed<TopicName>> {
    let name = reader.text(node, what)?;
    match TopicName::new(name.value) {
        Ok(value) => Some(Placed { value, place: name.place }),
        Err(error) => {
            reader.fault(&name.place, error.to_string());
            None
        }
    }
}

/// A number of partitions.
pub(super) fn partitions(reader: &mut Reader, node: &Node<'_>, what: &str) -> Option<Placed<i32>> {
    if is_minus_one(reader, node, what, "num.partitions") {
        return None;
    }
    let number = reader.whole(node, what, 1..=i64::from(PARTITIONS_MAX))?;
    Some(number.map(|number| i32::try_from(number).unwrap_or(PARTITIONS_MAX)))
}

/// A number of replicas.
pub(super) fn replication_factor(reader: &mut Reader, node: &Node<'_>, what: &str) -> Option<Placed<i16>> {
    if is_minus_one(reader, node, what, "default.replication.factor") {
        return None;
    }
    let number = reader.whole(node, what, 1..=i64::from(REPLICATION_FACTOR_MAX))?;
    Some(number.map(|number| i16::try_from(number).unwrap_or(REPLICATION_FACTOR_MAX)))
}

/// Kafka's tools take -1 for the broker's default; here that is said by saying nothing.
fn is_minus_one(reader: &mut Reader, node: &Node<'_>, what: &str, default: &str) -> bool {
    let is_minus_one = node.scalar().and_then(Scalar::whole) == Some(-1);
    if is_minus_one {
        let hint = format!("remove the line: a new topic then gets the broker's `{default}`");
        reader.fault_with_hint(&node.place, format!("{what} must be 1 or more, found -1"), hint);
    }
    is_minus_one
}

fn map_name(reader: &mut Reader, node: &Node<'_>) -> Option<Placed<String>> {
    let name = reader.text(node, "`map`")?;
    if name.value.trim().is_empty() {
        reader.fault_with_hint(&name.place, "`map` names no map", "remove the line, or name a map of toolbox.yaml");
        return None;
    }
    Some(name)
}

/// Free labels.
pub(super) fn labels(reader: &mut Reader, node: &Node<'_>) -> BTreeMap<String, String> {
    let labels = reader.texts(node, "`labels`").unwrap_or_default();
    labels.into_iter().map(|(key, label)| (key, label.value)).collect()
}

fn state(reader: &mut Reader, node: &Node<'_>) -> State {
    match reader.text(node, "`state`") {
        None => State::Present,
        Some(Placed { value, place }) => match &*value {
            "present" => State::Present,
            "absent" => State::Absent,
            other => {
                let hint = nearest(other, ["present", "absent"]).map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("`state` must be present or absent, found `{}`", short(other));
                reader.fault_with_hint(
                    &place,
                    message,
                    hint.unwrap_or_else(|| "present is what it is without the line".into()),
                );
                State::Present
            }
        },
    }
}
