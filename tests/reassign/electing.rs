//! `reassign elect`: on a cluster in memory, and on real ones.

use kafka_toolbox::clients::kafka::Cluster as _;
use kafka_toolbox::clients::kafka::memory::{Call, Memory};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::cluster::metadata::TopicSelection;
use kafka_toolbox::cluster::topic::Partition;
use kafka_toolbox::exit::Exit;

use super::bench::{file, leader};
use super::live::{create, every_side_effect_has_one_outcome, seen};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::support::desk::Desk;
use crate::support::toolbox::{Toolbox, audited};

/// Broker 1 was down and is back: it leads nothing.
fn after_a_restart() -> Memory {
    let kafka = Memory::kraft(3).topic("orders", &[&[1, 2], &[1, 3], &[2, 1]]).topic("bills", &[&[1, 2]]);
    kafka.edit(|cluster| {
        cluster.stop_broker(1);
        cluster.start_broker(1);
    });
    kafka
}

#[tokio::test]
async fn a_broker_that_is_back_leads_again_what_prefers_it_and_a_second_run_finds_nothing_to_do() {
    let desk = Desk::new(after_a_restart());
    desk.run(&["reassign", "elect", "--brokers", "1", "--dry-run"]).await.ends_with(Exit::Changes);
    assert_eq!(leader(&desk, "orders", 0), Some(2));
    let elected = desk.run(&["reassign", "elect", "--brokers", "1", "--yes"]).await.ends_with(Exit::Done);
    assert!(elected.out.contains("~ partition bills-0: leader 2 -> 1\n"), "{elected:#?}");
    assert!(elected.out.ends_with("3 done, 0 failed, 0 refused, 0 unknown\n"), "{elected:#?}");
    assert_eq!((leader(&desk, "orders", 1), leader(&desk, "orders", 2)), (Some(1), Some(2)));
    let again = desk.run(&["reassign", "elect", "--all", "--yes"]).await.ends_with(Exit::Done);
    assert_eq!(again.out, "nothing to do\n");
    let events = audited(&desk.folder().join("state"));
    let kinds = ["reassign.elect.started", "reassign.leader_elected", "reassign.elect.completed"];
    assert!(kinds.iter().all(|kind| events.iter().any(|event| event.kind == *kind)), "{events:#?}");
}

#[tokio::test]
async fn topics_partitions_and_the_file_of_kafkas_tool_say_whom_an_election_concerns() {
    let desk = Desk::new(after_a_restart());
    let elect = async |whom: &[&str]| desk.run(&[&["reassign", "elect", "--yes"][..], whom].concat()).await;
    let list = file(&desk, "list.json", r#"{"partitions":[{"topic":"orders","partition":0}]}"#);
    elect(&[&list]).await.ends_with(Exit::Done);
    assert_eq!((leader(&desk, "orders", 0), leader(&desk, "orders", 1)), (Some(1), Some(3)));
    elect(&["--topics", "bills", "--partitions", "orders-1"]).await.ends_with(Exit::Done);
    assert_eq!((leader(&desk, "bills", 0), leader(&desk, "orders", 1)), (Some(1), Some(1)));
    let missing = elect(&["--partitions", "orders-9"]).await.ends_with(Exit::Refused);
    assert!(missing.out.contains("! refused: elect orders-9: the cluster has no such partition"), "{missing:#?}");
    let bad = file(&desk, "bad.json", r#"{"partitions":[{"topic":"orders","partition":-1}]}"#);
    let bad = elect(&[&bad]).await.ends_with(Exit::Usage);
    assert!(bad.err.contains("orders has no partition -1"), "{bad:#?}");
}

#[tokio::test]
async fn a_plan_of_refusals_alone_is_not_offered_and_its_dry_run_is_refused_too() {
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2]]));
    desk.kafka.edit(|cluster| cluster.stop_broker(1));
    for dry_run in [&["--dry-run"][..], &[]] {
        let line = [&["reassign", "elect", "--all"][..], dry_run].concat();
        let said = desk.run_and_answer(Some(true), &line).await.ends_with(Exit::Refused);
        assert!(said.out.contains("its preferred leader, broker 1, is down; start it first"), "{said:#?}");
        assert!(!said.err.contains("Apply?"), "{said:#?}");
    }
    assert!(!desk.kafka.calls().contains(&Call::ElectLeaders));
}

