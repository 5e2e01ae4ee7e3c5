//! What comes to the disks of brokers, and whether it fits: by the same model ([`LogDirs`]) that `toolbox mapping` plans
//! with, so that what it wrote is not refused here.

use std::collections::BTreeMap;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::log_dirs::{Coming, LogDirs, Room, TooSmall, offline, room_of, takes_new};
use crate::cluster::size::Bytes;
use crate::commands::reassign::plan::next::Limits;
use crate::commands::reassign::plan::preflight::{Checked, count, names};
use crate::commands::reassign::plan::seen::{Disk, Observed, State};

/// Most brokers that one sentence names.
const NAMES_MAX: usize = 3;

/// What comes to one broker.
#[derive(Debug, Clone, Default)]
pub struct Arriving {
    /// Replicas that the broker has not made yet: it chooses their log dir.
    new: Coming,
    /// What replicas that are there already still lack, by log dir.
    growth: BTreeMap<usize, u64>,
}

/// What leaves one broker, by log dir: replicas and their bytes.
type Leaving = BTreeMap<usize, (u32, u64)>;

impl Arriving {
    /// Counts one copy.
    pub fn add(&mut self, one: &PartitionMove, broker: BrokerId, observed: &Observed) {
        let size = observed.size_of(one);
        match observed.held_by(&one.partition, broker) {
            Some(held) => {
                let growth = self.growth.entry(observed.log_dir_of(&one.partition, broker)).or_default();
                *growth = growth.saturating_add(size.saturating_sub(held.bytes));
            }
            None => self.new = self.new.and(size),
        }
    }

    /// What is too small for it while that part of each volume stays free; none if it fits, or if nothing is known.
    pub fn too_small(&self, disk: &Disk, free: f64) -> Option<TooSmall> {
        self.too_small_beside(disk, free, &Leaving::new())
    }

    /// The same once other replicas have left.
    fn too_small_beside(&self, disk: &Disk, free: f64, leaving: &Leaving) -> Option<TooSmall> {
        let left = |dir: usize| leaving.get(&dir).copied().unwrap_or_default();
        let below_limit = |dir: usize| {
            let room = room_of(disk.dirs.get(dir)?, 0, 1.0 - free)?;
            Some(room.saturating_add(left(dir).1))
        };
        let too_big = |(dir, growth): (&usize, &u64)| {
            let room = below_limit(*dir).filter(|room| growth > room)?;
            Some(TooSmall { dir: Some(*dir), replicas: 0, bytes: *growth, room })
        };
        if let Some(too_small) = self.growth.iter().find_map(too_big) {
            return Some(too_small);
        }
        let room = |(dir, known)| {
            let bytes = below_limit(dir)?.saturating_sub(self.growth.get(&dir).copied().unwrap_or(0));
            let partitions = LogDirs::partitions_of(known).saturating_sub(left(dir).0);
            Some(Room { partitions, bytes, dir })
        };
        let open = disk.dirs.iter().enumerate().filter(|(_, dir)| takes_new(dir));
        LogDirs::new(open.filter_map(room).collect()).too_small(self.new)
    }
}

/// Refuses what the disks can't hold: neither as they are now, nor once everything that leaves has left.
pub(super) fn check_disks(checked: &mut Checked, observed: &Observed, limits: &Limits) {
    let mut coming: BTreeMap<BrokerId, Arriving> = BTreeMap::new();
    let mut going: BTreeMap<BrokerId, Leaving> = BTreeMap::new();
    for one in &checked.moves {
        if !matches!(observed.state(one), State::Waiting | State::Grown | State::Running) {
            continue;
        }
        for broker in observed.arriving(one) {
            coming.entry(broker).or_default().add(one, broker, observed);
        }
        for broker in one.removing() {
            let Some(held) = observed.held_by(&one.partition, broker) else { continue };
            let leaving = going.entry(broker).or_default();
            let (replicas, bytes) = leaving.entry(observed.log_dir_of(&one.partition, broker)).or_default();
            (*replicas, *bytes) = (replicas.saturating_add(1), bytes.saturating_add(held.bytes));
        }
    }
    say_choice(checked, observed, &coming);
    for (broker, coming) in coming {
        let Some(disk) = observed.sizes.disks.get(&broker) else { continue };
        let subject = format!("broker:{broker}");
        if disk.is_offline() {
            let fault = disk.fault().unwrap_or_default();
            let why = format!("all its log dirs are offline ({fault}); repair them, or plan without it");
            checked.plan.refuse(subject, "fill broker", why);
            continue;
        }
        if let Some(offline) = offline(&disk.dirs) {
            checked.plan.warn(format!("broker {broker}: {offline}"));
        }
        let leaving = going.remove(&broker).unwrap_or_default();
        let Some(too_small) = coming.too_small(disk, limits.free) else { continue };
        if coming.too_small_beside(disk, limits.free, &leaving).is_some() {
            checked.plan.refuse(subject, "fill broker", too_small_words(disk, too_small, &leaving, limits.free));
        }
    }
}

