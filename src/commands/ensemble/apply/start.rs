//! Steps of a server's start: the document first, by compare-and-set; then files, each whole or not at all.

use std::io;
use std::path::Path;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::change::carry_out::Ended;
use crate::change::in_order::Executor;
use crate::clients::files::{self, Readers};
use crate::cluster::ensemble::desired::Desired;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::prestart::{Act, PrestartStep};
use crate::state::document::{Changed, Document};
use crate::state::patience::{is_passing, pause};

/// How often the document is written again because the API server was in trouble.
const TRIES_MAX: usize = 100;

/// Carries out the steps of a server's start.
pub struct StartExecutor<'a> {
    /// The document, as it was read.
    pub document: &'a mut Document,
    /// As it is to be.
    pub desired: Option<&'a Desired>,
    /// When to give up.
    pub deadline: Instant,
    /// Whether somebody else changed the document in the meantime: the whole is decided again.
    pub is_outrun: bool,
}

impl Executor for StartExecutor<'_> {
    type Step = PrestartStep;

    async fn execute(&mut self, step: &PrestartStep) -> Result<Ended, Ended> {
        match &step.act {
            Act::Record { .. } => match self.desired {
                Some(desired) => save(self.document, desired, self.deadline, &mut self.is_outrun).await,
                None => Ok(Ended::done()),
            },
            Act::Write { path, text, .. } => write(path, text),
            Act::Initialize { path } => write(path, ""),
            Act::RemoveInitialize { path } => remove(path),
        }
    }
}

/// Writes a document over what was read, again while the API server is in trouble. Where another wrote it in the meantime, that is
/// noted in `is_outrun`, and nothing is written.
pub(super) async fn save<D: Serialize>(
    document: &mut Document,
    desired: &D,
    deadline: Instant,
    is_outrun: &mut bool,
) -> Result<Ended, Ended> {
    for _ in 0..TRIES_MAX {
        let error = match document.save(desired).await {
            Ok(()) => return Ok(Ended::done()),
            Err(error) => error,
        };
        if error.is::<Changed>() {
            *is_outrun = true;
            return Err(Ended::refused("the document was changed by another in the meantime; all is decided again"));
        }
        if !is_passing(&error) {
            return Err(Ended::failed(format!("{error:#}")));
        }
        if Instant::now() >= deadline {
            return Err(Ended::unknown(format!("{error:#}; the next start reads the document again")));
        }
        sleep(pause()).await;
    }
    Err(Ended::failed(format!("the document could not be written {TRIES_MAX} times; start again")))
}

fn write(path: &str, text: &str) -> Result<Ended, Ended> {
    let path = Path::new(path);
    let written = files::write_with_folder(path, text, Readers::Umask);
    written.map(|()| Ended::done()).map_err(|error| failed(path, &error))
}

fn remove(path: &str) -> Result<Ended, Ended> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(Path::new(path), &error)),
        _ => Ok(Ended::done()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Ended {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::ConfigNotPersisted,
        _ => Code::DiskIo,
    };
    Ended::failed(format!("{code}: failed to write {}: {error}", path.display()))
}
