//! What a pod may start from, case by case.

use std::collections::BTreeMap;

use super::scene::{ENSEMBLE, Scene, config, id, member, now};
use crate::cluster::ensemble::desired::{Desired, LastConfig, MemberState};
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::EnsembleConfig;
use crate::commands::ensemble::plan::prestart::{Decision, Disk, DiskFile, Live, Marker, OwnId, Start, decide};

struct Pod {
    id: ServerId,
    desired: Desired,
    disk: Disk,
    live: BTreeMap<ServerId, Live>,
    resolves: bool,
    rival: Option<&'static str>,
    answers: Option<&'static str>,
}

fn live(config: EnsembleConfig) -> Live {
    Live { config: Ok(config), ensemble_id: OwnId::Is(ENSEMBLE.to_owned()), epoch: Some(2) }
}

/// Server 1 of three, with its disk, while 2 and 3 serve.
fn pod() -> Pod {
    let marker = Some(Marker { ensemble_id: ENSEMBLE.to_owned(), id: id(1), volume: None });
    let file = DiskFile::Read(config(1..=3));
    let disk = Disk { myid: Some(Ok(id(1))), marker, file, has_data: true, epoch: Some(2), is_writable: true };
    let live = [2, 3].map(|number| (id(number), live(config(1..=3)))).into();
    Pod { id: id(1), desired: Scene::of(3).desired, disk, live, resolves: true, rival: None, answers: None }
}

fn empty() -> Disk {
    Disk { myid: None, marker: None, file: DiskFile::Absent, has_data: false, epoch: None, is_writable: true }
}

fn after(change: impl FnOnce(&mut Pod)) -> Decision {
    let mut pod = pod();
    change(&mut pod);
    let Pod { id, desired, disk, live, resolves, rival, answers } = &pod;
    decide(Start { id: *id, desired, disk, live, resolves: *resolves, rival: *rival, answers: *answers })
}

#[track_caller]
fn refused(code: &str, change: impl FnOnce(&mut Pod)) {
    let decision = after(change);
    assert!(matches!(&decision, Decision::Refuse(refusal) if refusal.code.name() == code), "{code}: {decision:?}");
}

#[track_caller]
fn waits(change: impl FnOnce(&mut Pod)) {
    let decision = after(change);
    assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
}

