//! `reassign execute`, `verify` and `status` on a cluster in memory.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use jiff::Timestamp;
use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::KafkaError;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;
use tokio::net::TcpListener;

use super::bench::{Row, execute, file, four_brokers, leader, plan, replicas};
use crate::support::desk::Desk;
use crate::support::toolbox::audited;

const ROWS: [Row<'static>; 3] = [
    ("bills", 0, &[1, 2], &[4, 2], 3_000),
    ("orders", 0, &[2, 1], &[4, 1], 1_000),
    ("orders", 1, &[2, 3], &[3, 2], 2_000),
];

#[tokio::test]
async fn a_plan_is_carried_out_and_a_second_run_finds_nothing_to_do() {
    for kraft in [true, false] {
        let desk = Desk::new(four_brokers(kraft).copying(700));
        let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
        assert_eq!(
            said.out,
            "~ partition bills-0: replicas [1,2] -> [4,2] (copies 3.0 kB)\n\
             ~ partition orders-0: replicas [2,1] -> [4,1] (copies 1.0 kB)\n\
             ~ partition orders-1: replicas [2,3] -> [3,2] (order only)\n\
             3 to change; risk moves-data\n\
             3 of 3 partitions are as planned\n"
        );
        for (topic, partition, _, to, _) in ROWS {
            let partition = usize::try_from(partition).unwrap();
            assert_eq!(replicas(&desk, topic, partition), to);
            assert_eq!(leader(&desk, topic, partition), to.first().copied(), "the preferred leader leads");
        }
        let again = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Done);
        assert_eq!(again.out, "nothing to do\n");
        let verified = desk.run(&["reassign", "verify"]).await.ends_with(Exit::Done);
        assert_eq!(verified.out, "3 of 3 partitions are as planned\n");
    }
}

#[tokio::test]
async fn kafkas_own_file_is_taken_and_what_was_there_is_what_a_cancel_gives_back() {
    let desk = Desk::new(four_brokers(true));
    let text = r#"{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[3,4]}]}"#;
    let path = file(&desk, "kafka.json", text);
    let line = ["reassign", "execute", &path, "--yes", "--max-risk", "moves-data", "--patience", "300ms"];
    let gave_up = desk.run(&line).await.ends_with(Exit::Failed);
    assert!(gave_up.err.contains("nothing was copied for 0 s, with 1 running"), "{gave_up:#?}");
    let cancelled = desk.run(&["reassign", "cancel", "--yes"]).await.ends_with(Exit::Done);
    assert!(cancelled.out.ends_with("1 move taken back\n"), "{cancelled:#?}");
    assert_eq!((replicas(&desk, "orders", 0), leader(&desk, "orders", 0)), (vec![2, 1], Some(2)));
}

#[tokio::test(start_paused = true)]
async fn verify_looks_again_before_it_speaks_of_what_a_broker_shows_late() {
    let late = four_brokers(true).after(Call::ListReassignments, 2, |cluster| {
        let partition = &mut cluster.topics.get_mut(&TopicName::new("orders").unwrap()).unwrap().partitions[0];
        partition.replicas = [4, 1].map(BrokerId).into();
        partition.isr = partition.replicas.clone();
        partition.leader = Some(BrokerId(4));
    });
    let text = r#"{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[4,1]}]}"#;
    let desk = Desk::new(late);
    let path = file(&desk, "kafka.json", text);
    let said = desk.run(&["reassign", "verify", &path]).await.ends_with(Exit::Done);
    assert_eq!(said.out, "1 of 1 partitions are as planned\n");

    let desk = Desk::new(four_brokers(true));
    let path = file(&desk, "kafka.json", text);
    desk.run(&["reassign", "verify", &path]).await.ends_with(Exit::Unhealthy);
    let looks = desk.kafka.calls().iter().filter(|call| **call == Call::ListReassignments).count();
    assert_eq!(looks, 9, "what stays is said, after all looks");
}

