//! The contract of the door: what any cluster says, real or in memory. Each part uses topics of its own.
//!
//! KRaft shows a write some time after it was acknowledged, so what was written is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_toolbox::clients::kafka::codes;
use kafka_toolbox::clients::kafka::{Election, Factor, Kafka, KafkaError, Mode, NewPartitions, NewTopic};
use kafka_toolbox::cluster::broker::{BrokerId, Rack};
use kafka_toolbox::cluster::config::{ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource};
use kafka_toolbox::cluster::metadata::{ReplicaSize, TopicSelection};
use kafka_toolbox::cluster::offset::{FoundOffset, OffsetQuery};
use kafka_toolbox::cluster::topic::{Topic, TopicName, TopicPartition};

/// What is true of one cluster beside its having the brokers 1, 2, 3 in racks `a`, `b`, `c`.
pub(crate) struct Facts {
    /// Its id.
    pub(crate) cluster_id: String,
    /// Whether it runs on KRaft.
    pub(crate) kraft: bool,
    /// Its version, as far as brokers differ by it: (2, 4).
    pub(crate) version: (u8, u8),
}

impl Facts {
    /// The code for a bad config value of a topic that is there.
    fn bad_value(&self) -> i16 {
        if self.version < (3, 0) { codes::INVALID_REQUEST } else { codes::INVALID_CONFIG }
    }
}

/// The longest that a write may take to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// All parts, one after the other.
pub(crate) async fn contract(kafka: &dyn Kafka, facts: &Facts) {
    brokers_and_racks(kafka, facts).await;
    topics_are_created_described_and_deleted(kafka).await;
    topics_that_can_not_be_are_refused(kafka, facts).await;
    topics_grow(kafka).await;
    configs_of_topics(kafka, facts).await;
    configs_of_brokers(kafka, facts).await;
    offsets_sizes_and_moves(kafka).await;
    moves_that_can_not_be_are_refused(kafka, facts).await;
    partitions_move_and_elect_leaders(kafka).await;
    nothing_is_written_while_the_gate_is_closed(kafka).await;
    super::quorum::contract(kafka, facts).await;
    assert_eq!(kafka.create_topics(&[], Mode::Apply).await, []);
}

async fn brokers_and_racks(kafka: &dyn Kafka, facts: &Facts) {
    let metadata = kafka.metadata(TopicSelection::None).await.unwrap();
    assert_eq!(metadata.cluster_id, facts.cluster_id);
    assert_eq!(metadata.topics, BTreeMap::new());
    let racks: Vec<_> = metadata.brokers.values().map(|broker| (broker.id.0, broker.rack.clone())).collect();
    assert_eq!(racks, [(1, "a"), (2, "b"), (3, "c")].map(|(id, rack)| (id, Some(Rack(rack.to_owned())))));
    assert!(metadata.brokers.contains_key(&metadata.controller.unwrap()));
    assert!(kafka.fenced_brokers().await.unwrap().is_none_or(|fenced| fenced.is_empty()));
    assert!(kafka.catch_up(&[BrokerId(1)].into()).await.unwrap().is_empty(), "all brokers are up to date soon");
}

