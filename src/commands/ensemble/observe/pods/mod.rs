//! What the API server knows of the servers' pods, read anew at each look: pods, their StatefulSets, nodes, claims and volumes. A
//! few requests, within a limit; what can't be read is not known, and says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::clients::kubernetes::{
    Kubernetes, KubernetesError, ObjectName, PodState, Resource, Right, StatefulSet, Strategy,
};
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::desired::{Desired, MemberState};
use crate::cluster::ensemble::pods::{CLAIMS_MAX, Claim, Disk, DiskState, HostPod, Lost, Pod, PodsRead, Set};
use crate::cluster::visible;
use crate::commands::ensemble::observe::servers::SERVERS_MAX;
use crate::commands::ensemble::plan::coherence::ZONES_ENOUGH;
use crate::commands::ensemble::plan::kraft::pods as kraft;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::pods::{by_hosts, evidence, fill, named, noted};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::stop::scalable;
use crate::context::Context;

/// How long the API server may take for all of it, where a person waits.
pub const SHOWN_WITHIN: Duration = Duration::from_millis(1_500);

/// How long it may take beyond `--timeout`, which is for each call, where a pass waits: then the error of a call is said.
const BEYOND: Duration = Duration::from_secs(1);

/// Calls that are under way at the same time.
const AT_ONCE: usize = 8;

/// How long the zones of the whole cluster are remembered: nothing is decided by them.
const ZONES_FOR: Duration = Duration::from_mins(10);

/// Most hostnames of one volume that are looked for.
const HOSTS_MAX: usize = 50;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What looks at pods remember.
#[derive(Default)]
pub struct Pods {
    /// The API server, once it was found.
    kubernetes: Option<Arc<dyn Kubernetes>>,
    /// The zones of the cluster, and when they were read.
    zones: Option<(Instant, BTreeSet<String>)>,
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pods").field("is_in_kubernetes", &self.kubernetes.is_some()).finish_non_exhaustive()
    }
}

/// A claim that was looked for.
enum Found {
    /// It is there, with its volume, and a node can use that.
    There(Claim),
    /// The claim or its volume is gone; what, in words.
    Deleted(String),
    /// No node that could use the volume exists; in words.
    Nodeless(String),
}

impl Pods {
    /// The API server, where the record names pods and it was found.
    pub fn kubernetes(&self) -> Option<Arc<dyn Kubernetes>> {
        self.kubernetes.clone()
    }

    /// Adds what Kubernetes knows to what the servers showed; within `limit`, or as long as calls may take. The record as it has
    /// to be from now on, where it has to be another one. Nothing is asked outside Kubernetes, nor where no member has a pod, by the
    /// record or by its host.
    pub async fn look(
        &mut self,
        context: &Context,
        desired: Option<&Desired>,
        seen: &mut Seen,
        limit: Option<Duration>,
    ) -> Option<Desired> {
        let is_wanted = |desired: &&Desired| !named(desired).is_empty() || !by_hosts(desired).is_empty();
        let desired = desired.filter(is_wanted).filter(|_| context.sees_kubernetes())?;
        let now = context.steady().now();
        let deadline = Instant::now() + limit.unwrap_or_else(|| context.timeout() + BEYOND);
        let read = match context.kubernetes().await {
            Ok(kubernetes) => {
                let kubernetes = self.kubernetes.insert(kubernetes).clone();
                self.read(kubernetes.as_ref(), desired, seen, deadline).await
            }
            Err(error) => PodsRead { unknown: Some(format!("{error:#}")), ..PodsRead::default() },
        };
        concluded(desired, &read, seen, now)
    }

    /// The same for the pods of a quorum's controllers. Their disks are not looked at: a new disk is another voter.
    pub async fn look_at_controllers(
        &mut self,
        context: &Context,
        desired: Option<&DesiredQuorum>,
        seen: &mut SeenQuorum,
        limit: Option<Duration>,
    ) {
        let Some(desired) = desired.filter(|_| context.sees_kubernetes()) else { return };
        let (recorded, hosts) = (kraft::named(desired), kraft::by_hosts(desired, seen));
        if recorded.is_empty() && hosts.is_empty() {
            return;
        }
        let deadline = Instant::now() + limit.unwrap_or_else(|| context.timeout() + BEYOND);
        let names = Names::of(recorded.into_values(), hosts.into_values());
        let mut read = PodsRead::default();
        read.unknown = match context.kubernetes().await {
            Ok(kubernetes) => {
                read.namespace.clone_from(&kubernetes.identity().namespace);
                within(deadline, pods_and_sets(kubernetes.as_ref(), names, &mut read)).await.err()
            }
            Err(error) => Some(format!("{error:#}")),
        };
        kraft::fill(desired, &read, seen);
    }

