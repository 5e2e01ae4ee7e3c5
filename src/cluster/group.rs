//! Consumer groups.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::topic::TopicName;

/// The protocol type of a group that is a lock of this toolbox: its members consume nothing.
pub const LOCK_PROTOCOL_TYPE: &str = "toolbox-lock";

/// A group that has members now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveGroup {
    /// Its `group.id`.
    pub id: String,
    /// Its protocol type: `consumer` for readers of topics, whatever their protocol; `share`, `streams`, `connect`, …
    #[serde(default)]
    pub protocol_type: String,
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

impl LiveGroup {
    /// Whether it is a lock of this toolbox: it reads nothing, and is no group to reset, to delete, or to match patterns.
    pub fn is_lock(&self) -> bool {
        self.protocol_type == LOCK_PROTOCOL_TYPE
    }

    /// Its name in messages: `group billing`, `lock group toolbox-lock-moves`.
    pub fn label(&self) -> String {
        let kind = if self.is_lock() { "lock group" } else { "group" };
        format!("{kind} {}", self.id)
    }
}
