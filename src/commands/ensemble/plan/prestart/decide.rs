//! What a ZooKeeper pod may start from: (id, document, disk, live servers) → the file to write, or why it must not start.
//!
//! A server never starts alone once an ensemble exists, never from a template, and never with a disk that was retired. The live
//! configuration wins; without one, only a file on disk that agrees with the record is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{Desired, LastConfig, MemberState};
use crate::cluster::ensemble::member::{Role, ServerId, listed};
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::cluster::visible;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::formats::ensemble_config::check_members;

/// Most servers that are named in one sentence.
const NAMED_MAX: usize = 3;

/// What stands on the persistent disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The content of `myid`, if there is one; the text, where it is no id.
    pub myid: Option<Result<ServerId, String>>,
    /// The marker that was written at the first join.
    pub marker: Option<Marker>,
    /// The dynamic file.
    pub file: DiskFile,
    /// Whether there is any snapshot or transaction log.
    pub has_data: bool,
    /// The latest epoch that it followed or promised to follow: the higher one of `version-2/currentEpoch` and `acceptedEpoch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Whether the configuration folder can be written: ZooKeeper rewrites the file at each change.
    pub is_writable: bool,
}

/// The dynamic file on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFile {
    /// There is none.
    Absent,
    /// It can't be read: empty, cut short, or with faults.
    Unreadable(String),
    /// It was read.
    Read(EnsembleConfig),
}

/// Whose disk it is: `<data>/.member`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marker {
    /// The ensemble.
    pub ensemble_id: String,
    /// The server.
    pub id: ServerId,
    /// The volume in Kubernetes, where that was known. Its name: a volume of a node's disk that is made anew has another uid, and is
    /// the same disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

/// What a server that serves says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its configuration; why it can't be read, where it can't.
    pub config: Result<EnsembleConfig, String>,
    /// Its ensemble id.
    pub ensemble_id: OwnId,
    /// The epoch of the last transaction that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// The ensemble id that a server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnId {
    /// This one.
    Is(String),
    /// It has none: there is no such node.
    Absent,
    /// It could not be read, and why.
    Unread(String),
}

/// What prestart looks at.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The id of this pod.
    pub id: ServerId,
    /// The document.
    pub desired: &'a Desired,
    /// This pod's disk.
    pub disk: &'a Disk,
    /// The other servers that serve.
    pub live: &'a BTreeMap<ServerId, Live>,
    /// Whether this pod's own name resolves.
    pub resolves: bool,
    /// Where a process answers that has this id already, if one does.
    pub rival: Option<&'a str>,
    /// Another server that answers at all, in words, if one does.
    pub answers: Option<&'a str>,
}

/// What prestart does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Write this configuration as dynamic file, `myid` and the marker, and start.
    Write {
        /// The configuration; its version is not written.
        config: EnsembleConfig,
        /// Whether the `initialize` file is made: only for the very first server of a new ensemble.
        initialize: bool,
        /// Why, for the log.
        why: String,
    },
    /// Start from the file that is there.
    Keep {
        /// Why, for the log.
        why: String,
    },
    /// Ask again in a moment, within the limit.
    Wait(String),
    /// Do not start.
    Refuse(Refusal),
}

