//! [`Nodes`]: nodes and PersistentVolumes, as far as it matters where a server's disk is. Both belong to no namespace.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::clients::kubernetes::KubernetesError;

/// Most nodes of one selector that are read.
pub const NODES_MAX: usize = 1_000;

/// Nodes and volumes.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// The nodes that a label selector matches, ordered by name, at most [`NODES_MAX`]. Only their metadata is asked for.
    async fn nodes(&self, selector: &str) -> Result<Vec<NodeState>, KubernetesError>;

    /// The PersistentVolume of that name, if there is one.
    async fn volume(&self, name: &str) -> Result<Option<VolumeState>, KubernetesError>;
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeState {
    /// Its uid.
    pub uid: String,
    /// The hostnames (label `kubernetes.io/hostname`) of the nodes that alone can use it, as a local volume has them; none where
    /// it is not bound to nodes, or is bound to them in another way.
    pub hosts: Vec<String>,
}
