//! The audit log: every intent and every outcome, one JSON object a line, for people and for log pipelines.
//!
//! `audit.jsonl` grows to [`ROTATE_BYTES`], then becomes `audit.jsonl.1`; [`KEPT`] old files are kept. Writers of
//! several processes take turns by a lock on `audit.lock`. A line that a killed process left unfinished is moved to the
//! quarantine by the next writer, so that every line is JSON; the journal of that run still has the event whole. What a
//! full disk took a part of is cut off at once.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use crate::change::event::Event;
use crate::change::fail_point::{cut, fail_point};
use crate::clients::files::state::{self, Opened};
use crate::recorders::folder;
use crate::recorders::quarantine;

/// A file that is longer than this is set aside and a new one begun.
pub const ROTATE_BYTES: u64 = 16 * 1024 * 1024;

/// How many old files are kept.
pub const KEPT: u32 = 4;

/// Longest wait for another process that writes.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(2);

/// Longest unfinished line that is cut off: a whole file.
const TORN_BYTES_MAX: u64 = 2 * ROTATE_BYTES;

/// Characters of it that the quarantine keeps.
const TORN_CHARS_MAX: usize = 64 * 1024;

/// The audit log of a state folder.
#[derive(Debug, Clone)]
pub struct AuditLog {
    folder: PathBuf,
    rotate_bytes: u64,
    lock_wait: Duration,
}

impl AuditLog {
    /// The audit log in a state folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), rotate_bytes: ROTATE_BYTES, lock_wait: LOCK_WAIT }
    }

    /// The same with files of another length.
    #[must_use]
    pub fn with_rotation(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes;
        self
    }

    /// From now on, another process that writes is waited for no longer than this, and no longer than usual.
    pub fn wait_at_most(&mut self, wait: Duration) {
        self.lock_wait = wait.min(LOCK_WAIT);
    }

    /// Appends events that are not there yet.
    pub async fn append(&self, events: &[Event]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let _turn = self.take_turn().await?;
        self.write(events)
    }

    /// Appends those events that are not there: for a journal whose run died, perhaps after it had written them.
    pub async fn append_missing(&self, events: &[Event]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let _turn = self.take_turn().await?;
        let runs: HashSet<_> = events.iter().map(|event| event.run_id.to_string()).collect();
        let mut there = HashSet::new();
        // Many lines, few of that run: looking for its id is cheaper than reading each line as JSON.
        self.each_line(|line| {
            if runs.iter().any(|run| line.contains(run.as_str()))
                && let Ok(event) = serde_json::from_str::<Event>(line)
            {
                there.insert(key(&event));
            }
        })?;
        let missing: Vec<_> = events.iter().filter(|event| !there.contains(&key(event))).cloned().collect();
        self.write(&missing)
    }

    /// Waits until what was appended would survive a power cut.
    pub fn sync(&self) -> io::Result<()> {
        match state::open(&self.path(0), Opened::Read) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads all kept events, oldest first.
    pub fn each(&self, mut take: impl FnMut(Event)) -> io::Result<()> {
        self.each_line(|line| {
            if let Ok(event) = serde_json::from_str(line) {
                take(event);
            }
        })
    }

    fn each_line(&self, mut take: impl FnMut(&str)) -> io::Result<()> {
        for age in (0..=KEPT).rev() {
            let file = match state::open(&self.path(age), Opened::Read) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                take(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        Ok(())
    }

    fn path(&self, age: u32) -> PathBuf {
        match age {
            0 => self.folder.join("audit.jsonl"),
            age => self.folder.join(format!("audit.jsonl.{age}")),
        }
    }

    /// The lock, held until it is dropped.
    async fn take_turn(&self) -> io::Result<File> {
        state::folder(&self.folder)?;
        let file = state::open(&self.folder.join("audit.lock"), Opened::AppendOrCreate)?;
        let turn = tokio::time::timeout(self.lock_wait, async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
        });
        match turn.await {
            Ok(taken) => taken.map(|()| file),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the audit log's lock")),
        }
    }

    /// Writes events behind the last whole line. Without events, the file's end is mended all the same.
    fn write(&self, events: &[Event]) -> io::Result<()> {
        if events.is_empty() && !self.path(0).exists() {
            return Ok(());
        }
        let mut file = self.current()?;
        if events.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, event)?;
            text.push(b'\n');
        }
        let before = file.metadata()?.len();
        let (part, dies) = cut("audit.half", &text);
        let written = file.write_all(part);
        if dies {
            std::process::abort();
        }
        if written.is_err() {
            // Where this fails, too, the next writer does it.
            drop(file.set_len(before));
        }
        fail_point("audit.appended");
        written
    }

    /// The file to append to; a full one is set aside first.
    fn current(&self) -> io::Result<File> {
        let open = || state::open(&self.path(0), Opened::AppendOrCreate);
        let mut file = open()?;
        self.mend_end(&mut file)?;
        if file.metadata()?.len() < self.rotate_bytes {
            return Ok(file);
        }
        file.sync_data()?;
        // A kill between two renames leaves a gap: the files before it move up into it, and none is lost.
        let gap = (1..=KEPT).find(|age| !self.path(*age).exists()).unwrap_or(KEPT);
        for age in (0..gap).rev() {
            std::fs::rename(self.path(age), self.path(age + 1))?;
            fail_point("audit.rotating");
        }
        open()
    }

    /// Ends the last line: with a newline if only that is missing, else what is there of it goes to the quarantine.
    fn mend_end(&self, file: &mut File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if ends_a_line(file)? {
            return Ok(());
        }
        let from = length.saturating_sub(TORN_BYTES_MAX);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(file).take(TORN_BYTES_MAX).read_to_end(&mut bytes)?;
        let line = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = &bytes[line..];
        if serde_json::from_slice::<Event>(torn).is_ok() {
            return file.write_all(b"\n");
        }
        let text: String = String::from_utf8_lossy(torn).chars().take(TORN_CHARS_MAX).collect();
        let why = "the end of audit.jsonl: a writer was killed; the journal of its run has the event";
        let name = format!("{}-audit.json", Uuid::now_v7());
        let document = serde_json::json!({ "file": self.path(0).display().to_string(), "why": why, "text": text });
        let kept = quarantine::keep(&folder::quarantine(&self.folder), &name, &document);
        tracing::info!(bytes = torn.len(), "an unfinished line of the audit log is cut off; {kept}");
        file.set_len(from + line as u64)
    }
}

fn key(event: &Event) -> (Uuid, bool) {
    (event.event_id, event.is_intent())
}

/// Whether a file is empty or ends with a newline.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
