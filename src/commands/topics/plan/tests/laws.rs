//! The laws of every plan: it settles, it is steady, it is safe, it is honest.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::cluster::{cluster, name, options, spec};
use crate::change::plan::Step;
use crate::commands::topics::observe::{Observed, Use};
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::plan::step::TopicBatch;
use crate::commands::topics::plan::{TopicStep, configs, plan};

const KEYS: [&str; 4] = ["retention.ms", "segment.ms", "cleanup.policy", "leader.replication.throttled.replicas"];

/// One declared topic as a line of YAML.
fn declared() -> impl Strategy<Value = String> {
    let config = prop::collection::btree_map(0_usize..3, 1_u32..4, 0..3);
    let state = prop::sample::select(vec!["present", "present", "present", "absent"]);
    (0_usize..8, 1_usize..6, 1_usize..4, config, any::<bool>(), state).prop_map(
        |(topic, partitions, factor, config, strict, state)| {
            let value = |key: usize, value: u32| match KEYS[key] {
                "cleanup.policy" => ["compact", "delete", "compact,delete"][value as usize - 1].to_owned(),
                _ => value.to_string(),
            };
            let config: Vec<_> =
                config.iter().map(|(key, number)| format!("{}: '{}'", KEYS[*key], value(*key, *number))).collect();
            let config = config.join(", ");
            if state == "absent" {
                return format!("- {{name: t{topic}, state: absent}}");
            }
            format!(
                "- {{name: t{topic}, partitions: {partitions}, replicationFactor: {factor}, config: {{{config}}}, \
                 strict: {strict}}}"
            )
        },
    )
}

/// Lines that declare each topic once.
fn declarations() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(declared(), 1..8).prop_map(|lines| {
        let mut seen = BTreeSet::new();
        lines.into_iter().filter(|line| seen.insert(line[..10].to_owned())).collect()
    })
}

/// A cluster that has some of the topics, some of them used, some applied before.
fn observed() -> impl Strategy<Value = Observed> {
    let topic =
        (0_usize..8, 1_usize..4, 1_usize..4, prop::collection::btree_map(0_usize..4, 1_u32..4, 0..4), any::<bool>());
    prop::collection::vec(topic, 0..8).prop_map(|topics| {
        let mut observed = cluster("1@a 2@a 3@b 4@c");
        for (topic, partitions, factor, config, is_known) in topics {
            let topic = format!("t{topic}");
            let replicas: Vec<&[i32]> = (0..partitions).map(|_| &[1, 2, 3][..factor]).collect();
            let values: Vec<_> = config.iter().map(|(key, value)| (KEYS[*key], value.to_string())).collect();
            let config: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            observed = observed.topic(&topic, &replicas, &config).used(&topic, Use::default()).holding(&topic, 1_000);
            if is_known {
                observed = observed.applied(&topic, &config);
            }
        }
        observed
    })
}

proptest! {
    #[test]
    fn a_plan_settles(lines in declarations(), observed in observed()) {
        let spec = spec(&lines.join("\n"));
        let first = plan(&spec, &observed, &options()).plan;
        let last = observed.last_applied.clone().unwrap_or_default();
        let mut after = observed.after(&first.steps);
        let there = after.metadata.topics.clone();
        after.last_applied = Some(last.settled(&spec, &BTreeSet::new(), |name| there.contains_key(name), &BTreeMap::new()));
        let second = plan(&spec, &after, &options()).plan;
        prop_assert_eq!(second.steps, []);
        let changes = |refusals: &[crate::change::plan::Refusal]| refusals.iter().map(|one| (one.subject.clone(), one.change.clone())).collect::<Vec<_>>();
        prop_assert_eq!(changes(&second.refusals), changes(&first.refusals));
    }

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_the_spec(lines in declarations(), observed in observed()) {
        let mut turned = lines.clone();
        turned.reverse();
        let one = plan(&spec(&lines.join("\n")), &observed, &options()).plan;
        let other = plan(&spec(&turned.join("\n")), &observed, &options()).plan;
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_plan_is_safe_and_honest(lines in declarations(), observed in observed()) {
        let spec = spec(&lines.join("\n"));
        let steps = plan(&spec, &observed, &options()).plan.steps;
        let mut subjects = BTreeSet::new();
        for step in &steps {
            prop_assert!(spec.topics.contains_key(step.name()), "every subject is declared");
            prop_assert!(subjects.insert((step.subject(), step.batch())), "no change is planned twice");
            match step {
                TopicStep::Create { assignment, .. } | TopicStep::AddPartitions { assignment, .. } => {
                    for replicas in assignment {
                        let distinct: BTreeSet<_> = replicas.iter().collect();
                        prop_assert_eq!(distinct.len(), replicas.len());
                        prop_assert!(replicas.iter().all(|id| observed.metadata.brokers.contains_key(id)));
                    }
                }
                TopicStep::SetConfig { edits, .. } => {
                    prop_assert!(edits.iter().all(|edit| !configs::THROTTLES.contains(&edit.key.as_str())));
                }
                TopicStep::ChangeReplicas { to, moves, .. } => {
                    for one in moves {
                        prop_assert!(!one.is_malformed() && one.to.len() == *to, "{one:?}");
                        prop_assert!(one.to.iter().all(|id| observed.metadata.brokers.contains_key(id)));
                    }
                }
                TopicStep::TakeOwnership { .. } | TopicStep::Delete { .. } => {}
            }
        }
        prop_assert!(steps.iter().filter(|step| step.batch() == TopicBatch::Delete).count() <= options().max_deletes);
    }

    #[test]
    fn a_key_that_was_claimed_stays_ours_until_the_topic_is_settled(lines in declarations(), observed in observed()) {
        let spec = spec(&lines.join("\n"));
        let steps = plan(&spec, &observed, &options()).plan.steps;
        let claimed = LastApplied::default().claiming(&steps, &spec, |_| false, &BTreeMap::new());
        for step in &steps {
            let TopicStep::Create { config, .. } = step else { continue };
            let ours: BTreeSet<_> = claimed.topics[step.name()].keys().collect();
            prop_assert!(config.keys().all(|key| ours.contains(key)));
        }
        let unsettled = spec.topics.keys().cloned().collect();
        prop_assert_eq!(claimed.settled(&spec, &unsettled, |_| true, &BTreeMap::new()), claimed.clone());
        prop_assert!(!claimed.topics.contains_key(&name("never")));
    }
}
