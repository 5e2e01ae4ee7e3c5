//! The guards I1 to I12: what must hold before a change is sent, each with the numbers by which it was judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{ChangeKind, Desired};
use crate::cluster::ensemble::gone::Gone;
use crate::cluster::ensemble::member::{ServerId, listed};
use crate::cluster::ensemble::membership::Membership;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::change::{Change, Known};
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::joiner::caught_up;
use crate::commands::ensemble::plan::moved::{at_new_place, is_found};
use crate::commands::ensemble::plan::seen::{Seen, age, last_change};
use crate::commands::ensemble::plan::table::{Advice, Want};

/// How long an ensemble rests between two changes, unless somebody says otherwise.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How long lies between two changes that cost the leader, at least.
pub const LEADER_REST: Duration = Duration::from_mins(5);

/// Fewest voters of an ensemble that is not for development.
pub const VOTERS_MIN: usize = 3;

/// A guard's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Guard {
    /// One server a call, incremental, from a known version.
    I1,
    /// Tolerance does not fall.
    I2,
    /// Never below three voters.
    I3,
    /// The final number is odd and is the desired size.
    I4,
    /// The joiner follows, is caught up, and belongs to this ensemble.
    I5,
    /// The addresses are usable and unique, the id is the process's own.
    I6,
    /// Nobody is removed who was not asked to leave and is not gone for good.
    I7,
    /// The leader last, and seldom.
    I8,
    /// The membership is the one that the last pass left.
    I9,
    /// No rollout, no pod that is not ready.
    I10,
    /// Some rest between two changes.
    I11,
    /// Afterwards the removed server is stopped.
    I12,
}

impl Guard {
    /// What it demands, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::I1 => "one member a call, from a known version",
            Self::I2 => "no fewer failures are survived",
            Self::I3 => "never below three voters",
            Self::I4 => "the final number of voters is odd, and the desired one",
            Self::I5 => "the joiner follows and is caught up",
            Self::I6 => "addresses are usable and unique",
            Self::I7 => "only who should leave, or is gone for good, is removed",
            Self::I8 => "the leader last, and seldom",
            Self::I9 => "the membership is as the last pass left it",
            Self::I10 => "no rollout, and all other pods are ready",
            Self::I11 => "some rest between two changes",
            Self::I12 => "the removed member is stopped afterwards",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

/// How a guard judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// It holds.
    Holds,
    /// It does not hold: the change is refused.
    Refuses(Code),
    /// It does not hold yet, and may hold later without any action.
    Waits,
    /// It was not measured in this look; before a change is sent it is.
    Unmeasured,
}

/// One guard's judgement, with numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The guard.
    pub guard: Guard,
    /// How it judged.
    pub judgement: Judgement,
    /// By which numbers.
    pub numbers: String,
}

/// Everything that guards look at.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What is desired.
    pub desired: &'a Desired,
    /// What was seen.
    pub seen: &'a Seen,
    /// What follows for each server.
    pub known: &'a BTreeMap<ServerId, Known>,
    /// The members, as the quorum has them.
    pub membership: &'a Membership,
    /// The present time.
    pub now: Timestamp,
    /// How long the ensemble rests between two changes.
    pub rest: Duration,
}

/// All guards of a change, in their order; those that have nothing to say about its kind are left out.
pub fn check(change: &Change, ground: Ground<'_>) -> Vec<Check> {
    let after = change.after(ground.membership);
    let mut checks = vec![one_server(change, &after, ground), tolerance(change, &after, ground)];
    checks.extend(enough_voters(change, &after, ground));
    checks.push(final_number(change, &after, ground));
    checks.extend(caught_up(change, ground));
    checks.extend(addresses(change, &after, ground));
    checks.extend(asked_for(change, ground));
    checks.extend(leader_last(change, ground));
    checks.extend([as_left(ground), no_rollout(change, ground), rested(ground)]);
    checks.extend(afterwards(change, ground));
    checks
}

/// A guard that holds, or refuses by this name.
pub fn judged(guard: Guard, holds: bool, code: Code, numbers: String) -> Check {
    Check { guard, judgement: if holds { Judgement::Holds } else { Judgement::Refuses(code) }, numbers }
}

/// A guard that does not hold yet.
pub fn waits(guard: Guard, numbers: String) -> Check {
    Check { guard, judgement: Judgement::Waits, numbers }
}

