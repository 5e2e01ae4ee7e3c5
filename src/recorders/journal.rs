//! A run's journal: a file of JSON lines, locked by the run that writes it, and the only truth about what that run
//! recorded and which sink took what.
//!
//! Lines: `run` (who writes, for which sinks), `event` (an intent or an outcome), `taken` (a sink has that outcome),
//! `given_up` (a sink never will). A line that is cut off by a kill is as if it had not been begun.
//!
//! A journal that has grown is written anew with what is still needed ([`Journal::compact`]), beside the old one, which
//! it replaces at once: whenever the process dies, one of the two is there, whole.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::change::fail_point::{cut, fail_point};
use crate::clients::files::folder_of;
use crate::clients::files::state::{self, Opened};

pub use crate::recorders::contents::{COMMAND_EXECUTED, Contents, Damaged, Header, Line, Mark, is_delivered};

/// A longer file is no journal of ours: the spool's bound is far below this.
pub const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A journal that this process holds.
#[derive(Debug)]
pub struct Journal {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// None where the state folder can't be written: then nothing outlives the process.
    file: Option<File>,
    /// The last write failed half-way: the next one starts on a new line.
    is_torn: bool,
    /// What is not settled with which sink.
    pending: BTreeSet<Mark>,
    /// Events that some sink will never have.
    given_up: BTreeSet<Uuid>,
    /// How long the file is.
    bytes: u64,
    /// How long it was when it was last written anew.
    bytes_needed: u64,
}

impl Journal {
    /// Begins a journal in `folder`, as `NAME.jsonl`, locked before anyone else can see it.
    pub fn create(folder: &Path, name: &str, header: &Header) -> io::Result<Self> {
        state::inner_folder(folder)?;
        let path = folder.join(format!("{name}.jsonl"));
        let hidden = folder.join(format!("{name}.new"));
        let file = state::open(&hidden, Opened::CreateNew)?;
        file.lock()?;
        fail_point("journal.hidden");
        let journal = Self::of(path.clone(), Some(file), BTreeSet::new());
        journal.append(&[Line::Run(header.clone())])?;
        std::fs::rename(&hidden, &path)?;
        state::sync_folder(folder)?;
        fail_point("journal.created");
        Ok(journal)
    }

    /// A journal that only remembers what is pending.
    pub fn in_memory() -> Self {
        Self::of(PathBuf::new(), None, BTreeSet::new())
    }