async fn topics_are_created_described_and_deleted(kafka: &dyn Kafka) {
    let (placed, spread) = (name("contract.placed"), name("contract.spread"));
    let new = [
        NewTopic { assignment: Some(rows(&[&[3, 1], &[1, 2]])), ..topic("contract.placed") },
        NewTopic { partitions: Some(3), replication_factor: Some(3), ..topic("contract.spread") },
        NewTopic { replication_factor: Some(4), ..topic("contract.impossible") },
    ];
    let results = kafka.create_topics(&new, Mode::Validate).await;
    assert_eq!(codes_of(&results), [0, 0, codes::INVALID_REPLICATION_FACTOR]);
    assert!(find(kafka, &placed).await.is_none(), "asking creates nothing");

    let results = kafka.create_topics(&new, Mode::Apply).await;
    assert_eq!(codes_of(&results), [0, 0, codes::INVALID_REPLICATION_FACTOR]);
    let seen = until("the placed topic", async || find(kafka, &placed).await).await;
    let replicas: Vec<_> = seen.partitions.iter().map(|partition| partition.replicas.clone()).collect();
    assert_eq!(replicas, rows(&[&[3, 1], &[1, 2]]));
    let seen = until("the spread topic", async || find(kafka, &spread).await).await;
    assert_eq!((seen.partitions.len(), seen.replication_factor(), seen.internal), (3, 3, false));
    until("all leaders", async || {
        let topic = find(kafka, &placed).await?;
        topic.partitions.iter().all(|partition| partition.leader == Some(partition.replicas[0])).then_some(())
    })
    .await;
    let all = kafka.metadata(TopicSelection::All).await.unwrap();
    let of_one = kafka.metadata_of(BrokerId(1), TopicSelection::None).await.unwrap();
    assert_eq!((&of_one.cluster_id, of_one.topics.len()), (&all.cluster_id, 0));
    assert!(kafka.metadata_of(BrokerId(77), TopicSelection::None).await.is_err(), "nobody answers for another broker");
    assert!(all.topics.contains_key(&placed) && all.topics.contains_key(&spread));

    let results = kafka.delete_topics(&[placed.clone(), name("contract.missing"), spread.clone()]).await;
    assert_eq!(codes_of(&results), [0, codes::UNKNOWN_TOPIC_OR_PARTITION, 0]);
    until("the end of both", async || {
        (find(kafka, &placed).await.or(find(kafka, &spread).await)).is_none().then_some(())
    })
    .await;
}

async fn topics_that_can_not_be_are_refused(kafka: &dyn Kafka, facts: &Facts) {
    create(kafka, NewTopic { partitions: Some(1), replication_factor: Some(1), ..topic("contract.a.b") }).await;
    let config = |key: &str, value: &str| {
        let config = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        NewTopic { partitions: Some(1), replication_factor: Some(1), config, ..topic("contract.refused") }
    };
    let placed = |replicas: &[&[i32]]| NewTopic { assignment: Some(rows(replicas)), ..topic("contract.refused") };
    let counted = |partitions, factor| NewTopic {
        partitions: Some(partitions),
        replication_factor: Some(factor),
        ..topic("contract.refused")
    };
    let stranger = if facts.kraft { codes::INVALID_REPLICA_ASSIGNMENT } else { 0 };
    let cases = [
        (counted(0, 1), codes::INVALID_PARTITIONS),
        (counted(1, 0), codes::INVALID_REPLICATION_FACTOR),
        (counted(1, 4), codes::INVALID_REPLICATION_FACTOR),
        (placed(&[&[1, 1]]), codes::INVALID_REPLICA_ASSIGNMENT),
        (placed(&[&[1, 2], &[3]]), codes::INVALID_REPLICA_ASSIGNMENT),
        (placed(&[&[99]]), stranger),
        (config("retention.mss", "1"), codes::INVALID_CONFIG),
        (config("retention.ms", "a week"), codes::INVALID_CONFIG),
        (config("retention.ms", "-2"), codes::INVALID_CONFIG),
        (config("cleanup.policy", "shred"), codes::INVALID_CONFIG),
        (config("leader.replication.throttled.replicas", "0-1"), codes::INVALID_CONFIG),
        // Brokers take this: it is ours to check.
        (config("min.insync.replicas", "3"), 0),
        (topic("contract.a.b"), codes::TOPIC_ALREADY_EXISTS),
        (NewTopic { name: name("contract.a_b"), ..counted(1, 1) }, codes::INVALID_TOPIC),
    ];
    for (new, expected) in cases {
        let results = kafka.create_topics(std::slice::from_ref(&new), Mode::Validate).await;
        assert_eq!(codes_of(&results), [expected], "{new:?}: {results:?}");
        if expected != 0 {
            let results = kafka.create_topics(std::slice::from_ref(&new), Mode::Apply).await;
            assert_eq!(codes_of(&results), [expected], "{new:?}");
        }
    }
    delete(kafka, "contract.a.b").await;
}

