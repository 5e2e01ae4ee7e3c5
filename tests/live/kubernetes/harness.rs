//! What other tests rely on: the control plane starts, keeps people apart, and leaves nothing behind.

use std::time::{Duration, Instant};

use super::control_plane::ControlPlane;
use super::image;
use super::node::Node;
use super::supervisor::Supervisor;

#[test]
fn a_control_plane_answers_and_its_controllers_run() {
    let cluster = ControlPlane::shared();
    assert!(cluster.kubectl(&["version", "-o", "yaml"]).contains("gitVersion: v1.34.4"));
    let namespace = cluster.namespace("harness");
    let kubeconfig = cluster.kubeconfig_of(&namespace, "default");
    let output = cluster.kubectl_as(&kubeconfig, &["get", "secrets"], "");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&format!("\"system:serviceaccount:{namespace}:default\" cannot list")), "{error}");
}

#[test]
fn the_api_server_comes_back_with_what_it_knew() {
    let cluster = ControlPlane::start();
    let folder = cluster.admin_kubeconfig().parent().unwrap().to_owned();
    let namespace = cluster.namespace("harness");
    cluster.stop_api();
    let (succeeded, error) = cluster.try_kubectl(&["get", "namespaces"]);
    assert!(!succeeded && error.contains("was refused"), "{error}");
    cluster.start_api();
    assert!(cluster.kubectl(&["get", "namespaces"]).contains(&namespace));
    drop(cluster);
    assert!(!folder.exists(), "{} was left behind", folder.display());
}

#[test]
fn programs_end_with_whoever_started_them() {
    let mut supervisor = Supervisor::new("harness");
    supervisor.start("sleeper", &["sleep", "1000"]);
    let pid = std::fs::read_to_string(supervisor.folder().join("pid/sleeper")).unwrap();
    assert!(supervisor.is_running("sleeper"));
    let folder = supervisor.folder().to_owned();
    drop(supervisor);
    let end = Instant::now() + Duration::from_secs(5);
    while std::path::Path::new(&format!("/proc/{}", pid.trim())).exists() || folder.exists() {
        assert!(Instant::now() < end, "process {} or {} is left behind", pid.trim(), folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_real_node_runs_pods_and_leaves_nothing_behind() {
    if !Node::is_possible() {
        return;
    }
    let cluster = ControlPlane::start();
    let pause = image::pause::image(cluster.folder());
    let node = Node::start(&cluster, &[&pause]);
    let namespace = cluster.namespace("harness");
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": {"hostNetwork": true,
        "restartPolicy": "Never", "containers": [{"name": "pod", "image": "localhost/pause:1", "command": ["/busybox", "sh",
        "-c", "echo on $NODE; exec /busybox sleep 1000"], "env": [{"name": "NODE", "valueFrom": {"fieldRef":
        {"fieldPath": "spec.nodeName"}}}]}]}}"#;
    cluster.kubectl_with_input(&["--namespace", &namespace, "apply", "-f", "-"], pod);
    cluster.kubectl(&["--namespace", &namespace, "wait", "--for=condition=Ready", "pod/pod", "--timeout=30s"]);
    assert_eq!(cluster.kubectl(&["--namespace", &namespace, "logs", "pod"]), format!("on {}\n", node.name()));
    let said = cluster.kubectl(&["--namespace", &namespace, "exec", "pod", "--", "/busybox", "echo", "hello"]);
    assert_eq!(said, "hello\n");
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "{} is left behind", folder.display());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "mounts are left behind:\n{mounts}");
}
