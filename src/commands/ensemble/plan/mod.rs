//! One pass, without any I/O: (desired, seen, now) → findings, what each server is, and at most one change or a refusal.
//!
//! The rules are those of `ensemble` in ARCHITECTURE.md: refuse first, then settle what an earlier pass left open, then the first
//! change that passes all guards.

pub mod change;
pub mod code;
pub mod coherence;
pub mod declare;
pub mod guards;
pub mod kraft;
pub mod pods;
pub mod prestart;
pub mod refuse;
pub mod seen;
pub mod settle;
pub mod steps;
pub mod stop;
pub mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{Desired, MemberState, Op};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::change::{Change, Known};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Finding;
use crate::commands::ensemble::plan::guards::{Check, Ground, Judgement};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::settle::Settlement;
use crate::commands::ensemble::plan::stop::ScaleDown;
use crate::commands::ensemble::plan::table::{Advice, Want};

/// What a pass looks at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The document; none before `adopt`.
    pub desired: Option<&'a Desired>,
    /// What was seen.
    pub seen: &'a Seen,
    /// The present time.
    pub now: Timestamp,
    /// How long the ensemble rests between two changes.
    pub rest: Duration,
    /// Whether a change may be sent: what was not measured counts as not given then.
    pub is_strict: bool,
}

/// What a pass comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// How many failures the ensemble survives now.
    pub tolerance: Option<Tolerance>,
    /// What is known of each server.
    pub servers: BTreeMap<ServerId, Known>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// States that the document can take over: nothing in the ensemble changes by it.
    pub marks: BTreeMap<ServerId, MemberState>,
    /// Whether the open change of the document is over without effect, and may be taken out.
    pub clears_op: bool,
    /// All changes that could be next, each with its guards.
    pub candidates: Vec<Candidate>,
    /// The replicas of a StatefulSet that are lowered, as the server of its last pod was removed: never together with a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScaleDown>,
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
    /// The ensemble is as desired.
    Nothing,
    /// Nothing can be done yet; why, in words.
    Wait(String),
    /// Nothing is done, and a person should know.
    Refuse(Refusal),
    /// The open change was applied: confirm and record it.
    Confirm(Box<Op>),
    /// This change is sent.
    Change(Box<Change>),
}

/// Decides on one pass.
pub fn decide(input: Input<'_>) -> Pass {
    let Input { desired, seen, now, .. } = input;
    let nothing = Desired::default();
    let servers = change::known(desired.unwrap_or(&nothing), seen);
    let findings = coherence::findings(desired, seen, &servers, now);
    let mut pass = Pass {
        tolerance: seen.tolerance(),
        servers,
        findings,
        marks: BTreeMap::new(),
        clears_op: false,
        candidates: Vec::new(),
        scale_down: None,
        decision: Decision::Nothing,
    };
    pass.decision = decision(&mut pass, input);
    pass
}

fn decision(pass: &mut Pass, input: Input<'_>) -> Decision {
    if let Some(refusal) = refuse::at_once(input) {
        return Decision::Refuse(refusal);
    }
    let Some(desired) = input.desired else { return Decision::Refuse(refuse::not_adopted()) };
    let mut desired = desired.clone();
    if let Some(op) = &desired.op {
        match settle::settle(op, input.seen.quorum.as_ref(), input.now) {
            Settlement::Applied => return Decision::Confirm(Box::new(op.clone())),
            Settlement::Waits { seconds } => return Decision::Wait(waits_for_op(op, seconds)),
            Settlement::Unknown => return Decision::Refuse(refuse::no_quorum(input.seen)),
            Settlement::NotApplied | Settlement::Conflict => pass.clears_op = true,
        }
        desired.op = None;
    }
    if let Some(refusal) = refuse::before_a_change(input, &desired) {
        return Decision::Refuse(refusal);
    }
    pass.marks = marks(&desired, &pass.servers);
    for (id, state) in &pass.marks {
        if let Some(member) = desired.members.get_mut(id) {
            member.state = *state;
        }
    }
    // What is marked is known anew: a joiner that is a member already is a voter from now on.
    let known = change::known(&desired, input.seen);
    pass.candidates = checked(&desired, input, &known);
    let decision = chosen(&pass.candidates, &known, input.is_strict);
    if !matches!(decision, Decision::Change(_)) {
        pass.scale_down = stop::scale_down(&desired, input.seen);
    }
    decision
}

