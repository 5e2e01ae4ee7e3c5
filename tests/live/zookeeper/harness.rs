//! The harness itself: servers start, end, stand still, lose their disks, and read what was written for them.

use rustix::process::Signal;

use super::{Ensemble, Role, Shape};

#[test]
fn three_servers_elect_a_leader_lose_it_freeze_and_come_back_without_their_disk() {
    let ensemble = Ensemble::start(&Shape::of(3)).unwrap();
    let all = [1, 2, 3];
    let leader = ensemble.await_leader(&all).unwrap();
    let others: Vec<u32> = all.into_iter().filter(|&number| number != leader).collect();

    ensemble.stop(leader, Signal::KILL).unwrap();
    assert_eq!(ensemble.pid(leader), None);
    let second = ensemble.await_leader(&others).unwrap();
    ensemble.wipe(leader).unwrap();
    ensemble.launch(leader).unwrap();
    ensemble.await_serving(&all).unwrap();

    ensemble.freeze(second).unwrap();
    let rest: Vec<u32> = all.into_iter().filter(|&number| number != second).collect();
    ensemble.await_leader(&rest).unwrap();
    ensemble.thaw(second).unwrap();
    ensemble.await_serving(&all).unwrap();
    assert!(ensemble.addresses(&all).matches("127.0.0.1:").count() == 3);
}

#[test]
fn a_spare_server_joins_by_its_own_file_and_ends_where_the_file_does_not_name_it() {
    let shape = Shape { four_letter_words: None, ..Shape::of(1) }.spares(2).property("tickTime", "400");
    let ensemble = Ensemble::start(&shape).unwrap();
    assert_eq!(ensemble.await_leader(&[1]).unwrap(), 1);
    assert!(std::fs::read_to_string(ensemble.zoo_cfg_file(1)).unwrap().contains("tickTime=400"));

    // Not in the ensemble's configuration yet, and yet it serves: a follower without a vote.
    ensemble.launch(2).unwrap();
    ensemble.await_serving(&[2]).unwrap();
    assert!(ensemble.srvr(2).unwrap().contains("Mode: follower"));
    ensemble.stop(2, Signal::TERM).unwrap();

    ensemble.write_dynamic(3, &format!("{}\n", ensemble.member(1).line(Role::Participant))).unwrap();
    assert!(!ensemble.dynamic(3).unwrap().contains("server.3="));
    ensemble.write_id(3, 3).unwrap();
    ensemble.launch(3).unwrap();
    ensemble.await_end(3).unwrap();
    let log = std::fs::read_to_string(ensemble.folder().join("logs/zookeeper-3.log")).unwrap();
    assert!(log.contains("My id 3 not in the peer list"), "{log}");
}
