//! [`Band`]: between which loads a broker shall end.

use super::layout::Layout;
use super::model::Node;
use super::numbers;

/// Least and most that a broker shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Band {
    /// Least.
    pub(super) low: u64,
    /// Most.
    pub(super) high: u64,
}

/// The bands of all open brokers: the mean of the rack, weighted by capacity where that is known, give or take the
/// tolerance in millionths. What brokers of the rack that are not open hold is not counted.
pub(super) fn bands(layout: &Layout<'_, '_>, tolerance: u64) -> Vec<Band> {
    let model = layout.model;
    let mut sums = vec![(0_u128, 0_u128); model.racks.len()];
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open) {
        sums[node.rack].0 += u128::from(layout.load[at]);
        sums[node.rack].1 += u128::from(model.share(numbers::narrow(at)));
    }
    let band = |at: usize| {
        let node = &model.brokers[at];
        if !node.open {
            return Band::default();
        }
        let (load, shares) = sums[node.rack];
        around(load * u128::from(model.share(numbers::narrow(at))), shares, tolerance)
    };
    (0..model.brokers.len()).map(band).collect()
}

/// The most that each open broker shall hold once the brokers that leave are empty: the mean of its rack.
pub(super) fn ceilings(layout: &Layout<'_, '_>) -> Vec<u64> {
    let model = layout.model;
    let mut sums = vec![(0_u128, 0_u128); model.racks.len()];
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open || node.leaving) {
        sums[node.rack].0 += u128::from(model.load[at]);
        sums[node.rack].1 += if node.open { u128::from(model.share(numbers::narrow(at))) } else { 0 };
    }
    let tolerance = numbers::millionths(model.goal.tolerance);
    let ceiling = |(at, node): (usize, &Node)| {
        let (load, shares) = sums[node.rack];
        around(load * u128::from(model.share(numbers::narrow(at))), shares, tolerance).high
    };
    model.brokers.iter().enumerate().map(ceiling).collect()
}

/// The tolerance at which nothing needs to move: how far any open broker is from the mean of its rack, in millionths.
pub(super) fn widest(layout: &Layout<'_, '_>) -> u64 {
    let means = bands(layout, 0);
    let open = layout.model.brokers.iter().enumerate().filter(|(_, node)| node.open);
    let away = open.map(|(at, _)| {
        let mean = u128::from(means[at].low.max(1));
        let load = u128::from(layout.load[at]);
        numbers::clamp((load.abs_diff(mean) * numbers::MILLION).div_ceil(mean))
    });
    away.max().unwrap_or(0).saturating_add(1)
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
