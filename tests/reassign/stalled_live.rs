//! A move that stands still on a real cluster that others use, too, while producers go on writing to what has arrived.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_toolbox::clients::kafka::NewTopic;
use kafka_toolbox::cluster::broker::BrokerId;

use super::live::{every_side_effect_has_one_outcome, seen};
use crate::clients::kafka::contract::{create, topic};
use crate::clients::kafka::live::{PATIENT, open, wait};
use crate::live::kafka::records::{Writer, fill};
use crate::live::kafka::{Cluster, Kind};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::Toolbox;

/// Longest wait for a partition to arrive.
const LIMIT: Duration = Duration::from_mins(1);

/// The shared cluster on which tests move partitions and set throttles: one of them at a time.
pub(crate) fn shared() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    (Cluster::shared(Kind::Kafka39Zookeeper), alone)
}

#[test]
fn producers_beside_a_stalled_move_do_not_keep_patience_waiting() {
    let (cluster, _alone) = shared();
    let (kafka, toolbox) = (open(&cluster.bootstrap(), PATIENT), Toolbox::new(&cluster.bootstrap()));
    for name in ["patience.stalled", "patience.arrived"] {
        let assignment = Some(vec![vec![BrokerId(1), BrokerId(2)]]);
        wait(create(&kafka, NewTopic { assignment, ..topic(name) }));
    }
    fill(cluster, "patience.stalled", 8_000, 1_000).unwrap();
    let rows: [Row<'_>; 2] =
        [("patience.stalled", 0, &[1, 2], &[3, 2], 8_000_000), ("patience.arrived", 0, &[1, 2], &[3, 2], 0)];
    let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
    // The empty one comes first. Of the other one Kafka lets a fetch of up to a megabyte through, and then none for ten
    // seconds.
    let pace = ["--throttle", "100B/s", "--partitions-per-broker", "1", "--patience", "6s", "--tick", "500ms"];
    let pace = [&pace[..], &["--beside-others"]].concat();
    let line = [&["reassign", "execute", &file, "--yes", "--max-risk", "moves-data"][..], &pace].concat();
    let executing = toolbox.command(&line).spawn().unwrap();
    let begun = Instant::now();
    while seen(&kafka, "patience.arrived", 0).0 != [3, 2] {
        assert!(begun.elapsed() < LIMIT, "the empty partition does not arrive");
        std::thread::sleep(Duration::from_millis(50));
    }
    let writer = Writer::start(cluster, "patience.arrived", 200, 1_000).unwrap();
    let ended = executing.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let written = writer.finish().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(written > 100, "the producers wrote until the end, {written} records: {said}");
    assert!(said.contains("nothing was copied for 6 s, with 1 running and 0 not begun"), "{said}");
    assert!(begun.elapsed() < LIMIT, "{:?}: {said}", begun.elapsed());
    toolbox.run(&["reassign", "cancel", "--yes"]).ends_with(0);
    assert_eq!(seen(&kafka, "patience.stalled", 0).0, [1, 2]);
    every_side_effect_has_one_outcome(&toolbox);
}
