//! Longer faults of starting servers, for `make acceptance`.

use std::time::{Duration, Instant};

use kafka_toolbox::cluster::ensemble::desired::MemberState;

use super::faults::template;
use super::servers::Servers;
use crate::ensemble::bed::is_wanted;
use crate::ensemble::guard::{Watcher, Writer, all_there};
use crate::live::zookeeper::{Ensemble, Role, Shape};

#[test]
fn old_members_whose_configuration_was_wiped_do_not_come_back_as_a_rival() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::grown(3, 2);
    let old: String =
        [1, 2, 3].map(|number| format!("{}\n", servers.ensemble.member(number).line(Role::Participant))).concat();
    servers.edit(|desired| desired.size = 5);
    for number in [4, 5] {
        servers.starts(number);
        servers.promote(number);
    }
    for number in [1, 2] {
        servers.remove(4, number);
        servers.stops(&[number]);
    }
    servers.edit(|desired| {
        for id in [1, 2] {
            desired.members.get_mut(&kafka_toolbox::cluster::ensemble::member::ServerId(id)).unwrap().state =
                MemberState::Retired;
        }
    });
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[4, 5]).unwrap();
    for number in [1, 2] {
        servers.refused(number, "E_RETIRED_DISK");
    }

    // Without prestart, they are a second ensemble beside {3, 4, 5}.
    for number in [1, 2] {
        servers.overwrite(number, &old);
        servers.ensemble.launch(number).unwrap();
    }
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    assert_eq!(servers.leaders(&[1, 2, 4, 5]).len(), 2);
    // Whoever asks one side is shown both: the record has the places of members that were retired, too.
    for side in [[1, 2], [4, 5]] {
        let status = servers.ensemble(&side, &["status"]).ends_with(5);
        assert!(status.out.contains("2 servers lead") && status.out.contains("E_SPLIT_BRAIN"), "{status:#?}");
        let refused = servers.ensemble(&side, &["apply", "--once"]).ends_with(4);
        assert!(refused.out.contains("E_SPLIT_BRAIN"), "{refused:#?}");
    }
    // The one that was down in between joins neither by itself: a rival answers.
    servers.refused(3, "E_SPLIT_BRAIN");
    servers.stops(&[1, 2]);
    servers.starts(3);
    assert_eq!(servers.leaders(&[3, 4, 5]).len(), 1);
}

impl Servers {
    /// Starts server 3 from a template, without any init container.
    #[track_caller]
    fn starts_from_template(&self, numbers: &[u32]) {
        self.overwrite(3, &template(&self.ensemble, numbers));
        self.launch(&[3]);
    }
}

/// Servers that answer within this time that they do not serve will not begin to.
const SILENCE: Duration = Duration::from_secs(10);

/// Watches a server that looks for others and finds none that it can follow.
#[track_caller]
fn never_serves(servers: &Servers, number: u32) {
    let begun = Instant::now();
    while begun.elapsed() < SILENCE {
        let answer = servers.ensemble.srvr(number).unwrap_or_default();
        assert!(!answer.contains("Mode:"), "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(servers.ensemble.pid(number).is_some(), "it goes on looking");
}

#[test]
fn without_prestart_a_template_on_one_server_is_overruled_by_running_ones_that_it_names_and_else_keeps_it_out() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::grown(3, 1);
    servers.write(1, "/kept");
    let live = servers.configuration_seen_by(1);
    servers.stops(&[3]);
    let before = servers.files(1);

    // It lacks one member, or has a server that never was one: whichever member it asks tells it what is live.
    for numbers in [&[1, 3][..], &[2, 3], &[1, 3, 4]] {
        servers.starts_from_template(numbers);
        servers.ensemble.await_serving(&[3]).unwrap();
        assert_eq!(
            (servers.written(3), servers.leaders(&[1, 2, 3]).len()),
            ((vec![1, 2, 3], vec![]), 1),
            "{numbers:?}"
        );
        assert!([1, 3].into_iter().all(|number| servers.configuration_seen_by(number) == live), "{numbers:?}");
        assert!(servers.has(3, "/kept"));
        assert!(servers.ensemble(&[1, 2, 3], &["apply", "--once"]).ends_with(0).out.contains("nothing to do"));
        servers.stops(&[3]);
    }
    // The passes have noted who runs.
    let record = servers.record();
    // It has no member but itself: server 3 looks for a majority of the template, and serves nobody.
    servers.starts_from_template(&[3, 4]);
    never_serves(&servers, 3);
    servers.stops(&[3]);
    // It lacks the server itself.
    servers.overwrite(3, &template(&servers.ensemble, &[1, 2]));
    let (code, said) = servers.ensemble.run_to_its_end(3).unwrap();
    assert!(code == Some(1) && said.contains("not in the peer list"), "{code:?} {said}");
    assert_eq!(
        (servers.configuration_seen_by(1), servers.files(1)),
        (live, before),
        "the others know nothing of all that"
    );

    // With prestart, it comes back.
    servers.starts(3);
    assert_eq!((servers.written(3), servers.record()), ((vec![1, 2, 3], vec![]), record));
}

#[test]
fn without_prestart_a_template_with_one_server_alone_makes_it_a_rival_that_comes_back_only_with_an_empty_disk() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::grown(3, 0);
    servers.write(1, "/kept");
    let live = servers.configuration_seen_by(1);
    servers.stops(&[3]);
    servers.starts_from_template(&[3]);
    servers.ensemble.await_leader(&[3]).unwrap();
    assert_eq!((servers.leaders(&[1, 2, 3]).len(), servers.voters_seen_by(3)), (2, vec![3]));
    servers.write(3, "/of-3");
    assert!(!servers.has(1, "/of-3"), "it took a write that the ensemble lacks");
    for side in [&[1, 2][..], &[3]] {
        let status = servers.ensemble(side, &["status"]).ends_with(5);
        assert!(status.out.contains("E_SPLIT_BRAIN"), "{status:#?}");
        let refused = servers.ensemble(side, &["apply", "--once"]).ends_with(4);
        assert!(refused.out.contains("E_SPLIT_BRAIN"), "{refused:#?}");
    }
    assert_eq!(servers.configuration_seen_by(1), live);
    servers.stops(&[3]);

    // The right configuration is not enough any more: it has voted for an epoch that the others have not come to.
    servers.starts_from_template(&[1, 2, 3]);
    never_serves(&servers, 3);
    let log = std::fs::read_to_string(servers.ensemble.folder().join("logs/zookeeper-3.log")).unwrap();
    assert!(log.contains("is less than accepted epoch"), "{log}");
    servers.stops(&[3]);
    servers.ensemble.bare(3).unwrap();
    servers.starts(3);
    assert!(servers.has(3, "/kept") && !servers.has(3, "/of-3"));
    assert_eq!((servers.leaders(&[1, 2, 3]).len(), servers.voters_seen_by(3)), (1, vec![1, 2, 3]));
}

