//! Carries steps of `identity` out; safe to repeat. Nothing is written before the registry has the entry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::change::carry_out::Ended;
use crate::change::in_order::Executor;
use crate::clients::files::{self, Readers};
use crate::clients::kubernetes::{Kubernetes, ObjectName, Resource};
use crate::commands::identity::plan::{
    Act, Decision, IdentityStep, NodeSeen, OutputFile, POD_LABEL, Registry, Seen, Terms, decide, node_label,
};
use crate::state::document::{Changed, Document};
use crate::state::patience::{self, is_passing, pause};

/// How often the registry is read again because other pods wrote it in between.
const TRIES_MAX: usize = 100;

/// Carries out the steps of a pod's identity.
pub struct IdentityExecutor<'a> {
    /// The registry, as it was read.
    pub document: &'a mut Document,
    /// What was asked for.
    pub terms: &'a Terms,
    /// What was seen.
    pub seen: &'a Seen,
    /// What was decided.
    pub decision: &'a Decision,
    /// The output files.
    pub files: &'a [OutputFile],
    /// Their folder.
    pub out: &'a Path,
    /// The API server, for labels.
    pub kubernetes: Option<Arc<dyn Kubernetes>>,
    /// When to give up.
    pub deadline: Instant,
    /// Whether another pod took the id in the meantime: the whole is decided again.
    pub is_outrun: bool,
}

impl Executor for IdentityExecutor<'_> {
    type Step = IdentityStep;

    async fn execute(&mut self, step: &IdentityStep) -> Result<Ended, Ended> {
        match &step.act {
            Act::Register(_) => self.register().await,
            Act::WriteMyid { folder } => write_myid(&PathBuf::from(folder), step.id.0),
            Act::WriteOutputs { .. } => self.write_outputs(),
            Act::LabelPod { pod } => self.label_pod(pod).await,
            Act::LabelNode { node, map } => self.label_node(node, map).await,
        }
    }
}

impl IdentityExecutor<'_> {
    /// Writes the registry. Where another pod wrote it in between, the decision is made again on what is there: as long
    /// as it is the same id, it is written.
    async fn register(&mut self) -> Result<Ended, Ended> {
        let mut registry = self.decision.registry.clone();
        for _ in 0..TRIES_MAX {
            let saved = self.document.save(&registry).await;
            let error = match saved {
                Ok(()) => return Ok(Ended::done()),
                Err(error) => error,
            };
            if !error.is::<Changed>() && !is_passing(&error) {
                return Err(Ended::failed(format!("{error:#}")));
            }
            if Instant::now() >= self.deadline {
                return Err(Ended::unknown(format!("{error:#}; the next start reads the registry again")));
            }
            sleep(pause()).await;
            let found = load(self.document, self.deadline).await;
            let found = found.map_err(|error| Ended::unknown(format!("{error:#}; the next start reads it again")))?;
            let seen = Seen { registry: found.without_future(self.terms.now), ..self.seen.clone() };
            match decide(self.terms, &seen) {
                Ok(again) if again.id == self.decision.id && again.registry == seen.registry => {
                    return Ok(Ended::done());
                }
                Ok(again) if again.id == self.decision.id => registry = again.registry,
                _ => {
                    self.is_outrun = true;
                    return Err(Ended::refused(
                        "another pod changed the registry in the meantime; the id is decided again",
                    ));
                }
            }
        }
        Err(Ended::failed(format!("other pods changed the registry {TRIES_MAX} times in the meantime; start again")))
    }

    fn write_outputs(&self) -> Result<Ended, Ended> {
        let texts: Vec<_> = self.files.iter().map(|file| (file.name, file.text.clone())).collect();
        match files::write_all(self.out, &texts, Readers::Everyone) {
            Ok(()) => Ok(Ended::done()),
            Err((path, error)) => Err(Ended::failed(format!("failed to write {}: {error}", path.display()))),
        }
    }

    async fn label_pod(&self, pod: &str) -> Result<Ended, Ended> {
        let kubernetes = self.kubernetes()?;
        let name = ObjectName::new(kubernetes.identity().namespace.clone(), pod);
        let uid = match &self.seen.me.uid {
            Some(uid) => uid.clone(),
            None => uid_of(kubernetes, Resource::Pods, &name).await.map_err(|why| failed_to_label(&name.name, &why))?,
        };
        let labels = BTreeMap::from([(POD_LABEL.to_owned(), self.decision.id.to_string())]);
        let set = kubernetes.set_labels(Resource::Pods, &name, &uid, &labels).await;
        set.map(|()| Ended::done()).map_err(|error| failed_to_label(pod, &error.to_string()))
    }

    async fn label_node(&self, node: &str, map: &str) -> Result<Ended, Ended> {
        let kubernetes = self.kubernetes()?;
        let uid = match &self.seen.node {
            NodeSeen::Labels { uid, .. } => uid,
            NodeSeen::Unreadable(why) | NodeSeen::Unlabelled(why) => return Err(failed_to_label(node, why)),
            NodeSeen::NotRead => return Err(failed_to_label(node, "it was not read")),
        };
        let labels = BTreeMap::from([(node_label(map), self.decision.id.to_string())]);
        let set = kubernetes.set_labels(Resource::Nodes, &ObjectName::new("", node), uid, &labels).await;
        set.map(|()| Ended::done()).map_err(|error| failed_to_label(node, &error.to_string()))
    }

    fn kubernetes(&self) -> Result<&dyn Kubernetes, Ended> {
        self.kubernetes.as_deref().ok_or_else(|| Ended::failed("labels need Kubernetes (--state kubernetes)"))
    }
}

fn failed_to_label(object: &str, why: &str) -> Ended {
    Ended::failed(format!("failed to label {object}: {why}"))
}

async fn uid_of(kubernetes: &dyn Kubernetes, resource: Resource, name: &ObjectName) -> Result<String, String> {
    let found = kubernetes.facts(resource, name).await.map_err(|error| error.to_string())?;
    found.map(|facts| facts.uid).ok_or_else(|| format!("there is no {} {name}", resource.kind()))
}

/// A data dir that has a `myid` keeps it, whatever it is.
fn write_myid(folder: &Path, id: i32) -> Result<Ended, Ended> {
    let path = folder.join("myid");
    let failed = |error: std::io::Error| Ended::failed(format!("failed to write {}: {error}", path.display()));
    if std::fs::symlink_metadata(&path).is_ok() {
        return Err(Ended::refused(format!("{} is there in the meantime, and is never written over", path.display())));
    }
    files::write_with_folder(&path, format!("{id}\n"), Readers::Everyone).map_err(failed)?;
    Ok(Ended::done())
}

/// The registry, read again and again while the API server is in trouble, until the deadline.
pub async fn load(document: &mut Document, deadline: Instant) -> anyhow::Result<Registry> {
    Ok(patience::load(document, "registry", deadline).await?.unwrap_or_default())
}
