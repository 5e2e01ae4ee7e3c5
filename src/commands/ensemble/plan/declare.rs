//! What people say about an ensemble, made into the next document: adopt a running one, let a server join, leave, or be gone for
//! good. The ensemble itself is not changed by it.

use jiff::Timestamp;

use crate::cluster::ensemble::desired::{Desired, DesiredMember, LastConfig, MemberState};
use crate::cluster::ensemble::member::{ServerId, listed};
use crate::cluster::ensemble::membership::Membership;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::Input;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::guards::{SETTLE, VOTERS_MIN};
use crate::commands::ensemble::plan::refuse::{at_once, next_step};
use crate::commands::ensemble::plan::seen::Seen;

/// What `adopt` is to make of a running ensemble.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// The desired number of voters; else the present one.
    pub size: Option<usize>,
    /// Whether it may be small.
    pub dev: bool,
    /// The id that was read from, or written to, the ensemble.
    pub ensemble_id: Option<String>,
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

fn bad_address(why: impl Into<String>, next: &str) -> Refusal {
    Refusal::new(Code::BadAddress, why, next)
}

/// What to do about an address that was given to `join`.
const OF_FLAG: &str = "Correct the server's line on the command line; nothing was changed";

/// What to do about an address that the running ensemble has.
const OF_ENSEMBLE: &str = "Correct the address in the ensemble's own configuration first, then adopt it";

/// The document of a running, coherent ensemble. What the former document says of servers that were retired, or that are to join,
/// stays.
pub fn adopt(seen: &Seen, adoption: &Adoption, former: Option<&Desired>, now: Timestamp) -> Result<Desired, Refusal> {
    if let Some(refusal) = at_once(Input { desired: None, seen, now, rest: SETTLE, is_strict: true }) {
        return Err(refusal);
    }
    if former.is_some_and(|former| former.op.is_some()) {
        return Err(refusal(Code::InProgress, "a change of an earlier run is not settled yet"));
    }
    let Some(config) = &seen.quorum else { return Err(refusal(Code::NoQuorum, "no configuration is known")) };
    if seen.views().len() > 1 {
        return Err(refusal(Code::ViewMismatch, "the servers disagree about the configuration"));
    }
    check_addresses(&config.membership, OF_ENSEMBLE)?;
    let voters = config.membership.voters().len();
    let size = adoption.size.unwrap_or(voters);
    if size.is_multiple_of(2) || (size < VOTERS_MIN && !adoption.dev) {
        let why =
            format!("{size} is no safe number of voters: 3 or 5 is, and 1 for development alone; there are {voters}");
        return Err(refusal(Code::UnsafeSize, why));
    }
    let mut members = former.map(|former| former.members.clone()).unwrap_or_default();
    members.retain(|_, member| !matches!(member.state, MemberState::Voter | MemberState::Leaving));
    for (id, line) in &config.membership.servers {
        let known = former.and_then(|former| former.members.get(id)).cloned();
        let fresh = || DesiredMember::new(line.clone(), MemberState::Voter);
        let member = known.map_or_else(fresh, |known| DesiredMember { line: line.clone(), ..known });
        members.insert(*id, DesiredMember { state: MemberState::Voter, retired_reason: None, ..member });
    }
    let ensemble_id = adoption.ensemble_id.clone().or_else(|| former.and_then(|former| former.ensemble_id.clone()));
    Ok(Desired {
        size,
        dev: adoption.dev,
        ensemble_id,
        id_written: adoption.ensemble_id.is_some() || former.is_some_and(|former| former.id_written),
        initialized: true,
        members,
        last_config: Some(LastConfig { config: config.clone(), since: now }),
        op: None,
        history: former.map(|former| former.history.clone()).unwrap_or_default(),
    })
}

