//! The plan of one topic: created, or given more partitions and another config.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::Plan;
use crate::cluster::broker::Broker;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::Map;
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::Options;
use crate::commands::topics::plan::abreast::There;
use crate::commands::topics::plan::configs;
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::{self, Known, MIN_INSYNC};
use crate::commands::topics::plan::internal;
use crate::commands::topics::plan::placement::{Load, place};
use crate::commands::topics::plan::replicas::Wanted;
use crate::commands::topics::plan::running::{Running, running};
use crate::commands::topics::plan::step::{Cause, ConfigEdit, TopicStep, count, subject};
use crate::commands::topics::spec::TopicSpec;

/// More names than this are counted.
const NAMES_SHOWN_MAX: usize = 5;

/// What is known, and what the plan has put on the brokers so far.
pub struct World<'a> {
    observed: &'a Observed,
    options: &'a Options,
    /// Counted when the first replica is placed.
    load: Option<Load>,
    lone: Vec<TopicName>,
    /// Topics with keys that the server sets again and again, and those keys.
    coming_back: BTreeMap<TopicName, Vec<String>>,
    /// Topics that should have another replication factor.
    wanted: Vec<Wanted>,
}

impl<'a> World<'a> {
    /// Before the first topic.
    pub fn new(observed: &'a Observed, options: &'a Options) -> Self {
        Self { observed, options, load: None, lone: Vec::new(), coming_back: BTreeMap::new(), wanted: Vec::new() }
    }

    /// Topics that should have another replication factor.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    fn map_of(&self, name: &TopicName) -> Option<&'a Map> {
        self.options.maps.of(name).ok().flatten()
    }

    /// Live brokers that a topic may be placed on.
    fn brokers_for(&self, name: &TopicName) -> Vec<&'a Broker> {
        let map = self.map_of(name);
        let live = self.observed.metadata.brokers.values();
        live.filter(|broker| map.is_none_or(|map| map.brokers.contains(&broker.id))).collect()
    }

    fn place(&mut self, brokers: &[&Broker], existing: &[&[BrokerId]], size: (usize, usize)) -> Vec<Vec<BrokerId>> {
        let load = self.load.get_or_insert_with(|| Load::of(&self.observed.metadata));
        place(brokers, existing, size, load)
    }

    /// Why so many replicas can't be placed now.
    fn too_few(&self, name: &TopicName, live: usize, factor: usize) -> Option<String> {
        let whose = self.map_of(name).map_or("the cluster".to_owned(), |map| format!("map {}", map.name));
        (live < factor).then(|| {
            format!("{factor} replicas need as many live brokers, and {whose} has {live}; run again when more are up")
        })
    }
}

/// Plans a topic that is not there.
pub fn create(declared: &TopicSpec, world: &mut World, plan: &mut Plan<TopicStep>) {
    let name = &declared.name.value;
    let defaults = world.observed.broker_defaults.clone().unwrap_or_default();
    let partitions = declared.partitions.as_ref().map_or(defaults.partitions, |desired| desired.value);
    let factor = declared.replication_factor.as_ref().map_or(defaults.replication_factor, |desired| desired.value);
    let (partitions, factor) = (positive(partitions.into()), positive(factor.into()));
    let brokers = world.brokers_for(name);
    if let Some(reason) = world.too_few(name, brokers.len(), factor) {
        plan.refuse(subject(name), "create", reason);
        return;
    }
    let declared_least = declared.config.get("min.insync.replicas").and_then(|least| least.value.trim().parse().ok());
    let least = declared_least.unwrap_or(defaults.min_insync_replicas);
    if factor < least {
        plan.refuse(subject(name), "create", below_min_insync(factor, least));
        return;
    }
    if factor == 1 {
        world.lone.push(name.clone());
    }
    let assignment = world.place(&brokers, &[], (partitions, factor));
    let kept = |key: &&String| !configs::THROTTLES.contains(&key.as_str());
    let keys = declared.config.keys().filter(kept);
    let config = keys.map(|key| (key.clone(), declared.config[key].value.clone())).collect();
    plan.steps.push(TopicStep::Create { name: name.clone(), assignment, config });
}

