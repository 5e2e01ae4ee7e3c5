//! Journals of dead runs: every intent without an outcome gets one, that which the cluster shows or `unknown`, and nothing
//! is lost or written twice, even if this process dies on the way.
//!
//! Steps, each of which may be repeated:
//! 1. Take the journals over (their locks are free), cut off a line that was not finished.
//! 2. Ask the cluster how their changes ended. A journal with a change whose cluster is another one, or does not answer, is
//!    left for a later run: for a day, and as long as there are few of them; after that its changes are unknown.
//! 3. Append an outcome for each unmatched intent to the journal itself: whoever comes next sees them. Copy lines that
//!    can't be read to the quarantine.
//! 4. Append to the audit log what is not there.
//! 5. Move the journal to the spool, or remove it if every sink has everything.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::change::carry_out::{Ended, outcome_at};
use crate::change::event::{Event, Outcome, Settle, Severity};
use crate::change::fail_point::fail_point;
use crate::change::settled::{Verdict, is_of_run};
use crate::clients::files::state;
use crate::recorders::audit::AuditLog;
use crate::recorders::folder;
use crate::recorders::journal::{COMMAND_EXECUTED, Contents, Header, Journal, Line, Mark, is_delivered};
use crate::recorders::quarantine;
use crate::recorders::spool::{Bounds, may_be_older};

/// Begun journals without a name, of processes that died just then, are removed after this time.
const STALE_AFTER: Duration = Duration::from_hours(1);

/// How long changes wait for a run that can ask their cluster; after that nobody knows how they ended.
const WAITS_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Only so many journals, the newest, wait for such a run.
const WAITING_MAX: usize = 100;

/// Journals that are held, and asked about, at once.
const GROUP: usize = 32;

pub(super) const KILLED: &str =
    "the run died before it could say how this ended: look at the subject, or run the command again";
/// Why a command ended without an exit code.
const DIED: &str = "the process died before the command ended";
/// Why a run has no end.
const BROKEN_OFF: &str = "the run died before its end";

pub(super) const SILENT: &str = "nobody said in time how this ended";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Journals of dead runs that were ended.
    pub journals: usize,
    /// Changes whose outcomes nobody knows.
    pub unknown: usize,
    /// Changes whose outcomes the cluster has shown.
    pub settled: usize,
    /// Journals that wait for a run that can ask their cluster.
    pub waiting: usize,
    /// Journals that could not be mended, and what becomes of them.
    pub faults: Vec<String>,
    /// Journals with lines that can't be read, and where those are kept.
    pub damaged: Vec<String>,
}

/// The journal of a dead run, held.
struct Dead {
    path: PathBuf,
    journal: Journal,
    contents: Contents,
    /// Its intents without an outcome.
    unmatched: Vec<Event>,
    /// Whether it may wait for another run.
    may_wait: bool,
}

/// Where outcomes go.
pub struct Destination<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// Its audit log.
    pub audit: &'a AuditLog,
    /// The sinks of this run: they get the outcomes of a journal whose own sinks can't be read.
    pub sinks: &'a [String],
}

/// Mends all journals of dead runs in a state folder. `settle` says how intents ended, where that can be known.
pub async fn recover(to: &Destination<'_>, now: Timestamp, settle: &Settle<'_>) -> Recovered {
    let mut recovered = Recovered::default();
    let open = folder::open(to.state);
    let paths = folder::journals(&open);
    let first_that_waits = paths.len().saturating_sub(WAITING_MAX);
    let paths: Vec<_> = paths.into_iter().enumerate().map(|(at, path)| (path, at >= first_that_waits)).collect();
    for group in paths.chunks(GROUP) {
        let mut dead = Vec::new();
        for (path, is_new) in group {
            match Dead::take(path, *is_new, now) {
                Ok(found) => dead.extend(found),
                Err(error) => recovered.faults.push(unmended(path, &error, now)),
            }
        }
        for (dead, outcomes) in outcomes_of(dead, now, settle).await {
            let Some(outcomes) = outcomes else {
                recovered.waiting += 1;
                continue;
            };
            let path = dead.path.clone();
            if let Err(error) = dead.mend(to, outcomes, &mut recovered).await {
                recovered.faults.push(unmended(&path, &error, now));
            }
        }
    }
    remove_stale(&open);
    recovered
}

