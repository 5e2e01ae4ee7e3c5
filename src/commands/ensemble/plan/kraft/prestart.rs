//! What a KRaft controller's pod may start from: (document, disk, quorum) → start, format the disk, wait, or refuse.
//!
//! A disk is formatted once. With the directory ids of the voters in the metadata log, a controller whose disk is new is another voter:
//! the old one is removed, and the new one added, by `ensemble apply`. So an empty disk is only ever formatted as that of a follower
//! (`--no-initial-controllers`), but for the first controller of a new quorum (`--standalone`).

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::controllers::{Controller, DesiredQuorum, LastVoters, Voter};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::quorum::{DirectoryId, NodeId};
use crate::cluster::visible;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::prestart::waits_to_begin;
use crate::commands::ensemble::plan::refuse::next_step;
use jiff::Timestamp;

/// What stands on a controller's disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disk {
    /// `meta.properties` of the metadata log's folder, if it is formatted.
    pub meta: Option<Meta>,
    /// What else is there, if it is not formatted: a metadata log, or another folder that is formatted.
    pub remains: Option<String>,
    /// Whether it has the checkpoint that makes it the only voter (`--standalone`).
    pub is_standalone: bool,
}

/// What `meta.properties` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The node's id.
    pub node: NodeId,
    /// The cluster.
    pub cluster_id: Option<String>,
    /// The directory.
    pub directory: Option<DirectoryId>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The controller's id.
    pub node: NodeId,
    /// Its pod.
    pub pod: Option<String>,
    /// The number in the pod's name.
    pub ordinal: Option<u32>,
    /// The id of the cluster.
    pub cluster_id: String,
    /// The number of voters of a new quorum.
    pub size: Option<usize>,
    /// Whether a new quorum may be small.
    pub dev: bool,
    /// Whether this controller was named as the one that begins it (`--begin`).
    pub begins: bool,
    /// Whether its properties name a static quorum (`controller.quorum.voters`).
    pub is_static: bool,
    /// The present time.
    pub now: Timestamp,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ground {
    /// The document.
    pub record: Option<DesiredQuorum>,
    /// The disk; why it can't be read, where it can't.
    pub disk: Option<Disk>,
    /// Why the disk can't be read.
    pub unreadable: Option<String>,
    /// The quorum, where one has a leader.
    pub quorum: Option<SeenQuorum>,
    /// Who answers, in words, whether or not there is a quorum.
    pub answers: Option<String>,
}

/// How a disk is formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As that of the only voter of a new quorum.
    Standalone,
    /// As that of a follower.
    Follower,
}

impl Format {
    /// The flag of `kafka-storage.sh format` (Kafka 3.9 and later).
    pub fn flag(self) -> &'static str {
        match self {
            Self::Standalone => "--standalone",
            Self::Follower => "--no-initial-controllers",
        }
    }
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The controller may start, with this document.
    Start(DesiredQuorum),
    /// The document is written, then the disk is formatted; then all is looked at again.
    Format {
        /// How.
        how: Format,
        /// Why, in words.
        why: String,
        /// The document.
        desired: DesiredQuorum,
    },
    /// Look again in a moment.
    Wait(String),
    /// Do not start.
    Refuse(Refusal),
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// Decides what a controller starts from.
pub fn decide(terms: &Terms, ground: &Ground) -> Next {
    let seen_static = ground.quorum.as_ref().is_some_and(SeenQuorum::is_static);
    if terms.is_static || seen_static {
        let why = if terms.is_static {
            "the properties have controller.quorum.voters: the quorum is static"
        } else {
            "voters have no directory ids: the quorum is static (controller.quorum.voters)"
        };
        return Next::Refuse(refusal(Code::StaticQuorum, why));
    }
    let disk = match (&ground.disk, &ground.unreadable) {
        (Some(disk), None) => disk,
        (_, why) => return Next::Refuse(refusal(Code::DiskIo, why.clone().unwrap_or_default())),
    };
    if let Some(remains) = disk.remains.as_ref().filter(|_| disk.meta.is_none()) {
        let why = format!("there is no meta.properties, and yet {remains}: it is not formatted over");
        return Next::Refuse(refusal(Code::DiskIo, why));
    }
    let desired = match place(terms, ground, disk) {
        Ok(desired) => desired,
        Err(next) => return *next,
    };
    match &disk.meta {
        Some(meta) => formatted(terms, desired, disk, meta),
        None => empty(terms, desired, ground),
    }
}

