//! Passes: each looks, decides, and changes one thing at most. [`zookeeper`] looks at an ensemble and changes it, [`kraft`] a quorum
//! of controllers; [`pass`] is what comes in between. [`record`] keeps what is desired, and what is under way, under
//! compare-and-set. [`start`] and [`controller`] carry out what a server's start needs.

mod controller;
pub mod found;
pub mod kraft;
pub mod pass;
pub mod record;
mod start;
pub mod zookeeper;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::change::brake::Brake;
use crate::exit::Exit;

pub use controller::{ControllerExecutor, FormatCommand};
pub use start::StartExecutor;

/// How often a pass is tried again that waits for something.
const PAUSE: Duration = Duration::from_secs(3);

/// Most passes of one run.
pub const PASSES_MAX: usize = 1_000;

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// All is as desired.
    Nothing,
    /// It changed something: there may be more.
    Changed,
    /// Nothing can be done yet; why was printed.
    Waits,
    /// The run ends with this: a refusal, a failure, a dry run.
    Ends(Exit),
}

/// How long passes go on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Whether there is one pass at most.
    pub once: bool,
    /// When none is begun any more.
    pub within: Duration,
}

/// Does passes until nothing is left, one refuses, or the time is over. What waits when it is over ends with
/// [`Exit::Unhealthy`].
pub async fn passes(
    limits: Limits,
    brake: &Brake,
    mut pass: impl AsyncFnMut() -> anyhow::Result<Passed>,
) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    for _ in 0..PASSES_MAX {
        let passed = pass().await?;
        let is_over = limits.once || begun.elapsed() >= limits.within || brake.pulled().is_some();
        match passed {
            Passed::Nothing => return Ok(Exit::Done),
            Passed::Ends(exit) => return Ok(exit),
            Passed::Changed if is_over => return Ok(Exit::Done),
            Passed::Waits if is_over => return Ok(Exit::Unhealthy),
            Passed::Changed => {}
            Passed::Waits => {
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    _ = brake.until_pulled() => return Ok(Exit::Unhealthy),
                }
            }
        }
    }
    Ok(Exit::Unhealthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ends(limits: Limits, results: &[Passed]) -> (Exit, usize) {
        let mut done = 0;
        let brake = Brake::default();
        let exit = passes(limits, &brake, async || {
            done += 1;
            Ok(results.get(done - 1).copied().unwrap_or(Passed::Waits))
        });
        (exit.await.unwrap(), done)
    }

    #[tokio::test(start_paused = true)]
    async fn passes_go_on_until_nothing_is_left_or_one_refuses_or_the_time_is_over() {
        use Passed::{Changed, Ends, Nothing, Waits};
        let limits = Limits { once: false, within: Duration::from_secs(30) };
        assert_eq!(ends(limits, &[Changed, Waits, Changed, Nothing, Changed]).await, (Exit::Done, 4));
        assert_eq!(ends(limits, &[Changed, Ends(Exit::Refused), Changed]).await, (Exit::Refused, 2));
        let (exit, done) = ends(limits, &[]).await;
        assert_eq!((exit, done), (Exit::Unhealthy, 11), "one more after 30 s");
        let once = Limits { once: true, ..limits };
        assert_eq!(ends(once, &[Changed, Changed]).await, (Exit::Done, 1));
        assert_eq!(ends(once, &[Waits, Changed]).await, (Exit::Unhealthy, 1));
    }
}
