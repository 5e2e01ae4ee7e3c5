//! What is desired of an ensemble, and what is under way: the document that every pass reads first and writes under compare-and-set.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::cluster::ensemble::pods::{Disk, Missing};
use crate::cluster::ensemble::server_line::ServerLine;

/// Most entries of the history.
pub const HISTORY_MAX: usize = 20;

/// Clocks of machines may differ by so much: a time that is later than that is wrong.
pub const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(10);

/// The node whose data is the ensemble id, whatever chroot clients have.
pub const ENSEMBLE_ID_PATH: &str = "/kafka-toolbox/ensemble-id";

/// The desired state of one ensemble, its last good configuration, and the change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Desired {
    /// How many voters there should be: 3 or 5; 1 with `dev`.
    pub size: usize,
    /// Whether it may be small: 1 or 2 voters are allowed then, and no failure need be survived.
    #[serde(default)]
    pub dev: bool,
    /// A random id, which is also kept as data of a znode: it distinguishes one ensemble from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble_id: Option<String>,
    /// Whether the id stands in the ensemble, at [`ENSEMBLE_ID_PATH`], as `adopt` writes it: a server that has no such node is of
    /// another ensemble then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_written: bool,
    /// Whether the ensemble has ever committed a write: a server never starts one of its own afterwards.
    #[serde(default)]
    pub initialized: bool,
    /// Every server that is, should be or was a member.
    #[serde(default)]
    pub members: BTreeMap<ServerId, DesiredMember>,
    /// The configuration that the last pass left, or that was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_config: Option<LastConfig>,
    /// The change that was about to be sent, until it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// The last steps, oldest first, at most [`HISTORY_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Entry>,
}

/// What the documents of a ZooKeeper ensemble and of a quorum of KRaft controllers have in common.
pub trait DesiredState: fmt::Debug + Clone + Default + Eq + Serialize + DeserializeOwned + Send + Sync {
    /// What identifies a member.
    type Id: fmt::Debug + fmt::Display + Copy + Ord + Serialize + Send + Sync;
    /// A change that is under way. Its text is as `PROMOTE of server 4`.
    type Op: fmt::Debug + fmt::Display + Clone + Eq + Serialize + Send + Sync;

    /// The change that is under way.
    fn op(&self) -> Option<&Self::Op>;

    /// Whether this change is the one that is under way.
    fn is_open(&self, op: &Self::Op) -> bool;

    /// The same document with this change under way, or none.
    #[must_use]
    fn with_op(self, op: Option<Self::Op>) -> Self;

    /// Where a member stands; none where the document does not have it.
    fn state_mut(&mut self, id: Self::Id) -> Option<&mut MemberState>;

    /// When each member was seen alive last, as far as that was noted.
    fn sightings(&self) -> BTreeMap<Self::Id, Timestamp>;

    /// The same document with these sightings of its members, and no others.
    #[must_use]
    fn with_sightings(self, sightings: &BTreeMap<Self::Id, Timestamp>) -> Self;

    /// The same with the present time in the place of later ones; nothing where there are none.
    #[must_use]
    fn without_future(&self, now: Timestamp) -> Option<Self>;
}

/// One server as it is desired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DesiredMember {
    /// Its line; the role in it says whether it should vote.
    pub line: ServerLine,
    /// Where it stands on its way in or out.
    pub state: MemberState,
    /// Its pod, in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's number in its StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Why it was retired, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_reason: Option<String>,
    /// Its disk in Kubernetes, as it was when the server was seen well last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Since when the disk has lacked something that does not come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// When a pass saw it run last, or up to [`NOTED_EVERY`](super::sightings::NOTED_EVERY) before that. None where none did, and
    /// in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_alive: Option<Timestamp>,
}

impl DesiredMember {
    /// A server of which nothing else is known.
    pub fn new(line: ServerLine, state: MemberState) -> Self {
        let (pod, ordinal, retired_reason) = (None, None, None);
        Self { line, state, pod, ordinal, retired_reason, disk: None, missing: None, last_seen_alive: None }
    }
}

/// Where a member stands on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// Its id is taken; the server does not have to run yet.
    Reserved,
    /// It should become a member as soon as it is caught up.
    Joining,
    /// It is a member, and should stay one. Named for voters; of observers it says the same.
    Voter,
    /// It should be removed though it lives.
    Leaving,
    /// It is gone for good: its disk may never come back under this id.
    Retired,
}

/// The membership that the ensemble should have, unless somebody changes it behind us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastConfig {
    /// Its membership and version.
    pub config: EnsembleConfig,
    /// When it was confirmed.
    pub since: Timestamp,
}

