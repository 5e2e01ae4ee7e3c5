//! The decision table: the disk wins, then the claim's annotation, the node's label, the registry, the ordinal.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::desired::CLOCKS_DIFFER;
use crate::cluster::visible;
use crate::commands::identity::plan::disk::{self, OnDisk};
use crate::commands::identity::plan::evidence::{ClusterSeen, NodeSeen, PodSeen, Seen};
use crate::commands::identity::plan::free;
use crate::commands::identity::plan::lost;
use crate::commands::identity::plan::rack::{self, RackFound};
use crate::commands::identity::plan::range;
use crate::commands::identity::plan::refusal::{Code, Halt, Question, refused};
use crate::commands::identity::plan::registry::{Entry, Registry, State};
use crate::commands::identity::plan::silent;
use crate::commands::identity::plan::terms::{Allocation, Kind, Terms};
use crate::commands::identity::spec::ids;

/// For so long after an id was given out, an empty disk is one that its broker did not write to yet.
const FIRST_START: SignedDuration = SignedDuration::from_hours(1);

/// Who says which id it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The disk holds it.
    Disk,
    /// The claim's annotation.
    ClaimAnnotation,
    /// The node's label.
    NodeLabel,
    /// The registry.
    Registry,
    /// The pod's ordinal.
    Ordinal,
    /// The flag `--id`.
    Flag,
    /// It was the lowest free one.
    FirstFree,
}

/// One id, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The id.
    pub id: BrokerId,
    /// Who says so.
    pub source: Source,
    /// The rack, if it has one.
    pub rack: Option<RackFound>,
    /// The registry as it must be before anybody sees the id.
    pub registry: Registry,
    /// The id whose disk is lost, where this is its replacement.
    pub replaces: Option<BrokerId>,
    /// What a person should know, with the kind of its event.
    pub notes: Vec<Note>,
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The event's kind.
    pub kind: &'static str,
    /// A sentence.
    pub words: String,
}

/// An id that was chosen, and what its former disk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) id: BrokerId,
    pub(super) source: Source,
    pub(super) former: Former,
}

/// What becomes of the disk that an id had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    /// There was none, or it is the same.
    Same,
    /// It is lost, and this one takes its id over.
    Retired,
    /// It is lost, and so is its id: this one has another.
    Instead(BrokerId),
}

/// Decides on the id of a pod.
pub fn decide(terms: &Terms, seen: &Seen) -> Result<Decision, Halt> {
    check_cluster(terms, seen)?;
    let on_disk = disk::on_disk(terms, seen)?;
    let chosen = match &on_disk {
        Some(on_disk) => with_disk(terms, seen, on_disk)?,
        None => without_disk(terms, seen)?,
    };
    finish(terms, seen, on_disk, &chosen)
}

/// The registry and the live cluster must be of the cluster that is expected.
fn check_cluster(terms: &Terms, seen: &Seen) -> Result<(), Halt> {
    let Some(expected) = terms.cluster_id.as_ref().or(seen.registry.cluster_id.as_ref()) else { return Ok(()) };
    if let Some(other) = seen.registry.cluster_id.as_ref().filter(|id| *id != expected) {
        return refused(
            Code::WrongCluster,
            format!(
                "the registry belongs to cluster {}, but {expected} is expected. If the cluster was rebuilt, delete the registry; \
                 else correct the cluster's id in toolbox.yaml",
                visible::value(other)
            ),
        );
    }
    match &seen.cluster {
        ClusterSeen::Known(listed) if listed.cluster_id != *expected => refused(
            Code::WrongCluster,
            format!(
                "the brokers that answer belong to cluster {}, but {expected} is expected. Look at --bootstrap-server",
                visible::value(&listed.cluster_id)
            ),
        ),
        _ => Ok(()),
    }
}

