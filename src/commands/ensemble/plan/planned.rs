//! A change of a ZooKeeper ensemble as a step: what is sent, for which version, and what clients notice.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::change::settled::workloads::{REPLICAS, SET, SET_UID};
use crate::cluster::ensemble::desired::{ChangeKind, Desired, Op};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::commands::ensemble::plan::change::Change;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::guards::Check;
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::steps::{MembershipStep, Steps, state_word};
use crate::commands::ensemble::plan::stop::ScaleDown;
use crate::commands::ensemble::plan::{Pass, ZooKeeper, steps};

/// One step of a pass over an ensemble, or of a declaration.
pub type EnsembleStep = MembershipStep<ZooKeeper>;

/// What people say about servers, made into a document.
pub type Declared = steps::Declared<ZooKeeper>;

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

/// The id of its own that an ensemble gets, in a znode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnsembleId {
    /// The id.
    pub ensemble_id: String,
}

impl Steps for ZooKeeper {
    const MEMBER: &'static str = "server";
    const ID: &'static str = "id";
    // Observers are members, too.
    const VOTER: &'static str = "a member";

    type Planned = Planned;
    type Identity = EnsembleId;

    fn planned(change: &Change, pass: &Pass, seen: &Seen) -> Result<Planned, Refusal> {
        let Some(from) = &seen.quorum else {
            return Err(Refusal::new(Code::NoQuorum, "no configuration is known", "Run again"));
        };
        Ok(Planned {
            change: change.clone(),
            from: from.clone(),
            after: change.after(&from.membership),
            leader: seen.leader(),
            arguments: change.arguments(from.version),
            impact: change.impact(),
            checks: pass.checks_of(change),
        })
    }

    fn op(planned: &Planned, id: String, started_at: Timestamp) -> Op {
        let Planned { change, from, after, .. } = planned;
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

    fn target(op: &Op) -> ServerId {
        op.target
    }

    fn before_after(op: &Op) -> (String, String) {
        (membership(&op.before, Some(op.from_version)), membership(&op.after, None))
    }

    fn lines(desired: &Desired) -> String {
        let lines = desired
            .members
            .iter()
            .map(|(id, member)| format!("server.{id}: {} ({})", member.line, state_word::<Self>(member.state)));
        std::iter::once(format!("size: {}", desired.size)).chain(lines).collect::<Vec<_>>().join("\n")
    }

    fn stopped(scale_down: &ScaleDown) -> ServerId {
        scale_down.id
    }

    fn replicas(scale_down: &ScaleDown) -> (String, String) {
        let ScaleDown { namespace, set, uid, from, to, .. } = scale_down;
        let name = if namespace.is_empty() { set.clone() } else { format!("{namespace}/{set}") };
        let lines = |count: &u32| format!("{SET}: {name}\n{SET_UID}: {uid}\n{REPLICAS}: {count}");
        (lines(from), lines(to))
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, arguments, impact, .. } = self;
        let sign = match change.kind {
            ChangeKind::Promote | ChangeKind::Observe => '+',
            ChangeKind::Drop | ChangeKind::Shrink | ChangeKind::ShrinkLeader => '-',
            ChangeKind::Replace | ChangeKind::Unobserve | ChangeKind::Demote | ChangeKind::Readdress => '~',
        };
        write!(f, "{sign} {change}: {arguments} ({impact})")
    }
}

impl fmt::Display for EnsembleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+ the ensemble gets the id {}", self.ensemble_id)
    }
}

/// `key: value` lines of a membership, for an event's table.
pub fn membership(membership: &Membership, version: Option<ConfigVersion>) -> String {
    let lines = membership.servers.iter().map(|(id, line)| format!("server.{id}: {line}"));
    lines.chain(version.map(|version| format!("version: {version}"))).collect::<Vec<_>>().join("\n")
}
