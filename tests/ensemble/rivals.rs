//! Two of what there should be one of: ensembles, runs, agents, and a removed server that elects itself. For `make acceptance`.

use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::{Creation, Mode, ZooKeeper};
use rustix::process::Signal;
use serde_json::Value;

use crate::ensemble::agents::Agent;
use crate::ensemble::bed::{Bed, block, is_wanted};
use crate::live::zookeeper::{Role, Shape};
use crate::support::toolbox::Ran;

/// All that a run said.
fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

/// What a side of a split has, by one of its servers: its configuration, and the nodes that changes and `adopt` leave behind.
fn side(bed: &Bed, number: u32) -> (String, Vec<Option<i64>>) {
    let nodes = block(async {
        let session = bed.session(&[number]).await;
        let mut nodes = Vec::new();
        for path in ["/kafka-toolbox", "/kafka-toolbox/ensemble-id", "/kafka-toolbox/changes"] {
            nodes.push(session.stat(path).await.unwrap().map(|stat| stat.mzxid));
        }
        session.close().await.unwrap();
        nodes
    });
    (bed.configuration(&[number]), nodes)
}

/// A write that a server takes.
fn writes(bed: &Bed, number: u32, path: &str) {
    block(async {
        let session = bed.session(&[number]).await;
        session.create(path, b"x", &Creation::open(Mode::Persistent)).await.unwrap();
        session.close().await.unwrap();
    });
}

#[test]
fn two_ensembles_under_one_configuration_are_named_by_every_verb_and_neither_is_written_to() {
    if !is_wanted() {
        return;
    }
    // Server 1 stands still while 2 and 3 start for the first time, all three of them participants.
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    let all: String =
        [1, 2, 3].map(|number| format!("{}\n", bed.servers.member(number).line(Role::Participant))).concat();
    bed.servers.freeze(1).unwrap();
    for number in [2, 3] {
        bed.servers.write_dynamic(number, &all).unwrap();
        bed.servers.launch(number).unwrap();
    }
    let other = bed.servers.await_leader(&[2, 3]).unwrap();
    bed.servers.thaw(1).unwrap();
    bed.servers.await_serving(&[1, 2, 3]).unwrap();
    writes(&bed, 1, "/one");
    writes(&bed, other, "/other");

    let before = (side(&bed, 1), side(&bed, other), bed.record(), [1, 2, 3].map(|number| bed.versions(number)));
    assert_ne!(before.0.1, before.1.1, "they are two: one has the id that `adopt` gave it");
    let named = bed.servers.addresses(&[1, 2, 3]);
    let both = ["server 1 leads".to_owned(), format!("server {other} leads")];
    // The record says where servers 2 and 3 are, so that one address of one side is enough.
    for more in [&[][..], &["--zookeeper", named.as_str()]] {
        let status = bed.run(&[&["status"], more].concat()).ends_with(5);
        let text = said(&status);
        assert!(text.contains("E_SPLIT_BRAIN") && text.contains(&format!("2 servers lead: 1 and {other}")), "{text}");
        for verb in [&["plan"][..], &["apply", "--once"]] {
            let refused = bed.run(&[verb, more].concat()).ends_with(4);
            let text = said(&refused);
            assert!(text.contains("E_SPLIT_BRAIN") && both.iter().all(|side| text.contains(side)), "{text}");
        }
    }
    let mut agent = Agent::start(&bed.toolbox, "watch");
    agent.until_says("refused: E_SPLIT_BRAIN");
    agent.until_says(&both[1]);
    assert_eq!(agent.ends(), Some(0), "{}", agent.said());
    let after = (side(&bed, 1), side(&bed, other), bed.record(), [1, 2, 3].map(|number| bed.versions(number)));
    assert_eq!(after, before);
    assert_eq!(bed.intents(), 0);
}

