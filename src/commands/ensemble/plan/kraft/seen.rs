//! What one look at a quorum of KRaft controllers showed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::controllers::{DesiredQuorum, Voter, Voters};
use crate::cluster::ensemble::gone::Evidence;
use crate::cluster::ensemble::sightings::unseen_for;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::quorum::{Endpoint, NodeId, QuorumReplica, QuorumState};
use crate::commands::ensemble::plan::seen::Asked;

/// How far the last fetch of a live voter may lie behind the leader's time: `controller.quorum.fetch.timeout.ms`.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Most records by which a live voter, or a controller that joins, may be behind the leader.
pub const LAG_MAX: i64 = 1_000;

/// Samples that a joiner must pass, 2 s apart.
pub const SAMPLES_MIN: usize = 3;

/// One look at a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenQuorum {
    /// The id of the cluster, as the controllers, or the brokers that were asked, show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// What the leader says of voters and observers.
    pub quorum: QuorumState,
    /// Whether the leader was another one at the end of the look than at its start.
    pub leader_changed: bool,
    /// Whether a ZooKeeper migration runs: a controller says that it is set up for one. `None` where that is not known.
    pub migrates: Option<bool>,
    /// `controller.quorum.auto.join.enable`; `None` where that is not known.
    pub auto_join: Option<bool>,
    /// Nodes that do not support `kraft.version` 1.
    pub without_kraft_version: BTreeSet<NodeId>,
    /// Nodes that are both broker and controller.
    pub combined: BTreeSet<NodeId>,
    /// Controllers that are registered, and where they listen: what a controller that joins is added with. None where its
    /// listener's name is not known.
    pub registered: BTreeMap<NodeId, Option<Endpoint>>,
    /// Controllers whose process answers; those that are not here were not asked.
    pub answers: BTreeMap<NodeId, bool>,
    /// What shows that the process of a controller does not run, where something does: nobody listens at its address, or its pod is
    /// gone. That it does not answer shows nothing: it may be frozen, or cut off.
    pub stopped: BTreeMap<NodeId, String>,
    /// Controllers that take connections, or drop them, and give no answer: frozen or overloaded.
    pub hangs: BTreeSet<NodeId>,
    /// How often joiners were found caught up in a row, 2 s apart; those that are not here were not measured.
    pub samples: BTreeMap<NodeId, usize>,
    /// What is known of controllers that do not answer.
    pub evidence: BTreeMap<NodeId, Evidence>,
    /// Why the StatefulSet is not settled, where it is not; or why nothing is known of the pods.
    pub rollout: Option<String>,
    /// Pods that are terminating, pending or not ready, and why.
    pub unready: BTreeMap<NodeId, String>,
    /// Brokers that answer, and get no answer from the controller; why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cut_off: BTreeMap<BrokerId, String>,
    /// How the look was addressed.
    pub asked: Asked,
}

/// Voters with their directories; those of a static quorum have none.
pub fn voters_of(quorum: &QuorumState) -> Voters {
    quorum.voters.iter().filter_map(Voter::of).collect()
}

impl SeenQuorum {
    /// Voters with their directories; those of a static quorum have none.
    pub fn voter_set(&self) -> Voters {
        voters_of(&self.quorum)
    }

    /// Whether any voter lacks a directory id. The finalized level of `kraft.version` does not show it: Kafka 3.9.2 shows 1 and is
    /// static still.
    pub fn is_static(&self) -> bool {
        !self.quorum.voters.is_empty() && !self.quorum.is_dynamic()
    }

    /// The leader's time: it says of itself that it fetched just now.
    fn leader_time(&self) -> Option<Timestamp> {
        self.quorum.voter(self.quorum.leader?)?.last_fetch
    }

    /// How many records a replica is behind the leader, and how long before the leader's present time it fetched last.
    pub fn lag(&self, replica: &QuorumReplica) -> (Option<i64>, Option<Duration>) {
        let time = self.leader_time().zip(replica.last_fetch).map(|(now, then)| now.duration_since(then));
        (self.quorum.lag(replica), time.map(|time| Duration::try_from(time).unwrap_or_default()))
    }

    /// Whether a replica is caught up now: it fetches, and lacks few records.
    pub fn is_caught_up(&self, replica: &QuorumReplica) -> bool {
        if Some(replica.key.id) == self.quorum.leader {
            return true;
        }
        let (records, time) = self.lag(replica);
        // Servers before Kafka 3.5 show no times at all.
        let is_timeless = self.quorum.voters.iter().all(|replica| replica.last_fetch.is_none());
        records.is_some_and(|records| records <= LAG_MAX)
            && (is_timeless || time.is_some_and(|time| time <= FETCH_TIMEOUT))
    }

    /// Controllers whose process runs: they answer, or follow the leader.
    pub fn running(&self) -> BTreeSet<NodeId> {
        let replicas = self.quorum.voters.iter().chain(&self.quorum.observers);
        let following = replicas.filter(|replica| self.is_caught_up(replica)).map(|replica| replica.key.id);
        let answering = self.answers.iter().filter(|(_, answers)| **answers).map(|(node, _)| *node);
        following.chain(answering).collect()
    }

    /// Adds when controllers that do not run were seen alive last, as the record has it.
    pub fn recall(&mut self, desired: &DesiredQuorum, now: Timestamp) {
        let running = self.running();
        for (node, age) in unseen_for(desired, now).into_iter().filter(|(node, _)| !running.contains(node)) {
            self.evidence.entry(node).or_default().last_alive = Some(age);
        }
    }

    /// Voters that are caught up now.
    pub fn live(&self) -> Voters {
        self.quorum.voters.iter().filter(|replica| self.is_caught_up(replica)).filter_map(Voter::of).collect()
    }

    /// How many failures the quorum survives now, or would with other voters.
    pub fn tolerance_of(&self, voters: &Voters, live: &Voters) -> Tolerance {
        Tolerance { voters: voters.len(), live: voters.intersection(live).count() }
    }

    /// How many failures the quorum survives now; voters without directory ids count, too.
    pub fn tolerance(&self) -> Tolerance {
        let live = self.quorum.voters.iter().filter(|replica| self.is_caught_up(replica)).count();
        Tolerance { voters: self.quorum.voters.len(), live }
    }

    /// Registered controllers that neither vote nor follow: they block the upgrade of features.
    pub fn ghosts(&self) -> BTreeSet<NodeId> {
        let known: BTreeSet<_> =
            self.quorum.voters.iter().chain(&self.quorum.observers).map(|replica| replica.key.id).collect();
        // Without a leader nobody says who votes and who follows.
        let is_ghost =
            |node: &NodeId| !known.is_empty() && !known.contains(node) && self.answers.get(node) != Some(&true);
        self.registered.keys().copied().filter(is_ghost).collect()
    }
}
