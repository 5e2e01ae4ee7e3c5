//! One kind of document for all that is kept from run to run: a ConfigMap in Kubernetes, a file outside, both with
//! compare-and-set: what is written replaces only what this run read or wrote last.
//!
//! A missing document is no error; one that can't be read, or that belongs to another cluster or owner, is.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;

use crate::clients::files::state as files;
use crate::clients::kubernetes::CONFIG_MAP_BYTES_MAX;
use crate::clients::kubernetes::ConfigMap;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::kubernetes::ObjectName;
use crate::exit::Stop;
use crate::formats::json;
use crate::state::documents::{Documents, documents_but};
use crate::state::identity::{Identity, Purpose};
use crate::state::place::{CLUSTER_ID, COMPONENT, IDENTITY, MANAGED_BY, PURPOSE, Place, object_of};

/// The component label of the ConfigMaps that hold documents; they are never read as specs.
pub const RECORD: &str = "record";

/// The form of the envelope.
pub(super) const FORM: u32 = 2;

const TEXT_KEY: &str = "record.json";
const PACKED_KEY: &str = "record.json.gz";

/// Longer texts are packed: up to here, `kubectl get -o yaml` shows what is in it.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// Most bytes of an unpacked text.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Where documents are in a state folder.
pub(super) const FOLDER: &str = "records";

/// How often a write to Kubernetes is tried.
const ATTEMPTS: u32 = 4;
/// The pause after the first attempt; after the second twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a change is made anew because somebody else changed the document meanwhile.
const UPDATES: usize = 8;

/// How often the lock of a file is tried, with [`FILE_PAUSE`] between: it is held while one document is written.
const FILE_TRIES: usize = 250;
const FILE_PAUSE: Duration = Duration::from_millis(20);

/// What surrounds a document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope<D> {
    pub(super) form: u32,
    pub(super) purpose: String,
    pub(super) cluster_id: String,
    #[serde(default)]
    pub(super) cluster_name: Option<String>,
    #[serde(default)]
    pub(super) owner: Option<String>,
    run_id: Uuid,
    pub(super) saved_at: Timestamp,
    tool_version: String,
    pub(super) document: D,
}

/// Somebody else changed the document since this run read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was changed by another run in the meantime, and is left as it is")]
pub struct Changed;

/// The document of one identity.
#[derive(Debug)]
pub struct Document {
    place: Place,
    identity: Identity,
    run_id: Uuid,
    clock: fn() -> Timestamp,
    /// As it was read or written last.
    last: Option<Last>,
    /// The run that wrote what was read or written last.
    saved_by: Option<Uuid>,
    /// When that was written.
    saved_at: Option<Timestamp>,
    /// The object that holds it where that has another name than ours would: the cluster was addressed otherwise then.
    found_as: Option<ObjectName>,
    /// Whether it was looked for under other names: once is enough for a document that is read again and again.
    has_looked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) text: String,
    resource_version: String,
}

impl Document {
    /// The document of an identity, not read yet.
    pub fn new(place: Place, identity: Identity, run_id: Uuid, clock: fn() -> Timestamp) -> Self {
        let (last, saved_by, saved_at) = (None, None, None);
        Self { place, identity, run_id, clock, last, saved_by, saved_at, found_as: None, has_looked: false }
    }

    /// What it belongs to.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The documents of other owners for the same purpose.
    pub async fn of_others(&self) -> anyhow::Result<Documents> {
        documents_but(&self.place, self.identity.purpose, Some(&self.place())).await
    }

    /// The run that wrote what was read or written last.
    pub fn saved_by(&self) -> Option<Uuid> {
        self.saved_by
    }

    /// When what was read or written last was written, by its writer's clock.
    pub fn saved_at(&self) -> Option<Timestamp> {
        self.saved_at
    }

