//! Delivering what earlier runs left in the spool, late records in groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::change::carry_out::Run;
use crate::change::event::{Event, Outcome};
use crate::clients::files::state;
use crate::recorders::folder;
use crate::recorders::journal::{BYTES_MAX, Contents, Journal};
use crate::recorders::lane::{Lane, Parcel};
use crate::recorders::outbox::Outbox;
use crate::recorders::quarantine;
use crate::recorders::sink::is_late;

/// Records that one round takes out of the spool; the others wait for the next round, or the next run.
const ROUND_RECORDS_MAX: usize = 2_000;

/// Rounds of one flush: beyond them the spool was larger than its bounds.
const ROUNDS_MAX: usize = 1_000;

/// Journals of earlier runs that this run delivers from.
#[derive(Debug, Default)]
pub(super) struct Drain {
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    journal: Arc<Journal>,
    /// What waited in it for sinks of this run, and whether it was late.
    waiting: BTreeMap<Uuid, bool>,
}

/// What a flush did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flushed {
    /// Events that every sink has now.
    pub sent: usize,
    /// Events that a bound dropped, or that a sink called malformed.
    pub dropped: usize,
    /// What is left, by sink.
    pub left: Vec<Left>,
}

/// What waits for one sink, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The sink.
    pub sink: String,
    /// How many events.
    pub events: usize,
    /// When the oldest of them happened.
    pub oldest: Timestamp,
    /// Why it does not have them.
    pub why: String,
}

impl Drain {
    /// How many events of earlier runs were taken by every sink.
    pub(super) fn sent(&self) -> usize {
        self.held.iter().map(|held| held.ended(|journal, id| !journal.is_given_up(id)).count()).sum()
    }

    fn given_up(&self) -> usize {
        self.held.iter().map(|held| held.ended(Journal::is_given_up).count()).sum()
    }

    /// The event that says that late records were delivered.
    pub(super) fn recovered(&self, run: &Run) -> Option<Event> {
        let late = |held: &Held| held.ended(|_, _| true).filter(|id| held.waiting[id]).count();
        let late = self.held.iter().map(late).sum::<usize>();
        let title = format!("the spool was delivered: {late} events came late");
        (late > 0).then(|| run.event("events.recovered", "spool:events", Outcome::Done, &title))
    }

    /// Lets the journals go; those that every sink has everything of are removed.
    pub(super) fn release(&mut self) {
        for Held { journal, waiting: _ } in std::mem::take(&mut self.held) {
            if journal.pending().is_empty()
                && let Err(error) = journal.remove()
            {
                tracing::warn!(%error, "failed to remove a delivered journal");
            }
        }
    }
}

impl Held {
    /// Whether one of these sinks has not taken everything.
    fn waits_for(&self, sinks: &[&str]) -> bool {
        self.journal.pending().iter().any(|mark| sinks.contains(&mark.sink.as_str()))
    }

    /// Events that are settled with every sink, and of which `which` holds.
    fn ended(&self, which: impl Fn(&Journal, Uuid) -> bool) -> impl Iterator<Item = Uuid> {
        self.waiting.keys().copied().filter(move |id| self.journal.is_settled(*id) && which(&self.journal, *id))
    }
}