/// Why a broker can't be filled as planned, and what to do.
fn too_small_words(disk: &Disk, too_small: TooSmall, leaving: &Leaving, free: f64) -> String {
    let (bytes, kept) = (Bytes(too_small.bytes), free * 100.0);
    let (Some(dir), true) = (too_small.dir, disk.dirs.len() > 1) else {
        let freed = leaving.values().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
        return format!(
            "{bytes} would come, and there is room for {} with what leaves and with {kept:.0} % kept free; plan less onto \
             it, or give it a bigger disk",
            Bytes(too_small.room.saturating_add(freed)),
        );
    };
    let path = disk.dirs.get(dir).map_or("a log dir", |dir| dir.path.as_str());
    format!(
        "{path} may get {bytes} in {} new {}, and has room for {} with {kept:.0} % kept free: {}; plan less onto the \
         broker, or move replicas between its log dirs first",
        too_small.replicas,
        if too_small.replicas == 1 { "replica" } else { "replicas" },
        Bytes(too_small.room),
        LogDirs::RULE
    )
}

/// Says which log dirs Kafka will choose, where it has a choice.
fn say_choice(checked: &mut Checked, observed: &Observed, coming: &BTreeMap<BrokerId, Arriving>) {
    let choice = |(broker, coming): (&BrokerId, &Arriving)| {
        let disk = observed.sizes.disks.get(broker)?;
        let rooms = disk.dirs.iter().enumerate().filter(|(_, dir)| takes_new(dir)).filter_map(|(dir, known)| {
            let bytes = room_of(known, coming.growth.get(&dir).copied().unwrap_or(0), 1.0)?;
            Some(Room { partitions: LogDirs::partitions_of(known), bytes, dir })
        });
        let words = LogDirs::new(rooms.collect()).choice(coming.new.replicas, &disk.dirs)?;
        Some(format!("broker {broker}: {words}"))
    };
    let mut choices: Vec<_> = coming.iter().filter_map(choice).collect();
    if choices.is_empty() {
        return;
    }
    let more = choices.len().saturating_sub(NAMES_MAX);
    choices.truncate(NAMES_MAX);
    let more = if more > 0 { format!("; and {} more", count(more, "broker")) } else { String::new() };
    checked.plan.warn(format!("{}. {}{more}", LogDirs::RULE, choices.join("; ")));
}

/// Brokers that are cordoned: Kafka 4.4 refuses each target list that names one, even where it has the replica already.
pub(super) fn check_cordons(checked: &mut Checked, observed: &Observed) {
    let mut named: BTreeMap<BrokerId, Vec<_>> = BTreeMap::new();
    for one in checked.moves.iter().filter(|one| matches!(observed.state(one), State::Waiting | State::Grown)) {
        for broker in one.to.iter().filter(|broker| observed.is_cordoned(**broker)) {
            named.entry(*broker).or_default().push(one.partition.clone());
        }
    }
    for (broker, partitions) in named {
        let why = format!(
            "it is cordoned, and {} would have it among their replicas: {}; {UNCORDON}",
            count(partitions.len(), "partition"),
            names(&partitions.iter().collect::<Vec<_>>())
        );
        checked.plan.refuse(format!("broker:{broker}"), "fill broker", why);
    }
}

/// What to do about a cordoned broker.
pub(super) const UNCORDON: &str =
    "uncordon it (`kafka-configs.sh --alter --delete-config cordoned.log.dirs` of that broker), or plan without it";
