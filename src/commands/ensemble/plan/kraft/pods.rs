//! What follows for a quorum from what Kubernetes knows of the controllers' pods (guard I10).

use std::collections::BTreeMap;

use crate::cluster::ensemble::controllers::{Controller, DesiredQuorum};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::pods::{HostPod, PodsRead};
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::pods::{found_by_hosts, may_be_here, rollouts, unready_by_hosts, unready_pod};

/// The pods to look at: of every controller that votes, or should.
pub fn named(desired: &DesiredQuorum) -> BTreeMap<NodeId, &str> {
    let members = desired.members.iter().filter(|(_, member)| member.state != MemberState::Retired);
    members.filter_map(|(node, member)| Some((*node, member.pod.as_deref()?))).collect()
}

/// The pods that controllers without a pod in the record have by their hosts, as far as those are names of pods.
pub fn by_hosts(desired: &DesiredQuorum, seen: &SeenQuorum) -> BTreeMap<NodeId, HostPod> {
    let is_in = |member: &Controller| member.state != MemberState::Retired && member.pod.is_none();
    let host = |node: &NodeId| {
        let registered = seen.registered.get(node).and_then(Option::as_ref);
        let endpoint = registered.or_else(|| seen.quorum.endpoints.get(node)?.first());
        HostPod::of(&endpoint?.host)
    };
    let members = desired.members.iter().filter(|(_, member)| is_in(member));
    members.filter_map(|(node, _)| Some((*node, host(node)?))).collect()
}

/// Adds what Kubernetes knows to what the controllers showed. Where no controller has a pod, by the record or by its host, it knows
/// nothing.
pub fn fill(desired: &DesiredQuorum, read: &PodsRead, seen: &mut SeenQuorum) {
    let (named, hosts) = (named(desired), by_hosts(desired, seen));
    let found = found_by_hosts(&hosts, read);
    let are_any = !named.is_empty() || hosts.values().any(|host| may_be_here(host, read));
    if let Some(why) = read.unknown.as_ref().filter(|_| are_any) {
        seen.rollout = Some(format!("the controllers' pods are not known: {why}"));
        return;
    }
    let votes = |node: &NodeId| seen.quorum.voter(*node).is_some();
    let by_host = found.iter().filter_map(|(node, pod)| Some((*node, pod.as_deref().ok()?)));
    let pods: BTreeMap<_, _> = named.into_iter().chain(by_host).collect();
    let (rollout, settling) = rollouts(pods.iter().filter(|(node, _)| votes(node)).map(|(_, name)| *name), read);
    seen.rollout = rollout.or(settling);
    let gone = pods.iter().filter(|(_, name)| !read.pods.contains_key(**name));
    seen.stopped.extend(gone.map(|(node, name)| (*node, format!("its pod {name} does not exist"))));
    // A name without a namespace may be that of another machine.
    let is_sure = |host: &HostPod| host.namespace.as_ref() == Some(&read.namespace);
    let gone = hosts.iter().filter(|(_, host)| is_sure(host) && !read.pods.contains_key(&host.pod));
    seen.stopped.extend(gone.map(|(node, host)| (*node, format!("its pod {} does not exist", host.pod))));
    seen.unready = pods.into_iter().filter_map(|(node, name)| Some((node, unready_pod(name, read)?))).collect();
    seen.unready.extend(unready_by_hosts(&found, read));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::pods::Pod;
    use crate::cluster::quorum::{Endpoint, QuorumReplica, QuorumState, ReplicaKey};

    #[test]
    fn pods_that_are_not_ready_or_not_known_are_said_and_those_of_retired_controllers_do_not_matter() {
        let member = |state, pod: &str| Controller { pod: Some(pod.to_owned()), ..Controller::new(state, None) };
        let members = [
            (NodeId(1), member(MemberState::Voter, "c-1")),
            (NodeId(2), member(MemberState::Voter, "c-2")),
            (NodeId(3), member(MemberState::Retired, "c-3")),
        ];
        let desired = DesiredQuorum { size: 3, members: members.into(), ..DesiredQuorum::default() };
        let mut read = PodsRead::default();
        read.pods.insert("c-1".to_owned(), Pod { is_ready: true, ..Pod::default() });
        let mut seen = SeenQuorum::default();
        fill(&desired, &read, &mut seen);
        assert_eq!((&seen.rollout, seen.unready), (&None, [(NodeId(2), "c-2 does not exist".to_owned())].into()));
        read.unknown = Some("no answer".to_owned());
        let mut seen = SeenQuorum::default();
        fill(&desired, &read, &mut seen);
        assert_eq!(seen.rollout.as_deref(), Some("the controllers' pods are not known: no answer"));
        fill(&DesiredQuorum::default(), &read, &mut seen);
    }

    /// A quorum that was adopted: the record names no pods, and the voters' hosts are those of pods.
    fn adopted(read: &PodsRead) -> SeenQuorum {
        let nodes = [1, 2].map(NodeId);
        let member = |node| (node, Controller::new(MemberState::Voter, None));
        let desired = DesiredQuorum { size: 3, members: nodes.map(member).into(), ..DesiredQuorum::default() };
        let endpoint = |node: NodeId| {
            let host = format!("c-{node}.c.kafka.svc.cluster.local");
            (node, vec![Endpoint { listener: "CONTROLLER".to_owned(), host, port: 9_093 }])
        };
        let voter = |id| {
            let key = ReplicaKey { id, directory: None };
            QuorumReplica { key, log_end_offset: None, last_fetch: None, last_caught_up: None }
        };
        let quorum = QuorumState {
            voters: nodes.map(voter).into(),
            endpoints: nodes.map(endpoint).into(),
            ..QuorumState::default()
        };
        let mut seen = SeenQuorum { quorum, ..SeenQuorum::default() };
        fill(&desired, read, &mut seen);
        seen
    }

    #[test]
    fn a_controller_without_a_pod_in_the_record_is_looked_for_by_its_host() {
        let mut read = PodsRead { namespace: "kafka".to_owned(), ..PodsRead::default() };
        let ready = Pod { is_ready: true, subdomain: Some("c".to_owned()), ..Pod::default() };
        read.pods.insert("c-1".to_owned(), ready.clone());
        let seen = adopted(&read);
        assert_eq!((&seen.rollout, &seen.unready), (&None, &[(NodeId(2), "c-2 does not exist".to_owned())].into()));
        read.pods.insert("c-2".to_owned(), Pod { is_terminating: true, ..ready });
        assert_eq!(adopted(&read).unready, [(NodeId(2), "c-2 terminating".to_owned())].into());
        read.unknown = Some("no answer".to_owned());
        assert_eq!(adopted(&read).rollout.as_deref(), Some("the controllers' pods are not known: no answer"));
        let elsewhere = PodsRead { namespace: "other".to_owned(), ..PodsRead::default() };
        assert_eq!(
            (adopted(&elsewhere).rollout, adopted(&elsewhere).unready.len()),
            (None, 0),
            "pods of another namespace"
        );
    }
}
