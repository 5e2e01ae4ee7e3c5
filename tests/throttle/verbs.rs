//! `set`, `status`, `clear` and `gc` on a twin: what is ours goes, what is foreign stays.

use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;
use crate::support::unkept::Breaker;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LEADER_LIST: &str = "leader.replication.throttled.replicas";

/// Partition 0 of `orders` gets a copy on broker 3 and stands still.
pub(super) fn moving() -> Memory {
    moving_bytes(1_000_000_000)
}

/// The same with so many bytes to copy.
pub(super) fn moving_bytes(bytes: u64) -> Memory {
    Memory::kraft(3).topic("orders", &[&[1, 2]]).topic("other", &[&[2, 3]]).bytes("orders", 0, bytes).moving(
        "orders",
        0,
        &[1, 2, 3],
    )
}

/// The config of a broker or topic, as `key=value`.
pub(super) fn set_on(desk: &Desk, resource: &str) -> Vec<String> {
    let mut set = Vec::new();
    desk.kafka.edit(|model| {
        let config = match resource.parse::<i32>() {
            Ok(id) => model.broker_configs.get(&BrokerId(id)).cloned().unwrap_or_default(),
            Err(_) => model.topics[&TopicName::new(resource).unwrap()].config.clone(),
        };
        set = config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    });
    set
}

pub(super) fn everything(desk: &Desk) -> Vec<String> {
    ["1", "2", "3", "orders", "other"].iter().flat_map(|resource| set_on(desk, resource)).collect()
}

fn set_broker(desk: &Desk, id: i32, key: &str, value: &str) {
    desk.kafka.edit(|model| {
        model.broker_configs.entry(BrokerId(id)).or_default().insert(key.to_owned(), value.to_owned());
    });
}

/// All moves are over.
pub(super) fn finish(desk: &Desk) {
    desk.kafka.edit(|model| {
        model.reassignments.clear();
        for partition in model.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.isr = partition.replicas.clone();
        }
    });
}

