//! `topics apply` and `diff` on a cluster in memory: plan lines, exit codes, what the cluster has then.

use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::KafkaError;
use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model, ModelPartition, ModelTopic};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;
use crate::support::toolbox::audited;

const ORDERS: &str = "{name: orders, partitions: 3, replicationFactor: 2, config: {retention.ms: 1000000}}";

pub(super) fn partitions(desk: &Desk, name: &str) -> usize {
    let name = TopicName::new(name).unwrap();
    desk.kafka.look(|cluster| cluster.topics.get(&name).map_or(0, |topic| topic.partitions.len()))
}

fn config(desk: &Desk, name: &str, key: &str) -> Option<String> {
    let name = TopicName::new(name).unwrap();
    desk.kafka.look(|cluster| cluster.topics[&name].config.get(key).cloned())
}

#[tokio::test]
async fn a_broker_that_does_not_know_a_young_topic_yet_is_asked_again() {
    let kafka =
        Memory::kraft(3).topic("orders", &[&[1, 2], &[1, 2], &[1, 2]]).config("orders", "retention.ms", "1000000");
    let name = TopicName::new("orders").unwrap();
    let (gone, orders) = (name.clone(), kafka.look(|cluster| cluster.topics[&name].clone()));
    let kafka = kafka.before(Call::DescribeConfigs, 1, move |cluster| drop(cluster.topics.remove(&gone))).after(
        Call::DescribeConfigs,
        1,
        move |cluster| drop(cluster.topics.insert(name, orders)),
    );
    let desk = Desk::new(kafka);
    desk.declare(&[ORDERS]);
    let run = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(run.lines(), ["nothing to do"]);
}

#[tokio::test(start_paused = true)]
async fn a_declared_topic_that_was_deleted_a_moment_ago_is_created_anew() {
    let orders = TopicName::new("orders").unwrap();
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2], &[1, 2], &[1, 2]]).before(
        Call::DescribeConfigs,
        1,
        move |cluster| drop(cluster.topics.remove(&orders)),
    );
    let desk = Desk::new(kafka);
    desk.declare(&[ORDERS]);
    let run = desk.apply(&[]).await.ends_with(Exit::Done);
    assert!(run.lines()[0].starts_with("+ topic orders: 3 partitions"), "{run:#?}");
    assert_eq!(partitions(&desk, "orders"), 3);
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    let first = desk.apply(&[]).await.ends_with(Exit::Done);
    let line = "+ topic orders: 3 partitions, replication factor 2, retention.ms=1000000";
    let counts = "1 done, 0 failed, 0 refused, 0 unknown";
    assert_eq!(first.lines(), [line, "1 to create; risk reversible", counts]);
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
    assert_eq!(partitions(&desk, "orders"), 3);
}

#[tokio::test]
async fn a_dry_run_and_diff_change_nothing_and_say_so() {
    let desk = Desk::new(Memory::kraft(3));
    let spec = desk.declare(&[ORDERS]);
    desk.apply(&["--dry-run"]).await.ends_with(Exit::Changes);
    desk.run(&["topics", "diff", "-f", &spec]).await.ends_with(Exit::Changes);
    assert_eq!(partitions(&desk, "orders"), 0);
    let calls = desk.kafka.calls();
    assert!(!calls.contains(&Call::DeleteTopics) && !calls.contains(&Call::AlterConfigs), "{calls:?}");
}

#[tokio::test]
async fn a_run_with_nothing_to_do_asks_little() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await;
    let before = desk.kafka.calls().len();
    desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(desk.kafka.calls()[before..], [Call::Metadata, Call::DescribeConfigs]);
}

#[tokio::test]
async fn drift_is_mended_and_what_others_set_is_left() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await;
    desk.kafka.edit(|cluster| {
        let config = &mut cluster.topics.get_mut(&TopicName::new("orders").unwrap()).unwrap().config;
        config.insert("retention.ms".into(), "5".into());
        config.insert("segment.ms".into(), "700000".into());
    });
    let mended = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(mended.lines()[0], "~ topic orders: retention.ms 5 -> 1000000 (drift: changed by hand)");
    assert_eq!(config(&desk, "orders", "retention.ms").as_deref(), Some("1000000"));
    assert_eq!(config(&desk, "orders", "segment.ms").as_deref(), Some("700000"));
    desk.declare(&["{name: orders}"]);
    let unset = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(unset.lines()[0], "~ topic orders: retention.ms 1000000 -> default (no longer declared)");
    assert_eq!(config(&desk, "orders", "segment.ms").as_deref(), Some("700000"));
}

