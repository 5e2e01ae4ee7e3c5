//! Racks: who names one, what is none, and what a change means.

use super::*;
use crate::commands::identity::plan::{RackSource, RackWord};

fn strict() -> Terms {
    Terms { rack: RackTerms::default(), ..terms() }
}

fn zone(zone: Option<&str>) -> NodeSeen {
    NodeSeen::Labels { uid: "node".into(), zone: zone.map(str::to_owned), broker_id: None }
}

fn environment(value: &str) -> RackWord {
    RackWord { variable: "RACK".into(), value: value.into() }
}

#[test]
fn the_pods_label_is_stronger_than_the_nodes_and_that_than_the_environment() {
    let me = |pod_rack: Option<&str>| Me {
        pod_rack: pod_rack.map(str::to_owned),
        environment_rack: Some(environment("c")),
        ..seen().me
    };
    let of = |pod_rack: Option<&str>, node: NodeSeen| {
        let found = assigned(&strict(), &Seen { me: me(pod_rack), node, ..seen() }).rack.unwrap();
        (found.rack, found.source)
    };
    assert_eq!(of(Some("a"), zone(Some("b"))), ("a".into(), RackSource::PodLabel));
    assert_eq!(of(Some(" "), zone(Some("b"))), ("b".into(), RackSource::NodeLabel));
    assert_eq!(of(Some(""), zone(Some(""))), ("c".into(), RackSource::Environment("RACK".into())));
    assert_eq!(of(None, NodeSeen::Unlabelled("forbidden".into())).0, "c");
}

#[test]
fn without_a_rack_the_start_is_refused_unless_racks_are_optional() {
    let nowhere = Seen { node: zone(Some("")), ..seen() };
    let (code, words) = refused(&strict(), &nowhere);
    assert_eq!(code, Code::RackUnknown);
    assert!(words.contains("POD_ZONE") && words.contains("--rack-optional"), "{words}");
    assert_eq!(assigned(&terms(), &nowhere).rack, None);
}

#[test]
fn a_rack_that_a_shell_would_read_otherwise_is_refused() {
    for rack in ["a b", "a\nKAFKA_OPTS=x", "$(x)", "a'b", &"a".repeat(300)] {
        let seen = Seen { node: zone(Some(rack)), ..seen() };
        assert_eq!(refused(&terms(), &seen).0, Code::RackUnknown, "{rack}");
    }
}

#[test]
fn a_rack_that_changed_is_an_event_and_with_rack_immutable_a_refusal() {
    let entry = Entry { rack: Some("a".into()), ..entry(2) };
    let seen = Seen { node: zone(Some("b")), ..registered(with_disk(1003), &[(1003, entry)]) };
    let decision = assigned(&terms(), &seen);
    assert_eq!(decision.notes[0].kind, "identity.rack_changed");
    assert!(decision.notes[0].words.contains("rack a -> b"), "{:?}", decision.notes);
    let immutable = Terms { rack: RackTerms { is_optional: true, is_immutable: true }, ..terms() };
    assert_eq!(refused(&immutable, &seen).0, Code::RackChanged);
    let gone = Seen { node: zone(None), ..seen };
    assert!(assigned(&terms(), &gone).notes[0].words.contains("rack a -> none"));
}
