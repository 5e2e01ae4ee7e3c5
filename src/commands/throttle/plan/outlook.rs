//! When the moves will be done, and which destinations do not get on although their throttle lets them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Side;
use crate::commands::throttle::plan::floor::Need;
use crate::commands::throttle::plan::law::State;
use crate::commands::throttle::plan::snapshot::Snapshot;

/// A destination that lacks as much as so long ago stands still.
pub const STALLED_AFTER: Duration = Duration::from_mins(10);

/// Progress is a hundredth of what it lacks, …
const PROGRESS: f64 = 0.01;

/// … or this many bytes: a large move at a low rate copies far less than a hundredth in that time, and is not stalled.
const PROGRESS_BYTES: f64 = 67_108_864.0;

/// How much of the last estimate is kept.
const MEMORY: f64 = 0.7;

/// One side of one broker that takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// The broker.
    pub broker: BrokerId,
    /// Which side.
    pub side: Side,
    /// What its moves need.
    pub need: Need,
}

/// Where a destination was when it last got on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// What it lacked.
    pub remaining: f64,
    /// How many replicas it got.
    pub replicas: usize,
    /// When.
    pub at: Timestamp,
}

/// Destinations that stand still. Marks of those that got on, or got other replicas, are made anew.
pub fn stalled(
    now: Timestamp,
    snapshot: &Snapshot,
    ends: &[End],
    marks: &mut BTreeMap<BrokerId, Mark>,
) -> BTreeSet<BrokerId> {
    let mut stalled = BTreeSet::new();
    let mut next = BTreeMap::new();
    for End { broker, need, .. } in ends.iter().filter(|end| end.side == Side::Follower) {
        let adding = snapshot.moving.iter().flat_map(|moving| &moving.adding);
        let replicas = adding.filter(|(to, _)| to == broker).count();
        let fresh = Mark { remaining: need.remaining, replicas, at: now };
        let mark = marks.get(broker).copied().unwrap_or(fresh);
        let got_on = need.remaining < mark.remaining - (mark.remaining * PROGRESS).min(PROGRESS_BYTES)
            || replicas != mark.replicas;
        if !got_on && now.duration_since(mark.at).unsigned_abs() >= STALLED_AFTER {
            stalled.insert(*broker);
        }
        next.insert(*broker, if got_on { fresh } else { mark });
    }
    *marks = next;
    stalled
}

/// Seconds until all is copied, smoothed; none where a rate is not above what is written meanwhile.
pub fn eta(now: Timestamp, state: &State, rates: &[(End, ByteRate)]) -> Option<f64> {
    let mut longest = 0.0_f64;
    for (End { need, .. }, rate) in rates {
        let gains = rate.to_f64() - need.in_sync - need.writes;
        if gains <= 0.0 {
            return None;
        }
        longest = longest.max(need.remaining / gains);
    }
    let Some(old) = state.eta.zip(state.at) else { return Some(longest) };
    let expected = (old.0 - now.duration_since(old.1).as_secs_f64()).max(0.0);
    Some(MEMORY * expected + (1.0 - MEMORY) * longest)
}

/// A time to wait, as `2h 5min`, `3min`, `20s`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from a float saturates")]
pub fn words(seconds: f64) -> String {
    let seconds = seconds.max(0.0).ceil() as u64;
    match (seconds / 3_600, seconds / 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}min"),
        (hours @ 0..48, minutes) => format!("{hours}h {}min", minutes % 60),
        (hours, _) => format!("{}d {}h", hours / 24, hours % 24),
    }
}
