//! What forbids every change, whatever it would be.

use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::member::listed;
use crate::cluster::ensemble::view::Mode;
use crate::commands::ensemble::plan::Input;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{PERSIST, VIEWS_SETTLE};
use crate::commands::ensemble::plan::seen::{Seen, age, last_change};

/// What forbids even to settle an open change.
pub fn at_once(input: Input<'_>) -> Option<Refusal> {
    let seen = input.seen;
    split_brain(input)
        .or_else(|| standalone(seen))
        .or_else(|| id_conflict(seen))
        .or_else(|| (seen.leader().is_none() || seen.tolerance()?.spare() < 0).then(|| no_quorum(seen)))
        .or_else(|| seen.quorum.is_none().then(|| no_quorum(seen)))
        .or_else(|| reconfig_off(seen))
}

/// What forbids a new change, once no old one is open.
pub fn before_a_change(input: Input<'_>, desired: &Desired) -> Option<Refusal> {
    let seen = input.seen;
    if seen.may_reconfigure == Some(false) {
        return Some(refusal(Code::Auth, "this identity may not write /zookeeper/config"));
    }
    regressed(seen, desired).or_else(|| view_mismatch(seen)).or_else(|| not_persisted(input, desired))
}

/// No configuration was adopted.
pub fn not_adopted() -> Refusal {
    refusal(Code::NotAdopted, "there is no record of this ensemble's membership")
}

/// No leader or no majority.
pub fn no_quorum(seen: &Seen) -> Refusal {
    let tolerance = seen.tolerance().map(|it| format!("; {}", it.words())).unwrap_or_default();
    let leaders = match seen.leader() {
        Some(id) => format!("server {id} leads"),
        None => "no server leads".to_owned(),
    };
    refusal(Code::NoQuorum, format!("{leaders}{tolerance}"))
}

/// What to do about a refusal.
pub fn next_step(code: Code) -> &'static str {
    match code {
        Code::NoQuorum => {
            "Start the missing members. Where too many disks are lost, copy the newest surviving data \
                folder (the highest zxid \
             below) to enough members by hand; never edit configuration files to get a quorum"
        }
        Code::SplitBrain => {
            "Stop clients, compare both sides (members, zxid, ensemble id), stop the side that should not \
                live, and keep its disks"
        }
        Code::MembershipRegressed => {
            "Find out who changed it. If the present membership is right, run `toolbox ensemble adopt`; \
                else stop and restore it"
        }
        Code::ViewMismatch => {
            "Look at the servers that differ: restart those that are behind through `toolbox ensemble prestart`"
        }
        Code::Conflict => "Somebody else changes this ensemble: run again",
        Code::InProgress => "Run again in a minute",
        Code::NotCaughtUp => "Wait until the server follows and is caught up, then run again",
        Code::UnsafeSize => "Start the missing servers, add a joiner, or correct `size` and the members' states",
        Code::NotGone => "If its disk will never come back, run `toolbox ensemble retire ID`; else start it",
        Code::BadAddress => "Correct the server's address in the document",
        Code::IdConflict => "Stop the process that has the wrong id, and correct its myid",
        Code::Auth => "Grant write on /zookeeper/config to this identity (setAcl), and give its credentials",
        Code::ReconfigOff => {
            "Set reconfigEnabled=true and standaloneEnabled=false on every server, and restart them one by one"
        }
        Code::Rollout => "Wait until the rollout has ended and all pods are ready, then run again",
        Code::ConfigNotPersisted => {
            "Make the configuration folder writable (no ConfigMap as folder), and restart that server"
        }
        Code::EmptyDisk => "Start the members that have the data; this one then copies it from them",
        Code::DiskIo => "Repair the volume or its rights; a disk that can't be read does not count as empty",
        Code::RetiredDisk => "Move the data folder away, or give the pod a new id",
        Code::NotAdopted => "Run `toolbox ensemble adopt` once, while the ensemble is healthy",
        Code::StaticQuorum => {
            "Kafka 4.1 and later: `kafka-features.sh upgrade --feature kraft.version=1`, then replace \
             controller.quorum.voters by controller.quorum.bootstrap.servers and restart the controllers one by one. \
             Kafka 3.9 can't be upgraded to a dynamic quorum"
        }
        Code::AutoJoin => "Stop the controller first, then run again: it would add itself again while it runs",
        Code::KraftVersionMixed => "Upgrade or unregister the nodes that do not support kraft.version 1",
        Code::CombinedRole => {
            "Take the controller role out of process.roles and restart the node; a membership call can't do that"
        }
        Code::Migration => "Finish the migration from ZooKeeper, or roll it back, first",
        Code::UnknownResult => "Run again: the next pass finds out how it ended",
    }
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

