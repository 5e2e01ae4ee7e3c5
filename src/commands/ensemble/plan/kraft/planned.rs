//! A change of the voters of a quorum as a step: what is sent, to which leader, and what clients notice.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::ensemble::controllers::{DesiredQuorum, QuorumChangeKind, QuorumOp, Voters};
use crate::cluster::quorum::{Endpoint, NodeId};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::guards::Check;
use crate::commands::ensemble::plan::kraft::change::Change;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::kraft::{Kraft, Pass};
use crate::commands::ensemble::plan::pass::Never;
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::steps::{self, MembershipStep, Steps, state_word};

/// One step of a pass over a quorum, or of a declaration.
pub type QuorumStep = MembershipStep<Kraft>;

/// What people say about controllers, made into a document.
pub type Declared = steps::Declared<Kraft>;

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
    /// Whether removed controllers would, or may, add themselves again while they run: then it is watched that this one does not.
    pub is_watched: bool,
    /// The guards.
    pub checks: Vec<Check>,
}

impl Steps for Kraft {
    const MEMBER: &'static str = "controller";
    const ID: &'static str = "node";
    const VOTER: &'static str = "a voter";

    type Planned = Planned;
    // The cluster has an id already.
    type Identity = Never;

    fn planned(change: &Change, pass: &Pass, seen: &SeenQuorum) -> Result<Planned, Refusal> {
        let before = seen.voter_set();
        let is_added = change.kind == QuorumChangeKind::Add;
        Ok(Planned {
            change: change.clone(),
            after: change.after(&before),
            before,
            leader: seen.quorum.leader,
            epoch: seen.quorum.leader_epoch,
            endpoint: seen.registered.get(&change.voter.node).cloned().flatten().filter(|_| is_added),
            is_watched: seen.auto_join != Some(false) && !is_added && change.kind != QuorumChangeKind::ForgetDisk,
            checks: pass.checks_of(change),
        })
    }

    fn op(planned: &Planned, id: String, started_at: Timestamp) -> QuorumOp {
        let Planned { change, before, after, .. } = planned;
        let (before, after) = (before.clone(), after.clone());
        QuorumOp { id, kind: change.kind, target: change.voter, before, after, started_at }
    }

    fn target(op: &QuorumOp) -> NodeId {
        op.target.node
    }

    fn before_after(op: &QuorumOp) -> (String, String) {
        (voters(&op.before), voters(&op.after))
    }

    fn lines(desired: &DesiredQuorum) -> String {
        let lines = desired.members.iter().map(|(node, member)| {
            let directory = member.directory.map_or_else(|| "directory unknown".to_owned(), |it| it.to_string());
            format!("controller.{node}: {directory} ({})", state_word::<Self>(member.state))
        });
        std::iter::once(format!("size: {}", desired.size)).chain(lines).collect::<Vec<_>>().join("\n")
    }

    fn stopped(nothing: &Never) -> NodeId {
        match *nothing {}
    }

    fn replicas(nothing: &Never) -> (String, String) {
        match *nothing {}
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.change.kind == QuorumChangeKind::Add { '+' } else { '-' };
        write!(f, "{sign} {} ({})", self.change, self.impact())
    }
}

impl Planned {
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

/// `key: value` lines of voters, for an event's table.
pub fn voters(voters: &Voters) -> String {
    voters.iter().map(|voter| format!("voter.{}: {}", voter.node, voter.directory)).collect::<Vec<_>>().join("\n")
}
