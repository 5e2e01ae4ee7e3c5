//! One pass over a quorum of KRaft controllers, without any I/O: (desired, seen, now) → findings, what each controller is, and at
//! most one change or a refusal.
//!
//! The controllers' own checks are weak: an observer that fetched within the last hour counts as caught up, and a removal does not
//! look whether the rest is alive. So every guard is ours.

pub mod change;
pub mod declare;
pub mod follow;
pub mod guards;
pub mod pods;
pub mod prestart;
pub mod prestart_steps;
pub mod seen;
pub mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::controllers::{
    DesiredQuorum, LastVoters, QuorumChangeKind, QuorumEntry, QuorumOp, Voters,
};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{Alert, Finding};
use crate::commands::ensemble::plan::guards::{Check, Guard, Judgement, VOTERS_MIN};
use crate::commands::ensemble::plan::kraft::change::{Advice, Change, Known, candidates, known};
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::seen::age;
use crate::commands::ensemble::plan::settle::{LATE, Settlement};

/// What a pass looks at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The document; none before `adopt`.
    pub desired: Option<&'a DesiredQuorum>,
    /// What was seen.
    pub seen: &'a SeenQuorum,
    /// The present time.
    pub now: Timestamp,
    /// How long the quorum rests between two changes.
    pub rest: Duration,
    /// Whether a change may be sent: what was not measured counts as not given then.
    pub is_strict: bool,
}

/// What a pass comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// How many failures the quorum survives now.
    pub tolerance: Tolerance,
    /// What is known of each controller.
    pub controllers: BTreeMap<NodeId, Known>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// States that the document can take over.
    pub marks: BTreeMap<NodeId, MemberState>,
    /// Whether the open change of the document is over without effect, and may be taken out.
    pub clears_op: bool,
    /// The first change that could be next, with its guards, where there is one.
    pub candidates: Vec<Candidate>,
    /// What is done.
    pub decision: Decision,
}

/// A change that could be next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The change.
    pub change: Change,
    /// Its guards.
    pub checks: Vec<Check>,
}

/// What a pass does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The quorum is as desired.
    Nothing,
    /// Nothing can be done yet; why, in words.
    Wait(String),
    /// Nothing is done, and a person should know.
    Refuse(Refusal),
    /// The open change was applied: record it.
    Confirm(Box<QuorumOp>),
    /// This change is sent.
    Change(Box<Change>),
}

/// Decides on one pass.
pub fn decide(input: Input<'_>) -> Pass {
    let nothing = DesiredQuorum::default();
    let controllers = known(input.desired.unwrap_or(&nothing), input.seen);
    let mut pass = Pass {
        tolerance: input.seen.tolerance(),
        findings: findings(input, &controllers),
        controllers,
        marks: BTreeMap::new(),
        clears_op: false,
        candidates: Vec::new(),
        decision: Decision::Nothing,
    };
    pass.decision = decision(&mut pass, input);
    pass
}

fn decision(pass: &mut Pass, input: Input<'_>) -> Decision {
    let seen = input.seen;
    if let Some(refusal) = at_once(seen) {
        return Decision::Refuse(refusal);
    }
    let Some(desired) = input.desired.filter(|desired| desired.last_voters.is_some()) else {
        return Decision::Refuse(not_adopted());
    };
    let mut desired = desired.clone();
    if let Some(op) = desired.op.take() {
        match settle(&op, &seen.voter_set(), input.now) {
            Settlement::Applied => return Decision::Confirm(Box::new(op)),
            Settlement::Waits { seconds } => {
                let (kind, late) = (op.kind.word(), LATE.as_secs());
                return Decision::Wait(format!(
                    "{kind} of controller {} was sent {seconds} s ago and shows no effect; {late} s are waited for",
                    op.target
                ));
            }
            Settlement::Unknown | Settlement::NotApplied | Settlement::Conflict => pass.clears_op = true,
        }
    }
    if let Some(refusal) = regressed(&desired, seen) {
        return Decision::Refuse(refusal);
    }
    pass.marks = marks(&pass.controllers);
    for (node, state) in &pass.marks {
        if let Some(member) = desired.members.get_mut(node) {
            member.state = *state;
        }
    }
    let known = known(&desired, seen);
    let ground = guards::Ground { desired: &desired, seen, known: &known, now: input.now, rest: input.rest };
    let candidate = |change: Change| Candidate { checks: guards::check(&change, ground), change };
    pass.candidates = candidates(&desired, seen, &known).into_iter().map(candidate).collect();
    chosen(&pass.candidates, &known, input.is_strict)
}

