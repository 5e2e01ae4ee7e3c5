//! Which moves begin now: as many as the bounds of each broker let through, the least risky first.
//!
//! Steps:
//! 1. Count what runs: partitions and bytes into each adding broker, out of each leader; others' moves, too.
//! 2. Order what waits: first what mends missing replicas, then what copies nothing, then small before big.
//! 3. Take each one that fits: its brokers live and have a free slot, its bytes fit the bounds (a bigger one goes alone)
//!    and the disks, and enough replicas stay in sync.
//! 4. Where leaders go first: a partition whose new replicas are all there first gets its new leader, then loses the old
//!    replicas.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::disks::{Arriving, UNCORDON};
use crate::commands::reassign::plan::seen::{Observed, State, grown, same_set};
use crate::commands::reassign::plan::step::ReassignStep;

/// How much may be under way at once. Each bound holds for every broker, into it and out of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Partitions that are copied, 1 or more.
    pub partitions: usize,
    /// Bytes that are copied; a bigger partition is copied alone.
    pub bytes: u64,
    /// Moves in the whole cluster.
    pub moves: usize,
    /// The part of each log dir that stays free, both copies counted: 0 to 1.
    pub free: f64,
}

/// Bounds that somebody asked a running execution for; what is none stays as the execution was started with.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Partitions that are copied into a broker, and out of it; 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    /// Bytes that are copied into a broker, and out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Moves in the whole cluster; 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<usize>,
}

impl Bounds {
    /// The limits with these bounds in place of theirs.
    #[must_use]
    pub fn over(self, limits: Limits) -> Limits {
        Limits {
            partitions: self.partitions.unwrap_or(limits.partitions),
            bytes: self.bytes.unwrap_or(limits.bytes),
            moves: self.moves.unwrap_or(limits.moves),
            free: limits.free,
        }
    }

    /// These bounds with later ones over them.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            partitions: later.partitions.or(self.partitions),
            bytes: later.bytes.or(self.bytes),
            moves: later.moves.or(self.moves),
        }
    }

    /// In words, as options; nothing where there are none.
    pub fn words(self) -> String {
        let partitions = self.partitions.map(|count| format!("--partitions-per-broker {count}"));
        let bytes = self.bytes.map(|bytes| format!("--bytes-per-broker {}", Bytes(bytes)));
        let moves = self.moves.map(|count| format!("--max-moves {count}"));
        [partitions, bytes, moves].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// How moves are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// New replicas first, then the leader, then the old replicas go.
    pub leader_first: bool,
    /// Preferred leaders are elected.
    pub elects: bool,
}

/// What is done now, and why the rest is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// Moves to begin.
    pub moves: Vec<ReassignStep>,
    /// Elections to hold.
    pub elections: Vec<ReassignStep>,
    /// Moves that can't begin whatever becomes free, and why.
    pub held: BTreeMap<TopicPartition, String>,
}

/// What is under way.
#[derive(Debug, Default)]
struct Load {
    moves: usize,
    into: BTreeMap<BrokerId, (usize, u64)>,
    out: BTreeMap<BrokerId, (usize, u64)>,
    /// What will still arrive on each broker's disks.
    arriving: BTreeMap<BrokerId, Arriving>,
}

