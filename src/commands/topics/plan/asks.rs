//! What must be measured before the effects of a change can be said: only of topics whose records may be deleted.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::Risk;
use crate::cluster::topic::TopicName;
use crate::commands::topics::observe::Observed;
use crate::commands::topics::plan::abreast::{AllThere, There};
use crate::commands::topics::plan::configs;
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::{self, Known, Values, limit};
use crate::commands::topics::plan::step::ConfigEdit;
use crate::commands::topics::spec::{Spec, State, TopicSpec};

/// What is to be measured of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// Count the records that are older than this: the retention time that will hold, in milliseconds.
    pub older_than: Option<i64>,
    /// Count the bytes of each partition beyond this: the retention size that will hold.
    pub beyond: Option<u64>,
}

/// Declared topics that are there and whose config keys change in a way that can cost something.
pub fn risky(spec: &Spec, observed: &Observed) -> BTreeSet<TopicName> {
    let mut all_there = AllThere::of(observed);
    let mut risky = BTreeSet::new();
    for (name, declared) in &spec.topics {
        let there = all_there.at(name);
        if there.topic.is_some() && declared.state == State::Present && is_risky(declared, &there) {
            risky.insert(name.clone());
        }
    }
    risky
}

fn is_risky(declared: &TopicSpec, there: &There<'_>) -> bool {
    let edits = configs::edits(declared, there.config.unwrap_or_default(), there.last);
    edits.iter().any(|edit| effects::is_looked_at(&edit.key))
}

/// Whether what holds by default decides about one of these topics: a key is unset, or it was not set and is now, to what may
/// delete records.
pub fn needs_defaults(spec: &Spec, observed: &Observed, risky: &BTreeSet<TopicName>) -> bool {
    let may_delete = |edit: &ConfigEdit| match edit.key.as_str() {
        "retention.ms" | "retention.bytes" => limit(edit.to.as_deref()) != Some(i64::MAX),
        "cleanup.policy" => true,
        _ => false,
    };
    let decides = |edit: &ConfigEdit| match (&edit.from, &edit.to) {
        (_, None) => effects::is_looked_at(&edit.key),
        (None, Some(_)) => may_delete(edit),
        (Some(_), Some(_)) => false,
    };
    edits_of(spec, observed, risky).any(|(_, edits, _)| edits.iter().any(decides))
}

/// What is to be measured, by topic.
pub fn asks(spec: &Spec, observed: &Observed, risky: &BTreeSet<TopicName>) -> BTreeMap<TopicName, Ask> {
    let none = Defaults::default();
    let defaults = observed.topic_defaults.as_ref().unwrap_or(&none);
    let mut asks = BTreeMap::new();
    for (name, mut edits, there) in edits_of(spec, observed, risky) {
        let (Some(topic), config) = (there.topic, there.config.unwrap_or_default()) else { continue };
        effects::note(
            &mut edits,
            (topic, config),
            Known { defaults, held: None, has_eligible: observed.eligible.contains_key(name) },
        );
        let loses = |edit: &ConfigEdit| edit.effect.as_ref().is_some_and(|effect| effect.risk == Risk::LosesData);
        if !edits.iter().any(loses) {
            continue;
        }
        let values = Values { topic, there: config, edits: &edits, defaults };
        let finite = |key: &str| limit(values.after(key)).filter(|limit| values.deletes() && *limit != i64::MAX);
        let beyond = finite("retention.bytes").and_then(|limit| u64::try_from(limit).ok());
        asks.insert(name.clone(), Ask { older_than: finite("retention.ms"), beyond });
    }
    asks
}

/// Those of some topics of which one key changes.
pub fn changing(spec: &Spec, observed: &Observed, risky: &BTreeSet<TopicName>, key: &str) -> Vec<TopicName> {
    let changes = edits_of(spec, observed, risky).filter(|(_, edits, _)| edits.iter().any(|edit| edit.key == key));
    changes.map(|(name, ..)| name.clone()).collect()
}

fn edits_of<'a>(
    spec: &'a Spec,
    observed: &'a Observed,
    risky: &'a BTreeSet<TopicName>,
) -> impl Iterator<Item = (&'a TopicName, Vec<ConfigEdit>, There<'a>)> {
    let mut all_there = AllThere::of(observed);
    risky.iter().filter_map(move |name| {
        let there = all_there.at(name);
        let edits = configs::edits(spec.topics.get(name)?, there.config.unwrap_or_default(), there.last);
        Some((name, edits, there))
    })
}
