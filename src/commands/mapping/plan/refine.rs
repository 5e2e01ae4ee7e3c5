//! Looks for cheaper ways to the same evenness: takes a few moves back, forbids them, mends, and keeps what is cheaper.
//!
//! The dice are thrown from a fixed seed and the work is counted in changes considered, so that the same input ends in
//! the same plan on any machine.

use super::even::Evener;
use super::even::Item;
use super::mend::Step;

/// Changes that may be considered for one group on top of what mending needs.
const EFFORT: u64 = 200_000;

/// The same for small groups, where single replicas weigh more: so many, divided by the number of brokers.
const EFFORT_SMALL: u64 = 6_000_000;

/// How many times more may be considered while brokers are beside their bands.
const PATIENCE: u64 = 3;

/// Tries without success after which a group is as good as it gets.
const FRUITLESS: u32 = 400;

/// A way may lead over plans that copy more than the best one, by one part in this many.
const DETOUR: u128 = 1000;

/// A group that moves no more than its need and one part in this many is good enough.
const GOOD_ENOUGH: u64 = 1000;

/// What a group costs: loads beside the bands, then bytes copied.
pub(super) type Cost = (u128, u128);

impl Evener<'_, '_, '_> {
    /// Refines a group whose brokers must move `need` bytes at least.
    pub(super) fn refine(&mut self, group: &[u32], need: u64) {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let start = self.effort.get();
        let each = (EFFORT_SMALL / group.len().max(10) as u64).max(EFFORT);
        let (mut best, mut best_at) = (self.cost(group), self.journal.len());
        let mut fruitless = 0;
        while fruitless < FRUITLESS && !is_enough(best, need) {
            let effort = if best.0 > 0 { each * PATIENCE } else { each };
            let from = self.journal.len();
            self.banned = self.take_back(group, &mut dice);
            if self.banned.is_empty() || self.effort.get() - start > effort {
                break;
            }
            self.mend(group);
            self.banned.clear();
            self.polish(group);
            let cost = self.cost(group);
            fruitless += 1;
            if cost < best {
                (best, best_at, fruitless) = (cost, self.journal.len(), 0);
            } else if cost.0 > best.0 || cost.1 > best.1 + best.1 / DETOUR {
                self.roll_back(from);
            }
        }
        self.banned.clear();
        self.roll_back(best_at);
    }

    /// Sends some replicas home: one that moved, and others that moved off or onto the same brokers.
    fn take_back(&mut self, group: &[u32], dice: &mut Dice) -> Vec<Item> {
        let away: Vec<_> = self.away_in(group).filter_map(|(item, at)| Some((item, at, self.home(item)?))).collect();
        // Of a few, the one between the brokers that moved most in vain.
        let vain = |(_, at, home): &(Item, u32, u32)| self.spare(*at).saturating_add(self.slack(*home));
        let Some((_, at, home)) = (0..3).filter_map(|_| dice.pick(&away)).max_by_key(vain) else { return Vec::new() };
        let near: Vec<_> = away.iter().filter(|(_, to, from)| *to == at || *from == home).copied().collect();
        let mut banned = Vec::new();
        for pool in [&near, &near, &away, &near].into_iter().take(1 + dice.below(4)) {
            let Some((item, at, home)) = dice.pick(pool) else { continue };
            if !banned.contains(&item) && !self.layout.holds(super::numbers::wide(item.partition), home) {
                self.walk(Step { item, from: at, to: home });
                banned.push(item);
            }
        }
        banned
    }

    fn roll_back(&mut self, from: usize) {
        while self.journal.len() > from
            && let Some(step) = self.journal.pop()
        {
            self.carry(step.item, step.to, step.from);
        }
    }

    /// What a group costs.
    pub(super) fn cost(&self, group: &[u32]) -> Cost {
        let beside = group.iter().map(|broker| u128::from(self.excess(*broker)) + u128::from(self.lack(*broker))).sum();
        let copied = group.iter().flat_map(|broker| self.away_list(*broker)).map(|item| u128::from(item.weight)).sum();
        (beside, copied)
    }
}

fn is_enough((beside, copied): Cost, need: u64) -> bool {
    beside == 0 && copied <= u128::from(need + need / GOOD_ENOUGH)
}

/// Throws numbers that look random (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let at = self.below(items.len());
        items.get(at).copied()
    }
}
