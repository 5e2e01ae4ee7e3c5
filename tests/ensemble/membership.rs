//! Changes of real ensembles by `toolbox ensemble`, and the faults that it has to survive: those that take seconds.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::{Creation, Mode, Reconfiguration, ZooKeeper};
use rustix::process::Signal;

use crate::ensemble::bed::{Bed, block};
use crate::ensemble::guard::Guard;
use crate::live::zookeeper::{Role, Shape};

#[test]
fn an_ensemble_grows_from_one_to_three_and_a_second_run_finds_nothing_to_do() {
    let bed = Bed::start(&Shape::of(1).spares(2));
    let refused = bed.run(&["apply"]).ends_with(4);
    assert!(refused.err.contains("E_NOT_ADOPTED"), "{refused:#?}");
    bed.run(&["adopt", "--size", "3"]).ends_with(0);
    assert!(bed.run(&["adopt", "--size", "3"]).ends_with(0).out.contains("nothing to do"));
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2, 3]);
    let plan = bed.run(&["plan"]).ends_with(3);
    assert!(plan.out.contains("reconfig -add 2=127.0.0.1:") && plan.out.contains("I5"), "{plan:#?}");
    let status = bed.run(&["status"]);
    assert!(
        status.out.contains("Next step of `toolbox ensemble apply`: ") && status.out.contains("PROMOTE: server 2"),
        "{status:#?}"
    );
    bed.apply().ends_with(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3].into());
    assert_eq!(bed.versions(1), 3, "the first one, and one a server");
    assert!(bed.apply().ends_with(0).out.contains("nothing to do"));
    assert_eq!(bed.versions(1), 3);
    bed.each_change_has_one_outcome();
}

#[test]
fn an_election_that_no_pass_saw_begins_the_rest_anew() {
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4, 5]);
    bed.until_planned();
    let former = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    bed.servers.stop(former, Signal::KILL).unwrap();
    let others: Vec<_> = [1, 2, 3].into_iter().filter(|number| *number != former).collect();
    bed.servers.await_leader(&others).unwrap();
    bed.launch(&[former]);
    bed.edit_record(|record| record["lastConfig"]["since"] = "2026-01-01T00:00:00Z".into());
    let begun = Instant::now();
    let waits = loop {
        // Joiners find the new leader within seconds.
        let plan = bed.run(&["plan", "--rest", "10m"]);
        if plan.out.contains("I11") {
            break plan;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{plan:#?}");
    };
    assert!(waits.out.contains("the leader was elected ") && waits.out.contains(" 600 s are waited for"), "{waits:#?}");
    assert!(!waits.out.contains("reconfig -"), "{waits:#?}");
    bed.until_planned();
}

#[test]
fn one_ensemble_has_one_record_and_one_lock_whatever_name_leads_to_it() {
    let bed = Bed::start(&Shape::of(1));
    let adopt = |name: &[&str]| bed.run(&[&["adopt", "--dev", "--size", "1"], name].concat());
    adopt(&["--ensemble", "one"]).ends_with(0);
    let second = adopt(&["--ensemble", "second"]).ends_with(4);
    let words = "it is recorded already";
    assert!(second.out.contains("E_CONFLICT") && second.out.contains(words), "{second:#?}");
    assert!(second.out.contains("Give --ensemble one"), "{second:#?}");
    assert!(adopt(&[]).ends_with(0).out.contains("nothing to do"), "without a name it is found by the ensemble's id");
    // Kafka clusters in chroots that nobody names: their brokers are not rolled meanwhile.
    block(async {
        let (session, creation) = (bed.session(&[1]).await, Creation::open(Mode::Persistent));
        for (path, data) in [
            ("/kafka", ""),
            ("/kafka/eu", ""),
            ("/kafka/eu/cluster", ""),
            ("/kafka/eu/cluster/id", r#"{"version":"1","id":"cluster-of-eu"}"#),
            ("/cluster", ""),
            ("/cluster/id", r#"{"version":"1","id":"cluster-at-root"}"#),
        ] {
            session.create(path, data.as_bytes(), &creation).await.unwrap();
        }
        session.close().await.unwrap();
    });
    bed.run(&["apply", "--ensemble", "one"]).ends_with(0);
    let id = bed.record()["ensembleId"].as_str().unwrap().to_owned();
    let locks = std::fs::read_dir(bed.toolbox.state().join("locks")).unwrap();
    let locks: Vec<_> = locks.map(|lock| lock.unwrap().file_name().into_string().unwrap()).collect();
    for id in [id.as_str(), "cluster-of-eu", "cluster-at-root"] {
        assert!(locks.iter().any(|name| name.starts_with(&format!("disruption-{id}"))), "{id}: {locks:?}");
    }
    let other = bed.run(&["apply", "--ensemble", "one", "--cluster-id", "another"]).ends_with(4);
    assert!(other.err.contains("E_WRONG_ENSEMBLE: this ensemble serves the Kafka clusters "), "{other:#?}");
}

#[test]
fn a_record_of_another_ensemble_is_refused_by_every_verb_before_anything_is_written() {
    let bed = Bed::start(&Shape::of(1));
    bed.run(&["adopt", "--dev", "--size", "1", "--ensemble", "own"]).ends_with(0);
    let folder = bed.toolbox.state().join("records");
    let other = folder.join("ensemble-other.json");
    let mut record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("ensemble-own.json")).unwrap()).unwrap();
    (record["cluster_id"], record["cluster_name"]) = ("other".into(), "other".into());
    record["document"]["ensembleId"] = "another-ensemble".into();
    std::fs::write(&other, record.to_string()).unwrap();
    let before = std::fs::read(&other).unwrap();
    let line = "2=127.0.0.1:1:2;127.0.0.1:3";
    let verbs: [&[&str]; 6] = [
        &["join", line],
        &["leave", "1"],
        &["retire", "1", "--reason", "x"],
        &["plan"],
        &["apply", "--once"],
        &["adopt", "--dev"],
    ];
    for verb in verbs {
        let ran = bed.run(&[verb, &["--ensemble", "other"]].concat()).ends_with(4);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            said.contains("E_WRONG_ENSEMBLE") && said.contains("belongs to ensemble another-ensemble, and"),
            "{ran:#?}"
        );
        assert!(!said.contains("stop the side"), "{ran:#?}");
    }
    let ran = bed.run(&["status", "--ensemble", "other"]).ends_with(5);
    assert!(ran.out.contains("refuse: E_WRONG_ENSEMBLE") && !ran.out.contains("Nothing is wrong"), "{ran:#?}");
    assert_eq!(std::fs::read(&other).unwrap(), before);
    bed.run(&["leave", "1", "--ensemble", "own"]).ends_with(0);
}

