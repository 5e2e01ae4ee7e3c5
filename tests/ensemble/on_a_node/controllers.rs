//! `manifests/controllers` and `manifests/ensemble` with real controllers of Kafka 4.3.

use serde_json::{Value, json};

use super::bed::{Overlay, Script, World};
use crate::live::kafka::jars::Package;

const PODS: [&str; 3] = ["controller-0", "controller-1", "controller-2"];

/// The key `cluster-id` of manifests/kafka.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

const SCRIPTS: [Script; 2] = [
    Script { name: "kafka-storage.sh", line: "JAVA $KAFKA_HEAP_OPTS -cp LIBS kafka.tools.StorageTool \"$@\"" },
    Script { name: "kafka-server-start.sh", line: "JAVA $KAFKA_HEAP_OPTS $KAFKA_OPTS -cp LIBS kafka.Kafka \"$@\"" },
];

/// Addresses: the id of a controller, from 10 on, is part of its own.
const PATCHES: &str = r#"- target: {kind: StatefulSet}
  patch: |
    apiVersion: apps/v1
    kind: StatefulSet
    metadata: {name: controller}
    spec:
      template:
        spec:
          initContainers:
            - {name: prestart, env: [{name: TOOLBOX_CONTROLLER_FIRST_ID, value: "10"}]}
          containers:
            - name: kafka
              env:
                - {name: INDEX, valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}}
                - {name: TOOLBOX_PROBE_ADDRESS, value: "NETWORK1$(INDEX):9093"}
                - {name: KAFKA_HEAP_OPTS, value: -Xmx256m}"#;

/// Applies the manifests: a quorum that is begun by its first pod, and an agent without pods.
fn apply(world: &World) {
    let network = world.network(3);
    let addresses: Vec<_> = (10..13).map(|id| format!("{network}{id}:9093")).collect();
    let own = include_str!("../../../manifests/controllers/server.properties");
    let properties = own.replace("://:9093", &format!("://{network}{{id}}:9093"));
    let properties = properties.replace("{pod-name}.controller.{namespace}.svc", &format!("{network}{{id}}"));
    let properties: String = properties
        .lines()
        .map(|line| match line.split_once('=') {
            Some((key @ "controller.quorum.bootstrap.servers", _)) => format!("{key}={}\n", addresses.join(",")),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = json!({"clusters": {"main": {"clusterId": CLUSTER}}});
    world.apply(&Overlay {
        parts: &["kafka", "controllers"],
        set: ("controller", "kafka"),
        patches: &PATCHES.replace("NETWORK", &network),
        agent: json!([
            {"name": "TOOLBOX_STATE_FOLDER", "value": "/var/lib/kafka-toolbox"},
            {"name": "TOOLBOX_BOOTSTRAP_CONTROLLER", "value": addresses.join(",")},
            {"name": "TOOLBOX_ENSEMBLE_REST", "value": "1s"},
            {"name": "TOOLBOX_ENSEMBLE_INTERVAL", "value": "1s"},
        ]),
        port: 8081,
        files: vec![
            ("toolbox", "toolbox.yaml", settings.to_string()),
            ("controllers", "server.properties", properties),
        ],
        image: ("apache/kafka", "/opt/kafka", Package::Kafka43, &SCRIPTS),
    });
}

#[test]
fn pods_of_a_quorum_are_formatted_by_prestart_and_are_ready_once_the_agent_made_their_controllers_voters() {
    let Some(world) = World::new("controllers") else { return };
    apply(&world);
    world.until_ready(PODS[0]);
    for pod in PODS {
        world.until(&format!("{pod} to have its files"), || world.prestart(pod) == "Completed");
    }
    let directories: Vec<_> = (0..3).map(|ordinal| is_formatted(&world, ordinal)).collect();
    let ask = |pod: &str| world.exec((pod, "kafka"), &["/toolbox/toolbox", "probe", "kafka", "controller"]);
    for pod in PODS.into_iter().skip(1) {
        world.until(&format!("the controller of {pod} to follow"), || {
            ask(pod).1.contains(" is no voter: the voters are 10")
        });
        assert!(!ask(pod).0 && !world.is_ready(pod), "{pod}");
    }
    let record = world.record("toolbox-ensemble-main-controllers");
    let recorded = |record: &Value, what: &str| ["10", "11", "12"].map(|id| record["members"][id][what].clone());
    assert_eq!(recorded(&record, "directory").to_vec(), directories, "{record:#}");
    assert_eq!(record["lastVoters"]["voters"].as_array().unwrap().len(), 1, "{record:#}");

    world.starts_agent();
    for pod in PODS {
        world.until_ready(pod);
        let (is_ready, said) = ask(pod);
        assert!(is_ready, "{pod}: {said}");
    }
    world.until("the record to have three voters", || {
        let record = world.record("toolbox-ensemble-main-controllers");
        record["op"].is_null() && record["lastVoters"]["voters"].as_array().unwrap().len() == 3
    });
    let record = world.record("toolbox-ensemble-main-controllers");
    assert_eq!(recorded(&record, "state"), ["voter", "voter", "voter"], "{record:#}");
    world.until("events of two changes", || world.count("Deployment/ensemble", "EnsembleReconfigured") >= 2);
    assert!(world.count("StatefulSet/controller", "EnsembleFormatted") >= 3, "{}", world.events());
}

/// The disk of a pod is formatted for the cluster, and its server starts from the properties that were filled in; its directory id.
fn is_formatted(world: &World, ordinal: usize) -> Value {
    let (of, id, network) = ((PODS[ordinal], "kafka"), ordinal + 10, world.network(3));
    world.until(&format!("the server of {} to run", of.0), || world.exec(of, &["/busybox", "true"]).0);
    let properties = world.file(of, "/var/run/controller/server.properties");
    for line in [format!("node.id={id}"), format!("listeners=CONTROLLER://{network}{id}:9093")] {
        assert!(properties.lines().any(|it| it == line), "{line} is not in\n{properties}");
    }
    let meta = world.file(of, "/var/lib/kafka/data/meta.properties");
    assert!(meta.contains(&format!("cluster.id={CLUSTER}")) && meta.contains(&format!("node.id={id}")), "{meta}");
    let directory = meta.lines().find_map(|line| line.strip_prefix("directory.id=")).unwrap();
    let (_, owner) = world.exec(of, &["/busybox", "stat", "-c", "%u", "/var/lib/kafka/data/meta.properties"]);
    assert_eq!(owner, "1000\n");
    directory.into()
}
