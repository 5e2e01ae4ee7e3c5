//! Journals of dead runs: every intent without an outcome gets one, `unknown`, and nothing is lost or written twice,
//! even if this process dies on the way.
//!
//! Steps, each of which may be repeated:
//! 1. Take the journal over (its lock is free) and cut off a line that was not finished.
//! 2. Append an `unknown` outcome for each unmatched intent to the journal itself: whoever comes next sees them.
//! 3. Append to the audit log what is not there.
//! 4. Move the journal to the spool, or remove it if every sink has everything.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::change::event::{Event, Outcome, Severity};
use crate::recorders::audit::AuditLog;
use crate::recorders::fail_point::fail_point;
use crate::recorders::folder;
use crate::recorders::journal::{Contents, Journal, Line, Mark, is_delivered};
use crate::recorders::spool::{Bounds, may_be_older};

/// Begun journals without a name, of processes that died just then, are removed after this time.
const STALE_AFTER: Duration = Duration::from_hours(1);

const KILLED: &str = "the run died before it could say how this ended: look at the subject, or run the command again";
const SILENT: &str = "nobody said in time how this ended";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Journals of dead runs.
    pub journals: usize,
    /// Outcomes that nobody knows.
    pub unknown: usize,
    /// Journals that could not be mended, and what becomes of them.
    pub faults: Vec<String>,
}

/// Mends all journals of dead runs in a state folder.
pub async fn recover(state: &Path, audit: &AuditLog, now: Timestamp) -> Recovered {
    let mut recovered = Recovered::default();
    let open = folder::open(state);
    for path in folder::journals(&open) {
        match mend(&path, state, audit, now).await {
            Ok(Some(unknown)) => {
                recovered.journals += 1;
                recovered.unknown += unknown;
            }
            Ok(None) => {}
            Err(error) => recovered.faults.push(unmended(&path, &error, now)),
        }
    }
    remove_stale(&open);
    recovered
}

/// A journal that can't be mended waits for the next start, but not for ever.
fn unmended(path: &Path, error: &io::Error, now: Timestamp) -> String {
    let oldest = now.checked_sub(Bounds::default().age).unwrap_or(Timestamp::MIN);
    let fate = match may_be_older(path, oldest).then(|| std::fs::remove_file(path)) {
        None => "the next start tries again",
        Some(Ok(())) => "it is older than 7 d and was removed",
        Some(Err(_)) => "it is older than 7 d and can't be removed",
    };
    format!("{}: {error}; {fate}", path.display())
}

/// Mends one journal and says how many of its outcomes nobody knows; none if it is held or still open.
async fn mend(path: &Path, state: &Path, audit: &AuditLog, now: Timestamp) -> io::Result<Option<usize>> {
    let Some((journal, contents)) = Journal::take_over(path)? else { return Ok(None) };
    let open_until = contents.header.as_ref().and_then(|header| header.open_until);
    let unmatched = contents.unmatched();
    if !unmatched.is_empty() && open_until.is_some_and(|until| until > now) {
        return Ok(None);
    }
    let why = if open_until.is_some() { SILENT } else { KILLED };
    let unknown: Vec<_> = unmatched.into_iter().map(|intent| ended_unknown(intent, why, now)).collect();
    write_unknown(&journal, &contents, &unknown)?;
    fail_point("recover.unknown");
    let mut events = contents.events;
    let count = unknown.len();
    events.extend(unknown);
    audit.append_missing(&events).await?;
    audit.sync()?;
    fail_point("recover.audited");
    finish(&journal, state)?;
    fail_point("recover.moved");
    Ok(Some(count))
}

fn write_unknown(journal: &Journal, contents: &Contents, unknown: &[Event]) -> io::Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let sinks = contents.header.iter().flat_map(|header| &header.sinks);
    for sink in sinks {
        let owed = unknown.iter().filter(|event| is_delivered(event));
        journal.owe(owed.map(|event| Mark { event_id: event.event_id, sink: sink.clone() }));
    }
    let lines: Vec<_> = unknown.iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
    journal.append_durably(&lines)
}

/// An intent whose end nobody knows.
pub fn ended_unknown(intent: &Event, why: &str, now: Timestamp) -> Event {
    Event {
        time: now,
        outcome: Outcome::Unknown,
        severity: Severity::Warning,
        reason: Some(why.to_owned()),
        ..intent.clone()
    }
}

/// Moves a journal whose events are all in the audit log to the spool, or removes it.
pub fn finish(journal: &Journal, state: &Path) -> io::Result<()> {
    if journal.pending().is_empty() { journal.remove() } else { journal.move_to(&folder::spool(state)) }
}

fn remove_stale(open: &Path) {
    let Ok(entries) = std::fs::read_dir(open) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_hidden = path.extension().is_some_and(|extension| extension == "new");
        let age = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        if is_hidden && age.is_ok_and(|age| age.is_ok_and(|age| age > STALE_AFTER)) {
            // It holds nothing but a header.
            drop(std::fs::remove_file(&path));
        }
    }
}
