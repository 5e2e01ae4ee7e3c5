//! Events that the state folder did not take: neither the journal nor the audit log has them. They are counted and said at
//! the end of the run, and as many as fit are kept in memory, to be written once more.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::change::event::Event;

/// Events that are remembered whole; of those beyond only the number.
const EVENTS_MAX: usize = 10_000;

/// What is not kept.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    events: Vec<Event>,
    /// Side effects beyond the bound.
    beyond: usize,
}

impl Unkept {
    /// Notes events that could not be written.
    pub(super) fn add(&mut self, events: &[Event]) {
        let room = EVENTS_MAX.saturating_sub(self.events.len()).min(events.len());
        let (kept, beyond) = events.split_at(room);
        self.events.extend(kept.iter().cloned());
        self.beyond += beyond.iter().filter(|event| !event.is_intent()).count();
    }

    /// Forgets those of these events: they are kept after all.
    pub(super) fn remove(&mut self, events: &[Event]) {
        if self.events.is_empty() {
            return;
        }
        let key = |event: &Event| (event.event_id, event.is_intent());
        let kept: BTreeSet<_> = events.iter().map(key).collect();
        self.events.retain(|event| !kept.contains(&key(event)));
    }

    /// Those that are remembered.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Those that are remembered were written after all.
    pub(super) fn are_kept(&mut self) {
        self.events.clear();
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether everything is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many side effects are not kept, in whole or in part.
    pub(super) fn count(&self) -> usize {
        let ids: BTreeSet<Uuid> = self.events.iter().map(|event| event.event_id).collect();
        ids.len() + self.beyond
    }
}