#[tokio::test]
async fn without_a_terminal_and_without_yes_nothing_is_changed() {
    let desk = Desk::new(Memory::kraft(3));
    let spec = desk.declare(&[ORDERS]);
    let refused = desk.run(&["topics", "apply", "-f", &spec]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("--yes applies without asking"), "{refused:#?}");
    assert_eq!(partitions(&desk, "orders"), 0);
}

#[tokio::test]
async fn the_answer_decides() {
    let desk = Desk::new(Memory::kraft(3));
    let spec = desk.declare(&[ORDERS]);
    let no = desk.run_and_answer(Some(false), &["topics", "apply", "-f", &spec]).await.ends_with(Exit::Refused);
    assert!(no.err.contains("Apply? 1 to create; risk reversible. [y/N]"), "{no:#?}");
    assert_eq!(partitions(&desk, "orders"), 0);
    desk.run_and_answer(Some(true), &["topics", "apply", "-f", &spec]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "orders"), 3);
}

#[tokio::test]
async fn steps_above_the_risk_are_refused_and_the_rest_is_applied() {
    let desk = Desk::new(Memory::kraft(3).topic("old", &[&[1, 2]]));
    desk.declare(&[ORDERS, "{name: old, state: absent}"]);
    let some = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert_eq!(some.lines().last(), Some(&"1 done, 0 failed, 1 refused, 0 unknown"));
    assert_eq!((partitions(&desk, "orders"), partitions(&desk, "old")), (3, 1));
    desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "old"), 0);
}

#[tokio::test]
async fn a_wrong_cluster_stops_everything() {
    let desk = Desk::new(Memory::kraft(3).cluster_id("this-one"));
    desk.declare(&[ORDERS]);
    let refused = desk.apply(&["--cluster-id", "another"]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("this is cluster this-one, but another is expected"), "{refused:#?}");
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
}

#[tokio::test]
async fn a_spec_without_topics_is_refused_loudly() {
    let desk = Desk::new(Memory::kraft(3));
    std::fs::write(desk.folder().join("spec.yaml"), "topics: []\n").unwrap();
    let refused = desk.apply(&[]).await;
    assert!(matches!(refused.exit, Exit::Refused | Exit::Usage), "{refused:#?}");
    assert_eq!(desk.kafka.calls(), []);
}

#[tokio::test]
async fn one_bad_value_stops_all_unless_asked_to_keep_going() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS, "{name: bad, partitions: 1, replicationFactor: 1, config: {no.such.key: 1}}"]);
    let stopped = desk.apply(&[]).await.ends_with(Exit::Usage);
    assert!(stopped.err.contains("spec.yaml:3:"), "{stopped:#?}");
    assert_eq!(partitions(&desk, "orders"), 0);
    desk.apply(&["--keep-going"]).await.ends_with(Exit::Usage);
    assert_eq!((partitions(&desk, "orders"), partitions(&desk, "bad")), (3, 0));
}

#[tokio::test]
async fn a_topic_that_fails_does_not_stop_the_others() {
    let error = KafkaError::broker(29, Some("Authorization failed."));
    let desk = Desk::new(Memory::kraft(3).refusing(Call::CreateTopics, "secret", error));
    desk.declare(&[ORDERS, "{name: secret, partitions: 1, replicationFactor: 2}"]);
    let some = desk.apply(&[]).await.ends_with(Exit::Failed);
    assert!(some.out.contains("! failed: + topic secret: 1 partition, replication factor 2: "), "{some:#?}");
    assert_eq!(some.lines().last(), Some(&"1 done, 1 failed, 0 refused, 0 unknown"));
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_a_look_at_the_cluster() {
    // The first call of each kind only asks (validateOnly).
    let desk = Desk::new(Memory::kraft(3).losing_the_answer(Call::CreateTopics, 2));
    desk.declare(&[ORDERS]);
    let done = desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(done.lines().last(), Some(&"1 done, 0 failed, 0 refused, 0 unknown"));
    assert_eq!(desk.kafka.calls().iter().filter(|call| **call == Call::CreateTopics).count(), 2, "not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_sent_again_once_the_cluster_shows_that_nothing_happened() {
    let desk = Desk::new(Memory::kraft(3).losing_the_request(Call::CreateTopics, 2));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(partitions(&desk, "orders"), 3);
}

#[tokio::test(start_paused = true)]
async fn reads_from_before_ones_own_write_are_waited_for() {
    let desk = Desk::new(Memory::kraft(3).lagging(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
}

#[tokio::test]
async fn a_rehearsal_from_a_file_is_a_dry_run_without_a_cluster() {
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]));
    let spec = desk.declare(&[ORDERS]);
    let file = desk.folder().join("observed.json");
    let file = file.to_str().unwrap();
    let seen = desk.run(&["topics", "diff", "-f", &spec, "--save-observed", file]).await.ends_with(Exit::Changes);
    let away = Desk::new(Memory::kraft(1));
    away.kafka.go_away();
    let rehearsed = away.run(&["topics", "apply", "-f", &spec, "--yes", "--observed", file]).await;
    assert_eq!(rehearsed.ends_with(Exit::Changes).out, seen.out);
    assert_eq!(away.kafka.calls(), []);
}

#[tokio::test]
async fn the_json_document_has_the_plan_and_its_result() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    let applied = desk.apply(&["-o", "json"]).await.ends_with(Exit::Done);
    let document: serde_json::Value = serde_json::from_str(&applied.out).unwrap();
    assert_eq!(document["plan"]["steps"][0]["subject"], "topic:orders");
    assert_eq!(document["plan"]["steps"][0]["risk"], "reversible");
    assert_eq!(document["result"]["steps"][0]["outcome"], "done");
    assert_eq!(document["result"]["done"], 1);
    assert_eq!(document["dry_run"], false);
}

