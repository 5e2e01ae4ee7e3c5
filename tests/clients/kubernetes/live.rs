//! What only a real API server shows: roles, tokens, kubeconfigs, a server that goes away and comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kubernetes::{
    Access, ConfigMap, EventType, Kubernetes, KubernetesError, Lease, Live, NewEvent, Nodes, ObjectName, Pod, Resource,
    Verb,
};

use crate::live::kubernetes::control_plane::ControlPlane;

const WITHIN: Duration = Duration::from_secs(10);

/// An admin's door with a new namespace of its own.
pub(super) async fn door() -> Live {
    let cluster = ControlPlane::shared();
    let access = Access {
        kubeconfig: Some(cluster.admin_kubeconfig()),
        namespace: Some(cluster.namespace("door")),
        ..Access::default()
    };
    Live::connect(&access, WITHIN).await.unwrap()
}

async fn with(kubeconfig: &Path, within: Duration) -> Result<Live, KubernetesError> {
    Live::connect(&Access { kubeconfig: Some(kubeconfig.to_owned()), ..Access::default() }, within).await
}

#[tokio::test]
async fn without_a_role_every_call_names_the_account_and_the_missing_rule() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("door");
    let door = with(&cluster.kubeconfig_of(&namespace, "default"), WITHIN).await.unwrap();
    assert_eq!(door.identity().namespace, namespace);
    assert_eq!(door.identity().service_account, Some(format!("{namespace}/default")));
    let name = ObjectName::new(namespace.clone(), "x");
    let event = NewEvent {
        name: "x".into(),
        regarding: Pod { name: "x".into(), uid: None }.regarding(&namespace),
        reason: "X".into(),
        action: "X".into(),
        note: "x".into(),
        event_type: EventType::Normal,
        time: "2026-11-22T08:00:00Z".parse().unwrap(),
    };
    let (mut config_map, mut lease) = (ConfigMap::new(name.clone()), Lease::new(name.clone()));
    let answers = [
        (Verb::Get, Resource::ConfigMaps, door.config_map(&name).await.unwrap_err()),
        (Verb::List, Resource::ConfigMaps, door.config_maps(&namespace, "a=b").await.unwrap_err()),
        (Verb::Create, Resource::ConfigMaps, door.create_config_map(&config_map).await.unwrap_err()),
        (Verb::Get, Resource::Leases, door.lease(&name).await.unwrap_err()),
        (Verb::List, Resource::Leases, door.leases(&namespace, "a=b").await.unwrap_err()),
        (Verb::Create, Resource::Leases, door.create_lease(&lease).await.unwrap_err()),
        (Verb::Create, Resource::Events, door.create_event(&event).await.unwrap_err()),
        (Verb::Update, Resource::ConfigMaps, {
            config_map.resource_version = "1".into();
            door.replace_config_map(&config_map).await.unwrap_err()
        }),
        (Verb::Update, Resource::Leases, {
            lease.resource_version = "1".into();
            door.replace_lease(&lease).await.unwrap_err()
        }),
    ];
    let who = format!("the ServiceAccount {namespace}/default");
    for (verb, resource, error) in answers {
        let expected = KubernetesError::Forbidden { who: who.clone(), verb, resource, namespace: namespace.clone() };
        assert_eq!(error, expected);
    }
    let words = door.create_lease(&Lease::new(name)).await.unwrap_err().to_string();
    assert_eq!(
        words,
        format!(
            "{who} may not create leases in namespace {namespace}: its Role lacks the rule \
             {{apiGroups: [\"coordination.k8s.io\"], resources: [\"leases\"], verbs: [\"create\"]}}; `toolbox rbac` prints all rules that a \
             command needs"
        )
    );
}

