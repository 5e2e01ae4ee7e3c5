//! Which log dir Kafka puts a new replica into, and whether it fits there: one model for those who plan moves and those who
//! carry them out.
//!
//! A broker puts a new replica into the log dir that holds the fewest partitions (`LogManager.nextLogDirs`), however full
//! that is; log dirs that are offline or cordoned are left out. So a replica must fit into each log dir that may be its
//! turn, not into the one with the most space. How many of the new ones each gets is known from the numbers of partitions;
//! which of them is not, so each is taken to be as large as the largest.

use crate::cluster::metadata::LogDir;
use crate::cluster::size::{Bytes, part_of};

/// Most log dirs that one sentence names.
const NAMES_MAX: usize = 4;

/// A log dir that may get new replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Room {
    /// How many partitions it holds.
    pub partitions: u32,
    /// Bytes that it may still take.
    pub bytes: u64,
    /// Its place among the log dirs of its broker.
    pub dir: usize,
}

/// The log dirs of a broker that may get new replicas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogDirs {
    /// Fewest partitions first. None where nothing is known.
    rooms: Vec<Room>,
}

/// What comes to a broker, into log dirs that the broker chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coming {
    /// How many replicas.
    pub replicas: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

impl Coming {
    /// With one more replica.
    #[must_use]
    pub fn and(self, bytes: u64) -> Self {
        Self {
            replicas: self.replicas.saturating_add(1),
            bytes: self.bytes.saturating_add(bytes),
            largest: self.largest.max(bytes),
        }
    }
}

/// A log dir that does not hold what may come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// Its place among the log dirs of its broker; none where only all of them together are too small.
    pub dir: Option<usize>,
    /// How many of the new replicas it may get.
    pub replicas: u64,
    /// The most bytes that may come to it.
    pub bytes: u64,
    /// Bytes that it may take.
    pub room: u64,
}

impl LogDirs {
    /// How Kafka chooses, for messages.
    pub const RULE: &str = "Kafka puts a new replica into the log dir with the fewest partitions, not into the one with the \
         most space";

    /// How many partitions a log dir holds, as far as that is known.
    pub fn partitions_of(dir: &LogDir) -> u32 {
        dir.partitions.unwrap_or(0)
    }

    /// From partitions and room of each.
    pub fn new(mut rooms: Vec<Room>) -> Self {
        rooms.sort_unstable();
        Self { rooms }
    }

    /// The log dir that is too small for what comes, before anything that leaves is gone; none if all fits.
    pub fn too_small(&self, coming: Coming) -> Option<TooSmall> {
        let all = TooSmall {
            dir: None,
            replicas: u64::from(coming.replicas),
            bytes: coming.bytes,
            room: if self.is_known() { self.room() } else { u64::MAX },
        };
        let all = (all.bytes > all.room).then_some(all);
        if let [only] = self.rooms.as_slice() {
            return all.map(|all| TooSmall { dir: Some(only.dir), ..all });
        }
        let turns = turns(&self.rooms, all_of(coming));
        let most = |turns: &u64| coming.largest.saturating_mul(*turns).min(coming.bytes);
        let full = self.rooms.iter().zip(&turns).find(|(room, turns)| most(turns) > room.bytes);
        let full = full.map(|(room, turns)| TooSmall {
            dir: Some(room.dir),
            replicas: *turns,
            bytes: most(turns),
            room: room.bytes,
        });
        full.or(all)
    }

    /// Whether they can take what comes, before anything that leaves is gone.
    pub fn can_take(&self, coming: Coming) -> bool {
        match self.rooms.as_slice() {
            [] => true,
            [only] => coming.bytes <= only.bytes,
            rooms => {
                let turns = turns(rooms, all_of(coming));
                let fits = |(turns, room): (&u64, &Room)| {
                    coming.largest.saturating_mul(*turns).min(coming.bytes) <= room.bytes
                };
                turns.iter().zip(rooms).all(fits) && coming.bytes <= self.room()
            }
        }
    }

    /// Bytes that they may still take in all; of several, it depends on where Kafka puts them.
    pub fn room(&self) -> u64 {
        self.rooms.iter().fold(0, |sum: u64, room| sum.saturating_add(room.bytes))
    }

    /// Whether Kafka chooses among several.
    pub fn are_several(&self) -> bool {
        self.rooms.len() > 1
    }

