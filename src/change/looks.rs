//! Looks at a cluster again, within limits, until it shows what it is waited for. KRaft answers reads from before one's own
//! write for some hundred milliseconds, and right after many new partitions, or a moved controller, for some seconds.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Pauses before looks.
const PAUSES: [u64; 9] = [0, 10, 20, 50, 100, 300, 600, 1_500, 2_500];

/// Looks that are left: nine within 5.1 s, the first at once; with a longer limit, one each 2.5 s after these.
///
/// ```text
/// let mut looks = Looks::default();
/// while !open.is_empty() && looks.again().await { … }
/// ```
#[derive(Debug, Default)]
pub struct Looks {
    /// How many there were.
    count: usize,
    /// When the last one begins, where that is later than the ninth.
    until: Option<Instant>,
}

impl Looks {
    /// Looks for as long as `limit`, or for 5.1 s where that is longer.
    pub fn within(limit: Duration) -> Self {
        Self { count: 0, until: Some(Instant::now() + limit) }
    }

    /// Waits for the next look; false, at once, after the last.
    pub async fn again(&mut self) -> bool {
        let last = Duration::from_millis(PAUSES[PAUSES.len() - 1]);
        let pause = match (PAUSES.get(self.count), self.until) {
            (Some(pause), _) => Duration::from_millis(*pause),
            (None, Some(until)) if Instant::now() + last <= until => last,
            (None, _) => return false,
        };
        self.count += 1;
        sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_look_is_at_once_and_the_last_after_five_seconds() {
        let began = Instant::now();
        let mut looks = Looks::default();
        assert!(looks.again().await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut count = 1;
        while looks.again().await {
            count += 1;
        }
        assert_eq!((count, began.elapsed().as_secs()), (9, 5));
        assert!(!looks.again().await, "there is none after the last");
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_longer_limit_there_are_more_looks_and_with_a_shorter_one_not_less() {
        for (limit, looks_and_seconds) in [(1, (9, 5)), (10, (10, 7)), (30, (18, 27))] {
            let (began, mut looks, mut count) = (Instant::now(), Looks::within(Duration::from_secs(limit)), 0);
            while looks.again().await {
                count += 1;
            }
            assert_eq!((count, began.elapsed().as_secs()), looks_and_seconds, "{limit} s");
        }
    }
}