/// A guard that was not measured in this look.
pub fn unmeasured(guard: Guard, numbers: String) -> Check {
    Check { guard, judgement: Judgement::Unmeasured, numbers }
}

/// The name by which a change is refused where a guard could not be measured.
pub fn code_of_unmeasured(guard: Guard) -> Code {
    match guard {
        Guard::I6 => Code::BadAddress,
        Guard::I12 => Code::AutoJoin,
        _ => Code::NotCaughtUp,
    }
}

/// How many failures are survived before and after a change; `live`: what a voter has to be to count.
pub fn spare_voters(old: Tolerance, new: Tolerance, live: &str) -> String {
    format!(
        "spare voters {} -> {} ({}/{} -> {}/{} {live})",
        old.spare(),
        new.spare(),
        old.live,
        old.voters,
        new.live,
        new.voters
    )
}

fn one_server(change: &Change, after: &Membership, ground: Ground<'_>) -> Check {
    let version = ground.seen.quorum.as_ref().map(|config| config.version).unwrap_or_default();
    let differs = ground.membership.difference(after);
    let holds = *after != *ground.membership && version.0 > 0 && after.hierarchy.is_none();
    let numbers = format!("{} from version {version}: {differs}", change.kind.word());
    judged(Guard::I1, holds, Code::ReconfigOff, numbers)
}

fn live_after(change: &Change, ground: Ground<'_>) -> BTreeSet<ServerId> {
    let mut live = ground.seen.live();
    if let Some(leaving) = change.leaving() {
        live.remove(&leaving);
    }
    if change.kind == ChangeKind::Readdress && !is_found(change, ground) {
        // With a wrong address it is lost: the others must be a majority.
        live.remove(&change.target);
    }
    live
}

fn tolerance(change: &Change, after: &Membership, ground: Ground<'_>) -> Check {
    let live = ground.seen.live();
    let old = ground.membership.tolerance(&live);
    let new = after.tolerance(&live_after(change, ground));
    let hits_live_voter = match change.kind {
        ChangeKind::Demote => live.contains(&change.target),
        _ => change.leaving().is_some_and(|id| ground.membership.is_voter(id) && live.contains(&id)),
    };
    let wanted = i64::from(!ground.desired.dev);
    let mut numbers = spare_voters(old, new, "live");
    let mut holds = new.spare() >= wanted || (new.spare() >= old.spare() && !hits_live_voter);
    if change.kind == ChangeKind::Readdress {
        // It comes back at its new address, or is not counted already.
        holds = true;
        if new.live < old.live {
            numbers.push_str("; it does not count, as it was not found at its new address");
        }
    }
    // A change that leaves no majority is refused whatever it improves.
    judged(Guard::I2, holds && new.spare() >= 0, Code::UnsafeSize, numbers)
}

fn enough_voters(change: &Change, after: &Membership, ground: Ground<'_>) -> Option<Check> {
    let (before, voters) = (ground.membership.voters().len(), after.voters().len());
    if voters >= before {
        return None;
    }
    let least = if ground.desired.dev { 1 } else { VOTERS_MIN };
    let numbers = format!("voters {before} -> {voters}, at least {least}");
    let hint = if change.kind == ChangeKind::Drop { "; replace a dead voter instead" } else { "" };
    Some(judged(Guard::I3, voters >= least, Code::UnsafeSize, format!("{numbers}{hint}")))
}

fn final_number(change: &Change, after: &Membership, ground: Ground<'_>) -> Check {
    let size = ground.desired.size;
    let numbers = |voters: usize, end: usize| format!("{voters} voters next, {end} in the end, size {size}");
    let stays = |id: &ServerId| {
        let is_on_its_way_out =
            matches!(ground.known.get(id).map(|it| it.want), Some(Want::Leaving | Want::Retired | Want::Observer));
        !is_on_its_way_out && change.leaving() != Some(*id)
    };
    let wanted = ground.desired.wanted_voters().filter(stays);
    let end: BTreeSet<_> = after.voters().into_iter().filter(stays).chain(wanted).collect();
    // An observer that is removed to be promoted next is one of the end.
    let end = end.len() + usize::from(change.kind == ChangeKind::Unobserve && !end.contains(&change.target));
    let is_size_legal = size % 2 == 1 && (size >= VOTERS_MIN || ground.desired.dev);
    // What brings the number nearer to the size, or leaves it as it is, needs no final number.
    let (before, next) = (ground.membership.voters().len(), after.voters().len());
    let holds = is_size_legal && (end == size || next == before || (next < before && next >= size));
    judged(Guard::I4, holds, Code::UnsafeSize, numbers(next, end))
}