#[tokio::test]
async fn a_plan_for_another_cluster_or_another_state_is_refused() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    let path = file(&desk, "other.json", &plan("another", &ROWS));
    let said = desk.run(&["reassign", "execute", &path, "--yes"]).await.ends_with(Exit::Refused);
    assert!(said.err.contains("the plan was made for cluster another"), "{said:#?}");

    let stale: [Row<'_>; 2] = [("orders", 0, &[3, 1], &[4, 1], 0), ("gone", 0, &[1], &[2], 0)];
    let said = execute(&desk, &stale, &[]).await.ends_with(Exit::Refused);
    let expected = "the plan was made when its replicas were [3,1], and now they are [2,1]";
    assert!(said.out.contains(expected) && said.out.contains("move gone-0: it does not exist"), "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [2, 1], "nothing was changed");

    let said = execute(&desk, &stale[..1], &["--replan"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("planned from [2,1] instead"), "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [4, 1]);
}

#[tokio::test]
async fn a_target_that_is_down_and_a_full_disk_are_refused_before_anything_moves() {
    let desk = Desk::new(four_brokers(true));
    desk.kafka.edit(|cluster| cluster.stop_broker(4));
    let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Refused);
    assert!(
        said.out.contains("refused: fill broker 4: it does not live, and 2 partitions would go there"),
        "{said:#?}"
    );
    let desk = Desk::new(four_brokers(true).disks(3_100));
    let said = execute(&desk, &ROWS, &["--keep-free", "0"]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("4.0 kB would come, and there is room for 3.1 kB"), "{said:#?}");
    assert!(!desk.kafka.calls().contains(&Call::AlterReassignments));
}

#[tokio::test]
async fn moves_of_others_are_never_overlaid() {
    let desk = Desk::new(four_brokers(true).moving("orders", 0, &[3, 1]));
    let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("move orders-0: another move of it to [3,1] runs"), "{said:#?}");

    let said = execute(&desk, &ROWS[..1], &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("1 move of other partitions run: orders-0"), "{said:#?}");
    desk.kafka.edit(|cluster| cluster.copied_per_listing = Some(u64::MAX));
    execute(&desk, &ROWS[..1], &["--beside-others"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "bills", 0), [4, 2]);
}

/// Two people on two machines with the same plan: the second is refused, unless the first is certainly gone.
#[tokio::test]
async fn a_plan_that_somebody_else_carries_out_is_refused() {
    let desk = Desk::new(four_brokers(true).moving("bills", 0, &[4, 2]));
    let said = execute(&desk, &ROWS, &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("1 move of this plan already under way, not begun from here: bills-0"), "{said:#?}");
    desk.kafka.edit(|cluster| cluster.copied_per_listing = Some(u64::MAX));
    execute(&desk, &ROWS, &["--take-over"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "bills", 0), [4, 2]);
}

#[tokio::test]
async fn copying_data_needs_its_risk_said_and_a_dry_run_changes_nothing() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    let id = desk.kafka.look(|cluster| cluster.cluster_id.clone());
    let path = file(&desk, "plan.json", &plan(&id, &ROWS));
    let said = desk.run(&["reassign", "execute", &path, "--yes"]).await.ends_with(Exit::Refused);
    assert!(said.err.contains("--max-risk moves-data lets it through"), "{said:#?}");
    desk.run(&["reassign", "execute", &path, "--dry-run"]).await.ends_with(Exit::Changes);
    assert!(!desk.kafka.calls().contains(&Call::AlterReassignments));
}

#[tokio::test]
async fn a_lost_answer_and_late_reads_are_no_trouble() {
    for kafka in [
        four_brokers(true).copying(u64::MAX).losing_the_answer(Call::AlterReassignments, 1),
        four_brokers(true).copying(u64::MAX).losing_the_request(Call::AlterReassignments, 1),
        four_brokers(true).copying(u64::MAX).lagging(3),
        four_brokers(true).copying(u64::MAX).failing(Call::Metadata, 8, KafkaError::broker(7, None)),
    ] {
        let desk = Desk::new(kafka);
        execute(&desk, &ROWS, &["--tick", "200ms"]).await.ends_with(Exit::Done);
        assert_eq!(replicas(&desk, "bills", 0), [4, 2]);
    }
}