    /// Reads all of it. Pods and their StatefulSets come first: without them no change is made.
    pub async fn read(
        &mut self,
        kubernetes: &dyn Kubernetes,
        desired: &Desired,
        seen: &Seen,
        deadline: Instant,
    ) -> PodsRead {
        let namespace = kubernetes.identity().namespace.clone();
        let mut read = PodsRead { namespace, ..PodsRead::default() };
        let names = Names::of(named(desired).into_values(), by_hosts(desired).into_values());
        if let Err(why) = within(deadline, pods_and_sets(kubernetes, names, &mut read)).await {
            return PodsRead { unknown: Some(why), namespace: read.namespace, ..PodsRead::default() };
        }
        let zones = within(deadline, zones(kubernetes, &mut read)).await;
        note(&mut read, "the zones of the servers are not known", zones);
        let zones = within(deadline, self.cluster_zones(kubernetes, desired, seen, &mut read)).await;
        note(&mut read, "the zones of the cluster are not known", zones);
        let disks = within(deadline, disks(kubernetes, desired, seen, &mut read)).await;
        note(&mut read, "the disks of servers are not known, so none counts as gone for good by itself", disks);
        // Where that can't be asked, a person is asked for it.
        let _ = within(deadline, may_scale(kubernetes, desired, seen, &mut read)).await;
        read
    }

    /// The zones of all nodes, where it matters whether there are others: where the loss of one would lose the quorum.
    async fn cluster_zones(
        &mut self,
        kubernetes: &dyn Kubernetes,
        desired: &Desired,
        seen: &Seen,
        read: &mut PodsRead,
    ) -> Result<(), KubernetesError> {
        let mut shown = seen.clone();
        fill(desired, read, &mut shown);
        let own: BTreeSet<_> = shown.zones.values().collect();
        if shown.zones_to_lose().is_empty() || own.len() >= ZONES_ENOUGH {
            return Ok(());
        }
        if let Some((_, zones)) = self.zones.as_ref().filter(|(at, _)| at.elapsed() < ZONES_FOR) {
            read.cluster_zones.clone_from(zones);
            return Ok(());
        }
        let nodes = kubernetes.nodes(ZONE).await?;
        read.cluster_zones = nodes.iter().filter_map(|node| zone(&node.labels)).collect();
        self.zones = Some((Instant::now(), read.cluster_zones.clone()));
        Ok(())
    }
}

/// Fills in what was seen, and says what the record has to be.
fn concluded(desired: &Desired, read: &PodsRead, seen: &mut Seen, now: Timestamp) -> Option<Desired> {
    let next = noted(desired, read, seen, now);
    let remembered = next.as_ref().unwrap_or(desired);
    evidence(remembered, read, seen, now);
    fill(remembered, read, seen);
    next
}

/// What came of it before the deadline; why nothing did, in words.
async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, KubernetesError>>) -> Result<T, String> {
    match timeout_at(deadline, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the Kubernetes API did not answer in time".to_owned()),
    }
}

fn note(read: &mut PodsRead, what: &str, done: Result<(), String>) {
    if let Err(why) = done {
        read.notes.push(format!("{what}: {why}"));
    }
}

/// All answers, or the first error.
async fn each<K: Ord, T>(
    work: impl Iterator<Item = impl Future<Output = Result<(K, T), KubernetesError>>>,
) -> Result<BTreeMap<K, T>, KubernetesError> {
    let mut answers = stream::iter(work).buffer_unordered(AT_ONCE);
    let mut all = BTreeMap::new();
    while let Some(answer) = answers.next().await {
        let (key, value) = answer?;
        all.insert(key, value);
    }
    Ok(all)
}

/// The pods that are looked at.
struct Names {
    /// Those that the record names.
    pods: BTreeSet<String>,
    /// Those that hosts are the names of.
    hosts: Vec<HostPod>,
}

impl Names {
    fn of<'a>(named: impl Iterator<Item = &'a str>, hosts: impl Iterator<Item = HostPod>) -> Self {
        Self { pods: named.map(str::to_owned).collect(), hosts: hosts.collect() }
    }
}

