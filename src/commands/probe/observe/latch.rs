//! What is kept from one look to the next: in a file, for probes that are a process each; it belongs into an `emptyDir`, or
//! into the container's own `/tmp`.
//!
//! It is keyed by the start of the server's process. Where that can't be seen, by the start of process 1: in the exec form it
//! is the container's.

use std::path::{Path, PathBuf};

use crate::clients::files::state;
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
    pub fn read(&self) -> Option<Memory> {
        let bytes = state::read(&self.path, FILE_BYTES_MAX).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps it. The file is written whole or not at all.
    pub fn write(&self, memory: &Memory) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("failed to keep {}: {error}", self.path.display());
        let bytes = serde_json::to_vec(memory).map_err(|error| failed(&error))?;
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("") && !folder.exists()) {
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
