//! Rolls of real brokers that run in `make test`; `acceptance` has the long ones.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::live::kafka::records::{Writer, numbers};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::rollout::bed::{Bed, LIMIT, Reader, led_elsewhere};

/// Three partitions, each broker leading one of them.
const SPREAD: &str = "1:2:3,2:3:1,3:1:2";

/// Fault 38: a broker dies in mid-roll. And a run that is killed between a stop and its start.
#[test]
fn a_rolling_restart_loses_nothing_survives_its_own_death_and_waits_for_a_broker_that_dies() {
    let bed = Bed::new(Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    let writer = Writer::start(&bed.cluster, "orders", 200, 100).unwrap();
    let reader = Reader::start(&bed, "orders");

    // Killed while its stop command runs: the broker goes down, and nobody starts it.
    bed.holds.store(true, Ordering::Relaxed);
    let mut first = bed.begin(&["--revision", "v2"]);
    bed.await_done(1);
    first.kill().unwrap();
    first.wait().unwrap();
    bed.holds.store(false, Ordering::Relaxed);

    // The next one starts it, and goes on.
    let mut second = bed.begin(&["--revision", "v2"]);
    bed.await_done(4);
    let stops = |done: &[String]| done.iter().filter(|it| it.starts_with("stop")).cloned().collect::<Vec<_>>();
    let restarted: BTreeSet<i32> = stops(&bed.done()).iter().map(|it| it[5..].parse().unwrap()).collect();
    let before = bed.done();
    let other = (1..=3).find(|id| Some(&format!("stop {id}")) != stops(&before).last()).unwrap();
    // Two of three are out for a moment at most if it is the one that was just started; the roll must wait in any case.
    bed.cluster.stop_broker(other, Signal::Kill).unwrap();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(stops(&bed.done()), stops(&before), "nothing is stopped while broker {other} is dead: {restarted:?}");
    bed.cluster.start_broker(other).unwrap();
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = second.try_wait().unwrap() {
            break status.code();
        }
        assert!(begun.elapsed() < LIMIT, "{:?}", bed.done());
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(code, Some(0), "{:?}", bed.done());
    let all: BTreeSet<_> = stops(&bed.done()).into_iter().collect();
    assert_eq!(all.len(), 3, "each broker was restarted: {:?}", bed.done());

    let written = writer.finish().unwrap();
    let found = numbers(&bed.cluster, "orders").unwrap();
    assert_eq!((found.len(), found.last().copied()), (usize::try_from(written).unwrap(), Some(written - 1)));
    reader.await_all(written);
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

/// Fault 36.
#[test]
fn a_broker_with_a_single_replica_is_refused_and_one_without_partitions_may_stop() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let toolbox = crate::support::toolbox::Toolbox::new(&cluster.bootstrap());
    let bootstrap = cluster.bootstrap();
    let create = |topic: &str, more: &[&str]| {
        let line = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic];
        cluster.tool("org.apache.kafka.tools.TopicCommand", &[&line[..], more].concat()).unwrap();
    };
    create("rollout.single", &["--replica-assignment", "2"]);
    create("rollout.equal", &["--replica-assignment", "2:3", "--config", "min.insync.replicas=2"]);
    let line = ["rollout", "check", "--apart", "500ms", "--moves-max", "1000", "-o", "json", "--broker", "2"];
    let begun = Instant::now();
    // Another test may have a partition without a leader for a moment, and a young topic may not be shown yet.
    loop {
        let ran = toolbox.run(&line);
        let names = ["rollout.single", "rollout.equal"].map(|topic| ran.out.contains(topic));
        if ran.code == Some(4) && names == [true, true] {
            assert!(ran.out.contains("only_replica") && ran.out.contains("no_spare_replica"), "{ran:?}");
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{ran:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let accepted = toolbox.run(&[&line[..], &["--accept-unavailable"]].concat());
    assert!(matches!(accepted.code, Some(0 | 5)), "{accepted:#?}");
}
