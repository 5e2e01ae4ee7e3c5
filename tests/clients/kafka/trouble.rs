//! Brokers that freeze, die or hang up, and controllers that move, while we talk to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::{Cluster as _, Groups, Kafka, KafkaError, Mode, NewTopic, Reassignments, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;

use super::contract::{name, topic, until};
use super::live::{PATIENT, open, wait};
use super::proxy::Proxy;
use crate::live::kafka::{Cluster, Kind, Shape, Signal};

/// Kafka's number of CreateTopics.
const CREATE_TOPICS: i16 = 19;

/// Kafka's number of ListPartitionReassignments.
const LIST_REASSIGNMENTS: i16 = 46;

fn small(topic_name: &str) -> NewTopic {
    NewTopic { partitions: Some(1), replication_factor: Some(1), ..topic(topic_name) }
}

async fn brokers(kafka: &dyn Kafka) -> Vec<i32> {
    let metadata = kafka.metadata(TopicSelection::None).await.unwrap();
    metadata.brokers.keys().map(|broker| broker.0).collect()
}

#[test]
fn frozen_and_killed_brokers_are_routed_around() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3)).unwrap();
    let bootstrap = cluster.bootstrap();
    let first = bootstrap.split(',').next().unwrap();
    let kafka = open(first, Duration::from_secs(20));
    wait(async {
        assert_eq!(brokers(&kafka).await, [1, 2, 3]);
        cluster.freeze(1).unwrap();
        let start = Instant::now();
        kafka.metadata(TopicSelection::All).await.unwrap();
        let first = start.elapsed();
        let start = Instant::now();
        kafka.metadata(TopicSelection::All).await.unwrap();
        assert!(start.elapsed() < first, "the frozen broker rests: {:?} after {first:?}", start.elapsed());

        let fresh = open(&bootstrap, Duration::from_secs(20));
        fresh.metadata(TopicSelection::All).await.unwrap();
        cluster.thaw(1).unwrap();
    });

    cluster.await_brokers(&[1, 2, 3]).unwrap();
    let kafka = open(first, PATIENT);
    wait(async {
        assert_eq!(brokers(&kafka).await, [1, 2, 3]);
        cluster.stop_broker(1, Signal::Kill).unwrap();
        kafka.metadata(TopicSelection::All).await.unwrap();
        cluster.await_brokers(&[2, 3]).unwrap();
        assert_eq!(kafka.create_topics(&[small("after-the-kill")], Mode::Apply).await, [Ok(())]);
        assert_eq!(brokers(&kafka).await, [2, 3]);
        let sizes = kafka.replica_sizes(&[1, 2].map(BrokerId)).await.unwrap();
        assert_eq!(sizes.missing.len(), 1, "{:?}", sizes.missing);
        let fenced = kafka.fenced_brokers().await.unwrap();
        assert_eq!(fenced, Some([BrokerId(1)].into()), "it is registered and dead");
        kafka.live_groups().await.unwrap();
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_not_sent_twice() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::default().proxied("DETOUR")).unwrap();
    let [ports] = cluster.ports_of("DETOUR")[..] else { panic!("one broker has one port") };
    wait(async {
        let proxy = Arc::new(Proxy::default());
        proxy.start(ports.advertised, ports.real).await;
        let kafka = open(&format!("127.0.0.1:{}", ports.advertised), PATIENT);
        kafka.metadata(TopicSelection::None).await.unwrap();
        proxy.cut_answer_to(CREATE_TOPICS);
        let results = kafka.create_topics(&[small("lost"), small("lost-too")], Mode::Apply).await;
        for result in &results {
            let Err(KafkaError::AnswerLost { request, .. }) = result else { panic!("{results:?}") };
            assert!(request.starts_with("CreateTopics to 127.0.0.1:"), "{request}");
        }
        assert_eq!(proxy.seen(CREATE_TOPICS), 1, "it was sent once");
        until("what was carried out", async || {
            let metadata = kafka.metadata(TopicSelection::All).await.unwrap();
            metadata.topics.contains_key(&name("lost")).then_some(())
        })
        .await;

        // A question may be asked again, and is.
        proxy.cut_answer_to(CREATE_TOPICS);
        let results = kafka.create_topics(&[small("asked")], Mode::Validate).await;
        assert_eq!(results, [Ok(())]);
        assert_eq!(proxy.seen(CREATE_TOPICS), 3);
    });
}

