//! `rollout drain-guard` under a real API server, with real brokers: evictions are denied while a server may not stop, one is
//! allowed at a time, and a guard that does not run denies all.
//!
//! There is no node: pods run because their status says so.

use std::time::Duration;

use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};
use kafka_toolbox::state::place::{CLUSTER_ID, COMPONENT};

use super::guarded::Guarded;
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::supervisor::wait_until;

const PODS: [&str; 3] = ["kafka-map1-0", "kafka-map1-1", "kafka-map1-2"];

/// Makes a pod that runs, as far as its status tells.
fn run_pod(guarded: &Guarded<'_>, name: &str) {
    let pod = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}", "labels": {{"app": "kafka"}}}},
            "spec": {{"containers": [{{"name": "kafka", "image": "kafka"}}]}}}}"#
    );
    let namespace = ["--namespace", &guarded.namespace];
    guarded.kubernetes.kubectl_with_input(&[&namespace[..], &["create", "-f", "-"]].concat(), &pod);
    let running = r#"{"status": {"phase": "Running"}}"#;
    guarded.kubectl(&["patch", "pod", name, "--subresource=status", "--type=merge", "-p", running]);
}

#[test]
fn an_eviction_waits_for_the_brokers_and_one_server_is_out_at_a_time() {
    let kubernetes = ControlPlane::shared();
    let kafka = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    let bootstrap = kafka.bootstrap();
    let create = ["--create", "--topic", "orders", "--partitions=6", "--replication-factor=3", "--config"];
    let create = [&["--bootstrap-server", bootstrap.as_str()], &create[..], &["min.insync.replicas=2"]].concat();
    kafka.tool("org.apache.kafka.tools.TopicCommand", &create).unwrap();
    let namespace = kubernetes.namespace("draining");
    let mut guarded = Guarded::new(kubernetes, &kafka, &namespace);
    guarded.register(&kafka, &PODS);
    for pod in PODS {
        run_pod(&guarded, pod);
    }

    let (is_allowed, answer) = guarded.evict(PODS[0]);
    assert!(!is_allowed && answer.contains("failed calling webhook"), "nobody answers, so nobody goes: {answer}");
    guarded.start(&[]);
    a_lock_under_another_name_denies(&guarded, kafka.id());
    a_dry_run_leaves_no_trace(&guarded);

    let refusals = guarded.evict_in_the_end(PODS[0], Duration::from_secs(20));
    assert!(
        refusals[0].contains("a second look in 1 s decides") && refusals[0].contains("TooManyRequests"),
        "{refusals:?}"
    );
    assert!(!guarded.lock_holder().is_empty());
    let (is_allowed, answer) = guarded.evict(PODS[1]);
    assert!(!is_allowed && answer.contains("E_DISRUPTION: pod kafka-map1-0 (broker 1) is out"), "{answer}");

    run_pod(&guarded, PODS[0]);
    wait_until("the lock to be given back", Duration::from_secs(30), || guarded.lock_holder().is_empty());
    while_another_broker_is_out(&guarded, &kafka);
    what_was_recorded(&guarded);

    let said = guarded.stop();
    assert!(said.contains("the lock of disruptions is left to run out"), "{said}");
    assert!(!guarded.lock_holder().is_empty(), "an evicted server is still out");
    let (is_allowed, answer) = guarded.evict(PODS[1]);
    assert!(!is_allowed && answer.contains("failed calling webhook"), "{answer}");
}