#[tokio::test]
async fn an_event_is_shown_by_kubectl_within_its_limits() {
    let door = door().await;
    let namespace = door.identity().namespace.clone();
    let event = NewEvent {
        name: "toolbox.1".into(),
        regarding: Pod { name: "topics-1".into(), uid: Some("u-1".into()) }.regarding(&namespace),
        reason: "TopicsConfigChanged".into(),
        action: "Apply".into(),
        note: "ä".repeat(2_000),
        event_type: EventType::Warning,
        time: "2026-11-22T08:00:00.5Z".parse().unwrap(),
    };
    door.create_event(&event).await.unwrap();
    let columns = "{.items[*].reason} {.items[*].type} {.items[*].regarding.name} {.items[*].regarding.uid} {.items[*].reportingController} {.items[*].note}";
    let path = format!("jsonpath={columns}");
    let shown =
        ControlPlane::shared().kubectl(&["get", "events.events.k8s.io", "--namespace", &namespace, "-o", &path]);
    let (words, note) = shown.rsplit_once(' ').unwrap();
    assert_eq!(words, "TopicsConfigChanged Warning topics-1 u-1 kafka-toolbox");
    assert!(note.len() <= 1_024 && note.ends_with('…'), "{} bytes", note.len());
}

#[tokio::test]
async fn a_token_that_is_not_known_is_said_as_such_and_never_shown() {
    let cluster = ControlPlane::shared();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let text = std::fs::read_to_string(cluster.kubeconfig_of("default", "default")).unwrap();
    let (before, rest) = text.split_once("token: ").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    std::fs::write(&path, format!("{before}token: not-a-real-token}}{after}")).unwrap();
    let door = with(&path, WITHIN).await.unwrap();
    let error = door.config_map(&ObjectName::new("default", "x")).await.unwrap_err();
    assert!(matches!(error, KubernetesError::Unauthorized { .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("context live of") && !words.contains("not-a-real-token"), "{words}");
}

#[tokio::test]
async fn a_wrong_kubeconfig_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let admin = std::fs::read_to_string(ControlPlane::shared().admin_kubeconfig()).unwrap();
    let no_context = admin.replace("current-context: live", "current-context: gone");
    let cases = [
        (String::from("{"), "can't be used"),
        (String::from("apiVersion: v1\nkind: Config\n"), "has no current context (it has none)"),
        (no_context, "has no context `gone` (it has: live); see --kube-context"),
        (admin.replace("ca.crt", "no.crt"), "No such file"),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, &text).unwrap();
        let error = with(&path, WITHIN).await.unwrap_err();
        assert!(matches!(error, KubernetesError::Settings(_)), "{error}");
        let words = error.to_string();
        assert!(words.contains(expected) && words.contains(path.to_str().unwrap()), "{words}");
    }
    let error = with(&folder.path().join("none"), WITHIN).await.unwrap_err().to_string();
    assert!(error.contains("none can't be used"), "{error}");
}

#[tokio::test]
async fn a_server_with_another_authority_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let cluster = ControlPlane::shared();
    let admin = std::fs::read_to_string(cluster.admin_kubeconfig()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).unwrap();
    std::fs::write(folder.path().join("other.crt"), other.cert.pem()).unwrap();
    let (before, rest) = admin.split_once("certificate-authority: ").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let authority = folder.path().join("other.crt");
    std::fs::write(&path, format!("{before}certificate-authority: {}}}{after}", authority.display())).unwrap();
    let door = with(&path, Duration::from_secs(1)).await.unwrap();
    let error = door.config_map(&ObjectName::new("default", "x")).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_read_waits_for_a_server_that_comes_back_and_a_write_does_not() {
    let cluster = ControlPlane::start();
    let door = with(&cluster.admin_kubeconfig(), WITHIN).await.unwrap();
    let name = ObjectName::new("default", "x");
    let kept = door.create_config_map(&ConfigMap::new(name.clone())).await.unwrap();
    cluster.stop_api();
    let started = Instant::now();
    let error = door.replace_config_map(&kept).await.unwrap_err();
    assert!(matches!(error, KubernetesError::Unreachable { .. }), "{error}");
    assert!(started.elapsed() < WITHIN, "a write was tried for {:?}", started.elapsed());
    let impatient = with(&cluster.admin_kubeconfig(), Duration::from_secs(1)).await.unwrap();
    let error = impatient.config_map(&name).await.unwrap_err().to_string();
    assert!(error.contains("could not be reached within 1 s") && error.contains("refused"), "{error}");
    let (read, ()) = tokio::join!(door.config_map(&name), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.start_api();
    });
    assert_eq!(read.unwrap(), Some(kept));
}

