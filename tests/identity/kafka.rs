//! The check of last replicas on real brokers.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Kafka as _, Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::TopicName;

use super::pods::{Pods, text};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::support::toolbox::Toolbox;

async fn on(cluster: &Cluster, work: impl AsyncFnOnce(&Live)) {
    let bootstrap = cluster.bootstrap();
    let given = Given { bootstrap_server: Some(&bootstrap), timeout: Some(Duration::from_mins(1)), ..Given::default() };
    work(&Live::new(Settings::load(None, given).unwrap()).unwrap()).await;
}

fn topic(name: &str, replicas: &[i32]) -> NewTopic {
    NewTopic {
        name: TopicName::new(name).unwrap(),
        partitions: None,
        replication_factor: None,
        assignment: Some(vec![replicas.iter().copied().map(BrokerId).collect()]),
        config: BTreeMap::new(),
    }
}

#[tokio::test]
async fn an_empty_disk_takes_an_id_over_only_where_other_replicas_are_in_sync() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    on(&cluster, async |kafka| {
        for created in kafka.create_topics(&[topic("safe", &[3, 1, 2]), topic("alone", &[3])], Mode::Apply).await {
            created.unwrap();
        }
    })
    .await;
    let file = format!(
        "clusters: {{main: {{bootstrapServers: '{}', maps: {{m: {{topics: '.*', brokers: [1-3]}}}}}}}}\n",
        cluster.bootstrap()
    );
    let pods = Pods::of(Toolbox::alone(), &file);
    let same = ["--rack-optional", "--replaced", "same-id", "--max-risk", "moves-data"];
    let live = pods.assign("kafka-2", &same).ends_with(4);
    assert!(live.out.contains("E_ID_IN_USE: the disk is empty, and a live broker has id 3"), "{live:#?}");

    cluster.stop_broker(3, Signal::Kill).unwrap();
    cluster.await_brokers(&[1, 2]).unwrap();
    let refused = pods.assign("kafka-2", &["--rack-optional"]).ends_with(4);
    assert!(refused.out.contains("E_DISK_LOST: "), "{refused:#?}");
    let refused = pods.assign("kafka-2", &same).ends_with(4);
    assert!(refused.out.contains("E_LAST_REPLICA: 1 partitions") && refused.out.contains("alone-0"), "{refused:#?}");

    on(&cluster, async |kafka| {
        for deleted in kafka.delete_topics(&[TopicName::new("alone").unwrap()]).await {
            deleted.unwrap();
        }
    })
    .await;
    // A broker may show the topic for a moment yet.
    let mut last = pods.assign("kafka-2", &same);
    for _ in 0..20 {
        if last.code == Some(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        last = pods.assign("kafka-2", &same);
    }
    let taken = last.ends_with(0);
    assert!(taken.out.contains("~ broker 3: pod kafka-2 takes the id over with an empty disk"), "{taken:#?}");
    assert_eq!(pods.output("kafka-2", "broker.id"), "3\n");
}

/// What lets an empty disk take an id over.
const SAME: [&str; 5] = ["--rack-optional", "--replaced", "same-id", "--max-risk", "moves-data"];

/// Whether the long ones run, as in `make acceptance`.
fn is_acceptance() -> bool {
    std::env::var_os("TOOLBOX_TEST_MEMBERSHIP").is_some()
}

#[tokio::test]
async fn a_broker_that_comes_back_with_a_wiped_disk_keeps_its_id_only_where_nothing_is_lost_on_each_kind_of_cluster() {
    if !is_acceptance() {
        return;
    }
    for kind in [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft] {
        comes_back_wiped(kind).await;
    }
}

