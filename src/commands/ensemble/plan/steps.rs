//! A pass as a plan: what the document takes over, what an earlier change came to, and at most one new change.

use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{self, Plan, Risk, Step};
use crate::cluster::ensemble::desired::{ChangeKind, Desired, MemberState, Op};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::commands::ensemble::plan::change::Change;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Alert;
use crate::commands::ensemble::plan::guards::Check;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::stop::ScaleDown;
use crate::commands::ensemble::plan::{Decision, Pass};

/// The event of a refusal names this subject.
pub const SUBJECT: &str = "ensemble:membership";

/// One step of a pass, or of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnsembleStep {
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Act {
    /// An open change of the document had no effect and will have none: it is taken out.
    Forget {
        /// The change.
        op: Box<Op>,
    },
    /// The document takes over what a server has become.
    Mark {
        /// The server.
        id: ServerId,
        /// Its state from now on.
        state: MemberState,
    },
    /// An open change was applied: it is confirmed and recorded.
    Confirm {
        /// The change.
        op: Box<Op>,
    },
    /// A change is sent.
    Change(Box<Planned>),
    /// The pod of a server that was removed is stopped.
    ScaleDown(Box<ScaleDown>),
    /// The ensemble gets an id of its own, in a znode.
    Identify {
        /// The id.
        ensemble_id: String,
    },
    /// The document is written.
    Declare(Box<Declared>),
}

/// A change, with all that it was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The change.
    pub change: Change,
    /// The members before it, and the version that it is made for.
    pub from: EnsembleConfig,
    /// The members after it.
    pub after: Membership,
    /// The leader.
    pub leader: Option<ServerId>,
    /// The arguments of ZooKeeper's `reconfig`.
    pub arguments: String,
    /// What clients notice.
    pub impact: &'static str,
    /// The guards.
    pub checks: Vec<Check>,
}

/// What people say, made into a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// The server that it is about; none for all of them.
    pub id: Option<ServerId>,
    /// In words, as `server 4 should join`.
    pub words: String,
    /// Whether the data of a server is given up.
    pub gives_up_data: bool,
    /// The document before; none where there is none.
    pub before: Option<Box<Desired>>,
    /// The document after.
    pub after: Box<Desired>,
}

/// The kinds of steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Batch {
    /// See [`Act::Forget`].
    Forget,
    /// See [`Act::Mark`].
    Mark,
    /// See [`Act::Confirm`].
    Confirm,
    /// See [`Act::Change`].
    Reconfigure,
    /// See [`Act::ScaleDown`].
    ScaleDown,
    /// See [`Act::Identify`].
    Identify,
    /// See [`Act::Declare`].
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
pub fn plan(pass: &Pass, desired: Option<&Desired>, seen: &Seen) -> Plan<EnsembleStep> {
    let mut plan = Plan::default();
    for finding in &pass.findings {
        match finding.alert {
            Alert::Notice => plan.warn(finding.text.clone()),
            Alert::IncoherentConfiguration => plan.find(SUBJECT, "ensemble.incoherent", finding.text.clone()),
            Alert::UnsafeNumber => plan.find(SUBJECT, "ensemble.unsafe_number", finding.text.clone()),
        }
    }
    let mut add = |act| plan.steps.push(EnsembleStep { act });
    if let Some(op) = desired.and_then(|desired| desired.op.clone()).filter(|_| pass.clears_op) {
        add(Act::Forget { op: Box::new(op) });
    }
    for (id, state) in &pass.marks {
        add(Act::Mark { id: *id, state: *state });
    }
    if let Some(scale_down) = &pass.scale_down {
        add(Act::ScaleDown(Box::new(scale_down.clone())));
    }
    match &pass.decision {
        Decision::Nothing => {}
        Decision::Wait(why) => plan.warn(format!("waiting: {why}")),
        Decision::Refuse(refusal) => refuse(&mut plan, refusal),
        Decision::Confirm(op) => add(Act::Confirm { op: op.clone() }),
        Decision::Change(change) => match &seen.quorum {
            Some(from) => add(Act::Change(Box::new(planned(change, from, pass, seen)))),
            None => refuse(&mut plan, &Refusal::new(Code::NoQuorum, "no configuration is known", "Run again")),
        },
    }
    plan
}

/// Adds a refusal.
pub fn refuse(plan: &mut Plan<EnsembleStep>, why: &Refusal) {
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

fn planned(change: &Change, from: &EnsembleConfig, pass: &Pass, seen: &Seen) -> Planned {
    let checks = pass.candidates.iter().find(|candidate| candidate.change == *change);
    Planned {
        change: change.clone(),
        from: from.clone(),
        after: change.after(&from.membership),
        leader: seen.leader(),
        arguments: change.arguments(from.version),
        impact: change.impact(),
        checks: checks.map(|candidate| candidate.checks.clone()).unwrap_or_default(),
    }
}

impl Planned {
    /// The intent for the document.
    pub fn op(&self, id: String, started_at: jiff::Timestamp) -> Op {
        let Self { change, from, after, .. } = self;
        Op {
            id,
            kind: change.kind,
            target: change.target,
            from_version: from.version,
            before: from.membership.clone(),
            after: after.clone(),
            is_leader: change.is_leader,
            started_at,
        }
    }
}

fn kind_sign(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Promote | ChangeKind::Observe => '+',
        ChangeKind::Drop | ChangeKind::Shrink | ChangeKind::ShrinkLeader => '-',
        ChangeKind::Replace | ChangeKind::Unobserve | ChangeKind::Demote | ChangeKind::Readdress => '~',
    }
}

fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Reserved => "reserved",
        MemberState::Joining => "joining",
        MemberState::Voter => "a member",
        MemberState::Leaving => "leaving",
        MemberState::Retired => "retired",
    }
}

impl fmt::Display for EnsembleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Forget { op } => {
                let (kind, id) = (op.kind.word(), op.target);
                write!(f, "~ the record forgets {kind} of server {id}: it was not applied")
            }
            Act::Mark { id, state } => write!(f, "~ the record says that server {id} is {}", state_word(*state)),
            Act::Confirm { op } => {
                let (kind, id) = (op.kind.word(), op.target);
                write!(f, "~ {kind} of server {id} was applied: confirm and record it")
            }
            Act::Change(planned) => {
                let Planned { change, arguments, impact, .. } = &**planned;
                write!(f, "{} {change}: {arguments} ({impact})", kind_sign(change.kind))
            }
            Act::ScaleDown(scale_down) => write!(f, "- {scale_down}"),
            Act::Identify { ensemble_id } => write!(f, "+ the ensemble gets the id {ensemble_id}"),
            Act::Declare(declared) => {
                write!(f, "{} {}", if declared.before.is_some() { '~' } else { '+' }, declared.words)
            }
        }
    }
}

impl Step for EnsembleStep {
    type Batch = Batch;

    fn subject(&self) -> String {
        let id = match &self.act {
            Act::Forget { op } | Act::Confirm { op } => Some(op.target),
            Act::Mark { id, .. } => Some(*id),
            Act::Change(planned) => Some(planned.change.target),
            Act::ScaleDown(scale_down) => Some(scale_down.id),
            Act::Identify { .. } => None,
            Act::Declare(declared) => declared.id,
        };
        id.map_or_else(|| SUBJECT.to_owned(), |id| format!("server:{id}"))
    }

    fn risk(&self) -> Risk {
        match &self.act {
            Act::Declare(declared) if declared.gives_up_data => Risk::LosesData,
            _ => Risk::Reversible,
        }
    }

    fn kind(&self) -> &'static str {
        match &self.act {
            Act::Forget { .. } => "ensemble.change_forgotten",
            Act::Mark { .. } => "ensemble.member_marked",
            Act::Confirm { .. } => "ensemble.change_confirmed",
            Act::Change(_) => "ensemble.reconfigured",
            Act::ScaleDown(_) => "ensemble.replicas_lowered",
            Act::Identify { .. } => "ensemble.identified",
            Act::Declare(_) => "ensemble.declared",
        }
    }

    fn batch(&self) -> Batch {
        match &self.act {
            Act::Forget { .. } => Batch::Forget,
            Act::Mark { .. } => Batch::Mark,
            Act::Confirm { .. } => Batch::Confirm,
            Act::Change(_) => Batch::Reconfigure,
            Act::ScaleDown(_) => Batch::ScaleDown,
            Act::Identify { .. } => Batch::Identify,
            Act::Declare(_) => Batch::Declare,
        }
    }

    fn severity(&self) -> Severity {
        match &self.act {
            Act::Change(_) | Act::Confirm { .. } => Severity::Success,
            _ => Severity::Info,
        }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        match &self.act {
            Act::Change(planned) => {
                let Planned { from, after, .. } = &**planned;
                (Some(membership(&from.membership, Some(from.version))), Some(membership(after, None)))
            }
            Act::Confirm { op } => {
                (Some(membership(&op.before, Some(op.from_version))), Some(membership(&op.after, None)))
            }
            Act::ScaleDown(scale_down) => {
                let replicas = |count: u32| Some(format!("statefulset: {}\nreplicas: {count}", scale_down.set));
                (replicas(scale_down.from), replicas(scale_down.to))
            }
            Act::Declare(declared) => (declared.before.as_deref().map(members), Some(members(&declared.after))),
            _ => (None, None),
        }
    }
}

/// `key: value` lines of a membership, for an event's table.
pub fn membership(membership: &Membership, version: Option<ConfigVersion>) -> String {
    let lines = membership.servers.iter().map(|(id, line)| format!("server.{id}: {line}"));
    lines.chain(version.map(|version| format!("version: {version}"))).collect::<Vec<_>>().join("\n")
}

/// `key: value` lines of a document.
fn members(desired: &Desired) -> String {
    let lines = desired
        .members
        .iter()
        .map(|(id, member)| format!("server.{id}: {} ({})", member.line, state_word(member.state)));
    std::iter::once(format!("size: {}", desired.size)).chain(lines).collect::<Vec<_>>().join("\n")
}