/// The document with this controller in it.
fn place(terms: &Terms, ground: &Ground, disk: &Disk) -> Result<DesiredQuorum, Box<Next>> {
    let refuse = |code, why: String| Err(Box::new(Next::Refuse(refusal(code, why))));
    let node = terms.node;
    let mut desired = match &ground.record {
        Some(record) => {
            if let Some(recorded) = record.cluster_id.as_ref().filter(|id| **id != terms.cluster_id) {
                return refuse(Code::WrongEnsemble, of_another_cluster(recorded, &terms.cluster_id));
            }
            record.clone()
        }
        None if disk.meta.is_some() => {
            return refuse(
                Code::NotAdopted,
                "there is no document of this quorum, and the disk is formatted".to_owned(),
            );
        }
        None => {
            if let Some(who) = &ground.answers {
                return refuse(Code::NotAdopted, format!("there is no document of this quorum, and {who} answers"));
            }
            let Some(size) = terms.size else {
                let why = "there is no document of this quorum, and no size of a new one was given";
                let next = "Adopt a running quorum (`toolbox ensemble adopt`), or give --size for a new one";
                return Err(Box::new(Next::Refuse(Refusal::new(Code::NotAdopted, why, next))));
            };
            if let Some(why) = waits_to_begin(terms.begins, terms.ordinal, "quorum") {
                return Err(Box::new(Next::Wait(why)));
            }
            let cluster_id = Some(terms.cluster_id.clone());
            DesiredQuorum { size, dev: terms.dev, cluster_id, first: Some(node), ..DesiredQuorum::default() }
        }
    };
    let wanted = wanted(&desired).count();
    match desired.members.get_mut(&node) {
        Some(member) if member.state == MemberState::Retired => {
            return refuse(Code::RetiredDisk, format!("controller {node} was retired"));
        }
        Some(member) if member.pod.is_some() && terms.pod.is_some() && member.pod != terms.pod => {
            let pod = member.pod.as_deref().unwrap_or_default();
            return refuse(Code::IdConflict, format!("the document has id {node} for pod {pod}"));
        }
        Some(member) => member.pod = member.pod.take().or_else(|| terms.pod.clone()),
        None if wanted >= desired.size => {
            let why =
                format!("the quorum should have {} voters, and {wanted} controllers have these places", desired.size);
            let next = "Raise the size first, or let a controller leave";
            return Err(Box::new(Next::Refuse(Refusal::new(Code::UnsafeSize, why, next))));
        }
        None => {
            let member = Controller { pod: terms.pod.clone(), ..Controller::new(MemberState::Joining, None) };
            desired.members.insert(node, member);
        }
    }
    Ok(desired)
}

fn of_another_cluster(recorded: &str, own: &str) -> String {
    format!(
        "this record belongs to the quorum of cluster {}, and this controller is of cluster {}: check --cluster and --cluster-id",
        visible::value(recorded),
        visible::value(own)
    )
}

/// Controllers that should vote.
fn wanted(desired: &DesiredQuorum) -> impl Iterator<Item = NodeId> {
    let is_wanted = |state| matches!(state, MemberState::Reserved | MemberState::Joining | MemberState::Voter);
    desired.members.iter().filter(move |(_, member)| is_wanted(member.state)).map(|(node, _)| *node)
}

/// Whether the quorum has never been: the controller that wrote the document begins it, and nobody else, however low its id.
fn begins(desired: &DesiredQuorum, node: NodeId) -> bool {
    let first = desired.first.filter(|first| wanted(desired).any(|node| node == *first));
    let first = first.or_else(|| wanted(desired).next());
    desired.last_voters.is_none() && desired.op.is_none() && first == Some(node)
}

