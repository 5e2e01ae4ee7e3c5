//! The bands for a range: one window for all brokers, put where the fewest bytes must move.
//!
//! Racks keep what they hold, so each must move either what is above the window or what is missing below it, whichever is
//! more. The sum of that over all racks is convex in the window's place, so its least is found by narrowing down.

use super::band::Band;
use super::band::sums;
use super::layout::Layout;
use super::numbers;

/// A rack whose mean would lie outside of the window gets one that holds it, this part of the range from the edge: its
/// brokers could not be brought into the other.
const MARGIN: u64 = 8;

/// How much more must move in windows beside the best one: one part in so many.
const DETOURS: &[u128] = &[250, 80];

/// The open brokers: loads and shares, by rack.
struct Open {
    /// Load and share by rack.
    racks: Vec<Vec<(u64, u64)>>,
    /// The mean share.
    share: u64,
}

impl Open {
    fn of(layout: &Layout<'_, '_>) -> Self {
        let model = layout.model;
        let mut racks = vec![Vec::new(); model.racks.len()];
        let mut total = (0_u128, 0_u128);
        for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open) {
            let share = model.share(numbers::narrow(at));
            racks[node.rack].push((layout.load[at], share));
            total = (total.0 + u128::from(share), total.1 + 1);
        }
        Self { racks, share: numbers::clamp(total.0 / total.1.max(1)).max(1) }
    }

    /// What a broker of the mean share would hold if it were as full as this one.
    fn leveled(&self, (load, share): (u64, u64)) -> u64 {
        scaled(load, self.share, share)
    }

    fn levels(&self) -> impl Iterator<Item = u64> {
        self.racks.iter().flatten().map(|broker| self.leveled(*broker))
    }

    /// What must move at least if the window begins there.
    fn cost(&self, low: u64, range: u64) -> u128 {
        let high = low.saturating_add(range);
        let rack = |brokers: &Vec<(u64, u64)>| {
            let (mut above, mut below) = (0_u128, 0_u128);
            for (load, share) in brokers {
                above += u128::from(load.saturating_sub(scaled(high, *share, self.share)));
                below += u128::from(scaled(low, *share, self.share).saturating_sub(*load));
            }
            above.max(below)
        };
        self.racks.iter().map(rack).sum()
    }

    /// Where windows begin that are worth a try: in the middle of the places where the least must move; and a little
    /// below and above, where a little more must move, but one side has slack to fit whole replicas in.
    fn places(&self, range: u64) -> Vec<u64> {
        let most = self.levels().max().unwrap_or(0);
        let (mut from, mut to) = (0, most);
        // The first place that no later one is better than.
        while from < to {
            let middle = from.midpoint(to);
            if self.cost(middle + 1, range) < self.cost(middle, range) { from = middle + 1 } else { to = middle }
        }
        let least = self.cost(from, range);
        let mut places = vec![from.midpoint(self.last(range, least, (from, most)))];
        for detour in DETOURS.iter().filter(|_| least > 0) {
            let cost = least + least / detour;
            places.push(self.first(range, cost, from));
            places.push(self.last(range, cost, (from, most)));
        }
        places
    }

    /// The last place from one on, which is cheap enough itself, where no more than `cost` must move.
    fn last(&self, range: u64, cost: u128, (mut last, most): (u64, u64)) -> u64 {
        let mut beyond = most.saturating_add(1);
        while last + 1 < beyond {
            let middle = last.midpoint(beyond);
            if self.cost(middle, range) <= cost { last = middle } else { beyond = middle }
        }
        last
    }

    /// The first place up to one, which is cheap enough itself, where no more than `cost` must move.
    fn first(&self, range: u64, cost: u128, mut to: u64) -> u64 {
        let mut from = 0;
        while from < to {
            let middle = from.midpoint(to);
            if self.cost(middle, range) <= cost { to = middle } else { from = middle + 1 }
        }
        to
    }
}

/// The bands of each open broker for a range in bytes, scaled to its share where disks differ: the best first, then
/// others that may turn out cheaper.
pub(super) fn bands(layout: &Layout<'_, '_>, range: u64) -> Vec<Vec<Band>> {
    let open = Open::of(layout);
    open.places(range).into_iter().map(|lowest| open.bands(layout, (lowest, range))).collect()
}

impl Open {
    fn bands(&self, layout: &Layout<'_, '_>, (lowest, range): (u64, u64)) -> Vec<Band> {
        let model = layout.model;
        let margin = range / MARGIN;
        let begins = |(load, shares): (u128, u128)| {
            let mean = numbers::clamp(load * u128::from(self.share) / shares.max(1));
            let last = mean.saturating_sub(margin);
            lowest.clamp(mean.saturating_add(margin).saturating_sub(range).min(last), last)
        };
        let begins: Vec<u64> = sums(layout).into_iter().map(begins).collect();
        let band = |at: usize| {
            let node = &model.brokers[at];
            if !node.open {
                return Band::default();
            }
            let share = model.share(numbers::narrow(at));
            let high = begins[node.rack].saturating_add(range);
            Band { low: scaled(begins[node.rack], share, self.share), high: scaled(high, share, self.share) }
        };
        (0..model.brokers.len()).map(band).collect()
    }
}

/// How much more the fullest open broker holds than the emptiest, scaled to their shares where disks differ.
pub(super) fn range(layout: &Layout<'_, '_>) -> u64 {
    let open = Open::of(layout);
    let (least, most) = open.levels().fold((u64::MAX, 0), |(least, most), level| (least.min(level), most.max(level)));
    most.saturating_sub(least)
}

fn scaled(amount: u64, by: u64, of: u64) -> u64 {
    if by == of { amount } else { numbers::clamp(u128::from(amount) * u128::from(by) / u128::from(of.max(1))) }
}