    /// Whether anything is known of them.
    pub fn is_known(&self) -> bool {
        !self.rooms.is_empty()
    }

    /// Whether nothing can come although there is room: the log dir whose turn it is has none.
    pub fn is_blocked(&self) -> bool {
        self.are_several() && self.room() > 0 && !self.can_take(Coming { replicas: 1, bytes: 1, largest: 1 })
    }

    /// Where Kafka puts so many new replicas, in words; none where it has no choice.
    pub fn choice(&self, replicas: u32, paths: &[LogDir]) -> Option<String> {
        if !self.are_several() || replicas == 0 {
            return None;
        }
        let turns = turns(&self.rooms, u64::from(replicas));
        let chosen: Vec<_> = self.rooms.iter().zip(turns).filter(|(_, turns)| *turns > 0).collect();
        let path = |room: &Room| paths.get(room.dir).map_or("?", |dir| dir.path.as_str()).to_owned();
        let words = |(room, turns): &(&Room, u64)| {
            let held = format!("it holds {}, and {} more fit", partitions(room.partitions), Bytes(room.bytes));
            format!("up to {turns} in {} ({held})", path(room))
        };
        let mut named: Vec<_> = chosen.iter().take(NAMES_MAX).map(words).collect();
        if chosen.len() > NAMES_MAX {
            named.push(format!("the others in {} more log dirs", chosen.len() - NAMES_MAX));
        }
        Some(named.join(", "))
    }
}

fn partitions(count: u32) -> String {
    format!("{count} partition{}", if count == 1 { "" } else { "s" })
}

fn all_of(coming: Coming) -> u64 {
    u64::from(coming.replicas)
}

/// The most new replicas that each log dir may get: they are filled up to an even number of partitions, and of those that
/// hold equally many, any may be the next.
fn turns(rooms: &[Room], replicas: u64) -> Vec<u64> {
    let poured = |level: u64| rooms.iter().map(|room| level.saturating_sub(u64::from(room.partitions))).sum::<u64>();
    let (mut low, mut high) = (0, u64::from(u32::MAX) + replicas);
    while low < high {
        let middle = low.midpoint(high);
        if poured(middle) >= replicas { high = middle } else { low = middle + 1 }
    }
    rooms.iter().map(|room| low.saturating_sub(u64::from(room.partitions)).min(replicas)).collect()
}

/// Bytes that a log dir may still take below a limit, a part of its volume from 0 to 1: `growth` are those that its
/// replicas still lack. None where the broker does not tell (before Kafka 3.3).
pub fn room_of(dir: &LogDir, growth: u64, limit: f64) -> Option<u64> {
    let (total, usable) = dir.total_bytes.zip(dir.usable_bytes)?;
    let used = total.saturating_sub(usable).saturating_add(growth);
    Some(part_of(total, limit).saturating_sub(used))
}

/// Whether a broker may put new replicas into a log dir.
pub fn takes_new(dir: &LogDir) -> bool {
    dir.fault.is_none() && !dir.is_cordoned
}

/// Whether a broker is cordoned: each log dir that is online is (KIP-1066).
pub fn is_cordoned(dirs: &[LogDir]) -> bool {
    let mut online = dirs.iter().filter(|dir| dir.fault.is_none()).peekable();
    online.peek().is_some() && online.all(|dir| dir.is_cordoned)
}

