//! Consumer groups.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::topic::TopicName;

/// A group that has members now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveGroup {
    /// Its `group.id`.
    pub id: String,
    /// Its state in Kafka's words (`Stable`, `PreparingRebalance`, …).
    pub state: String,
    /// How many members it has; 1 or more, where `hides_topics`.
    pub members: usize,
    /// Topics that its members subscribe to or have assigned.
    pub topics: BTreeSet<TopicName>,
    /// Whether it may read topics that are not among these: what a Streams group of Kafka 4.1 and newer (KIP-1071) reads
    /// is told by a request that we do not speak.
    #[serde(default)]
    pub hides_topics: bool,
}