    /// Where it is kept, for messages.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Kubernetes(kubernetes) => format!("ConfigMap {}", self.object(kubernetes.as_ref())),
            Place::Folder(folder) => self.path(folder).display().to_string(),
        }
    }

    /// The document, if there is one. Call it before [`Document::save`]: only what was read is replaced.
    pub async fn load<D: DeserializeOwned>(&mut self) -> anyhow::Result<Option<D>> {
        let read = self.read().await.map_err(|error| match error.downcast_ref::<std::io::Error>() {
            Some(why) if why.kind() == std::io::ErrorKind::InvalidData => self.unreadable(&why.to_string()).into(),
            _ => error.context(format!("failed to read {}", self.place())),
        });
        let Some(last) = read? else {
            (self.last, self.saved_by, self.saved_at) = (None, None, None);
            return Ok(None);
        };
        let envelope: Envelope<D> =
            serde_json::from_str(&last.text).map_err(|error| self.unreadable(&error.to_string()))?;
        self.check(&envelope)?;
        (self.last, self.saved_by, self.saved_at) = (Some(last), Some(envelope.run_id), Some(envelope.saved_at));
        Ok(Some(envelope.document))
    }

    /// Writes the document, or says why not. Fails with [`Changed`] where another run wrote it since this one read it.
    pub async fn save<D: Serialize>(&mut self, document: &D) -> anyhow::Result<()> {
        let envelope = Envelope {
            form: FORM,
            purpose: self.identity.purpose.word().to_owned(),
            cluster_id: self.identity.cluster.id.clone(),
            cluster_name: self.identity.cluster.name.clone(),
            owner: self.identity.owner.clone(),
            run_id: self.run_id,
            saved_at: (self.clock)(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            document,
        };
        let (text, saved_at) = (json::pretty(&envelope)?, envelope.saved_at);
        let resource_version = match self.place.clone() {
            Place::Folder(folder) => {
                self.write_file(&folder, &text).await?;
                String::new()
            }
            Place::Kubernetes(kubernetes) => self.write(kubernetes.as_ref(), &text).await?,
        };
        self.last = Some(Last { text, resource_version });
        (self.saved_by, self.saved_at) = (Some(self.run_id), Some(saved_at));
        Ok(())
    }

    /// Reads the document, changes it, and writes it; again where somebody else was faster, within bounds. Writes nothing
    /// where nothing changes. Returns what holds then.
    pub async fn update<D>(&mut self, mut change: impl FnMut(D) -> D) -> anyhow::Result<D>
    where
        D: Serialize + DeserializeOwned + Default + PartialEq + Clone,
    {
        for _ in 0..UPDATES {
            let before: D = self.load().await?.unwrap_or_default();
            let after = change(before.clone());
            if after == before {
                return Ok(after);
            }
            match self.save(&after).await {
                Err(error) if error.is::<Changed>() => {}
                saved => return saved.map(|()| after),
            }
        }
        Err(anyhow::Error::new(Changed).context(format!("failed to change {} within {UPDATES} attempts", self.place())))
    }

    fn unreadable(&self, why: &str) -> Stop {
        unreadable(&self.place(), self.identity.purpose, why)
    }

    /// Whether it is the document of this identity.
    fn check<D>(&self, envelope: &Envelope<D>) -> Result<(), Stop> {
        let (place, identity) = (self.place(), &self.identity);
        if envelope.form != FORM {
            return Err(
                self.unreadable(&format!("it has form {}, and this toolbox reads form {FORM} only", envelope.form))
            );
        }
        let has_owners = identity.owner.is_some();
        let is_for_this = envelope.purpose == identity.purpose.word();
        if !has_owners && (!is_for_this || envelope.owner.is_some()) {
            let of_owner = envelope.owner.as_ref().map(|owner| format!(" of owner {owner}")).unwrap_or_default();
            let expected = identity.purpose.word();
            let why =
                format!("it is a record for `{}`{of_owner}, and one for `{expected}` is expected", envelope.purpose);
            return Err(self.unreadable(&why));
        }
        if envelope.cluster_id != identity.cluster.id {
            let (kind, names) = match identity.purpose {
                Purpose::Ensemble => ("ensemble", "name (--ensemble or --cluster)"),
                _ => ("cluster", "name in toolbox.yaml"),
            };
            let owners = if has_owners { ", or each spec its own --owner" } else { "" };
            return Err(Stop::refused(format!(
                "{place} belongs to {kind} {}, but this is {kind} {}. Nothing was changed. If the {kind} was built anew, \
                 delete it; if these are two {kind}s, give each its own {names}{owners}",
                envelope.cluster_id, identity.cluster.id
            )));
        }
        if envelope.owner != identity.owner || !is_for_this {
            return Err(Stop::refused(format!(
                "{place} belongs to owner {} ({}), but this is owner {} ({}). Nothing was changed. Give one of them another \
                 --owner",
                envelope.owner.as_deref().unwrap_or("none"),
                envelope.purpose,
                identity.owner.as_deref().unwrap_or("none"),
                identity.purpose.word()
            )));
        }
        Ok(())
    }

    fn object(&self, kubernetes: &dyn Kubernetes) -> ObjectName {
        self.found_as.clone().unwrap_or_else(|| object_of(kubernetes, &self.identity))
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(FOLDER).join(format!("{}.json", self.identity.file_name()))
    }

    async fn read(&mut self) -> anyhow::Result<Option<Last>> {
        match self.place.clone() {
            Place::Kubernetes(kubernetes) => {
                let found = match kubernetes.config_map(&self.object(kubernetes.as_ref())).await? {
                    None => self.find_elsewhere(kubernetes.as_ref()).await,
                    found => found,
                };
                Ok(found.map(|found| last_of(&found)).transpose()?)
            }
            Place::Folder(folder) => Ok(read_file(&self.path(&folder))?),
        }
    }

    /// The record of this cluster under another name: it was addressed by another name, or by none, then. Where the list
    /// is not allowed, there is none.
    async fn find_elsewhere(&mut self, kubernetes: &dyn Kubernetes) -> Option<ConfigMap> {
        // An owner names its object, however the cluster is addressed.
        if self.identity.owner.is_some() || std::mem::replace(&mut self.has_looked, true) {
            return None;
        }
        let namespace = &kubernetes.identity().namespace;
        let (purpose, cluster) = (self.identity.purpose.word(), self.identity.cluster_label());
        let selector = format!("{COMPONENT}={RECORD},{PURPOSE}={purpose},{CLUSTER_ID}={cluster}");
        let found = kubernetes.config_maps(namespace, &selector).await;
        let found = found.inspect_err(|error| tracing::debug!(%error, "records under other names can't be listed"));
        let found = found.ok()?.into_iter().next()?;
        self.found_as = Some(found.name.clone());
        Some(found)
    }

    /// Replaces the file if it still holds what this run read. A lock beside it keeps others away meanwhile.
    async fn write_file(&self, folder: &Path, text: &str) -> anyhow::Result<()> {
        let path = self.path(folder);
        files::inner_folder(&folder.join(FOLDER))?;
        let lock = files::open(&path.with_extension("lock"), files::Opened::WriteOrCreate)?;
        let mut tries = 1;
        while let Err(error) = lock.try_lock() {
            match error {
                fs::TryLockError::WouldBlock if tries < FILE_TRIES => sleep(FILE_PAUSE).await,
                error => return Err(anyhow::Error::new(error).context(format!("failed to lock {}", path.display()))),
            }
            tries += 1;
        }
        let found = read_file(&path)?;
        if found.as_ref().map(|found| &found.text) != self.last.as_ref().map(|last| &last.text) {
            return Err(Changed.into());
        }
        Ok(files::write(&path, text)?)
    }

    /// Writes the ConfigMap; where somebody was faster or an answer was lost, looks before it writes again.
    async fn write(&self, kubernetes: &dyn Kubernetes, text: &str) -> anyhow::Result<String> {
        let mut version = self.last.as_ref().map(|last| last.resource_version.clone());
        for attempt in 1..=ATTEMPTS {
            let written = self.write_once(kubernetes, text, version.clone()).await;
            let error = match written {
                Ok(written) => return Ok(written.resource_version),
                Err(error) => error,
            };
            let is_worth_a_look = error.is_passing()
                || matches!(
                    error,
                    KubernetesError::Conflict { .. }
                        | KubernetesError::AlreadyExists { .. }
                        | KubernetesError::NotFound { .. }
                );
            if !is_worth_a_look || attempt == ATTEMPTS {
                return Err(error.into());
            }
            sleep(PAUSE * attempt).await;
            // A server that does not answer is asked again at the next attempt.
            let Ok(found) = kubernetes.config_map(&self.object(kubernetes)).await else { continue };
            let found = found.map(|found| last_of(&found)).transpose()?;
            version = match (found, &self.last) {
                (Some(found), _) if found.text == text => return Ok(found.resource_version),
                (None, _) => None,
                // Only labels were changed, or the write did not arrive.
                (Some(found), Some(last)) if found.text == last.text => Some(found.resource_version),
                (Some(_), _) => return Err(Changed.into()),
            };
        }
        anyhow::bail!("no attempt was left")
    }

    async fn write_once(
        &self,
        kubernetes: &dyn Kubernetes,
        text: &str,
        version: Option<String>,
    ) -> Result<ConfigMap, KubernetesError> {
        let mut config_map = ConfigMap::new(self.object(kubernetes));
        config_map.labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
        config_map.labels.insert(COMPONENT.into(), RECORD.into());
        config_map.labels.insert(PURPOSE.into(), self.identity.purpose.word().into());
        config_map.labels.insert(CLUSTER_ID.into(), self.identity.cluster_label());
        config_map.annotations.insert(IDENTITY.into(), self.identity.to_string());
        if text.len() <= TEXT_BYTES_MAX {
            config_map.data.insert(TEXT_KEY.into(), text.to_owned());
        } else {
            config_map.binary_data.insert(PACKED_KEY.into(), packed(text));
        }
        if config_map.bytes() > CONFIG_MAP_BYTES_MAX {
            let message =
                format!("{} bytes even when packed; a ConfigMap holds {CONFIG_MAP_BYTES_MAX}", config_map.bytes());
            return Err(KubernetesError::Invalid { what: self.place(), message });
        }
        match version {
            Some(resource_version) => {
                kubernetes.replace_config_map(&ConfigMap { resource_version, ..config_map }).await
            }
            None => kubernetes.create_config_map(&config_map).await,
        }
    }
}