#[tokio::test]
async fn a_replication_factor_moves_data_says_how_much_and_is_refused_while_the_rest_is_applied() {
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]).bytes("orders", 0, 7_000_000));
    desk.declare(&["{name: orders, partitions: 2, replicationFactor: 3}"]);
    let some = desk.apply(&[]).await.ends_with(Exit::Refused);
    assert!(some.out.contains("2 partitions to move, copies 7.0 MB): its risk is moves-data"), "{some:#?}");
    assert_eq!(partitions(&desk, "orders"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_goes_away_meanwhile_is_said_and_not_waited_for_long() {
    let desk = Desk::new(Memory::kraft(3).losing_the_answer(Call::CreateTopics, 2));
    desk.declare(&[ORDERS]);
    let kafka = std::sync::Arc::clone(&desk.kafka);
    let gone = async {
        while kafka.calls().iter().filter(|call| **call == Call::CreateTopics).count() < 2 {
            tokio::task::yield_now().await;
        }
        kafka.go_away();
    };
    let (said, ()) = tokio::join!(desk.apply(&[]), gone);
    assert!(matches!(said.exit, Exit::Failed | Exit::Done), "{said:#?}");
    desk.kafka.come_back();
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
}

#[tokio::test]
async fn a_file_with_a_fault_is_left_out_whole_and_its_topics_are_not_forgotten() {
    let desk = Desk::new(Memory::kraft(3));
    let (good, bad) = (desk.folder().join("good.yaml"), desk.folder().join("bad.yaml"));
    std::fs::write(&good, "topics: [{name: good, partitions: 1, replicationFactor: 2}]\n").unwrap();
    let topic = "{name: bad, partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}}";
    std::fs::write(&bad, format!("topics: [{topic}]\n")).unwrap();
    let apply = ["topics", "apply", "--yes", "-f", good.to_str().unwrap(), "-f", bad.to_str().unwrap()];
    desk.run(&apply).await.ends_with(Exit::Done);

    std::fs::write(&bad, "topics: [{name: bad, partitons: 1}]\n").unwrap();
    let stopped = desk.run(&apply).await.ends_with(Exit::Usage);
    assert!(stopped.err.contains("did you mean `partitions`?"), "{stopped:#?}");
    std::fs::write(&good, "topics: [{name: good, partitions: 2}]\n").unwrap();
    let some = desk.run(&[&apply[..], &["--keep-going"]].concat()).await.ends_with(Exit::Usage);
    assert!(!some.out.contains("declared no more"), "{some:#?}");
    assert_eq!(partitions(&desk, "good"), 2);

    std::fs::write(&bad, "topics: [{name: bad}]\n").unwrap();
    let unset = desk.run(&apply).await.ends_with(Exit::Done);
    assert_eq!(unset.lines()[0], "~ topic bad: retention.ms 1000000 -> default (no longer declared)");
}

#[tokio::test]
async fn bad_input_is_an_event() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&["{name: orders, partitons: 3}"]);
    desk.apply(&[]).await.ends_with(Exit::Usage);
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap();
    let lines = audit.lines().rev().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let last: Vec<_> = lines.take(2).collect();
    let [command, event] = &last[..] else { panic!("{audit}") };
    assert_eq!((&event["kind"], &event["outcome"]), (&"topics.apply.failed".into(), &"refused".into()));
    assert!(event["reason"].as_str().unwrap().contains("spec.yaml:2:"), "{event}");
    assert_eq!((&command["kind"], &command["tags"]["exit_code"]), (&"command.executed".into(), &"2".into()));
}

