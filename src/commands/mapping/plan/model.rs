//! [`Model`]: a goal and what was observed, as dense arrays of numbers that can be planned on quickly.
//!
//! Brokers are indices in the order of their ids, partitions in the order of topic and number, replicas lie in one flat
//! array. Nothing in it depends on the order of the input.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::numbers;
use super::stuck::Stuck;
use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::log_dirs::LogDirs;
use crate::cluster::log_dirs::Room;
use crate::cluster::log_dirs::is_cordoned;
use crate::cluster::log_dirs::room_of;
use crate::cluster::log_dirs::takes_new;
use crate::cluster::metadata::LogDir;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::ObservedBroker;
use crate::commands::mapping::observe::ObservedPartition;
use crate::commands::mapping::spec::goal::Goal;
use crate::commands::mapping::spec::goal::Operation;

/// A slot that holds no broker yet.
pub(super) const EMPTY: u32 = u32::MAX;

/// The problem to solve.
pub(super) struct Model<'a> {
    /// What is wanted.
    pub(super) goal: &'a Goal,
    /// Brokers by id: those observed, those allowed, and those that hold a replica.
    pub(super) brokers: Vec<Node>,
    /// Names of racks; the last one stands for brokers without a rack.
    pub(super) racks: Vec<Option<Rack>>,
    /// The selected partitions, by topic and number.
    pub(super) partitions: Vec<Part<'a>>,
    /// Present replicas of the selected partitions; [`Part::first`] says where each one's begin.
    pub(super) from: Vec<u32>,
    /// Whether each of these is in sync and its broker live.
    pub(super) in_sync: Vec<bool>,
    /// In which log dir of its broker each of these lies.
    log_dirs: Vec<u16>,
    /// What all replicas of all topics weigh, by broker.
    pub(super) load: Vec<u64>,
    /// How many replicas of all topics each broker holds.
    pub(super) count: Vec<u32>,
    /// How many replicas of the selected topics each broker holds.
    pub(super) held: Vec<u32>,
    /// How many partitions of topics that are not selected each broker is the preferred leader of.
    pub(super) foreign_leaders: Vec<u32>,
    /// What producers write to these partitions, bytes a second.
    pub(super) foreign_inflow: Vec<u64>,
    /// What is written to all replicas of all topics, bytes a second, by broker.
    pub(super) inbound: Vec<u64>,
    /// Whether it is known of any selected partition what producers write to it.
    pub(super) has_inflow: bool,
    /// Whether replicas weigh 1 each, since no size is known.
    pub(super) by_count: bool,
    /// How much of a load each broker should carry, relative to others: its capacity if all are known, else 1.
    shares: Vec<u64>,
}

/// A broker.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a fact of its own")]
pub(super) struct Node {
    /// Its id.
    pub(super) id: BrokerId,
    /// Whether it is in the cluster now.
    pub(super) live: bool,
    /// Whether it may get replicas: live, allowed, neither leaving nor cordoned.
    pub(super) open: bool,
    /// Whether its replicas must go.
    pub(super) leaving: bool,
    /// Whether it is cordoned: Kafka refuses target lists that name it.
    pub(super) cordoned: bool,
    /// Index of its rack.
    pub(super) rack: usize,
    /// Bytes of its disks, where that is known.
    pub(super) capacity: Option<u64>,
    /// What its log dirs may still take below the limit.
    pub(super) dirs: LogDirs,
    /// What each of its log dirs holds above the limit; a single number where they are not distinguished. None where nothing
    /// is known.
    pub(super) over: Vec<u64>,
}

impl Node {
    /// Whether any of its log dirs is above the limit.
    pub(super) fn is_over(&self) -> bool {
        self.over.iter().any(|over| *over > 0)
    }
}

/// A partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Its topic.
    pub(super) topic: &'a TopicName,
    /// Its number.
    pub(super) number: u32,
    /// Where its replicas begin in [`Model::from`].
    pub(super) first: usize,
    /// How many it has.
    pub(super) len: usize,
    /// How many it should have.
    pub(super) wanted: usize,
    /// What a copy weighs: bytes, or 1 where no size is known at all.
    pub(super) weight: u64,
    /// What a copy takes on disk.
    pub(super) bytes: u64,
    /// Whether its size is known at all.
    pub(super) is_known: bool,
    /// What producers write to it, bytes a second; 0 where that is not known.
    pub(super) inflow: u64,
    /// The topic's `min.insync.replicas`; 0 where it is not known.
    pub(super) min_insync: usize,
    /// Why it may not be touched.
    pub(super) stuck: Option<Stuck>,
}

impl Part<'_> {
    /// Its name.
    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: i32::try_from(self.number).unwrap_or(i32::MAX) }
    }
}

