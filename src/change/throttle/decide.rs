//! (desired throttles, what is there, what is ours) → steps, and the record to keep before the first of them.
//!
//! Steps, in the order in which they are safe: rates, then the lists that make them work; on the way back the lists
//! first, then the rates.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::plan::{Plan, Step};
use crate::change::throttle::list::{LIST_BYTES_MAX, ListDecided, list};
use crate::change::throttle::step::{ListEdit, ListOperation, RateEdit, ThrottleStep, Why};
use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{
    OwnList, OwnRate, PresentList, PresentRate, PresentThrottles, Side, Sides, ThrottleEntry, ThrottleRecord, Throttles,
};
use crate::cluster::topic::TopicName;

/// The finding that somebody changed a rate of ours.
pub const EXTERNAL_CHANGE: &str = "throttle.external_change";

/// How to deal with what others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Whether a rate that somebody else set is replaced by ours, whether it was there before or replaced ours; else it
    /// is left as it is.
    pub reasserts: bool,
    /// Whether what is taken away was left behind by somebody who is gone.
    pub is_orphaned: bool,
    /// The longest list that is written; a longer one becomes `*`.
    pub list_bytes_max: usize,
}

impl Default for Ways {
    fn default() -> Self {
        Self { reasserts: true, is_orphaned: false, list_bytes_max: LIST_BYTES_MAX }
    }
}

/// What to do, and what will be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The steps, and what a person should know.
    pub plan: Plan<ThrottleStep>,
    /// What is ours once the steps were begun: keep it before the first one.
    pub claim: ThrottleRecord,
}

/// Decides what to change so that the desired throttles hold and nothing else of ours is left.
pub fn decide(desired: &Throttles, seen: &PresentThrottles, record: &ThrottleRecord, ways: Ways) -> Decided {
    let mut deciding = Deciding { plan: Plan::default(), ways, releases: Vec::new() };
    let mut claim = ThrottleRecord { rates: BTreeMap::new(), lists: BTreeMap::new(), ..record.clone() };
    for broker in desired.rates.keys().chain(record.rates.keys()).copied().collect::<BTreeSet<_>>() {
        let wanted = desired.rates.get(&broker).copied().unwrap_or_default();
        let own = record.rates.get(&broker).copied().unwrap_or_default();
        let kept = deciding.rates(broker, wanted, own, seen.rates.get(&broker));
        if kept != Sides::default() {
            claim.rates.insert(broker, kept);
        }
    }
    for topic in desired.lists.keys().chain(record.lists.keys()).collect::<BTreeSet<_>>() {
        let wanted = desired.lists.get(topic).cloned().unwrap_or_default();
        let own = record.lists.get(topic).cloned().unwrap_or_default();
        if seen.gone.contains(topic) {
            continue;
        }
        let kept = match seen.lists.get(topic) {
            Some(there) => deciding.lists(topic, &wanted, &own, there),
            None => own,
        };
        if kept != Sides::default() {
            claim.lists.insert(topic.clone(), kept);
        }
    }
    let Deciding { mut plan, releases, .. } = deciding;
    plan.steps.extend(releases);
    plan.steps.sort_by_key(ThrottleStep::batch);
    Decided { plan, claim }
}

/// What is ours after the steps ended as they did.
#[must_use]
pub fn after(claim: &ThrottleRecord, ended: &[(ThrottleStep, Ended)]) -> ThrottleRecord {
    let mut record = claim.clone();
    for (step, _) in ended.iter().filter(|(_, ended)| ended.outcome == Outcome::Done) {
        match step {
            ThrottleStep::Rates { broker, edits, why } => {
                let Some(sides) = record.rates.get_mut(broker) else { continue };
                let is_release = matches!(why, Why::Released | Why::Orphaned);
                for edit in edits {
                    let own = sides.of_mut(edit.side);
                    let set = |own: OwnRate| {
                        let last = own.set.filter(|former| Some(*former) != edit.to).or(own.last);
                        OwnRate { set: edit.to, setting: None, last, ..own }
                    };
                    *own = if is_release { None } else { own.map(set) };
                }
            }
            ThrottleStep::Lists { topic, edits, .. } => {
                let Some(sides) = record.lists.get_mut(topic) else { continue };
                for edit in edits.iter().filter(|edit| edit.operation.removes()) {
                    let own = sides.of_mut(edit.side);
                    *own = match own.take() {
                        Some(OwnList::Entries(mut own)) => {
                            own.retain(|entry| !edit.operation.entries().contains(entry));
                            (!own.is_empty()).then_some(OwnList::Entries(own))
                        }
                        Some(OwnList::Every { .. }) | None => None,
                    };
                }
            }
        }
    }
    record.rates.retain(|_, sides| *sides != Sides::default());
    record.lists.retain(|_, sides| *sides != Sides::default());
    record
}

