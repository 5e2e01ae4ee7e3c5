//! `mapping` on real brokers: what they tell is what is planned with, and what is planned is carried out.

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Kafka, Mode, NewTopic};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use serde_json::Value;

use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::support::toolbox::Toolbox;

/// Creates a topic with these replicas.
fn create(cluster: &Cluster, name: &str, assignment: Vec<Vec<BrokerId>>) {
    let bootstrap = cluster.bootstrap();
    let given = Given { bootstrap_server: Some(&bootstrap), timeout: Some(std::time::Duration::from_mins(1)) };
    let topic = NewTopic {
        name: TopicName::new(name).unwrap(),
        partitions: None,
        replication_factor: None,
        assignment: Some(assignment),
        config: std::collections::BTreeMap::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kafka = Live::new(Settings::load(None, given).unwrap()).unwrap();
        for result in kafka.create_topics(&[topic], Mode::Apply).await {
            result.unwrap();
        }
    });
}

#[test]
fn two_thousand_partitions_are_shown_rebalanced_carried_out_and_then_even() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    let crowd = (0..1_992).map(|number| vec![BrokerId(1 + i32::from(number % 4 == 0))]).collect();
    create(&cluster, "crowd", crowd);
    create(&cluster, "orders", vec![vec![BrokerId(1)]; 8]);
    fill(&cluster, "orders", 4_000, 1_000).unwrap();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let shown = toolbox.run(&["mapping", "show", "-o", "json"]).ends_with(0);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["topics"], &shown["partitions"]), (&2.into(), &2_000.into()));
    assert!(shown["bytes"].as_u64().unwrap() > 3_000_000, "{shown}");
    assert_eq!(shown["brokers"][2]["replicas"], 0);
    assert!(shown["brokers"][0]["capacity"].as_u64().unwrap() > 0, "brokers of this version tell it");
    assert_eq!(shown["brokers"][0]["if_lost"]["offline"], 1_502);

    let rebalance = ["mapping", "rebalance", "--tolerance", "25%", "--disk-limit", "100%"];
    let planned = toolbox.run(&[&rebalance[..], &["--out", "plans"]].concat()).ends_with(0);
    assert!(planned.out.contains("to move"), "{planned:#?}");
    let execute = ["reassign", "execute", "plans/plan.json", "--yes", "--max-risk", "moves-data"];
    toolbox.run(&execute).ends_with(0);
    let again = toolbox.run(&rebalance).ends_with(0);
    assert!(again.out.contains("nothing to do"), "{again:#?}");
}
