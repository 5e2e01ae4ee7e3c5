//! The outbox: where a run's events become durable, and from where they are delivered.
//!
//! Steps of [`Outbox::record`]:
//! 1. At the first call: mend journals of dead runs as far as that needs no cluster ([`Recorder::mend`] asks it), keep the
//!    spool within its bounds, begin to deliver what waits.
//! 2. Append the events to the run's journal, with one fsync; then to the audit log.
//! 3. Hand outcomes to the lanes, without waiting for them.
//!
//! [`Outbox::close`] waits for the lanes, as long as the flush budget says, and leaves the rest in the spool.
//! Nothing here fails the command: what can't be written is said on standard error, event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::ready;
use jiff::Timestamp;
use uuid::Uuid;

use crate::change::carry_out::Run;
use crate::change::event::{CommandEnded, Delivery, Event, Outcome, Recorder, Settle, Severity};
use crate::change::fail_point::fail_point;
use crate::change::settled::Verdict;
use crate::cluster::visible;
use crate::recorders::audit::AuditLog;
use crate::recorders::folder;
use crate::recorders::journal::{COMMAND_EXECUTED, Header, Journal, Line, Mark, is_delivered};
use crate::recorders::lane::{Lane, Parcel};
use crate::recorders::recover::{Destination, recover};
use crate::recorders::sink::Sink;
use crate::recorders::spool::{self, Bounds};

mod closing;
mod drain;
mod open;
mod rotate;
mod unkept;

pub use drain::{Flushed, Left};
pub use open::OpenError;
pub use rotate::JOURNAL_BYTES;

use rotate::Behind;
use unkept::Unkept;

/// What an outbox needs.
pub struct Settings {
    /// The state folder.
    pub state: PathBuf,
    /// The run, for the events that the outbox writes about itself.
    pub run: Run,
    /// The command line, as it may be shown; recorded once, before the first event of the run. None records no such
    /// event.
    pub command_line: Option<String>,
    /// Where outcomes go, besides the audit log.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Longest wait at the end of the run.
    pub flush_within: Duration,
    /// How much undelivered is kept.
    pub bounds: Bounds,
    /// A journal that is longer than this is written anew with what is still needed.
    pub journal_bytes: u64,
    /// Where a person is told what goes wrong.
    pub say: fn(&str),
}

/// A durable recorder.
pub struct Outbox {
    settings: Settings,
    audit: AuditLog,
    is_started: bool,
    lanes: Vec<Lane>,
    /// This run's journal, from the first event on.
    journal: Option<Arc<Journal>>,
    journals_begun: usize,
    /// Events that are in the journal and could not be appended to the audit log.
    audit_behind: Option<Behind>,
    /// Intents of this run without an outcome.
    unmatched: BTreeMap<Uuid, Event>,
    /// Outcomes of this run that sinks are to have.
    recorded: BTreeSet<Uuid>,
    /// Outcomes that the journal does not have: they were said, and are lost where no sink takes them.
    unwritten: BTreeSet<Uuid>,
    /// Events that neither the journal nor the audit log has.
    unkept: Unkept,
    /// The event about the command line: its intent is in the journal, its outcome is not.
    command: Option<Event>,
    /// How the command ended, once that is known.
    command_ended: Option<CommandEnded>,
    /// Records that a bound dropped, or that some sink will never have.
    dropped: usize,
    /// Outcomes of this run that every sink took, besides those of `recorded`.
    sent: usize,
    /// With more in `recorded` than this, what is settled is counted.
    remembered_max: usize,
    /// Outcomes of earlier runs that every sink took, besides those of `drain`.
    sent_of_earlier: usize,
    /// The last write to the journal failed, which was said.
    is_journal_failing: bool,
    drain: drain::Drain,
}

impl Outbox {
    /// An outbox. Nothing is read or written before the first event.
    pub fn new(settings: Settings) -> Self {
        let audit = AuditLog::new(&settings.state);
        Self {
            settings,
            audit,
            is_started: false,
            lanes: Vec::new(),
            journal: None,
            journals_begun: 0,
            audit_behind: None,
            unmatched: BTreeMap::new(),
            recorded: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            unkept: Unkept::default(),
            command: None,
            command_ended: None,
            dropped: 0,
            sent: 0,
            remembered_max: rotate::REMEMBERED,
            sent_of_earlier: 0,
            is_journal_failing: false,
            drain: drain::Drain::default(),
        }
    }

