//! topicctl's topic files: one topic a document, `meta` and `spec`.
//!
//! What `meta` says besides the name is kept as labels that start with `topicctl/`, so that nothing is lost on the way
//! back. Where replicas go is decided by this tool's own placement (spread over racks, inside of a map).

use std::collections::BTreeMap;

use crate::commands::topics::spec::Placed;
use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::read::Draft;
use crate::commands::topics::spec::toolbox::partitions;
use crate::commands::topics::spec::toolbox::replication_factor;
use crate::commands::topics::spec::toolbox::topic_name;
use crate::formats::yaml::{Fields, Node, Reader, short};

/// What the labels that keep topicctl's own fields start with.
pub(super) const LABEL: &str = "topicctl/";

/// Fields of `meta` that hold one text and are kept as labels.
pub(super) const META_TEXTS: &[&str] = &["cluster", "region", "environment", "description"];

const FIELDS: &[&str] = &["meta", "spec"];
const META: &[&str] = &["name", "cluster", "region", "environment", "description", "labels", "consumers"];
const SPEC: &[&str] = &["partitions", "replicationFactor", "retentionMinutes", "settings", "placement", "migration"];
const PLACEMENT: &[&str] = &["strategy", "picker", "staticAssignments", "staticRackAssignments"];

/// Strategies that spread replicas as this tool does, or leave it free.
const STRATEGIES_FREE: &[&str] = &["any", "balanced-leaders", "cross-rack"];

/// Reads one topic.
pub(super) fn read(draft: &mut Draft, document: &Node<'_>) {
    let Some(fields) = draft.reader.fields(document, "a topicctl topic", FIELDS) else { return };
    let (Some(meta), Some(spec)) = (fields.get("meta"), fields.get("spec")) else {
        return draft.reader.fault(fields.place, "a topicctl topic needs both `meta` and `spec`");
    };
    let meta = draft.reader.fields(meta, "`meta`", META);
    let spec = draft.reader.fields(spec, "`spec`", SPEC);
    let (Some(meta), Some(spec)) = (meta, spec) else { return };
    placement(draft, &spec);
    if let Some(node) = spec.get("migration") {
        draft.lose(&node.place, "spec.migration");
    }
    let labels = labels(&mut draft.reader, &meta);
    let reader = &mut draft.reader;
    let Some(node) = meta.get("name") else { return reader.fault(meta.place, "a topicctl topic without `meta.name`") };
    let partitions = needed(reader, &spec, "partitions").and_then(|node| partitions(reader, node, "`partitions`"));
    let factor = needed(reader, &spec, "replicationFactor");
    let replication_factor = factor.and_then(|node| replication_factor(reader, node, "`replicationFactor`"));
    let config = config(reader, &spec);
    let Some(name) = topic_name(reader, node, "`meta.name`") else { return };
    draft.topics.push(TopicSpec {
        name,
        partitions,
        replication_factor,
        config,
        map: None,
        state: State::Present,
        labels,
        strict: false,
    });
}

fn needed<'n, 'a>(reader: &mut Reader, spec: &Fields<'n, 'a>, key: &str) -> Option<&'n Node<'a>> {
    let node = spec.get(key);
    if node.is_none() {
        reader.fault(spec.place, format!("a topicctl topic needs `spec.{key}`"));
    }
    node
}

fn labels(reader: &mut Reader, meta: &Fields<'_, '_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    if let Some(node) = meta.get("labels").filter(|node| !node.is_null()) {
        let own = reader.texts(node, "`meta.labels`").unwrap_or_default();
        labels.extend(own.into_iter().map(|(key, label)| (key, label.value)));
    }
    for key in META_TEXTS {
        let Some(node) = meta.get(key).filter(|node| !node.is_null()) else { continue };
        if let Some(text) = reader.text(node, &format!("`meta.{key}`")) {
            labels.insert(format!("{LABEL}{key}"), text.value.trim_end().to_owned());
        }
    }
    if let Some(node) = meta.get("consumers").filter(|node| !node.is_null()) {
        let names = reader.list(node, "`meta.consumers`").unwrap_or_default();
        let names: Vec<_> = names.iter().filter_map(|name| reader.text(name, "a consumer")).collect();
        let names: Vec<_> = names.into_iter().map(|name| name.value).collect();
        labels.insert(format!("{LABEL}consumers"), names.join(","));
    }
    labels
}

fn config(reader: &mut Reader, spec: &Fields<'_, '_>) -> BTreeMap<String, Placed<String>> {
    let settings = spec.get("settings").filter(|node| !node.is_null());
    let mut config = settings.and_then(|node| reader.texts_and_lists(node, "`settings`")).unwrap_or_default();
    let Some(node) = spec.get("retentionMinutes").filter(|node| !node.is_null()) else { return config };
    let most = i64::MAX / 60_000;
    let Some(minutes) = reader.whole(node, "`retentionMinutes`", 0..=most) else { return config };
    if let Some(other) = config.get("retention.ms") {
        let hint = format!("`retention.ms` is at {}; keep one of them", other.place);
        reader.fault_with_hint(&node.place, "both `retentionMinutes` and `retention.ms` are given", hint);
    } else if minutes.value > 0 {
        let milliseconds = minutes.value.saturating_mul(60_000).to_string();
        config.insert("retention.ms".into(), minutes.map(|_| milliseconds));
    }
    config
}

/// A placement that this tool does not keep would put new replicas elsewhere: that is a fault, not a note.
fn placement(draft: &mut Draft, spec: &Fields<'_, '_>) {
    let Some(node) = spec.get("placement").filter(|node| !node.is_null()) else { return };
    let Some(fields) = draft.reader.fields(node, "`placement`", PLACEMENT) else { return };
    if let Some(node) = fields.get("picker") {
        draft.lose(&node.place, "spec.placement.picker");
    }
    let Some(strategy) = fields.get("strategy").and_then(|node| draft.reader.text(node, "`strategy`")) else { return };
    if !STRATEGIES_FREE.contains(&&*strategy.value) {
        let message = format!("the placement strategy `{}` is not kept here", short(&strategy.value));
        let hint = "new replicas are spread over racks; remove the line, or name a map of brokers instead";
        draft.reader.fault_with_hint(&strategy.place, message, hint);
    }
}
