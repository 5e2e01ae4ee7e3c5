//! The faults of an ensemble that take longer: `make acceptance`. Without `TOOLBOX_TEST_MEMBERSHIP` each ends at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::{Creation, Mode, Reconfiguration, ZooKeeper};
use rustix::process::Signal;

use crate::ensemble::bed::{Bed, block, session};
use crate::live::zookeeper::{Role, Shape};

/// Whether these tests are wanted.
fn is_wanted() -> bool {
    std::env::var("TOOLBOX_TEST_MEMBERSHIP").is_ok_and(|value| !value.is_empty())
}

/// What a client that writes all the time has seen.
struct Written {
    /// Numbers of the nodes whose creation was acknowledged.
    acknowledged: Vec<u64>,
    /// The longest time between two acknowledgements.
    longest_pause: Duration,
}

/// A client that creates one node after the other until it is stopped.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Written>,
}

impl Writer {
    fn start(addresses: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || block(write(addresses, stopped)));
        Self { stop, thread }
    }

    fn stop(self) -> Written {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

async fn write(addresses: String, stop: Arc<AtomicBool>) -> Written {
    let mut client = session(&addresses, None).await;
    let creation = Creation::open(Mode::Persistent);
    client.create("/written", b"", &creation).await.unwrap();
    let (mut acknowledged, mut longest_pause, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // A write whose answer was lost is not tried again: it counts as neither.
        match client.create(&format!("/written/{number}"), b"x", &creation).await {
            Ok(_) => {
                acknowledged.push(number);
                longest_pause = longest_pause.max(last.elapsed());
                last = Instant::now();
            }
            Err(error) if error.to_string().contains("session") => client = session(&addresses, None).await,
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Written { acknowledged, longest_pause }
}

/// Every acknowledged write is there, on each of these servers.
#[track_caller]
fn all_there(bed: &Bed, numbers: &[u32], written: &Written) {
    for number in numbers {
        let names = block(async {
            let client = bed.session(&[*number]).await;
            client.sync("/").await.unwrap();
            client.children("/written").await.unwrap()
        });
        let names: BTreeSet<_> = names.into_iter().collect();
        let lost: Vec<_> = written.acknowledged.iter().filter(|number| !names.contains(&number.to_string())).collect();
        assert!(lost.is_empty(), "server {number} lacks {lost:?}");
    }
}

#[test]
fn an_ensemble_grows_from_one_to_five_and_back_to_three_under_a_client_and_no_acknowledged_write_is_lost() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(4), 3);
    let writer = Writer::start(bed.servers.addresses(&[1, 2, 3, 4, 5]));
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2, 3]);
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3].into());
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4, 5]);
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3, 4, 5].into());
    assert_eq!(bed.versions(1), 5);
    // Back to three: the leader is among those that leave, and goes last.
    let leader = bed.servers.await_leader(&[1, 2, 3, 4, 5]).unwrap();
    let follower = if leader == 5 { 4 } else { 5 };
    let stay: Vec<_> = (1..=5).filter(|it| ![leader, follower].contains(it)).collect();
    bed.run(&["leave", &leader.to_string(), &follower.to_string(), "--size", "3"]).ends_with(0);
    let plan = bed.pass_until(0);
    assert!(plan.out.contains(&format!("SHRINK: server {follower} is removed")), "{plan:#?}");
    let plan = bed.pass_until(0);
    assert!(plan.out.contains(&format!("SHRINK-L: server {leader}, the leader, is removed")), "{plan:#?}");
    assert_eq!(bed.members(&stay), stay.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(bed.versions(stay[0]), if stay[0] == 1 { 7 } else { bed.versions(stay[0]) });
    bed.servers.await_leader(&stay).unwrap();
    let written = writer.stop();
    println!(
        "1 -> 3 -> 5 -> 3: {} writes acknowledged, the longest pause was {} ms",
        written.acknowledged.len(),
        written.longest_pause.as_millis()
    );
    assert!(written.acknowledged.len() > 100, "{}", written.acknowledged.len());
    all_there(&bed, &stay, &written);
    bed.each_change_has_one_outcome();
}

