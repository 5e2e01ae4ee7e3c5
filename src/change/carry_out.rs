//! Carries a plan out: batches of neighbouring steps, an intent for each before, an outcome for each after.
//!
//! Steps:
//! 1. Cut the plan into batches ([`batches`]).
//! 2. For each batch: record all intents (one fsync), apply, record one outcome a step.
//! 3. Count. A failed step does not stop the others.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::change::brake::Brake;
use crate::change::event::{Event, Outcome, Recorder, Severity};
use crate::change::plan::{Refusal, Step};
use crate::cluster::records::RECORDS_MAX;

/// How a step ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended; never [`Outcome::Planned`].
    pub outcome: Outcome,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// Whether it is done without us: the object was found as desired when the change was tried. [`Outcome::Done`] then.
    pub is_unchanged: bool,
}

impl Ended {
    /// It is done.
    pub fn done() -> Self {
        Self { outcome: Outcome::Done, reason: None, is_unchanged: false }
    }

    /// The object was found as desired when the change was tried: somebody else made it so, and nothing was changed.
    pub fn unchanged(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Done, reason: Some(reason.into()), is_unchanged: true }
    }

    /// The run that tried it died, and the cluster shows now whether it was done.
    pub fn settled(is_done: bool) -> Self {
        if is_done {
            let reason = "the run died before it recorded this; the cluster shows it done";
            return Self { outcome: Outcome::Done, reason: Some(reason.to_owned()), is_unchanged: false };
        }
        Self::failed("the run died before it recorded this; the cluster does not show it done")
    }

    /// It was tried and failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason.into()), is_unchanged: false }
    }

    /// It was not tried.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(reason.into()), is_unchanged: false }
    }

    /// Nobody knows.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, reason: Some(reason.into()), is_unchanged: false }
    }
}

