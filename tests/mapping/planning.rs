//! Whole commands on a cluster in memory.

use std::fs;
use std::sync::Arc;

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::clients::kubernetes::{self, ConfigMap, Identity, Kubernetes, ObjectName};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::formats::source::Source;
use kafka_toolbox::formats::{maps, reassignment_json};
use serde_json::Value;

use crate::support::desk::Desk;
use crate::support::toolbox::Toolbox;

/// Broker 4 of rack a is empty; 1 holds twice as much as it should.
fn uneven() -> Memory {
    let memory = Memory::kraft(4).rack(4, Some("a")).topic("orders", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 3, 2]]);
    let memory = (0..4).fold(memory, |memory, partition| memory.bytes("orders", partition, 1_000_000_000));
    memory.edit(|model| model.disk_bytes = Some(100_000_000_000));
    memory
}

fn path(desk: &Desk, name: &str) -> String {
    desk.folder().join(name).to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_election_after_a_broker_died_is_waited_for() {
    let kafka = uneven();
    let three = BrokerId(3);
    kafka.edit(|model| drop(model.brokers.remove(&three)));
    let kafka = kafka.after(Call::Metadata, 3, move |model| {
        for partition in model.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.isr.retain(|broker| *broker != three);
            partition.leader = partition.isr.first().copied();
        }
    });
    let desk = Desk::new(kafka);
    let shown = desk.run(&["mapping", "replace", "3=4"]).await.ends_with(Exit::Changes);
    assert!(shown.out.contains("4 partitions to move"), "{shown:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_come_is_not_waited_for_without_an_end() {
    let kafka = uneven();
    kafka.edit(|model| model.topics.values_mut().next().unwrap().partitions[0].leader = None);
    let desk = Desk::new(kafka);
    let shown = desk.run(&["mapping", "scale"]).await.ends_with(Exit::Changes);
    assert!(shown.out.contains("offline"), "what is offline is left out by name: {shown:#?}");
    let looks = desk.kafka.calls().iter().filter(|call| **call == Call::Metadata).count();
    assert!((10..=12).contains(&looks), "{looks}");
}

#[tokio::test]
async fn a_plan_is_shown_written_and_is_what_kafkas_tools_take() {
    let desk = Desk::new(uneven());
    let shown = desk.run(&["mapping", "scale"]).await.ends_with(Exit::Changes);
    assert!(shown.out.contains("2 partitions to move: 2 replicas to copy, 2.0 GB"), "{shown:#?}");
    assert!(shown.out.contains("4       a     0 B -> 2.0 GB"), "{shown:#?}");
    let (folder, page) = (path(&desk, "plans/one"), path(&desk, "plan.html"));
    let written = desk.run(&["mapping", "scale", "--out", &folder, "--html", &page]).await.ends_with(Exit::Done);
    assert!(written.err.contains("plan.json, reassignment.json, rollback.json"), "{written:#?}");
    let read = |name: &str| Source::new(name, fs::read(format!("{folder}/{name}")).unwrap());
    let plan = reassignment_json::read_plan(&read("plan.json")).unwrap();
    assert_eq!(
        (plan.cluster_id.as_str(), plan.made_by.as_str()),
        ("memory-cluster-0000000", "mapping scale --tolerance 5%")
    );
    let moved: Vec<_> = plan.moves.iter().filter(|one| one.adding().any(|broker| broker.0 == 4)).collect();
    assert_eq!(moved.len(), 2);
    let kafka = reassignment_json::read(&read("reassignment.json")).unwrap();
    let back = reassignment_json::read(&read("rollback.json")).unwrap();
    for ((one, forward), back) in plan.moves.iter().zip(kafka).zip(back) {
        assert_eq!(forward, (one.partition.clone(), one.to.clone()));
        assert_eq!(back, (one.partition.clone(), one.from.clone()));
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg") && page.contains("orders-0"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "it needs nothing from elsewhere");
    assert!(!desk.kafka.calls().iter().any(|call| matches!(call, Call::AlterConfigs | Call::CreateTopics)));
}

#[tokio::test]
async fn a_write_that_fails_is_a_failure() {
    let desk = Desk::new(uneven());
    let file = path(&desk, "file");
    fs::write(&file, "").unwrap();
    let failed = desk.run(&["mapping", "scale", "--out", &file]).await.ends_with(Exit::Failed);
    assert!(failed.err.contains(&format!("failed to write {file}")), "{failed:#?}");
    let failed = desk.run(&["mapping", "scale", "--html", &format!("{file}/x.html")]).await.ends_with(Exit::Failed);
    assert!(failed.err.contains("failed to write"), "{failed:#?}");
}

#[tokio::test]
async fn a_folder_in_the_way_of_one_file_leaves_the_old_plan_whole() {
    let desk = Desk::new(uneven());
    let folder = path(&desk, "plans");
    fs::create_dir_all(format!("{folder}/rollback.json/x")).unwrap();
    fs::write(format!("{folder}/plan.json"), "old").unwrap();
    desk.run(&["mapping", "scale", "--out", &folder]).await.ends_with(Exit::Failed);
    assert_eq!(fs::read_to_string(format!("{folder}/plan.json")).unwrap(), "old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left lying about");
}

#[tokio::test]
async fn choices_are_what_the_plans_themselves_come_to() {
    let desk = Desk::new(uneven());
    let run = async |more: &[&str]| {
        let printed = desk.run(&[&["mapping", "rebalance", "--throttle", "50MB/s", "-o", "json"], more].concat()).await;
        serde_json::from_str::<Value>(&printed.out).unwrap()
    };
    let compared = run(&["--choices", "--tolerance", "30%"]).await;
    let choices = compared["choices"].as_array().unwrap();
    let tolerances: Vec<_> = choices.iter().map(|one| one["tolerance"].as_f64()).collect();
    assert_eq!(tolerances, [None, Some(0.3), Some(0.2), Some(0.1), Some(0.05), Some(0.02), Some(0.01)]);
    assert_eq!((choices[0]["bytes"].as_u64(), &choices[0]["leaders"]), (Some(0), &serde_json::json!([0, 2])));
    for choice in &choices[1..] {
        let tolerance = choice["tolerance"].to_string();
        let plan = run(&["--tolerance", &tolerance]).await;
        for (field, total) in
            [("partitions", "partitions"), ("bytes", "bytes"), ("storage", "range_after"), ("seconds", "seconds")]
        {
            assert_eq!(choice[field], plan["totals"][total], "{tolerance}: {field}");
        }
    }
}

#[tokio::test]
async fn an_observation_plans_the_same_without_the_cluster() {
    let desk = Desk::new(uneven());
    let saved = path(&desk, "observed.json");
    let live =
        desk.run(&["mapping", "rebalance", "-o", "json", "--save-observed", &saved]).await.ends_with(Exit::Changes);
    let calls = desk.kafka.calls().len();
    let rehearsed =
        desk.run(&["mapping", "rebalance", "-o", "json", "--observed", &saved]).await.ends_with(Exit::Changes);
    assert_eq!(desk.kafka.calls().len(), calls, "no cluster is asked");
    assert_eq!(live.out, rehearsed.out);
}

#[tokio::test]
async fn a_live_cluster_is_asked_five_questions() {
    let desk = Desk::new(uneven());
    desk.run(&["mapping", "show"]).await.ends_with(Exit::Done);
    let mut calls = desk.kafka.calls();
    calls.sort_by_key(|call| format!("{call:?}"));
    let asked =
        [Call::DescribeCluster, Call::DescribeConfigs, Call::DescribeLogDirs, Call::ListReassignments, Call::Metadata];
    assert_eq!(calls, asked);
}

#[tokio::test]
async fn another_cluster_than_the_expected_one_is_refused() {
    let desk = Desk::new(uneven());
    let refused = desk.run(&["mapping", "show", "--cluster-id", "other"]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("this is cluster memory-cluster-0000000, but other is expected"), "{refused:#?}");
}

#[tokio::test]
async fn a_broker_that_is_down_is_seen_where_replicas_are_assigned_to_it() {
    let memory = uneven();
    memory.edit(|model| model.stop_broker(1));
    let desk = Desk::new(memory);
    let shown = desk.run(&["mapping", "show"]).await.ends_with(Exit::Done);
    assert!(shown.out.contains("! broker 1: its sizes are not known: it is not live"), "{shown:#?}");
    assert!(shown.out.contains("! 4 partitions with a replica that is not in sync"), "{shown:#?}");
    let replaced = desk.run(&["mapping", "replace", "1=4"]).await.ends_with(Exit::Changes);
    assert!(replaced.out.contains("4 partitions to move: 4 replicas to copy, 4.0 GB"), "{replaced:#?}");
}

#[tokio::test]
async fn maps_come_from_a_configmap() {
    let server = kubernetes::Memory::new(Identity {
        namespace: "kafka".into(),
        pod: None,
        service_account: None,
        source: "a test".into(),
        server: "https://127.0.0.1".into(),
    });
    server.create_namespace("kafka");
    let mut map = ConfigMap::new(ObjectName::new("kafka", "maps"));
    map.data.insert("maps.yaml".into(), "maps: {m: {topics: 'orders.*', brokers: [1-4], disk: 1TB}}".into());
    server.create_config_map(&map).await.unwrap();
    let desk = Desk::new(uneven()).in_kubernetes(Arc::new(server));
    let line = ["mapping", "scale", "--maps-configmap", "maps", "--map"];
    desk.run(&[&line[..], &["m"]].concat()).await.ends_with(Exit::Changes);
    let wrong = desk.run(&[&line[..], &["mm"]].concat()).await.ends_with(Exit::Usage);
    assert!(wrong.err.contains("there is no map `mm` (did you mean `m`?)"), "{wrong:#?}");
}

#[test]
fn the_example_of_maps_is_understood() {
    let text = fs::read_to_string("configmaps/maps/maps.yaml").unwrap();
    let maps = maps::parse(&[Source::new("maps.yaml", text)]).unwrap();
    assert_eq!(maps.0.len(), 2);
    assert_eq!(maps.capacities().len(), 9, "each broker's disk is known");
}

fn assignment(desk: &Desk) -> Vec<Vec<i32>> {
    let orders = "orders".parse().unwrap();
    desk.kafka.look(|cluster| {
        let partitions = &cluster.topics[&orders].partitions;
        partitions.iter().map(|one| one.replicas.iter().map(|broker| broker.0).collect()).collect()
    })
}

#[tokio::test]
async fn a_plan_is_carried_out_verified_and_taken_back_by_its_own_files() {
    let desk = Desk::new(uneven().copying(1_000_000_000));
    let before = assignment(&desk);
    let folder = path(&desk, "plans");
    desk.run(&["mapping", "scale", "--out", &folder]).await.ends_with(Exit::Done);
    for file in ["plan.json", "reassignment.json", "rollback.json"] {
        let text = fs::read_to_string(format!("{folder}/{file}")).unwrap();
        assert!(!text.contains("throttle") && !text.contains('*'), "a plan throttles nothing: {text}");
    }
    let carry = async |file: &str| {
        let file = format!("{folder}/{file}");
        desk.run(&["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"]).await.ends_with(Exit::Done);
        desk.run(&["reassign", "verify", &file]).await.ends_with(Exit::Done)
    };
    carry("plan.json").await;
    assert_ne!(assignment(&desk), before);
    carry("rollback.json").await;
    assert_eq!(assignment(&desk), before, "in the same order, too");
    carry("reassignment.json").await;
    let again = desk.run(&["mapping", "scale"]).await.ends_with(Exit::Done);
    assert!(again.out.contains("nothing to do"), "{again:#?}");
}

#[tokio::test]
async fn a_topic_that_is_being_deleted_is_left_out_and_stops_nothing() {
    let desk = Desk::new(uneven().topic("going", &[&[1, 2], &[2, 3], &[3, 1]]));
    desk.kafka.edit(|model| {
        let going = model.topics.get_mut(&"going".parse().unwrap()).unwrap();
        going.partitions.clear();
    });
    let shown = desk.run(&["mapping", "show", "-o", "json"]).await.ends_with(Exit::Done);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((&shown["topics"], &shown["partitions"]), (&1.into(), &4.into()));
    desk.run(&["mapping", "scale"]).await.ends_with(Exit::Changes);
}

/// What the shell offers for the last of these words.
fn completed(toolbox: &Toolbox, words: &[&str]) -> Vec<String> {
    let mut command = toolbox.command(&["--", "toolbox"]);
    command.args(words).env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let output = command.env("_CLAP_COMPLETE_COMP_TYPE", "9").output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_is_offered_topics_brokers_and_racks_of_an_observation_and_maps_of_toolbox_yaml() {
    let toolbox = Toolbox::alone();
    let rack = |name: &str| format!("{{\"live\": true, \"rack\": \"{name}\"}}");
    let brokers = format!("{{\"1001\": {}, \"1002\": {}, \"7\": {{\"live\": false}}}}", rack("eu-a"), rack("eu-b"));
    let saved =
        format!("{{\"observed\": {{\"brokers\": {brokers}, \"topics\": {{\"orders\": {{}}, \"paid\": {{}}}}}}}}");
    let saved = toolbox.file("saved.json", &saved);
    toolbox.file(
        "toolbox.yaml",
        "clusters: {c: {maps: {north: {topics: a, brokers: [1]}, south: {topics: b, brokers: [2]}}}}",
    );
    let cases: [(&[&str], &[&str]); 7] = [
        (&["rebalance", "--map", "n"], &["north"]),
        (&["rebalance", "--topics", ""], &["orders", "paid"]),
        (&["rebalance", "--topics", "orders,"], &["orders,paid"]),
        (&["scale", "--brokers", "-1,10"], &["-1,1001", "-1,1002"]),
        (&["replace", "7=1"], &["7=1001", "7=1002"]),
        (&["evacuate", "--rack", "eu-"], &["eu-a", "eu-b"]),
        (&["evacuate", "--brokers", "1001,100"], &["1001,1002"]),
    ];
    for (words, offered) in cases {
        let line = [&["mapping", "--observed", &saved], words].concat();
        assert_eq!(completed(&toolbox, &line), offered, "{words:?}");
    }
}

#[tokio::test]
async fn old_metrics_are_refused_and_fresh_ones_may_be_packed() {
    let desk = Desk::new(uneven());
    let file = path(&desk, "partitionmeta");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let sizes =
        r#"{"orders":{"0":{"Size":5e9},"1":{"Size":5e9},"2":{"Size":5e9},"3":{"Size":5e9}},"gone":{"0":{"Size":1}}}"#;
    std::io::Write::write_all(&mut packed, sizes.as_bytes()).unwrap();
    fs::write(&file, packed.finish().unwrap()).unwrap();
    let shown = desk.run(&["mapping", "show", "--partitionmeta", &file]).await.ends_with(Exit::Done);
    assert!(
        shown.out.contains("60.0 GB in all replicas") && shown.out.contains("s old when it was read"),
        "{shown:#?}"
    );
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(3);
    fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    let refused = desk.run(&["mapping", "show", "--partitionmeta", &file]).await.ends_with(Exit::Refused);
    assert!(refused.err.contains("are 3 h old, and a plan from old sizes fills disks"), "{refused:#?}");
    fs::write(&file, "{\"orders\": []}").unwrap();
    let wrong = desk.run(&["mapping", "show", "--partitionmeta", &file]).await.ends_with(Exit::Usage);
    assert!(wrong.err.contains("partitionmeta:1:") && wrong.err.contains("metricsfetcher"), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_printed_keeps_its_schema() {
    let desk = Desk::new(uneven());
    for verb in [&["mapping", "show"][..], &["mapping", "rebalance"], &["mapping", "evacuate", "--brokers", "1"]] {
        let flag: &[&str] = if verb[1] == "show" { &["--schema"] } else { &["--schema", "output"] };
        let schema = desk.run(&[verb, flag].concat()).await.ends_with(Exit::Done);
        let schema: Value = serde_json::from_str(&schema.out).unwrap();
        let printed = desk.run(&[verb, &["-o", "json"]].concat()).await;
        let printed: Value = serde_json::from_str(&printed.out).unwrap();
        keeps(&schema, &schema, &printed, verb[1]);
    }
    let schema = desk.run(&["mapping", "rebalance", "--schema", "choices"]).await.ends_with(Exit::Done);
    let printed = desk.run(&["mapping", "rebalance", "--choices", "-o", "json"]).await.ends_with(Exit::Done);
    let schema: Value = serde_json::from_str(&schema.out).unwrap();
    keeps(&schema, &schema, &serde_json::from_str(&printed.out).unwrap(), "choices");
    let plan = desk.run(&["mapping", "rebalance", "--schema", "plan"]).await.ends_with(Exit::Done);
    assert_eq!(serde_json::from_str::<Value>(&plan.out).unwrap(), reassignment_json::plan_schema());
}

/// Every field that is printed is described, and every field that must be there is.
fn keeps(root: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(pointer) => root.pointer(&pointer[1..]).unwrap(),
        None => schema,
    };
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let described = &schema["properties"][key];
                assert!(!described.is_null(), "{place}.{key} is not described");
                keeps(root, described, inner, &format!("{place}.{key}"));
            }
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(key.as_str().unwrap()), "{place} lacks {key}");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keeps(root, &schema["items"], item, place)),
        _ => {}
    }
}
