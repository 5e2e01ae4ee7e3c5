//! Brings log dirs that hold more than the limit below it, with as few bytes as that takes: capacity comes before evenness.
//!
//! 1. Of the replicas in a log dir above its limit, those are found that may go anywhere at all.
//! 2. The fewest of them whose sum is just enough go, each to the emptiest broker that has room: one of the same rack if
//!    there is one, else one where racks stay as spread as they were.
//! 3. What no move helps is left to be told: see [`excesses`].
//!
//! Brokers with one log dir are brought below the limit by evening out already, where their rack has room: see `band`.

use std::collections::BTreeMap;

use super::budget::Budget;
use super::fit;
use super::layout::Layout;
use super::numbers;
use super::spread::Spread;

/// How many brokers may be looked at in all.
const EFFORT: usize = 50_000_000;

/// How often all are looked at.
const PASSES: usize = 4;

/// A log dir above its limit now.
#[derive(Debug, Clone, Default)]
pub(super) struct Excess {
    /// Its broker.
    pub(super) broker: u32,
    /// Which one of the broker's it is; none where its log dirs are not distinguished, or it has one only.
    pub(super) dir: Option<usize>,
    /// Bytes above the limit now.
    over: u64,
    /// Bytes of its replicas that a draft takes away.
    leaving: u64,
    /// Selected partitions with a replica that stays in it, and a size.
    staying: Vec<usize>,
}

impl Excess {
    /// Bytes above the limit in the end.
    pub(super) fn left(&self) -> u64 {
        self.over.saturating_sub(self.leaving)
    }

    /// Whether any selected replica that weighs something stays in it.
    pub(super) fn holds_any(&self) -> bool {
        !self.staying.is_empty()
    }
}

/// The log dirs of open brokers that are above their limit now, and what a draft makes of them. Nothing can come to one.
pub(super) fn excesses(layout: &Layout<'_, '_>) -> Vec<Excess> {
    let model = layout.model;
    let mut found: BTreeMap<(u32, usize), Excess> = BTreeMap::new();
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open) {
        let broker = numbers::narrow(at);
        for (dir, over) in node.over.iter().enumerate().filter(|(_, over)| **over > 0) {
            let is_one = node.over.len() == 1;
            let excess = Excess { broker, dir: (!is_one).then_some(dir), over: *over, ..Excess::default() };
            found.insert((broker, dir), excess);
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    for (partition, part) in model.partitions.iter().enumerate().filter(|(_, part)| part.bytes > 0) {
        for (slot, broker) in model.replicas(partition).iter().enumerate() {
            let Some(excess) = found.get_mut(&(*broker, model.log_dir(partition, slot))) else { continue };
            if layout.holds(partition, *broker) {
                excess.staying.push(partition);
            } else {
                excess.leaving = excess.leaving.saturating_add(part.bytes);
            }
        }
    }
    found.into_values().collect()
}

/// Brings them below their limits where that can be, on brokers that `takes` allows.
pub(super) struct Relief<'s> {
    /// How racks are spread.
    pub(super) spread: &'s Spread,
    /// Whether a broker may get replicas.
    pub(super) takes: &'s [bool],
    /// What may be spent.
    pub(super) budget: Option<Budget>,
    /// Whether only brokers with several log dirs count: that one of them is too full says nothing of their load.
    pub(super) several_only: bool,
}

