//! Jikkou's resources: `KafkaTopic`, `KafkaTopicList`, and the `ConfigMap` of its own group that topics refer to.
//!
//! Resources of other kinds (policies, ACLs, quotas, schemas) are named and not read. Jikkou leaves undeclared config keys
//! alone, and so does this tool. `jikkou.io/delete: true` is `state: absent`.

use std::collections::BTreeMap;

use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::read::Draft;
use crate::commands::topics::spec::toolbox::labels;
use crate::commands::topics::spec::toolbox::partitions;
use crate::commands::topics::spec::toolbox::replication_factor;
use crate::commands::topics::spec::toolbox::topic_name;
use crate::formats::place::Placed;
use crate::formats::yaml::{Fields, Node, Scalar, short};

/// The annotation that deletes a topic.
pub(super) const DELETE: &str = "jikkou.io/delete";

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const LIST: &[&str] = &["apiVersion", "kind", "metadata", "items", "spec"];
const SPEC: &[&str] = &["partitions", "replicas", "configs", "configMapRefs"];

/// Config keys by the name of their ConfigMap, and the topics that refer to one.
#[derive(Debug, Default)]
pub(super) struct References {
    maps: BTreeMap<String, BTreeMap<String, Placed<String>>>,
    /// Indexes of topics, and the names that each refers to.
    wanted: Vec<(usize, Vec<Placed<String>>)>,
}

/// Whether a document is one of Jikkou's.
pub(super) fn is_jikkou(api: &str) -> bool {
    api.split_once('/').is_some_and(|(group, _)| group.ends_with("jikkou.io"))
}

/// Reads one document.
pub(super) fn read(draft: &mut Draft, document: &Node<'_>, kind: &str) {
    match kind {
        "KafkaTopic" => topic(draft, document),
        "KafkaTopicList" => list(draft, document),
        "ConfigMap" => config_map(draft, document),
        other => {
            let place = document.get("kind").map_or(&document.place, |node| &node.place);
            draft.note(place, format!("`kind: {}` of Jikkou is not read: it declares no topics", short(other)));
        }
    }
}

fn list(draft: &mut Draft, document: &Node<'_>) {
    let Some(fields) = draft.reader.fields(document, "a KafkaTopicList", LIST) else { return };
    let items = fields.get("items").or_else(|| fields.get("spec").and_then(|spec| spec.get("topics")));
    let Some(items) = items else {
        return draft.reader.fault(fields.place, "a KafkaTopicList without `items`");
    };
    for item in draft.reader.list(items, "`items`").unwrap_or_default() {
        topic(draft, item);
    }
}

fn config_map(draft: &mut Draft, document: &Node<'_>) {
    let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
    let Some(name) = name.and_then(|node| draft.reader.text(node, "`metadata.name`")) else {
        return draft.reader.fault(&document.place, "a ConfigMap without `metadata.name`");
    };
    let data = document.get("data").filter(|node| !node.is_null());
    let data = data.and_then(|node| draft.reader.texts_and_lists(node, "`data` of a ConfigMap")).unwrap_or_default();
    if draft.references.maps.insert(name.value.clone(), data).is_some() {
        draft.reader.fault(&name.place, format!("the ConfigMap `{}` is declared twice", short(&name.value)));
    }
}

fn topic(draft: &mut Draft, document: &Node<'_>) {
    let Some(fields) = draft.reader.fields(document, "a KafkaTopic", FIELDS) else { return };
    let Some(metadata) = fields.get("metadata") else {
        return draft.reader.fault(fields.place, "a KafkaTopic without `metadata`");
    };
    let Some(metadata) = draft.reader.mapping(metadata, "`metadata`") else { return };
    let is_set = |annotation: &str| {
        let annotations = metadata.get("annotations")?;
        annotations.get(annotation)?.scalar().map(|scalar| scalar.text == "true")
    };
    if is_set("jikkou.io/ignore") == Some(true) {
        return draft.note(metadata.place, "`jikkou.io/ignore: true` leaves this topic alone, and so does this tool");
    }
    let state = if is_set(DELETE) == Some(true) { State::Absent } else { State::Present };
    let Some(name) = metadata.get("name") else {
        return draft.reader.fault(metadata.place, "a KafkaTopic without `metadata.name`");
    };
    let labels = metadata.get("labels").filter(|node| !node.is_null()).map(|node| labels(&mut draft.reader, node));
    let spec = fields.get("spec").filter(|node| !node.is_null());
    let spec = spec.and_then(|node| draft.reader.fields(node, "`spec` of a KafkaTopic", SPEC));
    let Some(name) = topic_name(&mut draft.reader, name, "`metadata.name`") else { return };
    let mut topic = TopicSpec {
        name,
        partitions: None,
        replication_factor: None,
        config: BTreeMap::new(),
        map: None,
        state,
        labels: labels.unwrap_or_default(),
        strict: false,
    };
    if let Some(spec) = spec.filter(|_| state == State::Present) {
        values(draft, &spec, &mut topic);
    }
    draft.topics.push(topic);
}

fn values(draft: &mut Draft, spec: &Fields<'_, '_>, topic: &mut TopicSpec) {
    // -1 is Jikkou's word for the broker's default.
    let get = |key: &str| {
        let node = spec.get(key).filter(|node| !node.is_null())?;
        (node.scalar().and_then(Scalar::whole) != Some(-1)).then_some(node)
    };
    let reader = &mut draft.reader;
    topic.partitions = get("partitions").and_then(|node| partitions(reader, node, "`partitions`"));
    topic.replication_factor = get("replicas").and_then(|node| replication_factor(reader, node, "`replicas`"));
    topic.config = get("configs").and_then(|node| reader.texts_and_lists(node, "`configs`")).unwrap_or_default();
    let names = get("configMapRefs").and_then(|node| reader.list(node, "`configMapRefs`")).unwrap_or_default();
    let names: Vec<_> = names.iter().filter_map(|name| reader.text(name, "a name in `configMapRefs`")).collect();
    if !names.is_empty() {
        draft.references.wanted.push((draft.topics.len(), names));
    }
}

/// Gives topics the config of the ConfigMaps that they refer to; their own keys win, and the first ConfigMap over others.
pub(super) fn resolve(draft: &mut Draft) {
    let References { maps, wanted } = std::mem::take(&mut draft.references);
    for (index, names) in wanted {
        let Some(topic) = draft.topics.get_mut(index) else { continue };
        for name in names {
            let Some(map) = maps.get(&name.value) else {
                let message =
                    format!("there is no ConfigMap `{}` (core.jikkou.io) in what is given", short(&name.value));
                draft.reader.fault(&name.place, message);
                continue;
            };
            for (key, value) in map {
                topic.config.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}