async fn pods_and_sets(kubernetes: &dyn Kubernetes, names: Names, read: &mut PodsRead) -> Result<(), KubernetesError> {
    let Names { pods: mut names, hosts } = names;
    let hosts: Vec<_> = hosts.into_iter().filter(|host| host.is_in(&read.namespace)).collect();
    names.extend(hosts.iter().map(|host| host.pod.clone()));
    if names.len() > SERVERS_MAX {
        let what = "the pods of the members".to_owned();
        return Err(KubernetesError::TooMuch { what, limit: format!("{SERVERS_MAX} pods") });
    }
    let namespace = &read.namespace;
    let pod = |name: String| async move {
        let found = kubernetes.pod(&ObjectName::new(namespace.clone(), name.clone())).await?;
        Ok((name, found))
    };
    let pods = each(names.into_iter().map(pod)).await?;
    let pods: BTreeMap<_, _> = pods.into_iter().filter_map(|(name, pod)| Some((name, of_pod(pod?)))).collect();
    let mut sets: BTreeSet<_> = pods.values().filter_map(|pod| pod.set.clone()).collect();
    let missing = hosts.iter().filter(|host| !pods.contains_key(&host.pod));
    sets.extend(missing.map(|host| host.set().to_owned()));
    let set = |name: String| async move {
        let found = kubernetes.stateful_set(&ObjectName::new(namespace.clone(), name.clone())).await?;
        Ok((name, found.map(of_set)))
    };
    read.sets = each(sets.into_iter().map(set)).await?;
    read.pods = pods;
    Ok(())
}

fn of_pod(pod: PodState) -> Pod {
    let shown = |text: &String| visible::value(text).into_owned();
    Pod {
        ordinal: pod.ordinal(),
        revision: pod.revision().map(str::to_owned),
        node: pod.node.as_ref().map(shown),
        is_terminating: pod.is_deleting,
        is_ready: pod.is_ready,
        stuck: pod.stuck.as_ref().map(shown),
        crash_loop: pod.crash_loop.as_ref().map(shown),
        set: pod.stateful_set,
        set_uid: pod.controller_uid,
        claims: pod.claims,
        uid: pod.uid,
        subdomain: pod.subdomain,
    }
}

fn of_set(set: StatefulSet) -> Set {
    Set {
        uid: set.uid,
        resource_version: set.resource_version,
        replicas: set.replicas,
        first_ordinal: set.first_ordinal,
        partition: match set.strategy {
            Strategy::OnDelete => None,
            Strategy::Partition(from) => Some(from),
        },
        update_revision: visible::value(&set.update_revision).into_owned(),
        is_observed: set.is_observed,
    }
}

fn zone(labels: &BTreeMap<String, String>) -> Option<String> {
    labels.get(ZONE).filter(|zone| !zone.is_empty()).map(|zone| visible::value(zone).into_owned())
}

/// The zones of the nodes that the pods are on.
async fn zones(kubernetes: &dyn Kubernetes, read: &mut PodsRead) -> Result<(), KubernetesError> {
    let nodes: BTreeSet<_> = read.pods.values().filter_map(|pod| pod.node.clone()).collect();
    let node = |name: String| async move {
        let found = kubernetes.facts(Resource::Nodes, &ObjectName::new("", name.clone())).await?;
        Ok((name, found.and_then(|node| zone(&node.labels))))
    };
    let zones = each(nodes.into_iter().map(node)).await?;
    read.zones = zones.into_iter().filter_map(|(node, zone)| Some((node, zone?))).collect();
    Ok(())
}

/// The disks of servers that are well in a new pod, to recognise them later; and of those that do not answer.
async fn disks(
    kubernetes: &dyn Kubernetes,
    desired: &Desired,
    seen: &Seen,
    read: &mut PodsRead,
) -> Result<(), KubernetesError> {
    let mut found = BTreeMap::new();
    for (id, name) in named(desired) {
        let Some(member) = desired.members.get(&id).filter(|member| member.state != MemberState::Retired) else {
            continue;
        };
        let pod = read.pods.get(name);
        let state = match (seen.is_silent(id), pod, &member.disk) {
            (false, Some(pod), disk) if disk.as_ref().is_none_or(|disk| disk.pod_uid != pod.uid) => {
                present(kubernetes, &read.namespace, pod).await?
            }
            (false, ..) | (true, None, None) => continue,
            (true, _, Some(disk)) => lost(kubernetes, &read.namespace, disk).await?,
            (true, Some(pod), None) => lost(kubernetes, &read.namespace, &unseen(pod)).await?,
        };
        found.insert(name.to_owned(), state);
    }
    read.disks = found;
    Ok(())
}

