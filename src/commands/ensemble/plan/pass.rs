//! One pass, without any I/O, the same for a ZooKeeper ensemble and a quorum of KRaft controllers: (desired, seen, now) → findings,
//! what each member is, and at most one change or a refusal.
//!
//! The rules are those of `ensemble` in ARCHITECTURE.md: refuse first, then settle what an earlier pass left open, then the first
//! change that passes all guards. What differs between the two is in [`Protocol`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::ensemble::desired::{DesiredState, MemberState};
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Finding;
use crate::commands::ensemble::plan::guards::{Check, Judgement};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::settle::{LATE, Settlement};

/// What identifies a member.
pub type Id<P> = <<P as Protocol>::Desired as DesiredState>::Id;

/// A change that is under way.
pub type Op<P> = <<P as Protocol>::Desired as DesiredState>::Op;

/// What is known of every member.
pub type Members<P> = BTreeMap<Id<P>, <P as Protocol>::Known>;

/// How members are looked at and changed: by ZooKeeper's dynamic reconfiguration, or by KRaft's calls for voters.
pub trait Protocol: fmt::Debug + Copy + Eq + Send + Sync + 'static {
    /// Why a change that shows no effect may still take effect, in words that end with a comma; empty where there is nothing to say.
    const LATE_BECAUSE: &'static str;

    /// The document.
    type Desired: DesiredState;
    /// What one look showed.
    type Seen: fmt::Debug;
    /// What is known of one member.
    type Known: fmt::Debug + Clone + Eq;
    /// One change, not yet sent.
    type Change: fmt::Debug + fmt::Display + Clone + Eq;
    /// How the process of a member that was removed is stopped; [`Never`] where a person does it.
    type ScaleDown: fmt::Debug + Clone + Eq;

    /// How many failures the members survive now; none where nobody knows who they are.
    fn tolerance(seen: &Self::Seen) -> Option<Tolerance>;

    /// Every member, desired or seen.
    fn known(desired: &Self::Desired, seen: &Self::Seen) -> Members<Self>;

    /// What is wrong, whether or not anything should change.
    fn findings(input: Input<'_, Self>, known: &Members<Self>) -> Vec<Finding>;

    /// What forbids even to settle an open change.
    fn at_once(input: Input<'_, Self>) -> Option<Refusal>;

    /// The document, once one was adopted.
    fn adopted(desired: Option<&Self::Desired>) -> Result<Self::Desired, Refusal>;

    /// How an open change ended; refused where nobody knows.
    fn settle(op: &Op<Self>, input: Input<'_, Self>) -> Result<Settlement, Refusal>;

    /// What forbids a new change, once no old one is open.
    fn before_a_change(input: Input<'_, Self>, desired: &Self::Desired) -> Option<Refusal>;

    /// The state that the document can take over from what is seen of a member.
    fn mark(known: &Self::Known) -> Option<MemberState>;

    /// Every change that could be next, in the order in which they are tried, with its guards.
    fn candidates(desired: &Self::Desired, input: Input<'_, Self>, known: &Members<Self>) -> Vec<Candidate<Self>>;

    /// Why the first change that could be next is refused; none where it only waits.
    fn refusal(candidate: &Candidate<Self>) -> Option<Refusal>;

    /// What a pass without any candidate does.
    fn without_candidate(known: &Members<Self>) -> Decision<Self>;

    /// The process to stop of a member that was removed.
    fn scale_down(desired: &Self::Desired, seen: &Self::Seen) -> Option<Self::ScaleDown>;
}

/// What a protocol does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// What a pass looks at.
#[derive(Debug)]
pub struct Input<'a, P: Protocol> {
    /// The document; none before `adopt`.
    pub desired: Option<&'a P::Desired>,
    /// What was seen.
    pub seen: &'a P::Seen,
    /// The present time.
    pub now: Timestamp,
    /// How long the members rest between two changes.
    pub rest: Duration,
    /// Whether a change may be sent: what was not measured counts as not given then.
    pub is_strict: bool,
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "a derived one would want the document itself to be Copy")]
impl<P: Protocol> Clone for Input<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Protocol> Copy for Input<'_, P> {}

/// What a pass comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass<P: Protocol> {
    /// How many failures the members survive now.
    pub tolerance: Option<Tolerance>,
    /// What is known of each member.
    pub members: Members<P>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// States that the document can take over: no membership changes by it.
    pub marks: BTreeMap<Id<P>, MemberState>,
    /// Whether the open change of the document is over without effect, and may be taken out.
    pub clears_op: bool,
    /// All changes that could be next, each with its guards.
    pub candidates: Vec<Candidate<P>>,
    /// The process of a removed member that is stopped: never together with a change.
    pub scale_down: Option<P::ScaleDown>,
    /// What is done.
    pub decision: Decision<P>,
}

/// A change that could be next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<P: Protocol> {
    /// The change.
    pub change: P::Change,
    /// Its guards.
    pub checks: Vec<Check>,
}

