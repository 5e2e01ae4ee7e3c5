//! Pods, nodes and claims as far as identities need them. The few fields are read into a type of our own: the API's
//! types of these objects are large, and so is the code that reads them.

use std::collections::BTreeMap;

use hyper::Request;
use kube::Error;
use serde::Deserialize;
use serde_json::json;

use super::{Call, Live};
use crate::clients::kubernetes::error::has_facts;
use crate::clients::kubernetes::{Facts, KubernetesError, ObjectName, Resource, Verb};

/// Most bytes of a name in a path (RFC 1123, as Kubernetes checks it).
const NAME_BYTES_MAX: usize = 253;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    deletion_timestamp: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    volume_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: Option<String>,
}

impl Live {
    /// Reads one object.
    pub(super) async fn look_at(
        &self,
        resource: Resource,
        name: &ObjectName,
    ) -> Result<Option<Facts>, KubernetesError> {
        let path = path(resource, name)?;
        let call = Call::new(Verb::Get, resource, name);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<Object>(request).await
        };
        match self.read(call, ask).await {
            Ok(object) => Ok(Some(facts(object))),
            Err(KubernetesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets labels with a merge patch, which names the uid: the API server refuses it for another object.
    pub(super) async fn label(
        &self,
        resource: Resource,
        name: &ObjectName,
        uid: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), KubernetesError> {
        let path = path(resource, name)?;
        let call = Call::new(Verb::Patch, resource, name);
        let body = json!({ "metadata": { "uid": uid, "labels": labels } }).to_string();
        let send = || async {
            let request = Request::patch(&path).header("Content-Type", "application/merge-patch+json");
            let request = request.body(body.clone().into_bytes()).map_err(Error::HttpError)?;
            self.client.request::<Object>(request).await
        };
        match self.read(call, send).await {
            Ok(_) => Ok(()),
            // 422 "metadata.uid: … field is immutable": another object has the name by now.
            Err(KubernetesError::Invalid { what, message }) if message.contains("metadata.uid") => {
                Err(KubernetesError::Conflict { what })
            }
            Err(error) => Err(error),
        }
    }
}

fn facts(object: Object) -> Facts {
    let Object { metadata: Metadata { uid, deletion_timestamp, labels, annotations }, spec, status } = object;
    Facts {
        uid,
        labels,
        annotations,
        has_ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        is_pending: status.phase.as_deref() == Some("Pending"),
        is_being_deleted: deletion_timestamp.is_some(),
        volume: spec.volume_name.filter(|volume| !volume.is_empty()),
    }
}

/// Where the object is. Names come from flags and variables: nothing else than a legal name gets into the path.
fn path(resource: Resource, name: &ObjectName) -> Result<String, KubernetesError> {
    has_facts(resource)?;
    path_of(resource, name)
}

/// The same for any resource.
pub(super) fn path_of(resource: Resource, name: &ObjectName) -> Result<String, KubernetesError> {
    let is_legal = |text: &str| {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(is_of_name) && !text.starts_with('.')
    };
    let ObjectName { namespace, name: object } = name;
    if !is_legal(object) || !(namespace.is_empty() || is_legal(namespace)) {
        let message = "a name has lower-case letters, digits, `-` and `.`".to_owned();
        return Err(KubernetesError::Invalid { what: format!("{} {name}", resource.kind()), message });
    }
    let plural = resource.plural();
    Ok(match resource {
        Resource::Nodes | Resource::Volumes => format!("/api/v1/{plural}/{object}"),
        Resource::Scales => format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{object}/scale"),
        Resource::StatefulSets => format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{object}"),
        _ => format!("/api/v1/namespaces/{namespace}/{plural}/{object}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_legal_names_get_into_a_path() {
        let of = |namespace: &str, name: &str| path(Resource::Pods, &ObjectName::new(namespace, name));
        assert_eq!(of("kafka", "kafka-0").unwrap(), "/api/v1/namespaces/kafka/pods/kafka-0");
        assert_eq!(
            path(Resource::Nodes, &ObjectName::new("", "ip-10-0-0-1.local")).unwrap(),
            "/api/v1/nodes/ip-10-0-0-1.local"
        );
        for wrong in ["", "..", "a/b", "a?x", "a b", "Ä"] {
            assert!(of("kafka", wrong).is_err(), "{wrong}");
        }
        assert!(of("a/../b", "x").is_err());
        assert!(path(Resource::Leases, &ObjectName::new("a", "b")).is_err());
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let of = |text: &str| facts(serde_json::from_str(text).unwrap());
        assert_eq!(
            of(r#"{"metadata": {"uid": "u"}, "spec": {"nodeName": "n"}}"#),
            Facts { uid: "u".into(), ..Facts::default() }
        );
        let claim = of(r#"{"metadata": {"uid": "u"}, "spec": {"volumeName": "pv-1"}, "status": {"phase": "Bound"}}"#);
        assert_eq!((claim.volume.as_deref(), claim.has_ended), (Some("pv-1"), false));
        assert!(of(r#"{"metadata": {}, "status": {"phase": "Failed"}}"#).has_ended);
        let stopping = r#"{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Pending"}}"#;
        assert!(of(stopping).is_being_deleted && of(stopping).is_pending && !of(stopping).has_ended);
    }
}