impl Relief<'_> {
    /// Relieves all, the fullest first; once more if that helped any, since one replica that goes may let another one go.
    pub(super) fn run(&self, layout: &mut Layout<'_, '_>) {
        let mut effort = EFFORT;
        for _ in 0..PASSES {
            let mut all = excesses(layout);
            all.retain(|excess| excess.left() > 0 && (excess.dir.is_some() || !self.several_only));
            all.sort_by_key(|excess| (std::cmp::Reverse(excess.left()), excess.broker, excess.dir));
            let helped = all.iter().filter(|excess| self.relieve(layout, excess, &mut effort)).count();
            if helped == 0 {
                return;
            }
        }
    }

    /// Relieves one; whether it helped.
    fn relieve(&self, layout: &mut Layout<'_, '_>, excess: &Excess, effort: &mut usize) -> bool {
        let bytes = |layout: &Layout<'_, '_>, partition: usize| layout.model.partitions[partition].bytes;
        let mut left = excess.staying.clone();
        left.retain(|partition| self.place(layout, *partition, excess.broker, effort).is_some());
        left.sort_by_key(|partition| (bytes(layout, *partition), *partition));
        let (mut need, mut helped) = (excess.left(), false);
        while need > 0 && !left.is_empty() {
            let weights: Vec<u64> = left.iter().map(|partition| bytes(layout, *partition)).collect();
            let fit = fit::fit(&weights, need, need, u64::MAX);
            // Where three are not enough, the heaviest one goes first.
            let chosen = fit.map_or_else(|| vec![left.len() - 1], |fit| fit.indices().to_vec());
            // The heaviest comes first, so that the places of the others stay.
            for at in chosen {
                let partition = left.remove(at);
                if self.carry(layout, partition, excess.broker, effort) {
                    need = need.saturating_sub(bytes(layout, partition));
                    helped = true;
                }
            }
        }
        helped
    }

    /// Takes a replica off a broker; `false` if it can go nowhere, or for more than may be spent.
    fn carry(&self, layout: &mut Layout<'_, '_>, partition: usize, from: u32, effort: &mut usize) -> bool {
        let Some((slot, to)) = self.place(layout, partition, from, effort) else { return false };
        layout.set(partition, slot, to);
        let is_kept = self.budget.is_none_or(|budget| budget.holds(layout));
        if !is_kept {
            layout.set(partition, slot, from);
        }
        is_kept
    }

    /// The slot of a broker, and the best other broker for it.
    fn place(&self, layout: &Layout<'_, '_>, partition: usize, from: u32, effort: &mut usize) -> Option<(usize, u32)> {
        let model = layout.model;
        let slot = layout.slots(partition).iter().position(|broker| *broker == from)?;
        if layout.is_frozen(partition) || !layout.keeps_synced(partition, slot) || *effort == 0 {
            return None;
        }
        let wanted = model.partitions[partition].wanted;
        let misplaced = |replicas: &[u32], counts: &mut Vec<u32>| {
            counts.clear();
            counts.resize(model.racks.len(), 0);
            for broker in replicas {
                counts[model.node(*broker).rack] += 1;
            }
            self.spread.misplaced(counts, wanted)
        };
        let mut counts = Vec::new();
        let before = misplaced(model.replicas(partition), &mut counts);
        misplaced(layout.slots(partition), &mut counts);
        let mut keeps_racks = |to: u32| {
            let (old, new) = (model.node(from).rack, model.node(to).rack);
            counts[old] -= 1;
            counts[new] += 1;
            let after = self.spread.misplaced(&counts, wanted);
            counts[old] += 1;
            counts[new] -= 1;
            old == new || after <= before
        };
        let open = (0..model.brokers.len()).filter(|at| self.takes[*at] && model.brokers[*at].open);
        let mut looked = 0;
        let fits = |to: &u32| {
            looked += 1;
            // One that has it now could only take it back into where it was.
            let returns = model.replicas(partition).contains(to) && model.node(*to).is_over();
            !returns && !layout.holds(partition, *to) && layout.has_room(partition, *to) && keeps_racks(*to)
        };
        let rank = |to: &u32| {
            let load = layout.load[numbers::wide(*to)].saturating_add(model.partitions[partition].weight);
            (model.node(*to).rack != model.node(from).rack, layout.level(*to, load), *to)
        };
        let best = open.map(numbers::narrow).filter(fits).min_by_key(rank);
        *effort = effort.saturating_sub(looked);
        Some((slot, best?))
    }
}