    fn now(&self) -> Timestamp {
        (self.settings.run.clock)()
    }

    fn say(&self, text: &str) {
        (self.settings.say)(text);
    }

    /// Looks after what earlier runs left behind.
    async fn start(&mut self) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        self.mend_journals(&|intents| ready(vec![Verdict::NotAsked; intents.len()]).boxed()).await;
        self.keep_within_bounds().await;
        self.drain_spool();
    }

    /// Ends what dead runs left open: as `settle` says, else as `unknown`; what it could not ask about stays open.
    async fn mend_journals(&mut self, settle: &Settle<'_>) {
        let sinks: Vec<_> = self.settings.sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let to = Destination { state: &self.settings.state, audit: &self.audit, sinks: &sinks };
        let recovered = recover(&to, self.now(), settle).await;
        if recovered.unknown > 0 {
            let unknown = recovered.unknown;
            self.say(&format!(
                "events: an earlier run died: how {unknown} of its changes ended is not known (toolbox events list \
                 --outcome unknown)"
            ));
        }
        if recovered.settled > 0 {
            let settled = recovered.settled;
            self.say(&format!("events: an earlier run died: the cluster shows how {settled} of its changes ended"));
        }
        for fault in &recovered.faults {
            self.say(&format!("events: an earlier run's journal can't be mended: {fault}"));
        }
        for damaged in recovered.damaged {
            self.say(&format!("events: {damaged}"));
            let event = self.settings.run.event("events.damaged", "spool:events", Outcome::Done, &damaged);
            self.write(&[Event { severity: Severity::Error, ..event }]).await;
        }
    }

    /// Drops what the spool has no room for, and says so, first of all to those who read the events.
    async fn keep_within_bounds(&mut self) {
        let Settings { state, bounds, .. } = &self.settings;
        let excess = spool::excess(state, *bounds, self.now());
        if excess.count() == 0 {
            if let Err(error) = excess.carry_out() {
                tracing::warn!(%error, "failed to write the spool anew");
            }
            return;
        }
        let title = format!("dropped {} undelivered events: {}", excess.count(), excess.why(*bounds));
        self.say(&format!("events: {title}; the audit log still has them"));
        let event = self.settings.run.event("events.dropped", "spool:events", Outcome::Done, &title);
        self.write(&[Event { severity: Severity::Error, ..event }]).await;
        self.dropped += excess.count();
        if let Err(error) = excess.carry_out() {
            self.say(&format!("events: the spool can't be written: {error}"));
        }
    }

    /// Journal, audit log, lanes.
    async fn write(&mut self, events: &[Event]) {
        let events: Vec<_> = events.iter().map(Event::cleaned).collect();
        let journal = self.journal(&events).await;
        let lines: Vec<_> = events.iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
        let delivered: Vec<_> = events.iter().filter(|event| is_delivered(event)).collect();
        for sink in &self.settings.sinks {
            let mark = |event: &&Event| Mark { event_id: event.event_id, sink: sink.name().to_owned() };
            journal.owe(delivered.iter().map(mark));
        }
        let written = journal.append_durably(&lines);
        let was_failing = std::mem::replace(&mut self.is_journal_failing, written.is_err());
        if let Err(error) = &written
            && !was_failing
        {
            self.say(&format!("events: {} can't be written: {error}", journal.path().display()));
        }
        if written.is_err() || !journal.is_on_disk() {
            self.say_each(&events);
            self.unwritten.extend(delivered.iter().map(|event| event.event_id));
            self.unkept.add(&events);
        }
        self.write_audit(&events).await;
        fail_point("outbox.written");
        if !self.settings.sinks.is_empty() {
            self.recorded.extend(delivered.iter().map(|event| event.event_id));
        }
        for event in delivered {
            self.hand_over(event, &journal);
        }
        self.rotate(&journal).await;
    }

    /// This run's journal, begun where there is none.
    async fn journal(&mut self, first: &[Event]) -> Arc<Journal> {
        if let Some(journal) = &self.journal {
            return Arc::clone(journal);
        }
        self.journals_begun += 1;
        let Settings { state, run, command_line, .. } = &self.settings;
        // A run that closed its recorder and went on (an agent) has several journals.
        let name = match self.journals_begun {
            1 => run.id.to_string(),
            count => format!("{}-{count}", run.id),
        };
        let header = self.header(None);
        let journal = Journal::create(&folder::open(state), &name, &header).unwrap_or_else(|error| {
            self.say(&format!(
                "events: {} can't be written ({error}): events of this run are lost where no sink takes them; \
                 --state-folder names another folder",
                state.display()
            ));
            Journal::in_memory()
        });
        let journal = Arc::new(journal);
        self.journal = Some(Arc::clone(&journal));
        if let (1, Some(line)) = (self.journals_begun, command_line) {
            // Named after the cluster of the first event: only then is it known.
            let mut run = run.clone();
            if let Some(event) = first.first() {
                (run.cluster, run.cluster_id) = (event.cluster.clone(), event.cluster_id.clone());
            }
            let event = run.event(COMMAND_EXECUTED, &format!("command:{}", run.command), Outcome::Planned, line);
            let event = Event { severity: Severity::Low, ..event }.cleaned();
            // It rides on the fsync of the events behind it.
            let written = journal.append(&[Line::Event(Box::new(event.clone()))]);
            if written.is_ok() && journal.is_on_disk() {
                self.command = Some(event.clone());
                self.write_audit(&[event]).await;
            }
        }
        journal
    }

    fn header(&self, open_until: Option<Timestamp>) -> Header {
        let Settings { run, command_line, sinks, .. } = &self.settings;
        Header {
            run_id: run.id,
            command: command_line.clone().unwrap_or_else(|| run.command.clone()),
            sinks: sinks.iter().map(|sink| sink.name().to_owned()).collect(),
            open_until,
        }
    }

    /// Where nothing can be kept, every event is said, as JSON, for whoever collects this process's output.
    fn say_each(&self, events: &[Event]) {
        for event in events {
            self.say(&visible::json(&serde_json::json!({ "spool": "failed", "event": event }).to_string()));
        }
    }

    fn hand_over(&mut self, event: &Event, journal: &Arc<Journal>) {
        self.start_lanes();
        for lane in &self.lanes {
            lane.hand_over(Parcel { events: vec![event.clone()], homes: vec![Arc::clone(journal)] });
        }
    }

    /// Lanes are started with the first parcel: a run without events opens no connection.
    fn start_lanes(&mut self) {
        if !self.lanes.is_empty() {
            return;
        }
        let Settings { state, run, sinks, say, .. } = &self.settings;
        let start = |sink: &Arc<dyn Sink>| Lane::start(Arc::clone(sink), folder::quarantine(state), run.clock, *say);
        self.lanes = sinks.iter().map(start).collect();
    }
}

#[async_trait]
impl Recorder for Outbox {
    async fn mend(&mut self, settle: &Settle<'_>) {
        self.mend_journals(settle).await;
        if std::mem::replace(&mut self.is_started, true) {
            self.drain_more().await;
        } else {
            self.keep_within_bounds().await;
            self.drain_spool();
        }
    }

    async fn record(&mut self, events: &[Event]) {
        self.start().await;
        if events.is_empty() {
            return;
        }
        for event in events {
            if event.is_intent() {
                self.unmatched.insert(event.event_id, event.clone());
            } else {
                self.unmatched.remove(&event.event_id);
            }
        }
        self.write(events).await;
        self.drain_more().await;
    }

    fn command_ended(&mut self, ended: CommandEnded) {
        self.command_ended = Some(ended);
    }

    fn hurry(&mut self) {
        self.settings.flush_within = Duration::ZERO;
    }

    async fn close(&mut self) -> Delivery {
        self.end().await
    }
}
