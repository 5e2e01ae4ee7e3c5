//! Load and sizes by the shipped default queries, from a real Prometheus that scrapes real brokers through the JMX exporter
//! with the shipped rules.

use std::time::{Duration, Instant};

use clap::Parser;
use jiff::Timestamp;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::readings::Readings;
use kafka_toolbox::cluster::size::ByteRate;
use kafka_toolbox::context::Flags;
use kafka_toolbox::context::load::{LoadArgs, Source, measure};
use serde_json::Value;

use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::live::create;
use crate::support::toolbox::Toolbox;

/// Longest wait for numbers: they are there a few scrapes, of a second each, after the start.
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    load: LoadArgs,
}

/// The rules as they are shipped.
fn rules() -> String {
    let manifest: Value = serde_saphyr::from_str(include_str!("../../manifests/throttle/jmx-exporter.yaml")).unwrap();
    manifest["data"]["rules.yaml"].as_str().unwrap().to_owned()
}

/// Starts Prometheus beside the brokers; its URL.
fn start_prometheus(cluster: &Cluster) -> String {
    let targets = cluster
        .exporters()
        .into_iter()
        .map(|(id, port)| format!("      - {{targets: [\"127.0.0.1:{port}\"], labels: {{broker_id: \"{id}\"}}}}\n"));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: kafka\n    static_configs:\n{}",
        targets.collect::<String>()
    );
    let file = cluster.folder().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let port = Cluster::port_beside().unwrap();
    let address = format!("127.0.0.1:{}", port.number);
    let data = cluster.folder().join("data/prometheus");
    let command = [
        "prometheus".to_owned(),
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", data.display()),
        format!("--web.listen-address={address}"),
    ];
    cluster.run_beside("prometheus", &command).unwrap();
    format!("http://{address}")
}

/// What the sources say of both brokers, once it is as wanted.
async fn measured(sources: &[Source], what: &str, is_wanted: impl Fn(&Readings) -> bool) -> Readings {
    let brokers = [BrokerId(1), BrokerId(2)].into();
    let began = Instant::now();
    loop {
        let (readings, wrong) = measure(sources, (&brokers, Timestamp::now()), Readings::default).await;
        if is_wanted(&readings) {
            return readings;
        }
        assert!(began.elapsed() < LIMIT, "{what}: {readings:?} {wrong:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Bytes that each broker holds, by `mapping show`.
fn held(toolbox: &Toolbox, more: &[&str]) -> Vec<u64> {
    let shown = toolbox.run(&[&["mapping", "show", "--topics", "orders", "-o", "json"], more].concat());
    let Ok(document) = serde_json::from_str::<Value>(&shown.out) else { return Vec::new() };
    let brokers = document["brokers"].as_array().into_iter().flatten();
    brokers.filter_map(|broker| broker["bytes"].as_u64()).collect()
}

#[tokio::test]
async fn the_default_queries_find_load_and_sizes_in_a_real_prometheus_with_the_shipped_rules() {
    let shape = Shape::brokers(2).exporting(&rules());
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape).unwrap();
    let url = start_prometheus(&cluster);
    create(&cluster, "orders", "1:2,2:1");
    let line = Line::try_parse_from(["toolbox", "--prometheus-url", &url, "--load", "prometheus"]).unwrap();
    let sources = line.load.sources(&line.flags).unwrap();
    let is_known = |readings: &Readings, is_so: fn(ByteRate) -> bool| {
        let sides = readings.used.values().flat_map(|sides| [sides.leader, sides.follower]);
        readings.used.len() == 2 && sides.into_iter().all(|side| side.is_some_and(|(rate, _)| is_so(rate)))
    };
    // An idle cluster has a load of 0, which is a value.
    measured(&sources, "both brokers are measured", |readings| is_known(readings, |_| true)).await;
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let busy = measured(&sources, "the load", |readings| is_known(readings, |rate| rate > ByteRate(10_000))).await;
    assert_eq!((busy.source, busy.over), ("prometheus", Duration::from_mins(2)));

    let toolbox = Toolbox::new(&cluster.bootstrap());
    let by_brokers = held(&toolbox, &[]);
    assert!(by_brokers.iter().sum::<u64>() > 30_000_000, "{by_brokers:?}");
    let began = Instant::now();
    loop {
        let by_prometheus = held(&toolbox, &["--sizes", "prometheus", "--prometheus-url", &url]);
        if by_prometheus == by_brokers {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{by_prometheus:?} {by_brokers:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
