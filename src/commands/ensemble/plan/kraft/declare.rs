//! What people say about a quorum of controllers, made into the next document: adopt a running one, let a controller join, leave,
//! or be gone for good. The quorum itself is not changed by it.

use jiff::Timestamp;

use crate::cluster::ensemble::controllers::{Controller, DesiredQuorum, LastVoters, Voter};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::quorum::{DirectoryId, NodeId};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::guards::VOTERS_MIN;
use crate::commands::ensemble::plan::kraft::at_once;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::refuse::next_step;

/// What `adopt` is to make of a running quorum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adoption {
    /// The desired number of voters; else the present one.
    pub size: Option<usize>,
    /// Whether it may be small.
    pub dev: bool,
}

/// A controller that is declared gone for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The document.
    pub desired: DesiredQuorum,
    /// What is lost by it, for whoever confirms.
    pub loss: String,
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// The document of a running quorum. What the former document says of controllers that were retired, or that are to join, stays.
pub fn adopt(
    seen: &SeenQuorum,
    adoption: Adoption,
    former: Option<&DesiredQuorum>,
    now: Timestamp,
) -> Result<DesiredQuorum, Refusal> {
    if let Some(refusal) = at_once(seen) {
        return Err(refusal);
    }
    if former.is_some_and(|former| former.op.is_some()) {
        return Err(refusal(Code::InProgress, "a change of an earlier run is not settled yet"));
    }
    let voters = seen.voter_set();
    let size = checked_size(adoption.size.unwrap_or(voters.len()), adoption.dev, voters.len())?;
    let mut members = former.map(|former| former.members.clone()).unwrap_or_default();
    members.retain(|_, member| !matches!(member.state, MemberState::Voter | MemberState::Leaving));
    for Voter { node, directory } in &voters {
        let known = former.and_then(|former| former.members.get(node)).cloned();
        let known = known.unwrap_or_else(|| Controller::new(MemberState::Voter, None));
        members.insert(*node, Controller { state: MemberState::Voter, directory: Some(*directory), ..known });
    }
    let recorded = || former.and_then(|former| former.cluster_id.clone());
    Ok(DesiredQuorum {
        size,
        dev: adoption.dev,
        cluster_id: seen.cluster_id.clone().or_else(recorded),
        first: None,
        members,
        last_voters: Some(LastVoters { voters, since: now }),
        op: None,
        history: former.map(|former| former.history.clone()).unwrap_or_default(),
    })
}

/// The document in which so many controllers should vote.
pub fn resize(desired: &DesiredQuorum, size: usize) -> Result<DesiredQuorum, Refusal> {
    let size = checked_size(size, desired.dev, desired.size)?;
    Ok(DesiredQuorum { size, ..desired.clone() })
}

fn checked_size(size: usize, dev: bool, present: usize) -> Result<usize, Refusal> {
    if size.is_multiple_of(2) || (size < VOTERS_MIN && !dev) {
        let why =
            format!("{size} is no safe number of voters: 3 or 5 is, and 1 for development alone; there are {present}");
        return Err(refusal(Code::UnsafeSize, why));
    }
    Ok(size)
}

/// The document in which a controller should vote with the disk that has this directory id: a new controller, or one that got a
/// new disk. Without an id it is the one that a single observer with this node id shows.
pub fn join(
    desired: &DesiredQuorum,
    seen: &SeenQuorum,
    node: NodeId,
    directory: Option<DirectoryId>,
) -> Result<DesiredQuorum, Refusal> {
    let directory = match directory {
        Some(directory) => directory,
        None => of_observer(seen, node)?,
    };
    let mut next = desired.clone();
    match next.members.get_mut(&node) {
        Some(member) if member.state == MemberState::Retired && member.directory == Some(directory) => {
            let why = format!("controller {node} was retired with the disk that has directory id {directory}");
            return Err(Refusal::new(
                Code::RetiredDisk,
                why,
                "Format a new disk, and let the controller join with that",
            ));
        }
        Some(member) => {
            member.directory = Some(directory);
            member.state = match member.state {
                MemberState::Voter => MemberState::Voter,
                MemberState::Leaving if seen.quorum.voter(node).is_some() => MemberState::Voter,
                _ => MemberState::Joining,
            };
        }
        None => {
            next.members.insert(node, Controller::new(MemberState::Joining, Some(directory)));
        }
    }
    Ok(next)
}