async fn topics_grow(kafka: &dyn Kafka) {
    create(kafka, NewTopic { assignment: Some(rows(&[&[1, 2]])), ..topic("contract.grows") }).await;
    let to = |count, assignment| NewPartitions { name: name("contract.grows"), count, assignment };
    let missing = NewPartitions { name: name("contract.missing"), count: 2, assignment: None };
    let cases = [
        (to(1, None), codes::INVALID_PARTITIONS),
        (to(0, None), codes::INVALID_PARTITIONS),
        (to(3, Some(rows(&[&[1, 2]]))), codes::INVALID_REPLICA_ASSIGNMENT),
        (to(2, Some(rows(&[&[2, 2]]))), codes::INVALID_REPLICA_ASSIGNMENT),
        (missing, codes::UNKNOWN_TOPIC_OR_PARTITION),
        (to(2, Some(rows(&[&[3, 1]]))), 0),
    ];
    for (growth, expected) in cases {
        let results = kafka.create_partitions(std::slice::from_ref(&growth), Mode::Validate).await;
        assert_eq!(codes_of(&results), [expected], "{growth:?}: {results:?}");
    }
    let results = kafka.create_partitions(&[to(2, Some(rows(&[&[3, 1]])))], Mode::Apply).await;
    assert_eq!(codes_of(&results), [0]);
    let grown = async || find(kafka, &name("contract.grows")).await.filter(|topic| topic.partitions.len() == 2);
    let seen = until("the second partition", grown).await;
    assert_eq!(seen.partitions[1].replicas, rows(&[&[3, 1]])[0]);
    delete(kafka, "contract.grows").await;
}

async fn configs_of_topics(kafka: &dyn Kafka, facts: &Facts) {
    let set = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
    create(
        kafka,
        NewTopic { partitions: Some(1), replication_factor: Some(1), config: set, ..topic("contract.configs") },
    )
    .await;
    let resource = ConfigResource::Topic(name("contract.configs"));
    let missing = ConfigResource::Topic(name("contract.missing"));

    let keys = ["retention.ms", "cleanup.policy", "no.such.key"];
    let mut described = kafka.configs(&[resource.clone(), missing.clone()], Some(&keys)).await.unwrap();
    let error = described.remove(&missing).unwrap().unwrap_err();
    assert_eq!(error.code(), Some(codes::UNKNOWN_TOPIC_OR_PARTITION));
    let mut entries = described.remove(&resource).unwrap().unwrap();
    entries.sort_by(|one, two| one.name.cmp(&two.name));
    let entry = |key: &str, value: &str, source| ConfigEntry {
        name: key.to_owned(),
        value: Some(value.to_owned()),
        source,
        sensitive: false,
        read_only: false,
    };
    let expected =
        [entry("cleanup.policy", "delete", ConfigSource::Default), entry("retention.ms", "1000", ConfigSource::Topic)];
    assert_eq!(entries, expected);
    let all = kafka.configs(std::slice::from_ref(&resource), None).await.unwrap();
    let all = all[&resource].as_ref().unwrap();
    assert!(all.len() > 20 && all.iter().any(|entry| entry.name == "segment.bytes"));

    configs_that_are_refused(kafka, facts).await;
    let replicas = "leader.replication.throttled.replicas";
    // Appending to a key that is not set fails in Kafka 2.4 and leaves an empty element (`,0:1`) in 2.8; what is there
    // already is doubled in both.
    let first: fn(String) -> _ = if facts.version < (3, 0) { ConfigOperation::Set } else { ConfigOperation::Append };
    let doubled = if facts.version < (3, 0) { "0:1,0:1" } else { "0:1" };
    let steps = [
        (first("0:1".to_owned()), Some("0:1")),
        (ConfigOperation::Append("0:1".to_owned()), Some(doubled)),
        (ConfigOperation::Set("0:1".to_owned()), Some("0:1")),
        (ConfigOperation::Append("0:2".to_owned()), Some("0:1,0:2")),
        (ConfigOperation::Subtract("0:1,0:9".to_owned()), Some("0:2")),
        // What is left is an explicit empty list, not the default.
        (ConfigOperation::Subtract("0:2".to_owned()), Some("")),
        (ConfigOperation::Delete, None),
        (ConfigOperation::Set("*".to_owned()), Some("*")),
    ];
    for (operation, expected) in steps {
        let shown = format!("{operation:?}");
        change(kafka, &resource, replicas, operation).await;
        until(&format!("{shown} to be seen"), async || {
            let described = kafka.configs(std::slice::from_ref(&resource), Some(&[replicas])).await.ok()?;
            let [entry] = described[&resource].as_ref().ok()?.as_slice() else { return None };
            let set = (entry.source == ConfigSource::Topic).then(|| entry.value.clone()).flatten();
            (set.as_deref() == expected).then_some(())
        })
        .await;
    }
    delete(kafka, "contract.configs").await;
}

