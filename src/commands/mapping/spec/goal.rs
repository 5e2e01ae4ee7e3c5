//! [`Goal`]: one order to the planner, with everything resolved that needs no look at the cluster's sizes.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::{BrokerId, Rack};
use crate::cluster::topic::TopicName;

pub use crate::cluster::map::Capacity;

/// What is wanted of the selected partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// The verb and what only it needs.
    pub operation: Operation,
    /// The topics that may be touched; others count for load, and stay.
    pub topics: BTreeSet<TopicName>,
    /// Brokers that may hold them afterwards.
    pub brokers: BTreeSet<BrokerId>,
    /// Replicas a partition has afterwards; none leaves each as it is.
    pub replication_factor: Option<usize>,
    /// How far a broker may end from the mean of its rack, as a fraction of it: 0.05 is ±5 %. 0 or more.
    pub tolerance: f64,
    /// How much more the fullest broker may hold than the emptiest, all racks together, in bytes: instead of the
    /// tolerance. Scaled to their shares where disks differ.
    pub range: Option<u64>,
    /// Most bytes that may be copied.
    pub budget_bytes: Option<u64>,
    /// Most partitions that may change.
    pub moves_max: Option<usize>,
    /// Whether leaders are evened out, too.
    pub leaders: bool,
    /// The part of a log dir that may be filled, both copies of running moves counted: 0 to 1.
    pub disk_limit: f64,
    /// Whether a plan that does not fit after the loss of any one broker or rack is refused; otherwise it is a warning.
    pub require_n_minus_1: bool,
    /// What is known of brokers beyond what they tell.
    pub capacities: BTreeMap<BrokerId, Capacity>,
    /// Racks of brokers that are gone, where they are known from the arguments.
    pub racks: BTreeMap<BrokerId, Rack>,
}

/// A verb of `mapping`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Place anew: every replica where `force`, else only what must move (brokers gone or not allowed, other RF, racks).
    Rebuild {
        /// Forget the present assignment.
        force: bool,
    },
    /// Even out storage, then leaders, then replica counts.
    Rebalance,
    /// Give brokers that hold nothing of these topics their share, and drain those that are no longer allowed.
    Scale,
    /// Put each broker's replicas on another broker, `A=B`; without a pair the planner finds one of the same rack.
    Replace {
        /// Leaving broker and, where it was named, its successor.
        pairs: BTreeMap<BrokerId, Option<BrokerId>>,
    },
    /// Empty these brokers.
    Evacuate {
        /// The brokers.
        brokers: BTreeSet<BrokerId>,
        /// Whether only their leadership goes.
        leaders_only: bool,
    },
}
