//! Journals of dead runs: every intent without an outcome gets one, that which the cluster shows or `unknown`, and nothing
//! is lost or written twice, even if this process dies on the way.
//!
//! Steps, each of which may be repeated:
//! 1. Take the journal over (its lock is free), cut off a line that was not finished, copy lines that can't be read to
//!    the quarantine.
//! 2. Append an outcome for each unmatched intent to the journal itself: whoever comes next sees them.
//! 3. Append to the audit log what is not there.
//! 4. Move the journal to the spool, or remove it if every sink has everything.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::change::carry_out::{Ended, outcome_at};
use crate::change::event::{Event, Outcome, Settle, Severity};
use crate::clients::files::state;
use crate::recorders::audit::AuditLog;
use crate::recorders::fail_point::fail_point;
use crate::recorders::folder;
use crate::recorders::journal::{COMMAND_EXECUTED, Contents, Header, Journal, Line, Mark, is_delivered};
use crate::recorders::quarantine;
use crate::recorders::spool::{Bounds, may_be_older};

/// Begun journals without a name, of processes that died just then, are removed after this time.
const STALE_AFTER: Duration = Duration::from_hours(1);

pub(super) const KILLED: &str =
    "the run died before it could say how this ended: look at the subject, or run the command again";
/// Why a command ended without an exit code.
const DIED: &str = "the process died before the command ended";

pub(super) const SILENT: &str = "nobody said in time how this ended";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Journals of dead runs.
    pub journals: usize,
    /// Outcomes that nobody knows.
    pub unknown: usize,
    /// Outcomes that the cluster has shown.
    pub settled: usize,
    /// Journals that could not be mended, and what becomes of them.
    pub faults: Vec<String>,
    /// Journals with lines that can't be read, and where those are kept.
    pub damaged: Vec<String>,
}

/// Mends all journals of dead runs in a state folder. `sinks` are those of this run: they get the outcomes of a journal
/// whose own sinks can't be read. `settle` says how an intent ended, where that can be known.
pub async fn recover(
    (state, audit): (&Path, &AuditLog),
    sinks: &[String],
    now: Timestamp,
    settle: &Settle<'_>,
) -> Recovered {
    let mut recovered = Recovered::default();
    let open = folder::open(state);
    for path in folder::journals(&open) {
        match mend(&path, (state, audit), sinks, (now, settle)).await {
            Ok(Some(Mended { unknown, settled, damaged })) => {
                recovered.journals += 1;
                recovered.unknown += unknown;
                recovered.settled += settled;
                recovered.damaged.extend(damaged);
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

/// What one journal had.
struct Mended {
    /// Outcomes that nobody knows.
    unknown: usize,
    /// Outcomes that the cluster has shown.
    settled: usize,
    damaged: Option<String>,
}

/// Mends one journal; none if it is held or still open.
async fn mend(
    path: &Path,
    (state, audit): (&Path, &AuditLog),
    sinks: &[String],
    (now, settle): (Timestamp, &Settle<'_>),
) -> io::Result<Option<Mended>> {
    let Some((journal, mut contents)) = Journal::take_over(path)? else { return Ok(None) };
    let open_until = contents.header.as_ref().and_then(|header| header.open_until);
    let unmatched = contents.unmatched();
    if !unmatched.is_empty() && open_until.is_some_and(|until| until > now) {
        return Ok(None);
    }
    let why = if open_until.is_some() { SILENT } else { KILLED };
    // What another process was to say in time is its own to know.
    let known = |intent: &Event| if open_until.is_some() { None } else { settle(intent) };
    let ended = |intent: &Event| match known(intent) {
        Some(ended) => outcome_at(intent, &ended, now),
        None => ended_with_its_run(intent, why, now),
    };
    let outcomes: Vec<_> = unmatched.into_iter().map(ended).collect();
    if contents.header.is_none() {
        write_header(&journal, &mut contents, sinks)?;
    }
    let damaged = quarantine::keep_damaged(state, path, &contents);
    write_outcomes(&journal, &contents, &outcomes)?;
    fail_point("recover.unknown");
    let has_damage = damaged.is_some();
    let mut events = contents.events;
    // That of the command itself is no change.
    let changes = || outcomes.iter().filter(|event| event.kind != COMMAND_EXECUTED);
    let unknown = changes().filter(|event| event.outcome == Outcome::Unknown).count();
    let settled = changes().count() - unknown;
    events.extend(outcomes);
    audit.append_missing(&events).await?;
    audit.sync()?;
    fail_point("recover.audited");
    if has_damage && !journal.pending().is_empty() {
        // Said once: the copy in the quarantine is what is left of these lines.
        journal.compact(&BTreeSet::new())?;
    }
    finish(&journal, state)?;
    fail_point("recover.moved");
    Ok(Some(Mended { unknown, settled, damaged }))
}

/// A journal whose first line can't be read: who its sinks were is not known, so those of this run get what it has.
fn write_header(journal: &Journal, contents: &mut Contents, sinks: &[String]) -> io::Result<()> {
    let Some(first) = contents.events.first() else { return Ok(()) };
    let (run_id, command) = (first.run_id, first.command.clone());
    let header = Header { run_id, command, sinks: sinks.to_vec(), open_until: None };
    journal.append(&[Line::Run(header.clone())])?;
    contents.header = Some(header);
    journal.owe(contents.pending().map(|(event, sink)| Mark { event_id: event.event_id, sink: sink.to_owned() }));
    Ok(())
}

fn write_outcomes(journal: &Journal, contents: &Contents, outcomes: &[Event]) -> io::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let sinks = contents.header.iter().flat_map(|header| &header.sinks);
    for sink in sinks {
        let owed = outcomes.iter().filter(|event| is_delivered(event));
        journal.owe(owed.map(|event| Mark { event_id: event.event_id, sink: sink.clone() }));
    }
    let lines: Vec<_> = outcomes.iter().map(|event| Line::Event(Box::new(event.clone()))).collect();
    journal.append_durably(&lines)
}

/// An intent of a run that is dead, as far as that alone says how it ended: the command did not come to its end, and of its
/// changes nobody knows.
pub(super) fn ended_with_its_run(intent: &Event, why: &str, now: Timestamp) -> Event {
    if intent.kind == COMMAND_EXECUTED {
        return outcome_at(intent, &Ended::failed(DIED), now);
    }
    ended_unknown(intent, why, now)
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
    for path in state::list(open, "new") {
        let age = std::fs::symlink_metadata(&path).and_then(|found| found.modified()).map(|time| time.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > STALE_AFTER)) {
            // It holds nothing but a header, or a copy of what the journal beside it has.
            drop(std::fs::remove_file(&path));
        }
    }
}
