//! The one timer loop of all agents: does its tick whenever the schedule says so, or when something wakes it, until it is
//! asked to stop.
//!
//! - One tick at a time: what falls due while a tick runs is skipped, as a CronJob with `concurrencyPolicy: Forbid` does.
//! - A tick that takes longer than its deadline is braked: the batch that is under way ends, the next one is not begun.
//! - Asked to stop, the loop brakes the tick that runs and ends with what it came to; between two ticks it ends at once.
//! - The time is looked at again at least once a minute, so that a clock that was set is followed: forward at once; where it
//!   was put back by more than that, the next time is looked for again, or nothing would happen until it has caught up.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::change::brake::Brake;
use crate::formats::schedule::KubeSchedule;

/// Longest sleep without a look at the clock.
const LOOK_MAX: Duration = Duration::from_mins(1);

/// Most skipped times that are counted one by one.
const SKIPPED_MAX: usize = 10_000;

/// When ticks happen, and how long one may take.
#[derive(Debug, Clone)]
pub struct Timing {
    /// When a tick is due.
    pub schedule: KubeSchedule,
    /// Whose clocks the schedule means.
    pub zone: TimeZone,
    /// Whether the first tick does not wait for the schedule.
    pub begins_at_once: bool,
    /// A tick starts up to this much later than it is due, by chance: a hundred agents do not ask a cluster at once.
    pub jitter: Duration,
    /// Longest time that a tick may take before it is braked.
    pub deadline: Duration,
}

/// Why a tick runs.
#[derive(Debug)]
pub enum Cause<W> {
    /// The schedule says so.
    Due,
    /// Something woke the loop.
    Woken(W),
}

/// Does `tick` whenever it is due. Ends when `shutdown` is pulled: with the result of the tick that ran then, or with
/// nothing between two ticks. A tick heeds its brake ([`crate::change::brake::braked`] limits how long that takes), and
/// reports by itself that it failed; the next one comes at its time all the same.
pub async fn every<R>(
    timing: &Timing,
    clock: impl Fn() -> Timestamp,
    shutdown: &Brake,
    mut tick: impl AsyncFnMut(Brake) -> R,
) -> Option<R> {
    let never = async || std::future::pending::<Infallible>().await;
    ticks(timing, clock, shutdown, never, async |_, brake| tick(brake).await).await
}

/// The same, where `wake` may ask for a tick before it is due. It is dropped while a tick runs, so it must lose nothing
/// by that.
pub async fn ticks<W, R>(
    timing: &Timing,
    clock: impl Fn() -> Timestamp,
    shutdown: &Brake,
    mut wake: impl AsyncFnMut() -> W,
    mut tick: impl AsyncFnMut(Cause<W>, Brake) -> R,
) -> Option<R> {
    let mut due = if timing.begins_at_once { Some(clock()) } else { timing.next(clock()) };
    let mut chance = chance(timing.jitter);
    while let Some(at) = due {
        let cause = tokio::select! {
            biased;
            _ = shutdown.until_pulled() => return None,
            waited = wait(&clock, at + chance) => match waited {
                Waited::Due => Cause::Due,
                Waited::PutBack(now) => {
                    due = timing.next(now);
                    continue;
                }
            },
            woken = wake() => Cause::Woken(woken),
        };
        let is_due = matches!(cause, Cause::Due);
        let brake = shutdown.child();
        let ended = tokio::select! {
            biased;
            ended = tick(cause, brake.clone()) => ended,
            never = pull_in_time(timing, &brake) => match never {},
        };
        if shutdown.pulled().is_some() {
            return Some(ended);
        }
        if is_due {
            let now = clock();
            // Where the clock was put back during the tick, the next time comes after the new now.
            due = if now + LOOK_MAX < at { timing.next(now) } else { timing.next_of_many(at, now) };
            chance = self::chance(timing.jitter);
        }
    }
    tracing::error!("the schedule {} has no next time", timing.schedule);
    None
}

