//! What one look at an ensemble showed, and what follows from it without any decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::gone::Evidence;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::cluster::ensemble::sightings::unseen_for;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::ensemble::view::{Mode, ServerView, Zxid};
use crate::commands::ensemble::plan::stop::Surplus;
use crate::formats::ensemble_config::{Different, views};

/// One look at an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Every server of (live configuration, document, running pods).
    pub servers: BTreeMap<ServerId, ServerView>,
    /// The configuration that the quorum has: read after `sync`, else the leader's own.
    pub quorum: Option<EnsembleConfig>,
    /// The leader's zxid, noted before the others were looked at: whoever has it has all that was acknowledged until then.
    pub leader_zxid: Option<Zxid>,
    /// Whether the leader was another one at the end of the look than at its start.
    pub leader_changed: bool,
    /// For how long the servers have been seen to disagree about the configuration.
    pub views_differ_for: Option<Duration>,
    /// Whether this identity may reconfigure; `None` where that was not asked.
    pub may_reconfigure: Option<bool>,
    /// Whether a migration of a Kafka cluster from this ensemble to KRaft was begun; `None` where that was not asked or not read.
    #[serde(default)]
    pub migrates: Option<bool>,
    /// Why reconfiguration is off, where a server said so.
    pub reconfig_off: Option<String>,
    /// What Kubernetes knows; `None` outside of it.
    pub workload: Option<Workload>,
    /// What is known of servers that do not answer.
    pub evidence: BTreeMap<ServerId, Evidence>,
    /// The zone of each server, where it is known.
    pub zones: BTreeMap<ServerId, String>,
    /// The zones of all nodes of the Kubernetes cluster, where they were asked for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cluster_zones: BTreeSet<String>,
    /// How the look was addressed.
    #[serde(default)]
    pub asked: Asked,
}

/// How a look was addressed, and how it ended as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Asked {
    /// Where the record is kept.
    pub record: Option<String>,
    /// Why there is a record that can't be used.
    pub unreadable: Option<String>,
    /// The servers that were named.
    pub servers: Vec<String>,
    /// The ensemble's id, as the named servers have it, where it was read for itself.
    pub ensemble_id: Option<String>,
    /// Whether it was read that the named servers have no id: the node is not there.
    pub lacks_id: bool,
    /// Whether no server at the record's addresses is of the ensemble with that id.
    pub is_apart: bool,
    /// Whether a server answers as ZooKeeper does and did not say who it is.
    pub stranger_answers: bool,
    /// What was got from the others that did not say who they are, as `zk-0:2181: Connection refused`.
    pub no_answers: Vec<String>,
    /// How many servers were not asked because there are too many.
    pub left_out: usize,
}

/// What Kubernetes knows of the servers' pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workload {
    /// Why a StatefulSet is not settled, where it is not: a rollout in progress.
    pub rollout: Option<String>,
    /// Why a StatefulSet is not settled, where that passes within seconds.
    #[serde(default)]
    pub settling: Option<String>,
    /// Why nothing is known of the pods: the API server does not answer, or a right is missing.
    #[serde(default)]
    pub unknown: Option<String>,
    /// Pods that are terminating, pending or not ready, and why.
    pub unready: BTreeMap<ServerId, String>,
    /// Pods of which a container, or an init container, ends again and again: which one, and how it ended last.
    pub crash_loops: BTreeMap<ServerId, String>,
    /// The pod of each server whose pod the record names.
    #[serde(default)]
    pub pods: BTreeMap<ServerId, PodSeen>,
    /// What becomes of the pods of servers that were removed.
    #[serde(default)]
    pub surplus: BTreeMap<ServerId, Surplus>,
    /// What could not be read of nodes and volumes.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The pod of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// What it does, as `ready`, `terminating`, `does not exist`.
    pub state: String,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The zone of that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether it is the last one of its StatefulSet: the one that goes when there is to be one fewer.
    #[serde(default)]
    pub is_last: bool,
}

impl PodSeen {
    /// Its node, with the zone of that: `node-1 (zone a)`.
    pub fn place(&self) -> String {
        let zone = self.zone.as_ref().map(|zone| format!(" (zone {zone})")).unwrap_or_default();
        self.node.as_ref().map_or_else(|| "-".to_owned(), |node| format!("{node}{zone}"))
    }
}

impl Seen {
    /// Servers that lead.
    pub fn leaders(&self) -> BTreeSet<ServerId> {
        self.in_mode(Mode::Leader)
    }

    /// The leader, if there is exactly one.
    pub fn leader(&self) -> Option<ServerId> {
        let leaders = self.leaders();
        if leaders.len() == 1 { leaders.first().copied() } else { None }
    }

    /// For how long the leader has led, where it shows that.
    pub fn leads_for(&self) -> Option<Duration> {
        self.servers.get(&self.leader()?)?.leads_for_ms.map(Duration::from_millis)
    }

    /// Whether any server answers as ZooKeeper does, with or without a quorum.
    pub fn is_answered(&self) -> bool {
        self.asked.stranger_answers || self.servers.values().any(|view| view.answer.is_of_zookeeper())
    }

