//! A command once, or again and again (`--schedule`); and what SIGINT and SIGTERM do to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::schedule::{Timing, every};
use crate::change::brake::{Brake, Halted, braked};
use crate::context::{Context, Flags, RepeatFlags};
use crate::exit::{Exit, Stop};
use crate::output;

/// How long changes that are under way may take to end: a little less than the 30 s that Kubernetes gives a pod.
const GRACE: Duration = Duration::from_secs(25);

/// A run that does not hear a signal within this time is stuck: in a read of a pipe or a terminal, or in a calculation.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Does a run once, or whenever the schedule says so, each in a context of its own. A signal ends it: at once while
/// nothing is being changed, else after the batch that is under way; a second signal does not wait for that.
pub async fn repeat(
    flags: &Flags,
    mut run: impl AsyncFnMut(&mut Context) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let shutdown = Brake::default();
    let listener = listen(shutdown.clone());
    // The brake of the run that is under way: a schedule gives each run one of its own.
    let current = Arc::new(Mutex::new(shutdown.clone()));
    let _guard = end_where_stuck(shutdown.clone(), Arc::clone(&current));
    let mut once = async |brake: Brake| {
        *current.lock().unwrap_or_else(PoisonError::into_inner) = brake.clone();
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
            output::complain_lines(&format!("{error:#}; the next run comes at its time"));
            output::exit_of(&error)
        }
    }
}

/// Whether a schedule can run without anybody to ask: with `--yes`, as a dry run, or where a person is there.
pub fn can_repeat(flags: &Flags) -> Result<(), Stop> {
    let is_silent = flags.yes || flags.dry_run || flags.observed.is_some();
    if flags.repeat.schedule.is_none() || is_silent || output::can_ask() {
        return Ok(());
    }
    Err(Stop::refused(
        "--schedule runs this command again and again, and each run asks before it changes something, which needs a terminal. \
         Nothing was changed. Add --yes to apply changes without asking, or --dry-run to show them only",
    ))
}

/// SIGINT and SIGTERM, heard from now on by the runtime that this is called in.
fn signals() -> Option<(Signal, Signal)> {
    Some((signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?))
}

/// The name of the next signal.
async fn next((interrupt, terminate): &mut (Signal, Signal)) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// Ends the process at a signal that the run itself does not hear, because it waits for input or calculates, unless it
/// changes something. Signals are heard on a thread of its own until what is given back is dropped.
fn end_where_stuck(shutdown: Brake, current: Arc<Mutex<Brake>>) -> Option<oneshot::Sender<()>> {
    let (guard, ended) = oneshot::channel();
    let hear = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(hear(shutdown, current, ended)))
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(hear).ok()?;
    Some(guard)
}

#[expect(clippy::exit, reason = "the main thread is in a system call that nothing else ends, and has changed nothing")]
async fn hear(shutdown: Brake, current: Arc<Mutex<Brake>>, mut ended: oneshot::Receiver<()>) {
    let Some(mut signals) = signals() else { return };
    let name = tokio::select! {
        _ = &mut ended => return,
        name = next(&mut signals) => name,
    };
    tokio::select! {
        _ = &mut ended => return,
        _ = shutdown.until_pulled() => return,
        () = tokio::time::sleep(HEARD_WITHIN) => {}
    }
    if !current.lock().unwrap_or_else(PoisonError::into_inner).is_changing() {
        output::complain(&format!("stopped: asked to stop by {name}; nothing was changed"));
        std::process::exit(Exit::Failed as i32);
    }
}

/// Pulls the brake at the first signal, insists at the second. Where signals can't be heard, they end the process.
fn listen(brake: Brake) -> Option<JoinHandle<()>> {
    // Heard from now on, not only once the task runs.
    let mut signals = signals()?;
    Some(tokio::spawn(async move {
        brake.pull(format!("asked to stop by {}", next(&mut signals).await));
        if brake.is_changing() {
            output::say("asked to stop: the changes that are under way are finished first; once more stops at once");
        }
        next(&mut signals).await;
        brake.insist();
    }))
}