#[test]
fn of_two_runs_without_a_lock_the_slower_one_is_in_conflict_or_waits_and_each_change_is_made_once() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2, 3]);
    let words = ["apply", "--once", "--lock", "none"];
    let line = Bed::line(&words);
    let other = || {
        let begun = Instant::now();
        loop {
            let ran = bed.run(&words);
            if ran.code != Some(5) || begun.elapsed() > Duration::from_secs(40) {
                return ran;
            }
        }
    };
    // It has decided, and has not written that down yet.
    bed.until_planned();
    let slow = bed.toolbox.run_and_meanwhile("ensemble.decided:1", &line, |_| drop(other().ends_with(0))).ends_with(4);
    assert!(slow.out.contains("E_CONFLICT") && slow.out.contains("was changed by another run"), "{slow:#?}");
    assert_eq!((bed.versions(1), bed.members(&[1])), (2, [1, 2].into()));
    // It has written down what it is about to send: the other one sees that.
    bed.until_planned();
    let waits = |_: &_| {
        let ran = bed.run(&words).ends_with(5);
        assert!(ran.out.contains("PROMOTE of server 3 was sent") && ran.out.contains("shows no effect"), "{ran:#?}");
    };
    bed.toolbox.run_and_meanwhile("ensemble.connected:1", &line, waits).ends_with(0);
    assert_eq!((bed.versions(1), bed.members(&[1])), (3, [1, 2, 3].into()));
    assert_eq!(bed.record()["history"].as_array().unwrap().len(), 2);
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
fn of_two_agents_one_works_and_the_other_one_goes_on_when_that_is_killed() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2]);
    let mut agents = ["one", "other"].map(|name| Agent::start(&bed.toolbox, name));
    let grows_to = |count: usize| {
        let begun = Instant::now();
        while bed.members(&[1]).len() < count || !bed.record()["op"].is_null() {
            assert!(begun.elapsed() < Duration::from_secs(90), "no growth to {count}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    grows_to(2);
    let working = bed.holder().unwrap();
    let works = agents.iter().position(|agent| agent.pid() == working).unwrap();
    let [worker, standby] = [works, 1 - works];
    assert!(agents[worker].said().contains("done: + PROMOTE: server 2"), "{}", agents[worker].said());
    assert!(!agents[standby].said().contains("PROMOTE"), "{}", agents[standby].said());
    agents[worker].is_killed();
    bed.launch(&[3]);
    grows_to(3);
    assert_eq!(bed.holder(), Some(agents[standby].pid()));
    agents[standby].until_says("done: + PROMOTE: server 3");
    assert_eq!((bed.versions(1), bed.intents()), (3, 2));
    assert_eq!(agents[standby].ends(), Some(0), "an agent that is asked to end ends well");
}

#[test]
fn a_removed_server_that_elects_itself_alone_is_not_believed_and_is_named() {
    if !is_wanted() {
        return;
    }
    let bed = Bed::adopted(&Shape::of(4), 3);
    let leader = bed.servers.await_leader(&[1, 2, 3, 4]).unwrap();
    let removed = if leader == 4 { 3 } else { 4 };
    let stay: Vec<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != removed).collect();
    bed.run(&["leave", &removed.to_string(), "--size", "3"]).ends_with(0);
    let ran = bed.pass_until(0);
    assert!(ran.out.contains(&format!("SHRINK: server {removed} is removed")), "{ran:#?}");
    assert!(bed.servers.srvr(removed).unwrap().contains("Mode: follower"), "it runs on");
    let only = bed.servers.addresses(&[removed]);
    let names = format!("server {removed} says `follower` and is no member");
    let status = bed.run(&["status", "--zookeeper", &only]);
    assert!(status.out.contains(&names), "it is asked alone, and the others are found: {status:#?}");

    // It starts again from a file that has nobody but itself: with the data, and the id, of the ensemble.
    bed.servers.stop(removed, Signal::KILL).unwrap();
    let own = format!("{}\n", bed.servers.member(removed).line(Role::Participant));
    bed.servers.write_dynamic(removed, &own).unwrap();
    bed.servers.launch(removed).unwrap();
    bed.servers.await_leader(&[removed]).unwrap();
    let (versions, record) = (stay.iter().map(|it| bed.versions(*it)).collect::<Vec<_>>(), bed.record());
    for verb in [&["plan"][..], &["apply", "--once"]] {
        let refused = bed.run(&[verb, &["--zookeeper", &only]].concat()).ends_with(4);
        let text = said(&refused);
        assert!(
            text.contains("E_SPLIT_BRAIN") && text.contains(&format!("server {removed} leads {removed} at")),
            "{text}"
        );
        assert!(text.contains(&format!("server {leader} leads")), "the record knows the others: {text}");
    }
    // The others are down: it alone would be believed by whoever asks nobody else.
    for number in &stay {
        bed.servers.stop(*number, Signal::KILL).unwrap();
    }
    let refused = bed.run(&["apply", "--once", "--zookeeper", &only]).ends_with(4);
    assert!(said(&refused).contains("E_MEMBERSHIP_REGRESSED"), "{refused:#?}");
    assert_eq!(bed.record(), record);
    assert_eq!(stay.iter().map(|it| bed.versions(*it)).collect::<Vec<_>>(), versions);
    assert_eq!(record["members"][removed.to_string()]["state"], Value::from("retired"));
}