/// A disk that is formatted is never formatted again: it must be the recorded one, or the first that is seen of it.
fn formatted(terms: &Terms, mut desired: DesiredQuorum, disk: &Disk, meta: &Meta) -> Next {
    let node = terms.node;
    let conflict = |why: String| Next::Refuse(refusal(Code::IdConflict, why));
    if meta.node != node {
        return conflict(format!("the disk belongs to controller {}, the pod is controller {node}", meta.node));
    }
    if meta.cluster_id.as_deref() != Some(&terms.cluster_id) {
        let found = meta.cluster_id.as_deref().unwrap_or("none");
        return conflict(format!("the disk belongs to cluster {found}, this is {}", terms.cluster_id));
    }
    let Some(directory) = meta.directory else {
        return conflict("meta.properties has no directory.id: the disk was formatted for a static quorum".to_owned());
    };
    let is_first = begins(&desired, node) && disk.is_standalone;
    if let Some(member) = desired.members.get_mut(&node) {
        if let Some(recorded) = member.directory.filter(|recorded| *recorded != directory) {
            return conflict(format!(
                "the disk has directory {directory}, the document has {recorded} for controller {node}"
            ));
        }
        member.directory = Some(directory);
        if is_first {
            member.state = MemberState::Voter;
        }
    }
    if is_first {
        desired.last_voters = Some(LastVoters { voters: [Voter { node, directory }].into(), since: terms.now });
    }
    Next::Start(desired)
}

