//! From two looks at a cluster to a snapshot: what moves, how much of it is left, what is written meanwhile.
//!
//! Everything is measured from what the brokers themselves tell (sizes and offsets); where nobody else measures the
//! load, that is estimated from the growth of the replicas, too. Consumers can't be seen that way, so it is a lower bound.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::Capacity;
use crate::cluster::metadata::{Metadata, Reassignment, ReplicaSize};
use crate::cluster::readings::{BROKERS, Readings, STATIC};
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{Side, Sides};
use crate::cluster::topic::{Partition, TopicName, TopicPartition};
use crate::commands::throttle::plan::snapshot::{Load, Moving, Snapshot};
use crate::commands::throttle::spec::GivenCapacity;

/// So many topics that lack replicas in sync are asked for what they need at least; with more of them nobody is well anyway.
const TOPICS_MAX: usize = 1_000;

/// One look at a cluster.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// Its brokers, and at least the topics that move.
    pub metadata: Metadata,
    /// What moves.
    pub moves: BTreeMap<TopicPartition, Reassignment>,
    /// What the replicas hold.
    pub sizes: BTreeMap<TopicPartition, Vec<ReplicaSize>>,
    /// Brokers that told what their replicas hold. What a broker that was down a look ago holds has not grown since.
    pub sized: BTreeSet<BrokerId>,
    /// `min.insync.replicas` of topics that have too few replicas in sync.
    pub min_isr: BTreeMap<TopicName, usize>,
    /// The first offset of partitions that move, and the one after the last.
    pub offsets: BTreeMap<TopicPartition, (i64, i64)>,
}

impl Look {
    /// The same with moves that are about to be submitted, as if they ran: so that they are paced from their first byte. A
    /// running move's new replicas stand among the partition's replicas, so those of a coming one do, too.
    #[must_use]
    pub fn with_coming(mut self, coming: &[PartitionMove]) -> Self {
        for one in coming {
            let Some(topic) = self.metadata.topics.get_mut(&one.partition.topic) else { continue };
            let number = one.partition.partition;
            let Some(partition) = topic.partitions.iter_mut().find(|there| there.partition == number) else { continue };
            if self.moves.contains_key(&one.partition) {
                continue;
            }
            let new: Vec<_> = one.adding().filter(|broker| !partition.replicas.contains(broker)).collect();
            partition.replicas.extend(new);
            let replicas: Vec<_> = one.from.iter().copied().chain(one.adding()).collect();
            let coming = Reassignment { replicas, adding: one.adding().collect(), removing: one.removing().collect() };
            self.moves.insert(one.partition.clone(), coming);
        }
        self
    }
}

/// What is known beside the looks.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What the brokers' networks can do.
    pub capacities: BTreeMap<BrokerId, Capacity>,
    /// The same for brokers that are not named there.
    pub capacity: Option<ByteRate>,
    /// Whether replicas that are out of sync without a move are paced, too.
    pub recovers: bool,
}

impl Known {
    /// By file, and as a person gave it: for one broker the flag goes before the file, for all others the file before the flag.
    pub fn of(capacities: BTreeMap<BrokerId, Capacity>, given: &[GivenCapacity]) -> Self {
        let mut known = Self { capacities, ..Self::default() };
        for GivenCapacity { broker, rate } in given {
            match broker {
                Some(broker) => known.capacities.entry(*broker).or_default().network = Some(*rate),
                None => known.capacity = Some(*rate),
            }
        }
        known
    }

    /// The same with the instance types that a source told, as far as nothing better is known.
    #[must_use]
    pub fn with_types(mut self, readings: &Readings, by_type: &BTreeMap<String, ByteRate>) -> Self {
        for (broker, kind) in &readings.types {
            let Some(rate) = by_type.get(kind) else { continue };
            let capacity = self.capacities.entry(*broker).or_default();
            capacity.network = capacity.network.or(Some(*rate));
        }
        self
    }

