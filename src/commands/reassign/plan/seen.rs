//! What was seen of the cluster, and what that means for each move.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::log_dirs::is_cordoned;
use crate::cluster::metadata::{LogDir, Reassignment};
use crate::cluster::topic::{TopicName, TopicPartition};

/// A cluster while partitions move.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster's id.
    pub cluster_id: String,
    /// Brokers that live.
    pub brokers: BTreeSet<BrokerId>,
    /// Partitions of the touched topics; missing ones do not exist.
    #[serde(with = "pairs")]
    pub partitions: BTreeMap<TopicPartition, SeenPartition>,
    /// Ids of the touched topics, as far as brokers tell them (Kafka 2.8 and later).
    #[serde(default)]
    pub topic_ids: BTreeMap<TopicName, Uuid>,
    /// All moves that run, others' too.
    #[serde(with = "pairs")]
    pub running: BTreeMap<TopicPartition, Reassignment>,
    /// What is on disk, as far as brokers were asked.
    pub sizes: Sizes,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeenPartition {
    /// Its leader; none while it is offline.
    pub leader: Option<BrokerId>,
    /// Its replicas, adding and removing ones too.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
}

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes {
    /// What each replica holds.
    #[serde(with = "pairs")]
    pub held: BTreeMap<TopicPartition, BTreeMap<BrokerId, Held>>,
    /// In which log dir of its broker each replica lies, where brokers have several: a place in [`Disk::dirs`].
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub placed: BTreeMap<TopicPartition, BTreeMap<BrokerId, usize>>,
    /// The log dirs of brokers.
    pub disks: BTreeMap<BrokerId, Disk>,
    /// Bytes of all replicas on each broker, of other topics, too.
    pub totals: BTreeMap<BrokerId, u64>,
}

/// What one replica holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// Bytes.
    pub bytes: u64,
    /// Records that it lies behind its leader.
    pub offset_lag: i64,
}

/// The log dirs of a broker. Kafka chooses the one of a new replica by itself ([`LogDirs`]).
///
/// [`LogDirs`]: crate::cluster::log_dirs::LogDirs
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disk {
    /// Its log dirs.
    #[serde(default)]
    pub dirs: Vec<LogDir>,
}

impl Disk {
    /// A log dir that is offline, and why.
    pub fn fault(&self) -> Option<String> {
        self.dirs.iter().find_map(|dir| Some(format!("{}: {}", dir.path, dir.fault.as_ref()?)))
    }

    /// Whether all its log dirs are offline.
    pub fn is_offline(&self) -> bool {
        !self.dirs.is_empty() && self.dirs.iter().all(|dir| dir.fault.is_some())
    }

    /// Whether a log dir has no byte left.
    pub fn is_full(&self, dir: usize) -> bool {
        self.dirs.get(dir).is_some_and(|dir| dir.fault.is_none() && dir.usable_bytes == Some(0))
    }
}

/// Where a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As planned.
    Done,
    /// It runs towards its target.
    Running,
    /// Leader first: old and new replicas are all in place, the old ones are to go.
    Grown,
    /// Not begun: the replicas are those that the plan was made from.
    Waiting,
    /// Another move runs on this partition.
    Foreign,
    /// Its replicas are neither those before nor those after.
    Strayed,
    /// The partition does not exist any more.
    Gone,
}

/// The target of the first phase of a move that goes leader first: the new replicas, then those that will go.
pub fn grown(one: &PartitionMove) -> Vec<BrokerId> {
    one.to.iter().copied().chain(one.removing()).collect()
}

/// Whether two lists name the same brokers, whatever the order.
pub fn same_set(one: &[BrokerId], two: &[BrokerId]) -> bool {
    one.len() == two.len() && one.iter().all(|broker| two.contains(broker))
}

impl Sizes {
    /// Keeps what an earlier look knew of brokers that could not be asked this time: their replicas have not gone.
    pub fn carry_over(&mut self, former: &Self) {
        let is_silent = |broker: &BrokerId| former.totals.contains_key(broker) && !self.totals.contains_key(broker);
        let silent: BTreeSet<_> = former.totals.keys().copied().filter(is_silent).collect();
        for (partition, held) in &former.held {
            for (broker, held) in held.iter().filter(|(broker, _)| silent.contains(broker)) {
                self.held.entry(partition.clone()).or_default().entry(*broker).or_insert(*held);
            }
        }
    }
}

impl Observed {
    /// Where a move stands.
    pub fn state(&self, one: &PartitionMove) -> State {
        let Some(seen) = self.partitions.get(&one.partition) else { return State::Gone };
        if let Some(running) = self.running.get(&one.partition) {
            let target = running.target();
            let is_ours = target == one.to || target == grown(one);
            return if is_ours { State::Running } else { State::Foreign };
        }
        if seen.replicas == one.to {
            State::Done
        } else if seen.replicas == one.from || same_set(&seen.replicas, &one.from) {
            // A move that was cancelled in KRaft leaves the former replicas in another order.
            State::Waiting
        } else if seen.replicas == grown(one) {
            State::Grown
        } else {
            State::Strayed
        }
    }

    /// Bytes of one copy: those of the leader, or what the plan says.
    pub fn size_of(&self, one: &PartitionMove) -> u64 {
        let leader = self.partitions.get(&one.partition).and_then(|seen| seen.leader);
        let held = leader.and_then(|leader| self.sizes.held.get(&one.partition)?.get(&leader));
        held.map_or(one.bytes, |held| held.bytes)
    }

    /// Bytes that one replica holds; none where that is not known.
    pub fn held_by(&self, partition: &TopicPartition, broker: BrokerId) -> Option<Held> {
        self.sizes.held.get(partition)?.get(&broker).copied()
    }

    /// The log dir in which a replica lies on its broker.
    pub fn log_dir_of(&self, partition: &TopicPartition, broker: BrokerId) -> usize {
        self.sizes.placed.get(partition).and_then(|placed| placed.get(&broker)).copied().unwrap_or(0)
    }

    /// Whether a broker is cordoned, as far as it was asked.
    pub fn is_cordoned(&self, broker: BrokerId) -> bool {
        self.sizes.disks.get(&broker).is_some_and(|disk| is_cordoned(&disk.dirs))
    }

    /// Brokers that get a copy by this move and do not have it in sync yet.
    pub fn arriving(&self, one: &PartitionMove) -> Vec<BrokerId> {
        let isr = self.partitions.get(&one.partition).map_or(&[][..], |seen| &seen.isr);
        let running = self.running.get(&one.partition).map_or(&[][..], |running| &running.adding);
        let adding = one.adding().filter(|broker| !isr.contains(broker) || running.contains(broker));
        adding.collect()
    }
}

/// Maps whose keys are no texts, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
