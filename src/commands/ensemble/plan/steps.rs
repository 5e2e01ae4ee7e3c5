//! A pass as a plan: what the document takes over, how an earlier change ended, and at most one new change. The steps are the same
//! for servers of ZooKeeper and for controllers of KRaft; what differs is in [`Steps`].

use std::fmt;

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::change::event::Severity;
use crate::change::plan::{self, Plan, Risk, Step};
use crate::cluster::ensemble::desired::{DesiredState, MemberState};
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::coherence::Alert;
use crate::commands::ensemble::plan::guards::Check;
use crate::commands::ensemble::plan::pass::{Decision, Id, Op, Pass, Protocol};

/// The event of a refusal names this subject.
pub const SUBJECT: &str = "ensemble:membership";

/// What the steps of a protocol say and hold.
pub trait Steps: Protocol<ScaleDown: fmt::Display + Serialize + Send + Sync> {
    /// What a member is called, as `server`.
    const MEMBER: &'static str;
    /// What JSON calls a member's id.
    const ID: &'static str;
    /// What a member in the state [`MemberState::Voter`] is.
    const VOTER: &'static str;

    /// A change, with all that it was judged by. Its text is its line in the plan.
    type Planned: fmt::Debug + fmt::Display + Clone + Eq + Serialize + Send + Sync;
    /// What is written into the ensemble itself, so that it is known again. Its text is its line in the plan.
    type Identity: fmt::Debug + fmt::Display + Clone + Eq + Serialize + Send + Sync;

    /// A change that was decided, as it is sent.
    fn planned(change: &Self::Change, pass: &Pass<Self>, seen: &Self::Seen) -> Result<Self::Planned, Refusal>;

    /// The intent for the document.
    fn op(planned: &Self::Planned, id: String, started_at: Timestamp) -> Op<Self>;

    /// The member that a change is about.
    fn target(op: &Op<Self>) -> Id<Self>;

    /// The members before and after a change, `key: value` lines for an event's table.
    fn before_after(op: &Op<Self>) -> (String, String);

    /// `key: value` lines of a document.
    fn lines(desired: &Self::Desired) -> String;

    /// The member whose process is stopped.
    fn stopped(scale_down: &Self::ScaleDown) -> Id<Self>;

    /// What runs before and after a process is stopped, `key: value` lines.
    fn replicas(scale_down: &Self::ScaleDown) -> (String, String);
}

/// One step of a pass, or of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case", bound = "")]
pub enum MembershipStep<P: Steps> {
    /// An open change of the document had no effect and will have none: it is taken out.
    Forget {
        /// The change.
        op: Box<Op<P>>,
    },
    /// The document takes over what a member has become.
    Mark {
        /// The member.
        #[serde(flatten, serialize_with = "named::<P, _, _>")]
        id: Id<P>,
        /// Its state until now.
        #[serde(skip)]
        was: Option<MemberState>,
        /// Its state from now on.
        state: MemberState,
    },
    /// An open change was applied: it is confirmed and recorded.
    Confirm {
        /// The change.
        op: Box<Op<P>>,
    },
    /// A change is sent.
    Change(Box<P::Planned>),
    /// The pod of a member that was removed is stopped.
    ScaleDown(Box<P::ScaleDown>),
    /// The ensemble gets an id of its own.
    Identify(P::Identity),
    /// The document is written.
    Declare(Box<Declared<P>>),
}

/// What people say, made into a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Declared<P: Steps> {
    /// The member that it is about; none for all of them.
    #[serde(flatten, serialize_with = "named::<P, _, _>")]
    pub id: Option<Id<P>>,
    /// In words, as `server 4 should join`.
    pub words: String,
    /// Whether the data of a member is given up.
    pub gives_up_data: bool,
    /// The document before; none where there is none.
    pub before: Option<Box<P::Desired>>,
    /// The document after.
    pub after: Box<P::Desired>,
}

/// A member's id under its own name.
fn named<P: Steps, T: Serialize, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(P::ID, id)?;
    map.end()
}