/// Decides. `settling` were submitted a moment ago and may be shown late: they are left alone.
pub fn next(
    moves: &[PartitionMove],
    observed: &Observed,
    (limits, manner): (&Limits, Manner),
    settling: &BTreeSet<TopicPartition>,
) -> Next {
    let mut next = Next::default();
    let mut load = Load::of(moves, observed);
    let mut waiting: Vec<(&PartitionMove, State)> = Vec::new();
    for one in moves.iter().filter(|one| !settling.contains(&one.partition)) {
        match observed.state(one) {
            state @ (State::Waiting | State::Grown) => waiting.push((one, state)),
            State::Done if manner.elects => next.elections.extend(election(one, observed)),
            State::Done | State::Running | State::Foreign | State::Strayed | State::Gone => {}
        }
    }
    waiting.sort_by_cached_key(|(one, _)| (urgency(one, observed), observed.size_of(one), one.partition.clone()));
    for (one, state) in waiting {
        let target = match state {
            State::Grown => match hand_over(one, observed, manner) {
                Ok(target) => target,
                Err(Some(election)) => {
                    next.elections.push(election);
                    continue;
                }
                Err(None) => continue,
            },
            _ if manner.leader_first && one.adding().next().is_some() => grown(one),
            _ => one.to.clone(),
        };
        if let Some(why) = hindrance(one, &target, observed) {
            next.held.insert(one.partition.clone(), why);
        } else if !load.has_slot(one, observed, limits) {
            // Its turn comes when another move ends.
        } else if let Some(full) = load.too_full(one, observed, limits) {
            // Room may come: others leave the broker first.
            next.held.insert(one.partition.clone(), full);
        } else {
            load.add(one, observed);
            let from = observed.partitions.get(&one.partition).map_or(&one.from, |seen| &seen.replicas).clone();
            let copies = u64::try_from(observed.arriving(one).len()).unwrap_or(u64::MAX);
            let bytes = observed.size_of(one).saturating_mul(copies);
            next.moves.push(ReassignStep::Move { partition: one.partition.clone(), from, to: target, bytes });
        }
    }
    next
}

