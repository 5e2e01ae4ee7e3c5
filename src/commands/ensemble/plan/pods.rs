//! What follows from what Kubernetes knows of the servers' pods: whether a change must wait (guard I10), which zone is one too
//! many to lose, and what the record has to remember of the servers' disks. Nothing is concluded from what could not be read.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::cluster::ensemble::desired::{ChangeKind, Desired, DesiredMember, MemberState};
use crate::cluster::ensemble::gone::{Evidence, GONE_AFTER};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::pods::{DiskState, HostPod, Lost, Missing, Pod, PodsRead, Set};
use crate::commands::ensemble::plan::seen::{PodSeen, Seen, Workload, age};
use crate::commands::ensemble::plan::stop::{Surplus, surplus};

/// The pods to look at, by server: of every server that is, or should become, a member, and of those that were removed alive.
pub fn named(desired: &Desired) -> BTreeMap<ServerId, &str> {
    let is_of_interest =
        |id: &ServerId, member: &DesiredMember| member.state != MemberState::Retired || was_removed_alive(desired, *id);
    let members = desired.members.iter().filter(|(id, member)| is_of_interest(id, member));
    members.filter_map(|(id, member)| Some((*id, member.pod.as_deref()?))).collect()
}

/// Whether the last that happened to a server is that it was removed while it ran.
pub fn was_removed_alive(desired: &Desired, id: ServerId) -> bool {
    let last = desired.history.iter().rfind(|entry| entry.target == id);
    last.is_some_and(|entry| matches!(entry.kind, ChangeKind::Shrink | ChangeKind::ShrinkLeader))
}

/// The pods that members without a pod in the record have by their hosts, as far as those are names of pods: `adopt` names no pods.
pub fn by_hosts(desired: &Desired) -> BTreeMap<ServerId, HostPod> {
    let is_in = |member: &DesiredMember| member.state != MemberState::Retired && member.pod.is_none();
    let members = desired.members.iter().filter(|(_, member)| is_in(member));
    members.filter_map(|(id, member)| Some((*id, HostPod::of(&member.line.addresses.first()?.host)?))).collect()
}

/// Whether a pod may be one of the namespace that was read; where nobody knows which that is, each may.
pub fn may_be_here(host: &HostPod, read: &PodsRead) -> bool {
    read.namespace.is_empty() || host.is_in(&read.namespace)
}

/// Which pod a member has by its host, or why that is not known. Members whose hosts only look like that, and are no pods of this
/// namespace, are left out.
pub fn found_by_hosts<Id: Copy + Ord>(
    hosts: &BTreeMap<Id, HostPod>,
    read: &PodsRead,
) -> BTreeMap<Id, Result<String, String>> {
    let one = |host: &HostPod| {
        let name = &host.pod;
        let is_of_set = || read.sets.get(host.set()).is_some_and(Option::is_some);
        match read.pods.get(name) {
            Some(pod) if pod.subdomain.as_ref() == Some(&host.service) => Some(Ok(name.clone())),
            Some(_) if host.namespace.is_none() => None,
            Some(_) => Some(Err(format!("{name} is not named by service {}, as the server's host says", host.service))),
            None if host.namespace.is_some() || is_of_set() => Some(Err(format!("{name} does not exist"))),
            None => None,
        }
    };
    let here = hosts.iter().filter(|(_, host)| host.is_in(&read.namespace));
    here.filter_map(|(id, host)| Some((*id, one(host)?))).collect()
}

