//! Lists that are too long for Kafka, and values that others set just before we look: on a twin, and on real servers.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::change::throttle::decide::{Decided, Ways};
use kafka_toolbox::cli::Cli;
use kafka_toolbox::clients::kafka::live::Live;
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::kafka::{Configs, Mode, NewTopic, Topics};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::config::{ConfigChange, ConfigOperation, ConfigResource};
use kafka_toolbox::cluster::size::ByteRate;
use kafka_toolbox::cluster::throttle::{
    PresentList, PresentRate, PresentThrottles, Side, Sides, ThrottleEntry, Throttles,
};
use kafka_toolbox::cluster::topic::TopicName;
use kafka_toolbox::context::Context;
use kafka_toolbox::context::throttles::{OwnThrottles, present_throttles};
use kafka_toolbox::exit::Exit;

use super::verbs::{everything, finish, moving, set_on};
use crate::clients::kafka::contract::{create, delete, name, topic, until};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::{Row, plan};
use crate::support::desk::Desk;
use crate::support::toolbox::Toolbox;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const LEADER_LIST: &str = "leader.replication.throttled.replicas";
const FOLLOWER_LIST: &str = "follower.replication.throttled.replicas";

/// Each of the 6,000 partitions of `orders` gets a copy on broker 3 and stands still. A list of them has 40 kB.
fn six_thousand() -> Memory {
    let rows = vec![&[1, 2][..]; 6_000];
    let kafka = Memory::kraft(3).topic("orders", &rows).topic("other", &[&[2, 3]]);
    (0..6_000).fold(kafka, |kafka, at| kafka.bytes("orders", at, 1_000_000).moving("orders", at, &[1, 2, 3]))
}

#[tokio::test]
async fn the_lists_of_six_thousand_moving_partitions_become_stars_and_go_with_clear_and_with_gc() {
    let desk = Desk::new(six_thousand());
    desk.kafka.edit(|model| {
        let orders = model.topics.get_mut(&TopicName::new("orders").unwrap()).unwrap();
        orders.config.insert(LEADER_LIST.to_owned(), "9000:2".to_owned());
    });
    let before = everything(&desk);
    let set = ["throttle", "set", "50MB/s", "--yes"];
    let said = desk.run(&set).await.ends_with(Exit::Done);
    assert!(said.out.contains("+ topic orders: leader list * (for 12000 entries)"), "{said:?}");
    assert!(said.out.contains("more than Kafka takes: it becomes `*`"), "{said:?}");
    assert_eq!(set_on(&desk, "orders"), [format!("{FOLLOWER_LIST}=*"), format!("{LEADER_LIST}=*")]);
    let again = desk.run(&set).await.ends_with(Exit::Done);
    assert!(again.out.contains("nothing to do"), "{again:?}");
    let status = desk.run(&["throttle", "status", "--watch", "10ms", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let stars: Vec<_> = shown["lists"].as_array().unwrap().iter().map(|row| &row["is_every_ours"]).collect();
    assert_eq!(stars, [&serde_json::json!(true); 2], "{shown}");
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), before, "and what somebody else had in the list is back");

    desk.run(&set).await.ends_with(Exit::Done);
    finish(&desk);
    desk.run(&["throttle", "gc", "--older-than", "1ms", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), before);
}

#[tokio::test]
async fn a_star_of_ours_goes_with_an_execution_that_had_too_many_moves_at_once() {
    let rows = vec![&[1, 2][..]; 2_500];
    let kafka = Memory::kraft(3).topic("orders", &rows).copying(u64::MAX);
    let desk = Desk::new((0..2_500).fold(kafka, |kafka, at| kafka.bytes("orders", at, 10)));
    let moves: Vec<_> = (0..2_500).map(|at| ("orders", at, &[1, 2][..], &[1, 3][..], 10)).collect();
    let wide = ["--throttle", "50MB/s", "--max-moves", "9999", "--partitions-per-broker", "9999"];
    let said = crate::reassign::bench::execute(&desk, &moves, &wide).await.ends_with(Exit::Done);
    assert!(said.out.ends_with("2500 of 2500 partitions are as planned\n"), "{said:?}");
    assert_eq!(everything_of_orders(&desk), Vec::<String>::new());
    let audit = std::fs::read_to_string(desk.folder().join("state/audit.jsonl")).unwrap();
    assert!(audit.contains("leader list * (for 5000 entries)"), "both replicas may lead");
}

