//! A pass over a quorum of controllers as a plan: what the document takes over, what an earlier change came to, and at most one new
//! change.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{Plan, Risk, Step};
use crate::cluster::ensemble::controllers::{DesiredQuorum, QuorumChangeKind, QuorumOp, Voters};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::quorum::{Endpoint, NodeId};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Alert;
use crate::commands::ensemble::plan::guards::Check;
use crate::commands::ensemble::plan::kraft::change::Change;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::kraft::{Decision, Pass};

/// The event of a refusal names this subject.
pub const SUBJECT: &str = "ensemble:membership";

/// One step of a pass over a quorum, or of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum QuorumStep {
    /// An open change of the document had no effect and will have none: it is taken out.
    Forget {
        /// The change.
        op: Box<QuorumOp>,
    },
    /// The document takes over what a controller has become.
    Mark {
        /// The controller.
        node: NodeId,
        /// Its state from now on.
        state: MemberState,
    },
    /// An open change was applied: it is confirmed and recorded.
    Confirm {
        /// The change.
        op: Box<QuorumOp>,
    },
    /// A change is sent.
    Change(Box<Planned>),
    /// The document is written.
    Declare(Box<Declared>),
}

/// A change, with all that it was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The change.
    pub change: Change,
    /// The voters before it.
    pub before: Voters,
    /// The voters after it.
    pub after: Voters,
    /// The leader and its epoch: another one by the time of sending is a conflict.
    pub leader: Option<NodeId>,
    /// See `leader`.
    pub epoch: i32,
    /// Where a controller that is added listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Whether removed controllers would add themselves again while they run: then it is watched that this one does not.
    pub is_watched: bool,
    /// The guards.
    pub checks: Vec<Check>,
}

/// What people say, made into a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// The controller that it is about; none for all of them.
    pub node: Option<NodeId>,
    /// In words, as `controller 4 should vote`.
    pub words: String,
    /// Whether the data of a controller is given up.
    pub gives_up_data: bool,
    /// The document before; none where there is none.
    pub before: Option<Box<DesiredQuorum>>,
    /// The document after.
    pub after: Box<DesiredQuorum>,
}

/// The kinds of steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Batch {
    /// See [`QuorumStep::Forget`].
    Forget,
    /// See [`QuorumStep::Mark`].
    Mark,
    /// See [`QuorumStep::Confirm`].
    Confirm,
    /// See [`QuorumStep::Change`].
    Reconfigure,
    /// See [`QuorumStep::Declare`].
    Declare,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forget => "forget",
            Self::Mark => "mark",
            Self::Confirm => "confirm",
            Self::Reconfigure => "reconfigure",
            Self::Declare => "declare",
        })
    }
}

/// What a pass does, as a plan. Findings are its warnings, what forbids a change its refusal.
pub fn plan(pass: &Pass, desired: Option<&DesiredQuorum>, seen: &SeenQuorum) -> Plan<QuorumStep> {
    let mut plan = Plan::default();
    for finding in &pass.findings {
        match finding.alert {
            Alert::Notice => plan.warn(finding.text.clone()),
            Alert::IncoherentConfiguration => plan.find(SUBJECT, "ensemble.incoherent", finding.text.clone()),
            Alert::UnsafeNumber => plan.find(SUBJECT, "ensemble.unsafe_number", finding.text.clone()),
        }
    }
    if let Some(op) = desired.and_then(|desired| desired.op.clone()).filter(|_| pass.clears_op) {
        plan.steps.push(QuorumStep::Forget { op: Box::new(op) });
    }
    plan.steps.extend(pass.marks.iter().map(|(node, state)| QuorumStep::Mark { node: *node, state: *state }));
    match &pass.decision {
        Decision::Nothing => {}
        Decision::Wait(why) => plan.warn(format!("waiting: {why}")),
        Decision::Refuse(refusal) => refuse(&mut plan, refusal),
        Decision::Confirm(op) => plan.steps.push(QuorumStep::Confirm { op: op.clone() }),
        Decision::Change(change) => plan.steps.push(QuorumStep::Change(Box::new(planned(change, pass, seen)))),
    }
    plan
}

/// Adds a refusal: its name is the change that is refused, so that events and JSON show it by itself.
pub fn refuse(plan: &mut Plan<QuorumStep>, refusal: &Refusal) {
    plan.refuse(SUBJECT, refusal.code.name(), format!("{}. {}", refusal.why, refusal.next));
}

fn planned(change: &Change, pass: &Pass, seen: &SeenQuorum) -> Planned {
    let before = seen.voter_set();
    let candidate = pass.candidates.iter().find(|candidate| candidate.change == *change);
    let is_added = change.kind == QuorumChangeKind::Add;
    Planned {
        change: change.clone(),
        after: change.after(&before),
        before,
        leader: seen.quorum.leader,
        epoch: seen.quorum.leader_epoch,
        endpoint: seen.registered.get(&change.voter.node).cloned().flatten().filter(|_| is_added),
        is_watched: seen.auto_join == Some(true) && !is_added && change.kind != QuorumChangeKind::ForgetDisk,
        checks: candidate.map(|candidate| candidate.checks.clone()).unwrap_or_default(),
    }
}