async fn configs_that_are_refused(kafka: &dyn Kafka, facts: &Facts) {
    let on = |topic: &str, key: &str, operation| ConfigChange {
        resource: ConfigResource::Topic(name(topic)),
        operations: vec![(key.to_owned(), operation)],
    };
    let set = |value: &str| ConfigOperation::Set(value.to_owned());
    let cases = [
        (on("contract.configs", "retention.mss", set("1")), codes::INVALID_CONFIG),
        (on("contract.configs", "retention.ms", set("soon")), facts.bad_value()),
        (on("contract.configs", "min.insync.replicas", set("0")), facts.bad_value()),
        (on("contract.configs", "retention.ms", ConfigOperation::Append("1".to_owned())), facts.bad_value()),
        (on("contract.configs", "retention.ms", set("2000")), 0),
    ];
    for (refused, expected) in &cases {
        let results = kafka.alter_configs(std::slice::from_ref(refused), Mode::Validate).await;
        assert_eq!(codes_of(&results), [*expected], "{refused:?}: {results:?}");
    }
    let missing = on("contract.missing", "retention.ms", set("1"));
    let results = kafka.alter_configs(&[missing], Mode::Apply).await;
    assert!(results[0].is_err(), "{results:?}");
    let resource = ConfigResource::Topic(name("contract.configs"));
    let described = kafka.configs(std::slice::from_ref(&resource), Some(&["retention.ms"])).await.unwrap();
    let value = described[&resource].as_ref().unwrap()[0].value.as_deref();
    assert_eq!(value, Some("1000"), "asking changes nothing");
}

async fn configs_of_brokers(kafka: &dyn Kafka, facts: &Facts) {
    let one = ConfigResource::Broker(BrokerId(2));
    let rate = "leader.replication.throttled.rate";
    let set = |value: &str| ConfigOperation::Set(value.to_owned());
    let refused = [
        (one.clone(), "auto.create.topics.enable", set("true"), codes::INVALID_REQUEST),
        (ConfigResource::Broker(BrokerId(99)), rate, set("1"), codes::BROKER_NOT_AVAILABLE),
    ];
    for (resource, key, operation, expected) in refused {
        let change = ConfigChange { resource, operations: vec![(key.to_owned(), operation)] };
        let results = kafka.alter_configs(&[change], Mode::Validate).await;
        assert_eq!(codes_of(&results), [expected], "{key}: {results:?}");
    }
    for resource in [one, ConfigResource::BrokerDefaults] {
        for (operation, expected) in [(set("1000000"), Some("1000000")), (ConfigOperation::Delete, None)] {
            change(kafka, &resource, rate, operation).await;
            until(&format!("{rate} of {resource} to be {expected:?}"), async || {
                let described = kafka.configs(std::slice::from_ref(&resource), Some(&[rate])).await.ok()?;
                let entries = described[&resource].as_ref().ok()?;
                let entry = entries.iter().find(|entry| entry.name == rate);
                // Kafka 2.4 hides the value of this key.
                let hidden = entry.is_some_and(|entry| entry.sensitive && facts.version < (2, 8));
                let value = entry.and_then(|entry| entry.value.as_deref());
                (value == expected || hidden && expected.is_some()).then_some(())
            })
            .await;
        }
    }
    let ids = ConfigResource::Broker(BrokerId(3));
    let described = kafka.configs(std::slice::from_ref(&ids), Some(&["num.io.threads", "broker.id"])).await.unwrap();
    let sources: Vec<_> = described[&ids].as_ref().unwrap().iter().map(|entry| entry.source).collect();
    assert!(sources.contains(&ConfigSource::BrokerFile), "{described:?}");
}

