//! Guard I12, the part after a removal: the pod of a server that was removed alive still runs. Where it is the last one of its
//! StatefulSet, the replicas are lowered by one; else a person has to stop it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::{Desired, MemberState};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::Membership;
use crate::cluster::ensemble::pods::{Pod, PodsRead, Set};
use crate::commands::ensemble::plan::pods::was_removed_alive;
use crate::commands::ensemble::plan::seen::Seen;

/// Replicas of a StatefulSet that are lowered by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// The server that was removed.
    pub id: ServerId,
    /// Its pod: the last one of the StatefulSet.
    pub pod: String,
    /// The namespace of the StatefulSet; empty in what an older version saved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The StatefulSet.
    pub set: String,
    /// Its uid.
    pub uid: String,
    /// The version that was read: nothing is done to another one.
    pub resource_version: String,
    /// How many pods it is to have now.
    pub from: u32,
    /// How many it is to have next.
    pub to: u32,
}

impl fmt::Display for ScaleDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, pod, set, from, to, .. } = self;
        write!(f, "StatefulSet {set}: replicas {from} -> {to}: pod {pod} stops, its server {id} is no member any more")
    }
}

/// What becomes of the pod of a server that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surplus {
    /// It stops already.
    Ends,
    /// The replicas are lowered.
    Scale(ScaleDown),
    /// A person has to stop it; how, in words.
    ByHand {
        /// In words.
        words: String,
    },
}

/// What becomes of the pods of servers that were removed while they ran.
pub fn surplus(desired: &Desired, membership: &Membership, read: &PodsRead) -> BTreeMap<ServerId, Surplus> {
    removed(desired, membership, read).map(|out| (out.id, becomes(&out, read))).collect()
}

/// The StatefulSets whose replicas would be lowered.
pub fn scalable(desired: &Desired, membership: &Membership, read: &PodsRead) -> Vec<String> {
    let last = removed(desired, membership, read).filter_map(|out| out.scale_down(read));
    last.map(|scale_down| scale_down.set).collect()
}

/// The next replicas that are lowered: only once no change is open and the record says that the server is out.
pub fn scale_down(desired: &Desired, seen: &Seen) -> Option<ScaleDown> {
    let is_out = |id: ServerId| {
        let last = desired.last_config.as_ref().is_some_and(|last| !last.config.membership.servers.contains_key(&id));
        let retired = desired.members.get(&id).is_some_and(|member| member.state == MemberState::Retired);
        let quorum = seen.membership().is_some_and(|members| !members.servers.contains_key(&id));
        desired.op.is_none() && last && retired && quorum
    };
    seen.workload.as_ref()?.surplus.iter().find_map(|(id, surplus)| match surplus {
        Surplus::Scale(scale_down) if is_out(*id) => Some(scale_down.clone()),
        _ => None,
    })
}

/// Whether the pod of a server stops without anybody's doing.
pub fn is_ending(seen: &Seen, id: ServerId) -> bool {
    let surplus = seen.workload.as_ref().and_then(|workload| workload.surplus.get(&id));
    matches!(surplus, Some(Surplus::Ends | Surplus::Scale(_)))
}

/// The pod of a server that was removed.
struct Out<'a> {
    id: ServerId,
    name: &'a str,
    pod: &'a Pod,
    /// Its StatefulSet, where it exists.
    set: Option<(&'a str, &'a Set)>,
}

fn removed<'a>(desired: &'a Desired, membership: &'a Membership, read: &'a PodsRead) -> impl Iterator<Item = Out<'a>> {
    let is_taken = move |name: &str| {
        let mut members = desired.members.values();
        members.any(|member| member.state != MemberState::Retired && member.pod.as_deref() == Some(name))
    };
    desired.members.iter().filter_map(move |(id, member)| {
        let name = member.pod.as_deref()?;
        let is_out = member.state == MemberState::Retired && !membership.servers.contains_key(id);
        let pod = read.pods.get(name)?;
        let set = pod.set.as_deref().and_then(|set| Some((set, read.sets.get(set)?.as_ref()?)));
        let is_surplus = is_out && was_removed_alive(desired, *id) && !is_taken(name);
        is_surplus.then_some(Out { id: *id, name, pod, set })
    })
}

impl Out<'_> {
    /// The replicas to lower, where this is the last pod of a StatefulSet that is what was read of the pod.
    fn scale_down(&self, read: &PodsRead) -> Option<ScaleDown> {
        let (set_name, set) = self.set?;
        let last = set.last_ordinal()?;
        let is_last = self.pod.ordinal == Some(last) && self.name == format!("{set_name}-{last}");
        let is_its_own = self.pod.set_uid.as_ref() == Some(&set.uid);
        (is_last && is_its_own && !self.pod.is_terminating).then(|| ScaleDown {
            id: self.id,
            pod: self.name.to_owned(),
            namespace: read.namespace.clone(),
            set: set_name.to_owned(),
            uid: set.uid.clone(),
            resource_version: set.resource_version.clone(),
            from: set.replicas,
            to: set.replicas.saturating_sub(1),
        })
    }
}

fn becomes(out: &Out<'_>, read: &PodsRead) -> Surplus {
    let Out { id, name, pod, set } = out;
    let namespace = &read.namespace;
    let is_beyond = set.is_some_and(|(_, set)| {
        let last = set.last_ordinal();
        pod.ordinal.is_some_and(|ordinal| last.is_none_or(|last| ordinal > last))
    });
    if pod.is_terminating || is_beyond {
        return Surplus::Ends;
    }
    let still = format!("server {id} was removed, and its pod {name} still runs");
    let words = match (out.scale_down(read), set) {
        (Some(scale_down), _) if read.may_scale => return Surplus::Scale(scale_down),
        (Some(ScaleDown { set, from, to, .. }), _) => format!(
            "{still}: stop it with `kubectl --namespace {namespace} scale statefulset {set} --current-replicas={from} \
             --replicas={to}`, or let this ServiceAccount update statefulsets/scale (manifests/ensemble/scale)"
        ),
        (None, Some((set, _))) => format!(
            "{still}: it is not the last one of StatefulSet {set}, so its replicas stay; stop the server by hand with `kubectl \
             --namespace {namespace} delete pod {name}`: the pod comes back, and `toolbox ensemble prestart` does not let a \
             retired server start"
        ),
        (None, None) => {
            format!("{still}: stop it by hand with `kubectl --namespace {namespace} delete pod {name}`")
        }
    };
    Surplus::ByHand { words }
}
