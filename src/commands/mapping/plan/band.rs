//! [`Band`]: between which loads a broker should end.

use super::layout::Layout;
use super::model::Model;
use super::model::Node;
use super::numbers;
use super::window;

/// Least and most that a broker should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Band {
    /// Least.
    pub(super) low: u64,
    /// Most.
    pub(super) high: u64,
}

/// How far apart brokers may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// So many millionths of the mean of their rack above or below it.
    Around(u64),
    /// So many bytes from the emptiest to the fullest, all racks together. Where in between the mean lies is free.
    Range(u64),
}

impl Width {
    /// What a goal asks for. Where no size is known, loads are numbers of replicas: a range in bytes says nothing.
    pub(super) fn of(model: &Model<'_>) -> Self {
        match model.goal.range {
            Some(range) if !model.by_count => Self::Range(range),
            _ => Self::Around(numbers::millionths(model.goal.tolerance)),
        }
    }

    /// The number that it is made of.
    pub(super) fn amount(self) -> u64 {
        match self {
            Self::Around(amount) | Self::Range(amount) => amount,
        }
    }

    /// The same kind with another number.
    pub(super) fn with(self, amount: u64) -> Self {
        match self {
            Self::Around(_) => Self::Around(amount),
            Self::Range(_) => Self::Range(amount),
        }
    }
}

/// The bands of all open brokers: the best choice first, others that may turn out cheaper after it. What brokers that are
/// not open hold is not counted. No band goes beyond what disks hold below their limit.
pub(super) fn bands(layout: &Layout<'_, '_>, width: Width) -> Vec<Vec<Band>> {
    let mut choices = match width {
        Width::Around(tolerance) => vec![around_means(layout, tolerance)],
        Width::Range(range) => window::bands(layout, range),
    };
    for (at, band) in choices.iter_mut().flat_map(|bands| bands.iter_mut().enumerate()) {
        let most = layout.model.most(numbers::narrow(at));
        *band = Band { low: band.low.min(most), high: band.high.min(most) };
    }
    choices
}

/// The mean of the rack, weighted by capacity where that is known, give or take the tolerance in millionths. Brokers whose
/// disks don't hold it leave the rest to the others.
fn around_means(layout: &Layout<'_, '_>, tolerance: u64) -> Vec<Band> {
    let model = layout.model;
    let (sums, is_full) = sums_of_roomy(layout);
    let band = |at: usize| {
        let node = &model.brokers[at];
        let broker = numbers::narrow(at);
        match (node.open, is_full[at]) {
            (false, _) => Band::default(),
            (true, true) => around(u128::from(model.most(broker)), 1, tolerance),
            (true, false) => {
                let (load, shares) = sums[node.rack];
                around(load * u128::from(model.share(broker)), shares, tolerance)
            }
        }
    };
    (0..model.brokers.len()).map(band).collect()
}

/// What the open brokers of each rack hold, and their shares, without those whose disks don't hold their part of it below
/// the limit; and which these are. They are taken to hold as much as they can.
fn sums_of_roomy(layout: &Layout<'_, '_>) -> (Vec<(u128, u128)>, Vec<bool>) {
    let model = layout.model;
    let mut sums = sums(layout);
    let mut is_full = vec![false; model.brokers.len()];
    // Each pass finds at least one more.
    for _ in 0..model.brokers.len() {
        let lacks = |at: &usize| {
            let (node, broker) = (&model.brokers[*at], numbers::narrow(*at));
            let (load, shares) = sums[node.rack];
            let share = u128::from(model.share(broker));
            node.open && !is_full[*at] && u128::from(model.most(broker)) < load * share / shares.max(1)
        };
        let found: Vec<usize> = (0..model.brokers.len()).filter(lacks).collect();
        if found.is_empty() {
            break;
        }
        for at in found {
            let (rack, broker) = (model.brokers[at].rack, numbers::narrow(at));
            is_full[at] = true;
            sums[rack].0 = sums[rack].0.saturating_sub(u128::from(model.most(broker)));
            sums[rack].1 = sums[rack].1.saturating_sub(u128::from(model.share(broker)));
        }
    }
    (sums, is_full)
}

/// What the open brokers of each rack hold, and their shares.
pub(super) fn sums(layout: &Layout<'_, '_>) -> Vec<(u128, u128)> {
    let model = layout.model;
    let mut sums = vec![(0_u128, 0_u128); model.racks.len()];
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open) {
        sums[node.rack].0 += u128::from(layout.load[at]);
        sums[node.rack].1 += u128::from(model.share(numbers::narrow(at)));
    }
    sums
}

/// The most that each open broker should hold once the brokers that leave are empty: the mean of its rack.
pub(super) fn ceilings(layout: &Layout<'_, '_>) -> Vec<u64> {
    let model = layout.model;
    let mut sums = vec![(0_u128, 0_u128); model.racks.len()];
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open || node.leaving) {
        sums[node.rack].0 += u128::from(model.load[at]);
        sums[node.rack].1 += if node.open { u128::from(model.share(numbers::narrow(at))) } else { 0 };
    }
    let width = Width::of(model);
    let ceiling = |(at, node): (usize, &Node)| {
        let (load, shares) = sums[node.rack];
        let load = load * u128::from(model.share(numbers::narrow(at)));
        match width {
            Width::Around(tolerance) => around(load, shares, tolerance).high,
            Width::Range(range) => around(load, shares, 0).high.saturating_add(range / 2),
        }
    };
    model.brokers.iter().enumerate().map(ceiling).collect()
}

/// The width of the same kind at which nothing needs to move.
pub(super) fn widest(layout: &Layout<'_, '_>, width: Width) -> Width {
    let open = || layout.model.brokers.iter().enumerate().filter(|(_, node)| node.open).map(|(at, _)| at);
    let amount = match width {
        Width::Around(_) => {
            let means = around_means(layout, 0);
            let away = open().map(|at| {
                let mean = u128::from(means[at].low.max(1));
                let load = u128::from(layout.load[at]);
                numbers::clamp((load.abs_diff(mean) * numbers::MILLION).div_ceil(mean))
            });
            away.max().unwrap_or(0)
        }
        Width::Range(_) => window::range(layout),
    };
    width.with(amount.saturating_add(1))
}

/// The whole numbers within a tolerance of a quotient; at least its two neighbours, since loads are whole.
fn around(dividend: u128, divisor: u128, tolerance: u64) -> Band {
    let tolerance = u128::from(tolerance);
    let mean = dividend / divisor.max(1);
    let slack = mean.saturating_mul(tolerance);
    let low = (dividend / divisor.max(1) * numbers::MILLION).saturating_sub(slack).div_ceil(numbers::MILLION);
    let high = (mean * numbers::MILLION + slack) / numbers::MILLION;
    let above = dividend.div_ceil(divisor.max(1));
    Band { low: numbers::clamp(low.min(mean)), high: numbers::clamp(high.max(above)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_lies_within_the_tolerance_and_holds_the_mean() {
        for (dividend, divisor, tolerance, low, high) in [
            (1000, 10, 50_000, 95, 105),
            (1005, 10, 50_000, 95, 105),
            (1005, 10, 0, 100, 101),
            (7, 3, 10_000, 2, 3),
            (0, 3, 50_000, 0, 0),
            (5, 0, 0, 5, 5),
            (1_000, 10, 2_000_000, 0, 300),
        ] {
            assert_eq!(around(dividend, divisor, tolerance), Band { low, high }, "{dividend}/{divisor} ± {tolerance}");
        }
    }
}
