//! What one look at a quorum of KRaft controllers showed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::controllers::{Voter, Voters};
use crate::cluster::ensemble::gone::Evidence;
use crate::cluster::ensemble::tolerance::Tolerance;

/// How far the last fetch of a live voter may lie behind the leader's time: `controller.quorum.fetch.timeout.ms`.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Most records by which a live voter, or a controller that joins, may be behind the leader.
pub const LAG_MAX: i64 = 1_000;

/// Samples that a joiner must pass, 2 s apart.
pub const SAMPLES_MIN: usize = 3;

/// One look at a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenQuorum {
    /// The leader; none while there is none.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub epoch: i32,
    /// The offset after the last committed record; below 0 while the leader has none in its epoch.
    pub high_watermark: i64,
    /// Who votes.
    pub voters: Vec<Replica>,
    /// Who follows without a vote: brokers, and controllers that join or were removed.
    pub observers: Vec<Replica>,
    /// Whether the leader was another one at the end of the look than at its start.
    pub leader_changed: bool,
    /// Whether a ZooKeeper migration runs (`ZkMigrationState` 1 or 2); `None` where that is not known.
    pub migrates: Option<bool>,
    /// `controller.quorum.auto.join.enable`; `None` where that is not known.
    pub auto_join: Option<bool>,
    /// Nodes that do not support `kraft.version` 1.
    pub without_kraft_version: BTreeSet<BrokerId>,
    /// Nodes that are both broker and controller.
    pub combined: BTreeSet<BrokerId>,
    /// Controllers that are registered.
    pub registered: BTreeSet<BrokerId>,
    /// Controllers whose process answers; those that are not here were not asked.
    pub answers: BTreeMap<BrokerId, bool>,
    /// How often joiners were found caught up in a row, 2 s apart; those that are not here were not measured.
    pub samples: BTreeMap<BrokerId, usize>,
    /// What is known of controllers that do not answer.
    pub evidence: BTreeMap<BrokerId, Evidence>,
    /// Why the StatefulSet is not settled, where it is not.
    pub rollout: Option<String>,
}

/// One replica of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The node's id.
    pub node: BrokerId,
    /// Its directory; none (or all zero) in a static quorum.
    pub directory: Option<Uuid>,
    /// The offset after its last record.
    pub log_end: i64,
    /// When it fetched last, by the leader's clock, in milliseconds since 1970; of the leader itself: its present time.
    pub fetched_ms: Option<i64>,
}

impl Replica {
    /// As voter; none where it has no directory id.
    pub fn voter(&self) -> Option<Voter> {
        let directory = self.directory.filter(|directory| !directory.is_nil())?;
        Some(Voter { node: self.node, directory })
    }
}

impl SeenQuorum {
    /// Voters with their directories; those of a static quorum have none.
    pub fn voter_set(&self) -> Voters {
        self.voters.iter().filter_map(Replica::voter).collect()
    }

    /// Whether any voter lacks a directory id. The finalized level of `kraft.version` does not show it: Kafka 3.9.2 shows 1 and is
    /// static still.
    pub fn is_static(&self) -> bool {
        self.voters.iter().any(|replica| replica.voter().is_none())
    }

    /// The leader's time, in milliseconds: it says of itself that it fetched just now.
    fn leader_time(&self) -> Option<i64> {
        self.voters.iter().find(|replica| Some(replica.node) == self.leader)?.fetched_ms
    }

    /// How many records a replica is behind the leader, and how long before the leader's present time it fetched last.
    pub fn lag(&self, replica: &Replica) -> (i64, Option<Duration>) {
        let leader = self.voters.iter().find(|it| Some(it.node) == self.leader);
        let records = leader.map_or(0, |leader| leader.log_end.saturating_sub(replica.log_end).max(0));
        let time = self.leader_time().zip(replica.fetched_ms).map(|(now, then)| now.saturating_sub(then));
        (records, time.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
    }

    /// Whether a replica is caught up now: it fetches, and lacks few records.
    pub fn is_caught_up(&self, replica: &Replica) -> bool {
        if Some(replica.node) == self.leader {
            return true;
        }
        let (records, time) = self.lag(replica);
        // Servers before Kafka 3.3 show no times at all.
        let is_timeless = self.voters.iter().all(|replica| replica.fetched_ms.is_none());
        records <= LAG_MAX && (is_timeless || time.is_some_and(|time| time <= FETCH_TIMEOUT))
    }

    /// Voters that are caught up now.
    pub fn live(&self) -> Voters {
        self.voters.iter().filter(|replica| self.is_caught_up(replica)).filter_map(Replica::voter).collect()
    }

    /// How many failures the quorum survives now, or would with other voters.
    pub fn tolerance_of(&self, voters: &Voters, live: &Voters) -> Tolerance {
        Tolerance { voters: voters.len(), live: voters.intersection(live).count() }
    }

    /// How many failures the quorum survives now; voters without directory ids count, too.
    pub fn tolerance(&self) -> Tolerance {
        let live = self.voters.iter().filter(|replica| self.is_caught_up(replica)).count();
        Tolerance { voters: self.voters.len(), live }
    }

    /// Registered controllers that neither vote nor follow: they block the upgrade of features.
    pub fn ghosts(&self) -> BTreeSet<BrokerId> {
        let known: BTreeSet<_> = self.voters.iter().chain(&self.observers).map(|replica| replica.node).collect();
        let is_ghost = |node: &BrokerId| !known.contains(node) && self.answers.get(node) != Some(&true);
        self.registered.iter().copied().filter(is_ghost).collect()
    }
}
