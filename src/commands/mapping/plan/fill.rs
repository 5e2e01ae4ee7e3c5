//! [`Filler`]: finds brokers for empty slots: racks spread, then the emptiest broker that has room.

use std::collections::BTreeSet;

use super::layout::Layout;
use super::model::EMPTY;
use super::numbers;
use super::spread::Spread;

/// How a broker is ranked: how full it is, how many replicas it holds, its index.
type Rank = (u128, u32, u32);

/// Brokers ranked by how full they are.
pub(super) struct Filler<'s> {
    spread: &'s Spread,
    /// Ranks of the brokers that may be chosen, by rack.
    racks: Vec<BTreeSet<Rank>>,
    /// The present rank of each broker that may be chosen.
    ranks: Vec<Option<Rank>>,
    /// The most that a broker may hold afterwards, where that is limited.
    pub(super) most: Option<Vec<u64>>,
    counts: Vec<u32>,
}

impl<'s> Filler<'s> {
    /// Ranks the brokers that `may` allows.
    pub(super) fn new(layout: &Layout<'_, '_>, spread: &'s Spread, may: impl Fn(u32) -> bool) -> Self {
        let brokers = layout.model.brokers.len();
        let mut filler = Self {
            spread,
            racks: vec![BTreeSet::new(); layout.model.racks.len()],
            ranks: vec![None; brokers],
            most: None,
            counts: Vec::new(),
        };
        for (at, node) in layout.model.brokers.iter().enumerate() {
            let broker = numbers::narrow(at);
            if node.open && may(broker) {
                filler.rank(layout, broker);
            }
        }
        filler
    }

    /// Fills all empty slots of a partition; `false` if some stay empty.
    pub(super) fn fill(&mut self, layout: &mut Layout<'_, '_>, partition: usize) -> bool {
        let mut is_full = true;
        for slot in 0..layout.slots(partition).len() {
            if layout.slots(partition)[slot] != EMPTY {
                continue;
            }
            match self.choose(layout, partition) {
                Some(broker) => {
                    layout.set(partition, slot, broker);
                    self.update(layout, broker);
                }
                None => is_full = false,
            }
        }
        is_full
    }

    /// Leaves a partition as it is now for good, and ranks its brokers anew.
    pub(super) fn give_up(&mut self, layout: &mut Layout<'_, '_>, partition: usize) {
        let touched: Vec<_> = layout.slots(partition).iter().chain(layout.model.replicas(partition)).copied().collect();
        layout.freeze(partition);
        for broker in touched.into_iter().filter(|broker| *broker != EMPTY) {
            self.update(layout, broker);
        }
    }

    /// The broker for one more replica: in a rack that has too few if there is one, else in any that may take one.
    fn choose(&mut self, layout: &Layout<'_, '_>, partition: usize) -> Option<u32> {
        let mut counts = std::mem::take(&mut self.counts);
        layout.by_rack(partition, &mut counts);
        let bounds = self.spread.bounds(layout.model.partitions[partition].wanted);
        let lacks = counts.iter().zip(&bounds.least).any(|(count, least)| count < least);
        let limits = if lacks { &bounds.least } else { &bounds.most };
        let racks = counts.iter().zip(limits).enumerate().filter(|(_, (count, limit))| count < limit);
        let best = racks.filter_map(|(rack, _)| self.first_in(layout, partition, rack)).min();
        self.counts = counts;
        best.map(|(_, _, broker)| broker)
    }

    fn first_in(&self, layout: &Layout<'_, '_>, partition: usize, rack: usize) -> Option<Rank> {
        let weight = layout.model.partitions[partition].weight;
        let fits = |broker: u32| {
            let at = numbers::wide(broker);
            self.most.as_ref().is_none_or(|most| layout.load[at].saturating_add(weight) <= most[at])
        };
        self.racks[rack]
            .iter()
            .find(|(_, _, broker)| {
                !layout.holds(partition, *broker) && fits(*broker) && layout.has_room(partition, *broker)
            })
            .copied()
    }

    fn update(&mut self, layout: &Layout<'_, '_>, broker: u32) {
        if let Some(rank) = self.ranks[numbers::wide(broker)].take() {
            self.racks[layout.model.node(broker).rack].remove(&rank);
            self.rank(layout, broker);
        }
    }

    fn rank(&mut self, layout: &Layout<'_, '_>, broker: u32) {
        let at = numbers::wide(broker);
        let rank = (layout.level(broker, layout.load[at]), layout.count[at], broker);
        self.ranks[at] = Some(rank);
        self.racks[layout.model.node(broker).rack].insert(rank);
    }
}
