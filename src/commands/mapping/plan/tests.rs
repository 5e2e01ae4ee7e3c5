//! Examples of every verb, as small replica tables.

use std::collections::BTreeMap;

use super::*;
use crate::cluster::broker::BrokerId;
use crate::cluster::broker::Rack;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::observe::ObservedBroker;
use crate::commands::mapping::observe::ObservedPartition;
use crate::commands::mapping::observe::ObservedTopic;
use crate::commands::mapping::spec::goal::Operation;

const GB: u64 = 1_000_000_000;

/// A cluster: brokers with the letter of their rack (`1a`; `1a!` is gone), and the replicas of one topic's partitions,
/// each with its size in GB.
fn cluster(brokers: &[&str], partitions: &[(&[i32], u64)]) -> Observed {
    let mut observed = Observed { cluster_id: "test".into(), ..Observed::default() };
    for text in brokers {
        let id = text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let rack: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        let live = !text.ends_with('!');
        let rack = (live && !rack.is_empty()).then_some(Rack(rack));
        observed.brokers.insert(BrokerId(id), ObservedBroker { live, rack, ..ObservedBroker::default() });
    }
    let mut topic = ObservedTopic::default();
    for (replicas, size) in partitions {
        let replicas: Vec<_> = replicas.iter().copied().map(BrokerId).collect();
        let live = |id: &BrokerId| observed.brokers.get(id).is_some_and(|broker| broker.live);
        topic.partitions.push(ObservedPartition {
            leader: replicas.iter().copied().find(live),
            out_of_sync: replicas.iter().copied().filter(|id| !live(id)).collect(),
            bytes: vec![size * GB; replicas.len()],
            replicas,
            ..ObservedPartition::default()
        });
    }
    observed.topics.insert(name(), topic);
    observed
}

fn name() -> TopicName {
    TopicName::new("t").unwrap()
}

fn goal(observed: &Observed, operation: Operation) -> Goal {
    Goal {
        operation,
        topics: observed.topics.keys().cloned().collect(),
        brokers: observed.brokers.iter().filter(|(_, broker)| broker.live).map(|(id, _)| *id).collect(),
        replication_factor: None,
        tolerance: 0.05,
        range: None,
        budget_bytes: None,
        moves_max: None,
        leaders: false,
        disk_limit: 0.9,
        require_n_minus_1: false,
        capacities: BTreeMap::new(),
        racks: BTreeMap::new(),
    }
}

/// The replicas of each partition after the plan, which must be legal.
fn after(goal: &Goal, observed: &Observed) -> Vec<Vec<i32>> {
    let mapping = plan(goal, observed);
    assert_eq!(verify(goal, observed, &mapping), [], "{mapping:#?}");
    let mut all: Vec<Vec<i32>> =
        observed.topics[&name()].partitions.iter().map(|p| p.replicas.iter().map(|id| id.0).collect()).collect();
    for one in mapping.moves {
        all[usize::try_from(one.partition.partition).unwrap()] = one.to.iter().map(|id| id.0).collect();
    }
    all
}

fn codes(goal: &Goal, observed: &Observed) -> Vec<&'static str> {
    plan(goal, observed).findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn rebalance_moves_from_the_full_to_the_empty_broker_of_a_rack() {
    let observed = cluster(&["1a", "2b", "3a", "4b"], &[(&[1, 2], 10), (&[1, 2], 10), (&[1, 4], 10), (&[1, 4], 10)]);
    let planned = after(&goal(&observed, Operation::Rebalance), &observed);
    assert_eq!(planned.iter().filter(|replicas| replicas.contains(&3)).count(), 2, "{planned:?}");
    assert!(planned.iter().all(|replicas| replicas[1] == 2 || replicas[1] == 4), "rack b was even: {planned:?}");
}

