//! The time that is told: simulated copying beside steady producers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{act, at, finish, one, world};
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::commands::reassign::plan::pace::{Left, Pace};
use crate::commands::reassign::plan::progress::progress;
use crate::commands::reassign::plan::seen::{Observed, State};
use crate::commands::reassign::plan::step::ReassignStep;

const PARTITIONS: i32 = 12;

/// So many at a time.
const AT_ONCE: usize = 3;

/// Bytes of each partition at the beginning.
const SIZE: u64 = 10_000;

const TO: BrokerId = BrokerId(3);

struct Simulated {
    moves: Vec<PartitionMove>,
    observed: Observed,
    totals: BTreeMap<crate::cluster::topic::TopicPartition, u64>,
    pace: Pace,
}

impl Simulated {
    fn new() -> Self {
        let moves: Vec<_> = (0..PARTITIONS).map(|number| one(number, &[1, 2], &[3, 2], SIZE)).collect();
        let observed = world(&[1, 2, 3], &moves);
        Self { moves, observed, totals: BTreeMap::new(), pace: Pace::default() }
    }

    /// One second: so many bytes are written to each partition, and so many are copied in all. Whether all is done.
    fn second(&mut self, now: u64, (written, copied): (u64, u64)) -> bool {
        for number in 0..PARTITIONS {
            let isr = self.observed.partitions[&at(number)].isr.clone();
            let held = self.observed.sizes.held.get_mut(&at(number)).unwrap();
            held.iter_mut().filter(|(broker, _)| isr.contains(broker)).for_each(|(_, held)| held.bytes += written);
        }
        while self.observed.running.len() < AT_ONCE {
            let waits = |one: &&PartitionMove| self.observed.state(one) == State::Waiting;
            let Some(next) = self.moves.iter().find(waits).cloned() else { break };
            self.totals.insert(next.partition.clone(), self.observed.size_of(&next));
            let PartitionMove { partition, from, to, bytes } = next;
            act(&mut self.observed, &ReassignStep::Move { partition, from, to, bytes });
        }
        let running: Vec<_> = self.observed.running.keys().cloned().collect();
        for partition in &running {
            let held = self.observed.sizes.held.get_mut(partition).unwrap();
            let size = held[&BrokerId(2)].bytes;
            let arrived = held.entry(TO).or_default();
            arrived.bytes = size.min(arrived.bytes + copied / u64::try_from(running.len()).unwrap());
            if arrived.bytes == size {
                finish(&mut self.observed, partition);
            }
        }
        let all: Vec<_> = self.moves.iter().collect();
        self.pace.see(Duration::from_secs(now), &all, &self.observed);
        self.moves.iter().all(|one| self.observed.state(one) == State::Done)
    }

    fn told(&self) -> Left {
        self.pace.left(&progress(&self.moves, &self.observed, &self.totals, |_| false))
    }
}

#[test]
fn the_time_told_beside_steady_producers_is_within_a_quarter_of_the_real_one() {
    for written in [0, 5, 20, 60] {
        let mut simulated = Simulated::new();
        let mut told = Vec::new();
        while !simulated.second(u64::try_from(told.len()).unwrap(), (written, 1_000)) {
            told.push(simulated.told());
            assert!(told.len() < 10_000, "{written}: it does not end");
        }
        let whole = told.len();
        for moment in [whole / 3, whole * 2 / 3] {
            let Left::In(left) = told[moment] else { panic!("{written}: {:?}", told[moment]) };
            let real = Duration::from_secs(u64::try_from(whole - moment).unwrap());
            assert!(left.abs_diff(real) * 4 <= real, "{written}, {moment} of {whole}: {left:?} told, {real:?} real");
        }
    }
}

#[test]
fn moves_that_producers_outrun_are_said_not_to_end() {
    let mut simulated = Simulated::new();
    for now in 0..120 {
        assert!(!simulated.second(now, (400, 1_000)));
    }
    assert_eq!(simulated.told(), Left::Never);
    let so_far = progress(&simulated.moves, &simulated.observed, &simulated.totals, |_| false);
    assert!(so_far.bytes_grown > 100_000 && so_far.bytes_done <= so_far.bytes, "growth is shown apart: {so_far:?}");
}
