//! Replication throttles: rates that brokers keep to, lists of which replicas they count, and the record of which of
//! both are ours.
//!
//! A rate does nothing without a list, and a list does nothing without a rate. Replicas that are in sync are counted,
//! but never held back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::topic::{TopicName, TopicPartition};

/// Which end of replication a throttle holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What leaders send to followers.
    Leader,
    /// What followers fetch from leaders.
    Follower,
}

impl Side {
    /// Both sides.
    pub const BOTH: [Self; 2] = [Self::Leader, Self::Follower];

    /// The broker's config key: bytes a second.
    pub fn rate_key(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.rate",
            Self::Follower => "follower.replication.throttled.rate",
        }
    }

    /// The topic's config key: a list of `partition:broker`, or `*`.
    pub fn list_key(self) -> &'static str {
        match self {
            Self::Leader => "leader.replication.throttled.replicas",
            Self::Follower => "follower.replication.throttled.replicas",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
        })
    }
}

/// One value a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Sides<T> {
    /// The leaders' side.
    pub leader: T,
    /// The followers' side.
    pub follower: T,
}

impl<T> Sides<T> {
    /// The value of one side.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Leader => &self.leader,
            Side::Follower => &self.follower,
        }
    }

    /// The value of one side, to change it.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Leader => &mut self.leader,
            Side::Follower => &mut self.follower,
        }
    }

    /// One value for each side.
    pub fn from_fn(make: impl Fn(Side) -> T) -> Self {
        Self { leader: make(Side::Leader), follower: make(Side::Follower) }
    }
}

/// One replica in a topic's list: `partition:broker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleEntry {
    /// The partition's number.
    pub partition: i32,
    /// The broker of the replica.
    pub broker: BrokerId,
}

impl fmt::Display for ThrottleEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.broker)
    }
}

impl FromStr for ThrottleEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not partition:broker");
        let (partition, broker) = text.trim().split_once(':').ok_or_else(wrong)?;
        let partition = partition.trim().parse().map_err(|_| wrong())?;
        Ok(Self { partition, broker: broker.trim().parse().map_err(|_| wrong())? })
    }
}

impl Serialize for ThrottleEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ThrottleEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Entries as the value of a config, ordered.
pub fn joined(entries: &BTreeSet<ThrottleEntry>) -> String {
    entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The desired throttles. None at all can be desired, too: what is ours is taken away then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throttles {
    /// Rates by broker; a side without a rate is not throttled.
    pub rates: BTreeMap<BrokerId, Sides<Option<ByteRate>>>,
    /// Replicas that are counted, by topic.
    pub lists: BTreeMap<TopicName, Sides<BTreeSet<ThrottleEntry>>>,
}

impl Throttles {
    /// The same rate for every broker that takes part in these moves: a static throttle.
    ///
    /// Each move is a partition, its replicas before the move (any of them may become its leader while it runs), and the
    /// replicas that are being added and are not in sync yet.
    pub fn of_moves<'a>(
        moves: impl IntoIterator<Item = (&'a TopicPartition, &'a [BrokerId], &'a [BrokerId])>,
        rate: ByteRate,
    ) -> Self {
        let mut throttles = Self::default();
        for (partition, sources, adding) in moves {
            throttles.count(partition, sources, adding);
        }
        let mut brokers = BTreeMap::<BrokerId, Sides<Option<ByteRate>>>::new();
        for sides in throttles.lists.values() {
            for side in Side::BOTH {
                for entry in sides.of(side) {
                    *brokers.entry(entry.broker).or_default().of_mut(side) = Some(rate);
                }
            }
        }
        throttles.rates = brokers;
        throttles
    }

    /// Counts the replicas of one move. A move that copies nothing is not counted.
    pub fn count(&mut self, partition: &TopicPartition, sources: &[BrokerId], adding: &[BrokerId]) {
        if adding.is_empty() {
            return;
        }
        let entry = |broker: &BrokerId| ThrottleEntry { partition: partition.partition, broker: *broker };
        let sides = self.lists.entry(partition.topic.clone()).or_default();
        sides.leader.extend(sources.iter().map(entry));
        sides.follower.extend(adding.iter().map(entry));
    }

    /// Whether nothing is to be throttled.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.lists.is_empty()
    }
}

/// A rate as a broker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentRate {
    /// No limit.
    #[default]
    Unset,
    /// Not set on this broker, but for all of them or in its file. It is never touched: ours goes before it.
    Inherited(ByteRate),
    /// Set on this broker.
    Set(ByteRate),
    /// Set on this broker, and Kafka does not tell to what (before 2.6).
    Hidden,
}

/// A list as a topic has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentList {
    /// Not set.
    #[default]
    Unset,
    /// `*`: every replica of the topic. Ours only where the record says so.
    Every,
    /// These; may be none.
    Entries(BTreeSet<ThrottleEntry>),
    /// Set to something that can't be read.
    Hidden,
}

