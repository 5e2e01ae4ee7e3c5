//! Whole plans of starts: whatever was seen, what a plan does is enough, and a second one finds nothing to do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::scene::{ENSEMBLE, Scene, config, id, line, now};
use crate::cluster::ensemble::desired::MemberState;
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::plan::prestart::{
    Act, Disk, DiskFile, FoundFiles, Ground, Layout, Live, Marker, Me, OwnId, Terms, plan,
};
use crate::formats::{ensemble_config, properties};

fn terms(number: i64) -> Terms {
    let ordinal = u32::try_from(number - 1).ok();
    Terms {
        id: id(number),
        me: Me { id: None, base: 1, pod: Some(format!("zk-{}", number - 1)), ordinal, volume: None },
        line: Some(line(number)),
        size: Some(3),
        dev: false,
        begins: false,
        layout: Layout { data: "/data".to_owned(), log: Some("/log".to_owned()), conf: "/data/conf".to_owned() },
        settings: vec![("tickTime".to_owned(), "500".to_owned())],
        now: now(),
    }
}

fn empty() -> FoundFiles {
    let disk =
        Disk { myid: None, marker: None, file: DiskFile::Absent, has_data: false, epoch: None, is_writable: true };
    FoundFiles { disk, settings: None, dynamic: "/data/conf/zoo.cfg.dynamic".to_owned(), initialize: Vec::new() }
}

fn ground(found: FoundFiles) -> Ground {
    Ground {
        record: None,
        found: Ok(found),
        live: BTreeMap::new(),
        rival: None,
        answers: None,
        resolves: true,
        fresh_id: ENSEMBLE.to_owned(),
    }
}

/// What was seen, after the steps were carried out.
fn after(terms: &Terms, mut ground: Ground) -> Ground {
    let outcome = plan(terms, &ground);
    let Ok(found) = &mut ground.found else { return ground };
    for step in &outcome.plan.steps {
        match &step.act {
            Act::Record { .. } => ground.record.clone_from(&outcome.desired),
            Act::Initialize { path } => found.initialize.push(path.clone()),
            Act::RemoveInitialize { path } => found.initialize.retain(|it| it != path),
            Act::Write { path, text, .. } => written(found, path, text),
        }
    }
    ground
}

fn written(found: &mut FoundFiles, path: &str, text: &str) {
    match path {
        "/data/myid" => found.disk.myid = Some(Ok(text.trim().parse().unwrap())),
        "/data/.member" => found.disk.marker = serde_json::from_str(text).unwrap(),
        "/data/conf/zoo.cfg.dynamic" => {
            found.disk.file = DiskFile::Read(ensemble_config::read(path, text.as_bytes()).unwrap().config);
            path.clone_into(&mut found.dynamic);
        }
        "/data/conf/zoo.cfg" => {
            let read = properties::parse(path, text.as_bytes()).unwrap();
            found.settings = Some(read.iter().map(|it| (it.key.clone(), it.value().to_owned())).collect());
        }
        other => panic!("{other}"),
    }
}

fn live(voters: &[i64], serving: &[i64]) -> BTreeMap<ServerId, Live> {
    let ensemble_id = OwnId::Is(ENSEMBLE.to_owned());
    let one = Live { config: Ok(config(voters.iter().copied())), ensemble_id, epoch: Some(1) };
    serving.iter().map(|number| (id(*number), one.clone())).collect()
}

#[test]
fn a_new_ensemble_is_recorded_before_it_begins_and_joiners_are_let_in_by_its_record() {
    let first = plan(&terms(1), &ground(empty()));
    let kinds: Vec<_> = first.plan.steps.iter().map(|step| matches!(step.act, Act::Record { .. })).collect();
    assert!(kinds[0] && !kinds[1..].contains(&true), "{:?}", first.plan.steps);
    assert!(matches!(first.plan.steps.last().unwrap().act, Act::Initialize { .. }), "last of all");
    let begun = after(&terms(1), ground(empty()));
    let record = begun.record.clone().unwrap();
    assert!(!record.initialized && record.last_config.is_some());

    // Another one, at the same time: the document is there, and this one waits.
    let second = Ground { record: Some(record.clone()), ..ground(empty()) };
    let outcome = plan(&terms(2), &second);
    assert!(outcome.waits.is_some() && outcome.plan.steps.len() == 1, "{outcome:?}");
    let joins = Ground { live: live(&[1], &[1]), ..after(&terms(2), second) };
    let outcome = plan(&terms(2), &joins);
    assert!(outcome.waits.is_none() && outcome.desired.unwrap().initialized);

    // Once it has begun, `initialize` is taken away, and an empty disk of the first is no new beginning.
    let mut restarted = begun;
    restarted.found.as_mut().unwrap().disk.has_data = true;
    let restarted = after(&terms(1), restarted);
    assert!(restarted.record.as_ref().unwrap().initialized);
    let lost = Ground { record: restarted.record, ..ground(empty()) };
    let refused = plan(&terms(1), &lost).plan.refusals;
    assert!(refused[0].reason.starts_with("E_EMPTY_DISK"), "{refused:?}");
}

