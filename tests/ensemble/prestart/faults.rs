//! Faults of starting servers, on real ones: what happens without `prestart`, and what it does about it.

use rustix::process::Signal;

use super::servers::Servers;
use crate::live::zookeeper::{Ensemble, Role, Shape};

/// Lines of a template that lists these servers as voters.
pub(super) fn template(ensemble: &Ensemble, numbers: &[u32]) -> String {
    let line = |number: &u32| ensemble.member(*number).line(Role::Participant) + "\n";
    numbers.iter().map(line).collect()
}

#[test]
fn two_fresh_servers_beside_a_frozen_first_one_form_no_second_ensemble() {
    let servers = Servers::bare(3);
    servers.starts(1);
    servers.write(1, "/before");
    servers.ensemble.freeze(1).unwrap();
    for number in [2, 3] {
        let ran = servers.waits(number);
        assert!(ran.err.contains("no other server serves"), "{ran:#?}");
        assert!(servers.files(number).is_empty(), "there is nothing from which it could start alone");
    }

    servers.ensemble.thaw(1).unwrap();
    servers.ensemble.await_serving(&[1]).unwrap();
    for number in [2, 3] {
        servers.prestart(number, &[]).ends_with(0);
        assert_eq!(servers.written(number), (vec![1], vec![i64::from(number)]), "one observer a file: itself");
        servers.launch(&[number]);
    }
    servers.ensemble.await_serving(&[2, 3]).unwrap();
    assert_eq!(servers.leaders(&[1, 2, 3]), [1]);
    assert!(servers.has(2, "/before") && servers.has(3, "/before"));
}

#[test]
fn without_prestart_two_fresh_servers_beside_a_frozen_first_one_are_a_second_ensemble() {
    let ensemble = Ensemble::start(&Shape::of(1).spares(2)).unwrap();
    let all = template(&ensemble, &[1, 2, 3]);
    ensemble.freeze(1).unwrap();
    for number in [2, 3] {
        ensemble.write_dynamic(number, &all).unwrap();
        ensemble.launch(number).unwrap();
    }
    ensemble.await_leader(&[2, 3]).unwrap();
    ensemble.thaw(1).unwrap();
    ensemble.await_serving(&[1]).unwrap();
    let servers = Servers::of(ensemble);
    let leaders = servers.leaders(&[1, 2, 3]);
    assert_eq!(leaders.len(), 2, "{leaders:?}");
    for leader in &leaders {
        servers.write(*leader, &format!("/of-{leader}"));
    }
    let has = |number: u32| leaders.iter().filter(|of| servers.has(number, &format!("/of-{of}"))).collect::<Vec<_>>();
    assert!(leaders.iter().all(|leader| has(*leader) == [leader]), "both took a write that the other one lacks");
}

#[test]
fn a_wiped_disk_a_template_and_a_doubled_id_of_one_server_harm_nobody() {
    let servers = Servers::grown(3, 1);
    servers.write(1, "/kept");
    assert_eq!(servers.voters_seen_by(3), [1, 2, 3]);

    // A second process with the id of one that runs, on an empty disk and on a copy of the disk of that one.
    let before = (servers.record(), servers.configuration_seen_by(1), servers.files(2));
    let ran = servers.prestart_as(4, 2, &[]).ends_with(4);
    assert!(ran.out.contains("E_ID_CONFLICT: server 2 runs already"), "{ran:#?}");
    assert!(servers.files(4).is_empty());
    servers.copy_disk(2, 4);
    let copied = servers.files(4);
    let ran = servers.prestart_as(4, 2, &[]).ends_with(4);
    assert!(ran.out.contains("E_ID_CONFLICT: server 2 runs already"), "{ran:#?}");
    assert_eq!(servers.files(4), copied);
    servers.is_ready(2);
    assert_eq!((servers.record(), servers.configuration_seen_by(1), servers.files(2)), before, "nobody is harmed");
    // A disk under the id of another.
    servers.stops(&[3]);
    let own = servers.files(3);
    let ran = servers.prestart_as(3, 4, &[]).ends_with(4);
    assert!(ran.out.contains("E_ID_CONFLICT: the disk has myid 3, the pod is server 4"), "{ran:#?}");
    assert_eq!((servers.record(), servers.files(3)), (before.0, own));

    // A template over the file of one.
    servers.overwrite(3, &template(&servers.ensemble, &[1, 3]));
    servers.starts(3);
    assert_eq!(servers.written(3), (vec![1, 2, 3], vec![]));

    // The disk of one is wiped: it has no data of its own to vote with, and copies it.
    servers.stops(&[3]);
    servers.ensemble.bare(3).unwrap();
    servers.prestart(3, &[]).ends_with(0);
    assert!(servers.ready(3).ends_with(5).out.starts_with("not_ready"));
    servers.launch(&[3]);
    servers.is_ready(3);
    assert!(!servers.ensemble.data_of(3).join("initialize").exists());
    assert!(servers.has(3, "/kept"));
    assert_eq!(servers.voters_seen_by(3), [1, 2, 3]);

    // Two of three are wiped: no quorum, and the data of the third stays.
    servers.stops(&[1, 2]);
    for number in [1, 2] {
        servers.ensemble.bare(number).unwrap();
        servers.refused(number, "E_EMPTY_DISK");
    }
    assert!(servers.ensemble.data_of(3).join("version-2").exists());
}