/// The log dirs of a broker that are offline while others work, in words; none if there are none.
pub fn offline(dirs: &[LogDir]) -> Option<String> {
    let down: Vec<_> = dirs.iter().filter_map(|dir| Some((&dir.path, dir.fault.as_ref()?))).collect();
    if down.is_empty() || down.len() == dirs.len() {
        return None;
    }
    let (first, more) = (down[0], down.len() - 1);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some(format!(
        "log dir {} is offline ({}){more}: only what the others hold and can take is counted",
        first.0, first.1
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dirs(rooms: &[(u32, u64)]) -> LogDirs {
        let room =
            |(dir, (partitions, bytes)): (usize, &(u32, u64))| Room { partitions: *partitions, bytes: *bytes, dir };
        LogDirs::new(rooms.iter().enumerate().map(room).collect())
    }

    fn can_take(rooms: &[(u32, u64)], replicas: u32, bytes: u64, largest: u64) -> bool {
        dirs(rooms).can_take(Coming { replicas, bytes, largest })
    }

    fn dir(path: &str) -> LogDir {
        LogDir { path: path.into(), ..LogDir::default() }
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
        assert!(dirs(&[(9, 1_000), (3, 0)]).is_blocked());
        assert!(!dirs(&[(9, 0), (3, 1_000)]).is_blocked());
        assert!(!dirs(&[(3, 0)]).is_blocked());
    }

    #[test]
    fn the_log_dir_that_kafka_chooses_is_named_with_what_it_holds() {
        let paths = [dir("/big"), dir("/small")];
        let rooms = dirs(&[(9, 1_000), (3, 50)]);
        let words = rooms.choice(7, &paths).unwrap();
        assert_eq!(
            words,
            "up to 7 in /small (it holds 3 partitions, and 50 B more fit), up to 1 in /big (it holds 9 partitions, and 1.0 \
             kB more fit)"
        );
        assert_eq!(dirs(&[(9, 1_000)]).choice(7, &paths), None);
        let full = rooms.too_small(Coming { replicas: 2, bytes: 80, largest: 60 }).unwrap();
        assert_eq!(full, TooSmall { dir: Some(1), replicas: 2, bytes: 80, room: 50 });
    }

    #[test]
    fn a_broker_is_cordoned_when_every_online_log_dir_is() {
        let cordoned = |path| LogDir { is_cordoned: true, ..dir(path) };
        let offline_dir = LogDir { fault: Some("KAFKA_STORAGE_ERROR (56)".into()), ..dir("/b") };
        assert!(!is_cordoned(&[]));
        assert!(!is_cordoned(&[cordoned("/a"), dir("/b")]));
        assert!(is_cordoned(&[cordoned("/a"), offline_dir.clone()]));
        assert!(!is_cordoned(std::slice::from_ref(&offline_dir)), "nothing of it is known");
        assert!(offline(&[dir("/a"), offline_dir.clone()]).unwrap().starts_with("log dir /b is offline"));
        assert_eq!(offline(&[offline_dir]), None, "then the whole broker is out of order");
    }

    /// Puts replicas where Kafka would, ties broken by `tie`: whether each log dir holds what it gets.
    fn place(rooms: &[(u32, u64)], sizes: &[u64], tie: usize) -> bool {
        let mut dirs: Vec<_> = rooms.to_vec();
        for size in sizes {
            let fewest = dirs.iter().map(|dir| dir.0).min().unwrap();
            let equal: Vec<_> = (0..dirs.len()).filter(|at| dirs[*at].0 == fewest).collect();
            let (held, left) = &mut dirs[equal[tie % equal.len()]];
            *held += 1;
            let Some(rest) = left.checked_sub(*size) else { return false };
            *left = rest;
        }
        true
    }

    proptest! {
        #[test]
        fn what_can_be_taken_fits_in_whatever_order_it_comes(
            rooms in proptest::collection::vec((0_u32..6, 0_u64..200), 1..4),
            sizes in proptest::collection::vec(0_u64..60, 0..9).prop_shuffle(),
            tie in 0_usize..3,
        ) {
            let coming = sizes.iter().fold(Coming::default(), |coming, size| coming.and(*size));
            let model = dirs(&rooms);
            prop_assert_eq!(model.can_take(coming), model.too_small(coming).is_none());
            if model.can_take(coming) {
                prop_assert!(place(&rooms, &sizes, tie), "{rooms:?} {sizes:?}");
            }
            // One more byte of room, or one replica less, never makes it worse.
            if let Some(last) = sizes.last().filter(|_| model.can_take(coming)) {
                let fewer = sizes[..sizes.len() - 1].iter().fold(Coming::default(), |coming, size| coming.and(*size));
                prop_assert!(model.can_take(fewer), "without {last}");
            }
        }

        #[test]
        fn one_replica_is_taken_exactly_where_each_log_dir_of_its_turn_has_room(
            rooms in proptest::collection::vec((0_u32..6, 0_u64..200), 1..4),
            size in 0_u64..200,
        ) {
            let fits = (0..rooms.len()).all(|tie| place(&rooms, &[size], tie));
            prop_assert_eq!(can_take(&rooms, 1, size, size), fits);
        }
    }
}
