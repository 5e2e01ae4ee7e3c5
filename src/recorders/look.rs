//! The journals of runs that live or died, looked at without writing: what `events list` knows beyond the audit log.
//!
//! An intent whose run died has no outcome yet: it is shown as `unknown`, as the next run that changes something will
//! record it.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

use crate::change::event::Event;
use crate::clients::files::state::{self, Opened};
use crate::recorders::folder;
use crate::recorders::journal::{BYTES_MAX, Contents};
use crate::recorders::recover::{KILLED, SILENT, ended_with_its_run};

/// Most journals that are looked into.
const JOURNALS_MAX: usize = 10_000;

/// Hands over the events of all open journals, and for each intent of a dead run an `unknown` outcome. What can't be read
/// is left out: the next run that changes something says so.
pub fn open_journals(state: &Path, now: Timestamp, mut take: impl FnMut(Event)) {
    for path in folder::journals(&folder::open(state)).iter().take(JOURNALS_MAX) {
        let Ok(is_dead) = is_dead(path) else { continue };
        let Ok(Some(bytes)) = state::read(path, BYTES_MAX) else { continue };
        let contents = Contents::read(bytes);
        let open_until = contents.header.as_ref().and_then(|header| header.open_until);
        let is_awaited = !is_dead || open_until.is_some_and(|until| until > now);
        let unmatched = if is_awaited { Vec::new() } else { contents.unmatched() };
        let why = if open_until.is_some() { SILENT } else { KILLED };
        let ended: Vec<_> = unmatched.into_iter().map(|intent| ended_with_its_run(intent, why, intent.time)).collect();
        contents.events.into_iter().chain(ended).for_each(&mut take);
    }
}

/// Whether nobody holds a journal that is still there. The lock is shared and given back at once.
fn is_dead(path: &Path) -> std::io::Result<bool> {
    let file = state::open(path, Opened::Read)?;
    match file.try_lock_shared() {
        Ok(()) => is_still_there(&file, path),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whoever held it may have moved or replaced it between our opening and our locking.
fn is_still_there(file: &File, path: &Path) -> std::io::Result<bool> {
    let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
}
