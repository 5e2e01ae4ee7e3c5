//! What changes of configs cost, on a cluster in memory: what is measured for it, and who is refused.

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;

const DAY: i64 = 86_400_000;

fn retention(desk: &Desk) -> Option<String> {
    let name = TopicName::new("orders").unwrap();
    desk.kafka.look(|cluster| cluster.topics[&name].config.get("retention.ms").cloned())
}

fn kafka() -> Memory {
    let now = jiff::Timestamp::now().as_millisecond();
    Memory::kraft(3)
        .topic("orders", &[&[1, 2], &[2, 3]])
        .records("orders", 0, &[now - 9 * DAY, now - 3 * DAY, now - 1000])
        .records("orders", 1, &[now - 9 * DAY])
        .bytes("orders", 0, 5_000_000)
        .bytes("orders", 1, 1_000_000)
}

#[tokio::test]
async fn a_lower_retention_says_how_many_records_go_and_is_refused_unless_it_is_let_through() {
    let desk = Desk::new(kafka());
    desk.declare(&["{name: orders, config: {retention.ms: 86400000}}"]);
    let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
    let words = "retention.ms default -> 86400000 (loses-data: records older than 1 d are deleted, 3 of 4 now)";
    assert!(refused.out.contains(words), "{refused:#?}");
    assert_eq!(retention(&desk), None);
    desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(retention(&desk).as_deref(), Some("86400000"));
}

#[tokio::test]
async fn a_lower_size_says_how_many_bytes_go() {
    let desk = Desk::new(kafka());
    desk.declare(&["{name: orders, config: {retention.bytes: 2000000}}"]);
    let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("beyond 2.0 MB a partition are deleted, 3.0 MB of 6.0 MB now"), "{refused:#?}");
}

#[tokio::test]
async fn what_is_reversible_measures_nothing() {
    let desk = Desk::new(kafka());
    desk.declare(&["{name: orders, config: {segment.ms: 1000000, retention.ms: 8640000000}}"]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    assert!(!desk.kafka.calls().contains(&Call::ListOffsets), "{:?}", desk.kafka.calls());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_too_young_for_its_leader_to_know_it_is_asked_again() {
    let name = TopicName::new("orders").unwrap();
    let (one, other) = (name.clone(), name);
    // Two queries, then the one about the newer records; the next three are the second look.
    let kafka = kafka()
        .before(Call::ListOffsets, 1, move |cluster| cluster.topics.get_mut(&one).unwrap().partitions[0].leader = None)
        .before(Call::ListOffsets, 4, move |cluster| {
            cluster.topics.get_mut(&other).unwrap().partitions[0].leader = Some(BrokerId(1));
        });
    let desk = Desk::new(kafka);
    desk.declare(&["{name: orders, config: {retention.ms: 86400000}}"]);
    let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("records older than 1 d are deleted, 3 of 4 now"), "{refused:#?}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_measured_the_risk_stays_and_that_is_said() {
    let name = TopicName::new("orders").unwrap();
    let desk = Desk::new(kafka());
    desk.kafka.edit(|cluster| cluster.topics.get_mut(&name).unwrap().partitions[0].leader = None);
    desk.declare(&["{name: orders, config: {retention.ms: 1000}}"]);
    let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("records older than 1 s are deleted, how many is unknown: "), "{refused:#?}");
}

/// One broker keeps records for ever by default: for its partitions, thirty days are less.
#[tokio::test]
async fn a_broker_whose_default_differs_from_the_others_decides_where_more_would_be_lost() {
    let spec = "{name: orders, config: {retention.ms: 2592000000}}";
    let desk = Desk::new(kafka().broker_default("log.retention.ms", "604800000"));
    desk.declare(&[spec]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    let desk = Desk::new(kafka().broker_default("log.retention.ms", "604800000"));
    desk.kafka.edit(|cluster| {
        let config = cluster.broker_configs.entry(BrokerId(3)).or_default();
        config.insert("log.retention.ms".to_owned(), "-1".to_owned());
    });
    desk.declare(&[spec]);
    let refused = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("(loses-data: records older than 30 d are deleted"), "{refused:#?}");
}
