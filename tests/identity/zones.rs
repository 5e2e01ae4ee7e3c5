//! Fault 33 on a real API server: the node of a broker has no zone, or another one than before. The init container runs with the
//! rights of the manifests' ServiceAccount and no more; nobody serves the node.

use std::time::Duration;

use kafka_toolbox::change::event::Severity;
use serde_json::Value;

use super::manifests::apply;
use super::pods::{MAPS, Pods};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::supervisor::wait_until;
use crate::support::toolbox::{Ran, Toolbox, finish};

const POD: &str = "kafka-map1-0";

const ZONE: &str = "topology.kubernetes.io/zone";

/// A pod of the StatefulSet `kafka-map1`, and a node that it would be on.
struct World<'a> {
    cluster: &'a ControlPlane,
    namespace: String,
    node: String,
    uid: String,
    pods: Pods,
}

impl World<'_> {
    fn new() -> Self {
        let cluster = ControlPlane::shared();
        let namespace = cluster.namespace("zones");
        apply(cluster, &namespace);
        let node = format!("node-{namespace}");
        // No pod of another test is to be placed there.
        let object =
            format!("{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}, spec: {{unschedulable: true}}}}");
        cluster.kubectl_with_input(&["apply", "-f", "-"], &object);
        cluster.kubectl(&["--namespace", &namespace, "scale", "statefulset", "kafka-map1", "--replicas=1"]);
        let get = ["--namespace", &namespace, "get", "pod", POD, "-o", "jsonpath={.metadata.uid}"];
        wait_until("the pod", Duration::from_mins(1), || cluster.try_kubectl(&get).0);
        let uid = cluster.kubectl(&get);
        let kubeconfig = cluster.kubeconfig_of(&namespace, "identity");
        let toolbox = Toolbox::alone()
            .with("TOOLBOX_STATE", "kubernetes")
            .with("TOOLBOX_KUBECONFIG", kubeconfig.to_str().unwrap())
            .with("TOOLBOX_NAMESPACE", &namespace)
            .with("TOOLBOX_EVENTS_TO", "kubernetes")
            .with("NODE_NAME", &node);
        let pods = Pods::of(toolbox, MAPS);
        pods.format(POD, "version=1\nnode.id=1001\ncluster.id=a\n");
        Self { cluster, namespace, node, uid, pods }
    }

    /// Labels the node; `-` takes the label away.
    fn is_in_zone(&self, zone: &str) {
        let label = if zone == "-" { format!("{ZONE}-") } else { format!("{ZONE}={zone}") };
        self.cluster.kubectl(&["label", "--overwrite", "node", &self.node, &label]);
    }

    /// Runs what the pod's init container runs.
    fn starts(&self, more: &[&str]) -> Ran {
        let claim = format!("data-{POD}");
        let mut command = self.pods.command(POD, &[&["--map=map1", "--claim", &claim], more].concat());
        finish(command.env("POD_UID", &self.uid))
    }

    /// The rack of broker 1001, as the registry has it.
    fn recorded(&self) -> String {
        let get = ["--namespace", &self.namespace, "get", "configmap", "toolbox-brokers-main-map1", "-o", "yaml"];
        self.cluster.try_kubectl(&get).1
    }

    /// Kubernetes Events about a rack that changed.
    fn events(&self) -> Vec<Value> {
        let get = ["--namespace", &self.namespace, "get", "events", "-o", "json"];
        let all: Value = serde_json::from_str(&self.cluster.kubectl(&get)).unwrap();
        let all = all["items"].as_array().unwrap().clone();
        all.into_iter().filter(|event| event["reason"] == "IdentityRackChanged").collect()
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // It belongs to no namespace.
        self.cluster.try_kubectl(&["delete", "node", &self.node, "--wait=false"]);
    }
}

#[test]
fn without_the_nodes_zone_a_broker_is_refused_and_a_zone_that_changed_is_an_event_or_a_refusal() {
    let world = World::new();
    let refused = world.starts(&[]).ends_with(4);
    let words = "E_RACK_UNKNOWN: no rack is known";
    assert!(refused.out.contains(words) && refused.out.contains("the node has no such label"), "{refused:#?}");
    assert!(!world.pods.out(POD).exists() && world.recorded().contains("NotFound"), "nothing is written");

    world.is_in_zone("eu-1a");
    world.starts(&[]).ends_with(0);
    assert_eq!(world.pods.output(POD, "rack.id"), "eu-1a\n");
    assert!(world.recorded().contains("eu-1a"), "{}", world.recorded());
    assert_eq!(world.starts(&[]).ends_with(0).lines(), ["nothing to do"]);

    world.is_in_zone("eu-1b");
    let refused = world.starts(&["--rack-immutable"]).ends_with(4);
    assert!(refused.out.contains("E_RACK_CHANGED: ") && refused.out.contains("eu-1a -> eu-1b"), "{refused:#?}");
    assert_eq!(world.pods.output(POD, "rack.id"), "eu-1a\n");
    assert_eq!((world.events(), world.recorded().contains("eu-1b")), (vec![], false), "nothing is written");
    let moved = world.starts(&[]).ends_with(0);
    assert!(moved.out.contains("! broker 1001: rack eu-1a -> eu-1b"), "{moved:#?}");
    assert_eq!(world.pods.output(POD, "rack.id"), "eu-1b\n");
    assert!(world.recorded().contains("eu-1b") && !world.recorded().contains("eu-1a"), "{}", world.recorded());
    is_told_once(&world);

    // The rack that was is no rack to start with.
    world.is_in_zone("-");
    assert!(world.starts(&[]).ends_with(4).out.contains(words));
    assert_eq!(world.pods.output(POD, "rack.id"), "eu-1b\n");
    assert_eq!(world.events().len(), 1);
}

/// The change is a warning in the audit log and in Kubernetes, about the StatefulSet; the next start has nothing to tell.
fn is_told_once(world: &World<'_>) {
    world.starts(&[]).ends_with(0);
    let audit = world.pods.toolbox.audit();
    let told: Vec<_> = audit.iter().filter(|event| event.kind == "identity.rack_changed").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].severity, Severity::Warning);
    let events = world.events();
    assert_eq!(events.len(), 1, "{events:#?}");
    let (event, about) = (&events[0], &events[0]["involvedObject"]);
    assert!(event["message"].as_str().unwrap().contains("broker 1001: rack eu-1a -> eu-1b"), "{event:#}");
    assert_eq!(
        (&event["type"], &about["kind"], &about["name"]),
        (&"Warning".into(), &"StatefulSet".into(), &"kafka-map1".into())
    );
}
