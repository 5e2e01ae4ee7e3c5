//! What was last applied: one side of the three-way merge, as `kubectl apply` keeps it.
//!
//! It is written twice in a run that changes something: before, to claim the keys that are about to be set (so that
//! they are unset one day even if this run is killed), and after, with the values that are in force.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::in_order;
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::step::{ConfigEdit, TopicStep};
use crate::commands::topics::spec::{Spec, State, TopicSpec};
use crate::formats::secret::is_secret_key;

/// What was last applied of one spec.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastApplied {
    /// Topics by name.
    #[serde(deserialize_with = "in_order::map")]
    pub topics: BTreeMap<TopicName, Applied>,
    /// Topics that are declared absent and still there: since when nothing is appended to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub watched: BTreeMap<TopicName, Watched>,
}

/// Where the ends of a topic's partitions stand: the times of its records are what producers say, but each record that is
/// appended moves an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// When a run first saw these ends.
    pub since: Timestamp,
    /// The end offset of each partition.
    pub ends: Vec<i64>,
    /// The topic's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<Uuid>,
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
    /// The topic's id then: what was applied to a topic that was deleted says nothing of one that has its name now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<Uuid>,
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
    /// Whether it was applied to another topic of this name than the one with this id. Where an id is not known it is taken
    /// for the same topic.
    pub fn is_of_another(&self, now: Option<&Uuid>) -> bool {
        self.topic_id.as_ref().zip(now).is_some_and(|(then, now)| then != now)
    }

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
    /// What to keep before the steps are carried out. Topics of other owners, which are refused, are not claimed; what was
    /// applied to a topic that is there no more is forgotten. `ids` are those of the topics that are there.
    #[must_use]
    pub fn claiming(
        self,
        steps: &[TopicStep],
        spec: &Spec,
        is_refused: impl Fn(&TopicName) -> bool,
        ids: &BTreeMap<TopicName, Uuid>,
    ) -> Self {
        let mut next = self;
        let created: BTreeSet<_> =
            steps.iter().filter(|step| matches!(step, TopicStep::Create { .. })).map(TopicStep::name).collect();
        for (name, applied) in &mut next.topics {
            if created.contains(name) || applied.is_of_another(ids.get(name)) {
                *applied = Applied { source: std::mem::take(&mut applied.source), ..Applied::default() };
            }
            applied.topic_id = ids.get(name).copied().or(applied.topic_id);
        }
        let is_there = |declared: &&TopicSpec| declared.state == State::Present && !is_refused(&declared.name.value);
        for declared in spec.topics.values().filter(is_there) {
            // Also what needs no change is this owner's: another owner that begins at this moment has to see it.
            next.topics.entry(declared.name.value.clone()).or_insert_with(|| Applied {
                source: source(declared),
                topic_id: ids.get(&declared.name.value).copied(),
                ..Applied::default()
            });
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

    /// The same with what was seen of topics that are to be deleted and are still there; of topics that were not looked at,
    /// what was seen before.
    #[must_use]
    pub fn watching(mut self, before: &Self, spec: &Spec, observed: &Observed, now: Timestamp) -> Self {
        let is_absent = |name: &TopicName| spec.topics.get(name).is_none_or(|one| one.state == State::Absent);
        let kept =
            before.watched.iter().filter(|(name, _)| is_absent(name) && observed.metadata.topics.contains_key(*name));
        self.watched = kept.map(|(name, watched)| (name.clone(), watched.clone())).collect();
        for name in observed.uses.keys() {
            let (Some(ends), Some(topic)) = (observed.ends(name), observed.metadata.topics.get(name)) else {
                self.watched.remove(name);
                continue;
            };
            let stands = self.watched.get(name).is_some_and(|seen| seen.ends == ends && seen.topic_id == topic.id);
            if !stands {
                self.watched.insert(name.clone(), Watched { since: now, ends, topic_id: topic.id });
            }
        }
        self
    }

    /// What to keep at the end: what is declared, where every step of the topic was done; what was kept before (and
    /// claimed since) where one was not. `exists` says which topics are there now, `ids` what their ids are.
    #[must_use]
    pub fn settled(
        &self,
        spec: &Spec,
        unsettled: &BTreeSet<TopicName>,
        exists: impl Fn(&TopicName) -> bool,
        ids: &BTreeMap<TopicName, Uuid>,
    ) -> Self {
        let mut next = Self::default();
        for (name, declared) in &spec.topics {
            let before = self.topics.get(name);
            if unsettled.contains(name) {
                next.topics.extend(before.map(|before| (name.clone(), before.clone())));
            } else if declared.state == State::Present && exists(name) {
                let config = declared.config.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect();
                let topic_id = ids.get(name).copied();
                let mut unset = before.map(|before| before.unset.clone()).unwrap_or_default();
                unset.retain(|key, _| !declared.config.contains_key(key));
                let applied = Applied {
                    config,
                    claimed: BTreeSet::new(),
                    source: source(declared),
                    topic_id,
                    existed: true,
                    unset,
                };
                next.topics.insert(name.clone(), applied);
            }
        }
        next
    }
}

fn source(declared: &TopicSpec) -> String {
    declared.name.place.source.to_string()
}