    fn of(path: PathBuf, file: Option<File>, pending: BTreeSet<Mark>) -> Self {
        let bytes = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |found| found.len());
        let (is_torn, given_up, bytes_needed) = (false, BTreeSet::new(), 0);
        Self { inner: Mutex::new(Inner { path, file, is_torn, pending, given_up, bytes, bytes_needed }) }
    }

    /// Takes over a journal that nobody holds: its lines, with a torn end cut off. None if someone holds it, or if it
    /// is gone.
    pub fn take_over(path: &Path) -> io::Result<Option<(Self, Contents)>> {
        let mut file = match state::open(path, Opened::Append) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever held it may have removed, moved or replaced it between our opening and our locking.
        let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(None);
        }
        let mut bytes = read_whole(&mut file)?;
        mend_end(&mut file, &mut bytes)?;
        let contents = Contents::read(&bytes);
        let pending = contents.pending().map(|(event, sink)| Mark { event_id: event.event_id, sink: sink.to_owned() });
        let journal = Self::of(path.to_owned(), Some(file), pending.collect());
        Ok(Some((journal, contents)))
    }

    /// Appends lines with one write, without fsync: all of them, or after an error none.
    pub fn append(&self, lines: &[Line]) -> io::Result<()> {
        self.write_lines(lines, false)
    }

    /// Appends lines and waits until they would survive a power cut: all of them, or after an error none.
    pub fn append_durably(&self, lines: &[Line]) -> io::Result<()> {
        self.write_lines(lines, true)?;
        fail_point("journal.synced");
        Ok(())
    }

    fn write_lines(&self, lines: &[Line], durably: bool) -> io::Result<()> {
        let mut inner = self.inner();
        for line in lines {
            inner.note(line);
        }
        let torn = std::mem::take(&mut inner.is_torn);
        let Some(file) = &mut inner.file else { return Ok(()) };
        let before = file.metadata()?.len();
        let mut text = if torn { b"\n".to_vec() } else { Vec::new() };
        text.extend(text_of(lines)?);
        let (part, dies) = cut("journal.half", &text);
        let mut written = file.write_all(part);
        if dies {
            std::process::abort();
        }
        fail_point("journal.appended");
        if durably && written.is_ok() {
            written = file.sync_data();
        }
        // A disk that is full takes a part of it: what counts as not written must not be read later.
        let is_cut_off = written.is_err() && file.set_len(before).is_ok();
        inner.is_torn = written.is_err() && !is_cut_off;
        inner.bytes = if is_cut_off { before } else { before + text.len() as u64 };
        written
    }

    /// Says that outcomes are to be delivered to sinks.
    pub fn owe(&self, marks: impl IntoIterator<Item = Mark>) {
        self.inner().pending.extend(marks);
    }

    /// What no sink has settled yet.
    pub fn pending(&self) -> BTreeSet<Mark> {
        self.inner().pending.clone()
    }

    /// Whether a sink is still to have an outcome.
    pub fn owes(&self, sink: &str) -> bool {
        self.inner().pending.iter().any(|mark| mark.sink == sink)
    }

    /// Whether an event is settled with every sink.
    pub fn is_settled(&self, event_id: Uuid) -> bool {
        let first = Mark { event_id, sink: String::new() };
        self.inner().pending.range(first..).next().is_none_or(|mark| mark.event_id != event_id)
    }

    /// Whether some sink will never have an event.
    pub fn is_given_up(&self, event_id: Uuid) -> bool {
        self.inner().given_up.contains(&event_id)
    }

    /// Whether the file can be written.
    pub fn is_on_disk(&self) -> bool {
        self.inner().file.is_some()
    }

    /// Where the file is; empty if there is none.
    pub fn path(&self) -> PathBuf {
        self.inner().path.clone()
    }

    /// What the file says now.
    pub fn contents(&self) -> io::Result<Contents> {
        match &mut self.inner().file {
            Some(file) => Ok(Contents::read(read_whole(file)?)),
            None => Ok(Contents::default()),
        }
    }

    /// How long the file is.
    pub fn bytes(&self) -> u64 {
        self.inner().bytes
    }

    /// Whether it is longer than `bytes`, and twice as long as when it was last written anew: what is needed may be
    /// longer than `bytes` by itself.
    pub fn has_grown(&self, bytes: u64) -> bool {
        let inner = self.inner();
        inner.file.is_some() && inner.bytes > bytes.max(inner.bytes_needed.saturating_mul(2))
    }

    /// Writes the file anew with the lines that are needed and without `drops`. Everything that is left out must be in
    /// the audit log, on the disk. It stays locked, and it is whole whenever the process dies.
    pub fn compact(&self, drops: &BTreeSet<Uuid>) -> io::Result<()> {
        let mut inner = self.inner();
        let Some(file) = &mut inner.file else { return Ok(()) };
        let text = text_of(&Contents::read(read_whole(file)?).needed(drops))?;
        let hidden = inner.path.with_extension("new");
        // Left by a process that died, or by an attempt of ours that failed.
        if let Err(error) = std::fs::remove_file(&hidden)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = state::open(&hidden, Opened::CreateNew)?;
        file.lock()?;
        let (part, dies) = cut("journal.compacting", &text);
        file.write_all(part)?;
        if dies {
            std::process::abort();
        }
        file.sync_all()?;
        fail_point("journal.compacted");
        std::fs::rename(&hidden, &inner.path)?;
        (inner.bytes, inner.bytes_needed) = (text.len() as u64, text.len() as u64);
        inner.file = Some(file);
        inner.is_torn = false;
        let pending: BTreeSet<_> = inner.pending.iter().map(|mark| mark.event_id).collect();
        inner.given_up.retain(|id| pending.contains(id));
        fail_point("journal.replaced");
        state::sync_folder(folder_of(&inner.path))
    }

    /// Moves the file to another folder of the same file system. It stays locked.
    pub fn move_to(&self, folder: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        let Some(name) = inner.path.file_name() else { return Ok(()) };
        state::inner_folder(folder)?;
        let to = folder.join(name);
        if to != inner.path {
            std::fs::rename(&inner.path, &to)?;
            inner.path = to;
        }
        Ok(())
    }

    /// Removes the file: everything in it is in the audit log and settled with every sink.
    pub fn remove(&self) -> io::Result<()> {
        let inner = self.inner();
        if inner.file.is_none() {
            return Ok(());
        }
        match std::fs::remove_file(&inner.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, line: &Line) {
        if let Line::Taken(mark) | Line::GivenUp(mark) = line {
            self.pending.remove(mark);
        }
        if let Line::GivenUp(mark) = line {
            self.given_up.insert(mark.event_id);
        }
    }
}

fn text_of(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn read_whole(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {BYTES_MAX} bytes")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.seek(SeekFrom::Start(0))?;
    // Nobody else writes: the lock is ours. The limit is for a file that grows all the same.
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Ends the last line: with a newline if only that is missing, else by cutting the line off.
fn mend_end(file: &mut File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole == bytes.len() {
        return Ok(());
    }
    if serde_json::from_slice::<Line>(&bytes[whole..]).is_ok() {
        bytes.push(b'\n');
        return file.write_all(b"\n");
    }
    bytes.truncate(whole);
    file.set_len(whole as u64)
}
