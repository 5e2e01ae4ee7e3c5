//! `manifests/zookeeper` and `manifests/ensemble` with real ZooKeeper servers.

use serde_json::json;

use super::bed::{Overlay, Script, World};
use crate::live::kafka::jars::Package;
use crate::live::zookeeper::{SUPER_PASSWORD, super_digest};

const PODS: [&str; 3] = ["zookeeper-0", "zookeeper-1", "zookeeper-2"];

/// Where the image of ZooKeeper is looked into for its script: a folder of the usual PATH.
const PLACE: &str = "/usr/local";

/// As the real one: `zkServer.sh --config FOLDER start-foreground`.
const START: Script = Script {
    name: "zkServer.sh",
    line: "JAVA $SERVER_JVMFLAGS -cp LIBS org.apache.zookeeper.server.quorum.QuorumPeerMain \"$2/zoo.cfg\"",
};

/// Addresses, and who may change the membership.
const PATCHES: &str = r#"- target: {kind: StatefulSet}
  patch: |
    - {op: test, path: /spec/template/spec/initContainers/1/args/8, value: "--server-line={pod-name}.zookeeper.{namespace}.svc:2888:3888;2181"}
    - {op: replace, path: /spec/template/spec/initContainers/1/args/8, value: "--server-line=NETWORK1{ordinal}:2888:3888;NETWORK1{ordinal}:2181"}
- target: {kind: StatefulSet}
  patch: |
    apiVersion: apps/v1
    kind: StatefulSet
    metadata: {name: zookeeper}
    spec:
      template:
        spec:
          initContainers:
            - {name: prestart, env: [{name: TOOLBOX_STATE_FOLDER, value: /var/lib/kafka-toolbox}]}
          containers:
            - name: zookeeper
              env:
                - {name: INDEX, valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}}
                - {name: TOOLBOX_PROBE_ADDRESS, value: "NETWORK1$(INDEX):2181"}
                - {name: SERVER_JVMFLAGS, value: "-Xmx96m -Dzookeeper.DigestAuthenticationProvider.superDigest=DIGEST"}"#;

/// Applies the manifests: an ensemble that is begun by its first pod, and an agent without pods.
fn apply(world: &World) {
    let network = world.network(2);
    let addresses: Vec<_> = (0..3).map(|ordinal| format!("{network}1{ordinal}:2181")).collect();
    let settings = json!({"clusters": {"main": {"zookeeper": addresses}}});
    world.kubectl(&[
        "create",
        "secret",
        "generic",
        "zookeeper-membership",
        "--from-literal=user=super",
        &format!("--from-literal=password={SUPER_PASSWORD}"),
    ]);
    world.apply(&Overlay {
        parts: &["zookeeper"],
        set: ("zookeeper", "zookeeper"),
        patches: &PATCHES.replace("NETWORK", &network).replace("DIGEST", &super_digest(SUPER_PASSWORD)),
        agent: json!([
            {"name": "TOOLBOX_STATE_FOLDER", "value": "/var/lib/kafka-toolbox"},
            {"name": "TOOLBOX_ENSEMBLE_REST", "value": "1s"},
            {"name": "TOOLBOX_ENSEMBLE_INTERVAL", "value": "1s"},
        ]),
        port: 8080,
        files: vec![("toolbox", "toolbox.yaml", settings.to_string())],
        image: ("zookeeper", PLACE, Package::Zookeeper, &[START]),
    });
}

