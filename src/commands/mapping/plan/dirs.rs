//! [`LogDirs`]: whether a broker's log dirs can take new replicas, wherever Kafka puts them.
//!
//! A broker puts a new replica into the log dir that holds the fewest partitions, however full that is. So a replica must
//! fit into each log dir that may be its turn, not into the roomiest. How many of the new ones each gets is known from the
//! numbers of partitions; which of them is not, so each is taken to be as large as the largest.

/// The log dirs of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LogDirs {
    /// How many partitions each holds, and what it may still take; fewest partitions first. None where that is not known.
    dirs: Vec<(u32, u64)>,
}

/// What comes to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Coming {
    /// How many replicas.
    pub(super) replicas: u32,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Bytes of the largest.
    pub(super) largest: u64,
}

impl LogDirs {
    /// From partitions and room of each.
    pub(super) fn new(mut dirs: Vec<(u32, u64)>) -> Self {
        dirs.sort_unstable();
        Self { dirs }
    }

    /// Whether they can take what comes, before anything that leaves is gone.
    pub(super) fn can_take(&self, coming: Coming) -> bool {
        match self.dirs.as_slice() {
            [] => true,
            [(_, room)] => coming.bytes <= *room,
            dirs => {
                let turns = turns(dirs, u64::from(coming.replicas));
                let fits = |(turns, (_, room)): (&u64, &(u32, u64))| {
                    coming.largest.saturating_mul(*turns).min(coming.bytes) <= *room
                };
                turns.iter().zip(dirs).all(fits) && coming.bytes <= self.room()
            }
        }
    }

    /// Bytes that they may still take in all; of several, it depends on where Kafka puts them.
    pub(super) fn room(&self) -> u64 {
        self.dirs.iter().fold(0, |sum: u64, (_, room)| sum.saturating_add(*room))
    }

    /// Whether Kafka chooses among several.
    pub(super) fn are_several(&self) -> bool {
        self.dirs.len() > 1
    }

    /// Whether anything is known of them.
    pub(super) fn is_known(&self) -> bool {
        !self.dirs.is_empty()
    }

    /// Whether nothing can come although there is room: the log dir whose turn it is has none.
    pub(super) fn is_blocked(&self) -> bool {
        self.are_several() && self.room() > 0 && !self.can_take(Coming { replicas: 1, bytes: 1, largest: 1 })
    }
}

/// The most new replicas that each log dir may get: they are filled up to an even number of partitions, and of those that
/// hold equally many, any may be the next.
fn turns(dirs: &[(u32, u64)], replicas: u64) -> Vec<u64> {
    let poured = |level: u64| dirs.iter().map(|(held, _)| level.saturating_sub(u64::from(*held))).sum::<u64>();
    let (mut low, mut high) = (0, u64::from(u32::MAX) + replicas);
    while low < high {
        let middle = low.midpoint(high);
        if poured(middle) >= replicas { high = middle } else { low = middle + 1 }
    }
    dirs.iter().map(|(held, _)| low.saturating_sub(u64::from(*held)).min(replicas)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn can_take(dirs: &[(u32, u64)], replicas: u32, bytes: u64, largest: u64) -> bool {
        LogDirs::new(dirs.to_vec()).can_take(Coming { replicas, bytes, largest })
    }

    #[test]
    fn a_replica_must_fit_into_the_log_dir_with_the_fewest_partitions() {
        let dirs = [(9, 1_000), (3, 50)];
        assert!(can_take(&dirs, 1, 50, 50));
        assert!(!can_take(&dirs, 1, 51, 51), "the other has room, and Kafka does not put it there");
        assert!(!can_take(&dirs, 6, 60, 10), "six come before the other has its turn");
        assert!(can_take(&[(3, 1_000), (3, 50)], 4, 180, 25), "two each, whichever they are");
        assert!(can_take(&[(4, 100), (4, 80)], 1, 80, 80));
        assert!(!can_take(&[(4, 100), (4, 80)], 1, 81, 81), "either may be the first");
        assert!(can_take(&[(9, 100)], 3, 100, 40));
        assert!(!can_take(&[(9, 100)], 3, 101, 40));
        assert!(can_take(&[], 3, u64::MAX, 40), "what is not known is no limit");
    }

    #[test]
    fn a_full_log_dir_with_few_partitions_blocks_its_broker() {
        assert!(LogDirs::new(vec![(9, 1_000), (3, 0)]).is_blocked());
        assert!(!LogDirs::new(vec![(9, 0), (3, 1_000)]).is_blocked());
        assert!(!LogDirs::new(vec![(3, 0)]).is_blocked());
    }
}
