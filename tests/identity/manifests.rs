//! `manifests/identity` over a StatefulSet, on a real API server.

use std::fs;
use std::path::Path;

use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::manifests::{copy, named_by_namespace};

const STATEFUL_SET: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: kafka-map1}
spec:
  serviceName: kafka
  replicas: 0
  selector: {matchLabels: {app: kafka}}
  template:
    metadata: {labels: {app: kafka}}
    spec:
      containers:
        - name: kafka
          image: kafka
          volumeMounts: [{name: data, mountPath: /var/lib/kafka/data}, {name: identity, mountPath: /var/run/kafka-identity}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// Applies the component with the right to read nodes over a StatefulSet `kafka-map1` without pods; what kustomize rendered, and
/// what kubectl said.
pub(super) fn apply(cluster: &ControlPlane, namespace: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/identity"), &folder.path().join("identity"));
    let map = folder.path().join("map1");
    fs::create_dir(&map).unwrap();
    fs::write(map.join("stateful-set.yaml"), STATEFUL_SET).unwrap();
    let overlay = format!(
        "namespace: {namespace}\nresources: [stateful-set.yaml]\ncomponents: [../identity, ../identity/nodes]\n{}",
        named_by_namespace("identity")
    );
    fs::write(map.join("kustomization.yaml"), overlay).unwrap();
    let rendered = cluster.kubectl(&["kustomize", map.to_str().unwrap()]);
    let applied = cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
    (rendered, applied)
}

#[test]
fn the_component_gives_a_stateful_set_an_init_container_that_the_api_server_accepts() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("identity");
    let (rendered, applied) = apply(cluster, &namespace);
    for object in ["statefulset.apps/kafka-map1", "role.rbac.authorization.k8s.io/identity", "serviceaccount/identity"]
    {
        assert!(applied.contains(&format!("{object} created")), "{applied}");
    }
    let subject = format!("- kind: ServiceAccount\n  name: identity\n  namespace: {namespace}\n");
    assert_eq!(rendered.matches(&subject).count(), 2, "both bindings are for the overlay's namespace: {rendered}");
    for kind in ["clusterrole", "clusterrolebinding"] {
        let object = format!("{kind}.rbac.authorization.k8s.io/{namespace}-identity-nodes");
        assert!(applied.contains(&format!("{object} created")), "{applied}");
    }
    let path = "jsonpath={.spec.template.spec.initContainers[0].args}";
    let shown = cluster.kubectl(&["--namespace", &namespace, "get", "statefulset", "kafka-map1", "-o", path]);
    assert!(shown.starts_with(r#"["identity","assign","--yes","#), "{shown}");
}
