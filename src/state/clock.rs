//! Clocks that nobody sets: that of locks, which also runs while the machine sleeps, and the time of day as it goes on by that one.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// A clock that never goes back and runs during sleep; a test brings its own.
pub type BootClock = fn() -> Duration;

/// The time since this machine was started, sleep included (`CLOCK_BOOTTIME`). Rust's `Instant` is `CLOCK_MONOTONIC`,
/// which stands still during sleep: a laptop that wakes up would believe in a lock that it lost an hour ago.
pub fn boot_clock() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The time of day as it was when a run began, going on by a clock that nobody sets: ages that are computed from it are true though
/// the machine's clock jumps meanwhile. For schedules and for what people read, the machine's own clock is the right one.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    start: Timestamp,
    begun: Duration,
    age: BootClock,
}

impl SteadyClock {
    /// Goes on from `start`, which is now.
    pub fn new(start: Timestamp, age: BootClock) -> Self {
        Self { start, begun: age(), age }
    }

    /// The time; at the end of all timestamps it stands still.
    pub fn now(&self) -> Timestamp {
        let passed = (self.age)().saturating_sub(self.begun);
        self.start.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static SECONDS: AtomicU64 = AtomicU64::new(100);

    fn age() -> Duration {
        Duration::from_secs(SECONDS.load(Ordering::SeqCst))
    }

    #[test]
    fn the_steady_clock_goes_on_by_the_clock_that_nobody_sets() {
        let clock = SteadyClock::new(Timestamp::UNIX_EPOCH, age);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        SECONDS.fetch_add(60, Ordering::SeqCst);
        assert_eq!(clock.now().as_second(), 60);
        assert_eq!(SteadyClock::new(Timestamp::MAX, boot_clock).now(), Timestamp::MAX);
    }
}
