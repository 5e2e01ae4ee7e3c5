//! Which id a pod should have by its name, and which ids are free.

use std::collections::BTreeSet;

use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::evidence::{ClusterSeen, Seen};
use crate::commands::identity::plan::range;
use crate::commands::identity::plan::refusal::{Code, Halt, Question, refused};
use crate::commands::identity::plan::registry::{REST, State};
use crate::commands::identity::plan::silent;
use crate::commands::identity::plan::terms::{Allocation, Kind, Terms};
use crate::commands::identity::spec::name;

/// The id that flags and the pod's name ask for; none where the lowest free one is taken.
pub(super) fn by_rule(terms: &Terms, seen: &Seen) -> Result<Option<BrokerId>, Halt> {
    match terms.allocation {
        Allocation::FirstFree => Ok(None),
        Allocation::Given(id) => in_range(terms, id, "--id").map(Some),
        Allocation::Ordinal => {
            let ordinal = match name::ordinal(&seen.me.pod) {
                Ok(ordinal) => ordinal,
                Err(why) => {
                    return refused(
                        Code::BadName,
                        format!(
                            "{why}. Give the pod an ordinal (a StatefulSet does), name its id with --id, or use --allocation \
                                 first-free"
                        ),
                    );
                }
            };
            match terms.ids.iter().nth(ordinal) {
                Some(id) => Ok(Some(*id)),
                None => refused(
                    Code::NoId,
                    format!(
                        "pod {} has ordinal {ordinal}, but map {} has {} ids only ({}). Add ids to the map in toolbox.yaml, or \
                         scale the StatefulSet down",
                        seen.me.pod,
                        terms.map,
                        terms.ids.len(),
                        shown(terms)
                    ),
                ),
            }
        }
    }
}

/// The id, if it is one of the map's.
pub(super) fn in_range(terms: &Terms, id: BrokerId, who: &str) -> Result<BrokerId, Halt> {
    if terms.ids.contains(&id) {
        return Ok(id);
    }
    refused(
        Code::LabelConflict,
        format!(
            "{who} says id {id}, which is none of map {} ({}). Correct {who}, or the map in toolbox.yaml",
            terms.map,
            shown(terms)
        ),
    )
}

/// The ids of the map as ranges.
pub(super) fn shown(terms: &Terms) -> String {
    shown_ids(&terms.ids)
}

/// Ids as ranges.
pub(super) fn shown_ids(ids: &BTreeSet<BrokerId>) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for BrokerId(id) in ids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*id) => *last = *id,
            _ => ranges.push((*id, *id)),
        }
    }
    let range = |(first, last): &(i32, i32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

/// The lowest id that nobody has, without `except`.
pub(super) fn first_free(terms: &Terms, seen: &Seen, except: Option<BrokerId>) -> Result<BrokerId, Halt> {
    match &seen.cluster {
        ClusterSeen::NotAsked if terms.kind == Kind::Zookeeper => return Err(Halt::Ask(Question::Cluster)),
        ClusterSeen::Known(listed) => range::check(terms, listed)?,
        _ => silent::check(terms, seen, None)?,
    }
    let free = terms.ids.iter().copied().find(|id| Some(*id) != except && is_free(terms, seen, *id));
    match free {
        Some(id) => Ok(id),
        None => refused(
            Code::NoId,
            format!(
                "none of the {} ids of map {} ({}) is free: each has an entry in the registry, or the cluster lists it. A retired \
                 id is free again {} days later, once no partition lists it. Add ids to the map in toolbox.yaml",
                terms.ids.len(),
                terms.map,
                shown(terms),
                REST.as_hours() / 24
            ),
        ),
    }
}

/// Whether nobody has an id. A cluster that does not answer is one that is yet to be started (`silent`): then the registry alone
/// decides, and no retired id is given out.
fn is_free(terms: &Terms, seen: &Seen, id: BrokerId) -> bool {
    let entry = seen.registry.ids.get(&id);
    if entry.is_some_and(|entry| entry.state == State::Assigned || !entry.has_rested(terms.now)) {
        return false;
    }
    match &seen.cluster {
        ClusterSeen::Known(listed) => !listed.brokers.contains(&id) && !listed.replicas.contains_key(&id),
        _ => entry.is_none(),
    }
}

/// Refuses a retired id that has not rested, or that partitions still list.
pub(super) fn check_rested(terms: &Terms, seen: &Seen, id: BrokerId) -> Result<(), Halt> {
    let Some(entry) = seen.registry.ids.get(&id).filter(|entry| entry.state == State::Retired) else { return Ok(()) };
    if !entry.has_rested(terms.now) {
        return refused(
            Code::IdRetired,
            format!(
                "id {id} was retired at {} and is not given out again for {} days. Wait, or use another id (--id, or \
                 --allocation first-free)",
                entry.since,
                REST.as_hours() / 24
            ),
        );
    }
    match &seen.cluster {
        ClusterSeen::NotAsked => Err(Halt::Ask(Question::Cluster)),
        ClusterSeen::Known(listed) => match listed.replicas.get(&id) {
            None => Ok(()),
            Some(count) => refused(
                Code::IdRetired,
                format!(
                    "id {id} was retired, and {count} partitions still list it. Move them (`toolbox mapping replace`), then start again"
                ),
            ),
        },
        ClusterSeen::NotConfigured => unknown(id, "no flag says how to reach it (--bootstrap-server)"),
        ClusterSeen::NoAnswer(why) => unknown(id, why),
    }
}

/// The cluster must be known here, and is not.
pub(super) fn unknown<T>(id: BrokerId, why: &str) -> Result<T, Halt> {
    refused(
        Code::ClusterUnknown,
        format!(
            "whether partitions list id {id} can't be known: the cluster did not answer ({}). Start the other brokers first; \
             the pod tries again by itself. If the cluster has no data yet, start once with --new-cluster; where that is not enough, \
             delete the id's entry from the registry before",
            crate::cluster::visible::line(why)
        ),
    )
}