/// What a pass does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<P: Protocol> {
    /// All is as desired.
    Nothing,
    /// Nothing can be done yet; why, in words.
    Wait(String),
    /// Nothing is done, and a person should know.
    Refuse(Refusal),
    /// The open change was applied: confirm and record it.
    Confirm(Box<Op<P>>),
    /// This change is sent.
    Change(Box<P::Change>),
}

/// Decides on one pass.
pub fn decide<P: Protocol>(input: Input<'_, P>) -> Pass<P> {
    let nothing = P::Desired::default();
    let members = P::known(input.desired.unwrap_or(&nothing), input.seen);
    let mut pass = Pass {
        tolerance: P::tolerance(input.seen),
        findings: P::findings(input, &members),
        members,
        marks: BTreeMap::new(),
        clears_op: false,
        candidates: Vec::new(),
        scale_down: None,
        decision: Decision::Nothing,
    };
    pass.decision = decision(&mut pass, input).unwrap_or_else(Decision::Refuse);
    pass
}

fn decision<P: Protocol>(pass: &mut Pass<P>, input: Input<'_, P>) -> Result<Decision<P>, Refusal> {
    if let Some(refusal) = P::at_once(input) {
        return Err(refusal);
    }
    let mut desired = P::adopted(input.desired)?;
    if let Some(op) = desired.op().cloned() {
        match P::settle(&op, input)? {
            Settlement::Applied => return Ok(Decision::Confirm(Box::new(op))),
            Settlement::Waits { seconds } => return Ok(Decision::Wait(waits_for_op::<P>(&op, seconds))),
            Settlement::NotApplied | Settlement::Conflict => pass.clears_op = true,
        }
        desired = desired.with_op(None);
    }
    if let Some(refusal) = P::before_a_change(input, &desired) {
        return Err(refusal);
    }
    for (id, known) in &pass.members {
        if let (Some(mark), Some(state)) = (P::mark(known), desired.state_mut(*id)) {
            *state = mark;
            pass.marks.insert(*id, mark);
        }
    }
    // What is marked is known anew: a joiner that is a member already is a voter from now on.
    let known = P::known(&desired, input.seen);
    pass.candidates = P::candidates(&desired, input, &known);
    let chosen = chosen(&pass.candidates, &known, input.is_strict);
    if !matches!(chosen, Ok(Decision::Change(_))) {
        pass.scale_down = P::scale_down(&desired, input.seen);
    }
    chosen
}

fn waits_for_op<P: Protocol>(op: &Op<P>, seconds: u64) -> String {
    let (because, late) = (P::LATE_BECAUSE, LATE.as_secs());
    format!("{op} was sent {seconds} s ago and shows no effect; {because}{late} s are waited for")
}

/// The first change that passes all guards; else why the first one does not.
fn chosen<P: Protocol>(
    candidates: &[Candidate<P>],
    known: &Members<P>,
    is_strict: bool,
) -> Result<Decision<P>, Refusal> {
    if let Some(candidate) = candidates.iter().find(|candidate| candidate.passes(is_strict)) {
        return Ok(Decision::Change(Box::new(candidate.change.clone())));
    }
    let Some(first) = candidates.first() else { return Ok(P::without_candidate(known)) };
    if let Some(refusal) = P::refusal(first) {
        return Err(refusal);
    }
    let check = first.checks.iter().find(|check| check.judgement != Judgement::Holds);
    Ok(Decision::Wait(check.map_or_else(|| format!("{}: ", first.change), |check| first.waits(check))))
}

impl<P: Protocol> Candidate<P> {
    /// Whether every guard holds; what was not measured counts as given unless the change is to be sent.
    pub fn passes(&self, is_strict: bool) -> bool {
        self.checks.iter().all(|check| match check.judgement {
            Judgement::Holds => true,
            Judgement::Unmeasured => !is_strict,
            Judgement::Refuses(_) | Judgement::Waits => false,
        })
    }

    /// The first check that refuses, by what `code` takes for a refusal.
    pub(super) fn first_refusal(&self, code: impl Fn(&Check) -> Option<Code>) -> Option<Refusal> {
        let (check, code) = self.checks.iter().find_map(|check| Some((check, code(check)?)))?;
        let why = format!("{}: guard {} refuses: {}", self.change, check.guard, check.numbers);
        Some(Refusal::new(code, why, next_step(code)))
    }

    /// That a guard waits, in words.
    pub(super) fn waits(&self, check: &Check) -> String {
        format!("{}: guard {} waits: {}", self.change, check.guard, check.numbers)
    }
}
