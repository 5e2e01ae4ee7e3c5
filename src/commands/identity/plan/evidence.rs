//! What was read before an id is decided, as plain data: it is saved with `--save-observed`, and has no secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::commands::identity::plan::cluster::Listed;
use crate::commands::identity::plan::registry::{Place, Registry};
use crate::commands::identity::spec::disk::DiskId;

/// Everything that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The pod that asks.
    pub me: Me,
    /// Its log dirs (or the data dir), in the order in which they were named.
    pub folders: Vec<Folder>,
    /// Its claim.
    #[serde(default)]
    pub claim: Option<Claim>,
    /// Its node.
    #[serde(default)]
    pub node: NodeSeen,
    /// The registry of its map.
    pub registry: Registry,
    /// Other pods that were asked for, by name.
    #[serde(default)]
    pub pods: BTreeMap<String, PodSeen>,
    /// The cluster.
    #[serde(default)]
    pub cluster: ClusterSeen,
    /// Whether other pods show that the cluster ran before.
    #[serde(default)]
    pub traces: Traces,
    /// The output files that are there, by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// The id among the pod's own labels.
    #[serde(default)]
    pub pod_label: Option<String>,
}

impl Seen {
    /// Where the disk is.
    pub(super) fn place(&self) -> Place<'_> {
        let volume = self.claim.as_ref().and_then(|claim| claim.volume.as_deref());
        Place { volume, node: self.me.node.as_deref() }
    }
}

/// The pod that asks for its id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Me {
    /// Its name.
    pub pod: String,
    /// Its uid: another one each time it is created.
    #[serde(default)]
    pub uid: Option<String>,
    /// Its node's name.
    #[serde(default)]
    pub node: Option<String>,
    /// Its node's address.
    #[serde(default)]
    pub host_ip: Option<String>,
    /// The rack from the pod's own label, by the downward API.
    #[serde(default)]
    pub pod_rack: Option<String>,
    /// The rack from a variable of the environment.
    #[serde(default)]
    pub environment_rack: Option<RackWord>,
}

/// A rack that a variable of the environment names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RackWord {
    /// The variable.
    pub variable: String,
    /// Its value.
    pub value: String,
}

/// A folder that may hold an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Its path.
    pub path: String,
    /// What is in it.
    pub holds: Holds,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Neither an id nor data.
    Nothing,
    /// An id.
    Id(DiskId),
    /// Data of this name, as `orders-0`, without an id.
    Data(String),
    /// It can't be read, or what is in it can't be understood.
    Unreadable(String),
}

/// The claim of the pod's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// The volume that it is bound to: the disk, whatever claim it has.
    #[serde(default)]
    pub volume: Option<String>,
    /// The id among its annotations, as it stands there.
    #[serde(default)]
    pub broker_id: Option<String>,
}

/// What is known of the pod's node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSeen {
    /// Nobody needed it.
    #[default]
    NotRead,
    /// It can't be read at the moment, and why: it may have any label.
    Unreadable(String),
    /// It has no labels for us, and why: reading nodes is not allowed here, or there is no such node.
    Unlabelled(String),
    /// What its labels say.
    Labels {
        /// Its uid.
        uid: String,
        /// The zone.
        zone: Option<String>,
        /// The id of the map's broker whose disk the node has.
        broker_id: Option<String>,
    },
}

/// What is known of another pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodSeen {
    /// It is there, with this uid, and has not ended.
    Running(String),
    /// It is not there, or has ended.
    Gone,
    /// It can't be looked up, and why: it counts as running.
    Unreadable(String),
}

/// What the other pods of the StatefulSet show of a cluster that ran before its registry was begun.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traces {
    /// Nobody needed to know.
    #[default]
    NotLookedFor,
    /// There are none, or this is not Kubernetes.
    Nothing,
    /// This, in words. What can't be read is one, too.
    Found(String),
}

/// What is known of the Kafka cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterSeen {
    /// It was not asked yet.
    #[default]
    NotAsked,
    /// No flag says how to reach it.
    NotConfigured,
    /// It did not answer, and why.
    NoAnswer(String),
    /// What it lists.
    Known(Listed),
}