#[test]
fn without_a_document_nobody_begins_beside_one_who_answers() {
    let beside = Ground { answers: Some("server 2 at zk-2:2181".to_owned()), ..ground(empty()) };
    let refused = plan(&terms(1), &beside).plan.refusals;
    assert!(refused[0].reason.starts_with("E_NOT_ADOPTED"), "{refused:?}");
}

#[test]
fn a_marker_has_the_volume_and_files_that_were_copied_to_another_one_are_said_once() {
    let on = |volume: &str| {
        let terms = terms(1);
        Terms { me: Me { volume: Some(volume.to_owned()), ..terms.me.clone() }, ..terms }
    };
    let begun = after(&on("pv-1"), ground(empty()));
    let marker = |ground: &Ground| ground.found.as_ref().unwrap().disk.marker.clone().unwrap();
    assert_eq!(marker(&begun).volume.as_deref(), Some("pv-1"));
    assert!(plan(&on("pv-1"), &begun).plan.warnings.is_empty());
    let unseen = plan(&terms(1), &begun);
    assert!(
        unseen.plan.warnings.is_empty() && unseen.plan.steps.is_empty(),
        "without a claim nothing is known: {unseen:?}"
    );
    let copied = plan(&on("pv-2"), &begun);
    assert!(copied.plan.warnings[0].text.contains("were written on volume pv-1, and are on pv-2"), "{copied:?}");
    let again = after(&on("pv-2"), begun);
    assert_eq!(marker(&again).volume.as_deref(), Some("pv-2"));
    assert!(plan(&on("pv-2"), &again).plan.warnings.is_empty());
}

#[test]
fn without_an_ordinal_no_server_begins_an_ensemble_unless_it_is_named() {
    let bare = Terms { me: Me { id: Some(id(1)), ..Me::default() }, ..terms(1) };
    let waits = plan(&bare, &ground(empty()));
    assert!(waits.waits.as_ref().is_some_and(|why| why.contains("--begin")), "{waits:?}");
    assert!(
        waits.plan.steps.is_empty() && waits.desired.is_none(),
        "each of several bare hosts has a document of its own"
    );
    let named = plan(&Terms { begins: true, ..bare }, &ground(empty()));
    assert!(named.waits.is_none() && named.desired.is_some(), "{named:?}");
    let second = plan(&terms(2), &ground(empty()));
    assert!(second.waits.is_some_and(|why| why.contains("the pod with ordinal 0 begins")));
    assert!(
        plan(&Terms { begins: true, ..terms(2) }, &ground(empty())).waits.is_none(),
        "ordinals may begin at another number"
    );
}

proptest! {
    #[test]
    fn what_a_plan_does_is_enough_and_a_second_one_finds_nothing_to_do(
        number in 1_i64..5,
        has_record in any::<bool>(),
        serving in proptest::sample::subsequence(vec![1_i64, 2, 3], 0..=3),
        file in 0..4,
        has_data in any::<bool>(),
        has_marker in any::<bool>(),
        stray in any::<bool>(),
        state in 0_usize..4,
    ) {
        let mut found = empty();
        found.disk.has_data = has_data;
        found.disk.marker = has_marker.then(|| Marker { ensemble_id: ENSEMBLE.to_owned(), id: id(number), volume: None });
        found.disk.file = match file {
            0 => DiskFile::Absent,
            1 => DiskFile::Unreadable("cut".to_owned()),
            2 => DiskFile::Read(config(1..=3)),
            _ => DiskFile::Read(config([1])),
        };
        if stray {
            found.initialize = vec!["/data/initialize".to_owned()];
        }
        let mut record = Scene::of(3).desired;
        let states = [MemberState::Voter, MemberState::Joining, MemberState::Leaving, MemberState::Retired];
        if let Some(member) = record.members.get_mut(&id(number)) {
            member.state = states[state];
        }
        let others: Vec<_> = serving.into_iter().filter(|it| *it != number).collect();
        let seen = Ground {
            record: has_record.then_some(record),
            live: if has_record { live(&[1, 2, 3], &others) } else { BTreeMap::new() },
            ..ground(found)
        };
        let before = seen.record.clone();
        let outcome = plan(&terms(number), &seen);
        let again = after(&terms(number), seen);
        let second = plan(&terms(number), &again);
        prop_assert!(second.plan.steps.is_empty(), "{:?}", second.plan.steps);
        prop_assert_eq!(&second.plan.refusals, &outcome.plan.refusals);
        prop_assert_eq!(second.waits.is_some(), outcome.waits.is_some());
        // A pod changes nobody's place but its own, and no membership of an ensemble that has begun.
        if let (Some(before), Some(now)) = (before, again.record) {
            prop_assert_eq!(&before.last_config, &now.last_config);
            for (other, member) in before.members.iter().filter(|(other, _)| **other != id(number)) {
                prop_assert_eq!(Some(member), now.members.get(other));
            }
        }
    }
}
