//! An agent in one context: it stands by until it leads, does its ticks, and stands by again when it has lost the lock.
//!
//! ```text
//! standby ──lead──▶ leader ──the lock is lost──▶ standby …      SIGTERM ends it anywhere, in order
//! ```
//!
//! - Ticks are serial: one task does them; timers, requests and looks at documents only wake it.
//! - A tick that is stopped (SIGTERM, its deadline, a lost lock) ends with the batch that is under way. What has changed
//!   nothing is dropped at once; a batch that does not end within the grace is given up and recorded as unknown.
//! - Brakes are nested: the process's above the term's above the tick's. The lock layer pulls the term's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use crate::agent::inbox::{Asked, Inbox};
use crate::agent::schedule::{Cause, Timing, chance, ticks};
use crate::agent::status::Status;
use crate::change::brake::{Brake, Halted, braked};
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::formats::schedule::KubeSchedule;
use crate::output;

/// How often a standby tries to lead: between 8 and 12 s.
const STANDBY_MIN: Duration = Duration::from_secs(8);
const STANDBY_JITTER: Duration = Duration::from_secs(4);

/// How long an attempt to lead may go on after SIGTERM: whatever it has taken is released.
const LEAD_GRACE: Duration = Duration::from_secs(5);

/// A failure that goes on is said again after this long.
const SAID_AGAIN: Duration = Duration::from_mins(10);

/// How long ticks may take, and how far they are apart.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The time between two ticks.
    pub interval: Duration,
    /// How often it is looked whether a document changed; none for never.
    pub watch: Option<Duration>,
    /// Longest tick; then its brake is pulled.
    pub deadline: Duration,
    /// How long changes may go on after that.
    pub grace: Duration,
}

/// Why a tick runs.
#[derive(Debug)]
pub enum Why<Q, R> {
    /// It is due.
    Due,
    /// To look whether a document changed.
    Watch,
    /// Somebody asked for something.
    Asked(Vec<Asked<Q, R>>),
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    /// It went well.
    Done,
    /// Nothing had changed, so that nothing was done; it does not count as a tick.
    Unchanged,
    /// It went well, and the agent's work is over.
    Over,
}

/// An agent's frame; the work comes from the functions that [`Agent::run`] is handed.
#[derive(Debug)]
pub struct Agent<Q, R> {
    /// How long ticks may take, and how far they are apart.
    pub pace: Pace,
    /// What health and metrics say.
    pub status: Arc<Status>,
    /// Where requests come from.
    pub inbox: Arc<Inbox<Q, R>>,
}

/// How a term ended.
enum TermEnd {
    Stopped,
    Over,
    Lost(String),
}

/// What a standby has said and seen.
#[derive(Default)]
struct Standby {
    said: Option<String>,
    /// Whether it ever saw who leads, or led.
    has_seen: bool,
    is_in_trouble: bool,
}

impl<Q, R> Agent<Q, R> {
    /// Runs until it is stopped or its work is over; what the term that ran then had. `lead` takes locks and opens what
    /// only their holder may write; it is refused ([`Stop::held_by`]) while another one leads. `tick` works with that.
    ///
    /// An attempt to lead that fails before it was ever seen who leads ends the agent: a wrong setting shows at once.
    /// Later, failures are said and tried again.
    pub async fn run<T>(
        &self,
        context: &mut Context,
        mut lead: impl AsyncFnMut(&mut Context) -> anyhow::Result<T>,
        mut tick: impl AsyncFnMut(&mut Context, &mut T, Why<Q, R>) -> anyhow::Result<Ticked>,
    ) -> anyhow::Result<Option<T>> {
        let shutdown = context.brake().clone();
        // From here on it ends by itself when it is asked to.
        shutdown.changes_begin();
        let mut standby = Standby::default();
        let ended = loop {
            let attempt = self.stand_by(context, &shutdown, &mut standby, &mut lead).await;
            let Ok(Some((mut held, term))) = attempt else { break attempt.map(|_| None) };
            match self.term(context, (&shutdown, &term), &mut held, &mut tick).await {
                TermEnd::Stopped | TermEnd::Over => break Ok(Some(held)),
                TermEnd::Lost(why) => {
                    output::complain_lines(&format!("{why}: this agent does nothing until it leads again"));
                    self.status.sees_nobody(why);
                    drop(held);
                    context.leave().await;
                }
            }
        };
        context.use_brake(shutdown);
        self.inbox.close("the agent ends");
        ended
    }