#[test]
fn a_run_that_is_killed_at_any_point_of_a_change_is_settled_by_later_ones_and_versions_are_counted() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    bed.launch(&[4]);
    let mut versions = bed.versions(1);
    let points = ["decided", "intended", "connected", "sent", "read_back", "activated", "confirmed", "recorded"];
    for (round, point) in points.into_iter().enumerate() {
        // Server 4 becomes an observer, and stops being one, in turn: one change each.
        let role = if round % 2 == 0 { Role::Observer } else { Role::Participant };
        bed.join(&[4], role, 3).ends_with(0);
        let place = format!("ensemble.{point}:1");
        let begun = Instant::now();
        let died = loop {
            let ran = bed.toolbox.run_until(&place, &Bed::line(&["apply", "--once"]));
            if ran.code.is_none() {
                break ran;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "{point}: {ran:#?}");
        };
        assert!(died.out.contains("server 4"), "{died:#?}");
        let begun = Instant::now();
        // What was not applied is waited for before it is tried again.
        while bed.members(&[1]).contains(&4) != (role == Role::Observer) || !bed.record()["op"].is_null() {
            let ran = bed.pass();
            assert!(begun.elapsed() < Duration::from_secs(150), "{point}: {ran:#?}");
            std::thread::sleep(Duration::from_millis(500));
        }
        versions += 1;
        assert_eq!(bed.versions(1), versions, "{point}: one change, whenever it was killed");
    }
    bed.each_change_has_one_outcome();
}

#[test]
fn two_runs_at_once_without_a_lock_make_one_change_a_version() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2, 3]);
    let line = Bed::line(&["apply", "--within", "60s", "--lock", "none"]);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| bed.toolbox.run(&line))).collect();
        for run in runs {
            let ran = run.join().unwrap();
            assert!(ran.code == Some(0) || ran.out.contains("E_CONFLICT"), "{ran:#?}");
        }
    });
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3].into());
    assert_eq!(bed.versions(1), 3);
}

#[test]
fn two_ensembles_under_one_configuration_are_refused_and_neither_is_written_to() {
    if !is_wanted() {
        return;
    }
    // Server 1 stands still while 2 and 3 start for the first time, all three of them participants.
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    let all: String =
        [1, 2, 3].map(|number| format!("{}\n", bed.servers.member(number).line(Role::Participant))).concat();
    bed.servers.freeze(1).unwrap();
    for number in [2, 3] {
        bed.servers.write_dynamic(number, &all).unwrap();
        bed.servers.launch(number).unwrap();
    }
    bed.servers.await_leader(&[2, 3]).unwrap();
    bed.servers.thaw(1).unwrap();
    bed.servers.await_serving(&[1, 2, 3]).unwrap();
    bed.join(&[2, 3], Role::Participant, 3);
    let versions = bed.versions(1);
    let named = bed.servers.addresses(&[1, 2, 3]);
    let refused = bed.run(&["apply", "--once", "--ensemble", "x", "--zookeeper", &named]).ends_with(4);
    assert!(refused.out.contains("E_SPLIT_BRAIN"), "{refused:#?}");
    assert_eq!(bed.versions(1), versions);
}

#[test]
fn followers_that_stand_still_during_a_call_make_its_result_unknown_and_it_is_never_sent_again() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4]);
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let followers: Vec<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != leader).collect();
    let words = Bed::line(&["apply", "--once", "--timeout", "5s"]);
    let freeze = |_: &rustix::process::Pid| followers.iter().for_each(|it| bed.servers.freeze(*it).unwrap());
    let ran = bed.toolbox.run_and_meanwhile("ensemble.connected:1", &words, freeze);
    for it in &followers {
        bed.servers.thaw(*it).unwrap();
    }
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let begun = Instant::now();
    while bed.members(&[1, 2, 3]) != [1, 2, 3, 4].into() || !bed.record()["op"].is_null() {
        let ran = bed.pass();
        assert!(begun.elapsed() < Duration::from_secs(150), "{ran:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(bed.versions(1), 2, "one change, though nobody knew for a while");
}

#[test]
fn a_leader_that_dies_while_joiners_are_measured_ends_the_pass_without_a_call() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4]);
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| bed.pass());
        std::thread::sleep(Duration::from_millis(2_500));
        bed.servers.stop(leader, Signal::KILL).unwrap();
        run.join().unwrap()
    });
    assert_ne!(ran.code, Some(0), "{ran:#?}");
    let other = if leader == 1 { 2 } else { 1 };
    assert_eq!(bed.versions(other), 1);
}

