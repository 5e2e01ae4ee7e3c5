//! What holds for a topic's config key that is not set: the values of all brokers in, the worse ones out. Pure.
//!
//! Each broker cleans the logs that it has by its own defaults, and they may differ: a rolling change, or a forgotten file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commands::topics::plan::effects::limit;

/// What holds where a topic's key is not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Defaults {
    /// Of what brokers say, that which costs more where it holds after a change: the lowest limit, each cleanup policy.
    #[serde(flatten)]
    pub after: BTreeMap<String, String>,
    /// Keys of which brokers say different things: that which costs more where it holds before a change, the highest limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, String>,
}

impl Defaults {
    /// Of what each broker says.
    pub fn of(brokers: &[BTreeMap<String, String>]) -> Self {
        let mut said: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (key, value) in brokers.iter().flatten() {
            said.entry(key).or_default().insert(value);
        }
        let mut defaults = Self::default();
        for (key, values) in said {
            let values: Vec<_> = values.into_iter().map(String::as_str).collect();
            let (after, before) = worse(key, &values);
            if values.len() > 1 {
                defaults.before.insert(key.clone(), before);
            }
            defaults.after.insert(key.clone(), after);
        }
        defaults
    }
}

/// Of several values of a key, the one that costs more after a change, and the one that costs more before it.
fn worse(key: &str, values: &[&str]) -> (String, String) {
    let of = |found: Option<&&str>| found.map(|value| (*value).to_owned()).unwrap_or_default();
    let lowest = of(values.iter().min_by_key(|value| limit(Some(value))));
    let highest = of(values.iter().max_by_key(|value| limit(Some(value))));
    match key {
        "cleanup.policy" => policies(values),
        "unclean.leader.election.enable" => {
            let is_true = |value: &&&str| value.trim().eq_ignore_ascii_case("true");
            let (on, off) = (values.iter().find(is_true), values.iter().find(|value| !is_true(value)));
            (of(on.or(off)), of(off.or(on)))
        }
        // More replicas in sync are demanded.
        "min.insync.replicas" => (highest, lowest),
        _ => (lowest, highest),
    }
}

/// All policies that some broker has, and those that all have.
fn policies(values: &[&str]) -> (String, String) {
    let words = |value: &str| -> BTreeSet<String> {
        value.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let sets: Vec<_> = values.iter().map(|value| words(value)).collect();
    let some: BTreeSet<_> = sets.iter().flatten().cloned().collect();
    let all = some.iter().filter(|word| sets.iter().all(|set| set.contains(*word)));
    let all: Vec<_> = all.cloned().collect();
    (some.into_iter().collect::<Vec<_>>().join(","), all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, values: &[&str]) -> (String, Option<String>) {
        let brokers: Vec<_> =
            values.iter().map(|value| BTreeMap::from([(key.to_owned(), (*value).to_owned())])).collect();
        let mut defaults = Defaults::of(&brokers);
        (defaults.after.remove(key).unwrap(), defaults.before.remove(key))
    }

    #[test]
    fn where_brokers_differ_the_worse_value_counts_before_and_after_a_change() {
        for (key, values, after, before) in [
            ("retention.ms", &["604800000", "-1", "1000"][..], "1000", Some("-1")),
            ("retention.ms", &["1000", "1000"], "1000", None),
            ("retention.bytes", &["-1", "5"], "5", Some("-1")),
            ("cleanup.policy", &["delete", "compact"], "compact,delete", Some("")),
            ("cleanup.policy", &["compact, delete", "delete"], "compact,delete", Some("delete")),
            ("min.insync.replicas", &["1", "2"], "2", Some("1")),
            ("unclean.leader.election.enable", &["false", "true"], "true", Some("false")),
            ("message.max.bytes", &["nonsense", "7"], "nonsense", Some("7")),
        ] {
            assert_eq!(of(key, values), (after.to_owned(), before.map(str::to_owned)), "{key} {values:?}");
        }
        assert_eq!(Defaults::of(&[]), Defaults::default());
    }
}