fn split_brain(input: Input<'_>) -> Option<Refusal> {
    let seen = input.seen;
    let (leaders, ids) = (seen.leaders(), seen.ensemble_ids());
    let expected = input.desired.and_then(|desired| desired.ensemble_id.as_deref());
    let foreign = ids.keys().find(|id| expected.is_some_and(|expected| **id != expected));
    if leaders.len() < 2 && ids.len() < 2 && foreign.is_none() {
        return None;
    }
    let sides = leaders.iter().filter_map(|id| {
        let view = seen.servers.get(id)?;
        let config = view.config.as_ref();
        let members = config.map_or("unknown members".to_owned(), |it| listed(it.membership.servers.keys().copied()));
        let zxid = view.answer.zxid().unwrap_or_default();
        let ensemble = view.ensemble_id.as_deref().unwrap_or("no id");
        Some(format!("server {id} leads {members} at {zxid}, epoch {} ({ensemble})", zxid.epoch()))
    });
    let sides: Vec<_> = sides.collect();
    let ids: Vec<_> =
        ids.iter().map(|(id, servers)| format!("{id}: server {}", listed(servers.iter().copied()))).collect();
    let why = format!("{} leaders: {}; ensemble ids: {}", leaders.len(), sides.join("; "), ids.join("; "));
    Some(refusal(Code::SplitBrain, why))
}

fn id_conflict(seen: &Seen) -> Option<Refusal> {
    seen.servers.iter().find_map(|(id, view)| {
        let rival = view.rival.as_ref().map(|rival| format!("server {id} is claimed by {rival} too"));
        let own = view.own_id.filter(|own| own != id);
        let own = own.map(|own| format!("the process at the address of server {id} has myid {own}"));
        Some(refusal(Code::IdConflict, rival.or(own)?))
    })
}

/// A server said that it is off, or is no member of an ensemble.
fn standalone(seen: &Seen) -> Option<Refusal> {
    let alone = |id| format!("server {id} runs alone (standalone): it knows of no ensemble");
    let why = seen.reconfig_off.clone().or_else(|| seen.in_mode(Mode::Standalone).into_iter().next().map(alone))?;
    Some(refusal(Code::ReconfigOff, why))
}

/// The configuration shows that it is off, or impossible.
fn reconfig_off(seen: &Seen) -> Option<Refusal> {
    let why = if seen.membership().is_some_and(|membership| membership.hierarchy.is_some()) {
        "the quorum is hierarchical (groups or weights): ZooKeeper has no incremental reconfiguration for it".to_owned()
    } else if seen.quorum.as_ref().is_some_and(|config| config.version.0 == 0) {
        "the configuration has version 0: reconfiguration was never on".to_owned()
    } else {
        return None;
    };
    Some(refusal(Code::ReconfigOff, why))
}

fn regressed(seen: &Seen, desired: &Desired) -> Option<Refusal> {
    let last = desired.last_config.as_ref();
    let Some(last) = last else { return Some(not_adopted()) };
    let difference = last.config.membership.difference(seen.membership()?);
    let why = format!("the membership is not the one that was left at version {}: {difference}", last.config.version);
    (!difference.is_empty()).then(|| refusal(Code::MembershipRegressed, why))
}

fn view_mismatch(seen: &Seen) -> Option<Refusal> {
    let views = seen.views();
    let time = seen.views_differ_for.filter(|time| *time >= VIEWS_SETTLE)?;
    let why = format!("the servers have disagreed about the configuration for {} s", time.as_secs());
    (views.len() > 1).then(|| refusal(Code::ViewMismatch, why))
}

fn not_persisted(input: Input<'_>, desired: &Desired) -> Option<Refusal> {
    let live = input.seen.quorum.as_ref()?.version;
    if last_change(desired).is_some_and(|at| age(at, input.now) < PERSIST) {
        return None;
    }
    let behind = input.seen.servers.iter().find(|(_, view)| view.disk_version.is_some_and(|disk| disk < live));
    let (id, view) = behind?;
    let disk = view.disk_version.unwrap_or_default();
    let why = format!(
        "server {id} has version {disk} on its disk, version {live} has been live for more than {} s",
        PERSIST.as_secs()
    );
    Some(refusal(Code::ConfigNotPersisted, why))
}