/// Plans a topic that is there.
pub fn change(
    declared: &TopicSpec,
    (topic, known): (&Topic, &There<'_>),
    world: &mut World,
    plan: &mut Plan<TopicStep>,
) {
    let name = &declared.name.value;
    warn_of_map(topic, world, plan);
    if let Some(key) = configs::THROTTLES.iter().find(|key| declared.config.contains_key(**key)) {
        plan.warn(format!("topic {name}: {key} belongs to running moves; it is not applied"));
    }
    replication_factor(declared, (topic, known), world, plan);
    partitions(declared, (topic, known), world, plan);
    let config = known.config.unwrap_or_default();
    let mut edits = configs::edits(declared, config, known.last);
    internal::keep_keys(name, topic, &mut edits);
    refuse_to_forget(name, &mut edits, world, plan);
    let back = configs::coming_back(declared, config, known.last);
    if !back.is_empty() {
        world.coming_back.insert(name.clone(), back.into_iter().map(str::to_owned).collect());
    }
    let none = Defaults::default();
    let defaults = world.observed.topic_defaults.as_ref().unwrap_or(&none);
    let (held, has_eligible) = (world.observed.held.get(name), world.observed.eligible.contains_key(name));
    effects::note(&mut edits, (topic, config), Known { defaults, held, has_eligible });
    for edit in edits.iter().filter(|edit| edit.cause == Cause::Drift) {
        let text = format!("drift: topic {name} was changed by hand: {}", edit.difference());
        plan.find(subject(name), "topics.drift", text);
    }
    if !edits.is_empty() {
        plan.steps.push(TopicStep::SetConfig { name: name.clone(), edits });
    }
}

/// Refuses another `min.insync.replicas` while partitions have eligible leaders that are not in sync: with each write of that
/// key Kafka forgets them, and only they are certain to have all records.
fn refuse_to_forget(name: &TopicName, edits: &mut Vec<ConfigEdit>, world: &World, plan: &mut Plan<TopicStep>) {
    let Some(partitions) = world.observed.eligible.get(name).filter(|partitions| !partitions.is_empty()) else {
        return;
    };
    for edit in edits.extract_if(.., |edit| edit.key == MIN_INSYNC) {
        let shown: Vec<_> = partitions.iter().take(NAMES_SHOWN_MAX).map(ToString::to_string).collect();
        let more = if partitions.len() > shown.len() { ", …" } else { "" };
        let (noun, have) = if partitions.len() == 1 { ("partition", "has") } else { ("partitions", "have") };
        let reason = format!(
            "{noun} {}{more} {have} eligible leaders that are not in sync; Kafka forgets them when this key is written, and records that only \
             they hold may be lost. Wait until their brokers are back and in sync, then run again",
            shown.join(", ")
        );
        plan.refuse(subject(name), &edit.to_string(), reason);
    }
}

fn warn_of_map(topic: &Topic, world: &World, plan: &mut Plan<TopicStep>) {
    let Some(map) = world.map_of(&topic.name) else { return };
    let outside = |broker: &BrokerId| !map.brokers.contains(broker);
    let strays = topic.partitions.iter().filter(|partition| partition.replicas.iter().any(outside)).count();
    if strays > 0 {
        plan.warn(format!(
            "topic {}: {} of {} have replicas outside map {}; they are left where they are",
            topic.name,
            strays,
            count(topic.partitions.len(), "partition"),
            map.name
        ));
    }
}

/// Notes that another replication factor is wanted, or refuses it.
fn replication_factor(
    declared: &TopicSpec,
    (topic, known): (&Topic, &There<'_>),
    world: &mut World,
    plan: &mut Plan<TopicStep>,
) {
    let name = &topic.name;
    let Some(desired) = declared.replication_factor.as_ref().map(|desired| positive(desired.value.into())) else {
        return;
    };
    let now = world.observed.replication_factor(topic);
    let least = known.min_insync_replicas();
    if let Some(least) = least.filter(|least| desired < *least && desired != now) {
        plan.refuse(subject(name), "change replication factor", below_min_insync(desired, least));
        return;
    }
    if desired == 1 && desired != now {
        world.lone.push(name.clone());
    }
    let running = running(topic, world.observed.moves.get(name), desired);
    if let Running::Toward { from, partitions } = running {
        plan.warn(format!(
            "topic {name}: replication factor {from} -> {desired} is under way: {} now; `toolbox reassign status` shows how \
             far",
            if partitions == 1 { "1 partition moves".to_owned() } else { format!("{partitions} partitions move") }
        ));
    }
    if desired == now {
        return;
    }
    let change = format!("replication factor {now} -> {desired}");
    if running == Running::Elsewhere {
        plan.refuse(subject(name), &change, "its partitions are being reassigned now; run again when that is done");
        return;
    }
    let brokers = world.brokers_for(name);
    if let Some(reason) = world.too_few(name, brokers.len(), desired) {
        plan.refuse(subject(name), &change, reason);
        return;
    }
    let brokers = brokers.iter().map(|broker| broker.id).collect();
    world.wanted.push(Wanted { name: name.clone(), from: now, to: desired, brokers });
}

/// Plans more partitions; refuses fewer.
fn partitions(
    declared: &TopicSpec,
    (topic, known): (&Topic, &There<'_>),
    world: &mut World,
    plan: &mut Plan<TopicStep>,
) {
    let name = &topic.name;
    let Some(desired) = declared.partitions.as_ref().map(|desired| positive(desired.value.into())) else { return };
    let now = topic.partitions.len();
    if desired == now {
        return;
    }
    let change = format!("partitions {now} -> {desired}");
    if desired < now {
        let reason = "Kafka can't take partitions away; to have fewer, make a new topic and copy the records";
        plan.refuse(subject(name), &change, reason);
        return;
    }
    if world.observed.is_moving(name) {
        let reason = "its partitions are being reassigned now; run again when that is done";
        plan.refuse(subject(name), &change, reason);
        return;
    }
    let factor = world.observed.replication_factor(topic);
    let brokers = world.brokers_for(name);
    if let Some(reason) = world.too_few(name, brokers.len(), factor) {
        plan.refuse(subject(name), &change, reason);
        return;
    }
    let keyed = keys(declared, known, world.observed.records(name));
    if keyed != Keys::Absent {
        let unknown =
            "; whether its records have keys is not known (the label `keyed: 'false'` says that they have none)";
        plan.warn(format!(
            "topic {name}: {change} sends records of one key to another partition from now on; its order, and \
             compaction, hold within a partition only{}",
            if keyed == Keys::Unknown { unknown } else { "" }
        ));
    }
    let keyed = keyed != Keys::Absent;
    let existing: Vec<_> = topic.partitions.iter().map(|partition| partition.replicas.as_slice()).collect();
    let assignment = world.place(&brokers, &existing, (desired - now, factor));
    let from = i32::try_from(now).unwrap_or(i32::MAX);
    plan.steps.push(TopicStep::AddPartitions { name: name.clone(), from, assignment, keyed });
}

/// Whether somebody may rely on where records of one key go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Nobody does: there are no records, or the label `keyed: 'false'` says so.
    Absent,
    /// Somebody does: it is compacted, or labelled `keyed: 'true'`.
    Present,
    /// It holds records, or may: it counts as keyed.
    Unknown,
}

/// Whether the records of a topic have keys; it holds so many of them, where that was read.
fn keys(declared: &TopicSpec, known: &There<'_>, records: Option<u64>) -> Keys {
    let label = declared.labels.get("keyed").map(String::as_str);
    let desired = declared.config.get("cleanup.policy").map(|policy| policy.value.as_str());
    let now = known.value_of("cleanup.policy");
    let is_compacted = [desired, now].into_iter().flatten().any(|policy| policy.contains("compact"));
    if is_compacted || label == Some("true") {
        return Keys::Present;
    }
    if label == Some("false") || records == Some(0) { Keys::Absent } else { Keys::Unknown }
}

/// One warning for all topics with keys that come back, and one for all that get a single replica.
pub fn warn_of_many(world: &World, plan: &mut Plan<TopicStep>) {
    if !world.coming_back.is_empty() {
        let keys: BTreeSet<_> = world.coming_back.values().flatten().map(String::as_str).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let names: Vec<_> = world.coming_back.keys().collect();
        plan.warn(format!(
            "the server sets {} again each time it is unset; it is left: {}",
            keys.join(", "),
            some_of(&names)
        ));
    }
    let lone: Vec<_> = world.lone.iter().collect();
    if !lone.is_empty() {
        plan.warn(format!(
            "replication factor 1: without the one broker of a partition nobody reads or writes it, and with its disk its \
             records are lost: {}",
            some_of(&lone)
        ));
    }
}

/// The first names of many.
pub fn some_of(names: &[&TopicName]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES_SHOWN_MAX).map(ToString::to_string).collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn below_min_insync(factor: usize, least: usize) -> String {
    format!(
        "replication factor {factor} is below min.insync.replicas {least}: no write with acks=all would succeed; \
         declare more replicas, or a lower min.insync.replicas"
    )
}

fn positive(number: i64) -> usize {
    usize::try_from(number.max(1)).unwrap_or(1)
}
