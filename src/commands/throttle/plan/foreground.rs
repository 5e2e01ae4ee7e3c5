//! What clients take of one side of a broker's network, and for how long that still counts once they take less.
//!
//! Clients come in waves. An agent that follows each wave writes several times a wave, and its copying is in the way of
//! the next one; an agent that never believes that a load has ended stays slow. So the highest load of a while counts.
//! That while is short at first ([`COUNTS_HOLDS`]): a load that ends is followed down soon. A load that returns, by so
//! much that a rate which followed it down would have to be lowered again, teaches: from then on a load counts for half
//! as long again as it took to return. The figures are in [`crate::commands::throttle::plan::pace`].

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::pace::is_lowered_to;

/// A load that never returned counts for as long as so many holds of a rate ([`Limits::hold`]).
const COUNTS_HOLDS: u32 = 2;

/// A load that returned after some time counts for this many times as long.
const LONGER: f64 = 1.5;

/// No load counts for longer than this after it ended. Slower waves are followed: it costs few writes.
const COUNTS_MAX: Duration = Duration::from_mins(30);

/// After so long without a return, what was learned is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(2);

/// Measurements that lie so close together are one: the list stays short, however often the law is asked.
const SPAN: Duration = Duration::from_secs(10);

/// What clients take of one side of a broker's network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Foreground {
    /// Loads and when they were measured, the oldest first, each smaller than the one before it.
    peaks: Vec<(Timestamp, f64)>,
    /// The most that clients have left since the load last returned, as a rate that follows every load would have it.
    left_most: Option<f64>,
    /// When the load last returned.
    returned_at: Option<Timestamp>,
    /// How long a load counts, where one has returned.
    learned: Option<Duration>,
}

impl Foreground {
    /// Adds what clients take now, of what clients and copying may take together; both in bytes a second.
    pub fn see(&mut self, now: Timestamp, (load, together): (f64, f64), limits: &Limits) {
        self.peaks.retain(|(at, earlier)| *earlier > load && is_within(*at, now, COUNTS_MAX));
        if self.peaks.last().is_none_or(|(at, _)| *at == now || !is_within(*at, now, SPAN)) {
            self.peaks.push((now, load));
        }
        let left = (together - self.highest(now, shortest(limits))).max(0.0);
        let most = self.left_most.map_or(left, |most| most.max(left));
        let returns = is_lowered_to(most, left);
        self.left_most = Some(if returns { left } else { most });
        if returns && let Some(before) = self.returned_at.replace(now) {
            let away = now.duration_since(before).unsigned_abs().mul_f64(LONGER);
            if away <= COUNTS_MAX {
                self.learned = Some(self.learned.unwrap_or_default().max(away));
            }
        }
        if self.returned_at.is_some_and(|at| !is_within(at, now, FORGOTTEN)) {
            (self.learned, self.returned_at) = (None, None);
        }
    }

    /// What counts, in bytes a second; 0 where nothing was measured lately.
    pub fn counts(&self, now: Timestamp, limits: &Limits) -> f64 {
        self.highest(now, self.learned.unwrap_or_default().max(shortest(limits)))
    }

    /// The highest load in so long a time.
    fn highest(&self, now: Timestamp, time: Duration) -> f64 {
        self.peaks.iter().find(|(at, _)| *at == now || is_within(*at, now, time)).map_or(0.0, |(_, load)| *load)
    }

    /// Whether nothing of it counts any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let newest = self.peaks.last().map(|(at, _)| *at).max(self.returned_at);
        newest.is_none_or(|at| !is_within(at, now, FORGOTTEN))
    }
}

fn shortest(limits: &Limits) -> Duration {
    limits.hold * COUNTS_HOLDS
}

/// Whether a moment is so near: one that is further ahead is from before the clock was put back.
fn is_within(at: Timestamp, now: Timestamp, time: Duration) -> bool {
    now.duration_since(at).abs() < SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    /// What counts at each half minute, of clients that take `load` of 100.
    fn counted(seconds: i64, load: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
        let (mut foreground, limits) = (Foreground::default(), Limits::default());
        let ticks = (0..seconds).step_by(30);
        let counted = ticks.map(|second| {
            foreground.see(at(second), (load(second), 100.0), &limits);
            assert!(foreground.peaks.len() < 200);
            (second, foreground.counts(at(second), &limits))
        });
        counted.collect()
    }

    #[test]
    fn a_load_that_ends_once_counts_for_a_minute() {
        let counted = counted(1_200, |second| if second < 600 { 70.0 } else { 0.0 });
        for (second, counts) in counted {
            let expected = if second < 630 { 70.0 } else { 0.0 };
            assert!((counts - expected).abs() < 1e-9, "{counts} at {second} s");
        }
    }

    #[test]
    fn a_load_that_returns_counts_until_it_returns_again() {
        let wave = |second: i64| if second % 600 < 300 { 70.0 } else { 20.0 };
        let counted = counted(7_200, wave);
        let falls = counted.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
        assert!(falls <= 2, "it falls {falls} times");
        assert!(counted.iter().skip(60).all(|(_, counts)| (counts - 70.0).abs() < 1e-9));
    }

    #[test]
    fn what_returned_is_forgotten_once_it_stays_away() {
        let wave = |second: i64| if second < 3_600 && second % 600 < 300 { 70.0 } else { 20.0 };
        let one_more = |second: i64| if (20_000..20_600).contains(&second) { 70.0 } else { wave(second) };
        let counted = counted(21_600, one_more);
        let when = |from: i64| counted.iter().find(|(second, counts)| *second >= from && *counts < 70.0).unwrap().0;
        assert!((4_000..5_200).contains(&when(3_300)), "{}", when(3_300));
        assert!(when(20_010) <= 20_670, "{}", when(20_010));
    }
}
