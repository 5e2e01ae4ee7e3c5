//! `ensemble apply` on real servers whose pods a real API server knows, with the rights of its Role and no more.

use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Outcome;
use rustix::process::Signal;
use serde_json::Value;

use crate::ensemble::bed::Bed;
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::zookeeper::{Role, Shape};
use crate::support::toolbox::Toolbox;

const STATEFUL_SET: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: zookeeper}
spec:
  serviceName: zookeeper
  replicas: 4
  podManagementPolicy: Parallel
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: zookeeper}}
  template:
    metadata: {labels: {app: zookeeper}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: zookeeper, image: zookeeper}]
";

/// A namespace with four pods; no node runs them, so what they do is written into their status.
struct World<'a> {
    cluster: &'a ControlPlane,
    namespace: String,
}

impl World<'_> {
    fn new() -> Self {
        let cluster = ControlPlane::shared();
        let world = Self { cluster, namespace: cluster.namespace("ensemble") };
        let rbac = Toolbox::alone().run(&["rbac", "ensemble", "--cluster", "main", "--namespace", &world.namespace]);
        let scale = ["role", "role-binding"].map(|name| {
            let path = format!("{}/manifests/ensemble/scale/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        });
        for manifest in [rbac.ends_with(0).out.as_str(), &scale[0], &scale[1], STATEFUL_SET] {
            let words = ["--namespace", &world.namespace, "apply", "--validate=strict", "-f", "-"];
            cluster.kubectl_with_input(&words, manifest);
        }
        (0..4).for_each(|ordinal| world.ready(ordinal, ""));
        world
    }

    fn kubectl(&self, words: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", self.namespace.as_str()], words].concat())
    }

    /// Waits for another pod than this one, and makes it ready.
    fn ready(&self, ordinal: u32, uid: &str) {
        let name = format!("zookeeper-{ordinal}");
        let begun = Instant::now();
        let get = ["--namespace", &self.namespace, "get", "pod", &name, "-o", "jsonpath={.metadata.uid}"];
        loop {
            let (is_there, found) = self.cluster.try_kubectl(&get);
            if is_there && found != uid {
                break;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{name} is not made");
            std::thread::sleep(Duration::from_millis(100));
        }
        let status = r#"{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}"#;
        self.kubectl(&["patch", "pod", &name, "--subresource=status", "--type=merge", "-p", status]);
    }

    fn set(&self) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "statefulset", "zookeeper", "-o", "json"])).unwrap()
    }

    fn replicas(&self) -> u64 {
        self.set()["spec"]["replicas"].as_u64().unwrap()
    }

    /// How often what the StatefulSet is to be was changed.
    fn changes(&self) -> u64 {
        self.set()["metadata"]["generation"].as_u64().unwrap()
    }

    /// The same ensemble, with its record and locks in Kubernetes.
    fn brings(&self, bed: Bed) -> Bed {
        let kubeconfig = self.cluster.kubeconfig_of(&self.namespace, "ensemble");
        let toolbox = bed
            .toolbox
            .with("TOOLBOX_STATE", "kubernetes")
            .with("TOOLBOX_KUBECONFIG", kubeconfig.to_str().unwrap())
            .with("TOOLBOX_NAMESPACE", &self.namespace)
            .with("TOOLBOX_ENSEMBLE", "main");
        Bed { toolbox, ..bed }
    }

    /// Four servers in these pods, of which the last one should leave.
    fn leaving(&self) -> Bed {
        let bed = self.brings(Bed::start(&Shape::of(4)));
        bed.run(&["adopt", "--size", "3"]).ends_with(0);
        let lines: Vec<_> = (1..=4).map(|number| bed.servers.member(number).line(Role::Participant)).collect();
        let pods = "zookeeper-0,zookeeper-1,zookeeper-2,zookeeper-3";
        let lines = lines.iter().map(String::as_str);
        let words: Vec<_> = ["join"].into_iter().chain(lines).chain(["--pods", pods]).collect();
        bed.run(&words).ends_with(0);
        bed.run(&["leave", "4"]).ends_with(0);
        bed
    }
}