/// Fault 34: broker 4 was the last one in sync of a partition with three replicas, and of one with a single replica; its folder is
/// really empty when it comes back.
async fn comes_back_wiped(kind: Kind) {
    let cluster = Cluster::start(kind, &Shape::brokers(4)).unwrap();
    broker_4_is_the_last_in_sync(&cluster).await;
    let folder = cluster.data_of(4).unwrap();
    let kept = folder.with_extension("kept");
    std::fs::rename(&folder, &kept).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let file = format!(
        "clusters: {{main: {{bootstrapServers: '{}', maps: {{m: {{topics: '.*', brokers: [1-4]}}}}}}}}\n",
        cluster.bootstrap()
    );
    let pods = Pods::of(Toolbox::alone(), &file);
    // The pod's disk is the broker's own folder.
    std::fs::remove_dir(pods.disk("kafka-3")).unwrap();
    std::os::unix::fs::symlink(&folder, pods.path_of_disk("kafka-3")).unwrap();
    let refused = pods.assign("kafka-3", &SAME).ends_with(4);
    for words in ["E_LAST_REPLICA: 2 partitions", "alone-0", "shrunk-0"] {
        assert!(refused.out.contains(words), "{}: {words}: {refused:#?}", kind.name());
    }
    assert!(!refused.out.contains("safe-0"), "{}: {refused:#?}", kind.name());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing is written to {}", text(&folder));

    if kind.has_zookeeper() {
        // Topics of a dead broker can't be deleted here. Its disk turns up again: nothing was lost.
        std::fs::remove_dir(&folder).unwrap();
        std::fs::rename(&kept, &folder).unwrap();
    } else {
        takes_its_id_over(&cluster, &pods).await;
    }
    pods.assign("kafka-3", &["--rack-optional"]).ends_with(0);
    assert_eq!(pods.output("kafka-3", "broker.id"), "4\n", "{}: the disk says it again", kind.name());
    cluster.start_broker(4).unwrap();
    cluster.await_brokers(&[1, 2, 3, 4]).unwrap();
    let wait = ["rollout", "wait", "--broker", "4", "--for", "in-sync", "--apart", "500ms", "--within", "60s"];
    pods.toolbox.run(&[&wait[..], &["--bootstrap-server", &cluster.bootstrap()]].concat()).ends_with(0);
}

/// With an empty disk, once the topics that would be lost are given up.
async fn takes_its_id_over(cluster: &Cluster, pods: &Pods) {
    on(cluster, async |kafka| {
        let names = ["alone", "shrunk"].map(|name| TopicName::new(name).unwrap());
        for deleted in kafka.delete_topics(&names).await {
            deleted.unwrap();
        }
    })
    .await;
    // A broker may show the topics for a moment yet.
    let mut taken = pods.assign("kafka-3", &SAME);
    for _ in 0..40 {
        if taken.code == Some(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        taken = pods.assign("kafka-3", &SAME);
    }
    let taken = taken.ends_with(0);
    assert!(taken.out.contains("pod kafka-3 takes the id over with an empty disk"), "{taken:#?}");
    cluster.format(4).unwrap();
}

async fn broker_4_is_the_last_in_sync(cluster: &Cluster) {
    on(cluster, async |kafka| {
        let topics = [topic("safe", &[4, 3]), topic("shrunk", &[4, 1, 2]), topic("alone", &[4])];
        for created in kafka.create_topics(&topics, Mode::Apply).await {
            created.unwrap();
        }
    })
    .await;
    // The others leave, so that broker 4 alone is in sync; then it dies, and they come back without what it has.
    for other in [1, 2] {
        cluster.stop_broker(other, Signal::Term).unwrap();
    }
    cluster.stop_broker(4, Signal::Kill).unwrap();
    for other in [1, 2] {
        cluster.start_broker(other).unwrap();
    }
    cluster.await_brokers(&[1, 2, 3]).unwrap();
    await_alone_in_sync(cluster, "shrunk").await;
}

/// Waits until a topic's only partition has broker 4 in its ISR, and nobody leads it.
async fn await_alone_in_sync(cluster: &Cluster, topic: &str) {
    let name = TopicName::new(topic).unwrap();
    on(cluster, async |kafka| {
        for _ in 0..240 {
            kafka.begin_look();
            let view = kafka.metadata(TopicSelection::All).await.unwrap();
            let partition = view.topics.get(&name).map(|topic| topic.partitions[0].clone());
            let is_led = |leader: Option<BrokerId>| leader.is_some_and(|leader| leader != BrokerId(4));
            // Where there are eligible leaders the last one in sync leaves the ISR, and is one of those.
            if partition.is_some_and(|it| it.isr.iter().all(|one| *one == BrokerId(4)) && !is_led(it.leader)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("{topic} has others in sync");
    })
    .await;
}
