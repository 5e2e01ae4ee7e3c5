//! A topic that was deleted and created again is another topic: what was planned for, or applied to, the former one does not
//! hold for it.

use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model};
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;
use uuid::Uuid;

use super::applying::partitions;
use crate::reassign::bench::{file, four_brokers, plan, replicas};
use crate::support::desk::Desk;

const ORDERS: &str = "{name: orders, partitions: 1, replicationFactor: 2, config: {retention.ms: 1000000}}";

/// Somebody deletes the topic and creates it again, with the same shape and config.
fn again(cluster: &mut Model) {
    let name = TopicName::new("orders").unwrap();
    cluster.topics.get_mut(&name).unwrap().id = Some(Uuid::now_v7());
}

fn retention(desk: &Desk) -> Option<String> {
    let name = TopicName::new("orders").unwrap();
    desk.kafka.look(|cluster| cluster.topics[&name].config.get("retention.ms").cloned())
}

#[tokio::test]
async fn what_was_applied_to_the_former_topic_is_not_unset_on_the_new_one() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    desk.kafka.edit(again);
    desk.declare(&["{name: orders}"]);
    let kept = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(kept.lines().last(), Some(&"nothing to do"), "{kept:#?}");
    assert!(kept.out.contains("deleted and created again since it was last applied: orders"), "{kept:#?}");
    assert_eq!(retention(&desk).as_deref(), Some("1000000"));
    // From then on the record is that of the new topic.
    assert_eq!(desk.apply(&[]).await.ends_with(Exit::Done).lines(), ["nothing to do"]);
}

#[tokio::test]
async fn keys_that_are_set_on_the_new_topic_are_its_own_and_are_unset_one_day() {
    let desk = Desk::new(Memory::kraft(3));
    desk.declare(&[ORDERS]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    desk.kafka.edit(again);
    desk.declare(&["{name: orders, config: {retention.ms: 2000000}}"]);
    desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    desk.declare(&["{name: orders}"]);
    let unset = desk.apply(&["--max-risk", "loses-data"]).await.ends_with(Exit::Done);
    assert_eq!(unset.lines()[0], "~ topic orders: retention.ms 2000000 -> default (no longer declared)", "{unset:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_not_carried_out_on_a_topic_that_was_created_again_after_it_was_shown() {
    for desired in ["{name: orders, partitions: 4}", "{name: orders, state: absent}"] {
        let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]));
        desk.kafka.edit(again);
        let spec = desk.declare(&[desired]);
        let metadata = desk.kafka.calls().iter().filter(|call| **call == Call::Metadata).count();
        let arguments = ["topics", "apply", "-f", &spec, "--yes", "--max-risk", "loses-data"];
        let planned = desk.run(&[&arguments[..], &["--dry-run"]].concat()).await.ends_with(Exit::Changes);
        let of_plan = desk.kafka.calls().iter().filter(|call| **call == Call::Metadata).count() - metadata;
        // The run itself looks as often before it shows its plan, and once more before it changes anything.
        let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]).before(Call::Metadata, of_plan + 1, again));
        desk.kafka.edit(again);
        let spec = desk.declare(&[desired]);
        let arguments = ["topics", "apply", "-f", &spec, "--yes", "--max-risk", "loses-data"];
        let stopped = desk.run(&arguments).await.ends_with(Exit::Failed);
        let words = "it was deleted and created again since the plan was made, which does not hold for the new topic; run again";
        assert!(stopped.out.contains(words), "{planned:#?} {stopped:#?}");
        assert_eq!(partitions(&desk, "orders"), 1);
    }
}

#[tokio::test]
async fn a_plan_of_moves_is_refused_for_a_topic_that_was_created_again_since_it_was_made() {
    let desk = Desk::new(four_brokers(true));
    desk.kafka.edit(again);
    let id = desk.kafka.look(|cluster| cluster.cluster_id.clone());
    let made = plan(&id, &[("orders", 0, &[2, 1], &[2, 3], 1_000)]);
    let with_id = made.replacen('{', &format!("{{\"topic_ids\":{{\"orders\":\"{}\"}},", Uuid::now_v7()), 1);
    let path = file(&desk, "plan.json", &with_id);
    let execute = ["reassign", "execute", &path, "--yes", "--max-risk", "moves-data"];
    let refused = desk.run(&execute).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("deleted and created again since the plan was made: topic orders"), "{refused:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [2, 1]);
}

#[tokio::test]
async fn a_plan_that_mapping_writes_has_the_ids_of_its_topics() {
    let desk = Desk::new(four_brokers(true));
    desk.kafka.edit(again);
    let out = desk.folder().join("out");
    let arguments = ["mapping", "evacuate", "--brokers", "3", "--out", out.to_str().unwrap()];
    desk.run(&arguments).await.ends_with(Exit::Done);
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("plan.json")).unwrap()).unwrap();
    let name = TopicName::new("orders").unwrap();
    let id = desk.kafka.look(|cluster| cluster.topics[&name].id.unwrap().to_string());
    assert_eq!(plan["topic_ids"]["orders"].as_str(), Some(id.as_str()), "{plan:#}");
}