    /// Tries to lead until that succeeds, and gives the term's brake; nothing where the agent is stopped.
    async fn stand_by<T>(
        &self,
        context: &mut Context,
        shutdown: &Brake,
        standby: &mut Standby,
        lead: &mut impl AsyncFnMut(&mut Context) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<(T, Brake)>> {
        loop {
            let term = shutdown.child();
            context.use_brake(term.clone());
            self.status.is_alive();
            let attempt = braked(shutdown, LEAD_GRACE, lead(context)).await;
            if shutdown.pulled().is_some() {
                context.leave().await;
                return Ok(None);
            }
            match attempt {
                Ok(Ok(held)) => {
                    if standby.said.is_some() {
                        output::say("this agent leads now");
                    }
                    *standby = Standby { has_seen: true, ..Standby::default() };
                    return Ok(Some((held, term)));
                }
                Ok(Err(error)) => {
                    context.leave().await;
                    self.could_not_lead(standby, error)?;
                }
                Err(halted) => self.status.sees_nobody(halted.to_string()),
            }
            tokio::select! {
                biased;
                _ = shutdown.until_pulled() => return Ok(None),
                () = sleep(STANDBY_MIN + chance(STANDBY_JITTER)) => {}
            }
        }
    }

    /// Says why it does not lead, where that is new.
    fn could_not_lead(&self, standby: &mut Standby, error: anyhow::Error) -> anyhow::Result<()> {
        let stop = error.chain().find_map(|cause| cause.downcast_ref::<Stop>());
        if let Some(leader) = stop.and_then(|stop| stop.holder.clone()) {
            self.status.stands_by(&leader);
            self.inbox.close(format!("not the leader; the leader is {leader}"));
            if standby.said.as_ref() != Some(&leader) {
                output::say(&format!("standing by: the leader is {leader}"));
            }
            *standby = Standby { said: Some(leader), has_seen: true, is_in_trouble: false };
            return Ok(());
        }
        if !standby.has_seen || output::exit_of(&error) == Exit::Usage {
            return Err(error);
        }
        let why = format!("{error:#}");
        self.inbox.close(format!("not the leader; who leads can't be seen now: {why}"));
        if !std::mem::replace(&mut standby.is_in_trouble, true) {
            output::complain_lines(&format!("{why}; it is tried again until it works"));
        }
        self.status.sees_nobody(why);
        Ok(())
    }

    /// Does ticks until the term ends.
    async fn term<T>(
        &self,
        context: &mut Context,
        (shutdown, term): (&Brake, &Brake),
        held: &mut T,
        tick: &mut impl AsyncFnMut(&mut Context, &mut T, Why<Q, R>) -> anyhow::Result<Ticked>,
    ) -> TermEnd {
        let mut queue = self.inbox.open();
        self.status.leads();
        let (ends, mut voice) = (term.child(), Voice::default());
        let clock = monotonic(context);
        let wake = async || {
            let watch = async {
                match self.pace.watch {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                asked = queue.next() => Why::Asked(asked),
                () = watch => Why::Watch,
            }
        };
        let one = async |cause, brake: Brake| {
            let why = match cause {
                Cause::Due => Why::Due,
                Cause::Woken(why) => why,
            };
            if matches!(why, Why::Asked(_)) {
                // What is asked for is a change: it is not dropped half done.
                brake.changes_begin();
            }
            let (begun, before) = (Instant::now(), context.use_brake(brake.clone()));
            let ended = braked(&brake, self.pace.grace, tick(context, held, why)).await;
            context.use_brake(before);
            let ended = said(ended, (term, &brake));
            if ended == Ok(Ticked::Over) {
                ends.pull("the work is over");
            }
            self.settle(ended, (term, &brake), (context.now(), begun.elapsed()), &mut voice);
        };
        ticks(&self.timing(), clock, &ends, wake, one).await;
        match (shutdown.pulled(), term.pulled()) {
            (Some(_), _) => TermEnd::Stopped,
            (None, Some(why)) => {
                self.inbox.close(format!("not the leader any more; {why}"));
                TermEnd::Lost(why)
            }
            (None, None) => TermEnd::Over,
        }
    }

    /// Counts a tick, and says what a person should know.
    fn settle(
        &self,
        ended: Result<Ticked, String>,
        (term, brake): (&Brake, &Brake),
        (now, took): (Timestamp, Duration),
        voice: &mut Voice,
    ) {
        match ended {
            Ok(Ticked::Unchanged) => self.status.is_alive(),
            Ok(Ticked::Done | Ticked::Over) => {
                self.status.ticked("done", now, took, None);
                voice.is_well();
            }
            Err(why) if term.pulled().is_some() => {
                if brake.is_changing() {
                    output::complain_lines(&why);
                }
                self.status.ticked("stopped", now, took, None);
            }
            Err(why) => {
                voice.fails(&why);
                self.status.ticked("failed", now, took, Some(why));
            }
        }
    }

    fn timing(&self) -> Timing {
        let Pace { interval, deadline, .. } = self.pace;
        Timing {
            schedule: KubeSchedule::every(interval),
            zone: TimeZone::UTC,
            begins_at_once: true,
            jitter: Duration::ZERO,
            deadline,
        }
    }
}

/// A tick as it counts: one that ended well after its deadline has failed, too.
fn said(ended: Result<anyhow::Result<Ticked>, Halted>, (term, brake): (&Brake, &Brake)) -> Result<Ticked, String> {
    let ended = ended.map_err(|halted| halted.to_string())?.map_err(|error| format!("{error:#}"))?;
    match brake.pulled() {
        Some(why) if term.pulled().is_none() => Err(why),
        _ => Ok(ended),
    }
}

/// A clock that nobody sets: an agent goes on ticking when the machine's clock is put back.
fn monotonic(context: &Context) -> impl Fn() -> Timestamp + use<> {
    let (start, begun) = (context.now(), Instant::now());
    move || start.checked_add(begun.elapsed()).unwrap_or(start)
}

/// Says a failure when it begins, when it becomes another one, and when it is over: not at each tick.
#[derive(Debug, Default)]
struct Voice {
    failing: Option<(Instant, u32)>,
    said_at: Option<Instant>,
}

impl Voice {
    fn fails(&mut self, why: &str) {
        let (since, count) = self.failing.map_or((Instant::now(), 1), |(since, count)| (since, count + 1));
        self.failing = Some((since, count));
        if self.said_at.is_some_and(|at| at.elapsed() < SAID_AGAIN) {
            tracing::info!(count, "the tick failed again: {why}");
            return;
        }
        self.said_at = Some(Instant::now());
        let more = if count > 1 { format!(" ({count} ticks have failed)") } else { String::new() };
        output::complain_lines(&format!("the tick failed: {why}; the next one comes at its time{more}"));
    }

    fn is_well(&mut self) {
        self.said_at = None;
        if let Some((since, count)) = self.failing.take().filter(|(_, count)| *count > 1) {
            output::say(&format!("ticks go well again, after {count} that failed in {} s", since.elapsed().as_secs()));
        }
    }
}

#[cfg(test)]
mod tests;