    /// One broker's network and load.
    pub fn load(&self, broker: BrokerId, readings: &Readings, moving: Sides<ByteRate>) -> Load {
        let network = self.capacities.get(&broker).and_then(|capacity| capacity.network).or(self.capacity);
        let used = readings.used.get(&broker).copied().unwrap_or_default();
        let both = used.leader.zip(used.follower);
        // A destination may be measured on one side only; what is not known counts as the other.
        let either = both.or(used.leader.zip(used.leader)).or(used.follower.zip(used.follower));
        Load {
            capacity: network.map(|rate| Sides { leader: rate, follower: rate }),
            used: either.map(|(leader, follower)| Sides { leader: leader.0, follower: follower.0 }),
            at: either.map(|(leader, follower)| leader.1.min(follower.1)),
            over: readings.over,
            // What a person says of clients has no copying in it that could be taken off.
            moving: if readings.source == STATIC { Sides::default() } else { moving },
            unwell: readings.unwell.get(&broker).cloned(),
        }
    }
}

/// The snapshot of a look; rates are measured since the look before.
pub fn snapshot(before: Option<&Look>, now: &Look, readings: &Readings, known: &Known) -> Snapshot {
    let mut snapshot = Snapshot { moving: moving(before, now, known.recovers), brokers: BTreeMap::new() };
    let copying = copying(before, now, known.recovers);
    let unwell = unwell(before, now);
    let involved: BTreeSet<BrokerId> = snapshot
        .moving
        .iter()
        .flat_map(|moving| moving.leader.iter().chain(moving.adding.iter().map(|(broker, _)| broker)))
        .copied()
        .collect();
    for broker in involved {
        let moving = copying.get(&broker).copied().unwrap_or_default();
        let load = known.load(broker, readings, moving);
        let unwell = unwell.get(&broker).cloned().or_else(|| load.unwell.clone());
        snapshot.brokers.insert(broker, Load { unwell, ..load });
    }
    snapshot
}

/// The load as the replicas' growth shows it: what producers write and followers fetch, not what consumers read.
pub fn own_readings(before: Option<&Look>, now: &Look) -> Readings {
    let mut sums = BTreeMap::<BrokerId, Sides<f64>>::new();
    for (topic, described) in &now.metadata.topics {
        for partition in &described.partitions {
            let key = TopicPartition { topic: topic.clone(), partition: partition.partition };
            for replica in now.sizes.get(&key).into_iter().flatten().filter(|replica| !replica.is_future) {
                let grown = growth(before, now, &key, replica.broker);
                sums.entry(replica.broker).or_default().follower += grown;
                if let Some(sender) = sender(before, now, (&key, partition), replica.broker) {
                    sums.entry(sender).or_default().leader += grown;
                }
            }
        }
    }
    let live = now.metadata.brokers.keys().copied();
    let used = live.map(|broker| {
        let is_measured = before.is_some_and(|before| is_sized(before, now, broker));
        let measured = |sum: f64| is_measured.then_some((ByteRate::of_f64(sum), now.at));
        let sum = sums.get(&broker).copied().unwrap_or_default();
        (broker, Sides { leader: measured(sum.leader), follower: measured(sum.follower) })
    });
    Readings { source: BROKERS, used: used.collect(), ..Readings::default() }
}

fn partition_of<'a>(look: &'a Look, key: &TopicPartition) -> Option<&'a Partition> {
    let partitions = &look.metadata.topics.get(&key.topic)?.partitions;
    let is_it = |partition: &&Partition| partition.partition == key.partition;
    // They stand in order, as a rule.
    let there = usize::try_from(key.partition).ok().and_then(|number| partitions.get(number));
    there.filter(is_it).or_else(|| partitions.iter().find(is_it))
}

/// Whether a broker told both times what it holds.
fn is_sized(before: &Look, now: &Look, broker: BrokerId) -> bool {
    before.sized.contains(&broker) && now.sized.contains(&broker)
}

/// Whether a replica is being copied, or was since the look before: a small one comes between two looks, and what it
/// brought is no client's.
fn is_copied(
    before: Option<&Look>,
    now: &Look,
    (key, partition): (&TopicPartition, &Partition),
    replica: BrokerId,
    recovers: bool,
) -> bool {
    let is_behind = |look: &Look, partition: &Partition| {
        let is_added = || look.moves.get(key).is_some_and(|moves| moves.adding.contains(&replica));
        !partition.isr.contains(&replica) && (recovers || is_added())
    };
    let former = before.and_then(|before| Some((before, partition_of(before, key)?)));
    let was_copied =
        |(look, former): (&Look, &Partition)| is_behind(look, former) || !former.replicas.contains(&replica);
    is_behind(now, partition) || former.is_some_and(was_copied)
}

