//! This pod's id and its place in the document: found there, or reserved at the first start. A document is begun only by the first
//! server of an ensemble that has never been: nothing on its disk, nobody who answers.

use crate::cluster::ensemble::desired::{Desired, DesiredMember, MemberState};
use crate::cluster::ensemble::member::{Role, ServerId, listed};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::declare::join;
use crate::commands::ensemble::plan::prestart::decide::{Disk, DiskFile, other_myid};
use crate::commands::ensemble::plan::refuse::next_step;

/// Who starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Me {
    /// The id that was given; it wins.
    pub id: Option<ServerId>,
    /// The id of the pod with ordinal 0.
    pub base: i64,
    /// The pod's name, where it has one.
    pub pod: Option<String>,
    /// The number in it.
    pub ordinal: Option<u32>,
    /// The volume of its disk, where Kubernetes shows it.
    pub volume: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Reservation<'a> {
    /// The id of this pod.
    pub id: ServerId,
    /// The pod.
    pub me: &'a Me,
    /// Its line, for a document that does not have it yet.
    pub line: Option<&'a ServerLine>,
    /// The number of voters of a new ensemble; without it, none is begun.
    pub size: Option<usize>,
    /// Whether a new ensemble may be small.
    pub dev: bool,
    /// Whether this server was named as the one that begins it (`--begin`).
    pub begins: bool,
    /// Its disk.
    pub disk: &'a Disk,
    /// Another server that answers, in words, if one does.
    pub answers: Option<&'a str>,
    /// The id of the ensemble, should it be new.
    pub fresh_id: &'a str,
}

/// Why there is no place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Ask again in a moment.
    Wait(String),
    /// Do not start.
    Refuse(Refusal),
}

fn refuse<T>(code: Code, why: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Refuse(Refusal::new(code, why, next_step(code))))
}

/// The id of this pod: as given, else as the document has it for the pod, else by its ordinal. `None` where nothing says it.
pub fn my_id(record: Option<&Desired>, me: &Me) -> Option<ServerId> {
    let mut members = record.into_iter().flat_map(|record| &record.members);
    let is_mine = |member: &DesiredMember| me.pod.is_some() && member.pod == me.pod;
    let recorded =
        members.find(|(_, member)| is_mine(member) && member.state != MemberState::Retired).map(|(id, _)| *id);
    let by_ordinal = || Some(ServerId(me.base.checked_add(i64::from(me.ordinal?))?));
    me.id.or(recorded).or_else(by_ordinal)
}

/// The document with this pod in it; the same one where it is there already.
pub fn reserve(record: Option<&Desired>, asked: &Reservation<'_>) -> Result<Desired, Halt> {
    let Reservation { id, me, disk, .. } = *asked;
    if let Some(refusal) = other_myid(id, disk) {
        return Err(Halt::Refuse(refusal));
    }
    let Some(record) = record else { return begin(asked) };
    let is_mine = |member: &DesiredMember| me.pod.is_some() && member.pod == me.pod;
    let other =
        record.members.iter().find(|(other, it)| **other != id && is_mine(it) && it.state != MemberState::Retired);
    if let Some((other, _)) = other {
        return refuse(
            Code::IdConflict,
            format!("the document has id {other} for this pod, which is to be server {id}"),
        );
    }
    match record.members.get(&id) {
        Some(member) if member.pod.is_some() && me.pod.is_some() && member.pod != me.pod => {
            let pod = member.pod.as_deref().unwrap_or_default();
            refuse(Code::IdConflict, format!("the document has id {id} for pod {pod}"))
        }
        Some(_) => Ok(named(record.clone(), asked)),
        None => enter(record, asked),
    }
}

/// The same document, with the name of the pod.
fn named(mut record: Desired, asked: &Reservation<'_>) -> Desired {
    if let Some(member) = record.members.get_mut(&asked.id) {
        member.pod = member.pod.take().or_else(|| asked.me.pod.clone());
        member.ordinal = member.ordinal.or(asked.me.ordinal);
    }
    record
}

/// A server that the document does not know: it joins, if the ensemble is to have another voter.
fn enter(record: &Desired, asked: &Reservation<'_>) -> Result<Desired, Halt> {
    let id = asked.id;
    let Some(line) = asked.line else {
        let why = format!("the document does not know server {id}");
        return Err(Halt::Refuse(Refusal::new(Code::IdConflict, why, "Give its address with --server-line")));
    };
    let voters: Vec<_> = record.wanted_voters().collect();
    if line.role == Role::Participant && voters.len() >= record.size {
        let why = format!(
            "the ensemble should have {} voters, and server {} have these places",
            record.size,
            listed(voters.iter().copied())
        );
        let next = "Raise the size first, or let a server leave";
        return Err(Halt::Refuse(Refusal::new(Code::UnsafeSize, why, next)));
    }
    join(record, id, line).map(|record| named(record, asked)).map_err(Halt::Refuse)
}

/// Why somebody else begins a new ensemble, or quorum: of pods the one with ordinal 0 does, and else one that was named. Each of several
/// servers that have documents of their own would begin one.
pub fn waits_to_begin(begins: bool, ordinal: Option<u32>, what: &str) -> Option<String> {
    if begins {
        return None;
    }
    match ordinal {
        Some(0) => None,
        Some(_) => Some(format!("the pod with ordinal 0 begins the {what} (or one with --begin)")),
        None => Some(format!(
            "nobody has begun the {what}, and no ordinal says who does: give --begin to one of its members, and only to that one"
        )),
    }
}

/// There is no document.
fn begin(asked: &Reservation<'_>) -> Result<Desired, Halt> {
    let disk = asked.disk;
    let is_used = disk.has_data || disk.marker.is_some() || matches!(disk.file, DiskFile::Read(_));
    if is_used {
        return refuse(Code::NotAdopted, "there is no document of this ensemble, and the disk is not empty");
    }
    if let Some(who) = asked.answers {
        return refuse(Code::NotAdopted, format!("there is no document of this ensemble, and {who} answers"));
    }
    let Some(size) = asked.size else {
        let why = "there is no document of this ensemble, and no size of a new one was given";
        let next = "Adopt a running ensemble (`toolbox ensemble adopt`), or give --size for a new one";
        return Err(Halt::Refuse(Refusal::new(Code::NotAdopted, why, next)));
    };
    if let Some(why) = waits_to_begin(asked.begins, asked.me.ordinal, "ensemble") {
        return Err(Halt::Wait(why));
    }
    let ensemble_id = Some(asked.fresh_id.to_owned());
    enter(&Desired { size, dev: asked.dev, ensemble_id, ..Desired::default() }, asked)
}
