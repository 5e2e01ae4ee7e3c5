//! What forbids every change, whatever it would be.

use crate::cluster::ensemble::desired::{Desired, ENSEMBLE_ID_PATH};
use crate::cluster::ensemble::member::{ServerId, listed};
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Mode, ServerView, Zxid};
use crate::commands::ensemble::plan::Input;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{PERSIST, VIEWS_SETTLE};
use crate::commands::ensemble::plan::seen::{Asked, Seen, age, last_change};

/// Most servers whose answers are named in one line.
const NAMED_MAX: usize = 8;

/// What forbids even to settle an open change.
pub fn at_once(input: Input<'_>) -> Option<Refusal> {
    let seen = input.seen;
    wrong_ensemble(input)
        .or_else(|| split_brain(seen))
        .or_else(|| standalone(seen))
        .or_else(|| id_conflict(seen))
        .or_else(|| not_asked(seen))
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
    regressed(seen, desired)
        .or_else(|| migration(input))
        .or_else(|| view_mismatch(seen))
        .or_else(|| unread_ids(seen, desired))
        .or_else(|| not_persisted(input, desired))
}

/// The record is of another ensemble than the servers that answer. Two leaders or two ids are a split brain instead, unless the
/// servers at the record's own addresses have nothing to do with those that were named.
pub fn wrong_ensemble(input: Input<'_>) -> Option<Refusal> {
    let (desired, seen) = (input.desired?, input.seen);
    let (asked, ids) = (&seen.asked, seen.ensemble_ids());
    if is_split(seen) && !asked.is_apart {
        return None;
    }
    let id = asked.ensemble_id.as_deref().or_else(|| ids.keys().next().copied());
    let found = Found { id, lacks_id: asked.lacks_id && id.is_none(), config: seen.quorum.as_ref() };
    let is_seen = found.id.is_some() || found.config.is_some();
    is_seen.then(|| not_its_own(desired, found, asked)).flatten()
}

/// Which ensemble servers are of.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its id; none where it has none yet, or where that was not read.
    pub id: Option<&'a str>,
    /// Whether it certainly has none: the node is not there.
    pub lacks_id: bool,
    /// Its configuration, where it is known: not older than what the quorum had when it was read.
    pub config: Option<&'a EnsembleConfig>,
}

/// Refuses where the servers are of another ensemble than the record: by the ids; where one has none, by the members, of which one
/// at least must have the place that the record knows, and by what shows that an ensemble was built anew at these places.
pub fn not_its_own(desired: &Desired, found: Found<'_>, asked: &Asked) -> Option<Refusal> {
    let membership = found.config.map(|config| &config.membership);
    let is_known = membership.is_some_and(|membership| is_known(desired, membership));
    let of_record = match &desired.ensemble_id {
        Some(id) => format!("ensemble {id}"),
        None => format!("the ensemble of server {}", listed(desired.members.keys().copied())),
    };
    let of_servers = match (found.id, membership) {
        (Some(id), _) => format!("ensemble {id}"),
        (None, Some(_)) if is_known => "an ensemble without an id".to_owned(),
        (None, Some(membership)) => {
            let members = listed(membership.servers.keys().copied());
            format!(
                "an ensemble without an id, whose members ({members}) are at addresses that the record does not have"
            )
        }
        (None, None) => "of an ensemble that can't be told".to_owned(),
    };
    let place = asked.record.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let both =
        format!("this record{place} belongs to {of_record}, and the servers {} are {of_servers}", servers_of(asked));
    match (&desired.ensemble_id, found.id) {
        (Some(expected), Some(id)) if expected == id => None,
        (None, _) | (_, None) if is_known => {
            let evidence = built_anew(desired, found)?;
            let next = "Nothing was changed. If the ensemble was built anew, delete the record and run `toolbox ensemble adopt`; if \
                        only the node with its id was deleted, create that again";
            let why = format!("{both} at the same addresses, and were built anew: {evidence}");
            Some(Refusal::new(Code::WrongEnsemble, why, next))
        }
        _ => Some(refusal(Code::WrongEnsemble, format!("{both}: check --ensemble, --cluster and --zookeeper"))),
    }
}

/// The servers that were asked, in words.
pub(super) fn servers_of(asked: &Asked) -> String {
    if asked.servers.is_empty() { "that answer".to_owned() } else { format!("at {}", some(&asked.servers)) }
}

/// What shows that an ensemble without the record's id is another one than the record's, at the same places; nothing where that
/// can't be told.
///
/// The version of a configuration is the zxid of the change that made it, and never becomes less. That of a configuration that was
/// never changed is the beginning of an epoch: only `adopt` records such a version, and it writes the id into the ensemble first.
fn built_anew(desired: &Desired, found: Found<'_>) -> Option<String> {
    let recorded = desired.last_config.as_ref()?.config.version;
    let live = found.config.map(|config| config.version).filter(|version| version.0 > 0);
    if let Some(live) = live.filter(|live| *live < recorded) {
        return Some(format!(
            "their configuration has version {live}, the record has {recorded}, and versions never become less"
        ));
    }
    let is_of_adopt = desired.ensemble_id.is_some() && recorded.0 > 0 && Zxid(recorded.0).counter() == 0;
    (found.lacks_id && is_of_adopt).then(|| format!("they lack the node {ENSEMBLE_ID_PATH}, which `adopt` made"))
}