fn with_disk(terms: &Terms, seen: &Seen, on_disk: &OnDisk) -> Result<Chosen, Halt> {
    disk::check_disk(terms, seen, on_disk)?;
    let id = on_disk.disk.id;
    let chosen = Chosen { id, source: Source::Disk, former: Former::Same };
    let mine = seen.registry.of_pod(&seen.me.pod).map(|(id, _)| id);
    if mine == Some(id) {
        return Ok(chosen);
    }
    // Of a pod that has another id the disk is the wrong one, whether or not the other pod runs: waiting for that would not help.
    if let Some(entry) = seen.registry.ids.get(&id).filter(|_| mine.is_none()) {
        check_gone(seen, id, &entry.pod)?;
    }
    let (expected, who) = match mine {
        Some(mine) => (Some(mine), "the registry"),
        None => (free::by_rule(terms, seen)?, "its name or flags"),
    };
    match expected {
        Some(other) if other != id => refused(
            Code::DiskMismatch,
            format!(
                "the disk of pod {} holds id {id}, but by {who} the pod has id {other}: disks were exchanged. Nothing was written. \
                 Bind the claim to the disk of {other}, or give the pod its id with --id {id}",
                seen.me.pod
            ),
        ),
        _ if !terms.ids.contains(&id) => refused(
            Code::DiskMismatch,
            format!(
                "the disk of pod {} holds id {id}, which is none of map {} ({}). Nothing was written. Name the right map (--map), or \
                 bind the claim to a disk of this map",
                seen.me.pod,
                terms.map,
                free::shown(terms)
            ),
        ),
        _ => Ok(chosen),
    }
}

fn without_disk(terms: &Terms, seen: &Seen) -> Result<Chosen, Halt> {
    let mine = seen.registry.of_pod(&seen.me.pod).map(|(id, _)| id);
    let expected = match (mine, terms.allocation) {
        (Some(mine), Allocation::Given(given)) if mine != given => {
            return refused(
                Code::LabelConflict,
                format!(
                    "--id says {given}, but pod {} has id {mine} in the registry. Remove --id, or correct it",
                    seen.me.pod
                ),
            );
        }
        (Some(mine), _) => Some(mine),
        (None, _) => free::by_rule(terms, seen)?,
    };
    let hint = hint(seen)?;
    match (expected, hint) {
        (Some(expected), Some((other, source))) if expected != other => {
            let who = if mine.is_some() { "the registry" } else { "the pod's name or flags" };
            refused(
                Code::LabelConflict,
                format!(
                    "the disk is empty, {} says id {other}, and {who} says {expected}. If the disk was cleared on purpose, \
                     remove the {}",
                    words(source),
                    words(source)
                ),
            )
        }
        (Some(id), hint) => {
            let source = if mine.is_some() { by_allocation(terms, seen, id) } else { of_rule(terms) };
            known(terms, seen, Chosen { id, source, former: Former::Same }, hint.is_some())
        }
        (None, Some((id, source))) => {
            let id = free::in_range(terms, id, words(source))?;
            known(terms, seen, Chosen { id, source, former: Former::Same }, true)
        }
        (None, None) => {
            let id = free::first_free(terms, seen, None)?;
            Ok(Chosen { id, source: Source::FirstFree, former: Former::Same })
        }
    }
}

/// The source of an id that the registry repeats: a second run of the same start says the same as the first.
fn by_allocation(terms: &Terms, seen: &Seen, id: BrokerId) -> Source {
    match terms.allocation {
        Allocation::FirstFree => Source::FirstFree,
        _ if free::by_rule(terms, seen) == Ok(Some(id)) => of_rule(terms),
        _ => Source::Registry,
    }
}

fn of_rule(terms: &Terms) -> Source {
    match terms.allocation {
        Allocation::Ordinal => Source::Ordinal,
        Allocation::FirstFree => Source::FirstFree,
        Allocation::Given(_) => Source::Flag,
    }
}

fn words(source: Source) -> &'static str {
    if source == Source::ClaimAnnotation { "annotation of its claim" } else { "label of its node" }
}

