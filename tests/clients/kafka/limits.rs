//! Limits that a cluster sets us: a quota on changes, and sessions that end unless they are proved anew.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Mode, NewTopic, Topics};
use kafka_toolbox::cluster::metadata::TopicSelection;

use super::contract::{name, topic, until};
use super::live::{PATIENT, open, wait};
use super::proxy::Proxy;
use crate::live::kafka::{Cluster, Kind, Shape};

/// Kafka's number of CreateTopics.
const CREATE_TOPICS: i16 = 19;

/// How long a session lasts before the broker ends its connection.
const SESSION: Duration = Duration::from_secs(2);

fn with_partitions(topic_name: &str, partitions: i32) -> NewTopic {
    NewTopic { partitions: Some(partitions), replication_factor: Some(1), ..topic(topic_name) }
}

fn cluster(kind: Kind) -> Cluster {
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let shape = Shape::default()
        .proxied("DETOUR")
        .listener("SESSION", "SASL_PLAINTEXT")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-256")
        .property("listener.name.session.scram-sha-256.sasl.jaas.config", login)
        .property("connections.max.reauth.ms", &SESSION.as_millis().to_string())
        .user("SCRAM-SHA-256", "ada", "scr4m-S3cret");
    Cluster::start(kind, &shape).unwrap()
}

/// A door whose session ends.
fn in_sessions(cluster: &Cluster) -> Live {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    write!(
        file,
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={login} username=\"ada\" \
         password=\"scr4m-S3cret\";\n"
    )
    .unwrap();
    let given =
        Given { bootstrap_server: Some(&cluster.bootstrap_of("SESSION")), timeout: Some(PATIENT), ..Given::default() };
    Live::new(Settings::load(Some(file.path()), given).unwrap()).unwrap()
}

/// The broker hangs up on whoever speaks after the end of a session (KIP-368): a change that is sent then is lost. A new
/// connection is made before, so that no answer is.
async fn a_session_that_ends_loses_no_change(cluster: &Cluster) {
    let kafka = in_sessions(cluster);
    kafka.metadata(TopicSelection::None).await.unwrap();
    let before = kafka.requests_sent();
    kafka.metadata(TopicSelection::None).await.unwrap();
    assert_eq!(kafka.requests_sent(), before + 1, "one connection serves while its session lasts");
    for number in 0..3 {
        tokio::time::sleep(SESSION + Duration::from_millis(200)).await;
        let before = kafka.requests_sent();
        let results = kafka.create_topics(&[with_partitions(&format!("session-{number}"), 1)], Mode::Apply).await;
        assert_eq!(results, [Ok(())]);
        assert!(kafka.requests_sent() >= before + 5, "a new connection was made, and proved who we are");
    }
}

/// A broker that has had enough answers THROTTLING_QUOTA_EXCEEDED for some topics of a request: those did nothing, and
/// they alone are sent again.
async fn what_a_quota_sends_back_is_sent_again(cluster: &Cluster) {
    let quota =
        ["--alter", "--add-config", "controller_mutation_rate=5", "--entity-type", "clients", "--entity-default"];
    let bootstrap = cluster.bootstrap();
    let arguments = [&["--bootstrap-server", bootstrap.as_str()][..], &quota].concat();
    cluster.tool("kafka.admin.ConfigCommand", &arguments).unwrap();
    let [ports] = cluster.ports_of("DETOUR")[..] else { panic!("one broker has one port") };
    let proxy = Arc::new(Proxy::default());
    proxy.start(ports.advertised, ports.real).await;
    let kafka = open(&format!("127.0.0.1:{}", ports.advertised), PATIENT);
    // The quota lets through what was not used in the last 11 seconds: 55 partitions, and the topic that is over.
    let topics: Vec<_> = (0..16).map(|number| with_partitions(&format!("quota-{number:02}"), 5)).collect();
    let results = kafka.create_topics(&topics, Mode::Apply).await;
    assert!(results.iter().all(Result::is_ok), "no topic is created twice, none is left out: {results:?}");
    assert!(proxy.seen(CREATE_TOPICS) >= 2, "the quota has sent something back");
    until("all topics with all partitions", async || {
        let metadata = kafka.metadata(TopicSelection::All).await.unwrap();
        let is_there = |new: &NewTopic| metadata.topics.get(&new.name).is_some_and(|topic| topic.partitions.len() == 5);
        topics.iter().all(is_there).then_some(())
    })
    .await;
    assert!(kafka.metadata(TopicSelection::All).await.unwrap().topics.contains_key(&name("session-0")));
}

fn keeps_to_the_limits(kind: Kind) {
    let cluster = cluster(kind);
    wait(async {
        a_session_that_ends_loses_no_change(&cluster).await;
        what_a_quota_sends_back_is_sent_again(&cluster).await;
    });
}

#[test]
fn the_limits_of_kafka_4_3_are_kept() {
    keeps_to_the_limits(Kind::Kafka43Kraft);
}

#[test]
fn the_limits_of_kafka_3_9_with_zookeeper_are_kept() {
    keeps_to_the_limits(Kind::Kafka39Zookeeper);
}
