//! The manifests of brokers on a real kubelet: identity comes from the init container, a pod is ready only while its broker is
//! in sync, and a drain waits for the brokers.
//!
//! The pods hold no Kafka: their probes ask real brokers that run beside the node, each the one whose id its pod was given.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::guarded::Guarded;
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape, Signal, throttle};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::image::pause;
use crate::live::kubernetes::manifests::copy;
use crate::live::kubernetes::node::Node;
use crate::live::kubernetes::supervisor::wait_until;
use crate::support::toolbox::Toolbox;

/// For how long a broker is kept behind: readiness is asked each second.
const BEHIND_FOR: Duration = Duration::from_secs(8);

/// What is laid over `manifests/kafka/map`: no image of Kafka, the program of this build with its libraries, three pods on
/// one node.
const MAP: &str = r#"namespace: NAMESPACE
resources: [../../manifests/kafka/map]
components: [../../manifests/kafka/map-name]
patches:
  - target: {kind: StatefulSet}
    patch: |
      - {op: remove, path: /spec/template/spec/affinity}
      - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 1}
      - {op: remove, path: /spec/template/spec/containers/0/ports}
      - {op: remove, path: /spec/template/spec/containers/0/resources}
      - {op: replace, path: /spec/template/spec/containers/0/image, value: "localhost/pause:1"}
      - {op: replace, path: /spec/template/spec/containers/0/command, value: [/busybox, sleep, "100000"]}
      - {op: replace, path: /spec/template/spec/containers/0/startupProbe/exec/command, value: LIVE}
      - {op: replace, path: /spec/template/spec/containers/0/livenessProbe/exec/command, value: LIVE}
      - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/exec/command, value: READY}
      - {op: replace, path: /spec/template/spec/containers/0/startupProbe/periodSeconds, value: 1}
      - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 1}
      - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/failureThreshold, value: 1}
      - {op: replace, path: /spec/template/spec/initContainers/1/image, value: "localhost/pause:1"}
      - {op: replace, path: /spec/template/spec/initContainers/1/command, value: [/busybox, "true"]}
      - {op: replace, path: /spec/template/spec/initContainers/0/image, value: "localhost/pause:1"}
      - {op: add, path: /spec/template/spec/initContainers/0/command, value: [/toolbox/toolbox]}
      - {op: add, path: /spec/template/spec/initContainers/0/args/-, value: --rack-optional}
      - {op: add, path: /spec/template/spec/initContainers/0/volumeMounts/-, value: {name: toolbox-binary, mountPath: /toolbox}}
      - {op: add, path: /spec/template/spec/initContainers/0/volumeMounts/-, value: {name: lib, mountPath: /lib}}
      - {op: add, path: /spec/template/spec/initContainers/0/volumeMounts/-, value: {name: lib64, mountPath: /lib64}}
      - {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: lib, mountPath: /lib}}
      - {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: lib64, mountPath: /lib64}}
      - {op: add, path: /spec/template/spec/volumes/-, value: {name: lib, hostPath: {path: /lib}}}
      - {op: add, path: /spec/template/spec/volumes/-, value: {name: lib64, hostPath: {path: /lib64}}}
  - target: {kind: StatefulSet}
    patch: |
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: kafka-map1}
      spec:
        template:
          spec:
            volumes:
              - {name: toolbox-binary, emptyDir: null, hostPath: {path: BINARY}}
"#;

/// One cluster of one map.
const OVERLAY: &str = "namespace: NAMESPACE
resources: [../manifests/settings, ../manifests/kafka, ../manifests/kafka/storage, map1]
configMapGenerator:
  - name: toolbox
    behavior: merge
    files: [toolbox.yaml]
";

