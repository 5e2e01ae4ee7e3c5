//! The check of last replicas on real brokers.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;

use super::pods::Pods;
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
