//! The quorum of controllers: what every cluster answers, and changes of voters on real ones, through brokers and directly.

use std::time::Duration;

use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kafka::settings::{Given, Settings};
use kafka_toolbox::clients::kafka::{Cluster as _, Configs as _, Kafka, KafkaError, NewTopic, Quorum, codes};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::config::ConfigResource;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::quorum::{DirectoryId, Endpoint, NewVoter, NodeId, QuorumState, ReplicaKey};
use kafka_toolbox::cluster::topic::TopicPartition;
use uuid::Uuid;

use super::contract::{Facts, create, delete, name, topic, until};
use super::live::{PATIENT, open, wait};
use crate::live::kafka::{Cluster, Kind};

/// A directory that no controller has.
fn strange() -> DirectoryId {
    DirectoryId::of(Uuid::from_u128(u128::MAX)).unwrap()
}

fn voter(id: i32) -> NewVoter {
    let endpoint = Endpoint { listener: "CONTROLLER".to_owned(), host: "127.0.0.1".to_owned(), port: 1 };
    NewVoter { id: NodeId(id), directory: strange(), endpoints: vec![endpoint] }
}

/// What any cluster says of its quorum.
pub(super) async fn contract(kafka: &dyn Kafka, facts: &Facts) {
    if facts.kraft {
        the_leader_describes_voters_and_what_can_not_be_is_refused(kafka).await;
        partitions_are_described_with_their_eligible_leaders(kafka).await;
    } else {
        zookeeper_mode_has_no_quorum(kafka).await;
    }
}

async fn the_leader_describes_voters_and_what_can_not_be_is_refused(kafka: &dyn Kafka) {
    let state = kafka.quorum().await.unwrap();
    let leader = state.voter(state.leader.unwrap()).unwrap();
    assert!(state.is_dynamic() && state.high_watermark > 0 && state.leader_epoch > 0, "{state:?}");
    assert!(leader.log_end_offset.unwrap() >= state.high_watermark && state.lag(leader) == Some(0), "{state:?}");
    let ids: Vec<_> = state.voters.iter().map(|voter| voter.key.id).collect();
    assert!(ids.iter().all(|id| state.endpoints[id].iter().all(|endpoint| endpoint.port > 0)), "{state:?}");

    let code = |result: Result<(), KafkaError>| result.unwrap_err().code();
    let other_disk = NewVoter { id: leader.key.id, ..voter(0) };
    assert_eq!(code(kafka.add_voter(&other_disk).await), Some(codes::DUPLICATE_VOTER));
    let wrong_disk = ReplicaKey { id: leader.key.id, directory: Some(strange()) };
    assert_eq!(code(kafka.remove_voter(wrong_disk).await), Some(codes::VOTER_NOT_FOUND));
    assert_eq!(code(kafka.unregister_broker(BrokerId(4_711)).await), Some(codes::BROKER_ID_NOT_REGISTERED));
    let error = kafka.unregister_controller(NodeId(4_711)).await.unwrap_err();
    assert!(matches!(error, KafkaError::Unsupported { since: "4.4", .. }), "{error}");
    let error = kafka.controllers().await.unwrap_err();
    assert_eq!(error.code(), Some(codes::MISMATCHED_ENDPOINT_TYPE), "{error}");

    let features = kafka.features(None).await.unwrap();
    assert!(features.level("metadata.version") > 0 && features.level("kraft.version") == 1, "{features:?}");
    assert!(features.supported["metadata.version"].max >= features.level("metadata.version"), "{features:?}");
    assert!(features.supported.contains_key("kraft.version"), "its lowest level is 0: {features:?}");
    assert!(features.finalized_at.unwrap() > 0 && !features.zk_migration_ready, "{features:?}");
}

async fn partitions_are_described_with_their_eligible_leaders(kafka: &dyn Kafka) {
    create(kafka, NewTopic { partitions: Some(2), replication_factor: Some(3), ..topic("contract.described") }).await;
    let names = [name("contract.described"), name("contract.missing")];
    let states = until("both partitions", async || {
        let states = kafka.describe_partitions(&names).await.unwrap();
        (states.len() == 2 && states.values().all(|state| state.partition.isr.len() == 3)).then_some(states)
    })
    .await;
    let metadata = kafka.metadata(TopicSelection::Named(&names)).await.unwrap();
    for partition in &metadata.topics[&names[0]].partitions {
        let key = TopicPartition { topic: names[0].clone(), partition: partition.partition };
        assert_eq!((&states[&key].partition, &states[&key].eligible[..]), (partition, &[][..]));
    }
    delete(kafka, "contract.described").await;
}