/// What all events of one run say.
#[derive(Debug, Clone)]
pub struct Run {
    /// UUIDv7 of the run.
    pub id: Uuid,
    /// The cluster's name, else its id.
    pub cluster: String,
    /// The cluster's id, once it is known.
    pub cluster_id: Option<String>,
    /// Who does it.
    pub actor: String,
    /// The command, as `topics apply`.
    pub command: String,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Run {
    /// An event of this run with an id of its own; callers fill in what else they know.
    pub fn event(&self, kind: &str, subject: &str, outcome: Outcome, title: &str) -> Event {
        Event {
            event_id: self.new_id(),
            run_id: self.id,
            time: (self.clock)(),
            kind: kind.to_owned(),
            outcome,
            reason: None,
            severity: loudness(outcome, Severity::Info),
            cluster: self.cluster.clone(),
            cluster_id: self.cluster_id.clone(),
            actor: self.actor.clone(),
            command: self.command.clone(),
            subject: subject.to_owned(),
            title: title.to_owned(),
            before: None,
            after: None,
            tags: BTreeMap::new(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The kind of an event about the run as a whole: `topics.apply.started` for the phase `started`.
    pub fn kind(&self, phase: &str) -> String {
        format!("{}.{phase}", self.command.replace(' ', "."))
    }

    /// The kind of an event about something that the command refuses: `topics.refused`.
    fn kind_of_refusal(&self) -> String {
        format!("{}.refused", self.command.split(' ').next().unwrap_or_default())
    }

    /// The event of a change that is refused.
    pub fn refusal(&self, refusal: &Refusal) -> Event {
        let event = self.event(&self.kind_of_refusal(), &refusal.subject, Outcome::Refused, &refusal.change);
        Event { reason: Some(refusal.reason.clone()), ..event }
    }

    /// The intent to carry out a step.
    fn intent<S: Step>(&self, step: &S) -> Event {
        let shown = step.to_string();
        let title = shown.lines().next().unwrap_or_default();
        let (before, after) = step.before_after();
        let event = self.event(step.kind(), &step.subject(), Outcome::Planned, title);
        Event { severity: step.severity(), before, after, ..event }
    }

    /// The outcome that belongs to an intent.
    pub fn outcome(&self, intent: &Event, ended: &Ended) -> Event {
        outcome_at(intent, ended, (self.clock)())
    }

    fn new_id(&self) -> Uuid {
        let now = (self.clock)();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds))
    }
}

/// The outcome that belongs to an intent, of this run or another one, at a moment.
pub fn outcome_at(intent: &Event, ended: &Ended, time: Timestamp) -> Event {
    let Ended { outcome, reason, is_unchanged } = ended.clone();
    let severity = loudness(outcome, intent.severity);
    let event = Event { time, outcome, reason, severity, ..intent.clone() };
    if !is_unchanged {
        return event;
    }
    // Whoever reads the events must not take it for a change of ours.
    let room = intent.kind.split('.').next().unwrap_or_default();
    Event { kind: format!("{room}.unchanged"), severity: Severity::Info, before: None, after: None, ..event }
}

fn loudness(outcome: Outcome, when_done: Severity) -> Severity {
    match outcome {
        Outcome::Planned | Outcome::Done => when_done,
        Outcome::Refused | Outcome::Unknown => Severity::Warning,
        Outcome::Failed => Severity::Error,
    }
}

/// Watches a plan being carried out.
pub trait Watch {
    /// Called when so many steps of all are done with, however they ended.
    fn at(&mut self, ended: usize, of: usize);

    /// Whether to stop before the next batch: somebody asked for it.
    fn should_stop(&self) -> bool;

    /// Whoever insists on it gives the batch up that is under way: its steps are unknown then, and recorded as such.
    fn brake(&self) -> Option<&Brake> {
        None
    }

    /// Called at each boundary (`intents`, `applied`, `recorded`) of each batch.
    fn boundary(&self, _name: &'static str) {}
}

/// Carries steps out in their order and says how each one ended. Those that were not begun because the run was
/// asked to stop are missing at the end.
pub async fn carry_out<S: Step>(
    steps: &[S],
    run: &Run,
    recorder: &mut dyn Recorder,
    watch: &mut dyn Watch,
    mut apply: impl AsyncFnMut(&[S]) -> Vec<Ended>,
) -> Vec<Ended> {
    let mut all = Vec::with_capacity(steps.len());
    for range in batches(steps) {
        if watch.should_stop() {
            break;
        }
        let batch = &steps[range];
        let intents: Vec<_> = batch.iter().map(|step| run.intent(step)).collect();
        recorder.record(&intents).await;
        watch.boundary("intents");
        let mut ended = unless_given_up(watch.brake().cloned(), apply(batch)).await;
        // A step without an answer was given up, or `apply` is at fault; it must not be counted as done.
        ended.resize_with(batch.len(), || Ended::unknown("no answer came for this step before it was given up"));
        watch.boundary("applied");
        let outcomes: Vec<_> = intents.iter().zip(&ended).map(|(intent, ended)| run.outcome(intent, ended)).collect();
        recorder.record(&outcomes).await;
        watch.boundary("recorded");
        all.extend(ended);
        watch.at(all.len(), steps.len());
    }
    all
}

/// The answers to a batch; none where somebody insists that it is given up.
async fn unless_given_up(brake: Option<Brake>, answers: impl Future<Output = Vec<Ended>>) -> Vec<Ended> {
    let Some(brake) = brake else { return answers.await };
    tokio::select! {
        biased;
        answers = answers => answers,
        () = brake.until_insisted() => Vec::new(),
    }
}

/// How many steps ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Done.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Refused.
    pub refused: usize,
    /// Unknown: the answer was lost and a look at the cluster did not settle it.
    pub unknown: usize,
    /// Found as desired when the change was tried: nothing was changed by us. They are not among those that are done.
    pub unchanged: usize,
}

impl Tally {
    /// Counts how steps ended.
    pub fn of<S>(ended: &[(S, Ended)]) -> Self {
        let mut tally = Self::default();
        for (_, ended) in ended {
            if ended.is_unchanged {
                tally.unchanged += 1;
            } else {
                tally.count(ended.outcome);
            }
        }
        tally
    }

    /// Counts one more.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Planned => {}
            Outcome::Done => self.done += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, failed, refused, unknown, unchanged } = self;
        write!(f, "{done} done, {failed} failed, {refused} refused, {unknown} unknown")?;
        if *unchanged > 0 {
            write!(f, "; {unchanged} found as desired and not changed")?;
        }
        Ok(())
    }
}

/// Cuts a plan into runs of neighbouring steps of the same [`Step::batch`] and together weigh
/// [`RECORDS_MAX`] at most; a heavier step is a batch of its own.
pub fn batches<S: Step>(steps: &[S]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut start = 0;
    let mut weight = 0;
    for (index, step) in steps.iter().enumerate() {
        let fits = index == start || (step.batch() == steps[start].batch() && weight + step.weight() <= RECORDS_MAX);
        if !fits {
            cuts.push(start..index);
            start = index;
            weight = 0;
        }
        weight += step.weight();
    }
    if start < steps.len() {
        cuts.push(start..steps.len());
    }
    cuts
}
