//! The guards of a change of voters: the numbers are those of ZooKeeper's, the rules are KRaft's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::ensemble::controllers::{DesiredQuorum, QuorumChangeKind, QuorumEntry, Voter};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::gone::Gone;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::guards::{
    Check, Guard, LEADER_REST, VOTERS_MIN, judged, spare_voters, unmeasured, waits,
};
use crate::commands::ensemble::plan::kraft::change::{Advice, Change, Known};
use crate::commands::ensemble::plan::kraft::seen::{SAMPLES_MIN, SeenQuorum};
use crate::commands::ensemble::plan::seen::age;

/// Everything that guards look at.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What is desired.
    pub desired: &'a DesiredQuorum,
    /// What was seen.
    pub seen: &'a SeenQuorum,
    /// What follows for each controller.
    pub known: &'a BTreeMap<NodeId, Known>,
    /// The present time.
    pub now: Timestamp,
    /// How long the quorum rests between two changes.
    pub rest: Duration,
}

/// All guards of a change, in their order; those that have nothing to say about its kind are left out.
pub fn check(change: &Change, ground: Ground<'_>) -> Vec<Check> {
    let mut checks = vec![one_voter(change, ground), tolerance(change, ground)];
    checks.extend(enough_voters(change, ground));
    checks.push(final_number(change, ground));
    checks.extend(caught_up(change, ground));
    checks.extend(has_address(change, ground));
    checks.extend(asked_for(change, ground));
    checks.extend(auto_join(change, ground));
    checks.extend(leader_last(change, ground));
    checks.extend([no_rollout(change, ground), rested(change, ground)]);
    checks
}

/// One voter a call, and never a second directory of one id: the controllers refuse it with DUPLICATE_VOTER.
fn one_voter(change: &Change, ground: Ground<'_>) -> Check {
    let voters = ground.seen.voter_set();
    let is_known = voters.contains(&change.voter);
    let holds = match change.kind {
        QuorumChangeKind::Add => !voters.iter().any(|voter| voter.node == change.voter.node),
        _ => is_known && voters.len() > 1,
    };
    let numbers = format!("epoch {}, {} voters, {}", ground.seen.quorum.leader_epoch, voters.len(), change.voter);
    judged(Guard::I1, holds, Code::IdConflict, numbers)
}

fn tolerance(change: &Change, ground: Ground<'_>) -> Check {
    let (before, mut live) = (ground.seen.voter_set(), ground.seen.live());
    let old = ground.seen.tolerance_of(&before, &live);
    let hits_live_voter = change.kind != QuorumChangeKind::Add && live.contains(&change.voter);
    if change.kind == QuorumChangeKind::Add {
        // Whether it is caught up is judged by guard I5.
        live.insert(change.voter);
    }
    let new = ground.seen.tolerance_of(&change.after(&before), &live);
    let wanted = i64::from(!ground.desired.dev);
    let holds = match change.kind {
        // A disk that was replaced has no data: all others must be caught up, as one of them is missing from now on.
        QuorumChangeKind::ForgetDisk => new.spare() >= 0 && before.len() >= VOTERS_MIN && !hits_live_voter,
        _ => new.spare() >= wanted || (new.spare() >= old.spare() && !hits_live_voter),
    };
    judged(Guard::I2, holds && new.spare() >= 0, Code::UnsafeSize, spare_voters(old, new, "caught up"))
}

fn enough_voters(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let before = ground.seen.voter_set().len();
    // A replaced disk passes through one voter fewer, and the same controller is added next.
    if matches!(change.kind, QuorumChangeKind::Add | QuorumChangeKind::ForgetDisk) {
        return None;
    }
    let least = if ground.desired.dev { 1 } else { VOTERS_MIN };
    let numbers = format!("voters {before} -> {}, at least {least}", before - 1);
    Some(judged(Guard::I3, before > least, Code::UnsafeSize, numbers))
}

fn final_number(change: &Change, ground: Ground<'_>) -> Check {
    let size = ground.desired.size;
    let before = ground.seen.voter_set();
    let next = change.after(&before);
    let stays = |node: &NodeId| {
        let known = ground.known.get(node);
        let is_gone = known.is_some_and(|it| it.gone.as_ref().is_some_and(Gone::is_for_good));
        let state = known.and_then(|it| it.state);
        !is_gone && !matches!(state, Some(MemberState::Leaving | MemberState::Retired))
    };
    let nodes = next.iter().map(|voter| voter.node).chain(ground.desired.members.keys().copied());
    let end: BTreeSet<_> = nodes.filter(stays).collect();
    let is_size_legal = size % 2 == 1 && (size >= VOTERS_MIN || ground.desired.dev);
    let is_towards = next.len() < before.len() && next.len() >= size;
    let holds = is_size_legal && (end.len() == size || is_towards || change.kind == QuorumChangeKind::ForgetDisk);
    judged(
        Guard::I4,
        holds,
        Code::UnsafeSize,
        format!("{} voters next, {} in the end, size {size}", next.len(), end.len()),
    )
}

