//! Brokers with several log dirs: what `mapping` plans is what `reassign` takes, and both go by the log dir that Kafka will
//! choose, not by the one with the most space.

use std::path::{Path, PathBuf};
use std::process::Command;

use kafka_toolbox::clients::kafka::Cluster as _;
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::log_dirs::is_cordoned;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;
use proptest::prelude::*;

use super::live::create;
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::{digest, fill};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::{Row, execute, plan, replicas};
use crate::support::desk::Desk;
use crate::support::toolbox::Toolbox;

/// A partition: its first broker, how many replicas, in which log dir the first lies, its bytes.
type Part = (i32, usize, usize, u64);

/// Four brokers with up to three log dirs each; the last log dir of broker 2 may be offline, broker 4 may be cordoned.
fn cluster(dirs: &[Vec<u64>], parts: &[Part], (offline, cordoned): (bool, bool)) -> Memory {
    let mut kafka = Memory::kraft(4);
    for (broker, dirs) in (1..).zip(dirs) {
        let dirs: Vec<_> = ["/a", "/b", "/c"].into_iter().zip(dirs.iter().copied()).collect();
        kafka = kafka.rack(broker, None).log_dirs(broker, &dirs);
    }
    let rows: Vec<Vec<i32>> =
        parts.iter().map(|(first, count, ..)| (0..4).map(|at| (first + at) % 4 + 1).take(*count).collect()).collect();
    kafka = kafka.topic("orders", &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (at, (row, (_, _, dir, bytes))) in rows.iter().zip(parts).enumerate() {
        kafka = kafka.bytes("orders", at, *bytes);
        for broker in row {
            let count = dirs[usize::try_from(broker - 1).unwrap()].len();
            kafka = kafka.lies_in("orders", at, (*broker, dir % count));
        }
    }
    kafka.edit(|model| {
        let dirs = model.log_dirs.get_mut(&BrokerId(2)).unwrap();
        let is_several = dirs.len() > 1;
        if let Some(last) = dirs.last_mut().filter(|_| offline && is_several) {
            last.offline = true;
        }
        model.cordoned.extend(cordoned.then_some(BrokerId(4)));
    });
    kafka
}

async fn is_accepted(kafka: Memory, verb: &[&str]) -> Option<String> {
    let desk = Desk::new(kafka);
    let out = desk.folder().join("plans");
    let line = [&["mapping"], verb, &["--out", out.to_str().unwrap()]].concat();
    let planned = desk.run(&line).await;
    let file = out.join("plan.json");
    if planned.exit != Exit::Done || !file.exists() {
        return None;
    }
    let said = desk.run(&["reassign", "execute", file.to_str().unwrap(), "--dry-run"]).await;
    let is_refused = ![Exit::Changes, Exit::Done].contains(&said.exit);
    is_refused.then(|| format!("{}\n{}\n{}", planned.out, said.out, said.err))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_mapping_writes_is_accepted_by_reassign(
        dirs in proptest::collection::vec(proptest::collection::vec(200_u64..2_000, 1..4), 4),
        parts in proptest::collection::vec((0..4_i32, 1..3_usize, 0..3_usize, 0..120_u64), 1..12),
        states in (any::<bool>(), any::<bool>()),
        verb in prop::sample::select(vec![
            &["evacuate", "--brokers", "1"][..], &["rebalance"], &["replace", "3"],
            &["evacuate", "--brokers", "1", "--disk-limit", "95%"],
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let refused = runtime.block_on(is_accepted(cluster(&dirs, &parts, states), verb));
        prop_assert!(refused.is_none(), "{}", refused.unwrap_or_default());
    }
}

/// Broker 3 has a large log dir with many partitions and a small one with few.
fn lopsided() -> Memory {
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2], &[1, 2], &[3], &[3], &[3], &[3]]);
    let kafka = kafka.bytes("orders", 0, 100).bytes("orders", 1, 400);
    [2, 3, 4].into_iter().fold(kafka.log_dirs(3, &[("/large", 100_000), ("/small", 300)]), |kafka, at| {
        kafka.lies_in("orders", at, (3, 0))
    })
}

