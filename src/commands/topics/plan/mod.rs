//! What to change so that the cluster is as declared, with every guard. (spec, observed, options) in, plan out. Pure.

pub mod abreast;
pub mod asks;
pub mod checks;
pub mod configs;
pub mod defaults;
pub mod deletes;
pub mod doubt;
pub mod effects;
pub mod internal;
pub mod last;
pub mod placement;
pub mod questions;
pub mod replicas;
pub mod running;
pub mod step;
#[cfg(test)]
mod tests;

pub mod topics;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::change::plan::{Plan, Step};
use crate::cluster::map::Maps;
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::{Declared, Observed};
use crate::commands::topics::plan::abreast::AllThere;
use crate::commands::topics::plan::step::subject;
use crate::commands::topics::spec::{Spec, State, TopicSpec};
use crate::formats::place::Fault;

pub use step::TopicStep;

/// What else decides about a plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The maps of the cluster, where it has some.
    pub maps: Maps,
    /// Topics whose deletion was asked for one by one (`--delete`).
    pub named_deletes: BTreeSet<TopicName>,
    /// Topics that Kafka, Strimzi or Connect keep for themselves and that may be changed (`--internal-topic`).
    pub internal_topics: BTreeSet<TopicName>,
    /// Most topics that one run deletes.
    pub max_deletes: usize,
    /// How long a topic must have had no new record to be deleted, as it was written.
    pub min_idle: String,
    /// The moment that is so long ago; where it is not known, no topic counts as idle.
    pub idle_since: Option<Timestamp>,
    /// Whether sources were left out: then a topic that is not declared may be declared there.
    pub is_partial: bool,
    /// Who declares these topics (`--owner`).
    pub owner: String,
    /// Whether topics that other owners declare are taken over (`--take-ownership`).
    pub takes_ownership: bool,
}

/// A plan, and what is wrong with the spec now that the cluster is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// The plan for the topics without a fault.
    pub plan: Plan<TopicStep>,
    /// What is wrong, and with which topic.
    pub faults: Vec<(TopicName, Fault)>,
}

/// Plans.
///
/// Steps:
/// 1. Check each declared topic against the cluster and the maps; one with a fault is left out.
/// 2. Per topic: create, add partitions, set config; or delete.
/// 3. Other replication factors, all topics together: they share the brokers.
/// 4. Order: owners, creates, partitions, configs, replicas, deletes; each by name. One request carries neighbours of one
///    kind.
pub fn plan(spec: &Spec, observed: &Observed, options: &Options) -> Planned {
    let mut planned = Planned::default();
    let mut absent = Vec::new();
    let mut world = topics::World::new(observed, options);
    let known = checks::Known::of(spec, observed);
    let mut all_there = AllThere::of(observed);
    for (name, declared) in &spec.topics {
        let there = all_there.at(name);
        let faults = checks::faults(declared, &there, &known, options);
        if !faults.is_empty() {
            planned.faults.extend(faults.into_iter().map(|fault| (name.clone(), fault)));
            continue;
        }
        if let Some(others) = observed.declared_by_others.get(name) {
            if !options.takes_ownership {
                planned.plan.refuse(subject(name), "apply", owned_by(others, options, declared));
                continue;
            }
            planned.plan.warn(taken_over(name, others, options));
            let from = others.iter().map(|other| other.owner.clone()).collect();
            planned.plan.steps.push(TopicStep::TakeOwnership { name: name.clone(), from, to: options.owner.clone() });
        }
        if declared.state == State::Present && internal::is_left_alone(declared, &there, options, &mut planned.plan) {
            continue;
        }
        match (declared.state, there.topic) {
            (State::Absent, None) => {}
            (State::Absent, Some(topic)) => absent.push(topic),
            (State::Present, None) => {
                if there.last.is_some_and(|last| last.existed) {
                    let text =
                        format!("drift: topic {name} was deleted since it was last applied; its records are gone");
                    planned.plan.find(subject(name), "topics.drift", text);
                }
                topics::create(declared, &mut world, &mut planned.plan);
            }
            (State::Present, Some(topic)) => {
                topics::change(declared, (topic, &there), &mut world, &mut planned.plan);
            }
        }
    }
    replicas::plan(world.wanted(), observed.placement.as_ref(), &options.maps, &mut planned.plan);
    deletes::plan(&absent, observed, options, &mut planned.plan);
    topics::warn_of_many(&world, &mut planned.plan);
    warn_of_history(spec, observed, options, &mut planned.plan);
    planned.plan.steps.sort_by_key(|step| (step.batch(), step.name().clone()));
    planned
}

/// What a person should know of a topic that is taken over.
fn taken_over(name: &TopicName, others: &[Declared], options: &Options) -> String {
    let owners: Vec<_> = others.iter().map(|other| format!("`{}`", other.owner)).collect();
    format!(
        "topic {name} is taken over from owner {} by `{}`: remove it from what {} declares, which is refused from then on \
         (after `state: absent` it would be created again)",
        owners.join(", "),
        options.owner,
        owners.join(", ")
    )
}

/// Why a topic of another owner is left alone.
fn owned_by(others: &[Declared], options: &Options, declared: &TopicSpec) -> String {
    let of_other = |Declared { owner, source }: &Declared| format!("`{owner}` (last applied from {source})");
    let others: Vec<_> = others.iter().map(of_other).collect();
    format!(
        "two owners declare it: {} and `{}` ({}). Remove it from one of them and apply that one, or take it over with \
         --take-ownership",
        others.join(", "),
        options.owner,
        declared.name.place.source
    )
}

/// Says what the three-way merge could not know, and which topics are declared no more.
fn warn_of_history(spec: &Spec, observed: &Observed, options: &Options, plan: &mut Plan<TopicStep>) {
    let Some(last) = &observed.last_applied else {
        let mut there = spec.topics.values().filter(|topic| observed.metadata.topics.contains_key(&topic.name.value));
        let strict =
            "there is no record of an earlier apply of this spec: drift can't be told from a change of the spec";
        match there.try_fold(0, |count, topic| if topic.strict { Some(count + 1) } else { None }) {
            Some(0) => {}
            Some(_) => plan.warn(strict),
            None => plan.warn(
                "there is no record of an earlier apply of this spec: config keys that it does not name are left \
                 alone (but of topics that are `strict`), and drift can't be told from a change of the spec",
            ),
        }
        return;
    };
    let is_other = |name: &TopicName| {
        let id = observed.metadata.topics.get(name).and_then(|topic| topic.id.as_ref());
        last.topics.get(name).is_some_and(|last| last.is_of_another(id))
    };
    let others: Vec<_> = spec.topics.keys().filter(|name| is_other(name)).collect();
    if !others.is_empty() {
        plan.warn(format!(
            "deleted and created again since it was last applied: {}; config keys that were applied to the former topic and are \
             not declared any more are left alone",
            topics::some_of(&others)
        ));
    }
    let gone: Vec<_> = last
        .topics
        .keys()
        .filter(|name| !spec.topics.contains_key(*name) && observed.metadata.topics.contains_key(*name))
        .collect();
    if !gone.is_empty() && !options.is_partial {
        plan.warn(format!(
            "declared no more and left as it is: {}; `state: absent` deletes a topic",
            topics::some_of(&gone)
        ));
    }
}
