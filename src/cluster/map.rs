//! Maps: which topics live on which brokers, and what those brokers can hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::topic::TopicName;

/// A named set of brokers and the topics that belong on them.
#[derive(Debug, Clone)]
pub struct Map {
    /// The map's name.
    pub name: String,
    /// The patterns as they were written, with commas between them; one of them matches a whole name.
    pub topics: String,
    /// The brokers that its topics may be placed on.
    pub brokers: BTreeSet<BrokerId>,
    /// What each of its brokers can hold and carry, where that is known.
    pub capacity: Capacity,
    /// Whether it may share brokers with another map.
    pub overlap: bool,
    patterns: Vec<NamePattern>,
}

/// What a broker can hold and carry, beyond what it tells itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Bytes of its disks.
    pub disk_bytes: Option<u64>,
    /// Bytes a second of its network, each way.
    pub network: Option<ByteRate>,
}

/// A topic's name, or a regular expression that matches a whole name.
#[derive(Debug, Clone)]
pub enum NamePattern {
    /// The name itself: its dots are dots.
    Literal(String),
    /// A regular expression, anchored at both ends.
    Regex(regex::Regex),
}

impl NamePattern {
    /// A text with none of `*+?()[]{}|^$\\` is a name; any other is a regular expression.
    pub fn new(text: &str) -> Result<Self, String> {
        if !text.contains(['*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        // By itself first: `a)|(b` is none, although it would become one between our brackets.
        regex::Regex::new(text).map_err(|error| error.to_string())?;
        regex::Regex::new(&format!("^(?:{text})$")).map(Self::Regex).map_err(|error| error.to_string())
    }

    /// Whether a name is meant.
    pub fn fits(&self, topic: &TopicName) -> bool {
        match self {
            Self::Literal(name) => name == topic.as_str(),
            Self::Regex(regex) => regex.is_match(topic.as_str()),
        }
    }
}

impl Map {
    /// Compiles a map with one pattern.
    pub fn new(name: &str, topics: &str, brokers: BTreeSet<BrokerId>) -> Result<Self, String> {
        Self::of(name, &[topics], brokers)
    }

    /// Compiles a map with several patterns.
    pub fn of(name: &str, topics: &[&str], brokers: BTreeSet<BrokerId>) -> Result<Self, String> {
        let pattern = |text: &&str| {
            NamePattern::new(text)
                .map_err(|error| format!("map `{name}` has the topic pattern `{text}`, which is not a regex: {error}"))
        };
        Ok(Self {
            name: name.to_owned(),
            topics: topics.join(", "),
            brokers,
            capacity: Capacity::default(),
            overlap: false,
            patterns: topics.iter().map(pattern).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the topic belongs to this map.
    pub fn holds(&self, topic: &TopicName) -> bool {
        self.patterns.iter().any(|pattern| pattern.fits(topic))
    }
}

/// All maps of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Maps(pub Vec<Map>);

impl Maps {
    /// The one map that holds a topic. None or two is an error that names the maps.
    pub fn of(&self, topic: &TopicName) -> Result<Option<&Map>, String> {
        let mut holders = self.0.iter().filter(|map| map.holds(topic));
        match (holders.next(), holders.next()) {
            (None, _) if self.0.is_empty() => Ok(None),
            (Some(map), None) => Ok(Some(map)),
            (None, _) => {
                let names: Vec<_> = self.0.iter().map(|map| format!("{} ({})", map.name, map.topics)).collect();
                Err(format!("topic {topic} belongs to no map; the maps are {}", names.join(", ")))
            }
            (Some(one), Some(two)) => Err(format!(
                "topic {topic} belongs to two maps, {} ({}) and {} ({}); a topic belongs to exactly one",
                one.name, one.topics, two.name, two.topics
            )),
        }
    }

    /// The map of this name.
    pub fn named(&self, name: &str) -> Option<&Map> {
        self.0.iter().find(|map| map.name == name)
    }

    /// What is known of each broker; where two maps share one, the first that says something is believed.
    pub fn capacities(&self) -> BTreeMap<BrokerId, Capacity> {
        let mut capacities: BTreeMap<BrokerId, Capacity> = BTreeMap::new();
        for map in &self.0 {
            for broker in &map.brokers {
                let known = capacities.entry(*broker).or_default();
                known.disk_bytes = known.disk_bytes.or(map.capacity.disk_bytes);
                known.network = known.network.or(map.capacity.network);
            }
        }
        capacities.retain(|_, capacity| *capacity != Capacity::default());
        capacities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        NamePattern::new(pattern).unwrap().fits(&TopicName::new(name).unwrap())
    }

    #[test]
    fn a_name_is_literal_and_a_regex_matches_a_whole_name() {
        assert!(fits("a.b", "a.b"));
        assert!(!fits("a.b", "axb"), "a name's dots are dots");
        assert!(fits("test_topic.*", "test_topic7"));
        assert!(!fits("test_topic.*", "my_test_topic"), "it is anchored");
        assert!(!fits("a|b", "ab"));
        for wrong in ["(", "a)|(b", "[z-a]"] {
            assert!(NamePattern::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_map_that_knows_a_broker_is_believed() {
        let capacity = |disk| Capacity { disk_bytes: Some(disk), network: None };
        let map = |name, disk| {
            let brokers = BTreeSet::from([BrokerId(1)]);
            Map { capacity: capacity(disk), ..Map::new(name, name, brokers).unwrap() }
        };
        let maps = Maps(vec![map("a", 7), map("b", 9)]);
        assert_eq!(maps.capacities(), BTreeMap::from([(BrokerId(1), capacity(7))]));
    }
}