#[test]
fn replace_puts_the_successor_into_the_same_slots() {
    let observed = cluster(&["1a", "2b", "3c!", "4c"], &[(&[1, 2, 3], 5), (&[3, 1, 2], 5), (&[2, 3, 1], 5)]);
    let operation = Operation::Replace { pairs: [(BrokerId(3), None)].into() };
    assert_eq!(after(&goal(&observed, operation), &observed), [[1, 2, 4], [4, 1, 2], [2, 4, 1]]);
}

#[test]
fn the_same_id_that_came_back_is_no_move() {
    let observed = cluster(&["1a", "2b", "3c"], &[(&[1, 2, 3], 5), (&[3, 1, 2], 5)]);
    let operation = Operation::Replace { pairs: [(BrokerId(3), Some(BrokerId(3)))].into() };
    assert_eq!(plan(&goal(&observed, operation), &observed).moves, []);
}

#[test]
fn evacuated_brokers_are_empty_and_racks_stay_spread() {
    let observed = cluster(&["1a", "2b", "3a", "4b"], &[(&[1, 2], 5), (&[2, 1], 5), (&[1, 4], 5), (&[3, 4], 5)]);
    let operation = Operation::Evacuate { brokers: [BrokerId(1)].into(), leaders_only: false };
    assert_eq!(after(&goal(&observed, operation), &observed), [[3, 2], [2, 3], [3, 4], [3, 4]]);
}

#[test]
fn what_an_emptied_broker_led_is_spread_and_no_other_leader_changes() {
    // Broker 4 is the only one of rack a that is left: it gets each replica of broker 1, but not each leadership.
    let led: &[(&[i32], u64)] = &[(&[1, 2, 3], 5), (&[1, 2, 3], 5), (&[1, 2, 3], 5), (&[1, 2, 3], 5), (&[1, 2, 3], 5)];
    let others: &[(&[i32], u64)] = &[(&[2, 1, 3], 5), (&[2, 1, 3], 5), (&[2, 3], 5), (&[3, 2], 5)];
    let observed = cluster(&["1a", "2b", "3c", "4a"], &[led, others].concat());
    let operation = Operation::Evacuate { brokers: [BrokerId(1)].into(), leaders_only: false };
    let goal = Goal { leaders: true, ..goal(&observed, operation) };
    let planned = after(&goal, &observed);
    let leads = |id: i32| planned.iter().filter(|replicas| replicas[0] == id).count();
    assert_eq!([leads(1), leads(2), leads(3), leads(4)], [0, 3, 3, 3], "{planned:?}");
    assert_eq!(planned[5..], [vec![2, 4, 3], vec![2, 4, 3], vec![2, 3], vec![3, 2]]);
    let kept = after(&Goal { leaders: false, ..goal }, &observed);
    assert!(kept[..5].iter().all(|replicas| replicas[0] == 4), "asked to leave leaders alone: {kept:?}");
}

#[test]
fn leadership_alone_is_evacuated_by_the_order_of_replicas() {
    let observed = cluster(&["1a", "2b", "3c"], &[(&[1, 2, 3], 5), (&[1, 3, 2], 5), (&[2, 1, 3], 5), (&[1], 5)]);
    let operation = Operation::Evacuate { brokers: [BrokerId(1)].into(), leaders_only: true };
    let goal = goal(&observed, operation);
    assert_eq!(after(&goal, &observed), [vec![2, 1, 3], vec![3, 1, 2], vec![2, 1, 3], vec![1]]);
    assert_eq!(codes(&goal, &observed), ["no-heir"]);
}

#[test]
fn scale_fills_the_new_broker_and_moves_nothing_else() {
    let partitions: Vec<(&[i32], u64)> =
        (0..12).map(|at| (if at % 2 == 0 { &[1][..] } else { &[2][..] }, 10)).collect();
    let observed = cluster(&["1a", "2a", "3a"], &partitions);
    let planned = after(&goal(&observed, Operation::Scale), &observed);
    assert_eq!(planned.iter().filter(|replicas| replicas[..] == [3]).count(), 4, "{planned:?}");
}

