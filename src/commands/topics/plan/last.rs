//! What was last applied: one side of the three-way merge, as `kubectl apply` keeps it.
//!
//! It is written twice in a run that changes something: before, to claim the keys that are about to be set (so that
//! they are unset one day even if this run is killed), and after, with the values that are in force.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::in_order;
use crate::cluster::topic::TopicName;
use crate::commands::topics::plan::step::{ConfigEdit, TopicStep};
use crate::commands::topics::spec::{Spec, State, TopicSpec};
use crate::formats::secret::is_secret_key;

/// What was last applied of one spec.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastApplied {
    /// Topics by name.
    #[serde(deserialize_with = "in_order::map")]
    pub topics: BTreeMap<TopicName, Applied>,
}

/// What was last applied to one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Config keys and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Keys that a run was about to set; whether it did is not known.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub claimed: BTreeSet<String>,
    /// Where it was declared.
    #[serde(default)]
    pub source: String,
    /// Whether it was there at the end of a run: if it is not any more, somebody deleted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existed: bool,
    /// Keys that were unset, with the values that they had: whatever has such a value again is set by the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unset: BTreeMap<String, Unset>,
}

/// A key that was unset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unset {
    /// The value that it had.
    pub value: String,
    /// How often it was unset with that value.
    pub times: u32,
}

/// Of what was last applied only where each topic was declared; borrowed from the text.
#[derive(Debug, Default, Deserialize)]
pub struct Owners<'a> {
    /// Topics by name; names have no characters that JSON escapes.
    #[serde(borrow)]
    pub topics: BTreeMap<&'a str, Owner<'a>>,
}

/// Where one topic was declared.
#[derive(Debug, Default, Deserialize)]
pub struct Owner<'a> {
    /// The source.
    #[serde(borrow, default)]
    pub source: Cow<'a, str>,
}

impl Applied {
    /// Every key that was, or may have been, set by us.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.config.keys().chain(&self.claimed)
    }

    /// Notes which keys are about to be unset.
    fn note_unset(&mut self, edits: &[ConfigEdit]) {
        for edit in edits.iter().filter(|edit| edit.to.is_none()) {
            let Some(value) = edit.from.clone().filter(|_| !is_secret_key(&edit.key)) else { continue };
            let unset = self.unset.entry(edit.key.clone()).or_default();
            unset.times = if unset.value == value { unset.times.saturating_add(1) } else { 1 };
            unset.value = value;
        }
    }
}

impl LastApplied {
    /// What to keep before the steps are carried out. Topics of other owners, which are refused, are not claimed.
    #[must_use]
    pub fn claiming(self, steps: &[TopicStep], spec: &Spec, is_refused: impl Fn(&TopicName) -> bool) -> Self {
        let mut next = self;
        let is_there = |declared: &&TopicSpec| declared.state == State::Present && !is_refused(&declared.name.value);
        for declared in spec.topics.values().filter(is_there) {
            // Also what needs no change is this owner's: another owner that begins at this moment has to see it.
            next.topics
                .entry(declared.name.value.clone())
                .or_insert_with(|| Applied { source: source(declared), ..Applied::default() });
        }
        for step in steps {
            let Some(declared) = spec.topics.get(step.name()) else { continue };
            let keys: Vec<_> = match step {
                TopicStep::Create { config, .. } => config.keys().cloned().collect(),
                TopicStep::SetConfig { edits, .. } => {
                    edits.iter().filter(|edit| edit.to.is_some()).map(|edit| edit.key.clone()).collect()
                }
                TopicStep::TakeOwnership { .. }
                | TopicStep::AddPartitions { .. }
                | TopicStep::ChangeReplicas { .. }
                | TopicStep::Delete { .. } => continue,
            };
            let applied = next.topics.entry(step.name().clone()).or_default();
            applied.source = source(declared);
            if let TopicStep::SetConfig { edits, .. } = step {
                applied.note_unset(edits);
            }
            let new = keys.into_iter().filter(|key| !applied.config.contains_key(key));
            let new: Vec<_> = new.collect();
            applied.claimed.extend(new);
        }
        next
    }

    /// What to keep at the end: what is declared, where every step of the topic was done; what was kept before (and
    /// claimed since) where one was not. `exists` says which topics are there now.
    #[must_use]
    pub fn settled(&self, spec: &Spec, unsettled: &BTreeSet<TopicName>, exists: impl Fn(&TopicName) -> bool) -> Self {
        let mut next = Self::default();
        for (name, declared) in &spec.topics {
            let before = self.topics.get(name);
            if unsettled.contains(name) {
                next.topics.extend(before.map(|before| (name.clone(), before.clone())));
            } else if declared.state == State::Present && exists(name) {
                let config = declared.config.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect();
                let mut unset = before.map(|before| before.unset.clone()).unwrap_or_default();
                unset.retain(|key, _| !declared.config.contains_key(key));
                let applied =
                    Applied { config, claimed: BTreeSet::new(), source: source(declared), existed: true, unset };
                next.topics.insert(name.clone(), applied);
            }
        }
        next
    }
}

fn source(declared: &TopicSpec) -> String {
    declared.name.place.source.to_string()
}