/// Whom a replica fetches from: its leader. One that was copied and leads by now had it from who led before.
fn sender(
    before: Option<&Look>,
    now: &Look,
    (key, partition): (&TopicPartition, &Partition),
    replica: BrokerId,
) -> Option<BrokerId> {
    if partition.leader != Some(replica) {
        return partition.leader;
    }
    let former = partition_of(before?, key)?.leader.filter(|former| *former != replica)?;
    is_copied(before, now, (key, partition), replica, false).then_some(former)
}

fn size(look: &Look, key: &TopicPartition, broker: BrokerId) -> Option<u64> {
    let replicas = look.sizes.get(key)?.iter();
    replicas.filter(|replica| replica.broker == broker && !replica.is_future).map(|replica| replica.bytes).max()
}

/// The time between two looks; without end where the clock was put back between them, so that nothing seems to be fast.
fn seconds(before: &Look, now: &Look) -> f64 {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    if seconds < 0.0 { f64::INFINITY } else { seconds.max(0.001) }
}

/// Bytes a second that one replica grew since the look before; deletions are no growth, nor is what nobody told before.
fn growth(before: Option<&Look>, now: &Look, key: &TopicPartition, broker: BrokerId) -> f64 {
    let Some(before) = before.filter(|before| is_sized(before, now, broker)) else { return 0.0 };
    let Some(new) = size(now, key, broker) else { return 0.0 };
    let old = size(before, key, broker).unwrap_or(0);
    Bytes(new.saturating_sub(old)).to_f64() / seconds(before, now)
}

/// Bytes a second that producers write: by offsets and the mean record, or by the leader's growth, whichever is more.
fn writes(before: Option<&Look>, now: &Look, key: &TopicPartition, leader: BrokerId) -> ByteRate {
    let Some(earlier) = before else { return ByteRate(0) };
    let grown = growth(before, now, key, leader);
    let by_offsets = || {
        let ((_, old), (first, last)) = (earlier.offsets.get(key)?, now.offsets.get(key)?);
        let records = u64::try_from(last - first).ok().filter(|records| *records > 0)?;
        let new = u64::try_from(last - old).ok()?;
        let mean = Bytes(size(now, key, leader)?).to_f64() / Bytes(records).to_f64();
        Some(Bytes(new).to_f64() * mean / seconds(earlier, now))
    };
    ByteRate::of_f64(grown.max(by_offsets().unwrap_or(0.0)))
}

fn moving(before: Option<&Look>, now: &Look, recovers: bool) -> Vec<Moving> {
    let mut keys: BTreeSet<TopicPartition> = now.moves.keys().cloned().collect();
    if recovers {
        for (topic, described) in &now.metadata.topics {
            let is_behind = |partition: &&Partition| {
                let mut behind = partition.replicas.iter().filter(|replica| !partition.isr.contains(replica));
                behind.any(|replica| now.metadata.brokers.contains_key(replica))
            };
            let behind = described.partitions.iter().filter(is_behind);
            keys.extend(
                behind.map(|partition| TopicPartition { topic: topic.clone(), partition: partition.partition }),
            );
        }
    }
    keys.into_iter().filter_map(|key| one(before, now, key, recovers)).collect()
}

fn one(before: Option<&Look>, now: &Look, key: TopicPartition, recovers: bool) -> Option<Moving> {
    let partition = partition_of(now, &key)?;
    let added = now.moves.get(&key).map(|moves| moves.adding.clone()).unwrap_or_default();
    let is_behind = |replica: &&BrokerId| {
        !partition.isr.contains(replica)
            && (added.contains(replica) || (recovers && now.metadata.brokers.contains_key(replica)))
    };
    let adding: Vec<BrokerId> = partition.replicas.iter().filter(is_behind).copied().collect();
    if adding.is_empty() {
        return None;
    }
    let whole = partition.leader.and_then(|leader| size(now, &key, leader)).unwrap_or(0);
    let lacks = |broker: &BrokerId| Bytes(whole.saturating_sub(size(now, &key, *broker).unwrap_or(0)));
    let sources = partition.replicas.iter().filter(|replica| !adding.contains(replica)).copied().collect();
    let in_sync = partition.isr.iter().filter(|replica| Some(**replica) != partition.leader).count();
    Some(Moving {
        leader: partition.leader,
        sources,
        followers_in_sync: u32::try_from(in_sync).unwrap_or(u32::MAX),
        adding: adding.iter().map(|broker| (*broker, lacks(broker))).collect(),
        writes: partition.leader.map_or(ByteRate(0), |leader| writes(before, now, &key, leader)),
        partition: key,
    })
}

