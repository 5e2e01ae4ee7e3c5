//! What a pass does, case by case.

use std::time::Duration;

use super::scene::{Scene, ago, config, id, line, member, now, words};
use crate::cluster::ensemble::desired::{ChangeKind, Entry, MemberState, Op};
use crate::cluster::ensemble::gone::Evidence;
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Mode, Zxid};
use crate::commands::ensemble::plan::coherence::Alert;
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::seen::Workload;
use crate::commands::ensemble::plan::settle::{is_confirmed, recorded};
use crate::commands::ensemble::plan::{Decision, Input, decide};

#[test]
fn a_healthy_ensemble_needs_nothing_and_has_no_findings() {
    for voters in [3, 5] {
        let pass = Scene::of(voters).pass();
        assert_eq!((words(&pass.decision).as_str(), pass.findings), ("nothing", vec![]));
    }
}

#[test]
fn a_restart_never_changes_membership() {
    assert!(Scene::of(3).down(1).says().starts_with("wait: server 1 (voter, not running)"));
    assert!(Scene::of(5).down(1).down(2).says().starts_with("wait: server 1"));
}

#[test]
fn a_dead_voter_is_replaced_in_one_call_and_only_once_it_is_gone_for_good() {
    let mut scene = Scene::of(3);
    scene.down(1).joiner(4);
    assert!(scene.says().starts_with("E_UNSAFE_SIZE"), "four voters in the end: {}", scene.says());
    scene.state(1, MemberState::Retired);
    assert_eq!(scene.says(), "REPLACE: server 4 takes the place of server 1, in one call");
    let Decision::Change(change) = scene.pass().decision else { panic!() };
    let arguments = change.arguments(ConfigVersion(0x1_0000_0000));
    assert_eq!(arguments, "reconfig -remove 1 -add 4=zk-4:2888:3888:participant;0.0.0.0:2181 -v 100000000");
}

#[test]
fn a_deleted_volume_or_a_node_missing_for_15_minutes_makes_a_voter_replaceable() {
    let mut scene = Scene::of(3);
    scene.down(1).joiner(4);
    let mut evidence = Evidence { node_missing: Some(Duration::from_secs(899)), ..Evidence::default() };
    scene.seen.evidence.insert(id(1), evidence.clone());
    assert!(scene.says().starts_with("E_UNSAFE_SIZE"));
    evidence.node_missing = Some(Duration::from_mins(15));
    scene.seen.evidence.insert(id(1), evidence);
    assert!(scene.says().starts_with("REPLACE"), "{}", scene.says());
}

#[test]
fn growth_from_one_to_three_goes_over_two() {
    let mut scene = Scene::of(1);
    scene.size(3).joiner(2).joiner(3);
    assert_eq!(scene.says(), "PROMOTE: server 2 becomes a voter");
    let mut scene = Scene::of(2);
    scene.size(3).joiner(3);
    assert_eq!(scene.says(), "PROMOTE: server 3 becomes a voter");
}

#[test]
fn a_shrink_takes_followers_first_and_the_leader_last() {
    let mut scene = Scene::of(5);
    scene.size(3).state(5, MemberState::Leaving).state(2, MemberState::Leaving);
    assert_eq!(scene.says(), "SHRINK: server 2 is removed");
    let mut scene = Scene::of(4);
    scene.size(3).state(4, MemberState::Leaving);
    assert_eq!(scene.says(), "SHRINK-L: server 4, the leader, is removed");
    let entry = Entry {
        at: ago(200),
        kind: ChangeKind::ShrinkLeader,
        target: id(9),
        version: ConfigVersion(1),
        is_leader: true,
    };
    scene.desired.history.push(entry);
    assert!(scene.says().contains("guard I8 waits: the leader was changed 200 s ago"), "{}", scene.says());
}

#[test]
fn a_live_voter_of_three_is_not_removed() {
    let mut scene = Scene::of(3);
    scene.state(1, MemberState::Leaving);
    assert!(scene.says().contains("guard I2 refuses: spare voters 1 -> 0"), "{}", scene.says());
    scene.desired.dev = true;
    scene.size(1).state(2, MemberState::Leaving);
    assert_eq!(scene.says(), "SHRINK: server 1 is removed");
}

