//! A lane: the queue before one sink, and the workers that deliver from it. One sink's trouble holds up no other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::change::event::Event;
use crate::recorders::fail_point::fail_point;
use crate::recorders::journal::{Journal, Line, Mark};
use crate::recorders::sink::{Message, Sink, Verdict};

/// How many messages wait in memory; the others wait in their journals.
pub const QUEUE_LENGTH: usize = 4_096;

/// Attempts at one message in one run.
const ATTEMPTS_MAX: u32 = 20;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Files in the quarantine; older ones make room.
const QUARANTINE_FILES_MAX: usize = 100;

/// Messages and where each of their events is kept.
#[derive(Debug)]
pub struct Parcel {
    /// One event, or late ones of a kind.
    pub events: Vec<Event>,
    /// The journal of each.
    pub homes: Vec<Arc<Journal>>,
}

/// The queue before a sink.
pub struct Lane {
    state: Arc<State>,
    queue: mpsc::Sender<Parcel>,
    workers: Vec<JoinHandle<()>>,
}

/// What the workers of a lane share.
struct State {
    sink: Arc<dyn Sink>,
    clock: fn() -> Timestamp,
    say: fn(&str),
    quarantine: PathBuf,
    outstanding: AtomicUsize,
    idle: Notify,
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// The last thing that went wrong since something went right.
    last: Option<String>,
    /// No attempt before this time: the sink said so.
    not_before: Option<Instant>,
    /// Why nothing is delivered in this run any more.
    stopped: Option<String>,
}

impl Lane {
    /// A lane with its workers.
    pub fn start(sink: Arc<dyn Sink>, quarantine: PathBuf, clock: fn() -> Timestamp, say: fn(&str)) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_LENGTH);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let workers = sink.parallel().max(1);
        let (outstanding, idle, trouble) = (AtomicUsize::new(0), Notify::new(), Mutex::default());
        let state = Arc::new(State { sink, clock, say, quarantine, outstanding, idle, trouble });
        let workers = (0..workers).map(|_| tokio::spawn(work(Arc::clone(&state), Arc::clone(&waiting)))).collect();
        Self { state, queue, workers }
    }

    /// Hands a parcel over. Where the queue is full, it stays in its journal.
    pub fn hand_over(&self, parcel: Parcel) -> bool {
        self.state.outstanding.fetch_add(1, Ordering::SeqCst);
        let taken = self.queue.try_send(parcel).is_ok();
        if !taken {
            self.state.done();
        }
        taken
    }

    /// Waits until nothing is left to try.
    pub async fn idle(&self) {
        loop {
            let notified = self.state.idle.notified();
            if self.state.outstanding.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Whether something is under way.
    pub fn is_busy(&self) -> bool {
        self.state.outstanding.load(Ordering::SeqCst) > 0
    }

    /// Why the sink does not take what is waiting, if it does not.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.state.trouble();
        trouble.stopped.clone().or_else(|| trouble.last.clone())
    }

    /// Whether it delivers nothing in this run any more, which was said.
    pub fn is_stopped(&self) -> bool {
        self.state.trouble().stopped.is_some()
    }

    /// The sink's name.
    pub fn name(&self) -> &'static str {
        self.state.sink.name()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

async fn work(state: Arc<State>, waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Parcel>>>) {
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(parcel) = next else { return };
        state.deliver(&parcel).await;
        state.done();
    }
}

impl State {
    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) {
        if self.outstanding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_waiters();
        }
    }

    /// Tries until the parcel is taken, refused for good, or the attempts are used up; then it waits in its journal.
    async fn deliver(&self, parcel: &Parcel) {
        let mut short = false;
        for attempt in 0..ATTEMPTS_MAX {
            if self.wait_for_turn().await {
                return;
            }
            let message = Message { events: &parcel.events, now: (self.clock)(), short };
            match self.sink.deliver(&message).await {
                Verdict::Taken => {
                    self.trouble().last = None;
                    fail_point("sink.taken");
                    return self.settle(parcel, Line::Taken);
                }
                Verdict::Later { after, why } => self.put_off(attempt, after, why).await,
                Verdict::TooLarge(_) if !short => short = true,
                Verdict::TooLarge(why) | Verdict::Malformed(why) => return self.set_aside(parcel, &why),
                Verdict::Stop(why) => return self.stop(why),
            }
        }
    }

    /// Waits as long as the sink asked for. True if the lane has stopped.
    async fn wait_for_turn(&self) -> bool {
        let not_before = {
            let trouble = self.trouble();
            if trouble.stopped.is_some() {
                return true;
            }
            trouble.not_before
        };
        if let Some(time) = not_before {
            tokio::time::sleep_until(time).await;
        }
        self.trouble().stopped.is_some()
    }

    async fn put_off(&self, attempt: u32, after: Option<Duration>, why: String) {
        tracing::debug!(sink = self.sink.name(), attempt, why, "an event was not taken");
        let limit = BACKOFF_FIRST.saturating_mul(1 << attempt.min(10)).min(BACKOFF_MAX);
        let pause = jitter(limit);
        {
            let mut trouble = self.trouble();
            trouble.last = Some(why);
            if let Some(after) = after {
                let until = Instant::now() + after + pause;
                trouble.not_before = Some(trouble.not_before.map_or(until, |time| time.max(until)));
            }
        }
        if after.is_none() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes down that the parcel's events are settled with this sink. If that can't be written, they will be
    /// delivered again one day: better twice than never.
    fn settle(&self, parcel: &Parcel, line: fn(Mark) -> Line) {
        for (event, home) in parcel.events.iter().zip(&parcel.homes) {
            let mark = Mark { event_id: event.event_id, sink: self.sink.name().to_owned() };
            if let Err(error) = home.append(&[line(mark)]) {
                tracing::warn!(%error, "failed to write down that an event was delivered");
            }
        }
        fail_point("sink.marked");
    }

    fn stop(&self, why: String) {
        let mut trouble = self.trouble();
        if trouble.stopped.is_none() {
            (self.say)(&format!("events: {} takes nothing: {why}; they are kept in the spool", self.sink.name()));
            trouble.stopped = Some(why);
        }
    }

    /// Puts what a sink called malformed where a person can look at it.
    fn set_aside(&self, parcel: &Parcel, why: &str) {
        let name = format!("{}-{}.json", parcel.events.first().map_or(Uuid::nil(), |e| e.event_id), self.sink.name());
        let path = self.quarantine.join(name);
        let document = serde_json::json!({ "sink": self.sink.name(), "why": why, "events": parcel.events });
        let written = std::fs::create_dir_all(&self.quarantine)
            .and_then(|()| std::fs::write(&path, document.to_string()))
            .map(|()| make_room(&self.quarantine));
        let kept = match written {
            Ok(()) => format!("kept in {}", path.display()),
            Err(error) => format!("and it can't be kept in {}: {error}", path.display()),
        };
        let count = parcel.events.len();
        (self.say)(&format!("events: {} will never take {count}: {why}; {kept}", self.sink.name()));
        self.settle(parcel, Line::GivenUp);
    }
}

/// Removes the oldest files of a folder that has too many.
fn make_room(folder: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().rev().skip(QUARANTINE_FILES_MAX) {
        // A file that stays is one too many for a while.
        drop(std::fs::remove_file(path));
    }
}

/// A random time up to a limit ("full jitter"), so that many runs do not come back at once.
pub fn jitter(limit: Duration) -> Duration {
    // The lower bits of a UUIDv7 are random.
    let random = u32::try_from(Uuid::now_v7().as_u128() & 0xffff_ffff).unwrap_or_default();
    limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
