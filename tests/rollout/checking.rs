//! `rollout check` and `rollout wait`, in memory.

use kafka_toolbox::clients::kafka::KafkaError;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::exit::Exit;
use serde_json::Value;

use crate::support::desk::{Desk, Said};
use crate::support::toolbox::Toolbox;

/// Three brokers with a topic that wants two of three replicas.
fn three() -> Memory {
    Memory::kraft(3).topic("orders", &[&[1, 2, 3], &[2, 3, 1]]).config("orders", "min.insync.replicas", "2")
}

async fn check(kafka: Memory, more: &[&str]) -> Said {
    let line = ["rollout", "check", "--broker", "1", "--apart", "1ms"];
    Desk::new(kafka).run(&[&line[..], more].concat()).await
}

/// The same cluster, where a replica of the first partition fell out of the ISR.
fn behind() -> Memory {
    let kafka = three();
    kafka.edit(|model| {
        let topic = model.topics.values_mut().next().unwrap();
        topic.partitions[0].isr = vec![BrokerId(1), BrokerId(2)];
    });
    kafka
}

#[tokio::test]
async fn a_healthy_broker_may_stop_after_two_looks() {
    let said = check(three(), &[]).await.ends_with(Exit::Done);
    assert_eq!(said.out, "broker 1 may stop now\n");
    assert!(check(three(), &["-o", "json"]).await.out.contains(r#""answer": "may_stop""#));
}

#[tokio::test]
async fn a_partition_at_its_minimum_is_named_with_its_numbers_and_the_exit_code_says_wait() {
    let said = check(behind(), &[]).await.ends_with(Exit::Unhealthy);
    for words in ["broker 1 may not stop now, wait:", "PARTITION", "orders-0   1,2  2", "would fall below"] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let json = check(behind(), &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json["subject"].as_str(), json["answer"].as_str()), (Some("broker 1"), Some("wait")));
    assert_eq!(json["blockers"][0]["topic"], "orders");
    assert_eq!((json["blockers"][0]["minIsr"].as_i64(), json["blockersCount"].as_i64()), (Some(2), Some(1)));
}

#[tokio::test]
async fn a_single_replica_is_refused_until_that_is_accepted() {
    let single = || three().topic("single", &[&[1]]);
    let said = check(single(), &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("--accept-unavailable"), "{}", said.out);
    let said = check(single(), &["--accept-topic", "single"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("Partitions that will be unavailable or below min ISR: 1"), "{}", said.out);
    check(single(), &["--accept-unavailable"]).await.ends_with(Exit::Done);
    check(single(), &["--accept-topic", "orders"]).await.ends_with(Exit::Refused);
}

#[tokio::test]
async fn moves_wait_unless_so_many_may_run() {
    let moving = || three().topic("moved", &[&[2, 3]]).moving("moved", 0, &[3, 1]);
    check(moving(), &[]).await.ends_with(Exit::Unhealthy);
    check(moving(), &["--moves-max", "1"]).await.ends_with(Exit::Done);
}

#[tokio::test]
async fn a_broker_that_nobody_knows_is_refused_and_one_that_is_out_keeps_others_from_stopping() {
    let said = check(three(), &["--expect-brokers", "1-4"]).await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("other brokers are not registered: 4"), "{}", said.out);
    let said = Desk::new(three()).run(&["rollout", "check", "--broker", "9"]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("broker 9 is not known"), "{}", said.out);
}

#[tokio::test]
async fn state_that_cannot_be_read_never_means_may_stop() {
    for call in
        [Call::Metadata, Call::DescribeConfigs, Call::ListReassignments, Call::DescribeQuorum, Call::DescribeCluster]
    {
        let unreadable = three().failing(call, 1, KafkaError::broker(58, None));
        check(unreadable, &[]).await.ends_with(Exit::Failed);
    }
}

#[tokio::test]
async fn a_controller_may_stop_and_one_too_many_may_not() {
    let line = ["rollout", "check", "--controller", "101", "--apart", "1ms"];
    let said = Desk::new(three()).run(&line).await.ends_with(Exit::Done);
    assert!(said.out.contains("stop it last"), "{}", said.out);
    let behind = three();
    behind.edit(|model| model.quorum.voters[1].log_end_offset = Some(1));
    let said = Desk::new(behind).run(&line).await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("1 of 3 voters are caught up, 2 are needed; behind: 102"), "{}", said.out);
}

#[tokio::test]
async fn a_look_that_was_saved_gives_the_same_verdict() {
    let desk = Desk::new(behind());
    let file = desk.folder().join("look.json").display().to_string();
    let line = ["rollout", "check", "--broker", "1", "--apart", "1ms"];
    let seen = desk.run(&[&line[..], &["--save-observed", &file]].concat()).await;
    let saved = Desk::new(Memory::kraft(1)).run(&[&line[..], &["--observed", &file]].concat()).await;
    assert_eq!(saved.ends_with(Exit::Unhealthy).out, seen.out);
}

#[tokio::test]
async fn waiting_ends_when_the_broker_is_in_sync_or_may_stop_or_with_5_when_the_time_is_over() {
    let wait_within = async |within: &str, kafka: Memory, more: &[&str]| {
        let line = ["rollout", "wait", "--apart", "1ms", "--every", "10ms", "--within", within];
        Desk::new(kafka).run(&[&line[..], more].concat()).await
    };
    let wait = async |kafka: Memory, more: &[&str]| wait_within("20s", kafka, more).await;
    let said = wait(three(), &["--broker", "1", "--for", "in-sync"]).await.ends_with(Exit::Done);
    assert_eq!(said.out, "broker 1 is in sync\n");
    let said = wait_within("100ms", behind(), &["--broker", "3", "--for", "in-sync"]).await.ends_with(Exit::Unhealthy);
    assert!(said.out.contains("1 of 2 replicas are not in sync: orders-0 behind leader 1"), "{}", said.out);
    wait_within("100ms", behind(), &["--broker", "1", "--for", "stoppable"]).await.ends_with(Exit::Unhealthy);
    wait(three(), &["--controller", "102", "--for", "in-sync"]).await.ends_with(Exit::Done);
    let heals = behind().after(Call::ListReassignments, 2, |model| {
        let topic = model.topics.values_mut().next().unwrap();
        topic.partitions[0].isr = topic.partitions[0].replicas.clone();
    });
    wait(heals, &["--broker", "1", "--for", "stoppable"]).await.ends_with(Exit::Done);
}

#[test]
fn an_ensemble_of_which_nothing_could_be_asked_is_unknown_with_the_reason_of_each_server() {
    let toolbox = Toolbox::alone();
    let line = ["rollout", "check", "--server", "1", "--zookeeper", "127.0.0.1:1,127.0.0.1:2", "--timeout", "2s"];
    let ran = toolbox.run(&line).ends_with(1);
    for part in ["no server of the ensemble could be asked", "127.0.0.1:1: ", "127.0.0.1:2: ", "refused"] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
}
