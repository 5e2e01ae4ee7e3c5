//! Whole rolls with writers, of each kind of cluster and of two maps; `make acceptance` runs them.

use std::time::Duration;

use crate::live::kafka::records::{Writer, fill, numbers};
use crate::live::kafka::{Cluster, Kind, Shape, Signal, throttle};
use crate::live::zookeeper::{Ensemble, Shape as EnsembleShape};
use crate::rollout::bed::{Bed, Guard, Reader, led_elsewhere};
use crate::rollout::live::{SPREAD, single_replicas};
use crate::support::wall_clock::WallClock;

/// The kinds of clusters that are rolled.
const KINDS: [Kind; 3] = [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft];

fn is_acceptance() -> bool {
    std::env::var_os("TOOLBOX_TEST_KILLS").is_some()
}

/// A roll under a writer with acks=all: no ISR below its minimum, nothing lost, leaders back at home.
fn rolls(kind: Kind) {
    let bed = Bed::new(Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    let controller = bed.cluster.controller().unwrap();
    let guard = Guard::start(&bed.cluster);
    let writer = Writer::start(&bed.cluster, "orders", 500, 200).unwrap();
    let reader = Reader::start(&bed, "orders");
    let ran = bed.roll(&[]).ends_with(0);
    assert!(ran.out.contains("3 restarted"), "{ran:?}");
    bed.hands.each_was_restarted_once(3);
    assert_eq!(bed.hands.stops()[2], controller, "the controller is the last one");
    let written = writer.finish().unwrap();
    assert_eq!(numbers(&bed.cluster, "orders").unwrap().len(), usize::try_from(written).unwrap(), "{}", kind.name());
    reader.await_all(written);
    never_below(guard, &["orders"], kind);
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

/// Checks that no partition of these topics had fewer than two replicas in sync at any time.
#[track_caller]
fn never_below(guard: Guard, topics: &[&str], kind: Kind) {
    let least = guard.least();
    let ours = least.iter().filter(|(key, _)| topics.contains(&key.topic.as_str())).collect::<Vec<_>>();
    assert!(!ours.is_empty(), "{}: nothing was watched", kind.name());
    let below: Vec<_> = ours.iter().filter(|(_, in_sync)| **in_sync < 2).collect();
    assert!(below.is_empty(), "{}: {below:?}", kind.name());
}

#[test]
fn a_roll_of_each_kind_of_cluster_never_falls_below_the_minimum_isr_and_loses_nothing() {
    if !is_acceptance() {
        return;
    }
    for kind in KINDS {
        rolls(kind);
    }
}

/// Fault 38, with somebody who watches every ISR: the roll is killed half-way and run again, and a second broker dies in mid-roll.
fn outlives_everything(kind: Kind) {
    let bed = Bed::new(Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    let guard = Guard::start(&bed.cluster);
    let writer = Writer::start(&bed.cluster, "orders", 300, 200).unwrap();
    let reader = Reader::start(&bed, "orders");
    // Long enough to kill a broker between the return of one and the stop of the next.
    let pace = ["--revision", "v2", "--apart", "8s"];

    // Half-way: one broker has the revision, and the next one runs.
    let mut first = bed.begin(&pace);
    bed.hands.await_done(2);
    bed.await_in_sync("orders");
    first.kill().unwrap();
    first.wait().unwrap();
    let half = bed.hands.stops();
    assert_eq!(half.len(), 1, "{}: {:?}", kind.name(), bed.hands.done());

    // The next run goes on with the second one; once that is back, the third one dies.
    let mut second = bed.begin(&pace);
    bed.hands.await_that(|done| done.iter().filter(|it| it.starts_with("stop")).count() == 2);
    let before = bed.hands.stops();
    bed.hands.await_that(|done| done.last() == Some(&format!("start {}", before[1])));
    bed.await_in_sync("orders");
    assert_eq!((before[0], before.len()), (half[0], 2), "{}: what is done is not done again", kind.name());
    let third = (1..=3).find(|id| !before.contains(id)).unwrap();
    bed.cluster.stop_broker(third, Signal::Kill).unwrap();
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(bed.hands.stops(), before, "{}: nothing is stopped while broker {third} is dead", kind.name());
    assert_eq!(second.try_wait().unwrap(), None, "{}: it waits, and does not end", kind.name());
    // ZooKeeper takes it for alive until its session has run out.
    bed.cluster.await_brokers(&before).unwrap();
    bed.cluster.start_broker(third).unwrap();
    assert_eq!(bed.ended(&mut second), Some(0), "{}: {:?}", kind.name(), bed.hands.done());
    assert_eq!(bed.hands.stops(), [before[0], before[1], third], "{}: each once, in this order", kind.name());
    bed.hands.each_was_restarted_once(3);

    let written = writer.finish().unwrap();
    assert_eq!(numbers(&bed.cluster, "orders").unwrap().len(), usize::try_from(written).unwrap(), "{}", kind.name());
    reader.await_all(written);
    never_below(guard, &["orders"], kind);
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

#[test]
fn a_roll_killed_half_way_and_one_in_which_another_broker_dies_lose_nothing_on_each_kind_of_cluster() {
    if !is_acceptance() {
        return;
    }
    for kind in KINDS {
        outlives_everything(kind);
    }
}

/// Field bug: a broker came back with gigabytes to copy, and the next one was stopped long before it had them.
#[test]
fn a_broker_that_recovers_under_a_throttle_keeps_the_roll_waiting_until_it_has_caught_up() {
    if !is_acceptance() {
        return;
    }
    let kind = Kind::Kafka43Kraft;
    let bed = Bed::new(Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    let guard = Guard::start(&bed.cluster);
    // It is held at its stop while the others are written to, and may copy 1 KiB a second once it runs.
    bed.hands.holds.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut roll = bed.begin(&[]);
    bed.hands.await_done(1);
    throttle::set(&bed.cluster, "orders", Some(1_024)).unwrap();
    fill(&bed.cluster, "orders", 60_000, 500).unwrap();
    bed.hands.holds.store(false, std::sync::atomic::Ordering::Relaxed);
    bed.hands.await_done(2);
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!((bed.hands.stops().len(), roll.try_wait().unwrap()), (1, None), "it runs, and is behind");
    throttle::set(&bed.cluster, "orders", None).unwrap();
    assert_eq!(bed.ended(&mut roll), Some(0), "{:?}", bed.hands.done());
    bed.hands.each_was_restarted_once(3);
    never_below(guard, &["orders"], kind);
}

#[test]
fn single_replicas_and_brokers_without_partitions_are_told_apart_on_kafka_3_9_too() {
    if is_acceptance() {
        single_replicas(Kind::Kafka39Zookeeper);
        single_replicas(Kind::Kafka39Kraft);
    }
}

#[test]
fn six_brokers_in_two_maps_are_restarted_one_at_a_time() {
    if !is_acceptance() {
        return;
    }
    let ids = vec![1001, 1002, 1003, 2001, 2002, 2003];
    let racks = ["a", "b", "c"].map(str::to_owned).to_vec();
    let bed = Bed::new(Cluster::start(Kind::Kafka39Zookeeper, &Shape { ids, racks, ..Shape::default() }).unwrap());
    bed.create("one", "1001:1002:1003,1002:1003:1001");
    bed.create("two", "2001:2002:2003,2002:2003:2001");
    let guard = Guard::start(&bed.cluster);
    let topics = ["one", "two"];
    let writers = topics.map(|topic| Writer::start(&bed.cluster, topic, 200, 100).unwrap());
    let readers = topics.map(|topic| Reader::start(&bed, topic));
    bed.roll(&["--ids", "1001-1003,2001-2003"]).ends_with(0);
    bed.hands.each_was_restarted_once(6);
    for ((writer, reader), topic) in writers.into_iter().zip(readers).zip(topics) {
        let written = writer.finish().unwrap();
        assert_eq!(numbers(&bed.cluster, topic).unwrap().len(), usize::try_from(written).unwrap());
        reader.await_all(written);
    }
    never_below(guard, &topics, Kind::Kafka39Zookeeper);
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

#[test]
fn a_server_of_an_ensemble_may_stop_while_the_others_keep_the_quorum() {
    if !is_acceptance() {
        return;
    }
    let ensemble = Ensemble::start(&EnsembleShape::of(3)).unwrap();
    let all = [1, 2, 3];
    let leader = ensemble.await_leader(&all).unwrap();
    let follower = all.into_iter().find(|number| *number != leader).unwrap();
    let toolbox = crate::support::toolbox::Toolbox::alone();
    let addresses = ensemble.addresses(&all);
    let check = |server: u32| {
        let server = server.to_string();
        toolbox.run(&["rollout", "check", "--server", &server, "--zookeeper", &addresses, "--apart", "500ms"])
    };
    assert!(check(leader).ends_with(0).out.contains("leads: stop it last"));
    ensemble.stop(follower, rustix::process::Signal::KILL).unwrap();
    ensemble.await_serving(&all.into_iter().filter(|number| *number != follower).collect::<Vec<_>>()).unwrap();
    assert!(check(leader).ends_with(5).out.contains("there is no quorum"));
    let wait = |more: &[&str]| {
        let server = follower.to_string();
        let line =
            ["rollout", "wait", "--server", &server, "--zookeeper", &addresses, "--apart", "500ms", "--every", "200ms"];
        toolbox.run(&[&line[..], more].concat())
    };
    wait(&["--for", "in-sync", "--within", "1s"]).ends_with(5);
    ensemble.launch(follower).unwrap();
    wait(&["--for", "in-sync", "--within", "60s"]).ends_with(0);
    wait(&["--for", "stoppable", "--within", "60s"]).ends_with(0);
}

#[test]
fn a_wall_clock_that_jumps_by_an_hour_neither_ends_a_wait_early_nor_makes_it_longer() {
    if !is_acceptance() {
        return;
    }
    let ensemble = Ensemble::start(&EnsembleShape::of(3)).unwrap();
    let all = [1, 2, 3];
    let leader = ensemble.await_leader(&all).unwrap();
    let follower = all.into_iter().find(|number| *number != leader).unwrap();
    let toolbox = crate::support::toolbox::Toolbox::alone();
    let (server, addresses) = (follower.to_string(), ensemble.addresses(&all));
    let line = ["rollout", "wait", "--server", &server, "--zookeeper", &addresses, "--every", "500ms"];
    let clock = WallClock::right();
    // How long it waits, where the clock jumps two seconds after its start.
    let waits = |more: &[&str], jump: i64, code: i32| {
        let mut command = toolbox.command(&[&line[..], more].concat());
        clock.run_and_jump(&mut command, (Duration::from_secs(2), jump)).ends_with(code)
    };
    let late = Duration::from_secs(30);
    for jump in [3_600, -3_600] {
        ensemble.stop(follower, rustix::process::Signal::KILL).unwrap();
        let within = Duration::from_secs(6);
        let ran = waits(&["--for", "in-sync", "--within", "6s"], jump, 5);
        assert!(ran.took >= within && ran.took < within + late, "{jump}: {ran:#?}");
        ensemble.launch(follower).unwrap();
        ensemble.await_serving(&all).unwrap();
        // Two looks that agree are as far apart as they should be.
        let apart = Duration::from_secs(6);
        let ran = waits(&["--for", "stoppable", "--apart", "6s", "--within", "2m"], jump, 0);
        assert!(ran.took >= apart && ran.took < apart + late, "{jump}: {ran:#?}");
    }
}
