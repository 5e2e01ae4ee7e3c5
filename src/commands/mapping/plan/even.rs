//! [`Evener`]: brings brokers into their bands with the fewest bytes moved: replicas go from full to empty brokers of
//! the same rack.
//!
//! In a rack, either the excess above the bands or the lack below them is larger; that much must move at least. The
//! brokers of that side are brought exactly to the edge of their bands; the other side has slack and takes or gives
//! what fits.

use super::band::Band;
use super::layout::Layout;
use super::model::EMPTY;
use super::numbers;

/// Moves replicas within racks.
pub(super) struct Evener<'l, 'm, 'a> {
    layout: &'l mut Layout<'m, 'a>,
    bands: Vec<Band>,
    /// Whether a broker may get replicas.
    takes: Vec<bool>,
    /// Movable replicas of each broker as (weight, partition, slot), lightest first. Those that left are skipped.
    items: Vec<Vec<Item>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    weight: u64,
    partition: u32,
    slot: u32,
}

/// How many candidates of a kind are tried before the next kind.
const TRIES: usize = 16;

impl<'l, 'm, 'a> Evener<'l, 'm, 'a> {
    /// Prepares; `takes` says which brokers may get replicas.
    pub(super) fn new(layout: &'l mut Layout<'m, 'a>, bands: Vec<Band>, takes: Vec<bool>) -> Self {
        let model = layout.model;
        let mut items = vec![Vec::new(); model.brokers.len()];
        for (partition, part) in model.partitions.iter().enumerate() {
            if part.stuck.is_some() || part.weight == 0 {
                continue;
            }
            for (slot, broker) in layout.slots(partition).iter().enumerate().filter(|(_, broker)| **broker != EMPTY) {
                let (partition, slot) = (numbers::narrow(partition), numbers::narrow(slot));
                items[numbers::wide(*broker)].push(Item { weight: part.weight, partition, slot });
            }
        }
        for list in &mut items {
            list.sort_unstable();
        }
        Self { layout, bands, takes, items }
    }

    /// Evens out all racks.
    pub(super) fn run(mut self) {
        for rack in 0..self.layout.model.racks.len() {
            let nodes = self.layout.model.brokers.iter().enumerate();
            let group: Vec<_> =
                nodes.filter(|(_, node)| node.open && node.rack == rack).map(|(at, _)| numbers::narrow(at)).collect();
            let excess: u128 = group.iter().map(|broker| u128::from(self.excess(*broker))).sum();
            let lack: u128 = group.iter().map(|broker| u128::from(self.lack(*broker))).sum();
            if excess >= lack {
                self.relieve(&group);
                self.raise(&group);
            } else {
                self.raise(&group);
                self.relieve(&group);
            }
        }
    }

    fn load(&self, broker: u32) -> u64 {
        self.layout.load[numbers::wide(broker)]
    }

    fn band(&self, broker: u32) -> Band {
        self.bands[numbers::wide(broker)]
    }

    fn excess(&self, broker: u32) -> u64 {
        self.load(broker).saturating_sub(self.band(broker).high)
    }

    fn lack(&self, broker: u32) -> u64 {
        if self.takes[numbers::wide(broker)] { self.band(broker).low.saturating_sub(self.load(broker)) } else { 0 }
    }

    /// What a broker may give before it falls below its band.
    fn spare(&self, broker: u32) -> u64 {
        self.load(broker).saturating_sub(self.band(broker).low)
    }

    /// What a broker may take before it rises above its band.
    fn slack(&self, broker: u32) -> u64 {
        if self.takes[numbers::wide(broker)] { self.band(broker).high.saturating_sub(self.load(broker)) } else { 0 }
    }

    /// Brings the brokers above their bands down to the edge, the fullest first.
    fn relieve(&mut self, group: &[u32]) {
        let mut full: Vec<_> = group.iter().copied().filter(|broker| self.excess(*broker) > 0).collect();
        full.sort_by_key(|broker| (std::cmp::Reverse(self.excess(*broker)), *broker));
        for donor in full {
            while self.excess(donor) > 0 && self.relieve_once(group, donor) {}
        }
    }

    /// Moves one or two replicas off a broker above its band; `false` if none can go anywhere.
    fn relieve_once(&mut self, group: &[u32], donor: u32) -> bool {
        let chosen = self.pick(donor, self.excess(donor), self.spare(donor), |evener, item| {
            evener.taker(group, donor, item).is_some()
        });
        let mut moved = false;
        for item in chosen {
            if let Some(taker) = self.taker(group, donor, item) {
                self.carry(item, taker);
                moved = true;
            }
        }
        moved
    }

