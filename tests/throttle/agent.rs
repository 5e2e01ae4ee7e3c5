//! `throttle run` on a twin whose moves progress: it paces, prunes, takes over, and leaves nothing.

use std::time::Duration;

use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::exit::Exit;

use super::verbs::{everything, finish, moving, moving_bytes};
use crate::support::desk::Desk;

const RUN: [&str; 6] = ["throttle", "run", "--until-idle", "--interval", "1s", "--capacity=125MB/s"];

#[tokio::test]
async fn a_move_is_paced_to_its_end_and_nothing_is_left() {
    let desk = Desk::new(moving_bytes(60_000_000).copying(10_000_000));
    let said = desk.run(&RUN).await.ends_with(Exit::Done);
    assert!(said.err.contains("+ broker 1: leader rate "), "{said:?}");
    assert!(said.err.contains("+ topic orders: leader list 0:1,0:2; follower list 0:3"), "{said:?}");
    assert!(said.err.contains("1 moving, ") && said.err.contains("load by brokers"), "{said:?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("throttle.set") && audit.contains("throttle.released"));
}

#[tokio::test]
async fn what_a_dead_run_left_is_cleaned_at_once_where_nothing_moves() {
    let desk = Desk::new(moving());
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    assert_ne!(everything(&desk), Vec::<String>::new());
    finish(&desk);
    let said = desk.run(&RUN).await.ends_with(Exit::Done);
    assert!(said.err.contains("- broker 3: follower rate, 50.0 MB/s"), "{said:?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_saved_observation_is_refused_because_it_would_do_nothing() {
    let desk = Desk::new(moving());
    let saved = desk.folder().join("saved.json");
    let line = ["throttle", "run", "--save-observed", saved.to_str().unwrap()];
    let said = desk.run(&line).await.ends_with(Exit::Usage);
    assert!(said.err.contains("--dry-run shows what a first tick would set"), "{said:?}");
}

#[tokio::test]
async fn without_a_capacity_it_sets_the_least_and_says_so() {
    let desk = Desk::new(moving_bytes(6_000_000).copying(1_000_000));
    let said = desk.run(&RUN[..5]).await.ends_with(Exit::Done);
    assert!(said.err.contains("+ broker 3: follower rate 1.0 MB/s"), "{said:?}");
    assert!(said.err.contains("give --capacity"), "{said:?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_shows_what_the_first_tick_would_set() {
    let desk = Desk::new(moving());
    let said = desk.run(&["throttle", "run", "--dry-run", "--capacity", "125MB/s"]).await.ends_with(Exit::Changes);
    assert!(said.out.contains("+ topic orders: leader list 0:1,0:2; follower list 0:3"), "{said:?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn replicas_that_come_back_are_paced_only_where_that_is_asked_for() {
    let desk =
        Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]).topic("other", &[&[2, 3]]).bytes("orders", 0, 1 << 30));
    desk.kafka.edit(|model| {
        let orders = model.topics.values_mut().next().unwrap();
        orders.partitions[0].isr.retain(|replica| replica.0 == 1);
    });
    let dry = ["throttle", "run", "--dry-run", "--capacity", "125MB/s"];
    desk.run(&dry).await.ends_with(Exit::Done);
    let said = desk.run(&[&dry[..], &["--recovery"]].concat()).await.ends_with(Exit::Changes);
    assert!(said.out.contains("+ topic orders: leader list 0:1; follower list 0:2"), "{said:?}");
}

#[tokio::test]
async fn a_source_without_what_it_needs_and_a_token_that_is_empty_are_named() {
    let desk = Desk::new(moving());
    let said = desk.run(&[&RUN[..], &["--load", "prometheus"]].concat()).await.ends_with(Exit::Usage);
    assert!(said.err.contains("--prometheus-url"), "{said:?}");
    let said = desk.run(&[&RUN[..], &["--idle-query", "idle"]].concat()).await.ends_with(Exit::Usage);
    assert!(said.err.contains("nobody is there who could answer --idle-query"), "{said:?}");
    let token = desk.folder().join("token");
    std::fs::write(&token, "\n").unwrap();
    let said =
        desk.run(&[&RUN[..], &["--api-token-file", token.to_str().unwrap()]].concat()).await.ends_with(Exit::Usage);
    assert!(said.err.contains("is empty"), "{said:?}");
}

#[tokio::test]
async fn writes_that_fail_are_tried_again_at_the_next_tick() {
    let desk = Desk::new(moving_bytes(80_000_000).copying(20_000_000));
    desk.kafka.edit(|model| model.stop_broker(2));
    let run = async { desk.run(&RUN).await };
    let back = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        desk.kafka.edit(|model| model.start_broker(2));
    };
    let (said, ()) = tokio::join!(run, back);
    said.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}