#[test]
fn pods_of_an_ensemble_start_from_what_prestart_writes_and_are_ready_once_the_agent_made_their_servers_members() {
    let Some(world) = World::new("zookeeper") else { return };
    apply(&world);
    world.until_ready(PODS[0]);
    for pod in PODS {
        world.until(&format!("{pod} to have its files"), || world.prestart(pod) == "Completed");
    }
    for (ordinal, pod) in PODS.into_iter().enumerate() {
        starts_from_what_was_written(&world, ordinal, pod);
    }
    joiners_are_not_ready(&world);
    let record = world.record("toolbox-ensemble-main");
    let states = |record: &serde_json::Value| ["1", "2", "3"].map(|id| record["members"][id]["state"].clone());
    assert_eq!(record["members"]["2"]["pod"], PODS[1], "{record:#}");
    assert_eq!(record["lastConfig"]["config"]["membership"]["servers"].as_object().unwrap().len(), 1, "{record:#}");

    world.starts_agent();
    for pod in PODS {
        world.until_ready(pod);
    }
    for pod in PODS {
        let (_, said) = world.exec((pod, "zookeeper"), &["/toolbox/toolbox", "probe", "zookeeper", "ready"]);
        assert!(said.contains("one of 3 members"), "{pod}: {said}");
    }
    world.until("the record to have three voters", || {
        states(&world.record("toolbox-ensemble-main")) == ["voter", "voter", "voter"]
    });
    assert_eq!(world.record("toolbox-ensemble-main")["history"].as_array().unwrap().len(), 2, "one change a joiner");
    world.until("events of two changes", || world.count("Deployment/ensemble", "EnsembleReconfigured") >= 2);
    assert!(world.count("StatefulSet/zookeeper", "EnsembleWritten") > 0, "{}", world.events());
    let holder =
        world.kubectl(&["get", "lease", "toolbox-disruption-main-ensemble", "-o", "jsonpath={.spec.holderIdentity}"]);
    assert!(!holder.is_empty(), "the agent holds the lock of the ensemble");
    comes_back_as_a_member(&world);
}

/// The files of a pod, as its server sees them: the first one begins, the others join as observers. Nobody writes as root.
fn starts_from_what_was_written(world: &World, ordinal: usize, pod: &str) {
    let of = (pod, "zookeeper");
    world.until(&format!("the server of {pod} to run"), || world.exec(of, &["/busybox", "true"]).0);
    let (id, network) = (ordinal + 1, world.network(2));
    let line = |ordinal: usize, role: &str| {
        let address = format!("{network}1{ordinal}");
        format!("server.{}={address}:2888:3888:{role};{address}:2181\n", ordinal + 1)
    };
    let mut members = line(0, "participant");
    if ordinal > 0 {
        members.push_str(&line(ordinal, "observer"));
    }
    let written = world.file(of, "/data/conf/zoo.cfg.dynamic");
    assert_eq!(written, members, "{pod}");
    assert_eq!(world.file(of, "/data/myid"), format!("{id}\n"));
    let marker: serde_json::Value = serde_json::from_str(&world.file(of, "/data/.member")).unwrap();
    assert_eq!((&marker["id"], &marker["volume"]), (&id.into(), &world.volume(ordinal).into()), "{marker}");
    let settings = world.file(of, "/data/conf/zoo.cfg");
    for line in ["dataDir=/data", "db.autocreate=false", "standaloneEnabled=false", "autopurge.purgeInterval=12"] {
        assert!(settings.lines().any(|it| it == line), "{line} is not in\n{settings}");
    }
    let (_, owner) = world.exec(of, &["/busybox", "stat", "-c", "%u", "/data/myid", "/data/conf/zoo.cfg"]);
    assert_eq!(owner, "1000\n1000\n");
}

/// Their servers follow, and say so; without a vote that is not ready.
fn joiners_are_not_ready(world: &World) {
    for pod in PODS.into_iter().skip(1) {
        let ask = || world.exec((pod, "zookeeper"), &["/toolbox/toolbox", "probe", "zookeeper", "ready"]);
        world.until(&format!("the server of {pod} to follow"), || ask().1.contains("without a vote"));
        assert!(!ask().0 && !world.is_ready(pod), "{pod}");
        let (is_alive, said) = world.exec((pod, "zookeeper"), &["/toolbox/toolbox", "probe", "zookeeper", "live"]);
        assert!(is_alive, "{pod}: {said}");
    }
}

/// A pod that is deleted starts again from the live configuration, on the disk that it had.
fn comes_back_as_a_member(world: &World) {
    let pod = PODS[2];
    let uid = || world.try_kubectl(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"]).1;
    let before = uid();
    world.kubectl(&["delete", "pod", pod, "--wait=false"]);
    world.until("another pod that is ready", || uid() != before && world.is_ready(pod));
    assert_eq!(world.prestart(pod), "Completed");
    let (_, said) = world.exec((pod, "zookeeper"), &["/toolbox/toolbox", "probe", "zookeeper", "ready"]);
    assert!(said.contains("server 3 is ") && said.contains("one of 3 members"), "{said}");
}
