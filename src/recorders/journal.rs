//! A run's journal: a file of JSON lines, locked by the run that writes it, and the only truth about what that run
//! recorded and which sink took what.
//!
//! Lines: `run` (who writes, for which sinks), `event` (an intent or an outcome), `taken` (a sink has that outcome),
//! `given_up` (a sink never will). A line that is cut off by a kill is as if it had not been begun.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::event::Event;
use crate::recorders::fail_point::{cut, fail_point};

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Who writes. A later one replaces an earlier one.
    Run(Header),
    /// An intent or an outcome.
    Event(Box<Event>),
    /// A sink has the outcome.
    Taken(Mark),
    /// A sink will never have the outcome: it called it malformed, or a bound of the spool dropped it.
    GivenUp(Mark),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The run.
    pub run_id: Uuid,
    /// The command line, as it may be shown.
    pub command: String,
    /// The sinks that are to have the outcomes.
    pub sinks: Vec<String>,
    /// Until when intents without an outcome are left alone although nobody holds the journal: a script said
    /// `events send --intent` and will say how it ended in another process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_until: Option<Timestamp>,
}

/// An event and a sink.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The event.
    pub event_id: Uuid,
    /// The sink.
    pub sink: String,
}

/// What a journal says.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The last `run` line.
    pub header: Option<Header>,
    /// All events in the order of writing.
    pub events: Vec<Event>,
    /// What is settled with which sink.
    pub settled: BTreeSet<Mark>,
    /// Lines that could not be read.
    pub unreadable: usize,
}

impl Contents {
    /// Reads lines; what follows the last newline is left out unless it is whole.
    pub fn read(text: &str) -> Self {
        let mut contents = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line::Run(header)) => contents.header = Some(header),
                Ok(Line::Event(event)) => contents.events.push(*event),
                Ok(Line::Taken(mark) | Line::GivenUp(mark)) => drop(contents.settled.insert(mark)),
                Err(_) => contents.unreadable += 1,
            }
        }
        contents
    }

    /// Intents that nobody said the end of.
    pub fn unmatched(&self) -> Vec<&Event> {
        let ended: BTreeSet<_> = self.events.iter().filter(|event| !event.is_intent()).map(|e| e.event_id).collect();
        let mut seen = BTreeSet::new();
        let open = |event: &&Event| event.is_intent() && !ended.contains(&event.event_id);
        self.events.iter().filter(open).filter(|event| seen.insert(event.event_id)).collect()
    }

    /// Outcomes that a sink of the header has not taken.
    pub fn pending(&self) -> impl Iterator<Item = (&Event, &str)> {
        let sinks = self.header.iter().flat_map(|header| &header.sinks);
        sinks.flat_map(|sink| {
            let open = |event: &&Event| {
                is_delivered(event) && !self.settled.contains(&Mark { event_id: event.event_id, sink: sink.clone() })
            };
            self.events.iter().filter(open).map(|event| (event, sink.as_str()))
        })
    }
}

/// Kinds that stay in the audit log: too many, or too dull, for a stream that people watch.
const AUDIT_ONLY: [&str; 5] = [
    "command.executed",
    "mute.renewed",
    // A plan may have ten thousands of these; sinks see its beginning, its stalls and its end.
    "reassignment.leader_elected",
    "reassignment.move_completed",
    "reassignment.move_started",
];

/// Whether sinks get to see an event: outcomes only. The audit log has the intents, too.
pub fn is_delivered(event: &Event) -> bool {
    !event.is_intent() && !AUDIT_ONLY.contains(&event.kind.as_str())
}

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
}

impl Journal {
    /// Begins a journal in `folder`, as `NAME.jsonl`, locked before anyone else can see it.
    pub fn create(folder: &Path, name: &str, header: &Header) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.jsonl"));
        let hidden = folder.join(format!("{name}.new"));
        let file = OpenOptions::new().append(true).create_new(true).open(&hidden)?;
        file.lock()?;
        fail_point("journal.hidden");
        let journal = Self::of(path.clone(), Some(file), BTreeSet::new());
        journal.append(&[Line::Run(header.clone())])?;
        std::fs::rename(&hidden, &path)?;
        File::open(folder)?.sync_all()?;
        fail_point("journal.created");
        Ok(journal)
    }

    /// A journal that only remembers what is pending.
    pub fn in_memory() -> Self {
        Self::of(PathBuf::new(), None, BTreeSet::new())
    }

    fn of(path: PathBuf, file: Option<File>, pending: BTreeSet<Mark>) -> Self {
        Self { inner: Mutex::new(Inner { path, file, is_torn: false, pending, given_up: BTreeSet::new() }) }
    }

    /// Takes over a journal that nobody holds: its lines, with a torn end cut off. None if someone holds it, or if it
    /// is gone.
    pub fn take_over(path: &Path) -> io::Result<Option<(Self, Contents)>> {
        let mut file = match OpenOptions::new().read(true).append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever held it may have removed, moved or replaced it between our opening and our locking.
        let (ours, there) = (file.metadata()?, std::fs::metadata(path));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        mend_end(&mut file, &mut bytes)?;
        let contents = Contents::read(&String::from_utf8_lossy(&bytes));
        let pending = contents.pending().map(|(event, sink)| Mark { event_id: event.event_id, sink: sink.to_owned() });
        let journal = Self::of(path.to_owned(), Some(file), pending.collect());
        Ok(Some((journal, contents)))
    }

    /// Appends lines with one write, without fsync.
    pub fn append(&self, lines: &[Line]) -> io::Result<()> {
        let mut inner = self.inner();
        for line in lines {
            inner.note(line);
        }
        let torn = std::mem::take(&mut inner.is_torn);
        let Some(file) = &mut inner.file else { return Ok(()) };
        let mut text = if torn { b"\n".to_vec() } else { Vec::new() };
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let (part, dies) = cut("journal.half", &text);
        let written = file.write_all(part);
        if dies {
            std::process::abort();
        }
        if written.is_err() {
            inner.is_torn = true;
        }
        fail_point("journal.appended");
        written
    }

    /// Appends lines and waits until they would survive a power cut.
    pub fn append_durably(&self, lines: &[Line]) -> io::Result<()> {
        self.append(lines)?;
        if let Some(file) = &self.inner().file {
            file.sync_data()?;
        }
        fail_point("journal.synced");
        Ok(())
    }

    /// Says that outcomes are to be delivered to sinks.
    pub fn owe(&self, marks: impl IntoIterator<Item = Mark>) {
        self.inner().pending.extend(marks);
    }

    /// What no sink has settled yet.
    pub fn pending(&self) -> BTreeSet<Mark> {
        self.inner().pending.clone()
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

    /// Moves the file to another folder of the same file system. It stays locked.
    pub fn move_to(&self, folder: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        let Some(name) = inner.path.file_name() else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
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