async fn zookeeper_mode_has_no_quorum(kafka: &dyn Kafka) {
    let key = ReplicaKey { id: NodeId(1), directory: None };
    let errors = [
        kafka.quorum().await.unwrap_err(),
        kafka.add_voter(&voter(1)).await.unwrap_err(),
        kafka.remove_voter(key).await.unwrap_err(),
        kafka.unregister_broker(BrokerId(4_711)).await.unwrap_err(),
        kafka.unregister_controller(NodeId(1)).await.unwrap_err(),
        kafka.describe_partitions(&[name("contract.missing")]).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| matches!(error, KafkaError::Unsupported { .. })), "{errors:?}");
    assert_eq!(kafka.features(None).await.unwrap().level("kraft.version"), 0);
}

/// A client of controllers.
fn open_controllers(controllers: &str) -> Live {
    let given = Given { bootstrap_controller: Some(controllers), timeout: Some(PATIENT), ..Given::default() };
    Live::new(Settings::load(None, given).unwrap()).unwrap()
}

#[test]
fn voters_leave_and_join_through_controllers_and_brokers_on_kafka_3_9() {
    voters_leave_and_join(Kind::Kafka39Kraft);
}

#[test]
fn voters_leave_and_join_through_controllers_and_brokers_on_kafka_4_3() {
    voters_leave_and_join(Kind::Kafka43Kraft);
}

/// A follower of the shared cluster's quorum loses its vote for some seconds: the others are enough for everything.
fn voters_leave_and_join(kind: Kind) {
    let cluster = Cluster::shared(kind);
    let (brokers, controllers) = (open(&cluster.bootstrap(), PATIENT), open_controllers(&cluster.controllers()));
    wait(async {
        let state = controllers.quorum().await.unwrap();
        let described = controllers.controllers().await.unwrap();
        assert_eq!((described.cluster_id.as_str(), described.active), (cluster.id(), state.leader));
        assert_eq!(described.nodes.keys().map(|node| node.0).collect::<Vec<_>>(), [1, 2, 3]);
        let features = controllers.features(Some(NodeId(2))).await.unwrap();
        assert_eq!(features.level("kraft.version"), 1);
        assert_eq!(own_file(&controllers, 2).await, ["process.roles=broker,controller"]);
        let error = controllers.metadata(TopicSelection::None).await.unwrap_err();
        assert!(matches!(error, KafkaError::Unsupported { .. }), "{error}");

        let follower = state.voters.iter().find(|voter| Some(voter.key.id) != state.leader).unwrap().key;
        let new = NewVoter {
            id: follower.id,
            directory: follower.directory.unwrap(),
            endpoints: state.endpoints[&follower.id].clone(),
        };
        for (remover, adder) in [(&controllers, &brokers), (&brokers, &controllers)] {
            settle(
                remover,
                "a voter less",
                async || remover.remove_voter(follower).await,
                |state| state.voter(follower.id).is_none() && state.observer(follower).is_some(),
            )
            .await;
            settle(
                adder,
                "the voter again",
                async || adder.add_voter(&new).await,
                |state| state.voter(follower.id).is_some_and(|voter| voter.key == follower),
            )
            .await;
        }
    });
}

/// What a controller says of its own roles.
async fn own_file(controllers: &Live, id: i32) -> Vec<String> {
    let resource = ConfigResource::Broker(BrokerId(id));
    let answer = controllers.configs(std::slice::from_ref(&resource), Some(&["process.roles"])).await.unwrap();
    let entries = answer[&resource].as_ref().unwrap();
    entries.iter().map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or_default())).collect()
}

