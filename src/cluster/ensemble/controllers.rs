//! What is desired of a quorum of KRaft controllers, and what is under way: the document of `ensemble` for such a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{DesiredState, HISTORY_MAX, MemberState, corrected_time};
use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, ReplicaKey};

/// A voter: a node, and the directory of its metadata log. The same node with a new disk is another voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Voter {
    /// The node's id.
    pub node: NodeId,
    /// `directory.id` of its `meta.properties`.
    pub directory: DirectoryId,
}

impl Voter {
    /// A replica of the metadata log as a voter; none where its directory is not known, as in a static quorum.
    pub fn of(replica: &QuorumReplica) -> Option<Self> {
        Some(Self { node: replica.key.id, directory: replica.key.directory? })
    }
}

impl From<Voter> for ReplicaKey {
    fn from(voter: Voter) -> Self {
        Self { id: voter.node, directory: Some(voter.directory) }
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (directory {})", self.node, self.directory)
    }
}

/// Voters of a quorum. At most one directory a node: the controllers refuse a second one.
pub type Voters = BTreeSet<Voter>;

/// The desired state of one quorum of controllers, its last good voters, and the change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DesiredQuorum {
    /// How many voters there should be: 3 or 5; 1 with `dev`.
    pub size: usize,
    /// Whether it may be small.
    #[serde(default)]
    pub dev: bool,
    /// The id of the cluster that the controllers are of. Records of older versions have none until `adopt` or a pass writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The controller that begins the quorum alone; nobody else does, whatever its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<NodeId>,
    /// Every controller that is, should be or was a voter.
    #[serde(default)]
    pub members: BTreeMap<NodeId, Controller>,
    /// The voters that the last pass left, or that were adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_voters: Option<LastVoters>,
    /// The change that was about to be sent, until it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<QuorumOp>,
    /// The last steps, oldest first, at most [`HISTORY_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<QuorumEntry>,
}

/// One controller as it is desired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Controller {
    /// Where it stands on its way in or out.
    pub state: MemberState,
    /// The directory id of its present disk, as `prestart` recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
    /// Its pod, in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// When a pass saw it run last, or up to [`NOTED_EVERY`](super::sightings::NOTED_EVERY) before that. None where none did, and
    /// in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_alive: Option<Timestamp>,
}

impl Controller {
    /// A controller of which nothing else is known.
    pub fn new(state: MemberState, directory: Option<DirectoryId>) -> Self {
        Self { state, directory, pod: None, last_seen_alive: None }
    }
}

/// The voters that the quorum should have, unless somebody changes them behind us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastVoters {
    /// The voters.
    pub voters: Voters,
    /// When they were confirmed.
    pub since: Timestamp,
}

/// The kinds of changes of a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuorumChangeKind {
    /// A controller whose disk was replaced: its old directory is removed; it is added with the new one next.
    ForgetDisk,
    /// A caught-up observer becomes a voter.
    Add,
    /// A voter that is gone for good is removed.
    Drop,
    /// A voter that should leave is removed.
    Shrink,
    /// The same for the leader, last of all.
    ShrinkLeader,
}

impl QuorumChangeKind {
    /// The name, as plans and events show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ForgetDisk => "FORGET-DISK",
            Self::Add => "ADD",
            Self::Drop => "DROP",
            Self::Shrink => "SHRINK",
            Self::ShrinkLeader => "SHRINK-L",
        }
    }
}

/// A change that is about to be sent. There is no conditional call: two tools at once are kept apart by the lock alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuorumOp {
    /// Of the event that stands for it.
    pub id: String,
    /// What it does.
    pub kind: QuorumChangeKind,
    /// Whom it adds or removes.
    pub target: Voter,
    /// The voters before.
    pub before: Voters,
    /// The voters after.
    pub after: Voters,
    /// When it was written.
    pub started_at: Timestamp,
}

/// One step of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuorumEntry {
    /// When it ended.
    pub at: Timestamp,
    /// What it did.
    pub kind: QuorumChangeKind,
    /// Whom it was about.
    pub target: Voter,
}

impl fmt::Display for QuorumOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of controller {}", self.kind.word(), self.target)
    }
}

impl DesiredState for DesiredQuorum {
    type Id = NodeId;
    type Op = QuorumOp;

    fn op(&self) -> Option<&QuorumOp> {
        self.op.as_ref()
    }

    fn is_open(&self, op: &QuorumOp) -> bool {
        self.op.as_ref().is_some_and(|open| open.id == op.id)
    }

    fn with_op(self, op: Option<QuorumOp>) -> Self {
        Self { op, ..self }
    }

    fn state_mut(&mut self, node: NodeId) -> Option<&mut MemberState> {
        self.members.get_mut(&node).map(|member| &mut member.state)
    }

    fn sightings(&self) -> BTreeMap<NodeId, Timestamp> {
        self.members.iter().filter_map(|(node, member)| Some((*node, member.last_seen_alive?))).collect()
    }

    fn with_sightings(mut self, sightings: &BTreeMap<NodeId, Timestamp>) -> Self {
        for (node, member) in &mut self.members {
            member.last_seen_alive = sightings.get(node).copied();
        }
        self
    }

    fn without_future(&self, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let op = next.op.iter_mut().map(|op| &mut op.started_at);
        let last = next.last_voters.iter_mut().map(|last| &mut last.since);
        let seen = next.members.values_mut().filter_map(|member| member.last_seen_alive.as_mut());
        let all = op.chain(last).chain(next.history.iter_mut().map(|entry| &mut entry.at)).chain(seen);
        let corrected = all.filter_map(|time| corrected_time(time, now).then_some(())).count();
        (corrected > 0).then_some(next)
    }
}

impl DesiredQuorum {
    /// Adds a step to the history; the oldest makes place.
    pub fn remember(&mut self, entry: QuorumEntry) {
        self.history.push(entry);
        let surplus = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..surplus);
    }
}