/// What mends missing replicas comes first, then what costs nothing.
fn urgency(one: &PartitionMove, observed: &Observed) -> u8 {
    let Some(seen) = observed.partitions.get(&one.partition) else { return 3 };
    let mends = one.removing().any(|broker| !seen.isr.contains(&broker)) && one.adding().next().is_some();
    match (mends, observed.arriving(one).is_empty()) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

/// The target of a partition whose new replicas are in place: the end, once a new replica leads; else an election first.
fn hand_over(one: &PartitionMove, observed: &Observed, manner: Manner) -> Result<Vec<BrokerId>, Option<ReassignStep>> {
    let Some(seen) = observed.partitions.get(&one.partition) else { return Err(None) };
    let leads = seen.leader.is_some_and(|leader| one.to.contains(&leader));
    if leads || !manner.leader_first {
        return Ok(one.to.clone());
    }
    Err(election(one, observed))
}

/// The election that a partition needs, if it needs one and its preferred leader can lead.
fn election(one: &PartitionMove, observed: &Observed) -> Option<ReassignStep> {
    let (seen, to) = (observed.partitions.get(&one.partition)?, *one.to.first()?);
    let can_lead = observed.brokers.contains(&to) && seen.isr.contains(&to);
    (seen.leader != Some(to) && can_lead).then(|| ReassignStep::Elect {
        partition: one.partition.clone(),
        from: seen.leader,
        to,
    })
}

/// Why a move may not begin whatever else becomes free.
fn hindrance(one: &PartitionMove, target: &[BrokerId], observed: &Observed) -> Option<String> {
    let seen = observed.partitions.get(&one.partition)?;
    let dead: Vec<_> = target.iter().filter(|broker| !observed.brokers.contains(broker)).collect();
    if let Some(dead) = dead.first().filter(|_| !same_set(target, &seen.replicas)) {
        return Some(format!("its target broker {dead} is down"));
    }
    if let Some(cordoned) = target.iter().find(|broker| observed.is_cordoned(**broker)) {
        return Some(format!("its target list names broker {cordoned}, which is cordoned: {UNCORDON}"));
    }
    if seen.leader.is_none() && !observed.arriving(one).is_empty() {
        return Some("it is offline: no replica leads that could be copied from".to_owned());
    }
    // Kafka removes a replica only after the new ones are in sync; what goes must not leave fewer than there were.
    let staying = target.iter().filter(|broker| seen.isr.contains(broker)).count();
    let after = staying + target.iter().filter(|broker| !seen.replicas.contains(broker)).count();
    if after < seen.isr.len().min(target.len()) {
        let late: Vec<_> = target.iter().filter(|one| !seen.isr.contains(one)).map(ToString::to_string).collect();
        return Some(format!("it would have fewer replicas in sync than now: broker {} lags", late.join(", ")));
    }
    None
}

impl Load {
    fn of(moves: &[PartitionMove], observed: &Observed) -> Self {
        let mut load = Self::default();
        let own: BTreeMap<_, _> = moves.iter().map(|one| (&one.partition, one)).collect();
        for (partition, running) in &observed.running {
            let unplanned;
            let one = if let Some(one) = own.get(partition).filter(|one| observed.state(one) == State::Running) {
                *one
            } else {
                unplanned = PartitionMove {
                    partition: partition.clone(),
                    from: running.replicas.iter().filter(|one| !running.adding.contains(one)).copied().collect(),
                    to: running.replicas.iter().filter(|one| !running.removing.contains(one)).copied().collect(),
                    bytes: 0,
                };
                &unplanned
            };
            load.add(one, observed);
        }
        load
    }

    fn add(&mut self, one: &PartitionMove, observed: &Observed) {
        self.moves += 1;
        let size = observed.size_of(one);
        let arriving = observed.arriving(one);
        for broker in &arriving {
            let held = observed.held_by(&one.partition, *broker).map_or(0, |held| held.bytes);
            bump(&mut self.into, *broker, size.saturating_sub(held));
            self.arriving.entry(*broker).or_default().add(one, *broker, observed);
        }
        if let Some(leader) = observed.partitions.get(&one.partition).and_then(|seen| seen.leader)
            && !arriving.is_empty()
        {
            let copies = u64::try_from(arriving.len()).unwrap_or(u64::MAX);
            bump(&mut self.out, leader, size.saturating_mul(copies));
        }
    }

    /// Whether the bounds let one more move begin.
    fn has_slot(&self, one: &PartitionMove, observed: &Observed, limits: &Limits) -> bool {
        if self.moves >= limits.moves.max(1) {
            return false;
        }
        let size = observed.size_of(one);
        let arriving = observed.arriving(one);
        let leader = observed.partitions.get(&one.partition).and_then(|seen| seen.leader);
        let copies = u64::try_from(arriving.len()).unwrap_or(u64::MAX);
        let fits = |under_way: Option<&(usize, u64)>, bytes: u64| {
            let (partitions, busy) = under_way.copied().unwrap_or_default();
            partitions < limits.partitions.max(1) && (partitions == 0 || busy.saturating_add(bytes) <= limits.bytes)
        };
        let out_fits =
            arriving.is_empty() || leader.is_none_or(|leader| fits(self.out.get(&leader), size.saturating_mul(copies)));
        out_fits && arriving.iter().all(|broker| fits(self.into.get(broker), size))
    }

    /// Why the disks of some broker have no room for a move while everything else arrives, too.
    fn too_full(&self, one: &PartitionMove, observed: &Observed, limits: &Limits) -> Option<String> {
        let arriving = observed.arriving(one);
        arriving.into_iter().find_map(|broker| self.too_full_at(broker, one, (observed, limits)))
    }

    fn too_full_at(
        &self,
        broker: BrokerId,
        one: &PartitionMove,
        (observed, limits): (&Observed, &Limits),
    ) -> Option<String> {
        let disk = observed.sizes.disks.get(&broker)?;
        if disk.is_offline() {
            return Some(format!("all log dirs of broker {broker} are offline"));
        }
        let mut coming = self.arriving.get(&broker).cloned().unwrap_or_default();
        coming.add(one, broker, observed);
        let dir = coming.too_small(disk, limits.free)?.dir.filter(|_| disk.dirs.len() > 1);
        Some(match dir.and_then(|dir| disk.dirs.get(dir)) {
            Some(dir) => format!("broker {broker} may put it into {}, which has no room for it now", dir.path),
            None => format!("broker {broker} has no room for it now"),
        })
    }
}

fn bump(counts: &mut BTreeMap<BrokerId, (usize, u64)>, broker: BrokerId, bytes: u64) {
    let (partitions, busy) = counts.entry(broker).or_default();
    *partitions += 1;
    *busy = busy.saturating_add(bytes);
}
