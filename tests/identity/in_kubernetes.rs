//! In memory: other pods, claims, labels, roles, and brokers that have the last replica.

use std::sync::Arc;

use kafka_toolbox::clients::kafka::KafkaError;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kubernetes::{self, Facts, ObjectName, Resource, Verb};
use kafka_toolbox::exit::Exit;

use super::pods::text;
use crate::clients::kubernetes::twin;
use crate::support::desk::{Desk, Said};
use crate::support::toolbox::audited;

/// A cluster in memory with a registry in Kubernetes.
struct Node {
    desk: Desk,
    server: Arc<kubernetes::Memory>,
}

fn facts(uid: &str) -> Facts {
    Facts { uid: uid.into(), ..Facts::default() }
}

impl Node {
    fn new(kafka: Memory) -> Self {
        let server = Arc::new(twin());
        let desk = Desk::new(kafka).in_kubernetes(server.clone());
        let maps = "clusters: {main: {bootstrapServers: memory:1, maps: {m: {topics: '.*', brokers: [1-6]}}}}\n";
        std::fs::write(desk.folder().join("toolbox.yaml"), maps).unwrap();
        std::fs::create_dir(desk.folder().join("disk")).unwrap();
        Self { desk, server }
    }

    fn has(&self, resource: Resource, name: &str, facts: Facts) {
        let namespace = if resource == Resource::Nodes { "" } else { "kafka" };
        self.server.add_facts(resource, ObjectName::new(namespace, name), facts);
    }

    async fn assign(&self, pod: &str, more: &[&str]) -> Said {
        self.run(pod, &[&["--rack-optional", "--events-to", "none"], more].concat()).await
    }

    async fn run(&self, pod: &str, more: &[&str]) -> Said {
        let place = |name: &str| self.desk.folder().join(name);
        let (file, disk, out) = (place("toolbox.yaml"), place("disk"), place(&format!("{pod}-out")));
        let uid = format!("uid-{pod}");
        let own = ["identity", "assign", "--yes", "--toolbox-file", text(&file), "--log-dirs", text(&disk), "--out"];
        self.desk.run(&[&own[..], &[text(&out), "--pod-name", pod, "--pod-uid", &uid], more].concat()).await
    }

    /// The same where a rack is needed, and the pod's own label names none.
    async fn start(&self, pod: &str, more: &[&str]) -> Said {
        self.run(pod, &[&["--node-name", "n1"], more].concat()).await
    }

    /// Node `n1` is in this zone, if it is in any.
    fn is_in_zone(&self, zone: Option<&str>) {
        let label = zone.map(|zone| ("topology.kubernetes.io/zone".to_owned(), zone.to_owned()));
        self.has(Resource::Nodes, "n1", Facts { labels: label.into_iter().collect(), ..facts("node") });
    }

    fn disk_holds(&self, id: i32) {
        let meta = format!("version=1\nnode.id={id}\ncluster.id=a\n");
        std::fs::write(self.desk.folder().join("disk/meta.properties"), meta).unwrap();
    }

    fn label(&self, resource: Resource, name: &str) -> Option<String> {
        use kafka_toolbox::clients::kubernetes::Kubernetes;
        let namespace = if resource == Resource::Nodes { "" } else { "kafka" };
        let name = ObjectName::new(namespace, name);
        let found = futures_util::FutureExt::now_or_never(self.server.facts(resource, &name)).unwrap().unwrap();
        found
            .and_then(|facts| facts.labels.into_iter().find(|(key, _)| key.starts_with("kafka-toolbox/")))
            .map(|(_, id)| id)
    }
}

/// A cluster whose brokers do not have the map's ids yet.
fn young() -> Memory {
    Memory::kraft(1).cluster_id("a")
}