#[test]
fn with_two_dead_of_five_a_live_one_stays_and_a_retired_one_goes() {
    let mut scene = Scene::of(5);
    scene.size(3).down(1).down(2).state(3, MemberState::Leaving);
    assert!(scene.says().starts_with("E_UNSAFE_SIZE"), "{}", scene.says());
    scene.state(1, MemberState::Retired);
    assert_eq!(scene.says(), "DROP: server 1 is removed");
}

#[test]
fn a_dead_voter_of_three_is_not_dropped() {
    let mut scene = Scene::of(3);
    scene.down(1).state(1, MemberState::Retired);
    assert!(scene.says().starts_with("wait: server 1"), "{}", scene.says());
}

#[test]
fn a_registered_observer_is_removed_before_it_is_promoted() {
    let mut scene = Scene::of(3);
    scene.size(5).observes(4).joiner(5);
    scene.desired.members.insert(id(4), member(4, MemberState::Joining));
    scene.view(5).catch_up = None;
    assert_eq!(scene.says(), "UNOBSERVE: server 4 is removed as observer, to become a voter next");
}

#[test]
fn addresses_change_one_at_a_time_and_the_leader_is_last() {
    let moved = |number: i64| ServerLine::parse(&format!("new-{number}:2888:3888;2181")).unwrap();
    let mut scene = Scene::of(3);
    for number in [2, 3] {
        scene.desired.members.get_mut(&id(number)).unwrap().line = moved(number);
        scene.answers_at(number, &format!("new-{number}:2181"));
    }
    assert!(scene.says().starts_with("READDRESS: server 2 moves"), "{}", scene.says());
    scene.desired.members.get_mut(&id(2)).unwrap().line = line(2);
    assert!(scene.says().starts_with("READDRESS: server 3 moves"), "{}", scene.says());
}

#[test]
fn a_member_that_nobody_knows_is_named_and_never_removed() {
    let mut scene = Scene::of(3);
    scene.desired.members.remove(&id(2));
    let pass = scene.pass();
    assert!(words(&pass.decision).starts_with("wait: server 2"), "{}", words(&pass.decision));
    assert!(pass.findings.iter().any(|finding| finding.text.contains("server 2 is a member, and the document")));
}

#[test]
fn a_removed_server_that_still_runs_is_named_though_it_says_follower() {
    let mut scene = Scene::of(3);
    scene.serves(4, Mode::Follower);
    let texts: Vec<_> = scene.pass().findings.into_iter().map(|finding| finding.text).collect();
    assert!(texts.iter().any(|text| text.contains("server 4 says `follower` and is no member")), "{texts:?}");
}

#[test]
fn zeros_as_quorum_address_are_incoherent_and_stop_an_addition() {
    let mut scene = Scene::of(3);
    let zeros = ServerLine::parse("0.0.0.0:2888:3888:participant;0.0.0.0:2181").unwrap();
    let config = scene.view(1).config.as_mut().unwrap();
    config.membership.servers.insert(id(1), zeros.clone());
    let texts: Vec<_> = scene.pass().findings.into_iter().map(|finding| finding.text).collect();
    assert!(
        texts.iter().any(|text| text.contains("server 1 has 0.0.0.0 as quorum address (says server 1)")),
        "{texts:?}"
    );
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    for config in [scene.seen.quorum.as_mut().unwrap(), &mut scene.desired.last_config.as_mut().unwrap().config] {
        config.membership.servers.insert(id(1), zeros.clone());
    }
    scene.desired.members.get_mut(&id(1)).unwrap().line = zeros;
    assert!(scene.says().starts_with("E_BAD_ADDRESS"), "{}", scene.says());
}

#[test]
fn an_even_number_is_unsafe_after_ten_minutes() {
    let mut scene = Scene::of(4);
    scene.size(5).joiner(5).down(5);
    let unsafe_number = |scene: &Scene| {
        let found = scene.pass().findings;
        found.iter().filter(|it| it.alert == Alert::UnsafeNumber && it.text.contains("even")).count()
    };
    assert_eq!(unsafe_number(&scene), 1);
    scene.desired.last_config.as_mut().unwrap().since = ago(599);
    assert_eq!(unsafe_number(&scene), 0);
}

#[test]
fn a_pod_that_is_not_ready_holds_changes_up_and_a_joiner_does_not() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    let unready = [(id(4), "no member yet".to_owned()), (id(5), "no member yet".to_owned())].into();
    scene.seen.workload = Some(Workload { unready, ..Workload::default() });
    assert!(scene.says().starts_with("PROMOTE"), "{}", scene.says());
    scene.seen.workload.as_mut().unwrap().unready.insert(id(1), "terminating".to_owned());
    assert!(scene.says().starts_with("E_ROLLOUT"), "{}", scene.says());
}

