//! An id of which nobody knows anything, and a cluster that can't be asked: whether the cluster can have run before.
//!
//! A cluster that starts for the first time answers nobody, and its registry has entries of the last hour alone, of disks that were
//! never seen. Any other sign means that it ran: then the id may have replicas, of which the registry that knew it is lost or restored.

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::cluster::visible;
use crate::commands::identity::plan::decide::is_first_start;
use crate::commands::identity::plan::evidence::{ClusterSeen, Seen, Traces};
use crate::commands::identity::plan::refusal::{Code, Halt, Question, refused};
use crate::commands::identity::plan::registry::{Registry, State};
use crate::commands::identity::plan::terms::{Kind, Terms};

/// Refuses to give an id out that has no entry, while the cluster does not say whether partitions list it, unless the cluster can't
/// have run before. `id` is none where any free one is meant.
pub(super) fn check(terms: &Terms, seen: &Seen, id: Option<BrokerId>) -> Result<(), Halt> {
    if terms.kind == Kind::Zookeeper {
        return Ok(());
    }
    // Before the cluster, which may take long not to answer: a pod that is registered meanwhile would be taken for a trace.
    let traces = match &seen.traces {
        Traces::NotLookedFor if terms.is_new_cluster => None,
        Traces::NotLookedFor => return Err(Halt::Ask(Question::Traces)),
        Traces::Nothing => None,
        Traces::Found(what) => Some(what.clone()),
    };
    let (why, trace) = match &seen.cluster {
        ClusterSeen::NotAsked => return Err(Halt::Ask(Question::Cluster)),
        ClusterSeen::Known(_) => return Ok(()),
        _ if terms.is_new_cluster => return Ok(()),
        // Nobody wants the cluster to be asked: then its registry is believed.
        ClusterSeen::NotConfigured => ("no flag says how to reach it (--bootstrap-server)", traces),
        ClusterSeen::NoAnswer(why) => (why.as_str(), of_registry(&seen.registry, terms.now).or(traces)),
    };
    let Some(trace) = trace else { return Ok(()) };
    let what = id.map_or_else(|| "the lowest free id".to_owned(), |id| format!("id {id}"));
    refused(
        Code::ClusterUnknown,
        format!(
            "the disk is empty, {what} has no entry in the registry, and whether partitions list it can't be known: the cluster did \
             not answer ({}), and it ran before: {trace}. Start the other brokers first; the pod tries again by itself. If the cluster \
             has no data yet, start once with --new-cluster",
            visible::line(why)
        ),
    )
}

/// What in the registry shows that the cluster ran before.
fn of_registry(registry: &Registry, now: Timestamp) -> Option<String> {
    let of_entry = registry.ids.iter().find_map(|(id, entry)| {
        let pod = visible::value(&entry.pod);
        match entry.state {
            State::Retired => Some(format!("id {id} was retired")),
            State::Assigned if entry.is_on_disk => Some(format!("pod {pod} has a disk with id {id}")),
            State::Assigned if !is_first_start(entry, now) => {
                Some(format!("pod {pod} has had id {id} since {:.0}", entry.since))
            }
            State::Assigned => None,
        }
    });
    of_entry.or_else(|| registry.retired_disks.first().map(|disk| format!("a disk of id {} was retired", disk.id)))
}