/// A probe of the broker whose id the pod was given.
fn probe(kafka: &Cluster, verb: &str) -> String {
    let address = |(id, address): (usize, &str)| format!("{id}) a={address};; ");
    let bootstrap = kafka.bootstrap();
    let addresses: String = (1..).zip(bootstrap.split(',')).map(address).collect();
    let script = format!(
        "case $(/busybox cat /var/run/kafka-identity/broker.id) in {addresses}esac; exec /toolbox/toolbox probe kafka {verb} --address $a"
    );
    format!("[/busybox, sh, -c, \"{script}\"]")
}

/// Applies the cluster, with a disk for each broker that says whose it is.
fn apply(kubernetes: &ControlPlane, kafka: &Cluster, (node, namespace): (&Node, &str)) {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests"), &folder.path().join("manifests"));
    let overlay = folder.path().join("overlay");
    std::fs::create_dir_all(overlay.join("map1")).unwrap();
    let settings = format!(
        "clusters: {{main: {{bootstrapServers: \"{}\", maps: {{map1: {{topics: '.*', brokers: [1-3]}}}}}}}}\n",
        kafka.bootstrap()
    );
    std::fs::write(overlay.join("toolbox.yaml"), settings).unwrap();
    std::fs::write(overlay.join("kustomization.yaml"), OVERLAY.replace("NAMESPACE", namespace)).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_toolbox")).parent().unwrap();
    let map = MAP.replace("NAMESPACE", namespace).replace("BINARY", binary.to_str().unwrap());
    let map = map.replace("LIVE", &probe(kafka, "live")).replace("READY", &probe(kafka, "ready"));
    std::fs::write(overlay.join("map1/kustomization.yaml"), map).unwrap();
    for broker in 1..=3 {
        let disk = kubernetes.folder().join(format!("disk-{broker}"));
        std::fs::create_dir_all(disk.join("log")).unwrap();
        let meta = format!("version=1\nnode.id={broker}\ncluster.id={}\n", kafka.id());
        std::fs::write(disk.join("log/meta.properties"), meta).unwrap();
        let volume = format!(
            r#"{{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {{"name": "disk-{broker}"}}, "spec": {{
                "capacity": {{"storage": "100Gi"}}, "accessModes": ["ReadWriteOnce"], "storageClassName": "kafka-local",
                "claimRef": {{"namespace": "{namespace}", "name": "data-kafka-map1-{}"}}, "local": {{"path": "{}"}},
                "nodeAffinity": {{"required": {{"nodeSelectorTerms": [{{"matchExpressions": [
                    {{"key": "kubernetes.io/hostname", "operator": "In", "values": ["{}"]}}]}}]}}}}}}}}"#,
            broker - 1,
            disk.display(),
            node.name()
        );
        kubernetes.kubectl_with_input(&["apply", "-f", "-"], &volume);
    }
    kubernetes.kubectl(&["label", "node", node.name(), "kafka-toolbox/map=map1"]);
    let rendered = kubernetes.kubectl(&["kustomize", overlay.to_str().unwrap()]);
    kubernetes.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
}

fn under_replicated(kafka: &Cluster) -> String {
    let bootstrap = kafka.bootstrap();
    let describe = ["--bootstrap-server", &bootstrap, "--describe", "--under-replicated-partitions"];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &describe).unwrap()
}

#[test]
fn a_pod_is_ready_only_when_its_broker_is_in_sync_and_is_evicted_only_while_no_other_is_out() {
    if !Node::is_possible() {
        return;
    }
    let kafka = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    let bootstrap = kafka.bootstrap();
    let create = ["--create", "--topic", "orders", "--partitions=6", "--replication-factor=3", "--config"];
    let create = [&["--bootstrap-server", bootstrap.as_str()], &create[..], &["min.insync.replicas=2"]].concat();
    kafka.tool("org.apache.kafka.tools.TopicCommand", &create).unwrap();
    kafka.stop_broker(2, Signal::Kill).unwrap();
    kafka.await_brokers(&[1, 3]).unwrap();
    let kubernetes = ControlPlane::start();
    let image = pause::image(kubernetes.folder());
    let node = Node::start(&kubernetes, &[&image]);
    let namespace = kubernetes.namespace("brokers");
    apply(&kubernetes, &kafka, (&node, &namespace));
    let ready = |pod: &str| kubernetes.is_ready(&namespace, pod);
    for pod in ["kafka-map1-0", "kafka-map1-2"] {
        wait_until(&format!("{pod} to be ready"), Duration::from_secs(90), || ready(pod));
    }
    let in_pod = ["--namespace", &namespace, "exec", "kafka-map1-2", "-c", "kafka", "--", "/busybox", "cat"];
    let id = kubernetes.kubectl(&[&in_pod[..], &["/var/run/kafka-identity/broker.id"]].concat());
    assert_eq!(id, "3\n", "the disk's id, as the init container found it");
    assert!(!ready("kafka-map1-1"), "its broker is out");
    comes_back_behind(&kubernetes, &kafka, &namespace);
    a_drain_waits(&kubernetes, &kafka, &namespace);
}

