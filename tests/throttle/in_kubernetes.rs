//! `throttle run` with the ServiceAccount of its manifests, on a real API server: its Lease, its record and the overrides
//! are kept there, and its rights are enough and no more.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::live::{begin_slowly, cluster, create, leader, replicas};
use crate::live::kafka::Kind;
use crate::live::kafka::records::fill;
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::manifests::Overlay;
use crate::support::toolbox::Toolbox;

#[test]
fn an_agent_paces_a_move_and_hears_of_overrides_with_the_rights_of_its_service_account() {
    let kubernetes = ControlPlane::shared();
    let namespace = kubernetes.namespace("throttle");
    let kafka = cluster(Kind::Kafka43Kraft);
    let toolbox = Toolbox::new(&kafka.bootstrap());
    create(&toolbox, "orders");
    fill(&kafka, "orders", 20_000, 1_000).unwrap();
    Overlay::new(&namespace, &kafka.bootstrap(), "").apply(kubernetes);
    let account = kubernetes.kubeconfig_of(&namespace, "throttle");
    let settings = format!("clusters: {{main: {{bootstrapServers: \"{}\"}}}}\n", kafka.bootstrap());
    let settings = toolbox.file("toolbox.yaml", &settings);
    let place = ["--state", "kubernetes", "--namespace", &namespace, "--kubeconfig", account.to_str().unwrap()];
    let place = [&place[..], &["--cluster", "main", "--toolbox-file", &settings]].concat();
    let command = |line: &[&str]| -> Command {
        let mut command = toolbox.command(&[line, &place[..]].concat());
        command.env_remove("TOOLBOX_BOOTSTRAP_SERVER");
        command
    };
    let (before, _) = replicas(&toolbox, "orders");
    let (from, to) = leader(&before);
    begin_slowly(&kafka, &toolbox, ("orders", from, to));
    // A network so slow that the move is still running when the override comes.
    let agent = ["throttle", "run", "--interval", "1s", "--capacity", "1MB/s"];
    let agent = command(&agent).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let output = command(&["throttle", "set", "4MB/s"]).output().unwrap();
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && words.contains("is asked for 4.0 MB/s on all brokers"), "{words}");
    std::thread::sleep(Duration::from_secs(3));
    Command::new("kill").args(["-TERM", &agent.id().to_string()]).status().unwrap();
    let ended = agent.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "asked to stop, it ends well: {words}");
    assert!(words.contains("-> 4.0 MB/s"), "the override came into force: {words}");
    let last = ["throttle", "run", "--until-idle", "--interval", "1s", "--capacity", "50MB/s"];
    let output = command(&last).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert_eq!(replicas(&toolbox, "orders").1.len(), 2, "{words}");
    let may_not = |line: &str| {
        let arguments: Vec<_> = ["--namespace", &namespace].into_iter().chain(line.split(' ')).collect();
        let output = kubernetes.kubectl_as(&account, &arguments, "");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("is forbidden"), "kubectl {line} must be forbidden: {words}");
    };
    for line in ["get configmaps", "get secrets", "get pods", "get leases", "delete configmap topics-shop", "get nodes"]
    {
        may_not(line);
    }
}