impl<'a> Model<'a> {
    /// Makes the model.
    pub(super) fn new(goal: &'a Goal, observed: &'a Observed) -> Self {
        let ids = ids(goal, observed);
        let racks = racks(goal, observed);
        let brokers = ids.iter().map(|id| node(goal, observed.brokers.get(id), *id, &racks)).collect::<Vec<_>>();
        let empty = vec![0; ids.len()];
        let mut model = Self {
            goal,
            racks,
            partitions: Vec::new(),
            from: Vec::new(),
            in_sync: Vec::new(),
            log_dirs: Vec::new(),
            load: vec![0; brokers.len()],
            count: empty.clone(),
            held: empty.clone(),
            foreign_leaders: empty,
            foreign_inflow: vec![0; brokers.len()],
            inbound: vec![0; brokers.len()],
            has_inflow: false,
            by_count: has_no_sizes(goal, observed),
            shares: vec![1; brokers.len()],
            brokers,
        };
        let index = Index::new(&ids, observed);
        let mut disks = Disks::new(&model.brokers, observed);
        for (topic, described) in &observed.topics {
            let selected = goal.topics.contains(topic);
            for (number, partition) in described.partitions.iter().enumerate() {
                model.count_load(partition, &index, selected, &mut disks);
                if selected {
                    model.add(topic, (number, described.min_insync_replicas.unwrap_or(0)), partition, &index);
                }
            }
        }
        disks.finish(&mut model.brokers, goal);
        if model.brokers.iter().filter(|node| node.open).all(|node| node.capacity.is_some_and(|bytes| bytes > 0)) {
            model.shares = model.brokers.iter().map(|node| node.capacity.unwrap_or(1).max(1)).collect();
        }
        model
    }

    /// How much of a load a broker should carry, relative to others. At least 1.
    pub(super) fn share(&self, broker: u32) -> u64 {
        self.shares[numbers::wide(broker)]
    }

    /// Present replicas of a partition.
    pub(super) fn replicas(&self, partition: usize) -> &[u32] {
        let part = &self.partitions[partition];
        &self.from[part.first..part.first + part.len]
    }

    /// Whether each present replica of a partition is in sync.
    pub(super) fn synced(&self, partition: usize) -> &[bool] {
        let part = &self.partitions[partition];
        &self.in_sync[part.first..part.first + part.len]
    }

    /// Whether a broker holds an in-sync replica of a partition now.
    pub(super) fn is_synced_on(&self, partition: usize, broker: u32) -> bool {
        self.replicas(partition).iter().zip(self.synced(partition)).any(|(held, synced)| *held == broker && *synced)
    }

    /// The log dir of a present replica on its broker, as [`Node::over`] counts them.
    pub(super) fn log_dir(&self, partition: usize, slot: usize) -> usize {
        let at = self.partitions[partition].first + slot;
        let node = self.node(self.from[at]);
        usize::from(self.log_dirs[at]).min(node.over.len().saturating_sub(1))
    }

    /// Whether a broker with several log dirs would take a present replica back into one that is above its limit.
    pub(super) fn fills_again(&self, partition: usize, broker: u32) -> bool {
        let node = self.node(broker);
        let present = || self.replicas(partition).iter().position(|replica| *replica == broker);
        node.over.len() > 1 && present().is_some_and(|slot| node.over[self.log_dir(partition, slot)] > 0)
    }

    /// The most that a broker's load may be, so that its disks are not above the limit.
    pub(super) fn most(&self, broker: u32) -> u64 {
        let (node, load) = (self.node(broker), self.load[numbers::wide(broker)]);
        if self.by_count || !node.dirs.is_known() {
            return u64::MAX;
        }
        let over = node.over.iter().copied().fold(0, u64::saturating_add);
        load.saturating_add(node.dirs.room()).saturating_sub(over)
    }

    /// A broker.
    pub(super) fn node(&self, broker: u32) -> &Node {
        &self.brokers[numbers::wide(broker)]
    }

    fn count_load(&mut self, partition: &ObservedPartition, index: &Index, selected: bool, disks: &mut Disks<'_>) {
        let size = partition.size();
        let weight = if self.by_count { 1 } else { size };
        for (slot, id) in partition.replicas.iter().enumerate() {
            let broker = index.of(*id);
            self.load[broker] += weight;
            self.count[broker] += 1;
            self.held[broker] += u32::from(selected);
            self.inbound[broker] += partition.bytes_in.unwrap_or(0);
            let growth = size.saturating_sub(partition.bytes.get(slot).copied().unwrap_or(0));
            disks.add(broker, index.dir_of(partition, slot, broker), (size, growth));
        }
        if let (false, Some(first)) = (selected, partition.replicas.first()) {
            self.foreign_leaders[index.of(*first)] += 1;
            self.foreign_inflow[index.of(*first)] += partition.bytes_in.unwrap_or(0);
        }
    }

