//! `manifests/zookeeper` and `manifests/controllers`, with probes and the cluster's name, on a real API server.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::manifests::{copy, named_by_namespace};

#[test]
fn an_ensemble_and_a_quorum_are_put_together_from_parts_that_the_api_server_accepts() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("servers");
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests"), &folder.path().join("manifests"));
    let overlay = folder.path().join("overlay");
    fs::create_dir(&overlay).unwrap();
    let parts =
        ["zookeeper", "controllers", "ensemble", "settings"].map(|part| format!("../manifests/{part}")).join(", ");
    let text = format!(
        "namespace: {namespace}\nresources: [{parts}]\ncomponents: [../manifests/probe, ../manifests/ensemble/nodes, ../manifests/ensemble/scale, ../manifests/cluster-name]\n\
         configMapGenerator: [{{name: toolbox, behavior: merge, literals: [cluster=eu]}}]\n{}",
        named_by_namespace("ensemble")
    );
    fs::write(overlay.join("kustomization.yaml"), text).unwrap();
    let rendered = cluster.kubectl(&["kustomize", overlay.to_str().unwrap()]);
    let applied = cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
    for object in [
        "statefulset.apps/zookeeper",
        "statefulset.apps/controller",
        "poddisruptionbudget.policy/zookeeper",
        "networkpolicy.networking.k8s.io/controller",
        "service/zookeeper-client",
        "service/controller",
        "configmap/controllers",
        &format!("clusterrole.rbac.authorization.k8s.io/{namespace}-ensemble-nodes"),
        &format!("clusterrolebinding.rbac.authorization.k8s.io/{namespace}-ensemble-nodes"),
    ] {
        assert!(applied.contains(&format!("{object} created")), "{object}: {applied}");
    }
    let get = |kind: &str, name: &str| -> Value {
        serde_json::from_str(&cluster.kubectl(&["--namespace", &namespace, "get", kind, name, "-o", "json"])).unwrap()
    };
    for (set, service, container) in [("zookeeper", "zookeeper", "zookeeper"), ("controller", "controller", "kafka")] {
        let pod = get("statefulset", set)["spec"]["template"]["spec"].clone();
        let named = |list: &str| pod[list].as_array().unwrap().clone();
        let inits: Vec<_> = named("initContainers").iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        assert!(inits.contains(&"prestart".to_owned()) && inits.contains(&"toolbox".to_owned()), "{inits:?}");
        let binary = inits.iter().position(|name| name == "toolbox");
        let prestart = inits.iter().position(|name| name == "prestart");
        assert!(set == "zookeeper" || binary < prestart, "the program is there before it is run: {inits:?}");
        let server = named("containers").into_iter().find(|it| it["name"] == container).unwrap();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(server[probe]["exec"]["command"][0], "/toolbox/toolbox", "{set}: {probe}");
        }
        assert_eq!(get("service", service)["spec"]["publishNotReadyAddresses"], true);
        assert_eq!(get("service", service)["spec"]["clusterIP"], "None");
    }
    let names = |role: &str| get("role", role)["rules"][1]["resourceNames"].clone();
    assert_eq!(names("zookeeper"), serde_json::json!(["toolbox-ensemble-eu"]));
    assert_eq!(names("controllers"), serde_json::json!(["toolbox-ensemble-eu-controllers"]));
    let watcher = format!("--as=system:serviceaccount:{namespace}:ensemble");
    let may = |words: &[&str]| {
        let asked = [&["--namespace", namespace.as_str(), "auth", "can-i", watcher.as_str()], words].concat();
        cluster.try_kubectl(&asked).0
    };
    assert!(may(&["update", "statefulsets.apps/zookeeper", "--subresource=scale"]), "not the name of the cluster");
    assert!(!may(&["update", "statefulsets.apps/other", "--subresource=scale"]));
    assert!(!may(&["update", "statefulsets.apps/zookeeper"]) && !may(&["delete", "pods"]));
    assert!(may(&["list", "nodes"]) && may(&["get", "persistentvolumes"]) && may(&["get", "statefulsets.apps"]));
}
