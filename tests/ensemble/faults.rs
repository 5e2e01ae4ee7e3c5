//! The faults of an ensemble that take longer: `make acceptance`. Without `TOOLBOX_TEST_MEMBERSHIP` each ends at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kafka_toolbox::clients::zookeeper::{Creation, Mode, Reconfiguration, ZooKeeper};
use rustix::process::Signal;

use crate::ensemble::bed::{Bed, block, is_wanted};
use crate::ensemble::guard::{Guard, PAUSE_MAX};
use crate::live::kafka::wait::say;
use crate::live::zookeeper::{Role, Shape};

#[test]
fn an_ensemble_grows_from_one_to_five_and_back_to_three_under_a_client_and_no_acknowledged_write_is_lost() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(4), 3).with("TOOLBOX_LOG", "info");
    let all = [1, 2, 3, 4, 5];
    let guard = Guard::start(&bed.servers, &all);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2, 3]);
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3].into());
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4, 5]);
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), all.into());
    assert_eq!((bed.versions(1), bed.intents()), (5, 4), "the first one, and one a server");
    // Back to three: the leader is among those that leave, and goes last.
    let leader = bed.servers.await_leader(&all).unwrap();
    let follower = if leader == 5 { 4 } else { 5 };
    let stay: Vec<_> = all.into_iter().filter(|it| ![leader, follower].contains(it)).collect();
    let versions = |fewer: usize| stay.iter().map(|it| bed.versions(*it) - fewer).collect::<Vec<_>>();
    let grown = versions(0);
    bed.run(&["leave", &leader.to_string(), &follower.to_string(), "--size", "3"]).ends_with(0);
    let first = bed.pass_until(0);
    assert!(first.out.contains(&format!("SHRINK: server {follower} is removed")), "{first:#?}");
    assert_eq!(versions(1), grown, "one change, on whoever stays");
    // Who asks a follower to remove the leader loses its connection in the election, mostly before the answer has come.
    let last = bed.pass_until(0);
    assert!(last.out.contains(&format!("SHRINK-L: server {leader}, the leader, is removed")), "{last:#?}");
    let is_lost = last.err.contains("the answer was lost: the configuration is read back");
    say(&format!("the answer to the removal of the leader {}", if is_lost { "was lost" } else { "came" }));
    assert_eq!(versions(2), grown, "exactly one change more");
    assert_eq!(bed.members(&stay), stay.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(bed.intents(), 6, "nothing was sent twice");
    bed.servers.await_leader(&stay).unwrap();
    assert!(bed.record()["op"].is_null(), "{:#}", bed.record());
    let written = guard.ends(&bed.servers, &stay, "1 -> 3 -> 5 -> 3");
    assert!(written.acknowledged.len() > 100, "{}", written.acknowledged.len());
    assert!(written.longest_pause < PAUSE_MAX, "{:?}", written.longest_pause);
    bed.each_change_has_one_outcome();
}

#[test]
fn with_a_dead_voter_a_joiner_that_is_an_observer_is_removed_and_added_again() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    let guard = Guard::start(&bed.servers, &[1, 2, 3]);
    bed.join(&[4], Role::Observer, 3).ends_with(0);
    bed.launch(&[4]);
    bed.pass_until(0);
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let dead = if leader == 3 { 2 } else { 3 };
    bed.servers.stop(dead, Signal::KILL).unwrap();
    let id = dead.to_string();
    bed.run(&["retire", &id, "--reason", "its disk is lost", "--max-risk", "loses-data"]).ends_with(0);
    bed.was_alive_before(dead, SignedDuration::from_hours(1));
    bed.join(&[4], Role::Participant, 3).ends_with(0);
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("UNOBSERVE: server 4"), "{ran:#?}");
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("REPLACE: server 4 takes the place of server"), "{ran:#?}");
    let expected: BTreeSet<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != dead).collect();
    assert_eq!(bed.members(&[leader]), expected);
    assert_eq!((bed.versions(leader), bed.intents()), (4, 3), "observed, removed, replaced: no call was refused");
    guard.ends(&bed.servers, &expected.into_iter().collect::<Vec<_>>(), "an observer for a dead voter");
}

#[test]
fn addresses_of_members_change_one_at_a_time_and_that_of_the_leader_last() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3), 3);
    let moved = |number: u32| {
        let line = bed.servers.member(number).line(Role::Participant);
        line.replacen("=127.0.0.1:", "=127.0.0.2:", 1)
    };
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let guard = Guard::start(&bed.servers, &[1, 2, 3]);
    let lines = [1, 2, 3].map(moved);
    bed.run(&["join", &lines[0], &lines[1], &lines[2]]).ends_with(0);
    let mut targets = Vec::new();
    for _ in 0..3 {
        let ran = bed.pass_until(0);
        let line = ran.out.lines().find(|line| line.contains("READDRESS: server ")).unwrap().to_owned();
        let rest = line.split_once("READDRESS: server ").unwrap().1;
        targets.push(rest.split(' ').next().unwrap().parse::<u32>().unwrap());
    }
    assert_eq!(targets[2], leader, "{targets:?}");
    assert_eq!((bed.versions(1), bed.intents()), (4, 3), "one change a server");
    bed.servers.await_serving(&[1, 2, 3]).unwrap();
    bed.apply().ends_with(0);
    guard.ends(&bed.servers, &[1, 2, 3], "three addresses changed");
}