#[tokio::test]
async fn an_unclean_election_loses_data_and_needs_that_to_be_said() {
    let desk = Desk::new(Memory::kraft(3).topic("orders", &[&[1, 2], &[3]]));
    desk.kafka.edit(|cluster| {
        cluster.stop_broker(2);
        cluster.stop_broker(1);
        cluster.start_broker(2);
        // It was away while records were written.
        let partition = &mut cluster.topics.values_mut().next().unwrap().partitions[0];
        (partition.isr, partition.leader) = (vec![BrokerId(1)], None);
    });
    let line = ["reassign", "elect", "--all", "--unclean", "--yes"];
    let refused = desk.run(&line).await.ends_with(Exit::Refused);
    assert!(refused.out.contains("its risk is loses-data; --max-risk reversible refuses it"), "{refused:#?}");
    assert_eq!(leader(&desk, "orders", 0), None);
    let elected = desk.run(&[&line[..], &["--max-risk", "loses-data"]].concat()).await.ends_with(Exit::Done);
    let words = "~ partition orders-0: leader none -> 2 (not in sync: records that only [1] has are lost)\n";
    assert!(elected.out.starts_with(words), "{elected:#?}");
    assert_eq!(leader(&desk, "orders", 0), Some(2));
    assert_eq!(desk.run(&line).await.ends_with(Exit::Done).out, "nothing to do\n");
}

#[tokio::test(start_paused = true)]
async fn an_election_whose_answer_is_lost_is_looked_for() {
    let desk = Desk::new(after_a_restart().losing_the_answer(Call::ElectLeaders, 1));
    let elected = desk.run(&["reassign", "elect", "--topics", "bills", "--yes"]).await.ends_with(Exit::Done);
    assert!(elected.out.ends_with("1 done, 0 failed, 0 refused, 0 unknown\n"), "{elected:#?}");
}

#[tokio::test]
async fn a_leader_that_leads_by_then_is_no_change_of_ours() {
    let kafka = after_a_restart().before(Call::ElectLeaders, 1, |cluster| {
        for topic in cluster.topics.values_mut() {
            topic.partitions.iter_mut().for_each(|one| one.leader = one.replicas.first().copied());
        }
    });
    let desk = Desk::new(kafka);
    let elected = desk.run(&["reassign", "elect", "--topics", "bills", "--yes"]).await.ends_with(Exit::Done);
    assert!(elected.out.ends_with("; 1 found as desired and not changed\n"), "{elected:#?}");
    let events = audited(&desk.folder().join("state"));
    let kinds: Vec<_> =
        events.iter().filter(|event| event.subject == "partition:bills-0" && !event.is_intent()).collect();
    assert_eq!((kinds.len(), kinds[0].kind.as_str()), (1, "reassign.unchanged"), "{events:#?}");
}

/// In ZooKeeper mode two brokers are enough to leave a partition without a leader.
#[test]
fn leaders_are_elected_on_real_servers_cleanly_and_uncleanly() {
    let cluster = Cluster::start(Kind::Kafka39Zookeeper, &Shape::brokers(2)).unwrap();
    create(&cluster, "orders", "1:2,2:1");
    let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
    let elect = |more: &[&str]| toolbox.run(&[&["reassign", "elect", "--topics", "orders", "--yes"], more].concat());
    // A broker that has just started may not know the topic yet.
    let partitions = || {
        let metadata = wait(kafka.metadata(TopicSelection::All)).unwrap();
        metadata.topics.get(&"orders".parse().unwrap()).map(|topic| topic.partitions.clone())
    };
    let all = |is_so: &dyn Fn(&Partition) -> bool| partitions().is_some_and(|seen| seen.iter().all(is_so));
    let until = |is_so: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed().as_secs() < 60, "it takes too long");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };

    cluster.stop_broker(1, Signal::Term).unwrap();
    // A broker that stops hands its leaders over before it goes.
    until(&|| !wait(kafka.metadata(TopicSelection::None)).unwrap().brokers.contains_key(&BrokerId(1)));
    let down = elect(&[]).ends_with(4);
    assert!(down.out.contains("! refused: elect orders-0: its preferred leader, broker 1, is down"), "{down:#?}");
    cluster.start_broker(1).unwrap();
    // Brokers learn one after the other that it is in sync.
    until(&|| elect(&[]).code == Some(0));
    assert_eq!(elect(&[]).ends_with(0).out, "nothing to do\n");
    assert_eq!(seen(&kafka, "orders", 0), (vec![1, 2], Some(1)));

    // What is written now, broker 2 does not have.
    cluster.stop_broker(2, Signal::Term).unwrap();
    until(&|| all(&|partition| partition.isr.len() == 1));
    fill(&cluster, "orders", 100, 100).unwrap();
    cluster.stop_broker(1, Signal::Kill).unwrap();
    cluster.start_broker(2).unwrap();
    until(&|| all(&|partition| partition.leader.is_none()));
    let elected = elect(&["--unclean", "--max-risk", "loses-data"]).ends_with(0);
    let words = "~ partition orders-1: leader none -> 2 (not in sync: records that only [1] has are lost)\n";
    assert!(elected.out.contains(words), "{elected:#?}");
    assert_eq!(seen(&kafka, "orders", 0).1, Some(2));
    every_side_effect_has_one_outcome(&toolbox);
}