/// Steps that take every throttle away, whoever set it.
pub fn everything(seen: &PresentThrottles, ways: Ways) -> Vec<ThrottleStep> {
    let why = if ways.is_orphaned { Why::Orphaned } else { Why::Released };
    let lists = seen.lists.iter().map(|(topic, sides)| {
        let set = Side::BOTH.into_iter().filter(|side| *sides.of(*side) != PresentList::Unset);
        let edit = |side| {
            let entries = sides.of(side).entries().cloned().unwrap_or_default();
            ListEdit { side, operation: ListOperation::Unset(entries) }
        };
        ThrottleStep::Lists { topic: topic.clone(), edits: set.map(edit).collect(), why }
    });
    let rates = seen.rates.iter().map(|(broker, sides)| {
        let edits = Side::BOTH.into_iter().filter_map(|side| match sides.of(side) {
            PresentRate::Set(rate) => Some(RateEdit { side, from: Some(*rate), to: None }),
            PresentRate::Hidden => Some(RateEdit { side, from: None, to: None }),
            PresentRate::Unset | PresentRate::Inherited(_) => None,
        });
        ThrottleStep::Rates { broker: *broker, edits: edits.collect(), why }
    });
    let is_something = |step: &ThrottleStep| match step {
        ThrottleStep::Rates { edits, .. } => !edits.is_empty(),
        ThrottleStep::Lists { edits, .. } => !edits.is_empty(),
    };
    lists.chain(rates).filter(is_something).collect()
}

struct Deciding {
    plan: Plan<ThrottleStep>,
    ways: Ways,
    releases: Vec<ThrottleStep>,
}

impl Deciding {
    /// One broker: the steps, and what is ours there.
    fn rates(
        &mut self,
        broker: BrokerId,
        wanted: Sides<Option<ByteRate>>,
        own: Sides<Option<OwnRate>>,
        there: Option<&Sides<PresentRate>>,
    ) -> Sides<Option<OwnRate>> {
        let Some(there) = there else {
            let what = if own == Sides::default() { "it is not throttled" } else { "its throttle stays" };
            self.plan.warn(format!("broker {broker} can't be reached: {what} until it is back"));
            return own;
        };
        let mut kept = Sides::default();
        let (mut sets, mut releases) = (Vec::new(), Vec::new());
        for side in Side::BOTH {
            let (rate, edit) = match (*wanted.of(side), *own.of(side)) {
                (Some(to), own) => self.hold(broker, side, (to, own, *there.of(side))),
                (None, Some(own)) => self.release(broker, side, (own, *there.of(side))),
                (None, None) => (None, None),
            };
            *kept.of_mut(side) = rate;
            if let Some((from, to)) = edit {
                let edits = if wanted.of(side).is_some() { &mut sets } else { &mut releases };
                edits.push(RateEdit { side, from, to });
            }
        }
        if !sets.is_empty() {
            // A side that was not ours so far makes the step one that must not be sent over what others set.
            let had = sets.iter().all(|edit| own.of(edit.side).is_some());
            let why = if had { Why::Changed } else { Why::Set };
            self.plan.steps.push(ThrottleStep::Rates { broker, edits: sets, why });
        }
        if !releases.is_empty() {
            let why = self.why_released();
            self.releases.push(ThrottleStep::Rates { broker, edits: releases, why });
        }
        kept
    }

