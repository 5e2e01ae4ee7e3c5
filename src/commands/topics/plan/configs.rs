//! Which config keys of one topic change: what is declared, what is there, and what was last applied, merged three
//! ways.
//!
//! | declared | last applied | then |
//! |---|---|---|
//! | yes | the same value | whatever else is there is drift: set back |
//! | yes | another value, or none | the spec changed: set |
//! | no | any | we set it once: unset |
//! | no | none | somebody else's: left alone, unless the spec is strict |

use crate::cluster::config::{self, ConfigEntry, ConfigSource};
use crate::commands::topics::plan::last::Applied;
use crate::commands::topics::plan::step::{Cause, ConfigEdit};
use crate::commands::topics::spec::{TopicSpec, is_set};
use crate::formats::secret::HIDDEN;

/// Lists of throttled replicas: they belong to a running move and are never touched.
pub const THROTTLES: [&str; 2] = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

/// So often a key is unset that has the same value again: some servers set keys for ever, as Redpanda and MSK do.
const UNSET_TIMES_MAX: u32 = 2;

/// Changes to the config of one topic, ordered by key.
pub fn edits(declared: &TopicSpec, there: &[ConfigEntry], last: Option<&Applied>) -> Vec<ConfigEdit> {
    let set = || there.iter().filter(|entry| entry.source == ConfigSource::Topic);
    let value_of = |key: &str| {
        let entry = set().find(|entry| entry.name == key)?;
        Some(entry.value.as_deref().unwrap_or(HIDDEN))
    };
    let is_ours = |key: &str| last.is_some_and(|last| last.config.contains_key(key) || last.claimed.contains(key));
    let ours = last.iter().flat_map(|last| last.keys()).map(String::as_str);
    let strict = set().filter(|_| declared.strict).map(|entry| entry.name.as_str());
    let mut keys: Vec<&str> = declared.config.keys().map(String::as_str).chain(ours).chain(strict).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|key| !THROTTLES.contains(key))
        .filter_map(|key| {
            let desired = declared.config.get(key).map(|desired| desired.value.as_str());
            if desired.is_none() && value_of(key).is_some_and(|there| comes_back(last, key, there)) {
                return None;
            }
            let last = last.and_then(|last| last.config.get(key)).map(String::as_str);
            let there = value_of(key).or_else(|| value_in_force(key, desired?, there));
            edit(key, desired, there, (last, is_ours(key)))
        })
        .collect()
}

/// The default that holds already where `min.insync.replicas` is declared: each write of that key, of the same value, too,
/// makes Kafka forget the eligible leaders of the topic (KIP-966).
fn value_in_force<'a>(key: &str, desired: &str, there: &'a [ConfigEntry]) -> Option<&'a str> {
    let entry = there.iter().find(|entry| entry.name == key && key == "min.insync.replicas")?;
    entry.value.as_deref().filter(|value| same_value(key, desired, value))
}

/// Keys that the server sets again after each time that they were unset: they are left.
pub fn coming_back<'a>(declared: &TopicSpec, there: &'a [ConfigEntry], last: Option<&Applied>) -> Vec<&'a str> {
    let is_back = |entry: &&ConfigEntry| {
        let value = entry.value.as_deref().unwrap_or(HIDDEN);
        entry.source == ConfigSource::Topic
            && !declared.config.contains_key(&entry.name)
            && comes_back(last, &entry.name, value)
    };
    there.iter().filter(is_back).map(|entry| entry.name.as_str()).collect()
}

/// Whether a key was unset so often, and has the same value again, that the server itself sets it.
fn comes_back(last: Option<&Applied>, key: &str, there: &str) -> bool {
    let unset = last.and_then(|last| last.unset.get(key));
    unset.is_some_and(|unset| unset.times >= UNSET_TIMES_MAX && unset.value == there)
}

/// The change to one key. `there` is the value that is set on the topic.
fn edit(
    key: &str,
    desired: Option<&str>,
    there: Option<&str>,
    (last, ours): (Option<&str>, bool),
) -> Option<ConfigEdit> {
    let cause = match (desired, there) {
        // What Kafka hides can't be compared: it is taken for what was last applied.
        (Some(desired), Some(HIDDEN)) if last == Some(desired) => return None,
        (Some(desired), Some(there)) if same_value(key, desired, there) => return None,
        (Some(desired), _) if last.is_some_and(|last| same_value(key, last, desired)) => Cause::Drift,
        (Some(_), _) => Cause::Declared,
        (None, None) => return None,
        (None, Some(_)) if ours => Cause::NoLongerDeclared,
        (None, Some(_)) => Cause::Strict,
    };
    let from = there.map(str::to_owned);
    Some(ConfigEdit { key: key.to_owned(), from, to: desired.map(str::to_owned), cause, effect: None })
}

/// Whether Kafka takes two texts for one value of a key: it keeps numbers, booleans and lists in a form of its own, and of
/// some lists neither the order nor a repetition means anything.
pub fn same_value(key: &str, one: &str, other: &str) -> bool {
    config::same_value(one, other, is_set(key))
}
