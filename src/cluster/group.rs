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
    /// How many members it has.
    pub members: usize,
    /// Topics that its members subscribe to or have assigned.
    pub topics: BTreeSet<TopicName>,
}