#[test]
fn an_ensemble_that_was_built_anew_at_the_same_addresses_is_not_joined_by_the_former_record() {
    let bed = Bed::start(&Shape::of(1));
    bed.run(&["adopt", "--size", "3", "--ensemble", "main"]).ends_with(0);
    bed.servers.stop(1, Signal::KILL).unwrap();
    bed.servers.wipe(1).unwrap();
    bed.servers.launch(1).unwrap();
    bed.servers.await_serving(&[1]).unwrap();
    let verbs: [&[&str]; 5] = [
        &["join", "2=127.0.0.1:1:2;127.0.0.1:3"],
        &["leave", "1"],
        &["plan"],
        &["apply", "--once"],
        &["adopt", "--size", "3"],
    ];
    let refused = |words: &str| {
        for verb in verbs {
            let ran = bed.run(&[verb, &["--ensemble", "main"]].concat()).ends_with(4);
            let said = format!("{}{}", ran.out, ran.err);
            assert!(said.contains("E_WRONG_ENSEMBLE") && said.contains(words), "{words}: {ran:#?}");
        }
    };
    refused("they lack the node /kafka-toolbox/ensemble-id, which `adopt` made");
    // The same where the record is of a time after changes.
    let path = bed.toolbox.state().join("records/ensemble-main.json");
    let mut record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(record["document"]["lastConfig"]["config"]["version"], "100000000");
    record["document"]["lastConfig"]["config"]["version"] = "700000003".into();
    std::fs::write(&path, record.to_string()).unwrap();
    refused("their configuration has version 100000000, the record has 700000003");
}

#[test]
fn a_joiner_that_does_not_run_is_waited_for_though_zookeeper_would_accept_it() {
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    let guard = Guard::start(&bed.servers, &[1, 2, 3]);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    let ran = bed.pass().ends_with(5);
    assert!(ran.out.contains("E_NOT_CAUGHT_UP") && ran.out.contains("server 4"), "{ran:#?}");
    assert_eq!((bed.versions(1), bed.intents()), (1, 0), "no call was sent");
    guard.ends(&bed.servers, &[1, 2, 3], "a joiner that does not run");
}

#[test]
fn a_configuration_that_somebody_changed_between_look_and_call_is_a_conflict() {
    let bed = Bed::adopted(&Shape::of(3).spares(2), 3);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4]);
    let line = bed.servers.member(3).line(Role::Participant);
    let again = Reconfiguration { joining: vec![line], ..Reconfiguration::default() };
    let words = Bed::line(&["apply", "--once"]);
    let ran = bed.toolbox.run_and_meanwhile("intents:1", &words, |_| bed.meddle(&again)).ends_with(4);
    assert!(ran.out.contains("E_CONFLICT"), "{ran:#?}");
    assert!(bed.record()["op"].is_null(), "{:#}", bed.record());
    assert_eq!(bed.members(&[1]), [1, 2, 3].into());
    // The same members under a new version: it goes on.
    bed.pass_until(0);
    assert_eq!(bed.members(&[1]), [1, 2, 3, 4].into());
    assert_eq!(bed.versions(1), 3);
}

