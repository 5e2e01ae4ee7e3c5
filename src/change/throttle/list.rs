//! One list of one topic: (wanted entries, what is ours, what is there) → how it changes, and what is ours then.
//!
//! A list that would be longer than Kafka takes becomes `*`: every replica of the topic is counted, of which those in sync
//! are never held back. It stays `*` until nothing of the topic is wanted any more; then what others had is restored.

use std::collections::BTreeSet;

use crate::change::throttle::step::ListOperation;
use crate::cluster::throttle::{OwnList, PresentList, Replaced, ThrottleEntry, joined};

/// The longest list that is written. Kafka's limit is 32,767 bytes: above it, 3.9.2 and 4.3.1 in KRaft close the connection
/// without an answer. What others add to a list after it was read needs some of that.
pub const LIST_BYTES_MAX: usize = 32_000;

/// The longest entry with the comma behind it: `2147483647:2147483647,`.
const ENTRY_BYTES_MAX: usize = 22;

/// How a list changes.
pub(super) struct ListDecided {
    /// What is ours afterwards.
    pub(super) ours: Option<OwnList>,
    /// What is added first.
    pub(super) add: Option<ListOperation>,
    /// What is taken away last.
    pub(super) remove: Option<ListOperation>,
}

/// Decides for one list that may have so many bytes.
pub(super) fn list(
    wanted: &BTreeSet<ThrottleEntry>,
    own: Option<&OwnList>,
    there: &PresentList,
    bytes_max: usize,
) -> ListDecided {
    let nothing = |ours| ListDecided { ours, add: None, remove: None };
    let none = BTreeSet::new();
    let entries = match (there, own) {
        (PresentList::Every, Some(OwnList::Every { replaced })) => {
            let ours = Some(OwnList::Every { replaced: replaced.clone() });
            return ListDecided { ours, add: None, remove: wanted.is_empty().then(|| given_back(replaced)) };
        }
        // Every replica is counted already, and none of ours can be in it.
        (PresentList::Every, _) => return nothing(None),
        (PresentList::Hidden, _) => return nothing(own.cloned()),
        (PresentList::Unset, _) => &none,
        (PresentList::Entries(entries), _) => entries,
    };
    let owned: BTreeSet<_> = own.map(|own| own.entries().intersection(entries).copied().collect()).unwrap_or_default();
    let missing: BTreeSet<_> = wanted.difference(entries).copied().collect();
    if !missing.is_empty() && !fits(&entries.union(&missing).copied().collect(), bytes_max) {
        let foreign = entries.difference(&owned).copied().collect();
        let ours = Some(OwnList::Every { replaced: Replaced { foreign, own: owned } });
        return ListDecided { ours, add: Some(ListOperation::Every(wanted.clone())), remove: None };
    }
    let spare: BTreeSet<_> = owned.difference(wanted).copied().collect();
    let ours: BTreeSet<_> = owned.union(&missing).copied().collect();
    let is_left_empty = entries.len() == spare.len() && missing.is_empty();
    let remove = match there {
        PresentList::Entries(_) if is_left_empty && own.is_some() => Some(ListOperation::Unset(spare)),
        _ if spare.is_empty() => None,
        _ => Some(ListOperation::Subtract(spare)),
    };
    let add = (!missing.is_empty()).then_some(match there {
        PresentList::Unset => ListOperation::Create(missing),
        _ => ListOperation::Append(missing),
    });
    let ours = (!ours.is_empty() || remove.is_some()).then_some(OwnList::Entries(ours));
    ListDecided { ours, add, remove }
}

/// What follows on `*` of ours: the entries of others that it replaced.
fn given_back(replaced: &Replaced) -> ListOperation {
    if replaced.foreign.is_empty() {
        return ListOperation::Unset(BTreeSet::new());
    }
    ListOperation::Restore(replaced.foreign.clone())
}

fn fits(entries: &BTreeSet<ThrottleEntry>, bytes_max: usize) -> bool {
    entries.len().saturating_mul(ENTRY_BYTES_MAX) <= bytes_max || joined(entries).len() <= bytes_max
}