fn waits_for_op(op: &Op, seconds: u64) -> String {
    let (kind, target, late) = (op.kind.word(), op.target, settle::LATE.as_secs());
    format!(
        "{kind} of server {target} was sent {seconds} s ago and shows no effect; a frozen leader may still \
            apply it, {late} s are waited for"
    )
}

fn marks(desired: &Desired, known: &BTreeMap<ServerId, Known>) -> BTreeMap<ServerId, MemberState> {
    let mark = |known: &Known| match known.advice {
        Advice::MarkRetired => Some(MemberState::Retired),
        Advice::MarkVoter => Some(MemberState::Voter),
        _ => None,
    };
    let marked = known.iter().filter(|(id, _)| desired.members.contains_key(id));
    marked.filter_map(|(id, known)| Some((*id, mark(known)?))).collect()
}

fn checked(desired: &Desired, input: Input<'_>, known: &BTreeMap<ServerId, Known>) -> Vec<Candidate> {
    let Some(membership) = input.seen.membership() else { return Vec::new() };
    let ground = Ground { desired, seen: input.seen, known, membership, now: input.now, rest: input.rest };
    let candidate = |change: Change| Candidate { checks: guards::check(&change, ground), change };
    change::candidates(desired, input.seen, known).into_iter().map(candidate).collect()
}

/// The first change that passes all guards; else why the first one does not.
fn chosen(candidates: &[Candidate], known: &BTreeMap<ServerId, Known>, is_strict: bool) -> Decision {
    if let Some(candidate) = candidates.iter().find(|candidate| candidate.passes(is_strict)) {
        return Decision::Change(Box::new(candidate.change.clone()));
    }
    let Some(first) = candidates.first() else { return waiting(known) };
    let change = &first.change;
    let failed = first.checks.iter().find_map(|check| match check.judgement {
        Judgement::Refuses(code) => Some((check, code)),
        _ => None,
    });
    if let Some((check, code)) = failed {
        let why = format!("{change}: guard {} refuses: {}", check.guard, check.numbers);
        return Decision::Refuse(Refusal::new(code, why, refuse::next_step(code)));
    }
    let holds_up = |check: &&Check| check.judgement != Judgement::Holds;
    let check = first.checks.iter().find(holds_up);
    let numbers = check.map(|check| format!("guard {} waits: {}", check.guard, check.numbers)).unwrap_or_default();
    if check.is_some_and(|check| check.judgement == Judgement::Unmeasured) {
        return Decision::Refuse(Refusal::new(
            Code::NotCaughtUp,
            format!("{change}: {numbers}"),
            refuse::next_step(Code::NotCaughtUp),
        ));
    }
    Decision::Wait(format!("{change}: {numbers}"))
}

/// What a pass without any candidate waits for.
fn waiting(known: &BTreeMap<ServerId, Known>) -> Decision {
    let is_open = |advice: Advice| {
        matches!(
            advice,
            Advice::WaitForServer
                | Advice::WaitForData
                | Advice::WaitForQuorum
                | Advice::DropIfGone
                | Advice::StopServer
                | Advice::Alarm
                | Advice::Rewrite
        )
    };
    let open = known.iter().filter(|(_, it)| is_open(it.advice));
    let words: Vec<_> = open.map(|(id, it)| waits_for(*id, it)).collect();
    if words.is_empty() { Decision::Nothing } else { Decision::Wait(words.join("; ")) }
}

fn waits_for(id: ServerId, known: &Known) -> String {
    // ZooKeeper would take a joiner that does not run, too.
    let is_refused = known.want == Want::Joining && matches!(known.advice, Advice::WaitForServer | Advice::WaitForData);
    let code = if is_refused { format!(" ({})", Code::NotCaughtUp) } else { String::new() };
    format!("server {id} ({}): {}{code}", known.row.words(), known.advice.words())
}

impl Candidate {
    /// Whether every guard holds; what was not measured counts as given unless the change is to be sent.
    pub fn passes(&self, is_strict: bool) -> bool {
        self.checks.iter().all(|check| match check.judgement {
            Judgement::Holds => true,
            Judgement::Unmeasured => !is_strict,
            Judgement::Refuses(_) | Judgement::Waits => false,
        })
    }
}

#[cfg(test)]
mod tests;
