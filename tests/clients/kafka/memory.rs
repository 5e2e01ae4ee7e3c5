//! The twin in memory keeps the contract, and fails on demand.

use std::collections::BTreeMap;

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kafka::{Kafka, KafkaError, Mode, codes};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::offset::{FoundOffset, OffsetQuery};
use kafka_toolbox::cluster::topic::TopicPartition;

use super::contract::{Facts, codes_of, contract, name, topic};

#[tokio::test]
async fn the_twin_keeps_the_contract() {
    for (kafka, kraft) in [(Memory::kraft(3), true), (Memory::zookeeper(3), false)] {
        let kafka = kafka.cluster_id("twin");
        contract(&kafka, &Facts { cluster_id: "twin".to_owned(), kraft, version: (4, 3) }).await;
    }
}

#[tokio::test]
async fn the_twin_that_lags_keeps_the_contract_too() {
    let kafka = Memory::kraft(3).cluster_id("twin").lagging(2);
    contract(&kafka, &Facts { cluster_id: "twin".to_owned(), kraft: true, version: (4, 3) }).await;
}

#[tokio::test]
async fn an_answer_is_lost_after_the_write_and_a_request_before_it() {
    let kafka = Memory::kraft(3).losing_the_answer(Call::CreateTopics, 1).losing_the_request(Call::CreateTopics, 2);
    for (new, exists) in [(topic("done"), true), (topic("not-done"), false)] {
        let results = kafka.create_topics(std::slice::from_ref(&new), Mode::Apply).await;
        assert!(matches!(results[..], [Err(KafkaError::AnswerLost { .. })]), "{results:?}");
        assert_eq!(kafka.look(|cluster| cluster.topics.contains_key(&new.name)), exists);
    }
    assert_eq!(kafka.create_topics(&[topic("done-again")], Mode::Apply).await, [Ok(())]);
    assert_eq!(kafka.calls(), [Call::CreateTopics; 3]);
}

#[tokio::test]
async fn calls_and_single_items_fail_on_demand() {
    let refused = KafkaError::broker(44, Some("not here"));
    let kafka = Memory::kraft(1)
        .failing(Call::Metadata, 2, KafkaError::broker(codes::REQUEST_TIMED_OUT, None))
        .refusing(Call::CreateTopics, "bad", refused.clone());
    assert!(kafka.metadata(TopicSelection::All).await.is_ok());
    assert!(kafka.metadata(TopicSelection::All).await.is_err());
    assert!(kafka.metadata(TopicSelection::All).await.is_ok());
    let results = kafka.create_topics(&[topic("good"), topic("bad")], Mode::Apply).await;
    assert_eq!(results, [Ok(()), Err(refused)]);

    kafka.go_away();
    assert!(matches!(kafka.live_groups().await, Err(KafkaError::Unreachable { .. })));
    assert_eq!(codes_of(&kafka.delete_topics(&[name("good")]).await), [i16::MIN]);
    kafka.come_back();
    assert_eq!(kafka.delete_topics(&[name("good")]).await, [Ok(())]);
}

#[tokio::test]
async fn someone_else_changes_the_cluster_in_between() {
    let kafka = Memory::kraft(3)
        .topic("orders", &[&[1, 2], &[2, 3]])
        .before(Call::Metadata, 2, |cluster| cluster.stop_broker(2))
        .after(Call::Metadata, 2, |cluster| cluster.start_broker(2));
    let leaders = async || {
        let metadata = kafka.metadata(TopicSelection::All).await.unwrap();
        let partitions = metadata.topics[&name("orders")].partitions.clone();
        partitions.iter().map(|partition| partition.leader.map(|broker| broker.0)).collect::<Vec<_>>()
    };
    assert_eq!(leaders().await, [Some(1), Some(2)]);
    assert_eq!(leaders().await, [Some(1), Some(3)]);
    kafka.edit(|cluster| {
        cluster.stop_broker(1);
        cluster.stop_broker(2);
        cluster.stop_broker(3);
    });
    assert_eq!(leaders().await, [None, None]);
}

#[tokio::test]
async fn groups_records_bytes_and_moves_are_as_they_were_built() {
    let kafka = Memory::zookeeper(3)
        .topic("orders", &[&[1, 2]])
        .group("billing", &["orders"])
        .records("orders", 0, &[100, 200, 300])
        .bytes("orders", 0, 42)
        .moving("orders", 0, &[2, 3]);
    let [group] = &kafka.live_groups().await.unwrap()[..] else { panic!("one group") };
    assert_eq!((group.id.as_str(), group.members, group.topics.contains(&name("orders"))), ("billing", 1, true));

    let key = TopicPartition { topic: name("orders"), partition: 0 };
    for (query, expected) in [
        (OffsetQuery::Earliest, Some(FoundOffset { offset: 0, timestamp: None })),
        (OffsetQuery::Latest, Some(FoundOffset { offset: 3, timestamp: None })),
        (OffsetQuery::AtOrAfter(150), Some(FoundOffset { offset: 1, timestamp: Some(200) })),
        (OffsetQuery::AtOrAfter(301), None),
    ] {
        let found = kafka.offsets(std::slice::from_ref(&key), query).await.unwrap();
        assert_eq!(found, BTreeMap::from([(key.clone(), Ok(expected))]));
    }
    let sizes = kafka.replica_sizes(&[BrokerId(1)]).await.unwrap();
    assert_eq!(sizes.sizes[&key][0].bytes, 42);
    let moves = kafka.reassignments().await.unwrap();
    assert_eq!((&moves[&key].adding, &moves[&key].removing), (&vec![BrokerId(3)], &vec![BrokerId(1)]));
}
