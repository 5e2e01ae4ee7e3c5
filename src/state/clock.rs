//! A clock that goes on while the machine sleeps: what the age of a lock's last renewal is counted by.

use std::time::Duration;

/// The time since some moment in the past. It never goes back, and includes time in which the machine was suspended
/// (`CLOCK_BOOTTIME`; the monotonic clock stops then, and a lock would look younger than it is).
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// `CLOCK_BOOTTIME`.
    Boot,
    /// The runtime's own clock, which tests stop and advance.
    #[cfg(test)]
    Tokio(tokio::time::Instant),
}

impl Clock {
    /// The time now.
    pub fn now(self) -> Duration {
        match self {
            Self::Boot => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
                Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
            }
            #[cfg(test)]
            Self::Tokio(start) => start.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_by_itself() {
        let before = Clock::Boot.now();
        assert!(!before.is_zero());
        std::thread::sleep(Duration::from_millis(2));
        assert!(Clock::Boot.now() > before);
    }
}
