//! Moves that are not ours to make any more: somebody cancelled them, moved the partition elsewhere, or deleted it.
//!
//! A broker may show for a while what was before. A move is given up only when what is seen stays, and a cancel is not
//! believed while the new replicas still hold data.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::seen::{Observed, State};
use crate::commands::reassign::plan::step::list;

/// How long a state must be seen before it is believed.
pub const CONFIRMED_AFTER: Duration = Duration::from_secs(10);

/// The same for a cancel, where the brokers that were copied to hold nothing any more.
const CANCELLED_AFTER: Duration = Duration::from_secs(3);

/// The same, where they still hold data: a broker that shows the end of a move late is more likely than a cancel.
const HELD_AFTER: Duration = Duration::from_secs(30);

/// Why a move is given up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// It ran, does not run any more, and the partition is where it was.
    Cancelled,
    /// Somebody began another move of the partition, to these replicas.
    Overlaid(Vec<BrokerId>),
    /// The replicas are neither those before nor those after.
    Strayed(Vec<BrokerId>),
    /// The partition does not exist any more.
    Gone,
    /// Its topic was deleted and created again.
    Recreated,
}

impl Lost {
    /// The kind of the event that says so.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cancelled => "reassign.move_cancelled_by_others",
            _ => "reassign.move_lost",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str(
                "cancelled by somebody else; it is left out from now on, and --include-cancelled takes it in again",
            ),
            Self::Overlaid(to) => write!(f, "somebody else began another move of it, to {}", list(to)),
            Self::Strayed(now) => {
                write!(f, "somebody else changed its replicas to {}; make a new plan for it", list(now))
            }
            Self::Gone => f.write_str("it does not exist any more: its topic was deleted"),
            Self::Recreated => f.write_str("its topic was deleted and created again; make a new plan for it"),
        }
    }
}

/// What is not believed yet, and since when it is seen, counted from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// None: it looks done, but the new replicas are not in sync, as while it ran.
    what: Option<Lost>,
    since: Duration,
}

/// What a look says of one move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Fine,
    /// It looks given up, but that may be shown late.
    Doubtful(Doubt),
    /// It is given up.
    Lost(Lost),
}

/// Judges one move. `begun` is the target that the cluster accepted for it, or that it was seen moving to; `recreated`
/// whether its topic has another id than when the execution began; `former` what was doubted at the last look.
pub fn judge(
    (one, begun): (&PartitionMove, Option<&[BrokerId]>),
    (observed, recreated): (&Observed, bool),
    (at, sized_at): (Duration, Duration),
    former: Option<&Doubt>,
) -> Verdict {
    if recreated {
        return Verdict::Lost(Lost::Recreated);
    }
    let now = || observed.partitions.get(&one.partition).map(|seen| seen.replicas.clone()).unwrap_or_default();
    let state = observed.state(one);
    let what = match (state, begun) {
        (State::Foreign, Some(_)) => {
            let target = observed.running.get(&one.partition).map(Reassignment::target).unwrap_or_default();
            return Verdict::Lost(Lost::Overlaid(target));
        }
        (State::Running, Some(_)) => match stranger(one, begun, observed) {
            Some(target) => return Verdict::Lost(Lost::Overlaid(target)),
            None => return Verdict::Fine,
        },
        (State::Waiting, Some(_)) => Some(Lost::Cancelled),
        // The second phase of a move that goes leader first was taken back.
        (State::Grown, Some(target)) if target == one.to => Some(Lost::Cancelled),
        (State::Strayed, _) => Some(Lost::Strayed(now())),
        (State::Gone, _) => Some(Lost::Gone),
        // While a move runs that takes nothing away, its replicas are those of its end.
        (State::Done | State::Grown, _) if !is_in_sync(one, observed) => None,
        (State::Done | State::Running | State::Waiting | State::Grown | State::Foreign, _) => return Verdict::Fine,
    };
    let since = former.filter(|former| former.what == what).map_or(at, |former| former.since);
    let patience = match what {
        Some(Lost::Cancelled) => cancelled_after(one, observed, sized_at > since),
        _ => CONFIRMED_AFTER,
    };
    match what {
        Some(what) if at.saturating_sub(since) >= patience => Verdict::Lost(what),
        None if at.saturating_sub(since) >= patience => Verdict::Fine,
        what => Verdict::Doubtful(Doubt { what, since }),
    }
}

/// The target of a running move, where it is not that of our own: the first phase of two is nothing that comes again.
pub fn stranger(one: &PartitionMove, begun: Option<&[BrokerId]>, observed: &Observed) -> Option<Vec<BrokerId>> {
    let target = observed.running.get(&one.partition).map(Reassignment::target)?;
    let is_ours = target == one.to || begun.is_none_or(|begun| begun == target);
    (!is_ours).then_some(target)
}

/// Whether all new replicas are in sync, as they are when a move ends.
fn is_in_sync(one: &PartitionMove, observed: &Observed) -> bool {
    let isr = observed.partitions.get(&one.partition).map_or(&[][..], |seen| &seen.isr);
    one.adding().all(|broker| isr.contains(&broker))
}

/// Whether a topic was deleted and created again: its ids then and now are known, and differ.
pub fn is_recreated(topic: &TopicName, then: &BTreeMap<TopicName, Uuid>, now: &BTreeMap<TopicName, Uuid>) -> bool {
    then.get(topic).zip(now.get(topic)).is_some_and(|(then, now)| then != now)
}

/// How long a cancel must be seen, by what the brokers hold that were copied to.
fn cancelled_after(one: &PartitionMove, observed: &Observed, is_sized_since: bool) -> Duration {
    if one.adding().next().is_none() {
        return CONFIRMED_AFTER;
    }
    let is_empty = |broker: BrokerId| {
        observed.sizes.totals.contains_key(&broker) && observed.held_by(&one.partition, broker).is_none()
    };
    if is_sized_since && one.adding().all(is_empty) { CANCELLED_AFTER } else { HELD_AFTER }
}

/// Whether a move that an earlier run began was certainly cancelled: it does not run, the partition is where it was, and
/// the brokers that were copied to hold nothing of it.
pub fn is_cancelled(one: &PartitionMove, observed: &Observed) -> bool {
    observed.state(one) == State::Waiting
        && one.adding().next().is_some()
        && cancelled_after(one, observed, true) == CANCELLED_AFTER
}

/// Lost moves in words: one line for each reason.
pub fn words(lost: &BTreeMap<TopicPartition, Lost>) -> Vec<String> {
    let mut by_reason: BTreeMap<&Lost, Vec<&TopicPartition>> = BTreeMap::new();
    for (partition, why) in lost {
        by_reason.entry(why).or_default().push(partition);
    }
    let line = |(why, partitions): (&Lost, Vec<&TopicPartition>)| {
        format!("{}: {why}", crate::commands::reassign::plan::preflight::names(&partitions))
    };
    by_reason.into_iter().map(line).collect()
}
