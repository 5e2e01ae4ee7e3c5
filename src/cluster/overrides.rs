//! Rates that a person gave: they go before what the control law would do, until they run out or are taken back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;

/// Rates that a person gave. They are kept, so that they outlive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overrides {
    /// For every broker that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Override>,
    /// For single brokers.
    #[serde(default)]
    pub brokers: BTreeMap<BrokerId, Override>,
}

/// One rate that a person gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The rate.
    pub rate: ByteRate,
    /// When it was given.
    pub since: Timestamp,
    /// When it ends; none for until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether it ends when all moves have ended.
    #[serde(default)]
    pub autoremove: bool,
    /// Who gave it.
    pub by: String,
}

impl Overrides {
    /// The rate for a broker: its own, else that of the cluster.
    pub fn rate(&self, broker: BrokerId) -> Option<ByteRate> {
        self.brokers.get(&broker).or(self.cluster.as_ref()).map(|given| given.rate)
    }

    /// Those that still hold; `is_idle` says that nothing moves.
    #[must_use]
    pub fn at(&self, now: Timestamp, is_idle: bool) -> Self {
        let holds = |given: &Override| given.until.is_none_or(|until| now < until) && !(is_idle && given.autoremove);
        Self {
            cluster: self.cluster.clone().filter(holds),
            brokers: self
                .brokers
                .iter()
                .filter(|(_, given)| holds(given))
                .map(|(id, given)| (*id, given.clone()))
                .collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.brokers.is_empty()
    }
}
