//! Examples and laws for YAML: places, verbatim values, faults, and limits that hold against hostile texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::formats::place::Placed;

fn faults(text: &str) -> String {
    let (_, faults) = documents(&Origin::new("spec.yaml"), text);
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn only(text: &str) -> Node<'_> {
    let (mut documents, faults) = documents(&Origin::new("spec.yaml"), text);
    assert_eq!(faults, []);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn wrong<T: serde::de::DeserializeOwned>(text: &str) -> String {
    read::<T>("toolbox.yaml", text).err().map(|faults| faults.to_string()).unwrap_or_default()
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cluster {
    bootstrap: Placed<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    capacity: Option<f64>,
    #[serde(default)]
    brokers: BTreeMap<String, u16>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Kraft,
    Zookeeper,
}

#[test]
fn values_stay_as_they_were_written() {
    for text in ["010", "0.50", "yes", "1e3", "0x1F", "true", "off", "1_000", "-1", "2026-11-22", ".inf"] {
        let document = format!("key: {text}");
        let node = only(&document);
        let mut reader = Reader::default();
        let value = reader.text(node.get("key").unwrap(), "key").unwrap();
        assert_eq!(value.value, text);
        assert_eq!(value.place.to_string(), "spec.yaml:1:6");
    }
}

#[test]
fn only_plain_decimal_digits_are_whole_numbers() {
    for (text, number) in [("12", Some(12)), ("-1", Some(-1)), ("0", Some(0)), ("9223372036854775807", Some(i64::MAX))]
    {
        assert_eq!(only(text).scalar().unwrap().whole(), number);
    }
    for text in ["012", "0x1F", "1_000", "1e3", "3.0", "+3", "'3'", "--", "three", "99999999999999999999"] {
        assert_eq!(only(text).scalar().unwrap().whole(), None, "{text}");
    }
}

#[test]
fn a_key_that_is_written_twice_names_both_places() {
    let text = "config:\n  retention.ms: 1\n  cleanup.policy: delete\n  \"retention.ms\": 2\n";
    assert_eq!(
        faults(text),
        "spec.yaml:4:3: the key `retention.ms` is written twice in one mapping \
         (the first is at spec.yaml:2:3; remove one of them)"
    );
}

#[test]
fn a_broken_document_does_not_hide_the_next_one() {
    let text = "a: b: c\n---\nfine: 1\n---\n- x\n y: 2\n---\nlast: 1\n";
    let (documents, faults) = documents(&Origin::new("spec.yaml"), text);
    assert_eq!(faults.iter().map(|fault| fault.place.line).collect::<Vec<_>>(), [1, 6]);
    assert_eq!(documents.len(), 2);
    assert!(documents[1].get("last").is_some());
}

#[test]
fn a_merge_key_fills_in_what_the_mapping_does_not_say() {
    let node = only("base: &base {a: 1, b: 2}\nmine:\n  b: 3\n  <<: *base\nlist:\n  <<: [*base, {c: 4, a: 5}]\n");
    let mine = node.get("mine").unwrap();
    assert_eq!(mine.get("b").unwrap().found(), "`3`");
    assert_eq!(mine.get("a").unwrap().place.line, 1);
    let list = node.get("list").unwrap();
    assert_eq!((list.get("a").unwrap().found(), list.get("c").unwrap().found()), ("`1`".into(), "`4`".into()));
    assert!(faults("a: {<<: 5}").contains("`<<` merges a mapping or a list of mappings, found `5`"));
}

#[test]
fn aliases_that_lead_nowhere_are_refused() {
    assert!(faults("a: *nope").starts_with("spec.yaml:1:4: the alias `*nope` names no anchor above it"));
    assert!(faults("a: &a [*a]").contains("an alias stands inside of the value that it names"));
    assert!(faults("a: *").contains("a `*` or `&` without a name"));
}

#[test]
fn tags_are_refused_but_for_texts() {
    assert_eq!(only("!!str 5").scalar().unwrap().whole(), None);
    assert!(faults("a: !!int 5").contains("1:10: the tag `!!int` is not read here"), "{}", faults("a: !!int 5"));
    assert!(faults("a: !secret x").contains("the tag `!secret` is not read here"));
}

#[test]
fn marks_of_other_systems_are_read() {
    assert_eq!(only("\u{feff}a: 1\r\nb: 2\r\n").get("b").unwrap().place.to_string(), "spec.yaml:2:4");
    assert!(faults("a:\n\t- x\n").starts_with("spec.yaml:2:2: a tab stands where YAML wants spaces"));
    let origin = Origin::new("spec.yaml");
    assert_eq!(
        decode(&origin, b"ok: 1\nna\xefve: 2\n").unwrap_err().to_string(),
        "spec.yaml:2:3: has the byte 0xEF, which is not UTF-8 (save it as UTF-8)"
    );
    assert!(decode(&origin, b"\xff\xfea\0").unwrap_err().message.contains("UTF-16"));
}

#[test]
fn json_is_read_too() {
    let node = only("{\"topics\": [{\"name\": \"a\", \"partitions\": 3}]}\n");
    let Value::List(topics) = &node.get("topics").unwrap().value else { panic!("no list") };
    assert_eq!(topics[0].get("partitions").unwrap().scalar().unwrap().whole(), Some(3));
}

#[test]
fn a_serde_type_gets_places_and_faults_get_words() {
    let text = "bootstrap: kafka:9092\ntags: [a, b]\ncapacity: 1.5\nbrokers: {one: 1}\nmode: zookeeper\n";
    let cluster: Cluster = read("toolbox.yaml", text).unwrap();
    assert_eq!(cluster.bootstrap.place.to_string(), "toolbox.yaml:1:12");
    assert_eq!((cluster.capacity, cluster.brokers["one"], cluster.mode), (Some(1.5), 1, Mode::Zookeeper));
    let cases = [
        ("bootstrap: a\ntgas: []\n", "toolbox.yaml:2:1: unknown field `tgas` (did you mean `tags`?)"),
        ("bootstrap: a\ncolour: 1\n", "toolbox.yaml:2:1: unknown field `colour` (known fields: bootstrap, tags,"),
        ("tags: []\n", "toolbox.yaml:1:1: the field `bootstrap` is missing"),
        ("bootstrap: a\ntags: x\n", "toolbox.yaml:2:7: expected a list, found `x`"),
        ("bootstrap: a\ntags: [a, [b]]\n", "toolbox.yaml:2:11: expected a text, found a list"),
        ("bootstrap:\n", "toolbox.yaml:1:10: expected a text, found nothing"),
        (
            "bootstrap: a\nbrokers: {x: 70000}\n",
            "toolbox.yaml:2:14: expected a whole number from 0 to 65535, found `70000`",
        ),
        ("bootstrap: a\nbrokers: {x: three}\n", "toolbox.yaml:2:14: expected a whole number, found `three`"),
        ("bootstrap: a\ncapacity: much\n", "toolbox.yaml:2:11: expected a number, found `much`"),
        ("bootstrap: a\nmode: kraftt\n", "expected one of kraft, zookeeper, found `kraftt` (did you mean `kraft`?)"),
        ("bootstrap: a\n---\nbootstrap: b\n", "toolbox.yaml:3:1: a second document starts here"),
        ("- a\n", "toolbox.yaml:1:1: expected a mapping, found a list"),
    ];
    for (text, expected) in cases {
        assert!(wrong::<Cluster>(text).contains(expected), "{text}: {}", wrong::<Cluster>(text));
    }
}

#[test]
fn hostile_texts_are_refused_at_a_limit() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        writeln!(laughs, "a{level}: &a{level} [{}]", vec![alias; 9].join(",")).unwrap();
    }
    let scalar = format!("a: &a \"{}\\n\"\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(10_000));
    let wide = format!("[{}]", "x,".repeat(NODES_MAX + 1));
    let cases = [
        (laughs, "its aliases copy more than 10"),
        (scalar, "its aliases copy more than 1000000 values or 16 MiB"),
        (wide, "more than 1000000 values"),
        ("[".repeat(100_000), "nest deeper than 64"),
        ("- ".repeat(100_000), "nest deeper than 64"),
        ("a: b: c\n---\n".repeat(100_000), "a second `:`"),
        (" ".repeat(BYTES_MAX + 1), "longer than 16 MiB"),
        (format!("{}\n", "? ".repeat(100_000)), ""),
        (format!("a: \"{}", "x".repeat(4 << 20)), "never closed"),
    ];
    for (text, expected) in cases {
        let found = faults(&text);
        let beginning: String = text.chars().take(20).collect();
        assert!(found.contains(expected) && !found.is_empty(), "{beginning}: {found}");
    }
    let many = "x: 1\nx: 2\n---\n".repeat(1_000);
    assert!(documents(&Origin::new("spec.yaml"), &many).1.len() <= FAULTS_MAX + 1);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_but_never_panics(text in "(\\PC|[ \\n\\t:#&*!|>'\"%@`\\[\\]{},?-])*") {
        let _ = documents(&Origin::new("x"), &text);
    }

    #[test]
    fn yaml_like_text_never_panics(words in prop::collection::vec(
        prop_oneof![
            Just("a"), Just(": "), Just("- "), Just("\n"), Just("  "), Just("&x "), Just("*x"), Just("<<: "), Just("["),
            Just("]"), Just("{"), Just("}"), Just(","), Just("|\n"), Just(">-\n"), Just("\""), Just("'"), Just("---\n"),
            Just("...\n"), Just("!!str "), Just("? "), Just("#"), Just("\t"), Just("\r\n"), Just("%YAML 1.2\n"), Just("~"),
        ], 0..60)) {
        let text = words.concat();
        let (documents, _) = documents(&Origin::new("x"), &text);
        for document in &documents {
            let mut reader = Reader::default();
            let _ = reader.texts(document, "it");
        }
        let _ = read::<Cluster>("x", &text);
    }

    #[test]
    fn quoted_text_comes_back_verbatim(value in "[^\\x00-\\x1f\\x7f-\\x9f\\u{feff}\\u{2028}\\u{2029}]*") {
        let text = format!("key: '{}'\n", value.replace('\'', "''"));
        let node = only(&text);
        prop_assert_eq!(&*node.get("key").unwrap().scalar().unwrap().text, value.as_str());
    }
}
