//! Laws and examples of the spec: forms agree, what is written is read again, no text makes it panic.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::write::is_label_of_kubernetes;
use super::*;
use crate::formats::source::Source;
use crate::formats::yaml::Origin;

fn spec(text: &str) -> Spec {
    parse(&[Source::new("spec.yaml", text)], Format::Auto).unwrap()
}

/// A topic without its places, to compare what two texts say.
fn said(spec: &Spec) -> Vec<TopicSpec> {
    let place = Origin::new("anywhere").place(1, 1);
    let mut topics: Vec<_> = spec.topics.values().cloned().collect();
    for topic in &mut topics {
        topic.name.place = place.clone();
        topic.partitions.iter_mut().for_each(|one| one.place = place.clone());
        topic.replication_factor.iter_mut().for_each(|one| one.place = place.clone());
        topic.map.iter_mut().for_each(|one| one.place = place.clone());
        topic.config.values_mut().for_each(|one| one.place = place.clone());
    }
    topics
}

const STRIMZI: &str = "
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaTopic
metadata:
  name: orders
  namespace: kafka
  labels: {strimzi.io/cluster: main, team: shop}
  annotations: {note: hello}
spec:
  topicName: shop.orders
  partitions: 6
  replicas: 3
  config: {retention.ms: 604800000, cleanup.policy: [compact, delete]}
---
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaTopic
metadata:
  name: payments
  annotations: {strimzi.io/managed: 'false'}
spec: {}
";

const TOPICCTL: &str = "
meta:
  name: shop.orders
  cluster: main
  environment: production
  region: west
  description: |
    What people order.
  consumers: [billing, search]
spec:
  partitions: 6
  replicationFactor: 3
  retentionMinutes: 10080
  placement: {strategy: any, picker: randomized}
  migration: {throttleMB: 20, partitionBatchSize: 2}
  settings: {cleanup.policy: compact}
";

#[test]
fn defaults_hold_where_a_topic_says_nothing() {
    let spec = spec(
        "strict: true\ndefaults:\n  partitions: 3\n  config: {retention.ms: 1, segment.ms: 2}\n  labels: {team: shop}\n\
         topics:\n  - name: a\n  - name: b\n    partitions: 6\n    config: {segment.ms: 3}\n    strict: false\n  - name: c\n    \
         state: absent\n",
    );
    let [a, b, c] = &said(&spec)[..] else { panic!("three topics") };
    assert_eq!(a.partitions.as_ref().map(|one| one.value), Some(3));
    assert_eq!(a.config["segment.ms"].value, "2");
    assert_eq!(b.partitions.as_ref().map(|one| one.value), Some(6));
    assert_eq!((&*b.config["segment.ms"].value, &*b.config["retention.ms"].value), ("3", "1"));
    assert_eq!((a.strict, b.strict, c.state), (true, false, State::Absent));
    assert_eq!((&c.partitions, c.config.len(), &*c.labels["team"]), (&None, 0, "shop"));
    assert_eq!(spec.topics.values().next().unwrap().config["segment.ms"].place.to_string(), "spec.yaml:4:41");
}

#[test]
fn several_sources_merge_whatever_their_order() {
    let one = Source::new("a.yaml", "defaults: {partitions: 3}\ntopics: [{name: a}]\n");
    let two = Source::new("configmap kafka/topics, key b.yaml", "topics: [{name: b}]\n");
    let forth = parse(&[one.clone(), two.clone()], Format::Auto).unwrap();
    let back = parse(&[two, one], Format::Auto).unwrap();
    assert_eq!(forth, back);
    assert_eq!(forth.topics.len(), 2);
    assert!(forth.topics.values().any(|topic| topic.partitions.is_none()), "defaults stay in their document");
}

#[test]
fn strimzi_topics_are_read_and_what_is_lost_is_said() {
    let spec = spec(STRIMZI);
    let [orders] = &said(&spec)[..] else { panic!("one topic") };
    assert_eq!(orders.name.value.as_str(), "shop.orders");
    assert_eq!(orders.config["cleanup.policy"].value, "compact,delete");
    assert_eq!((orders.strict, &*orders.labels["team"]), (true, "shop"));
    assert_eq!(
        spec.notes_beside([].iter()),
        [
            "spec.yaml:8:17: `metadata.annotations.note` has no counterpart here and is left out (1 topic)",
            "spec.yaml:19:17: `strimzi.io/managed: false` leaves this topic alone, and so does this tool",
        ]
    );
}

