//! A lane: the queue before one sink, and the workers that deliver from it. One sink's trouble holds up no other.
//!
//! A sink that takes nothing is tried again for as long as the run lives: by one message at a time, the oldest, with
//! growing pauses. Nothing is lost meanwhile: what the queue has no room for waits in its journal, and the lane reads it
//! there when it gets to it. Messages about one subject are delivered in the order in which they were recorded; those
//! about different subjects may be under way at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::change::event::Event;
use crate::change::fail_point::fail_point;
use crate::recorders::journal::{Journal, Line, Mark};
use crate::recorders::quarantine;
use crate::recorders::queue::{Queue, Waiting};
use crate::recorders::sink::{Message, Sink, Verdict};
use crate::recorders::trouble::{Said, Trouble};

pub use crate::recorders::queue::QUEUE_LENGTH;

/// Messages and where each of their events is kept.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// One event, or late ones of a kind.
    pub events: Vec<Event>,
    /// The journal of each.
    pub homes: Vec<Arc<Journal>>,
}

/// The queue before a sink.
pub struct Lane {
    state: Arc<State>,
    workers: Vec<JoinHandle<()>>,
}

/// What the workers of a lane share.
struct State {
    sink: Arc<dyn Sink>,
    clock: fn() -> Timestamp,
    say: fn(&str),
    quarantine: PathBuf,
    inner: Mutex<Inner>,
    /// Something was queued, ended or put off.
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    trouble: Trouble,
}

/// What a worker does next.
enum Next {
    Deliver(Waiting),
    /// Until something changes.
    Wait,
    /// Until that time, or until something changes.
    WaitUntil(Instant),
}

impl Lane {
    /// A lane with its workers.
    pub fn start(sink: Arc<dyn Sink>, quarantine: PathBuf, clock: fn() -> Timestamp, say: fn(&str)) -> Self {
        let workers = sink.parallel().max(1);
        let inner = Mutex::new(Inner { queue: Queue::new(sink.name()), trouble: Trouble::default() });
        let state = Arc::new(State { sink, clock, say, quarantine, inner, changed: Notify::new() });
        let workers = (0..workers).map(|_| tokio::spawn(work(Arc::clone(&state)))).collect();
        Self { state, workers }
    }

    /// Hands a parcel over. Where the queue is full, the lane reads it in its journal later.
    pub fn hand_over(&self, parcel: Parcel) {
        let lost = self.state.inner().queue.push(parcel);
        if let Some(lost) = lost {
            self.state.settle(&lost, Line::GivenUp);
        }
        self.state.changed.notify_waiters();
    }

    /// Waits until nothing is left to try.
    pub async fn idle(&self) {
        self.state.until(|inner| !inner.is_busy()).await;
    }

    /// Waits until the sink has what a journal has for it, or refuses everything.
    pub async fn until_taken(&self, journal: &Journal) {
        self.state.until(|inner| !inner.is_busy() || !journal.owes(self.name())).await;
    }

    /// Waits until nothing is left to try, or something goes wrong.
    pub async fn until_idle_or_in_trouble(&self) {
        self.state.until(|inner| !inner.is_busy() || inner.trouble.why().is_some()).await;
    }

    /// Whether something is under way or waits, and the sink may take it: one that refuses everything is not waited
    /// for.
    pub fn is_busy(&self) -> bool {
        self.state.inner().is_busy()
    }

    /// The run ends: another attempt is made at once, unless the sink asked for a pause or refuses everything.
    pub fn hurry(&self) {
        self.state.inner().trouble.hurry(Instant::now());
        self.state.changed.notify_waiters();
    }

    /// Why the sink does not take what is waiting, if it does not.
    pub fn trouble(&self) -> Option<String> {
        self.state.inner().trouble.why().map(str::to_owned)
    }

