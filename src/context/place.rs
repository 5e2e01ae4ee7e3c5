//! Where a run keeps its documents and locks, and how the connection to Kubernetes is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::clients::kubernetes::Access;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::Live;
use crate::context::Context;
use crate::context::flags::StateIn;
use crate::exit::Stop;
use crate::output;
use crate::state::document::{Changed, Document};
use crate::state::documents::{Documents, documents};
use crate::state::identity::{ClusterRef, Identity, Purpose};
use crate::state::place::Place;

/// Longest wait for an answer of Kubernetes, where `--timeout` does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Context {
    /// The connection to Kubernetes, opened at the first use. Nothing is sent before the first question.
    pub async fn kubernetes(&self) -> anyhow::Result<Arc<dyn Kubernetes>> {
        let open = || async {
            let live = Live::connect(&self.kubernetes_access(), self.timeout()).await;
            let live = live.map_err(|error| Stop::usage(error.to_string()))?.until(self.waits_until);
            Ok::<Arc<dyn Kubernetes>, anyhow::Error>(Arc::new(live))
        };
        self.kubernetes.get_or_try_init(open).await.cloned()
    }

    /// How the API server is found.
    pub(super) fn kubernetes_access(&self) -> Access {
        let flags = &self.flags.kubernetes;
        Access {
            kubeconfig: flags.kubeconfig.clone(),
            context: flags.kube_context.clone(),
            namespace: flags.namespace.clone(),
        }
    }

    /// Longest wait for an answer of the API server, or for what a cluster is to show (`--timeout`).
    pub fn timeout(&self) -> Duration {
        self.flags.timeout.unwrap_or(TIMEOUT)
    }

    /// Where this run keeps its documents and locks (`--state`).
    pub(super) async fn place(&self) -> anyhow::Result<Place> {
        if self.keeps_state_in_kubernetes() {
            Ok(Place::Kubernetes(self.kubernetes().await?))
        } else {
            Ok(Place::Folder(self.state_folder()))
        }
    }

    /// Whether documents and locks are in Kubernetes (`--state`).
    pub fn keeps_state_in_kubernetes(&self) -> bool {
        match self.flags.kubernetes.state {
            StateIn::Auto => Access::is_in_cluster(),
            StateIn::Kubernetes => true,
            StateIn::File => false,
        }
    }

    /// Whether Kubernetes is asked about the servers: where documents are kept there, and inside of it.
    pub fn sees_kubernetes(&self) -> bool {
        self.keeps_state_in_kubernetes() || Access::is_in_cluster()
    }

    /// What a lock or a document for this purpose belongs to, on the cluster of that id.
    pub fn identity(&self, purpose: Purpose, cluster_id: &str) -> Identity {
        Identity { purpose, cluster: self.cluster_ref(cluster_id), owner: None }
    }

    /// The same for a cluster beside the one that the flags name: it has the name that toolbox.yaml has for its id.
    pub fn identity_beside(&self, purpose: Purpose, cluster_id: &str) -> Identity {
        let cluster = ClusterRef { id: cluster_id.to_owned(), name: self.named_clusters.get(cluster_id).cloned() };
        Identity { purpose, cluster, owner: None }
    }

    /// The document of an identity, not read yet.
    pub async fn document(&self, identity: &Identity) -> anyhow::Result<Document> {
        Ok(Document::new(self.place().await?, identity.clone(), self.run_id, self.clock))
    }

    /// The same in the state folder, for a document that is kept in Kubernetes: where it is written while Kubernetes can't
    /// be reached.
    pub(super) async fn document_aside(&self, identity: &Identity) -> anyhow::Result<Option<Document>> {
        let place = Place::Folder(self.state_folder());
        let is_elsewhere = matches!(self.place().await?, Place::Kubernetes(_));
        Ok(is_elsewhere.then(|| Document::new(place, identity.clone(), self.run_id, self.clock)))
    }

    /// The documents of all owners for one purpose.
    pub async fn documents(&self, purpose: Purpose) -> anyhow::Result<Documents> {
        documents(&self.place().await?, purpose).await
    }

    /// Writes a document of what was applied. That it could not be written is said: the changes are made already. Whether
    /// it was written.
    pub async fn keep<D: serde::Serialize>(&self, document: &mut Document, value: &D) -> bool {
        if let Err(error) = document.save(value).await {
            let hint =
                if error.is::<Changed>() { "" } else { "; the next run cannot tell drift from what this run did" };
            output::complain(&format!(
                "what was applied could not be written to {} ({error:#}){hint}",
                document.place()
            ));
            return false;
        }
        true
    }
}