/// What the claim and the node say; the claim, which follows the disk, is stronger. They may not disagree.
fn hint(seen: &Seen) -> Result<Option<(BrokerId, Source)>, Halt> {
    let of_node = match &seen.node {
        NodeSeen::Labels { broker_id, .. } => broker_id.as_deref(),
        NodeSeen::Unreadable(why) => {
            return refused(
                Code::LabelUnknown,
                format!(
                    "the disk is empty, and the node can't be read ({}): its label may say another id. The pod tries again by itself; if \
                     it stays so, look at the API server, or leave --node-name (NODE_NAME) out where nodes have no labels with ids",
                    visible::line(why)
                ),
            );
        }
        NodeSeen::NotRead | NodeSeen::Unlabelled(_) => None,
    };
    let of_claim = seen.claim.as_ref().and_then(|claim| claim.broker_id.as_deref());
    let read = |text: Option<&str>, source: Source| match text.map(ids::id) {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some((id, source))),
        Some(Err(why)) => refused(Code::LabelConflict, format!("the {} is no id: {why}. Correct it", words(source))),
    };
    match (read(of_claim, Source::ClaimAnnotation)?, read(of_node, Source::NodeLabel)?) {
        (Some((claim, _)), Some((node, _))) if claim != node => refused(
            Code::LabelConflict,
            format!(
                "the disk is empty, the annotation of its claim says id {claim}, the label of its node {node}. Remove the wrong one"
            ),
        ),
        (Some(hint), _) | (None, Some(hint)) => Ok(Some(hint)),
        (None, None) => Ok(None),
    }
}

/// An empty disk, and an id that is known to be this pod's.
fn known(terms: &Terms, seen: &Seen, chosen: Chosen, has_hint: bool) -> Result<Chosen, Halt> {
    let id = chosen.id;
    match seen.registry.ids.get(&id) {
        None if has_hint => lost::lost(terms, seen, chosen),
        None => fresh(terms, seen, chosen),
        Some(entry) if entry.state == State::Retired => {
            free::check_rested(terms, seen, id)?;
            Ok(chosen)
        }
        Some(entry) if entry.pod != seen.me.pod => {
            check_gone(seen, id, &entry.pod)?;
            lost::lost(terms, seen, chosen)
        }
        Some(entry) if !may_be_unwritten(seen, entry) => lost::lost(terms, seen, chosen),
        Some(entry) if is_first_start(entry, terms.now) => Ok(chosen),
        Some(_) => match &seen.cluster {
            _ if terms.kind == Kind::Zookeeper => lost::lost(terms, seen, chosen),
            ClusterSeen::NotAsked => Err(Halt::Ask(Question::Cluster)),
            ClusterSeen::Known(_) => lost::lost(terms, seen, chosen),
            ClusterSeen::NotConfigured | ClusterSeen::NoAnswer(_) if terms.is_new_cluster => Ok(chosen),
            ClusterSeen::NotConfigured => free::unknown(id, "no flag says how to reach it (--bootstrap-server)"),
            ClusterSeen::NoAnswer(why) => free::unknown(id, why),
        },
    }
}

/// Whether the id was given out so lately that its broker may not have begun. A time in the future says nothing: then the cluster
/// is asked.
pub(super) fn is_first_start(entry: &Entry, now: Timestamp) -> bool {
    (-CLOCKS_DIFFER..FIRST_START).contains(&now.duration_since(entry.since))
}

/// An id without any trace: a cluster that lists it had a disk for it before the registry was begun. One that does not answer may list
/// it, unless it never ran.
fn fresh(terms: &Terms, seen: &Seen, chosen: Chosen) -> Result<Chosen, Halt> {
    match &seen.cluster {
        ClusterSeen::Known(listed) if terms.kind == Kind::Kafka => {
            range::check(terms, listed)?;
            lost::lost(terms, seen, chosen)
        }
        _ => silent::check(terms, seen, Some(chosen.id)).map(|()| chosen),
    }
}

/// Whether the empty disk is the one that the id was given to, and its broker never wrote to it.
fn may_be_unwritten(seen: &Seen, entry: &Entry) -> bool {
    let is_same = |one: Option<&str>, other: Option<&str>| one.is_some() && one == other;
    let place = seen.place();
    let is_same_pod = is_same(entry.pod_uid.as_deref(), seen.me.uid.as_deref());
    let is_moved = entry.volume.as_deref() != place.volume;
    !entry.is_on_disk && (is_same(entry.volume.as_deref(), place.volume) || (is_same_pod && !is_moved))
}

