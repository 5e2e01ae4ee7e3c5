//! The outbox: where a run's events become durable, and from where they are delivered.
//!
//! Steps of [`Outbox::record`]:
//! 1. At the first call: mend journals of dead runs, keep the spool within its bounds, begin to deliver what waits.
//! 2. Append the events to the run's journal, with one fsync; then to the audit log.
//! 3. Hand outcomes to the lanes, without waiting for them.
//!
//! [`Outbox::close`] waits for the lanes, as long as the flush budget says, and leaves the rest in the spool.
//! Nothing here fails the command: what can't be written is said on standard error, event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::change::carry_out::Run;
use crate::change::event::{Delivery, Event, Outcome, Recorder, Settle, Severity};
use crate::cluster::visible;
use crate::recorders::audit::AuditLog;
use crate::recorders::fail_point::fail_point;
use crate::recorders::folder;
use crate::recorders::journal::{Header, Journal, Line, Mark, is_delivered};
use crate::recorders::lane::{Lane, Parcel};
use crate::recorders::recover::{ended_unknown, finish, recover};
use crate::recorders::sink::Sink;
use crate::recorders::spool::{self, Bounds};

mod drain;
mod open;
mod rotate;

pub use drain::{Flushed, Left};
pub use open::OpenError;
pub use rotate::JOURNAL_BYTES;

use rotate::Behind;

