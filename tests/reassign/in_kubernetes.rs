//! `reassign` with the ServiceAccount of its manifests, on a real API server: lock, record, control and throttles are
//! kept there, and its rights are enough and no more.

use std::process::Command;

use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::manifests::Overlay;
use crate::reassign::bench::{Row, plan};
use crate::reassign::live::create;
use crate::support::toolbox::Toolbox;

#[test]
fn a_job_moves_pauses_and_takes_back_with_the_rights_of_its_service_account() {
    let kubernetes = ControlPlane::shared();
    let namespace = kubernetes.namespace("reassign");
    let kafka = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    create(&kafka, "orders", "2:1,1:2");
    fill(&kafka, "orders", 20_000, 1_000).unwrap();
    Overlay::new(&namespace, &kafka.bootstrap(), "").apply(kubernetes);
    let account = kubernetes.kubeconfig_of(&namespace, "reassign");
    let toolbox = Toolbox::new(&kafka.bootstrap());
    let settings = format!("clusters: {{main: {{bootstrapServers: \"{}\"}}}}\n", kafka.bootstrap());
    let settings = toolbox.file("toolbox.yaml", &settings);
    let place = ["--state", "kubernetes", "--namespace", &namespace, "--kubeconfig", account.to_str().unwrap()];
    let place = [&place[..], &["--cluster", "main", "--toolbox-file", &settings, "--yes"]].concat();
    let command = |line: &[&str]| -> Command {
        let mut command = toolbox.command(&[line, &place[..]].concat());
        command.env_remove("TOOLBOX_BOOTSTRAP_SERVER");
        command
    };
    let run = |line: &[&str], code: i32| {
        let output = command(line).output().unwrap();
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {words}");
        words
    };
    let rows: [Row<'_>; 2] = [("orders", 0, &[2, 1], &[3, 1], 0), ("orders", 1, &[1, 2], &[1, 3], 0)];
    let file = toolbox.file("plan.json", &plan(kafka.id(), &rows));
    // So slow that it does not end by itself.
    let slow = ["reassign", "execute", &file, "--max-risk", "moves-data", "--throttle", "1kB/s", "--tick", "500ms"];
    let mut executing = command(&slow).spawn().unwrap();
    while !run(&["reassign", "status", "--sample", "100ms"], 0).contains("2 moving") {
        assert!(executing.try_wait().unwrap().is_none(), "it runs");
    }
    run(&["reassign", "pause"], 0);
    run(&["reassign", "resume"], 0);
    let refused = run(&slow, 4);
    assert!(refused.contains("another run"), "{refused}");
    let cancelled = run(&["reassign", "cancel"], 0);
    assert!(cancelled.contains("2 moves taken back"), "{cancelled}");
    assert_eq!(executing.wait().unwrap().code(), Some(4), "a cancel ends the run");
    let line = ["reassign", "execute", &file, "--include-cancelled", "--max-risk", "moves-data"];
    let done = run(&line, 0);
    assert!(done.contains("2 of 2 partitions are as planned"), "{done}");
    run(&["reassign", "verify"], 0);

    let may_not = |line: &str| {
        let arguments: Vec<_> = ["--namespace", &namespace].into_iter().chain(line.split(' ')).collect();
        let output = kubernetes.kubectl_as(&account, &arguments, "");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("is forbidden: User \"system:serviceaccount:"), "kubectl {line}: {words}");
    };
    for line in ["get secrets", "get pods", "get configmaps", "get configmap other", "get leases", "get jobs"] {
        may_not(line);
    }
    may_not("delete configmap toolbox-moves-main");
    may_not("get lease toolbox-moves-main");
}