/// That a document can't be understood, and what to do: nothing is guessed from a part of it.
pub(super) fn unreadable(place: &str, purpose: Purpose, why: &str) -> Stop {
    let without = match purpose {
        Purpose::Topics => "without it, the next run cannot detect drift, and unsets no key that was removed",
        Purpose::Moves => "without it, `reassign cancel` cannot give the former order of replicas back",
        Purpose::Throttle => {
            "without it, throttles that it named stay in force until `toolbox throttle clear --all` takes them away"
        }
        Purpose::Control | Purpose::Overrides => "without it, what people asked of the running command is forgotten",
        Purpose::Ensemble => {
            "then run `toolbox ensemble adopt` while the ensemble is healthy, which writes it anew. Without it, nobody knows what \
             was desired, which ids were retired, or which change was under way"
        }
        Purpose::Disruption => "it holds nothing that is needed",
        Purpose::Handover => "it is written anew by the next batch of moves",
        Purpose::Brokers => {
            "without it, only disks, labels and ordinals say which broker has which id, and retired ids are forgotten"
        }
    };
    Stop::refused(format!(
        "{place} can't be understood ({why}). Nothing was changed. Restore it from a backup or repair it, or delete it: {without}"
    ))
}

pub(super) fn last_of(config_map: &ConfigMap) -> anyhow::Result<Last> {
    let text = match (config_map.data.get(TEXT_KEY), config_map.binary_data.get(PACKED_KEY)) {
        (Some(text), _) => text.clone(),
        (None, Some(bytes)) => bounded(GzDecoder::new(bytes.as_slice()))?,
        // Said as what can't be understood, with the place, by whoever reads it.
        (None, None) => String::new(),
    };
    Ok(Last { text, resource_version: config_map.resource_version.clone() })
}

/// Packs a text. Writing to memory does not fail.
fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn bounded(reader: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    reader.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(text)
}

/// A file of a document, if it is there.
pub(super) fn read_file(path: &Path) -> std::io::Result<Option<Last>> {
    let Some(bytes) = files::read(path, BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("it is no text: {}", error.utf8_error()))
    })?;
    Ok(Some(Last { text, resource_version: String::new() }))
}

#[cfg(test)]
mod tests;
