//! Whose a record is, who could be asked, and who is out for good.

use super::scene::{ENSEMBLE, Scene, id, line, member};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::ensemble::view::{Answer, Mode};
use crate::commands::ensemble::plan::declare::join;
use crate::commands::ensemble::plan::seen::Asked;

/// A healthy ensemble, and the record of another one.
fn strangers() -> Scene {
    let mut scene = Scene::of(3);
    scene.desired.ensemble_id = Some("other".to_owned());
    let record = Some("other.json".to_owned());
    scene.seen.asked = Asked { record, servers: vec!["zk:2181".to_owned()], ..Asked::default() };
    scene
}

/// What is wrong, in one text.
fn findings(scene: &Scene) -> String {
    scene.pass().findings.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_record_of_another_ensemble_is_refused_by_both_ids_and_nothing_is_to_be_stopped() {
    let scene = strangers();
    let said = scene.says();
    let words = "E_WRONG_ENSEMBLE: this record (other.json) belongs to ensemble other, and the servers at zk:2181 are ensemble \
                 one: check --ensemble, --cluster and --zookeeper. ";
    assert!(said.starts_with(words) && !said.contains("stop"), "{said}");
    assert_eq!(findings(&scene), "", "the record says nothing about these servers");
}

#[test]
fn two_ids_among_the_servers_are_a_split_brain_unless_the_record_has_servers_of_its_own() {
    let mut scene = strangers();
    scene.view(1).ensemble_id = Some("other".to_owned());
    assert!(scene.says().starts_with("E_SPLIT_BRAIN"), "{}", scene.says());
    scene.seen.asked.ensemble_id = Some(ENSEMBLE.to_owned());
    assert!(scene.says().starts_with("E_SPLIT_BRAIN"), "{}", scene.says());
    scene.seen.asked.is_apart = true;
    assert!(scene.says().starts_with("E_WRONG_ENSEMBLE"), "{}", scene.says());
}

#[test]
fn an_ensemble_without_an_id_is_known_by_the_addresses_of_its_members() {
    let mut scene = Scene::of(3);
    (1..=3).for_each(|number| scene.view(number).ensemble_id = None);
    assert_eq!(scene.says(), "nothing");
    for number in 1..=3 {
        scene.desired.members.get_mut(&id(number)).unwrap().line = line(number + 10);
    }
    assert!(
        !scene.says().starts_with("E_WRONG_ENSEMBLE"),
        "the configuration that was left is theirs: {}",
        scene.says()
    );
    scene.desired.last_config = None;
    let said = scene.says();
    assert!(said.starts_with("E_WRONG_ENSEMBLE") && said.contains("an ensemble without an id"), "{said}");
}

#[test]
fn an_ensemble_that_was_built_anew_at_the_same_addresses_is_known_by_what_only_grows() {
    let mut scene = Scene::of(3);
    scene.seen.asked.record = Some("main.json".to_owned());
    (1..=3).for_each(|number| scene.view(number).ensemble_id = None);
    let recorded = |scene: &mut Scene, version| {
        scene.desired.last_config.as_mut().unwrap().config.version = ConfigVersion(version);
    };
    recorded(&mut scene, 0x3_0000_0007);
    let said = scene.says();
    let words = "E_WRONG_ENSEMBLE: this record (main.json) belongs to ensemble one, and the servers that answer are an ensemble \
                 without an id at the same addresses, and were built anew: their configuration has version 100000000, the record \
                 has 300000007, and versions never become less. Nothing was changed. If the ensemble was built anew, delete the record";
    assert!(said.starts_with(words), "{said}");
    recorded(&mut scene, 0xff);
    assert_eq!(scene.says(), "nothing", "it was changed since");
    // What `adopt` recorded had an id. One that `prestart` began and `apply` has changed may have none yet.
    for (version, expected) in [(0x1_0000_0000, "E_WRONG_ENSEMBLE"), (0x1_0000_0002, "nothing"), (0, "nothing")] {
        let mut scene = scene.clone();
        recorded(&mut scene, version);
        scene.seen.quorum.as_mut().unwrap().version = ConfigVersion(version.max(0x1_0000_0000));
        assert_eq!(scene.says(), "nothing", "the id may only not have been read");
        scene.seen.asked.lacks_id = true;
        assert!(scene.says().starts_with(expected), "{version:x}: {}", scene.says());
    }
}

#[test]
fn an_ensemble_whose_own_configuration_went_back_is_refused_though_its_members_are_the_same() {
    let mut scene = Scene::of(3);
    scene.desired.last_config.as_mut().unwrap().config.version = ConfigVersion(0x3_0000_0007);
    let said = scene.says();
    let words = "E_MEMBERSHIP_REGRESSED: the configuration has version 100000000, and version 300000007 was left";
    assert!(said.starts_with(words), "{said}");
}

#[test]
fn where_nobody_answers_nobody_speaks_of_a_quorum_or_of_disks() {
    let mut scene = Scene::of(3);
    scene.down(1).down(2).down(3).seen.quorum = None;
    scene.view(3).answer = Answer::Silent { after_ms: 2_000 };
    scene.seen.asked.no_answers = vec!["zk:2182: it is up, but does not execute `srvr`".to_owned()];
    let said = scene.says();
    let words = "E_NOT_ASKED: nobody could be asked: server 1: connection refused, server 2: connection refused, server 3: no \
                 answer within 2000 ms, zk:2182: it is up, but does not execute `srvr`. ";
    assert!(said.starts_with(words) && !said.contains("disk"), "{said}");
    assert!(findings(&scene).contains("nobody could be asked") && !findings(&scene).contains("no server leads"));
    scene.view(3).answer = Answer::NotServing;
    let said = scene.says();
    assert!(said.starts_with("E_NO_QUORUM: no server leads") && !said.contains("below"), "{said}");
}

#[test]
fn where_too_many_servers_are_to_be_asked_that_is_said_and_not_that_none_leads() {
    let mut scene = Scene::of(3);
    scene.serves(3, Mode::Follower).seen.asked.left_out = 40;
    let said = scene.says();
    assert!(said.starts_with("E_NOT_ASKED: there are too many servers: 40 were not asked"), "{said}");
    assert!(!findings(&scene).contains("no server leads"), "{}", findings(&scene));
    scene.serves(3, Mode::Leader);
    assert_eq!(scene.says(), "nothing", "the voters were asked");
}

#[test]
fn a_server_that_was_removed_is_spoken_of_only_while_it_still_runs() {
    for state in [MemberState::Retired, MemberState::Leaving] {
        let mut scene = Scene::of(3);
        scene.desired.members.insert(id(4), member(4, state));
        scene.down(4);
        assert_eq!(findings(&scene), "", "{state:?}");
        scene.view(4).answer = Answer::Silent { after_ms: 2_000 };
        assert_eq!(findings(&scene), "", "{state:?}");
        scene.view(4).answer = Answer::NotServing;
        assert_eq!(findings(&scene), "server 4 is no member any more, and still runs: stop it", "{state:?}");
    }
    let mut scene = Scene::of(3);
    scene.down(1);
    assert!(findings(&scene).contains("server 1 does not run"), "a member is: {}", findings(&scene));
}

#[test]
fn a_bad_address_that_was_given_is_corrected_on_the_command_line() {
    let desired = Scene::of(3).desired;
    for refusal in [join(&desired, id(4), &line(3)).unwrap_err(), join(&desired, id(256), &line(4)).unwrap_err()] {
        let said = refusal.to_string();
        assert!(said.starts_with("E_BAD_ADDRESS") && said.contains("command line"), "{said}");
        assert!(!said.contains("document"), "{said}");
    }
}
