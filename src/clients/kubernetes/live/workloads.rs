//! StatefulSets and pods, read into small types of our own as in [`super::facts`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use hyper::Request;
use kube::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts::path_of;
use super::{Call, Live, was_read};
use crate::clients::kubernetes::{
    KubernetesError, ObjectName, PODS_MAX, PodState, Resource, StatefulSet, Strategy, Verb, Version, Workloads,
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    uid: String,
    resource_version: String,
    generation: i64,
    deletion_timestamp: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    uid: String,
    controller: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Set {
    metadata: Metadata,
    spec: SetSpec,
    status: SetStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SetSpec {
    replicas: Option<u32>,
    ordinals: Ordinals,
    selector: Labels,
    update_strategy: UpdateStrategy,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ordinals {
    start: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Labels {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    r#type: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RollingUpdate {
    partition: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SetStatus {
    update_revision: String,
    observed_generation: i64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodList {
    metadata: ListMetadata,
    items: Vec<Pod>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ListMetadata {
    r#continue: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    metadata: Metadata,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: Option<String>,
    subdomain: Option<String>,
    volumes: Vec<PodVolume>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodVolume {
    persistent_volume_claim: Option<ClaimOfPod>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClaimOfPod {
    claim_name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    restart_count: i64,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
    running: Option<Value>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i64,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
}

#[async_trait]
impl Workloads for Live {
    async fn stateful_set(&self, name: &ObjectName) -> Result<Option<StatefulSet>, KubernetesError> {
        let path = path_of(Resource::StatefulSets, name)?;
        let call = Call::new(Verb::Get, Resource::StatefulSets, name);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<Set>(request).await
        };
        match self.read(call, ask).await {
            Ok(set) => Ok(Some(stateful_set(name, set))),
            Err(KubernetesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pod(&self, name: &ObjectName) -> Result<Option<PodState>, KubernetesError> {
        let path = path_of(Resource::Pods, name)?;
        let call = Call::new(Verb::Get, Resource::Pods, name);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<Pod>(request).await
        };
        match self.read(call, ask).await {
            Ok(pod) => Ok(Some(PodState { name: name.clone(), ..pod_state(&name.namespace, pod) })),
            Err(KubernetesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodState>, KubernetesError> {
        let any = ObjectName::new(namespace, "x");
        let folder = path_of(Resource::Pods, &any)?;
        let folder = folder.trim_end_matches("/x").to_owned();
        let call = Call { verb: Verb::List, resource: Resource::Pods, namespace, name: None };
        let path = format!("{folder}?labelSelector={}&limit={}", encoded(selector), PODS_MAX);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<PodList>(request).await
        };
        let list = self.read(call, ask).await?;
        if list.metadata.r#continue.is_some_and(|token| !token.is_empty()) {
            let what = format!("the pods of namespace {namespace} that `{selector}` matches");
            return Err(KubernetesError::TooMuch { what, limit: format!("{PODS_MAX} pods") });
        }
        let mut pods: Vec<_> = list.items.into_iter().map(|pod| pod_state(namespace, pod)).collect();
        pods.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(pods)
    }

    async fn delete_pod(&self, name: &ObjectName, uid: &str) -> Result<(), KubernetesError> {
        let path = path_of(Resource::Pods, name)?;
        let call = Call::new(Verb::Delete, Resource::Pods, name);
        let body = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } }).to_string();
        let send = || async {
            let request = Request::delete(&path).header("Content-Type", "application/json");
            let request = request.body(body.clone().into_bytes()).map_err(Error::HttpError)?;
            self.client.request::<Value>(request).await
        };
        // With the uid it is the same deletion however often it is sent.
        match self.read(call, send).await {
            Ok(_) | Err(KubernetesError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn set_partition(&self, set: &StatefulSet, partition: u32) -> Result<(), KubernetesError> {
        let path = path_of(Resource::StatefulSets, &set.name)?;
        let call = Call::new(Verb::Patch, Resource::StatefulSets, &set.name);
        let metadata = json!({ "uid": set.uid, "resourceVersion": set.resource_version });
        let strategy = json!({ "rollingUpdate": { "partition": partition } });
        let body = json!({ "metadata": metadata, "spec": { "updateStrategy": strategy } }).to_string();
        let send = || async {
            let request = Request::patch(&path).header("Content-Type", "application/merge-patch+json");
            let request = request.body(body.clone().into_bytes()).map_err(Error::HttpError)?;
            self.client.request::<Value>(request).await
        };
        self.write(call, send).await.map(|_| ())
    }

    async fn set_replicas(&self, name: &ObjectName, read: &Version, replicas: u32) -> Result<(), KubernetesError> {
        let path = path_of(Resource::Scales, name)?;
        let call = Call::new(Verb::Update, Resource::Scales, name);
        was_read(&call, &read.resource_version)?;
        let ObjectName { namespace, name } = name;
        let Version { uid, resource_version } = read;
        let metadata = json!({ "name": name, "namespace": namespace, "uid": uid, "resourceVersion": resource_version });
        let spec = json!({ "replicas": replicas });
        let body =
            json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec }).to_string();
        let send = || async {
            let request = Request::put(&path).header("Content-Type", "application/json");
            let request = request.body(body.clone().into_bytes()).map_err(Error::HttpError)?;
            self.client.request::<Value>(request).await
        };
        self.write(call, send).await.map(|_| ())
    }
}

fn stateful_set(name: &ObjectName, set: Set) -> StatefulSet {
    let Set { metadata, spec, status } = set;
    let strategy = match (spec.update_strategy.r#type.as_str(), spec.update_strategy.rolling_update) {
        ("OnDelete", _) => Strategy::OnDelete,
        (_, rolling) => Strategy::Partition(rolling.and_then(|rolling| rolling.partition).unwrap_or(0)),
    };
    StatefulSet {
        name: name.clone(),
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        annotations: metadata.annotations,
        selector: selector(&spec.selector),
        // Kubernetes' own default.
        replicas: spec.replicas.unwrap_or(1),
        first_ordinal: spec.ordinals.start,
        strategy,
        update_revision: status.update_revision,
        is_observed: status.observed_generation >= metadata.generation,
    }
}

fn selector(labels: &Labels) -> String {
    let equal = labels.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let expressions = labels.match_expressions.iter().map(|it| match it.operator.as_str() {
        "In" => format!("{} in ({})", it.key, it.values.join(",")),
        "NotIn" => format!("{} notin ({})", it.key, it.values.join(",")),
        "DoesNotExist" => format!("!{}", it.key),
        _ => it.key.clone(),
    });
    equal.chain(expressions).collect::<Vec<_>>().join(",")
}

fn pod_state(namespace: &str, pod: Pod) -> PodState {
    let Pod { metadata, spec, status } = pod;
    let is_ready = status.conditions.iter().any(|it| it.r#type == "Ready" && it.status == "True");
    let (stuck, crash_loop) = (stuck(&status), crash_loop(&status));
    let controller = metadata.owner_references.into_iter().find(|owner| owner.controller);
    let claims = spec.volumes.into_iter().filter_map(|volume| Some(volume.persistent_volume_claim?.claim_name));
    PodState {
        name: ObjectName::new(namespace, metadata.name),
        uid: metadata.uid,
        stateful_set: controller.as_ref().filter(|owner| owner.kind == "StatefulSet").map(|owner| owner.name.clone()),
        controller_uid: controller.map(|owner| owner.uid),
        node: spec.node_name.filter(|node| !node.is_empty()),
        labels: metadata.labels,
        claims: claims.collect(),
        is_deleting: metadata.deletion_timestamp.is_some(),
        is_ready,
        stuck,
        crash_loop,
        subdomain: spec.subdomain.filter(|name| !name.is_empty()),
    }
}

/// The first container that ends again and again, in words.
fn crash_loop(status: &PodStatus) -> Option<String> {
    const REASON: &str = "CrashLoopBackOff";
    let is_looping = |it: &&Container| it.state.waiting.as_ref().is_some_and(|it| it.reason.as_deref() == Some(REASON));
    let init = status.init_container_statuses.iter().find(is_looping).map(|it| ("init container", it));
    let (what, found) = init.or_else(|| Some(("container", status.container_statuses.iter().find(is_looping)?)))?;
    let mut words = format!("{what} {}: {REASON}, {} restarts", found.name, found.restart_count);
    if let Some(last) = &found.last_state.terminated {
        // Writing to a string does not fail.
        let _ = write!(words, ", exit code {}", last.exit_code);
        if let Some(reason) = last.reason.as_ref().filter(|reason| *reason != "Error") {
            let _ = write!(words, " ({reason})");
        }
        let line = last.message.iter().flat_map(|message| message.lines()).rfind(|line| !line.trim().is_empty());
        if let Some(line) = line {
            let _ = write!(words, ": {}", line.trim());
        }
    }
    Some(words)
}

/// Why no container runs. Containers that are just being made are not stuck.
fn stuck(status: &PodStatus) -> Option<String> {
    let containers = || status.init_container_statuses.iter().chain(&status.container_statuses);
    if containers().any(|it| it.state.running.is_some()) {
        return None;
    }
    let waiting = containers().filter_map(|it| it.state.waiting.as_ref()?.reason.clone());
    let waiting =
        waiting.into_iter().find(|reason| !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"));
    let unscheduled = || {
        let condition = status.conditions.iter().find(|it| it.r#type == "PodScheduled" && it.status == "False");
        condition.map(|it| it.reason.clone().unwrap_or_else(|| "not scheduled".to_owned()))
    };
    let failed = || status.phase.clone().filter(|phase| phase == "Failed");
    waiting.or_else(unscheduled).or_else(failed)
}

/// A selector as part of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_with_its_strategy_selector_and_revision() {
        let set: Set = serde_json::from_str(
            r#"{"metadata": {"uid": "u", "generation": 3, "resourceVersion": "7"},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "kafka"}, "matchExpressions":
                  [{"key": "map", "operator": "In", "values": ["one", "two"]}]}, "updateStrategy": {"type": "OnDelete"}},
                "status": {"updateRevision": "kafka-2", "observedGeneration": 2}}"#,
        )
        .unwrap();
        let set = stateful_set(&ObjectName::new("n", "kafka"), set);
        assert_eq!(set.selector, "app=kafka,map in (one,two)");
        assert_eq!((set.strategy, set.is_observed, set.replicas), (Strategy::OnDelete, false, 3));
        let rolling: Set = serde_json::from_str(
            r#"{"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}}"#,
        )
        .unwrap();
        assert_eq!(stateful_set(&ObjectName::new("n", "kafka"), rolling).strategy, Strategy::Partition(2));
    }

    #[test]
    fn a_pod_is_stuck_where_nothing_of_it_runs_and_nothing_is_being_made() {
        let of = |status: &str| stuck(&serde_json::from_str(status).unwrap());
        let crash = r#"{"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}"#;
        assert_eq!(of(crash).as_deref(), Some("CrashLoopBackOff"));
        assert_eq!(of(r#"{"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}"#), None);
        assert_eq!(of(r#"{"containerStatuses": [{"state": {"running": {}}}]}"#), None);
        let pending = r#"{"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}"#;
        assert_eq!(of(pending).as_deref(), Some("Unschedulable"));
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_named_with_how_it_ended_last_though_another_one_runs() {
        let of = |status: &str| crash_loop(&serde_json::from_str(status).unwrap());
        let server = of(
            r#"{"containerStatuses": [{"name": "probe", "state": {"running": {}}}, {"name": "zookeeper", "restartCount": 5,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1,
                "reason": "Error", "message": "first\nMy id 4 not in the peer list\n"}}}]}"#,
        );
        let words = "container zookeeper: CrashLoopBackOff, 5 restarts, exit code 1: My id 4 not in the peer list";
        assert_eq!(server.as_deref(), Some(words));
        let init =
            of(r#"{"initContainerStatuses": [{"name": "prestart", "restartCount": 2, "state": {"waiting": {"reason":
                "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}"#);
        let words = "init container prestart: CrashLoopBackOff, 2 restarts, exit code 137 (OOMKilled)";
        assert_eq!(init.as_deref(), Some(words));
        let image = r#"{"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}"#;
        assert_eq!((of(image), of("{}")), (None, None));
    }

    #[test]
    fn a_pod_names_its_set_and_its_claims() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata": {"name": "zk-0", "uid": "p", "ownerReferences": [
                  {"kind": "Other", "name": "x", "uid": "1", "controller": false},
                  {"kind": "StatefulSet", "name": "zk", "uid": "2", "controller": true}]},
                "spec": {"volumes": [{"name": "tmp"}, {"name": "data", "persistentVolumeClaim": {"claimName": "data-zk-0"}}]}}"#,
        )
        .unwrap();
        let pod = pod_state("n", pod);
        assert_eq!((pod.stateful_set.as_deref(), pod.controller_uid.as_deref()), (Some("zk"), Some("2")));
        assert_eq!(pod.claims, ["data-zk-0"]);
    }

    #[test]
    fn a_selector_is_encoded_for_a_query() {
        assert_eq!(encoded("app=kafka,map in (a,b)"), "app%3Dkafka%2Cmap%20in%20%28a%2Cb%29");
    }
}
