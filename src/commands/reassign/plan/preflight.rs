//! Whether a plan may be carried out as things are: everything that speaks against it, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::change::plan::Plan;
use crate::cluster::assignment::{MovePlan, PartitionMove};
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::plan::disks::{check_cordons, check_disks};
use crate::commands::reassign::plan::lost::is_recreated;
use crate::commands::reassign::plan::next::{Limits, Manner, next};
use crate::commands::reassign::plan::seen::{Observed, State};
use crate::commands::reassign::plan::step::{ReassignStep, list};

/// Most partitions that one finding names.
const NAMES_MAX: usize = 10;

/// What a person allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Partitions whose replicas are not those that the plan was made from are moved from where they are.
    pub replan: bool,
    /// Others' moves of other partitions may go on beside ours.
    pub beside_others: bool,
}

/// The plan as it will be carried out, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// The moves, with the bases that hold now.
    pub moves: Vec<PartitionMove>,
    /// What is shown and agreed to. Any refusal in it stops the whole.
    pub plan: Plan<ReassignStep>,
    /// Partitions whose base is not the plan's.
    pub stale: Vec<TopicPartition>,
}

/// A plan of the assignment in Kafka's own file: the base is what is there now, or what a former run of the same
/// assignment wrote down before it began.
pub fn plan_of(
    assignment: Vec<(TopicPartition, Vec<BrokerId>)>,
    observed: &Observed,
    before: Option<&MovePlan>,
) -> Vec<PartitionMove> {
    let before: BTreeMap<_, _> = before.iter().flat_map(|plan| &plan.moves).map(|one| (&one.partition, one)).collect();
    let base = |partition: &TopicPartition, to: &Vec<BrokerId>| {
        if let Some(known) = before.get(partition).filter(|known| known.to == *to) {
            return known.from.clone();
        }
        let seen = observed.partitions.get(partition).map(|seen| seen.replicas.clone()).unwrap_or_default();
        match observed.running.get(partition) {
            Some(running) => seen.into_iter().filter(|one| !running.adding.contains(one)).collect(),
            None => seen,
        }
    };
    let moves = assignment.into_iter().map(|(partition, to)| {
        let from = base(&partition, &to);
        let one = PartitionMove { partition, from, to, bytes: 0 };
        PartitionMove { bytes: observed.size_of(&one), ..one }
    });
    moves.collect()
}

/// Checks a plan against what is there.
pub fn check(
    moves: Vec<PartitionMove>,
    observed: &Observed,
    (limits, manner): (&Limits, Manner),
    allowed: Allowed,
) -> Checked {
    let mut checked = Checked { moves, ..Checked::default() };
    check_bases(&mut checked, observed, allowed);
    check_others(&mut checked, observed, allowed);
    check_targets(&mut checked, observed);
    check_cordons(&mut checked, observed);
    check_disks(&mut checked, observed, limits);
    for one in &checked.moves {
        if matches!(observed.state(one), State::Waiting | State::Grown) {
            let from = observed.partitions.get(&one.partition).map_or(&one.from, |seen| &seen.replicas).clone();
            let copies = u64::try_from(observed.arriving(one).len()).unwrap_or(u64::MAX);
            checked.plan.steps.push(ReassignStep::Move {
                partition: one.partition.clone(),
                from,
                to: one.to.clone(),
                bytes: observed.size_of(one).saturating_mul(copies),
            });
        }
    }
    // What is in place already, and not led as planned: a run may have died before it elected.
    checked.plan.steps.extend(next(&checked.moves, observed, (limits, manner), &BTreeSet::new()).elections);
    let running = checked.moves.iter().filter(|one| observed.state(one) == State::Running).count();
    if running > 0 {
        checked.plan.warn(format!("{running} of these moves run already: this run goes on with them"));
    }
    checked
}

