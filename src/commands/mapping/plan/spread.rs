//! [`Spread`]: how many replicas of a partition each rack should hold, so that they are as spread as they can be.

use super::model::Model;

/// Least and most replicas per rack, for one number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Least, by rack.
    pub(super) least: Vec<u32>,
    /// Most, by rack.
    pub(super) most: Vec<u32>,
}

/// Bounds for every number of replicas that occurs.
pub(super) struct Spread {
    /// Open brokers by rack.
    open: Vec<u32>,
    /// Bounds by number of replicas; none where it does not occur.
    by_replicas: Vec<Option<Bounds>>,
}

impl Spread {
    /// Computes them for a model.
    pub(super) fn new(model: &Model<'_>) -> Self {
        let mut open = vec![0; model.racks.len()];
        for node in model.brokers.iter().filter(|node| node.open) {
            open[node.rack] += 1;
        }
        let mut spread = Self { open, by_replicas: Vec::new() };
        for part in &model.partitions {
            spread.prepare(part.wanted);
        }
        spread
    }

    /// How many brokers may get replicas.
    pub(super) fn brokers(&self) -> u32 {
        self.open.iter().sum()
    }

    /// Bounds for a number of replicas that a selected partition should have.
    pub(super) fn bounds(&self, replicas: usize) -> &Bounds {
        static NONE: Bounds = Bounds { least: Vec::new(), most: Vec::new() };
        self.by_replicas.get(replicas).and_then(Option::as_ref).unwrap_or(&NONE)
    }

    /// How many replicas stand in racks that should have fewer, or lack in those that should have more.
    pub(super) fn misplaced(&self, counts: &[u32], wanted: usize) -> u32 {
        let bounds = self.bounds(wanted);
        let over = counts.iter().zip(&bounds.most).map(|(count, most)| count.saturating_sub(*most)).sum::<u32>();
        let under = counts.iter().zip(&bounds.least).map(|(count, least)| least.saturating_sub(*count)).sum::<u32>();
        over.max(under)
    }

    fn prepare(&mut self, replicas: usize) {
        if self.by_replicas.len() <= replicas {
            self.by_replicas.resize(replicas + 1, None);
        }
        if self.by_replicas[replicas].is_none() {
            self.by_replicas[replicas] = Some(bounds(&self.open, u32::try_from(replicas).unwrap_or(u32::MAX)));
        }
    }
}

/// Pours replicas into racks to an even level; a rack holds at most one a broker.
fn bounds(open: &[u32], replicas: u32) -> Bounds {
    let poured = |level: u32| open.iter().map(|brokers| u64::from(*brokers.min(&level))).sum::<u64>();
    let mut level = 0;
    while level < replicas && poured(level + 1) <= u64::from(replicas) && poured(level + 1) > poured(level) {
        level += 1;
    }
    let more = u32::from(poured(level) < u64::from(replicas));
    Bounds {
        least: open.iter().map(|brokers| *brokers.min(&level)).collect(),
        most: open.iter().map(|brokers| *brokers.min(&(level + more))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_poured_evenly_into_racks() {
        for (open, replicas, least, most) in [
            (&[3, 3, 3][..], 3, &[1, 1, 1][..], &[1, 1, 1][..]),
            (&[3, 3, 3], 2, &[0, 0, 0], &[1, 1, 1]),
            (&[3, 3], 3, &[1, 1], &[2, 2]),
            (&[1, 5], 4, &[1, 3], &[1, 3]),
            (&[1, 5, 5], 4, &[1, 1, 1], &[1, 2, 2]),
            (&[0, 4], 3, &[0, 3], &[0, 3]),
            (&[2, 2], 4, &[2, 2], &[2, 2]),
            (&[1, 1], 5, &[1, 1], &[1, 1]),
            (&[2, 2], 0, &[0, 0], &[0, 0]),
        ] {
            assert_eq!(
                bounds(open, replicas),
                Bounds { least: least.to_vec(), most: most.to_vec() },
                "{open:?} {replicas}"
            );
        }
    }
}
