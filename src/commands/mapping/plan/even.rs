//! [`Evener`]: brings brokers into their bands with the fewest bytes moved: replicas go from full to empty brokers of
//! the same rack.
//!
//! In a rack, either the excess above the bands or the lack below them is larger; that much must move at least. The
//! brokers of that side are brought exactly to the edge of their bands; the other side has slack and takes or gives
//! what fits.

use std::cell::Cell;

use super::band::Band;
use super::fit;
use super::layout::Layout;
use super::mend::Step;
use super::model::EMPTY;
use super::numbers;
use crate::commands::mapping::spec::goal::Operation;

/// Moves replicas within racks.
pub(super) struct Evener<'l, 'm, 'a> {
    pub(super) layout: &'l mut Layout<'m, 'a>,
    bands: Vec<Band>,
    /// Whether a broker may get replicas.
    takes: Vec<bool>,
    /// Movable replicas of each broker as (weight, partition, slot), lightest first. Those that left are skipped.
    items: Vec<Vec<Item>>,
    /// Those of them that were not there before.
    away: Vec<Vec<Item>>,
    /// Whether only some of the open brokers may get replicas.
    pub(super) some_take: bool,
    /// Every step of mending, so that it can be taken back.
    pub(super) journal: Vec<Step>,
    /// Replicas that may not move for the moment.
    pub(super) banned: Vec<Item>,
    /// How many changes were considered.
    pub(super) effort: Cell<u64>,
}

/// A replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) weight: u64,
    pub(super) partition: u32,
    pub(super) slot: u32,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// The sum that is needed.
    amount: u64,
    /// How much more is near enough.
    waste: u64,
    /// The largest sum allowed.
    limit: u64,
    /// The largest weight of one replica allowed.
    each: u64,
}

/// What was found.
struct Chosen {
    items: Vec<Item>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It meets the need almost exactly.
    Exact,
    /// It is a part of the need, or more than it.
    Rough,
}

/// How many replicas that can't go are passed over before a broker is given up.
const TRIES: usize = 64;

/// How many of the fullest brokers are asked for what a broker needs.
const DONORS: usize = 8;

/// How often the two sides take turns.
const ROUNDS: usize = 4;

/// What is near enough, as a part of what was needed at first.
const WASTE: u64 = 500;

