//! [`Workloads`]: StatefulSets and their pods, as far as rolling restarts and ensembles need them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::clients::kubernetes::{KubernetesError, ObjectName};

/// Most pods of one selector that are read.
pub const PODS_MAX: usize = 1_000;

/// StatefulSets and pods.
#[async_trait]
pub trait Workloads: Send + Sync {
    /// The StatefulSet of that name, if there is one.
    async fn stateful_set(&self, name: &ObjectName) -> Result<Option<StatefulSet>, KubernetesError>;

    /// The pod of that name, if there is one.
    async fn pod(&self, name: &ObjectName) -> Result<Option<PodState>, KubernetesError>;

    /// The pods of a namespace that a label selector matches, ordered by name, at most [`PODS_MAX`].
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodState>, KubernetesError>;

    /// Deletes the pod that has this uid; another one of that name is [`KubernetesError::Conflict`]. One that is gone counts as
    /// deleted.
    async fn delete_pod(&self, name: &ObjectName, uid: &str) -> Result<(), KubernetesError>;

    /// Sets `spec.updateStrategy.rollingUpdate.partition` of the StatefulSet that was read; one that was changed since is
    /// [`KubernetesError::Conflict`].
    async fn set_partition(&self, set: &StatefulSet, partition: u32) -> Result<(), KubernetesError>;

    /// Sets `spec.replicas` of the StatefulSet of this name, by its subresource `scale`; one that was changed since it was read
    /// is [`KubernetesError::Conflict`].
    async fn set_replicas(&self, name: &ObjectName, read: &Version, replicas: u32) -> Result<(), KubernetesError>;
}

/// Which object was read, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Its uid.
    pub uid: String,
    /// Its `resourceVersion`.
    pub resource_version: String,
}

/// A StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatefulSet {
    /// Namespace and name.
    pub name: ObjectName,
    /// Its uid.
    pub uid: String,
    /// What was read, for [`Workloads::set_partition`].
    pub resource_version: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The label selector of its pods, as `app=kafka,map=one`.
    pub selector: String,
    /// How many pods it is to have.
    pub replicas: u32,
    /// The ordinal of its first pod (`spec.ordinals.start`).
    pub first_ordinal: u32,
    /// How its pods get a new revision.
    pub strategy: Strategy,
    /// The revision that pods are to have.
    pub update_revision: String,
    /// Whether its controller has seen its last change: until then the revision is an old one.
    pub is_observed: bool,
}

/// How pods of a StatefulSet get a new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Whoever deletes a pod.
    #[default]
    OnDelete,
    /// The controller replaces pods from the last one down to this one, as soon as the one before is ready; counted from 0, whatever
    /// ordinal the first pod has.
    Partition(u32),
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodState {
    /// Namespace and name.
    pub name: ObjectName,
    /// Its uid.
    pub uid: String,
    /// The uid of its controller, as of its StatefulSet.
    pub controller_uid: Option<String>,
    /// The name of its StatefulSet, where it belongs to one.
    pub stateful_set: Option<String>,
    /// The node that it is on.
    pub node: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The claims that it mounts, in their order.
    pub claims: Vec<String>,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Why none of its containers runs, where that does not pass by itself soon: pending, CrashLoopBackOff, ImagePullBackOff.
    pub stuck: Option<String>,
    /// Which of its containers, or init containers, ends again and again (CrashLoopBackOff), how often it was restarted, and how it
    /// ended last; none where none does. Another container may run.
    pub crash_loop: Option<String>,
    /// The headless service that names it (`spec.subdomain`), where there is one.
    pub subdomain: Option<String>,
}

/// The label that names a pod's revision.
pub const REVISION_LABEL: &str = "controller-revision-hash";

impl PodState {
    /// The revision of its StatefulSet that it was made from.
    pub fn revision(&self) -> Option<&str> {
        self.labels.get(REVISION_LABEL).map(String::as_str)
    }

    /// Its ordinal: the number behind the last dash of its name.
    pub fn ordinal(&self) -> Option<u32> {
        let (_, ordinal) = self.name.name.rsplit_once('-')?;
        ordinal.parse().ok()
    }
}