fn of_observer(seen: &SeenQuorum, node: NodeId) -> Result<DirectoryId, Refusal> {
    let ids: Vec<_> = seen
        .quorum
        .observers
        .iter()
        .filter(|replica| replica.key.id == node)
        .filter_map(|replica| replica.key.directory)
        .collect();
    let voter = seen.quorum.voter(node).and_then(|voter| voter.key.directory);
    match (&ids[..], voter) {
        ([directory], _) => Ok(*directory),
        ([], Some(directory)) => Ok(directory),
        ([], None) => {
            let why = format!("controller {node} does not follow the quorum, so that its directory id is not known");
            Err(Refusal::new(Code::NotCaughtUp, why, "Start it first, or give the directory.id of its meta.properties"))
        }
        _ => {
            let why = format!("{} disks follow the quorum as controller {node}", ids.len());
            Err(Refusal::new(Code::IdConflict, why, "Give the directory.id of the one that should vote"))
        }
    }
}

/// The document in which a live controller should leave.
pub fn leave(desired: &DesiredQuorum, node: NodeId) -> Result<DesiredQuorum, Refusal> {
    let mut next = desired.clone();
    match next.members.get_mut(&node) {
        Some(member) if member.state != MemberState::Retired => {
            member.state = MemberState::Leaving;
            Ok(next)
        }
        _ => Err(unknown(node)),
    }
}

fn unknown(node: NodeId) -> Refusal {
    let why = format!("the document has no controller {node} that is, or should be, a voter");
    Refusal::new(Code::IdConflict, why, "Look at the ids in `toolbox ensemble status`")
}