#[test]
fn fewer_replicas_are_dropped_by_rack_first() {
    // Kafka's old tools cut the tail: [1a, 2a] would be left, all in one rack.
    let observed = cluster(&["1a", "2a", "3b"], &[(&[1, 2, 3], 5)]);
    let goal = Goal { replication_factor: Some(2), ..goal(&observed, Operation::Rebuild { force: false }) };
    let planned = after(&goal, &observed);
    assert!(planned[0].contains(&3), "{planned:?}");
}

#[test]
fn topics_of_different_replication_factors_keep_theirs() {
    let mut partitions: Vec<(&[i32], u64)> = vec![(&[1], 5); 10];
    partitions.extend(vec![(&[1, 2, 3, 4][..], 5); 10]);
    let observed = cluster(&["1a", "2a", "3a", "4a"], &partitions);
    for force in [false, true] {
        let planned = after(&goal(&observed, Operation::Rebuild { force }), &observed);
        assert!(planned[..10].iter().all(|replicas| replicas.len() == 1), "{planned:?}");
        assert!(planned[10..].iter().all(|replicas| replicas.len() == 4), "{planned:?}");
    }
}

#[test]
fn placing_anew_keeps_a_replica_that_is_in_sync_now() {
    // From scratch, the largest partition of each rack goes to its first broker, and so on: nothing would stay.
    let partitions: &[(&[i32], u64)] = &[(&[3, 4], 9), (&[1, 2], 8), (&[1, 2], 7)];
    let observed = cluster(&["1a", "2b", "3a", "4b"], partitions);
    let goal = goal(&observed, Operation::Rebuild { force: true });
    let planned = after(&goal, &observed);
    for ((before, _), after) in partitions.iter().zip(&planned) {
        assert!(before.iter().any(|id| after.contains(id)), "{before:?} becomes {after:?}");
    }
    assert_eq!(codes(&goal, &observed), ["source-kept"]);
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let partitions: &[(&[i32], u64)] =
        &[(&[1, 2], 9), (&[1, 4], 9), (&[1, 4], 9), (&[3, 2], 1), (&[1, 2], 4), (&[1, 4, 3], 4)];
    let mut observed = cluster(&["1a", "2b", "3a", "4b", "5!"], partitions);
    for partition in &mut observed.topics.get_mut(&name()).unwrap().partitions {
        partition.out_of_sync = partition.replicas.iter().copied().skip(1).collect();
    }
    let mut turned = serde_json::to_value(&observed).unwrap();
    turn(&mut turned);
    let mut read: Observed = serde_json::from_value(turned).unwrap();
    for partition in &mut read.topics.get_mut(&name()).unwrap().partitions {
        partition.out_of_sync.reverse();
    }
    for operation in [Operation::Rebalance, Operation::Rebuild { force: true }, Operation::Scale] {
        let goal = goal(&observed, operation);
        assert_eq!(plan(&goal, &read), plan(&goal, &observed), "{:?}", goal.operation);
    }
}

/// Turns the order of all objects' fields around.
fn turn(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(fields) = value {
        let mut all: Vec<_> = std::mem::take(fields).into_iter().collect();
        all.reverse();
        *fields = all.into_iter().collect();
        fields.values_mut().for_each(turn);
    }
}

#[test]
fn a_moving_or_offline_partition_is_refused_by_name() {
    let mut observed = cluster(&["1a", "2a", "3a!"], &[(&[1], 5), (&[3], 5), (&[1], 5)]);
    observed.topics.get_mut(&name()).unwrap().partitions[0].moving = true;
    let operation = Operation::Evacuate { brokers: [BrokerId(1), BrokerId(3)].into(), leaders_only: false };
    let mapping = plan(&goal(&observed, operation), &observed);
    let found: Vec<_> =
        mapping.findings.iter().map(|f| (f.severity, f.code, f.text.split(':').next().unwrap())).collect();
    assert_eq!(found, [(Severity::Blocking, "moving", "partition 0"), (Severity::Blocking, "offline", "partition 1")]);
    assert_eq!(mapping.moves.len(), 1, "the rest goes on");
}

