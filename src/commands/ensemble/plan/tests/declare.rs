//! What people say, and what becomes of the document.

use super::scene::{ENSEMBLE, Scene, config, id, line, now};
use crate::cluster::ensemble::desired::{Desired, MemberState};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, Mode};
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::declare::{Adoption, adopt, join, leave, retire};

fn adopted(change: impl FnOnce(&mut Scene, &mut Adoption)) -> Result<Desired, Refusal> {
    let (mut scene, mut adoption) = (Scene::of(3), Adoption::default());
    change(&mut scene, &mut adoption);
    adopt(&scene.seen, &adoption, None, now())
}

#[test]
fn a_running_ensemble_is_adopted_and_then_needs_nothing() {
    let mut scene = Scene::of(3);
    let adoption = Adoption { ensemble_id: Some(ENSEMBLE.to_owned()), ..Adoption::default() };
    scene.desired = adopt(&scene.seen, &adoption, None, now()).unwrap();
    assert_eq!(scene.says(), "nothing");
    assert_eq!(adopt(&scene.seen, &adoption, Some(&scene.desired), now()).unwrap(), scene.desired, "again: no change");
}

#[test]
fn an_incoherent_or_unsafe_ensemble_is_not_adopted() {
    let code = |result: Result<Desired, Refusal>| result.unwrap_err().code.name();
    assert_eq!(code(adopted(|scene, _| scene.view(1).config = Some(config(1..=2)))), "E_VIEW_MISMATCH");
    let two_lead = |scene: &mut Scene, _: &mut Adoption| {
        scene.serves(1, Mode::Leader);
    };
    assert_eq!(code(adopted(two_lead)), "E_SPLIT_BRAIN");
    assert_eq!(code(adopted(|_, adoption| adoption.size = Some(4))), "E_UNSAFE_SIZE");
    assert_eq!(code(adopted(|_, adoption| adoption.size = Some(1))), "E_UNSAFE_SIZE");
    let no_quorum = |scene: &mut Scene, _: &mut Adoption| {
        (1..=3).for_each(|number| scene.view(number).answer = Answer::NotServing);
    };
    assert_eq!(code(adopted(no_quorum)), "E_NO_QUORUM");
    let zeros = |scene: &mut Scene, _: &mut Adoption| {
        let zeros = ServerLine::parse("0.0.0.0:2888:3888;2181").unwrap();
        let mut config = config(1..=3);
        config.membership.servers.insert(id(1), zeros);
        scene.seen.quorum = Some(config.clone());
        (1..=3).for_each(|number| scene.view(number).config = Some(config.clone()));
    };
    assert_eq!(code(adopted(zeros)), "E_BAD_ADDRESS");
}

#[test]
fn adopting_again_keeps_who_was_retired_and_who_joins() {
    let mut scene = Scene::of(3);
    scene.joiner(4).joiner(5).state(5, MemberState::Retired);
    scene.desired.last_config.as_mut().unwrap().config = config(1..=2);
    let next = adopt(&scene.seen, &Adoption::default(), Some(&scene.desired), now()).unwrap();
    assert_eq!(next.members[&id(4)].state, MemberState::Joining);
    assert_eq!(next.members[&id(5)].state, MemberState::Retired);
    assert_eq!(next.last_config.unwrap().config, config(1..=3));
}

#[test]
fn a_joiner_needs_a_new_id_and_addresses_of_its_own() {
    let desired = Scene::of(3).desired;
    let next = join(&desired, id(4), &line(4)).unwrap();
    assert_eq!(next.members[&id(4)].state, MemberState::Joining);
    assert_eq!(join(&desired, id(4), &line(3)).unwrap_err().code.name(), "E_BAD_ADDRESS");
    assert_eq!(join(&desired, id(256), &line(4)).unwrap_err().code.name(), "E_BAD_ADDRESS");
    let mut scene = Scene::of(3);
    scene.state(3, MemberState::Retired);
    assert_eq!(join(&scene.desired, id(3), &line(3)).unwrap_err().code.name(), "E_RETIRED_DISK");
    assert!(join(&scene.desired, id(4), &line(3)).is_ok(), "a retired server's address is free");
}

#[test]
fn a_server_that_answers_is_not_gone_and_what_is_lost_is_said() {
    let mut scene = Scene::of(3);
    assert_eq!(retire(&scene.desired, &scene.seen, id(1), "disk").unwrap_err().code.name(), "E_NOT_GONE");
    assert_eq!(leave(&scene.desired, id(1)).unwrap().members[&id(1)].state, MemberState::Leaving);
    scene.down(1);
    let retired = retire(&scene.desired, &scene.seen, id(1), "disk").unwrap();
    assert!(retired.loss.contains("2 of 3 voters are live"), "{}", retired.loss);
    assert_eq!(retired.desired.members[&id(1)].retired_reason.as_deref(), Some("disk"));
    assert_eq!(leave(&retired.desired, id(1)).unwrap_err().code.name(), "E_ID_CONFLICT");
}
