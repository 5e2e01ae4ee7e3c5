//! The disk of a known id is lost: refuse, take the id over, or take another one.

use crate::cluster::broker::BrokerId;
use crate::commands::identity::plan::cluster::Listed;
use crate::commands::identity::plan::decide::{Chosen, Former, Source};
use crate::commands::identity::plan::evidence::{ClusterSeen, Seen};
use crate::commands::identity::plan::free;
use crate::commands::identity::plan::refusal::{Code, Halt, Question, refused};
use crate::commands::identity::plan::registry::Entry;
use crate::commands::identity::plan::terms::{Allocation, Kind, Replaced, Terms};

/// What an empty disk gets whose id had another one before.
pub(super) fn lost(terms: &Terms, seen: &Seen, chosen: Chosen) -> Result<Chosen, Halt> {
    let id = chosen.id;
    if terms.kind == Kind::Kafka {
        match &seen.cluster {
            ClusterSeen::NotAsked => return Err(Halt::Ask(Question::Cluster)),
            ClusterSeen::Known(listed) => {
                check_not_live(listed, id)?;
                // Nothing was on the disk that is gone.
                if !listed.replicas.contains_key(&id) {
                    return Ok(chosen);
                }
            }
            ClusterSeen::NotConfigured | ClusterSeen::NoAnswer(_) => {}
        }
    }
    match terms.replaced {
        Replaced::Refuse => refused(Code::DiskLost, words(terms, seen, id)),
        Replaced::SameId => {
            if terms.kind == Kind::Kafka {
                check_last(seen, id)?;
            }
            Ok(Chosen { former: Former::Retired, ..chosen })
        }
        Replaced::NewId if terms.allocation == Allocation::Given(id) => refused(
            Code::LabelConflict,
            format!(
                "--replaced new-id can't give another id than --id (or KAFKA_NODE_ID) names, {id}. Take one of the two away"
            ),
        ),
        Replaced::NewId => {
            let other = free::first_free(terms, seen, Some(id))?;
            Ok(Chosen { id: other, source: Source::FirstFree, former: Former::Instead(id) })
        }
    }
}

fn check_not_live(listed: &Listed, id: BrokerId) -> Result<(), Halt> {
    if !listed.brokers.contains(&id) {
        return Ok(());
    }
    refused(
        Code::IdInUse,
        format!(
            "the disk is empty, and a live broker has id {id}. If that is this pod's former self, it is forgotten soon and this pod \
             tries again by itself; if not, find the other pod with this id"
        ),
    )
}

/// The id may be taken over where each of its partitions has all records somewhere else.
fn check_last(seen: &Seen, id: BrokerId) -> Result<(), Halt> {
    match &seen.cluster {
        ClusterSeen::NotAsked => Err(Halt::Ask(Question::Cluster)),
        ClusterSeen::NotConfigured => free::unknown(id, "no flag says how to reach it (--bootstrap-server)"),
        ClusterSeen::NoAnswer(why) => free::unknown(id, why),
        ClusterSeen::Known(listed) => match listed.last.get(&id) {
            None => Ok(()),
            Some(last) => {
                let named: Vec<_> = last.named.iter().map(ToString::to_string).collect();
                let more = if last.count > named.len() { ", …" } else { "" };
                refused(
                    Code::LastReplica,
                    format!(
                        "{} partitions have their last replica on broker {id}, whose disk is empty: {}{more}. Started like this, it \
                         would lead them without their records. Bring the old disk back; or give these partitions up: delete \
                         their topics, or let another replica lead (`toolbox reassign elect --unclean`)",
                        last.count,
                        named.join(", ")
                    ),
                )
            }
        },
    }
}

/// Whether this may be a first start that is repeated: the broker of this pod was never seen to have written, and neither the pod's
/// uid nor a volume tells its empty disk from another one.
fn is_indistinct(seen: &Seen, entry: &Entry) -> bool {
    let has_uid = entry.pod_uid.is_some() && seen.me.uid.is_some();
    let has_volume = entry.volume.is_some() || seen.place().volume.is_some();
    !entry.is_on_disk && entry.pod == seen.me.pod && !has_uid && !has_volume
}

fn indistinct_words(terms: &Terms, seen: &Seen, id: BrokerId) -> String {
    let asked = match &seen.cluster {
        _ if terms.kind == Kind::Zookeeper => "",
        ClusterSeen::Known(_) => "; the cluster lists replicas of it",
        ClusterSeen::NotConfigured | ClusterSeen::NotAsked => {
            "; give --bootstrap-server: where the cluster lists no replica of it, that is enough"
        }
        ClusterSeen::NoAnswer(_) => "; the cluster, which may list no replica of it, does not answer",
    };
    format!(
        "the disk is empty, and id {id} was given to this pod before. Whether its broker wrote to another disk meanwhile can't be known: \
         neither the pod's uid nor a volume tells the two apart{asked}. Give the pod's uid (POD_UID, by the downward API from \
         metadata.uid) or its claim (--claim) from the first start on; if no broker has started with id {id} yet, delete its entry from \
         the registry now"
    )
}

fn words(terms: &Terms, seen: &Seen, id: BrokerId) -> String {
    if seen.registry.ids.get(&id).is_some_and(|entry| is_indistinct(seen, entry)) {
        return indistinct_words(terms, seen, id);
    }
    let listed = match &seen.cluster {
        ClusterSeen::Known(listed) => {
            format!("{} partitions have a replica there", listed.replicas.get(&id).copied().unwrap_or(0))
        }
        _ => "what was on it is not known".to_owned(),
    };
    let entry = seen.registry.ids.get(&id);
    let old = entry.map(|entry| {
        let place =
            [entry.volume.as_deref(), entry.node.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" on ");
        if place.is_empty() { String::new() } else { format!(" (it was {place})") }
    });
    let old = old.unwrap_or_default();
    let after = match terms.kind {
        Kind::Kafka => {
            "--replaced same-id lets the empty disk take the id over, if each partition has another replica in sync; --replaced new-id \
             gives another id, and `toolbox mapping replace` moves the replicas"
        }
        Kind::Zookeeper => {
            "--replaced same-id lets the empty disk take the id over, if the others hold all data (`toolbox ensemble status`)"
        }
    };
    format!(
        "the disk is empty, but id {id} had one before{old}; {listed}. Bring the old disk back; or say what to do: {after}"
    )
}
