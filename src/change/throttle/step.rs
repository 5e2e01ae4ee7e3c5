//! One change to the throttle of one broker or topic: what it is called, how it reads, when it is done.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::event::Severity;
use crate::change::plan::{Risk, Step};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigChange, ConfigOperation, ConfigResource};
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{PresentList, PresentRate, PresentThrottles, Side, ThrottleEntry, joined};
use crate::cluster::topic::TopicName;

/// Most entries that a line names.
const ENTRIES_SHOWN: usize = 8;

/// Words of events, which are read again when a run died ([`rate_of`], [`entries_of`]).
const NOT_SET: &str = "not set";
const WHOLE: &str = "(whole)";
const BACK_TO: &str = "*, back to ";
const AND_MORE: &str = "… ";

/// One change to the throttle of one broker or topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum ThrottleStep {
    /// Sets, changes, restores or removes rates.
    Rates {
        /// The broker.
        broker: BrokerId,
        /// What happens to each side, leaders first.
        edits: Vec<RateEdit>,
        /// Why.
        why: Why,
    },
    /// Counts replicas of a topic, or does not count them any more.
    Lists {
        /// The topic.
        topic: TopicName,
        /// What happens to each side, leaders first.
        edits: Vec<ListEdit>,
        /// Why.
        why: Why,
    },
}

/// What happens to one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateEdit {
    /// Which side.
    pub side: Side,
    /// What is set on the broker now.
    pub from: Option<ByteRate>,
    /// What will be; none removes it.
    pub to: Option<ByteRate>,
}

/// What happens to one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEdit {
    /// Which side.
    pub side: Side,
    /// How.
    pub operation: ListOperation,
}

/// How a list changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListOperation {
    /// Sets a list that is not there: Kafka 2 can't append to what is not set.
    Create(BTreeSet<ThrottleEntry>),
    /// Adds entries that are not there: Kafka 2 doubles those that are.
    Append(BTreeSet<ThrottleEntry>),
    /// Takes entries out; others are left.
    Subtract(BTreeSet<ThrottleEntry>),
    /// Unsets a list of which these were the last entries.
    Unset(BTreeSet<ThrottleEntry>),
    /// Sets `*`, since these are more entries than Kafka takes.
    Every(BTreeSet<ThrottleEntry>),
    /// Sets what others had before our `*`.
    Restore(BTreeSet<ThrottleEntry>),
}

/// Why a throttle changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There was none of ours.
    Set,
    /// There is another one of ours.
    Changed,
    /// It is not needed any more.
    Released,
    /// Whoever set it is gone.
    Orphaned,
}

impl ThrottleStep {
    /// The request that carries it out.
    pub fn config_change(&self) -> ConfigChange {
        match self {
            Self::Rates { broker, edits, why: _ } => {
                let operation = |edit: &RateEdit| match edit.to {
                    Some(rate) => ConfigOperation::Set(rate.0.to_string()),
                    None => ConfigOperation::Delete,
                };
                let operations = edits.iter().map(|edit| (edit.side.rate_key().to_owned(), operation(edit))).collect();
                ConfigChange { resource: ConfigResource::Broker(*broker), operations }
            }
            Self::Lists { topic, edits, why: _ } => {
                let operation = |edit: &ListEdit| match &edit.operation {
                    ListOperation::Create(entries) | ListOperation::Restore(entries) => {
                        ConfigOperation::Set(joined(entries))
                    }
                    ListOperation::Every(_) => ConfigOperation::Set("*".to_owned()),
                    ListOperation::Append(entries) => ConfigOperation::Append(joined(entries)),
                    ListOperation::Subtract(entries) => ConfigOperation::Subtract(joined(entries)),
                    ListOperation::Unset(_) => ConfigOperation::Delete,
                };
                let operations = edits.iter().map(|edit| (edit.side.list_key().to_owned(), operation(edit))).collect();
                ConfigChange { resource: ConfigResource::Topic(topic.clone()), operations }
            }
        }
    }

    /// Whether the brokers show it as done. A value that is inherited after ours was removed is fine.
    pub fn is_shown(&self, seen: &PresentThrottles) -> bool {
        match self {
            Self::Rates { broker, edits, why: _ } => {
                let Some(sides) = seen.rates.get(broker) else { return false };
                edits.iter().all(|edit| match (sides.of(edit.side), edit.to) {
                    (PresentRate::Set(rate), Some(to)) => *rate == to,
                    (PresentRate::Hidden, to) => to.is_some(),
                    (PresentRate::Set(_), None) => false,
                    (PresentRate::Unset | PresentRate::Inherited(_), to) => to.is_none(),
                })
            }
            Self::Lists { topic, edits, why: _ } => {
                let Some(sides) = seen.lists.get(topic) else { return seen.gone.contains(topic) };
                edits.iter().all(|edit| {
                    let there = sides.of(edit.side).entries();
                    match &edit.operation {
                        ListOperation::Create(entries) | ListOperation::Append(entries) => {
                            there.is_none_or(|there| entries.is_subset(there))
                        }
                        ListOperation::Subtract(entries) => there.is_none_or(|there| entries.is_disjoint(there)),
                        ListOperation::Unset(_) => *sides.of(edit.side) == PresentList::Unset,
                        ListOperation::Every(_) => *sides.of(edit.side) == PresentList::Every,
                        ListOperation::Restore(entries) => there.is_some_and(|there| entries.is_subset(there)),
                    }
                })
            }
        }
    }

