//! From the rate that would be right to the rate that is written: rises slowly, falls at once, and rarely changes.
//!
//! The figures come from a sweep over the simulation in `tests/simulation.rs`: the move of 960
//! GB from four brokers to two, with clients in eleven rhythms from one minute to three hours. Each column: when it is done
//! with waves of 90 min, the most writes in any rhythm, and seconds with a full card in all of them.
//!
//! | a load that ended counts for | each rise | held after a change | done | writes | full |
//! |---|---|---|---|---|---|
//! | a fifth less each tick | half + 5 MB/s | 1 min | 9,597 s | 164 | 29 s |
//! | half of it for 17 min | half + 5 MB/s | 1 min, 30 min after a fall | 11,085 s | 46 | 0 s |
//! | ½ min | a quarter of the target | ½ min | 9,740 s | 246 | 82 s |
//! | ½ min, then 1.5 times its absence | a quarter of the target | ½ min | 9,740 s | 78 | 82 s |
//! | 1 min, then 1.5 times its absence | a third of the target | ½ min | 9,501 s | 54 | 0 s |
//!
//! The last one is taken. The second one had fewer writes, but a rate that had been lowered once stayed low for half an
//! hour, whatever it was lowered for: also one that its move could not use for a while, and after clients had ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::size::ByteRate;
use crate::commands::throttle::plan::limits::Limits;

/// The first rate is at most this part of what would be right: an idle quota lets ten seconds' worth through at once.
const FIRST: f64 = 0.25;

/// A rise adds this part of what would be right at most, for the same reason.
const STEP: f64 = 0.34;

/// A rise adds this much at least, in bytes a second: more writes for a small rate are not worth it.
const STEP_MIN: f64 = 5_000_000.0;

/// A change of a rate by a smaller part than this is not written, whatever it is for.
const NEGLIGIBLE: f64 = 0.05;

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
    /// When it was last needed.
    pub seen: Timestamp,
}

impl Held {
    /// Whether it was needed a moment ago: its quota is not idle yet, and the next move of that broker goes on with it.
    pub fn is_recent(&self, now: Timestamp, limits: &Limits) -> bool {
        now.duration_since(self.seen).unsigned_abs() <= limits.hold
    }
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
    /// Whether clients take next to nothing.
    pub is_quiet: bool,
}

/// The next rate on the way up; the target where that is not higher, or so near that the rest would not be written.
fn risen(old: f64, target: f64) -> f64 {
    let next = old + (target * STEP).max(STEP_MIN);
    if next * (1.0 + NEGLIGIBLE) < target { next } else { target }
}

/// Whether a rate differs so little from one that holds that it is not written.
pub fn is_negligible(held: ByteRate, rate: ByteRate) -> bool {
    held.0 > 0 && (rate.to_f64() - held.to_f64()).abs() < held.to_f64() * NEGLIGIBLE
}

/// Whether a rate has to be lowered where clients leave so much.
pub fn is_lowered_to(rate: f64, ceiling: f64) -> bool {
    rate > ceiling * (1.0 + FALL)
}

/// The rate to write, and why.
pub fn pace(now: Timestamp, limits: &Limits, held: Option<Held>, aim: Aim) -> (ByteRate, Reason) {
    let Aim { target, floor, ceiling, is_quiet } = aim;
    let Some(held) = held else { return (ByteRate::of_f64((target * FIRST).max(floor)), Reason::First) };
    let old = held.rate.to_f64();
    let risen = risen(old, target);
    if old < floor {
        // A move that does not end is worse than one write too many.
        return (ByteRate::of_f64(risen.max(floor)), Reason::Floor);
    }
    if is_lowered_to(old, ceiling) {
        return (ByteRate::of_f64(target.min(ceiling * (1.0 - MARGIN)).max(floor)), Reason::Lowered);
    }
    if target < old * (1.0 - UNUSED) {
        return (ByteRate::of_f64(target.max(floor)), Reason::Lowered);
    }
    let is_held = now.duration_since(held.since).unsigned_abs() < limits.hold;
    // Where clients take nothing, nothing of theirs comes and goes: the last step to the ceiling is worth a write, too.
    let worth = if is_quiet && target >= ceiling { NEGLIGIBLE } else { limits.hysteresis };
    if risen > old * (1.0 + worth) && !is_held {
        return (ByteRate::of_f64(risen), Reason::Raised);
    }
    (held.rate, Reason::Held)
}
