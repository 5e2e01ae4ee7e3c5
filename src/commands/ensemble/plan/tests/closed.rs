//! What could not be read, or was not asked, counts as not safe: no change is made on it.

use super::scene::{Scene, ago, config, id, now, words};
use crate::cluster::ensemble::desired::{ChangeKind, Op};
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, NewPlace};
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::refuse::{is_split, split};
use crate::commands::ensemble::plan::settle::is_confirmed;
use crate::commands::ensemble::plan::{Input, decide};

/// Servers 4 and 5 follow, and should vote.
fn growing() -> Scene {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene
}

/// What is planned where nothing is sent.
fn says_loosely(scene: &Scene) -> String {
    let input = Input { desired: Some(&scene.desired), seen: &scene.seen, now: now(), rest: SETTLE, is_strict: false };
    words(&decide(input).decision)
}

#[track_caller]
fn says(scene: &Scene, begin: &str, part: &str) {
    let said = scene.says();
    assert!(said.starts_with(begin) && said.contains(part), "{begin} … {part}: {said}");
}

#[test]
fn a_member_whose_folder_lacks_the_live_configuration_or_can_not_be_read_stops_the_next_change() {
    for spoil in
        [(|scene: &mut Scene| scene.view(2).disk_version = Some(ConfigVersion(0xff))) as fn(&mut Scene), |scene| {
            scene.view(2).disk_unread = Some("no such folder".to_owned());
        }]
    {
        let mut scene = growing();
        spoil(&mut scene);
        says(&scene, "E_CONFIG_NOT_PERSISTED: ", "server 2");
        let findings = scene.pass().findings;
        assert!(
            findings.iter().any(|it| it.text.contains("server 2") && it.text.contains("a restart")),
            "{findings:?}"
        );
        scene.desired.last_config.as_mut().unwrap().since = ago(31);
        says(&scene, "wait: ", "E_CONFIG_NOT_PERSISTED");
        scene.desired.last_config.as_mut().unwrap().since = ago(60);
        says(&scene, "E_CONFIG_NOT_PERSISTED: ", "for more than 60 s");
    }
    let mut scene = growing();
    scene.view(2).disk_version = Some(ConfigVersion(0x1_0000_0000));
    // A joiner's file is not that of a member.
    scene.view(4).disk_version = Some(ConfigVersion(0));
    says(&scene, "PROMOTE", "server 4");
}

/// Server 2 should have this line.
fn moving(text: &str) -> Scene {
    let mut scene = Scene::of(3);
    scene.desired.members.get_mut(&id(2)).unwrap().line = ServerLine::parse(text).unwrap();
    scene
}

const NEW: &str = "new-2:2888:3888;2181";

#[test]
fn a_member_moves_only_to_where_it_was_found_to_answer() {
    let mut scene = moving(NEW);
    says(&scene, "E_BAD_ADDRESS: ", "was not asked at its new address new-2:2181");
    assert!(says_loosely(&scene).starts_with("READDRESS"), "{}", says_loosely(&scene));
    let answer = Answer::Down { why: "connection refused".to_owned() };
    let place = NewPlace { address: "new-2:2181".to_owned(), answer, own_id: None };
    scene.view(2).new_place = Some(place.clone());
    says(&scene, "E_BAD_ADDRESS: ", "should move to new-2:2181, where it does not answer (connection refused)");
    scene.view(2).new_place = Some(NewPlace { own_id: Some(id(7)), ..place });
    says(&scene, "E_ID_CONFLICT: ", "the process has myid 7");
    scene.answers_at(2, "new-2:2181");
    says(&scene, "READDRESS: server 2 moves", "new-2");
}

