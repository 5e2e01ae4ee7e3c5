//! From the rate that would be right to the rate that is written: rises slowly, falls at once, and rarely changes.
//!
//! The figures come from a sweep over the simulation in `tests/simulation.rs`: the move of 960 GB from four brokers to
//! two, with clients in eleven rhythms from one minute to three hours. Each column: when it is done with waves of 90
//! min, the most writes in any rhythm, and seconds with a full card in all of them.
//!
//! | foreground forgotten | raised from | held after a fall | done | writes | full |
//! |---|---|---|---|---|---|
//! | a fifth a tick | 20 % | 1 min | 9,597 s | 164 | 29 s |
//! | half in 17 min | 20 % | 10 min | 11,206 s | 66 | 0 s |
//! | half in 11 min | 20 % | 30 min | 10,850 s | 62 | 0 s |
//! | half in 11 min | 30 % | 30 min | 10,781 s | 52 | 0 s |
//! | half in 17 min | 30 % | 30 min | 11,085 s | 46 | 0 s |
//!
//! The last one is taken: a fifth fewer writes cost three minutes of three hours. A first rise is not slowed by it, only
//! one after a fall; and a rate below the floor is raised whatever was written when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::size::ByteRate;
use crate::commands::throttle::plan::limits::Limits;

/// A rate grows by half at most …
const RISE_FACTOR: f64 = 1.5;

/// … and gets this on top, at a time; then it is held for a while.
const RISE: f64 = 5_000_000.0;

/// The first rate is at most this part of what would be right: an idle quota lets ten seconds' worth through at once.
const FIRST: f64 = 0.25;

/// A rate that is this part above what clients leave is lowered at once, …
const FALL: f64 = 0.2;

/// … to this part below it, so that it is not lowered again soon.
const MARGIN: f64 = 0.1;

/// A rate that no move can use is lowered when this part of it is too much: it would let too much through once another
/// broker is no longer the limit.
const UNUSED: f64 = 0.5;

/// A rate that is in force, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The rate.
    pub rate: ByteRate,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was lowered then: what clients took once they take again soon.
    pub was_lowered: bool,
}

/// Why a rate is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is the first one.
    First,
    /// There is more headroom.
    Raised,
    /// There is less headroom.
    Lowered,
    /// It was below the floor.
    Floor,
    /// It is near enough, or was raised just now.
    Held,
    /// The load was not measured lately.
    HeldStale,
    /// The load, or the network's capacity, is not known: the least rate with which the moves end.
    Unknown,
    /// A person said so.
    Override,
}

impl Reason {
    /// As a word for metrics and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Raised => "raised",
            Self::Lowered => "lowered",
            Self::Floor => "floor",
            Self::Held => "held",
            Self::HeldStale => "held-stale",
            Self::Unknown => "unknown",
            Self::Override => "override",
        }
    }
}

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// The rate that would be right.
    pub target: f64,
    /// The least rate with which the moves end, as far as it can be had.
    pub floor: f64,
    /// The most that clients leave. It is above the target where another broker is the limit.
    pub ceiling: f64,
}

/// The rate to write, and why.
pub fn pace(now: Timestamp, limits: &Limits, held: Option<Held>, aim: Aim) -> (ByteRate, Reason) {
    let Aim { target, floor, ceiling } = aim;
    let Some(held) = held else { return (ByteRate::of_f64((target * FIRST).max(floor)), Reason::First) };
    let old = held.rate.to_f64();
    let risen = target.min(old * RISE_FACTOR + RISE);
    if old < floor {
        // A move that does not end is worse than one write too many.
        return (ByteRate::of_f64(risen.max(floor)), Reason::Floor);
    }
    if old > ceiling * (1.0 + FALL) {
        return (ByteRate::of_f64(target.min(ceiling * (1.0 - MARGIN)).max(floor)), Reason::Lowered);
    }
    if target < old * (1.0 - UNUSED) {
        return (ByteRate::of_f64(target.max(floor)), Reason::Lowered);
    }
    let wait = if held.was_lowered { limits.hold_lowered } else { limits.hold };
    let is_held = now.duration_since(held.since).unsigned_abs() < wait;
    if risen > old * (1.0 + limits.hysteresis) && !is_held {
        return (ByteRate::of_f64(risen), Reason::Raised);
    }
    (held.rate, Reason::Held)
}
