//! Refusals and findings that an earlier run of the same command line recorded: those that still hold are shown again,
//! but not recorded and sent again, or each tick of a CronJob would.
//!
//! What a run refused is kept as digests: in the state folder, one file a command line, and where the lock is a Lease
//! there, since pods of a CronJob have no state folder in common. Where it can't be read, or is older than
//! [`FORGOTTEN_AFTER`], everything counts as new.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::change::event::{Event, Outcome};
use crate::clients::files::{folder_of, state};
use crate::context::Context;

/// The folder in the state folder.
const FOLDER: &str = "refusals";

/// What still holds is recorded again after this time.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Digests of one kind that are kept; what is beyond counts as new.
const DIGESTS_MAX: usize = 1_000;

/// Command lines that are remembered.
const FILES_MAX: usize = 100;

/// Longest file.
const BYTES_MAX: u64 = 1 << 20;

/// What runs of one command line recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// When the first of them was recorded.
    since: Timestamp,
    /// Digests of what the last plan refused or found.
    planned: BTreeSet<String>,
    /// Digests of why the last run that was refused as a whole was refused.
    whole: BTreeSet<String>,
}

/// What this run refused, beside what earlier ones did.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The file, and what it says; none before the first question.
    known: Option<(PathBuf, Option<Kept>)>,
    /// What the former holder of the Lease left.
    noted: Option<Kept>,
    /// Of plans of this run; none where it had no plan.
    planned: Option<BTreeSet<String>>,
    /// Of this run as a whole.
    whole: Option<BTreeSet<String>>,
}

impl Context {
    /// What of a plan's refusals and findings is to be recorded: those that the last run did not have.
    pub(super) fn new_of_plan(&mut self, events: Vec<Event>) -> Vec<Event> {
        let known = self.known_refusals();
        let seen = self.refusals.planned.get_or_insert_default();
        // It got as far as a plan: what was in the way of an earlier run is not any more.
        self.refusals.whole.get_or_insert_default();
        only_new(events, known.as_ref(), seen)
    }

    /// Whether the refusal of a run as a whole is to be recorded. That a run failed is always new.
    pub(super) fn is_new_failure(&mut self, event: &Event) -> bool {
        if event.outcome != Outcome::Refused {
            return true;
        }
        let known = self.known_refusals();
        let seen = self.refusals.whole.get_or_insert_default();
        !only_new(vec![event.clone()], known.as_ref(), seen).is_empty()
    }

    fn known_refusals(&mut self) -> Option<Kept> {
        if self.refusals.known.is_none() {
            let path = self.state_folder().join(FOLDER).join(format!("{}.json", command_line(&self.command)));
            let kept = read(&path, self.now());
            self.refusals.known = Some((path, kept));
        }
        self.refusals.before()
    }

    /// Takes over what the former holder of the Lease left: pods of a CronJob have no state folder in common.
    pub(super) fn recall_refusals(&mut self, note: &str) {
        self.refusals.noted = parse(note.as_bytes(), self.now());
    }

    /// What this run leaves at its Lease; nothing where it leaves that as it is.
    pub(super) fn refusals_note(&self) -> Option<String> {
        let now = self.refusals.after(self.now())?;
        if now.is_nothing() || now.planned.len() + now.whole.len() > DIGESTS_MAX {
            return self.refusals.noted.as_ref().map(|_| String::new());
        }
        serde_json::to_string(&now).ok()
    }

    /// Keeps for the next run what this one refused. Where that fails, the next run records it again.
    pub(super) fn keep_refusals(&mut self) {
        let now = self.refusals.after(self.now());
        let Refusals { known, .. } = std::mem::take(&mut self.refusals);
        let (Some(now), Some((path, before))) = (now, known) else { return };
        let kept = match before {
            None if now.is_nothing() => return,
            Some(before) if before == now => return,
            Some(_) if now.is_nothing() => std::fs::remove_file(&path),
            _ => write(&path, &now),
        };
        if let Err(error) = kept {
            tracing::debug!(%error, path = %path.display(), "what was refused could not be kept");
        }
    }
}

impl Refusals {
    /// What earlier runs recorded: as the Lease has it, else the state folder.
    fn before(&self) -> Option<Kept> {
        self.noted.clone().or_else(|| self.known.as_ref().and_then(|(_, kept)| kept.clone()))
    }

    /// What is recorded after this run; nothing where it came to no end that counts.
    fn after(&self, now: Timestamp) -> Option<Kept> {
        if self.planned.is_none() && self.whole.is_none() {
            return None;
        }
        let before =
            self.before().unwrap_or_else(|| Kept { since: now, planned: BTreeSet::new(), whole: BTreeSet::new() });
        Some(Kept {
            since: before.since,
            planned: self.planned.clone().unwrap_or(before.planned),
            whole: self.whole.clone().unwrap_or(before.whole),
        })
    }
}

impl Kept {
    fn is_nothing(&self) -> bool {
        self.planned.is_empty() && self.whole.is_empty()
    }
}

/// The events that are not known, and those that are no refusal and no finding. All are noted as seen.
fn only_new(events: Vec<Event>, known: Option<&Kept>, seen: &mut BTreeSet<String>) -> Vec<Event> {
    let mut is_new = |event: &Event| {
        let digest = digest(event);
        let is_known = known.is_some_and(|kept| kept.planned.contains(&digest) || kept.whole.contains(&digest));
        let is_first = seen.len() >= DIGESTS_MAX || seen.insert(digest);
        is_first && !is_known
    };
    events.into_iter().filter(|event| is_new(event)).collect()
}