impl Outbox {
    /// Hands one round of the spool to the lanes. Says how many records that were.
    pub(super) fn drain_spool(&mut self) -> usize {
        let now = self.now();
        let mut waiting: Vec<(&'static str, Event, Arc<Journal>)> = Vec::new();
        for path in folder::journals(&folder::spool(&self.settings.state)) {
            if waiting.len() >= ROUND_RECORDS_MAX {
                break;
            }
            match Journal::take_over(&path) {
                Ok(Some((journal, contents))) => {
                    self.set_damaged_aside(&path, &journal, &contents);
                    self.take_from(journal, &contents, &mut waiting);
                }
                Ok(None) => {}
                Err(error) => self.say(&format!("events: {} can't be read: {error}", path.display())),
            }
        }
        let count = waiting.len();
        if count > 0 {
            self.start_lanes();
        }
        for lane in &self.lanes {
            let of_lane = waiting.iter().filter(|(sink, _, _)| *sink == lane.name());
            let group = self.settings.sinks.iter().find(|sink| sink.name() == lane.name());
            let group = group.map_or(1, |sink| sink.late_group());
            for parcel in parcels(of_lane.map(|(_, event, home)| (event, home)), group, now) {
                lane.hand_over(parcel);
            }
        }
        count
    }

    /// Lines of a journal of the spool that can't be read go to the quarantine, once.
    fn set_damaged_aside(&self, path: &Path, journal: &Journal, contents: &Contents) {
        let Some(said) = quarantine::keep_damaged(&self.settings.state, path, contents) else { return };
        self.say(&format!("events: {said}"));
        if let Err(error) = journal.compact(&BTreeSet::new()) {
            self.say(&format!("events: {} can't be written anew: {error}", path.display()));
        }
    }

    /// Notes what a journal of the spool has for the sinks of this run.
    fn take_from(
        &mut self,
        journal: Journal,
        contents: &Contents,
        waiting: &mut Vec<(&'static str, Event, Arc<Journal>)>,
    ) {
        let now = self.now();
        let journal = Arc::new(journal);
        let mut of_journal = BTreeMap::new();
        for (event, sink) in contents.pending() {
            if let Some(sink) = self.settings.sinks.iter().find(|known| known.name() == sink) {
                waiting.push((sink.name(), event.clone(), Arc::clone(&journal)));
                of_journal.insert(event.event_id, is_late(event, now));
            }
        }
        if !of_journal.is_empty() || journal.pending().is_empty() {
            self.drain.held.push(Held { journal, waiting: of_journal });
        }
    }

    /// Waits until the lanes have nothing left to try, not beyond a time.
    pub(super) async fn wait_until(&mut self, deadline: Instant) {
        if self.lanes.iter().any(Lane::is_busy) {
            let idle = futures_util::future::join_all(self.lanes.iter().map(Lane::idle));
            drop(timeout_at(deadline, idle).await);
        }
    }

    /// In a long run: when everything of one round is settled, the next round of the spool follows.
    pub(super) async fn drain_more(&mut self) {
        let sinks: Vec<_> = self.settings.sinks.iter().map(|sink| sink.name()).collect();
        if self.drain.held.is_empty() || self.drain.held.iter().any(|held| held.waits_for(&sinks)) {
            return;
        }
        self.sent_of_earlier += self.drain.sent();
        let recovered = self.drain.recovered(&self.settings.run);
        self.drain.release();
        if let Some(event) = recovered {
            self.write(&[event]).await;
        }
        self.drain_spool();
    }

    /// Delivers the whole spool, as far as sinks take it and time allows, and ends the recording: all of it within that
    /// time.
    pub async fn flush(&mut self, within: Duration) -> Flushed {
        let deadline = Instant::now() + within;
        self.audit.wait_at_most(within);
        let (mut sent, mut dropped) = (0, 0);
        // Whatever is given up here goes on at the next start: each step of it may be repeated.
        if timeout_at(deadline, self.deliver_all(deadline, &mut sent, &mut dropped)).await.is_err() {
            tracing::debug!("the time of the flush is over");
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        self.audit.wait_at_most(rest);
        self.settings.flush_within = rest;
        let (dropped, whys) = (dropped + self.dropped, self.whys());
        self.end().await;
        Flushed { sent, dropped, left: self.left_because(&whys) }
    }

    /// Round after round of the spool.
    async fn deliver_all(&mut self, deadline: Instant, sent: &mut usize, dropped: &mut usize) {
        self.start().await;
        for _ in 0..ROUNDS_MAX {
            self.wait_until(deadline).await;
            let (taken, given_up) = (self.drain.sent(), self.drain.given_up());
            *sent += taken;
            *dropped += given_up;
            if let Some(event) = self.drain.recovered(&self.settings.run) {
                self.write(&[event]).await;
                self.wait_until(deadline).await;
            }
            self.drain.release();
            if taken + given_up == 0 || Instant::now() >= deadline || self.drain_spool() == 0 {
                break;
            }
        }
    }

    /// What the spool holds, by sink, and why it is still there.
    pub fn left(&self) -> Vec<Left> {
        self.left_because(&BTreeMap::new())
    }

    /// Why the lanes of this run do not get rid of what waits, by sink.
    fn whys(&self) -> BTreeMap<&'static str, String> {
        self.lanes.iter().filter_map(|lane| Some((lane.name(), lane.trouble()?))).collect()
    }

    fn left_because(&self, whys: &BTreeMap<&'static str, String>) -> Vec<Left> {
        let mut left: BTreeMap<String, Left> = BTreeMap::new();
        for path in folder::journals(&folder::spool(&self.settings.state)) {
            let Some(contents) = read(&path) else { continue };
            for (event, sink) in contents.pending() {
                let entry = left.entry(sink.to_owned()).or_insert_with(|| Left {
                    sink: sink.to_owned(),
                    events: 0,
                    oldest: event.time,
                    why: self.why_left(sink, whys),
                });
                entry.events += 1;
                entry.oldest = entry.oldest.min(event.time);
            }
        }
        left.into_values().collect()
    }

    fn why_left(&self, sink: &str, whys: &BTreeMap<&'static str, String>) -> String {
        if !self.settings.sinks.iter().any(|known| known.name() == sink) {
            return format!("this run has no {sink}: --events-to and its settings say which sinks there are");
        }
        whys.get(sink).cloned().unwrap_or_else(|| "not tried, or another process delivers it now".to_owned())
    }
}

fn read(path: &Path) -> Option<Contents> {
    state::read(path, BYTES_MAX).ok()?.map(Contents::read)
}

/// A record and its journal.
type Kept<'a> = (&'a Event, &'a Arc<Journal>);

/// Records as parcels: each its own, but late ones of a cluster, kind and outcome together.
fn parcels<'a>(waiting: impl Iterator<Item = Kept<'a>>, group: usize, now: Timestamp) -> Vec<Parcel> {
    let mut parcels = Vec::new();
    let mut late: BTreeMap<(String, Option<String>, String, String), Vec<Kept<'_>>> = BTreeMap::new();
    let parcel = |records: &[Kept<'_>]| Parcel {
        events: records.iter().map(|(event, _)| (*event).clone()).collect(),
        homes: records.iter().map(|(_, home)| Arc::clone(home)).collect(),
    };
    for (event, home) in waiting {
        if is_late(event, now) {
            let outcome = format!("{:?}", event.outcome);
            let key = (event.cluster.clone(), event.cluster_id.clone(), event.kind.clone(), outcome);
            late.entry(key).or_default().push((event, home));
        } else {
            parcels.push(parcel(&[(event, home)]));
        }
    }
    for records in late.values() {
        parcels.extend(records.chunks(group.max(1)).map(parcel));
    }
    parcels
}
