//! What a run of `identity assign` was asked for.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::commands::identity::spec::listeners::Listeners;

/// What gets an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kind {
    /// A Kafka broker
    #[default]
    Kafka,
    /// A ZooKeeper server: its id is `myid`, 1 to 255
    Zookeeper,
}

/// How an id is chosen for a disk that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// The id at the place of the pod's ordinal, in the map's ids from the lowest up.
    Ordinal,
    /// The lowest id that nobody has; the registry's compare-and-set decides between two pods.
    FirstFree,
    /// This one.
    Given(BrokerId),
}

/// What is done where the disk of a known id is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Replaced {
    /// Nothing: the start is refused
    #[default]
    Refuse,
    /// The new, empty disk takes the id over, unless some partition has its last replica there
    SameId,
    /// The new disk gets another id, and the old one is retired; `mapping replace` moves its replicas
    NewId,
}

/// What holds for racks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RackTerms {
    /// A broker without a rack is fine.
    pub is_optional: bool,
    /// An id that has another rack than before is refused.
    pub is_immutable: bool,
}

/// What a run was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What gets an id.
    pub kind: Kind,
    /// The map whose ids are drawn from.
    pub map: String,
    /// The map's ids.
    pub ids: BTreeSet<BrokerId>,
    /// The ids of all maps of the cluster, where toolbox.yaml has them.
    pub mapped: Option<BTreeSet<BrokerId>>,
    /// How an id is chosen for a disk that has none.
    pub allocation: Allocation,
    /// What is done where the disk of a known id is lost.
    pub replaced: Replaced,
    /// The cluster has no data yet: ids are given out though no broker answers.
    pub is_new_cluster: bool,
    /// The cluster that the disk must belong to, where that is known.
    pub cluster_id: Option<String>,
    /// What holds for racks.
    pub rack: RackTerms,
    /// `advertised.listeners`, where it is to be written.
    pub listeners: Option<Listeners>,
    /// Whether the node is labelled with the id.
    pub label_node: bool,
    /// Whether the pod is labelled with the id.
    pub label_pod: bool,
    /// Now.
    pub now: Timestamp,
}