/// What of the brokers' traffic is the copying itself, of moves that ended since the look before, too.
fn copying(before: Option<&Look>, now: &Look, recovers: bool) -> BTreeMap<BrokerId, Sides<ByteRate>> {
    let mut sums = BTreeMap::<BrokerId, Sides<f64>>::new();
    for (topic, described) in &now.metadata.topics {
        for partition in &described.partitions {
            let key = TopicPartition { topic: topic.clone(), partition: partition.partition };
            let one = (&key, partition);
            for replica in partition.replicas.iter().filter(|to| is_copied(before, now, one, **to, recovers)) {
                let grown = growth(before, now, &key, *replica);
                sums.entry(*replica).or_default().follower += grown;
                if let Some(sender) = sender(before, now, one, *replica) {
                    sums.entry(sender).or_default().leader += grown;
                }
            }
        }
    }
    let rates = |sum: Sides<f64>| Sides::from_fn(|side: Side| ByteRate::of_f64(*sum.of(side)));
    sums.into_iter().map(|(broker, sum)| (broker, rates(sum))).collect()
}

/// Topics with partitions that lack replicas in sync, other than those being added: what they need at least is of
/// interest.
pub fn short_of_replicas(look: &Look) -> Vec<TopicName> {
    let is_short = |topic: &TopicName| {
        let partitions = look.metadata.topics.get(topic).into_iter().flat_map(|described| &described.partitions);
        partitions.into_iter().any(|partition| is_short(look, topic, partition))
    };
    look.metadata.topics.keys().filter(|topic| is_short(topic)).take(TOPICS_MAX).cloned().collect()
}

/// Leaders with partitions that take no writes with acks=all, and leaders that lost followers since the look before.
fn unwell(before: Option<&Look>, now: &Look) -> BTreeMap<BrokerId, String> {
    let mut unwell = before.map(|before| losing(before, now)).unwrap_or_default();
    let mut below = BTreeMap::<BrokerId, usize>::new();
    for (topic, least) in &now.min_isr {
        for partition in now.metadata.topics.get(topic).into_iter().flat_map(|described| &described.partitions) {
            let is_below = partition.isr.len() < (*least).min(partition.replicas.len());
            if let Some(leader) = partition.leader.filter(|_| is_below) {
                *below.entry(leader).or_default() += 1;
            }
        }
    }
    unwell.extend(below.into_iter().map(|(broker, count)| {
        (
            broker,
            format!("{count} of the partitions that it leads have fewer replicas in sync than min.insync.replicas"),
        )
    }));
    unwell
}

/// Leaders that lost followers since the look before, other than those being added.
fn losing(before: &Look, now: &Look) -> BTreeMap<BrokerId, String> {
    let (old, new) = (lost(before), lost(now));
    let grown = new.into_iter().filter(|(broker, lost)| *lost > old.get(broker).copied().unwrap_or(0));
    let words =
        |lost: usize| format!("{lost} of the partitions that it leads lack followers in sync, more than before");
    grown.map(|(broker, lost)| (broker, words(lost))).collect()
}

fn is_short(look: &Look, topic: &TopicName, partition: &Partition) -> bool {
    if partition.isr.len() >= partition.replicas.len() {
        return false;
    }
    let key = TopicPartition { topic: topic.clone(), partition: partition.partition };
    let adding = look.moves.get(&key).map(|moves| moves.adding.as_slice()).unwrap_or_default();
    partition.replicas.iter().any(|replica| !adding.contains(replica) && !partition.isr.contains(replica))
}

fn lost(look: &Look) -> BTreeMap<BrokerId, usize> {
    let mut lost = BTreeMap::new();
    for (topic, described) in &look.metadata.topics {
        for partition in &described.partitions {
            if let Some(leader) = partition.leader.filter(|_| is_short(look, topic, partition)) {
                *lost.entry(leader).or_default() += 1;
            }
        }
    }
    lost
}