impl Timing {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, &self.zone)
    }

    /// The first due time after now; those between the tick that was due at `at` and now are skipped.
    fn next_of_many(&self, at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut due = self.next(at)?;
        let mut skipped = 0;
        while due <= now {
            skipped += 1;
            due = if skipped < SKIPPED_MAX { self.next(due)? } else { self.next(now)? };
        }
        if skipped > 0 {
            tracing::debug!(skipped, schedule = %self.schedule, "a tick took longer than the time to the next ones");
        }
        Some(due)
    }
}

/// A duration by chance, at most this long.
pub(super) fn chance(most: Duration) -> Duration {
    let part = RandomState::new().hash_one(()) % 1_000;
    most.mul_f64(f64::from(u32::try_from(part).unwrap_or_default()) / 1_000.0)
}

/// How a wait ended.
enum Waited {
    Due,
    /// The clock was put back, to this.
    PutBack(Timestamp),
}

async fn wait(clock: impl Fn() -> Timestamp, until: Timestamp) -> Waited {
    let mut before = clock();
    while let Ok(left) = Duration::try_from(until.duration_since(before)) {
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(left.min(LOOK_MAX)).await;
        let now = clock();
        // A correction by seconds is waited for: what was done is not due again.
        if now + LOOK_MAX < before {
            tracing::warn!(%before, %now, "the clock was put back");
            return Waited::PutBack(now);
        }
        before = now;
    }
    Waited::Due
}