fn caught_up(change: &Change, ground: Ground<'_>) -> Option<Check> {
    if change.kind != QuorumChangeKind::Add {
        return None;
    }
    let Some(replica) = ground.seen.quorum.observers.iter().find(|replica| Voter::of(replica) == Some(change.voter))
    else {
        return Some(judged(Guard::I5, false, Code::NotCaughtUp, format!("{} does not follow", change.voter)));
    };
    let (records, time) = ground.seen.lag(replica);
    let time = time.map_or("no fetch is known".to_owned(), |time| format!("fetched {} ms ago", time.as_millis()));
    let records = records.map_or("an unknown number of".to_owned(), |records| records.to_string());
    let numbers = format!("{records} records behind, {time}");
    match ground.seen.samples.get(&change.voter.node) {
        _ if !ground.seen.is_caught_up(replica) => Some(judged(Guard::I5, false, Code::NotCaughtUp, numbers)),
        None => Some(unmeasured(Guard::I5, numbers)),
        Some(passed) => {
            let numbers = format!("{numbers}; {passed} of {SAMPLES_MIN} samples in a row");
            Some(judged(Guard::I5, *passed >= SAMPLES_MIN, Code::NotCaughtUp, numbers))
        }
    }
}

/// A controller is added with the address that it registered itself, under the listener's name that the voters have.
fn has_address(change: &Change, ground: Ground<'_>) -> Option<Check> {
    if change.kind != QuorumChangeKind::Add {
        return None;
    }
    let node = change.voter.node;
    Some(match ground.seen.registered.get(&node) {
        Some(Some(it)) => judged(
            Guard::I6,
            true,
            Code::BadAddress,
            format!("it listens on {}://{}:{}", it.listener, it.host, it.port),
        ),
        Some(None) => {
            let numbers = format!("the name of the listener of controller {node} is not known");
            judged(Guard::I6, false, Code::BadAddress, numbers)
        }
        None if ground.seen.registered.is_empty() => {
            let numbers = "no node lists the registered controllers".to_owned();
            unmeasured(Guard::I6, numbers)
        }
        None => waits(Guard::I6, format!("controller {node} has not registered itself yet")),
    })
}

fn asked_for(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let known = ground.known.get(&change.voter.node)?;
    let node = change.voter.node;
    match change.kind {
        QuorumChangeKind::Add => None,
        QuorumChangeKind::ForgetDisk => {
            let is_live = ground.seen.live().contains(&change.voter);
            let words = if is_live { "in use" } else { "not in use" };
            let numbers = format!("the old directory of controller {node} is {words}");
            Some(judged(Guard::I7, !is_live, Code::IdConflict, numbers))
        }
        QuorumChangeKind::Shrink | QuorumChangeKind::ShrinkLeader => {
            let is_asked = matches!(known.state, Some(MemberState::Leaving | MemberState::Retired));
            Some(judged(Guard::I7, is_asked, Code::NotGone, format!("controller {node} should leave")))
        }
        QuorumChangeKind::Drop => {
            let words = known.gone.as_ref().map_or("alive".to_owned(), ToString::to_string);
            let is_gone = known.gone.as_ref().is_some_and(Gone::is_for_good);
            Some(judged(Guard::I7, is_gone, Code::NotGone, format!("controller {node} is {words}")))
        }
    }
}

