//! What the planner decides, case by case.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::cluster::{cluster, faults, ids, lines, name, options, planned, spec};
use crate::change::plan::{Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::map::{Map, Maps};
use crate::cluster::metadata::Reassignment;
use crate::commands::topics::observe::{Observed, Use};
use crate::commands::topics::plan::doubt::has_hidden_keys;
use crate::commands::topics::plan::last::{LastApplied, Watched};
use crate::commands::topics::plan::{Options, TopicStep, plan};

fn three() -> Observed {
    cluster("1@a 2@b 3@c")
}

#[test]
fn a_missing_topic_is_created_with_its_config() {
    let text = "- {name: a, partitions: 3, replicationFactor: 2, config: {retention.ms: 1000}}";
    assert_eq!(
        lines(text, &three()),
        ["+ topic a: 3 partitions, replication factor 2, retention.ms=1000", "1 to create; risk reversible"]
    );
}

#[test]
fn a_topic_that_is_as_declared_is_left_alone() {
    let observed = three().topic("a", &[&[1, 2], &[2, 3]], &[("retention.ms", "1000")]);
    let text = "- {name: a, partitions: 2, replicationFactor: 2, config: {retention.ms: '1000'}}";
    assert_eq!(lines(text, &observed), ["nothing to do"]);
}

#[test]
fn numbers_and_lists_are_compared_as_kafka_keeps_them() {
    let config = [("cleanup.policy", "compact,delete"), ("min.cleanable.dirty.ratio", "0.5")];
    let observed = three().topic("a", &[&[1, 2]], &config);
    let text = "- {name: a, config: {cleanup.policy: 'compact, delete', min.cleanable.dirty.ratio: '0.50'}}";
    assert_eq!(lines(text, &observed), ["nothing to do"]);
}

#[test]
fn more_partitions_are_added_beside_the_old_ones_and_fewer_are_refused() {
    let observed = three().topic("a", &[&[1, 2]], &[]);
    assert_eq!(
        lines("- {name: a, partitions: 3}", &observed),
        ["~ topic a: partitions 1 -> 3", "1 to change; risk reversible"]
    );
    let observed = three().topic("a", &[&[1, 2], &[2, 3]], &[]);
    assert_eq!(
        lines("- {name: a, partitions: 1}", &observed),
        [
            "! refused: partitions 2 -> 1 a: Kafka can't take partitions away; to have fewer, make a new topic and copy \
             the records",
            "nothing to do; 1 refused"
        ]
    );
}

#[test]
fn more_partitions_of_a_compacted_or_keyed_topic_warn_and_cost_more() {
    let observed = three().topic("a", &[&[1, 2]], &[("cleanup.policy", "compact")]).topic("b", &[&[1, 2]], &[]);
    let planned = planned("- {name: a, partitions: 2}\n- {name: b, partitions: 2, labels: {keyed: 'true'}}", &observed);
    assert_eq!(planned.plan.steps.iter().map(Step::risk).collect::<Vec<_>>(), [Risk::MovesData; 2]);
    assert!(planned.plan.warnings.iter().any(|warning| warning.text.contains("topic a: partitions 1 -> 2 sends")));
}

#[test]
fn partitions_are_not_added_while_a_topic_is_moved() {
    let mut observed = three().topic("a", &[&[1, 2, 3]], &[]);
    let moving = Reassignment { replicas: ids(&[1, 2, 3]), adding: ids(&[3]), removing: ids(&[1]) };
    observed.moves.insert(name("a"), [(0, moving)].into());
    let shown = lines("- {name: a, partitions: 2, replicationFactor: 2}", &observed);
    assert!(shown[0].contains("partitions 1 -> 2 a: its partitions are being reassigned now"), "{shown:?}");
    assert_eq!(shown[1], "nothing to do; 1 refused", "the move's extra replica is no change of the factor");
}

#[test]
fn a_move_to_the_declared_replication_factor_is_under_way_and_only_the_rest_is_planned() {
    let spec = "- {name: a, replicationFactor: 3}";
    let adding = Reassignment { replicas: ids(&[1, 2, 3]), adding: ids(&[3]), removing: Vec::new() };
    let under_way = "! topic a: replication factor 2 -> 3 is under way: 1 partition moves now; `toolbox reassign status` \
                     shows how far";
    let mut observed = three().topic("a", &[&[1, 2, 3]], &[]);
    observed.moves.insert(name("a"), [(0, adding.clone())].into());
    assert_eq!(lines(spec, &observed), [under_way, "nothing to do"]);

    let mut observed = three().topic("a", &[&[1, 2, 3], &[2, 3]], &[]).holding("a", 2_500_000);
    observed.moves.insert(name("a"), [(0, adding)].into());
    let topics = &mut observed.placement.as_mut().unwrap().topics;
    topics.get_mut(&name("a")).unwrap().partitions[0].moving = true;
    let shown = lines(spec, &observed);
    assert_eq!(shown[0], "~ topic a: replication factor 2 -> 3 (1 partition to move, copies 2.5 MB)", "{shown:?}");
    assert_eq!(shown[1], under_way);
    assert!(shown[2].starts_with("1 to change"), "{shown:?}");

    let elsewhere = Reassignment { replicas: ids(&[1, 2, 3]), adding: ids(&[3]), removing: ids(&[1, 2]) };
    observed.moves.insert(name("a"), [(0, elsewhere)].into());
    let shown = lines(spec, &observed);
    assert!(shown[0].contains("replication factor 1 -> 3 a: its partitions are being reassigned now"), "{shown:?}");
}

#[test]
fn a_replication_factor_keeps_to_the_disks_of_toolbox_yaml_and_to_mappings_limit() {
    let observed = three().topic("a", &[&[1, 2]], &[]).holding("a", 2_500_000);
    let of = |megabytes: u64| {
        let mut map = Map::of("m", &["a"], (1..=3).map(BrokerId).collect()).unwrap();
        map.capacity.disk_bytes = Some(megabytes * 1_000_000);
        let options = Options { maps: Maps(vec![map]), ..options() };
        plan(&spec("- {name: a, replicationFactor: 3}"), &observed, &options).plan
    };
    assert_eq!((of(3).steps.len(), of(3).refusals.len()), (1, 0), "83 % of a disk");
    let refused = &of(2).refusals[0];
    assert!(refused.reason.contains("no allowed broker of a suitable rack has room"), "{refused:?}");
}

#[test]
fn another_replication_factor_is_a_move_with_its_bytes_and_the_rest_is_applied() {
    let observed = three().topic("a", &[&[1, 2], &[2, 3]], &[]).holding("a", 2_500_000);
    let shown = lines("- {name: a, replicationFactor: 3, config: {retention.ms: 604800001}}", &observed);
    assert_eq!(shown[0], "~ topic a: retention.ms default -> 604800001");
    assert_eq!(shown[1], "~ topic a: replication factor 2 -> 3 (2 partitions to move, copies 5.0 MB)");
    assert_eq!(shown[2], "2 to change; risk moves-data");
}

#[test]
fn a_lower_replication_factor_keeps_replicas_in_sync_and_racks_apart() {
    let mut observed = three().topic("a", &[&[1, 2, 3]], &[]).holding("a", 2_500_000);
    let topic = observed.metadata.topics.get_mut(&name("a")).unwrap();
    topic.partitions[0].isr = ids(&[1, 3]);
    let placement = observed.placement.as_mut().unwrap();
    placement.topics.get_mut(&name("a")).unwrap().partitions[0].out_of_sync = ids(&[2]);
    let planned = planned("- {name: a, replicationFactor: 2}", &observed);
    let [TopicStep::ChangeReplicas { moves, from: 3, to: 2, .. }] = &planned.plan.steps[..] else {
        panic!("{planned:#?}")
    };
    assert_eq!(moves[0].to, ids(&[1, 3]));
    assert_eq!(planned.plan.steps[0].to_string(), "~ topic a: replication factor 3 -> 2 (1 partition to shrink)");
}

#[test]
fn new_partitions_get_the_new_replication_factor_in_the_same_run() {
    let observed = three().topic("a", &[&[1, 2]], &[]).holding("a", 1_000);
    let planned = planned("- {name: a, partitions: 3, replicationFactor: 3}", &observed);
    let [TopicStep::AddPartitions { assignment, .. }, TopicStep::ChangeReplicas { moves, .. }] =
        &planned.plan.steps[..]
    else {
        panic!("{planned:#?}")
    };
    assert_eq!(moves.iter().map(|one| one.partition.partition).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(moves[1].from, assignment[0]);
    assert!(moves.iter().all(|one| one.to.len() == 3 && one.to.starts_with(&one.from)), "{moves:#?}");
}

#[test]
fn without_knowing_what_the_brokers_hold_no_replica_is_placed() {
    let shown = lines("- {name: a, replicationFactor: 3}", &three().topic("a", &[&[1, 2]], &[]));
    assert!(shown[0].contains("replication factor 2 -> 3 a: what the brokers hold was not observed"), "{shown:?}");
}

#[test]
fn keys_that_were_applied_once_are_unset_and_others_are_left_alone() {
    let observed = three()
        .topic("a", &[&[1, 2]], &[("retention.ms", "1"), ("segment.ms", "2")])
        .applied("a", &[("retention.ms", "1")]);
    assert_eq!(
        lines("- name: a", &observed),
        ["~ topic a: retention.ms 1 -> default (no longer declared)", "1 to change; risk reversible"]
    );
}

#[test]
fn a_key_that_a_killed_run_was_about_to_set_is_unset_when_it_is_declared_no_more() {
    let mut observed = three().topic("a", &[&[1, 2]], &[("retention.ms", "1")]).applied("a", &[]);
    let last = observed.last_applied.as_mut().unwrap();
    last.topics.get_mut(&name("a")).unwrap().claimed.insert("retention.ms".to_owned());
    assert_eq!(lines("- name: a", &observed)[0], "~ topic a: retention.ms 1 -> default (no longer declared)");
}

#[test]
fn a_strict_topic_loses_every_other_key_but_not_the_throttles_of_a_move() {
    let set = [("segment.ms", "2"), ("leader.replication.throttled.replicas", "0:1")];
    let observed = three().topic("a", &[&[1, 2]], &set);
    assert_eq!(
        lines("- {name: a, strict: true}", &observed),
        ["~ topic a: segment.ms 2 -> default (strict: not declared)", "1 to change; risk reversible"]
    );
}

#[test]
fn drift_is_told_from_a_change_of_the_spec() {
    let by_hand = three().topic("a", &[&[1, 2]], &[("retention.ms", "1")]).applied("a", &[("retention.ms", "9")]);
    assert_eq!(
        lines("- {name: a, config: {retention.ms: 9}}", &by_hand),
        [
            "~ topic a: retention.ms 1 -> 9 (drift: changed by hand)",
            "! drift: topic a was changed by hand: retention.ms is 1, not 9",
            "1 to change; risk reversible"
        ]
    );
    let found = &planned("- {name: a, config: {retention.ms: 9}}", &by_hand).plan.warnings[0].finding;
    assert_eq!(found.as_ref().unwrap().kind, "topics.drift");
    let by_spec = three().topic("a", &[&[1, 2]], &[("retention.ms", "1")]).applied("a", &[("retention.ms", "1")]);
    assert_eq!(lines("- {name: a, config: {retention.ms: 2}}", &by_spec)[0], "~ topic a: retention.ms 1 -> 2");
}

#[test]
fn a_topic_that_was_deleted_by_hand_comes_back_with_a_word_of_drift() {
    let mut observed = three().applied("a", &[]);
    let text = "- {name: a, replicationFactor: 2}";
    assert_eq!(planned(text, &observed).plan.warnings, [], "it may never have been created");
    observed.last_applied.as_mut().unwrap().topics.get_mut(&name("a")).unwrap().existed = true;
    let plan = planned(text, &observed).plan;
    assert_eq!(plan.warnings[0].text, "drift: topic a was deleted since it was last applied; its records are gone");
    assert_eq!(plan.warnings[0].finding.as_ref().unwrap().kind, "topics.drift");
}

#[test]
fn a_set_has_no_order_and_no_repetition_and_a_word_for_none() {
    for there in ["compact,delete", "delete,compact", "delete, compact,delete"] {
        let observed = three().topic("a", &[&[1, 2]], &[("cleanup.policy", there)]);
        for declared in ["'compact,delete'", "[delete, compact]", "'delete , compact, delete'"] {
            let text = format!("- {{name: a, config: {{cleanup.policy: {declared}}}}}");
            assert_eq!(lines(&text, &observed), ["nothing to do"], "{there} and {declared}");
        }
    }
    let once = three().topic("a", &[&[1, 2]], &[("cleanup.policy", "delete")]);
    assert_eq!(lines("- {name: a, config: {cleanup.policy: 'delete,delete'}}", &once), ["nothing to do"]);
    let kept = lines("- {name: a, config: {cleanup.policy: none}}", &once);
    assert_eq!(kept, ["~ topic a: cleanup.policy delete -> \"\"", "1 to change; risk reversible"]);
}

#[test]
fn min_insync_replicas_is_not_written_where_that_value_holds_already() {
    let observed = three().topic("a", &[&[1, 2]], &[]);
    assert_eq!(lines("- {name: a, config: {min.insync.replicas: 1}}", &observed), ["nothing to do"]);
    assert!(lines("- {name: a, config: {min.insync.replicas: 2}}", &observed)[0].contains("default -> 2"));
}

#[test]
fn a_key_that_the_server_sets_again_and_again_is_left_and_said_in_one_line() {
    let spec = spec("- {name: a, strict: true}");
    let there = || three().topic("a", &[&[1, 2]], &[("segment.ms", "7")]);
    let mut observed = there().applied("a", &[]);
    for _ in 0..2 {
        let steps = plan(&spec, &observed, &options()).plan.steps;
        assert_eq!(steps.len(), 1, "it is unset");
        let last = observed.last_applied.take().unwrap().claiming(&steps, &spec, |_| false, &BTreeMap::new());
        let last = last.settled(&spec, &BTreeSet::new(), |_| true, &BTreeMap::new());
        observed = Observed { last_applied: Some(last), ..there() };
    }
    let left = plan(&spec, &observed, &options()).plan;
    assert_eq!(left.steps, []);
    assert_eq!(left.warnings[0].text, "the server sets segment.ms again each time it is unset; it is left: a");
    let other =
        Observed { last_applied: observed.last_applied, ..three().topic("a", &[&[1, 2]], &[("segment.ms", "8")]) };
    assert_eq!(plan(&spec, &other, &options()).plan.steps.len(), 1, "another value is somebody's own");
}

#[test]
fn without_a_record_of_the_last_apply_the_merge_is_two_way_and_says_so() {
    let observed = three().topic("a", &[&[1, 2]], &[("segment.ms", "2")]);
    let planned = planned("- name: a", &observed);
    assert_eq!(planned.plan.steps, []);
    assert!(planned.plan.warnings[0].text.contains("there is no record of an earlier apply"));
}

#[test]
fn a_topic_that_is_declared_no_more_is_left_and_named() {
    let observed = three().topic("a", &[&[1, 2]], &[]).topic("b", &[&[1, 2]], &[]).applied("a", &[]).applied("b", &[]);
    assert_eq!(
        lines("- name: a", &observed),
        ["! declared no more and left as it is: b; `state: absent` deletes a topic", "nothing to do"]
    );
}

#[test]
fn a_topic_that_nobody_uses_is_deleted_and_one_in_use_is_not() {
    let text = "- {name: a, state: absent}";
    let idle = three().topic("a", &[&[1, 2]], &[]).used("a", Use::default());
    let planned = planned(text, &idle);
    assert_eq!(planned.plan.steps[0].to_string(), "- topic a: 1 partition");
    assert_eq!(planned.plan.steps[0].risk(), Risk::LosesData);

    let read = idle.clone().used("a", Use { groups: vec!["g".into(), "h".into()], ..Use::default() });
    assert!(lines(text, &read)[0].contains("consumer group g and 1 more reads it now"));
    let fresh = idle.clone().used("a", Use { newest: Some(Timestamp::UNIX_EPOCH), ..Use::default() });
    assert!(lines(text, &fresh)[0].contains("newer than --min-idle 7d; --delete a deletes it nonetheless"));
    let unclear = idle.clone().used("a", Use { unclear: Some("no leader".into()), ..Use::default() });
    assert!(lines(text, &unclear)[0].contains("could not be found out (no leader)"));
    let unread = Observed { logs: BTreeMap::new(), ..idle };
    assert!(lines(text, &unread)[0].contains("how many records it holds could not be read"));
}

#[test]
fn a_topic_with_records_is_idle_only_if_brokers_say_when_they_were_appended_or_its_ends_stand_still_for_long_enough() {
    let text = "- {name: a, state: absent}";
    let mut observed = three().topic("a", &[&[1, 2], &[1, 2]], &[]).used("a", Use::default());
    observed.logs.insert(name("a"), vec![(0, 7), (2, 5)]);
    assert!(lines(text, &observed)[0].contains("it holds 10 records, whose times are what producers say"));
    let by_brokers = observed.clone().used("a", Use { has_append_times: true, ..Use::default() });
    assert_eq!(lines(text, &by_brokers)[0], "- topic a: 2 partitions");
    let deleted = |ends: &[i64], since: i64, id: Option<Uuid>| {
        let since = Timestamp::from_second(since).unwrap();
        let watched = [(name("a"), Watched { since, ends: ends.to_vec(), topic_id: id })].into();
        let last_applied = Some(LastApplied { watched, ..LastApplied::default() });
        planned(text, &Observed { last_applied, ..observed.clone() }).plan.steps.len() == 1
    };
    assert!(deleted(&[7, 5], 1_000_000, None), "they stand still for exactly --min-idle");
    assert!(!deleted(&[7, 5], 1_000_001, None), "not yet for so long");
    assert!(!deleted(&[7, 4], 1, None), "a record was appended");
    assert!(!deleted(&[7, 5], 1, Some(Uuid::from_u128(7))), "that was another topic");
}

#[test]
fn a_topic_with_records_counts_as_keyed_unless_a_label_says_that_it_is_not() {
    let mut observed = three().topic("a", &[&[1, 2]], &[]);
    let risk = |text: &str, observed: &Observed| planned(text, observed).plan.steps[0].risk();
    let (plain, labelled) = ("- {name: a, partitions: 2}", "- {name: a, partitions: 2, labels: {keyed: 'false'}}");
    assert_eq!(risk(plain, &observed), Risk::Reversible, "it is empty");
    observed.logs.insert(name("a"), vec![(3, 4)]);
    assert_eq!((risk(plain, &observed), risk(labelled, &observed)), (Risk::MovesData, Risk::Reversible));
    observed.logs.clear();
    assert_eq!(risk(plain, &observed), Risk::MovesData, "whether it holds records is not known");
    let compacted = three().topic("a", &[&[1, 2]], &[("cleanup.policy", "compact")]);
    assert_eq!(risk(labelled, &compacted), Risk::MovesData, "a compacted topic has keys whatever the label says");
}

#[test]
fn a_topic_that_is_named_is_deleted_though_it_is_in_use_but_never_an_internal_one() {
    let busy = Use { groups: vec!["g".into()], ..Use::default() };
    let observed = three().topic("a", &[&[1, 2]], &[]).topic("__x", &[&[1, 2]], &[]).used("a", busy);
    let options = Options { named_deletes: BTreeSet::from([name("a"), name("__x")]), ..options() };
    let plan = plan(&spec("- {name: a, state: absent}\n- {name: __x, state: absent}"), &observed, &options).plan;
    assert_eq!(plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>(), ["- topic a: 1 partition"]);
    assert!(plan.refusals[0].reason.contains("Kafka keeps this topic for itself"));
}

#[test]
fn internal_topics_are_left_as_they_are_unless_each_is_named() {
    let set = [("cleanup.policy", "compact"), ("segment.ms", "2")];
    let observed = three().topic("__consumer_offsets", &[&[1, 2], &[2, 3]], &set);
    let strict = "- {name: __consumer_offsets, partitions: 2, replicationFactor: 2, strict: true}";
    assert_eq!(lines(strict, &observed), ["nothing to do"], "strict never unsets their keys");
    let other = "- {name: __consumer_offsets, partitions: 3, config: {cleanup.policy: delete}}";
    let shown = lines(other, &observed);
    assert_eq!(
        shown[0],
        "! refused: partitions 2 -> 3, cleanup.policy compact -> delete __consumer_offsets: Kafka keeps its own data in \
         this topic; --internal-topic __consumer_offsets lets it be changed. Its replicas are moved by `toolbox mapping` \
         and `toolbox reassign`"
    );
    assert_eq!(shown[1], "nothing to do; 1 refused");
    let named = Options { internal_topics: BTreeSet::from([name("__consumer_offsets")]), ..options() };
    assert_eq!(plan(&spec(other), &observed, &named).plan.steps.len(), 2);
    assert_eq!(plan(&spec(strict), &observed, &named).plan.steps, []);
    assert!(lines("- name: __transaction_state", &three())[0].contains("! refused: create __transaction_state"));
    assert_eq!(planned("- {name: connect-offsets, partitions: 2}", &three()).plan.steps.len(), 1);
}

#[test]
fn more_deletions_than_allowed_delete_nothing() {
    let names: Vec<_> = (0..6).map(|number| format!("t{number}")).collect();
    let observed =
        names.iter().fold(three(), |observed, name| observed.topic(name, &[&[1, 2]], &[]).used(name, Use::default()));
    let text: Vec<_> = names.iter().map(|name| format!("- {{name: {name}, state: absent}}")).collect();
    let plan = planned(&text.join("\n"), &observed).plan;
    assert_eq!((plan.steps.len(), plan.refusals.len()), (0, 6));
    assert!(plan.refusals[0].reason.contains("6 topics would be deleted, more than --max-deletes 5: none is"));
}

#[test]
fn what_the_cluster_can_not_do_is_a_fault_with_its_place() {
    let observed = three().topic("a.b", &[&[1, 2]], &[]);
    let map = Map::new("m", ".*", ids(&[1, 2]).into_iter().collect()).unwrap();
    let mapped = Options { maps: Maps(vec![map]), ..options() };
    let planned = plan(&spec("- {name: x, replicationFactor: 3}"), &observed, &mapped);
    assert_eq!(
        planned.faults[0].1.to_string(),
        "s.yaml:2:34: replication factor 3, but map m has 2 brokers (2 at most)"
    );
    assert!(faults("- {name: a_b}", &observed)[0].contains("topic a_b collides with topic a.b"));
    let mut observed = observed;
    observed.known_keys = BTreeSet::from(["retention.ms".to_owned(), "segment.ms".to_owned()]);
    assert_eq!(
        faults("- {name: a.b, config: {retention.mss: 1}}", &observed),
        ["s.yaml:2:41: the brokers do not know the config key `retention.mss` (did you mean `retention.ms`?)"]
    );
}

#[test]
fn brokers_that_are_down_are_no_fault_of_the_spec_even_where_nothing_shows_that_they_exist() {
    let empty = lines("- {name: x, replicationFactor: 3}", &cluster("1 2"));
    assert!(empty[0].contains("3 replicas need as many live brokers, and the cluster has 2"), "{empty:?}");
    let observed = cluster("1 2").topic("other", &[&[1, 2, 3]], &[]);
    let shown = lines("- {name: x, replicationFactor: 3}", &observed);
    assert!(shown[0].contains("3 replicas need as many live brokers, and the cluster has 2"), "{shown:?}");
}

#[test]
fn fewer_replicas_than_the_brokers_want_in_sync_are_refused() {
    let mut observed = three();
    observed.broker_defaults.as_mut().unwrap().min_insync_replicas = 2;
    let shown = lines("- {name: x, replicationFactor: 1}", &observed);
    assert!(shown[0].contains("replication factor 1 is below min.insync.replicas 2"), "{shown:?}");
}

#[test]
fn a_key_of_ours_that_is_declared_no_longer_and_does_not_show_is_looked_for_again() {
    let there =
        |shown: &[(&str, &str)]| three().topic("a", &[&[1, 2]], shown).applied("a", &[("retention.ms", "1000")]);
    let hides = |text: &str, observed: &Observed| has_hidden_keys(&spec(text), observed);
    assert!(hides("- {name: a}", &there(&[])));
    assert!(!hides("- {name: a}", &there(&[("retention.ms", "1000")])), "it is unset");
    assert!(!hides("- {name: a, config: {retention.ms: 1000}}", &there(&[])), "it is set");
    assert!(!hides("- {name: a, state: absent}", &there(&[])), "it is deleted");
    assert!(!hides("- {name: a}", &three().topic("a", &[&[1, 2]], &[])), "nothing was applied");
}

#[test]
fn a_single_replica_is_warned_about() {
    let shown = lines("- {name: x, replicationFactor: 1}", &three());
    assert!(shown[1].starts_with("! replication factor 1: without the one broker"), "{shown:?}");
    let there = three().topic("x", &[&[1]], &[]);
    assert_eq!(lines("- {name: x, replicationFactor: 1}", &there), ["nothing to do"], "only where something changes");
}

#[test]
fn topics_stay_inside_their_map_and_strays_are_named() {
    let map =
        |name: &str, topics: &str, brokers: &[i32]| Map::new(name, topics, ids(brokers).into_iter().collect()).unwrap();
    let maps = Maps(vec![map("m", "a.*", &[1, 2]), map("n", "b.*", &[3])]);
    let observed = three().topic("a2", &[&[1, 3]], &[]);
    let options = Options { maps, ..options() };
    let text = "- {name: a1, partitions: 4, replicationFactor: 2}\n- name: a2\n- name: c\n- {name: b, map: m}";
    let planned = plan(&spec(text), &observed, &options);
    let TopicStep::Create { assignment, .. } = &planned.plan.steps[0] else { panic!() };
    assert!(assignment.iter().flatten().all(|broker| [1, 2].contains(&broker.0)), "{assignment:?}");
    assert!(planned.plan.warnings[0].text.contains("topic a2: 1 of 1 partition have replicas outside map m"));
    let faults: Vec<_> = planned.faults.iter().map(|(_, fault)| fault.to_string()).collect();
    assert!(faults[0].contains("topic b belongs to map n (b.*), not to m"), "{faults:?}");
    assert!(faults[1].contains("topic c belongs to no map; the maps are m (a.*), n (b.*)"), "{faults:?}");
}
