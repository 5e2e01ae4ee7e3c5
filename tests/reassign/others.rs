//! Others decide, too: they cancel, overlay, delete, create again, write. What they did stays done, and is said.

use std::time::Duration;

use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::{TopicName, TopicPartition};
use kafka_toolbox::exit::Exit;
use uuid::Uuid;

use super::bench::{Row, execute, four_brokers, replicas};
use crate::support::desk::{Desk, Said};
use crate::support::toolbox::audited;

const ROWS: [Row<'static>; 2] = [("bills", 0, &[1, 2], &[4, 3], 3_000), ("orders", 0, &[2, 1], &[3, 4], 1_000)];

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: name(topic), partition: 0 }
}

fn kinds(desk: &Desk) -> Vec<String> {
    audited(&desk.folder().join("state")).into_iter().map(|event| event.kind).collect()
}

fn ids(ids: [i32; 2]) -> [BrokerId; 2] {
    ids.map(BrokerId)
}

/// Executes, and lets somebody change the cluster a while after both moves were seen to run.
async fn execute_beside(desk: &Desk, more: &[&str], change: impl FnOnce(&mut Model)) -> Said {
    let meddles = async {
        while desk.kafka.look(|cluster| cluster.reassignments.len()) < ROWS.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        desk.kafka.edit(change);
    };
    let (said, ()) = tokio::join!(execute(desk, &ROWS, more), meddles);
    said
}

/// `orders-0` is cancelled by somebody in the middle; the rest arrives.
async fn cancelled_in_the_middle(kraft: bool) -> (Desk, Said) {
    let desk = Desk::new(four_brokers(kraft));
    let said = execute_beside(&desk, &["--tick", "500ms"], |cluster| {
        cluster.cancel_move(&at("orders"));
        cluster.finish_moves();
    });
    let said = said.await;
    (desk, said)
}

#[tokio::test(start_paused = true)]
async fn a_move_that_somebody_else_cancelled_is_held_and_said() {
    for kraft in [true, false] {
        let (desk, said) = cancelled_in_the_middle(kraft).await;
        let said = said.ends_with(Exit::Failed);
        assert_eq!(
            said.err.matches("! partition orders-0: cancelled by somebody else; it is left out").count(),
            1,
            "{said:#?}"
        );
        assert!(
            said.err.contains("all other moves are done, and these were given up: orders-0: cancelled"),
            "{said:#?}"
        );
        assert_eq!(replicas(&desk, "bills", 0), [4, 3], "the rest goes on");
        assert!([vec![2, 1], vec![1, 2]].contains(&replicas(&desk, "orders", 0)), "what they decided stays");
        let kinds = kinds(&desk);
        let has = |kind: &str| kinds.iter().any(|found| found == kind);
        assert!(has("reassign.move_cancelled_by_others") && has("reassign.execute.incomplete"), "{kinds:?}");
        assert!(!has("reassign.execute.completed"), "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_move_comes_back_only_with_a_flag() {
    let (desk, _) = cancelled_in_the_middle(true).await;
    for _ in 0..2 {
        let again = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
        assert!(again.err.contains("left out: 1 move of this plan, cancelled before"), "{again:#?}");
        assert_eq!(replicas(&desk, "orders", 0), [1, 2]);
    }
    desk.kafka.edit(|cluster| cluster.copied_per_listing = Some(u64::MAX));
    execute(&desk, &ROWS, &["--include-cancelled"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "orders", 0), [3, 4]);
    // All is done: if somebody moves it back some day, the same plan may be carried out again.
    desk.kafka.edit(|cluster| {
        let partition = &mut cluster.topics.get_mut(&name("orders")).unwrap().partitions[0];
        partition.replicas = ids([2, 1]).into();
        partition.isr = ids([2, 1]).into();
        partition.leader = Some(BrokerId(2));
        partition.bytes = ids([2, 1]).map(|broker| (broker, 1_000)).into();
    });
    execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "orders", 0), [3, 4]);
}

