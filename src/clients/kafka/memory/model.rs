//! What the twin knows: a cluster as plain data, and what happens to it when a broker stops.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::clients::kafka::memory::lock_group::Coordinators;
use crate::clients::kafka::memory::quorum;
use crate::cluster::address::Address;
use crate::cluster::broker::Broker;
use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::group::LiveGroup;
use crate::cluster::metadata::Reassignment;
use crate::cluster::quorum::Features;
use crate::cluster::quorum::NodeId;
use crate::cluster::quorum::QuorumState;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// A cluster in memory. All of it may be changed by a test at any time ([`Memory::edit`]).
///
/// [`Memory::edit`]: crate::clients::kafka::memory::Memory::edit
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The cluster's id.
    pub cluster_id: String,
    /// Whether it behaves as KRaft does; else as ZooKeeper mode does.
    pub kraft: bool,
    /// Live brokers.
    pub brokers: BTreeMap<BrokerId, Broker>,
    /// Brokers that are registered but down.
    pub stopped: BTreeMap<BrokerId, Broker>,
    /// Topics.
    pub topics: BTreeMap<TopicName, ModelTopic>,
    /// Config that was set on single brokers at run time.
    pub broker_configs: BTreeMap<BrokerId, BTreeMap<String, String>>,
    /// Config that was set for all brokers at run time.
    pub broker_defaults: BTreeMap<String, String>,
    /// Groups with members.
    pub groups: BTreeMap<String, LiveGroup>,
    /// Groups that are locks, and who coordinates them.
    pub coordinators: Coordinators,
    /// Bytes of each broker's one log dir; none for a broker before Kafka 3.3, which does not tell.
    pub disk_bytes: Option<u64>,
    /// The log dirs of brokers that have several, or one of their own size.
    pub log_dirs: BTreeMap<BrokerId, Vec<ModelDir>>,
    /// Brokers whose log dirs are all cordoned.
    pub cordoned: BTreeSet<BrokerId>,
    /// The controllers as their leader describes them; in ZooKeeper mode there are none.
    pub quorum: QuorumState,
    /// The controllers that are registered, and where they listen.
    pub controllers: BTreeMap<NodeId, Address>,
    /// What stands in the file of each controller that runs.
    pub controller_files: BTreeMap<NodeId, BTreeMap<String, String>>,
    /// Controllers that do not run on, and whose ports take connections still.
    pub frozen_controllers: BTreeSet<NodeId>,
    /// Whether the client talks to the controllers directly: only they describe themselves.
    pub is_controllers: bool,
    /// What each node says of features.
    pub features: Features,
    /// Moves that are running.
    pub reassignments: BTreeMap<TopicPartition, Reassignment>,
    /// Bytes that each adding replica gets whenever the moves are listed; none lets moves stand still until a test
    /// says otherwise.
    pub copied_per_listing: Option<u64>,
}

/// A log dir in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDir {
    /// Its path.
    pub path: String,
    /// Bytes of its volume.
    pub bytes: u64,
    /// Whether its broker has taken it offline.
    pub offline: bool,
}

/// A topic in memory.
#[derive(Debug, Clone, Default)]
pub struct ModelTopic {
    /// Whether Kafka keeps it for itself.
    pub internal: bool,
    /// Its id; none as from brokers before Kafka 2.8.
    pub id: Option<Uuid>,
    /// Its partitions, by number.
    pub partitions: Vec<ModelPartition>,
    /// What was set on it; the rest has its default.
    pub config: BTreeMap<String, String>,
}

/// A partition in memory.
#[derive(Debug, Clone, Default)]
pub struct ModelPartition {
    /// Its leader; none while it is offline.
    pub leader: Option<BrokerId>,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
    /// Those that may lead without a loss though they are not in sync.
    pub eligible: Vec<BrokerId>,
    /// Those that were eligible last.
    pub last_known: Vec<BrokerId>,
    /// The first offset that is still there.
    pub earliest: i64,
    /// Timestamps of its records, from the earliest on.
    pub timestamps: Vec<i64>,
    /// Bytes of each replica; those that are not named hold nothing.
    pub bytes: BTreeMap<BrokerId, u64>,
    /// The log dir of each replica on its broker; those that are not named lie in the first.
    pub log_dirs: BTreeMap<BrokerId, usize>,
}

