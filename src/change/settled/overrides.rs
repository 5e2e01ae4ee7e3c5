//! Changes of the rates that people gave, as the record of these rates shows them.
//!
//! A rate is known again by the time at which it was given. A record that was written later by somebody else may hide what the
//! dead run did: then nobody knows.

use jiff::{SignedDuration, Timestamp};

use crate::change::event::Event;
use crate::change::settled::{KeptOverrides, Verdict, values};
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::{ALL_RATES, Override, Overrides, RATE, RATES_OF_BROKERS, REMOVED, SINCE};

/// So much the clocks of two machines that write the record may differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// Whether an intent is about such a rate.
pub(super) fn is_about(intent: &Event) -> bool {
    matches!(intent.kind.as_str(), "throttle.override_set" | "throttle.override_removed")
}

/// How an intent ended, as the record shows it; not asked where that could not be read.
pub(super) fn verdict(intent: &Event, kept: Option<&KeptOverrides>) -> Verdict {
    let Some(kept) = kept else { return Verdict::NotAsked };
    let after = values(intent.after.as_deref());
    if let Some(since) = after.get(SINCE).and_then(|text| text.parse().ok()) {
        return Verdict::of(is_set(intent, kept, since));
    }
    let key = [RATE, RATES_OF_BROKERS, ALL_RATES].into_iter().find(|key| after.get(key) == Some(&REMOVED));
    Verdict::of(key.and_then(|key| is_removed(intent, &kept.value, key)))
}

/// Whether a rate that was given at `since` was kept; none where that does not show.
fn is_set(intent: &Event, kept: &KeptOverrides, since: Timestamp) -> Option<bool> {
    match of_subject(&intent.subject, &kept.value)?.first() {
        Some(found) if found.since == since => Some(true),
        // It would have been replaced.
        Some(found) if found.since < since => Some(false),
        Some(_) => None,
        // It may have ended, or been removed, unless nobody wrote anything since.
        None => {
            let is_written_since = |at: Timestamp| intent.time.duration_since(at) <= CLOCKS_DIFFER;
            (!kept.saved_at.is_some_and(is_written_since)).then_some(false)
        }
    }
}

/// Whether rates were removed; none where that does not show.
fn is_removed(intent: &Event, kept: &Overrides, key: &str) -> Option<bool> {
    let left: Vec<&Override> = match key {
        RATES_OF_BROKERS => kept.brokers.values().collect(),
        ALL_RATES => kept.brokers.values().chain(&kept.cluster).collect(),
        _ => of_subject(&intent.subject, kept)?,
    };
    match left.as_slice() {
        [] => Some(true),
        left if left.iter().any(|given| given.since <= intent.time) => Some(false),
        // Given after that: the former ones may have been removed first.
        _ => None,
    }
}

/// The rate of a subject, if it has one: at most one; none where the subject is no broker.
fn of_subject<'a>(subject: &str, kept: &'a Overrides) -> Option<Vec<&'a Override>> {
    if subject == "brokers:all" {
        return Some(kept.cluster.iter().collect());
    }
    let broker = subject.strip_prefix("broker:")?.parse().ok().map(BrokerId)?;
    Some(kept.brokers.get(&broker).into_iter().collect())
}