fn everything_of_orders(desk: &Desk) -> Vec<String> {
    ["1", "2", "3", "orders"].iter().flat_map(|resource| set_on(desk, resource)).collect()
}

/// A broker of KRaft may be behind: what it does not show yet is there all the same.
#[tokio::test]
async fn a_foreign_rate_that_the_broker_does_not_show_yet_is_back_afterwards() {
    let desk = Desk::new(moving().lagging(1_000));
    let resource = ConfigResource::Broker(BrokerId(1));
    let change =
        ConfigChange { resource, operations: vec![(LEADER_RATE.to_owned(), ConfigOperation::Set("777".into()))] };
    assert_eq!(desk.kafka.alter_configs(&[change], Mode::Apply).await, [Ok(())]);
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| assert_eq!(model.broker_configs[&BrokerId(1)][LEADER_RATE], "50000000"));
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), [format!("{LEADER_RATE}=777")]);
}

/// What an earlier run left is ours, and what somebody set over it since is theirs.
#[tokio::test]
async fn a_foreign_rate_over_what_a_dead_run_left_is_back_afterwards() {
    let desk = Desk::new(moving());
    desk.run(&["throttle", "set", "50MB/s", "--yes"]).await.ends_with(Exit::Done);
    desk.kafka.edit(|model| {
        model.broker_configs.get_mut(&BrokerId(1)).unwrap().insert(LEADER_RATE.to_owned(), "777".to_owned());
    });
    let said = desk.run(&["throttle", "set", "40MB/s", "--yes"]).await.ends_with(Exit::Done);
    assert!(said.out.contains("the leader rate of broker 1 was changed from 50.0 MB/s to 777 B/s"), "{said:?}");
    desk.run(&["throttle", "clear", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(everything(&desk), [format!("{LEADER_RATE}=777")]);
}

/// A run without a lock: nobody else manages throttles here.
struct Run {
    kafka: Live,
    throttles: OwnThrottles,
}

impl Run {
    async fn new(cluster: &Cluster, folder: &std::path::Path) -> Self {
        let line = ["toolbox", "--state=file", "--state-folder", folder.to_str().unwrap(), "man"];
        let context = Context::new(Cli::try_parse_from(line).unwrap().flags().clone());
        let throttles = context.throttles_to_look_at(cluster.id()).await.unwrap();
        Self { kafka: open(&cluster.bootstrap(), PATIENT), throttles }
    }

    /// Brings the desired throttles into force.
    async fn desired(&mut self, desired: &Throttles) {
        let (Decided { plan, claim }, _) = self.throttles.decide(&self.kafka, desired, Ways::default()).await.unwrap();
        let mut ended = Vec::new();
        for step in plan.steps {
            let batch = [step.clone()];
            let mut outcome = self.throttles.apply(&self.kafka, &claim, &batch).await;
            assert_eq!(outcome[0].outcome, Outcome::Done, "{step}: {outcome:?}");
            ended.push((step, outcome.remove(0)));
        }
        self.throttles.settle(&claim, &ended).await;
    }

    /// What the cluster has, once every broker shows what was set before.
    async fn seen(&self, brokers: &[i32], topics: &[&str]) -> PresentThrottles {
        let brokers: BTreeSet<_> = brokers.iter().copied().map(BrokerId).collect();
        let topics = topics.iter().map(|topic| name(topic)).collect();
        assert!(self.kafka.catch_up(&brokers).await.unwrap().is_empty());
        present_throttles(&self.kafka, &brokers, &topics).await.unwrap()
    }
}

/// Kafka's brokers hang up on a list of 40,889 bytes; what is in force instead throttles the same replicas.
fn a_long_list_is_taken(kind: Kind) {
    let cluster = Cluster::shared(kind);
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let mut run = Run::new(cluster, folder.path()).await;
        create(&run.kafka, NewTopic { partitions: Some(1), replication_factor: Some(1), ..topic("throttle.long") })
            .await;
        let entries = |count| (0..count).map(|partition| ThrottleEntry { partition, broker: BrokerId(2) }).collect();
        // Kafka looks at the form of the entries, not at whether there are such partitions.
        let mut desired = Throttles::default();
        desired.lists.insert(name("throttle.long"), Sides { leader: entries(6_000), follower: entries(4_000) });
        run.desired(&desired).await;
        let seen = run.seen(&[], &["throttle.long"]).await;
        let sides = &seen.lists[&name("throttle.long")];
        assert_eq!(sides.leader, PresentList::Every, "{}", kind.name());
        assert_eq!(sides.follower, PresentList::Entries(entries(4_000)), "{}: 26,889 bytes are taken", kind.name());
        run.desired(&Throttles::default()).await;
        let seen = run.seen(&[], &["throttle.long"]).await;
        assert_eq!(seen.lists[&name("throttle.long")], Sides::default(), "{}", kind.name());
        delete(&run.kafka, "throttle.long").await;
    });
}

