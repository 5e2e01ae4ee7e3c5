//! How far the moves are at one moment: partitions and bytes, in all and for each broker.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::seen::{Observed, State};

/// How far the moves are at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Progress {
    /// Partitions of the plan.
    pub partitions: usize,
    /// As planned.
    pub done: usize,
    /// Moving.
    pub running: usize,
    /// Not begun.
    pub waiting: usize,
    /// Not where they should be, and not to be moved by us: gone, changed by somebody, or in another move.
    pub lost: usize,
    /// Bytes that all moves copy: of each move the size that it had when it began.
    pub bytes: u64,
    /// Of these, the bytes that are copied.
    pub bytes_done: u64,
    /// Bytes that producers have added to running moves since they began; they are copied, too.
    pub bytes_grown: u64,
    /// What arrives on each broker.
    pub brokers: BTreeMap<BrokerId, Arriving>,
    /// Moves that run, with their copies.
    #[serde(skip)]
    pub open: BTreeMap<TopicPartition, OpenMove>,
}

/// What arrives on one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Arriving {
    /// Partitions that are being copied there.
    pub running: usize,
    /// Bytes that come to it in all, as the moves were when they began.
    pub bytes: u64,
    /// Of these, the bytes that are there.
    pub bytes_done: u64,
    /// Bytes that still have to be copied as things are now, growth included.
    pub bytes_left: u64,
}

/// A move that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenMove {
    /// Bytes of the leader's copy.
    pub size: u64,
    /// Bytes that each adding replica holds.
    pub held: BTreeMap<BrokerId, u64>,
}

/// How far these moves are. `totals` holds the bytes of one copy when a move began, as far as that is known, else its
/// present size counts; `is_lost` tells moves that are given up, whatever they look like.
pub fn progress(
    moves: &[PartitionMove],
    observed: &Observed,
    totals: &BTreeMap<TopicPartition, u64>,
    is_lost: impl Fn(&TopicPartition) -> bool,
) -> Progress {
    let mut progress = Progress { partitions: moves.len(), ..Progress::default() };
    for one in moves {
        let state = observed.state(one);
        match state {
            _ if is_lost(&one.partition) => {
                progress.lost += 1;
                continue;
            }
            State::Done => progress.done += 1,
            State::Running => progress.running += 1,
            State::Waiting | State::Grown => progress.waiting += 1,
            State::Foreign | State::Strayed | State::Gone => {
                progress.lost += 1;
                continue;
            }
        }
        progress.add(one, observed, state, totals.get(&one.partition).copied());
    }
    progress
}

impl Progress {
    fn add(&mut self, one: &PartitionMove, observed: &Observed, state: State, total: Option<u64>) {
        let size = observed.size_of(one);
        let total = total.unwrap_or(size);
        let mut open = OpenMove { size, held: BTreeMap::new() };
        for broker in one.adding() {
            let (held, left) = match state {
                State::Done | State::Grown => (total, 0),
                State::Running => {
                    let held = observed.held_by(&one.partition, broker).map_or(0, |held| held.bytes);
                    open.held.insert(broker, held.min(size));
                    (held.min(total), size.saturating_sub(held))
                }
                _ => (0, size),
            };
            let arriving = self.brokers.entry(broker).or_default();
            arriving.running += usize::from(state == State::Running);
            arriving.bytes = arriving.bytes.saturating_add(total);
            arriving.bytes_done = arriving.bytes_done.saturating_add(held);
            arriving.bytes_left = arriving.bytes_left.saturating_add(left);
            self.bytes = self.bytes.saturating_add(total);
            self.bytes_done = self.bytes_done.saturating_add(held);
            if state == State::Running {
                self.bytes_grown = self.bytes_grown.saturating_add(size.saturating_sub(total));
            }
        }
        if state == State::Running {
            self.open.insert(one.partition.clone(), open);
        }
    }
}
