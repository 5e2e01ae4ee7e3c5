//! How much was copied lately. Systems that measure networks tell averages over some minutes: what copying had of such an
//! average is the mean of the same minutes, not what is copied now. Taken for that, the end of a batch would look like
//! clients that come, and be remembered as such.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// No average over a longer time is followed.
const REMEMBERED: Duration = Duration::from_mins(15);

/// Spans are put together up to this length: the list stays short, however often the law is asked.
const SPAN: Duration = Duration::from_secs(10);

/// What was copied into or out of one broker, span by span, the oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Copied(Vec<Span>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    from: Timestamp,
    to: Timestamp,
    bytes: f64,
}

impl Copied {
    /// Adds what was copied in a second between two moments, and forgets what is too long ago.
    pub fn add(&mut self, (from, to): (Timestamp, Timestamp), rate: f64) {
        let bytes = rate * seconds(from, to);
        match self.0.last_mut().filter(|last| last.to == from && to.duration_since(last.from) <= signed(SPAN)) {
            Some(last) => *last = Span { to, bytes: last.bytes + bytes, ..*last },
            None if from < to => self.0.push(Span { from, to, bytes }),
            None => {}
        }
        self.forget(to);
    }

    /// Forgets what is too long ago; whether anything is left.
    pub fn forget(&mut self, now: Timestamp) -> bool {
        // What lies ahead is from before the clock was put back.
        self.0.retain(|span| now.duration_since(span.to).abs() < signed(REMEMBERED));
        !self.0.is_empty()
    }

    /// Bytes a second in the mean of so long a time before a moment. Where nothing is known, nothing was copied.
    pub fn mean(&self, until: Timestamp, over: Duration) -> f64 {
        let over = over.clamp(Duration::from_secs(1), REMEMBERED);
        // A clock that is far off is no reason to end.
        let since = until.checked_sub(over).unwrap_or(Timestamp::MIN);
        let part = |span: &Span| {
            let both = seconds(span.from.max(since), span.to.min(until));
            span.bytes * both / seconds(span.from, span.to)
        };
        self.0.iter().map(part).sum::<f64>() / over.as_secs_f64()
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_mean_is_of_the_time_that_was_asked_for() {
        let mut copied = Copied::default();
        copied.add((at(0), at(60)), 50.0);
        copied.add((at(60), at(60)), 7.0);
        copied.add((at(60), at(90)), 10.0);
        let mean = |until, over| copied.mean(at(until), Duration::from_secs(over));
        assert!((mean(60, 60) - 50.0).abs() < 1e-9);
        assert!((mean(90, 60) - 30.0).abs() < 1e-9, "half at 50, half at 10");
        assert!((mean(150, 120) - 15.0).abs() < 1e-9, "a quarter at 50, a quarter at 10, half at nothing");
        assert!(mean(1_000, 120).abs() < 1e-9);
        assert!(copied.mean(Timestamp::MIN, Duration::from_mins(2)).abs() < 1e-9);
    }

    #[test]
    fn many_short_spans_are_few_and_old_ones_are_forgotten() {
        let mut copied = Copied::default();
        for second in 0..3_600 {
            copied.add((at(second), at(second + 1)), 5.0);
        }
        assert!(copied.0.len() <= 92, "{}", copied.0.len());
        assert!((copied.mean(at(3_600), Duration::from_mins(10)) - 5.0).abs() < 1e-9);
        assert!(copied.forget(at(3_600)) && !copied.forget(at(7_200)));
    }
}