/// The kinds of steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Batch {
    /// See [`MembershipStep::Forget`].
    Forget,
    /// See [`MembershipStep::Mark`].
    Mark,
    /// See [`MembershipStep::Confirm`].
    Confirm,
    /// See [`MembershipStep::Change`].
    Reconfigure,
    /// See [`MembershipStep::ScaleDown`].
    ScaleDown,
    /// See [`MembershipStep::Identify`].
    Identify,
    /// See [`MembershipStep::Declare`].
    Declare,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forget => "forget",
            Self::Mark => "mark",
            Self::Confirm => "confirm",
            Self::Reconfigure => "reconfigure",
            Self::ScaleDown => "scale-down",
            Self::Identify => "identify",
            Self::Declare => "declare",
        })
    }
}

/// What a pass does, as a plan. Findings are its warnings, what forbids a change its refusal.
pub fn plan<P: Steps>(pass: &Pass<P>, desired: Option<&P::Desired>, seen: &P::Seen) -> Plan<MembershipStep<P>> {
    let mut plan = Plan::default();
    for finding in &pass.findings {
        match finding.alert {
            Alert::Notice => plan.warn(finding.text.clone()),
            Alert::IncoherentConfiguration => plan.find(SUBJECT, "ensemble.incoherent", finding.text.clone()),
            Alert::UnsafeNumber => plan.find(SUBJECT, "ensemble.unsafe_number", finding.text.clone()),
        }
    }
    if let Some(op) = desired.and_then(DesiredState::op).filter(|_| pass.clears_op) {
        plan.steps.push(MembershipStep::Forget { op: Box::new(op.clone()) });
    }
    let mut known = desired.cloned();
    plan.steps.extend(pass.marks.iter().map(|(id, state)| {
        let was = known.as_mut().and_then(|known| known.state_mut(*id)).copied();
        MembershipStep::Mark { id: *id, was, state: *state }
    }));
    if let Some(scale_down) = &pass.scale_down {
        plan.steps.push(MembershipStep::ScaleDown(Box::new(scale_down.clone())));
    }
    match &pass.decision {
        Decision::Nothing => {}
        Decision::Wait(why) => plan.warn(format!("waiting: {why}")),
        Decision::Refuse(refusal) => refuse(&mut plan, refusal),
        Decision::Confirm(op) => plan.steps.push(MembershipStep::Confirm { op: op.clone() }),
        Decision::Change(change) => match P::planned(change, pass, seen) {
            Ok(planned) => plan.steps.push(MembershipStep::Change(Box::new(planned))),
            Err(refusal) => refuse(&mut plan, &refusal),
        },
    }
    plan
}

/// Adds a refusal.
pub fn refuse<S>(plan: &mut Plan<S>, why: &Refusal) {
    plan.refusals.push(refusal(why));
}

/// A refusal as plans and events have it: its name stands for the change that is refused, so that events and JSON show it by
/// itself.
pub fn refusal(why: &Refusal) -> plan::Refusal {
    plan::Refusal {
        subject: SUBJECT.to_owned(),
        change: why.code.name().to_owned(),
        reason: format!("{}. {}", why.why, why.next),
    }
}

/// What a record says, `key: value` lines: by them the changes of runs that died are recognised. Empty where there is no record.
pub fn record_lines<P: Steps>(desired: Option<&P::Desired>) -> String {
    desired.map_or_else(String::new, |desired| format!("{}\n{}", P::lines(desired), open_change::<P>(desired.op())))
}

/// The change that a record names as begun.
fn open_change<P: Steps>(op: Option<&Op<P>>) -> String {
    op.map_or_else(|| "change: none".to_owned(), |op| format!("change: {op}"))
}

/// What the record says of a member.
pub(super) fn state_word<P: Steps>(state: MemberState) -> &'static str {
    match state {
        MemberState::Reserved => "reserved",
        MemberState::Joining => "joining",
        MemberState::Voter => P::VOTER,
        MemberState::Leaving => "leaving",
        MemberState::Retired => "retired",
    }
}