    /// Whether it would write over, or take away, a value that it does not know: what was there when it was decided must
    /// be what is there when it is sent.
    pub fn relies_on_what_is_there(&self) -> bool {
        match self {
            Self::Rates { why, .. } => *why == Why::Set || self.is_release(),
            Self::Lists { edits, .. } => edits
                .iter()
                .any(|edit| !matches!(edit.operation, ListOperation::Append(_) | ListOperation::Subtract(_))),
        }
    }

    /// What somebody else set meanwhile, in words, so that this step would destroy it; none if it may be sent.
    pub fn overtaken(&self, seen: &PresentThrottles) -> Option<String> {
        match self {
            Self::Rates { broker, edits, why: _ } => {
                let sides = seen.rates.get(broker)?;
                edits.iter().find_map(|edit| match sides.of(edit.side) {
                    PresentRate::Set(now) if ![edit.from, edit.to].contains(&Some(*now)) => {
                        Some(format!("the {} rate of broker {broker} is {now} since a moment ago", edit.side))
                    }
                    _ => None,
                })
            }
            Self::Lists { topic, edits, why: _ } => {
                let sides = seen.lists.get(topic)?;
                let is_overtaken = |edit: &&ListEdit| match (&edit.operation, sides.of(edit.side)) {
                    (ListOperation::Create(_), there) => *there != PresentList::Unset,
                    (ListOperation::Unset(ours), PresentList::Entries(there)) => !there.is_subset(ours),
                    _ => false,
                };
                let edit = edits.iter().find(is_overtaken)?;
                Some(format!("the {} list of topic {topic} was changed a moment ago", edit.side))
            }
        }
    }

    fn why(&self) -> Why {
        match self {
            Self::Rates { why, .. } | Self::Lists { why, .. } => *why,
        }
    }

    /// Whether it only takes away.
    pub fn removes(&self) -> bool {
        match self {
            Self::Rates { edits, .. } => edits.iter().all(|edit| edit.to.is_none()),
            Self::Lists { edits, .. } => edits.iter().all(|edit| edit.operation.removes()),
        }
    }

    /// Whether a step of a release, which comes after the lists of all topics.
    fn is_release(&self) -> bool {
        matches!(self.why(), Why::Released | Why::Orphaned)
    }
}

impl ListOperation {
    /// Whether it takes entries of ours away.
    pub(super) fn removes(&self) -> bool {
        matches!(self, Self::Subtract(_) | Self::Unset(_) | Self::Restore(_))
    }

    /// The entries that it is about.
    pub fn entries(&self) -> &BTreeSet<ThrottleEntry> {
        match self {
            Self::Create(entries)
            | Self::Append(entries)
            | Self::Subtract(entries)
            | Self::Unset(entries)
            | Self::Every(entries)
            | Self::Restore(entries) => entries,
        }
    }
}

/// What happens to throttles, in the order in which it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThrottleBatch {
    /// Rates are set.
    SetRates,
    /// Lists get longer.
    ExtendLists,
    /// Lists get shorter.
    ShortenLists,
    /// Rates are given back.
    RestoreRates,
}

impl fmt::Display for ThrottleBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SetRates => "set-rates",
            Self::ExtendLists => "extend-lists",
            Self::ShortenLists => "shorten-lists",
            Self::RestoreRates => "restore-rates",
        })
    }
}

impl Step for ThrottleStep {
    type Batch = ThrottleBatch;

    fn subject(&self) -> String {
        match self {
            Self::Rates { broker, .. } => format!("broker:{broker}"),
            Self::Lists { topic, .. } => format!("topic:{topic}"),
        }
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        match self.why() {
            Why::Set => "throttle.set",
            Why::Changed => "throttle.changed",
            Why::Released => "throttle.released",
            Why::Orphaned => "throttle.orphan_cleaned",
        }
    }

    /// One request may not name one resource twice: what is taken away is sent apart from what is added.
    fn batch(&self) -> ThrottleBatch {
        match self {
            Self::Rates { .. } if self.is_release() => ThrottleBatch::RestoreRates,
            Self::Rates { .. } => ThrottleBatch::SetRates,
            Self::Lists { .. } if self.removes() => ThrottleBatch::ShortenLists,
            Self::Lists { .. } => ThrottleBatch::ExtendLists,
        }
    }

