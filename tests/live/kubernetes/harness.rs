//! What other tests rely on: the control plane starts, keeps people apart, and leaves nothing behind.

use std::time::{Duration, Instant};

use super::control_plane::ControlPlane;
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