#[tokio::test]
async fn a_broker_that_dies_in_the_middle_holds_only_its_own_moves() {
    let kafka = four_brokers(true).copying(400).before(Call::ListReassignments, 4, |cluster| cluster.stop_broker(4));
    let desk = Desk::new(kafka);
    let rows: [Row<'_>; 2] = [("bills", 0, &[1, 2], &[4, 2], 3_000), ("orders", 1, &[2, 3], &[1, 3], 2_000)];
    let patience = ["--patience", "1s", "--tick", "100ms"];
    let said = execute(&desk, &rows, &patience).await.ends_with(Exit::Failed);
    assert!(said.err.contains("! 1 move stalled: broker 4 is down: start it, or take"), "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 1), [1, 3], "the rest goes on");
    let status = desk.run(&["reassign", "status", "--sample", "10ms"]).await.ends_with(Exit::Done);
    assert!(
        status.out.contains("1/2 partitions done, 1 moving") && status.out.contains("broker 4 is down"),
        "{status:#?}"
    );
    desk.run(&["reassign", "verify"]).await.ends_with(Exit::Unhealthy);
    desk.kafka.edit(|cluster| cluster.start_broker(4));
    let said = execute(&desk, &rows, &patience).await.ends_with(Exit::Done);
    assert!(said.out.contains("1 of these moves run already: this run goes on with them"), "{said:#?}");
    assert_eq!(replicas(&desk, "bills", 0), [4, 2]);
}

#[tokio::test]
async fn leaders_go_first_where_that_is_asked_for_and_metrics_are_written() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    let metrics = desk.folder().join("metrics.prom");
    let more = ["--leader-first", "--metrics-file", metrics.to_str().unwrap()];
    execute(&desk, &ROWS, &more).await.ends_with(Exit::Done);
    let metrics = std::fs::read_to_string(metrics).unwrap();
    let done = "kafka_toolbox_reassign_partitions{state=\"done\"} 3.0\n";
    let copied = "kafka_toolbox_reassign_copied_bytes{broker=\"4\"} 4000.0\n";
    assert!(metrics.contains(done) && metrics.contains(copied), "{metrics}");
    for (topic, partition, _, to, _) in ROWS {
        assert_eq!(replicas(&desk, topic, usize::try_from(partition).unwrap()), to);
    }
}

#[tokio::test]
async fn a_fixed_throttle_holds_from_the_first_byte_and_is_gone_at_the_end() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX).after(Call::AlterReassignments, 1, |cluster| {
        let rate = |broker: i32, side: &str| {
            let configs = &cluster.broker_configs[&BrokerId(broker)];
            configs[&format!("{side}.replication.throttled.rate")].clone()
        };
        assert_eq!((rate(4, "follower"), rate(1, "leader")), ("500".into(), "500".into()));
        let list = &cluster.topics[&TopicName::new("bills").unwrap()].config["follower.replication.throttled.replicas"];
        assert_eq!(list, "0:4");
    }));
    execute(&desk, &ROWS[..1], &["--throttle", "500B/s", "--tick", "100ms"]).await.ends_with(Exit::Done);
    desk.kafka.look(|cluster| {
        assert!(
            cluster.broker_configs.values().all(std::collections::BTreeMap::is_empty),
            "{:?}",
            cluster.broker_configs
        );
        assert!(cluster.topics.values().all(|topic| topic.config.is_empty()));
    });
    let said = desk.run(&["reassign", "status", "-o", "json"]).await.ends_with(Exit::Done);
    let status: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&status["done"], &status["throttled"]), (&1.into(), &false.into()));
}

#[tokio::test]
async fn moves_begin_only_at_their_hours_and_not_while_paused() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    desk.run(&["reassign", "pause"]).await.ends_with(Exit::Done);
    let waits = async {
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert!(!desk.kafka.calls().contains(&Call::AlterReassignments));
        desk.run(&["reassign", "resume"]).await.ends_with(Exit::Done);
    };
    let (said, ()) = tokio::join!(execute(&desk, &ROWS, &["--tick", "200ms"]), waits);
    assert_eq!(said.exit, Exit::Done);
    assert_eq!(replicas(&desk, "bills", 0), [4, 2]);
}