/// Why a plan does not hold any more, where topics of it were deleted and created again: their ids `then`, and what was done
/// then.
pub fn of_other_topics(
    moves: &[PartitionMove],
    (then, when): (&BTreeMap<TopicName, Uuid>, &str),
    observed: &Observed,
) -> Option<String> {
    let topics: BTreeSet<_> = moves.iter().map(|one| &one.partition.topic).collect();
    let others = topics.into_iter().filter(|topic| is_recreated(topic, then, &observed.topic_ids));
    let others: Vec<_> = others.map(ToString::to_string).collect();
    (!others.is_empty()).then(|| {
        format!(
            "deleted and created again since the plan was {when}: topic {}. Make the plan anew, or move what is there now with \
             --replan",
            others.join(", ")
        )
    })
}

/// Partitions that are not where the plan thinks.
fn check_bases(checked: &mut Checked, observed: &Observed, allowed: Allowed) {
    for one in &mut checked.moves {
        let subject = format!("partition:{}", one.partition);
        match observed.state(one) {
            State::Gone => {
                let why = "it does not exist: was its topic deleted? Take it out of the plan, or make the plan anew";
                checked.plan.refuse(subject, "move", why);
            }
            State::Strayed => {
                let now = observed.partitions.get(&one.partition).map_or(&[][..], |seen| &seen.replicas);
                if allowed.replan {
                    one.from = now.to_vec();
                    let words = format!("partition {}: planned from {} instead", one.partition, list(now));
                    checked.plan.warn(words);
                    continue;
                }
                let why = format!(
                    "the plan was made when its replicas were {}, and now they are {}; make the plan anew, or move it \
                     from where it is with --replan",
                    list(&one.from),
                    list(now)
                );
                checked.plan.refuse(subject, "move", why);
                checked.stale.push(one.partition.clone());
            }
            State::Foreign | State::Done | State::Running | State::Grown | State::Waiting => {}
        }
    }
}

/// Moves that are not ours. A running move is never overlaid: KRaft would forget where it came from.
fn check_others(checked: &mut Checked, observed: &Observed, allowed: Allowed) {
    let own: BTreeSet<_> = checked.moves.iter().map(|one| &one.partition).collect();
    for one in checked.moves.iter().filter(|one| observed.state(one) == State::Foreign) {
        let target = observed.running.get(&one.partition).map(Reassignment::target).unwrap_or_default();
        let why = format!(
            "another move of it to {} runs: wait until it ends, or take it back with `toolbox reassign cancel --topics {}`",
            list(&target),
            one.partition.topic
        );
        checked.plan.refuse(format!("partition:{}", one.partition), "move", why);
    }
    let others: Vec<_> = observed.running.keys().filter(|partition| !own.contains(partition)).collect();
    if others.is_empty() {
        return;
    }
    let words = format!("{} of other partitions run: {}", count(others.len(), "move"), names(&others));
    if allowed.beside_others {
        checked.plan.warn(format!("{words}; they count for the bounds of their brokers"));
    } else {
        let why = format!("{words}. Somebody else moves partitions; wait, or go on beside them with --beside-others");
        checked.plan.refuse("cluster:moves", "move", why);
    }
}

/// Brokers that are down. KRaft would take them, and the move would hang.
fn check_targets(checked: &mut Checked, observed: &Observed) {
    let mut dead: BTreeMap<BrokerId, Vec<&TopicPartition>> = BTreeMap::new();
    for one in checked.moves.iter().filter(|one| matches!(observed.state(one), State::Waiting | State::Grown)) {
        for broker in one.adding().filter(|broker| !observed.brokers.contains(broker)) {
            dead.entry(broker).or_default().push(&one.partition);
        }
    }
    let refusals: Vec<_> = dead
        .into_iter()
        .map(|(broker, partitions)| {
            let which = format!("{} would go there: {}", count(partitions.len(), "partition"), names(&partitions));
            (broker, format!("it does not live, and {which}; start it, or plan without it"))
        })
        .collect();
    for (broker, why) in refusals {
        checked.plan.refuse(format!("broker:{broker}"), "fill broker", why);
    }
}

/// A number and a word, in the plural where that is right.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// The first names, and how many more there are.
pub fn names(partitions: &[&TopicPartition]) -> String {
    let shown: Vec<_> = partitions.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    match partitions.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
