//! The schema against the examples, and against what the reader refuses.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kafka_toolbox::commands::topics::spec::{self, Format};
use kafka_toolbox::formats::source::Source;
use kafka_toolbox::formats::yaml;
use serde_json::Value;

/// The documents in this tool's own form of a text; keys of ConfigMaps are documents.
fn documents(text: &str) -> Vec<Value> {
    let Ok(document) = yaml::read::<Value>("x", text) else { return Vec::new() };
    match document.get("kind") {
        Some(_) => {
            let data = document.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
            data.values().filter_map(Value::as_str).flat_map(documents).collect()
        }
        None => vec![document],
    }
}

/// What a document does not keep of a schema; the keywords are those that the schema uses, and no others.
fn errors(root: &Value, schema: &Value, value: &Value, errors: &mut Vec<String>) {
    let object = match schema {
        Value::Bool(true) => return,
        Value::Bool(false) => return errors.push(format!("{value} may not be here")),
        schema => schema.as_object().unwrap(),
    };
    for (keyword, rule) in object {
        let kept = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "then" => true,
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                is_valid(root, root.pointer(pointer).unwrap(), value)
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of_type(value, one)),
                one => is_of_type(value, one),
            },
            "properties" => rule
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, inner)| value.get(key).is_none_or(|value| is_valid(root, inner, value))),
            "additionalProperties" => {
                let known = object.get("properties").and_then(Value::as_object);
                let fields = value.as_object().into_iter().flatten();
                let mut others = fields.filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                others.all(|(_, value)| is_valid(root, rule, value))
            }
            "required" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|key| !value.is_object() || value.get(key.as_str().unwrap()).is_some()),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "not" => !is_valid(root, rule, value),
            "oneOf" => rule.as_array().unwrap().iter().filter(|one| is_valid(root, one, value)).count() == 1,
            "if" => !is_valid(root, rule, value) || is_valid(root, &object["then"], value),
            other => panic!("the schema has a new keyword, `{other}`: teach it to this test"),
        };
        if !kept {
            errors.push(format!("{value} does not keep {keyword}: {rule}"));
        }
    }
}

fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let mut found = Vec::new();
    errors(root, schema, value, &mut found);
    found.is_empty()
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the schema has a new type, `{other}`"),
    }
}

#[test]
fn every_example_is_a_valid_spec_and_matches_the_schema() {
    let schema = spec::schema();
    let paths = ["configmaps/topics/shop.yaml", "configmaps/topics/web.yaml", "configmaps/mapped/topics.yaml"];
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        let spec = spec::parse(&[Source::new(path, text.as_str())], Format::Auto).unwrap();
        assert!(spec.notes.is_empty(), "{path}: {:?}", spec.notes);
        assert!(spec.topics.len() >= 2, "{path}");
        let documents = documents(&text);
        assert!(!documents.is_empty(), "{path}");
        for document in documents {
            let mut found = Vec::new();
            errors(&schema, &schema, &document, &mut found);
            assert_eq!(found, Vec::<String>::new(), "{path}");
        }
    }
}

#[test]
fn the_mapped_example_fits_its_maps() {
    let text = fs::read_to_string("configmaps/mapped/toolbox.yaml").unwrap();
    let file = kafka_toolbox::formats::toolbox_file::parse("toolbox.yaml", &text).unwrap();
    let topics = fs::read_to_string("configmaps/mapped/topics.yaml").unwrap();
    let spec = spec::parse(&[Source::new("topics.yaml", topics)], Format::Auto).unwrap();
    for topic in spec.topics.values() {
        let map = file.clusters["staging"].maps.of(&topic.name.value).unwrap().unwrap();
        assert_eq!(Some(&map.name), topic.map.as_ref().map(|map| &map.value));
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    // The form of each value; what only reading can find (collisions, units, tags) is not the schema's matter.
    let cases = [
        "an_empty_name",
        "a_name_with_a_space",
        "a_name_of_two_dots",
        "a_name_of_250_characters",
        "a_topic_without_a_name",
        "a_name_without_a_value",
        "a_misspelt_field_of_a_topic",
        "a_misspelt_field_of_the_defaults",
        "a_misspelt_list_of_topics",
        "a_file_without_topics",
        "a_list_of_topics_that_is_empty_by_accident",
        "a_file_that_is_a_list",
        "a_topic_that_is_only_a_name",
        "partitions_in_words",
        "no_partitions",
        "partitions_in_quotes",
        "partitions_beyond_reason",
        "partitions_without_a_value",
        "a_replication_factor_of_zero",
        "a_replication_factor_beyond_reason",
        "a_config_that_is_a_list",
        "a_config_value_of_null",
        "a_config_value_that_is_a_mapping",
        "a_misspelt_state",
        "strict_that_is_no_flag",
        "labels_that_are_a_list",
        "a_map_without_a_name",
    ];
    let schema = spec::schema();
    for case in cases {
        let path = Path::new("tests/topics/cases").join(case).join("spec.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let document = yaml::read::<Value>("x", &text).unwrap();
        assert!(!is_valid(&schema, &schema, &document), "{case}: the schema takes it");
        assert!(spec::parse(&[Source::new("x", text)], Format::Auto).is_err(), "{case}: the reader takes it");
    }
}

/// Seconds that reading any text may take on a busy machine, without optimisation.
const SECONDS_MAX: u64 = 20;

#[test]
fn large_and_hostile_texts_are_read_or_refused_in_time() {
    let mut large = String::from("defaults: {config: {min.insync.replicas: 2}}\ntopics:\n");
    for number in 0..10_000 {
        let topic = format!("  - name: team.topic-{number}\n    partitions: 12\n    replicationFactor: 3\n");
        large.push_str(&topic);
        large.push_str("    config:\n      retention.ms: 604800000\n");
    }
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let huge = "x".repeat(8 << 20);
    let cases = [
        (large.clone(), true),
        (large.replace("partitions: 12", "partitions: 0"), false),
        (laughs, false),
        (format!("topics: [{{name: a, labels: {{x: '{huge}'}}}}]"), true),
        (format!("topics: [{{name: {huge}}}]"), false),
        (format!("topics: [{{name: a, '{huge}': 1}}]"), false),
        ("[".repeat(1 << 20), false),
        ("{a: ".repeat(1 << 20), false),
        ("- ".repeat(1 << 20), false),
        ("? ".repeat(1 << 20), false),
        ("a: b: c\n---\n".repeat(100_000), false),
        ("\"\n---\n".repeat(100_000), false),
        ("&a ".repeat(1 << 18), false),
        ("kind: ConfigMap\ndata:\n".to_owned() + &"  x.yaml: |\n    a: b: c\n".repeat(50_000), false),
    ];
    for (text, good) in cases {
        let start = std::time::Instant::now();
        let parsed = spec::parse(&[Source::new("x", text.as_str())], Format::Auto);
        let beginning: String = text.chars().take(30).collect();
        assert_eq!(parsed.is_ok(), good, "{beginning}: {}", parsed.err().map_or(0, |faults| faults.0.len()));
        assert!(start.elapsed().as_secs() < SECONDS_MAX, "{beginning}: took {:?}", start.elapsed());
    }
}