/// Adds what Kubernetes knows to what the servers showed. Where no member has a pod, by the record or by its host, it knows nothing.
pub fn fill(desired: &Desired, read: &PodsRead, seen: &mut Seen) {
    let hosts = by_hosts(desired);
    let found = found_by_hosts(&hosts, read);
    let is_unknown = read.unknown.is_some() && hosts.values().any(|host| may_be_here(host, read));
    if named(desired).is_empty() && found.is_empty() && !is_unknown {
        return;
    }
    let mut workload = Workload { unknown: read.unknown.clone(), notes: read.notes.clone(), ..Workload::default() };
    if read.unknown.is_none() {
        let membership = seen.membership();
        workload.pods = pods(desired, read);
        let is_in = |id: &ServerId| desired.members.get(id).is_some_and(|it| it.state != MemberState::Retired);
        let unready = named(desired).into_iter().filter(|(id, _)| is_in(id));
        workload.unready = unready.filter_map(|(id, name)| Some((id, unready_pod(name, read)?))).collect();
        workload.unready.extend(unready_by_hosts(&found, read));
        let crash_loop = |name: &str| read.pods.get(name).filter(|pod| !pod.is_terminating)?.crash_loop.as_ref();
        let by_host = found.iter().filter_map(|(id, pod)| Some((*id, pod.as_deref().ok()?)));
        let crash_loops = named(desired).into_iter().chain(by_host.clone());
        workload.crash_loops =
            crash_loops.filter_map(|(id, name)| Some((id, format!("pod {name}: {}", crash_loop(name)?)))).collect();
        // Pods of joiners may be newer than the others without any rollout.
        let is_member = |id: &ServerId| membership.is_none_or(|members| members.servers.contains_key(id));
        let of_members = named(desired).into_iter().chain(by_host).filter(|(id, _)| is_member(id));
        (workload.rollout, workload.settling) = rollouts(of_members.map(|(_, name)| name), read);
        workload.surplus = membership.map(|members| surplus(desired, members, read)).unwrap_or_default();
        seen.zones = workload.pods.iter().filter_map(|(id, pod)| Some((*id, pod.zone.clone()?))).collect();
        seen.cluster_zones.clone_from(&read.cluster_zones);
    }
    seen.workload = Some(workload);
}

fn pods(desired: &Desired, read: &PodsRead) -> BTreeMap<ServerId, PodSeen> {
    let shown = |name: &str| {
        let Some(pod) = read.pods.get(name) else {
            return PodSeen { name: name.to_owned(), state: "does not exist".to_owned(), ..PodSeen::default() };
        };
        let set = pod.set.as_ref().and_then(|set| read.sets.get(set)?.as_ref());
        PodSeen {
            name: name.to_owned(),
            state: state(pod),
            node: pod.node.clone(),
            zone: pod.node.as_ref().and_then(|node| read.zones.get(node).cloned()),
            is_last: set.is_some_and(|set| set.last_ordinal().is_some() && set.last_ordinal() == pod.ordinal),
        }
    };
    named(desired).into_iter().map(|(id, name)| (id, shown(name))).collect()
}

/// What a pod does, in a word or two.
fn state(pod: &Pod) -> String {
    match (pod.is_terminating, pod.is_ready, pod.stuck.as_ref().or(pod.crash_loop.as_ref())) {
        (true, ..) => "terminating".to_owned(),
        (_, true, _) => "ready".to_owned(),
        (_, _, Some(why)) => format!("not ready: {why}"),
        _ => "not ready".to_owned(),
    }
}

/// Why a pod is not ready, in words; none where it is.
pub fn unready_pod(name: &str, read: &PodsRead) -> Option<String> {
    let Some(pod) = read.pods.get(name) else { return Some(format!("{name} does not exist")) };
    (pod.is_terminating || !pod.is_ready).then(|| format!("{name} {}", state(pod)))
}

/// Why members that were looked for by their hosts are not ready.
pub fn unready_by_hosts<Id: Copy + Ord>(
    found: &BTreeMap<Id, Result<String, String>>,
    read: &PodsRead,
) -> BTreeMap<Id, String> {
    let why = |pod: &Result<String, String>| match pod {
        Ok(name) => unready_pod(name, read),
        Err(why) => Some(why.clone()),
    };
    found.iter().filter_map(|(id, pod)| Some((*id, why(pod)?))).collect()
}

/// Why a StatefulSet of these pods is not settled: because they get another revision; or because its controller has not seen its
/// last change yet, which passes.
pub fn rollouts<'a>(names: impl Iterator<Item = &'a str>, read: &PodsRead) -> (Option<String>, Option<String>) {
    let mut of_set: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for name in names {
        if let Some((set, pod)) = read.pods.get(name).and_then(|pod| Some((pod.set.as_deref()?, pod))) {
            of_set.entry(set).or_default().push(pod);
        }
    }
    let mut settling = None;
    for (name, pods) in of_set {
        let Some(set) = read.sets.get(name).and_then(Option::as_ref) else {
            return (Some(format!("StatefulSet {name}, to which pods of servers belong, does not exist")), settling);
        };
        if pods.iter().any(|pod| pod.set_uid.as_ref().is_some_and(|uid| *uid != set.uid)) {
            return (Some(format!("StatefulSet {name} is another one than that of the servers' pods")), settling);
        }
        if let Some(rollout) = rollout(name, set, &pods) {
            return (Some(rollout), settling);
        }
        if !set.is_observed {
            settling = Some(format!("the controller of StatefulSet {name} has not seen its last change yet"));
        }
    }
    (None, settling)
}