    fn add(
        &mut self,
        topic: &'a TopicName,
        (number, min_insync): (usize, usize),
        partition: &ObservedPartition,
        index: &Index,
    ) {
        let first = self.from.len();
        for (slot, id) in partition.replicas.iter().enumerate() {
            let broker = index.of(*id);
            self.from.push(numbers::narrow(broker));
            let dir = index.dir_of(partition, slot, broker);
            self.log_dirs.push(u16::try_from(dir).unwrap_or(u16::MAX));
            self.in_sync.push(self.brokers[broker].live && !partition.out_of_sync.contains(id));
        }
        let len = self.from.len() - first;
        let bytes = partition.size();
        self.partitions.push(Part {
            topic,
            number: numbers::narrow(number),
            first,
            len,
            wanted: self.goal.replication_factor.unwrap_or(len),
            weight: if self.by_count { 1 } else { bytes },
            bytes,
            is_known: !partition.bytes.is_empty(),
            inflow: partition.bytes_in.unwrap_or(0),
            min_insync,
            stuck: None,
        });
        self.has_inflow |= partition.bytes_in.is_some_and(|rate| rate > 0);
        let added = self.partitions.len() - 1;
        self.partitions[added].stuck = Stuck::of(self, added, partition);
    }
}

/// Finds a broker's index by its id, and its log dirs in the order of their paths.
struct Index {
    ids: Vec<BrokerId>,
    /// The place of each log dir in that order; empty where a broker has no more than one.
    places: Vec<Vec<usize>>,
}

impl Index {
    fn new(ids: &BTreeSet<BrokerId>, observed: &Observed) -> Self {
        let places = ids.iter().map(|id| {
            let dirs = observed.brokers.get(id).map(|broker| broker.log_dirs.as_slice()).unwrap_or_default();
            let order = if dirs.len() > 1 { in_order(dirs) } else { Vec::new() };
            (0..order.len()).map(|dir| order.iter().position(|at| *at == dir).unwrap_or(dir)).collect()
        });
        Self { ids: ids.iter().copied().collect(), places: places.collect() }
    }

    /// The place of a replica's log dir among those of its broker, by their paths.
    fn dir_of(&self, partition: &ObservedPartition, slot: usize, broker: usize) -> usize {
        let dir = partition.log_dirs.get(slot).copied().unwrap_or(0);
        self.places[broker].get(dir).copied().unwrap_or(dir)
    }

    /// The index; every id that occurs in the input is known.
    fn of(&self, id: BrokerId) -> usize {
        self.ids.binary_search(&id).unwrap_or(0)
    }
}

/// What each log dir holds, summed up to find its room.
struct Disks<'a> {
    /// By broker and log dir: what is there.
    held: Vec<Vec<Held>>,
    /// By broker and log dir, in the order of their paths: the place among those observed, and the dir.
    told: Vec<Vec<(usize, &'a LogDir)>>,
}

/// What a log dir holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// Partitions.
    partitions: u32,
    /// Bytes of all replicas.
    bytes: u64,
    /// What they still lack to their full size.
    growth: u64,
}

impl<'a> Disks<'a> {
    fn new(brokers: &[Node], observed: &'a Observed) -> Self {
        let dirs = brokers.iter().map(|node| {
            let dirs = observed.brokers.get(&node.id).map(|broker| broker.log_dirs.as_slice()).unwrap_or_default();
            in_order(dirs).into_iter().map(|at| (at, &dirs[at])).collect()
        });
        let told: Vec<Vec<_>> = dirs.collect();
        Self { held: told.iter().map(|dirs| vec![Held::default(); dirs.len().max(1)]).collect(), told }
    }

    fn add(&mut self, broker: usize, dir: usize, (size, growth): (u64, u64)) {
        let dirs = &mut self.held[broker];
        let last = dirs.len() - 1;
        let held = &mut dirs[dir.min(last)];
        held.partitions += 1;
        held.bytes = held.bytes.saturating_add(size);
        held.growth = held.growth.saturating_add(growth);
    }

