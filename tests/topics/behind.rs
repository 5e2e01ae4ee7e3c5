//! Brokers that are behind: what they show is from before the last run. A second apply is quiet all the same.

use kafka_toolbox::clients::kafka::KafkaError;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use super::applying::partitions;
use crate::support::desk::Desk;
use crate::support::toolbox::audited;

const ORDERS: &str = "{name: orders, partitions: 3, replicationFactor: 2, config: {retention.ms: 1000000}}";
const GROWN: &str = "{name: orders, partitions: 5, replicationFactor: 2, config: {retention.ms: 2000000}}";

/// How many events there are, by the beginning of their kind.
fn events(desk: &Desk, kind: &str) -> usize {
    audited(&desk.folder().join("state")).iter().filter(|event| event.kind.starts_with(kind)).count()
}

fn no_right() -> KafkaError {
    KafkaError::broker(31, None)
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_finds_nothing_to_do_though_the_broker_that_answers_does_not_know_the_topics_yet() {
    for waits in [true, false] {
        // Without the right to describe the cluster, nobody says how far the brokers are: they are asked again.
        let kafka = Memory::kraft(3);
        let kafka = if waits { kafka } else { kafka.failing(Call::DescribeQuorum, 1, no_right()) };
        let desk = Desk::new(kafka);
        let before = desk.kafka.look(Clone::clone);
        desk.declare(&[ORDERS, "{name: bills, partitions: 1, replicationFactor: 2}"]);
        desk.apply(&[]).await.ends_with(Exit::Done);
        let recorded = events(&desk, "topics.");
        desk.kafka.show_instead(before, 4);
        let second = desk.apply(&[]).await.ends_with(Exit::Done);
        assert_eq!(second.lines(), ["nothing to do"], "{second:#?}");
        assert_eq!(events(&desk, "topics."), recorded, "nothing is recorded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_declared_absent_is_deleted_though_the_broker_that_answers_does_not_know_it_yet() {
    let desk = Desk::new(Memory::kraft(3));
    let before = desk.kafka.look(Clone::clone);
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    desk.declare(&["{name: orders, state: absent}"]);
    desk.kafka.show_instead(before, 1);
    let deletes = ["--delete", "orders", "--max-risk", "loses-data"];
    let applied = desk.apply(&deletes).await.ends_with(Exit::Done);
    assert!(applied.out.contains("- topic orders"), "{applied:#?}");
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_finds_no_drift_though_the_broker_that_answers_shows_the_config_and_partitions_from_before() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    let before = desk.kafka.look(Clone::clone);
    desk.declare(&[GROWN]);
    desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    let recorded = events(&desk, "topics.");
    desk.kafka.show_instead(before, 100);
    let second = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(second.lines(), ["nothing to do"], "{second:#?}");
    assert_eq!(events(&desk, "topics."), recorded, "neither drift nor changes are recorded");
}

#[tokio::test(start_paused = true)]
async fn brokers_that_do_not_show_what_the_controller_knows_for_too_long_are_an_error_and_nothing_is_changed() {
    let desk = Desk::new(Memory::kraft(3).failing(Call::DescribeQuorum, 1, no_right()));
    let before = desk.kafka.look(Clone::clone);
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    let created = events(&desk, "topics.created");
    desk.kafka.show_instead(before, 1_000);
    let second = desk.apply(&[]).await.ends_with(Exit::Failed);
    let words = "the controller knows a change of 1 topic that no broker shows yet, topic orders first: they are being carried \
         out, or the topics are still being deleted; nothing was changed";
    assert!(second.err.contains(words), "{second:#?}");
    assert_eq!(events(&desk, "topics.created"), created);
}

#[tokio::test(start_paused = true)]
async fn partitions_that_somebody_else_added_and_a_topic_that_somebody_else_deleted_are_recorded_as_found() {
    let orders = TopicName::new("orders").unwrap();
    let (grown, kafka) = (orders.clone(), Memory::kraft(3).topic("orders", &[&[1, 2]]).topic("old", &[&[1, 2]]));
    let kafka = kafka.before(Call::CreatePartitions, 2, move |cluster| {
        let topic = cluster.topics.get_mut(&grown).unwrap();
        topic.partitions.push(topic.partitions[0].clone());
    });
    let old = TopicName::new("old").unwrap();
    let desk = Desk::new(kafka.before(Call::DeleteTopics, 1, move |cluster| drop(cluster.topics.remove(&old))));
    desk.declare(&["{name: orders, partitions: 2}", "{name: old, state: absent}"]);
    let met = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    let counts = "0 done, 0 failed, 0 refused, 0 unknown; 2 found as desired and not changed";
    assert_eq!(met.lines().last(), Some(&counts), "{met:#?}");
    assert_eq!((partitions(&desk, "orders"), partitions(&desk, "old")), (2, 0));
    assert_eq!(events(&desk, "topics.unchanged"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_topic_whose_answer_was_lost_and_that_exists_when_it_is_sent_again_is_ours() {
    // The first real request is carried out and its answer is lost; nobody shows the topic for a while.
    let desk = Desk::new(Memory::kraft(3).losing_the_answer(Call::CreateTopics, 2).lagging(9));
    desk.declare(&[ORDERS]);
    let made = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(made.lines().last(), Some(&"1 done, 0 failed, 0 refused, 0 unknown"), "{made:#?}");
    assert_eq!((events(&desk, "topics.unchanged"), events(&desk, "topics.created")), (0, 2));
}
