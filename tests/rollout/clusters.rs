//! `manifests/examples/cluster`, a cluster of two maps, on a real API server.

use std::path::Path;

use serde_json::Value;

use crate::live::kubernetes::control_plane::ControlPlane;

/// Every object of the example, rendered for a namespace.
fn rendered(cluster: &ControlPlane, namespace: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples/cluster");
    // Volumes belong to no namespace, and their names are free ones.
    cluster.kubectl(&["kustomize", folder.to_str().unwrap()]).replace("kafka-main", namespace)
}

fn objects(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|one| serde_saphyr::from_str(one).unwrap()).collect()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

#[test]
fn two_maps_make_one_cluster_whose_brokers_share_a_budget_and_nothing_else() {
    let cluster = ControlPlane::shared();
    let objects = objects(&rendered(cluster, "kafka-main"));
    for map in ["map1", "map2"] {
        let set = named(&objects, "StatefulSet", &format!("kafka-{map}"));
        let template = &set["spec"]["template"];
        assert_eq!(set["spec"]["updateStrategy"]["type"], "OnDelete");
        assert_eq!(set["spec"]["selector"]["matchLabels"]["kafka-toolbox/map"], map);
        assert_eq!(template["metadata"]["labels"]["kafka-toolbox/map"], map);
        let pod = &template["spec"];
        assert_eq!(pod["nodeSelector"]["kafka-toolbox/map"], map);
        assert_eq!(pod["tolerations"][0]["value"], map);
        assert_eq!(
            (&pod["hostNetwork"], &pod["serviceAccountName"]),
            (&true.into(), &format!("identity-{map}").into())
        );
        let identity = pod["initContainers"].as_array().unwrap().iter().find(|one| one["name"] == "identity").unwrap();
        assert!(identity["args"].as_array().unwrap().contains(&format!("--map={map}").into()), "{identity}");
        let kafka = &pod["containers"][0];
        assert_eq!(kafka["readinessProbe"]["exec"]["command"][3], "ready");
        let role = named(&objects, "Role", &format!("identity-{map}"));
        assert_eq!(role["rules"][1]["resourceNames"], serde_json::json!([format!("toolbox-brokers-main-{map}")]));
        let name = format!("kafka-main-identity-nodes-{map}");
        let nodes = named(&objects, "ClusterRoleBinding", &name);
        assert_eq!(nodes["roleRef"]["name"], name);
        named(&objects, "ClusterRole", &name);
        assert_eq!(nodes["subjects"][0]["name"], format!("identity-{map}"));
        assert_eq!(nodes["subjects"][0]["namespace"], "kafka-main");
        let binding = named(&objects, "RoleBinding", &format!("identity-{map}"));
        let name = format!("identity-{map}");
        assert_eq!(
            (&binding["roleRef"]["name"], &binding["subjects"][0]["name"]),
            (&name.clone().into(), &name.into())
        );
    }
    let budgets: Vec<_> = objects.iter().filter(|object| object["kind"] == "PodDisruptionBudget").collect();
    let of_kafka: Vec<_> = budgets.iter().filter(|one| one["metadata"]["name"] != "drain-guard").collect();
    assert_eq!(of_kafka.len(), 1);
    assert_eq!(of_kafka[0]["spec"]["selector"]["matchLabels"], serde_json::json!({"app.kubernetes.io/name": "kafka"}));
    assert_eq!(named(&objects, "Service", "kafka")["spec"]["publishNotReadyAddresses"], true);
    let webhook = &named(&objects, "ValidatingWebhookConfiguration", "kafka-main-drain-guard")["webhooks"][0];
    assert_eq!(webhook["failurePolicy"], "Fail");
    assert_eq!(webhook["clientConfig"]["service"]["namespace"], "kafka-main");
    assert_eq!(webhook["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "kafka-main");
    let binding = named(&objects, "ClusterRoleBinding", "kafka-main-drain-guard");
    assert_eq!(binding["subjects"][0]["namespace"], "kafka-main");
    assert_eq!(binding["roleRef"]["name"], "kafka-main-drain-guard");
    let role = named(&objects, "ClusterRole", "kafka-main-drain-guard");
    assert_eq!(role["rules"][0]["resourceNames"], serde_json::json!(["kafka-main-drain-guard"]));
    let guard = &named(&objects, "Deployment", "drain-guard")["spec"]["template"]["spec"]["containers"][0];
    let env = guard["env"].as_array().unwrap();
    let own = env.iter().find(|variable| variable["name"] == "TOOLBOX_DRAIN_GUARD_CONFIGURATION").unwrap();
    assert_eq!(own["value"], "kafka-main-drain-guard", "it writes into no other cluster's webhook");
}

#[test]
fn the_api_server_accepts_a_cluster_of_two_maps_and_a_second_time_changes_nothing() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("maps");
    let rendered = rendered(cluster, &namespace);
    let apply = || cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
    let generations = || {
        let get = ["--namespace", &namespace, "get", "statefulsets,poddisruptionbudgets,deployments", "-o"];
        cluster.kubectl(&[&get[..], &["jsonpath={.items[*].metadata['name','generation']}"]].concat())
    };
    let first = apply();
    let made = generations();
    for object in [
        "statefulset.apps/kafka-map1",
        "statefulset.apps/kafka-map2",
        "service/kafka",
        "poddisruptionbudget.policy/kafka",
        "storageclass.storage.k8s.io/kafka-local",
        "persistentvolume/kafka-node-1-disk-0",
        "deployment.apps/drain-guard",
        &format!("validatingwebhookconfiguration.admissionregistration.k8s.io/{namespace}-drain-guard"),
    ] {
        assert!(first.contains(&format!("{object} created")), "{first}");
    }
    let second = apply();
    assert!(second.lines().all(|line| line.ends_with(" unchanged") || line.ends_with(" configured")), "{second}");
    // "configured" says that a patch was sent: whether it changed anything, the generation says.
    assert_eq!(generations(), made);
    a_cluster_beside_it_takes_nothing_away(cluster, &namespace);
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", &format!("{namespace}-drain-guard")]);
}

/// Another cluster with the same maps, in another namespace: what belongs to no namespace is there twice, each for its own.
fn a_cluster_beside_it_takes_nothing_away(cluster: &ControlPlane, namespace: &str) {
    let other = cluster.namespace("maps");
    cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered(cluster, &other));
    let both = [namespace, other.as_str()];
    for namespace in both {
        let may = |account: &str, words: &[&str]| {
            let who = format!("--as=system:serviceaccount:{namespace}:{account}");
            cluster.try_kubectl(&[&["auth", "can-i", &who], words].concat()).0
        };
        for account in ["identity-map1", "identity-map2"] {
            assert!(may(account, &["get", "nodes"]), "{namespace}: {account}");
            assert!(!may(account, &["patch", "nodes"]) && !may(account, &["list", "nodes"]), "{namespace}: {account}");
        }
        for whose in both {
            let webhook = format!("validatingwebhookconfigurations.admissionregistration.k8s.io/{whose}-drain-guard");
            assert_eq!(may("drain-guard", &["patch", &webhook]), whose == namespace, "{namespace}: {webhook}");
        }
    }
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", &format!("{other}-drain-guard")]);
}