#[test]
fn without_a_quorum_nothing_is_changed_and_a_dead_voter_is_replaced_by_a_spare_in_one_call() {
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    let guard = Guard::start(&bed.servers, &[1, 2, 3, 4]);
    let leader = bed.servers.await_leader(&[1, 2, 3]).unwrap();
    let [dead, other] = [1, 2, 3].into_iter().filter(|it| *it != leader).collect::<Vec<_>>()[..] else { panic!() };
    bed.servers.stop(dead, Signal::KILL).unwrap();
    bed.servers.stop(other, Signal::KILL).unwrap();
    let ran = bed.pass().ends_with(4);
    assert!(ran.out.contains("E_NO_QUORUM") || ran.err.contains("E_NO_QUORUM"), "{ran:#?}");
    bed.servers.launch(other).unwrap();
    bed.servers.await_leader(&[leader, other]).unwrap();

    let id = dead.to_string();
    let alive = bed.run(&["retire", &other.to_string(), "--reason", "no", "--max-risk", "loses-data"]).ends_with(4);
    assert!(alive.out.contains("E_NOT_GONE"), "{alive:#?}");
    let kept = bed.run(&["retire", &id, "--reason", "its node burnt"]).ends_with(4);
    assert!(kept.out.contains("its risk is loses-data") && kept.out.contains("is given up"), "{kept:#?}");
    bed.run(&["retire", &id, "--reason", "its node burnt", "--max-risk", "loses-data"]).ends_with(0);
    bed.join(&[4], Role::Participant, 3).ends_with(0);
    bed.launch(&[4]);
    let ran = bed.pass_until(0);
    assert!(ran.out.contains("REPLACE: server 4 takes the place of server"), "{ran:#?}");
    assert_eq!(bed.members(&[leader]), [leader, other, 4].into());
    assert_eq!((bed.versions(leader), bed.intents()), (2, 1), "one call");
    guard.ends(&bed.servers, &[leader, other, 4], "a dead voter was replaced");
    assert_eq!(bed.record()["members"][&id]["state"], "retired");
    let again = bed.join(&[dead], Role::Participant, 3).ends_with(4);
    assert!(again.out.contains("E_RETIRED_DISK"), "{again:#?}");
}

#[test]
fn addresses_that_two_servers_name_or_that_nobody_knows_are_refused_before_any_call() {
    let bed = Bed::adopted(&Shape::of(3).spares(1), 3);
    let member = bed.servers.member(3);
    let twice = format!("4=127.0.0.1:{}:1:participant;127.0.0.1:{}", member.quorum, member.client);
    let ran = bed.run(&["join", &twice, "--size", "3"]).ends_with(4);
    assert!(ran.out.contains("E_BAD_ADDRESS"), "{ran:#?}");
    let spare = bed.servers.member(4);
    let nowhere = format!("4=nowhere.invalid:{}:{}:observer;127.0.0.1:{}", spare.quorum, spare.election, spare.client);
    bed.run(&["join", &nowhere]).ends_with(0);
    bed.launch(&[4]);
    let ran = bed.pass().ends_with(4);
    assert!(ran.out.contains("E_BAD_ADDRESS") && ran.out.contains("does not resolve"), "{ran:#?}");
    assert_eq!(bed.versions(1), 1);
}

#[test]
fn who_may_not_reconfigure_is_told_so_and_reconfiguration_that_is_off_is_named() {
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2]);
    let words = Bed::line(&["apply", "--once", "--zookeeper-user", "nobody"]);
    let ran = bed.toolbox.run(&words).ends_with(4);
    assert!(ran.out.contains("E_AUTH"), "{ran:#?}");
    assert!(bed.record()["op"].is_null());
    assert_eq!(bed.versions(1), 1);
    let off = Bed::start(&Shape::of(1).property("reconfigEnabled", ""));
    let ran = off.run(&["adopt", "--size", "3"]).ends_with(4);
    assert!(ran.out.contains("E_RECONFIG_OFF"), "{ran:#?}");
    let alone = Bed::start_alone(&Shape::of(1).property("standaloneEnabled", "true"));
    let ran = alone.run(&["adopt", "--size", "3"]).ends_with(4);
    assert!(ran.out.contains("E_RECONFIG_OFF"), "{ran:#?}");
}