    /// A desired rate.
    fn hold(
        &mut self,
        broker: BrokerId,
        side: Side,
        (to, own, there): (ByteRate, Option<OwnRate>, PresentRate),
    ) -> (Option<OwnRate>, Option<Edit>) {
        let setting = Some(to);
        match (own, there) {
            (None, PresentRate::Hidden) => {
                self.plan.warn(format!(
                    "broker {broker} has a {side} rate that Kafka does not tell: it is left as it is, because it could \
                     not be restored"
                ));
                (None, None)
            }
            (Some(own), PresentRate::Hidden) if own.set == Some(to) => (Some(own), None),
            (Some(own), PresentRate::Hidden) => (Some(OwnRate { setting, ..own }), Some((own.set, Some(to)))),
            (Some(own), PresentRate::Set(rate)) if own.is(rate) => {
                let set = Some(rate);
                if rate == to {
                    return (Some(OwnRate { set, setting: None, ..own }), None);
                }
                (Some(OwnRate { set, setting, ..own }), Some((set, Some(to))))
            }
            (Some(own), PresentRate::Set(rate)) => {
                let is_foreign = own.previous != Some(rate);
                if is_foreign {
                    let what = if self.ways.reasserts { "it is set again" } else { "it is kept" };
                    let ours = own.set.or(own.setting).map(|rate| rate.to_string()).unwrap_or_default();
                    let text = format!("the {side} rate of broker {broker} was changed from {ours} to {rate}: {what}");
                    self.plan.find(format!("broker:{broker}"), EXTERNAL_CHANGE, text);
                }
                if is_foreign && !self.ways.reasserts {
                    return (Some(own), None);
                }
                // What they set last is what they get back.
                (Some(OwnRate { previous: Some(rate), setting, ..OwnRate::default() }), Some((Some(rate), Some(to))))
            }
            // Somebody set the very same one before us: it is theirs.
            (None, PresentRate::Set(rate)) if rate == to => (None, None),
            (None, PresentRate::Set(rate)) => {
                let what = if self.ways.reasserts {
                    format!("it is replaced by {to} until nothing moves")
                } else {
                    "it is kept, and paces the moves".to_owned()
                };
                let text = format!("broker {broker} has a {side} rate of {rate} that somebody else set: {what}");
                self.plan.find(format!("broker:{broker}"), EXTERNAL_CHANGE, text);
                if !self.ways.reasserts {
                    return (None, None);
                }
                (Some(OwnRate { previous: Some(rate), setting, ..OwnRate::default() }), Some((Some(rate), Some(to))))
            }
            (_, PresentRate::Unset | PresentRate::Inherited(_)) => {
                (Some(OwnRate { setting, ..OwnRate::default() }), Some((None, Some(to))))
            }
        }
    }

    /// A rate of ours that is not desired any more.
    fn release(
        &mut self,
        broker: BrokerId,
        side: Side,
        (own, there): (OwnRate, PresentRate),
    ) -> (Option<OwnRate>, Option<Edit>) {
        match there {
            PresentRate::Unset | PresentRate::Inherited(_) => (None, None),
            PresentRate::Hidden => (Some(own), Some((own.set, own.previous))),
            PresentRate::Set(rate) if own.previous == Some(rate) => (None, None),
            PresentRate::Set(rate) if own.is(rate) => (Some(own), Some((Some(rate), own.previous))),
            PresentRate::Set(rate) => {
                let text = format!("the {side} rate of broker {broker} was changed to {rate} by others: it stays");
                self.plan.find(format!("broker:{broker}"), EXTERNAL_CHANGE, text);
                (None, None)
            }
        }
    }

    /// One topic: the steps, and what is ours there.
    fn lists(
        &mut self,
        topic: &TopicName,
        wanted: &Sides<BTreeSet<ThrottleEntry>>,
        own: &Sides<Option<OwnList>>,
        there: &Sides<PresentList>,
    ) -> Sides<Option<OwnList>> {
        let mut kept = Sides::default();
        let (mut additions, mut removals) = (Vec::new(), Vec::new());
        for side in Side::BOTH {
            if *there.of(side) == PresentList::Hidden && !wanted.of(side).is_empty() {
                self.plan.warn(format!("the {side} list of topic {topic} can't be understood: it is left as it is"));
            }
            let bytes_max = self.ways.list_bytes_max;
            let ListDecided { ours, add, remove } =
                list(wanted.of(side), own.of(side).as_ref(), there.of(side), bytes_max);
            if let Some(ListOperation::Every(entries)) = &add {
                self.plan.warn(format!(
                    "the {side} list of topic {topic} would have {} entries, more than Kafka takes: it becomes `*`, which \
                     counts every replica of the topic",
                    entries.len()
                ));
            }
            *kept.of_mut(side) = ours;
            additions.extend(add.map(|operation| ListEdit { side, operation }));
            removals.extend(remove.map(|operation| ListEdit { side, operation }));
        }
        if !additions.is_empty() {
            let why = if *own == Sides::default() { Why::Set } else { Why::Changed };
            self.plan.steps.push(ThrottleStep::Lists { topic: topic.clone(), edits: additions, why });
        }
        if !removals.is_empty() {
            let is_all = Side::BOTH.iter().all(|side| wanted.of(*side).is_empty());
            let why = if is_all { self.why_released() } else { Why::Changed };
            self.releases.push(ThrottleStep::Lists { topic: topic.clone(), edits: removals, why });
        }
        kept
    }

    fn why_released(&self) -> Why {
        if self.ways.is_orphaned { Why::Orphaned } else { Why::Released }
    }
}

/// From and to.
type Edit = (Option<ByteRate>, Option<ByteRate>);