#[test]
fn a_list_that_kafka_3_9_would_hang_up_on_becomes_a_star_and_goes_again() {
    a_long_list_is_taken(Kind::Kafka39Kraft);
}

#[test]
fn a_list_that_kafka_4_3_would_hang_up_on_becomes_a_star_and_goes_again() {
    a_long_list_is_taken(Kind::Kafka43Kraft);
}

/// Somebody sets a rate through one broker, and a run begins at once.
#[test]
fn a_foreign_rate_set_just_before_the_start_is_kept_twenty_times_of_twenty() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let folder = tempfile::tempdir().unwrap();
    let broker = BrokerId(3);
    wait(async {
        let mut run = Run::new(cluster, folder.path()).await;
        let sides = |rate| Sides { leader: Some(ByteRate(rate)), follower: Some(ByteRate(rate)) };
        let desired = Throttles { rates: BTreeMap::from([(broker, sides(5_000_000))]), ..Throttles::default() };
        let somebody = open(&cluster.bootstrap(), PATIENT);
        let theirs = async |operation: &dyn Fn(Side) -> ConfigOperation| {
            let operations = Side::BOTH.map(|side| (side.rate_key().to_owned(), operation(side))).into();
            let change = ConfigChange { resource: ConfigResource::Broker(broker), operations };
            assert_eq!(somebody.alter_configs(&[change], Mode::Apply).await, [Ok(())]);
        };
        for round in 0..20 {
            let rate = 1_000_000 + round;
            theirs(&|_| ConfigOperation::Set(rate.to_string())).await;
            run.desired(&desired).await;
            run.desired(&Throttles::default()).await;
            let kept = PresentRate::Set(ByteRate(rate));
            until(&format!("their rate of round {round}"), async || {
                let seen = present_throttles(&run.kafka, &[broker].into(), &BTreeSet::new()).await.unwrap();
                (seen.rates[&broker] == Sides { leader: kept, follower: kept }).then_some(())
            })
            .await;
        }
        theirs(&|_| ConfigOperation::Delete).await;
    });
}

/// The same with real partitions: each of 6,000 is copied, all at once. It takes a minute: `make acceptance` runs it.
#[test]
fn six_thousand_partitions_of_one_topic_move_at_once_with_a_throttle_and_nothing_is_left() {
    if std::env::var_os("TOOLBOX_TEST_KILLS").is_none() {
        return;
    }
    let shape = Shape { heap: 1_024, ..Shape::brokers(3) };
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape).unwrap();
    let kafka = open(&cluster.bootstrap(), PATIENT);
    let rows = vec![vec![BrokerId(1)]; 6_000];
    wait(async {
        assert_eq!(
            kafka.create_topics(&[NewTopic { assignment: Some(rows), ..topic("wide") }], Mode::Apply).await,
            [Ok(())]
        );
    });
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let moves: Vec<Row<'_>> = (0..6_000).map(|at| ("wide", at, &[1][..], &[2][..], 0)).collect();
    let file = toolbox.file("plan.json", &plan(cluster.id(), &moves));
    let line = ["reassign", "execute", &file, "--yes", "--max-risk", "moves-data", "--throttle", "200MB/s"];
    let wide = ["--max-moves", "6000", "--partitions-per-broker", "6000"];
    let ran = toolbox.run(&[&line[..], &wide].concat()).ends_with(0);
    assert!(ran.out.contains("6000 of 6000 partitions are as planned"), "{ran:#?}");
    let audit = std::fs::read_to_string(toolbox.state().join("audit.jsonl")).unwrap();
    assert!(audit.contains("list * (for 6000 entries)"), "the lists were too long");
    let status = toolbox.run(&["throttle", "status", "--watch", "50ms", "-o", "json"]).ends_with(0);
    let shown: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&shown["rates"], &shown["lists"]), (&serde_json::json!([]), &serde_json::json!([])));
}