/// Refuses an id whose pod runs, or may run.
fn check_gone(seen: &Seen, id: BrokerId, pod: &str) -> Result<(), Halt> {
    let who = visible::value(pod);
    match seen.pods.get(pod) {
        None => Err(Halt::Ask(Question::Pod(pod.to_owned()))),
        Some(PodSeen::Gone) => Ok(()),
        Some(PodSeen::Running(_)) => refused(
            Code::IdInUse,
            format!(
                "id {id} is that of pod {who}, which runs. Stop that pod first, or correct the disks; this pod tries again by itself"
            ),
        ),
        Some(PodSeen::Unreadable(why)) => refused(
            Code::IdInUse,
            format!(
                "id {id} is that of pod {who}, and whether it runs can't be known ({}). If it is gone for good, delete its entry \
                 from the registry",
                visible::line(why)
            ),
        ),
    }
}

/// The registry, the rack and the notes that follow from an id.
fn finish(terms: &Terms, seen: &Seen, on_disk: Option<OnDisk>, chosen: &Chosen) -> Result<Decision, Halt> {
    let Chosen { id, source, former } = *chosen;
    let rack = rack::rack(terms, seen)?;
    let before = seen.registry.ids.get(&id).filter(|entry| entry.state == State::Assigned);
    let notes = notes(terms, seen, id, rack.as_ref())?;
    let mut registry = seen.registry.clone();
    match former {
        Former::Same => {}
        Former::Retired => registry.retire_disk(id, terms.now, &seen.place()),
        Former::Instead(old) => registry.retire_id(old, &seen.me.pod, terms.now),
    }
    let is_kept = former == Former::Same && before.is_some_and(|entry| entry.pod == seen.me.pod);
    let since = before.filter(|_| is_kept).map_or(terms.now, |entry| entry.since);
    registry.ids.insert(id, entry(seen, on_disk.as_ref(), rack.as_ref(), since));
    let disk_says = on_disk.and_then(|on_disk| on_disk.disk.cluster_id);
    let of_cluster = match &seen.cluster {
        ClusterSeen::Known(listed) => Some(listed.cluster_id.clone()).filter(|id| !id.is_empty()),
        _ => None,
    };
    registry.cluster_id = terms.cluster_id.clone().or(registry.cluster_id).or(disk_says).or(of_cluster);
    let replaces = match former {
        Former::Same => None,
        Former::Retired => Some(id),
        Former::Instead(old) => Some(old),
    };
    Ok(Decision { id, source, rack, registry, replaces, notes })
}

/// The entry of this pod.
fn entry(seen: &Seen, on_disk: Option<&OnDisk>, rack: Option<&RackFound>, since: Timestamp) -> Entry {
    let place = seen.place();
    Entry {
        state: State::Assigned,
        pod: seen.me.pod.clone(),
        pod_uid: seen.me.uid.clone(),
        node: place.node.map(str::to_owned),
        volume: place.volume.map(str::to_owned),
        directory_ids: on_disk.map(|on_disk| on_disk.directory_ids.clone()).unwrap_or_default(),
        rack: rack.map(|found| found.rack.clone()),
        is_on_disk: on_disk.is_some(),
        since,
    }
}

/// What a person should know of an id and the entry that it had; a rack that may not change is a refusal.
fn notes(terms: &Terms, seen: &Seen, id: BrokerId, rack: Option<&RackFound>) -> Result<Vec<Note>, Halt> {
    let mut notes = Vec::new();
    let before = seen.registry.ids.get(&id).filter(|entry| entry.state == State::Assigned);
    let change = rack::changed(before.and_then(|entry| entry.rack.as_deref()), rack);
    if let Some(change) = change {
        if terms.rack.is_immutable {
            return refused(
                Code::RackChanged,
                format!(
                    "the rack of id {id} changed: {change}. Replicas were placed for the former one. Start the pod on a node of its \
                     rack; or move its replicas (`toolbox mapping rebalance`) and start without --rack-immutable"
                ),
            );
        }
        notes.push(Note {
            kind: "identity.rack_changed",
            words: format!("broker {id}: rack {change}; replicas were placed for the former one"),
        });
    }
    if let Some(other) = before.filter(|entry| entry.pod != seen.me.pod) {
        let words = format!("broker {id}: pod {} takes over from {}", seen.me.pod, visible::value(&other.pod));
        notes.push(Note { kind: "identity.taken_over", words });
    }
    Ok(notes)
}
