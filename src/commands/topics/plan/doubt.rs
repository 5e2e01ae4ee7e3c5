//! Which planned changes may come from an answer that was old, and are planned again from a second look. Pure.

use std::collections::BTreeSet;

use crate::cluster::config::ConfigSource;
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::plan::step::{Cause, ConfigEdit, TopicStep};
use crate::commands::topics::spec::{Spec, State, TopicSpec};

/// Topics that are declared absent, do not show, and were there at the end of an earlier run: a broker that is behind may
/// not know them yet, and nothing would be deleted.
pub fn vanished(spec: &Spec, observed: &Observed) -> BTreeSet<TopicName> {
    let Some(last) = &observed.last_applied else { return BTreeSet::new() };
    let was_there = |name: &TopicName| {
        let applied = last.topics.get(name).is_some_and(|applied| applied.existed || applied.topic_id.is_some());
        applied || last.watched.contains_key(name)
    };
    let absent = spec.topics.iter().filter(|(_, declared)| declared.state == State::Absent).map(|(name, _)| name);
    absent.filter(|name| !observed.metadata.topics.contains_key(*name) && was_there(name)).cloned().collect()
}

/// Whether a key that an earlier run set, and that is declared no longer, does not show: a broker that is behind may not have
/// it yet, and it would neither be unset nor remembered.
pub fn has_hidden_keys(spec: &Spec, observed: &Observed) -> bool {
    let Some(last) = &observed.last_applied else { return false };
    let hides = |name: &TopicName, declared: &TopicSpec| {
        let (Some(applied), Some(there)) = (last.topics.get(name), observed.configs.get(name)) else { return false };
        let shows = |key: &str| there.iter().any(|entry| entry.source == ConfigSource::Topic && entry.name == key);
        applied.config.keys().any(|key| !declared.config.contains_key(key) && !shows(key))
    };
    spec.topics.iter().any(|(name, declared)| declared.state == State::Present && hides(name, declared))
}

/// Whether config changes are planned for keys that the last run left as they are declared, or may have: a broker that is
/// behind shows the value from before that run. Without a record any change may be of that kind.
pub fn has_doubtful_configs(steps: &[TopicStep], last: Option<&LastApplied>) -> bool {
    let is_doubtful = |step: &TopicStep| {
        let TopicStep::SetConfig { name, edits } = step else { return false };
        let applied = last.and_then(|last| last.topics.get(name));
        let may_be_done = |edit: &ConfigEdit| match (edit.cause, applied) {
            (Cause::Drift | Cause::NoLongerDeclared, _) | (_, None) => true,
            (_, Some(applied)) => applied.claimed.contains(&edit.key),
        };
        edits.iter().any(may_be_done)
    };
    steps.iter().any(is_doubtful)
}
