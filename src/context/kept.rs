//! What was last applied, kept from run to run: a ConfigMap in Kubernetes, a file outside.
//!
//! It is what tells drift from a change of the spec. A missing document is no error (the merge is two-way then, and the
//! command says so); one that can't be read, or that belongs to another cluster, is.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;

use crate::clients::files;
use crate::clients::kubernetes::CONFIG_MAP_BYTES_MAX;
use crate::clients::kubernetes::ConfigMap;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::kubernetes::ObjectName;
use crate::context::Context;
use crate::context::home::COMPONENT;
use crate::context::home::Home;
use crate::context::home::MANAGED_BY;
use crate::context::home::SCOPE;
use crate::context::home::Scope;
use crate::exit::Stop;
use crate::output;

/// The component label of the ConfigMaps that hold it; they are never read as specs.
pub(super) const LAST_APPLIED: &str = "last-applied";

/// The form of the envelope.
pub(super) const FORM: u32 = 1;

const TEXT_KEY: &str = "last-applied.json";
const PACKED_KEY: &str = "last-applied.json.gz";

/// Longer texts are packed: up to here, `kubectl get -o yaml` shows what is in it.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// Most bytes of an unpacked text.
const BYTES_MAX: u64 = 64 << 20;

/// Where they are in a state folder.
pub(super) const FOLDER: &str = "last-applied";

const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// What surrounds a kept document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope<D> {
    pub(super) form: u32,
    pub(super) scope: String,
    pub(super) cluster_id: String,
    run_id: Uuid,
    saved_at: Timestamp,
    tool_version: String,
    pub(super) document: D,
}

/// The kept document of one scope.
#[derive(Debug)]
pub struct Kept {
    home: Home,
    scope: Scope,
    cluster_id: String,
    run_id: Uuid,
    clock: fn() -> Timestamp,
    /// As it was read or written last.
    last: Option<Last>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) text: String,
    resource_version: String,
}

impl Context {
    /// What was last applied of a scope, on the cluster of that id.
    pub async fn kept(&self, scope: &Scope, cluster_id: &str) -> anyhow::Result<Kept> {
        Ok(Kept {
            home: self.home().await?,
            scope: scope.clone(),
            cluster_id: cluster_id.to_owned(),
            run_id: self.run_id,
            clock: self.clock,
            last: None,
        })
    }
}

impl Kept {
    /// Where it is kept, for messages.
    pub fn place(&self) -> String {
        match &self.home {
            Home::Kubernetes(kubernetes) => format!("ConfigMap {}", self.object(kubernetes.as_ref())),
            Home::Folder(folder) => self.path(folder).display().to_string(),
        }
    }

    /// The document, if one was kept. Call it before [`Kept::keep`]: only what was read is replaced.
    pub async fn load<D: DeserializeOwned>(&mut self) -> anyhow::Result<Option<D>> {
        let read =
            self.read().await.with_context(|| format!("failed to read what was last applied from {}", self.place()));
        let Some(last) = read? else { return Ok(None) };
        let what_next = "look at it; without it, the next run knows no drift, but mends every difference";
        let envelope: Envelope<D> = serde_json::from_str(&last.text).map_err(|error| {
            Stop::refused(format!("what was last applied can't be understood ({}: {error}); {what_next}", self.place()))
        })?;
        if envelope.form != FORM {
            let form = envelope.form;
            let place = self.place();
            return Err(Stop::refused(format!(
                "{place} has form {form}, and this toolbox knows form {FORM} only; {what_next}"
            ))
            .into());
        }
        if envelope.cluster_id != self.cluster_id {
            return Err(Stop::refused(format!(
                "{} is what was last applied to cluster {}, but this is cluster {}: is it the right one? If it was built \
                 anew, delete what is kept",
                self.place(),
                envelope.cluster_id,
                self.cluster_id
            ))
            .into());
        }
        self.last = Some(last);
        Ok(Some(envelope.document))
    }

    /// Keeps a document. That it can't be kept is said and changes nothing else: the changes are made already.
    pub async fn keep<D: Serialize>(&mut self, document: &D) {
        if let Err(error) = self.save(document).await {
            output::complain(&format!(
                "what was applied could not be kept in {} ({error:#}); the next run may take this run's changes for drift",
                self.place()
            ));
        }
    }

