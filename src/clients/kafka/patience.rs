//! Waiting between attempts: growing pauses, never beyond the deadline.

use std::time::Duration;

use backon::BackoffBuilder;
use backon::ExponentialBackoff;
use backon::ExponentialBuilder;
use tokio::time::Instant;

/// How long to go on trying, and how long to wait before the next attempt.
#[derive(Debug)]
pub(in crate::clients::kafka) struct Patience {
    deadline: Instant,
    pauses: ExponentialBackoff,
}

impl Patience {
    /// Patience that ends at a deadline.
    pub(in crate::clients::kafka) fn until(deadline: Instant) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .without_max_times()
            .build();
        Self { deadline, pauses }
    }

    /// Waits before the next attempt; says `false` at once if that would be too late.
    pub(in crate::clients::kafka) async fn pause(&mut self) -> bool {
        let next = Instant::now() + self.pauses.next().unwrap_or(Duration::from_secs(1));
        if next >= self.deadline {
            return false;
        }
        tokio::time::sleep_until(next).await;
        true
    }
}