impl<P: Steps> Pass<P> {
    /// The guards of a change that was decided.
    pub(super) fn checks_of(&self, change: &P::Change) -> Vec<Check> {
        let candidate = self.candidates.iter().find(|candidate| candidate.change == *change);
        candidate.map(|candidate| candidate.checks.clone()).unwrap_or_default()
    }
}

/// A planned change as the document will have it, but for its id and its time.
fn draft<P: Steps>(planned: &P::Planned) -> Op<P> {
    P::op(planned, String::new(), Timestamp::UNIX_EPOCH)
}

impl<P: Steps> fmt::Display for MembershipStep<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forget { op } => write!(f, "~ the record forgets {op}: it was not applied"),
            Self::Mark { id, state, .. } => {
                write!(f, "~ the record says that {} {id} is {}", P::MEMBER, state_word::<P>(*state))
            }
            Self::Confirm { op } => write!(f, "~ {op} was applied: confirm and record it"),
            Self::Change(planned) => write!(f, "{planned}"),
            Self::ScaleDown(scale_down) => write!(f, "- {scale_down}"),
            Self::Identify(identity) => write!(f, "{identity}"),
            Self::Declare(declared) => {
                write!(f, "{} {}", if declared.before.is_some() { '~' } else { '+' }, declared.words)
            }
        }
    }
}

impl<P: Steps> Step for MembershipStep<P> {
    type Batch = Batch;

    fn subject(&self) -> String {
        let id = match self {
            Self::Forget { op } | Self::Confirm { op } => Some(P::target(op)),
            Self::Mark { id, .. } => Some(*id),
            Self::Change(planned) => Some(P::target(&draft::<P>(planned))),
            Self::ScaleDown(scale_down) => Some(P::stopped(scale_down)),
            Self::Identify(_) => None,
            Self::Declare(declared) => declared.id,
        };
        id.map_or_else(|| SUBJECT.to_owned(), |id| format!("{}:{id}", P::MEMBER))
    }

    fn risk(&self) -> Risk {
        match self {
            Self::Declare(declared) if declared.gives_up_data => Risk::LosesData,
            _ => Risk::Reversible,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Forget { .. } => "ensemble.change_forgotten",
            Self::Mark { .. } => "ensemble.member_marked",
            Self::Confirm { .. } => "ensemble.change_confirmed",
            Self::Change(_) => "ensemble.reconfigured",
            Self::ScaleDown(_) => "ensemble.replicas_lowered",
            Self::Identify(_) => "ensemble.identified",
            Self::Declare(_) => "ensemble.declared",
        }
    }

    fn batch(&self) -> Batch {
        match self {
            Self::Forget { .. } => Batch::Forget,
            Self::Mark { .. } => Batch::Mark,
            Self::Confirm { .. } => Batch::Confirm,
            Self::Change(_) => Batch::Reconfigure,
            Self::ScaleDown(_) => Batch::ScaleDown,
            Self::Identify(_) => Batch::Identify,
            Self::Declare(_) => Batch::Declare,
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Change(_) | Self::Confirm { .. } => Severity::Success,
            _ => Severity::Info,
        }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        let both = |(before, after)| (Some(before), Some(after));
        match self {
            Self::Change(planned) => both(P::before_after(&draft::<P>(planned))),
            Self::Confirm { op } => both(P::before_after(op)),
            Self::ScaleDown(scale_down) => both(P::replicas(scale_down)),
            Self::Declare(declared) => (declared.before.as_deref().map(P::lines), Some(P::lines(&declared.after))),
            Self::Mark { was, state, .. } => {
                let line = |state: MemberState| format!("state: {}", state_word::<P>(state));
                (was.map(line), Some(line(*state)))
            }
            Self::Forget { op } => both((open_change::<P>(Some(&**op)), open_change::<P>(None))),
            Self::Identify(_) => (None, None),
        }
    }
}
