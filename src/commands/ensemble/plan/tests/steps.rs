//! Steps as JSON has them: members of an ensemble have an `id`, controllers are a `node`.

use serde_json::{Value, json};

use super::scene::{Scene, config, id, now};
use crate::change::plan::Step as _;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::desired::{ChangeKind, Desired, MemberState, Op};
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::planned::{Declared, EnsembleId, EnsembleStep};
use crate::commands::ensemble::plan::{kraft, steps::plan};

fn shown(step: &impl serde::Serialize) -> Value {
    serde_json::to_value(step).unwrap()
}

#[test]
fn a_member_is_named_in_json_by_what_its_protocol_calls_it() {
    let (was, state) = (Some(MemberState::Joining), MemberState::Voter);
    let server = EnsembleStep::Mark { id: id(4), was, state };
    let controller = kraft::planned::QuorumStep::Mark { id: NodeId(4), was, state };
    assert_eq!(shown(&server), json!({"step": "mark", "id": 4, "state": "voter"}));
    assert_eq!(shown(&controller), json!({"step": "mark", "node": 4, "state": "voter"}));
    assert_eq!((server.subject(), controller.subject()), ("server:4".to_owned(), "controller:4".to_owned()));
    assert_eq!(server.to_string(), "~ the record says that server 4 is a member");
    assert_eq!(controller.to_string(), "~ the record says that controller 4 is a voter");
    let ensemble_id = "a-b".to_owned();
    let identified = EnsembleStep::Identify(EnsembleId { ensemble_id });
    assert_eq!(shown(&identified), json!({"step": "identify", "ensemble_id": "a-b"}));
}

#[test]
fn a_declaration_about_all_members_has_an_id_that_is_null() {
    let after = Box::new(Desired::default());
    let (words, before, gives_up_data) = ("size 3".to_owned(), None, false);
    let declared = Declared { id: None, words: words.clone(), gives_up_data, before, after };
    let step = shown(&EnsembleStep::Declare(Box::new(declared)));
    assert_eq!((&step["step"], &step["id"], &step["givesUpData"]), (&json!("declare"), &Value::Null, &json!(false)));
    assert!(step.as_object().unwrap().contains_key("id"));
    let after = Box::new(DesiredQuorum::default());
    let declared = kraft::planned::Declared { id: Some(NodeId(4)), words, gives_up_data, before: None, after };
    assert_eq!(shown(&kraft::planned::QuorumStep::Declare(Box::new(declared)))["node"], json!(4));
}

#[test]
fn an_open_change_says_in_each_step_whom_it_is_about_and_what_was_before_and_after() {
    let mut scene = Scene::of(3);
    scene.desired.op = Some(Op {
        id: "op".to_owned(),
        kind: ChangeKind::Promote,
        target: id(4),
        from_version: ConfigVersion(0x1_0000_0000),
        before: config(1..=2).membership,
        after: config(1..=3).membership,
        is_leader: false,
        started_at: now(),
    });
    let plan = plan(&scene.pass(), Some(&scene.desired), &scene.seen);
    let [step] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    assert_eq!(step.to_string(), "~ PROMOTE of server 4 was applied: confirm and record it");
    assert_eq!((step.subject().as_str(), step.kind()), ("server:4", "ensemble.change_confirmed"));
    let (before, after) = step.before_after();
    assert!(before.unwrap().ends_with("version: 100000000") && after.unwrap().contains("server.3: zk-3:2888:3888"));
}