#[tokio::test]
async fn the_log_dir_that_kafka_will_choose_is_named_and_what_it_cannot_hold_is_refused_by_both() {
    let desk = Desk::new(lopsided().copying(u64::MAX));
    let said = execute(&desk, &[("orders", 1, &[1, 2], &[3, 2], 400)], &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("/small may get 400 B in 1 new replica, and has room for 285 B"), "{said:#?}");
    assert!(
        said.out.contains("the log dir with the fewest partitions, not into the one with the most space"),
        "{said:#?}"
    );
    let out = desk.folder().join("plans");
    let line =
        ["mapping", "evacuate", "--brokers", "1", "--to", "3", "--topics", "orders", "--out", out.to_str().unwrap()];
    let planned = desk.run(&line).await;
    assert!(!out.join("plan.json").exists(), "the big one fits nowhere by the rule: {planned:#?}");

    let said = execute(&desk, &[("orders", 0, &[1, 2], &[3, 2], 100)], &[]).await.ends_with(Exit::Done);
    let chosen = "broker 3: up to 1 in /small (it holds 0 partitions, and 300 B more fit)";
    assert!(said.out.contains(chosen) || said.err.contains(chosen), "{said:#?}");
    assert_eq!(replicas(&desk, "orders", 0), [3, 2]);
    let name = TopicName::new("orders").unwrap();
    let dir = desk.kafka.look(|model| model.topics[&name].partitions[0].log_dirs.get(&BrokerId(3)).copied());
    assert_eq!(dir, Some(1), "as Kafka does it");
}

