//! The spool's bounds: what is too old or too much is dropped, oldest first, errors last, and never in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::change::event::Severity;
use crate::clients::files::state;
use crate::recorders::folder;
use crate::recorders::journal::{BYTES_MAX, Contents, Journal};

/// How much undelivered the spool keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Older records are dropped.
    pub age: SignedDuration,
    /// With more bytes than this, the oldest records are dropped, those without an error first.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { age: SignedDuration::from_hours(7 * 24), bytes: 64 * 1024 * 1024 }
    }
}

/// What must go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Excess {
    /// Records older than the bound.
    pub too_old: usize,
    /// Records that did not fit.
    pub too_many: usize,
    drops: BTreeSet<Uuid>,
    /// Files that are larger than what is still waiting in them.
    files: BTreeSet<PathBuf>,
}

impl Excess {
    /// How many records are dropped.
    pub fn count(&self) -> usize {
        self.drops.len()
    }

    /// Why, for people.
    pub fn why(&self, bounds: Bounds) -> String {
        let Bounds { age, bytes } = bounds;
        let old = format!("{} were older than {} d", self.too_old, age.as_hours() / 24);
        let many = format!("{} did not fit into {} MiB", self.too_many, bytes / 1024 / 1024);
        match (self.too_old, self.too_many) {
            (_, 0) => old,
            (0, _) => many,
            _ => format!("{old}, {many}"),
        }
    }

    /// Writes the files anew without what is dropped and what was delivered. Files that another process works on are
    /// left alone.
    pub fn carry_out(&self) -> io::Result<()> {
        for path in &self.files {
            rewrite(path, &self.drops)?;
        }
        Ok(())
    }
}

/// One undelivered record.
struct Waiting {
    path: PathBuf,
    event_id: Uuid,
    is_error: bool,
    time: Timestamp,
    bytes: u64,
}

/// What lies in the spool of a state folder beyond its bounds.
pub fn excess(state: &Path, bounds: Bounds, now: Timestamp) -> Excess {
    let paths = folder::journals(&folder::spool(state));
    let size = |path: &PathBuf| std::fs::symlink_metadata(path).map_or(0, |found| found.len());
    let is_full = paths.iter().map(size).sum::<u64>() > bounds.bytes;
    let oldest = now.checked_sub(bounds.age).unwrap_or(Timestamp::MIN);
    let mut waiting: Vec<_> = paths
        .into_iter()
        .filter(|path| is_full || may_be_older(path, oldest))
        .flat_map(|path| waiting_in(&path))
        .collect();
    // What is too old goes anyway; then the oldest first, errors last.
    waiting.sort_by_key(|record| (record.time >= oldest, record.is_error, record.time, record.event_id));
    let mut found = Excess::default();
    if is_full {
        found.files = waiting.iter().map(|record| record.path.clone()).collect();
    }
    let mut left: u64 = waiting.iter().map(|record| record.bytes).sum();
    for record in waiting {
        let is_old = record.time < oldest;
        let fits = !is_full || left <= bounds.bytes;
        if !is_old && fits {
            continue;
        }
        left -= record.bytes;
        found.too_old += usize::from(is_old);
        found.too_many += usize::from(!is_old);
        found.drops.insert(record.event_id);
        found.files.insert(record.path);
    }
    found
}

/// A file's name is the UUIDv7 of the run: no record in it is older.
pub(super) fn may_be_older(path: &Path, oldest: Timestamp) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.get(..36));
    let time = name.and_then(|name| name.parse::<Uuid>().ok()).and_then(|id| id.get_timestamp());
    time.is_none_or(|time| i64::try_from(time.to_unix().0).is_ok_and(|seconds| seconds <= oldest.as_second()))
}

fn waiting_in(path: &Path) -> Vec<Waiting> {
    // What can't be read is said where it is to be delivered from.
    let Ok(Some(bytes)) = state::read(path, BYTES_MAX) else { return Vec::new() };
    let contents = Contents::read(&bytes);
    let mut records = BTreeMap::new();
    for (event, _) in contents.pending() {
        let bytes = serde_json::to_string(event).map_or(0, |text| text.len() as u64);
        let is_error = event.severity == Severity::Error;
        let (event_id, time) = (event.event_id, event.time);
        records.insert(event_id, Waiting { path: path.to_owned(), event_id, is_error, time, bytes });
    }
    records.into_values().collect()
}

fn rewrite(path: &Path, drops: &BTreeSet<Uuid>) -> io::Result<()> {
    let Some((held, contents)) = Journal::take_over(path)? else { return Ok(()) };
    if contents.pending().all(|(event, _)| drops.contains(&event.event_id)) {
        return held.remove();
    }
    held.compact(drops)
}
