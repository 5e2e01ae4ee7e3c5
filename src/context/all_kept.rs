//! What was last applied by all specs of a room: for lists that say who owns what.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::context::Context;
use crate::context::home::COMPONENT;
use crate::context::home::Home;
use crate::context::kept::Envelope;
use crate::context::kept::FOLDER;
use crate::context::kept::FORM;
use crate::context::kept::LAST_APPLIED;
use crate::context::kept::bounded;
use crate::context::kept::last_of;

/// Most documents that a list looks into.
const DOCUMENTS_MAX: usize = 1_000;

/// Kept documents of all specs, as texts.
#[derive(Debug, Default)]
pub struct AllKept {
    texts: Vec<String>,
}

impl AllKept {
    /// The documents of one room and cluster, as far as they can be read, as what borrows from them.
    pub fn documents<'a, D: Deserialize<'a>>(&'a self, room: &str, cluster_id: &str) -> Vec<D> {
        let scope = format!("{room} ");
        let envelopes = self.texts.iter().filter_map(|text| serde_json::from_str::<Envelope<D>>(text).ok());
        let fits = |envelope: &Envelope<D>| {
            envelope.form == FORM && envelope.cluster_id == cluster_id && envelope.scope.starts_with(&scope)
        };
        envelopes.filter(fits).map(|envelope| envelope.document).collect()
    }

    /// The same without documents that have none of these words: most have nothing to say about one topic.
    #[must_use]
    pub fn about(mut self, words: &[&str]) -> Self {
        self.texts.retain(|text| words.iter().any(|word| text.contains(word)));
        self
    }
}

impl Context {
    /// What was last applied by all specs, as far as it can be read: for lists that say who owns what. What can't be
    /// read is left out.
    pub async fn all_kept(&self) -> AllKept {
        let texts = match self.home().await {
            Ok(Home::Folder(folder)) => texts_of(&folder.join(FOLDER)),
            Ok(Home::Kubernetes(kubernetes)) => {
                let namespace = kubernetes.identity().namespace.clone();
                let found = kubernetes.config_maps(&namespace, &format!("{COMPONENT}={LAST_APPLIED}")).await;
                let found = found.inspect_err(|error| tracing::debug!(%error, "failed to list what was last applied"));
                let last = found.unwrap_or_default().iter().filter_map(|found| last_of(found).ok()).collect::<Vec<_>>();
                last.into_iter().map(|last| last.text).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "failed to look for what was last applied");
                Vec::new()
            }
        };
        AllKept { texts }
    }
}

/// The texts of a folder of kept documents, ordered by name.
fn texts_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = entries.take(DOCUMENTS_MAX).map(|entry| entry.path()).collect();
    paths.sort();
    let is_json = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "json");
    paths.iter().filter(is_json).filter_map(|path| bounded(fs::File::open(path).ok()?).ok()).collect()
}
