//! JSON Schema of a topics file, for editors and for checks before a ConfigMap is stored.
//!
//! The types here say the same as the reader in `toolbox`; the tests of both read the same texts.

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::commands::topics::spec::PARTITIONS_MAX;
use crate::commands::topics::spec::REPLICATION_FACTOR_MAX;

/// Topics as they should be in a Kafka cluster, for `toolbox topics`.
#[derive(JsonSchema, Serialize)]
#[schemars(title = "kafka-toolbox topics", deny_unknown_fields, rename_all = "camelCase")]
struct TopicsFile {
    /// What holds for each topic of this document that does not say otherwise.
    defaults: Option<Defaults>,
    /// The declared topics. Topics of the cluster that are not declared anywhere are left alone.
    topics: Vec<Topic>,
    /// Whether config keys that are set in the cluster but not declared are unset, for all topics of this document.
    strict: Option<bool>,
}

/// What holds for each topic of a document that does not say otherwise.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
struct Defaults {
    /// Number of partitions.
    #[schemars(range(min = 1, max = PARTITIONS_MAX))]
    partitions: Option<i32>,
    /// Number of replicas of each partition.
    #[schemars(range(min = 1, max = REPLICATION_FACTOR_MAX))]
    replication_factor: Option<i16>,
    /// Kafka's config keys and values, verbatim. A topic's own keys win.
    config: Option<Config>,
    /// The map of toolbox.yaml whose brokers hold the topics.
    #[schemars(length(min = 1))]
    map: Option<String>,
    /// Free labels. A topic's own labels win.
    labels: Option<Texts>,
    /// Whether config keys that are set in the cluster but not declared are unset.
    strict: Option<bool>,
}

/// One topic.
#[derive(JsonSchema, Serialize)]
#[schemars(deny_unknown_fields, rename_all = "camelCase")]
struct Topic {
    /// Its name: 1 to 249 of a-z A-Z 0-9 . _ -
    name: Name,
    /// Number of partitions. It can grow, never shrink; without it, a topic that exists keeps its number, and a new one
    /// gets the broker's `num.partitions`.
    #[schemars(range(min = 1, max = PARTITIONS_MAX))]
    partitions: Option<i32>,
    /// Number of replicas of each partition; without it, a topic that exists keeps its number, and a new one gets the
    /// broker's `default.replication.factor`.
    #[schemars(range(min = 1, max = REPLICATION_FACTOR_MAX))]
    replication_factor: Option<i16>,
    /// Kafka's config keys and values, verbatim.
    config: Option<Config>,
    /// The map of toolbox.yaml whose brokers hold the topic.
    #[schemars(length(min = 1))]
    map: Option<String>,
    /// `absent` deletes the topic and all of its records, if the run's guards allow it.
    state: Option<StateWord>,
    /// Free labels.
    labels: Option<Texts>,
    /// Whether config keys that are set in the cluster but not declared are unset.
    strict: Option<bool>,
}

/// Whether a topic should exist.
#[derive(JsonSchema, Serialize)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "the variants make the schema")]
enum StateWord {
    /// It should.
    Present,
    /// It should not: its records are lost for good.
    Absent,
}

/// Texts by key, as they stand: `604800000`, `0.50` and `true` may be written without quotes.
#[derive(Serialize)]
struct Texts;

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        })
    }
}

/// The same, where a value may also be a list of texts, as `[compact, delete]`.
#[derive(Serialize)]
struct Config;

impl JsonSchema for Config {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Config".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "boolean", "array"],
                "items": { "type": ["string", "number", "boolean"] },
            },
        })
    }
}

/// A topic's name. YAML takes a name of digits for a number: it is read as it stands.
#[derive(Serialize)]
struct Name;

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "pattern": "^[a-zA-Z0-9._-]{1,249}$",
            "not": { "enum": [".", ".."] },
        })
    }
}

/// JSON Schema (draft 2020-12) of a topics file.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.into_generator().into_root_schema_for::<TopicsFile>();
    tidy(schema.as_object_mut());
    schema.to_value()
}

/// An `Option` field may be left out, but not be null: a line without a value is a fault. Descriptions are one line each.
fn tidy(schema: Option<&mut serde_json::Map<String, Value>>) {
    let Some(schema) = schema else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|one| one.get("type").is_none_or(|name| name != "null"));
        if let [only] = &any[..] {
            let only = only.clone();
            schema.remove("anyOf");
            schema.extend(only.as_object().cloned().unwrap_or_default());
        }
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    for value in schema.values_mut() {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| tidy(item.as_object_mut())),
            value => tidy(value.as_object_mut()),
        }
    }
}