/// The run that began the move is dead when somebody cancels it: the record tells.
#[tokio::test(start_paused = true)]
async fn a_cancel_between_two_runs_is_respected() {
    let desk = Desk::new(four_brokers(true));
    execute(&desk, &ROWS, &["--patience", "300ms", "--tick", "100ms"]).await.ends_with(Exit::Failed);
    desk.kafka.edit(|cluster| cluster.cancel_move(&at("orders")));
    desk.kafka.edit(Model::finish_moves);
    let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
    assert!(said.err.contains("left out: 1 move of this plan, cancelled by somebody else"), "{said:#?}");
    assert_eq!((replicas(&desk, "bills", 0), replicas(&desk, "orders", 0)), (vec![4, 3], vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_somebody_overlaid_is_theirs() {
    let desk = Desk::new(four_brokers(true));
    let said = execute_beside(&desk, &["--tick", "500ms"], |cluster| {
        cluster.move_partition(&at("orders"), &ids([1, 4]));
        cluster.finish_move(&at("bills"));
    });
    let said = said.await.ends_with(Exit::Failed);
    assert!(said.err.contains("partition orders-0: somebody else began another move of it, to [1,4]"), "{said:#?}");
    assert_eq!(replicas(&desk, "bills", 0), [4, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_lost_a_move_to_a_deleted_topic_is_not_completed() {
    let desk = Desk::new(four_brokers(true));
    let said = execute_beside(&desk, &["--tick", "500ms"], |cluster| {
        cluster.reassignments.remove(&at("orders"));
        cluster.topics.remove(&name("orders"));
        cluster.finish_moves();
    });
    let said = said.await.ends_with(Exit::Failed);
    assert!(said.err.contains("partition orders-0: it does not exist any more: its topic was deleted"), "{said:#?}");
    let kinds = kinds(&desk);
    assert!(!kinds.contains(&"reassign.execute.completed".to_owned()), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_and_created_again_is_not_moved() {
    let desk = Desk::new(four_brokers(true));
    desk.kafka.edit(|cluster| cluster.topics.get_mut(&name("orders")).unwrap().id = Some(Uuid::now_v7()));
    let said = execute_beside(&desk, &["--tick", "500ms"], |cluster| {
        cluster.reassignments.remove(&at("orders"));
        let partition = cluster.partition(ids([2, 1]).into());
        let topic = cluster.topics.get_mut(&name("orders")).unwrap();
        topic.id = Some(Uuid::now_v7());
        topic.partitions[0] = partition;
        cluster.finish_moves();
    });
    let said = said.await.ends_with(Exit::Failed);
    assert!(said.err.contains("partition orders-0: its topic was deleted and created again"), "{said:#?}");
    assert_eq!((replicas(&desk, "bills", 0), replicas(&desk, "orders", 0)), (vec![4, 3], vec![2, 1]));
    let again = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Refused);
    assert!(again.out.contains("deleted and created again since the plan was begun: topic orders"), "{again:#?}");
}

/// Producers write to a partition that has arrived; the one that does not arrive gets nothing.
#[tokio::test(start_paused = true)]
async fn producers_beside_a_move_that_stands_still_do_not_keep_patience_waiting() {
    let desk = Desk::new(four_brokers(true));
    let writes = async {
        while !desk.kafka.calls().contains(&Call::AlterReassignments) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        desk.kafka.edit(|cluster| cluster.finish_move(&at("orders")));
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            desk.kafka.edit(|cluster| {
                let orders = cluster.topics.get_mut(&name("orders")).unwrap();
                orders.partitions[0].bytes.values_mut().for_each(|bytes| *bytes += 1_000);
            });
        }
    };
    let patience = ["--patience", "5s", "--tick", "500ms"];
    let (said, ()) = tokio::join!(execute(&desk, &ROWS, &patience), writes);
    let said = said.ends_with(Exit::Failed);
    assert!(said.err.contains("nothing was copied for 5 s, with 1 running and 0 not begun"), "{said:#?}");
}

#[tokio::test(start_paused = true)]
async fn bounds_of_a_running_execution_can_be_changed() {
    let rows: Vec<&[i32]> = vec![&[1, 2]; 6];
    let kafka = Memory::kraft(4).topic("many", &rows);
    let desk = Desk::new(kafka);
    let refused = desk.run(&["reassign", "set", "--max-moves", "3"]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("no execution runs on this cluster"), "{refused:#?}");
    let moves: Vec<Row<'_>> = (0..6).map(|number| ("many", number, &[1, 2][..], &[3, 4][..], 0)).collect();
    let running = || desk.kafka.look(|cluster| cluster.reassignments.len());
    let asks = async {
        while running() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(running(), 2, "as it was started");
        let said = desk.run(&["reassign", "set", "--partitions-per-broker", "5", "--max-moves", "4"]).await;
        assert!(said.ends_with(Exit::Done).err.contains("--partitions-per-broker 5, --max-moves 4"));
        while running() < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let again = desk.run(&["reassign", "set", "--max-moves", "4"]).await.ends_with(Exit::Done);
        assert!(again.err.contains("nothing to do"), "{again:#?}");
        desk.kafka.edit(|cluster| cluster.copied_per_listing = Some(u64::MAX));
    };
    let (said, ()) = tokio::join!(execute(&desk, &moves, &["--partitions-per-broker", "2", "--tick", "500ms"]), asks);
    said.ends_with(Exit::Done);
    let kinds = kinds(&desk);
    assert!(kinds.contains(&"reassign.bounds_set".to_owned()), "{kinds:?}");
}

/// Two phases are two requests, however late brokers show them.
#[tokio::test(start_paused = true)]
async fn the_second_phase_of_a_move_that_goes_leader_first_is_submitted_once() {
    for lag in [0, 3] {
        let desk = Desk::new(four_brokers(true).copying(u64::MAX).lagging(lag));
        execute(&desk, &ROWS[..1], &["--leader-first"]).await.ends_with(Exit::Done);
        let submitted = desk.kafka.calls().iter().filter(|call| **call == Call::AlterReassignments).count();
        assert_eq!(submitted, 2, "{lag}");
    }
}
