//! Changes of throttles, by whichever command: rates of brokers, lists of topics.
//!
//! All edits of one intent are one request about one broker or topic, which Kafka carries out as a whole. So it is done where
//! each edit is shown, and not done where none is.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::event::Event;
use crate::change::settled::{Verdict, values};
use crate::change::throttle::step::{self, Wanted};
use crate::cluster::broker::BrokerId;
use crate::cluster::throttle::{PresentList, PresentRate, PresentThrottles, Side, Sides};
use crate::cluster::topic::TopicName;

/// How an intent ended, as the throttles show it that are there.
pub(super) fn verdict(intent: &Event, there: &PresentThrottles) -> Verdict {
    let (before, after) = (values(intent.before.as_deref()), values(intent.after.as_deref()));
    match intent.subject.split_once(':') {
        Some(("broker", id)) => {
            let Some(id) = id.parse().ok().map(BrokerId) else { return Verdict::NotShown };
            // Only the broker itself knows its own config, and it may be back later.
            let Some(rates) = there.rates.get(&id) else { return Verdict::NotAsked };
            Verdict::of(has_rates(rates, &before, &after))
        }
        Some(("topic", name)) => {
            let Ok(name) = TopicName::new(name) else { return Verdict::NotShown };
            match there.lists.get(&name) {
                Some(lists) => Verdict::of(has_lists(lists, &before, &after)),
                // What was to be taken away went with the topic.
                None if there.gone.contains(&name) && after.is_empty() => Verdict::of(Some(true)),
                None => Verdict::NotShown,
            }
        }
        _ => Verdict::NotShown,
    }
}

type Lines<'a> = BTreeMap<&'a str, &'a str>;

/// Whether a broker has the rates of after a change, or those of before it; none where it has neither.
fn has_rates(there: &Sides<PresentRate>, before: &Lines<'_>, after: &Lines<'_>) -> Option<bool> {
    let found = |key: &str| {
        let side = Side::BOTH.into_iter().find(|side| side.rate_key() == key)?;
        match there.of(side) {
            PresentRate::Inherited(_) => Some(PresentRate::Unset),
            PresentRate::Hidden => None,
            rate => Some(*rate),
        }
    };
    let is_so = |lines: &Lines<'_>| {
        let wanted = |(key, text): (&&str, &&str)| Some(found(key)? == step::rate_of(text)?);
        lines.iter().map(wanted).try_fold(!lines.is_empty(), |so_far, one| Some(so_far && one?))
    };
    match (is_so(after)?, is_so(before)?) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

/// Whether a topic's lists show every edit, or none of them; none otherwise.
fn has_lists(there: &Sides<PresentList>, removed: &Lines<'_>, added: &Lines<'_>) -> Option<bool> {
    let edits = removed.iter().map(|line| (true, line)).chain(added.iter().map(|line| (false, line)));
    let shown: Option<BTreeSet<bool>> = edits
        .map(|(removes, (key, text))| {
            let side = Side::BOTH.into_iter().find(|side| side.list_key() == *key)?;
            is_list_done(there.of(side), removes, step::entries_of(text)?)
        })
        .collect();
    let shown = shown?;
    (shown.len() == 1).then(|| shown.contains(&true))
}

/// Whether a list is as an edit wanted it; none where that does not show.
fn is_list_done(there: &PresentList, removes: bool, wanted: Wanted) -> Option<bool> {
    match (wanted, there) {
        (_, PresentList::Hidden)
        | (Wanted::Restored(_), PresentList::Unset)
        | (Wanted::Entries(_), PresentList::Every) => None,
        (Wanted::Every, there) => Some(*there == PresentList::Every),
        (Wanted::Whole, there) => Some(*there == PresentList::Unset),
        (Wanted::Restored(_), PresentList::Every) => Some(false),
        (Wanted::Restored(entries), PresentList::Entries(there)) => entries.is_subset(there).then_some(true),
        (Wanted::Entries(_), PresentList::Unset) => Some(removes),
        (Wanted::Entries(entries), PresentList::Entries(there)) => {
            match (entries.is_subset(there), entries.is_disjoint(there)) {
                (true, false) => Some(!removes),
                (false, true) => Some(removes),
                _ => None,
            }
        }
    }
}