#[track_caller]
fn written(change: impl FnOnce(&mut Pod)) -> EnsembleConfig {
    match after(change) {
        Decision::Write { config, initialize: false, .. } => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_that_is_ahead_of_the_ensemble_by_an_epoch_waits_and_starts_with_it_or_alone() {
    let ahead = |pod: &mut Pod| pod.disk.epoch = Some(3);
    let Decision::Wait(why) = after(ahead) else { panic!("it starts") };
    assert!(why.starts_with("the disk is in epoch 3, the ensemble in 2"), "{why}");
    waits(|pod| {
        ahead(pod);
        pod.live.get_mut(&id(3)).unwrap().epoch = None;
    });
    written(|pod| {
        ahead(pod);
        pod.live.get_mut(&id(3)).unwrap().epoch = Some(3);
    });
    written(|pod| pod.disk.epoch = Some(1));
    let decision = after(|pod| {
        ahead(pod);
        pod.live.clear();
    });
    assert!(matches!(decision, Decision::Keep { .. }), "a whole ensemble restarts: {decision:?}");
}

#[test]
fn a_member_starts_with_the_live_configuration_whatever_its_file_says() {
    assert_eq!(written(|_| {}), config(1..=3));
    assert_eq!(written(|pod| pod.disk.file = DiskFile::Read(config(1..=1))), config(1..=3));
    assert_eq!(written(|pod| pod.disk.file = DiskFile::Unreadable("0 bytes".to_owned())), config(1..=3));
}

#[test]
fn a_wiped_voter_copies_from_the_others_and_never_starts_alone() {
    assert_eq!(written(|pod| pod.disk = empty()), config(1..=3));
    refused("E_EMPTY_DISK", |pod| {
        pod.disk = empty();
        pod.live.clear();
    });
}

#[test]
fn a_joiner_lists_itself_as_observer_and_nobody_else_that_joins() {
    let written = written(|pod| {
        pod.desired.members.insert(id(4), member(4, MemberState::Joining));
        pod.desired.members.insert(id(5), member(5, MemberState::Joining));
        (pod.id, pod.disk) = (id(4), empty());
    });
    assert_eq!(written.membership.of_role(Role::Observer), [id(4)].into());
    assert_eq!(written.membership.voters(), [1, 2, 3].map(id).into());
}

#[test]
fn a_joiner_waits_while_nobody_serves() {
    waits(|pod| {
        pod.desired.members.insert(id(4), member(4, MemberState::Joining));
        (pod.id, pod.disk) = (id(4), empty());
        pod.live.clear();
    });
}

#[test]
fn a_whole_ensemble_restarts_from_files_that_agree_with_the_record() {
    assert!(matches!(after(|pod| pod.live.clear()), Decision::Keep { .. }));
    refused("E_MEMBERSHIP_REGRESSED", |pod| {
        pod.live.clear();
        pod.disk.file = DiskFile::Read(config([1, 2]));
    });
}

#[test]
fn an_empty_or_cut_file_is_made_anew_from_the_others_and_never_a_start_alone() {
    for file in [DiskFile::Absent, DiskFile::Unreadable("cut".to_owned()), DiskFile::Read(EnsembleConfig::default())] {
        waits(|pod| {
            pod.live.clear();
            pod.disk.file = file;
        });
    }
}

#[test]
fn a_retired_disk_does_not_start() {
    refused("E_RETIRED_DISK", |pod| pod.desired.members.get_mut(&id(1)).unwrap().state = MemberState::Retired);
}

#[test]
fn a_disk_of_somebody_else_does_not_start() {
    refused("E_ID_CONFLICT", |pod| pod.disk.myid = Some(Ok(id(2))));
    refused("E_ID_CONFLICT", |pod| pod.disk.myid = Some(Err("one".to_owned())));
    refused("E_ID_CONFLICT", |pod| pod.disk.marker.as_mut().unwrap().id = id(2));
    refused("E_ID_CONFLICT", |pod| pod.disk.marker.as_mut().unwrap().ensemble_id = "other".to_owned());
    refused("E_ID_CONFLICT", |pod| pod.id = id(9));
    refused("E_ID_CONFLICT", |pod| pod.rival = Some("at zk-1:2181 (follower)"));
}

#[test]
fn rivals_are_not_joined() {
    let other = || OwnId::Is("other".to_owned());
    refused("E_SPLIT_BRAIN", |pod| pod.live.get_mut(&id(2)).unwrap().ensemble_id = other());
    refused("E_SPLIT_BRAIN", |pod| pod.live.get_mut(&id(2)).unwrap().config = Ok(config([2, 7])));
    refused("E_MEMBERSHIP_REGRESSED", |pod| {
        for live in pod.live.values_mut() {
            live.config = Ok(config([2, 3]));
        }
    });
}

fn ids(pod: &mut Pod, ensemble_id: &OwnId) {
    pod.live.values_mut().for_each(|live| live.ensemble_id = ensemble_id.clone());
}

#[test]
fn a_server_whose_ensemble_id_can_not_be_read_is_not_taken_for_ours_and_is_named() {
    let unread = || OwnId::Unread("connection refused".to_owned());
    let decision = after(|pod| ids(pod, &unread()));
    let Decision::Wait(why) = decision else { panic!("{decision:?}") };
    assert!(why.contains("server 2 serves") && why.contains("its ensemble id can't be read"), "{why}");
    assert!(why.contains("server 3 serves") && why.contains("connection refused"), "{why}");
    // One of which all is known is enough.
    let one = written(|pod| pod.live.get_mut(&id(2)).unwrap().ensemble_id = unread());
    assert_eq!(one, config(1..=3));
    // Without an id in the document there is none to compare.
    let without = written(|pod| {
        pod.desired.ensemble_id = None;
        pod.disk.marker = None;
        ids(pod, &unread());
    });
    assert_eq!(without, config(1..=3));
    // A rival is one by its members, too.
    refused("E_MEMBERSHIP_REGRESSED", |pod| {
        ids(pod, &unread());
        pod.live.values_mut().for_each(|live| live.config = Ok(config([2, 3])));
    });
}

#[test]
fn a_server_without_an_ensemble_id_is_of_another_ensemble_once_the_id_was_written_there_and_not_before() {
    assert_eq!(written(|pod| ids(pod, &OwnId::Absent)), config(1..=3), "one that prestart began has no such node");
    refused("E_SPLIT_BRAIN", |pod| {
        pod.desired.id_written = true;
        ids(pod, &OwnId::Absent);
    });
    assert_eq!(written(|pod| pod.desired.id_written = true), config(1..=3));
}

#[test]
fn beside_a_server_that_serves_and_can_not_be_read_nobody_starts_alone() {
    let unread = |pod: &mut Pod| {
        pod.live.remove(&id(3));
        pod.live.get_mut(&id(2)).unwrap().config = Err("no answer".to_owned());
    };
    waits(unread);
    waits(|pod| {
        unread(pod);
        pod.disk = empty();
    });
    waits(|pod| {
        pod.live.clear();
        pod.disk = empty();
        (pod.desired.initialized, pod.desired.last_config) = (false, None);
        pod.answers = Some("a server at zk-9:2181");
    });
}

#[test]
fn a_folder_that_cannot_be_written_stops_the_start() {
    refused("E_CONFIG_NOT_PERSISTED", |pod| pod.disk.is_writable = false);
}

#[test]
fn a_name_that_is_not_in_dns_yet_is_waited_for() {
    waits(|pod| pod.resolves = false);
}

#[test]
fn the_first_server_of_a_new_ensemble_starts_alone_and_only_that_one() {
    let new = |pod: &mut Pod| {
        pod.live.clear();
        pod.disk = empty();
        pod.desired.initialized = false;
        pod.desired.last_config = None;
    };
    let decision = after(new);
    let Decision::Write { config: first, initialize: true, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(first.membership, config([1]).membership);
    waits(|pod| {
        new(pod);
        pod.id = id(2);
    });
    // The one that was recorded as the first member is that, whoever has entered the document since.
    let decision = after(|pod| {
        new(pod);
        pod.desired.last_config = Some(LastConfig { config: config([2]), since: now() });
        pod.id = id(2);
    });
    assert!(matches!(decision, Decision::Write { initialize: true, .. }), "{decision:?}");
    let decision = after(|pod| {
        new(pod);
        pod.disk.has_data = true;
    });
    assert!(
        matches!(decision, Decision::Write { initialize: false, .. }),
        "data is never initialised over: {decision:?}"
    );
}
