//! `toolbox rbac`: what it prints is enough for each command, on a real API server, and no more than the check asks for.

use std::process::Command;
use std::time::Duration;

use kafka_toolbox::clients::kubernetes::{Access, Kubernetes, Live};
use kafka_toolbox::context::rights::{LockKind, Setup, Workload, rules};
use kafka_toolbox::state::identity::ClusterRef;
use serde_json::Value;

use crate::live::kubernetes::control_plane::ControlPlane;

fn printed(arguments: &[&str]) -> Result<String, String> {
    let mut toolbox = Command::new(env!("CARGO_BIN_EXE_toolbox"));
    let output = toolbox.arg("rbac").args(arguments).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn what_is_printed_for_a_command_gives_its_service_account_every_right_that_it_checks() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("rbac");
    for workload in Workload::ALL {
        for (lock, word) in [(LockKind::Kafka, "kafka"), (LockKind::Lease, "lease")] {
            let words: Vec<_> = workload.command().split(' ').collect();
            let flags =
                ["--cluster", "main", "--owner", "shop", "--namespace", &namespace, "--lock", word, "--map", "map1"];
            let manifest = printed(&[&words[..], &flags].concat()).unwrap();
            cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &manifest);
            let main = ClusterRef { id: String::new(), name: Some("main".into()) };
            let setup =
                Setup { cluster: main, owner: "shop".into(), lock, reads_config_maps: true, maps: vec!["map1".into()] };
            let rights: Vec<_> =
                rules(workload, &setup).iter().flat_map(kafka_toolbox::context::rights::Rule::rights).collect();
            let access = |account: &str| Access {
                kubeconfig: Some(cluster.kubeconfig_of(&namespace, account)),
                ..Access::default()
            };
            let door = Live::connect(&access(workload.name()), Duration::from_secs(10)).await.unwrap();
            assert_eq!(door.lacking(&namespace, &rights).await.unwrap(), [], "{}", workload.command());
            let nobody = Live::connect(&access("default"), Duration::from_secs(10)).await.unwrap();
            assert_eq!(nobody.lacking(&namespace, &rights).await.unwrap(), rights);
        }
    }
}

#[test]
fn the_first_word_of_a_command_is_enough_and_the_names_follow_cluster_and_owner() {
    let text = printed(&["topics", "--cluster", "Orders_EU", "--owner", "shop"]).unwrap();
    assert_eq!(text, printed(&["topics", "apply", "--cluster", "Orders_EU", "--owner", "shop"]).unwrap());
    assert!(text.contains("resourceNames: [toolbox-topics-shop]") && !text.contains("namespace:"), "{text}");
    let text = printed(&["reassign", "--cluster", "orders-eu", "--namespace", "kafka"]).unwrap();
    assert!(text.contains("toolbox-moves-orders-eu, ") && text.contains("namespace: kafka"), "{text}");
    let json = printed(&["throttle", "run", "--cluster", "main", "-o", "json"]).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rules"][1]["resourceNames"][0], "toolbox-throttle-main");
}

#[test]
fn another_command_or_no_cluster_is_wrong_usage() {
    let error = printed(&["mapping", "--cluster", "main"]).unwrap_err();
    assert!(error.contains("`mapping` needs nothing in Kubernetes") && error.contains("`throttle run`"), "{error}");
    let error = printed(&["topics", "--toolbox-file", "/dev/null"]).unwrap_err();
    assert!(!error.is_empty());
}
