//! What keeps a long run's files bounded and whole: the audit log is caught up with after a failure, and a journal that
//! has grown is written anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::change::event::{Event, Outcome, Severity};
use crate::recorders::journal::{Journal, Line, Mark, is_delivered};
use crate::recorders::outbox::Outbox;
use crate::recorders::quarantine;

/// A journal that is longer is written anew, unless more than half of it is still needed.
pub const JOURNAL_BYTES: u64 = 1024 * 1024;

/// Outcomes of this run that are remembered one by one; then what is settled is counted.
pub(super) const REMEMBERED: usize = 1_024;

/// A journal of a run is kept below this part of the spool's bound: all of it is read to be written anew.
const PART_OF_BOUND: u64 = 4;

/// Pauses between attempts to catch up with the audit log: each reads all of it.
const CATCH_UP_FIRST: Duration = Duration::from_secs(1);
const CATCH_UP_MAX: Duration = Duration::from_mins(1);

/// The audit log lacks events that the journal has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    since: Instant,
    not_before: Instant,
    pause: Duration,
    is_said: bool,
}

impl Behind {
    /// From now on.
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self { since: now, not_before: now, pause: CATCH_UP_FIRST, is_said: false }
    }
}

impl Outbox {
    /// Appends to the audit log. While that fails, the journal has what is missing.
    pub(super) async fn write_audit(&mut self, events: &[Event]) {
        let is_kept = self.journal.as_ref().is_some_and(|journal| journal.is_on_disk());
        if self.audit_behind.is_some() && is_kept {
            return self.catch_up().await;
        }
        // Behind until it is not: this future may be dropped while it waits.
        let behind = *self.audit_behind.get_or_insert_with(Behind::now);
        match self.audit.append(events).await {
            Ok(()) => {
                self.audit_behind = None;
                self.unkept.remove(events);
            }
            Err(error) => self.put_off(behind, &error),
        }
    }

    fn put_off(&mut self, behind: Behind, error: &std::io::Error) {
        // Where the journal can't be written either, that was said: the state folder is one place.
        let is_said_of_journal =
            self.is_journal_failing || self.journal.as_ref().is_some_and(|known| !known.is_on_disk());
        if !behind.is_said && !is_said_of_journal {
            self.say(&format!("events: the audit log can't be written: {error}; it is tried again"));
        }
        let not_before = Instant::now() + behind.pause;
        let pause = (behind.pause * 2).min(CATCH_UP_MAX);
        let is_said = behind.is_said || !is_said_of_journal;
        self.audit_behind = Some(Behind { not_before, pause, is_said, ..behind });
    }

    /// Appends what the audit log lacks, if it is time for another attempt.
    async fn catch_up(&mut self) {
        let (Some(behind), Some(journal)) = (self.audit_behind, self.journal.clone()) else { return };
        if Instant::now() < behind.not_before {
            return;
        }
        let caught_up = match journal.contents() {
            Ok(contents) => {
                let events = [&contents.events[..], self.unkept.events()].concat();
                self.audit.append_missing(&events).await
            }
            Err(error) => Err(error),
        };
        match caught_up {
            Ok(()) => {
                self.audit_behind = None;
                self.unkept.are_kept();
                let seconds = behind.since.elapsed().as_secs();
                if behind.is_said {
                    let missing = match self.unkept.count() {
                        0 => "nothing is missing".to_owned(),
                        lost => format!("{lost} events are missing"),
                    };
                    self.say(&format!("events: the audit log is written again, after {seconds} s; {missing}"));
                }
            }
            Err(error) => self.put_off(behind, &error),
        }
    }

    /// Writes the journal anew if it has grown: open intents and undelivered outcomes are carried over. What is left
    /// out is in the audit log, on the disk.
    pub(super) async fn rotate(&mut self, journal: &Arc<Journal>) {
        if self.recorded.len() > self.remembered_max {
            self.fold();
            self.remembered_max = REMEMBERED.max(self.recorded.len() * 2);
        }
        if !journal.has_grown(self.settings.journal_bytes) {
            return;
        }
        if self.audit_behind.is_some() {
            self.catch_up().await;
        }
        // Without the audit log nothing may be left out, up to the spool's bound.
        let is_too_long = journal.bytes() > self.journal_bytes_max();
        if self.audit_behind.is_some() && !is_too_long {
            return;
        }
        self.fold();
        if let Err(error) = self.write_anew(journal) {
            // The old one is whole and goes on.
            tracing::warn!(%error, path = %journal.path().display(), "failed to write the journal anew");
        }
    }

    fn journal_bytes_max(&self) -> u64 {
        self.settings.bounds.bytes / PART_OF_BOUND
    }

    fn write_anew(&mut self, journal: &Journal) -> std::io::Result<()> {
        if self.audit_behind.is_none() {
            self.audit.sync()?;
        }
        let contents = journal.contents()?;
        if let Some(said) = quarantine::keep_damaged(&self.settings.state, &journal.path(), &contents) {
            self.say(&format!("events: {said}"));
        }
        journal.compact(&BTreeSet::new())?;
        if journal.bytes() > self.journal_bytes_max() {
            self.drop_oldest(journal)?;
        }
        Ok(())
    }

    /// Gives the oldest undelivered outcomes up, those without an error first, until half of the bound is free.
    fn drop_oldest(&mut self, journal: &Journal) -> std::io::Result<()> {
        let contents = journal.contents()?;
        let mut outcomes: Vec<_> = contents.events.iter().filter(|event| is_delivered(event)).collect();
        outcomes.sort_by_key(|event| (event.severity == Severity::Error, event.time, event.event_id));
        let mut left = journal.bytes();
        let mut drops = BTreeSet::new();
        for event in outcomes {
            if left <= self.journal_bytes_max() / 2 {
                break;
            }
            left = left.saturating_sub(serde_json::to_string(event)?.len() as u64);
            drops.insert(event.event_id);
        }
        let given_up = contents.pending().filter(|(event, _)| drops.contains(&event.event_id));
        let mark = |(event, sink): (&Event, &str)| Mark { event_id: event.event_id, sink: sink.to_owned() };
        journal.append(&given_up.map(mark).map(Line::GivenUp).collect::<Vec<_>>())?;
        self.fold();
        journal.compact(&BTreeSet::new())?;
        let title = format!(
            "dropped {} undelivered events: a sink has taken nothing for long, and {} MiB are kept at most",
            drops.len(),
            self.journal_bytes_max() / 1024 / 1024
        );
        let where_else = match self.audit_behind {
            None => "the audit log still has them",
            Some(_) => "the audit log can't be written, either: they are lost",
        };
        self.say(&format!("events: {title}; {where_else}"));
        let event = self.settings.run.event("events.dropped", "spool:events", Outcome::Done, &title);
        let event = Event { severity: Severity::Error, ..event }.cleaned();
        let owed = self.settings.sinks.iter().map(|sink| (event.event_id, sink.name().to_owned()));
        journal.owe(owed.map(|(event_id, sink)| Mark { event_id, sink }));
        journal.append_durably(&[Line::Event(Box::new(event))])
    }
}
