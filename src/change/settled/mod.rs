//! The outcomes of the changes of runs that died, from what the cluster shows: (intent, what is shown) in, verdict out. Pure.
//!
//! It goes by the text of the intents, for all commands alike: whichever command runs next on a cluster settles what any
//! command left open there. [`Subjects`] says what has to be looked at, [`settled`] decides. What the cluster does not
//! show is settled by [`workloads`], from the API server, and by [`ensembles`] and [`identities`], in runs that look at their ensemble
//! or read their registry.

pub mod ensembles;
pub mod identities;
mod moves;
mod overrides;
pub mod rolls;
mod throttles;
mod topics;
pub mod workloads;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::change::carry_out::Ended;
use crate::change::event::Event;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigEntry;
use crate::cluster::metadata::Reassignment;
use crate::cluster::overrides::Overrides;
use crate::cluster::throttle::PresentThrottles;
use crate::cluster::topic::{Topic, TopicName, TopicPartition};

/// What is known of the end of an intent whose run died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The cluster, or the toolbox's record, shows it.
    Ended(Ended),
    /// The cluster does not show it, and a later look would not either.
    NotShown,
    /// The cluster, or the broker that knows it, was not asked or did not answer: a later run may know.
    NotAsked,
}

impl Verdict {
    /// Whether the cluster shows it done; none where it shows neither.
    fn of(is_done: Option<bool>) -> Self {
        is_done.map_or(Self::NotShown, |is_done| Self::Ended(Ended::settled(is_done)))
    }
}

/// What a look at the cluster has to bring for some intents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects {
    /// Topics whose partitions are needed.
    pub topics: BTreeSet<TopicName>,
    /// Topics whose configs are needed.
    pub configs: BTreeSet<TopicName>,
    /// The keys that are needed of them.
    pub config_keys: BTreeSet<String>,
    /// Whether the running moves are needed.
    pub moves: bool,
    /// Brokers whose throttles are needed.
    pub throttled_brokers: BTreeSet<BrokerId>,
    /// Topics whose lists of throttled replicas are needed.
    pub throttled_topics: BTreeSet<TopicName>,
    /// Whether the record of the rates that people gave is needed.
    pub overrides: bool,
    /// Topics of which the owners' records are needed.
    pub owned_topics: BTreeSet<TopicName>,
    /// Brokers of which it is needed whether they run.
    pub brokers: BTreeSet<BrokerId>,
}

/// What the cluster shows of the subjects of intents.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Those of the topics that exist.
    pub topics: BTreeMap<TopicName, Topic>,
    /// Configs of the topics that could be read.
    pub configs: BTreeMap<TopicName, Vec<ConfigEntry>>,
    /// All moves that run.
    pub moves: BTreeMap<TopicPartition, Reassignment>,
    /// Throttles of the brokers and topics that could be read.
    pub throttles: PresentThrottles,
    /// The record of the rates that people gave; none where it could not be read.
    pub overrides: Option<KeptOverrides>,
    /// The brokers that are registered, of those that are needed, and whether they answer; none where that could not be read.
    pub brokers: Option<BTreeMap<BrokerId, bool>>,
    /// The owners whose records name a topic; none where they could not be read.
    pub owners: Option<BTreeMap<TopicName, BTreeSet<String>>>,
}

/// The record of the rates that people gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptOverrides {
    /// What it holds; nothing where there is no record.
    pub value: Overrides,
    /// When it was written, by its writer's clock; none where there is no record.
    pub saved_at: Option<Timestamp>,
}

impl Subjects {
    /// What has to be looked at.
    pub fn of<'a>(intents: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut subjects = Self::default();
        for intent in intents {
            let Some((what, name)) = intent.subject.split_once(':') else { continue };
            let topic = TopicName::new(name).ok();
            match (intent.kind.split('.').next().unwrap_or_default(), what) {
                ("topics", "topic") if intent.kind == topics::OWNERSHIP_TAKEN => subjects.owned_topics.extend(topic),
                ("topics", "topic") => {
                    if intent.kind == topics::CONFIG_CHANGED {
                        subjects.configs.extend(topic.clone());
                        let lines = [&intent.before, &intent.after].map(|text| values(text.as_deref()));
                        let keys = lines.iter().flat_map(BTreeMap::keys);
                        subjects.config_keys.extend(keys.map(|key| (*key).to_owned()));
                    }
                    subjects.topics.extend(topic);
                    subjects.moves |= intent.kind == topics::MOVES_PLANNED;
                }
                ("reassign", "partition") => {
                    subjects.topics.extend(moves::partition(&intent.subject).map(|partition| partition.topic));
                    subjects.moves = true;
                }
                ("throttle", _) if overrides::is_about(intent) => subjects.overrides = true,
                ("throttle", "broker") => subjects.throttled_brokers.extend(name.parse().ok().map(BrokerId)),
                ("throttle", "topic") => subjects.throttled_topics.extend(topic),
                ("rollout", "broker") => subjects.brokers.extend(rolls::broker(intent)),
                ("rollout", "cluster") => subjects.topics.extend(rolls::topics(intent)),
                _ => {}
            }
        }
        subjects
    }

    /// Whether nothing shows any of them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the cluster itself shows some of them, and not only the toolbox's records.
    pub fn are_in_cluster(&self) -> bool {
        let records = Self { overrides: self.overrides, owned_topics: self.owned_topics.clone(), ..Self::default() };
        *self != records
    }
}

/// How an intent of a dead run ended, as the cluster shows it.
pub fn settled(intent: &Event, shown: &Shown) -> Verdict {
    match intent.kind.split('.').next().unwrap_or_default() {
        "topics" if intent.kind == topics::OWNERSHIP_TAKEN => topics::ownership(intent, shown.owners.as_ref()),
        "topics" => Verdict::of(topics::is_done(intent, shown)),
        "reassign" => Verdict::of(moves::is_done(intent, shown)),
        "throttle" if overrides::is_about(intent) => overrides::verdict(intent, shown.overrides.as_ref()),
        "throttle" => throttles::verdict(intent, &shown.throttles),
        "rollout" => Verdict::of(rolls::is_done(intent, shown)),
        _ => Verdict::NotShown,
    }
}

/// Whether an intent is about its run as a whole: that it began, or its command line. That it is dead says how it ended.
pub fn is_of_run(intent: &Event) -> bool {
    intent.kind == "command.executed" || intent.kind == format!("{}.started", intent.command.replace(' ', "."))
}

/// Lines of `key: value`.
fn values(text: Option<&str>) -> BTreeMap<&str, &str> {
    text.unwrap_or_default().lines().filter_map(|line| line.split_once(": ")).collect()
}
