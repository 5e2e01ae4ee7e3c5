//! What waits for one sink, in the order of recording: so much in memory, the rest in its journals.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::change::event::Event;
use crate::recorders::journal::{Journal, Mark};
use crate::recorders::lane::Parcel;

/// How many messages wait in memory; the others wait in their journals.
pub const QUEUE_LENGTH: usize = 4_096;

/// How many waiting messages are looked at for one whose subject nothing is under way about.
const LOOKED_AT_MAX: usize = 64;

/// A message that failed so often lets another one go first, once: is it the message, or the sink?
const ATTEMPTS_IN_A_ROW: u32 = 10;

/// A message that let so many others go first, which were delivered, is at fault itself: it goes behind all.
const OVERTAKEN_MAX: u32 = 2;

/// A parcel in its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) parcel: Parcel,
    /// Failed attempts in this turn.
    pub(super) attempts: u32,
    /// How often another one was delivered that it let go first.
    overtaken: u32,
    /// The sink called it too large.
    pub(super) is_short: bool,
    /// Its turn.
    turn: u64,
}

/// Parcels that wait, and what is under way.
#[derive(Debug)]
pub(super) struct Queue {
    sink: &'static str,
    waiting: VecDeque<Waiting>,
    next_turn: u64,
    /// Journals with events that did not fit, oldest first. While there is one, new parcels wait in theirs, too.
    spilled: Vec<Arc<Journal>>,
    /// Turns, subjects and events under way.
    under_way: Vec<(u64, BTreeSet<String>, Vec<Uuid>)>,
}

impl Queue {
    pub(super) fn new(sink: &'static str) -> Self {
        Self { sink, waiting: VecDeque::new(), next_turn: 0, spilled: Vec::new(), under_way: Vec::new() }
    }

    /// Nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty() && self.spilled.is_empty()
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Adds a parcel behind the others. It is given back where there is no room and no journal keeps it.
    pub(super) fn push(&mut self, parcel: Parcel) -> Option<Parcel> {
        let has_room = self.waiting.len() < QUEUE_LENGTH;
        // What is on no disk can't be read again later.
        let is_kept = parcel.homes.iter().all(|home| home.is_on_disk());
        if has_room && (self.spilled.is_empty() || !is_kept) {
            self.append(parcel);
            return None;
        }
        if !is_kept {
            return Some(parcel);
        }
        for home in parcel.homes {
            if !self.spilled.iter().any(|known| Arc::ptr_eq(known, &home)) {
                self.spilled.push(home);
            }
        }
        None
    }

    /// The oldest parcel about subjects of which nothing is under way.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        if self.waiting.is_empty() {
            self.refill();
        }
        let mut passed: BTreeSet<&str> =
            self.under_way.iter().flat_map(|(_, subjects, _)| subjects).map(String::as_str).collect();
        let mut found = None;
        for (at, waiting) in self.waiting.iter().enumerate().take(LOOKED_AT_MAX) {
            let is_free = subjects(&waiting.parcel.events).all(|subject| !passed.contains(subject));
            if is_free && !self.lets_another_go_first(at) {
                found = Some(at);
                break;
            }
            passed.extend(subjects(&waiting.parcel.events));
        }
        let found = found.or_else(|| self.under_way.is_empty().then_some(0))?;
        let waiting = self.waiting.remove(found)?;
        let events = &waiting.parcel.events;
        let subjects = subjects(events).map(str::to_owned).collect();
        self.under_way.push((waiting.turn, subjects, events.iter().map(|event| event.event_id).collect()));
        Some(waiting)
    }

    fn lets_another_go_first(&self, at: usize) -> bool {
        let attempts = self.waiting.get(at).map_or(0, |waiting| waiting.attempts);
        attempts > 0 && attempts.is_multiple_of(ATTEMPTS_IN_A_ROW)
    }

    /// A parcel that failed gets its place again. If it let another one go first, it has done so.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.under_way.retain(|(turn, _, _)| *turn != waiting.turn);
        for other in self.waiting.iter_mut().filter(|other| other.turn < waiting.turn) {
            if other.attempts > 0 && other.attempts.is_multiple_of(ATTEMPTS_IN_A_ROW) {
                other.attempts += 1;
            }
        }
        let at = self.waiting.partition_point(|other| other.turn < waiting.turn);
        self.waiting.insert(at, waiting);
    }

    /// A parcel is settled. One before it that failed often, while others did not, is behind all others now.
    pub(super) fn end(&mut self, waiting: &Waiting) {
        self.under_way.retain(|(turn, _, _)| *turn != waiting.turn);
        let blocks = |other: &Waiting| other.turn < waiting.turn && other.attempts >= ATTEMPTS_IN_A_ROW;
        let Some(at) = self.waiting.iter().take(LOOKED_AT_MAX).position(blocks) else { return };
        let Some(mut blocking) = self.waiting.remove(at) else { return };
        blocking.attempts += 1;
        blocking.overtaken += 1;
        if blocking.overtaken < OVERTAKEN_MAX {
            return self.waiting.insert(at, blocking);
        }
        let turn = self.turn();
        self.waiting.push_back(Waiting { attempts: 0, overtaken: 0, turn, ..blocking });
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    fn append(&mut self, parcel: Parcel) {
        let turn = self.turn();
        self.waiting.push_back(Waiting { parcel, attempts: 0, overtaken: 0, is_short: false, turn });
    }

    /// Reads what did not fit, as much as there is room for.
    fn refill(&mut self) {
        for journal in std::mem::take(&mut self.spilled) {
            if self.waiting.len() >= QUEUE_LENGTH {
                self.spilled.push(journal);
                continue;
            }
            match journal.contents() {
                Ok(contents) => self.refill_from(&journal, contents.pending()),
                Err(error) => tracing::warn!(%error, "a journal can't be read; the next run sends what is in it"),
            }
        }
    }

    fn refill_from<'a>(&mut self, journal: &Arc<Journal>, pending: impl Iterator<Item = (&'a Event, &'a str)>) {
        let sink = self.sink;
        let mut known: BTreeSet<Uuid> = self.under_way.iter().flat_map(|(_, _, events)| events).copied().collect();
        known.extend(self.waiting.iter().flat_map(|waiting| &waiting.parcel.events).map(|event| event.event_id));
        // Where a mark could not be written, the file does not know what was delivered.
        let unsettled = journal.pending();
        let mark = |event: &Event| Mark { event_id: event.event_id, sink: sink.to_owned() };
        let waits = |event: &Event| !known.contains(&event.event_id) && unsettled.contains(&mark(event));
        for (event, _) in pending.filter(|(event, of)| *of == sink && waits(event)) {
            if self.waiting.len() >= QUEUE_LENGTH {
                self.spilled.push(Arc::clone(journal));
                return;
            }
            self.append(Parcel { events: vec![event.clone()], homes: vec![Arc::clone(journal)] });
        }
    }
}

fn subjects(events: &[Event]) -> impl Iterator<Item = &str> {
    events.iter().map(|event| event.subject.as_str())
}