/// A run that has another name for the cluster holds its lock; then it has died, and the guard's Role does not name that Lease.
fn a_lock_under_another_name_denies(guarded: &Guarded<'_>, cluster_id: &str) {
    let cluster = ClusterRef { id: cluster_id.to_owned(), name: Some("second".to_owned()) };
    let identity = Identity { purpose: Purpose::Disruption, cluster, owner: None };
    let (name, label, now) = (identity.object_name(), identity.cluster_label(), jiff::Timestamp::now());
    let lease = format!(
        r#"{{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {{"name": "{name}", "labels":
            {{"{COMPONENT}": "run-lock", "{CLUSTER_ID}": "{label}"}}}},
            "spec": {{"holderIdentity": "toolbox-1_run", "leaseDurationSeconds": 30, "renewTime": "{now:.6}"}}}}"#
    );
    let namespace = ["--namespace", &guarded.namespace];
    guarded.kubernetes.kubectl_with_input(&[&namespace[..], &["create", "-f", "-"]].concat(), &lease);
    let (is_allowed, answer) = guarded.evict(PODS[2]);
    assert!(!is_allowed && answer.contains("E_LOCKED: another run stops servers of this cluster"), "{answer}");
    assert!(answer.contains(&format!("{name} is held by toolbox-1_run")), "{answer}");
    let old = r#"{"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}"#;
    guarded.kubectl(&["patch", "lease", &name, "--type=merge", "-p", old]);
    let mut said = String::new();
    wait_until("the Lease to be named that nobody may take over", Duration::from_secs(20), || {
        let (is_allowed, answer) = guarded.evict(PODS[2]);
        assert!(!is_allowed, "{answer}");
        said = answer;
        said.contains("does not name it")
    });
    let command = format!("kubectl --namespace {} delete lease {name}", guarded.namespace);
    assert!(said.contains("E_LOCKED") && said.contains(&command), "{said}");
    guarded.kubectl(&["delete", "lease", &name]);
}

fn a_dry_run_leaves_no_trace(guarded: &Guarded<'_>) {
    let (is_allowed, answer) = guarded.evict_with(PODS[0], r#"{"dryRun": ["All"]}"#);
    assert!(is_allowed, "{answer}");
    assert_eq!(guarded.lock_holder(), "");
    assert!(guarded.kubectl(&["get", "pods", "-o", "name"]).contains(PODS[0]));
    assert!(!guarded.said().contains("allowed:"), "{}", guarded.said());
}

fn while_another_broker_is_out(guarded: &Guarded<'_>, kafka: &Cluster) {
    kafka.stop_broker(2, Signal::Kill).unwrap();
    kafka.await_brokers(&[1, 3]).unwrap();
    let (is_allowed, answer) = guarded.evict(PODS[2]);
    assert!(!is_allowed && answer.contains("E_MAY_NOT_STOP: broker 3 may not stop now"), "{answer}");
    assert!(answer.contains("other brokers are not registered: 2"), "{answer}");
    kafka.start_broker(2).unwrap();
    guarded.evict_in_the_end(PODS[2], Duration::from_secs(40));
    assert!(!guarded.kubectl(&["get", "pods", "-o", "name"]).contains(PODS[2]));
}

fn what_was_recorded(guarded: &Guarded<'_>) {
    let said = guarded.said();
    let count = |words: &str| said.matches(words).count();
    assert_eq!(count("allowed: eviction of pod"), 2, "{said}");
    assert_eq!(count("back in sync"), 1, "{said}");
    let denied = "denied: eviction of pod";
    assert_eq!(
        count(&format!("{denied} {}/{}, asked for by admin: E_MAY_NOT_STOP", guarded.namespace, PODS[0])),
        1,
        "{said}"
    );
    let output = guarded.toolbox.command(&["events", "list", "-o", "json"]).output().unwrap();
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    for kind in ["rollout.eviction_allowed", "rollout.eviction_ended", "rollout.refused"] {
        assert!(events.contains(kind), "{kind}: {events}");
    }
    for line in ["get pods", "get configmaps", "get secrets", "delete pod kafka-map1-1", "get nodes"] {
        let account = guarded.kubernetes.kubeconfig_of(&guarded.namespace, "drain-guard");
        let arguments: Vec<_> = ["--namespace", &guarded.namespace].into_iter().chain(line.split(' ')).collect();
        let output = guarded.kubernetes.kubectl_as(&account, &arguments, "");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("is forbidden"), "kubectl {line} must be forbidden: {words}");
    }
}