    /// Writes capacity and room of each broker.
    fn finish(&self, brokers: &mut [Node], goal: &Goal) {
        for (broker, node) in brokers.iter_mut().enumerate() {
            let dirs = || self.told[broker].iter().zip(&self.held[broker]);
            let totals = || dirs().filter_map(|((_, dir), _)| known_bytes(dir)).map(|(total, _)| total);
            if totals().next().is_some() {
                node.capacity = Some(totals().fold(0, u64::saturating_add));
                let room = |((at, dir), held): (&(usize, &LogDir), &Held)| {
                    let bytes = room_of(dir, held.growth, goal.disk_limit).filter(|_| takes_new(dir))?;
                    Some(Room { partitions: dir.partitions.unwrap_or(held.partitions), bytes, dir: *at })
                };
                node.dirs = LogDirs::new(dirs().filter_map(room).collect());
                let over = |((_, dir), held): (&(usize, &LogDir), &Held)| over(dir, held.growth, goal.disk_limit);
                node.over = dirs().map(over).collect();
            } else if let Some(capacity) = goal.capacities.get(&node.id).and_then(|known| known.disk_bytes) {
                let used: u64 = self.held[broker].iter().map(|held| held.bytes).sum();
                let limit = numbers::part_of(capacity, goal.disk_limit);
                node.capacity = Some(capacity);
                node.dirs = LogDirs::new(vec![Room { partitions: 0, bytes: limit.saturating_sub(used), dir: 0 }]);
                node.over = vec![used.saturating_sub(limit)];
            }
        }
    }
}

/// Bytes that a log dir holds above the limit; none where nothing is known.
fn over(dir: &LogDir, growth: u64, limit: f64) -> u64 {
    let above = |(total, usable): (u64, u64)| {
        let used = total.saturating_sub(usable).saturating_add(growth);
        used.saturating_sub(numbers::part_of(total, limit))
    };
    known_bytes(dir).map_or(0, above)
}

/// Total and usable bytes, where the broker told; none of a dir that is offline.
fn known_bytes(dir: &LogDir) -> Option<(u64, u64)> {
    dir.total_bytes.zip(dir.usable_bytes).filter(|_| dir.fault.is_none())
}

/// Log dirs by their paths: brokers tell them in any order.
pub(super) fn in_order(dirs: &[LogDir]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..dirs.len()).collect();
    order.sort_by_key(|at| (&dirs[*at].path, dirs[*at].total_bytes, dirs[*at].usable_bytes));
    order
}

fn has_no_sizes(goal: &Goal, observed: &Observed) -> bool {
    let selected = observed.topics.iter().filter(|(name, _)| goal.topics.contains(*name));
    selected.flat_map(|(_, topic)| &topic.partitions).all(|partition| partition.size() == 0)
}

fn ids(goal: &Goal, observed: &Observed) -> BTreeSet<BrokerId> {
    let mut ids: BTreeSet<_> = observed.brokers.keys().chain(&goal.brokers).copied().collect();
    for partition in observed.topics.values().flat_map(|topic| &topic.partitions) {
        for id in &partition.replicas {
            if !ids.contains(id) {
                ids.insert(*id);
            }
        }
    }
    match &goal.operation {
        Operation::Replace { pairs } => ids.extend(pairs.iter().flat_map(|(from, to)| [Some(*from), *to]).flatten()),
        Operation::Evacuate { brokers, .. } => ids.extend(brokers),
        Operation::Rebuild { .. } | Operation::Rebalance | Operation::Scale => {}
    }
    ids
}

fn racks(goal: &Goal, observed: &Observed) -> Vec<Option<Rack>> {
    let seen = observed.brokers.values().filter_map(|broker| broker.rack.as_ref());
    let names: BTreeSet<_> = seen.chain(goal.racks.values()).cloned().collect();
    names.into_iter().map(Some).chain([None]).collect()
}

fn node(goal: &Goal, observed: Option<&ObservedBroker>, id: BrokerId, racks: &[Option<Rack>]) -> Node {
    let live = observed.is_some_and(|broker| broker.live);
    let allowed = goal.brokers.contains(&id);
    let rack = observed.and_then(|broker| broker.rack.as_ref()).or_else(|| goal.racks.get(&id));
    let position = racks.iter().position(|name| name.as_ref() == rack);
    let leaving = match &goal.operation {
        Operation::Rebuild { .. } => !live || !allowed,
        Operation::Rebalance | Operation::Scale => !allowed,
        Operation::Replace { pairs } => pairs.get(&id).is_some_and(|to| *to != Some(id)),
        Operation::Evacuate { brokers, leaders_only } => !leaders_only && brokers.contains(&id),
    };
    let rack = position.unwrap_or(racks.len() - 1);
    let cordoned = observed.is_some_and(|broker| is_cordoned(&broker.log_dirs));
    let open = live && allowed && !leaving && !cordoned;
    Node { id, live, open, leaving, cordoned, rack, capacity: None, dirs: LogDirs::default(), over: Vec::new() }
}

/// Ids of brokers to their index, for reading other people's plans.
pub(super) fn index_of(model: &Model<'_>) -> BTreeMap<BrokerId, u32> {
    model.brokers.iter().enumerate().map(|(index, node)| (node.id, numbers::narrow(index))).collect()
}