fn replicas(desk: &Desk, name: &str) -> Vec<Vec<i32>> {
    let name = TopicName::new(name).unwrap();
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|one| one.0).collect();
    desk.kafka.look(|cluster| cluster.topics[&name].partitions.iter().map(|one| ids(&one.replicas)).collect())
}

#[tokio::test]
async fn another_replication_factor_is_moved_to_its_end() {
    for kafka in [Memory::kraft(3), Memory::zookeeper(3)] {
        let kafka = kafka.topic("orders", &[&[1, 2], &[2, 3]]).bytes("orders", 0, 4_000_000);
        let desk = Desk::new(kafka.copying(1_000_000));
        desk.declare(&["{name: orders, partitions: 3, replicationFactor: 3}"]);
        let refused = desk.apply(&["--max-risk", "reversible"]).await.ends_with(Exit::Refused);
        assert!(refused.out.contains("replication factor 2 -> 3"), "{refused:#?}");
        assert_eq!(replicas(&desk, "orders")[0], [1, 2]);
        let moved = desk.apply(&["--max-risk", "moves-data"]).await.ends_with(Exit::Done);
        assert!(moved.out.contains("~ topic orders: replication factor 2 -> 3"), "{moved:#?}");
        let now = replicas(&desk, "orders");
        assert_eq!((&now[0][..], &now[1][..]), (&[1, 2, 3][..], &[2, 3, 1][..]));
        assert_eq!(now[2].len(), 3);
        assert!(desk.kafka.look(|cluster| cluster.reassignments.is_empty()));
        let events = audited(&desk.folder().join("state"));
        let place = |kind: &str| events.iter().rposition(|event| event.kind == kind).unwrap();
        assert!(place("reassign.execute.completed") < place("topics.apply.completed"), "the whole ends with its moves");
        assert_eq!(desk.apply(&["--max-risk", "moves-data"]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
        desk.declare(&["{name: orders, replicationFactor: 2}"]);
        desk.apply(&["--max-risk", "moves-data"]).await.ends_with(Exit::Done);
        assert!(replicas(&desk, "orders").iter().all(|replicas| replicas.len() == 2));
    }
}

#[tokio::test]
async fn a_move_that_somebody_else_began_is_left_alone_and_the_rest_is_moved_when_it_has_ended() {
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2], &[2, 3]]).bytes("orders", 0, 4_000_000);
    let desk = Desk::new(kafka.moving("orders", 0, &[1, 2, 3]).copying(1_000_000));
    desk.declare(&["{name: orders, replicationFactor: 3}"]);
    let waits = desk.apply(&["--max-risk", "moves-data"]).await.ends_with(Exit::Refused);
    assert!(waits.out.contains("replication factor 2 -> 3 is under way: 1 partition moves now"), "{waits:#?}");
    assert!(waits.out.contains("~ topic orders: replication factor 2 -> 3 (1 partition to move"), "{waits:#?}");
    assert!(waits.out.contains("not begun from here: orders-0. Somebody else may be carrying"), "{waits:#?}");
    assert_eq!(replicas(&desk, "orders")[1], [2, 3]);
    desk.kafka.edit(Model::finish_moves);
    desk.apply(&["--max-risk", "moves-data"]).await.ends_with(Exit::Done);
    assert_eq!(replicas(&desk, "orders"), [vec![1, 2, 3], vec![2, 3, 1]]);
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
}

#[tokio::test]
async fn a_dry_run_ends_as_the_run_itself_where_that_refuses_something() {
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2]]).topic("bills", &[&[1, 2], &[2, 3]]);
    let desk = Desk::new(kafka.bytes("orders", 0, 7_000_000));
    let spec = desk.declare(&["{name: orders, replicationFactor: 3}"]);
    let diff = async |more: &[&str]| desk.run(&[&["topics", "diff", "-f", &spec], more].concat()).await;
    let above = diff(&["--max-risk", "reversible"]).await.ends_with(Exit::Refused);
    assert!(above.out.contains("its risk is moves-data; --max-risk reversible refuses it"), "{above:#?}");
    diff(&["--max-risk", "moves-data"]).await.ends_with(Exit::Changes);
    diff(&[]).await.ends_with(Exit::Changes);
    desk.declare(&["{name: orders, partitions: 5}", "{name: bills, partitions: 1}"]);
    let some = diff(&[]).await.ends_with(Exit::Refused);
    assert!(some.out.contains("~ topic orders: partitions 1 -> 5") && some.out.contains("1 refused"), "{some:#?}");
    desk.declare(&["{name: orders, partitions: 1}"]);
    diff(&["--max-risk", "reversible"]).await.ends_with(Exit::Done);
}

