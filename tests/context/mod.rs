//! What a command is handed, on a real API server and as a whole process: the lock, what was last applied, repeating.

mod repeat;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use kafka_toolbox::cli::Cli;
use kafka_toolbox::context::Context;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::output::exit_of;
use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};

use crate::live::kubernetes::control_plane::ControlPlane;

/// A context of a run that keeps its things in a namespace.
fn context(kubeconfig: &Path, namespace: &str) -> Context {
    let kubeconfig = kubeconfig.to_str().unwrap();
    let line = ["toolbox", "--state=kubernetes", "--kubeconfig", kubeconfig, "--namespace", namespace, "man"];
    Context::new(Cli::try_parse_from(line).unwrap().flags().clone())
}

fn identity() -> Identity {
    let cluster = ClusterRef { id: "id-1".into(), name: Some("orders".into()) };
    Identity { purpose: Purpose::Topics, cluster, owner: Some("orders".into()) }
}

fn holder(cluster: &ControlPlane, namespace: &str) -> String {
    let name = identity().object_name();
    cluster.kubectl(&["get", "lease", &name, "--namespace", namespace, "-o", "jsonpath={.spec.holderIdentity}"])
}

#[tokio::test]
async fn on_a_real_server_one_run_works_and_the_next_one_when_it_has_left() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("alone");
    let kubeconfig = cluster.admin_kubeconfig();
    let (mut first, mut second) = (context(&kubeconfig, &namespace), context(&kubeconfig, &namespace));
    first.lock(&identity()).await.unwrap();
    assert!(holder(cluster, &namespace).ends_with(&first.run_id.to_string()));
    let started = Instant::now();
    let error = second.lock(&identity()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(25), "refused after {:?}", started.elapsed());
    assert_eq!(exit_of(&error), Exit::Refused);
    let words = format!("{error:#}");
    assert!(
        words.contains(&first.run_id.to_string()) && words.contains("delete lease toolbox-topics-orders"),
        "{words}"
    );
    first.leave().await;
    assert_eq!(holder(cluster, &namespace), "");
    second.lock(&identity()).await.unwrap();
    second.leave().await;
}

#[tokio::test]
async fn a_server_that_goes_away_after_the_start_does_not_end_the_run_and_what_was_applied_is_kept_when_it_is_back() {
    let cluster = ControlPlane::start();
    let namespace = cluster.namespace("alone");
    let mut run = context(&cluster.admin_kubeconfig(), &namespace);
    run.lock(&identity()).await.unwrap();
    let mut kept = run.document(&identity()).await.unwrap();
    assert_eq!(kept.load::<String>().await.unwrap(), None);
    cluster.stop_api();
    // A renewal fails meanwhile.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(run.check_locks(), Ok(()));
    let saving = kept.save(&"applied");
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.start_api();
    };
    let (saved, ()) = tokio::join!(saving, back);
    saved.unwrap();
    let mut next = run.document(&identity()).await.unwrap();
    assert_eq!(next.load::<String>().await.unwrap().as_deref(), Some("applied"));
    assert!(holder(&cluster, &namespace).ends_with(&run.run_id.to_string()));
    run.leave().await;
    assert_eq!(holder(&cluster, &namespace), "");
}

#[tokio::test]
async fn a_role_that_lacks_a_rule_is_named_before_anything_is_changed() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("alone");
    let mut run = context(&cluster.kubeconfig_of(&namespace, "default"), &namespace);
    let words = format!("{:#}", run.lock(&identity()).await.unwrap_err());
    let rule = "{apiGroups: [\"coordination.k8s.io\"], resources: [\"leases\"], verbs: [\"get\"]}";
    assert!(words.contains(&format!("the ServiceAccount {namespace}/default may not get leases")), "{words}");
    assert!(words.contains(rule), "{words}");
}

#[tokio::test]
async fn live_configmaps_are_documents_and_the_kept_one_is_none_of_them() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("alone");
    let run = context(&cluster.admin_kubeconfig(), &namespace);
    run.document(&identity()).await.unwrap().save(&"applied").await.unwrap();
    let manifest = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "orders", "labels":
        {"app.kubernetes.io/managed-by": "kafka-toolbox"}}, "data": {"b.yaml": "topics: []", "a.yaml": "topics: []"}}"#;
    cluster.kubectl_with_input(&["apply", "--namespace", &namespace, "-f", "-"], manifest);
    let (found, faults) =
        run.config_map_sources(&[], &["app.kubernetes.io/managed-by=kafka-toolbox".into()]).await.unwrap();
    assert_eq!(faults, []);
    let labels: Vec<_> = found.iter().map(|source| source.label.to_string()).collect();
    let expected = ["a.yaml", "b.yaml"].map(|key| format!("configmap {namespace}/orders, key {key}"));
    assert_eq!(labels, expected);
}
