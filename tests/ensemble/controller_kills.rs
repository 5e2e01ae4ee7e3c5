//! Fault 13 for controllers: `ensemble apply` is killed at every point of a change of voters, and later runs settle it. For
//! `make acceptance`.

use std::time::{Duration, Instant};

use crate::ensemble::bed::is_wanted;
use crate::ensemble::controllers::{Bed, shape};
use crate::live::kafka::{Kind, Signal, Voters};

/// Where a run is killed, in this order. Before `sent` nothing was sent.
const POINTS: [&str; 5] = ["decided", "intended", "sent", "confirmed", "recorded"];

/// What shows no effect is waited for, for a minute, before it is tried again.
const SETTLES: Duration = Duration::from_secs(150);

/// Kills a pass at the point, and passes until the change is made and recorded: it is made once, whoever finds it made.
#[track_caller]
fn settles(bed: &Bed, point: &str, change: &str, after: &[i64]) {
    let (changes, intents) = (bed.changes(), bed.intents());
    let (place, begun) = (format!("ensemble.{point}:1"), Instant::now());
    let died = loop {
        let ran = bed.toolbox.run_until(&place, &["ensemble", "apply", "--once", "--yes"]);
        if ran.code.is_none() {
            break ran;
        }
        let is_late = begun.elapsed() > Duration::from_mins(1);
        assert!(matches!(ran.code, Some(4 | 5)) && !is_late, "{place}: {change}: {ran:#?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(died.out.contains(change), "{died:#?}");
    let (begun, mut is_confirmed, mut is_forgotten) = (Instant::now(), false, false);
    while bed.voters().0 != after || !bed.record()["op"].is_null() {
        let ran = bed.run(&["apply", "--once"]);
        is_confirmed |= ran.out.contains("was applied: confirm and record it");
        is_forgotten |= ran.out.contains("it was not applied");
        assert!(begun.elapsed() < SETTLES, "{point}: {change}: {ran:#?}");
        std::thread::sleep(Duration::from_millis(300));
    }
    // One more pass: it finds what a dead run wrote down, and nothing to do.
    let ran = bed.run(&["apply", "--once"]);
    assert!(!ran.out.contains("ADD: ") && !ran.out.contains("SHRINK"), "{point}: {change}: {ran:#?}");
    let is_sent = !["decided", "intended"].contains(&point);
    assert_eq!(is_confirmed, is_sent && point != "recorded", "{point}: {change}");
    assert_eq!(is_forgotten, point == "intended", "{point}: {change}");
    assert_eq!(bed.changes() - changes, 1, "{point}: {change}: one change, whenever the run was killed");
    // What was sent is not sent again.
    assert_eq!(bed.intents() - intents, if is_sent { 1 } else { 2 }, "{point}: {change}");
}

#[test]
fn a_change_of_voters_that_is_killed_at_any_point_is_settled_by_later_runs_and_made_once() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::start(Kind::Kafka43Kraft, shape(Voters::Initial, &[101, 102], &[103], &[]));
    bed.has_voters(&[101, 102]);
    bed.run(&["adopt", "--dev", "--size", "3"]).ends_with(0);
    let mut directory = bed.quorum.start_joiner(103).unwrap();
    for point in POINTS {
        bed.run(&["join", &format!("103={directory}"), "--size", "3"]).ends_with(0);
        settles(&bed, point, "ADD: controller 103", &[101, 102, 103]);
        // Its follower or its leader, as it happens: who leads is removed in the same way.
        bed.run(&["leave", "103", "--size", "1"]).ends_with(0);
        settles(&bed, point, "controller 103 (directory", &[101, 102]);
        bed.quorum.stop(103, Signal::Term).unwrap();
        directory = bed.quorum.replace_disk(103).unwrap();
        bed.quorum.launch(103).unwrap();
    }
    assert_eq!(bed.changes(), 2 * POINTS.len());
}