/// It has led a rival that grew from the same data: ZooKeeper lets it follow nobody, until it wins an election.
#[test]
fn a_disk_with_a_later_epoch_than_the_ensemble_does_not_come_back_before_the_ensemble_has_that_epoch() {
    let servers = Servers::grown(3, 0);
    servers.write(1, "/kept");
    servers.stops(&[3]);
    let folder = servers.ensemble.data_of(3).join("version-2");
    let epoch: u64 = std::fs::read_to_string(folder.join("acceptedEpoch")).unwrap().trim().parse().unwrap();
    for name in ["acceptedEpoch", "currentEpoch"] {
        std::fs::write(folder.join(name), (epoch + 3).to_string()).unwrap();
    }
    let ran = servers.waits(3);
    assert!(ran.err.contains(&format!("the disk is in epoch {}, the ensemble in", epoch + 3)), "{ran:#?}");
    assert!(ran.err.contains("move its folder version-2 away"), "{ran:#?}");

    std::fs::rename(&folder, folder.with_file_name("of-the-rival")).unwrap();
    servers.prestart(3, &[]).ends_with(0);
    servers.launch(&[3]);
    servers.is_ready(3);
    assert!(servers.has(3, "/kept"));
    std::fs::write(folder.join("currentEpoch"), "x").unwrap();
    servers.stops(&[3]);
    let ran = servers.prestart(3, &["--within", "1s"]).ends_with(4);
    assert!(ran.out.contains("E_DISK_IO") && ran.out.contains("currentEpoch: `x` is no epoch"), "{ran:#?}");
}

#[test]
fn a_removed_server_that_restarts_ends_and_starts_again_only_if_it_is_wanted() {
    let servers = Servers::grown(3, 0);
    servers.remove(1, 3);
    servers.edit(|desired| {
        let member = desired.members.values_mut().last().unwrap();
        member.state = kafka_toolbox::cluster::ensemble::desired::MemberState::Leaving;
    });
    servers.stops(&[3]);
    servers.launch(&[3]);
    servers.ensemble.await_end(3).unwrap();
    let before = (servers.record(), servers.configuration_seen_by(1));
    let ran = servers.waits(3);
    assert!(ran.err.contains("server 3 is no member any more, and should leave"), "{ran:#?}");
    assert_eq!((servers.record(), servers.configuration_seen_by(1)), before);

    servers.edit(|desired| {
        let member = desired.members.values_mut().last().unwrap();
        member.state = kafka_toolbox::cluster::ensemble::desired::MemberState::Joining;
    });
    servers.prestart(3, &[]).ends_with(0);
    assert_eq!(servers.written(3), (vec![1, 2], vec![3]));
    servers.launch(&[3]);
    servers.ensemble.await_serving(&[3]).unwrap();
    servers.promote(3);
    assert_eq!(servers.voters_seen_by(1), [1, 2, 3]);
}

#[test]
fn a_whole_ensemble_restarts_from_its_files_and_not_from_a_template_that_brings_back_old_members() {
    let servers = Servers::grown(3, 0);
    let old = template(&servers.ensemble, &[1, 2, 3]);
    servers.write(1, "/kept");
    servers.remove(2, 1);
    servers.stops(&[1, 2, 3]);
    for number in [2, 3] {
        let again = servers.prestart(number, &[]).ends_with(0);
        assert_eq!(again.out.trim(), "nothing to do", "the file on disk is kept");
    }
    let good: Vec<_> = [2, 3].map(|number| servers.overwrite(number, &old)).into();
    for number in [2, 3] {
        servers.refused(number, "E_MEMBERSHIP_REGRESSED");
    }
    // Without prestart, the old member is back, and counts.
    servers.overwrite(1, &old);
    servers.launch(&[1, 2, 3]);
    servers.ensemble.await_serving(&[1, 2, 3]).unwrap();
    assert_eq!(servers.voters_seen_by(2), [1, 2, 3]);
    let status = servers.ensemble(&[2, 3], &["status"]).ends_with(5);
    let words = ["the membership is not the one that was left at version", "refuse: E_MEMBERSHIP_REGRESSED"];
    assert!(words.iter().all(|words| status.out.contains(words)), "{status:#?}");
    let refused = servers.ensemble(&[2, 3], &["apply", "--once"]).ends_with(4);
    assert!(refused.out.contains("E_MEMBERSHIP_REGRESSED"), "{refused:#?}");
    servers.ensemble.stop(3, Signal::KILL).unwrap();
    servers.refused(3, "E_MEMBERSHIP_REGRESSED");

    // With it, nothing is lost: the files that agree with the document are started from.
    servers.stops(&[1, 2]);
    good.into_iter().flatten().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    for number in [2, 3] {
        servers.prestart(number, &[]).ends_with(0);
        servers.launch(&[number]);
    }
    servers.ensemble.await_serving(&[2, 3]).unwrap();
    assert!(servers.has(2, "/kept"));
}