    /// Whether any server serves: else no session is given.
    pub fn is_serving(&self) -> bool {
        self.servers.values().any(|view| view.answer.mode().is_some())
    }

    /// Servers in a mode.
    pub fn in_mode(&self, mode: Mode) -> BTreeSet<ServerId> {
        self.servers.iter().filter(|(_, view)| view.answer.mode() == Some(mode)).map(|(id, _)| *id).collect()
    }

    /// Servers that take part in the ensemble and have all that the leader had when the look began. Where that is not known, as
    /// without a leader, nobody counts.
    pub fn live(&self) -> BTreeSet<ServerId> {
        let is_live = |view: &ServerView| {
            let takes_part = matches!(view.answer.mode(), Some(Mode::Leader | Mode::Follower | Mode::Observer));
            let has_all = |leader| view.answer.zxid().is_some_and(|own| own.has_all_of(leader));
            takes_part && self.leader_zxid.is_some_and(has_all)
        };
        self.servers.iter().filter(|(_, view)| is_live(view)).map(|(id, _)| *id).collect()
    }

    /// The members, as the quorum has them.
    pub fn membership(&self) -> Option<&Membership> {
        self.quorum.as_ref().map(|config| &config.membership)
    }

    /// How many failures the ensemble survives now; `None` without a known configuration.
    pub fn tolerance(&self) -> Option<Tolerance> {
        Some(self.membership()?.tolerance(&self.live()))
    }

    /// What the servers say the configuration is, those that say the same together.
    pub fn views(&self) -> Vec<Different> {
        let said = self.servers.iter().filter(|(_, view)| view.answer.mode().is_some());
        let said = said.filter_map(|(id, view)| Some((*id, view.config.clone()?)));
        views(&said.collect())
    }

    /// The ensemble ids that servers have, and who has which.
    pub fn ensemble_ids(&self) -> BTreeMap<&str, Vec<ServerId>> {
        let mut ids: BTreeMap<&str, Vec<ServerId>> = BTreeMap::new();
        for (id, view) in &self.servers {
            if let Some(ensemble) = &view.ensemble_id {
                ids.entry(ensemble).or_default().push(*id);
            }
        }
        ids
    }

    /// Servers that serve and whose ensemble id could not be read, and why.
    pub fn unread_ids(&self) -> BTreeMap<ServerId, &str> {
        let serving = self.servers.iter().filter(|(_, view)| view.answer.mode().is_some());
        serving.filter_map(|(id, view)| Some((*id, view.id_unread.as_deref()?))).collect()
    }

    /// Members whose folder was looked at and does not have the live configuration, and what it has, in words.
    pub fn not_stored(&self) -> BTreeMap<ServerId, String> {
        let Some(config) = &self.quorum else { return BTreeMap::new() };
        let lacks = |id: &ServerId| {
            let view = self.servers.get(id)?;
            if let Some(why) = &view.disk_unread {
                return Some((*id, format!("the folder of server {id} can't be read: {why}")));
            }
            let disk = view.disk_version.filter(|disk| *disk < config.version)?;
            Some((*id, format!("server {id} has version {disk} on its disk, version {} is live", config.version)))
        };
        config.membership.servers.keys().filter_map(lacks).collect()
    }

    /// The zones whose loss would lose the quorum that there is now.
    pub fn zones_to_lose(&self) -> BTreeSet<&str> {
        let Some(membership) = self.membership() else { return BTreeSet::new() };
        let live = self.live();
        if membership.tolerance(&live).spare() < 0 {
            return BTreeSet::new();
        }
        let is_needed = |zone: &&String| {
            let left = live.iter().filter(|id| self.zones.get(id) != Some(*zone)).copied().collect();
            membership.tolerance(&left).spare() < 0
        };
        self.zones.values().filter(is_needed).map(String::as_str).collect()
    }

    /// Which container of a server's pod ends again and again; none where none does.
    pub fn crash_loop(&self, id: ServerId) -> Option<&str> {
        self.workload.as_ref()?.crash_loops.get(&id).map(String::as_str)
    }

    /// Servers whose process runs, as their answers show.
    pub fn running(&self) -> BTreeSet<ServerId> {
        self.servers.keys().copied().filter(|id| !self.is_silent(*id)).collect()
    }

    /// Adds when servers that do not answer were seen alive last, as the record has it.
    pub fn recall(&mut self, desired: &Desired, now: Timestamp) {
        for (id, age) in unseen_for(desired, now).into_iter().filter(|(id, _)| self.is_silent(*id)).collect::<Vec<_>>()
        {
            self.evidence.entry(id).or_default().last_alive = Some(age);
        }
    }

    /// Whether a server does not answer: down, frozen, cut off, or never looked at.
    pub fn is_silent(&self, id: ServerId) -> bool {
        !self.servers.get(&id).is_some_and(|view| view.answer.is_running())
    }
}

/// How long ago something was, by two readings of the wall clock. A time in the future counts as now: a clock that was set
/// back makes us wait longer, never shorter.
pub fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// When the ensemble was changed last, as the document has it.
pub fn last_change(desired: &Desired) -> Option<Timestamp> {
    let entries = desired.history.iter().map(|entry| entry.at);
    entries.chain(desired.last_config.iter().map(|last| last.since)).max()
}
