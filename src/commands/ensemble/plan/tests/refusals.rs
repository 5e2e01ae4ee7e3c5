//! Every refusal has its name and says what to do.

use std::time::Duration;

use super::scene::{Scene, config, id, line, now};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::membership::{ConfigVersion, Hierarchy};
use crate::cluster::ensemble::view::{Answer, CatchUp, Mode, Sample, Zxid};
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::{Decision, Input, decide};

/// A growth that is fine but for what the case does to it.
fn growth(spoil: impl FnOnce(&mut Scene)) -> String {
    let mut scene = Scene::of(3);
    scene.size(5).joiner(4).joiner(5);
    scene.view(5).catch_up = None;
    spoil(&mut scene);
    scene.says()
}

#[track_caller]
fn refused(code: &str, spoil: impl FnOnce(&mut Scene)) {
    let said = growth(spoil);
    assert!(said.starts_with(&format!("{code}: ")), "{code} is expected: {said}");
    assert!(said.len() > code.len() + 40, "says what to do: {said}");
}

#[test]
fn without_a_leader_or_a_majority_everything_is_refused() {
    refused("E_NO_QUORUM", |scene| {
        scene.down(1).down(2);
        scene.view(3).answer = Answer::NotServing;
        scene.seen.quorum = None;
    });
    refused("E_NO_QUORUM", |scene| {
        scene.down(1).down(2);
    });
}

#[test]
fn two_leaders_or_two_ensemble_ids_are_a_split_brain() {
    refused("E_SPLIT_BRAIN", |scene| {
        scene.serves(1, Mode::Leader);
    });
    refused("E_SPLIT_BRAIN", |scene| scene.view(5).ensemble_id = Some("other".to_owned()));
    let mut scene = Scene::of(3);
    scene.seen.servers.get_mut(&id(1)).unwrap().answer = Answer::Serving { mode: Mode::Leader, zxid: Zxid(3) };
    scene.view(1).config = Some(config(1..=2));
    assert!(scene.says().contains("server 1 leads 1 and 2 at 0x3"), "{}", scene.says());
}

#[test]
fn a_membership_that_nobody_recorded_is_refused() {
    refused("E_MEMBERSHIP_REGRESSED", |scene| {
        scene.desired.last_config.as_mut().unwrap().config = config(1..=2);
    });
}

#[test]
fn servers_that_disagree_for_30_seconds_are_refused() {
    let disagree = |seconds| {
        move |scene: &mut Scene| {
            scene.view(1).config = Some(config(1..=2));
            scene.seen.views_differ_for = Some(Duration::from_secs(seconds));
        }
    };
    refused("E_VIEW_MISMATCH", disagree(30));
    let said = growth(disagree(29));
    assert!(said.contains("guard I11 waits: the servers disagree"), "{said}");
}

#[test]
fn a_joiner_that_lags_is_not_promoted() {
    let lagging = || CatchUp {
        samples: vec![Sample { leader: Zxid(90), own: Zxid(89), age_ms: 3_000 }; 3],
        counted_by_leader: None,
        count_unread: None,
    };
    let said = growth(|scene| scene.view(4).catch_up = Some(lagging()));
    assert!(!said.starts_with("PROMOTE"), "{said}");
    refused("E_NOT_CAUGHT_UP", |scene| scene.view(4).ensemble_id = None);
    refused("E_NOT_CAUGHT_UP", |scene| scene.view(4).catch_up.as_mut().unwrap().counted_by_leader = Some(0));
    let hasty = |scene: &mut Scene| {
        for sample in &mut scene.view(4).catch_up.as_mut().unwrap().samples {
            sample.age_ms = 2_999;
        }
    };
    assert!(!growth(hasty).starts_with("PROMOTE"));
}

#[test]
fn a_dead_server_is_never_added_though_zookeeper_would_accept_it() {
    let said = growth(|scene| {
        scene.down(4).down(5);
    });
    assert!(said.starts_with("wait: server 4 (not running, not a member): wait until it runs"), "{said}");
}

#[test]
fn unsafe_sizes_are_refused() {
    refused("E_UNSAFE_SIZE", |scene| {
        scene.size(4);
    });
    refused("E_UNSAFE_SIZE", |scene| {
        scene.size(3);
    });
}

#[test]
fn a_retired_server_that_was_alive_moments_ago_is_not_dropped() {
    let mut scene = Scene::of(5);
    scene.size(3).down(1).state(1, MemberState::Retired);
    let alive =
        crate::cluster::ensemble::gone::Evidence { last_alive: Some(Duration::from_mins(1)), ..Default::default() };
    scene.seen.evidence.insert(id(1), alive);
    assert!(scene.says().starts_with("E_NOT_GONE"), "{}", scene.says());
}

#[test]
fn bad_addresses_are_refused_though_zookeeper_accepts_them() {
    refused("E_BAD_ADDRESS", |scene| {
        let mut twice = line(1);
        twice.client = line(4).client;
        scene.desired.members.get_mut(&id(4)).unwrap().line = twice;
    });
    refused("E_BAD_ADDRESS", |scene| scene.view(4).resolves = Some(false));
    refused("E_BAD_ADDRESS", |scene| scene.desired.members.get_mut(&id(4)).unwrap().line.client = None);
}

#[test]
fn a_process_with_another_id_is_a_conflict() {
    refused("E_ID_CONFLICT", |scene| scene.view(4).own_id = Some(id(3)));
    refused("E_ID_CONFLICT", |scene| scene.view(4).rival = Some("pod zk-7".to_owned()));
}

#[test]
fn reconfiguration_that_is_off_or_forbidden_is_named() {
    refused("E_AUTH", |scene| scene.seen.may_reconfigure = Some(false));
    refused("E_RECONFIG_OFF", |scene| scene.seen.reconfig_off = Some("ReconfigDisabled".to_owned()));
    refused("E_RECONFIG_OFF", |scene| scene.seen.quorum.as_mut().unwrap().version = ConfigVersion(0));
    refused("E_RECONFIG_OFF", |scene| {
        scene.seen.quorum.as_mut().unwrap().membership.hierarchy = Some(Hierarchy::default());
    });
    refused("E_RECONFIG_OFF", |scene| {
        scene.serves(1, Mode::Standalone);
    });
}

#[test]
fn a_file_that_lags_behind_the_live_configuration_stops_the_next_step() {
    refused("E_CONFIG_NOT_PERSISTED", |scene| scene.view(2).disk_version = Some(ConfigVersion(0xff)));
}

#[test]
fn without_a_record_nothing_is_changed() {
    let scene = Scene::of(3);
    let pass = decide(Input { desired: None, seen: &scene.seen, now: now(), rest: SETTLE, is_strict: true });
    let Decision::Refuse(refusal) = pass.decision else { panic!("{:?}", pass.decision) };
    assert!(refusal.to_string().starts_with("E_NOT_ADOPTED"));
    refused("E_NOT_ADOPTED", |scene| scene.desired.last_config = None);
}

#[test]
fn names_in_text_and_json_are_the_same() {
    use crate::commands::ensemble::plan::code::Code;
    for code in [Code::NoQuorum, Code::StaticQuorum, Code::UnknownResult, Code::ConfigNotPersisted, Code::AutoJoin] {
        assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
    }
}