/// The document in which a controller is gone for good with its disk.
pub fn retire(desired: &DesiredQuorum, seen: &SeenQuorum, node: NodeId) -> Result<Retired, Refusal> {
    let mut next = desired.clone();
    let Some(member) = next.members.get_mut(&node) else { return Err(unknown(node)) };
    let fetches = seen.quorum.voters.iter().chain(&seen.quorum.observers);
    let runs = fetches.filter(|replica| replica.key.id == node).any(|replica| seen.is_caught_up(replica));
    if runs || seen.answers.get(&node) == Some(&true) {
        let why = format!("controller {node} runs: it is not gone");
        return Err(Refusal::new(Code::NotGone, why, "Let a live controller leave instead, or stop it first"));
    }
    if seen.hangs.contains(&node) {
        let why = format!(
            "the port of controller {node} is open, though it gives no answer: it may be frozen, and is not gone"
        );
        return Err(Refusal::new(Code::NotGone, why, "Stop its process first"));
    }
    member.state = MemberState::Retired;
    let loss = format!("the metadata log on the disk of controller {node} is given up; {}", seen.tolerance().words());
    Ok(Retired { desired: next, loss })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::cluster::quorum::{QuorumReplica, QuorumState, ReplicaKey};
    use crate::commands::ensemble::plan::guards::SETTLE;
    use crate::commands::ensemble::plan::kraft::{Decision, Input, decide, not_its_own, with_cluster_id, wrong_quorum};

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn directory(number: u128) -> DirectoryId {
        DirectoryId::of(Uuid::from_u128(number)).unwrap()
    }

    fn replica(node: i32, disk: u128) -> QuorumReplica {
        QuorumReplica {
            key: ReplicaKey { id: NodeId(node), directory: Some(directory(disk)) },
            log_end_offset: Some(10),
            last_fetch: Some(now()),
            last_caught_up: Some(now()),
        }
    }

    fn seen(voters: i32) -> SeenQuorum {
        let quorum = QuorumState {
            leader: Some(NodeId(1)),
            high_watermark: 10,
            voters: (1..=voters).map(|node| replica(node, u128::from(node.unsigned_abs()))).collect(),
            ..QuorumState::default()
        };
        SeenQuorum { quorum, ..SeenQuorum::default() }
    }

    #[test]
    fn a_running_quorum_is_adopted_and_an_unsafe_number_is_not() {
        let desired = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        assert_eq!((desired.size, desired.members.len()), (3, 3));
        assert_eq!(desired.last_voters.unwrap().voters, seen(3).voter_set());
        assert_eq!(adopt(&seen(1), Adoption::default(), None, now()).unwrap_err().code, Code::UnsafeSize);
        assert_eq!(adopt(&seen(1), Adoption { dev: true, size: None }, None, now()).unwrap().size, 1);
        let grows = Adoption { size: Some(3), dev: false };
        assert_eq!(adopt(&seen(1), grows, None, now()).unwrap().size, 3, "it should grow");
        let mut fixed = seen(3);
        fixed.quorum.voters[1].key.directory = None;
        assert_eq!(adopt(&fixed, Adoption::default(), None, now()).unwrap_err().code, Code::StaticQuorum);
    }

    #[test]
    fn a_controller_joins_with_the_directory_that_follows_the_quorum_or_with_the_one_that_is_named() {
        let desired = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        assert_eq!(join(&desired, &seen(3), NodeId(4), None).unwrap_err().code, Code::NotCaughtUp);
        let mut with_joiner = seen(3);
        with_joiner.quorum.observers.push(replica(4, 44));
        let next = join(&desired, &with_joiner, NodeId(4), None).unwrap();
        let joiner = Controller::new(MemberState::Joining, Some(directory(44)));
        assert_eq!(next.members[&NodeId(4)], joiner);
        with_joiner.quorum.observers.push(replica(4, 45));
        assert_eq!(join(&desired, &with_joiner, NodeId(4), None).unwrap_err().code, Code::IdConflict);
        let named = join(&desired, &with_joiner, NodeId(4), Some(directory(45))).unwrap();
        assert_eq!(named.members[&NodeId(4)].directory, Some(directory(45)));
    }

    #[test]
    fn a_new_disk_of_a_voter_is_recorded_and_the_disk_of_a_retired_one_is_refused() {
        let desired = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        let next = join(&desired, &seen(3), NodeId(2), Some(directory(99))).unwrap();
        let renewed = Controller::new(MemberState::Voter, Some(directory(99)));
        assert_eq!(next.members[&NodeId(2)], renewed);
        let mut dead = seen(3);
        dead.quorum.voters[1].last_fetch = None;
        let mut frozen = dead.clone();
        frozen.hangs = [NodeId(2)].into();
        assert_eq!(retire(&desired, &frozen, NodeId(2)).unwrap_err().code, Code::NotGone);
        let retired = retire(&desired, &dead, NodeId(2)).unwrap().desired;
        assert_eq!(retired.members[&NodeId(2)].state, MemberState::Retired);
        assert_eq!(join(&retired, &dead, NodeId(2), Some(directory(2))).unwrap_err().code, Code::RetiredDisk);
        let again = join(&retired, &dead, NodeId(2), Some(directory(99))).unwrap();
        assert_eq!(again.members[&NodeId(2)].state, MemberState::Joining);
    }

    #[test]
    fn a_controller_that_runs_is_not_retired_and_an_unknown_one_can_not_leave() {
        let desired = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        assert_eq!(retire(&desired, &seen(3), NodeId(2)).unwrap_err().code, Code::NotGone);
        assert_eq!(leave(&desired, NodeId(9)).unwrap_err().code, Code::IdConflict);
        assert_eq!(leave(&desired, NodeId(3)).unwrap().members[&NodeId(3)].state, MemberState::Leaving);
        assert_eq!(resize(&desired, 5).unwrap().size, 5);
        assert_eq!(resize(&desired, 4).unwrap_err().code, Code::UnsafeSize);
    }

    fn input<'a>(desired: &'a DesiredQuorum, seen: &'a SeenQuorum) -> Input<'a> {
        Input { desired: Some(desired), seen, now: now(), rest: SETTLE, is_strict: true }
    }

    #[test]
    fn a_record_of_another_quorum_is_refused_and_so_is_one_of_which_nobody_can_tell() {
        let desired = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        let own = seen(3);
        assert_eq!((wrong_quorum(input(&desired, &own)), not_its_own(input(&desired, &own))), (None, None));
        let mut renewed = seen(3);
        renewed.quorum.voters[0].key.directory = Some(directory(99));
        assert_eq!(not_its_own(input(&desired, &renewed)), None, "one new disk is no other quorum");
        let mut other = seen(3);
        other.asked.record = Some("main.json".to_owned());
        for replica in &mut other.quorum.voters {
            replica.key.directory = Some(directory(500 + u128::from(replica.key.id.0.unsigned_abs())));
        }
        let words = |decision: Decision| match decision {
            Decision::Refuse(refusal) => refusal.to_string(),
            decision => format!("{decision:?}"),
        };
        let said = words(decide(input(&desired, &other)).decision);
        let first = "E_WRONG_ENSEMBLE: this record (main.json) belongs to the quorum with directories ";
        assert!(said.starts_with(first), "{said}");
        assert!(said.contains("check --cluster, --bootstrap-controller and --bootstrap-server"), "{said}");
        assert_eq!(not_its_own(input(&desired, &other)).unwrap().code, Code::WrongEnsemble);
        let unknown = SeenQuorum::default();
        assert_eq!(not_its_own(input(&desired, &unknown)).unwrap().code, Code::NoQuorum);
    }

    #[test]
    fn a_record_names_its_cluster_and_is_refused_by_the_controllers_of_another_one() {
        let of = |id: &str| SeenQuorum { cluster_id: Some(id.to_owned()), ..seen(3) };
        let desired = adopt(&of("a"), Adoption::default(), None, now()).unwrap();
        assert_eq!(desired.cluster_id.as_deref(), Some("a"));
        assert_eq!(wrong_quorum(input(&desired, &of("a"))), None);
        assert_eq!(wrong_quorum(input(&desired, &seen(3))), None, "brokers that show no id say nothing");
        let mut other = of("b");
        other.asked.record = Some("main.json".to_owned());
        let words = "E_WRONG_ENSEMBLE: this record (main.json) belongs to the quorum of cluster a, and the servers that answer are \
                     the quorum of cluster b: check --cluster, --bootstrap-controller and --bootstrap-server. Nothing was changed";
        assert_eq!(
            wrong_quorum(input(&desired, &other)).unwrap().to_string(),
            words,
            "though the directories are the same"
        );
        let Decision::Refuse(refused) = decide(input(&desired, &other)).decision else { panic!() };
        assert_eq!(refused.to_string(), words);
    }

    #[test]
    fn a_record_of_an_older_version_gets_the_id_of_its_cluster_once_and_only_from_its_own_controllers() {
        let old = adopt(&seen(3), Adoption::default(), None, now()).unwrap();
        assert_eq!(old.cluster_id, None);
        let own = SeenQuorum { cluster_id: Some("a".to_owned()), ..seen(3) };
        assert_eq!(wrong_quorum(input(&old, &own)), None, "an id that is not recorded is no other one");
        let completed = with_cluster_id(&old, &own).unwrap();
        assert_eq!(completed, DesiredQuorum { cluster_id: Some("a".to_owned()), ..old.clone() });
        assert_eq!(with_cluster_id(&completed, &own), None);
        assert_eq!(with_cluster_id(&old, &seen(3)), None);
        let mut strangers = own;
        for replica in &mut strangers.quorum.voters {
            replica.key.directory = Some(directory(700 + u128::from(replica.key.id.0.unsigned_abs())));
        }
        assert_eq!(with_cluster_id(&old, &strangers), None);
        let again =
            adopt(&SeenQuorum { cluster_id: Some("a".to_owned()), ..seen(3) }, Adoption::default(), Some(&old), now());
        assert_eq!(again.unwrap().cluster_id.as_deref(), Some("a"));
    }
}
