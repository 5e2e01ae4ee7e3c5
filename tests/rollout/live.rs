//! Rolls of real brokers that run in `make test`; `acceptance` has the long ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Outcome;
use serde_json::Value;

use crate::live::kafka::records::{Writer, numbers};
use crate::live::kafka::{Cluster, Kind, Shape, Signal};
use crate::rollout::bed::{Bed, Reader, led_elsewhere};
use crate::support::toolbox::{Ran, Toolbox};

/// Three partitions, each broker leading one of them.
pub(super) const SPREAD: &str = "1:2:3,2:3:1,3:1:2";

/// How long a young topic may be unknown to a broker.
const PATIENCE: Duration = Duration::from_mins(1);

/// Fault 38: a broker dies in mid-roll. And a run that is killed between a stop and its start.
#[test]
fn a_rolling_restart_loses_nothing_survives_its_own_death_and_waits_for_a_broker_that_dies() {
    let bed = Bed::new(Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    let writer = Writer::start(&bed.cluster, "orders", 200, 100).unwrap();
    let reader = Reader::start(&bed, "orders");

    // Killed while its stop command runs: the broker goes down, and nobody starts it.
    bed.hands.holds.store(true, Ordering::Relaxed);
    let mut first = bed.begin(&["--revision", "v2"]);
    bed.hands.await_done(1);
    first.kill().unwrap();
    first.wait().unwrap();
    bed.hands.holds.store(false, Ordering::Relaxed);

    // The next one starts it, restarts it once more, since its stop command may not have run, and goes on.
    let mut second = bed.begin(&["--revision", "v2"]);
    bed.hands.await_done(4);
    let before = bed.hands.stops();
    let other = (1..=3).find(|id| Some(id) != before.last()).unwrap();
    // Two of three are out for a moment at most if it is the one that was just started; the roll must wait in any case.
    bed.cluster.stop_broker(other, Signal::Kill).unwrap();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(bed.hands.stops(), before, "nothing is stopped while broker {other} is dead");
    bed.cluster.start_broker(other).unwrap();
    assert_eq!(bed.ended(&mut second), Some(0), "{:?}", bed.hands.done());
    let stops = bed.hands.stops();
    let ids: BTreeSet<_> = stops.iter().collect();
    assert_eq!((stops.len(), ids.len(), stops[0]), (4, 3, stops[1]), "the first one twice, the others once: {stops:?}");

    let written = writer.finish().unwrap();
    let found = numbers(&bed.cluster, "orders").unwrap();
    assert_eq!((found.len(), found.last().copied()), (usize::try_from(written).unwrap(), Some(written - 1)));
    reader.await_all(written);
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

/// A run that dies between what a command did and its outcome, at each of a roll's three side effects; then a run of another command
/// comes.
#[test]
fn what_a_killed_roll_stopped_started_and_elected_is_found_out_by_the_next_run_on_the_cluster() {
    let bed = Bed::new(Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap());
    bed.create("orders", SPREAD);
    bed.await_in_sync("orders");
    let line = bed.hands.line(&["--revision", "v2", "--ids", "1"]);
    let line: Vec<_> = line.iter().map(String::as_str).collect();
    for (place, kind) in [
        ("rollout.stopped:1", "rollout.stopped"),
        ("rollout.started:1", "rollout.started"),
        ("rollout.elected:1", "rollout.leaders_elected"),
    ] {
        let died = bed.toolbox.run_until(place, &line);
        assert_eq!(died.code, None, "{place}: {died:#?}");
        let next = bed.toolbox.run(&["throttle", "gc", "--yes"]);
        assert!(next.err.contains("the cluster shows how 1 of its changes ended"), "{place}: {next:#?}");
        let events = bed.toolbox.audit();
        let ended = events.iter().rfind(|event| event.kind == kind && !event.is_intent()).unwrap();
        assert_eq!(ended.outcome, Outcome::Done, "{place}: {ended:#?}");
    }
    bed.roll(&["--revision", "v2", "--ids", "1"]).ends_with(0);
    assert!(bed.toolbox.audit().iter().all(|event| event.outcome != Outcome::Unknown), "{:#?}", bed.toolbox.audit());
    assert_eq!(led_elsewhere(&bed.cluster), []);
}

/// Fault 36.
#[test]
fn a_single_replica_is_refused_a_topic_without_a_spare_is_named_and_a_broker_without_partitions_may_stop() {
    single_replicas(Kind::Kafka43Kraft);
}

/// The same of any kind of cluster: broker 2 has the only replica of one topic, and one of two of another that wants both in sync;
/// broker 3 has the other one; broker 4 has nothing.
pub(super) fn single_replicas(kind: Kind) {
    let cluster = Cluster::start(kind, &Shape::brokers(4)).unwrap();
    let (toolbox, bootstrap) = (Toolbox::new(&cluster.bootstrap()), cluster.bootstrap());
    let create = |topic: &str, more: &[&str]| {
        let line = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic];
        cluster.tool("org.apache.kafka.tools.TopicCommand", &[&line[..], more].concat()).unwrap();
    };
    create("rollout.single", &["--replica-assignment", "2"]);
    create("rollout.equal", &["--replica-assignment", "2:3", "--config", "min.insync.replicas=2"]);
    let (single, equal) = (("rollout.single", "only_replica"), ("rollout.equal", "no_spare_replica"));

    // The exit code, once every topic is known: with what suffers in any case, and with nothing that blocks.
    let check = |broker: &str, more: &[&str], suffering: &[(&str, &str)]| {
        let line = ["rollout", "check", "--apart", "500ms", "-o", "json", "--broker", broker];
        let owned = |(topic, why): &(&str, &str)| ((*topic).to_owned(), (*why).to_owned());
        let suffering: BTreeMap<_, _> = suffering.iter().map(owned).collect();
        let begun = Instant::now();
        loop {
            let ran = toolbox.run(&[&line[..], more].concat());
            let page: Value = serde_json::from_str(&ran.out).unwrap_or_default();
            if unavoidable(&page) == suffering && page["blockersCount"] == 0 {
                return ran;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {suffering:?}: {ran:#?}", kind.name());
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let refused = check("2", &[], &[single, equal]).ends_with(4);
    assert!(refused.out.contains("--accept-unavailable"), "{refused:#?}");
    check("2", &["--accept-topic", "rollout.equal"], &[single, equal]).ends_with(4);
    check("2", &["--accept-topic", "rollout.single"], &[single, equal]).ends_with(0);
    check("2", &["--accept-unavailable"], &[single, equal]).ends_with(0);
    check("3", &[], &[equal]).ends_with(0);
    check("4", &[], &[]).ends_with(0);

    let wait = ["rollout", "wait", "--broker", "4", "--for", "in-sync", "--apart", "500ms", "--within", "60s"];
    toolbox.run(&wait).ends_with(0);
    let address = format!("127.0.0.1:{}", cluster.ports_of("PLAINTEXT")[3].real);
    let probe = ["probe", "kafka", "ready", "--strict", "--broker", "4", "--timeout", "20s", "--address", &address];
    let ready: Ran = toolbox.run(&probe).ends_with(0);
    assert!(ready.out.starts_with("ready: broker 4 "), "{ready:#?}");
}

/// The topics that suffer in any case, and why.
fn unavoidable(page: &Value) -> BTreeMap<String, String> {
    let rows = page["unavoidable"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "topic"), text(row, "why"))).collect()
}