#[test]
fn topicctl_topics_are_read_and_what_is_lost_is_said() {
    let spec = spec(TOPICCTL);
    let [orders] = &said(&spec)[..] else { panic!("one topic") };
    assert_eq!(orders.config["retention.ms"].value, "604800000");
    assert_eq!(orders.labels["topicctl/description"], "What people order.");
    assert_eq!(orders.labels["topicctl/consumers"], "billing,search");
    assert!(!orders.strict);
    assert_eq!(spec.notes.len(), 2, "{:?}", spec.notes);
    let again = write(Form::Topicctl, spec.topics.values(), None);
    assert_eq!(said(&self::spec(&again.text)), said(&spec));
    assert_eq!(again.notes, Vec::<String>::new());
}

#[test]
fn each_form_is_written_so_that_people_like_to_read_it() {
    let mut topic = spec(TOPICCTL).topics.pop_first().unwrap().1;
    topic.labels = BTreeMap::from([("team".into(), "shop".into())]);
    let toolbox = "topics:\n  - name: shop.orders\n    partitions: 6\n    replicationFactor: 3\n    config:\n      \
                   cleanup.policy: compact\n      retention.ms: 604800000\n    labels:\n      team: shop\n";
    assert_eq!(write(Form::Toolbox, [&topic], None).text, toolbox);
    let strimzi = write(Form::Strimzi, [&topic], Some("blue"));
    assert_eq!(
        strimzi.text,
        "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata:\n  name: shop.orders\n  labels:\n    \
         strimzi.io/cluster: blue\n    team: shop\nspec:\n  partitions: 6\n  replicas: 3\n  config:\n    \
         cleanup.policy: compact\n    retention.ms: 604800000\n"
    );
    assert_eq!(strimzi.notes.len(), 1);
    let topicctl = write(Form::Topicctl, [&topic], Some("blue"));
    assert!(
        topicctl.text.contains("  cluster: blue\n  region: unknown\n  environment: unknown\n"),
        "{}",
        topicctl.text
    );
    assert_eq!(topicctl.notes.len(), 2);
}

const JIKKOU: &str = "
apiVersion: kafka.jikkou.io/v1beta2
kind: KafkaTopicList
metadata: {labels: {environment: example}}
items:
  - metadata: {name: shop.orders, labels: {team: shop}}
    spec:
      partitions: 6
      replicas: -1
      configMapRefs: [Common]
      configs: {cleanup.policy: compact}
  - metadata: {name: shop.old, annotations: {jikkou.io/delete: true}}
    spec: {partitions: 1}
---
apiVersion: core.jikkou.io/v1beta2
kind: ConfigMap
metadata: {name: Common}
data: {min.insync.replicas: 2, cleanup.policy: delete}
---
apiVersion: kafka.jikkou.io/v1beta2
kind: KafkaPrincipalAuthorization
metadata: {name: 'User:shop'}
spec: {roles: []}
---
apiVersion: core.jikkou.io/v1beta2
kind: ValidatingResourcePolicy
metadata: {name: limits}
";

#[test]
fn jikkous_topics_are_read_with_their_config_maps_and_what_is_not_read_is_named() {
    let spec = spec(JIKKOU);
    let [old, orders] = &said(&spec)[..] else { panic!("two topics") };
    assert_eq!((old.name.value.as_str(), old.state), ("shop.old", State::Absent));
    assert_eq!((orders.partitions.as_ref().map(|one| one.value), &orders.replication_factor), (Some(6), &None));
    assert_eq!(
        (&*orders.config["cleanup.policy"].value, &*orders.config["min.insync.replicas"].value),
        ("compact", "2")
    );
    assert_eq!((orders.strict, &*orders.labels["team"]), (false, "shop"));
    let notes = spec.notes_beside([].iter());
    assert_eq!(
        notes,
        [
            "spec.yaml:21:7: `kind: KafkaPrincipalAuthorization` of Jikkou is not read: it declares no topics",
            "spec.yaml:26:7: `kind: ValidatingResourcePolicy` of Jikkou is not read: it declares no topics",
        ]
    );
    let missing = JIKKOU.replace("[Common]", "[Others]");
    let faults = parse(&[Source::new("spec.yaml", missing)], Format::Auto).unwrap_err().to_string();
    assert_eq!(faults, "spec.yaml:10:23: there is no ConfigMap `Others` (core.jikkou.io) in what is given");
}

