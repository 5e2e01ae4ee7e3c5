//! `mapping` on real brokers: what they tell is what is planned with, and what is planned is carried out.

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use serde_json::Value;

use super::measuring::{API_KEY, APP_KEY, Measuring, TOKEN, series, vector};
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::support::toolbox::Toolbox;

/// Creates a topic with these replicas.
fn create(cluster: &Cluster, name: &str, assignment: Vec<Vec<BrokerId>>) {
    let bootstrap = cluster.bootstrap();
    let given = Given {
        bootstrap_server: Some(&bootstrap),
        timeout: Some(std::time::Duration::from_mins(1)),
        ..Given::default()
    };
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
    // The lock in the cluster would create `__consumer_offsets`, and with it more to spread.
    let execute = ["reassign", "execute", "plans/plan.json", "--yes", "--max-risk", "moves-data", "--lock", "file"];
    toolbox.run(&execute).ends_with(0);
    let again = toolbox.run(&rebalance).ends_with(0);
    assert!(again.out.contains("nothing to do"), "{again:#?}");
}

#[test]
fn sizes_of_prometheus_and_datadog_come_over_tls_with_a_ca_of_ones_own_and_no_key_is_shown() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    create(&cluster, "orders", vec![vec![BrokerId(1)]; 4]);
    let of = |partition: i32| format!(r#""topic":"orders","partition":"{partition}""#);
    let prometheus = Measuring::prometheus(move |_, at| vector(&[0, 1, 2, 3].map(|one| (of(one), 2e9)), at));
    let datadog = Measuring::datadog(|_, at| {
        series(&[0, 1, 2, 3].map(|partition| (format!("topic:orders,partition:{partition}"), 3e9)), at - 90)
    });
    let ((prometheus, one), (datadog, other)) = (prometheus.start_with_tls(), datadog.start_with_tls());
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let ca = toolbox.file("ca.pem", &format!("{one}{other}"));
    let keys = [("TOOLBOX_PROMETHEUS_TOKEN", TOKEN), ("DD_API_KEY", API_KEY), ("DD_APP_KEY", APP_KEY)];
    let toolbox = keys.iter().fold(toolbox, |toolbox, (name, value)| toolbox.with(name, value));
    let ask = |toolbox: &Toolbox, sizes: &[&str]| {
        let plan = ["mapping", "scale", "--disk-limit", "100%", "--topics", "orders", "--log", "debug"];
        toolbox.run(&[&plan[..], sizes].concat())
    };
    let by_prometheus = ["--sizes", "prometheus", "--prometheus-url", &prometheus];
    let by_datadog = ["--sizes", "datadog", "--datadog-url", &datadog];
    let stranger = ask(&toolbox, &by_prometheus).ends_with(1);
    assert!(stranger.err.contains("could not be asked") && stranger.err.contains("UnknownIssuer"), "{stranger:#?}");

    let toolbox = toolbox.with("SSL_CERT_FILE", &ca);
    let planned = ask(&toolbox, &by_prometheus).ends_with(3);
    assert!(planned.out.contains(&format!("sizes from prometheus at {prometheus} (0 s old")), "{planned:#?}");
    assert!(planned.out.contains("8.0 GB -> "), "{planned:#?}");
    let other = ask(&toolbox, &by_datadog).ends_with(3);
    assert!(other.out.contains(&format!("sizes from datadog at {datadog} (9")), "{other:#?}");
    assert!(other.out.contains("12.0 GB -> "), "{other:#?}");
    for ran in [stranger, planned, other] {
        for (name, key) in keys {
            assert!(!ran.out.contains(key) && !ran.err.contains(key), "{name}: {ran:#?}");
        }
    }
}
