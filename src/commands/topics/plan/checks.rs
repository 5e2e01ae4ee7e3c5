//! What is wrong with a declared topic, now that the cluster and its maps are known. Each fault has its place.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::Options;
use crate::commands::topics::plan::abreast::There;
use crate::commands::topics::plan::step::count;
use crate::commands::topics::spec::{Placed, Spec, State, TopicSpec};
use crate::formats::place::{Fault, Place};
use crate::formats::suggest::nearest;

/// What every check needs to know, gathered once.
pub struct Known<'a> {
    /// Names as Kafka's metrics see them, with `.` and `_` merged.
    names: BTreeMap<String, BTreeSet<TopicName>>,
    /// Config keys that brokers know, for hints.
    keys: &'a BTreeSet<String>,
}

impl<'a> Known<'a> {
    /// Of a spec and a cluster.
    pub fn of(spec: &Spec, observed: &'a Observed) -> Self {
        let mut names: BTreeMap<String, BTreeSet<TopicName>> = BTreeMap::new();
        let declared = spec.topics.iter().filter(|(_, declared)| declared.state == State::Present);
        let colliding = |name: &&TopicName| name.as_str().contains(['.', '_']);
        for name in declared.map(|(name, _)| name).chain(observed.metadata.topics.keys()).filter(colliding) {
            names.entry(name.collision_key()).or_default().insert(name.clone());
        }
        Self { names, keys: &observed.known_keys }
    }

    /// Another topic whose name collides with this one.
    fn rival(&self, name: &TopicName) -> Option<&TopicName> {
        self.names.get(&name.collision_key())?.iter().find(|other| *other != name)
    }
}

/// The faults of one declared topic.
pub fn faults(declared: &TopicSpec, there: &There<'_>, known: &Known<'_>, options: &Options) -> Vec<Fault> {
    if declared.state == State::Absent {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let name = &declared.name.value;
    if there.topic.is_none()
        && let Some(rival) = known.rival(name)
    {
        let message =
            format!("topic {name} collides with topic {rival}: Kafka's metrics take `.` and `_` for the same");
        faults.push(Fault::new(declared.name.place.clone(), message).with_hint("choose another name"));
    }
    faults.extend(fault_of_map(declared, options));
    faults.extend(fault_of_factor(declared, options));
    faults.extend(fault_of_min_insync(declared));
    for key in there.unknown_keys(declared) {
        faults.push(unknown_key(&declared.config[key].place, key, known.keys));
    }
    faults
}

fn fault_of_map(declared: &TopicSpec, options: &Options) -> Option<Fault> {
    let name = &declared.name.value;
    let place = declared.map.as_ref().map_or(&declared.name.place, |map| &map.place);
    let by_pattern = match options.maps.of(name) {
        Ok(map) => map,
        Err(message) => return Some(Fault::new(place.clone(), message)),
    };
    let Placed { value: desired, place } = declared.map.as_ref()?;
    match by_pattern {
        Some(map) if map.name == *desired => None,
        Some(map) => Some(Fault::new(
            place.clone(),
            format!("topic {name} belongs to map {} ({}), not to {desired}", map.name, map.topics),
        )),
        None => Some(
            Fault::new(place.clone(), format!("there is no map {desired}: no maps are known for this cluster"))
                .with_hint("maps are declared in toolbox.yaml; --cluster or --toolbox-file names it"),
        ),
    }
}

/// More replicas than the topic's map has brokers. How many brokers a cluster has is not known while some may be down: the
/// plan refuses what it can't place now.
fn fault_of_factor(declared: &TopicSpec, options: &Options) -> Option<Fault> {
    let Placed { value: factor, place } = declared.replication_factor.as_ref()?;
    let map = options.maps.of(&declared.name.value).ok().flatten()?;
    let brokers = map.brokers.len();
    (usize::try_from(*factor).unwrap_or(0) > brokers).then(|| {
        let message = format!("replication factor {factor}, but map {} has {}", map.name, count(brokers, "broker"));
        Fault::new(place.clone(), message).with_hint(format!("{brokers} at most"))
    })
}

fn fault_of_min_insync(declared: &TopicSpec) -> Option<Fault> {
    let factor = declared.replication_factor.as_ref()?.value;
    let Placed { value, place } = declared.config.get("min.insync.replicas")?;
    let least = value.trim().parse::<i16>().ok()?;
    (least > factor).then(|| {
        let message =
            format!("min.insync.replicas {least} is more than the replication factor {factor}: no write would succeed");
        Fault::new(place.clone(), message).with_hint(format!("{} or less", (factor - 1).max(1)))
    })
}

/// The fault of a key that the brokers do not know.
fn unknown_key(place: &Place, key: &str, known: &BTreeSet<String>) -> Fault {
    let fault = Fault::new(place.clone(), format!("the brokers do not know the config key `{key}`"));
    match nearest(key, known.iter().map(String::as_str).filter(|known| *known != key)) {
        Some(near) => fault.with_hint(format!("did you mean `{near}`?")),
        None => fault,
    }
}

/// Error codes with which brokers refuse what was declared. Others tell of the cluster's state: the step will fail.
///
/// INVALID_PARTITIONS is among those: a spec is read with a number that is positive, and fewer than there are was found
/// before, so the brokers have more by now than they said a moment ago.
const FAULTS_OF_INPUT: [&str; 6] = [
    "INVALID_TOPIC_EXCEPTION",
    "INVALID_REPLICATION_FACTOR",
    "INVALID_REPLICA_ASSIGNMENT",
    "INVALID_CONFIG",
    "INVALID_REQUEST",
    "POLICY_VIOLATION",
];

/// What a broker's refusal says about a declared topic, at the place of the config key that it names.
pub fn refused_by_brokers(
    declared: &TopicSpec,
    (name, message): (&str, &str),
    known_keys: &BTreeSet<String>,
) -> Option<Fault> {
    if !FAULTS_OF_INPUT.contains(&name) {
        return None;
    }
    let named = declared.config.iter().filter(|(key, _)| message.contains(key.as_str()));
    let Some((key, value)) = named.max_by_key(|(key, _)| key.len()) else {
        let text = format!("the brokers refuse topic {}: {message}", declared.name.value);
        return Some(Fault::new(declared.name.place.clone(), text));
    };
    if message.contains("Unknown topic config name") {
        return Some(unknown_key(&value.place, key, known_keys));
    }
    Some(Fault::new(value.place.clone(), format!("the brokers refuse {key}: {message}")))
}