/// Changes voters as a tool has to: where the answer leaves the result unknown, it looks, and tries again if nothing came
/// of it.
async fn settle(
    kafka: &Live,
    what: &str,
    change: impl AsyncFn() -> Result<(), KafkaError>,
    is_done: impl Fn(&QuorumState) -> bool,
) {
    until(what, async || {
        let answer = change().await;
        let may_repeat = |error: &KafkaError| {
            let is_settled = [codes::DUPLICATE_VOTER, codes::VOTER_NOT_FOUND].map(Some).contains(&error.code());
            error.leaves_result_unknown() || is_settled
        };
        assert!(answer.as_ref().err().is_none_or(may_repeat), "{answer:?}");
        is_done(&kafka.quorum().await.unwrap()).then_some(())
    })
    .await;
}

#[test]
fn a_broker_in_the_place_of_a_controller_says_which_flag_is_wrong() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    wait(async {
        let error = open_controllers(&cluster.bootstrap()).quorum().await.unwrap_err();
        assert_eq!(error.code(), Some(codes::MISMATCHED_ENDPOINT_TYPE), "{error}");
        assert!(error.to_string().contains("--bootstrap-controller"), "{error}");
    });
}

#[test]
fn a_frozen_controller_is_passed_over_and_a_dead_list_is_an_error() {
    let cluster = Cluster::shared(Kind::Kafka39Kraft);
    wait(async {
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let silent = silent.local_addr().unwrap();
        let kafka = open_controllers(&format!("{silent},{}", cluster.controllers()));
        assert!(kafka.quorum().await.unwrap().leader.is_some());
        let given = Given {
            bootstrap_controller: Some("127.0.0.1:1"),
            timeout: Some(Duration::from_secs(1)),
            ..Given::default()
        };
        let nobody = Live::new(Settings::load(None, given).unwrap()).unwrap();
        assert!(matches!(nobody.quorum().await, Err(KafkaError::Unreachable { .. })));
    });
}

#[tokio::test]
async fn the_twin_changes_voters_and_elects_another_leader_when_the_leader_leaves() {
    let kafka = Memory::kraft(3);
    let first = kafka.quorum().await.unwrap().voters[0].key;
    kafka.remove_voter(first).await.unwrap();
    let state = kafka.quorum().await.unwrap();
    assert_eq!((state.leader, state.leader_epoch, state.voters.len()), (Some(NodeId(102)), 2, 2));
    let again = NewVoter { id: first.id, directory: first.directory.unwrap(), endpoints: Vec::new() };
    kafka.add_voter(&again).await.unwrap();
    assert_eq!(kafka.quorum().await.unwrap().voters.len(), 3);
    let error = kafka.add_voter(&voter(104)).await.unwrap_err();
    assert!(error.leaves_result_unknown(), "it does not follow: {error}");
    for id in [101, 102] {
        kafka.remove_voter(state_key(&kafka, id).await).await.unwrap();
    }
    let last = kafka.remove_voter(state_key(&kafka, 103).await).await.unwrap_err();
    assert_eq!(last.code(), Some(codes::VOTER_NOT_FOUND), "the last one");
}

async fn state_key(kafka: &Memory, id: i32) -> ReplicaKey {
    kafka.quorum().await.unwrap().voter(NodeId(id)).unwrap().key
}

#[tokio::test]
async fn the_twin_forgets_controllers_from_4_4_on_and_changes_nothing_while_the_gate_is_closed() {
    let kafka = Memory::kraft(1).losing_the_answer(Call::UnregisterController, 1);
    kafka.edit(|model| {
        model.is_controllers = true;
        model.features.finalized.insert("metadata.version".to_owned(), 33);
    });
    assert!(kafka.unregister_controller(NodeId(103)).await.unwrap_err().leaves_result_unknown());
    let left: Vec<_> = kafka.controllers().await.unwrap().nodes.into_keys().collect();
    assert_eq!(left, [NodeId(101), NodeId(102)]);
    let code = |result: Result<(), KafkaError>| result.unwrap_err().code();
    assert_eq!(code(kafka.unregister_controller(NodeId(103)).await), Some(codes::CONTROLLER_ID_NOT_REGISTERED));
    assert_eq!(code(kafka.unregister_controller(NodeId(101)).await), Some(codes::INVALID_REQUEST), "it is active");
    kafka.write_gate().require("test", std::sync::Arc::new(|| Err("closed".to_owned())));
    let error = kafka.unregister_broker(BrokerId(1)).await.unwrap_err();
    assert!(matches!(error, KafkaError::LockNotHeld { .. }), "{error}");
    assert_eq!(kafka.look(|model| model.brokers.len()), 1);
}