#[test]
fn documents_of_two_clusters_are_a_fault_and_one_that_is_not_the_cluster_is_known() {
    let of = |text: &str| parse(&[Source::new("spec.yaml", text)], Format::Auto);
    let west = STRIMZI.replace("name: payments\n", "name: refunds\n  labels: {strimzi.io/cluster: west}\n");
    let faults = of(&west.replace("strimzi.io/managed: 'false'", "a: b")).unwrap_err().to_string();
    assert!(
        faults.contains(
            "topic `refunds`: the label strimzi.io/cluster is `west`, and that of topic `shop.orders` is `main`"
        ),
        "{faults}"
    );
    let stage = TOPICCTL.replace("shop.orders", "refunds").replace("environment: production", "environment: stage");
    let faults = of(&format!("{TOPICCTL}---\n{stage}")).unwrap_err().to_string();
    assert!(faults.contains("topic `refunds`: meta.environment is `stage`"), "{faults}");
    let spec = spec(STRIMZI);
    assert_eq!(spec.other_cluster("main"), None);
    assert_eq!(spec.other_cluster("west").map(|(named, _)| named).as_deref(), Some("main"));
}

#[test]
fn a_set_may_be_a_list_and_an_empty_one_has_a_word() {
    let of = |value: &str| {
        let text = format!("topics: [{{name: a, config: {{cleanup.policy: {value}}}}}]");
        parse(&[Source::new("x", text)], Format::Auto).map(|spec| said(&spec)[0].config["cleanup.policy"].value.clone())
    };
    assert_eq!(of("[compact, delete]").unwrap(), "compact,delete");
    assert_eq!(of("none").unwrap(), "");
    for empty in ["[]", "''"] {
        let faults = of(empty).unwrap_err().to_string();
        assert!(faults.contains("write `none` to keep all records for ever"), "{faults}");
    }
    let text =
        write(Form::Toolbox, [&said(&spec("topics: [{name: a, config: {cleanup.policy: none}}]"))[0]], None).text;
    assert!(text.contains("cleanup.policy: none\n"), "{text}");
}

#[test]
fn what_stands_beside_absent_is_ignored_with_a_note() {
    let spec = spec(
        "topics:\n  - {name: a, state: absent, partitions: 3, config: {retention.ms: 7d}}\n  - {name: b, state: absent}\n",
    );
    let [a, _] = &said(&spec)[..] else { panic!("two topics") };
    assert_eq!((a.state, &a.partitions, a.config.len()), (State::Absent, &None, 0));
    assert_eq!(
        spec.notes_beside([].iter()),
        ["spec.yaml:2:5: `partitions`, `config` of a topic that should be absent: it is ignored"]
    );
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.-]{0,12}",
        "\\PC{0,12}",
        prop::sample::select(vec![
            "", "~", "null", "yes", "010", "0.50", "1e3", "-0", "+1", "*", "a: b", "#", " x ", "-1"
        ])
        .prop_map(str::to_owned),
        "[\\x00-\\x7f]{0,6}",
    ]
}

prop_compose! {
    fn any_topic()(
        name in "[a-zA-Z0-9._-]{1,12}".prop_filter("a legal name", |name| TopicName::new(name.as_str()).is_ok()),
        partitions in prop::option::of(1..=PARTITIONS_MAX),
        replication_factor in prop::option::of(1..=REPLICATION_FACTOR_MAX),
        config in prop::collection::btree_map("x\\.\\PC{0,8}", any_text(), 0..4),
        map in prop::option::of("[a-z0-9]{1,6}"),
        absent in any::<bool>(),
        labels in prop::collection::btree_map(any_text().prop_filter("a key", |key| key != "<<"), any_text(), 0..3),
        strict in any::<bool>(),
    ) -> TopicSpec {
        let place = Origin::new("anywhere").place(1, 1);
        let state = if absent { State::Absent } else { State::Present };
        let config = config.into_iter().map(|(key, value)| (key, Placed { value, place: place.clone() })).collect();
        TopicSpec {
            name: Placed { value: TopicName::new(name).unwrap(), place: place.clone() },
            partitions: partitions.filter(|_| !absent).map(|value| Placed { value, place: place.clone() }),
            replication_factor: replication_factor.filter(|_| !absent).map(|value| Placed { value, place: place.clone() }),
            config: if absent { BTreeMap::new() } else { config },
            map: map.map(|value| Placed { value, place: place.clone() }),
            state,
            labels,
            strict,
        }
    }
}

