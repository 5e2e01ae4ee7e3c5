//! Nodes and PersistentVolumes in memory.

use async_trait::async_trait;

use super::Memory;
use crate::clients::kubernetes::selector::Selector;
use crate::clients::kubernetes::{KubernetesError, NodeState, Nodes, Resource, Verb, VolumeState};

impl Memory {
    /// Makes or replaces a node.
    pub fn add_node(&self, node: NodeState) {
        self.lock().nodes.insert(node.name.clone(), node);
    }

    /// Removes a node.
    pub fn remove_node(&self, name: &str) {
        self.lock().nodes.remove(name);
    }

    /// Makes or replaces a PersistentVolume.
    pub fn add_volume(&self, name: &str, volume: VolumeState) {
        self.lock().volumes.insert(name.to_owned(), volume);
    }

    /// Removes a PersistentVolume.
    pub fn remove_volume(&self, name: &str) {
        self.lock().volumes.remove(name);
    }
}

#[async_trait]
impl Nodes for Memory {
    async fn nodes(&self, selector: &str) -> Result<Vec<NodeState>, KubernetesError> {
        let state = self.enter(Verb::List, Resource::Nodes, "")?;
        let wanted = Selector::parse(selector).map_err(|message| KubernetesError::Invalid {
            what: Resource::Nodes.plural().to_owned(),
            message: format!("unable to parse requirement: {message}"),
        })?;
        Ok(state.nodes.values().filter(|node| wanted.matches(&node.labels)).cloned().collect())
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeState>, KubernetesError> {
        let state = self.enter(Verb::Get, Resource::Volumes, "")?;
        Ok(state.volumes.get(name).cloned())
    }
}
