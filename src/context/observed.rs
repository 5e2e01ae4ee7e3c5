//! Observations: read from the cluster, or from a file that an earlier run saved.
//!
//! A saved observation is one JSON document: `{"kind", "version", "tool_version", "observed"}`. It has no secrets, so that
//! it can be sent with a bug report, and that bug report is a test case.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clients::files::{self, Readers};
use crate::context::Context;
use crate::exit::Stop;
use crate::formats::json;
use crate::formats::secret::scrub;

/// Raised when a saved observation of an older version can't be read any more.
const VERSION: u32 = 1;

/// Larger files are no observation of ours.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Saved<T> {
    /// The room that saved it, as `topics`.
    kind: String,
    version: u32,
    tool_version: String,
    observed: T,
}

/// What is looked at first: it says whether the rest can be understood.
#[derive(Deserialize)]
struct Head {
    kind: String,
    version: u32,
}

/// A saved observation that is being loaded; nothing where a cluster is read.
#[derive(Debug)]
pub struct Loading<T>(Option<tokio::task::JoinHandle<anyhow::Result<T>>>);

impl Context {
    /// What is there: read by `observe`, or loaded from `--observed`; written to `--save-observed` where that is given.
    pub async fn observed<T: Serialize + DeserializeOwned>(
        &self,
        observe: impl AsyncFnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let observed = match &self.flags.observed {
            Some(path) => load(path, self.room())?,
            None => observe().await?,
        };
        self.keep_observed(observed)
    }

    /// Begins to load `--observed` beside whatever is read meanwhile; nothing where it is not given.
    pub fn load_observed<T: DeserializeOwned + Send + 'static>(&self) -> Loading<T> {
        let (path, room) = (self.flags.observed.clone(), self.room().to_owned());
        Loading(path.map(|path| tokio::task::spawn_blocking(move || load(&path, &room))))
    }

    /// The same as [`Context::observed`], where loading has begun.
    pub async fn observed_from<T: Serialize>(
        &self,
        loading: Loading<T>,
        observe: impl AsyncFnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let observed = match loading.0 {
            Some(task) => task.await??,
            None => observe().await?,
        };
        self.keep_observed(observed)
    }

    fn keep_observed<T: Serialize>(&self, observed: T) -> anyhow::Result<T> {
        if let Some(path) = &self.flags.save_observed {
            save(path, self.room(), &observed)?;
        }
        Ok(observed)
    }

    /// The first word of the command.
    fn room(&self) -> &str {
        self.command.split(' ').next().unwrap_or_default()
    }
}

fn load<T: DeserializeOwned>(path: &Path, room: &str) -> anyhow::Result<T> {
    let shown = path.display();
    let text = match files::read_text(path, BYTES_MAX) {
        Err(error) if matches!(error.kind(), ErrorKind::FileTooLarge | ErrorKind::InvalidInput) => {
            return Err(Stop::usage(format!("{shown} is not a saved observation: {error}")).into());
        }
        read => read.with_context(|| format!("failed to read {shown}"))?,
    };
    let wrong = |error: serde_json::Error| {
        let place = format!("{shown}:{}:{}", error.line(), error.column());
        let words = json::words(&error, &text);
        Stop::usage(format!("{place}: this is not a saved observation: {words}; --save-observed writes one"))
    };
    let saved = serde_json::from_str::<Saved<T>>(&text);
    let (kind, version) = match &saved {
        Ok(saved) => (saved.kind.clone(), saved.version),
        // Another room's observation has another form: say whose it is, not where it differs.
        Err(_) => serde_json::from_str(&text).map(|Head { kind, version }| (kind, version)).map_err(wrong)?,
    };
    if kind != room || version != VERSION {
        return Err(Stop::usage(format!(
            "{shown} is an observation for `{kind}`, version {version}; this command reads `{room}`, version {VERSION}"
        ))
        .into());
    }
    Ok(saved.map_err(wrong)?.observed)
}

fn save<T: Serialize>(path: &Path, room: &str, observed: &T) -> anyhow::Result<()> {
    let saved =
        Saved { kind: room.to_owned(), version: VERSION, tool_version: env!("CARGO_PKG_VERSION").to_owned(), observed };
    let text = serde_json::to_string(&saved)?;
    files::write(path, scrub(&text).as_bytes(), Readers::Umask)
        .with_context(|| format!("failed to write {}", path.display()))
}
