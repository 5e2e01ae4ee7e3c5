//! What could not be read, or was not asked, counts as not safe: no voter is changed on it.

use super::*;
use crate::commands::ensemble::plan::guards::Guard;

/// Four voters of which the first should leave; it is dead.
fn leaving(auto_join: Option<bool>) -> Scene {
    let mut scene = Scene::of(4);
    scene.desired.size = 3;
    scene.state(1, MemberState::Leaving).dead(1);
    scene.seen.auto_join = auto_join;
    scene
}

#[track_caller]
fn says(scene: &Scene, begin: &str, part: &str) {
    let said = scene.says();
    assert!(said.starts_with(begin) && said.contains(part), "{begin} … {part}: {said}");
}

#[test]
fn with_auto_join_a_controller_is_removed_only_once_something_shows_that_it_is_stopped() {
    for auto_join in [Some(true), None] {
        let mut scene = leaving(auto_join);
        says(&scene, "E_AUTO_JOIN: ", "does not answer, which does not show that it is stopped");
        scene.seen.answers.remove(&NodeId(1));
        says(&scene, "E_AUTO_JOIN: ", "was not asked");
        scene.seen.answers.insert(NodeId(1), false);
        scene.seen.hangs = [NodeId(1)].into();
        says(&scene, "E_AUTO_JOIN: ", "its port is open: frozen or busy");
        scene.seen.hangs.clear();
        scene.seen.stopped = [(NodeId(1), "nothing listens on c-1:9093".to_owned())].into();
        says(&scene, "SHRINK 1", "");
        scene.seen.answers.insert(NodeId(1), true);
        says(&scene, "E_AUTO_JOIN: ", "controller 1 runs");
    }
    says(&leaving(Some(false)), "SHRINK 1", "");
}

#[test]
fn a_running_controller_is_not_removed_while_auto_join_is_on_or_unknown() {
    let mut scene = Scene::of(4);
    scene.desired.size = 3;
    scene.state(1, MemberState::Leaving);
    for auto_join in [Some(true), None] {
        scene.seen.auto_join = auto_join;
        assert!(scene.says().starts_with("E_AUTO_JOIN"), "{}", scene.says());
    }
}

#[test]
fn with_auto_join_a_controller_that_is_gone_for_good_is_dropped_unless_its_port_is_open() {
    let mut scene = leaving(Some(true));
    scene.state(1, MemberState::Retired);
    says(&scene, "DROP 1", "");
    scene.seen.hangs = [NodeId(1)].into();
    says(&scene, "E_AUTO_JOIN: ", "frozen or busy");
    scene.seen.hangs.clear();
    scene.seen.answers.remove(&NodeId(1));
    says(&scene, "E_AUTO_JOIN: ", "was not asked");
}

#[test]
fn a_voter_that_nobody_declared_with_its_directory_is_a_regression_and_so_is_any_while_auto_join_is_unknown() {
    let mut scene = Scene::of(3);
    scene.desired.size = 5;
    scene.joiner(4);
    scene.seen.quorum.observers.clear();
    scene.seen.quorum.voters.push(replica(4, 4));
    scene.seen.auto_join = None;
    says(&scene, "E_MEMBERSHIP_REGRESSED: ", "added 4");
    scene.seen.auto_join = Some(true);
    assert!(!scene.says().starts_with("E_MEMBERSHIP"), "{}", scene.says());
    scene.seen.quorum.voters.pop();
    scene.seen.quorum.voters.push(replica(4, 99));
    says(&scene, "E_MEMBERSHIP_REGRESSED: ", "added 4");
}

#[test]
fn a_disk_is_not_forgotten_while_the_voter_follows_with_it() {
    let mut scene = Scene::of(3);
    scene.new_disk(1);
    says(&scene, "FORGET-DISK 1", "");
    let old = scene.seen.quorum.voters.iter_mut().find(|voter| voter.key.id == NodeId(1)).unwrap();
    old.last_fetch = Some(at(NOW_MS));
    says(&scene, "E_ID_CONFLICT: ", "controller 1");
    let change = Change { kind: QuorumChangeKind::ForgetDisk, voter: voter(1, 1) };
    let known = change::known(&scene.desired, &scene.seen);
    let ground = Ground { desired: &scene.desired, seen: &scene.seen, known: &known, now: now(), rest: SETTLE };
    let refused: Vec<_> = guards::check(&change, ground)
        .into_iter()
        .filter(|check| matches!(check.judgement, Judgement::Refuses(_)))
        .map(|check| check.guard)
        .collect();
    assert_eq!(refused, [Guard::I2, Guard::I7], "whatever the state table says");
}

#[test]
fn after_an_old_disk_was_removed_nothing_but_the_addition_of_the_new_one_goes_without_a_rest() {
    let forgotten = |node| QuorumEntry {
        at: now() - SignedDuration::from_secs(5),
        kind: QuorumChangeKind::ForgetDisk,
        target: voter(node, node),
    };
    let mut scene = Scene::of(4);
    scene.desired.size = 3;
    scene.state(1, MemberState::Leaving);
    scene.desired.history = vec![forgotten(2)];
    says(&scene, "wait: ", "5 s since the last change");
    let mut scene = Scene::of(3);
    scene.desired.size = 5;
    scene.joiner(4).joiner(5);
    scene.desired.history = vec![forgotten(5)];
    says(&scene, "ADD 5", "");
}

#[test]
fn while_nobody_knows_whether_a_migration_runs_no_voter_is_changed() {
    let mut scene = leaving(Some(false));
    scene.seen.migrates = None;
    says(&scene, "E_MIGRATION: ", "is not known");
    let input = Input { desired: Some(&scene.desired), seen: &scene.seen, now: now(), rest: SETTLE, is_strict: false };
    assert_eq!(words(&decide(input).decision), "SHRINK 1", "as `status` shows it");
}