/// An empty disk.
fn empty(terms: &Terms, mut desired: DesiredQuorum, ground: &Ground) -> Next {
    let node = terms.node;
    let is_voter = desired.last_voters.iter().any(|last| last.voters.iter().any(|voter| voter.node == node))
        || desired.op.iter().any(|op| op.before.union(&op.after).any(|voter| voter.node == node))
        || ground.quorum.iter().any(|seen| seen.quorum.voter(node).is_some());
    let had_disk = desired.members.get(&node).is_some_and(|member| member.directory.is_some());
    if begins(&desired, node) && !is_voter && !had_disk {
        if let Some(who) = &ground.answers {
            let why = format!("the quorum is new, and {who} answers");
            return Next::Refuse(refusal(Code::NotAdopted, why));
        }
        let why = "the first controller of a new quorum".to_owned();
        return Next::Format { how: Format::Standalone, why, desired };
    }
    if is_voter || had_disk {
        let quorum = ground.quorum.as_ref();
        if quorum.is_some_and(|seen| seen.live().iter().any(|voter| voter.node == node)) {
            return Next::Wait(format!("controller {node} still takes part in the quorum, and the disk here is empty"));
        }
        let has_quorum = quorum.is_some_and(|seen| seen.quorum.leader.is_some() && seen.tolerance().spare() >= 0);
        if !has_quorum {
            let why = format!("controller {node} has a vote, its disk is empty, and the others show no quorum");
            return Next::Refuse(refusal(Code::EmptyDisk, why));
        }
        // The new disk is another voter: its directory is recorded once it has one.
        if let Some(member) = desired.members.get_mut(&node) {
            member.directory = None;
        }
        let why = "its former disk is lost, and the others have a quorum: it is another voter now".to_owned();
        return Next::Format { how: Format::Follower, why, desired };
    }
    Next::Format { how: Format::Follower, why: "it follows until it is made a voter".to_owned(), desired }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::cluster::quorum::{QuorumReplica, QuorumState, ReplicaKey};

    const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

    fn terms(node: i32) -> Terms {
        Terms {
            node: NodeId(node),
            pod: Some(format!("controller-{}", node - 1)),
            ordinal: u32::try_from(node - 1).ok(),
            cluster_id: CLUSTER.to_owned(),
            size: Some(3),
            dev: false,
            begins: false,
            is_static: false,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn directory(number: u128) -> DirectoryId {
        DirectoryId::of(Uuid::from_u128(number)).unwrap()
    }

    fn formatted_as(node: i32, number: u128) -> Disk {
        let meta =
            Meta { node: NodeId(node), cluster_id: Some(CLUSTER.to_owned()), directory: Some(directory(number)) };
        Disk { meta: Some(meta), remains: None, is_standalone: false }
    }

    fn ground(record: Option<DesiredQuorum>, disk: Disk) -> Ground {
        Ground { record, disk: Some(disk), ..Ground::default() }
    }

    /// Voters 1 to 3, each with the directory of its number.
    fn settled() -> DesiredQuorum {
        let member = |node: i32| {
            let directory = directory(u128::try_from(node).unwrap());
            Controller::new(MemberState::Voter, Some(directory))
        };
        let voter = |node: i32| Voter { node: NodeId(node), directory: directory(u128::try_from(node).unwrap()) };
        DesiredQuorum {
            size: 3,
            members: (1..=3).map(|node| (NodeId(node), member(node))).collect(),
            last_voters: Some(LastVoters { voters: (1..=3).map(voter).collect(), since: Timestamp::UNIX_EPOCH }),
            ..DesiredQuorum::default()
        }
    }

    fn quorum(nodes: &[i32]) -> SeenQuorum {
        let replica = |node: &i32| QuorumReplica {
            key: ReplicaKey { id: NodeId(*node), directory: Some(directory(u128::try_from(*node).unwrap())) },
            log_end_offset: Some(10),
            last_fetch: Some(Timestamp::UNIX_EPOCH),
            last_caught_up: None,
        };
        let voters = nodes.iter().map(replica).collect();
        let quorum = QuorumState { leader: Some(NodeId(nodes[0])), voters, ..QuorumState::default() };
        SeenQuorum { quorum, ..SeenQuorum::default() }
    }

    #[track_caller]
    fn refused(code: &str, terms: &Terms, ground: &Ground) {
        let next = decide(terms, ground);
        assert!(matches!(&next, Next::Refuse(refusal) if refusal.code.name() == code), "{code}: {next:?}");
    }

    fn format(terms: &Terms, ground: &Ground) -> (Format, DesiredQuorum) {
        match decide(terms, ground) {
            Next::Format { how, desired, .. } => (how, desired),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_controller_is_formatted_alone_and_recorded_and_all_others_follow() {
        let (how, record) = format(&terms(1), &ground(None, Disk::default()));
        assert_eq!((how, record.cluster_id.as_deref()), (Format::Standalone, Some(CLUSTER)));
        // Killed between the two: what was decided before is decided again.
        assert_eq!(format(&terms(1), &ground(Some(record.clone()), Disk::default())).0, Format::Standalone);
        let disk = Disk { is_standalone: true, ..formatted_as(1, 1) };
        let Next::Start(record) = decide(&terms(1), &ground(Some(record), disk.clone())) else { panic!() };
        assert_eq!(record.last_voters.as_ref().unwrap().voters.len(), 1);
        let Next::Start(again) = decide(&terms(1), &ground(Some(record.clone()), disk)) else { panic!() };
        assert_eq!(again, record, "a second run changes nothing");

        let (how, record) = format(&terms(2), &ground(Some(record), Disk::default()));
        assert_eq!(how, Format::Follower);
        let Next::Start(record) = decide(&terms(2), &ground(Some(record), formatted_as(2, 2))) else { panic!() };
        assert_eq!(record.members[&NodeId(2)].directory, Some(directory(2)));
        assert_eq!(record.members[&NodeId(2)].state, MemberState::Joining);
        assert_eq!(record.last_voters.unwrap().voters.len(), 1, "a pod never makes itself a voter");
    }

    #[test]
    fn others_wait_until_the_first_has_begun_and_a_fourth_is_not_let_in() {
        assert!(matches!(decide(&terms(2), &ground(None, Disk::default())), Next::Wait(_)));
        refused("E_UNSAFE_SIZE", &terms(4), &ground(Some(settled()), Disk::default()));
        refused("E_NOT_ADOPTED", &Terms { size: None, ..terms(1) }, &ground(None, Disk::default()));
        refused("E_NOT_ADOPTED", &terms(1), &ground(None, formatted_as(1, 1)));
        let answered = Ground { answers: Some("controller-1:9093".to_owned()), ..ground(None, Disk::default()) };
        refused("E_NOT_ADOPTED", &terms(1), &answered);
    }

    #[test]
    fn without_an_ordinal_no_controller_begins_a_quorum_unless_it_is_named_and_then_no_other_one_does() {
        let bare = |node: i32| Terms { pod: None, ordinal: None, ..terms(node) };
        let Next::Wait(why) = decide(&bare(2), &ground(None, Disk::default())) else { panic!() };
        assert!(why.contains("--begin"), "{why}");
        let (how, record) = format(&Terms { begins: true, ..bare(2) }, &ground(None, Disk::default()));
        assert_eq!((how, record.first), (Format::Standalone, Some(NodeId(2))));
        // Before it is formatted, one with a lower id comes: it follows.
        let (how, record) = format(&bare(1), &ground(Some(record), Disk::default()));
        assert_eq!(how, Format::Follower);
        assert_eq!(format(&bare(2), &ground(Some(record), Disk::default())).0, Format::Standalone, "killed, and again");
    }

    #[test]
    fn a_lost_disk_of_a_voter_is_formatted_only_while_the_others_have_a_quorum() {
        refused("E_EMPTY_DISK", &terms(1), &ground(Some(settled()), Disk::default()));
        let live = Ground { quorum: Some(quorum(&[2, 3])), ..ground(Some(settled()), Disk::default()) };
        let itself = Ground { quorum: Some(quorum(&[1, 2, 3])), ..ground(Some(settled()), Disk::default()) };
        assert!(matches!(decide(&terms(1), &itself), Next::Wait(_)), "a process with this id runs elsewhere");
        let (how, record) = format(&terms(1), &live);
        assert_eq!((how, record.members[&NodeId(1)].directory), (Format::Follower, None));
        let Next::Start(record) = decide(&terms(1), &ground(Some(record), formatted_as(1, 9))) else { panic!() };
        assert_eq!(record.members[&NodeId(1)].directory, Some(directory(9)));
        assert_eq!(record.last_voters, settled().last_voters, "the old directory is removed by a change, not by a pod");
    }

    #[test]
    fn a_disk_of_somebody_else_or_of_another_time_does_not_start() {
        refused("E_ID_CONFLICT", &terms(1), &ground(Some(settled()), formatted_as(2, 2)));
        refused("E_ID_CONFLICT", &terms(1), &ground(Some(settled()), formatted_as(1, 7)));
        let other = Terms { cluster_id: "other".to_owned(), ..terms(1) };
        refused("E_ID_CONFLICT", &other, &ground(Some(settled()), formatted_as(1, 1)));
        let foreign = DesiredQuorum { cluster_id: Some("other".to_owned()), ..settled() };
        refused("E_WRONG_ENSEMBLE", &terms(1), &ground(Some(foreign.clone()), formatted_as(1, 1)));
        refused("E_WRONG_ENSEMBLE", &terms(1), &ground(Some(foreign), Disk::default()));
        let mut retired = settled();
        retired.members.get_mut(&NodeId(1)).unwrap().state = MemberState::Retired;
        refused("E_RETIRED_DISK", &terms(1), &ground(Some(retired), formatted_as(1, 1)));
    }

    #[test]
    fn remains_of_data_are_not_formatted_over_and_a_static_quorum_is_refused() {
        let remains = Disk { remains: Some("a metadata log is there".to_owned()), ..Disk::default() };
        refused("E_DISK_IO", &terms(1), &ground(Some(settled()), remains));
        let unreadable = Ground { unreadable: Some("input/output error".to_owned()), ..ground(None, Disk::default()) };
        refused("E_DISK_IO", &terms(1), &unreadable);
        refused("E_STATIC_QUORUM", &Terms { is_static: true, ..terms(1) }, &ground(None, Disk::default()));
        let mut seen = quorum(&[1, 2, 3]);
        seen.quorum.voters[0].key.directory = None;
        let live = Ground { quorum: Some(seen), ..ground(Some(settled()), Disk::default()) };
        refused("E_STATIC_QUORUM", &terms(1), &live);
    }
}