/// What makes two refusals the same: all that people read of them.
fn digest(event: &Event) -> String {
    let Event { kind, outcome, cluster, subject, title, reason, .. } = event;
    let reason = reason.as_deref().unwrap_or_default();
    short([kind.as_str(), &outcome.to_string(), cluster, subject, title, reason].into_iter())
}

/// A name for this process's command line.
fn command_line(command: &str) -> String {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    short(std::iter::once(command).chain(arguments.iter().map(String::as_str)))
}

fn short<'a>(words: impl Iterator<Item = &'a str>) -> String {
    use std::fmt::Write as _;

    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    let mut out = String::new();
    for byte in hash.finalize().iter().take(12) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn read(path: &Path, now: Timestamp) -> Option<Kept> {
    parse(&state::read(path, BYTES_MAX).ok()??, now)
}

fn parse(bytes: &[u8], now: Timestamp) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    let age = now.duration_since(kept.since);
    (age < FORGOTTEN_AFTER && !age.is_negative()).then_some(kept)
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let folder = folder_of(path);
    state::inner_folder(folder)?;
    state::write(path, serde_json::to_vec(kept)?)?;
    make_room(folder);
    Ok(())
}

/// Command lines that have not been refused for the longest time are forgotten.
fn make_room(folder: &Path) {
    let modified = |path: &PathBuf| std::fs::symlink_metadata(path).and_then(|found| found.modified()).ok();
    let mut paths = state::list(folder, "json");
    paths.sort_by_key(modified);
    let excess = paths.len().saturating_sub(FILES_MAX);
    for path in &paths[..excess] {
        // One that stays is one too many for a while.
        drop(std::fs::remove_file(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Flags;

    fn context(state: &Path) -> Context {
        let mut context = Context::new(Flags::of(["--state-folder", state.to_str().unwrap()]));
        "topics apply".clone_into(&mut context.command);
        context
    }

    fn refused(context: &Context, subject: &str) -> Event {
        context.run().event("topics.refused", subject, Outcome::Refused, "delete")
    }

    /// What a run records whose plan refuses these.
    fn recorded(state: &Path, subjects: &[&str]) -> Vec<String> {
        let mut context = context(state);
        let events = subjects.iter().map(|subject| refused(&context, subject)).collect();
        let new = context.new_of_plan(events);
        context.keep_refusals();
        new.into_iter().map(|event| event.subject).collect()
    }

    #[test]
    fn a_refusal_is_recorded_when_it_is_new_and_again_when_it_was_away() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(recorded(folder.path(), &["topic:a"]), ["topic:a"]);
        assert_eq!(recorded(folder.path(), &["topic:a"]), [""; 0]);
        assert_eq!(recorded(folder.path(), &["topic:a", "topic:b"]), ["topic:b"]);
        assert_eq!(recorded(folder.path(), &[]), [""; 0]);
        assert_eq!(state::list(&folder.path().join(FOLDER), "json").len(), 0, "nothing is refused any more");
        assert_eq!(recorded(folder.path(), &["topic:a"]), ["topic:a"]);
    }

    #[test]
    fn a_run_that_was_refused_as_a_whole_does_not_make_what_its_plan_refuses_new() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path(), &["topic:a"]);
        for is_new in [true, false] {
            let mut context = context(folder.path());
            let locked = context.run().event("topics.apply.failed", "cluster:c", Outcome::Refused, "locked");
            assert_eq!(context.is_new_failure(&locked), is_new);
            let failed = Event { outcome: Outcome::Failed, ..locked };
            assert!(context.is_new_failure(&failed), "a failure is always recorded");
            context.keep_refusals();
        }
        assert_eq!(recorded(folder.path(), &["topic:a"]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_or_kept_or_is_a_week_old_counts_as_new() {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path(), &["topic:a"]);
        let path = state::list(&folder.path().join(FOLDER), "json").remove(0);
        let kept = read(&path, Timestamp::now()).unwrap();
        assert_eq!(read(&path, Timestamp::now() + SignedDuration::from_hours(8 * 24)), None);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(recorded(folder.path(), &["topic:a"]), ["topic:a"]);
        assert_eq!(read(&path, Timestamp::now()).map(|kept| kept.planned), Some(kept.planned));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(recorded(&file, &["topic:a"]), ["topic:a"]);
        assert_eq!(recorded(&file, &["topic:a"]), ["topic:a"]);
    }

    #[test]
    fn what_the_former_holder_of_the_lease_left_counts_where_the_state_folder_is_new() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (mut note, mut recorded): (Option<String>, Vec<usize>) = (None, Vec::new());
        for (folder, subjects) in folders.iter().zip([&["topic:a"][..], &["topic:a"], &[]]) {
            let mut context = context(folder.path());
            if let Some(note) = &note {
                context.recall_refusals(note);
            }
            let events = subjects.iter().map(|subject| refused(&context, subject)).collect();
            recorded.push(context.new_of_plan(events).len());
            note = context.refusals_note();
        }
        assert_eq!((recorded, note.as_deref()), (vec![1, 0, 0], Some("")), "nothing is refused any more");
    }

    #[test]
    fn the_folder_keeps_the_newest_command_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { since: Timestamp::now(), planned: BTreeSet::new(), whole: BTreeSet::new() };
        for n in 0..FILES_MAX + 5 {
            write(&folder.path().join(FOLDER).join(format!("{n}.json")), &kept).unwrap();
        }
        assert_eq!(state::list(&folder.path().join(FOLDER), "json").len(), FILES_MAX);
    }
}