/// The claims of a pod, of which nothing else is known.
fn unseen(pod: &Pod) -> Disk {
    let claim = |name: &String| Claim { name: name.clone(), uid: None, volume: None };
    Disk { pod_uid: pod.uid.clone(), claims: pod.claims.iter().take(CLAIMS_MAX).map(claim).collect() }
}

/// What the disk of a server that is well consists of.
async fn present(kubernetes: &dyn Kubernetes, namespace: &str, pod: &Pod) -> Result<DiskState, KubernetesError> {
    let mut disk = unseen(pod);
    for claim in &mut disk.claims {
        let name = ObjectName::new(namespace, claim.name.clone());
        let Some(facts) = kubernetes.facts(Resource::Claims, &name).await? else { return Ok(DiskState::Unknown) };
        (claim.uid, claim.volume) = (Some(facts.uid), facts.volume);
    }
    Ok(if disk.claims.is_empty() { DiskState::Unknown } else { DiskState::There(disk) })
}

/// What is missing of the disk of a server that does not answer: a node that its volumes need, or all of its volumes.
async fn lost(kubernetes: &dyn Kubernetes, namespace: &str, disk: &Disk) -> Result<DiskState, KubernetesError> {
    let (mut deleted, mut there) = (Vec::new(), Vec::new());
    for claim in &disk.claims {
        match look_for(kubernetes, namespace, claim).await? {
            Found::Nodeless(what) => return Ok(DiskState::Missing(Lost::Node, what)),
            Found::Deleted(what) => deleted.push(what),
            Found::There(claim) => there.push(claim),
        }
    }
    Ok(match (deleted.is_empty(), there.is_empty()) {
        (true, true) => DiskState::Unknown,
        (false, true) => DiskState::Missing(Lost::Volume, deleted.join(", ")),
        // A part of it is there: whether the rest matters, only a person can say.
        _ => DiskState::There(disk.clone()),
    })
}

async fn look_for(kubernetes: &dyn Kubernetes, namespace: &str, claim: &Claim) -> Result<Found, KubernetesError> {
    let Claim { name, uid, volume } = claim;
    let facts = kubernetes.facts(Resource::Claims, &ObjectName::new(namespace, name.clone())).await?;
    let shown = visible::value(name).into_owned();
    let Some(facts) = facts else { return Ok(Found::Deleted(format!("claim {shown} was deleted"))) };
    if uid.as_ref().is_some_and(|uid| *uid != facts.uid) {
        return Ok(Found::Deleted(format!("claim {shown} was deleted, and made anew")));
    }
    let there = |volume: Option<String>| Found::There(Claim { volume, ..claim.clone() });
    let Some(volume) = facts.volume.or_else(|| volume.clone()) else { return Ok(there(None)) };
    let shown = visible::value(&volume).into_owned();
    let Some(state) = kubernetes.volume(&volume).await? else {
        return Ok(Found::Deleted(format!("volume {shown} of claim {} was deleted", visible::value(name))));
    };
    if state.hosts.is_empty() || state.hosts.len() > HOSTS_MAX {
        return Ok(there(Some(volume)));
    }
    let hosts = state.hosts.join(",");
    let mut exists = !kubernetes.nodes(&format!("{HOSTNAME} in ({hosts})")).await?.is_empty();
    for host in &state.hosts {
        // Its label may have been taken from it.
        exists = exists || kubernetes.facts(Resource::Nodes, &ObjectName::new("", host.clone())).await?.is_some();
    }
    let shown_hosts = visible::value(&hosts).into_owned();
    if exists {
        return Ok(there(Some(volume)));
    }
    Ok(Found::Nodeless(format!("volume {shown} is bound to node {shown_hosts}, which does not exist")))
}

/// Whether we may lower the replicas of the StatefulSets for which that is due.
async fn may_scale(
    kubernetes: &dyn Kubernetes,
    desired: &Desired,
    seen: &Seen,
    read: &mut PodsRead,
) -> Result<(), KubernetesError> {
    let sets = seen.membership().map(|members| scalable(desired, members, read)).unwrap_or_default();
    let resource = Resource::Scales;
    let right = |set| Right { group: resource.group(), resource: resource.plural(), name: Some(set), verb: "update" };
    let rights: Vec<_> = sets.into_iter().map(right).collect();
    if !rights.is_empty() {
        read.may_scale = kubernetes.lacking(&read.namespace, &rights).await?.is_empty();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
