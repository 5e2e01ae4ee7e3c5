//! What one server of an ensemble answers, and what it takes the configuration to be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig};

/// A ZooKeeper transaction id: the epoch in the upper 32 bits, a counter in the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zxid(pub u64);

impl Zxid {
    /// The epoch of the leader that made it.
    pub fn epoch(self) -> u64 {
        self.0 >> 32
    }

    /// Its number within the epoch.
    pub fn counter(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    /// Whether a server that follows a leader has all that this leader had. A leader that was elected and has proposed nothing
    /// yet shows its new epoch with the counter 0, and those that it has synced still show the last transaction before.
    pub fn has_all_of(self, leader: Self) -> bool {
        self >= leader || leader.counter() == 0
    }
}

impl fmt::Display for Zxid {
    /// As ZooKeeper shows it: `0x100000002`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:#x}", self.0))
    }
}

/// `Mode:` of `srvr`. `Follower` does not mean that the server is a member: one that was removed, or not added yet, says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It leads.
    Leader,
    /// It follows, with or without a vote.
    Follower,
    /// It observes.
    Observer,
    /// It is alone and knows of no ensemble (`standaloneEnabled`).
    Standalone,
    /// It has lost the quorum and answers reads only (`readonlymode.enabled`).
    ReadOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::Standalone => "standalone",
            Self::ReadOnly => "read-only",
        })
    }
}

/// Whether and how a server answers on its client port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It serves.
    Serving {
        /// Its mode.
        mode: Mode,
        /// The last transaction that it has processed.
        zxid: Zxid,
    },
    /// It runs and has no quorum: "This ZooKeeper instance is not currently serving requests".
    NotServing,
    /// It answers, but not to what shows its mode.
    Unreadable {
        /// What it answers.
        why: String,
    },
    /// The port is open or silent, and no answer came in time: frozen, overloaded or cut off.
    Silent {
        /// How long was waited, in milliseconds.
        after_ms: u64,
    },
    /// Nothing listens, or the name does not resolve: the process does not run.
    Down {
        /// The error.
        why: String,
    },
}

impl Answer {
    /// Its mode, if it serves.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self::Serving { mode, .. } => Some(*mode),
            _ => None,
        }
    }

    /// Its last transaction, if it serves.
    pub fn zxid(&self) -> Option<Zxid> {
        match self {
            Self::Serving { zxid, .. } => Some(*zxid),
            _ => None,
        }
    }

    /// Whether it answers as ZooKeeper does: with its mode, or that it has no quorum.
    pub fn is_of_zookeeper(&self) -> bool {
        matches!(self, Self::Serving { .. } | Self::NotServing)
    }

    /// Why there is no answer that shows a mode; none where there is one.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Serving { .. } | Self::NotServing => None,
            Self::Unreadable { why } | Self::Down { why } => Some(why.clone()),
            Self::Silent { after_ms } => Some(format!("no answer within {after_ms} ms")),
        }
    }

    /// Whether its process is known to run. One that is silent may be frozen or gone.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Serving { .. } | Self::NotServing | Self::Unreadable { .. })
    }
}

/// What one server was seen to be, in one look of at most some seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerView {
    /// What its client port answers.
    pub answer: Answer,
    /// The configuration as this server has it, without `sync`; `None` where it could not be read.
    pub config: Option<EnsembleConfig>,
    /// The ensemble id as this server has it; `None` where none was ever written, and where it was not read.
    pub ensemble_id: Option<String>,
    /// Why the ensemble id could not be read, where it was asked for: then it is unknown whether the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_unread: Option<String>,
    /// The id that the process has (`serverId` of `conf`), where it shows it.
    pub own_id: Option<ServerId>,
    /// How it keeps up with the leader, where that was measured.
    pub catch_up: Option<CatchUp>,
    /// The version in the name of the dynamic file on its disk, where its folder was looked at.
    pub disk_version: Option<ConfigVersion>,
    /// Why its folder could not be read, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_unread: Option<String>,
    /// `zk_digest_mismatches_count`, where it shows it.
    pub digest_mismatches: Option<u64>,
    /// `zk_leader_uptime`: for how many milliseconds it has led, where it leads and shows it (ZooKeeper 3.6 or later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_for_ms: Option<u64>,
    /// Whether the hosts of its address resolve here; `None` where that was not tried.
    pub resolves: Option<bool>,
    /// What answers where it should move to, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_place: Option<NewPlace>,
    /// The pod or process that claims this id besides, where there is more than one.
    pub rival: Option<String>,
}

impl ServerView {
    /// One of which nothing is known but what its port answers.
    pub fn of(answer: Answer) -> Self {
        Self {
            answer,
            config: None,
            ensemble_id: None,
            id_unread: None,
            own_id: None,
            catch_up: None,
            disk_version: None,
            disk_unread: None,
            digest_mismatches: None,
            leads_for_ms: None,
            resolves: None,
            new_place: None,
            rival: None,
        }
    }
}

/// What answers at the client address of the line that a member should have from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPlace {
    /// The address.
    pub address: String,
    /// What it answers.
    pub answer: Answer,
    /// The id that the process there has, where it shows it.
    pub own_id: Option<ServerId>,
}

/// Samples of a server that follows: the leader's zxid, and 3 s or more later this server's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatchUp {
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    /// `zk_synced_non_voting_followers` of the leader, where it shows it.
    pub counted_by_leader: Option<u64>,
    /// Why the leader's count could not be read, where the leader would show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_unread: Option<String>,
}

/// One comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The leader's zxid, noted first.
    pub leader: Zxid,
    /// This server's own, noted `age_ms` later.
    pub own: Zxid,
    /// The time between the two, in milliseconds.
    pub age_ms: u64,
}

impl Sample {
    /// Whether the server had everything that the leader had at least 3 s before.
    pub fn is_caught_up(self) -> bool {
        self.own.has_all_of(self.leader) && self.age_ms >= 3_000
    }
}
