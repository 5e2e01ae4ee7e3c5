//! Real clusters keep the contract; what needs clients beside us (groups, records) and many topics is here, too.

use std::time::Duration;

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Groups, Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::offset::OffsetQuery;
use kafka_toolbox::cluster::topic::TopicPartition;

use super::contract::{Facts, contract, create, name, topic, until};
use crate::live::kafka::{Cluster, Kind};

/// The door to a bootstrap list. Deadlines are longer than the default: the tests share a small machine.
pub(crate) fn open(bootstrap: &str, timeout: Duration) -> Live {
    let given = Given { bootstrap_server: Some(bootstrap), timeout: Some(timeout), ..Given::default() };
    Live::new(Settings::load(None, given).unwrap()).unwrap()
}

/// Runs on one thread, as the program does.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// How long calls may take here.
pub(crate) const PATIENT: Duration = Duration::from_mins(1);

fn keeps_the_contract(kind: Kind) {
    let cluster = Cluster::shared(kind);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let version = match kind {
        Kind::Kafka24Zookeeper => (2, 4),
        Kind::Kafka28Zookeeper => (2, 8),
        Kind::Kafka39Zookeeper | Kind::Kafka39Kraft => (3, 9),
        Kind::Kafka43Kraft => (4, 3),
    };
    let facts = Facts { cluster_id: cluster.id().to_owned(), kraft: !kind.has_zookeeper(), version };
    wait(contract(&kafka, &facts));
}

#[test]
fn kafka_2_4_with_zookeeper_keeps_the_contract() {
    keeps_the_contract(Kind::Kafka24Zookeeper);
}

#[test]
fn kafka_2_8_with_zookeeper_keeps_the_contract() {
    keeps_the_contract(Kind::Kafka28Zookeeper);
}

#[test]
fn kafka_3_9_with_zookeeper_keeps_the_contract() {
    keeps_the_contract(Kind::Kafka39Zookeeper);
}

#[test]
fn kafka_3_9_kraft_keeps_the_contract() {
    keeps_the_contract(Kind::Kafka39Kraft);
}

#[test]
fn kafka_4_3_kraft_keeps_the_contract() {
    keeps_the_contract(Kind::Kafka43Kraft);
}

#[test]
fn to_connect_takes_two_requests_of_which_the_second_brings_the_topics() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    wait(async {
        kafka.metadata(TopicSelection::All).await.unwrap();
        assert_eq!(kafka.requests_sent(), 2, "ApiVersions and Metadata");
    });
}

/// KRaft refuses more than 10,000 records at once: 700 topics of 20 partitions are 14,700 and more.
#[test]
fn many_topics_are_cut_into_requests_that_kraft_takes() {
    for kind in [Kind::Kafka39Kraft, Kind::Kafka43Kraft] {
        let cluster = Cluster::shared(kind);
        let kafka = open(&cluster.bootstrap(), PATIENT);
        let new: Vec<_> = (0..700)
            .map(|number| NewTopic {
                partitions: Some(20),
                replication_factor: Some(1),
                ..topic(&format!("many.{number}"))
            })
            .collect();
        wait(async {
            kafka.metadata(TopicSelection::None).await.unwrap();
            let before = kafka.requests_sent();
            let results = kafka.create_topics(&new, Mode::Validate).await;
            assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
            assert_eq!(kafka.requests_sent() - before, 3, "{}", kind.name());
        });
    }
}

fn tells_of_groups_and_records(kind: Kind, more: &[&str]) {
    let cluster = Cluster::shared(kind);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let (read, group) = (format!("read.{}", more.len()), format!("readers.{}", more.len()));
    wait(create(&kafka, NewTopic { partitions: Some(2), replication_factor: Some(3), ..topic(&read) }));
    let servers = cluster.bootstrap();
    let properties = format!("bootstrap.servers={servers}");
    let producer = ["--topic", &read, "--num-records", "100", "--record-size", "1000", "--throughput", "-1"];
    let producer: Vec<_> = producer.into_iter().chain(["--producer-props", &properties, "acks=all"]).collect();
    cluster.tool("org.apache.kafka.tools.ProducerPerformance", &producer).unwrap();
    let more: Vec<_> = ["--from-beginning"].iter().chain(more).copied().collect();
    sees_a_group((&kafka, cluster), "ConsoleConsumer", (&read, &group), &more);
    wait(async {
        let partitions = [0, 1].map(|partition| TopicPartition { topic: name(&read), partition });
        let found = kafka.offsets(&partitions, OffsetQuery::Latest).await.unwrap();
        let latest: i64 = found.values().map(|found| found.as_ref().unwrap().unwrap().offset).sum();
        assert_eq!(latest, 100);
        let found = kafka.offsets(&partitions, OffsetQuery::AtOrAfter(1)).await.unwrap();
        let first = found.values().find_map(|found| found.as_ref().unwrap().as_ref()).unwrap();
        assert_eq!(first.offset, 0);
        assert!(first.timestamp.unwrap() > 1_500_000_000_000);
        let sizes = kafka.replica_sizes(&[1, 2, 3].map(BrokerId)).await.unwrap();
        let bytes: u64 = partitions.iter().flat_map(|one| &sizes.sizes[one]).map(|size| size.bytes).sum();
        assert!(bytes > 3 * 100 * 1000, "{bytes}");
    });
}

/// A console consumer reads a topic, is seen as a live group of one member, and is seen to have ended.
fn sees_a_group((kafka, cluster): (&Live, &Cluster), class: &str, (read, group): (&str, &str), more: &[&str]) {
    let servers = cluster.bootstrap();
    let mut reads = vec!["--bootstrap-server", &servers, "--topic", read, "--group", group, "--timeout-ms", "20000"];
    reads.extend(more);
    std::thread::scope(|scope| {
        // It ends by itself when nothing comes for a while; how does not matter.
        let running = scope.spawn(|| cluster.tool(&format!("org.apache.kafka.tools.consumer.{class}"), &reads));
        wait(until("the live group", async || {
            let groups = kafka.live_groups().await.unwrap();
            let found = groups.into_iter().find(|one| one.id == group)?;
            (found.members == 1 && found.topics.contains(&name(read)) && found.state == "Stable").then_some(())
        }));
        let _ = running.join().unwrap();
    });
    wait(until("the end of the group", async || {
        let groups = kafka.live_groups().await.unwrap();
        (!groups.iter().any(|one| one.id == group)).then_some(())
    }));
}

#[test]
fn a_share_group_of_kafka_4_3_is_live_while_it_has_a_member() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let kafka = open(&cluster.bootstrap(), PATIENT);
    wait(create(&kafka, NewTopic { partitions: Some(2), replication_factor: Some(3), ..topic("read.shared") }));
    sees_a_group((&kafka, cluster), "ConsoleShareConsumer", ("read.shared", "sharers"), &[]);
}

#[test]
fn groups_and_records_of_kafka_3_9_with_zookeeper() {
    tells_of_groups_and_records(Kind::Kafka39Zookeeper, &[]);
}

#[test]
fn groups_and_records_of_kafka_4_3_by_the_classic_protocol() {
    tells_of_groups_and_records(Kind::Kafka43Kraft, &[]);
}

#[test]
fn groups_and_records_of_kafka_4_3_by_the_new_protocol() {
    tells_of_groups_and_records(Kind::Kafka43Kraft, &["--consumer-property", "group.protocol=consumer"]);
}
