//! The end of a run's recording: what it recorded is waited for, the command's own outcome is written, and the journal
//! goes to its last place.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::change::event::{CommandEnded, Delivery, Event, Outcome};
use crate::change::fail_point::fail_point;
use crate::recorders::journal::Line;
use crate::recorders::lane::Lane;
use crate::recorders::outbox::Outbox;
use crate::recorders::recover::{ended_unknown, finish};

/// A wait that is longer than this is explained.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// How long a run that has nothing of its own to wait for goes on to deliver what earlier runs left; a sink in trouble
/// is not waited for.
const EARLIER_WAIT: Duration = Duration::from_secs(1);

impl Outbox {
    /// Delivers what this run recorded, within the flush budget, and gives what earlier runs left a short chance.
    pub(super) async fn end(&mut self) -> Delivery {
        self.end_unmatched().await;
        self.lanes.iter().for_each(Lane::hurry);
        let begun = Instant::now();
        let deadline = begun + self.settings.flush_within;
        self.wait_for_own(deadline.min(begun + SILENT_WAIT)).await;
        if self.owing().next().is_some() && Instant::now() < deadline {
            self.say_waiting();
            self.wait_for_own(deadline).await;
        }
        self.wait_for_earlier(deadline.min(begun + EARLIER_WAIT)).await;
        if let Some(event) = self.drain.recovered(&self.settings.run) {
            self.write(&[event]).await;
            self.wait_for_own(deadline).await;
        }
        self.keep_once_more().await;
        self.say_trouble();
        let mut delivery = self.tally();
        self.end_command(delivery).await;
        delivery.unkept = self.unkept.count();
        self.lanes.clear();
        self.drain.release();
        if let Err(error) = self.finish_journal().await {
            self.say(&format!("events: this run's journal stays open, the next start mends it: {error}"));
        }
        self.recorded.clear();
        self.unkept.clear();
        (self.sent, self.dropped, self.sent_of_earlier) = (0, 0, 0);
        self.is_started = false;
        delivery
    }

    /// The lanes that this run's outcomes wait for.
    fn owing(&self) -> impl Iterator<Item = &Lane> {
        let journal = self.journal.as_deref();
        self.lanes.iter().filter(move |lane| lane.is_busy() && journal.is_some_and(|journal| journal.owes(lane.name())))
    }

    /// Waits until sinks have what this run recorded, not beyond a time.
    async fn wait_for_own(&self, deadline: Instant) {
        let Some(journal) = &self.journal else { return };
        if self.owing().next().is_some() {
            let taken = self.lanes.iter().map(|lane| lane.until_taken(journal));
            drop(timeout_at(deadline, futures_util::future::join_all(taken)).await);
        }
    }

    /// The same for what earlier runs left, as long as sinks take it.
    async fn wait_for_earlier(&self, deadline: Instant) {
        if self.lanes.iter().any(Lane::is_busy) {
            let idle = self.lanes.iter().map(Lane::until_idle_or_in_trouble);
            drop(timeout_at(deadline, futures_util::future::join_all(idle)).await);
        }
    }

    /// The disk may have room again, or the other writer of the audit log may be gone.
    async fn keep_once_more(&mut self) {
        if self.unkept.is_empty() {
            return;
        }
        let events = self.unkept.events().to_vec();
        let lines: Vec<_> = events.iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
        let journal = self.journal.clone().filter(|journal| journal.is_on_disk());
        let is_kept = match journal {
            Some(journal) => journal.append_durably(&lines).is_ok(),
            None => self.audit.append_missing(&events).await.and_then(|()| self.audit.sync()).is_ok(),
        };
        if is_kept {
            // What the journal has, the audit log gets from there.
            self.audit_behind.get_or_insert_with(super::rotate::Behind::now);
            self.unwritten.clear();
            self.unkept.are_kept();
        }
    }

    /// The outcome of the command line itself.
    async fn end_command(&mut self, delivery: Delivery) {
        let Some(intent) = self.command.take() else { return };
        let now = self.now();
        let event = match self.command_ended.take().map(|ended| ended.after(delivery)) {
            None => ended_unknown(&intent, "the command did not say how it ended", now),
            Some(CommandEnded { outcome, exit_code, reason, .. }) => {
                let mut tags = intent.tags.clone();
                tags.insert("exit_code".to_owned(), exit_code.to_string());
                let reason = (outcome != Outcome::Done).then(|| {
                    let why = reason.map(|why| format!(": {why}")).unwrap_or_default();
                    format!("exit code {exit_code}{why}")
                });
                Event { time: now, outcome, reason, tags, ..intent }
            }
        };
        self.write(&[event]).await;
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
        if !self.unkept.is_empty() {
            // Its intents without an outcome are for the next start.
            return Err(io::Error::other("not every event could be written to it"));
        }
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
            unkept: self.unkept.count(),
        }
    }

    /// Counts what is settled, so that a long run need not remember it. What is left waits in the journal.
    pub(super) fn fold(&mut self) {
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
        let busy: Vec<_> = self.owing().map(Lane::name).collect();
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