fn any_spec() -> impl Strategy<Value = Spec> {
    prop::collection::vec(any_topic(), 0..5).prop_map(|topics| {
        let mut keys = BTreeSet::new();
        let apart = topics.into_iter().filter(|topic| keys.insert(topic.name.value.collision_key()));
        let topics = apart.map(|topic| (topic.name.value.clone(), topic)).collect();
        Spec { topics, ..Spec::default() }
    })
}

proptest! {
    #[test]
    fn what_is_written_in_the_own_form_is_read_again(spec in any_spec()) {
        for form in [Form::Toolbox, Form::Configmap] {
            let text = write(form, spec.topics.values(), None).text;
            let again = parse(&[Source::new("x", text.as_str())], Format::Auto);
            prop_assert!(again.is_ok(), "{text}\n{again:?}");
            prop_assert_eq!(said(&again.unwrap()), said(&spec), "{}", text);
        }
    }

    #[test]
    fn what_is_written_for_strimzi_is_read_again(mut spec in any_spec()) {
        spec.topics.retain(|_, topic| topic.state == State::Present);
        for topic in spec.topics.values_mut() {
            topic.strict = true;
            topic.map = None;
            topic.labels.retain(|key, text| is_label_of_kubernetes(key, text));
            topic.labels.insert("strimzi.io/cluster".into(), "main".into());
        }
        let written = write(Form::Strimzi, spec.topics.values(), None);
        prop_assert!(written.notes.is_empty());
        let again = parse(&[Source::new("x", written.text.as_str())], Format::Strimzi);
        prop_assert!(again.is_ok(), "{}\n{again:?}", written.text);
        prop_assert_eq!(said(&again.unwrap()), said(&spec), "{}", written.text);
    }

    #[test]
    fn what_is_written_for_topicctl_is_read_again(mut spec in any_spec()) {
        spec.topics.retain(|_, topic| topic.partitions.is_some() && topic.replication_factor.is_some());
        for topic in spec.topics.values_mut() {
            topic.strict = false;
            topic.map = None;
            for key in ["cluster", "region", "environment"] {
                topic.labels.insert(format!("topicctl/{key}"), "it".into());
            }
        }
        let written = write(Form::Topicctl, spec.topics.values(), None);
        prop_assert!(written.notes.is_empty());
        let again = parse(&[Source::new("x", written.text.as_str())], Format::Topicctl);
        prop_assert!(again.is_ok(), "{}\n{again:?}", written.text);
        prop_assert_eq!(said(&again.unwrap()), said(&spec), "{}", written.text);
    }

    #[test]
    fn what_is_written_for_jikkou_is_read_again(mut spec in any_spec()) {
        for topic in spec.topics.values_mut() {
            topic.strict = false;
            topic.map = None;
        }
        let written = write(Form::Jikkou, spec.topics.values(), None);
        prop_assert!(written.notes.is_empty());
        let again = parse(&[Source::new("x", written.text.as_str())], Format::Auto);
        prop_assert!(again.is_ok(), "{}\n{again:?}", written.text);
        prop_assert_eq!(said(&again.unwrap()), said(&spec), "{}", written.text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Auto, Format::Toolbox, Format::Topicctl, Format::Strimzi] {
            let _ = parse(&[Source::new("x", bytes.clone())], format);
        }
    }

    #[test]
    fn any_mixture_of_known_words_is_read_or_refused(words in prop::collection::vec(
        prop::sample::select(vec![
            "topics:", "defaults:", "strict:", "- ", "name:", "partitions:", "config:", "labels:", "state:", "absent", "kind:",
            "ConfigMap", "KafkaTopic", "List", "items:", "apiVersion:", "kafka.strimzi.io/v1", "metadata:", "data:", "spec:",
            "meta:", "placement:", "retentionMinutes:", "1", "x", "|", "\n", "\n  ", "\n    ", " ", "&a ", "*a", "<<:", "---\n",
        ]), 0..60)) {
        let text = words.concat();
        for format in [Format::Auto, Format::Topicctl, Format::Strimzi] {
            let _ = parse(&[Source::new("x", text.as_str())], format);
        }
    }
}