#[tokio::test]
async fn a_long_plan_is_summarised_for_a_person_and_whole_for_programs_and_in_wide() {
    let desk = Desk::new(Memory::kraft(3));
    let topics: Vec<_> =
        (0..60).map(|number| format!("{{name: t-{number:02}, partitions: 1, replicationFactor: 2}}")).collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    let spec = desk.declare(&topics);
    let diff =
        async |format: &str| desk.run(&["topics", "diff", "-f", &spec, "-o", format]).await.ends_with(Exit::Changes);
    let short = diff("table").await;
    assert!(short.out.contains("… and 50 more steps; -o wide shows all of them\n60 steps: 60 create\n"), "{short:#?}");
    assert!(!short.out.contains("t-59"), "{short:#?}");
    assert_eq!(diff("wide").await.out.lines().filter(|line| line.starts_with("+ topic")).count(), 60);
    let document: serde_json::Value = serde_json::from_str(&diff("json").await.out).unwrap();
    assert_eq!(document["plan"]["steps"].as_array().map(Vec::len), Some(60));
}

#[tokio::test]
async fn a_take_over_alone_is_a_change_with_an_event_and_a_second_run_finds_nothing() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&["--owner", "shop"]).await.ends_with(Exit::Done);
    let spec = desk.declare(&[ORDERS]);
    let take = ["--owner", "web", "--take-ownership"];
    let shown = desk.run(&[&["topics", "diff", "-f", &spec][..], &take].concat()).await.ends_with(Exit::Changes);
    assert!(shown.out.contains("~ topic orders: owner shop -> web\n"), "{shown:#?}");
    desk.apply(&take).await.ends_with(Exit::Done);
    let events = audited(&desk.folder().join("state"));
    let taken: Vec<_> = events.iter().filter(|event| event.kind == "topics.ownership_taken").collect();
    assert_eq!(taken.len(), 2, "an intent and an outcome: {events:#?}");
    assert_eq!((taken[1].before.as_deref(), taken[1].after.as_deref()), (Some("owner: shop"), Some("owner: web")));
    assert_eq!(desk.apply(&take).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
    desk.apply(&["--owner", "shop"]).await.ends_with(Exit::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_somebody_else_creates_at_the_same_moment_with_another_config_is_not_done() {
    for (theirs, exit) in [("1000000", Exit::Done), ("5", Exit::Failed)] {
        let name = TopicName::new("orders").unwrap();
        let kafka = Memory::kraft(3).before(Call::CreateTopics, 2, move |cluster| {
            let rows = [&[1, 2][..], &[1, 2], &[1, 2]];
            let replicas = rows.map(|row| row.iter().copied().map(BrokerId).collect::<Vec<_>>());
            let partition = |replicas: &Vec<BrokerId>| ModelPartition {
                leader: replicas.first().copied(),
                replicas: replicas.clone(),
                isr: replicas.clone(),
                ..ModelPartition::default()
            };
            let config = [("retention.ms".to_owned(), theirs.to_owned())].into();
            let topic = ModelTopic { config, partitions: replicas.iter().map(partition).collect(), ..<_>::default() };
            cluster.topics.insert(name, topic);
        });
        let desk = Desk::new(kafka);
        desk.declare(&[ORDERS]);
        let met = desk.apply(&[]).await.ends_with(exit);
        let words = "no broker shows it as declared: somebody else changed it at this moment; run again";
        assert_eq!(met.out.contains(words), exit == Exit::Failed, "{met:#?}");
        let counts = "0 done, 0 failed, 0 refused, 0 unknown; 1 found as desired and not changed";
        assert_eq!(met.lines().last() == Some(&counts), exit == Exit::Done, "{met:#?}");
        let events = audited(&desk.folder().join("state"));
        let outcomes: Vec<_> = events.iter().filter(|event| event.subject == "topic:orders").skip(1).collect();
        let (kind, outcome) = match exit {
            Exit::Done => ("topics.unchanged", Outcome::Done),
            _ => ("topics.created", Outcome::Failed),
        };
        assert_eq!((outcomes.len(), outcomes[0].kind.as_str(), outcomes[0].outcome), (1, kind, outcome), "{events:#?}");
    }
}
