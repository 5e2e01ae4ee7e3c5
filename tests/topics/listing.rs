//! `topics list` and `describe` on a cluster in memory.

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;

fn cluster() -> Memory {
    Memory::kraft(3)
        .topic("fine", &[&[1, 2], &[2, 3]])
        .topic("lagging", &[&[1, 2]])
        .topic("moving", &[&[1, 2]])
        .internal_topic("__own", &[&[1]])
        .config("fine", "retention.ms", "1000000")
}

fn shrink(desk: &Desk, name: &str, isr: &[i32], leader: Option<i32>) {
    desk.kafka.edit(|cluster| {
        let topic = cluster.topics.get_mut(&TopicName::new(name).unwrap()).unwrap();
        topic.partitions[0].isr = isr.iter().copied().map(BrokerId).collect();
        topic.partitions[0].leader = leader.map(BrokerId);
    });
}

#[tokio::test]
async fn a_plain_list_costs_one_request() {
    let desk = Desk::new(cluster());
    let listed = desk.run(&["topics", "list"]).await.ends_with(Exit::Done);
    assert_eq!(
        listed.lines(),
        [
            "TOPIC    PARTITIONS  RF  TROUBLE",
            "fine     2           2   -",
            "lagging  1           2   -",
            "moving   1           2   -"
        ]
    );
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
}

#[tokio::test]
async fn json_has_what_the_table_has_and_more_is_asked_only_where_it_is_requested() {
    let desk = Desk::new(cluster().config("fine", "min.insync.replicas", "1"));
    let keys = async |arguments: &[&str]| {
        let said = desk.run(&[&["topics", "list", "fine", "-o", "json"], arguments].concat()).await;
        let rows: serde_json::Value = serde_json::from_str(&said.ends_with(Exit::Done).out).unwrap();
        rows[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let plain = "name internal partitions replication_factor without_leader under_replicated moving";
    assert_eq!(keys(&[]).await, plain);
    assert_eq!(desk.kafka.calls(), [Call::Metadata]);
    assert_eq!(keys(&["--size"]).await, format!("{plain} bytes"));
    let below = plain.replace("without_leader", "without_leader below_min_isr");
    assert_eq!(keys(&["--config"]).await, format!("{below} config"));
}

#[tokio::test]
async fn a_description_costs_two_requests() {
    let desk = Desk::new(cluster());
    desk.run(&["topics", "describe", "fine", "fine"]).await.ends_with(Exit::Done);
    assert_eq!(desk.kafka.calls(), [Call::Metadata, Call::DescribeConfigs]);
}

#[tokio::test]
async fn trouble_comes_first_and_a_move_is_no_trouble() {
    let desk = Desk::new(cluster().moving("moving", 0, &[2, 3]));
    shrink(&desk, "lagging", &[1], Some(1));
    let listed = desk.run(&["topics", "list", "--internal"]).await.ends_with(Exit::Done);
    assert_eq!(listed.lines()[1], "lagging  1           2   1 under-replicated");
    assert!(listed.out.contains("moving   1           2   1 moving"), "{listed:#?}");
    assert!(listed.out.contains("__own"), "{listed:#?}");
    let filtered = desk.run(&["topics", "list", "--under-replicated"]).await;
    assert_eq!(filtered.lines().len(), 2, "{filtered:#?}");
    shrink(&desk, "moving", &[], None);
    let filtered = desk.run(&["topics", "list", "--no-leader", "-o", "json"]).await;
    let rows: serde_json::Value = serde_json::from_str(&filtered.out).unwrap();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["name"]), (1, &"moving".into()));
}

#[tokio::test]
async fn too_few_in_sync_are_found() {
    let desk = Desk::new(cluster().config("lagging", "min.insync.replicas", "2"));
    shrink(&desk, "lagging", &[1], Some(1));
    let listed = desk.run(&["topics", "list", "--below-min-isr"]).await;
    assert_eq!(listed.lines()[1], "lagging  1           2   1 below min.insync.replicas, 1 under-replicated");
}

#[tokio::test]
async fn names_are_globs_or_regular_expressions() {
    let desk = Desk::new(cluster());
    let names = async |arguments: &[&str]| {
        let said = desk.run(&[&["topics", "list"], arguments].concat()).await.ends_with(Exit::Done);
        said.lines()[1..].iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["*ing"]).await, ["lagging", "moving"]);
    assert_eq!(names(&["--regex", "(fine|mov.*)"]).await, ["fine", "moving"]);
    assert_eq!(names(&["--regex", "ing"]).await, Vec::<String>::new(), "a whole name is matched");
}

#[tokio::test]
async fn a_description_says_the_trouble_in_words() {
    let desk = Desk::new(cluster().config("lagging", "min.insync.replicas", "2").group("billing", &["lagging"]));
    shrink(&desk, "lagging", &[1], Some(1));
    let said = desk.run(&["topics", "describe", "lagging", "fine", "--groups"]).await.ends_with(Exit::Done);
    let trouble = "! partition 0: 1 of 2 replicas in sync; not in sync: 2 (behind); min.insync.replicas is 2, so writes \
                   with acks=all fail";
    assert!(said.out.contains(trouble), "{said:#?}");
    assert!(said.out.contains("live groups: billing"), "{said:#?}");
    assert!(said.out.contains("retention.ms  1000000  topic"), "{said:#?}");
}

#[tokio::test]
async fn a_live_group_that_hides_what_it_reads_is_named() {
    let desk = Desk::new(cluster().group("billing", &["lagging"]).group("joins", &[]).lock_group("toolbox-lock-moves"));
    let said = desk.run(&["topics", "describe", "fine", "--groups"]).await.ends_with(Exit::Done);
    assert_eq!(
        said.lines().last(),
        Some(&"live groups: none; may read it, because what they read cannot be found out: joins"),
        "{said:#?}"
    );
    let said = desk.run(&["topics", "describe", "lagging", "--groups", "-o", "json"]).await.ends_with(Exit::Done);
    let described: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&described[0]["groups"][0], &described[0]["hidden_groups"][0]), (&"billing".into(), &"joins".into()));
}

#[tokio::test]
async fn a_missing_topic_is_named_with_what_may_be_meant() {
    let desk = Desk::new(cluster());
    let said = desk.run(&["topics", "describe", "fien"]).await.ends_with(Exit::Failed);
    assert!(said.err.contains("there is no topic fien; did you mean fine?"), "{said:#?}");
}

#[tokio::test]
async fn the_spec_that_owns_a_topic_is_named() {
    let desk = Desk::new(cluster());
    let spec = desk.declare(&["{name: fine, config: {retention.ms: 1000000}}"]);
    desk.apply(&[]).await.ends_with(Exit::Done);
    let said = desk.run(&["topics", "describe", "fine"]).await.ends_with(Exit::Done);
    assert!(said.out.contains(&format!("declared in {spec}")), "{said:#?}");
    let listed = desk.run(&["topics", "list", "-o", "wide"]).await.ends_with(Exit::Done);
    assert!(listed.out.contains(&spec), "{listed:#?}");
    assert!(!desk.run(&["topics", "describe", "lagging"]).await.out.contains("declared in"));
}
