//! What is evened out for nothing once storage is even: replicas that are copied anyway go where less is written to, then
//! to where there are fewer replicas. Bands are kept, and no further byte is copied.

use super::even::Evener;
use super::even::Item;
use super::mend::Step;
use super::numbers;

/// How often all replicas that are copied are looked at.
const PASSES: usize = 4;

/// A replica may be moved for the sake of numbers if it weighs no more than one part in this many of what a broker holds.
const TINY: u64 = 1_000_000;

/// What a change is worth: what is written, then numbers of replicas.
type Worth = (i128, i128);

impl Evener<'_, '_, '_> {
    /// Evens out what is written to brokers of a group, and how many replicas they hold, by those that are copied anyway.
    pub(super) fn second(&mut self, group: &[u32]) {
        for _ in 0..PASSES {
            let mut changed = false;
            let away: Vec<(Item, u32)> = self.away_in(group).collect();
            for (item, at) in away {
                if self.away_list(at).binary_search(&item).is_err() {
                    continue;
                }
                if let Some((to, back)) = self.best_place(group, item, at) {
                    let back = back.map(|item| Step { item, from: to, to: at });
                    [Some(Step { item, from: at, to }), back].into_iter().flatten().for_each(|step| self.walk(step));
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// Where a copied replica had better go, and which other one comes back for it, if any.
    fn best_place(&self, group: &[u32], item: Item, at: u32) -> Option<(u32, Option<Item>)> {
        let mut best: Option<(Worth, (u32, Option<Item>))> = None;
        for to in group.iter().copied().filter(|to| *to != at && self.is_free(item, *to)) {
            let mut consider = |back: Option<Item>| {
                let worth = self.worth((at, to), item, back);
                let weight = |item: Item| i128::from(item.weight);
                let shift = weight(item) - back.map_or(0, weight);
                let stays = self.nearer(at, -shift) + self.nearer(to, shift) >= 0;
                if stays && worth > best.map_or((0, 0), |(known, _)| known) {
                    best = Some((worth, (to, back)));
                }
            };
            consider(None);
            let returns = |back: &Item| back.partition != item.partition && self.is_free(*back, at);
            self.near_away(to, item.weight).filter(returns).for_each(|back| consider(Some(back)));
        }
        best.map(|(_, found)| found)
    }

    /// Whether a replica that is copied anyway may as well be copied to another broker.
    fn is_free(&self, item: Item, to: u32) -> bool {
        self.takes(to) && self.is_copy(item, to) && self.may_carry(item, to)
    }

    /// By how much the sums of squares shrink.
    fn worth(&self, (from, to): (u32, u32), item: Item, back: Option<Item>) -> Worth {
        let inflow = |item: Item| i128::from(self.layout.model.partitions[numbers::wide(item.partition)].inflow);
        let moved = inflow(item) - back.map_or(0, inflow);
        let held = |broker: u32| i128::from(self.layout.inbound[numbers::wide(broker)]);
        let number = i128::from(back.is_none());
        let count = |broker: u32| i128::from(self.layout.count[numbers::wide(broker)]);
        (moved * (held(from) - held(to) - moved), number * (count(from) - count(to) - number))
    }

    /// Evens out numbers of replicas by those that weigh next to nothing.
    pub(super) fn even_numbers(&mut self, group: &[u32]) {
        let number = |broker: u32| self.layout.count[numbers::wide(broker)];
        let total: u64 = group.iter().map(|broker| u64::from(number(*broker))).sum();
        let members = group.len().max(1) as u64;
        let slack = numbers::part_of(total / members, self.layout.model.goal.tolerance);
        let (least, most) = ((total / members).saturating_sub(slack), (total.div_ceil(members)).saturating_add(slack));
        let tiny = self.tiny(group);
        if tiny.iter().all(Vec::is_empty) {
            return;
        }
        for (donor, mut items) in group.iter().copied().zip(tiny) {
            while let Some((partition, slot)) = items.pop() {
                let count = |broker: u32| u64::from(self.layout.count[numbers::wide(broker)]);
                let weight = self.layout.model.partitions[partition].weight;
                let item = Item { weight, partition: numbers::narrow(partition), slot: numbers::narrow(slot) };
                let fits = |taker: &u32| {
                    *taker != donor
                        && self.takes(*taker)
                        && self.slack(*taker) >= weight
                        && self.may_carry(item, *taker)
                };
                let taker = group.iter().copied().filter(fits).min_by_key(|taker| (count(*taker), *taker));
                let Some(taker) = taker else { continue };
                let helps = count(donor) > count(taker) + 1 && (count(donor) > most || count(taker) < least);
                if helps && self.spare(donor) >= weight {
                    self.carry(item, donor, taker);
                }
            }
        }
    }

    /// Replicas of each broker that are there now and weigh next to nothing, as partition and slot.
    fn tiny(&self, group: &[u32]) -> Vec<Vec<(usize, usize)>> {
        let model = self.layout.model;
        let load: u64 = group.iter().map(|broker| self.load(*broker) / group.len().max(1) as u64).sum();
        let mut place = vec![None; model.brokers.len()];
        for (at, broker) in group.iter().enumerate() {
            place[numbers::wide(*broker)] = Some(at);
        }
        let mut tiny = vec![Vec::new(); group.len()];
        for (partition, part) in model.partitions.iter().enumerate() {
            if !part.is_known || part.weight > load / TINY || self.layout.is_frozen(partition) {
                continue;
            }
            for (slot, broker) in self.layout.slots(partition).iter().enumerate() {
                if let Some(Some(at)) = place.get(numbers::wide(*broker)) {
                    tiny[*at].push((partition, slot));
                }
            }
        }
        tiny
    }
}