#[test]
fn a_run_that_is_killed_after_the_call_is_settled_by_the_next_one_without_another_change() {
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2]);
    bed.toolbox.run_until("ensemble.sent:1", &Bed::line(&["apply", "--once"]));
    assert_eq!(bed.record()["op"]["target"], 2);
    assert_eq!(bed.versions(1), 2);
    let ran = bed.pass().ends_with(0);
    assert!(ran.out.contains("PROMOTE of server 2 was applied: confirm and record it"), "{ran:#?}");
    assert!(bed.record()["op"].is_null());
    assert_eq!(bed.record()["history"].as_array().unwrap().len(), 1);
    assert_eq!(bed.versions(1), 2, "no other change");
    bed.each_change_has_one_outcome();
}

#[test]
fn a_server_that_was_removed_and_still_runs_names_the_members_and_is_not_believed_alone() {
    let bed = Bed::adopted(&Shape::of(4), 3);
    let leader = bed.servers.await_leader(&[1, 2, 3, 4]).unwrap();
    let removed = if leader == 4 { 3 } else { 4 };
    let stay: Vec<_> = [1, 2, 3, 4].into_iter().filter(|it| *it != removed).collect();
    bed.run(&["leave", &removed.to_string(), "--size", "3"]).ends_with(0);
    bed.pass_until(0);
    assert_eq!(bed.members(&stay), stay.iter().copied().collect::<std::collections::BTreeSet<_>>());
    // It follows without a vote: what it says of the members is read, and they are asked.
    let only = bed.servers.addresses(&[removed]);
    let plan = bed.run(&["plan", "--zookeeper", &only]);
    assert!(plan.out.contains(&format!("server {removed} says `follower` and is no member")), "{plan:#?}");
    let versions = bed.versions(leader);
    for number in &stay {
        bed.servers.freeze(*number).unwrap();
    }
    let ran = bed.run(&["apply", "--once", "--zookeeper", &only, "--timeout", "5s"]).ends_with(4);
    assert!(ran.out.contains("E_NO_QUORUM") || ran.err.contains("E_NO_QUORUM"), "{ran:#?}");
    for number in &stay {
        bed.servers.thaw(*number).unwrap();
    }
    assert_eq!((bed.versions(leader), bed.intents()), (versions, 1));
}

#[test]
fn a_change_that_a_member_could_not_keep_stops_the_next_one_where_its_folder_is_looked_at() {
    let bed = Bed::adopted(&Shape::of(3).spares(2).obeying_modes(), 3);
    bed.join(&[4, 5], Role::Participant, 5).ends_with(0);
    bed.launch(&[4, 5]);
    let folder = bed.servers.home_of(2);
    let given = format!("2={}", folder.display());
    let folders = ["--conf-dir", given.as_str()];
    bed.run(&[&["plan"], &folders[..]].concat()).ends_with(3);
    set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    bed.pass_until(0);
    assert_eq!((bed.members(&[2]).len(), bed.versions(1)), (4, 2), "server 2 serves it, and has not kept it");

    let status = bed.run(&[&["status"], &folders[..]].concat()).ends_with(5);
    assert!(status.out.contains("server 2 has version 100000000 on its disk"), "{status:#?}");
    let waits = bed.run(&[&["apply", "--once"], &folders[..]].concat()).ends_with(5);
    assert!(waits.out.contains("E_CONFIG_NOT_PERSISTED"), "it may still be written: {waits:#?}");
    bed.edit_record(|record| {
        record["history"][0]["at"] = "2026-01-01T00:00:00Z".into();
        record["lastConfig"]["since"] = "2026-01-01T00:00:00Z".into();
    });
    for verb in [&["plan"][..], &["apply", "--once"]] {
        let refused = bed.run(&[verb, &folders[..]].concat()).ends_with(4);
        assert!(refused.out.contains("E_CONFIG_NOT_PERSISTED") && refused.out.contains("server 2"), "{refused:#?}");
    }
    assert_eq!(bed.versions(1), 2, "no second step");
    set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_ensemble_from_which_a_kafka_cluster_began_to_move_away_is_not_changed() {
    let bed = Bed::adopted(&Shape::of(1).spares(2), 3);
    bed.join(&[2, 3], Role::Participant, 3).ends_with(0);
    bed.launch(&[2]);
    let creation = Creation::open(Mode::Persistent);
    let create = |path: &str| {
        block(async {
            let session = bed.session(&[1]).await;
            session.create(path, b"", &creation).await.unwrap();
            session.close().await.unwrap();
        });
    };
    create("/migration");
    bed.run(&["plan"]).ends_with(3);
    create("/brokers");
    let refused = bed.pass().ends_with(4);
    assert!(refused.out.contains("E_MIGRATION") && refused.out.contains("deleteall /migration"), "{refused:#?}");
    assert_eq!(bed.versions(1), 1);
}
