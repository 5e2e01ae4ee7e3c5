//! The twin in memory keeps the contract, and fails on demand.

use std::collections::BTreeMap;

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kafka::{Cluster as _, Factor, Groups, KafkaError, Mode, Reassignments, Topics, codes};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::offset::{FoundOffset, OffsetQuery};
use kafka_toolbox::cluster::topic::TopicPartition;

use super::contract::{Facts, codes_of, contract, name, topic};

#[tokio::test]
async fn the_twin_keeps_the_contract() {
    for (kafka, kraft) in [(Memory::kraft(3), true), (Memory::zookeeper(3), false)] {
        let kafka = kafka.cluster_id("twin").copying(u64::MAX);
        contract(&kafka, &Facts { cluster_id: "twin".to_owned(), kraft, version: (4, 3) }).await;
    }
}

#[tokio::test]
async fn the_twin_that_lags_keeps_the_contract_too() {
    let kafka = Memory::kraft(3).cluster_id("twin").copying(u64::MAX).lagging(2);
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

fn to(partition: i32, target: Option<&[i32]>) -> (TopicPartition, Option<Vec<BrokerId>>) {
    let target = target.map(|brokers| brokers.iter().copied().map(BrokerId).collect());
    (TopicPartition { topic: name("orders"), partition }, target)
}

fn replicas(kafka: &Memory) -> Vec<i32> {
    kafka.look(|cluster| cluster.topics[&name("orders")].partitions[0].replicas.iter().map(|one| one.0).collect())
}

/// As Kafka 3.9 and 4.3 do: KRaft gives the former replicas back sorted, and after an overlay one too many.
#[tokio::test]
async fn a_cancelled_move_loses_the_order_in_kraft_and_an_overlaid_one_leaves_extra_replicas() {
    for (kraft, cancelled, overlaid) in [(true, vec![1, 2], vec![1, 3]), (false, vec![2, 1], vec![1])] {
        let twin = || if kraft { Memory::kraft(3) } else { Memory::zookeeper(3) };
        let kafka = twin().topic("orders", &[&[2, 1]]).bytes("orders", 0, 9);
        for step in [to(0, Some(&[3])), to(0, None)] {
            assert_eq!(kafka.alter_reassignments(&[step], Factor::MayChange).await, [Ok(())]);
        }
        assert_eq!(replicas(&kafka), cancelled, "kraft: {kraft}");
        let kafka = twin().topic("orders", &[&[1]]).bytes("orders", 0, 9);
        for step in [to(0, Some(&[3])), to(0, Some(&[2])), to(0, None)] {
            assert_eq!(kafka.alter_reassignments(&[step], Factor::MayChange).await, [Ok(())]);
        }
        assert_eq!(replicas(&kafka), overlaid, "kraft: {kraft}");
    }
}

#[tokio::test]
async fn a_target_that_is_down_is_refused_by_zookeeper_mode_and_hangs_in_kraft() {
    for (kafka, code) in [(Memory::kraft(3), 0), (Memory::zookeeper(3), codes::INVALID_REPLICA_ASSIGNMENT)] {
        let kafka = kafka.topic("orders", &[&[1]]).copying(u64::MAX);
        kafka.edit(|cluster| cluster.stop_broker(3));
        assert_eq!(codes_of(&kafka.alter_reassignments(&[to(0, Some(&[3]))], Factor::MayChange).await), [code]);
        let moving = kafka.reassignments().await.unwrap().len();
        assert_eq!(moving, usize::from(code == 0));
        kafka.edit(|cluster| cluster.start_broker(3));
        assert!(kafka.reassignments().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn bytes_are_copied_bit_by_bit_and_no_faster_than_throttles_allow() {
    let kafka = Memory::kraft(3).topic("orders", &[&[1]]).bytes("orders", 0, 100).copying(40);
    assert_eq!(kafka.alter_reassignments(&[to(0, Some(&[3]))], Factor::MayChange).await, [Ok(())]);
    let held = async || {
        let moving = kafka.reassignments().await.unwrap();
        let sizes = kafka.replica_sizes(&[BrokerId(3)]).await.unwrap().sizes;
        (moving.len(), sizes.values().flatten().map(|size| size.bytes).sum::<u64>())
    };
    assert_eq!(held().await, (1, 40));
    kafka.edit(|cluster| {
        let topic = cluster.topics.get_mut(&name("orders")).unwrap();
        topic.config.insert("follower.replication.throttled.replicas".to_owned(), "0:3".to_owned());
        let configs = cluster.broker_configs.entry(BrokerId(3)).or_default();
        configs.insert("follower.replication.throttled.rate".to_owned(), "5".to_owned());
    });
    assert_eq!([held().await, held().await], [(1, 45), (1, 50)]);
    kafka.edit(|cluster| cluster.broker_configs.clear());
    assert_eq!([held().await, held().await], [(1, 90), (0, 100)]);
    assert_eq!(replicas(&kafka), [3]);
}