    /// Keeps a document, or says why not.
    pub async fn save<D: Serialize>(&mut self, document: &D) -> anyhow::Result<()> {
        let envelope = Envelope {
            form: FORM,
            scope: self.scope.to_string(),
            cluster_id: self.cluster_id.clone(),
            run_id: self.run_id,
            saved_at: (self.clock)(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            document,
        };
        let text = serde_json::to_string_pretty(&envelope)?;
        let resource_version = match self.home.clone() {
            Home::Folder(folder) => {
                files::state::inner_folder(&folder.join(FOLDER))?;
                files::state::write(&self.path(&folder), &text)?;
                String::new()
            }
            Home::Kubernetes(kubernetes) => self.write(kubernetes.as_ref(), &text).await?,
        };
        self.last = Some(Last { text, resource_version });
        Ok(())
    }

    fn object(&self, kubernetes: &dyn Kubernetes) -> ObjectName {
        ObjectName::new(kubernetes.identity().namespace.clone(), self.scope.object_name())
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(FOLDER).join(format!("{}.json", self.scope.object_name()))
    }

    async fn read(&self) -> anyhow::Result<Option<Last>> {
        match &self.home {
            Home::Kubernetes(kubernetes) => {
                let found = kubernetes.config_map(&self.object(kubernetes.as_ref())).await?;
                Ok(found.map(|found| last_of(&found)).transpose()?)
            }
            Home::Folder(folder) => match fs::File::open(self.path(folder)) {
                Ok(file) => Ok(Some(Last { text: bounded(file)?, resource_version: String::new() })),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
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
                (Some(_), _) => anyhow::bail!("it was changed by another run in the meantime, and is left as it is"),
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
        config_map.labels.insert(COMPONENT.into(), LAST_APPLIED.into());
        config_map.annotations.insert(SCOPE.into(), self.scope.to_string());
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

pub(super) fn bounded(reader: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    reader.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use sha2::Digest;

    use super::*;
    use crate::clients::kubernetes::Identity;
    use crate::clients::kubernetes::Memory;

    type Document = BTreeMap<String, String>;

    fn document(text: &str) -> Document {
        [("orders".to_owned(), text.to_owned())].into()
    }

    fn server() -> Arc<Memory> {
        let words = String::from;
        let (namespace, server, source) = (words("kafka"), words("memory"), words("memory"));
        Arc::new(Memory::new(Identity { namespace, pod: None, service_account: None, source, server }))
    }

    fn kept(home: &Home, cluster_id: &str) -> Kept {
        let scope = Scope { room: "topics", cluster: "orders".into(), spec: "a".into() };
        let clock = || "2026-11-22T08:00:00Z".parse().unwrap();
        Kept { home: home.clone(), scope, cluster_id: cluster_id.into(), run_id: Uuid::now_v7(), clock, last: None }
    }

    async fn loaded(home: &Home) -> anyhow::Result<Option<Document>> {
        kept(home, "id-1").load().await
    }

    async fn object(server: &Memory) -> ConfigMap {
        let found = server.config_maps("kafka", "app.kubernetes.io/component=last-applied").await.unwrap();
        found.into_iter().next().unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_is_found_again_in_both_homes() {
        let folder = tempfile::tempdir().unwrap();
        for home in [Home::Kubernetes(server()), Home::Folder(folder.path().join("state"))] {
            let mut first = kept(&home, "id-1");
            assert_eq!(first.load::<Document>().await.unwrap(), None);
            first.save(&document("1")).await.unwrap();
            first.save(&document("2")).await.unwrap();
            let mut second = kept(&home, "id-1");
            assert_eq!(second.load().await.unwrap(), Some(document("2")));
            second.save(&document("3")).await.unwrap();
            assert_eq!(loaded(&home).await.unwrap(), Some(document("3")));
        }
    }

    #[tokio::test]
    async fn another_clusters_document_is_refused_and_names_both() {
        let folder = tempfile::tempdir().unwrap();
        for home in [Home::Kubernetes(server()), Home::Folder(folder.path().to_owned())] {
            kept(&home, "id-2").save(&document("1")).await.unwrap();
            let error = loaded(&home).await.unwrap_err();
            let words = error.to_string();
            assert!(words.contains("last applied to cluster id-2, but this is cluster id-1"), "{words}");
            assert_eq!(error.downcast_ref::<Stop>().unwrap().exit, crate::exit::Exit::Refused);
        }
    }

    #[tokio::test]
    async fn what_can_not_be_understood_is_refused_and_never_overwritten_in_silence() {
        let server = server();
        let home = Home::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
        kept(&home, "id-1").save(&document("1")).await.unwrap();
        let right = object(&server).await;
        let text = right.data[TEXT_KEY].clone();
        let broken = [text[..40].to_owned(), text.replace("\"form\": 1", "\"form\": 9"), String::new(), "[]".into()];
        let mut version = right.resource_version.clone();
        for text in broken {
            let mut wrong = right.clone();
            wrong.data.insert(TEXT_KEY.into(), text.clone());
            wrong.resource_version = version;
            version = server.replace_config_map(&wrong).await.unwrap().resource_version;
            let words = loaded(&home).await.unwrap_err().to_string();
            assert!(words.contains("ConfigMap kafka/toolbox-topics-orders-"), "{text}: {words}");
            let error = kept(&home, "id-1").save(&document("2")).await.unwrap_err().to_string();
            assert!(error.contains("changed by another run"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_large_document_is_packed_and_one_beyond_all_limits_is_an_error() {
        let server = server();
        let home = Home::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
        // 20,000 topics with a few settings each: 3 MB.
        let topic = |number: u32| {
            (
                format!("team.orders.{number}"),
                format!(
                    "retention.ms={}, cleanup.policy=compact, min.insync.replicas=2, max.message.bytes=1048576",
                    number * 1_000
                ),
            )
        };
        let large: Document = (0..20_000).map(topic).collect();
        kept(&home, "id-1").save(&large).await.unwrap();
        let object = object(&server).await;
        assert!(object.data.is_empty() && object.bytes() < CONFIG_MAP_BYTES_MAX, "{} bytes", object.bytes());
        assert_eq!(loaded(&home).await.unwrap(), Some(large));
        let noise = |number: u32| (number.to_string(), format!("{:x}", sha2::Sha256::digest(number.to_be_bytes())));
        let noise: Document = (0..60_000).map(noise).collect();
        let error = kept(&home, "id-2").save(&noise).await.unwrap_err().to_string();
        assert!(error.contains("even when packed; a ConfigMap holds 1048576"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_that_a_person_sets_meanwhile_is_no_conflict_but_another_runs_document_is() {
        let server = server();
        let home = Home::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
        let mut mine = kept(&home, "id-1");
        mine.save(&document("1")).await.unwrap();
        let mut labelled = object(&server).await;
        labelled.labels.insert("team".into(), "orders".into());
        server.replace_config_map(&labelled).await.unwrap();
        mine.save(&document("2")).await.unwrap();
        let mut other = kept(&home, "id-1");
        other.load::<Document>().await.unwrap();
        other.save(&document("other")).await.unwrap();
        let error = mine.save(&document("3")).await.unwrap_err().to_string();
        assert!(error.contains("changed by another run in the meantime"), "{error}");
        assert_eq!(loaded(&home).await.unwrap(), Some(document("other")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_asked_again_and_given_up_within_bounds() {
        let server = server();
        let home = Home::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
        let mut mine = kept(&home, "id-1");
        server.set_down(true);
        let back = async {
            sleep(PAUSE * 2).await;
            server.set_down(false);
        };
        let (kept_now, ()) = tokio::join!(async { mine.save(&document("1")).await }, back);
        kept_now.unwrap();
        assert_eq!(loaded(&home).await.unwrap(), Some(document("1")));
        server.set_down(true);
        let started = tokio::time::Instant::now();
        let error = mine.save(&document("2")).await.unwrap_err().to_string();
        assert!(error.contains("could not be reached") && started.elapsed() < Duration::from_secs(10), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_can_not_be_written_keeps_the_old_one_and_leaves_no_scraps() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::Folder(folder.path().to_owned());
        kept(&home, "id-1").save(&document("1")).await.unwrap();
        let files = fs::read_dir(folder.path().join("last-applied")).unwrap().count();
        assert_eq!(files, 1);
        let nowhere = Home::Folder("/proc/nowhere".into());
        assert!(kept(&nowhere, "id-1").save(&document("2")).await.is_err());
        // Said, and no more.
        kept(&nowhere, "id-1").keep(&document("2")).await;
    }
}
