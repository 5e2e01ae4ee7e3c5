//! Which server runs in a pod: a broker by the registry of ids, a controller or a ZooKeeper server by its name and ordinal.

use anyhow::Context as _;
use regex::Regex;

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::quorum::NodeId;
use crate::commands::identity::plan::Registry;
use crate::commands::identity::spec::name::ordinal;
use crate::commands::rollout::observe::Subject;
use crate::context::{Context, ZooKeeperFlags};
use crate::state::identity::Identity;

/// Pods of one kind, known by their names; the id of each is its ordinal added to the first one.
#[derive(Debug, Clone)]
pub struct Named {
    /// What the whole name of such a pod is.
    pub pattern: Regex,
    /// The id of the pod with the ordinal 0.
    pub first: i32,
}

impl Named {
    /// The id of the pod, if it is one of these.
    fn id(&self, pod: &str) -> Option<i32> {
        if !self.pattern.is_match(pod) {
            return None;
        }
        let ordinal = i32::try_from(ordinal(pod).ok()?).ok()?;
        self.first.checked_add(ordinal)
    }
}

/// How the kinds of pods are distinguished.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// The cluster's name, of which the registries have theirs.
    pub cluster: String,
    /// The maps whose registries are read.
    pub maps: Vec<String>,
    /// KRaft controllers.
    pub controllers: Option<Named>,
    /// ZooKeeper servers, and how their ensemble is reached.
    pub zookeepers: Option<(Named, ZooKeeperFlags)>,
}

impl Kinds {
    /// The server of a pod; none where nothing says which it is.
    pub async fn subject(&self, context: &Context, pod: &str) -> anyhow::Result<Option<Subject>> {
        if let Some(id) = self.controllers.as_ref().and_then(|named| named.id(pod)) {
            return Ok(Some(Subject::Controller(NodeId(id))));
        }
        if let Some((named, zookeeper)) = &self.zookeepers
            && let Some(id) = named.id(pod)
        {
            return Ok(Some(Subject::Server { id: ServerId(id.into()), zookeeper: Box::new(zookeeper.clone()) }));
        }
        Ok(self.broker(context, pod).await?.map(Subject::Broker))
    }

    /// The id that a registry has for the pod.
    async fn broker(&self, context: &Context, pod: &str) -> anyhow::Result<Option<BrokerId>> {
        for map in &self.maps {
            let mut document = context.document(&Identity::of_brokers(&self.cluster, map)).await?;
            let registry: Option<Registry> =
                document.load().await.with_context(|| format!("failed to read the broker ids of map {map}"))?;
            if let Some((id, _)) = registry.as_ref().and_then(|registry| registry.of_pod(pod)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_ordinal_of_a_name_that_fits_as_a_whole() {
        let named = Named { pattern: Regex::new("^(?:controller-[0-9]+)$").unwrap(), first: 3_000 };
        assert_eq!(named.id("controller-2"), Some(3_002));
        for other in ["my-controller-2", "controller-2-x", "controller-02", "controller-99999999999", "kafka-0"] {
            assert_eq!(named.id(other), None, "{other}");
        }
        let last = Named { first: i32::MAX, ..named };
        assert_eq!(last.id("controller-1"), None);
    }
}
