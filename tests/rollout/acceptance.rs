//! Whole rolls with writers, of each kind of cluster and of two maps; `make acceptance` runs them.

use std::collections::BTreeSet;

use crate::live::kafka::records::{Writer, numbers};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::live::zookeeper::{Ensemble, Shape as EnsembleShape};
use crate::rollout::bed::{Bed, Guard, Reader, led_elsewhere};

fn is_acceptance() -> bool {
    std::env::var_os("TOOLBOX_TEST_KILLS").is_some()
}

/// A roll under a writer with acks=all: no ISR below its minimum, nothing lost, leaders back at home.
fn rolls(kind: Kind) {
    let bed = Bed::new(Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", "1:2:3,2:3:1,3:1:2");
    let controller = bed.cluster.controller().unwrap();
    let guard = Guard::start(&bed.cluster);
    let writer = Writer::start(&bed.cluster, "orders", 500, 200).unwrap();
    let reader = Reader::start(&bed, "orders");
    let ran = bed.roll(&[]).ends_with(0);
    assert!(ran.out.contains("3 restarted"), "{ran:?}");
    bed.each_was_restarted_once(3);
    assert_eq!(bed.done()[4], format!("stop {controller}"), "the controller is the last one");
    let written = writer.finish().unwrap();
    assert_eq!(numbers(&bed.cluster, "orders").unwrap().len(), usize::try_from(written).unwrap(), "{}", kind.name());
    reader.await_all(written);
    let least = guard.least();
    let below: Vec<_> = least.iter().filter(|(key, in_sync)| key.topic.as_str() == "orders" && **in_sync < 2).collect();
    assert!(below.is_empty(), "{}: {below:?}", kind.name());
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

#[test]
fn a_roll_of_each_kind_of_cluster_never_falls_below_the_minimum_isr_and_loses_nothing() {
    if !is_acceptance() {
        return;
    }
    for kind in [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft] {
        rolls(kind);
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
    let writers = ["one", "two"].map(|topic| Writer::start(&bed.cluster, topic, 200, 100).unwrap());
    bed.roll(&["--ids", "1001-1003,2001-2003"]).ends_with(0);
    bed.each_was_restarted_once(6);
    for (writer, topic) in writers.into_iter().zip(["one", "two"]) {
        let written = writer.finish().unwrap();
        assert_eq!(numbers(&bed.cluster, topic).unwrap().len(), usize::try_from(written).unwrap());
    }
    let least = guard.least();
    let below: BTreeSet<_> =
        least.iter().filter(|(_, in_sync)| **in_sync < 2).map(|(key, _)| key.to_string()).collect();
    let ours: Vec<_> = below.iter().filter(|name| name.starts_with("one-") || name.starts_with("two-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
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
