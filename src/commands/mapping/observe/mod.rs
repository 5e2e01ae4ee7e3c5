//! What the planner needs to know of a cluster, as plain data that can be saved and rehearsed with.

pub mod given;
pub mod live;
pub mod measured;
pub mod metric_files;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::{BrokerId, Rack};
use crate::cluster::log_dirs::takes_new;
use crate::cluster::metadata::LogDir;
use crate::cluster::topic::TopicName;

/// A cluster with its assignment, racks and sizes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster's id.
    pub cluster_id: String,
    /// When it was read, RFC 3339.
    pub observed_at: String,
    /// Where the sizes come from and how old they are, in words: `brokers (DescribeLogDirs), now`.
    pub sizes_from: String,
    /// Whether the sizes come from somewhere else than the brokers: a partition without one was forgotten there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sizes_given: bool,
    /// Live brokers, and those that replicas are assigned to although they are gone.
    pub brokers: BTreeMap<BrokerId, ObservedBroker>,
    /// All topics of the cluster, internal ones too: they fill disks.
    pub topics: BTreeMap<TopicName, ObservedTopic>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedBroker {
    /// Whether it is in the cluster's metadata now.
    pub live: bool,
    /// Its rack; not known of a broker that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<Rack>,
    /// Its log dirs; none where it could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_dirs: Vec<LogDir>,
    /// Why its sizes are not known, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl ObservedBroker {
    /// Counts a new replica in the log dir that Kafka puts it into; which one that is.
    fn take_new(&mut self) -> usize {
        let dirs = self.log_dirs.iter_mut().enumerate().filter(|(_, dir)| takes_new(dir));
        let Some((at, dir)) = dirs.min_by_key(|(_, dir)| dir.partitions) else { return 0 };
        dir.partitions = dir.partitions.map(|count| count.saturating_add(1));
        at
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedTopic {
    /// Its id; another one after it was deleted and created again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Whether Kafka keeps it for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// Its `min.insync.replicas`, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<usize>,
    /// Its partitions by number; the numbers have no gaps.
    pub partitions: Vec<ObservedPartition>,
}

/// A partition. Fields with many equal values are left out where they say nothing: a million of them are one file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObservedPartition {
    /// Its leader; none while it is offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<BrokerId>,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Replicas that are not in sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_sync: Vec<BrokerId>,
    /// Bytes of each replica, in the order of `replicas`; 0 where it is not known. Empty where no size is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bytes: Vec<u64>,
    /// The log dir of each replica on its broker, in the order of `replicas`. Empty where all are the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_dirs: Vec<usize>,
    /// Whether it moves now: it is refused by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// Bytes a second that producers write to it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
}

impl ObservedPartition {
    /// Bytes of its largest replica: what a new copy will hold.
    pub fn size(&self) -> u64 {
        self.bytes.iter().copied().max().unwrap_or(0)
    }
}

impl Observed {
    /// The same while these moves run: both copies are there, so that no disk is planned too full by a later plan.
    #[must_use]
    pub fn while_moving(&self, moves: &[PartitionMove]) -> Self {
        let mut observed = self.clone();
        let Self { topics, brokers, .. } = &mut observed;
        for one in moves {
            let number = usize::try_from(one.partition.partition).unwrap_or(usize::MAX);
            let topic = topics.get_mut(&one.partition.topic);
            let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(number)) else { continue };
            for broker in one.adding() {
                partition.replicas.push(broker);
                partition.out_of_sync.push(broker);
                partition.bytes.extend((!partition.bytes.is_empty()).then_some(one.bytes));
                let dir = brokers.get_mut(&broker).map_or(0, ObservedBroker::take_new);
                partition.log_dirs.extend((!partition.log_dirs.is_empty()).then_some(dir));
            }
        }
        observed
    }
}
