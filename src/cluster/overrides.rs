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
    /// Whether something has moved since it was given: before that, nothing moving is no end.
    #[serde(default)]
    pub has_applied: bool,
    /// Who gave it.
    pub by: String,
}

/// What an event says of overrides that are removed: the key says which.
pub const REMOVED: &str = "none";

/// The key of the rate of one broker, or of all brokers, in an event.
pub const RATE: &str = "rate";

/// The key of the rates of all single brokers in an event.
pub const RATES_OF_BROKERS: &str = "rates of single brokers";

/// The key of all rates in an event.
pub const ALL_RATES: &str = "all rates";

/// The key of the time at which a rate was given, in an event: with it the rate is found again.
pub const SINCE: &str = "since";

impl Override {
    /// The rate as an event says it, one `key: value` a line.
    pub fn lines(&self) -> String {
        let until = self.until.map(|until| format!("\nuntil: {until}")).unwrap_or_default();
        format!("{RATE}: {} ({})\n{SINCE}: {}{until}", self.rate.0, self.rate, self.since)
    }
}

impl Overrides {
    /// The rate for a broker: its own, else that of the cluster. One that Kafka would not take, in a document that somebody
    /// edited, is none.
    pub fn rate(&self, broker: BrokerId) -> Option<ByteRate> {
        let given = self.brokers.get(&broker).or(self.cluster.as_ref()).map(|given| given.rate);
        given.filter(|rate| rate.is_settable())
    }

    /// Those that still hold; `is_idle` says that nothing moves.
    #[must_use]
    pub fn at(&self, now: Timestamp, is_idle: bool) -> Self {
        let is_over = |given: &Override| is_idle && given.autoremove && given.has_applied;
        let holds = |given: &Override| given.until.is_none_or(|until| now < until) && !is_over(given);
        let held = |given: &Override| {
            holds(given).then(|| Override { has_applied: given.has_applied || !is_idle, ..given.clone() })
        };
        Self {
            cluster: self.cluster.as_ref().and_then(held),
            brokers: self.brokers.iter().filter_map(|(id, given)| Some((*id, held(given)?))).collect(),
        }
    }

    /// Those that are not among others any more, each with its subject and as words.
    pub fn without(&self, left: &Self) -> Vec<(String, String)> {
        let ended = |subject: String, whose: &str, given: &Override| {
            let why =
                if given.autoremove && given.until.is_none() { "the moves have ended" } else { "its time is over" };
            (subject, format!("the override of {} for {whose} by {} ends: {why}", given.rate, given.by))
        };
        let cluster = self.cluster.iter().filter(|_| left.cluster.is_none());
        let cluster = cluster.map(|given| ended("brokers:all".to_owned(), "all brokers", given));
        let brokers = self.brokers.iter().filter(|(id, _)| !left.brokers.contains_key(id));
        let brokers = brokers.map(|(id, given)| ended(format!("broker:{id}"), &format!("broker {id}"), given));
        cluster.chain(brokers).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.brokers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_given_before_the_first_move_holds_until_the_moves_have_ended() {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let given = Override {
            rate: ByteRate(5),
            since: now,
            until: None,
            autoremove: true,
            has_applied: false,
            by: "ann".into(),
        };
        let before = Overrides { cluster: Some(given), ..Overrides::default() };
        let waits = before.at(now, true);
        assert_eq!(waits, before);
        let moves = waits.at(now, false);
        assert!(moves.cluster.as_ref().unwrap().has_applied);
        let ended = moves.at(now, true);
        assert!(ended.is_empty());
        let words = "the override of 5 B/s for all brokers by ann ends: the moves have ended";
        assert_eq!(moves.without(&ended), [("brokers:all".to_owned(), words.to_owned())]);
        assert_eq!(before.without(&moves), []);
    }
}
