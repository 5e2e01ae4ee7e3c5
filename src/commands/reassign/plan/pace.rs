//! How fast the moves are, and how long they still take.
//!
//! What is counted: bytes that arrive on adding replicas of moves under way, and bytes that producers add to moves that are
//! not done. What producers write to partitions that have arrived is neither.
//!
//! The time that is left, for each broker that is copied to: `left / (copied - written)`, all three as they were in the
//! last minute. Moves that wait grow until they end, which is half of the time on average: half of what is written to them
//! counts. Where producers write as fast as is copied, the moves will not end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::progress::{Arriving, Progress};
use crate::commands::reassign::plan::seen::{Observed, State};

/// The time over which rates are taken.
const RATE_OVER: Duration = Duration::from_mins(1);

/// Most samples that are kept.
const SAMPLES_MAX: usize = 600;

/// The longest time that is told; anything longer is as good as never.
const LEFT_MAX: Duration = Duration::from_hours(24 * 365);

/// The time that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing was copied lately.
    Unknown,
    /// Producers write as fast as is copied.
    Never,
    /// So long, at the present rates.
    In(Duration),
}

/// Bytes that were counted so far, of one broker that is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flow {
    copied: u64,
    written_to_running: u64,
    written_to_waiting: u64,
}

/// A move at the last look.
#[derive(Debug, Clone, Default)]
struct Last {
    has_arrived: bool,
    size: u64,
    held: BTreeMap<BrokerId, u64>,
}

/// Counts from look to look; from that come rates and the time that is left.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    moves: BTreeMap<TopicPartition, Last>,
    flows: BTreeMap<BrokerId, Flow>,
    samples: VecDeque<(Duration, BTreeMap<BrokerId, Flow>)>,
}

impl Pace {
    /// Adds what was seen. `sized_at` is when the sizes were read, since the beginning: looks with the same sizes are one
    /// sample.
    pub fn see(&mut self, sized_at: Duration, moves: &[&PartitionMove], observed: &Observed) {
        for one in moves {
            self.count(one, observed);
        }
        if self.samples.back().is_some_and(|(at, _)| *at >= sized_at) {
            return;
        }
        // The time before the first byte says nothing about the rate.
        if self.copied() == 0 {
            self.samples.clear();
        }
        self.samples.push_back((sized_at, self.flows.clone()));
        let oldest = sized_at.saturating_sub(RATE_OVER);
        // One sample at or before the beginning of the time stays: the rate is taken over all of it.
        while self.samples.len() > SAMPLES_MAX || self.samples.get(1).is_some_and(|(at, _)| *at <= oldest) {
            self.samples.pop_front();
        }
    }

    fn count(&mut self, one: &PartitionMove, observed: &Observed) {
        let state = observed.state(one);
        let former = self.moves.get(&one.partition);
        let mut last = Last { has_arrived: former.is_some_and(|last| last.has_arrived), ..Last::default() };
        last.size = observed.size_of(one);
        let grown = former.map_or(0, |former| last.size.saturating_sub(former.size));
        for broker in one.adding() {
            let flow = self.flows.entry(broker).or_default();
            let held_before = former.and_then(|former| former.held.get(&broker)).copied();
            match state {
                State::Done | State::Grown => {
                    // It arrived between two looks: the rest was copied, too.
                    if let Some(former) = former.filter(|former| !former.has_arrived) {
                        let rest = former.size.max(last.size).saturating_sub(held_before.unwrap_or(0));
                        flow.copied = flow.copied.saturating_add(rest);
                    }
                }
                State::Running if !last.has_arrived => {
                    let held = observed.held_by(&one.partition, broker).map(|held| held.bytes);
                    // Whoever meets a running move for the first time knows nothing of what was copied before.
                    let before = if former.is_some() { held_before.unwrap_or(0) } else { held.unwrap_or(0) };
                    let held = held.unwrap_or(before);
                    flow.copied = flow.copied.saturating_add(held.saturating_sub(before));
                    flow.written_to_running = flow.written_to_running.saturating_add(grown);
                    last.held.insert(broker, held);
                }
                State::Waiting => {
                    flow.written_to_waiting = flow.written_to_waiting.saturating_add(grown);
                }
                State::Running | State::Foreign | State::Strayed | State::Gone => {}
            }
        }
        last.has_arrived |= matches!(state, State::Done | State::Grown);
        self.moves.insert(one.partition.clone(), last);
    }

    /// Bytes that were copied since the beginning.
    pub fn copied(&self) -> u64 {
        self.flows.values().map(|flow| flow.copied).fold(0, u64::saturating_add)
    }

    /// Bytes a second, lately; none before there are two samples.
    pub fn rate(&self) -> Option<u64> {
        self.rate_of(|flows| flows.values().map(|flow| flow.copied).fold(0, u64::saturating_add))
    }

    /// The same into one broker.
    pub fn rate_into(&self, broker: BrokerId) -> Option<u64> {
        self.flow_rate(broker, |flow| flow.copied)
    }

    fn flow_rate(&self, broker: BrokerId, bytes: impl Fn(&Flow) -> u64) -> Option<u64> {
        self.rate_of(|flows| flows.get(&broker).map_or(0, &bytes))
    }

    fn rate_of(&self, bytes: impl Fn(&BTreeMap<BrokerId, Flow>) -> u64) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let millis = u64::try_from(last.0.saturating_sub(first.0).as_millis()).ok().filter(|millis| *millis > 0)?;
        let counted = bytes(&last.1).saturating_sub(bytes(&first.1));
        u64::try_from(u128::from(counted) * 1000 / u128::from(millis)).ok()
    }

    /// The time that is left: that of the slowest broker.
    pub fn left(&self, progress: &Progress) -> Left {
        let of_broker = |(broker, arriving): (&BrokerId, &Arriving)| self.left_of(*broker, arriving);
        let all: Vec<_> = progress.brokers.iter().map(of_broker).collect();
        let longest = all.iter().filter_map(|left| if let Left::In(time) = left { Some(*time) } else { None }).max();
        if all.contains(&Left::Never) {
            Left::Never
        } else if all.contains(&Left::Unknown) && longest.is_none_or(|longest| longest.is_zero()) {
            Left::Unknown
        } else {
            longest.map_or(Left::In(Duration::ZERO), Left::In)
        }
    }

    /// The time until one broker has everything.
    pub fn left_of(&self, broker: BrokerId, arriving: &Arriving) -> Left {
        if arriving.bytes_left == 0 {
            return Left::In(Duration::ZERO);
        }
        let rates = self.rate_into(broker).filter(|rate| *rate > 0).zip(Some((
            self.flow_rate(broker, |flow| flow.written_to_running).unwrap_or(0),
            self.flow_rate(broker, |flow| flow.written_to_waiting).unwrap_or(0),
        )));
        let Some((copied, (to_running, to_waiting))) = rates else { return Left::Unknown };
        let Some(net) = copied.checked_sub(to_running).filter(|net| *net > 0) else { return Left::Never };
        // Writes to what waits slow it down, but end with each move: they can't keep it from ending.
        let effective = net.saturating_sub(to_waiting / 2).max(net.div_ceil(2)).max(1);
        let time = Duration::from_secs(arriving.bytes_left.div_ceil(effective));
        if time > LEFT_MAX { Left::Never } else { Left::In(time) }
    }
}
