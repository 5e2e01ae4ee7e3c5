//! A ZooKeeper server is ready by role and membership, never by one of them.

use proptest::prelude::*;

use crate::cluster::four_letter::{Member, MemberRole, ServerConfig, ServerMode, ServerState};
use crate::commands::probe::verdict::State;
use crate::commands::probe::verdict::zookeeper::{Expected, NoWord, Seen, Stored, ready};

fn state(mode: ServerMode) -> ServerState {
    ServerState {
        version: None,
        mode,
        zxid: 0x1_0000_0001,
        node_count: 5,
        latency: None,
        connections: None,
        outstanding: None,
    }
}

fn config(own: u64, members: &[(u64, MemberRole)]) -> ServerConfig {
    let member = |(id, role): &(u64, MemberRole)| Member { id: *id, role: *role, server: "h:1:2".to_owned() };
    let members = members.iter().map(member).collect();
    ServerConfig { own_id: Some(own), members, version: Some(0x1_0000_0000), ..ServerConfig::default() }
}

fn seen(mode: ServerMode, config: Result<ServerConfig, NoWord>) -> Seen {
    Seen { address: "127.0.0.1:2181".to_owned(), state: Ok(state(mode)), config: Some(config), stored: None }
}

const VOTERS: [(u64, MemberRole); 3] =
    [(1, MemberRole::Participant), (2, MemberRole::Participant), (3, MemberRole::Observer)];

#[test]
fn leaders_followers_and_observers_are_ready_where_the_configuration_has_them_as_such() {
    let any = Expected::default();
    let follower = ready(&seen(ServerMode::Follower, Ok(config(2, &VOTERS))), any);
    assert_eq!(follower.state, State::Ready);
    assert_eq!(follower.reason, "server 2 is follower and one of 3 members (version 100000000)");
    assert_eq!(ready(&seen(ServerMode::Leader, Ok(config(1, &VOTERS))), any).state, State::Ready);
    assert_eq!(ready(&seen(ServerMode::Observer, Ok(config(3, &VOTERS))), any).state, State::Ready);
    let other_role = ready(&seen(ServerMode::Follower, Ok(config(3, &VOTERS))), any);
    assert_eq!(other_role.state, State::NotReady);
    let reason = "server 3 is follower, but the configuration (version 100000000) lists it as observer";
    assert_eq!(other_role.reason, reason);
}

#[test]
fn a_server_that_was_removed_or_joins_follows_and_is_not_ready() {
    let gone = ready(&seen(ServerMode::Follower, Ok(config(4, &VOTERS))), Expected::default());
    assert_eq!(gone.state, State::NotReady);
    assert!(
        gone.reason.contains("follower without a vote") && gone.reason.contains("has only 1, 2, 3"),
        "{}",
        gone.reason
    );
}

#[test]
fn a_server_whose_folder_has_an_older_configuration_than_it_serves_is_not_ready() {
    let with = |own: u64, version: Result<u64, String>| {
        let stored = Some(Stored { folder: "/data/conf".to_owned(), version });
        ready(&Seen { stored, ..seen(ServerMode::Follower, Ok(config(own, &VOTERS))) }, Expected::default())
    };
    assert_eq!(with(2, Ok(0x1_0000_0000)).state, State::Ready);
    assert_eq!(with(2, Ok(0x1_0000_0001)).state, State::Ready, "it was changed since it was asked");
    let behind = with(2, Ok(0xff));
    assert_eq!(behind.state, State::NotReady);
    let words = "E_CONFIG_NOT_PERSISTED: server 2 serves configuration 100000000, and /data/conf has version ff. ";
    assert!(behind.reason.starts_with(words), "{}", behind.reason);
    assert!(with(2, Ok(0)).reason.contains("/data/conf has none that it wrote"));
    assert_eq!(with(2, Err("failed to read".to_owned())).state, State::Unknown);
    assert!(with(4, Ok(0)).reason.contains("without a vote"), "what is worse comes first");
}

#[test]
fn a_word_outside_the_whitelist_is_unknown_with_what_to_do_and_the_role_may_be_enough() {
    let words = seen(ServerMode::Leader, Err(NoWord::NotWhitelisted));
    let verdict = ready(&words, Expected::default());
    assert_eq!(verdict.state, State::Unknown);
    assert!(verdict.reason.contains("4lw.commands.whitelist=srvr,conf") && verdict.reason.contains("--role-only"));
    let role_only = Seen { config: None, ..words };
    assert_eq!(ready(&role_only, Expected::default()).state, State::Ready);
}

#[test]
fn a_server_without_a_quorum_is_not_ready_and_one_that_is_down_neither() {
    let down = |why| Seen { address: "a:1".to_owned(), state: Err(why), config: None, stored: None };
    let waits = ready(&down(NoWord::NotServing), Expected::default());
    assert_eq!(waits.state, State::NotReady);
    assert!(waits.reason.contains("is up, but has no quorum"), "{}", waits.reason);
    assert_eq!(ready(&down(NoWord::NoAnswer("down".to_owned())), Expected::default()).state, State::NotReady);
    assert_eq!(ready(&down(NoWord::NotWhitelisted), Expected::default()).state, State::Unknown);
    let other = ready(&down(NoWord::OtherAnswer("HTTP/1.1".to_owned())), Expected::default());
    assert_eq!(other.state, State::NotReady, "as for a broker's port that answers something else");
    assert!(other.reason.contains("answers, but not as a ZooKeeper server: HTTP/1.1"), "{}", other.reason);
}

#[test]
fn standalone_is_ready_only_where_it_is_expected_and_another_id_never() {
    let alone = seen(ServerMode::Standalone, Ok(ServerConfig { own_id: Some(0), ..ServerConfig::default() }));
    assert_eq!(ready(&alone, Expected::default()).state, State::NotReady);
    assert_eq!(ready(&alone, Expected { standalone: true, id: None }).state, State::Ready);
    let other = Expected { id: Some(9), standalone: false };
    let verdict = ready(&seen(ServerMode::Leader, Ok(config(1, &VOTERS))), other);
    assert_eq!(verdict.reason, "127.0.0.1:2181 is server 1, not 9: look at --address and at its myid");
    assert_eq!(ready(&seen(ServerMode::ReadOnly, Ok(config(1, &VOTERS))), Expected::default()).state, State::NotReady);
}

proptest! {
    /// Ready implies: the own id is in the membership, with the role that the mode needs.
    #[test]
    fn whoever_is_ready_is_a_member(
        own in 1_u64..6,
        members in proptest::collection::btree_map(1_u64..6, any::<bool>(), 0..5),
        mode in 0..5_usize,
    ) {
        let modes = [ServerMode::Leader, ServerMode::Follower, ServerMode::Observer, ServerMode::Standalone, ServerMode::ReadOnly];
        let role = |votes: bool| if votes { MemberRole::Participant } else { MemberRole::Observer };
        let members: Vec<_> = members.into_iter().map(|(id, votes)| (id, role(votes))).collect();
        let verdict = ready(&seen(modes[mode], Ok(config(own, &members))), Expected::default());
        let fits = members.contains(&(own, role(modes[mode] != ServerMode::Observer))) && mode < 3;
        prop_assert_eq!(verdict.state == State::Ready, fits);
    }
}