/// Whether the record knows one of these members by its id and its place.
fn is_known(desired: &Desired, membership: &Membership) -> bool {
    let of_members = desired.members.iter().map(|(id, member)| (id, &member.line));
    let last = desired.last_config.iter().map(|last| &last.config.membership);
    let left = last.chain(desired.op.iter().flat_map(|op| [&op.before, &op.after])).flat_map(|it| &it.servers);
    of_members.chain(left).any(|(id, line)| membership.servers.get(id).is_some_and(|now| shares_an_address(now, line)))
}

fn shares_an_address(one: &ServerLine, other: &ServerLine) -> bool {
    let is_there = |it: &_| other.addresses.contains(it);
    one.addresses.iter().any(is_there)
}

/// The first of some texts.
pub(super) fn some(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(NAMED_MAX);
    let first = texts.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// Nobody answers as ZooKeeper does, or too few of too many were asked.
fn not_asked(seen: &Seen) -> Option<Refusal> {
    let left_out = seen.asked.left_out;
    if seen.is_answered() {
        let is_lost = seen.leader().is_none() && left_out > 0;
        let why = format!("there are too many servers: {left_out} were not asked, and none of the others leads");
        let next = "Name the voters themselves (--zookeeper); servers that are not needed should leave";
        return is_lost.then(|| Refusal::new(Code::NotAsked, why, next));
    }
    let of_server = |(id, view): (&ServerId, &ServerView)| Some(format!("server {id}: {}", view.answer.trouble()?));
    let mut reasons: Vec<_> = seen.servers.iter().filter_map(of_server).collect();
    reasons.extend(seen.asked.no_answers.iter().cloned());
    let colon = if reasons.is_empty() { "" } else { ": " };
    Some(refusal(Code::NotAsked, format!("nobody could be asked{colon}{}", some(&reasons))))
}

/// Two leaders, or servers of two ensembles. What could not be read shows neither: [`split`].
pub fn is_split(seen: &Seen) -> bool {
    split(seen) == Some(true)
}

/// Whether there are two leaders, or servers of two ensembles; none where a server's ensemble id could not be read, so that it may
/// be another one.
pub fn split(seen: &Seen) -> Option<bool> {
    let is_split = seen.leaders().len() > 1 || seen.ensemble_ids().len() > 1;
    (is_split || seen.unread_ids().is_empty()).then_some(is_split)
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
            "Start the missing members. Where too many disks are lost, copy the newest surviving data folder (the one with the \
             highest zxid in the names of its files version-2/log.ZXID and snapshot.ZXID) to enough members by hand; never edit \
             configuration files to get a quorum"
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
        Code::WrongEnsemble => "Nothing was changed",
        Code::NotAsked => {
            "Check whether the servers run, the addresses and ports of --zookeeper (a TLS port needs --zookeeper-config), and \
             `srvr` in 4lw.commands.whitelist"
        }
        Code::UnknownResult => "Run again: the next pass finds out how it ended",
    }
}

fn refusal(code: Code, why: impl Into<String>) -> Refusal {
    Refusal::new(code, why, next_step(code))
}

fn split_brain(seen: &Seen) -> Option<Refusal> {
    if !is_split(seen) {
        return None;
    }
    let (leaders, ids) = (seen.leaders(), seen.ensemble_ids());
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
    let (left, live) = (last.config.version, seen.quorum.as_ref()?.version);
    if live < left {
        let why = format!(
            "the configuration has version {live}, and version {left} was left: versions never become less, so the servers have \
             older data than they had"
        );
        return Some(refusal(Code::MembershipRegressed, why));
    }
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
    if last_change(desired).is_some_and(|at| age(at, input.now) < PERSIST) {
        // Until then the guard I11 waits.
        return None;
    }
    let (_, words) = input.seen.not_stored().pop_first()?;
    Some(refusal(Code::ConfigNotPersisted, format!("{words}, for more than {} s", PERSIST.as_secs())))
}

/// No id could be read from any server, though the record has one: nobody knows which ensemble this is.
fn unread_ids(seen: &Seen, desired: &Desired) -> Option<Refusal> {
    let unread = seen.unread_ids();
    if desired.ensemble_id.is_none() || unread.is_empty() || !seen.ensemble_ids().is_empty() {
        return None;
    }
    let reasons: Vec<_> = unread.iter().map(|(id, why)| format!("server {id}: {why}")).collect();
    let why = format!("the ensemble's id could not be read from any server: {}", some(&reasons));
    let next = "Let this identity read the node /kafka-toolbox/ensemble-id, and check that the servers give sessions; then run again";
    Some(Refusal::new(Code::NotAsked, why, next))
}

/// Kafka must not lose the ensemble that it moves away from, and its controllers write there until the migration is over.
fn migration(input: Input<'_>) -> Option<Refusal> {
    match input.seen.migrates {
        Some(true) => {
            let why = "the ensemble has the node /migration beside Kafka's nodes: a migration to KRaft was begun";
            let next = "Finish the migration, or roll it back, first. Kafka leaves the node behind: once the migration is over, \
                        delete it with `zookeeper-shell.sh HOST:PORT deleteall /migration` (below the chroot, where there is one)";
            Some(Refusal::new(Code::Migration, why, next))
        }
        None if input.is_strict => {
            let why = "whether a migration from this ensemble to KRaft runs could not be read";
            let next = "Check that the servers give sessions, then run again; nothing was changed";
            Some(Refusal::new(Code::Migration, why, next))
        }
        Some(false) | None => None,
    }
}