fn addresses(change: &Change, after: &Membership, ground: Ground<'_>) -> Option<Check> {
    let line = change.line.as_ref()?;
    let id = change.target;
    let refused = |code, numbers: String| Some(judged(Guard::I6, false, code, numbers));
    if !id.is_usable() {
        return refused(Code::BadAddress, format!("{id} is no id for a server: 1 to 255 is expected"));
    }
    if line.client.is_none() {
        return refused(Code::BadAddress, format!("server {id} has no client port: `{line}`"));
    }
    for (member, line) in &after.servers {
        if let Some(host) = line.unspecified_hosts().next() {
            let numbers =
                format!("server {member} names {host} as quorum address: every other server reads that as itself");
            return refused(Code::BadAddress, numbers);
        }
    }
    if let Some(clash) = after.clashes().first() {
        let servers = listed(clash.servers.iter().copied());
        return refused(
            Code::BadAddress,
            format!("{}:{} is named more than once, by {servers}", clash.host, clash.port),
        );
    }
    let view = ground.seen.servers.get(&id);
    if view.and_then(|view| view.resolves) == Some(false) {
        return refused(Code::BadAddress, format!("the host of server {id} does not resolve here: `{line}`"));
    }
    if let Some(own) = view.and_then(|view| view.own_id)
        && own != id
    {
        return refused(Code::IdConflict, format!("the process at the address of server {id} has myid {own}"));
    }
    let of_move = match at_new_place(change, ground) {
        Ok(words) => words,
        Err(check) => return Some(check),
    };
    let numbers = format!(
        "`{line}`, {} addresses in all, none twice{of_move}",
        after.servers.values().map(|it| it.endpoints().len()).sum::<usize>()
    );
    Some(judged(Guard::I6, true, Code::BadAddress, numbers))
}

fn asked_for(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let (id, is_demotion) = match (change.leaving(), change.kind) {
        (_, ChangeKind::Demote) => (change.target, true),
        (Some(id), _) => (id, false),
        (None, _) => return None,
    };
    let known = ground.known.get(&id)?;
    let gone = known.gone.as_ref();
    let is_asked = known.want == Want::Leaving || change.kind == ChangeKind::Unobserve || is_demotion;
    let is_gone = gone.is_some_and(Gone::is_for_good);
    let words = match (is_gone, gone) {
        (false, _) if is_demotion => format!("server {id} should observe"),
        (false, _) if is_asked => format!("server {id} should leave"),
        (_, Some(gone)) => format!("server {id} is {gone}"),
        (_, None) => format!("server {id} answers"),
    };
    // A server that does not run and should leave may come back: it has to be retired first.
    let holds = if change.kind == ChangeKind::Drop || change.kind == ChangeKind::Replace { is_gone } else { is_asked };
    Some(judged(Guard::I7, holds, Code::NotGone, words))
}

fn leader_last(change: &Change, ground: Ground<'_>) -> Option<Check> {
    if !change.is_leader {
        return None;
    }
    let is_before =
        |known: &Known| matches!(known.advice, Advice::Remove | Advice::Demote | Advice::Unobserve | Advice::Promote);
    let others = ground.known.iter().filter(|(id, known)| {
        let moves = known.advice == Advice::Readdress && change.kind == ChangeKind::Readdress;
        **id != change.target && (is_before(known) || moves)
    });
    let others: Vec<_> = others.map(|(id, _)| *id).collect();
    let last = ground.desired.history.iter().rfind(|entry| entry.is_leader).map(|entry| age(entry.at, ground.now));
    let wait = |numbers: String| Some(waits(Guard::I8, numbers));
    if !others.is_empty() {
        return wait(format!("server {} leads: {} come first", change.target, listed(others)));
    }
    match last {
        Some(last) if last < LEADER_REST => wait(format!(
            "the leader was changed {} s ago; {} s must pass between two changes of the leader",
            last.as_secs(),
            LEADER_REST.as_secs()
        )),
        _ => Some(judged(Guard::I8, true, Code::InProgress, format!("server {} leads and is the last", change.target))),
    }
}

