//! What is kept from one look to the next: in a file, for probes that are a process each; it belongs into an `emptyDir`, or
//! into the container's own `/tmp`.
//!
//! It is keyed by the start of the server's process. Where that can't be seen, by the start of process 1: in the exec form it
//! is the container's.

use std::path::PathBuf;

use tokio::time::Instant;

use crate::clients::files::{folder_of, in_time, state};
use crate::clients::processes::Processes;
use crate::commands::probe::observe::port::Port;
use crate::commands::probe::verdict::kafka::Memory;

/// Longest file: twenty topics have names of 249 characters.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where a memory is kept.
#[derive(Debug, Clone)]
pub struct Latch {
    /// The file.
    pub path: PathBuf,
}

impl Latch {
    /// What was kept; none where there is nothing, or nothing that can be read: then the strict phase begins again.
    pub async fn read(&self, deadline: Instant) -> Option<Memory> {
        let latch = self.clone();
        in_time(&self.path.display().to_string(), deadline, move || latch.read_now()).await.ok()?
    }

    /// Keeps it, by the deadline. The file is written whole or not at all.
    pub async fn write(&self, memory: &Memory, deadline: Instant) -> Result<(), String> {
        let (latch, memory) = (self.clone(), memory.clone());
        in_time(&self.path.display().to_string(), deadline, move || latch.write_now(&memory)).await?
    }

    fn read_now(&self) -> Option<Memory> {
        let bytes = state::read(&self.path, FILE_BYTES_MAX).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    fn write_now(&self, memory: &Memory) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("failed to keep {}: {error}", self.path.display());
        let bytes = serde_json::to_vec(memory).map_err(|error| failed(&error))?;
        let folder = folder_of(&self.path);
        if !folder.exists() {
            state::folder(folder).map_err(|error| failed(&error))?;
        }
        state::write(&self.path, bytes).map_err(|error| failed(&error))
    }
}

/// Names the start of the server, and whether it is really the server's: else it is that of process 1.
pub fn start_of(port: &Port, processes: &Processes) -> (String, bool) {
    let own = port.process(processes).ok().and_then(|pid| processes.start_of(pid));
    match own {
        Some(start) => (start, true),
        None => (processes.start_of(1).map(|start| format!("container {start}")).unwrap_or_default(), false),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::cluster::broker::BrokerId;

    #[tokio::test]
    async fn a_latch_is_kept_and_one_that_is_a_named_pipe_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let latch = Latch { path: folder.path().join("made/latch.json") };
        let memory = Memory::new("40@4000@".to_owned(), BrokerId(1), Timestamp::UNIX_EPOCH);
        let by = || Instant::now() + Duration::from_secs(10);
        latch.write(&memory, by()).await.unwrap();
        assert_eq!(latch.read(by()).await, Some(memory.clone()));
        let pipe = Latch { path: folder.path().join("pipe") };
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe.path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(pipe.read(by()).await, None);
        assert!(pipe.write(&memory, by()).await.unwrap_err().contains("a named pipe"));
    }
}
