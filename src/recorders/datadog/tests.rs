//! Every limit of Datadog, and what a person reads.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const NOW: i64 = 1_800_000_000;

fn event(kind: &str, outcome: Outcome, severity: Severity) -> Event {
    Event {
        event_id: Uuid::nil(),
        run_id: Uuid::nil(),
        time: Timestamp::from_second(NOW - 60).unwrap(),
        kind: kind.into(),
        outcome,
        reason: None,
        severity,
        cluster: "prod".into(),
        cluster_id: Some("b7Yx1mXvQPqC3kLw0nRzTA".into()),
        actor: "pod:kafka/topics-1".into(),
        command: "topics apply".into(),
        subject: "topic:Orders".into(),
        title: "~ topic Orders: retention.ms 1 -> 2".into(),
        before: Some("retention.ms: 1".into()),
        after: Some("retention.ms: 2\nsegment.ms: 3".into()),
        tags: BTreeMap::from([("Team".into(), "Data & Co".into())]),
        tool_version: "0.1.0".into(),
    }
}

fn rendered(events: &[Event], short: bool) -> DatadogEvent {
    let now = Timestamp::from_second(NOW).unwrap();
    render(&Message { events, now, short }, &["env:Live".to_owned()]).unwrap()
}

fn assert_within_limits(sent: &DatadogEvent) {
    assert!(sent.title.chars().count() <= TITLE_CHARS_MAX, "{}", sent.title);
    assert!(sent.text.chars().count() <= TEXT_CHARS_MAX, "{}", sent.text.chars().count());
    assert!(sent.aggregation_key.chars().count() <= AGGREGATION_KEY_CHARS_MAX, "{}", sent.aggregation_key);
    assert!(sent.tags.iter().all(|tag| tag.chars().count() <= TAG_CHARS_MAX), "{:?}", sent.tags);
    assert!(sent.text.starts_with("%%% \n") && sent.text.ends_with("\n %%%"), "{}", sent.text);
    assert_eq!(sent.text.matches("%%%").count(), 2, "{}", sent.text);
}