impl PresentList {
    /// Reads a value that is set on the topic.
    pub fn read(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::Hidden };
        match value.trim() {
            "*" => Self::Every,
            "" => Self::Entries(BTreeSet::new()),
            // Kafka 2 may leave an empty element.
            list => list
                .split(',')
                .filter(|part| !part.trim().is_empty())
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_or(Self::Hidden, Self::Entries),
        }
    }

    /// The entries that can be read.
    pub fn entries(&self) -> Option<&BTreeSet<ThrottleEntry>> {
        match self {
            Self::Entries(entries) => Some(entries),
            _ => None,
        }
    }
}

/// The throttles that are there, of the brokers and topics that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PresentThrottles {
    /// Rates of each broker that answered.
    pub rates: BTreeMap<BrokerId, Sides<PresentRate>>,
    /// Lists of each topic that exists.
    pub lists: BTreeMap<TopicName, Sides<PresentList>>,
    /// Topics that do not exist any more.
    pub gone: BTreeSet<TopicName>,
}

/// What we changed, written down before it is changed: it is what tells ours from foreign, in this run and the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThrottleRecord {
    /// The run that manages the throttles: another one that finds its id replaced changes nothing any more.
    pub run_id: String,
    /// The command and the actor of that run, for people.
    pub owner: String,
    /// When something was changed last, RFC 3339.
    pub changed_at: String,
    /// Our rates.
    pub rates: BTreeMap<BrokerId, Sides<Option<OwnRate>>>,
    /// Our lists, or our part of them. None where a list was never touched by us.
    pub lists: BTreeMap<TopicName, Sides<Option<OwnList>>>,
}

impl ThrottleRecord {
    /// Whether nothing is ours.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.lists.is_empty()
    }
}

/// What is ours of one list of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OwnList {
    /// These entries; none where the list may be left empty by us.
    Entries(BTreeSet<ThrottleEntry>),
    /// The whole list, `*`: the entries were more than Kafka takes.
    Every {
        /// What it replaced.
        replaced: Replaced,
    },
}

/// What a `*` of ours replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Replaced {
    /// Entries of others, to be restored.
    pub foreign: BTreeSet<ThrottleEntry>,
    /// Entries of ours.
    pub own: BTreeSet<ThrottleEntry>,
}

impl OwnList {
    /// Entries of ours that may be in the list.
    pub fn entries(&self) -> &BTreeSet<ThrottleEntry> {
        match self {
            Self::Entries(entries) => entries,
            Self::Every { replaced } => &replaced.own,
        }
    }

    /// Whether a `*` that is there may come from us.
    pub fn is_every(&self) -> bool {
        matches!(self, Self::Every { .. })
    }
}

/// A rate of ours on one side of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnRate {
    /// What somebody else set last on the broker, before us or meanwhile, to be restored; none where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ByteRate>,
    /// What we have set for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<ByteRate>,
    /// What we were about to set when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<ByteRate>,
    /// What we had set before that: a broker that is behind may still show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ByteRate>,
}

impl OwnRate {
    /// Whether a rate that is there may come from us.
    pub fn is(&self, rate: ByteRate) -> bool {
        [self.set, self.setting, self.last].contains(&Some(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_kafka_has_them() {
        let entries = |text| PresentList::read(Some(text));
        assert_eq!(entries("*"), PresentList::Every);
        assert_eq!(entries(""), PresentList::Entries(BTreeSet::new()));
        let both = BTreeSet::from(["0:1".parse().unwrap(), "12:1003".parse().unwrap()]);
        assert_eq!(joined(&both), "0:1,12:1003");
        assert_eq!(entries("12:1003,,0:1"), PresentList::Entries(both));
        assert_eq!((entries("0-1"), PresentList::read(None)), (PresentList::Hidden, PresentList::Hidden));
    }

    #[test]
    fn a_static_throttle_lists_old_replicas_as_leaders_and_new_ones_as_followers() {
        let partition = TopicPartition { topic: TopicName::new("orders").unwrap(), partition: 3 };
        let (old, new) = ([BrokerId(1), BrokerId(2)], [BrokerId(4)]);
        let throttles = Throttles::of_moves([(&partition, &old[..], &new[..])], ByteRate(7));
        let sides = &throttles.lists[&partition.topic];
        assert_eq!((joined(&sides.leader), joined(&sides.follower)), ("3:1,3:2".into(), "3:4".into()));
        assert_eq!(throttles.rates[&BrokerId(1)], Sides { leader: Some(ByteRate(7)), follower: None });
        assert_eq!(throttles.rates[&BrokerId(4)], Sides { leader: None, follower: Some(ByteRate(7)) });
        assert!(Throttles::of_moves([(&partition, &old[..], &[][..])], ByteRate(7)).is_empty());
    }
}