impl Planned {
    /// The intent for the document.
    pub fn op(&self, id: String, started_at: Timestamp) -> QuorumOp {
        let Self { change, before, after, .. } = self;
        let (before, after) = (before.clone(), after.clone());
        QuorumOp { id, kind: change.kind, target: change.voter, before, after, started_at }
    }

    /// What clients of the cluster notice.
    pub fn impact(&self) -> &'static str {
        match self.change.kind {
            QuorumChangeKind::ShrinkLeader => "another controller is elected: expect 1 s without changes of metadata",
            QuorumChangeKind::ForgetDisk => "a voter fewer until it is added with its new directory",
            _ if self.leader == Some(self.change.voter.node) => {
                "another controller is elected: expect 1 s without changes of metadata"
            }
            _ => "clients notice nothing",
        }
    }
}

/// What is known afterwards if the answer to a change was an error and the voters are as before.
pub fn refusal_of(code: i16, change: &Change, words: &str) -> Refusal {
    use crate::commands::ensemble::plan::refuse::next_step;
    let name = match code {
        // DUPLICATE_VOTER
        126 => Code::IdConflict,
        // UNSUPPORTED_VERSION: `kraft.version` is 0, whatever ApiVersions shows.
        35 => Code::StaticQuorum,
        // CLUSTER_AUTHORIZATION_FAILED
        31 => Code::Auth,
        // VOTER_NOT_FOUND, and all else: the quorum is not what was seen.
        _ => Code::Conflict,
    };
    let next = match name {
        Code::Auth => "Grant Alter on the cluster to this identity",
        code => next_step(code),
    };
    Refusal::new(name, format!("{change}: {words}"), next)
}

fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Reserved => "reserved",
        MemberState::Joining => "joining",
        MemberState::Voter => "a voter",
        MemberState::Leaving => "leaving",
        MemberState::Retired => "retired",
    }
}

impl fmt::Display for QuorumStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forget { op } => {
                let (kind, voter) = (op.kind.word(), op.target);
                write!(f, "~ the record forgets {kind} of controller {voter}: it was not applied")
            }
            Self::Mark { node, state } => {
                write!(f, "~ the record says that controller {node} is {}", state_word(*state))
            }
            Self::Confirm { op } => {
                let (kind, voter) = (op.kind.word(), op.target);
                write!(f, "~ {kind} of controller {voter} was applied: confirm and record it")
            }
            Self::Change(planned) => {
                let sign = if planned.change.kind == QuorumChangeKind::Add { '+' } else { '-' };
                write!(f, "{sign} {} ({})", planned.change, planned.impact())
            }
            Self::Declare(declared) => {
                write!(f, "{} {}", if declared.before.is_some() { '~' } else { '+' }, declared.words)
            }
        }
    }
}

impl Step for QuorumStep {
    type Batch = Batch;

    fn subject(&self) -> String {
        let node = match self {
            Self::Forget { op } | Self::Confirm { op } => Some(op.target.node),
            Self::Mark { node, .. } => Some(*node),
            Self::Change(planned) => Some(planned.change.voter.node),
            Self::Declare(declared) => declared.node,
        };
        node.map_or_else(|| SUBJECT.to_owned(), |node| format!("controller:{node}"))
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
            Self::Declare(_) => "ensemble.declared",
        }
    }

    fn batch(&self) -> Batch {
        match self {
            Self::Forget { .. } => Batch::Forget,
            Self::Mark { .. } => Batch::Mark,
            Self::Confirm { .. } => Batch::Confirm,
            Self::Change(_) => Batch::Reconfigure,
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
        match self {
            Self::Change(planned) => (Some(voters(&planned.before)), Some(voters(&planned.after))),
            Self::Confirm { op } => (Some(voters(&op.before)), Some(voters(&op.after))),
            Self::Declare(declared) => (declared.before.as_deref().map(members), Some(members(&declared.after))),
            _ => (None, None),
        }
    }
}

/// `key: value` lines of voters, for an event's table.
pub fn voters(voters: &Voters) -> String {
    voters.iter().map(|voter| format!("voter.{}: {}", voter.node, voter.directory)).collect::<Vec<_>>().join("\n")
}

/// `key: value` lines of a document.
fn members(desired: &DesiredQuorum) -> String {
    let lines = desired.members.iter().map(|(node, member)| {
        let directory = member.directory.map_or_else(|| "directory unknown".to_owned(), |it| it.to_string());
        format!("controller.{node}: {directory} ({})", state_word(member.state))
    });
    std::iter::once(format!("size: {}", desired.size)).chain(lines).collect::<Vec<_>>().join("\n")
}
