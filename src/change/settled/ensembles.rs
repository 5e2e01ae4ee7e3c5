//! Changes of an ensemble's membership, and of its record. Only a run that looks at the ensemble and reads its record knows how
//! they ended: to every other run they are not known yet.
//!
//! What `prestart` does to a server's own disk and entry (`ensemble.written`, `ensemble.initialize`, `ensemble.formatted`,
//! `ensemble.recorded`) stays unknown: no other place shows it, and the next start of that server reads the disk and the record, and
//! does whatever is left to do, whether or not the dead one began with it.

use std::collections::BTreeMap;

use crate::change::event::Event;
use crate::change::settled::{Verdict, values};

/// What the present members show.
const OF_MEMBERSHIP: [&str; 2] = ["ensemble.reconfigured", "ensemble.change_confirmed"];

/// What the record shows.
const OF_RECORD: [&str; 3] = [DECLARED, MARKED, "ensemble.change_forgotten"];

/// What the ensemble itself shows.
const IDENTIFIED: &str = "ensemble.identified";

const DECLARED: &str = "ensemble.declared";
const MARKED: &str = "ensemble.member_marked";
/// The line of a record that is about no member.
const CHANGE: &str = "change";

/// What a run has seen of its ensemble.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownEnsemble {
    /// The present members, a `server.N: LINE` a line; none before they were read, and while a change may still take effect.
    pub membership: Option<String>,
    /// What the record says, `key: value` lines; empty where there is no record, none before it was read.
    pub record: Option<String>,
    /// The id in the ensemble's own node; empty where there is none, none before it was read.
    pub id: Option<String>,
}

/// How a change of an ensemble ended whose run died, as another run of the same ensemble has seen it; none for what is no such
/// change.
pub fn settled_by_ensemble(intent: &Event, shown: &ShownEnsemble) -> Option<Verdict> {
    let kind = intent.kind.as_str();
    let (text, is_done): (_, fn(&Event, &str) -> Option<bool>) = match () {
        () if OF_MEMBERSHIP.contains(&kind) => (&shown.membership, is_made),
        () if OF_RECORD.contains(&kind) => (&shown.record, is_recorded),
        () if kind == IDENTIFIED => (&shown.id, is_identified),
        () => return None,
    };
    Some(text.as_ref().map_or(Verdict::NotAsked, |text| Verdict::of(is_done(intent, text))))
}

/// Whether the present membership shows a change done; none where it shows neither.
fn is_made(intent: &Event, membership: &str) -> Option<bool> {
    let servers = |text: &str| {
        let lines =
            values(Some(text)).into_iter().filter(|(key, _)| key.starts_with("server.") || key.starts_with("voter."));
        lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let (before, after) = (intent.before.as_deref().map(servers), intent.after.as_deref().map(servers));
    let now = Some(servers(membership));
    match () {
        () if now == after => Some(true),
        () if now == before => Some(false),
        () => None,
    }
}

/// Whether the record has what it was to get; none where it has neither that nor what was there before.
fn is_recorded(intent: &Event, record: &str) -> Option<bool> {
    let now = values(Some(record));
    let (before, after) = (values(intent.before.as_deref()), values(intent.after.as_deref()));
    let has = |lines: &BTreeMap<&str, &str>| match intent.kind.as_str() {
        DECLARED => now.iter().filter(|(key, _)| **key != CHANGE).eq(lines),
        MARKED => has_state(&now, &intent.subject, lines.get("state").copied()),
        _ => lines.get(CHANGE).is_some_and(|change| now.get(CHANGE) == Some(change)),
    };
    match () {
        // What does not show in these lines.
        () if before == after => None,
        () if has(&after) => Some(true),
        () if has(&before) => Some(false),
        () => None,
    }
}

/// Whether the ensemble has the id by which the dead run named it.
fn is_identified(intent: &Event, id: &str) -> Option<bool> {
    match intent.cluster_id.as_deref() {
        Some(wanted) if wanted == id => Some(true),
        _ => id.is_empty().then_some(false),
    }
}

/// Whether a member has this state: its line ends with that.
fn has_state(record: &BTreeMap<&str, &str>, subject: &str, state: Option<&str>) -> bool {
    let line = subject.split_once(':').and_then(|(member, id)| record.get(format!("{member}.{id}").as_str()));
    line.zip(state).is_some_and(|(line, state)| line.ends_with(&format!(" ({state})")))
}