async fn offsets_sizes_and_moves(kafka: &dyn Kafka) {
    create(kafka, NewTopic { assignment: Some(rows(&[&[1, 2], &[3, 1]])), ..topic("contract.empty") }).await;
    let partition = |topic: &str, partition| TopicPartition { topic: name(topic), partition };
    let partitions = [partition("contract.empty", 0), partition("contract.empty", 1)];
    for (query, expected) in [
        (OffsetQuery::Earliest, Some(FoundOffset { offset: 0, timestamp: None })),
        (OffsetQuery::Latest, Some(FoundOffset { offset: 0, timestamp: None })),
        (OffsetQuery::AtOrAfter(0), None),
    ] {
        let expected: BTreeMap<_, _> = partitions.iter().map(|one| (one.clone(), Ok(expected))).collect();
        // A leader may hear of a new topic later than the broker that told us of it.
        until(&format!("the offsets of {query:?}"), async || {
            (kafka.offsets(&partitions, query).await.unwrap() == expected).then_some(())
        })
        .await;
    }
    let strangers = [partition("contract.empty", 7), partition("contract.missing", 0)];
    let found = kafka.offsets(&strangers, OffsetQuery::Latest).await.unwrap();
    for stranger in &strangers {
        let code = found[stranger].as_ref().unwrap_err().code();
        assert_eq!(code, Some(codes::UNKNOWN_TOPIC_OR_PARTITION), "{stranger}");
    }

    until("the log dirs of all replicas", async || {
        let sizes = kafka.replica_sizes(&[1, 2, 3, 99].map(BrokerId)).await.unwrap();
        assert_eq!(sizes.missing.keys().map(|broker| broker.0).collect::<Vec<_>>(), [99]);
        let mut seen = sizes.sizes.get(&partitions[1])?.clone();
        seen.sort_by_key(|size| size.broker);
        let size =
            |broker| ReplicaSize { broker: BrokerId(broker), bytes: 0, offset_lag: 0, log_dir: 0, is_future: false };
        (seen == [size(1), size(3)]).then_some(())
    })
    .await;
    let moves = kafka.reassignments().await.unwrap();
    assert!(!moves.keys().any(|partition| partition.topic.as_str() == "contract.empty"));
    let groups = kafka.live_groups().await.unwrap();
    assert!(!groups.iter().any(|group| group.id == "contract.nobody"));
    delete(kafka, "contract.empty").await;
}

