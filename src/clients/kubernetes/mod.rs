//! The door to Kubernetes: ConfigMaps, Leases and Events, and who we are there.
//!
//! [`Kubernetes`] is what the commands may ask; [`live::Live`] asks an API server, in the cluster or through a
//! kubeconfig; [`memory::Memory`] is its twin. What a ServiceAccount needs for all of it:
//!
//! | resource | verbs | for |
//! |---|---|---|
//! | `configmaps` | `get`, `list` | specs by name and by label |
//! | `configmaps` | `get`, `create`, `update` | what was last applied |
//! | `leases.coordination.k8s.io` | `get`, `create`, `update` | one run at a time |
//! | `leases.coordination.k8s.io` | `list` | locks of one cluster under other names |
//! | `events.events.k8s.io` | `create` | the courtesy event on the pod or CronJob |
//! | `pods`, `jobs.batch`, `replicasets.apps` | `get` | optional: which CronJob or Deployment the event is about |
//! | `pods`, `persistentvolumeclaims`, `nodes` | `get`, `patch` | whether a pod runs, the volume of a claim, labels |
//! | `validatingwebhookconfigurations` | `get`, `patch` | a webhook's own certificate, for the API server to trust |
//! | `statefulsets.apps` | `get`, `patch` | rolling restarts: revisions, the partition of an update |
//! | `statefulsets.apps/scale` | `update` | the pod of a server that was removed from an ensemble |
//! | `nodes`, `persistentvolumes` | `list`; `get` | zones, and whether the node of a volume still exists |
//! | `pods` | `list`, `delete` | rolling restarts |

mod access;
mod error;
mod live;
mod memory;
mod nodes;
mod objects;
mod rights;
mod selector;
mod workloads;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use access::Access;
pub use error::{KubernetesError, Resource, Verb};
pub use live::Live;
pub use memory::Memory;
pub use nodes::{NODES_MAX, NodeState, Nodes, VolumeState};
pub use objects::{
    CONFIG_MAP_BYTES_MAX, ConfigMap, EventType, Facts, Identity, Lease, NOTE_BYTES_MAX, NewEvent, ObjectName, Owned,
    Pod, Regarding, TrustBundles,
};
pub use rights::Right;
pub use workloads::{PODS_MAX, PodState, REVISION_LABEL, StatefulSet, Strategy, Version, Workloads};

/// Most ConfigMaps that one selector may match.
pub const CONFIG_MAPS_MAX: usize = 1_000;

/// Most bytes that the ConfigMaps of one selector may hold together.
pub const CONFIG_MAPS_BYTES_MAX: usize = 64 << 20;

/// Most Leases that one selector may match.
pub const LEASES_MAX: u32 = 500;

/// The part of the Kubernetes API that the toolbox uses.
///
/// Every call has a deadline. Reads are retried until then. A write is sent once, and again only where the server said
/// that it did nothing (429); one that ends in [`KubernetesError::Unreachable`] may have been carried out, so read
/// before the next. A write that replaces an object carries the `resource_version` that was read; if somebody was
/// faster it ends in [`KubernetesError::Conflict`], and only what is read afresh may be written again.
#[async_trait]
pub trait Kubernetes: Workloads + Nodes + Send + Sync {
    /// Who and where we are.
    fn identity(&self) -> &Identity;

    /// The ConfigMap of that name, if there is one.
    async fn config_map(&self, name: &ObjectName) -> Result<Option<ConfigMap>, KubernetesError>;

    /// The ConfigMaps of a namespace that a label selector matches, ordered by name; read page by page, at most
    /// [`CONFIG_MAPS_MAX`] and [`CONFIG_MAPS_BYTES_MAX`].
    async fn config_maps(&self, namespace: &str, selector: &str) -> Result<Vec<ConfigMap>, KubernetesError>;

    /// Creates a ConfigMap; its `resource_version` is not sent. Returns what is there now.
    async fn create_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError>;

    /// Replaces the ConfigMap that was read. Returns what is there now.
    async fn replace_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError>;

    /// The Lease of that name, if there is one.
    async fn lease(&self, name: &ObjectName) -> Result<Option<Lease>, KubernetesError>;

    /// The Leases of a namespace that a label selector matches, ordered by name; [`LEASES_MAX`] at most.
    async fn leases(&self, namespace: &str, selector: &str) -> Result<Vec<Lease>, KubernetesError>;

    /// Creates a Lease; its `resource_version` is not sent. Returns what is there now.
    async fn create_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError>;

    /// Replaces the Lease that was read. Returns what is there now.
    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError>;

    /// Which of these rights in a namespace the server does not give us. Every ServiceAccount may ask that
    /// (`system:basic-user`).
    async fn lacking(&self, namespace: &str, rights: &[Right]) -> Result<Vec<Right>, KubernetesError>;

    /// Writes an event about an object; texts beyond the API's limits are cut. An event of that name that is there
    /// already counts as written, so that sending again does not double it.
    async fn create_event(&self, event: &NewEvent) -> Result<(), KubernetesError>;

    /// Which controller made a pod, a Job or a ReplicaSet, and the object's own uid; `None` if it is not there. Other
    /// resources are [`KubernetesError::Settings`].
    async fn owned(&self, resource: Resource, name: &ObjectName) -> Result<Option<Owned>, KubernetesError>;

    /// What identities need of a pod, a node (its namespace is empty) or a claim; `None` if it is not there. Other resources
    /// are [`KubernetesError::Settings`].
    async fn facts(&self, resource: Resource, name: &ObjectName) -> Result<Option<Facts>, KubernetesError>;

    /// Sets labels of the pod or node that has this uid; another one of that name is [`KubernetesError::Conflict`].
    /// Setting them again changes nothing, so it is tried again where an answer was lost.
    async fn set_labels(
        &self,
        resource: Resource,
        name: &ObjectName,
        uid: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), KubernetesError>;

    /// What the API server trusts when it calls the webhooks of a ValidatingWebhookConfiguration; `None` if there is none of
    /// that name.
    async fn trust_bundles(&self, configuration: &str) -> Result<Option<TrustBundles>, KubernetesError>;

    /// Has the API server trust these certificates (PEM) for all webhooks of the configuration. `read` is what was there
    /// before; where somebody changed it since, it ends in [`KubernetesError::Conflict`].
    async fn set_trust_bundles(
        &self,
        configuration: &str,
        read: &TrustBundles,
        pem: &str,
    ) -> Result<(), KubernetesError>;
}
