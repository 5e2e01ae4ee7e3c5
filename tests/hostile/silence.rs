//! Brokers that do not answer: others are asked, and one wait does not follow another.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use kafka_toolbox::clients::kafka::{Cluster as _, Configs, Groups, KafkaError, Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;

use super::peer::{
    Asked, CREATE_TOPICS, DESCRIBE_CONFIGS, DESCRIBE_LOG_DIRS, LIST_GROUPS, METADATA, Peers, Reply, text,
};
use crate::clients::kafka::contract::topic;
use crate::clients::kafka::live::{open, wait};

/// The configs of a broker: `num.partitions`, from a file.
fn configs(asked: &Asked) -> Reply {
    let mut body = BytesMut::new();
    body.put_i32(0);
    body.put_i32(1);
    body.put_i16(0);
    body.put_i16(-1);
    body.put_i8(4);
    text(&mut body, &asked.broker.to_string());
    body.put_i32(1);
    text(&mut body, "num.partitions");
    text(&mut body, "7");
    body.put_slice(&[0, 4, 0]);
    body.put_i32(0);
    Reply::Body(body.to_vec())
}

#[test]
fn a_broker_that_does_not_tell_its_defaults_costs_a_part_of_the_timeout_for_another_one_does() {
    wait(async {
        let peers = Peers::start(3, |asked| match (asked.key, asked.broker) {
            (DESCRIBE_CONFIGS, 1) => Reply::Freeze,
            (DESCRIBE_CONFIGS, _) => configs(asked),
            _ => Reply::Ordinary,
        })
        .await;
        let first = peers.bootstrap().split(',').next().unwrap().to_owned();
        let kafka = open(&first, Duration::from_secs(20));
        kafka.metadata(TopicSelection::None).await.unwrap();
        let start = Instant::now();
        let (broker, entries) = kafka.configs_of_one(&[1, 2, 3].map(BrokerId), &["num.partitions"]).await.unwrap();
        assert_ne!(broker, BrokerId(1));
        assert_eq!(entries[0].value.as_deref(), Some("7"));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(peers.asked(DESCRIBE_CONFIGS)[0].broker, 1, "the one that answered last was asked first");
    });
}

#[test]
fn looks_that_get_no_answer_share_one_timeout() {
    wait(async {
        let is_silent = |key| [LIST_GROUPS, DESCRIBE_LOG_DIRS, DESCRIBE_CONFIGS].contains(&key);
        let answers = move |asked: &Asked| if is_silent(asked.key) { Reply::Freeze } else { Reply::Ordinary };
        let peers = Peers::start(1, answers).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(3));
        kafka.metadata(TopicSelection::None).await.unwrap();
        let start = Instant::now();
        for _ in 0..2 {
            kafka.live_groups().await.unwrap_err();
            assert!(kafka.replica_sizes(&[BrokerId(1)]).await.unwrap().missing.contains_key(&BrokerId(1)));
            kafka.configs_of_one(&[BrokerId(1)], &["num.partitions"]).await.unwrap_err();
        }
        // One timeout, and a fifth of it for each of the five looks after that: 6 s, where six timeouts are 18 s.
        assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
    });
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error_at_once_and_another_broker_is_asked() {
    wait(async {
        let garbles = |is_meant: fn(i32) -> bool| {
            move |asked: &Asked| match asked.key {
                METADATA if is_meant(asked.broker) => Reply::Body(vec![0xff; 40]),
                _ => Reply::Ordinary,
            }
        };
        let peers = Peers::start(2, garbles(|broker| broker == 1)).await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(20));
        assert_eq!(kafka.metadata(TopicSelection::None).await.unwrap().brokers.len(), 2);
        let peers = Peers::start(2, garbles(|_| true)).await;
        let kafka = open(&peers.bootstrap(), Duration::from_mins(1));
        let start = Instant::now();
        let error = kafka.metadata(TopicSelection::None).await.unwrap_err();
        assert!(matches!(error, KafkaError::Protocol { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    });
}

#[test]
fn a_broker_that_freezes_with_a_change_does_not_take_the_changes_behind_it_along() {
    wait(async {
        let created = |asked: &Asked| {
            let mut body = BytesMut::new();
            body.put_i32(0);
            body.put_i32(1);
            let name = if asked.body.windows(3).any(|part| part == b"two") { "two" } else { "one" };
            text(&mut body, name);
            body.put_i16(0);
            body.put_i16(-1);
            Reply::Body(body.to_vec())
        };
        let first = std::sync::Mutex::new(None);
        let peers = Peers::start(3, move |asked| match asked.key {
            CREATE_TOPICS if *first.lock().unwrap().get_or_insert(asked.broker) == asked.broker => Reply::Freeze,
            CREATE_TOPICS => created(asked),
            _ => Reply::Ordinary,
        })
        .await;
        let kafka = open(&peers.bootstrap(), Duration::from_secs(4));
        let many = |name| NewTopic { partitions: Some(3_000), replication_factor: Some(1), ..topic(name) };
        let results = kafka.create_topics(&[many("one"), many("two")], Mode::Apply).await;
        assert!(matches!(results[0], Err(KafkaError::AnswerLost { .. })), "{results:?}");
        assert_eq!(results[1], Ok(()));
        let brokers: Vec<_> = peers.asked(CREATE_TOPICS).iter().map(|asked| asked.broker).collect();
        assert!(brokers.len() == 2 && brokers[0] != brokers[1], "{brokers:?}");
    });
}