/// Broker 2 comes back, and copies next to nothing of what was written while it was out: its port is open, it is registered, and
/// its pod is not ready before it has all of it.
fn comes_back_behind(kubernetes: &ControlPlane, kafka: &Cluster, namespace: &str) {
    let pod = "kafka-map1-1";
    throttle::set(kafka, "orders", Some(1_024)).unwrap();
    fill(kafka, "orders", 80_000, 500).unwrap();
    kafka.start_broker(2).unwrap();
    // The startup probe is one of the port alone; the readiness probe begins once it has passed.
    let started = "jsonpath={.status.containerStatuses[?(@.name==\"kafka\")].started}";
    wait_until("the port's probe to pass", Duration::from_mins(1), || {
        kubernetes.try_kubectl(&["--namespace", namespace, "get", "pod", pod, "-o", started]).1 == "true"
    });
    let address = kafka.bootstrap().split(',').nth(1).unwrap().to_owned();
    let toolbox = Toolbox::alone();
    let begun = Instant::now();
    while begun.elapsed() < BEHIND_FOR {
        TcpStream::connect(&address).unwrap();
        toolbox.run(&["probe", "kafka", "live", "--timeout", "20s", "--address", &address]).ends_with(0);
        assert!(!kubernetes.is_ready(namespace, pod), "its broker is behind");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(under_replicated(kafka).contains("orders"), "all of that while it was behind");
    throttle::set(kafka, "orders", None).unwrap();
    wait_until("kafka-map1-1 to be ready", Duration::from_mins(1), || kubernetes.is_ready(namespace, pod));
    assert_eq!(under_replicated(kafka).trim(), "");
}

fn a_drain_waits(kubernetes: &ControlPlane, kafka: &Cluster, namespace: &str) {
    let mut guarded = Guarded::new(kubernetes, kafka, namespace);
    guarded.start(&[]);
    let uid = || guarded.kubectl(&["get", "pod", "kafka-map1-0", "-o", "jsonpath={.metadata.uid}"]);
    let before = uid();
    kafka.stop_broker(3, Signal::Kill).unwrap();
    kafka.await_brokers(&[1, 2]).unwrap();
    wait_until("kafka-map1-2 to be unready", Duration::from_secs(30), || {
        !kubernetes.is_ready(namespace, "kafka-map1-2")
    });
    let (is_allowed, answer) = guarded.evict("kafka-map1-0");
    assert!(!is_allowed && answer.contains("E_MAY_NOT_STOP: broker 1 may not stop now"), "{answer}");
    kafka.start_broker(3).unwrap();
    guarded.evict_in_the_end("kafka-map1-0", Duration::from_mins(1));
    assert_eq!(under_replicated(kafka).trim(), "");
    wait_until("a successor that is ready", Duration::from_mins(1), || {
        kubernetes.is_ready(namespace, "kafka-map1-0") && uid() != before
    });
    wait_until("the lock to be given back", Duration::from_secs(30), || guarded.lock_holder().is_empty());
    let said = guarded.stop();
    assert!(said.contains("broker 1 is back in sync"), "{said}");
}