#[test]
fn a_broker_with_a_full_log_dir_of_few_partitions_gets_nothing() {
    use crate::cluster::metadata::LogDir;
    let mut observed = cluster(&["1a", "2a", "3a"], &[(&[1], 5), (&[1], 5), (&[1], 5), (&[1], 5), (&[2], 5)]);
    let dir = |path: &str, usable| LogDir {
        path: path.into(),
        total_bytes: Some(100 * GB),
        usable_bytes: Some(usable),
        ..LogDir::default()
    };
    observed.brokers.get_mut(&BrokerId(2)).unwrap().log_dirs = vec![dir("/one", 90 * GB), dir("/two", 0)];
    let goal = goal(&observed, Operation::Evacuate { brokers: [BrokerId(1)].into(), leaders_only: false });
    assert_eq!(after(&goal, &observed), [[3], [3], [3], [3], [2]]);
    assert_eq!(codes(&goal, &observed), ["above-disk-limit", "log-dir-full"]);
}

/// Disks of 100 GB, limit 90 %: each dir holds what is in it, and nothing else.
fn with_disks(mut observed: Observed, dirs: usize) -> Observed {
    use crate::cluster::metadata::LogDir;
    let partitions = &observed.topics[&name()].partitions;
    for (id, broker) in &mut observed.brokers {
        let dir = |dir: usize| {
            let held = |partition: &ObservedPartition| {
                let slot = partition.replicas.iter().position(|replica| replica == id);
                let here = slot.filter(|slot| partition.log_dirs.get(*slot).copied().unwrap_or(0) == dir);
                here.map_or(0, |slot| partition.bytes[slot])
            };
            let used: u64 = partitions.iter().map(held).sum();
            let (total_bytes, usable_bytes) = (Some(100 * GB), Some(100 * GB - used));
            LogDir { path: format!("/d{dir}"), total_bytes, usable_bytes, ..LogDir::default() }
        };
        broker.log_dirs = (0..dirs).map(dir).collect();
    }
    observed
}

#[test]
fn a_broker_above_its_disk_limit_comes_below_it_within_any_tolerance() {
    let partitions: &[(&[i32], u64)] = &[(&[1], 60), (&[1], 30), (&[1], 2), (&[2], 85), (&[3], 84)];
    let observed = with_disks(cluster(&["1a", "2a", "3a"], partitions), 1);
    let goal = Goal { tolerance: 0.2, ..goal(&observed, Operation::Rebalance) };
    assert_eq!(after(&goal, &observed), [[1], [1], [3], [2], [3]], "2 GB bring broker 1 to 90 GB");
    assert_eq!(codes(&goal, &observed), ["no-n-minus-1", "no-n-minus-1", "no-n-minus-1", "no-n-minus-1"]);
}

#[test]
fn a_rack_that_is_too_full_gives_to_another_where_replicas_stay_spread() {
    let partitions: &[(&[i32], u64)] = &[(&[1, 2], 50), (&[1, 2], 25), (&[1, 2], 20), (&[3], 40)];
    let observed = with_disks(cluster(&["1a", "2b", "3c"], partitions), 1);
    let goal = goal(&observed, Operation::Rebalance);
    let planned = after(&goal, &observed);
    let moved: Vec<_> = (0..4).filter(|at| planned[*at] != partitions[*at].0).collect();
    assert_eq!(moved, [1, 2], "20 GB off one, 25 GB off the other; two of three racks hold each: {planned:?}");
    assert!(!codes(&goal, &observed).contains(&"above-disk-limit"));
}