impl Model {
    /// Brokers 1 to `count`, each in a rack of its own: `a`, `b`, `c`, …
    pub fn new(kraft: bool, count: i32) -> Self {
        let broker = |(id, rack): (i32, char)| Broker {
            id: BrokerId(id),
            host: "127.0.0.1".to_owned(),
            port: u16::try_from(9092 + id).unwrap_or(u16::MAX),
            rack: Some(Rack(rack.to_string())),
        };
        let brokers = (1..=count).zip('a'..='z').map(broker);
        Self {
            cluster_id: "memory-cluster-0000000".to_owned(),
            kraft,
            brokers: brokers.map(|broker| (broker.id, broker)).collect(),
            quorum: if kraft { quorum::three_voters() } else { QuorumState::default() },
            controllers: if kraft { quorum::three_controllers() } else { BTreeMap::new() },
            controller_files: if kraft { quorum::files() } else { BTreeMap::new() },
            features: if kraft { quorum::features() } else { Features::default() },
            ..Self::default()
        }
    }

    /// Stops a broker: its partitions get other leaders, or none.
    pub fn stop_broker(&mut self, id: i32) {
        let id = BrokerId(id);
        if let Some(broker) = self.brokers.remove(&id) {
            self.stopped.insert(id, broker);
        }
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            // The last one in sync stays: its copy is the one that counts.
            if partition.isr.len() > 1 {
                partition.isr.retain(|replica| *replica != id);
            }
            if partition.leader == Some(id) {
                let live = |replica: &&BrokerId| partition.isr.contains(replica) && self.brokers.contains_key(replica);
                partition.leader = partition.replicas.iter().find(live).copied();
            }
        }
    }

    /// Starts a stopped broker again: its replicas join the ISR.
    pub fn start_broker(&mut self, id: i32) {
        let id = BrokerId(id);
        if let Some(broker) = self.stopped.remove(&id) {
            self.brokers.insert(id, broker);
        }
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            // A copy that a move had not finished is not in sync.
            let whole = partition.leader.and_then(|leader| partition.bytes.get(&leader)).copied().unwrap_or(0);
            let is_whole = partition.bytes.get(&id).copied().unwrap_or(0) >= whole;
            if partition.replicas.contains(&id) && !partition.isr.contains(&id) && is_whole {
                partition.isr.push(id);
            }
            partition.leader = partition.leader.or_else(|| partition.isr.contains(&id).then_some(id));
        }
    }

    /// Brokers that may be named in an assignment: KRaft takes registered ones that are down, too.
    pub fn registered(&self) -> BTreeSet<BrokerId> {
        self.brokers.keys().chain(self.stopped.keys()).copied().collect()
    }

    /// A new partition with these replicas; those that live are in sync.
    pub fn partition(&self, replicas: Vec<BrokerId>) -> ModelPartition {
        let isr: Vec<_> = replicas.iter().filter(|replica| self.brokers.contains_key(replica)).copied().collect();
        ModelPartition { leader: isr.first().copied(), replicas, isr, ..ModelPartition::default() }
    }
}

impl ModelPartition {
    /// The offset after the last record.
    pub fn latest(&self) -> i64 {
        self.earliest + i64::try_from(self.timestamps.len()).unwrap_or(i64::MAX)
    }

    /// The first record at or after a time: offset and timestamp.
    pub fn first_at_or_after(&self, time: i64) -> Option<(i64, i64)> {
        (self.earliest..).zip(self.timestamps.iter().copied()).find(|(_, timestamp)| *timestamp >= time)
    }
}
