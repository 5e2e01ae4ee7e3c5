//! Whether a controller or a ZooKeeper server may stop.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Membership};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer as Said, Mode, ServerView, Zxid};
use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica, QuorumState, ReplicaKey};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::rollout::plan::standing::{Standing, of_server};
use crate::commands::rollout::verdict::tests::scene::sample;
use crate::commands::rollout::verdict::{Answer, ReasonCode, Terms, Verdict, broker, controller, server};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn voter(id: i32, end: i64, ago: Option<i64>) -> QuorumReplica {
    let at = ago.map(|ago| NOW - SignedDuration::from_secs(ago));
    let directory = DirectoryId::of(Uuid::from_u128(u128::from(id.unsigned_abs())));
    QuorumReplica {
        key: ReplicaKey { id: NodeId(id), directory },
        log_end_offset: Some(end),
        last_fetch: at,
        last_caught_up: at,
    }
}

/// Voters from 1 on, each so many seconds behind; the first one leads.
fn quorum(ago: &[i64]) -> QuorumState {
    let voters = (1..).zip(ago).map(|(id, ago)| voter(id, 10, Some(*ago))).collect();
    QuorumState { leader: Some(NodeId(1)), high_watermark: 10, voters, ..QuorumState::default() }
}

fn stops(node: i32, quorum: &QuorumState) -> Verdict {
    controller::may_stop(NodeId(node), quorum)
}

#[test]
fn a_controller_may_stop_while_the_others_that_are_caught_up_are_a_majority() {
    assert!(stops(2, &quorum(&[0, 0, 0])).may_stop());
    assert_eq!(stops(2, &quorum(&[0, 0, 60])).answer, Answer::Wait);
    assert!(stops(3, &quorum(&[0, 0, 60])).may_stop(), "it is behind itself");
    assert!(stops(2, &quorum(&[0, 0, 0, 0, 60])).may_stop(), "three of five are left");
    assert_eq!(stops(2, &quorum(&[0, 0, 0, 60, 60])).answer, Answer::Wait);
    assert_eq!(stops(2, &quorum(&[0, 0, 0, 60])).answer, Answer::Wait, "of four, three are needed");
}

#[test]
fn the_leader_is_marked_a_quorum_of_two_is_noted_and_strangers_are_refused() {
    let leader = stops(1, &quorum(&[0, 0, 0]));
    assert!(leader.may_stop() && leader.is_active);
    let two = stops(2, &quorum(&[0, 0]));
    assert!(two.may_stop() && two.notes[0].contains("no majority"), "{two:?}");
    assert_eq!(stops(1, &quorum(&[0, 60])).answer, Answer::Wait, "of two, the other one is behind");
    assert!(stops(1, &quorum(&[0])).may_stop());
    assert_eq!(stops(7, &quorum(&[0, 0, 0])).answer, Answer::Refused);
    assert_eq!(stops(1, &QuorumState { leader: None, ..quorum(&[0, 0, 0]) }).answer, Answer::Wait);
}

#[test]
fn before_kafka_3_5_offsets_are_compared() {
    let old = |ends: &[i64]| {
        let voters = (1..).zip(ends).map(|(id, end)| voter(id, *end, None)).collect();
        QuorumState { leader: Some(NodeId(1)), high_watermark: 10, voters, ..QuorumState::default() }
    };
    assert!(stops(2, &old(&[12, 10, 10])).may_stop());
    assert_eq!(stops(2, &old(&[12, 10, 9])).answer, Answer::Wait);
}

#[test]
fn a_node_with_both_roles_must_be_allowed_by_both() {
    let mut seen = sample(&[1, 2, 3], 2, Vec::new());
    seen.quorum = Some(quorum(&[0, 0, 60]));
    let verdict = broker::may_stop(BrokerId(2), &seen, &Terms::default());
    assert_eq!((verdict.answer, verdict.reasons.len()), (Answer::Wait, 1 + usize::from(seen.seen_by == BrokerId(2))));
    seen.seen_by = BrokerId(1);
    let verdict = broker::may_stop(BrokerId(3), &seen, &Terms::default());
    assert!(verdict.may_stop(), "{verdict:?}");
}

const VERSION: ConfigVersion = ConfigVersion(0x1_0000_0000);

/// An ensemble of these voters; the first of those that live leads.
fn ensemble(voters: &[i64], live: &[i64]) -> Seen {
    let server = |id: &i64| {
        (ServerId(*id), ServerLine::parse(&format!("127.0.0.1:{}:{}:participant", 2000 + id, 3000 + id)).unwrap())
    };
    let membership = Membership { servers: voters.iter().map(server).collect(), hierarchy: None };
    let config = EnsembleConfig { membership, version: VERSION };
    let view = |id: &i64| {
        let mode = if live.first() == Some(id) { Mode::Leader } else { Mode::Follower };
        let answer = if live.contains(id) {
            Said::Serving { mode, zxid: Zxid(9) }
        } else {
            Said::Down { why: "refused".to_owned() }
        };
        let config = live.contains(id).then(|| config.clone());
        (ServerId(*id), ServerView { config, ..ServerView::of(answer) })
    };
    let servers = voters.iter().map(view).collect();
    Seen { servers, quorum: Some(config), leader_zxid: Some(Zxid(9)), ..Seen::default() }
}

