//! Looks at a cluster again, within limits, until it shows what it is waited for. KRaft answers reads from before one's own
//! write for some hundred milliseconds, and right after many new partitions, or a moved controller, for some seconds.

use std::time::Duration;

use tokio::time::sleep;

/// Pauses before looks.
const PAUSES: [u64; 9] = [0, 10, 20, 50, 100, 300, 600, 1_500, 2_500];

/// Looks that are left: nine within 5.1 s, the first at once.
///
/// ```text
/// let mut looks = Looks::default();
/// while !open.is_empty() && looks.again().await { … }
/// ```
#[derive(Debug, Default)]
pub struct Looks(usize);

impl Looks {
    /// Waits for the next look; false, at once, after the last.
    pub async fn again(&mut self) -> bool {
        let Some(pause) = PAUSES.get(self.0) else { return false };
        self.0 += 1;
        sleep(Duration::from_millis(*pause)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

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
}