#[tokio::test]
async fn an_id_whose_pod_runs_is_in_use_until_that_pod_is_gone() {
    let node = Node::new(young());
    let first = ["--allocation", "first-free", "--claim", "c"];
    node.has(Resource::Claims, "c", Facts { volume: Some("pv-1".into()), ..facts("claim") });
    node.assign("kafka-a", &first).await.ends_with(Exit::Done);
    node.disk_holds(2);
    node.has(Resource::Pods, "kafka-a", facts("uid-kafka-a"));
    let refused = node.assign("kafka-b", &first).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_ID_IN_USE: id 2 is that of pod kafka-a, which runs"), "{refused:#?}");
    node.has(Resource::Pods, "kafka-a", Facts { has_ended: true, ..facts("uid-kafka-a") });
    let taken = node.assign("kafka-b", &first).await.ends_with(Exit::Done);
    assert!(taken.out.contains("pod kafka-b takes over from kafka-a"), "{taken:#?}");
    node.server.forbid(Verb::Get, Resource::Pods);
    let refused = node.assign("kafka-c", &first).await.ends_with(Exit::Refused);
    assert!(
        refused.out.contains("whether it runs can't be known") && refused.out.contains("may not get pods"),
        "{refused:#?}"
    );
}

#[tokio::test]
async fn the_node_and_the_pod_are_labelled_only_where_that_is_asked_for() {
    let node = Node::new(young());
    node.has(Resource::Pods, "kafka-1", facts("uid-kafka-1"));
    node.has(Resource::Nodes, "n1", facts("node"));
    let at = ["--node-name", "n1"];
    node.assign("kafka-1", &at).await.ends_with(Exit::Done);
    assert_eq!((node.label(Resource::Pods, "kafka-1"), node.label(Resource::Nodes, "n1")), (None, None));
    let both = ["--node-name", "n1", "--label-node", "--label-pod"];
    let labelled = node.assign("kafka-1", &both).await.ends_with(Exit::Done);
    assert!(labelled.out.contains("node n1 gets the label kafka-toolbox/broker-id.m=2"), "{labelled:#?}");
    let two = (Some("2".to_owned()), Some("2".to_owned()));
    assert_eq!((node.label(Resource::Pods, "kafka-1"), node.label(Resource::Nodes, "n1")), two);
    let again = node.assign("kafka-1", &both).await.ends_with(Exit::Done);
    assert!(!again.out.contains("label"), "{again:#?}");
    // Another pod of that name: the label is not set on it.
    node.has(Resource::Pods, "kafka-1", facts("another"));
    let failed = node.assign("kafka-1", &both).await.ends_with(Exit::Failed);
    assert!(failed.out.contains("failed to label kafka-1"), "{failed:#?}");
}

#[tokio::test]
async fn a_broker_whose_node_has_no_zone_does_not_start_and_writes_nothing_until_it_has_one() {
    let node = Node::new(young());
    let refused = async |words: &str| {
        let said = node.start("kafka-1", &[]).await.ends_with(Exit::Refused);
        assert!(
            said.out.contains("E_RACK_UNKNOWN: no rack is known") && said.out.contains(words),
            "{words}: {said:#?}"
        );
        assert!(!node.desk.folder().join("kafka-1-out").exists());
    };
    refused("the node can't be read (there is no node n1)").await;
    node.is_in_zone(None);
    refused("the node has no such label").await;
    node.is_in_zone(Some(" "));
    refused("the node has no such label").await;
    node.is_in_zone(Some("eu 1a"));
    let illegal = node.start("kafka-1", &[]).await.ends_with(Exit::Refused);
    assert!(illegal.out.contains("`eu 1a` is no legal rack"), "{illegal:#?}");
    node.is_in_zone(Some("eu-1a"));
    node.start("kafka-1", &[]).await.ends_with(Exit::Done);
    let rack = |pod: &str| std::fs::read_to_string(node.desk.folder().join(format!("{pod}-out/rack.id"))).unwrap();
    assert_eq!(rack("kafka-1"), "eu-1a\n");
    node.server.forbid(Verb::Get, Resource::Nodes);
    let refused = node.start("kafka-2", &[]).await.ends_with(Exit::Refused);
    assert!(
        refused.out.contains("the node can't be read (") && refused.out.contains("may not get nodes"),
        "{refused:#?}"
    );
}

#[tokio::test]
async fn a_zone_that_changed_between_two_starts_is_an_event_or_a_refusal_where_racks_are_not_to_change() {
    let node = Node::new(young());
    node.is_in_zone(Some("eu-1a"));
    node.start("kafka-1", &[]).await.ends_with(Exit::Done);
    node.disk_holds(2);
    node.start("kafka-1", &[]).await.ends_with(Exit::Done);
    let output = |name: &str| std::fs::read_to_string(node.desk.folder().join("kafka-1-out").join(name)).unwrap();
    let changes = || {
        let events = audited(&node.desk.folder().join("state"));
        events.iter().filter(|event| event.kind == "identity.rack_changed").count()
    };
    let before = output("identity.json");
    node.is_in_zone(Some("eu-1b"));
    let refused = node.start("kafka-1", &["--rack-immutable"]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_RACK_CHANGED: ") && refused.out.contains("eu-1a -> eu-1b"), "{refused:#?}");
    assert_eq!((output("identity.json"), output("rack.id"), changes()), (before, "eu-1a\n".to_owned(), 0));
    let moved = node.start("kafka-1", &[]).await.ends_with(Exit::Done);
    assert!(moved.out.contains("! broker 2: rack eu-1a -> eu-1b"), "{moved:#?}");
    assert_eq!((output("rack.id"), changes()), ("eu-1b\n".to_owned(), 1));
    node.start("kafka-1", &[]).await.ends_with(Exit::Done);
    assert_eq!(changes(), 1, "the next start has nothing to tell");
    // The label is gone since: the rack that was is no rack to start with.
    node.is_in_zone(None);
    assert!(node.start("kafka-1", &[]).await.ends_with(Exit::Refused).out.contains("E_RACK_UNKNOWN: "));
    assert_eq!(output("rack.id"), "eu-1b\n");
}

#[tokio::test]
async fn a_run_that_lacks_rights_prints_the_rules_and_writes_nothing() {
    let node = Node::new(young());
    node.server.forbid(Verb::Update, Resource::ConfigMaps);
    let refused = node.assign("kafka-1", &[]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("resourceNames: [toolbox-brokers-main-m]"), "{refused:#?}");
    assert!(!node.desk.folder().join("kafka-1-out").exists());
    let missing = node.assign("kafka-1", &["--claim", "nowhere"]).await.ends_with(Exit::Failed);
    assert!(missing.err.contains("there is no claim nowhere"), "{missing:#?}");
}

#[tokio::test]
async fn an_id_with_the_last_replica_is_not_taken_over_by_an_empty_disk() {
    let kafka = Memory::kraft(6).topic("safe", &[&[3, 1, 2]]).topic("alone", &[&[3]]);
    kafka.edit(|cluster| cluster.stop_broker(3));
    let node = Node::new(kafka);
    let refused = node.assign("kafka-2", &[]).await.ends_with(Exit::Refused);
    assert!(
        refused.out.contains("E_DISK_LOST: the disk is empty, but id 3 had one before; 2 partitions"),
        "{refused:#?}"
    );
    let same = ["--replaced", "same-id", "--max-risk", "moves-data"];
    let refused = node.assign("kafka-2", &same).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_LAST_REPLICA: 1 partitions have their last replica on broker 3"), "{refused:#?}");
    assert!(refused.out.contains("alone-0"), "{refused:#?}");
    let live = node.assign("kafka-0", &same).await.ends_with(Exit::Refused);
    assert!(live.out.contains("E_ID_IN_USE: the disk is empty, and a live broker has id 1"), "{live:#?}");
}

#[tokio::test]
async fn a_label_of_the_node_that_says_another_id_is_a_conflict_also_where_nobody_needs_the_rack() {
    let node = Node::new(young());
    let label = |id: &str| {
        let labels = [("kafka-toolbox/broker-id.zookeeper".to_owned(), id.to_owned())].into();
        node.has(Resource::Nodes, "n1", Facts { labels, ..facts("node") });
    };
    let start = ["--kind", "zookeeper", "--node-name", "n1"];
    label("9");
    let refused = node.assign("zk-1", &start).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("E_LABEL_CONFLICT: ") && refused.out.contains("says id 9"), "{refused:#?}");
    // Without the right to read nodes there are no labels, and that is usual.
    node.server.forbid(Verb::Get, Resource::Nodes);
    node.assign("zk-1", &start).await.ends_with(Exit::Done);
}

#[tokio::test]
async fn an_empty_disk_gets_no_id_while_another_pod_runs_without_an_entry_and_the_cluster_is_silent() {
    let silent = |kafka: Memory, nth: usize| kafka.failing(Call::Metadata, nth, KafkaError::broker(29, None));
    let node = Node::new((1..=3).fold(young(), silent));
    node.has(Resource::Pods, "kafka-0", facts("uid-kafka-0"));
    let refused = node.assign("kafka-1", &[]).await.ends_with(Exit::Refused);
    let words = "E_CLUSTER_UNKNOWN: the disk is empty, id 2 has no entry in the registry";
    assert!(refused.out.contains(words) && refused.out.contains("pod kafka-0 runs, and has no entry"), "{refused:#?}");
    assert!(!node.desk.folder().join("kafka-1-out").exists());
    // One that waits for its own init container is no sign of an older cluster, as all of a new cluster begin so.
    node.has(Resource::Pods, "kafka-0", Facts { is_pending: true, ..facts("uid-kafka-0") });
    node.assign("kafka-1", &["--dry-run"]).await.ends_with(Exit::Changes);
    // One that had an id under a registry that is gone carries it.
    let labels = [("kafka-toolbox/broker-id".to_owned(), "1".to_owned())].into();
    node.has(Resource::Pods, "kafka-0", Facts { is_pending: true, labels, ..facts("uid-kafka-0") });
    let refused = node.assign("kafka-1", &[]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("pod kafka-0 has the label kafka-toolbox/broker-id"), "{refused:#?}");
    // The cluster answers again, and lists nothing of it.
    node.assign("kafka-1", &[]).await.ends_with(Exit::Done);
}