#[test]
fn an_ensemble_rests_for_30_seconds_between_changes() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.desired.last_config.as_mut().unwrap().since = ago(29);
    assert!(scene.says().contains("guard I11 waits: 29 s since the last change"), "{}", scene.says());
    scene.desired.last_config.as_mut().unwrap().since = ago(-100);
    assert!(scene.says().contains("guard I11 waits: 0 s"), "a clock that was set back makes it wait: {}", scene.says());
}

#[test]
fn an_election_begins_the_rest_anew_where_the_leader_shows_how_long_it_has_led() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.view(3).leads_for_ms = Some(29_999);
    assert!(scene.says().contains("guard I11 waits: the leader was elected 29 s ago"), "{}", scene.says());
    scene.view(3).leads_for_ms = Some(30_000);
    assert!(scene.says().starts_with("PROMOTE"), "{}", scene.says());
    // What another server shows of itself is no leadership.
    scene.view(1).leads_for_ms = Some(0);
    assert!(scene.says().starts_with("PROMOTE"), "{}", scene.says());
}

#[test]
fn a_leader_that_changed_during_the_look_holds_everything_up() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.seen.leader_changed = true;
    assert!(scene.says().starts_with("wait: "), "{}", scene.says());
}

fn op(started_at: jiff::Timestamp) -> Op {
    Op {
        id: "op".to_owned(),
        kind: ChangeKind::Promote,
        target: id(4),
        from_version: ConfigVersion(0x1_0000_0000),
        before: config(1..=3).membership,
        after: config(1..=4).membership,
        is_leader: false,
        started_at,
    }
}

#[test]
fn an_open_change_is_settled_before_anything_else() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.desired.op = Some(op(ago(59)));
    assert!(scene.says().starts_with("wait: PROMOTE of server 4 was sent 59 s ago"), "{}", scene.says());
    scene.desired.op = Some(op(ago(60)));
    let pass = scene.pass();
    assert!(
        pass.clears_op && words(&pass.decision) == "PROMOTE: server 4 becomes a voter",
        "{}",
        words(&pass.decision)
    );
    scene.seen.quorum = Some(config(1..=4));
    assert_eq!(scene.says(), "confirm PROMOTE 4");
    scene.seen.quorum = Some(config(1..=2));
    let pass = scene.pass();
    assert!(pass.clears_op && words(&pass.decision).starts_with("E_MEMBERSHIP_REGRESSED"), "{}", words(&pass.decision));
    scene.seen.quorum = None;
    assert!(scene.says().starts_with("E_NO_QUORUM") && !scene.pass().clears_op);
}

#[test]
fn a_change_is_confirmed_once_every_member_has_it_and_then_recorded() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4);
    let (open, after) = (op(ago(5)), config(1..=4));
    assert!(is_confirmed(&open, &scene.seen).unwrap_err().contains("server 1, 2, 3 and 4"));
    for number in 1..=4 {
        scene.view(number).config = Some(after.clone());
    }
    assert_eq!(is_confirmed(&open, &scene.seen), Ok(()));
    let next = recorded(&scene.desired, &open, &after, now());
    assert_eq!(next.members[&id(4)].state, MemberState::Voter);
    assert_eq!((next.history.len(), next.op.is_none()), (1, true));
}

#[test]
fn what_was_not_measured_is_planned_and_not_sent() {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.view(4).catch_up = None;
    scene.view(5).catch_up = None;
    assert!(scene.says().starts_with("E_NOT_CAUGHT_UP"), "{}", scene.says());
    let loose = Input { desired: Some(&scene.desired), seen: &scene.seen, now: now(), rest: SETTLE, is_strict: false };
    assert_eq!(words(&decide(loose).decision), "PROMOTE: server 4 becomes a voter");
}

#[test]
fn a_server_that_lags_behind_the_start_of_the_look_is_not_live() {
    let mut scene = Scene::of(3);
    scene.seen.leader_zxid = Some(Zxid(101));
    scene.view(3).answer = crate::cluster::ensemble::view::Answer::Serving { mode: Mode::Leader, zxid: Zxid(101) };
    assert_eq!(scene.seen.tolerance().unwrap().live, 1);
}