    /// Whether the sink refuses everything until a person does something, which was said.
    pub fn is_refused(&self) -> bool {
        self.state.inner().trouble.is_refused()
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

impl Inner {
    fn is_busy(&self) -> bool {
        !self.queue.is_empty() && !self.trouble.is_refused()
    }

    /// While the sink is in trouble, one message at a time, and not before its time.
    fn next(&mut self, now: Instant) -> Next {
        if let Some(time) = self.trouble.not_before()
            && now < time
        {
            return Next::WaitUntil(time);
        }
        if self.trouble.why().is_some() && self.queue.is_under_way() {
            return Next::Wait;
        }
        self.queue.take().map_or(Next::Wait, Next::Deliver)
    }
}

async fn work(state: Arc<State>) {
    loop {
        let waiting = state.next().await;
        state.deliver(waiting).await;
        state.changed.notify_waiters();
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if is_so(&self.inner()) {
                return;
            }
            changed.await;
        }
    }

    async fn next(&self) -> Waiting {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (next, is_done) = {
                let mut inner = self.inner();
                let was_busy = inner.is_busy();
                let next = inner.next(Instant::now());
                (next, was_busy && !inner.is_busy())
            };
            if is_done {
                // Nothing was left in the journals.
                self.changed.notify_waiters();
            }
            match next {
                Next::Deliver(waiting) => return waiting,
                Next::Wait => changed.await,
                Next::WaitUntil(time) => drop(tokio::time::timeout_at(time, changed).await),
            }
        }
    }

    /// One attempt, or two where the sink wants a shorter message.
    async fn deliver(&self, mut waiting: Waiting) {
        let message = |short| Message { events: &waiting.parcel.events, now: (self.clock)(), short };
        let verdict = match self.sink.deliver(&message(waiting.is_short)).await {
            Verdict::TooLarge(_) if !waiting.is_short => {
                waiting.is_short = true;
                self.inner().queue.put_back(waiting);
                return;
            }
            other => other,
        };
        match verdict {
            Verdict::Taken => {
                fail_point("sink.taken");
                self.settle(&waiting.parcel, Line::Taken);
                self.end(&waiting);
            }
            Verdict::TooLarge(why) | Verdict::Malformed(why) => {
                self.set_aside(&waiting.parcel, &why);
                self.end(&waiting);
            }
            Verdict::Later { after, why } => {
                self.put_off(waiting, why, |trouble, why, now| trouble.failed(why, after, now));
            }
            Verdict::Stop(why) => self.put_off(waiting, why, Trouble::refused),
        }
    }

    fn end(&self, waiting: &Waiting) {
        let said = {
            let mut inner = self.inner();
            inner.queue.end(waiting);
            inner.trouble.answered(Instant::now())
        };
        self.say(said);
    }

    fn put_off(
        &self,
        mut waiting: Waiting,
        why: String,
        note: impl FnOnce(&mut Trouble, String, Instant) -> Option<Said>,
    ) {
        let sink = self.sink.name();
        tracing::debug!(sink, attempt = waiting.attempts, why, "an event was not taken");
        let said = {
            let mut inner = self.inner();
            waiting.attempts = waiting.attempts.saturating_add(1);
            inner.queue.put_back(waiting);
            note(&mut inner.trouble, why, Instant::now())
        };
        self.say(said);
    }

    fn say(&self, said: Option<Said>) {
        if let Some(said) = said {
            (self.say)(&format!("events: {} {said}", self.sink.name()));
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

    /// Puts what a sink called malformed where a person can look at it.
    fn set_aside(&self, parcel: &Parcel, why: &str) {
        let name = format!("{}-{}.json", parcel.events.first().map_or(Uuid::nil(), |e| e.event_id), self.sink.name());
        let document = serde_json::json!({ "sink": self.sink.name(), "why": why, "events": parcel.events });
        let kept = quarantine::keep(&self.quarantine, &name, &document);
        let count = parcel.events.len();
        (self.say)(&format!("events: {} will never take {count}: {why}; {kept}", self.sink.name()));
        self.settle(parcel, Line::GivenUp);
    }
}

/// A random time up to a limit ("full jitter"), so that many runs do not come back at once.
pub fn jitter(limit: Duration) -> Duration {
    // The lower bits of a UUIDv7 are random.
    let random = u32::try_from(Uuid::now_v7().as_u128() & 0xffff_ffff).unwrap_or_default();
    limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
