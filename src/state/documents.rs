//! All documents of one purpose on one cluster: who declares what, for lists and for the check that no two owners declare
//! the same.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::clients::files::state as files;
use crate::clients::kubernetes::ConfigMap;
use crate::state::document::{BYTES_MAX, Envelope, FOLDER, FORM, RECORD, last_of, read_file, unreadable};
use crate::state::identity::{ClusterRef, Identity, Purpose};
use crate::state::place::{CLUSTER_ID, COMPONENT, PURPOSE, Place};

/// Most documents of one place that are looked into.
const DOCUMENTS_MAX: usize = 1_000;

/// The texts of documents, and where each is kept.
#[derive(Debug, Default)]
pub struct Documents {
    texts: Vec<Unread>,
    purpose: Option<Purpose>,
}

/// A document that is not read yet.
#[derive(Debug)]
struct Unread {
    /// Where it is kept, for messages.
    place: String,
    /// What its name, or its label, says of the cluster.
    named: String,
    text: String,
}

/// One document of some owner.
#[derive(Debug)]
pub struct Owned<D> {
    /// Who declares it.
    pub owner: String,
    /// Where it is kept, for messages.
    pub place: String,
    /// When it was written, by its writer's clock.
    pub saved_at: Timestamp,
    /// What it holds.
    pub document: D,
}

/// One document of some cluster.
#[derive(Debug)]
pub struct Named<D> {
    /// The id of the cluster that it is of; where that has none from the beginning, its name.
    pub name: String,
    /// Where it is kept, for messages.
    pub place: String,
    /// What it holds.
    pub document: D,
}

impl Documents {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Every one, whatever cluster it is of. One that can't be understood is an error that names it.
    pub fn all<D: DeserializeOwned>(&self) -> anyhow::Result<Vec<Named<D>>> {
        let Some(purpose) = self.purpose else { return Ok(Vec::new()) };
        let read = |Unread { place, text, .. }: &Unread| {
            let outside: Envelope<IgnoredAny> =
                serde_json::from_str(text).map_err(|error| unreadable(place, purpose, &error.to_string()))?;
            let why = match (outside.form, outside.purpose == purpose.word()) {
                (FORM, true) => None,
                (FORM, false) => Some(format!(
                    "it is a record for `{}`, and one for `{}` is expected",
                    outside.purpose,
                    purpose.word()
                )),
                (form, _) => Some(format!("it has form {form}, and this toolbox reads form {FORM} only")),
            };
            why.map_or(Ok(()), |why| Err(unreadable(place, purpose, &why)))?;
            let envelope: Envelope<D> =
                serde_json::from_str(text).map_err(|error| unreadable(place, purpose, &error.to_string()))?;
            anyhow::Ok(Named { name: envelope.cluster_id, place: place.clone(), document: envelope.document })
        };
        self.texts.iter().map(read).collect()
    }

    /// Those of a cluster, as what borrows from them. One that can't be understood is an error that names it.
    pub fn read<'a, D: Deserialize<'a>>(&'a self, cluster_id: &str) -> anyhow::Result<Vec<Owned<D>>> {
        let mut found = Vec::new();
        let Some(purpose) = self.purpose else { return Ok(found) };
        let cluster = ClusterRef { id: cluster_id.to_owned(), name: None };
        let of_cluster = Identity { purpose, cluster, owner: None };
        let (alone, label) = (of_cluster.file_name(), of_cluster.cluster_label());
        let file = format!("{alone}-");
        for Unread { place, named, text } in &self.texts {
            if !named.starts_with(&file) && *named != alone && *named != label {
                continue;
            }
            let failed = || format!("{place} can't be understood");
            let envelope: Envelope<IgnoredAny> = serde_json::from_str(text).with_context(failed)?;
            anyhow::ensure!(
                envelope.cluster_id == cluster_id && envelope.purpose == purpose.word(),
                "{place} is named as a record of this cluster, and says that it is one of cluster {} for {}",
                envelope.cluster_id,
                envelope.purpose
            );
            of_this_form(place, envelope.form)?;
            let whole: Envelope<D> = serde_json::from_str(text).with_context(failed)?;
            let (owner, place) = (envelope.owner.unwrap_or_default(), place.clone());
            found.push(Owned { owner, place, saved_at: envelope.saved_at, document: whole.document });
        }
        Ok(found)
    }

    /// The same without documents that have none of these words: most have nothing to say about one topic.
    #[must_use]
    pub fn about(mut self, words: &[&str]) -> Self {
        self.texts.retain(|found| words.iter().any(|word| found.text.contains(word)));
        self
    }
}

fn of_this_form(place: &str, form: u32) -> anyhow::Result<()> {
    anyhow::ensure!(form == FORM, "{place} has form {form}, this toolbox reads form {FORM}");
    Ok(())
}

/// The documents of one purpose.
pub async fn documents(place: &Place, purpose: Purpose) -> anyhow::Result<Documents> {
    documents_but(place, purpose, None).await
}

/// The same without the one that is kept there: one's own.
pub(super) async fn documents_but(place: &Place, purpose: Purpose, own: Option<&str>) -> anyhow::Result<Documents> {
    let texts = match place {
        Place::Folder(folder) => of_folder(&folder.join(FOLDER), purpose, own)?,
        Place::Kubernetes(kubernetes) => {
            let namespace = kubernetes.identity().namespace.clone();
            let selector = format!("{COMPONENT}={RECORD},{PURPOSE}={}", purpose.word());
            let found = kubernetes.config_maps(&namespace, &selector).await;
            let found =
                found.with_context(|| format!("failed to list the records of all owners in namespace {namespace}"))?;
            let text = |found: &ConfigMap| {
                let named = found.labels.get(CLUSTER_ID).cloned().unwrap_or_default();
                anyhow::Ok(Unread { place: place_of(found), named, text: last_of(found)?.text })
            };
            let others = found.iter().filter(|found| own != Some(place_of(found).as_str()));
            others.map(text).collect::<anyhow::Result<_>>()?
        }
    };
    Ok(Documents { texts, purpose: Some(purpose) })
}

/// Where a ConfigMap's document is kept, for messages.
fn place_of(found: &ConfigMap) -> String {
    format!("ConfigMap {}", found.name)
}

/// The texts of a folder of documents, ordered by name, without one's own.
fn of_folder(folder: &Path, purpose: Purpose, own: Option<&str>) -> anyhow::Result<Vec<Unread>> {
    let mut texts = Vec::new();
    let begins = format!("{}-", purpose.word());
    if let Err(error) = std::fs::read_dir(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("failed to list {}", folder.display()));
    }
    let paths = files::list(folder, "json");
    anyhow::ensure!(paths.len() <= DOCUMENTS_MAX, "{} holds more than {DOCUMENTS_MAX} records", folder.display());
    let is_meant = |path: &&PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&begins))
            && own != Some(path.display().to_string().as_str())
    };
    for path in paths.iter().filter(is_meant) {
        let read = read_file(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                unreadable(&path.display().to_string(), purpose, &error.to_string()).into()
            }
            _ => anyhow::Error::new(error)
                .context(format!("failed to read {} (limit {BYTES_MAX} bytes)", path.display())),
        })?;
        let named = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        texts.extend(read.map(|last| Unread { place: path.display().to_string(), named, text: last.text }));
    }
    Ok(texts)
}