/// A change that is about to be sent: written first, so that whoever comes next can find out how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Op {
    /// Of the event that stands for it.
    pub id: String,
    /// What it does.
    pub kind: ChangeKind,
    /// Whom it adds, removes or changes; the joiner of a replacement.
    pub target: ServerId,
    /// The version that it may be applied to.
    pub from_version: ConfigVersion,
    /// The membership before.
    pub before: Membership,
    /// The membership after.
    pub after: Membership,
    /// Whether the leader is removed, demoted or moved by it.
    #[serde(default)]
    pub is_leader: bool,
    /// When it was written.
    pub started_at: Timestamp,
}

/// The kinds of changes, in the order in which a pass looks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A voter that is gone for good and a caught-up joiner, in one call.
    Replace,
    /// A non-voting follower becomes a voter.
    Promote,
    /// A server becomes a permanent observer.
    Observe,
    /// A server that is gone for good is removed.
    Drop,
    /// A live server that should leave is removed.
    Shrink,
    /// The same for the leader, last of all.
    ShrinkLeader,
    /// An observer that should vote is removed first: ZooKeeper may refuse to promote it in one step.
    Unobserve,
    /// A voter that should observe.
    Demote,
    /// A server gets another address.
    Readdress,
}

impl ChangeKind {
    /// The name, as plans and events show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replace => "REPLACE",
            Self::Promote => "PROMOTE",
            Self::Observe => "OBSERVE",
            Self::Drop => "DROP",
            Self::Shrink => "SHRINK",
            Self::ShrinkLeader => "SHRINK-L",
            Self::Unobserve => "UNOBSERVE",
            Self::Demote => "DEMOTE",
            Self::Readdress => "READDRESS",
        }
    }
}

/// One step of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// When it ended.
    pub at: Timestamp,
    /// What it did.
    pub kind: ChangeKind,
    /// Whom it was about.
    pub target: ServerId,
    /// The version after it.
    pub version: ConfigVersion,
    /// Whether the leader was removed, demoted or moved by it.
    #[serde(default)]
    pub is_leader: bool,
}

/// Makes a time that lies in the future the present one, and says whether it did.
pub(super) fn corrected_time(time: &mut Timestamp, now: Timestamp) -> bool {
    let is_wrong = time.duration_since(now) > CLOCKS_DIFFER;
    if is_wrong {
        *time = now;
    }
    is_wrong
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of server {}", self.kind.word(), self.target)
    }
}

impl DesiredState for Desired {
    type Id = ServerId;
    type Op = Op;

    fn op(&self) -> Option<&Op> {
        self.op.as_ref()
    }

    fn is_open(&self, op: &Op) -> bool {
        self.op.as_ref().is_some_and(|open| open.id == op.id)
    }

    fn with_op(self, op: Option<Op>) -> Self {
        Self { op, ..self }
    }

    fn state_mut(&mut self, id: ServerId) -> Option<&mut MemberState> {
        self.members.get_mut(&id).map(|member| &mut member.state)
    }

    fn sightings(&self) -> BTreeMap<ServerId, Timestamp> {
        self.members.iter().filter_map(|(id, member)| Some((*id, member.last_seen_alive?))).collect()
    }

    fn with_sightings(mut self, sightings: &BTreeMap<ServerId, Timestamp>) -> Self {
        for (id, member) in &mut self.members {
            member.last_seen_alive = sightings.get(id).copied();
        }
        self
    }

    fn without_future(&self, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let op = next.op.iter_mut().map(|op| &mut op.started_at);
        let last = next.last_config.iter_mut().map(|last| &mut last.since);
        let seen = next.members.values_mut().filter_map(|member| member.last_seen_alive.as_mut());
        let all = op.chain(last).chain(next.history.iter_mut().map(|entry| &mut entry.at)).chain(seen);
        let corrected = all.filter_map(|time| corrected_time(time, now).then_some(())).count();
        (corrected > 0).then_some(next)
    }
}

impl Desired {
    /// Adds a step to the history; the oldest makes place.
    pub fn remember(&mut self, entry: Entry) {
        self.history.push(entry);
        let surplus = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..surplus);
    }

    /// The servers that should vote once everything is done.
    pub fn wanted_voters(&self) -> impl Iterator<Item = ServerId> {
        let is_wanted = |member: &DesiredMember| {
            member.line.role == Role::Participant
                && matches!(member.state, MemberState::Reserved | MemberState::Joining | MemberState::Voter)
        };
        self.members.iter().filter(move |(_, member)| is_wanted(member)).map(|(id, _)| *id)
    }
}