/// A wait that is longer than this is explained.
const SILENT_WAIT: Duration = Duration::from_secs(2);

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
    /// Whether the changes of dead runs are left open until somebody says how they ended.
    mends_later: bool,
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
    /// Events that the journal does not have: they were said, and are lost where no sink takes them.
    unwritten: BTreeSet<Uuid>,
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
            mends_later: false,
            lanes: Vec::new(),
            journal: None,
            journals_begun: 0,
            audit_behind: None,
            unmatched: BTreeMap::new(),
            recorded: BTreeSet::new(),
            unwritten: BTreeSet::new(),
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
        if !self.mends_later {
            self.mend_journals(&|_| None).await;
        }
        self.keep_within_bounds().await;
        self.drain_spool();
    }

    /// Ends what dead runs left open: as `settle` says, else as `unknown`.
    async fn mend_journals(&mut self, settle: &Settle<'_>) {
        let sinks: Vec<_> = self.settings.sinks.iter().map(|sink| sink.name().to_owned()).collect();
        let recovered = recover((self.settings.state.as_path(), &self.audit), &sinks, self.now(), settle).await;
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
        match written {
            Ok(()) if journal.is_on_disk() => {}
            Ok(()) => self.say_each(&events),
            Err(error) => {
                if !was_failing {
                    self.say(&format!("events: {} can't be written: {error}", journal.path().display()));
                }
                self.say_each(&events);
                self.unwritten.extend(events.iter().map(|event| event.event_id));
            }
        }
        self.write_audit(&events).await;
        fail_point("outbox.written");
        self.recorded.extend(delivered.iter().map(|event| event.event_id));
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
            let cluster = first.first().map_or(&run.cluster, |event| &event.cluster);
            let event = run.event("command.executed", &format!("command:{}", run.command), Outcome::Done, line);
            let event = Event { severity: Severity::Low, cluster: cluster.clone(), ..event }.cleaned();
            // It rides on the fsync of the events behind it.
            let written = journal.append(&[Line::Event(Box::new(event.clone()))]);
            if written.is_ok() && journal.is_on_disk() {
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

    /// Intents that nobody ended: the command broke off between act and record.
    async fn end_unmatched(&mut self) {
        let now = self.now();
        let unmatched: Vec<_> = std::mem::take(&mut self.unmatched)
            .into_values()
            .map(|intent| ended_unknown(&intent, "the command broke off before it said how this ended", now))
            .collect();
        if !unmatched.is_empty() {
            self.write(&unmatched).await;
        }
    }

    /// Brings the audit log up to date and the run's journal to its last place.
    async fn finish_journal(&mut self) -> io::Result<()> {
        let Some(journal) = self.journal.take() else { return Ok(()) };
        if !journal.is_on_disk() {
            return Ok(());
        }
        if self.audit_behind.is_some() {
            // If it fails again, the journal stays where the next start looks for it.
            self.audit.append_missing(&journal.contents()?.events).await?;
            self.audit_behind = None;
        }
        self.audit.sync()?;
        fail_point("close.audited");
        finish(&journal, &self.settings.state)?;
        fail_point("close.moved");
        Ok(())
    }

    /// How this run's outcomes fared.
    fn tally(&mut self) -> Delivery {
        self.fold();
        self.lose_unwritten();
        Delivery {
            sent: self.sent,
            spooled: self.recorded.len(),
            dropped: self.dropped,
            sent_of_earlier: self.sent_of_earlier + self.drain.sent(),
        }
    }

    /// Counts what is settled, so that a long run need not remember it. What is left waits in the journal.
    fn fold(&mut self) {
        let Some(journal) = self.journal.clone() else { return };
        let is_on_disk = journal.is_on_disk();
        for id in std::mem::take(&mut self.recorded) {
            match (journal.is_given_up(id), journal.is_settled(id)) {
                (true, _) => self.dropped += 1,
                (false, true) => self.sent += 1,
                (false, false) => drop(self.recorded.insert(id)),
            }
        }
        self.unwritten.retain(|id| self.recorded.contains(id));
        if !is_on_disk {
            self.unwritten.clone_from(&self.recorded);
        }
    }

    /// What no sink took and no journal keeps is lost when the run ends.
    fn lose_unwritten(&mut self) {
        let unwritten = std::mem::take(&mut self.unwritten);
        let before = self.recorded.len();
        self.recorded.retain(|id| !unwritten.contains(id));
        self.dropped += before - self.recorded.len();
    }

    /// A person who sees nothing happen wants to know why.
    fn say_waiting(&self) {
        let busy: Vec<_> = self.lanes.iter().filter(|lane| lane.is_busy()).map(Lane::name).collect();
        let seconds = self.settings.flush_within.as_secs();
        self.say(&format!("events: waiting for {}, {seconds} s at most; the next run sends the rest", busy.join(", ")));
    }

    /// Why events of this run wait in the spool.
    fn say_trouble(&self) {
        let pending = self.journal.as_ref().map(|journal| journal.pending()).unwrap_or_default();
        for lane in &self.lanes {
            let waiting = pending.iter().filter(|mark| mark.sink == lane.name()).count();
            // A refusal was said when it happened.
            if waiting > 0 && !lane.is_refused() {
                let why = lane.trouble().unwrap_or_else(|| "the time was too short".to_owned());
                self.say(&format!("events: {waiting} wait for {}: {why}", lane.name()));
            }
        }
    }
}

#[async_trait]
impl Recorder for Outbox {
    fn mend_later(&mut self) {
        self.mends_later = true;
    }

    async fn mend(&mut self, settle: &Settle<'_>) {
        if !std::mem::replace(&mut self.mends_later, false) {
            return;
        }
        self.mend_journals(settle).await;
        if std::mem::replace(&mut self.is_started, true) {
            self.drain_more().await;
        } else {
            self.keep_within_bounds().await;
            self.drain_spool();
        }
    }

    async fn record(&mut self, events: &[Event]) {
        if events.is_empty() && self.mends_later {
            return;
        }
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

    async fn close(&mut self) -> Delivery {
        self.end_unmatched().await;
        self.lanes.iter().for_each(Lane::hurry);
        let begun = Instant::now();
        let deadline = begun + self.settings.flush_within;
        self.wait_until(deadline.min(begun + SILENT_WAIT)).await;
        if self.lanes.iter().any(Lane::is_busy) && Instant::now() < deadline {
            self.say_waiting();
            self.wait_until(deadline).await;
        }
        if let Some(event) = self.drain.recovered(&self.settings.run) {
            self.write(&[event]).await;
            self.wait_until(deadline).await;
        }
        self.say_trouble();
        let delivery = self.tally();
        self.lanes.clear();
        self.drain.release();
        if let Err(error) = self.finish_journal().await {
            self.say(&format!("events: this run's journal stays open, the next start mends it: {error}"));
        }
        self.recorded.clear();
        (self.sent, self.dropped, self.sent_of_earlier) = (0, 0, 0);
        self.is_started = false;
        delivery
    }
}