#[test]
fn nobody_is_removed_while_a_pod_terminates_and_afterwards_the_pod_of_the_removed_server_is_stopped() {
    let world = World::new();
    let bed = world.leaving();

    world.kubectl(&[
        "patch",
        "pod",
        "zookeeper-0",
        "--type=merge",
        "-p",
        r#"{"metadata": {"finalizers": ["a.test/b"]}}"#,
    ]);
    let uid = world.kubectl(&["get", "pod", "zookeeper-0", "-o", "jsonpath={.metadata.uid}"]);
    world.kubectl(&["delete", "pod", "zookeeper-0", "--wait=false"]);
    let ran = bed.pass().ends_with(4);
    assert!(ran.out.contains("E_ROLLOUT") && ran.out.contains("zookeeper-0 terminating"), "{ran:#?}");
    let status = bed.run(&["status", "-o", "wide"]);
    assert!(status.out.contains("POD") && status.out.contains("zookeeper-0 (terminating)"), "{status:#?}");
    assert!(status.out.contains("refuse: E_ROLLOUT"), "{status:#?}");
    assert_eq!((bed.members(&[1]), bed.versions(1), world.replicas()), ([1, 2, 3, 4].into(), 1, 4));

    world.kubectl(&["patch", "pod", "zookeeper-0", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#]);
    world.ready(0, &uid);
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("server 4") && ran.out.contains("is removed"), "{ran:#?}");
    assert_eq!((bed.members(&[1]), world.replicas()), ([1, 2, 3].into(), 4), "one thing at a time");
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("StatefulSet zookeeper: replicas 4 -> 3: pod zookeeper-3 stops"), "{ran:#?}");
    assert_eq!(world.replicas(), 3);
    bed.servers.stop(4, Signal::KILL).unwrap();
    assert!(bed.apply().ends_with(0).out.contains("nothing to do"));
    bed.each_change_has_one_outcome();

    bed.servers.stop(3, Signal::KILL).unwrap();
    let container = r#"{"name": "zookeeper", "image": "a", "imageID": "", "ready": false, "restartCount": 5,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}"#;
    let status = format!(r#"{{"status": {{"containerStatuses": [{container}]}}}}"#);
    world.kubectl(&["patch", "pod", "zookeeper-2", "--subresource=status", "--type=merge", "-p", &status]);
    let status = bed.run(&["status"]).ends_with(5);
    let words = "server 3 exits again and again: pod zookeeper-2: container zookeeper: CrashLoopBackOff, 5 restarts, exit code 1";
    assert!(status.out.contains(words), "{status:#?}");
}

/// How attempts to lower the replicas ended, the first one first.
fn lowered(bed: &Bed) -> Vec<Outcome> {
    let events = bed.toolbox.audit();
    let ended = events.iter().filter(|event| event.kind == "ensemble.replicas_lowered" && !event.is_intent());
    ended.map(|event| event.outcome).collect()
}

#[test]
fn a_run_that_is_killed_while_it_lowers_replicas_is_settled_by_the_next_one_and_they_are_lowered_once() {
    let world = World::new();
    // A Lease of a dead run is waited for; a file is free at once.
    let bed = world.leaving().with("TOOLBOX_LOCK", "file");
    bed.pass_until(0);
    assert_eq!((bed.members(&[1]), world.replicas()), ([1, 2, 3].into(), 4));
    let changes = world.changes();
    let dies = |point: &str| {
        let begun = Instant::now();
        loop {
            let ran = bed.toolbox.run_until(point, &Bed::line(&["apply", "--once"]));
            if ran.code.is_none() {
                return ran;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{point}: {ran:#?}");
        }
    };
    let killed = dies("ensemble.scaling:1");
    assert!(killed.out.contains("replicas 4 -> 3"), "{killed:#?}");
    assert_eq!((world.replicas(), world.changes(), lowered(&bed)), (4, changes, vec![]));
    // Whichever verb comes next asks the API server: here one that finds nothing to do itself.
    let line = bed.servers.member(1).line(Role::Participant);
    let said = bed.run(&["join", &line]).ends_with(0);
    assert!(said.err.contains("the cluster shows how 1 of its changes ended"), "{said:#?}");
    assert_eq!((world.replicas(), lowered(&bed)), (4, vec![Outcome::Failed]), "{said:#?}");

    dies("ensemble.scaled:1");
    assert_eq!((world.replicas(), world.changes(), lowered(&bed)), (3, changes + 1, vec![Outcome::Failed]));
    bed.servers.stop(4, Signal::KILL).unwrap();
    let ran = bed.apply().ends_with(0);
    assert!(ran.out.contains("nothing to do"), "{ran:#?}");
    assert_eq!(lowered(&bed), [Outcome::Failed, Outcome::Done], "{ran:#?}");
    assert!(bed.apply().ends_with(0).out.contains("nothing to do"));
    assert_eq!((world.replicas(), world.changes(), bed.toolbox.files("open")), (3, changes + 1, 0), "no extra change");
    bed.each_change_has_one_outcome();
}