fn stops_server(id: i64, seen: &Seen) -> Verdict {
    server::may_stop(ServerId(id), seen, &Terms::default())
}

#[test]
fn a_zookeeper_server_may_stop_while_the_others_keep_the_quorum() {
    let three = ensemble(&[1, 2, 3], &[1, 2, 3]);
    assert!(stops_server(2, &three).may_stop());
    let leader = stops_server(1, &three);
    assert!(leader.may_stop() && leader.is_active);
    let one_out = ensemble(&[1, 2, 3], &[1, 2]);
    assert_eq!(stops_server(2, &one_out).answer, Answer::Wait);
    assert!(stops_server(3, &one_out).may_stop(), "that one is out itself");
    assert!(stops_server(5, &ensemble(&[1, 2, 3, 4, 5], &[1, 2, 3, 5])).may_stop(), "three of five are left");
    assert_eq!(stops_server(9, &three).answer, Answer::Refused);
}

#[test]
fn a_server_is_back_only_once_its_configuration_is_known_to_be_the_live_one() {
    let mut seen = ensemble(&[1, 2, 3], &[1, 2, 3]);
    let stands = |seen: &Seen| of_server(ServerId(2), seen);
    assert_eq!(stands(&seen), Standing::Complete);
    let own = &mut seen.servers.get_mut(&ServerId(2)).unwrap().config;
    own.as_mut().unwrap().version = ConfigVersion(1);
    assert!(matches!(stands(&seen), Standing::Behind(_)), "{:?}", stands(&seen));
    seen.servers.get_mut(&ServerId(2)).unwrap().config = None;
    let said = Standing::Behind("its configuration, or that of the ensemble, could not be read".to_owned());
    assert_eq!(stands(&seen), said);
    seen = Seen { quorum: None, ..ensemble(&[1, 2, 3], &[1, 2, 3]) };
    assert_eq!(stands(&seen), said);
}

#[test]
fn an_observer_may_stop_and_an_ensemble_of_two_must_be_accepted() {
    let mut seen = ensemble(&[1, 2, 3], &[1, 2]);
    seen.quorum.as_mut().unwrap().membership.servers.get_mut(&ServerId(2)).unwrap().role = Role::Observer;
    assert!(stops_server(2, &seen).may_stop());
    let two = ensemble(&[1, 2], &[1, 2]);
    assert_eq!(stops_server(2, &two).answer, Answer::Refused);
    let accepts = Terms { accepts_unavailable: true, ..Terms::default() };
    assert!(server::may_stop(ServerId(2), &two, &accepts).may_stop());
}

#[test]
fn a_server_that_has_not_stored_the_configuration_and_two_leaders_forbid_it() {
    let mut seen = ensemble(&[1, 2, 3], &[1, 2, 3]);
    seen.servers.get_mut(&ServerId(3)).unwrap().disk_version = Some(ConfigVersion(1));
    assert_eq!(stops_server(2, &seen).reasons[0].code, ReasonCode::ConfigNotPersisted);
    let mut split = ensemble(&[1, 2, 3], &[1, 2, 3]);
    split.servers.get_mut(&ServerId(3)).unwrap().answer = Said::Serving { mode: Mode::Leader, zxid: Zxid(9) };
    assert_eq!(stops_server(2, &split).answer, Answer::Refused);
    let unread = Seen { quorum: None, ..ensemble(&[1, 2, 3], &[1, 2, 3]) };
    assert_eq!(stops_server(2, &unread).answer, Answer::Wait);
}

#[test]
fn without_a_leader_with_two_ids_or_with_a_configuration_that_can_not_be_read_no_server_may_stop() {
    let mut headless = ensemble(&[1, 2, 3], &[1, 2, 3]);
    headless.servers.get_mut(&ServerId(1)).unwrap().answer = Said::Serving { mode: Mode::Follower, zxid: Zxid(9) };
    headless.leader_zxid = None;
    let verdict = stops_server(2, &headless);
    assert!(!verdict.may_stop() && verdict.reasons[0].text.contains("no server leads"), "{verdict:?}");
    let mut two = ensemble(&[1, 2, 3], &[1, 2, 3]);
    for (id, ensemble) in [(1, "one"), (2, "one"), (3, "other")] {
        two.servers.get_mut(&ServerId(id)).unwrap().ensemble_id = Some(ensemble.to_owned());
    }
    let verdict = stops_server(2, &two);
    assert_eq!((verdict.answer, verdict.reasons[0].code), (Answer::Refused, ReasonCode::SplitBrain));
    let mut unknown = ensemble(&[1, 2, 3], &[1, 2, 3]);
    unknown.servers.get_mut(&ServerId(3)).unwrap().id_unread = Some("no session".to_owned());
    assert_eq!(stops_server(2, &unknown).answer, Answer::Wait, "it may be of another ensemble");
    let mut unread = ensemble(&[1, 2, 3], &[1, 2, 3]);
    unread.servers.get_mut(&ServerId(3)).unwrap().config = None;
    assert_eq!(stops_server(2, &unread).reasons[0].code, ReasonCode::ConfigNotPersisted);
    let mut hidden = ensemble(&[1, 2, 3], &[1, 2, 3]);
    hidden.servers.get_mut(&ServerId(3)).unwrap().disk_unread = Some("no such folder".to_owned());
    assert_eq!(stops_server(2, &hidden).reasons[0].code, ReasonCode::ConfigNotPersisted);
}