#[test]
fn a_committed_write_survives_one_wiped_disk_beside_one_server_that_lags() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::grown(3, 0);
    let watcher = Watcher::start(&servers.ensemble, &[1, 2, 3]);
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    let writer = Writer::start(servers.ensemble.addresses(&[1, 2]));
    let begun = Instant::now();
    while !servers.has(1, "/written/20") {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is written");
    }
    let written = writer.stop();
    servers.stops(&[1, 2]);
    servers.ensemble.wipe(2).unwrap();
    // Even if 2 is started without asking: it has no data, and may not vote before it has.
    servers.launch(&[2, 3]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        assert_eq!(servers.leaders(&[2, 3]), [0; 0], "the two of them do not serve without the write");
        std::thread::sleep(Duration::from_millis(100));
    }
    servers.launch(&[1]);
    servers.ensemble.await_serving(&[1, 2, 3]).unwrap();
    assert!(written.acknowledged.len() >= 20, "{}", written.acknowledged.len());
    all_there(&servers.ensemble, &[1, 2, 3], &written);
    watcher.ends("one disk wiped, one server behind");
}

#[test]
fn without_db_autocreate_false_the_same_loses_the_write() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::of(Ensemble::start(&Shape::of(3)).unwrap());
    servers.stops(&[3]);
    servers.ensemble.await_leader(&[1, 2]).unwrap();
    servers.write(1, "/committed");
    servers.stops(&[1, 2]);
    servers.ensemble.wipe(2).unwrap();
    servers.launch(&[2, 3]);
    servers.ensemble.await_serving(&[2, 3]).unwrap();
    assert!(!servers.has(3, "/committed"));
}

/// Snapshots and logs on the disk of a server.
fn data(servers: &Servers, number: u32) -> Vec<String> {
    let folder = servers.ensemble.data_of(number).join("version-2");
    let names = std::fs::read_dir(folder).into_iter().flatten();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("snapshot.") || name.starts_with("log.")).collect();
    names.sort();
    names
}

#[test]
fn two_wiped_disks_of_three_are_no_quorum_that_nobody_repairs_and_the_data_of_the_third_is_kept() {
    if !is_wanted() {
        return;
    }
    let servers = Servers::grown(3, 0);
    servers.write(1, "/kept");
    let (recorded, own, kept) = (servers.record(), servers.files(3), data(&servers, 3));
    servers.stops(&[1, 2]);
    for number in [1, 2] {
        servers.ensemble.wipe(number).unwrap();
        servers.refused(number, "E_EMPTY_DISK");
    }
    // They are started all the same, beside the third one, which still runs.
    servers.launch(&[1, 2]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        assert_eq!(servers.leaders(&[1, 2, 3]), [0; 0], "nobody serves without the data, or without a majority");
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = servers.ensemble(&[1, 2, 3], &["status"]).ends_with(5);
    assert!(status.out.contains("E_NO_QUORUM"), "{status:#?}");
    for words in [&["apply", "--once"][..], &["plan"], &["adopt"]] {
        let refused = servers.ensemble(&[1, 2, 3], words).ends_with(4);
        let text = format!("{}{}", refused.out, refused.err);
        assert!(text.contains("E_NO_QUORUM") && text.contains("copy the newest surviving data folder"), "{refused:#?}");
    }
    assert_eq!(servers.record(), recorded);
    for number in [1, 2] {
        assert!(!servers.ensemble.data_of(number).join("initialize").exists());
        assert_eq!(data(&servers, number), [""; 0], "server {number} began anew");
    }
    let left = data(&servers, 3);
    assert!(!kept.is_empty() && kept.iter().all(|name| left.contains(name)), "{kept:?} {left:?}");
    assert_eq!(servers.files(3), own, "nobody repairs the third one");

    // A person does what the refusal says.
    servers.stops(&[1, 2, 3]);
    servers.copy_data(3, 1);
    for number in [1, 3] {
        servers.prestart(number, &[]).ends_with(0);
    }
    servers.launch(&[1, 3]);
    servers.ensemble.await_serving(&[1, 3]).unwrap();
    servers.starts(2);
    assert!([1, 2, 3].into_iter().all(|number| servers.has(number, "/kept")));
    assert_eq!(servers.leaders(&[1, 2, 3]).len(), 1);
}