/// A broker may answer all that it knows and pass nothing on: cut off from its controller, or with a thread that hangs.
#[test]
fn a_broker_that_passes_nothing_on_is_asked_for_what_it_knows_alone() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(3).proxied("DETOUR")).unwrap();
    let all = cluster.ports_of("DETOUR");
    wait(async {
        let proxies: Vec<_> = all.iter().map(|_| Arc::new(Proxy::default())).collect();
        for (proxy, ports) in proxies.iter().zip(&all) {
            proxy.start(ports.advertised, ports.real).await;
        }
        let kafka = open(&format!("127.0.0.1:{}", all[0].advertised), Duration::from_secs(3));
        assert_eq!(brokers(&kafka).await, [1, 2, 3]);
        let topics = [small("cut-off")];
        proxies[0].swallow(CREATE_TOPICS);
        let lost = kafka.create_topics(&topics, Mode::Apply).await;
        assert!(matches!(lost[..], [Err(KafkaError::AnswerLost { .. })]), "{lost:?}");
        // It answers again, and later than all others.
        assert_eq!(kafka.replica_sizes(&[BrokerId(1)]).await.unwrap().missing.len(), 0);
        assert_eq!(kafka.create_topics(&topics, Mode::Apply).await, [Ok(())], "another one passes it on");
        assert_eq!(proxies[0].seen(CREATE_TOPICS), 1, "the one that did not is not asked again");

        let kafka = open(&format!("127.0.0.1:{}", all[0].advertised), Duration::from_secs(5));
        assert_eq!(brokers(&kafka).await, [1, 2, 3]);
        proxies[0].swallow(LIST_REASSIGNMENTS);
        kafka.reassignments().await.unwrap();
        assert_eq!(kafka.replica_sizes(&[BrokerId(1)]).await.unwrap().missing.len(), 0);
        kafka.reassignments().await.unwrap();
        assert_eq!(proxies[0].seen(LIST_REASSIGNMENTS), 1, "questions are asked elsewhere, too");
    });
}

#[test]
fn writes_follow_the_controller_of_zookeeper_mode() {
    let cluster = Cluster::start(Kind::Kafka39Zookeeper, &Shape::brokers(3)).unwrap();
    let kafka = open(&cluster.bootstrap(), PATIENT);
    wait(async {
        assert_eq!(kafka.create_topics(&[small("before")], Mode::Apply).await, [Ok(())]);
        let old = cluster.controller().unwrap();
        let zookeeper = cluster.zookeeper();
        // Whoever is first after the deletion is the next controller: often enough it is another broker.
        for _ in 0..10 {
            cluster
                .tool("org.apache.zookeeper.ZooKeeperMain", &["-server", &zookeeper, "delete", "/controller"])
                .unwrap();
            until("a controller", async || cluster.controller().ok().filter(|one| *one >= 0)).await;
            if cluster.controller().unwrap() != old {
                break;
            }
        }
        assert_ne!(cluster.controller().unwrap(), old);
        assert_eq!(kafka.create_topics(&[small("moved")], Mode::Apply).await, [Ok(())]);
        kafka.reassignments().await.unwrap();

        let old = cluster.controller().unwrap();
        cluster.stop_broker(old, Signal::Kill).unwrap();
        // A killed process may hold its sockets for a moment more; what is sent into them is lost, and called so.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let results = kafka.create_topics(&[small("killed")], Mode::Apply).await;
        assert_eq!(results, [Ok(())], "it waits until there is a new controller");
    });
}
