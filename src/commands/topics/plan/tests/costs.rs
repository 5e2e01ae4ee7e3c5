//! What changes of config keys cost: the risk, and the words beside the change.

use std::collections::BTreeMap;

use super::cluster::{cluster, lines, name, planned};
use crate::change::plan::{Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::Held;

/// Values that hold by default, beside those of every topic.
const DEFAULTS: [(&str, &str); 7] = [
    ("compression.type", "producer"),
    ("flush.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("preallocate", "false"),
    ("remote.storage.enable", "false"),
    ("retention.bytes", "-1"),
    ("segment.bytes", "1073741824"),
];

fn with(config: &[(&str, &str)]) -> Observed {
    let mut observed = cluster("1@a 2@b 3@c").topic("a", &[&[1, 2], &[2, 3]], config);
    let entries = observed.configs.get_mut(&name("a")).unwrap();
    for (key, value) in DEFAULTS {
        if !entries.iter().any(|entry| entry.name == key) {
            let (name, value) = (key.to_owned(), Some(value.to_owned()));
            entries.push(ConfigEntry {
                name,
                value,
                source: ConfigSource::Default,
                sensitive: false,
                read_only: false,
            });
        }
    }
    observed
}

/// The risk of declaring this config where that one is set.
fn risk(there: &[(&str, &str)], declared: &str) -> Risk {
    risk_in(&with(there), declared)
}

fn risk_in(observed: &Observed, declared: &str) -> Risk {
    let planned = planned(&format!("- {{name: a, config: {{{declared}}}}}"), observed);
    assert_eq!(planned.faults, []);
    planned.plan.steps.iter().map(Step::risk).max().unwrap_or(Risk::Reversible)
}

#[test]
fn a_lower_retention_loses_data_and_says_how_many_records() {
    let observed = with(&[("retention.ms", "2592000000")]).with_records("a", 5_000, Some(1_200));
    assert_eq!(
        lines("- {name: a, config: {retention.ms: 60000}}", &observed),
        [
            "~ topic a: retention.ms 2592000000 -> 60000 (loses-data: records older than 1 min are deleted, 1200 of 5000 \
             now)",
            "1 to change; risk loses-data"
        ]
    );
    let unknown = with(&[("retention.ms", "2592000000")]);
    assert!(
        lines("- {name: a, config: {retention.ms: 5}}", &unknown)[0]
            .contains("older than 5 ms are deleted, how many is unknown")
    );
    assert_eq!(risk(&[("retention.ms", "-1")], "retention.ms: 1000"), Risk::LosesData);
    assert_eq!(risk(&[("retention.ms", "1000")], "retention.ms: -1"), Risk::Reversible);
    assert_eq!(risk(&[("retention.ms", "1000")], "retention.ms: 1001"), Risk::Reversible);
    assert_eq!(risk(&[], "retention.ms: 1000"), Risk::LosesData, "the default is longer");
    assert_eq!(
        risk(&[("cleanup.policy", "compact")], "retention.ms: 1000"),
        Risk::Reversible,
        "nothing is deleted by age"
    );
}

#[test]
fn a_topic_without_a_record_has_nothing_to_lose() {
    let observed = with(&[("retention.ms", "2592000000")]).with_records("a", 0, Some(0));
    assert_eq!(risk_in(&observed, "retention.ms: 1000, cleanup.policy: compact"), Risk::Reversible);
}

#[test]
fn a_retention_that_is_unset_is_compared_with_the_default() {
    let unset = |observed: &Observed| planned("- name: a", observed).plan.steps[0].risk();
    let longer = with(&[("retention.ms", "2592000000")]).applied("a", &[("retention.ms", "2592000000")]);
    assert_eq!(unset(&longer), Risk::LosesData);
    assert!(lines("- name: a", &longer)[0].contains("records older than 7 d are deleted"));
    let shorter = with(&[("retention.ms", "5")]).applied("a", &[("retention.ms", "5")]);
    assert_eq!(unset(&shorter), Risk::Reversible);
    let unknown = Observed { topic_defaults: None, ..shorter };
    assert_eq!(unset(&unknown), Risk::LosesData, "what is not known counts as the worse");
    assert!(lines("- name: a", &unknown)[0].contains("the default retention time is unknown"));
    let strict = with(&[("retention.bytes", "-1"), ("retention.ms", "2592000000")]);
    assert!(lines("- {name: a, strict: true}", &strict)[0].contains("loses-data"));
}

#[test]
fn of_brokers_with_other_defaults_the_one_that_loses_more_decides() {
    let said = |retention: &str| BTreeMap::from([("retention.ms".to_owned(), retention.to_owned())]);
    let differing = Some(Defaults::of(&[said("604800000"), said("3600000"), said("2592000000")]));
    let unset = Observed {
        topic_defaults: differing.clone(),
        ..with(&[("retention.ms", "86400000")]).applied("a", &[("retention.ms", "86400000")])
    };
    assert!(lines("- name: a", &unset)[0].contains("records older than 1 h are deleted"));
    // 14 days are more than the 7 days of the broker that was asked, and less than the 30 days of another one.
    let set = Observed { topic_defaults: differing, ..with(&[]) };
    assert_eq!(risk_in(&set, "retention.ms: 1209600000"), Risk::LosesData);
    assert_eq!(risk_in(&with(&[]), "retention.ms: 1209600000"), Risk::Reversible);
}

#[test]
fn a_lower_size_loses_data_and_says_how_much() {
    let mut observed = with(&[("retention.bytes", "-1")]);
    let held = Held { bytes: Some(5_000_000_000), bytes_beyond: Some(2_000_000_000), ..Held::default() };
    observed.held.insert(name("a"), held);
    let said = &lines("- {name: a, config: {retention.bytes: 1500000000}}", &observed)[0];
    assert!(
        said.ends_with("(loses-data: the oldest records beyond 1.5 GB a partition are deleted, 2.0 GB of 5.0 GB now)"),
        "{said}"
    );
    assert_eq!(risk(&[("retention.bytes", "100")], "retention.bytes: -1"), Risk::Reversible);
}

#[test]
fn another_cleanup_policy_loses_data_where_it_deletes_more() {
    for (from, to, loses) in [
        ("compact", "delete", true),
        ("delete", "compact", true),
        ("compact", "'compact,delete'", true),
        ("delete", "'compact,delete'", true),
        ("compact,delete", "delete", false),
        ("compact,delete", "compact", false),
    ] {
        let risk = risk(&[("cleanup.policy", from)], &format!("cleanup.policy: {to}"));
        assert_eq!(risk, if loses { Risk::LosesData } else { Risk::Reversible }, "{from} -> {to}");
    }
    let kept = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    let both = with(&kept).with_records("a", 7, Some(7));
    let said = lines("- {name: a, config: {cleanup.policy: delete, retention.ms: 1000}}", &both);
    assert!(
        said[0].contains("compact -> delete (loses-data: records older than 1 s are deleted, 7 of 7 now)"),
        "{said:?}"
    );
    let compacted = lines("- {name: a, config: {cleanup.policy: compact}}", &with(&[]).with_records("a", 7, None));
    assert!(compacted[0].contains("all but the newest value of each key are deleted; how many of 7 is unknown"));
}

#[test]
fn keys_that_act_together_are_judged_together() {
    let compacted = ("cleanup.policy", "compact");
    assert_eq!(risk(&[compacted, ("delete.retention.ms", "9")], "delete.retention.ms: 8"), Risk::LosesData);
    assert_eq!(risk(&[("delete.retention.ms", "9")], "delete.retention.ms: 8"), Risk::Reversible);
    assert_eq!(risk(&[compacted, ("min.compaction.lag.ms", "9")], "min.compaction.lag.ms: 0"), Risk::LosesData);
    let tiered = ("remote.storage.enable", "true");
    assert_eq!(risk(&[tiered, ("local.retention.ms", "-2")], "local.retention.ms: 8"), Risk::MovesData);
    assert_eq!(risk(&[tiered, ("local.retention.ms", "8")], "local.retention.ms: -2"), Risk::Reversible);
    assert_eq!(
        risk(&[("remote.storage.enable", "false"), ("local.retention.ms", "9")], "local.retention.ms: 8"),
        Risk::Reversible
    );
    assert_eq!(risk(&[tiered], "remote.storage.enable: false"), Risk::LosesData);
    assert_eq!(risk(&[("remote.storage.enable", "false")], "remote.storage.enable: true"), Risk::MovesData);
}

#[test]
fn producers_that_would_be_refused_are_more_than_reversible() {
    assert_eq!(risk(&[("max.message.bytes", "1048588")], "max.message.bytes: 1000"), Risk::MovesData);
    assert_eq!(risk(&[("max.message.bytes", "1000")], "max.message.bytes: 2000"), Risk::Reversible);
    let key = "message.timestamp.before.max.ms";
    assert_eq!(risk(&[(key, "9")], &format!("{key}: 8")), Risk::MovesData);
    assert_eq!(risk(&[(key, "9")], &format!("{key}: 10")), Risk::Reversible);
    assert_eq!(risk(&[], "message.timestamp.type: LogAppendTime"), Risk::MovesData);
    assert_eq!(risk(&[], "min.insync.replicas: 2"), Risk::Reversible, "all are in sync");
    let mut observed = with(&[]);
    let topic = observed.metadata.topics.get_mut(&name("a")).unwrap();
    topic.partitions[0].isr = vec![BrokerId(1)];
    assert_eq!(risk_in(&observed, "min.insync.replicas: 2"), Risk::MovesData);
    assert!(
        lines("- {name: a, config: {min.insync.replicas: 2}}", &observed)[0]
            .contains("1 partition has fewer replicas in sync")
    );
}

#[test]
fn min_insync_replicas_is_not_written_while_leaders_that_are_not_in_sync_would_be_forgotten() {
    let mut observed = with(&[("min.insync.replicas", "2"), ("retention.ms", "2592000000")]);
    observed.metadata.topics.get_mut(&name("a")).unwrap().partitions[0].isr = vec![BrokerId(1)];
    let text = "- {name: a, config: {min.insync.replicas: 1, retention.ms: 2592000001}}";
    assert!(lines(text, &observed)[0].contains("forgets their eligible leaders"), "nobody could be asked");
    observed.eligible = [(name("a"), Vec::new())].into();
    assert_eq!(risk_in(&observed, "min.insync.replicas: 1"), Risk::Reversible, "there are none");
    observed.eligible = [(name("a"), vec![0])].into();
    let shown = lines(text, &observed);
    assert!(shown[0].contains("retention.ms") && !shown[0].contains("min.insync"), "the rest is changed: {shown:?}");
    let refused = shown.iter().find(|line| line.starts_with("! refused")).unwrap();
    assert!(
        refused.contains("min.insync.replicas 2 -> 1") && refused.contains("partition 0 has eligible leaders"),
        "{refused}"
    );
    let same = lines("- {name: a, config: {min.insync.replicas: 2}}", &observed);
    assert_eq!(same, ["nothing to do"], "the value that holds is not written");
}

#[test]
fn an_unclean_election_that_is_allowed_may_lose_data_and_segments_do_not() {
    let key = "unclean.leader.election.enable";
    assert_eq!(risk(&[(key, "false")], &format!("{key}: true")), Risk::LosesData);
    assert_eq!(risk(&[(key, "true")], &format!("{key}: false")), Risk::Reversible);
    for safe in
        ["segment.ms: 1", "segment.bytes: 1048576", "flush.ms: 1", "compression.type: zstd", "preallocate: true"]
    {
        assert_eq!(risk(&[], safe), Risk::Reversible, "{safe}");
    }
    assert_eq!(risk(&[("vendor.retention.target.ms", "9")], "vendor.retention.target.ms: 8"), Risk::LosesData);
    assert_eq!(risk(&[("vendor.retention.target.ms", "8")], "vendor.retention.target.ms: 9"), Risk::Reversible);
}