/// No quorum was adopted.
pub fn not_adopted() -> Refusal {
    refusal(Code::NotAdopted, "there is no record of this quorum's voters")
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// What forbids every change, and even to settle an open one.
pub fn at_once(seen: &SeenQuorum) -> Option<Refusal> {
    let tolerance = seen.tolerance();
    let has_quorum = seen.quorum.leader.is_some() && seen.quorum.high_watermark >= 0 && tolerance.spare() >= 0;
    if seen.migrates == Some(true) {
        return Some(refusal(Code::Migration, "a migration from ZooKeeper to KRaft runs"));
    }
    if !seen.quorum.voters.is_empty() && seen.is_static() {
        let why = "voters have no directory ids: the quorum is static (controller.quorum.voters), whatever \
            level kraft.version shows";
        return Some(refusal(Code::StaticQuorum, why));
    }
    if !has_quorum {
        let leader =
            seen.quorum.leader.map_or("no controller leads".to_owned(), |node| format!("controller {node} leads"));
        return Some(refusal(Code::NoQuorum, format!("{leader}; {}", tolerance.words())));
    }
    let mixed: Vec<_> = seen.without_kraft_version.iter().map(ToString::to_string).collect();
    let why = || format!("node {} does not support kraft.version 1", mixed.join(", "));
    (!mixed.is_empty()).then(|| refusal(Code::KraftVersionMixed, why()))
}

/// What became of an open change, by the voters that the quorum has now.
pub fn settle(op: &QuorumOp, voters: &Voters, now: Timestamp) -> Settlement {
    if *voters == op.after {
        return Settlement::Applied;
    }
    if *voters != op.before {
        return Settlement::Conflict;
    }
    let waited = age(op.started_at, now);
    if waited < LATE { Settlement::Waits { seconds: waited.as_secs() } } else { Settlement::NotApplied }
}

/// The document after a change was confirmed.
#[must_use]
pub fn recorded(desired: &DesiredQuorum, op: &QuorumOp, now: Timestamp) -> DesiredQuorum {
    let mut next = desired.clone();
    next.op = None;
    next.last_voters = Some(LastVoters { voters: op.after.clone(), since: now });
    next.remember(QuorumEntry { at: now, kind: op.kind, target: op.target });
    if let Some(member) = next.members.get_mut(&op.target.node) {
        member.state = match op.kind {
            QuorumChangeKind::Add => MemberState::Voter,
            QuorumChangeKind::ForgetDisk if member.state != MemberState::Leaving => MemberState::Joining,
            _ => MemberState::Retired,
        };
    }
    next
}

/// Whether somebody else changed the voters. With auto-join, declared controllers add themselves, and drop their own old disk.
fn regressed(desired: &DesiredQuorum, seen: &SeenQuorum) -> Option<Refusal> {
    let (last, now) = (&desired.last_voters.as_ref()?.voters, seen.voter_set());
    let is_declared = |node: &NodeId| {
        let state = desired.members.get(node).map(|member| member.state);
        matches!(state, Some(MemberState::Reserved | MemberState::Joining | MemberState::Voter))
    };
    let joins_itself = |node: &NodeId| seen.auto_join != Some(false) && is_declared(node);
    let added: Vec<_> = now.difference(last).filter(|voter| !joins_itself(&voter.node)).collect();
    let renewed = |node: &NodeId| joins_itself(node) && now.iter().any(|voter| voter.node == *node);
    let gone: Vec<_> = last.difference(&now).filter(|voter| !renewed(&voter.node)).collect();
    let listed = |voters: &[&_]| voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let why = || {
        format!(
            "the voters are not those that were left: added {}, lost {}",
            show(&listed(&added)),
            show(&listed(&gone))
        )
    };
    (!added.is_empty() || !gone.is_empty()).then(|| refusal(Code::MembershipRegressed, why()))
}

fn show(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

fn marks(known: &BTreeMap<NodeId, Known>) -> BTreeMap<NodeId, MemberState> {
    let mark = |known: &Known| match known.advice {
        Advice::MarkVoter => Some(MemberState::Voter),
        Advice::MarkRetired => Some(MemberState::Retired),
        _ => None,
    };
    known.iter().filter_map(|(node, known)| Some((*node, mark(known)?))).collect()
}

/// The first change that passes all guards; else why the first one does not.
fn chosen(candidates: &[Candidate], known: &BTreeMap<NodeId, Known>, is_strict: bool) -> Decision {
    let passes =
        |check: &Check| check.judgement == Judgement::Holds || (check.judgement == Judgement::Unmeasured && !is_strict);
    if let Some(candidate) = candidates.iter().find(|candidate| candidate.checks.iter().all(passes)) {
        return Decision::Change(Box::new(candidate.change.clone()));
    }
    let Some(Candidate { change, checks }) = candidates.first() else { return waiting(known) };
    let refuses = checks.iter().find_map(|check| match check.judgement {
        Judgement::Refuses(code) => Some((check, code)),
        Judgement::Unmeasured => Some((check, unmeasured(check.guard))),
        Judgement::Holds | Judgement::Waits => None,
    });
    if let Some((check, code)) = refuses {
        let why = format!("{change}: guard {} refuses: {}", check.guard, check.numbers);
        return Decision::Refuse(refusal(code, why));
    }
    let check = checks.iter().find(|check| check.judgement == Judgement::Waits);
    let why = check.map(|check| format!("guard {} waits: {}", check.guard, check.numbers)).unwrap_or_default();
    Decision::Wait(format!("{change}: {why}"))
}

/// What a change is refused with where a guard could not be measured.
fn unmeasured(guard: Guard) -> Code {
    match guard {
        Guard::I6 => Code::BadAddress,
        Guard::I12 => Code::AutoJoin,
        _ => Code::NotCaughtUp,
    }
}

fn waiting(known: &BTreeMap<NodeId, Known>) -> Decision {
    if let Some((node, _)) = known.iter().find(|(_, it)| it.advice == Advice::IdConflict) {
        let why = format!("controller {node} shows a directory that is not the recorded one");
        return Decision::Refuse(refusal(Code::IdConflict, why));
    }
    let is_open = |advice| matches!(advice, Advice::Wait | Advice::DropIfGone | Advice::StopServer | Advice::Alarm);
    let open = known.iter().filter(|(_, it)| is_open(it.advice));
    let words: Vec<_> =
        open.map(|(node, it)| format!("controller {node} ({}): {}", it.row.words(), it.advice.words())).collect();
    if words.is_empty() { Decision::Nothing } else { Decision::Wait(words.join("; ")) }
}

/// What is wrong, whether or not anything should change.
fn findings(input: Input<'_>, known: &BTreeMap<NodeId, Known>) -> Vec<Finding> {
    let (seen, tolerance) = (input.seen, input.seen.tolerance());
    let dev = input.desired.is_some_and(|desired| desired.dev);
    let mut found = Vec::new();
    let mut add = |alert, text: String| found.push(Finding { alert, text });
    if seen.quorum.leader.is_none() {
        add(Alert::IncoherentConfiguration, "no controller leads".to_owned());
    }
    // Without a leader nobody gets an answer.
    for (broker, why) in seen.cut_off.iter().filter(|_| seen.quorum.leader.is_some()) {
        let text = format!("broker {broker} answers metadata, but gets no answer from the controller: {why}");
        add(Alert::Notice, text);
    }
    if seen.is_static() {
        let text = "voters have no directory ids: the quorum is static and can't be changed while it runs".to_owned();
        add(Alert::Notice, text);
    }
    if tolerance.spare() < 1 && !dev {
        add(Alert::UnsafeNumber, tolerance.words());
    }
    if tolerance.voters < VOTERS_MIN && !dev {
        add(Alert::UnsafeNumber, format!("{} voters, {VOTERS_MIN} are needed to survive a failure", tolerance.voters));
    }
    if let Some(desired) = input.desired.filter(|desired| desired.size != tolerance.voters) {
        add(Alert::UnsafeNumber, format!("{} voters, {} are desired", tolerance.voters, desired.size));
    }
    for (node, known) in known.iter().filter(|_| input.desired.is_some()) {
        match known.advice {
            Advice::Alarm => {
                add(
                    Alert::IncoherentConfiguration,
                    format!("controller {node} votes, and the document does not want it"),
                );
            }
            Advice::IdConflict => {
                add(
                    Alert::IncoherentConfiguration,
                    format!("controller {node} shows a directory that is not the recorded one"),
                );
            }
            _ => {}
        }
    }
    for node in seen.ghosts() {
        let text = format!(
            "controller {node} is registered, and neither votes nor follows: unregister it before any \
                feature upgrade, which it would block"
        );
        add(Alert::Notice, text);
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests;
