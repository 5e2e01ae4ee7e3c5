//! Pods that start at once on a real API server never get one id. `make acceptance` races 200 times.

use std::collections::BTreeSet;

use super::pods::{Pods, text};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::support::toolbox::{Ran, Toolbox};

/// How many races there are, each of two pods.
fn rounds() -> usize {
    std::env::var("TOOLBOX_TEST_IDENTITY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

/// Runs init containers at once.
fn at_once(pods: &Pods, names: &[String], flags: &[&str]) -> Vec<Ran> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = names.iter().map(|pod| scope.spawn(move || pods.assign(pod, flags))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

#[test]
fn two_pods_that_start_at_once_never_get_the_same_id_from_a_real_api_server() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("identity");
    let printed = Toolbox::alone().run(&[
        "rbac",
        "identity",
        "--cluster",
        "main",
        "--map",
        "map1",
        "--toolbox-file",
        "/dev/null",
    ]);
    // Without toolbox.yaml the map's name is enough.
    let manifest = if printed.code == Some(0) { printed.out } else { panic!("{printed:#?}") };
    cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "--validate=strict", "-f", "-"], &manifest);
    let kubeconfig = cluster.kubeconfig_of(&namespace, "identity");
    let rounds = rounds();
    let maps = format!("clusters: {{main: {{maps: {{map1: {{topics: '.*', brokers: [1-{}]}}}}}}}}\n", rounds * 2);
    let pods = Pods::of(Toolbox::alone().with("TOOLBOX_KUBECONFIG", text(&kubeconfig)), &maps);
    let flags = ["--state", "kubernetes", "--rack-optional", "--allocation", "first-free", "--timeout", "30s"];
    let mut ids = BTreeSet::new();
    for round in 0..rounds {
        let names = [format!("kafka-a{round}"), format!("kafka-b{round}")];
        for (pod, ran) in names.iter().zip(at_once(&pods, &names, &flags)) {
            ran.ends_with(0);
            let id = pods.output(pod, "broker.id");
            assert!(ids.insert(id.clone()), "round {round}: {pod} got {id}, which another one has");
        }
    }
    assert_eq!(ids.len(), rounds * 2);
    let shown =
        pods.toolbox.run(&["identity", "show", "--state", "kubernetes", "--map", "map1", "-o", "json"]).ends_with(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["registry"]["ids"].as_object().unwrap().len(), rounds * 2);
}

#[test]
fn pods_that_start_at_once_outside_kubernetes_get_ids_of_their_own() {
    let pods = Pods::new();
    let names: Vec<_> = (0..4).map(|number| format!("kafka-x{number}")).collect();
    let flags = ["--rack-optional", "--allocation", "first-free"];
    for ran in at_once(&pods, &names, &flags) {
        ran.ends_with(0);
    }
    let ids: BTreeSet<_> = names.iter().map(|pod| pods.output(pod, "broker.id")).collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
}
