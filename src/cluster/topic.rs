//! Topics, their partitions, and the rules for their names.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::visible;

/// Most characters that a topic's name may have (Kafka's `Topic.MAX_NAME_LENGTH`).
pub const NAME_LENGTH_MAX: usize = 249;

/// A legal topic name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..` (Kafka's `Topic.validate`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct TopicName(String);

impl Ord for TopicName {
    /// The order of texts, compared by eight bytes at a time. The `memcmp` of musl, which the static binary has, compares single
    /// bytes, and the names of a cluster, which are compared hundreds of thousands of times, often begin alike.
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (self.0.as_bytes(), other.0.as_bytes());
        let words = own.as_chunks::<8>().0.iter().zip(others.as_chunks::<8>().0);
        for (own, others) in words.clone() {
            if own != others {
                return u64::from_be_bytes(*own).cmp(&u64::from_be_bytes(*others));
            }
        }
        let compared = 8 * words.len();
        own[compared..].iter().cmp(&others[compared..])
    }
}

impl PartialOrd for TopicName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TopicName {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, TopicNameError> {
        let name = name.into();
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots(name));
        }
        if name.len() > NAME_LENGTH_MAX {
            return Err(TopicNameError::TooLong(name.chars().count()));
        }
        // Bytes are looked at first: nearly all names are legal.
        if name.bytes().all(|byte| is_legal(byte.into())) {
            return Ok(Self(name));
        }
        match name.chars().find(|character| !is_legal(*character)) {
            Some(character) => Err(TopicNameError::Character { name, character }),
            None => Ok(Self(name)),
        }
    }

    /// The name as Kafka has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which Kafka's metrics merge `.` and `_`: two topics may not share it.
    pub fn collision_key(&self) -> String {
        self.0.replace('.', "_")
    }
}

fn is_legal(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(text: &str) -> Result<Self, TopicNameError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a topic's name is not legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// The name is empty.
    #[error("a topic's name may not be empty")]
    Empty,
    /// The name is `.` or `..`.
    #[error("a topic may not be named `{0}`")]
    Dots(String),
    /// The name has more than 249 characters.
    #[error("a topic's name has at most {NAME_LENGTH_MAX} characters; this one has {0}")]
    TooLong(usize),
    /// The name has a character that Kafka refuses.
    #[error(
        "`{}` has the character {character:?}; a topic's name may have only a-z A-Z 0-9 . _ -",
        visible::value(name)
    )]
    Character {
        /// The name.
        name: String,
        /// Its first character that is not allowed.
        character: char,
    },
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A topic as the cluster's metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Whether Kafka keeps it for itself, as `__consumer_offsets`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// Its id, another one after it was deleted and created again; none from brokers before Kafka 2.8 (KIP-516).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its partitions, ordered by number; the numbers have no gaps.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// How many replicas its partitions have: the least of them, since a running move adds replicas for a while.
    pub fn replication_factor(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
    }
}

/// A partition as the cluster's metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number, from 0.
    pub partition: i32,
    /// Its leader; none while it is offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<BrokerId>,
    /// All replicas, the preferred leader first. While a move runs, adding and removing ones are among them.
    pub replicas: Vec<BrokerId>,
    /// Replicas that are in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas on brokers or log dirs that are down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<BrokerId>,
}

/// A partition with those replicas that may lead it without a loss though they are not in sync (KIP-966).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// What metadata shows too. The ISR may be empty, and the partition without a leader, while eligible leaders are down.
    #[serde(flatten)]
    pub partition: Partition,
    /// Grows with each election.
    pub leader_epoch: i32,
    /// Eligible leader replicas: each has all records that were acknowledged with `acks=all`. Empty where the feature
    /// `eligible.leader.replicas.version` is off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eligible: Vec<BrokerId>,
    /// Who was eligible last, where nobody is any more: what it lacks is lost if it leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_known: Vec<BrokerId>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_have_the_order_of_texts(
            start in "[a-c._-]{0,18}",
            one in "[a-b.A-B0-1]{1,10}",
            other in "[a-b.A-B0-1]{1,10}",
        ) {
            let (one, other) = (format!("{start}{one}"), format!("{start}{other}"));
            let name = |text: &str| TopicName(text.to_owned());
            prop_assert_eq!(name(&one).cmp(&name(&other)), one.cmp(&other));
        }
    }
}
