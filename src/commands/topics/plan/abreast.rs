//! Walks through what is known of topics, abreast with the declared ones: in the order of their names the next one is
//! nearly always the next one everywhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;

use crate::cluster::config::ConfigEntry;
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::last::Applied;
use crate::commands::topics::spec::TopicSpec;

/// So many steps are taken before the tree is searched.
const STEPS: usize = 4;

/// A place in a map by topic.
pub struct Abreast<'a, V> {
    map: &'a BTreeMap<TopicName, V>,
    rest: Peekable<Range<'a, TopicName, V>>,
}

impl<'a, V> Abreast<'a, V> {
    /// At the beginning of a map.
    pub fn of(map: &'a BTreeMap<TopicName, V>) -> Self {
        Self { map, rest: map.range::<TopicName, _>(..).peekable() }
    }

    /// The value of a topic. Names are asked for in their order, each once.
    pub fn at(&mut self, name: &TopicName) -> Option<&'a V> {
        for _ in 0..STEPS {
            if let Some((_, value)) = self.rest.next_if(|(next, _)| *next == name) {
                return Some(value);
            }
            self.rest.next_if(|(next, _)| *next < name)?;
        }
        self.rest = self.map.range(name..).peekable();
        self.rest.next_if(|(next, _)| *next == name).map(|(_, value)| value)
    }
}

/// What is known of one declared topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct There<'a> {
    /// The topic, if it is there.
    pub topic: Option<&'a Topic>,
    /// Its config, as far as that was read.
    pub config: Option<&'a [ConfigEntry]>,
    /// What was last applied to it; none where that was another topic of this name.
    pub last: Option<&'a Applied>,
}

impl<'a> There<'a> {
    /// The value of a key that is in force, where it was read.
    pub fn value_of(&self, key: &str) -> Option<&'a str> {
        self.config?.iter().find(|entry| entry.name == key)?.value.as_deref()
    }

    /// `min.insync.replicas`.
    pub fn min_insync_replicas(&self) -> Option<usize> {
        self.value_of("min.insync.replicas")?.parse().ok()
    }

    /// Declared keys that the brokers left out of their answer about this topic: they do not know them.
    pub fn unknown_keys<'d>(&self, declared: &'d TopicSpec) -> impl Iterator<Item = &'d str> {
        let config = self.config;
        let is_known = move |key: &&str| config.is_none_or(|config| config.iter().any(|entry| entry.name == *key));
        declared.config.keys().map(String::as_str).filter(move |key| !is_known(key))
    }
}

/// What is known of topics, one after the other.
pub struct AllThere<'a> {
    topics: Abreast<'a, Topic>,
    configs: Abreast<'a, Vec<ConfigEntry>>,
    last: Option<Abreast<'a, Applied>>,
}

impl<'a> AllThere<'a> {
    /// Of an observation.
    pub fn of(observed: &'a Observed) -> Self {
        Self {
            topics: Abreast::of(&observed.metadata.topics),
            configs: Abreast::of(&observed.configs),
            last: observed.last_applied.as_ref().map(|last| Abreast::of(&last.topics)),
        }
    }

    /// What is known of a topic. Names are asked for in their order, each once.
    pub fn at(&mut self, name: &TopicName) -> There<'a> {
        let topic = self.topics.at(name);
        let id = topic.and_then(|topic| topic.id.as_ref());
        let last = self.last.as_mut().and_then(|last| last.at(name));
        There {
            topic,
            config: self.configs.at(name).map(Vec::as_slice),
            last: last.filter(|last| !last.is_of_another(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn name(number: u8) -> TopicName {
        TopicName::new(format!("t{number:03}")).unwrap()
    }

    proptest! {
        #[test]
        fn it_finds_what_the_map_has(there in btree_set(any::<u8>(), 0..60), asked in btree_set(any::<u8>(), 0..60)) {
            let map: BTreeMap<_, _> = there.iter().map(|number| (name(*number), *number)).collect();
            let mut abreast = Abreast::of(&map);
            for number in asked {
                prop_assert_eq!(abreast.at(&name(number)), map.get(&name(number)));
            }
        }
    }
}