#[tokio::test]
async fn with_one_log_dir_offline_the_others_count_and_that_is_said_once() {
    let desk = Desk::new(lopsided().copying(u64::MAX));
    desk.kafka.edit(|model| model.log_dirs.get_mut(&BrokerId(3)).unwrap()[1].offline = true);
    let said = execute(&desk, &[("orders", 1, &[1, 2], &[3, 2], 400)], &[]).await.ends_with(Exit::Done);
    let words = format!("{}{}", said.out, said.err);
    assert_eq!(words.matches("log dir /small is offline").count(), 1, "{words}");
    desk.kafka.edit(|model| model.log_dirs.get_mut(&BrokerId(3)).unwrap()[0].offline = true);
    let said = execute(&desk, &[("orders", 0, &[1, 2], &[3, 2], 100)], &[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("all its log dirs are offline"), "{said:#?}");
}

#[tokio::test]
async fn nothing_is_planned_onto_a_cordoned_broker_and_a_plan_that_names_one_is_refused() {
    let desk = Desk::new(Memory::kraft(4).topic("orders", &[&[1, 2], &[2, 4]]).bytes("orders", 0, 9));
    desk.kafka.edit(|model| model.cordoned.extend([BrokerId(4)]));
    let said = execute(&desk, &[("orders", 0, &[1, 2], &[4, 2], 9)], &[]).await.ends_with(Exit::Refused);
    assert!(
        said.out.contains("it is cordoned, and 1 partition would have it among their replicas: orders-0"),
        "{said:#?}"
    );
    assert!(said.out.contains("--delete-config cordoned.log.dirs"), "{said:#?}");
    // A mere change of the order names it as well.
    execute(&desk, &[("orders", 1, &[2, 4], &[4, 2], 9)], &[]).await.ends_with(Exit::Refused);
    // Taken out of all lists, it may be.
    execute(&desk, &[("orders", 1, &[2, 4], &[2, 3], 9)], &["--max-moves", "1", "--dry-run"])
        .await
        .ends_with(Exit::Changes);

    let out = desk.folder().join("plans");
    let out = out.to_str().unwrap();
    let planned = desk.run(&["mapping", "evacuate", "--brokers", "1", "--out", out]).await.ends_with(Exit::Done);
    let text = std::fs::read_to_string(Path::new(out).join("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["moves"][0]["to"], serde_json::json!([3, 2]), "{planned:#?}");
    let planned = desk.run(&["mapping", "evacuate", "--brokers", "2"]).await;
    assert!(planned.out.contains("one of its replicas is on a cordoned broker"), "{planned:#?}");
}

/// A volume of its own, 64 MB; gone with this value.
struct SmallVolume(PathBuf, tempfile::TempDir);

impl SmallVolume {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("small-3");
        std::fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "small"]).arg(&place).status();
        assert!(mounted.unwrap().success(), "the tests mount volumes: run them as root");
        Self(place, folder)
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Kafka 4.3.1 itself takes moves onto a cordoned broker, and 4.4 refuses them.
fn cordons_are_respected(cluster: &Cluster, toolbox: &Toolbox) {
    let bootstrap = cluster.bootstrap();
    let broker = ["--bootstrap-server", &bootstrap, "--entity-type", "brokers", "--entity-name", "2", "--alter"];
    let alter = |change: &[&str]| cluster.tool("kafka.admin.ConfigCommand", &[&broker[..], change].concat()).unwrap();
    alter(&["--add-config", "cordoned.log.dirs=*"]);
    let kafka = open(&bootstrap, PATIENT);
    let sizes = || wait(kafka.replica_sizes(&[BrokerId(2)])).unwrap();
    let start = std::time::Instant::now();
    while !is_cordoned(&sizes().log_dirs[&BrokerId(2)]) {
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "it is not shown: {:?}", sizes().log_dirs);
    }
    let row: Row<'_> = ("big", 0, &[1], &[2], 80_000_000);
    let file = toolbox.file("cordoned.json", &plan(cluster.id(), &[row]));
    let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"];
    let refused = toolbox.run(&line).ends_with(4);
    assert!(refused.out.contains("it is cordoned, and 1 partition would have it"), "{refused:#?}");
    let planned = toolbox.run(&["mapping", "replace", "1=2", "--topics", "big"]);
    assert!(planned.out.contains("each of its log dirs is cordoned"), "{planned:#?}");
    alter(&["--delete-config", "cordoned.log.dirs"]);
}

/// Broker 3 has a small log dir beside a large one, and each holds equally many partitions: Kafka may choose either. Then the
/// large one fails.
#[test]
fn a_small_and_a_large_log_dir_and_then_one_offline_on_kafka_4_3() {
    let small = SmallVolume::mount();
    let dirs = format!("{{files}}/large-{{id}},{}/small-{{id}}", small.1.path().display());
    let shape = Shape::brokers(3).property("log.dirs", &dirs).property("metadata.log.dir", "{files}/metadata-{id}");
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape).unwrap();
    for (topic, records) in [("little", 5_000), ("big", 80_000), ("next", 5_000)] {
        create(&cluster, topic, "1");
        fill(&cluster, topic, records, 1_000).unwrap();
    }
    let before = digest(&cluster, "little").unwrap();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    // The lock in the cluster would create `__consumer_offsets`, and with it more partitions in each log dir.
    let carry_out =
        |file: &str| toolbox.run(&["reassign", "execute", file, "--yes", "--max-risk", "moves-data", "--lock", "file"]);
    let replace = |topic: &str, out: &str| {
        let rack = ["mapping", "replace", "1=3", "--topics", topic, "--disk-limit", "90%", "--out", out];
        toolbox.run(&rack)
    };
    let by_hand = |topic: &str| {
        let row: Row<'_> = (topic, 0, &[1], &[3], 80_000_000);
        toolbox.file("by-hand.json", &plan(cluster.id(), &[row]))
    };

    let refused = carry_out(&by_hand("big")).ends_with(4);
    assert!(refused.out.contains("/small-3 may get ") && refused.out.contains("fewest partitions"), "{refused:#?}");
    let planned = replace("big", "refused");
    assert!(
        planned.out.contains("broker 3, the successor of 1, has no room for it"),
        "mapping says the same: {planned:#?}"
    );

    replace("little", "fits").ends_with(0);
    let carried = carry_out("fits/plan.json").ends_with(0);
    assert!(carried.out.contains("/small-3 (it holds 0 partitions"), "{carried:#?}");
    assert_eq!(digest(&cluster, "little").unwrap(), before);

    let large = cluster.folder().join("files/large-3");
    std::fs::rename(&large, cluster.folder().join("files/gone")).unwrap();
    std::fs::write(&large, "no folder").unwrap();
    let start = std::time::Instant::now();
    while !toolbox.run(&["mapping", "show"]).out.contains("large-3 is offline") {
        assert!(start.elapsed() < std::time::Duration::from_mins(2), "the broker does not notice");
    }
    let planned = replace("next", "rest").ends_with(0);
    assert_eq!(planned.out.matches("is offline (").count(), 1, "{planned:#?}");
    let carried = carry_out("rest/plan.json").ends_with(0);
    assert_eq!(carried.out.matches("is offline (").count(), 1, "{carried:#?}");
    assert!(carry_out(&by_hand("big")).ends_with(4).out.contains("small-3"));
    cordons_are_respected(&cluster, &toolbox);
    drop((cluster, small));
}
