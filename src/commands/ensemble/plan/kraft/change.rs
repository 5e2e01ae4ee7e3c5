//! What is seen and desired of each controller, and which changes could be next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::controllers::{DesiredQuorum, QuorumChangeKind, Voter, Voters};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::gone::Gone;
use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica};
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;

/// What is seen of a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// A voter with the recorded directory, caught up.
    Voter,
    /// The same, lagging or dead.
    VoterBehind,
    /// A voter with an old directory that is dead or lagging, and an observer with the recorded new one.
    DiskReplaced,
    /// A voter that is caught up with a directory that is not the recorded one, or an observer with an unknown one.
    UnknownDirectory,
    /// An observer with the recorded directory, no voter.
    Observer,
    /// Nothing of it is seen.
    Absent,
}

/// What follows for one controller, before any guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// As desired.
    Fine,
    /// Wait until it runs, is formatted, or is caught up.
    Wait,
    /// Make it a voter.
    Add,
    /// Remove its old directory; the new one is added next.
    ForgetDisk,
    /// Remove it.
    Remove,
    /// Remove it, if it is gone for good.
    DropIfGone,
    /// Two disks claim one id.
    IdConflict,
    /// The document can say that it is a voter.
    MarkVoter,
    /// The document can say that it is out.
    MarkRetired,
    /// Its process must be stopped by hand.
    StopServer,
    /// It votes, and the document does not have it: a person must look.
    Alarm,
}

/// One change: one voter is added or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it does.
    pub kind: QuorumChangeKind,
    /// Whom it adds or removes.
    pub voter: Voter,
}

impl Change {
    /// The voters after it.
    pub fn after(&self, before: &Voters) -> Voters {
        let mut after = before.clone();
        if self.kind == QuorumChangeKind::Add {
            after.insert(self.voter);
        } else {
            after.remove(&self.voter);
        }
        after
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, voter } = self;
        match kind {
            QuorumChangeKind::Add => write!(f, "{}: controller {voter} becomes a voter", kind.word()),
            QuorumChangeKind::ForgetDisk => {
                write!(f, "{}: controller {voter} is removed, to be added with its new directory next", kind.word())
            }
            _ => write!(f, "{}: controller {voter} is removed", kind.word()),
        }
    }
}

/// What is known of a controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What is seen of it.
    pub row: Row,
    /// What is desired; none where the document does not know it.
    pub state: Option<MemberState>,
    /// What follows.
    pub advice: Advice,
    /// Whether it is gone for good, where it is not caught up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gone: Option<Gone>,
}

/// Every controller that votes or is desired.
pub fn known(desired: &DesiredQuorum, seen: &SeenQuorum) -> BTreeMap<NodeId, Known> {
    let voters = seen.quorum.voters.iter().map(|replica| replica.key.id);
    let nodes: BTreeSet<_> = voters.chain(desired.members.keys().copied()).collect();
    nodes.into_iter().map(|node| (node, one(desired, seen, node))).collect()
}

fn one(desired: &DesiredQuorum, seen: &SeenQuorum, node: NodeId) -> Known {
    let (row, state) = (row(desired, seen, node), desired.members.get(&node).map(|member| member.state));
    let is_silent = seen.answers.get(&node) != Some(&true) && !matches!(row, Row::Voter | Row::Observer);
    let verdict = || seen.evidence.get(&node).cloned().unwrap_or_default();
    let gone = is_silent.then(|| verdict().verdict(state == Some(MemberState::Retired), true));
    let follows = |replica: &&QuorumReplica| replica.key.id == node && seen.is_caught_up(replica);
    let runs = seen.answers.get(&node) == Some(&true) || seen.quorum.observers.iter().any(|it| follows(&it));
    let advice = match advice(row, state) {
        // Who was removed and stopped is listed as observer for some minutes.
        Advice::StopServer if !runs && seen.quorum.voter(node).is_none() => Advice::Fine,
        advice => advice,
    };
    Known { row, state, advice, gone }
}