impl<'l, 'm, 'a> Evener<'l, 'm, 'a> {
    /// Prepares; `takes` says which brokers may get replicas.
    pub(super) fn new(layout: &'l mut Layout<'m, 'a>, bands: Vec<Band>, takes: Vec<bool>) -> Self {
        let model = layout.model;
        let mut items = vec![Vec::new(); model.brokers.len()];
        for (partition, part) in model.partitions.iter().enumerate() {
            if layout.is_frozen(partition) || part.weight == 0 {
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
        let copies = |(broker, list): (usize, &Vec<Item>)| {
            let broker = numbers::narrow(broker);
            list.iter()
                .copied()
                .filter(|item| !model.replicas(numbers::wide(item.partition)).contains(&broker))
                .collect()
        };
        let away = items.iter().enumerate().map(copies).collect();
        let some_take = model.brokers.iter().zip(&takes).any(|(node, takes)| node.open && !takes);
        Self {
            layout,
            bands,
            takes,
            some_take,
            items,
            away,
            journal: Vec::new(),
            banned: Vec::new(),
            effort: Cell::new(0),
        }
    }

    /// Evens out all racks, and says how much is left beside the bands; `refine` spends more work on saving bytes.
    pub(super) fn run(mut self, refine: bool) -> u128 {
        let mut beside = 0;
        for rack in 0..self.layout.model.racks.len() {
            let nodes = self.layout.model.brokers.iter().enumerate();
            let group: Vec<_> =
                nodes.filter(|(_, node)| node.open && node.rack == rack).map(|(at, _)| numbers::narrow(at)).collect();
            let excess: u128 = group.iter().map(|broker| u128::from(self.excess(*broker))).sum();
            let lack: u128 = group.iter().map(|broker| u128::from(self.lack(*broker))).sum();
            self.even_group(&group, excess >= lack);
            if refine {
                self.refine(&group, numbers::clamp(excess.max(lack)));
            }
            if refine {
                self.second(&group);
                if self.layout.model.goal.operation == Operation::Rebalance && !self.layout.model.by_count {
                    self.even_numbers(&group);
                }
            }
            beside += self.cost(&group).0;
        }
        beside
    }

    /// Evens out a group: the side that decides first and exactly, then what is left of the other.
    fn even_group(&mut self, group: &[u32], excess_decides: bool) {
        for round in 0..ROUNDS {
            if excess_decides == (round % 2 == 0) {
                self.relieve(group);
            } else {
                self.raise(group);
            }
            self.mend(group);
        }
        self.polish(group);
    }

    pub(super) fn load(&self, broker: u32) -> u64 {
        self.layout.load[numbers::wide(broker)]
    }

    pub(super) fn band(&self, broker: u32) -> Band {
        self.bands[numbers::wide(broker)]
    }

    pub(super) fn excess(&self, broker: u32) -> u64 {
        self.load(broker).saturating_sub(self.band(broker).high)
    }

    pub(super) fn lack(&self, broker: u32) -> u64 {
        if self.takes[numbers::wide(broker)] { self.band(broker).low.saturating_sub(self.load(broker)) } else { 0 }
    }

    /// What a broker may give before it falls below its band.
    pub(super) fn spare(&self, broker: u32) -> u64 {
        self.load(broker).saturating_sub(self.band(broker).low)
    }

    /// What a broker may take before it rises above its band.
    pub(super) fn slack(&self, broker: u32) -> u64 {
        if self.takes[numbers::wide(broker)] { self.band(broker).high.saturating_sub(self.load(broker)) } else { 0 }
    }

    /// How far a broker is above its band; negative below the edge.
    fn surplus(&self, broker: u32) -> i128 {
        i128::from(self.load(broker)) - i128::from(self.band(broker).high)
    }

    /// Brings the brokers above their bands down to the edge, the fullest first.
    fn relieve(&mut self, group: &[u32]) {
        let mut full: Vec<_> = group.iter().copied().filter(|broker| self.excess(*broker) > 0).collect();
        full.sort_by_key(|broker| (std::cmp::Reverse(self.excess(*broker)), *broker));
        for donor in full {
            let waste = self.excess(donor) / WASTE;
            while self.excess(donor) > 0 && self.relieve_once(group, donor, waste) {}
        }
    }

    /// Moves some replicas off a broker above its band; `false` if none can go anywhere.
    fn relieve_once(&mut self, group: &[u32], donor: u32, waste: u64) -> bool {
        let roomiest = group.iter().filter(|taker| **taker != donor).map(|taker| self.slack(*taker)).max().unwrap_or(0);
        let need = Need { amount: self.excess(donor), waste, limit: self.spare(donor), each: roomiest };
        let chosen = self.pick(donor, need, |evener, item| evener.taker(group, donor, item).is_some());
        let mut moved = false;
        for item in chosen.items {
            if let Some(taker) = self.taker(group, donor, item) {
                self.carry(item, donor, taker);
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
            let waste = self.lack(taker) / WASTE;
            while self.lack(taker) > 0 && self.raise_once(group, taker, waste) {}
        }
    }

    /// Moves some replicas to a broker below its band, off the fullest broker that has what is nearly exactly needed,
    /// else off the fullest; `false` if none can come.
    fn raise_once(&mut self, group: &[u32], taker: u32, waste: u64) -> bool {
        let mut found: Option<(u32, Chosen)> = None;
        for donor in self.fullest(group, taker) {
            let limit = self.spare(donor).min(self.slack(taker));
            let need = Need { amount: self.lack(taker), waste, limit, each: limit };
            let chosen = self.pick(donor, need, |evener, item| evener.may_carry(item, taker));
            if chosen.items.is_empty() {
                continue;
            }
            let exact = chosen.kind == Kind::Exact;
            if exact || found.is_none() {
                found = Some((donor, chosen));
            }
            if exact || self.lack(taker) / 4 > limit {
                break;
            }
        }
        let Some((donor, chosen)) = found else { return false };
        let mut moved = false;
        for item in chosen.items {
            // Each fits by itself; what came just now has taken room.
            if self.may_carry(item, taker) {
                self.carry(item, donor, taker);
                moved = true;
            }
        }
        moved
    }

    /// The brokers that are furthest above their bands, the fullest first.
    fn fullest(&self, group: &[u32], taker: u32) -> Vec<u32> {
        let key = |donor: &u32| (std::cmp::Reverse(self.surplus(*donor)), *donor);
        let mut donors: Vec<_> = group.iter().copied().filter(|donor| *donor != taker).collect();
        if donors.len() > DONORS {
            donors.select_nth_unstable_by_key(DONORS, key);
            donors.truncate(DONORS);
        }
        donors.sort_by_key(key);
        donors
    }

    /// The broker of the group that most of a replica is of use to; the emptiest of these.
    fn taker(&self, group: &[u32], donor: u32, item: Item) -> Option<u32> {
        let fits = |taker: &u32| *taker != donor && self.slack(*taker) >= item.weight && self.may_carry(item, *taker);
        group.iter().copied().filter(fits).max_by_key(|taker| {
            let lack = self.lack(*taker);
            (lack.min(item.weight), lack, self.slack(*taker), std::cmp::Reverse(*taker))
        })
    }

    pub(super) fn may_carry(&self, item: Item, taker: u32) -> bool {
        let partition = numbers::wide(item.partition);
        !self.layout.holds(partition, taker)
            && !self.layout.model.fills_again(partition, taker)
            && self.layout.has_room(partition, taker)
            && self.layout.keeps_synced(partition, numbers::wide(item.slot))
    }

    pub(super) fn carry(&mut self, item: Item, donor: u32, taker: u32) {
        self.layout.set(numbers::wide(item.partition), numbers::wide(item.slot), taker);
        take(&mut self.items[numbers::wide(donor)], item);
        put(&mut self.items[numbers::wide(taker)], item);
        if self.is_copy(item, donor) {
            take(&mut self.away[numbers::wide(donor)], item);
        }
        if self.is_copy(item, taker) {
            put(&mut self.away[numbers::wide(taker)], item);
        }
    }

    /// Whether a replica on a broker is one that must be copied there.
    pub(super) fn is_copy(&self, item: Item, broker: u32) -> bool {
        !self.layout.model.replicas(numbers::wide(item.partition)).contains(&broker)
    }

    /// Whether a broker may get replicas.
    pub(super) fn takes(&self, broker: u32) -> bool {
        self.takes[numbers::wide(broker)]
    }

    /// Movable replicas of a broker, the lightest first.
    pub(super) fn items_of(&self, broker: u32) -> &[Item] {
        &self.items[numbers::wide(broker)]
    }

    /// Those of them that were not there before.
    pub(super) fn away_list(&self, broker: u32) -> &[Item] {
        &self.away[numbers::wide(broker)]
    }

    /// Chooses replicas of a donor for a need: a few that meet it almost exactly; else the heaviest one below it that
    /// leaves a rest which others can meet; else the few that exceed it least.
    fn pick(&self, donor: u32, need: Need, goes: impl Fn(&Self, Item) -> bool) -> Chosen {
        let list = &self.items[numbers::wide(donor)];
        let mut list = list[..list.partition_point(|item| item.weight <= need.each)].to_vec();
        let mut weights: Vec<u64> = list.iter().map(|item| item.weight).collect();
        for _ in 0..TRIES {
            let fit = fit::fit(&weights, need.amount, need.amount.saturating_add(need.waste), need.limit);
            let exact = fit.is_some_and(|fit| fit.sum <= need.amount + need.waste);
            let heaviest = if exact { None } else { below(&weights, need.amount) };
            let indices: Vec<usize> = match (heaviest, &fit) {
                (Some(at), _) => vec![at],
                (None, Some(fit)) => fit.indices().to_vec(),
                (None, None) => break,
            };
            let Some(stuck) = indices.iter().find(|at| !goes(self, list[**at])) else {
                let kind = if exact { Kind::Exact } else { Kind::Rough };
                return Chosen { items: indices.into_iter().map(|at| list[at]).collect(), kind };
            };
            list.remove(*stuck);
            weights.remove(*stuck);
        }
        Chosen { items: Vec::new(), kind: Kind::Rough }
    }
}

/// The heaviest weight that leaves a rest of at least three of the lightest, so that it can be met by others.
fn below(weights: &[u64], need: u64) -> Option<usize> {
    let rest = weights.first()?.saturating_mul(3);
    weights.partition_point(|weight| weight.saturating_add(rest) <= need).checked_sub(1)
}

fn take(list: &mut Vec<Item>, item: Item) {
    if let Ok(at) = list.binary_search(&item) {
        list.remove(at);
    }
}

fn put(list: &mut Vec<Item>, item: Item) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}
