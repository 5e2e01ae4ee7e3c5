//! Strimzi's `KafkaTopic` resources: one topic a document.
//!
//! Strimzi unsets keys that a resource does not name, so its topics are read as `strict`. Labels are kept.

use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::read::Draft;
use crate::commands::topics::spec::toolbox::labels;
use crate::commands::topics::spec::toolbox::partitions;
use crate::commands::topics::spec::toolbox::replication_factor;
use crate::commands::topics::spec::toolbox::topic_name;
use crate::formats::yaml::{Fields, Node, short};

/// What `apiVersion` starts with.
pub(super) const GROUP: &str = "kafka.strimzi.io/";

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC: &[&str] = &["topicName", "partitions", "replicas", "config"];

/// Fields of `metadata` that mean something here, or that only Kubernetes itself writes or reads.
const METADATA_HANDLED: &[&str] = &[
    "name",
    "labels",
    "annotations",
    "namespace",
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
    "selfLink",
    "finalizers",
    "ownerReferences",
];

/// The same of annotations.
const ANNOTATIONS_HANDLED: &[&str] =
    &["strimzi.io/managed", "strimzi.io/pause-reconciliation", "kubectl.kubernetes.io/last-applied-configuration"];

/// Reads one resource.
pub(super) fn read(draft: &mut Draft, document: &Node<'_>) {
    let Some(fields) = draft.reader.fields(document, "a KafkaTopic", FIELDS) else { return };
    let kind = fields.get("kind").and_then(Node::scalar).map(|kind| kind.text.as_ref());
    if kind != Some("KafkaTopic") {
        let place = fields.get("kind").map_or(fields.place, |node| &node.place);
        return draft.reader.fault(place, "`kind` must be KafkaTopic");
    }
    let Some(metadata) = fields.get("metadata") else {
        return draft.reader.fault(fields.place, "a KafkaTopic without `metadata`");
    };
    let Some(metadata) = draft.reader.mapping(metadata, "`metadata`") else { return };
    for entry in metadata.entries().iter().filter(|entry| !METADATA_HANDLED.contains(&&*entry.key)) {
        draft.lose(&entry.place, &format!("metadata.{}", short(&entry.key)));
    }
    if is_left_alone(draft, &metadata) {
        return;
    }
    if let Some(topic) = topic(draft, &fields, &metadata) {
        draft.topics.push(topic);
    }
}

/// Strimzi itself leaves such a topic alone: so does this tool.
fn is_left_alone(draft: &mut Draft, metadata: &Fields<'_, '_>) -> bool {
    let Some(node) = metadata.get("annotations").filter(|node| !node.is_null()) else { return false };
    let Some(annotations) = draft.reader.mapping(node, "`annotations`") else { return false };
    let mut left_alone = false;
    for entry in annotations.entries() {
        let value = entry.value.scalar().map_or("", |scalar| scalar.text.as_ref());
        match (&*entry.key, value) {
            ("strimzi.io/managed", "false") | ("strimzi.io/pause-reconciliation", "true") => {
                draft.note(
                    &entry.place,
                    format!("`{}: {value}` leaves this topic alone, and so does this tool", entry.key),
                );
                left_alone = true;
            }
            (key, _) if ANNOTATIONS_HANDLED.contains(&key) => {}
            (key, _) => draft.lose(&entry.place, &format!("metadata.annotations.{}", short(key))),
        }
    }
    left_alone
}

fn topic(draft: &mut Draft, fields: &Fields<'_, '_>, metadata: &Fields<'_, '_>) -> Option<TopicSpec> {
    let reader = &mut draft.reader;
    // A resource without a spec is legal: the broker's defaults hold.
    let spec = match fields.get("spec").filter(|node| !node.is_null()) {
        Some(node) => Some(reader.fields(node, "`spec` of a KafkaTopic", SPEC)?),
        None => None,
    };
    let named = metadata.get("name");
    if named.is_none() {
        reader.fault(metadata.place, "a KafkaTopic without `metadata.name`");
    }
    let get = |key: &str| spec.as_ref().and_then(|spec| spec.get(key)).filter(|node| !node.is_null());
    let partitions = get("partitions").and_then(|node| partitions(reader, node, "`partitions`"));
    let replication_factor = get("replicas").and_then(|node| replication_factor(reader, node, "`replicas`"));
    let config = get("config").and_then(|node| reader.texts_and_lists(node, "`config`")).unwrap_or_default();
    let labels = metadata.get("labels").filter(|node| !node.is_null()).map(|node| labels(reader, node));
    let (node, what) = match get("topicName") {
        Some(node) => (node, "`topicName`"),
        None => (named?, "`metadata.name`"),
    };
    let name = topic_name(reader, node, what)?;
    Some(TopicSpec {
        name,
        partitions,
        replication_factor,
        config,
        map: None,
        state: State::Present,
        labels: labels.unwrap_or_default(),
        strict: true,
    })
}
