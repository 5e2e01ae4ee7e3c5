//! Finds the few weights among many whose sum meets a need with the least to spare.

/// Indices of up to three weights, heaviest first, and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    indices: [usize; 3],
    len: usize,
    /// Their sum.
    pub(super) sum: u64,
}

impl Fit {
    /// The indices.
    pub(super) fn indices(&self) -> &[usize] {
        &self.indices[..self.len]
    }
}

/// How many of the heaviest weights are tried as the first of three.
const FIRSTS_MAX: usize = 48;

/// One, two or three weights with a sum from `need` to `limit`: the fewest whose sum is at most `enough`, or else those
/// with the least sum. `weights` are sorted, the lightest first.
pub(super) fn fit(weights: &[u64], need: u64, enough: u64, limit: u64) -> Option<Fit> {
    let within = weights.partition_point(|weight| *weight <= limit);
    let weights = &weights[..within];
    let single = one(weights, need, limit);
    if single.is_some_and(|fit| fit.sum <= enough) {
        return single;
    }
    let double = two(weights, need, limit);
    if double.is_some_and(|fit| fit.sum <= enough) {
        return double;
    }
    let triple = three(weights, need, enough, limit);
    [single, double, triple].into_iter().flatten().min_by_key(|fit| fit.sum)
}

fn one(weights: &[u64], need: u64, limit: u64) -> Option<Fit> {
    let at = weights.partition_point(|weight| *weight < need);
    let sum = *weights.get(at)?;
    (sum <= limit).then_some(Fit { indices: [at, 0, 0], len: 1, sum })
}

/// Walks from both ends towards the middle: the least sum of two that is not below the need.
fn two(weights: &[u64], need: u64, limit: u64) -> Option<Fit> {
    let mut high = weights.len().checked_sub(1)?;
    if weights[high].saturating_mul(2) < need {
        return None;
    }
    let mut low = 0;
    let mut best: Option<Fit> = None;
    while low < high {
        let sum = weights[low].saturating_add(weights[high]);
        if sum < need {
            low += 1;
            continue;
        }
        if sum <= limit && best.is_none_or(|best| sum < best.sum) {
            best = Some(Fit { indices: [high, low, 0], len: 2, sum });
        }
        high -= 1;
    }
    best
}

/// Each of the heaviest as the first, then two of the lighter ones.
fn three(weights: &[u64], need: u64, enough: u64, limit: u64) -> Option<Fit> {
    let mut best: Option<Fit> = None;
    for first in (2..weights.len()).rev().take(FIRSTS_MAX) {
        let weight = weights[first];
        if weight.saturating_mul(3) < need {
            break;
        }
        if weight >= limit {
            continue;
        }
        let Some(pair) = two(&weights[..first], need.saturating_sub(weight), limit - weight) else { continue };
        let sum = weight + pair.sum;
        if best.is_none_or(|best| sum < best.sum) {
            best = Some(Fit { indices: [first, pair.indices[0], pair.indices[1]], len: 3, sum });
            if sum <= enough {
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_weights_that_are_near_enough_are_chosen() {
        let weights = [1, 2, 5, 9, 14, 30];
        for (need, enough, limit, indices, sum) in [
            (9, 9, 100, &[3][..], 9),
            (10, 10, 100, &[3, 0], 10),
            (10, 14, 100, &[4], 14),
            (12, 12, 100, &[3, 1, 0], 12),
            (13, 13, 100, &[4], 14),
            (45, 45, 45, &[5, 4, 0], 45),
        ] {
            let found = fit(&weights, need, enough, limit).unwrap();
            assert_eq!((found.indices(), found.sum), (indices, sum), "{need} {enough} {limit}");
        }
        assert_eq!(fit(&weights, 60, 60, 100), None);
        assert_eq!(fit(&weights, 3, 3, 2), None);
        assert_eq!(fit(&[], 1, 1, 1), None);
    }
}