#[test]
fn a_log_dir_above_its_limit_is_relieved_although_its_broker_has_room() {
    let partitions: &[(&[i32], u64)] = &[(&[1], 60), (&[1], 35), (&[1], 5), (&[2], 70), (&[2], 1)];
    let mut observed = cluster(&["1a", "2a"], partitions);
    let dirs = [1, 1, 0, 0, 1];
    for (partition, dir) in observed.topics.get_mut(&name()).unwrap().partitions.iter_mut().zip(dirs) {
        partition.log_dirs = vec![dir];
    }
    let observed = with_disks(observed, 2);
    let goal = Goal { tolerance: 0.3, disk_limit: 0.92, ..goal(&observed, Operation::Rebalance) };
    let found: Vec<_> =
        plan(&goal, &observed).findings.into_iter().filter(|one| one.code == "above-disk-limit").collect();
    assert_eq!(found.len(), 1, "no dir of broker 2 is sure to be the next, and one has 22 GB: {found:#?}");
    assert!(found[0].text.contains("3.0 GB in /d1 above the disk limit of 92%"), "{found:#?}");
    let mut emptier = observed;
    emptier.topics.get_mut(&name()).unwrap().partitions[3].bytes = vec![50 * GB];
    let emptier = with_disks(emptier, 2);
    assert_eq!(after(&goal, &emptier), [[1], [2], [1], [2], [2]]);
}

#[test]
fn a_broker_that_stays_above_its_disk_limit_is_named() {
    let observed = with_disks(cluster(&["1a", "2b"], &[(&[1, 2], 95)]), 1);
    for operation in [Operation::Rebalance, Operation::Scale, Operation::Rebuild { force: false }] {
        let goal = goal(&observed, operation);
        let findings = plan(&goal, &observed).findings;
        let named: Vec<_> = findings.iter().filter(|one| one.code == "above-disk-limit").collect();
        assert_eq!(named.len(), 2, "{findings:#?}");
        assert!(named.iter().all(|one| one.text.contains("5.0 GB above the disk limit of 90%")), "{named:#?}");
    }
}

#[test]
fn one_move_is_the_one_that_helps_most() {
    let partitions: &[(&[i32], u64)] = &[(&[1], 30), (&[1], 20), (&[1], 10), (&[2], 20), (&[2], 20), (&[3], 10)];
    let observed = cluster(&["1a", "2a", "3a", "4a"], partitions);
    let goal = Goal { moves_max: Some(1), ..goal(&observed, Operation::Rebalance) };
    let planned = after(&goal, &observed);
    let moved: Vec<usize> = (0..6).filter(|at| planned[*at] != partitions[*at].0).collect();
    assert_eq!((moved.len(), planned[moved[0]].as_slice()), (1, &[4][..]), "{planned:?}");
    assert!(codes(&goal, &observed).contains(&"budget-reached"));
    let one = Goal { budget_bytes: Some(GB), ..goal };
    assert_eq!(plan(&one, &observed).moves, [], "nothing is that small");
}

#[test]
fn explain_says_why_a_partition_moves_or_stays() {
    let observed = cluster(&["1a", "2a", "3a!"], &[(&[3, 2], 5), (&[1], 5)]);
    let goal = goal(&observed, Operation::Replace { pairs: [(BrokerId(3), Some(BrokerId(1)))].into() });
    let mapping = plan(&goal, &observed);
    let why =
        |partition: i32| explain(&goal, &observed, &mapping, &TopicPartition { topic: name(), partition }).join("\n");
    assert_eq!(
        why(0),
        "t-0 has 5.0 GB on each of its 2 replicas: 3, gone; 2 in a\nbroker 3 is gone\n\
         broker 1 in a takes it: it goes from 5.0 GB to 10.0 GB\nbroker 1 becomes \
         its preferred leader, because broker 3, which was, gives it away"
    );
    let stays =
        "t-1 has 5.0 GB on its only replica: 1 in a\nit stays: none of its replicas is on a broker that is replaced";
    assert_eq!(why(1), stays);
    assert_eq!(why(7), "topic t has no partition 7");
}