async fn moves_that_can_not_be_are_refused(kafka: &dyn Kafka, facts: &Facts) {
    create(kafka, NewTopic { assignment: Some(rows(&[&[1, 2]])), ..topic("contract.stays") }).await;
    let to = |topic: &str, partition, target: Option<&[i32]>| {
        let target = target.map(|brokers| brokers.iter().copied().map(BrokerId).collect());
        (TopicPartition { topic: name(topic), partition }, target)
    };
    let cases = [
        (to("contract.missing", 0, Some(&[1])), codes::UNKNOWN_TOPIC_OR_PARTITION),
        (to("contract.stays", 7, Some(&[1])), codes::UNKNOWN_TOPIC_OR_PARTITION),
        (to("contract.stays", 0, Some(&[3, 3])), codes::INVALID_REPLICA_ASSIGNMENT),
        (to("contract.stays", 0, Some(&[])), codes::INVALID_REPLICA_ASSIGNMENT),
        (to("contract.stays", 0, Some(&[99])), codes::INVALID_REPLICA_ASSIGNMENT),
        (to("contract.stays", 0, None), codes::NO_REASSIGNMENT_IN_PROGRESS),
        (to("contract.stays", 0, Some(&[1, 2])), 0),
    ];
    for (target, expected) in cases {
        let results = kafka.alter_reassignments(std::slice::from_ref(&target), Factor::MayChange).await;
        assert_eq!(codes_of(&results), [expected], "{target:?}: {results:?}");
    }
    if facts.kraft && facts.version >= (4, 1) {
        let fewer = [to("contract.stays", 0, Some(&[1]))];
        let results = kafka.alter_reassignments(&fewer, Factor::Kept).await;
        assert_eq!(codes_of(&results), [codes::INVALID_REPLICATION_FACTOR], "{results:?}");
    }
    let strangers = [TopicPartition { topic: name("contract.stays"), partition: 7 }];
    for election in [Election::Preferred, Election::Unclean] {
        let elected = kafka.elect_leaders(election, &strangers).await;
        assert_eq!(codes_of(&elected), [codes::UNKNOWN_TOPIC_OR_PARTITION], "{election:?}");
    }
    assert_eq!(find(kafka, &name("contract.stays")).await.unwrap().partitions[0].replicas, rows(&[&[1, 2]])[0]);
    delete(kafka, "contract.stays").await;
}

async fn partitions_move_and_elect_leaders(kafka: &dyn Kafka) {
    create(kafka, NewTopic { assignment: Some(rows(&[&[1, 2], &[2, 1]])), ..topic("contract.moves") }).await;
    let keys = [0, 1].map(|partition| TopicPartition { topic: name("contract.moves"), partition });
    let steps: [[&[i32]; 2]; 4] = [
        // Another replica, another order, more replicas, fewer.
        [&[3, 1], &[3, 2]],
        [&[1, 3], &[2, 3]],
        [&[1, 3, 2], &[2, 3, 1]],
        [&[1], &[2]],
    ];
    for step in steps {
        let targets = rows(&step);
        let moves: Vec<_> = keys.iter().cloned().zip(targets.iter().cloned().map(Some)).collect();
        assert_eq!(kafka.alter_reassignments(&moves, Factor::MayChange).await, [Ok(()), Ok(())], "{step:?}");
        until(&format!("the replicas {step:?}"), async || {
            let moving = kafka.reassignments().await.unwrap();
            let seen = find(kafka, &name("contract.moves")).await?;
            let replicas: Vec<_> = seen.partitions.iter().map(|one| one.replicas.clone()).collect();
            let in_sync = seen.partitions.iter().all(|one| one.isr.len() == one.replicas.len());
            (!keys.iter().any(|key| moving.contains_key(key)) && replicas == targets && in_sync).then_some(())
        })
        .await;
        // The first time the preferred one may lead already; the second time it does.
        for answer in kafka.elect_leaders(Election::Preferred, &keys).await {
            assert!(answer.is_ok() || is_not_needed(&answer), "{step:?}: {answer:?}");
        }
        let again = kafka.elect_leaders(Election::Preferred, &keys).await;
        assert!(again.iter().all(is_not_needed), "{step:?}: {again:?}");
        until(&format!("the leaders of {step:?}"), async || {
            let seen = find(kafka, &name("contract.moves")).await?;
            seen.partitions.iter().all(|one| one.leader == one.replicas.first().copied()).then_some(())
        })
        .await;
    }
    // Both have a leader, so that none is elected, in sync or not.
    let unclean = kafka.elect_leaders(Election::Unclean, &keys).await;
    assert!(unclean.iter().all(is_not_needed), "{unclean:?}");
    delete(kafka, "contract.moves").await;
}

fn is_not_needed(answer: &Result<(), KafkaError>) -> bool {
    answer.as_ref().is_err_and(|error| error.code() == Some(codes::ELECTION_NOT_NEEDED))
}