#[test]
fn a_change_reads_well() {
    let sent = rendered(&[event("topics.config_changed", Outcome::Done, Severity::Info)], false);
    assert_within_limits(&sent);
    insta::assert_json_snapshot!(sent, @r#"
    {
      "title": "[kafka-toolbox] prod: topics config changed Orders",
      "text": "%%% \n~ topic Orders: retention.ms 1 -> 2\n\n| | before | after |\n|---|---|---|\n| retention.ms | 1 | 2 |\n| segment.ms |  | 3 |\n\n`topic:Orders` on `prod` (`b7Yx1mXvQPqC3kLw0nRzTA`) by `pod:kafka/topics-1` with `toolbox topics apply` 0.1.0\nevent 00000000-0000-0000-0000-000000000000, run 00000000-0000-0000-0000-000000000000, 2027-01-15T07:59:00Z\n %%%",
      "tags": [
        "source:kafka-toolbox",
        "kafka_cluster:prod",
        "kt_command:topics_apply",
        "kt_kind:topics.config_changed",
        "kt_outcome:done",
        "kafka_cluster_id:b7yx1mxvqpqc3klw0nrzta",
        "env:live",
        "topic:orders",
        "team:data___co"
      ],
      "alert_type": "info",
      "priority": "normal",
      "aggregation_key": "kt/b7Yx1mXvQPqC3kLw0nRzTA/topics/20969b81",
      "date_happened": 1799999940
    }
    "#);
}

#[test]
fn no_run_of_percent_signs_ends_the_markdown() {
    for length in 1..=9 {
        let signs = "%".repeat(length);
        let sent = rendered(
            &[Event {
                title: signs.clone(),
                cluster: signs.clone(),
                command: signs.clone(),
                reason: Some(signs.clone()),
                after: Some(format!("{signs}: {signs}")),
                ..event("topics.created", Outcome::Done, Severity::Info)
            }],
            false,
        );
        assert_within_limits(&sent);
    }
}

#[test]
fn severities_become_alert_types_and_a_persons_doing_is_a_user_update() {
    let shown = |severity, actor: &str| {
        let sent =
            rendered(&[Event { actor: actor.into(), ..event("topics.created", Outcome::Done, severity) }], false);
        (sent.alert_type, sent.priority)
    };
    assert_eq!(shown(Severity::Low, "ann"), (AlertType::Info, Priority::Low));
    assert_eq!(shown(Severity::Info, "ann"), (AlertType::UserUpdate, Priority::Normal));
    assert_eq!(shown(Severity::Info, "pod:a/b"), (AlertType::Info, Priority::Normal));
    assert_eq!(shown(Severity::Info, "serviceaccount:a/b"), (AlertType::Info, Priority::Normal));
    assert_eq!(shown(Severity::Success, "ann"), (AlertType::Success, Priority::Normal));
    assert_eq!(shown(Severity::Warning, "ann"), (AlertType::Warning, Priority::Normal));
    assert_eq!(shown(Severity::Error, "ann"), (AlertType::Error, Priority::Normal));
}

#[test]
fn a_long_name_loses_its_middle_in_the_title_and_stays_whole_in_the_text() {
    let name = format!("begin-{}-end", "x".repeat(230));
    let long = Event { subject: format!("topic:{name}"), ..event("topics.created", Outcome::Failed, Severity::Error) };
    let sent = rendered(&[long], false);
    assert_within_limits(&sent);
    assert!(sent.title.starts_with("[kafka-toolbox] prod: topics created begin-"), "{}", sent.title);
    assert!(sent.title.ends_with("-end: failed"), "{}", sent.title);
    assert!(sent.text.contains(&name));
}

#[test]
fn a_long_table_is_cut_and_says_how_much_is_missing() {
    let lines: Vec<_> = (0..500).map(|n| format!("key{n}: {}", "v".repeat(60))).collect();
    let long = Event { after: Some(lines.join("\n")), ..event("topics.created", Outcome::Done, Severity::Info) };
    let sent = rendered(std::slice::from_ref(&long), false);
    assert_within_limits(&sent);
    assert!(sent.text.contains("… and 4") && sent.text.contains(" more lines"), "{}", sent.text);
    assert!(sent.text.contains("event 00000000"), "{}", sent.text);
    assert!(rendered(&[long], true).text.chars().count() <= SHORT_CHARS_MAX);
}

#[test]
fn what_is_older_than_17_hours_comes_with_the_time_of_now_and_says_when_it_happened() {
    let at = |age: SignedDuration| Event {
        time: Timestamp::from_second(NOW).unwrap() - age,
        ..event("topics.created", Outcome::Done, Severity::Info)
    };
    let young = rendered(&[at(SignedDuration::from_hours(17))], false);
    assert_eq!(young.date_happened, NOW - 17 * 3_600);
    let old = rendered(&[at(SignedDuration::from_secs(17 * 3_600 + 1))], false);
    assert_eq!(old.date_happened, NOW);
    for text in [&old.title, &old.text] {
        assert!(text.contains("(late, happened at 2027-01-14T14:59:59Z)"), "{text}");
    }
}

#[test]
fn late_events_of_a_kind_share_a_message_and_each_has_its_line() {
    let old = |n: u8| Event {
        event_id: Uuid::from_bytes([n; 16]),
        time: Timestamp::from_second(NOW - 100_000 - i64::from(n)).unwrap(),
        subject: format!("topic:{}-{n}", "long-name-".repeat(20)),
        title: format!("~ topic {}-{n}: {}", "long-name-".repeat(20), "retention.ms 1 -> 2 ".repeat(20)),
        reason: Some("because ".repeat(50)),
        ..event("topics.config_changed", Outcome::Done, Severity::Info)
    };
    let events: Vec<_> = (0..15).map(old).collect();
    let sent = rendered(&events, false);
    assert_within_limits(&sent);
    assert!(sent.title.starts_with("[kafka-toolbox] prod: 15 × topics config changed (late, "), "{}", sent.title);
    for event in &events {
        assert!(sent.text.contains(&event.event_id.to_string()), "{}\n{}", event.event_id, sent.text);
    }
}

#[test]
fn clusters_of_one_name_are_told_apart_and_one_under_two_names_is_one() {
    let key = |cluster: &str, id: &str| {
        let (cluster, cluster_id) = (cluster.to_owned(), Some(id.to_owned()));
        let event = Event { cluster, cluster_id, ..event("topics.created", Outcome::Done, Severity::Info) };
        rendered(&[event], false).aggregation_key
    };
    assert_ne!(key("prod", "one"), key("prod", "two"));
    assert_eq!(key("prod", "one"), key("production", "one"));
}

#[test]
fn chatty_families_start_a_new_aggregate_each_day() {
    let key = |kind: &str| rendered(&[event(kind, Outcome::Done, Severity::Info)], false).aggregation_key;
    assert_eq!(key("topics.created"), key("topics.deleted"));
    assert!(key("throttle.set").ends_with("/2027-01-15"), "{}", key("throttle.set"));
}

#[test]
fn a_script_gives_its_own_title_and_ten_tags_at_most() {
    let tags = (0..50).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    let hook = Event { tags, title: "rotated the keys".into(), ..event("hook.ran", Outcome::Done, Severity::Info) };
    let sent = rendered(&[hook], false);
    assert_eq!(sent.title, "[kafka-toolbox] prod: rotated the keys");
    assert_eq!(sent.tags.iter().filter(|tag| tag.starts_with('k') && tag.ends_with(":v")).count(), OWN_TAGS_MAX);
}

#[test]
fn tags_are_as_datadog_keeps_them() {
    for (key, value, expected) in [
        ("topic", "Orders.V1", "topic:orders.v1"),
        ("Ünï", "A b,c|d", "ünï:a_b_c_d"),
        ("9lives", "x", "lives:x"),
        ("k", "", "k"),
        ("k", "https://x/y", "k:https://x/y"),
    ] {
        assert_eq!(tag(key, value), expected);
    }
    assert_eq!(tag("topic", &"x".repeat(249)).chars().count(), TAG_CHARS_MAX);
}

proptest! {
    #[test]
    fn nothing_goes_beyond_a_limit(
        texts in prop::array::uniform8("(\\PC|%%%|\n|[|`]){0,600}"), name in "[A-Za-z0-9._-]{1,249}", age in 0_i64..900_000,
        count in 1_usize..20, short: bool
    ) {
        let [cluster, actor, command, title, reason, before, after, key] = texts;
        let one = Event {
            time: Timestamp::from_second(NOW - age).unwrap(),
            subject: format!("topic:{name}"),
            kind: "topics.created".into(),
            reason: Some(reason),
            before: Some(before),
            after: Some(after),
            tags: BTreeMap::from([(key, title.clone())]),
            cluster, actor, command, title,
            ..event("topics.created", Outcome::Unknown, Severity::Warning)
        };
        let sent = rendered(&vec![one; count], short);
        assert_within_limits(&sent);
        prop_assert!(NOW - sent.date_happened <= 17 * 3_600);
    }
}
