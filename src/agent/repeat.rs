//! A command once, or again and again (`--schedule`); and what SIGINT and SIGTERM do to it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::agent::schedule::{Timing, every};
use crate::change::brake::{Brake, Halted, braked};
use crate::context::{Context, Flags, RepeatFlags};
use crate::exit::Exit;
use crate::output;

/// How long changes that are under way may take to end: a little less than the 30 s that Kubernetes gives a pod.
const GRACE: Duration = Duration::from_secs(25);

/// Does a run once, or whenever the schedule says so, each in a context of its own. A signal ends it: at once while
/// nothing is being changed, else after the batch that is under way; a second signal does not wait for that.
pub async fn repeat(
    flags: &Flags,
    mut run: impl AsyncFnMut(&mut Context) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let shutdown = Brake::default();
    let listener = listen(shutdown.clone());
    let mut once = async |brake: Brake| {
        let mut context = Context::new(flags.clone()).with_brake(brake.clone());
        let ended = braked(&brake, GRACE, run(&mut context)).await;
        context.leave().await;
        let ended = ended.unwrap_or_else(|Halted(why)| {
            output::complain(&format!("stopped: {why}"));
            Ok(Exit::Failed)
        });
        // The lock is free by now: a slow sink holds up nobody else.
        context.close(ended).await
    };
    let ended = match timing(&flags.repeat) {
        None => once(shutdown.clone()).await,
        // Asked to stop between two runs: all is well.
        Some(timing) => {
            let ended = every(&timing, Timestamp::now, &shutdown, async |brake| said(once(brake).await)).await;
            Ok(ended.unwrap_or(Exit::Done))
        }
    };
    if let Some(listener) = listener {
        listener.abort();
    }
    ended
}

fn timing(flags: &RepeatFlags) -> Option<Timing> {
    let RepeatFlags { schedule, time_zone, schedule_jitter, run_deadline } = flags.clone();
    Some(Timing {
        schedule: schedule?,
        zone: time_zone,
        begins_at_once: false,
        jitter: schedule_jitter.unwrap_or_default(),
        deadline: run_deadline,
    })
}

/// Says why a tick failed when it fails, as `main` does for a single run.
fn said(ended: anyhow::Result<Exit>) -> Exit {
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            output::complain(&format!("{error:#}; the next run comes at its time"));
            output::exit_of(&error)
        }
    }
}

/// Pulls the brake at the first signal, insists at the second. Where signals can't be heard, they end the process.
fn listen(brake: Brake) -> Option<JoinHandle<()>> {
    // Heard from now on, not only once the task runs.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?);
    Some(tokio::spawn(async move {
        let mut heard = async || {
            tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            }
        };
        brake.pull(format!("asked to stop by {}", heard().await));
        if brake.is_changing() {
            output::say("asked to stop: the changes that are under way are finished first; once more stops at once");
        }
        heard().await;
        brake.insist();
    }))
}