async fn nothing_is_written_while_the_gate_is_closed(kafka: &dyn Kafka) {
    let new = [NewTopic { partitions: Some(1), replication_factor: Some(1), ..topic("contract.gated") }];
    let key = TopicPartition { topic: name("contract.gated"), partition: 0 };
    let resource = ConfigResource::Topic(name("contract.gated"));
    let change = ConfigChange { resource, operations: vec![("retention.ms".to_owned(), ConfigOperation::Delete)] };
    kafka.write_gate().require("a lock", Arc::new(|| Err("the lock is lost".to_owned())));
    let refused = [Err(KafkaError::LockNotHeld { why: "the lock is lost".to_owned() })];
    assert_eq!(kafka.create_topics(&new, Mode::Apply).await, refused);
    assert_eq!(kafka.delete_topics(&[name("contract.gated")]).await, refused);
    assert_eq!(kafka.alter_configs(&[change], Mode::Apply).await, refused);
    assert_eq!(kafka.alter_reassignments(&[(key.clone(), None)], Factor::MayChange).await, refused);
    for election in [Election::Preferred, Election::Unclean] {
        assert_eq!(kafka.elect_leaders(election, std::slice::from_ref(&key)).await, refused);
    }
    assert_eq!(kafka.create_topics(&new, Mode::Validate).await, [Ok(())], "questions are free");
    assert!(find(kafka, &name("contract.gated")).await.is_none());
    kafka.write_gate().waive("a lock");
    assert_eq!(kafka.create_topics(&new, Mode::Apply).await, [Ok(())]);
    delete(kafka, "contract.gated").await;
}

/// A name that is known to be legal.
pub(crate) fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A topic with all left to the brokers.
pub(crate) fn topic(topic: &str) -> NewTopic {
    NewTopic {
        name: name(topic),
        partitions: None,
        replication_factor: None,
        assignment: None,
        config: BTreeMap::new(),
    }
}

/// Replicas as literal rows.
pub(crate) fn rows(rows: &[&[i32]]) -> Vec<Vec<BrokerId>> {
    rows.iter().map(|row| row.iter().copied().map(BrokerId).collect()).collect()
}

/// The error code of each result; 0 for none, the lowest number where there was no answer.
pub(crate) fn codes_of(results: &[Result<(), KafkaError>]) -> Vec<i16> {
    let code = |result: &Result<(), KafkaError>| match result {
        Ok(()) => 0,
        Err(error) => error.code().unwrap_or(i16::MIN),
    };
    results.iter().map(code).collect()
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < SEEN_WITHIN, "{what} was not seen within {SEEN_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn find(kafka: &dyn Kafka, topic: &TopicName) -> Option<Topic> {
    kafka.metadata(TopicSelection::Named(std::slice::from_ref(topic))).await.unwrap().topics.remove(topic)
}

/// Creates a topic and waits until it can be seen, with a leader for each partition.
pub(crate) async fn create(kafka: &dyn Kafka, new: NewTopic) {
    let name = new.name.clone();
    let results = kafka.create_topics(&[new], Mode::Apply).await;
    assert_eq!(results, [Ok(())], "{name}");
    until(&format!("{name} with leaders"), async || {
        let topic = find(kafka, &name).await?;
        topic.partitions.iter().all(|partition| partition.leader.is_some()).then_some(())
    })
    .await;
    let resource = ConfigResource::Topic(name);
    until("its config", async || {
        kafka.configs(std::slice::from_ref(&resource), None).await.ok()?[&resource].is_ok().then_some(())
    })
    .await;
}

pub(crate) async fn delete(kafka: &dyn Kafka, topic: &str) {
    assert_eq!(kafka.delete_topics(&[name(topic)]).await, [Ok(())], "{topic}");
}

async fn change(kafka: &dyn Kafka, resource: &ConfigResource, key: &str, operation: ConfigOperation) {
    let shown = format!("{resource} {key} {operation:?}");
    let change = ConfigChange { resource: resource.clone(), operations: vec![(key.to_owned(), operation)] };
    assert_eq!(kafka.alter_configs(&[change], Mode::Apply).await, [Ok(())], "{shown}");
}