#[test]
fn a_live_voter_that_was_not_found_at_its_new_address_moves_only_while_the_others_are_a_majority() {
    // Its client address stays: what answers there says nothing of the new quorum address.
    let mut scene = moving("new-2:2888:3888;zk-2:2181");
    scene.answers_at(2, "zk-2:2181");
    says(&scene, "READDRESS: server 2 moves", "");
    scene.down(1);
    says(&scene, "E_UNSAFE_SIZE: ", "spare voters 0 -> -1 (2/3 -> 1/3 live); it does not count");
    let mut scene = moving(NEW);
    scene.down(1).answers_at(2, "new-2:2181");
    says(&scene, "READDRESS: server 2 moves", "");
    scene.view(2).new_place.as_mut().unwrap().own_id = None;
    says(&scene, "E_UNSAFE_SIZE: ", "it does not count");
}

#[test]
fn an_ensemble_from_which_kafka_moves_away_is_left_as_it_is_and_so_is_one_of_which_that_is_not_known() {
    let mut scene = growing();
    scene.seen.migrates = Some(true);
    says(&scene, "E_MIGRATION: ", "deleteall /migration");
    scene.seen.migrates = None;
    says(&scene, "E_MIGRATION: ", "could not be read");
    assert!(says_loosely(&scene).starts_with("PROMOTE"), "{}", says_loosely(&scene));
}

#[test]
fn an_ensemble_id_that_could_not_be_read_is_unknown_and_not_none() {
    let unread = |scene: &mut Scene, number: i64| {
        let view = scene.view(number);
        (view.ensemble_id, view.id_unread) = (None, Some("session expired".to_owned()));
    };
    let mut scene = growing();
    assert_eq!(split(&scene.seen), Some(false));
    unread(&mut scene, 4);
    unread(&mut scene, 5);
    says(&scene, "E_NOT_ASKED: ", "through the own port of server 4: session expired");
    let mut scene = growing();
    unread(&mut scene, 1);
    says(&scene, "wait: ", "could not be read from server 1 (E_NOT_ASKED): session expired");
    assert_eq!((split(&scene.seen), is_split(&scene.seen)), (None, false));
    scene.view(2).ensemble_id = Some("other".to_owned());
    assert_eq!((split(&scene.seen), is_split(&scene.seen)), (Some(true), true));
    let mut scene = growing();
    (1..=5).for_each(|number| unread(&mut scene, number));
    says(&scene, "E_NOT_ASKED: ", "could not be read from any server: server 1: session expired");
}

#[test]
fn a_member_whose_configuration_can_not_be_read_does_not_confirm_a_change() {
    let mut scene = growing();
    let after = config(1..=4);
    (1..=4).for_each(|number| scene.view(number).config = Some(after.clone()));
    let op = Op {
        id: "op".to_owned(),
        kind: ChangeKind::Promote,
        target: id(4),
        from_version: ConfigVersion(0x1_0000_0000),
        before: config(1..=3).membership,
        after: after.membership,
        is_leader: false,
        started_at: ago(5),
    };
    assert_eq!(is_confirmed(&op, &scene.seen), Ok(()));
    scene.view(2).config = None;
    assert_eq!(is_confirmed(&op, &scene.seen).unwrap_err(), "the configuration of server 2 can't be read");
    scene.down(2);
    assert_eq!(is_confirmed(&op, &scene.seen), Ok(()), "it does not run");
}

#[test]
fn without_the_leaders_last_transaction_nobody_counts_as_live() {
    let mut scene = Scene::of(3);
    assert_eq!(scene.seen.tolerance().unwrap().live, 3);
    scene.seen.leader_zxid = None;
    assert_eq!(scene.seen.tolerance().unwrap().live, 0);
}

#[test]
fn a_count_of_the_leader_that_could_not_be_read_holds_a_promotion_up_and_one_that_it_does_not_show_does_not() {
    let mut scene = growing();
    for number in [4, 5] {
        let catch_up = scene.view(number).catch_up.as_mut().unwrap();
        (catch_up.counted_by_leader, catch_up.count_unread) = (None, Some("no answer".to_owned()));
    }
    says(&scene, "E_NOT_CAUGHT_UP: ", "how many followers the leader counts could not be read: no answer");
    scene.view(4).catch_up.as_mut().unwrap().count_unread = None;
    says(&scene, "PROMOTE", "server 4");
}