#[tokio::test]
async fn a_rehearsal_from_a_saved_observation_needs_no_cluster() {
    let desk = Desk::new(four_brokers(true));
    let id = desk.kafka.look(|cluster| cluster.cluster_id.clone());
    let path = file(&desk, "plan.json", &plan(&id, &ROWS));
    let saved = desk.folder().join("observed.json");
    let saved = saved.to_str().unwrap();
    let live = ["reassign", "execute", &path, "--dry-run", "--save-observed", saved];
    let live = desk.run(&live).await.ends_with(Exit::Changes);
    desk.kafka.go_away();
    let rehearsed = desk.run(&["reassign", "execute", &path, "--observed", saved]).await.ends_with(Exit::Changes);
    assert_eq!(live.out, rehearsed.out);
}

/// Moves are begun in steps of some hundred.
#[tokio::test]
async fn a_plan_of_many_moves_ends() {
    let rows: Vec<&[i32]> = vec![&[1, 2]; 2_000];
    let desk = Desk::new(Memory::kraft(4).topic("many", &rows).copying(u64::MAX));
    let moves: Vec<Row<'_>> = (0..2_000).map(|number| ("many", number, &[1, 2][..], &[3, 4][..], 0)).collect();
    let said = execute(&desk, &moves, &["--partitions-per-broker", "1000", "--max-moves", "700"]).await;
    assert!(said.ends_with(Exit::Done).out.ends_with("2000 of 2000 partitions are as planned\n"));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_no_throttle_holds_its_own_moves_alone() {
    let silent = KafkaError::AnswerLost { request: "IncrementalAlterConfigs".into(), why: "no answer".into() };
    let rows: [Row<'static>; 3] = [ROWS[0], ROWS[1], ("orders", 1, &[2, 3], &[1, 3], 2_000)];
    let desk = Desk::new(four_brokers(true).copying(u64::MAX).refusing(Call::AlterConfigs, "broker:4", silent));
    // One slot a broker: the moves that are held, the smallest among them, do not keep it.
    let more = ["--throttle", "500B/s", "--tick", "100ms", "--patience", "50s", "--partitions-per-broker", "1"];
    let said = execute(&desk, &rows, &more).await.ends_with(Exit::Failed);
    assert_eq!(replicas(&desk, "orders", 1), [1, 3], "what does not touch it is moved: {said:#?}");
    assert_eq!((replicas(&desk, "bills", 0), replicas(&desk, "orders", 0)), (vec![1, 2], vec![2, 1]));
    let reason = "the answer to IncrementalAlterConfigs was lost";
    let once = said.err.matches("! no move is begun without its throttle, and it is tried again").count();
    assert_eq!(once, 1, "{said:#?}");
    assert!(said.err.contains("2 not begun: bills-0, orders-0: broker 4") && said.err.contains(reason), "{said:#?}");
    let tries = audited(&desk.folder().join("state")).into_iter().filter(|event| event.subject == "broker:4");
    let tries = tries.filter(|event| event.outcome == Outcome::Planned);
    assert_eq!(tries.count(), 2, "at first and after 30 s, whatever the tick");
}

#[tokio::test]
async fn a_throttle_below_what_is_written_is_said_at_once() {
    let kafka = four_brokers(true).copying(0).before(Call::DescribeLogDirs, 3, |cluster| {
        let bills = cluster.topics.get_mut(&TopicName::new("bills").unwrap()).unwrap();
        bills.partitions[0].bytes.values_mut().for_each(|bytes| *bytes += 1_000_000);
    });
    let desk = Desk::new(kafka);
    let more = ["--throttle", "5B/s", "--tick", "200ms", "--patience", "1s"];
    let said = execute(&desk, &ROWS[..1], &more).await;
    assert!(said.err.contains("the throttle of 5 B/s is below"), "{said:#?}");
}

#[tokio::test]
async fn a_rate_that_is_set_meanwhile_goes_before_the_one_that_it_was_begun_with() {
    let desk = Desk::new(four_brokers(true).copying(100));
    let asks = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let said = desk.run(&["throttle", "set", "900B/s", "--for", "1h"]).await.ends_with(Exit::Done);
        assert!(said.out.contains("is asked for 900 B/s on all brokers, and sets it within seconds"), "{said:#?}");
        for _ in 0..50 {
            let rate = desk.kafka.look(|cluster| {
                let configs = cluster.broker_configs.get(&BrokerId(4));
                configs.and_then(|configs| configs.get("follower.replication.throttled.rate").cloned())
            });
            if rate.as_deref() == Some("900") {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        false
    };
    let more = ["--throttle", "500B/s", "--tick", "200ms"];
    let (said, is_set) = tokio::join!(execute(&desk, &ROWS[..1], &more), asks);
    said.ends_with(Exit::Done);
    assert!(is_set, "the execution takes the rate that was asked for");
    assert!(desk.kafka.look(|cluster| cluster.broker_configs.values().all(std::collections::BTreeMap::is_empty)));
}

/// A Prometheus on loopback: broker 2 sends so many bytes a second, all others are quiet; what it was asked.
async fn prometheus(sends: u64) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let answer = move |request: Request| {
        let uri = request.uri().to_string();
        let is_sending = uri.contains("transmit");
        heard.lock().unwrap().push(uri);
        let now = Timestamp::now().as_second();
        let series: Vec<_> = (1..=4)
            .map(|broker| {
                let rate = if is_sending && broker == 2 { sends } else { 1_000 };
                serde_json::json!({ "metric": { "broker_id": broker.to_string() }, "value": [now, rate.to_string()] })
            })
            .collect();
        let body = serde_json::json!({ "status": "success", "data": { "resultType": "vector", "result": series } });
        async move { body.to_string() }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/api/v1/query", get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, asked)
}

/// Consumers who read from a leader are seen by its network alone: what they leave is what its copying gets.
#[tokio::test]
async fn an_automatic_throttle_follows_the_measured_load() {
    let rate_beside = async |sends: u64| {
        let seen = Arc::new(Mutex::new(0_u64));
        let keeps = Arc::clone(&seen);
        let desk = Desk::new(four_brokers(true).copying(u64::MAX).after(Call::AlterReassignments, 1, move |cluster| {
            let rate = &cluster.broker_configs[&BrokerId(2)]["leader.replication.throttled.rate"];
            *keeps.lock().unwrap() = rate.parse().unwrap();
        }));
        let (base, asked) = prometheus(sends).await;
        let more = ["--throttle", "auto", "--capacity", "100MB/s", "--tick", "100ms", "--prometheus-url", &base];
        let said = execute(&desk, &ROWS[1..2], &more).await.ends_with(Exit::Done);
        assert!(!said.err.contains("the load is"), "{said:#?}");
        assert!(asked.lock().unwrap().iter().any(|uri| uri.contains("receive")));
        *seen.lock().unwrap()
    };
    let (quiet, busy) = (rate_beside(1_000).await, rate_beside(75_000_000).await);
    // A first rate is a quarter of what is left below 80 %: of 80 MB/s, and of 5 MB/s.
    assert!((19_000_000..=20_000_000).contains(&quiet), "quiet {quiet}");
    assert!((1_200_000..=1_250_000).contains(&busy), "busy {busy}");
}

#[tokio::test]
async fn an_automatic_throttle_says_where_nobody_measures_the_load_and_moves_all_the_same() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    let auto = ["--throttle", "auto", "--capacity", "100MB/s", "--tick", "100ms"];
    let said = execute(&desk, &ROWS[1..2], &auto).await.ends_with(Exit::Done);
    assert_eq!(said.err.matches("the load is estimated from the growth of replicas").count(), 1, "{said:#?}");

    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    let nobody = [&auto[..], &["--prometheus-url", "http://127.0.0.1:1"]].concat();
    let said = execute(&desk, &ROWS[1..2], &nobody).await.ends_with(Exit::Done);
    assert_eq!(said.err.matches("the load is not measured by prometheus").count(), 1, "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [4, 1]);
}