fn as_left(ground: Ground<'_>) -> Check {
    let Some(last) = &ground.desired.last_config else {
        return judged(Guard::I9, false, Code::NotAdopted, "no configuration was adopted".to_owned());
    };
    let differs = last.config.membership.difference(ground.membership);
    let numbers =
        if differs.is_empty() { format!("as left at version {}", last.config.version) } else { differs.clone() };
    judged(Guard::I9, differs.is_empty(), Code::MembershipRegressed, numbers)
}

fn no_rollout(change: &Change, ground: Ground<'_>) -> Check {
    let Some(workload) = &ground.seen.workload else {
        return judged(Guard::I10, true, Code::Rollout, "no pods are known".to_owned());
    };
    if let Some(why) = &workload.unknown {
        return judged(Guard::I10, false, Code::Rollout, format!("the servers' pods are not known: {why}"));
    }
    if let Some(rollout) = &workload.rollout {
        return judged(Guard::I10, false, Code::Rollout, rollout.clone());
    }
    // Neither joiners nor servers that are gone for good become ready by waiting.
    let is_exempt = |id: &ServerId| {
        let known = ground.known.get(id);
        let is_gone = known.is_some_and(|known| known.gone.as_ref().is_some_and(Gone::is_for_good));
        let is_outside = !ground.membership.servers.contains_key(id);
        *id == change.target || change.leaving() == Some(*id) || is_joiner(known) || is_outside || is_gone
    };
    let unready: Vec<_> = workload.unready.iter().filter(|(id, _)| !is_exempt(id)).collect();
    match unready.first() {
        Some((id, why)) => {
            judged(Guard::I10, false, Code::Rollout, format!("the pod of server {id} is not ready: {why}"))
        }
        None if workload.settling.is_some() => {
            let numbers = workload.settling.clone().unwrap_or_default();
            Check { guard: Guard::I10, judgement: Judgement::Waits, numbers }
        }
        None => judged(Guard::I10, true, Code::Rollout, "no rollout, all other pods are ready".to_owned()),
    }
}

/// Joiners are not ready before they are members: waiting for that would be waiting for oneself.
fn is_joiner(known: Option<&Known>) -> bool {
    known.is_some_and(|known| known.want == Want::Joining)
}

fn rested(ground: Ground<'_>) -> Check {
    let wait = |numbers: String| waits(Guard::I11, numbers);
    if ground.seen.leader_changed {
        return wait("the leader changed during this look".to_owned());
    }
    if ground.seen.views().len() > 1 {
        return wait("the servers disagree about the configuration".to_owned());
    }
    if let Some((id, why)) = ground.seen.unread_ids().pop_first() {
        let code = Code::NotAsked;
        return wait(format!("the ensemble's id could not be read from server {id} ({code}): {why}"));
    }
    if let Some((_, words)) = ground.seen.not_stored().pop_first() {
        return wait(format!("{words}; no further change is made before that ({})", Code::ConfigNotPersisted));
    }
    let changed = last_change(ground.desired).map(|at| age(at, ground.now));
    let holds = |numbers: String| judged(Guard::I11, true, Code::InProgress, numbers);
    let waited_for = format!("{} s are waited for", ground.rest.as_secs());
    // An election begins the rest anew, whoever saw it: the leader itself says for how long it has led.
    match (changed, ground.seen.leads_for()) {
        (Some(changed), _) if changed < ground.rest => {
            wait(format!("{} s since the last change, {waited_for}", changed.as_secs()))
        }
        (_, Some(leads)) if leads < ground.rest => {
            wait(format!("the leader was elected {} s ago, {waited_for}", leads.as_secs()))
        }
        (Some(changed), _) => holds(format!("{} s since the last change", changed.as_secs())),
        (None, _) => holds("no change is known".to_owned()),
    }
}

fn afterwards(change: &Change, ground: Ground<'_>) -> Option<Check> {
    let removes_live = matches!(change.kind, ChangeKind::Shrink | ChangeKind::ShrinkLeader);
    if !removes_live {
        return None;
    }
    let pod = ground.seen.workload.as_ref().and_then(|workload| workload.pods.get(&change.target));
    let words = if pod.is_some_and(|pod| pod.is_last) {
        "afterwards: a write, then the StatefulSet's replicas are lowered by one"
    } else {
        "afterwards: a write, then the server must be stopped by hand"
    };
    Some(judged(Guard::I12, true, Code::Rollout, words.to_owned()))
}