#[test]
fn with_a_dead_voter_a_joiner_that_is_an_observer_is_removed_and_added_again() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    bed.join(&[4], Role::Observer, 3).ends_with(0);
    bed.launch(&[4]);
    bed.pass_until(0);
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let dead = if leader == 3 { 2 } else { 3 };
    bed.servers.stop(dead, Signal::KILL).unwrap();
    let id = dead.to_string();
    bed.run(&["retire", &id, "--reason", "its disk is lost", "--max-risk", "loses-data"]).ends_with(0);
    bed.join(&[4], Role::Participant, 3).ends_with(0);
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("UNOBSERVE: server 4"), "{ran:#?}");
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("REPLACE: server 4 takes the place of server"), "{ran:#?}");
    let expected: BTreeSet<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != dead).collect();
    assert_eq!(bed.members(&[leader]), expected);
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
    assert_eq!(bed.versions(1), 4);
    bed.servers.await_serving(&[1, 2, 3]).unwrap();
    bed.apply().ends_with(0);
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

/// Agents that end with the test, whatever happens.
struct Agents(Vec<std::process::Child>);

impl Drop for Agents {
    fn drop(&mut self) {
        for agent in &mut self.0 {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

#[test]
fn of_two_agents_one_works_and_the_other_one_goes_on_when_that_is_killed() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2]);
    let start = |_: usize| {
        let mut agent = bed.toolbox.command(&["ensemble", "watch", "--interval", "1s"]);
        agent.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut agents = Agents((0..2).map(start).collect());
    let grows_to = |count: usize| {
        let begun = Instant::now();
        while bed.members(&[1]).len() < count {
            assert!(begun.elapsed() < Duration::from_secs(90), "no growth to {count}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    grows_to(2);
    // Whichever of them works: one is killed, and the next one is found by its successor.
    agents.0[0].kill().unwrap();
    bed.launch(&[3]);
    grows_to(3);
    assert_eq!(bed.versions(1), 3);
    let pid = rustix::process::Pid::from_child(&agents.0[1]);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let ended = agents.0[1].wait().unwrap();
    assert_eq!(ended.code(), Some(0), "an agent that is asked to end ends well");
}

/// Nodes of 900 KB, which a joiner has to copy before it follows.
const NODES: usize = 110;

#[test]
fn a_joiner_that_copies_a_large_snapshot_in_bursts_is_not_promoted_before_it_has_caught_up() {
    if !is_wanted() {
        return;
    }
    // A joiner may take 60 s for the snapshot (initLimit), and the servers hold it in memory.
    let shape = Shape::of(3).spares(2).heap(512).property("initLimit", "240").property("syncLimit", "60");
    let bed = Bed::adopted(&shape, 3);
    block(async {
        let client = bed.session(&[1, 2, 3]).await;
        let creation = Creation::open(Mode::Persistent);
        client.create("/large", b"", &creation).await.unwrap();
        let data = vec![b'x'; 900_000];
        for number in 0..NODES {
            client.create(&format!("/large/{number}"), &data, &creation).await.unwrap();
        }
        client.close().await.unwrap();
    });
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.servers.launch(4).unwrap();
    // It runs for 0.2 s of each second and a half, and is not a follower that keeps up.
    let stop = Arc::new(AtomicBool::new(false));
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
    println!("a joiner with {} MB caught up and was promoted within {} s", NODES * 9 / 10, begun.elapsed().as_secs());
    assert_eq!((bed.versions(1), bed.members(&[1])), (2, [1, 2, 3, 4].into()));
    let has_all = block(async {
        let client = bed.session(&[4]).await;
        client.sync("/").await.unwrap();
        client.children("/large").await.unwrap().len()
    });
    assert_eq!(has_all, NODES);
}
