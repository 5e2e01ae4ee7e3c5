//! Changes of StatefulSets and pods, as the API server shows them: replicas that `ensemble` lowers, pods that `rollout` deletes or
//! has replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::event::Event;
use crate::change::settled::{Verdict, values};

const REPLICAS_LOWERED: &str = "ensemble.replicas_lowered";
const PARTITION_STEPPED: &str = "rollout.partition_stepped";
const POD_DELETED: &str = "rollout.pod_deleted";

/// The line of an intent that names its StatefulSet: `NAMESPACE/NAME`, or a name in the run's own namespace.
pub const SET: &str = "statefulset";
/// The line with the uid of that: another StatefulSet of the same name shows nothing.
pub const SET_UID: &str = "statefulset uid";
/// The line with the number of its pods.
pub const REPLICAS: &str = "replicas";
/// The line with the ordinal from which on its controller replaces pods.
pub const PARTITION: &str = "partition";
/// The line with the uid of a pod.
const POD_UID: &str = "uid";

/// A StatefulSet or pod of an intent: its namespace, and its name. Without a namespace it is in the run's own one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    /// The namespace.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// What the API server has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workloads {
    /// StatefulSets.
    pub sets: BTreeSet<Placed>,
    /// Pods.
    pub pods: BTreeSet<Placed>,
}

/// A StatefulSet that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownSet {
    /// Its uid.
    pub uid: String,
    /// How many pods it is to have.
    pub replicas: u32,
    /// From which ordinal on its controller replaces pods by itself; none where that waits until somebody deletes them.
    pub partition: Option<u32>,
}

/// A pod that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownPod {
    /// Its uid.
    pub uid: String,
    /// Whether it is being deleted.
    pub is_deleting: bool,
}

/// What the API server shows. What is not in it could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownWorkloads {
    /// StatefulSets; none for one that does not exist.
    pub sets: BTreeMap<Placed, Option<ShownSet>>,
    /// Pods; none for one that does not exist.
    pub pods: BTreeMap<Placed, Option<ShownPod>>,
}

impl Placed {
    /// What `NAMESPACE/NAME` or `NAME` is.
    fn parse(text: &str) -> Self {
        let (namespace, name) = text.split_once('/').map_or((None, text), |(space, name)| (Some(space), name));
        Self { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }
}

impl Workloads {
    /// What has to be looked at for some intents.
    pub fn of<'a>(intents: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut wanted = Self::default();
        for intent in intents {
            wanted.sets.extend(set_of(intent));
            wanted.pods.extend(pod_of(intent));
        }
        wanted
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.pods.is_empty()
    }
}

/// Whether a change is one that only the API server shows.
pub fn is_of_workload(intent: &Event) -> bool {
    [REPLICAS_LOWERED, PARTITION_STEPPED, POD_DELETED].contains(&intent.kind.as_str())
}

/// How such a change ended whose run died; not asked where its StatefulSet or pod could not be read.
pub fn settled_by_workloads(intent: &Event, shown: &ShownWorkloads) -> Verdict {
    let of_set = |is_done: fn(&Event, &ShownSet) -> Option<bool>| {
        let Some(name) = set_of(intent) else { return Verdict::NotShown };
        let Some(set) = shown.sets.get(&name) else { return Verdict::NotAsked };
        let known = set.as_ref().filter(|set| is_same_set(intent, set));
        Verdict::of(known.and_then(|set| is_done(intent, set)))
    };
    match intent.kind.as_str() {
        REPLICAS_LOWERED => of_set(are_lowered),
        PARTITION_STEPPED => of_set(is_stepped),
        POD_DELETED => {
            let Some(name) = pod_of(intent) else { return Verdict::NotShown };
            shown.pods.get(&name).map_or(Verdict::NotAsked, |pod| Verdict::of(is_deleted(intent, pod.as_ref())))
        }
        _ => Verdict::NotShown,
    }
}

fn set_of(intent: &Event) -> Option<Placed> {
    if ![REPLICAS_LOWERED, PARTITION_STEPPED].contains(&intent.kind.as_str()) {
        return None;
    }
    values(intent.after.as_deref()).get(SET).map(|name| Placed::parse(name))
}

fn pod_of(intent: &Event) -> Option<Placed> {
    let name = intent.subject.strip_prefix("pod:").filter(|_| intent.kind == POD_DELETED)?;
    Some(Placed::parse(name))
}

/// Whether it is the StatefulSet that the intent is about. What an older version wrote has no uid.
fn is_same_set(intent: &Event, set: &ShownSet) -> bool {
    values(intent.after.as_deref()).get(SET_UID).is_none_or(|uid| *uid == set.uid)
}

fn number(text: Option<&str>, key: &str) -> Option<u32> {
    values(text).get(key)?.parse().ok()
}

/// Whether a StatefulSet has the replicas of after a change, or those of before it; none where it has neither.
fn are_lowered(intent: &Event, set: &ShownSet) -> Option<bool> {
    let (before, after) = (number(intent.before.as_deref(), REPLICAS)?, number(intent.after.as_deref(), REPLICAS)?);
    match set.replicas {
        now if now == after => Some(true),
        now if now == before => Some(false),
        _ => None,
    }
}

/// Whether pods from an ordinal on are replaced: another run may have gone on to a lower one since.
fn is_stepped(intent: &Event, set: &ShownSet) -> Option<bool> {
    let wanted = number(intent.after.as_deref(), PARTITION)?;
    Some(set.partition? <= wanted)
}

/// Whether a pod is gone, or going: one of its name with another uid was made after it.
fn is_deleted(intent: &Event, pod: Option<&ShownPod>) -> Option<bool> {
    let before = values(intent.before.as_deref());
    let uid = before.get(POD_UID)?;
    Some(pod.is_none_or(|pod| pod.uid != *uid || pod.is_deleting))
}
