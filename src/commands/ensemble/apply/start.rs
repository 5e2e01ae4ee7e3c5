//! Steps of a server's start: the document first, by compare-and-set; then files, each whole or not at all.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::clients::files::{self, Readers};
use crate::clients::kubernetes::KubernetesError;
use crate::cluster::ensemble::desired::Desired;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::prestart::{Act, PrestartStep};
use crate::state::document::{Changed, Document};

/// How often the document is written again because the API server was in trouble.
const TRIES_MAX: usize = 100;

/// Longest pause between two tries; a part of it by chance, so that many pods do not keep step.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What steps need.
pub struct Hands<'a> {
    /// The document, as it was read.
    pub document: &'a mut Document,
    /// As it is to be.
    pub desired: Option<&'a Desired>,
    /// When to give up.
    pub deadline: Instant,
    /// Whether somebody else changed the document in the meantime: the whole is decided again.
    pub is_outrun: bool,
    /// Whether a step did not end as it should: the ones after it are not begun.
    pub is_broken: bool,
}

impl Hands<'_> {
    /// Carries out one batch.
    pub async fn apply(&mut self, steps: &[PrestartStep]) -> Vec<Ended> {
        let mut all = Vec::with_capacity(steps.len());
        for step in steps {
            if self.is_broken {
                all.push(Ended::refused("not begun: a step before it did not end well"));
                continue;
            }
            let ended = match &step.act {
                Act::Record { .. } => self.record().await,
                Act::Write { path, text, .. } => write(path, text),
                Act::Initialize { path } => write(path, ""),
                Act::RemoveInitialize { path } => remove(path),
            };
            let ended = ended.unwrap_or_else(|ended| ended);
            self.is_broken = ended.outcome != Outcome::Done;
            all.push(ended);
        }
        all
    }

    async fn record(&mut self) -> Result<Ended, Ended> {
        let Some(desired) = self.desired else { return Ok(Ended::done()) };
        save(self.document, desired, self.deadline, &mut self.is_outrun).await
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
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = files::make_folder(folder).and_then(|()| files::write(path, text, Readers::Umask));
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

/// The document, read again and again while the API server is in trouble, until the deadline.
pub async fn load<D: DeserializeOwned>(document: &mut Document, deadline: Instant) -> anyhow::Result<Option<D>> {
    loop {
        match document.load::<D>().await {
            Ok(found) => return Ok(found),
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tracing::info!("the document is read again: {error:#}");
                sleep(pause()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the API server may answer otherwise soon.
fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<KubernetesError>().is_some_and(|error| {
            error.is_passing()
                || matches!(error, KubernetesError::Conflict { .. } | KubernetesError::AlreadyExists { .. })
        })
    })
}

/// A pause of half the longest to the longest. The end of a UUIDv7 is random.
pub fn pause() -> Duration {
    let [.., chance] = Uuid::now_v7().into_bytes();
    PAUSE_MAX / 2 + PAUSE_MAX / 2 * u32::from(chance) / 255
}