    fn severity(&self) -> Severity {
        match self.why() {
            Why::Set => Severity::Info,
            Why::Changed => Severity::Low,
            Why::Released => Severity::Success,
            Why::Orphaned => Severity::Warning,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Rates { edits, .. } => edits.len().max(1),
            Self::Lists { edits, .. } => edits.len().max(1),
        }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        let lines = |lines: Vec<String>| (!lines.is_empty()).then(|| lines.join("\n"));
        match self {
            Self::Rates { edits, .. } => {
                let side = |value: fn(&RateEdit) -> Option<ByteRate>| {
                    let line = |edit: &RateEdit| format!("{}: {}", edit.side.rate_key(), exact(value(edit)));
                    lines(edits.iter().map(line).collect())
                };
                (side(|edit| edit.from), side(|edit| edit.to))
            }
            Self::Lists { edits, .. } => {
                let side = |removes: bool| {
                    let edits = edits.iter().filter(|edit| edit.operation.removes() == removes);
                    let line = |edit: &ListEdit| format!("{}: {}", edit.side.list_key(), words_of(&edit.operation));
                    lines(edits.map(line).collect())
                };
                (side(true), side(false))
            }
        }
    }
}

fn shown(rate: Option<ByteRate>) -> String {
    rate.map_or_else(|| NOT_SET.to_owned(), |rate| rate.to_string())
}

/// A rate in an event: as Kafka has it, and for people.
fn exact(rate: Option<ByteRate>) -> String {
    rate.map_or_else(|| NOT_SET.to_owned(), |rate| format!("{} ({rate})", rate.0))
}

/// Reads what an event says of a rate: set or unset; none for what is no such text.
pub fn rate_of(text: &str) -> Option<PresentRate> {
    if text == NOT_SET {
        return Some(PresentRate::Unset);
    }
    text.split(' ').next()?.parse().ok().map(|rate| PresentRate::Set(ByteRate(rate)))
}

/// What an event says that a list was to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `*`.
    Every,
    /// No list at all.
    Whole,
    /// Some of the entries that others had before a `*` of ours.
    Restored(BTreeSet<ThrottleEntry>),
    /// Some of the entries that were added or taken away; at least one.
    Entries(BTreeSet<ThrottleEntry>),
}

/// Reads what an event says of a list; none for what is no such text.
pub fn entries_of(text: &str) -> Option<Wanted> {
    let entries = |text: &str| {
        let named = text.split(',').filter(|word| !word.starts_with(AND_MORE));
        let entries = named.map(|word| word.parse().ok()).collect::<Option<BTreeSet<_>>>()?;
        (!entries.is_empty()).then_some(entries)
    };
    if text == WHOLE {
        return Some(Wanted::Whole);
    }
    if let Some(restored) = text.strip_prefix(BACK_TO) {
        return entries(restored).map(Wanted::Restored);
    }
    if text.starts_with("* (") {
        return Some(Wanted::Every);
    }
    entries(text).map(Wanted::Entries)
}

fn words_of(operation: &ListOperation) -> String {
    match operation {
        ListOperation::Every(entries) => format!("* (for {} entries)", entries.len()),
        ListOperation::Restore(entries) => format!("{BACK_TO}{}", shortened(entries)),
        _ => shortened(operation.entries()),
    }
}

fn shortened(entries: &BTreeSet<ThrottleEntry>) -> String {
    if entries.is_empty() {
        return WHOLE.to_owned();
    }
    let mut words: Vec<_> = entries.iter().take(ENTRIES_SHOWN).map(ToString::to_string).collect();
    if entries.len() > ENTRIES_SHOWN {
        words.push(format!("{AND_MORE}{} more", entries.len() - ENTRIES_SHOWN));
    }
    words.join(",")
}

impl fmt::Display for ThrottleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.removes(), self.why()) {
            (true, _) => '-',
            (false, Why::Set) => '+',
            (false, _) => '~',
        };
        match self {
            Self::Rates { broker, edits, why: _ } => {
                let words = |edit: &RateEdit| match (edit.from, edit.to) {
                    (from, None) => format!("{} rate, {}", edit.side, shown(from)),
                    (None, Some(to)) => format!("{} rate {to}", edit.side),
                    (Some(from), Some(to)) => format!("{} rate {from} -> {to}", edit.side),
                };
                let words: Vec<_> = edits.iter().map(words).collect();
                write!(f, "{sign} broker {broker}: {}", words.join("; "))
            }
            Self::Lists { topic, edits, why: _ } => {
                let words = |edit: &ListEdit| format!("{} list {}", edit.side, words_of(&edit.operation));
                let words: Vec<_> = edits.iter().map(words).collect();
                write!(f, "{sign} topic {topic}: {}", words.join("; "))
            }
        }
    }
}
