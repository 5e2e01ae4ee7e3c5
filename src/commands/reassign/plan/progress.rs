//! How far the moves are: partitions and bytes, in all and for each broker, how fast, and how long it still takes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::seen::{Observed, State};

/// The time over which the rate is taken.
const RATE_OVER: Duration = Duration::from_mins(1);

/// Most samples that are kept.
const SAMPLES_MAX: usize = 600;

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
    /// Bytes that all moves copy.
    pub bytes: u64,
    /// Bytes that are copied.
    pub bytes_done: u64,
    /// What arrives on each broker.
    pub brokers: BTreeMap<BrokerId, Arriving>,
    /// What is not done yet, with its copies.
    #[serde(skip)]
    pub open: BTreeMap<TopicPartition, OpenMove>,
}

/// What arrives on one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Arriving {
    /// Partitions that are being copied there.
    pub running: usize,
    /// Bytes that come to it in all.
    pub bytes: u64,
    /// Bytes that are there.
    pub bytes_done: u64,
}

/// A move that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenMove {
    /// Bytes of the leader's copy.
    pub size: u64,
    /// Bytes that each adding replica holds.
    pub held: BTreeMap<BrokerId, u64>,
}

/// How far these moves are.
pub fn progress(moves: &[PartitionMove], observed: &Observed) -> Progress {
    let mut progress = Progress { partitions: moves.len(), ..Progress::default() };
    for one in moves {
        let state = observed.state(one);
        match state {
            State::Done => progress.done += 1,
            State::Running => progress.running += 1,
            State::Waiting | State::Grown => progress.waiting += 1,
            State::Foreign | State::Strayed | State::Gone => {
                progress.lost += 1;
                continue;
            }
        }
        let size = observed.size_of(one).max(one.bytes);
        let mut open = OpenMove { size, held: BTreeMap::new() };
        for broker in one.adding() {
            let held = match state {
                State::Done | State::Grown => size,
                State::Running => observed.held_by(&one.partition, broker).map_or(0, |held| held.bytes).min(size),
                _ => 0,
            };
            open.held.insert(broker, held);
            let arriving = progress.brokers.entry(broker).or_default();
            arriving.running += usize::from(state == State::Running);
            arriving.bytes = arriving.bytes.saturating_add(size);
            arriving.bytes_done = arriving.bytes_done.saturating_add(held);
            progress.bytes = progress.bytes.saturating_add(size);
            progress.bytes_done = progress.bytes_done.saturating_add(held);
        }
        if state == State::Running {
            progress.open.insert(one.partition.clone(), open);
        }
    }
    progress
}

impl Progress {
    /// Whether nothing is left that could be done.
    pub fn is_over(&self) -> bool {
        self.running + self.waiting == 0
    }
}

/// Progress over time: from it come rates and the time that is left.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// When, counted from the beginning, and how much had been copied then: in all, and to each broker.
    samples: Vec<(Duration, u64, BTreeMap<BrokerId, u64>)>,
}

impl Pace {
    /// Adds what was seen at a time since the beginning.
    pub fn see(&mut self, at: Duration, progress: &Progress) {
        let brokers = progress.brokers.iter().map(|(broker, arriving)| (*broker, arriving.bytes_done)).collect();
        self.samples.push((at, progress.bytes_done, brokers));
        let oldest = at.saturating_sub(RATE_OVER);
        // One sample at or before the beginning of the time stays: the rate is taken over all of it.
        let keep_from = self.samples.iter().rposition(|(time, ..)| *time <= oldest).unwrap_or(0);
        self.samples.drain(..keep_from.max(self.samples.len().saturating_sub(SAMPLES_MAX)));
    }

    /// Bytes a second, lately; none before there are two samples.
    pub fn rate(&self) -> Option<u64> {
        self.rate_of(|(_, bytes, _)| *bytes)
    }

    /// The same into one broker.
    pub fn rate_into(&self, broker: BrokerId) -> Option<u64> {
        self.rate_of(|(_, _, brokers)| brokers.get(&broker).copied().unwrap_or(0))
    }

    fn rate_of(&self, bytes: impl Fn(&(Duration, u64, BTreeMap<BrokerId, u64>)) -> u64) -> Option<u64> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let millis = u64::try_from(last.0.saturating_sub(first.0).as_millis()).ok().filter(|millis| *millis > 0)?;
        let copied = bytes(last).saturating_sub(bytes(first));
        u64::try_from(u128::from(copied) * 1000 / u128::from(millis)).ok()
    }

    /// The time that is left at the present rate; none while nothing is copied.
    pub fn left(&self, progress: &Progress) -> Option<Duration> {
        let of_broker = |(broker, arriving): (&BrokerId, &Arriving)| self.left_of(*broker, arriving);
        let slowest = progress.brokers.iter().filter_map(of_broker).max();
        let all = left(progress.bytes.saturating_sub(progress.bytes_done), self.rate()?)?;
        Some(slowest.map_or(all, |slowest| slowest.max(all)))
    }

    /// The time until one broker has everything.
    pub fn left_of(&self, broker: BrokerId, arriving: &Arriving) -> Option<Duration> {
        left(arriving.bytes.saturating_sub(arriving.bytes_done), self.rate_into(broker)?)
    }
}

fn left(bytes: u64, rate: u64) -> Option<Duration> {
    match (bytes, rate) {
        (0, _) => Some(Duration::ZERO),
        (_, 0) => None,
        (bytes, rate) => Some(Duration::from_secs(bytes.div_ceil(rate))),
    }
}
