//! A controller is ready by its part in the quorum, and by the directory id of its disk.

use jiff::Timestamp;
use uuid::Uuid;

use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, QuorumState, ReplicaKey};
use crate::commands::probe::verdict::State;
use crate::commands::probe::verdict::controller::{Own, Seen, ready};

const NOW: i64 = 1_000_000;

fn directory(number: u128) -> Option<DirectoryId> {
    DirectoryId::of(Uuid::from_u128(number))
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn replica(node: i32, disk: u128, fetched_ms: Option<i64>) -> QuorumReplica {
    let key = ReplicaKey { id: NodeId(node), directory: directory(disk) };
    QuorumReplica { key, log_end_offset: Some(10), last_fetch: fetched_ms.map(time), last_caught_up: None }
}

fn quorum(leader: i32, voters: Vec<QuorumReplica>) -> Seen {
    let leader = (leader > 0).then_some(NodeId(leader));
    let view = QuorumState { leader, leader_epoch: 3, high_watermark: 10, voters, ..QuorumState::default() };
    Seen::Quorum { view, now: time(NOW) }
}

fn own(node: i32, disk: u128) -> Own {
    Own { node: NodeId(node), directory: directory(disk) }
}

fn three() -> Vec<QuorumReplica> {
    vec![replica(1, 11, None), replica(2, 12, Some(NOW - 100)), replica(3, 13, Some(NOW - 60_000))]
}

#[test]
fn the_leader_and_a_follower_that_fetches_are_ready_and_one_that_does_not_is_not() {
    assert_eq!(ready(&own(1, 11), &quorum(1, three())).reason, "controller 1 leads the quorum of 3");
    let follower = ready(&own(2, 12), &quorum(1, three()));
    assert_eq!(
        (follower.state, follower.reason.as_str()),
        (State::Ready, "controller 2 follows leader 1 and is a voter")
    );
    let silent = ready(&own(3, 13), &quorum(1, three()));
    assert_eq!(silent.state, State::NotReady);
    assert!(silent.reason.contains("has not fetched from leader 1 for 60 s"), "{}", silent.reason);
}

#[test]
fn an_observer_and_a_voter_with_a_new_disk_are_not_ready() {
    let joins = ready(&own(4, 14), &quorum(1, three()));
    assert_eq!(joins.state, State::NotReady);
    assert!(joins.reason.contains("is no voter: the voters are 1, 2, 3"), "{}", joins.reason);
    let new_disk = ready(&own(2, 99), &quorum(1, three()));
    assert_eq!(new_disk.state, State::NotReady);
    assert!(new_disk.reason.contains("its disk is new"), "{}", new_disk.reason);
    let both = vec![replica(1, 11, None), replica(2, 12, None), replica(2, 99, Some(NOW))];
    assert_eq!(ready(&own(2, 99), &quorum(1, both)).state, State::Ready);
}

#[test]
fn a_static_quorum_knows_no_directories_and_a_dynamic_one_asks_for_them() {
    let fixed = vec![replica(1, 0, None), replica(2, 0, Some(NOW))];
    assert_eq!(ready(&own(2, 12), &quorum(1, fixed.clone())).state, State::Ready);
    assert_eq!(ready(&own(2, 0), &quorum(1, fixed)).state, State::Ready);
    let unknown = ready(&own(2, 0), &quorum(1, three()));
    assert_eq!(unknown.state, State::Unknown);
    assert!(unknown.reason.contains("give --log-dir"), "{}", unknown.reason);
}

#[test]
fn a_voter_that_has_not_fetched_from_the_leader_yet_is_not_ready() {
    let silent = vec![replica(1, 11, Some(NOW)), replica(2, 12, None), replica(3, 13, Some(NOW))];
    let verdict = ready(&own(2, 12), &quorum(1, silent));
    assert_eq!(verdict.state, State::NotReady);
    assert!(verdict.reason.contains("has not fetched from leader 1 yet"), "{}", verdict.reason);
    // A leader before Kafka 3.5 shows no times: then how far the voter is decides.
    let mut timeless = vec![replica(1, 11, None), replica(2, 12, None), replica(3, 13, None)];
    timeless[0].log_end_offset = Some(1_010);
    assert_eq!(ready(&own(2, 12), &quorum(1, timeless.clone())).state, State::Ready, "1000 records behind");
    timeless[0].log_end_offset = Some(1_011);
    assert_eq!(ready(&own(2, 12), &quorum(1, timeless.clone())).state, State::NotReady);
    timeless[1].log_end_offset = None;
    assert_eq!(ready(&own(2, 12), &quorum(1, timeless)).state, State::NotReady);
}

#[test]
fn without_a_leader_nobody_is_ready() {
    assert_eq!(ready(&own(2, 12), &quorum(0, three())).state, State::NotReady);
    assert_eq!(ready(&own(2, 12), &Seen::NoLeader).state, State::NotReady);
    let silent = Seen::LeaderSilent { leader: NodeId(1), why: "refused".to_owned() };
    assert_eq!(ready(&own(2, 12), &silent).state, State::NotReady);
}

#[test]
fn how_long_ago_a_controller_fetched_is_judged_by_the_leaders_clock() {
    let ahead = NOW + 3_600_000;
    let voters =
        vec![replica(1, 11, Some(ahead)), replica(2, 12, Some(ahead - 100)), replica(3, 13, Some(ahead - 9_000))];
    assert_eq!(ready(&own(2, 12), &quorum(1, voters.clone())).state, State::Ready);
    let behind = ready(&own(3, 13), &quorum(1, voters));
    assert!(behind.reason.contains("for 9 s"), "{}", behind.reason);
}
