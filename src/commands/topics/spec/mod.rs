//! What topics should be: checked wishes, with the place where each was written. Texts in, [`Spec`] or faults out.
//!
//! [`parse`] needs no cluster; [`check`] compares a spec with what the cluster can do. Both collect every fault.
//! Each document brings its own `defaults`; a topic may be declared once in all sources together.

mod configmap;
mod keys;
mod merge;
mod read;
mod schema;
mod strimzi;
mod toolbox;
mod topicctl;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::topic::TopicName;
pub use crate::formats::place::Placed;

pub use configmap::is_spec as is_spec_key;
pub use read::{Format, parse};
pub use schema::schema;

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
    pub notes: Vec<String>,
}

/// One declared topic, `defaults` already merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSpec {
    /// Its name and where it is declared.
    pub name: Placed<TopicName>,
    /// Wished number of partitions, 1 and up; none leaves it as it is (or to the broker's default).
    pub partitions: Option<Placed<i32>>,
    /// Wished replicas a partition, 1 and up; none leaves it as it is (or to the broker's default).
    pub replication_factor: Option<Placed<i16>>,
    /// Wished config, keys and values verbatim as Kafka has them.
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