fn rollout(name: &str, set: &Set, pods: &[&Pod]) -> Option<String> {
    let wanted = &set.update_revision;
    let known: Vec<_> = pods.iter().filter(|pod| pod.revision.is_some() && !wanted.is_empty()).collect();
    let is_new = |pod: &Pod| pod.revision.as_ref() == Some(wanted);
    let is_replaced = |pod: &Pod| set.partition.zip(pod.ordinal).is_some_and(|(from, ordinal)| ordinal >= from);
    let (all, new) = (known.len(), known.iter().filter(|pod| is_new(pod)).count());
    let is_under_way = known.iter().any(|pod| is_replaced(pod) && !is_new(pod));
    let is_mixed = new > 0 && new < all;
    (is_under_way || is_mixed).then(|| {
        let hint = if is_under_way { "" } else { "; `toolbox rollout check` says which may be replaced next" };
        format!("StatefulSet {name} is being rolled out: {new} of {all} pods have the revision {wanted}{hint}")
    })
}

/// The record after a look: the disks of servers that are well, and since when something has been missing of those that do not
/// answer. `None` where it need not be written.
pub fn noted(desired: &Desired, read: &PodsRead, seen: &Seen, now: Timestamp) -> Option<Desired> {
    let mut next = desired.clone();
    for (id, name) in named(desired) {
        let Some(member) = next.members.get_mut(&id) else { continue };
        let state = read.disks.get(name).unwrap_or(&DiskState::Unknown);
        if !seen.is_silent(id) {
            member.missing = None;
            if let DiskState::There(disk) = state {
                member.disk = Some(disk.clone());
            }
            continue;
        }
        match state {
            DiskState::There(_) => member.missing = None,
            DiskState::Missing(lost, what) => {
                member.missing = Some(Missing::noted(member.missing.as_ref(), *lost, what, now));
            }
            // What was missing at the last look is not known to be missing still: the record's own limit ends that.
            DiskState::Unknown => {}
        }
    }
    (next != *desired).then_some(next)
}

/// What speaks for a server being gone for good, by what this look found and the record remembers.
pub fn evidence(desired: &Desired, read: &PodsRead, seen: &mut Seen, now: Timestamp) {
    for (id, name) in named(desired) {
        let Some(DiskState::Missing(lost, _)) = read.disks.get(name) else { continue };
        let missing = desired.members.get(&id).and_then(|member| member.missing.as_ref());
        let Some(missing) = missing.filter(|missing| missing.lost == *lost) else { continue };
        let time = age(missing.since, now);
        let evidence: &mut Evidence = seen.evidence.entry(id).or_default();
        match lost {
            Lost::Node => evidence.node_missing = Some(time),
            // One who looks for the first time does not know when the server was alive last.
            Lost::Volume => evidence.volume_deleted = time >= GONE_AFTER,
        }
    }
}

/// What a person should know of it, one sentence each.
pub fn notices(desired: Option<&Desired>, seen: &Seen, now: Timestamp) -> Vec<String> {
    let Some(workload) = &seen.workload else { return Vec::new() };
    let mut notices = workload.notes.clone();
    let unknown = workload.unknown.as_ref().map(|why| format!("the servers' pods are not known: {why}"));
    let refuses = |why: String| format!("{why}. Changes are refused (E_ROLLOUT)");
    notices.extend(unknown.into_iter().chain(workload.rollout.clone()).map(refuses));
    notices.extend(workload.settling.clone());
    for (id, member) in desired.iter().flat_map(|desired| &desired.members) {
        if let Some(missing) = member.missing.as_ref().filter(|_| seen.is_silent(*id)) {
            notices.push(format!(
                "the disk of server {id} is missing since {} s: {}; it counts as gone for good after {} s",
                age(missing.since, now).as_secs(),
                missing.what,
                GONE_AFTER.as_secs()
            ));
        }
    }
    notices.extend(workload.surplus.values().filter_map(|surplus| match surplus {
        Surplus::ByHand { words } => Some(words.clone()),
        Surplus::Ends | Surplus::Scale(_) => None,
    }));
    notices
}