#[tokio::test]
async fn a_rate_is_set_shown_and_cleared_and_nothing_is_left() {
    let desk = Desk::new(moving());
    let said = desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(
        said.lines()[..4],
        [
            "+ broker 1: leader rate 50.0 MB/s",
            "+ broker 2: leader rate 50.0 MB/s",
            "+ broker 3: follower rate 50.0 MB/s",
            "+ topic orders: leader list 0:1,0:2; follower list 0:3"
        ]
    );
    assert_eq!(set_on(&desk, "1"), [format!("{LEADER_RATE}=50000000")]);
    assert_eq!(set_on(&desk, "3"), [format!("{FOLLOWER_RATE}=50000000")]);
    let again = desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    assert!(again.out.contains("nothing to do"), "{again:?}");
    let status = desk.run(&["throttle", "status", "--watch", "10ms"]).await.ends_with(Exit::Done);
    assert!(status.out.contains("1 partition gets replicas, 1.0 GB left"), "{status:?}");
    assert!(status.out.contains("50.0 MB/s  ours") && status.out.contains("orders"), "{status:?}");
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_foreign_rate_is_restored_and_cleared_only_with_all() {
    let desk = Desk::new(moving());
    set_broker(&desk, 1, LEADER_RATE, "777");
    set_broker(&desk, 2, FOLLOWER_RATE, "888");
    desk.kafka.edit(|model| {
        let other = model.topics.get_mut(&TopicName::new("other").unwrap()).unwrap();
        other.config.insert(LEADER_LIST.to_owned(), "*".to_owned());
    });
    let before = everything(&desk);
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    let status = desk.run(&["throttle", "status", "--watch", "10ms", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let owners: Vec<_> = shown["rates"].as_array().unwrap().iter().map(|row| row["owner"].as_str().unwrap()).collect();
    assert_eq!(owners, ["ours", "ours", "foreign", "ours"]);
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), before);
    let dry = desk.run(&["throttle", "clear", "--all", "--dry-run"]).await.ends_with(Exit::Changes);
    assert_eq!(dry.lines()[..1], ["- topic other: leader list (whole)"], "{dry:?}");
    assert_eq!(everything(&desk), before);
    desk.run(&["throttle", "clear", "--all", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn gc_takes_only_what_is_old_and_ours_once_nothing_moves() {
    let desk = Desk::new(moving());
    set_broker(&desk, 2, FOLLOWER_RATE, "888");
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    let held = everything(&desk);
    let said = desk.run(&["throttle", "gc", "--yes", "--older-than", "1ms"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("1 partitions move"), "{said:?}");
    finish(&desk);
    let said = desk.run(&["throttle", "gc", "--yes"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("is left (--older-than)"), "{said:?}");
    assert_eq!(everything(&desk), held);
    let said = desk.run(&["throttle", "gc", "--yes", "--older-than", "1ms"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("- broker 1: leader rate, 50.0 MB/s"), "{said:?}");
    assert_eq!(everything(&desk), [format!("{FOLLOWER_RATE}=888")]);
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("throttle.orphan_cleaned"));
    desk.run(&["throttle", "gc", "--all", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_rate_is_refused_without_a_unit_and_where_nothing_moves() {
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]));
    let said = desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Refused);
    assert!(said.err.contains("no partition that these arguments name moves now"), "{said:?}");
    let parse =
        |rate: &str| <kafka_toolbox::cli::Cli as clap::Parser>::try_parse_from(["toolbox", "throttle", "set", rate]);
    assert!(parse("50").unwrap_err().to_string().contains("is not a rate"));
    assert!(parse("0MB/s").unwrap_err().to_string().contains("nothing is ever copied"));
    assert!(parse("50MiB/s").is_ok());
    assert!(parse("400Mbit/s").unwrap_err().to_string().contains("write `50MB/s` for as many bytes"));
    assert!(parse("99999999999999MB/s").unwrap_err().to_string().contains("more than Kafka can count"));
}

#[tokio::test]
async fn a_broker_that_is_down_keeps_its_throttle_until_it_is_back() {
    let desk = Desk::new(moving());
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| model.stop_broker(2));
    let said = desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Failed);
    assert!(said.out.contains("broker 2 can't be reached: its throttle stays until it is back"), "{said:?}");
    assert!(said.err.contains("throttles of ours are left on broker 2, which can't be reached"), "{said:?}");
    assert_eq!(everything(&desk), [format!("{LEADER_RATE}=50000000")]);
    finish(&desk);
    desk.run(&["throttle", "gc", "--older-than", "1ms", "--yes"]).await.ends_with(Exit::Failed);
    desk.kafka.edit(|model| model.start_broker(2));
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn only_named_brokers_and_topics_are_throttled() {
    let desk = Desk::new(moving().moving("other", 0, &[2, 3, 1]));
    let said = desk
        .run(&["throttle", "set", "1MiB/s", "--topics", "ord.*", "--brokers", "3", "--dry-run"])
        .await
        .ends_with(Exit::Changes);
    assert_eq!(
        said.lines()[..2],
        ["+ broker 3: follower rate 1.0 MB/s", "+ topic orders: leader list 0:1,0:2; follower list 0:3"]
    );
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn gc_beside_a_run_that_has_the_throttles_is_refused() {
    let desk = Desk::new(moving());
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    finish(&desk);
    desk.kafka.edit(|model| model.stop_broker(3));
    let agent = async { desk.run(&["throttle", "run", "--until-idle", "--interval", "1s"]).await };
    let other = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let said = desk.run(&["throttle", "gc", "--older-than", "1ms", "--yes"]).await;
        desk.kafka.edit(|model| model.start_broker(3));
        said
    };
    let (ended, said) = tokio::join!(agent, other);
    said.ends_with(Exit::Refused);
    ended.ends_with(Exit::Done);
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn set_and_clear_fail_where_their_record_cannot_be_kept_though_the_throttles_are_as_desired() {
    let words = "what is throttled could not be kept in ";
    // Rates, then lists: after the second change only the record is written.
    let breaker = Breaker::default();
    let desk = Desk::new(breaker.at(moving(), Call::AlterConfigs));
    breaker.arm(&desk.folder().join("state"), "throttle", 2);
    let said = desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Failed);
    assert!(said.err.contains(words) && said.out.contains("4 done, 0 failed"), "{said:#?}");
    assert_eq!(set_on(&desk, "1"), [format!("{LEADER_RATE}=50000000")]);
    let breaker = Breaker::default();
    let desk = Desk::new(breaker.at(moving(), Call::AlterConfigs));
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    breaker.arm(&desk.folder().join("state"), "throttle", 4);
    let said = desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Failed);
    assert!(said.err.contains(words) && said.out.contains("4 done, 0 failed"), "{said:#?}");
    assert_eq!(everything(&desk), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn clearing_where_nothing_is_ours_is_no_event_and_names_what_others_set() {
    let desk = Desk::new(moving());
    finish(&desk);
    let said = desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!((said.lines(), said.err.as_str()), (vec!["nothing to do"], ""), "{said:?}");
    set_broker(&desk, 2, LEADER_RATE, "777777");
    let said = desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(said.lines(), ["nothing to do"], "{said:?}");
    assert!(said.err.contains("they are left as they are: broker 2; `toolbox throttle status` shows them"), "{said:?}");
    assert_eq!(everything(&desk), ["leader.replication.throttled.rate=777777"]);
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap_or_default();
    assert!(!audit.contains("throttle.released"), "{audit}");
}
