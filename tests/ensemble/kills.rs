//! Fault 13 at every point of a change, of each kind that a ZooKeeper ensemble has: the tool is killed, later runs settle what it
//! left, and versions are counted. For `make acceptance`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rustix::process::Signal;

use crate::ensemble::bed::{Bed, is_wanted};
use crate::ensemble::guard::Guard;
use crate::live::zookeeper::{Role, Shape};

/// Where a run is killed, in this order. Before `sent` nothing was sent.
const POINTS: [&str; 8] =
    ["decided", "intended", "connected", "sent", "read_back", "activated", "confirmed", "recorded"];

/// What was not applied is waited for, for a minute, before it is tried again.
const SETTLES: Duration = Duration::from_secs(150);

/// One change, and how it is told that it was made.
struct Killed<'a> {
    bed: &'a Bed,
    /// The point.
    point: &'a str,
    /// What the plan says of the change.
    change: String,
    /// The members after it.
    after: BTreeSet<u32>,
    /// Servers that stay all the time.
    stay: Vec<u32>,
}

impl Killed<'_> {
    /// Kills a pass at the point, and passes until the change is made and recorded: it is made once, whoever finds it made.
    #[track_caller]
    fn settles(&self) {
        let Self { bed, point, change, after, stay } = self;
        let versions = || stay.iter().map(|it| bed.versions(*it)).collect::<Vec<_>>();
        let (before, intents) = (versions(), bed.intents());
        self.dies();
        let (begun, mut is_confirmed, mut is_forgotten) = (Instant::now(), false, false);
        while bed.members(stay) != *after || !bed.record()["op"].is_null() {
            let ran = bed.pass();
            is_confirmed |= ran.out.contains("was applied: confirm and record it");
            is_forgotten |= ran.out.contains("it was not applied");
            assert!(begun.elapsed() < SETTLES, "{point}: {change}: {ran:#?}");
            std::thread::sleep(Duration::from_millis(300));
        }
        // One more pass: it finds what a dead run wrote down, and nothing to do.
        let ran = bed.pass();
        assert!(!ran.out.contains("reconfig -"), "{point}: {change}: {ran:#?}");
        let is_sent = !["decided", "intended", "connected"].contains(point);
        assert_eq!(is_confirmed, is_sent && *point != "recorded", "{point}: {change}");
        assert_eq!(is_forgotten, ["intended", "connected"].contains(point), "{point}: {change}");
        let expected: Vec<_> = before.iter().map(|count| count + 1).collect();
        assert_eq!(versions(), expected, "{point}: {change}: one change, whenever the run was killed");
        // What was sent is not sent again.
        assert_eq!(bed.intents() - intents, if is_sent { 1 } else { 2 }, "{point}: {change}");
    }

    /// Passes until one gets as far as the point. Before that, one may have to wait.
    #[track_caller]
    fn dies(&self) {
        let (place, begun) = (format!("ensemble.{}:1", self.point), Instant::now());
        loop {
            let ran = self.bed.toolbox.run_until(&place, &Bed::line(&["apply", "--once"]));
            if ran.code.is_none() {
                assert!(ran.out.contains(&self.change), "{place}: {ran:#?}");
                return;
            }
            let is_late = begun.elapsed() > Duration::from_mins(1);
            assert!(matches!(ran.code, Some(4 | 5)) && !is_late, "{place}: {}: {ran:#?}", self.change);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_point_of_a_change_is_settled_by_later_ones_and_versions_are_counted() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    let guard = Guard::start(&bed.servers, &[1, 2, 3]);
    bed.launch(&[4]);
    for (round, point) in POINTS.into_iter().enumerate() {
        // Server 4 becomes an observer, and stops being one, in turn: one change each.
        let is_in = round % 2 == 0;
        let role = if is_in { Role::Observer } else { Role::Participant };
        bed.join(&[4], role, 3).ends_with(0);
        let change = if is_in { "OBSERVE: server 4" } else { "UNOBSERVE: server 4" }.to_owned();
        let after = if is_in { [1, 2, 3, 4].into() } else { [1, 2, 3].into() };
        Killed { bed: &bed, point, change, after, stay: vec![1, 2, 3] }.settles();
    }
    guard.ends(&bed.servers, &[1, 2, 3], "killed while an observer came and went");
    bed.each_change_has_one_outcome();
}

#[test]
fn a_replacement_that_is_killed_at_any_point_is_one_change_and_no_acknowledged_write_is_lost() {
    if !is_wanted() {
        return;
    }
    let spares = u32::try_from(POINTS.len()).unwrap();
    let bed = Bed::adopted(&Shape::of(3).spares(spares), 3);
    let all: Vec<_> = (1..=3 + spares).collect();
    // Those that are named first are replaced one after the other.
    let named = bed.servers.addresses(&all);
    let bed = bed.with("TOOLBOX_ZOOKEEPER", &named);
    let guard = Guard::start(&bed.servers, &all);
    let mut voters: BTreeSet<u32> = [1, 2, 3].into();
    for (joiner, point) in (4..).zip(POINTS) {
        let now: Vec<_> = voters.iter().copied().collect();
        let leader = bed.servers.await_leader(&now).unwrap();
        let dead = now.into_iter().find(|it| *it != leader).unwrap();
        bed.servers.stop(dead, Signal::KILL).unwrap();
        voters.remove(&dead);
        let stay: Vec<_> = voters.iter().copied().collect();
        let reason = ["--reason", "its disk is lost", "--max-risk", "loses-data"];
        bed.run(&[&["retire", dead.to_string().as_str()], &reason[..]].concat()).ends_with(0);
        bed.was_alive_before(dead, SignedDuration::from_hours(1));
        bed.join(&[joiner], Role::Participant, 3).ends_with(0);
        bed.launch(&[joiner]);
        voters.insert(joiner);
        let change = format!("REPLACE: server {joiner} takes the place of server {dead}");
        Killed { bed: &bed, point, change, after: voters.clone(), stay }.settles();
    }
    guard.ends(&bed.servers, &voters.into_iter().collect::<Vec<_>>(), "killed while dead voters were replaced");
    bed.each_change_has_one_outcome();
}

#[test]
fn a_removal_of_the_leader_that_is_killed_at_any_point_is_one_change_and_no_acknowledged_write_is_lost() {
    if !is_wanted() {
        return;
    }
    for point in POINTS {
        // Each on an ensemble of its own: between two changes of the leader lie five minutes.
        let bed = Bed::adopted(&Shape::of(4), 3);
        let all = [1, 2, 3, 4];
        let leader = bed.servers.await_leader(&all).unwrap();
        let stay: Vec<_> = all.into_iter().filter(|it| *it != leader).collect();
        let guard = Guard::start(&bed.servers, &all);
        bed.run(&["leave", &leader.to_string(), "--size", "3"]).ends_with(0);
        let change = format!("SHRINK-L: server {leader}, the leader, is removed");
        let after = stay.iter().copied().collect();
        Killed { bed: &bed, point, change, after, stay: stay.clone() }.settles();
        guard.ends(&bed.servers, &stay, &format!("killed at `{point}` of the leader's removal"));
        bed.each_change_has_one_outcome();
    }
}