/// The outcomes of all unmatched intents of each journal; none for a journal that waits.
async fn outcomes_of(dead: Vec<Dead>, now: Timestamp, settle: &Settle<'_>) -> Vec<(Dead, Option<Vec<Event>>)> {
    let asked: Vec<_> = dead.iter().flat_map(|dead| dead.changes().cloned()).collect();
    let verdicts = if asked.is_empty() { Vec::new() } else { settle(asked).await };
    let mut verdicts = verdicts.into_iter();
    let mut all = Vec::with_capacity(dead.len());
    for dead in dead {
        let mut outcomes = Some(Vec::new());
        for intent in &dead.unmatched {
            let verdict = if dead.is_change(intent) { verdicts.next() } else { None };
            let outcome = match verdict {
                Some(Verdict::NotAsked) if dead.may_wait => None,
                Some(Verdict::Ended(ended)) => Some(outcome_at(intent, &ended, now)),
                Some(Verdict::NotShown | Verdict::NotAsked) | None => Some(ended_with_its_run(intent, dead.why(), now)),
            };
            outcomes = outcomes.zip(outcome).map(|(mut outcomes, outcome)| {
                outcomes.push(outcome);
                outcomes
            });
        }
        all.push((dead, outcomes));
    }
    all
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

impl Dead {
    /// Takes a journal over; none if it is held or still open.
    fn take(path: &Path, is_new: bool, now: Timestamp) -> io::Result<Option<Self>> {
        let Some((journal, contents)) = Journal::take_over(path)? else { return Ok(None) };
        let open_until = contents.header.as_ref().and_then(|header| header.open_until);
        let unmatched: Vec<_> = contents.unmatched().into_iter().cloned().collect();
        if !unmatched.is_empty() && open_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        let newest = unmatched.iter().filter(|intent| !is_of_run(intent)).map(|intent| intent.time).max();
        let is_young = newest.is_some_and(|newest| now.duration_since(newest) < WAITS_MAX);
        Ok(Some(Self { path: path.to_owned(), journal, contents, unmatched, may_wait: is_new && is_young }))
    }

    /// Whether a script was to say in time how its intents end: that is its own to know.
    fn is_of_a_script(&self) -> bool {
        self.contents.header.as_ref().is_some_and(|header| header.open_until.is_some())
    }

    /// Why its changes are unknown.
    fn why(&self) -> &'static str {
        if self.is_of_a_script() { SILENT } else { KILLED }
    }

    /// Whether the cluster may know how an intent ended.
    fn is_change(&self, intent: &Event) -> bool {
        !self.is_of_a_script() && !is_of_run(intent)
    }

    /// The intents that the cluster is asked about.
    fn changes(&self) -> impl Iterator<Item = &Event> {
        self.unmatched.iter().filter(|intent| self.is_change(intent))
    }

    /// Ends the journal with these outcomes.
    async fn mend(mut self, to: &Destination<'_>, outcomes: Vec<Event>, recovered: &mut Recovered) -> io::Result<()> {
        let Destination { state, audit, sinks } = *to;
        let (journal, contents) = (&self.journal, &mut self.contents);
        if contents.header.is_none() {
            write_header(journal, contents, sinks)?;
        }
        let damaged = quarantine::keep_damaged(state, &self.path, contents);
        write_outcomes(journal, contents, &outcomes)?;
        fail_point("recover.unknown");
        let has_damage = damaged.is_some();
        let changes = || outcomes.iter().filter(|event| !is_of_run(event));
        let unknown = changes().filter(|event| event.outcome == Outcome::Unknown).count();
        let settled = changes().count() - unknown;
        contents.events.extend(outcomes);
        audit.append_missing(&contents.events).await?;
        audit.sync()?;
        fail_point("recover.audited");
        if has_damage && !journal.pending().is_empty() {
            // Said once: the copy in the quarantine is what is left of these lines.
            journal.compact(&BTreeSet::new())?;
        }
        finish(journal, state)?;
        fail_point("recover.moved");
        recovered.journals += 1;
        recovered.unknown += unknown;
        recovered.settled += settled;
        recovered.damaged.extend(damaged);
        Ok(())
    }
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

/// An intent of a run that is dead, as far as that alone says how it ended: neither the command nor its run came to its end,
/// and of its changes nobody knows.
pub(super) fn ended_with_its_run(intent: &Event, why: &str, now: Timestamp) -> Event {
    if intent.kind == COMMAND_EXECUTED {
        return outcome_at(intent, &Ended::failed(DIED), now);
    }
    if is_of_run(intent) {
        return outcome_at(intent, &Ended::failed(BROKEN_OFF), now);
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
