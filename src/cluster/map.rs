//! Maps: which topics live on which brokers.

use std::collections::BTreeSet;

use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;

/// A named set of brokers and the topics that belong on them.
#[derive(Debug, Clone)]
pub struct Map {
    /// The map's name.
    pub name: String,
    /// The pattern as it was written; it matches a whole name.
    pub topics: String,
    /// The brokers that its topics may be placed on.
    pub brokers: BTreeSet<BrokerId>,
    pattern: regex::Regex,
}

impl Map {
    /// Compiles a map. A name without any of `*+?()[]{}|^$\` is literal: its dots are dots.
    pub fn new(name: &str, topics: &str, brokers: BTreeSet<BrokerId>) -> Result<Self, String> {
        let literal = !topics.contains(['*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\']);
        let inner = if literal { regex::escape(topics) } else { topics.to_owned() };
        let pattern = regex::Regex::new(&format!("^(?:{inner})$"))
            .map_err(|error| format!("map `{name}` has the topic pattern `{topics}`, which is not a regex: {error}"))?;
        Ok(Self { name: name.to_owned(), topics: topics.to_owned(), brokers, pattern })
    }

    /// Whether the topic belongs to this map.
    pub fn holds(&self, topic: &TopicName) -> bool {
        self.pattern.is_match(topic.as_str())
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
}
