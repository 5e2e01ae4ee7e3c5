//! The clock of locks: it also runs while the machine sleeps, and nobody sets it.

use std::time::Duration;

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