/// What is seen of a controller.
pub fn row(desired: &DesiredQuorum, seen: &SeenQuorum, node: NodeId) -> Row {
    let recorded = desired.members.get(&node).and_then(|member| member.directory);
    let voter = seen.quorum.voter(node);
    let observers = || seen.quorum.observers.iter().filter(|replica| replica.key.id == node);
    let is_recorded = |directory: Option<DirectoryId>| recorded.is_none_or(|recorded| Some(recorded) == directory);
    match voter {
        Some(voter) if is_recorded(voter.key.directory) => {
            if seen.is_caught_up(voter) {
                Row::Voter
            } else {
                Row::VoterBehind
            }
        }
        // Its old directory is in use: a second process with its id and the recorded one would be another disk.
        Some(voter) if seen.is_caught_up(voter) => Row::UnknownDirectory,
        Some(_) if observers().any(|it| recorded.is_some() && it.key.directory == recorded) => Row::DiskReplaced,
        // Its disk was replaced, and the controller does not follow with the new one yet.
        Some(_) => Row::VoterBehind,
        None if observers().any(|it| recorded.is_some() && it.key.directory == recorded) => Row::Observer,
        None if observers().next().is_some() => Row::UnknownDirectory,
        None => Row::Absent,
    }
}

/// The state table.
pub fn advice(row: Row, state: Option<MemberState>) -> Advice {
    use MemberState::{Joining, Leaving, Reserved, Retired, Voter};
    match (row, state) {
        (Row::Voter, Some(Voter)) | (Row::Absent, Some(Retired) | None) => Advice::Fine,
        (Row::Voter, Some(Reserved | Joining)) => Advice::MarkVoter,
        (Row::Voter | Row::VoterBehind, Some(Leaving)) | (Row::DiskReplaced, Some(Leaving | Retired)) => Advice::Remove,
        (Row::Voter, Some(Retired) | None) => Advice::Alarm,
        (Row::VoterBehind, _) => Advice::DropIfGone,
        (Row::DiskReplaced, Some(Voter | Reserved | Joining)) => Advice::ForgetDisk,
        (Row::UnknownDirectory, Some(Leaving | Retired)) | (Row::Observer, Some(Leaving | Retired) | None) => {
            Advice::StopServer
        }
        (Row::DiskReplaced | Row::UnknownDirectory, _) => Advice::IdConflict,
        (Row::Observer, Some(Voter | Reserved | Joining)) => Advice::Add,
        (Row::Absent, Some(Leaving)) => Advice::MarkRetired,
        (Row::Absent, Some(_)) => Advice::Wait,
    }
}

/// Every change that could be next, in the order in which they are tried: what makes the quorum stronger comes first.
pub fn candidates(desired: &DesiredQuorum, seen: &SeenQuorum, known: &BTreeMap<NodeId, Known>) -> Vec<Change> {
    let with = |advice: Advice| known.iter().filter(move |(_, it)| it.advice == advice).map(|(node, _)| *node);
    let voter = |node: NodeId| Voter::of(seen.quorum.voter(node)?);
    let removing = |kind| move |node: NodeId| Some(Change { kind, voter: voter(node)? });
    let adding = |node: NodeId| {
        let directory = desired.members.get(&node)?.directory?;
        Some(Change { kind: QuorumChangeKind::Add, voter: Voter { node, directory } })
    };
    let mut found: Vec<_> = with(Advice::ForgetDisk).filter_map(removing(QuorumChangeKind::ForgetDisk)).collect();
    found.extend(with(Advice::Add).filter_map(adding));
    let is_gone = |node: &NodeId| {
        let known = &known[node];
        known.gone.as_ref().is_some_and(Gone::is_for_good) || known.state == Some(MemberState::Retired)
    };
    found.extend(with(Advice::DropIfGone).filter(is_gone).filter_map(removing(QuorumChangeKind::Drop)));
    let (leader, rest): (Vec<_>, Vec<_>) = with(Advice::Remove).partition(|node| seen.quorum.leader == Some(*node));
    found.extend(rest.into_iter().filter_map(removing(QuorumChangeKind::Shrink)));
    found.extend(leader.into_iter().filter_map(removing(QuorumChangeKind::ShrinkLeader)));
    found
}

impl Row {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::VoterBehind => "voter, dead or lagging",
            Self::DiskReplaced => "voter with an old directory, its disk was replaced",
            Self::UnknownDirectory => "its directory is not the recorded one",
            Self::Observer => "observer",
            Self::Absent => "not seen",
        }
    }
}

impl Advice {
    /// In words, as a column of the status page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fine => "as desired",
            Self::Wait => "wait until it runs and is caught up",
            Self::Add => "make it a voter",
            Self::ForgetDisk => "remove its old directory, then add the new one",
            Self::Remove => "remove it",
            Self::DropIfGone => "remove it only if it is gone for good",
            Self::IdConflict => "look at it: two disks claim one id",
            Self::MarkVoter => "record it as voter",
            Self::MarkRetired => "record it as retired",
            Self::StopServer => "stop the process by hand",
            Self::Alarm => "look at it: the document does not have it",
        }
    }
}