#[test]
fn a_membership_that_somebody_else_changed_is_refused_until_it_is_adopted() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    bed.launch(&[4]);
    let joining = vec![bed.servers.member(4).line(Role::Participant)];
    bed.meddle(&Reconfiguration { joining, ..Reconfiguration::default() });
    let refused = bed.pass().ends_with(4);
    assert!(refused.out.contains("E_MEMBERSHIP_REGRESSED"), "{refused:#?}");
    let events = bed.toolbox.audit();
    assert!(events.iter().any(|event| event.title.contains("E_MEMBERSHIP_REGRESSED")), "{events:#?}");
    bed.run(&["adopt", "--size", "5"]).ends_with(0);
    assert_eq!(bed.record()["members"]["4"]["state"], "voter");
}

/// Nodes of 900 KB, 200 MB together, which a joiner has to copy before it follows.
const NODES: usize = 223;

/// ZooKeeper keeps the last 500 changes in memory, and no fewer (`commitLogCount`): each as it came, and as it is sent to followers.
/// So many small ones after each large one leave room for these.
const SMALL: usize = 5;

/// Fills an ensemble with [`NODES`].
fn fill(bed: &Bed) {
    block(async {
        let client = bed.session(&[1, 2, 3]).await;
        let creation = Creation::open(Mode::Persistent);
        client.create("/large", b"", &creation).await.unwrap();
        client.create("/small", b"", &creation).await.unwrap();
        let small = async |count: usize| {
            for _ in 0..count {
                client.set("/small", b"x", None).await.unwrap();
            }
        };
        let data = vec![b'x'; 900_000];
        for number in 0..NODES {
            client.create(&format!("/large/{number}"), &data, &creation).await.unwrap();
            small(SMALL).await;
        }
        // From here on a joiner can't be given changes instead of a snapshot.
        small(500).await;
        client.close().await.unwrap();
    });
}

#[test]
fn a_joiner_that_copies_a_large_snapshot_in_bursts_is_not_promoted_before_it_has_caught_up() {
    if !is_wanted() {
        return;
    }
    // A joiner may take two minutes for the snapshot (initLimit), and each server holds it in memory.
    let shape = Shape::of(3).spares(2).heap(768).property("initLimit", "240").property("syncLimit", "60");
    let bed = Bed::adopted(&shape, 3);
    fill(&bed);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.servers.launch(4).unwrap();
    // It runs for 0.2 s of each second and a half, and is not a follower that keeps up.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let bursts = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                bed.servers.freeze(4).unwrap();
                std::thread::sleep(Duration::from_millis(1_300));
                bed.servers.thaw(4).unwrap();
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let begun = Instant::now();
        let (mut waited, mut passes) = (0, 0);
        while begun.elapsed() < Duration::from_secs(25) {
            let ran = bed.pass();
            passes += 1;
            assert!(matches!(ran.code, Some(4 | 5)), "{ran:#?}");
            waited += usize::from(ran.out.contains("E_NOT_CAUGHT_UP"));
            assert_eq!((bed.versions(1), bed.members(&[1, 2, 3])), (1, [1, 2, 3].into()), "{ran:#?}");
        }
        assert!(waited > 0, "none of {passes} passes said what it waits for");
        stop.store(true, Ordering::SeqCst);
        bursts.join().unwrap();
    });
    let begun = Instant::now();
    bed.servers.await_serving(&[4]).unwrap();
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("PROMOTE: server 4"), "{ran:#?}");
    let log = std::fs::read_to_string(bed.servers.folder().join("logs/zookeeper-4.log")).unwrap();
    assert!(log.contains("Getting a snapshot from leader"), "{log}");
    let (megabytes, seconds) = (NODES * 9 / 10, begun.elapsed().as_secs());
    say(&format!("a joiner with {megabytes} MB caught up and was promoted within {seconds} s"));
    assert_eq!((bed.versions(1), bed.members(&[1])), (2, [1, 2, 3, 4].into()));
    let has_all = block(async {
        let client = bed.session(&[4]).await;
        client.sync("/").await.unwrap();
        client.children("/large").await.unwrap().len()
    });
    assert_eq!(has_all, NODES);
}