#[tokio::test]
async fn pods_nodes_and_claims_are_read_and_labels_are_set_only_on_the_object_that_was_read() {
    let (cluster, door) = (ControlPlane::shared(), door().await);
    let namespace = door.identity().namespace.clone();
    let node = format!("node-{namespace}");
    let objects = format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: {node}, labels: {{zone: a}}}}}}\n---\n\
         {{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data, annotations: {{note: x}}}}, \
         spec: {{accessModes: [ReadWriteOnce], volumeName: pv-7, storageClassName: none, resources: {{requests: {{storage: 1Gi}}}}}}}}\n---\n\
         {{apiVersion: v1, kind: Pod, metadata: {{name: kafka-0}}, spec: {{nodeName: nowhere, containers: [{{name: a, image: a}}]}}}}\n"
    );
    cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "-f", "-"], &objects);
    let named = |name: &str| ObjectName::new(namespace.clone(), name);
    let claim = door.facts(Resource::Claims, &named("data")).await.unwrap().unwrap();
    assert_eq!((claim.volume.as_deref(), claim.annotations["note"].as_str()), (Some("pv-7"), "x"));
    let on_node = ObjectName::new("", node.clone());
    let found = door.facts(Resource::Nodes, &on_node).await.unwrap().unwrap();
    assert_eq!(found.labels["zone"], "a");
    let labels = std::collections::BTreeMap::from([("kafka-toolbox/broker-id".to_owned(), "7".to_owned())]);
    door.set_labels(Resource::Nodes, &on_node, &found.uid, &labels).await.unwrap();
    let labelled = door.facts(Resource::Nodes, &on_node).await.unwrap().unwrap();
    assert_eq!((labelled.labels["zone"].as_str(), labelled.labels["kafka-toolbox/broker-id"].as_str()), ("a", "7"));
    let pod = door.facts(Resource::Pods, &named("kafka-0")).await.unwrap().unwrap();
    assert!(!pod.has_ended && !pod.uid.is_empty());
    let refused = door.set_labels(Resource::Pods, &named("kafka-0"), &found.uid, &labels).await.unwrap_err();
    assert!(matches!(refused, KubernetesError::Conflict { .. }), "{refused:?}");
    door.set_labels(Resource::Pods, &named("kafka-0"), &pod.uid, &labels).await.unwrap();
    let volume = format!("volume-{namespace}");
    let affinity = format!(
        "{{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}]}}}}"
    );
    let local = format!(
        "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {volume}}}, spec: {{capacity: {{storage: 1Gi}}, accessModes: \
         [ReadWriteOnce], storageClassName: none, local: {{path: /x}}, nodeAffinity: {affinity}}}}}"
    );
    cluster.kubectl_with_input(&["apply", "-f", "-"], &local);
    assert_eq!(door.volume(&volume).await.unwrap().unwrap().hosts, [node.clone()]);
    assert_eq!(door.volume("volume-of-nobody").await.unwrap(), None);
    let nodes = door.nodes("kafka-toolbox/broker-id in (7)").await.unwrap();
    assert!(nodes.iter().any(|it| it.name == node && it.labels["zone"] == "a"), "{nodes:?}");
    assert_eq!(door.nodes(&format!("kubernetes.io/hostname in ({node})")).await.unwrap(), [], "it has no such label");
    cluster.kubectl(&["delete", "node", &node]);
    cluster.kubectl(&["delete", "persistentvolume", &volume]);
}
