//! Nodes and PersistentVolumes, read into small types of our own as in [`super::facts`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use hyper::Request;
use kube::Error;
use serde::Deserialize;

use super::facts::path_of;
use super::workloads::encoded;
use super::{Call, Live};
use crate::clients::kubernetes::{
    KubernetesError, NODES_MAX, NodeState, Nodes, ObjectName, Resource, Verb, VolumeState,
};

/// The label of a node that local volumes name.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Metadata alone: a node's status lists every image on it.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeList {
    metadata: ListMetadata,
    /// Of metadata alone the API server writes `null` where there are none.
    items: Option<Vec<Node>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ListMetadata {
    r#continue: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Node {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    uid: String,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Volume {
    metadata: Metadata,
    spec: VolumeSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    node_affinity: Option<Affinity>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Affinity {
    required: Option<Required>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Required {
    node_selector_terms: Vec<Term>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[async_trait]
impl Nodes for Live {
    async fn nodes(&self, selector: &str) -> Result<Vec<NodeState>, KubernetesError> {
        let call = Call { verb: Verb::List, resource: Resource::Nodes, namespace: "", name: None };
        let path = format!("/api/v1/nodes?labelSelector={}&limit={NODES_MAX}", encoded(selector));
        let ask = || async {
            let request = Request::get(&path).header("Accept", METADATA).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<NodeList>(request).await
        };
        let list = self.read(call, ask).await?;
        if list.metadata.r#continue.is_some_and(|token| !token.is_empty()) {
            let what = format!("the nodes that `{selector}` matches");
            return Err(KubernetesError::TooMuch { what, limit: format!("{NODES_MAX} nodes") });
        }
        let node = |Node { metadata: Metadata { name, labels, .. } }| NodeState { name, labels };
        let mut nodes: Vec<_> = list.items.unwrap_or_default().into_iter().map(node).collect();
        nodes.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(nodes)
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeState>, KubernetesError> {
        let name = ObjectName::new("", name);
        let path = path_of(Resource::Volumes, &name)?;
        let call = Call::new(Verb::Get, Resource::Volumes, &name);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<Volume>(request).await
        };
        match self.read(call, ask).await {
            Ok(Volume { metadata, spec }) => Ok(Some(VolumeState { uid: metadata.uid, hosts: hosts(spec) })),
            Err(KubernetesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The hostnames of a volume's nodes. Terms are alternatives: where one of them names no hostname, other nodes may do, too.
fn hosts(spec: VolumeSpec) -> Vec<String> {
    let required = spec.node_affinity.and_then(|affinity| affinity.required);
    let terms = required.map(|required| required.node_selector_terms).unwrap_or_default();
    let of_term = |term: Term| {
        let is_of_host = |it: &Expression| it.key == HOSTNAME && it.operator == "In" && !it.values.is_empty();
        term.match_expressions.into_iter().find(is_of_host).map(|it| it.values)
    };
    let all: Option<Vec<_>> = terms.into_iter().map(of_term).collect();
    all.unwrap_or_default().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_nodes_may_be_null() {
        let list: NodeList = serde_json::from_str(r#"{"metadata": {"resourceVersion": "1"}, "items": null}"#).unwrap();
        assert!(list.items.is_none() && list.metadata.r#continue.is_none());
    }

    #[test]
    fn a_local_volume_names_its_hosts_and_any_other_names_none() {
        let of = |spec: &str| hosts(serde_json::from_str(spec).unwrap());
        let term = |key: &str, values: &str| {
            format!(r#"{{"matchExpressions": [{{"key": "{key}", "operator": "In", "values": [{values}]}}]}}"#)
        };
        let spec = |terms: &str| format!(r#"{{"nodeAffinity": {{"required": {{"nodeSelectorTerms": [{terms}]}}}}}}"#);
        let (one, two) = (term(HOSTNAME, r#""n1""#), term(HOSTNAME, r#""n2", "n3""#));
        assert_eq!(of(&spec(&one)), ["n1"]);
        assert_eq!(of(&spec(&format!("{one}, {two}"))), ["n1", "n2", "n3"]);
        let zone = term("topology.kubernetes.io/zone", r#""a""#);
        assert_eq!(of(&spec(&format!("{one}, {zone}"))), [""; 0], "any node of the zone will do");
        assert_eq!(of("{}"), [""; 0]);
    }
}