fn check_addresses(membership: &Membership, next: &str) -> Result<(), Refusal> {
    for (id, line) in &membership.servers {
        if let Some(host) = line.unspecified_hosts().next() {
            return Err(bad_address(format!("server {id} names {host} as quorum address"), next));
        }
    }
    match membership.clashes().first() {
        Some(clash) => {
            let who = listed(clash.servers.iter().copied());
            Err(bad_address(format!("{}:{} is named more than once, by {who}", clash.host, clash.port), next))
        }
        None => Ok(()),
    }
}

/// The document in which a server should join, or should have this line from now on.
pub fn join(desired: &Desired, id: ServerId, line: &ServerLine) -> Result<Desired, Refusal> {
    if !id.is_usable() {
        return Err(bad_address(format!("{id} is no id for a server: 1 to 255 is expected"), OF_FLAG));
    }
    if line.client.is_none() {
        return Err(bad_address(format!("server {id} has no client port: `{line}`"), OF_FLAG));
    }
    let mut next = desired.clone();
    match next.members.get_mut(&id) {
        Some(member) if member.state == MemberState::Retired => {
            let why = format!("id {id} was retired, and is never given again: an old disk may come back under it");
            return Err(Refusal::new(Code::RetiredDisk, why, "Give the server an id that was never used"));
        }
        Some(member) => {
            member.line = line.clone();
            if member.state == MemberState::Leaving {
                member.state = MemberState::Voter;
            }
        }
        None => {
            next.members.insert(id, DesiredMember::new(line.clone(), MemberState::Joining));
        }
    }
    let is_in = |member: &DesiredMember| member.state != MemberState::Retired;
    let servers = next.members.iter().filter(|(_, member)| is_in(member)).map(|(id, it)| (*id, it.line.clone()));
    check_addresses(&Membership { servers: servers.collect(), hierarchy: None }, OF_FLAG)?;
    Ok(next)
}

/// The document with another desired number of voters, where one is given.
pub fn resize(desired: &Desired, size: Option<usize>) -> Result<Desired, Refusal> {
    let Some(size) = size else { return Ok(desired.clone()) };
    if size.is_multiple_of(2) || (size < VOTERS_MIN && !desired.dev) {
        let why = format!("{size} is no safe number of voters: 3 or 5 is, and 1 for development alone");
        return Err(refusal(Code::UnsafeSize, why));
    }
    Ok(Desired { size, ..desired.clone() })
}

/// The document in which a live server should leave.
pub fn leave(desired: &Desired, id: ServerId) -> Result<Desired, Refusal> {
    let mut next = desired.clone();
    match next.members.get_mut(&id) {
        Some(member) if member.state != MemberState::Retired => {
            member.state = MemberState::Leaving;
            Ok(next)
        }
        _ => Err(unknown(id)),
    }
}

fn unknown(id: ServerId) -> Refusal {
    let why = format!("the document has no server {id} that is, or should be, a member");
    Refusal::new(Code::IdConflict, why, "Look at the ids in `toolbox ensemble status`")
}

/// A server that is declared gone for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The document.
    pub desired: Desired,
    /// What is lost by it, for whoever confirms.
    pub loss: String,
}

/// The document in which a server is gone for good: its disk may never come back under this id.
pub fn retire(desired: &Desired, seen: &Seen, id: ServerId, reason: &str) -> Result<Retired, Refusal> {
    let mut next = desired.clone();
    let Some(member) = next.members.get_mut(&id) else { return Err(unknown(id)) };
    if !seen.is_silent(id) {
        let why = format!("server {id} answers: it is not gone");
        return Err(Refusal::new(Code::NotGone, why, "Let a live server leave instead, or stop it first"));
    }
    member.state = MemberState::Retired;
    member.retired_reason = Some(reason.to_owned());
    let copies = seen.tolerance().map_or("nobody knows how many others have the data".to_owned(), Tolerance::words);
    let loss = format!(
        "the data on the disk of server {id} is given up, and the disk is refused when it comes back; {copies}"
    );
    Ok(Retired { desired: next, loss })
}
