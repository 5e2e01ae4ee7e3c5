//! `reassign cancel` on a cluster in memory: back to the former replicas, in their order.

use kafka_toolbox::clients::kafka::memory::{Call, Model};
use kafka_toolbox::exit::Exit;

use super::bench::{Row, execute, four_brokers, leader, replicas};
use crate::support::desk::Desk;
use crate::support::toolbox::audited;
use crate::support::unkept::Breaker;

const ROWS: [Row<'static>; 2] = [("bills", 0, &[1, 2], &[4, 3], 3_000), ("orders", 0, &[2, 1], &[3, 4], 1_000)];

/// Moves are begun and stand still.
async fn begun(kraft: bool, more: &[&str]) -> Desk {
    let desk = Desk::new(four_brokers(kraft));
    let patience = ["--patience", "300ms", "--tick", "100ms"];
    execute(&desk, &ROWS, &[&patience[..], more].concat()).await.ends_with(Exit::Failed);
    desk
}

#[tokio::test]
async fn a_cancelled_move_ends_where_it_began_in_its_order() {
    for kraft in [true, false] {
        let desk = begun(kraft, &[]).await;
        let said = desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
        assert!(said.out.contains("- partition bills-0: its move to [4,3], back to [1,2]\n"), "{said:#?}");
        assert!(said.out.ends_with("2 moves taken back\n"), "{said:#?}");
        assert_eq!((replicas(&desk, "orders", 0), leader(&desk, "orders", 0)), (vec![2, 1], Some(2)), "{kraft}");
        assert_eq!(replicas(&desk, "bills", 0), [1, 2]);
        desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    }
}

#[tokio::test]
async fn moves_of_a_topic_or_a_broker_are_cancelled_alone_and_left_out_from_then_on() {
    let desk = begun(true, &[]).await;
    desk.run(&["reassign", "cancel", "--yes", "--topics", "orders"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "orders", 0), [2, 1]);
    assert_eq!(desk.kafka.look(|cluster| cluster.reassignments.len()), 1);
    desk.kafka.edit(Model::finish_moves);
    let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
    assert!(said.err.contains("left out: 1 move of this plan, cancelled before"), "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [2, 1]);
    desk.kafka.edit(|cluster| cluster.copied_per_listing = Some(u64::MAX));
    execute(&desk, &ROWS, &["--include-cancelled"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "orders", 0), [3, 4]);
}

#[tokio::test]
async fn throttles_are_gone_from_live_brokers_at_once_and_from_others_when_they_are_back() {
    let desk = begun(true, &["--throttle", "500B/s"]).await;
    desk.kafka.edit(|cluster| cluster.stop_broker(4));
    let said = desk.run(&["reassign", "cancel", "--yes"]).await;
    assert!(said.err.contains("broker 4 can't be reached: its throttle stays until it is back"), "{said:#?}");
    let left = |desk: &Desk| {
        desk.kafka.look(|cluster| {
            let configs = cluster.broker_configs.iter().filter(|(_, configs)| !configs.is_empty());
            configs.map(|(broker, _)| broker.0).collect::<Vec<_>>()
        })
    };
    assert_eq!(left(&desk), [4]);
    assert!(desk.kafka.look(|cluster| cluster.topics.values().all(|topic| topic.config.is_empty())));
    desk.kafka.edit(|cluster| cluster.start_broker(4));
    desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(left(&desk), [] as [i32; 0]);
}

#[tokio::test]
async fn a_move_that_nobody_wrote_down_is_cancelled_as_kafka_does_it_and_that_is_said() {
    for more in [&["--beside-others"][..], &["--topics", "orders"]] {
        let desk = Desk::new(four_brokers(true).moving("orders", 0, &[3, 4]));
        let said = desk.run(&[&["reassign", "cancel", "--yes"], more].concat()).await.ends_with(Exit::Done);
        assert!(said.out.contains("1 move not begun from here: the former order is not known"), "{said:#?}");
        assert!(said.out.contains("throttles of the tool that began them stay (orders-0)"), "{said:#?}");
        assert_eq!(replicas(&desk, "orders", 0), [1, 2], "the order that KRaft has left");
    }
}

#[tokio::test]
async fn moves_of_others_are_not_taken_back_unless_they_are_named() {
    let desk = Desk::new(four_brokers(true).moving("orders", 0, &[3, 4]));
    for more in [&[][..], &["--brokers", "3"]] {
        let said = desk.run(&[&["reassign", "cancel", "--yes"], more].concat()).await.ends_with(Exit::Refused);
        assert!(said.out.contains("under way, not begun from here: 1 move (orders-0). --beside-others"), "{said:#?}");
        assert_eq!(desk.kafka.look(|cluster| cluster.reassignments.len()), 1);
    }
    // Ours go, theirs stay.
    let desk = begun(true, &[]).await;
    desk.kafka.edit(|cluster| {
        let orders = kafka_toolbox::cluster::topic::TopicName::new("orders").unwrap();
        let theirs = kafka_toolbox::cluster::topic::TopicPartition { topic: orders, partition: 1 };
        cluster.move_partition(&theirs, &[1, 4].map(kafka_toolbox::cluster::broker::BrokerId));
    });
    let said = desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("under way, not begun from here: 1 move (orders-1)"), "{said:#?}");
    assert_eq!(desk.kafka.look(|cluster| cluster.reassignments.len()), 1);
}

#[tokio::test]
async fn a_cancel_ends_the_run_that_carries_the_plan_out() {
    let desk = Desk::new(four_brokers(false));
    let cancel = async {
        while !desk.kafka.calls().contains(&Call::AlterReassignments) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        desk.run(&["reassign", "cancel", "--yes"]).await
    };
    let (executed, cancelled) = tokio::join!(execute(&desk, &ROWS, &["--tick", "200ms"]), cancel);
    assert_eq!((executed.exit, cancelled.exit), (Exit::Refused, Exit::Done), "{cancelled:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [2, 1]);
}

/// A plan that gave up left a move, and another plan was begun beside it: what is kept knows both.
#[tokio::test]
async fn moves_of_an_earlier_plan_that_still_run_get_their_order_back_too() {
    let desk = Desk::new(four_brokers(true));
    let impatient = ["--patience", "300ms", "--tick", "100ms", "--beside-others"];
    execute(&desk, &[("orders", 0, &[2, 1], &[3, 4], 0)], &impatient).await.ends_with(Exit::Failed);
    execute(&desk, &[("bills", 0, &[1, 2], &[4, 3], 0)], &impatient).await.ends_with(Exit::Failed);
    let said = desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("- partition orders-0: its move to [3,4], back to [2,1]"), "{said:#?}");
    assert!(!said.out.contains("the former order is not known"), "{said:#?}");
    assert_eq!((replicas(&desk, "orders", 0), leader(&desk, "orders", 0)), (vec![2, 1], Some(2)));
    assert_eq!(replicas(&desk, "bills", 0), [1, 2]);
}

#[tokio::test]
async fn a_cancel_fails_where_it_cannot_be_kept_though_the_moves_are_back() {
    let breaker = Breaker::default();
    let desk = Desk::new(breaker.at(four_brokers(true), Call::AlterReassignments));
    let patience = ["--patience", "300ms", "--tick", "100ms"];
    execute(&desk, &ROWS, &patience).await.ends_with(Exit::Failed);
    breaker.arm(&desk.folder().join("state"), "moves", 1);
    let said = desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Failed);
    assert!(
        said.err.contains("what was applied could not be written to ") && said.out.ends_with("2 moves taken back\n")
    );
    assert_eq!((replicas(&desk, "orders", 0), replicas(&desk, "bills", 0)), (vec![2, 1], vec![1, 2]), "{said:#?}");
}

/// Between the look and the cancel the move comes to its end, or another tool cancels it.
#[tokio::test]
async fn a_cancel_of_a_move_that_is_over_is_no_change_of_ours() {
    let kafka = four_brokers(true).before(Call::AlterReassignments, 2, |cluster| {
        for key in cluster.reassignments.keys().cloned().collect::<Vec<_>>() {
            cluster.cancel_move(&key);
        }
    });
    let desk = Desk::new(kafka);
    let patience = ["--patience", "300ms", "--tick", "100ms"];
    execute(&desk, &ROWS, &patience).await.ends_with(Exit::Failed);
    desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    let events = audited(&desk.folder().join("state"));
    let ended = |kind: &str| events.iter().filter(|event| event.kind == kind && !event.is_intent()).count();
    assert_eq!((ended("reassign.move_cancelled"), ended("reassign.unchanged")), (0, 2), "{events:#?}");
}
