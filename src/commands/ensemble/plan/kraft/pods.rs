//! What follows for a quorum from what Kubernetes knows of the controllers' pods (guard I10).

use std::collections::BTreeMap;

use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::pods::PodsRead;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::pods::{rollouts, unready_pod};

/// The pods to look at: of every controller that votes, or should.
pub fn named(desired: &DesiredQuorum) -> BTreeMap<NodeId, &str> {
    let members = desired.members.iter().filter(|(_, member)| member.state != MemberState::Retired);
    members.filter_map(|(node, member)| Some((*node, member.pod.as_deref()?))).collect()
}

/// Adds what Kubernetes knows to what the controllers showed. Without any pod in the record, it knows nothing.
pub fn fill(desired: &DesiredQuorum, read: &PodsRead, seen: &mut SeenQuorum) {
    let named = named(desired);
    if named.is_empty() {
        return;
    }
    if let Some(why) = &read.unknown {
        seen.rollout = Some(format!("the controllers' pods are not known: {why}"));
        return;
    }
    let votes = |node: &NodeId| seen.quorum.voter(*node).is_some();
    let (rollout, settling) = rollouts(named.iter().filter(|(node, _)| votes(node)).map(|(_, name)| *name), read);
    seen.rollout = rollout.or(settling);
    seen.unready = named.into_iter().filter_map(|(node, name)| Some((node, unready_pod(name, read)?))).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::controllers::Controller;
    use crate::cluster::ensemble::pods::Pod;

    #[test]
    fn pods_that_are_not_ready_or_not_known_are_said_and_those_of_retired_controllers_do_not_matter() {
        let member = |state, pod: &str| Controller { state, directory: None, pod: Some(pod.to_owned()) };
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
}