/// Pulls a tick's brake at its deadline.
async fn pull_in_time(timing: &Timing, brake: &Brake) -> Infallible {
    tokio::time::sleep(timing.deadline).await;
    brake.pull(format!("the tick's deadline of {} s has passed", timing.deadline.as_secs_f64()));
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::change::brake::braked;

    const START: &str = "2026-11-22T08:00:30Z";

    fn timing(schedule: &str) -> Timing {
        Timing {
            schedule: schedule.parse().unwrap(),
            zone: TimeZone::UTC,
            begins_at_once: false,
            jitter: Duration::ZERO,
            deadline: Duration::from_mins(3),
        }
    }

    /// A clock that goes with tokio's, which tests stop and wind on.
    fn clock() -> impl Fn() -> Timestamp + Clone {
        let start = Instant::now();
        move || START.parse::<Timestamp>().unwrap() + start.elapsed()
    }

    /// Runs for so many minutes, with ticks of so many seconds that change things; when each tick began, and the end.
    async fn run(timing: &Timing, minutes: u64, tick_seconds: u64) -> (Vec<String>, Option<Option<String>>) {
        let (clock, shutdown, mut begun) = (clock(), Brake::default(), Vec::new());
        let stop = async {
            sleep(Duration::from_mins(minutes)).await;
            shutdown.pull("SIGTERM");
            std::future::pending::<()>().await;
        };
        let tick = async |brake: Brake| {
            begun.push(clock().strftime("%H:%M:%S").to_string());
            brake.changes_begin();
            let sleeps = sleep(Duration::from_secs(tick_seconds));
            tokio::select! {
                () = sleeps => None,
                why = brake.until_pulled() => Some(why),
            }
        };
        let ended = tokio::select! {
            ended = every(timing, &clock, &shutdown, tick) => ended,
            () = stop => unreachable!(),
        };
        (begun, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_comes_at_each_due_time_and_the_loop_ends_at_once_between_two() {
        let (begun, ended) = run(&timing("*/2 * * * *"), 7, 10).await;
        assert_eq!(begun, ["08:02:00", "08:04:00", "08:06:00"]);
        assert_eq!(ended, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_falls_due_while_a_tick_runs_is_skipped() {
        let (begun, _) = run(&timing("* * * * *"), 7, 130).await;
        assert_eq!(begun, ["08:01:00", "08:04:00", "08:07:00"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_is_asked_to_stop_ends_by_itself_and_its_result_is_the_end() {
        let (begun, ended) = run(&timing("*/5 * * * *"), 5, 60).await;
        assert_eq!(begun, ["08:05:00"]);
        assert_eq!(ended, Some(Some("SIGTERM".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_beyond_its_deadline_is_braked_and_the_next_one_comes_at_its_time() {
        let (begun, ended) = run(&timing("*/5 * * * *"), 14, 600).await;
        assert_eq!(begun, ["08:05:00", "08:10:00"]);
        assert_eq!(ended, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_who_insists_is_heard_by_the_tick_that_runs() {
        let (shutdown, started, timing) = (Brake::default(), Instant::now(), timing("* * * * *"));
        let ended = every(&timing, clock(), &shutdown, async |brake: Brake| {
            brake.changes_begin();
            shutdown.pull("SIGINT");
            shutdown.insist();
            braked(&brake, Duration::from_secs(25), std::future::pending::<()>()).await
        });
        let halted = ended.await.unwrap().unwrap_err();
        assert_eq!(halted.to_string(), "SIGINT; changes that were under way were given up");
        assert_eq!(started.elapsed(), Duration::from_secs(32));
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_delays_a_tick_but_never_beyond_itself() {
        let timing = Timing { jitter: Duration::from_secs(30), ..timing("*/2 * * * *") };
        let (begun, _) = run(&timing, 60, 1).await;
        assert_eq!(begun.len(), 30);
        assert!(begun.iter().all(|time| &time[6..] <= "30"), "{begun:?}");
        assert!(begun.iter().any(|time| &time[6..] != "00"), "{begun:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_is_followed_within_a_minute() {
        let (real, begun) = (clock(), Instant::now());
        let set = || {
            real() + if begun.elapsed() > Duration::from_secs(90) { Duration::from_hours(5) } else { Duration::ZERO }
        };
        let shutdown = Brake::default();
        let ended = every(&timing("0 12 * * *"), set, &shutdown, async |_| shutdown.pull("seen")).await;
        assert_eq!(ended, Some(()));
        assert!(begun.elapsed() <= Duration::from_mins(3), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_put_back_does_not_stop_an_interval_until_it_has_caught_up() {
        let (real, begun) = (clock(), Instant::now());
        let back = || if begun.elapsed() > Duration::from_secs(90) { Duration::from_hours(5) } else { Duration::ZERO };
        let set = || real() - back();
        let (shutdown, mut times) = (Brake::default(), Vec::new());
        let timing = Timing { begins_at_once: true, ..timing("@every 60s") };
        let ended = every(&timing, set, &shutdown, async |_| {
            times.push(begun.elapsed());
            if times.len() == 5 {
                shutdown.pull("seen");
            }
        });
        assert_eq!(ended.await, Some(()));
        assert!(begun.elapsed() <= Duration::from_mins(7), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_put_back_by_a_second_makes_nothing_due_again() {
        let (real, begun) = (clock(), Instant::now());
        // It is 12:00:00 after 3 h, 59 min and 30 s; right then it is put back.
        let set = || {
            let is_back = begun.elapsed() > Duration::from_secs(4 * 3600 - 30);
            real() - if is_back { Duration::from_secs(1) } else { Duration::ZERO }
        };
        let (shutdown, timing, mut count) = (Brake::default(), timing("0 12 * * *"), 0);
        tokio::select! {
            _ = every(&timing, set, &shutdown, async |_| count += 1) => {}
            () = sleep(Duration::from_hours(8)) => {}
        }
        assert_eq!(count, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_wakes_the_loop_does_not_move_the_due_times_and_no_jitter_outlasts_it() {
        let timing = Timing { begins_at_once: true, jitter: Duration::from_secs(20), ..timing("@every 60s") };
        let (clock, shutdown, mut due, mut woken) = (clock(), Brake::default(), 0, 0);
        let wake = async || sleep(Duration::from_secs(2)).await;
        let stop = async {
            sleep(Duration::from_mins(10)).await;
            shutdown.pull("SIGTERM");
            std::future::pending::<()>().await;
        };
        let tick = async |cause, _| match cause {
            Cause::Due => due += 1,
            Cause::Woken(()) => woken += 1,
        };
        tokio::select! {
            _ = ticks(&timing, &clock, &shutdown, wake, tick) => {}
            () = stop => {}
        }
        assert!((10..=11).contains(&due) && woken > 280, "{due} {woken}");
    }
}
