//! From the rate that would be right to the rate that is written: rises slowly, falls at once, and rarely changes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::size::ByteRate;
use crate::commands::throttle::plan::limits::Limits;

/// A rate at most doubles …
const RISE_FACTOR: f64 = 2.0;

/// … and gets this on top, at a time; then it is held for a while.
const RISE: f64 = 10_000_000.0;

/// The first rate is at most this part of what would be right: an idle quota lets ten seconds' worth through at once.
const FIRST: f64 = 0.25;

/// A rate that is this part above what clients leave is lowered at once, …
const FALL: f64 = 0.12;

/// … to this part below it, so that it is not lowered again soon.
const MARGIN: f64 = 0.15;

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
    let is_held = now.duration_since(held.since).unsigned_abs() < limits.hold;
    if risen > old * (1.0 + limits.hysteresis) && !is_held {
        return (ByteRate::of_f64(risen), Reason::Raised);
    }
    (held.rate, Reason::Held)
}