/// With auto-join on, a removed controller that still runs adds itself again: stop, then remove. Off: remove, then stop, as the
/// rest elects by pre-vote.
fn auto_join(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let node = change.voter.node;
    if matches!(change.kind, QuorumChangeKind::Add | QuorumChangeKind::ForgetDisk) {
        return None;
    }
    if ground.seen.combined.contains(&node) && change.kind != QuorumChangeKind::Drop {
        let numbers = format!("node {node} is broker and controller");
        return Some(judged(Guard::I12, false, Code::CombinedRole, numbers));
    }
    let seen = ground.seen;
    let is_caught_up = seen.quorum.voter(node).is_some_and(|replica| seen.is_caught_up(replica));
    let runs = is_caught_up || seen.answers.get(&node) == Some(&true);
    if seen.auto_join == Some(false) {
        let then =
            if runs { format!("controller {node} is removed, then stopped by hand") } else { "as needed".to_owned() };
        return Some(judged(Guard::I12, true, Code::AutoJoin, format!("auto-join is off: {then}")));
    }
    if let Some(how) = seen.stopped.get(&node).filter(|_| !runs) {
        return Some(judged(Guard::I12, true, Code::AutoJoin, format!("controller {node} does not run: {how}")));
    }
    let is_silent = seen.answers.get(&node) == Some(&false) && !seen.hangs.contains(&node);
    if change.kind == QuorumChangeKind::Drop && is_silent && !runs {
        // Guard I7 demands that its disk does not come back: without that it can't join.
        let numbers = format!("controller {node} does not answer, and its disk does not come back");
        return Some(judged(Guard::I12, true, Code::AutoJoin, numbers));
    }
    let on = if seen.auto_join.is_some() { "auto-join is on" } else { "it is not known whether auto-join is on" };
    let numbers = format!("{on}, and {}: it would add itself again", state(node, runs, seen));
    Some(match seen.auto_join {
        None => unmeasured(Guard::I12, numbers),
        Some(_) => judged(Guard::I12, false, Code::AutoJoin, numbers),
    })
}

/// What a controller does of which nothing shows that it is stopped.
fn state(node: NodeId, runs: bool, seen: &SeenQuorum) -> String {
    match seen.answers.get(&node) {
        _ if runs => format!("controller {node} runs"),
        _ if seen.hangs.contains(&node) => {
            format!("controller {node} gives no answer, but its port is open: frozen or busy")
        }
        Some(_) => format!("controller {node} does not answer, which does not show that it is stopped"),
        None => format!("controller {node} was not asked, so that it may run"),
    }
}

fn leader_last(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let node = change.voter.node;
    if change.kind == QuorumChangeKind::Add || ground.seen.quorum.leader != Some(node) {
        return None;
    }
    let is_before = |known: &Known| matches!(known.advice, Advice::Remove | Advice::Add);
    let others: Vec<_> = ground.known.iter().filter(|(it, known)| **it != node && is_before(known)).collect();
    if let Some((other, _)) = others.first() {
        return Some(waits(Guard::I8, format!("controller {node} leads: {other} comes first")));
    }
    let last = ground.desired.history.iter().rfind(|entry| entry.kind == QuorumChangeKind::ShrinkLeader);
    match last.map(|entry| age(entry.at, ground.now)) {
        Some(last) if last < LEADER_REST => {
            Some(waits(Guard::I8, format!("the leader was removed {} s ago", last.as_secs())))
        }
        _ => Some(judged(Guard::I8, true, Code::InProgress, format!("controller {node} leads and is the last"))),
    }
}

fn no_rollout(change: &Change, ground: Ground<'_>) -> Check {
    // Neither joiners nor controllers that are gone for good become ready by waiting.
    let is_exempt = |node: &NodeId| {
        let gone = ground.known.get(node).and_then(|known| known.gone.as_ref());
        *node == change.voter.node || ground.seen.quorum.voter(*node).is_none() || gone.is_some_and(Gone::is_for_good)
    };
    let unready = ground.seen.unready.iter().find(|(node, _)| !is_exempt(node));
    let unready = unready.map(|(node, why)| format!("the pod of controller {node} is not ready: {why}"));
    let rollout = ground.seen.rollout.clone().or(unready);
    judged(Guard::I10, rollout.is_none(), Code::Rollout, rollout.unwrap_or_else(|| "no rollout".to_owned()))
}

fn rested(change: &Change, ground: Ground<'_>) -> Check {
    if ground.seen.leader_changed {
        return waits(Guard::I11, "the leader changed during this look".to_owned());
    }
    // A replaced disk leaves a voter fewer: its second half follows at once, and nothing else does.
    let is_second_half = |entry: &QuorumEntry| {
        let is_first_half = entry.kind == QuorumChangeKind::ForgetDisk && entry.target.node == change.voter.node;
        is_first_half && change.kind == QuorumChangeKind::Add
    };
    let last = ground.desired.history.last().filter(|entry| !is_second_half(entry));
    match last.map(|entry| age(entry.at, ground.now)) {
        Some(rest) if rest < ground.rest => waits(
            Guard::I11,
            format!("{} s since the last change, {} s are waited for", rest.as_secs(), ground.rest.as_secs()),
        ),
        _ => judged(Guard::I11, true, Code::InProgress, "at rest".to_owned()),
    }
}