/// Decides what this pod starts from.
pub fn decide(start: Start<'_>) -> Decision {
    if let Some(refusal) = identity(start).or_else(|| retired(start)) {
        return Decision::Refuse(refusal);
    }
    let Some(member) = start.desired.members.get(&start.id) else {
        let why = format!("the document does not know server {}", start.id);
        return Decision::Refuse(Refusal::new(Code::IdConflict, why, "Reserve the id in the document first"));
    };
    if !start.disk.is_writable {
        return Decision::Refuse(refusal(Code::ConfigNotPersisted, "the configuration folder can't be written"));
    }
    if !start.resolves {
        return Decision::Wait(format!("the name of server {} does not resolve yet: `{}`", start.id, member.line));
    }
    match accepted(start) {
        Err(refusal) => Decision::Refuse(refusal),
        Ok(Found::Unknown(why)) => Decision::Wait(why),
        Ok(Found::Ours(_)) if let Some(why) = ahead(start) => Decision::Wait(why),
        Ok(Found::Ours(config)) if config.membership.servers.contains_key(&start.id) => {
            Decision::Write { config, initialize: false, why: "as the live ensemble has it".to_owned() }
        }
        Ok(Found::Ours(_)) if member.state == MemberState::Leaving => Decision::Wait(format!(
            "server {} is no member any more, and should leave: its pod can be removed",
            start.id
        )),
        Ok(Found::Ours(mut config)) => {
            // As observer: two joiners that list themselves as participants can form an ensemble of their own.
            config.membership.servers.insert(start.id, member.line.with_role(Role::Observer));
            let why = "as the live ensemble has it, and this server as observer until it is made a voter".to_owned();
            Decision::Write { config, initialize: false, why }
        }
        Ok(Found::Nobody) => alone(start),
    }
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

/// Whether the disk has the `myid` of another server, or one that is no id.
pub(super) fn other_myid(id: ServerId, disk: &Disk) -> Option<Refusal> {
    match &disk.myid {
        Some(Ok(own)) if *own != id => {
            Some(refusal(Code::IdConflict, format!("the disk has myid {own}, the pod is server {id}")))
        }
        Some(Err(text)) => Some(refusal(Code::IdConflict, format!("the disk has a myid that is no id: `{text}`"))),
        _ => None,
    }
}

/// Whether disk and document agree on who this is.
fn identity(start: Start<'_>) -> Option<Refusal> {
    let id = start.id;
    other_myid(id, start.disk)
        .or_else(|| {
            let marker = start.disk.marker.as_ref()?;
            if marker.id != id {
                return Some(refusal(
                    Code::IdConflict,
                    format!("the disk belongs to server {}, the pod is server {id}", marker.id),
                ));
            }
            let expected = start.desired.ensemble_id.as_ref()?;
            let why = format!("the disk belongs to ensemble {}, this is {expected}", marker.ensemble_id);
            (marker.ensemble_id != *expected).then(|| refusal(Code::IdConflict, why))
        })
        .or_else(|| {
            let why =
                format!("server {id} runs already, {}, and this pod's own server has not been started", start.rival?);
            let next = "End the other process, or wait until the pod that it belongs to is gone";
            Some(Refusal::new(Code::IdConflict, why, next))
        })
}

fn retired(start: Start<'_>) -> Option<Refusal> {
    let member = start.desired.members.get(&start.id)?;
    let reason = member.retired_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let why = format!("server {} was retired{reason}", start.id);
    (member.state == MemberState::Retired).then(|| refusal(Code::RetiredDisk, why))
}

/// Memberships that the record allows: the last good one, and both sides of an open change.
fn allowed(desired: &Desired) -> Vec<&Membership> {
    let last = desired.last_config.iter().map(|last| &last.config.membership);
    last.chain(desired.op.iter().flat_map(|op| [&op.before, &op.after])).collect()
}

/// What the other servers come to.
enum Found {
    /// The configuration of the live ensemble, which is ours.
    Ours(EnsembleConfig),
    /// No other server serves.
    Nobody,
    /// Others serve, and whether they are ours can't be known at the moment.
    Unknown(String),
}

/// The configuration of the live ensemble, if one is live and it is ours: by its id and its membership, of which neither is enough. A
/// rival may have grown from the same data.
fn accepted(start: Start<'_>) -> Result<Found, Refusal> {
    let others = || start.live.iter().filter(|(id, _)| **id != start.id);
    if let Some(refusal) = others().find_map(|(id, live)| foreign(start.desired, *id, live)) {
        return Err(refusal);
    }
    let allowed = allowed(start.desired);
    let read = others().filter_map(|(id, live)| Some((*id, live, live.config.as_ref().ok()?)));
    let (ours, rivals): (Vec<_>, Vec<_>) = read.partition(|(.., config)| allowed.contains(&&config.membership));
    if let Some((first, _, config)) = rivals.first() {
        let members = listed(config.membership.servers.keys().copied());
        if ours.is_empty() {
            let why = format!("server {first} serves with members {members}, which is not the recorded membership");
            return Err(refusal(Code::MembershipRegressed, why));
        }
        let recorded = listed(ours.iter().map(|(id, ..)| *id));
        let why = format!("server {first} serves with members {members}, server {recorded} with the recorded ones");
        return Err(refusal(Code::SplitBrain, why));
    }
    let has_no_id = start.desired.ensemble_id.is_none();
    let known = ours.into_iter().filter(|(_, live, _)| has_no_id || !matches!(live.ensemble_id, OwnId::Unread(_)));
    // Both sides of an open change may be seen; the newer one is the later.
    let newest = known.map(|(.., config)| config.clone()).max_by_key(|config| config.version);
    let unread: Vec<_> = others().filter_map(|(id, live)| unread(*id, live)).take(NAMED_MAX).collect();
    Ok(match newest {
        Some(config) => Found::Ours(config),
        None if unread.is_empty() => Found::Nobody,
        None => Found::Unknown(unread.join("; ")),
    })
}

/// Refuses a server that is certainly of another ensemble than the document.
fn foreign(desired: &Desired, id: ServerId, live: &Live) -> Option<Refusal> {
    let expected = desired.ensemble_id.as_ref()?;
    let found = match &live.ensemble_id {
        OwnId::Is(found) if found != expected => format!("belongs to ensemble {}", visible::value(found)),
        // An ensemble that `prestart` began has its id in the document alone, until it is adopted.
        OwnId::Absent if desired.id_written => "has no ensemble id".to_owned(),
        _ => return None,
    };
    Some(refusal(Code::SplitBrain, format!("server {id} {found}, this pod to ensemble {expected}")))
}

/// What could not be read of a server that serves.
fn unread(id: ServerId, live: &Live) -> Option<String> {
    let (what, why) = match (&live.config, &live.ensemble_id) {
        (Err(why), _) => ("its configuration", why),
        (Ok(_), OwnId::Unread(why)) => ("its ensemble id", why),
        (Ok(_), _) => return None,
    };
    let why = visible::line(why);
    Some(format!("server {id} serves, and {what} can't be read: whether it is of this ensemble is not known ({why})"))
}

/// Why a disk is not of this ensemble's history, though its id is: it knows a later epoch than the leader's. It was in a rival ensemble
/// that grew from the same data. ZooKeeper lets it follow nobody ("Leaders epoch 1 is less than accepted epoch 2"), but at the next
/// election its votes win (`FastLeaderElection.totalOrderPredicate` compares epochs first), and with them the rival's data.
///
/// A server that was cut off while it promised its vote may be ahead, too: until the next election, so it waits.
fn ahead(start: Start<'_>) -> Option<String> {
    let own = start.disk.epoch?;
    let others = start.live.iter().filter(|(id, _)| **id != start.id);
    let epoch = others.filter_map(|(_, live)| live.epoch).max().filter(|epoch| own > *epoch)?;
    Some(format!(
        "the disk is in epoch {own}, the ensemble in {epoch}: it was in another ensemble since, and its data would win the next \
         election. If nobody knows better, move its folder version-2 away: it copies the ensemble's data then"
    ))
}

/// No other server serves.
fn alone(start: Start<'_>) -> Decision {
    let Start { id, desired, disk, .. } = start;
    if is_new(start) {
        return bootstrap(start);
    }
    let is_voter = allowed(desired).iter().any(|membership| membership.is_voter(id));
    if is_voter && !disk.has_data {
        let why = format!("server {id} is a voter, its disk is empty, and no other server serves");
        return Decision::Refuse(refusal(Code::EmptyDisk, why));
    }
    match &disk.file {
        DiskFile::Read(config) if !config.membership.servers.contains_key(&id) || check_members(config).is_err() => {
            Decision::Wait("no other server serves, and the file on disk does not name this one".to_owned())
        }
        DiskFile::Read(config) if allowed(desired).contains(&&config.membership) => {
            Decision::Keep { why: "the file on disk agrees with the record: the whole ensemble restarts".to_owned() }
        }
        DiskFile::Read(config) => {
            let last = desired.last_config.as_ref().map(|last| last.config.membership.difference(&config.membership));
            let why = format!("the file on disk is not the recorded membership: {}", last.unwrap_or_default());
            Decision::Refuse(refusal(Code::MembershipRegressed, why))
        }
        DiskFile::Absent => Decision::Wait("no other server serves, and there is no file on disk".to_owned()),
        DiskFile::Unreadable(why) => {
            Decision::Wait(format!("no other server serves, and the file on disk can't be read: {why}"))
        }
    }
}

/// Whether the ensemble has never had a member but this server, and has never committed a write.
fn is_new(start: Start<'_>) -> bool {
    let desired = start.desired;
    let is_own = |last: &LastConfig| last.config.membership.servers.keys().eq([&start.id]);
    !desired.initialized
        && desired.op.is_none()
        && desired.history.is_empty()
        && desired.last_config.as_ref().is_none_or(is_own)
}

/// The very first start: the voter with the lowest id begins alone, the others wait for it.
fn bootstrap(start: Start<'_>) -> Decision {
    // One that was recorded as the first member is that, whoever has entered since.
    let is_begun = start.desired.last_config.is_some();
    let first = if is_begun { Some(start.id) } else { start.desired.wanted_voters().next() };
    let line = start.desired.members.get(&start.id).map(|member| member.line.with_role(Role::Participant));
    match (first, line) {
        (Some(first), Some(line)) if first == start.id => {
            if let Some(who) = start.answers {
                return Decision::Wait(format!("the ensemble is new, and {who} answers: nobody begins beside it"));
            }
            let servers = [(start.id, line)].into();
            let config =
                EnsembleConfig { membership: Membership { servers, hierarchy: None }, ..EnsembleConfig::default() };
            if let DiskFile::Read(found) = &start.disk.file
                && start.disk.has_data
                && !found.membership.servers.keys().eq([&start.id])
            {
                let members = listed(found.membership.servers.keys().copied());
                let why = format!("the ensemble is new, and the disk has data and a file with the members {members}");
                return Decision::Refuse(refusal(Code::MembershipRegressed, why));
            }
            // A disk with data is no new ensemble's: its server starts, and its data stays.
            let initialize = !start.disk.has_data;
            Decision::Write { config, initialize, why: "the first server of a new ensemble".to_owned() }
        }
        (Some(first), _) => Decision::Wait(format!("server {first} starts the ensemble")),
        (None, _) => Decision::Wait("the document names no voter".to_owned()),
    }
}