    /// Brings the brokers below their bands up to the edge, the emptiest first.
    fn raise(&mut self, group: &[u32]) {
        let mut empty: Vec<_> = group.iter().copied().filter(|broker| self.lack(*broker) > 0).collect();
        empty.sort_by_key(|broker| (std::cmp::Reverse(self.lack(*broker)), *broker));
        for taker in empty {
            while self.lack(taker) > 0 && self.raise_once(group, taker) {}
        }
    }

    /// Moves one or two replicas to a broker below its band; `false` if none can come.
    fn raise_once(&mut self, group: &[u32], taker: u32) -> bool {
        let mut donors: Vec<_> = group.iter().copied().filter(|donor| *donor != taker).collect();
        donors.sort_by_key(|donor| (std::cmp::Reverse(self.surplus(*donor)), *donor));
        let choose = |donor: u32| {
            let limit = self.spare(donor).min(self.slack(taker));
            self.pick(donor, self.lack(taker), limit, |evener, item| evener.may_carry(item, taker))
        };
        let found = donors.into_iter().take(TRIES).map(choose).find(|chosen| !chosen.is_empty());
        for item in found.iter().flatten() {
            self.carry(*item, taker);
        }
        found.is_some()
    }

    /// How far a broker is above its band; negative below the edge.
    fn surplus(&self, broker: u32) -> i128 {
        i128::from(self.load(broker)) - i128::from(self.band(broker).high)
    }

    /// The emptiest broker of the group that can take a replica.
    fn taker(&self, group: &[u32], donor: u32, item: Item) -> Option<u32> {
        let fits = |taker: &u32| *taker != donor && self.slack(*taker) >= item.weight && self.may_carry(item, *taker);
        group.iter().copied().filter(fits).max_by_key(|taker| (self.slack(*taker), std::cmp::Reverse(*taker)))
    }

    fn may_carry(&self, item: Item, taker: u32) -> bool {
        let partition = numbers::wide(item.partition);
        !self.layout.holds(partition, taker)
            && self.layout.has_room(partition, taker)
            && self.layout.keeps_synced(partition, numbers::wide(item.slot))
    }

    fn carry(&mut self, item: Item, taker: u32) {
        self.layout.set(numbers::wide(item.partition), numbers::wide(item.slot), taker);
    }

    /// Chooses one or two replicas of a donor for a need: what meets it almost exactly, else the heaviest below it,
    /// else the lightest above it; none that together weigh more than the limit.
    fn pick(&self, donor: u32, need: u64, limit: u64, goes: impl Fn(&Self, Item) -> bool) -> Vec<Item> {
        let list: Vec<Item> = self.items[numbers::wide(donor)]
            .iter()
            .copied()
            .filter(|item| self.layout.slots(numbers::wide(item.partition))[numbers::wide(item.slot)] == donor)
            .filter(|item| item.weight <= limit)
            .collect();
        let waste = need / 200;
        let above = list.partition_point(|item| item.weight < need);
        let single = list[above..].iter().take(TRIES).copied().find(|item| goes(self, *item));
        if let Some(item) = single.filter(|item| item.weight - need <= waste) {
            return vec![item];
        }
        let pair = pair(&list[..above], need, limit.min(need + waste));
        if let Some((one, other)) =
            pair.filter(|(one, other)| one.partition != other.partition && goes(self, *one) && goes(self, *other))
        {
            return vec![other, one];
        }
        let below = list[..above].iter().rev().take(4 * TRIES).copied().find(|item| goes(self, *item));
        below.or(single).into_iter().collect()
    }
}

/// The two items whose sum is the least one from `need` to `limit`. The items are sorted.
fn pair(items: &[Item], need: u64, limit: u64) -> Option<(Item, Item)> {
    let mut best: Option<(u64, Item, Item)> = None;
    let (mut low, mut high) = (0, items.len().checked_sub(1)?);
    while low < high {
        let sum = items[low].weight + items[high].weight;
        if sum < need {
            low += 1;
            continue;
        }
        if sum <= limit && best.is_none_or(|(found, _, _)| sum < found) {
            best = Some((sum, items[low], items[high]));
        }
        high -= 1;
    }
    best.map(|(_, one, other)| (one, other))
}
