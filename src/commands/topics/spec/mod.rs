//! What topics should be: checked declarations, with the place where each was written. Texts in, [`Spec`] or faults out.
//!
//! [`parse`] needs no cluster; `plan::checks` compares a spec with what the cluster can do. Both collect every fault.
//! Each document brings its own `defaults`; a topic may be declared once in all sources together.

mod clusters;
mod configmap;
mod jikkou;
mod keys;
mod merge;
mod read;
mod schema;
mod sound;
mod strimzi;
mod table;
mod toolbox;
mod topicctl;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::topic::TopicName;
use crate::formats::place::Fault;
pub use crate::formats::place::Placed;
use crate::formats::yaml::Origin;

pub use configmap::is_spec as is_spec_key;
pub use keys::{is_kafka_key, is_set};
pub use read::{Format, parse};
pub use schema::schema;
pub use sound::{Sound, parse_sound};
pub use write::{Form, Written, write};

/// Most partitions that a topic may be declared with: more is a slip of the finger.
pub const PARTITIONS_MAX: i32 = 100_000;

/// Most replicas a partition that a topic may be declared with: more is a slip of the finger.
pub const REPLICATION_FACTOR_MAX: i16 = 100;

/// All declared topics of one or several merged sources.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Topics by name.
    pub topics: BTreeMap<TopicName, TopicSpec>,
    /// What a person should know about the sources, as a field of another tool that has no counterpart here.
    pub notes: Vec<Fault>,
    /// Config keys that Kafka does not have in any version that is known here: a newer broker, or a vendor's, may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_keys: Vec<Fault>,
}

impl Spec {
    /// The notes, one line each, without those at a place that has a fault: what was only a guess is certain there.
    pub fn notes_beside<'a>(&self, faults: impl Iterator<Item = &'a Fault>) -> Vec<String> {
        let certain: BTreeSet<_> = faults.map(|fault| &fault.place).collect();
        let mut notes: Vec<_> = self.notes.iter().chain(&self.unknown_keys).collect();
        notes.sort();
        notes.into_iter().filter(|note| !certain.contains(&note.place)).map(ToString::to_string).collect()
    }
}

/// One declared topic, `defaults` already merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSpec {
    /// Its name and where it is declared.
    pub name: Placed<TopicName>,
    /// Desired number of partitions, 1 and up; none leaves it as it is (or to the broker's default).
    pub partitions: Option<Placed<i32>>,
    /// Desired replicas a partition, 1 and up; none leaves it as it is (or to the broker's default).
    pub replication_factor: Option<Placed<i16>>,
    /// Desired config, keys and values verbatim as Kafka has them.
    pub config: BTreeMap<String, Placed<String>>,
    /// The map that it must belong to, where the author named one.
    pub map: Option<Placed<String>>,
    /// Whether it should exist.
    pub state: State,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Whether keys that are set in the cluster but not here are unset.
    pub strict: bool,
}

impl TopicSpec {
    /// What would be declared for a topic as it is. Throttle lists belong to running moves and are left out.
    pub fn of_cluster(
        name: TopicName,
        partitions: i32,
        replication_factor: i16,
        config: BTreeMap<String, String>,
    ) -> Self {
        let place = Origin::new("the cluster").place(1, 1);
        let config = config.into_iter().filter(|(key, _)| !key.ends_with(".replication.throttled.replicas"));
        Self {
            name: Placed { value: name, place: place.clone() },
            partitions: Some(Placed { value: partitions, place: place.clone() }),
            replication_factor: Some(Placed { value: replication_factor, place: place.clone() }),
            config: config.map(|(key, value)| (key, Placed { value, place: place.clone() })).collect(),
            map: None,
            state: State::Present,
            labels: BTreeMap::new(),
            strict: false,
        }
    }
}

/// Whether a topic should exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It should.
    #[default]
    Present,
    /// It should not: its records are lost for good.
    Absent,
}

#[cfg(test)]
mod tests;
