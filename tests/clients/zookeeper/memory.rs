//! The fake keeps the contract, and does what tests ask of it.

use kafka_toolbox::clients::zookeeper::memory::{Fault, Memory};
use kafka_toolbox::clients::zookeeper::{Creation, Mode, Reconfiguration, Refusal, ZooKeeper, ZooKeeperError};
use kafka_toolbox::formats::secret::remember;

use super::contract;

fn line(id: u64, role: &str) -> String {
    format!("server.{id}=127.0.0.1:{}:{}:{role};127.0.0.1:{}", 100 + id, 200 + id, 300 + id)
}

fn ensemble(servers: u64) -> Memory {
    let lines: Vec<_> = (1..=servers).map(|id| line(id, "participant")).collect();
    let memory = Memory::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    memory.set_super_password(remember("super-of-tests"));
    memory
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let memory = ensemble(3);
    let (one, other) = (memory.session(), memory.session());
    contract::nodes(&one, &other).await;
    contract::together(&one).await;
    contract::watches(&one, &other).await;
    contract::access(&memory.session_as("ada", &remember("lovelace")), &other).await;
    contract::closing(&one, &other).await;
}

#[tokio::test]
async fn the_membership_of_the_fake_keeps_the_contract() {
    let memory = ensemble(1);
    let may = memory.session_as("super", &remember("super-of-tests"));
    contract::membership(&may, &memory.session(), line).await;
    assert_eq!(memory.changes(), 3);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_change_and_a_request_that_is_lost_does_not() {
    let memory = ensemble(3);
    let may = memory.session_as("super", &remember("super-of-tests"));
    let before = may.configuration().await.unwrap();
    let leave = |id| Reconfiguration { leaving: vec![id], from_version: None, ..Reconfiguration::default() };
    memory.add_fault(Fault::RequestLost);
    assert!(may.reconfigure(&leave(3)).await.unwrap_err().is_unknown());
    assert_eq!(may.configuration().await.unwrap(), before);
    memory.add_fault(Fault::AnswerLost);
    assert!(may.reconfigure(&leave(3)).await.unwrap_err().is_unknown());
    assert_ne!(may.configuration().await.unwrap(), before);
    assert_eq!(memory.changes(), 1);
    memory.add_fault(Fault::Refused(Refusal::ReconfigInProgress));
    assert_eq!(may.reconfigure(&leave(2)).await.unwrap_err().refusal(), Some(Refusal::ReconfigInProgress));
    memory.add_fault(Fault::Expired);
    assert_eq!(may.configuration().await.unwrap_err(), ZooKeeperError::SessionExpired);
    assert_eq!(may.configuration().await.unwrap_err(), ZooKeeperError::SessionExpired);
}

/// What membership.md saw on real servers.
#[tokio::test]
async fn quorums_are_counted_as_the_leader_counts_them() {
    let (join, leave) = (
        |line: String| Reconfiguration { joining: vec![line], ..Reconfiguration::default() },
        |id: u64| Reconfiguration { leaving: vec![id], ..Reconfiguration::default() },
    );
    let refused = |result: Result<_, ZooKeeperError>| result.map(drop).unwrap_err().refusal().unwrap();

    // Three voters, one of them dead: an observer that is registered can't be promoted, an unknown server can be added.
    let memory = ensemble(3);
    let may = memory.session_as("super", &remember("super-of-tests"));
    memory.set_connected(3, false);
    may.reconfigure(&join(line(4, "observer"))).await.unwrap();
    memory.set_connected(4, true);
    assert_eq!(refused(may.reconfigure(&join(line(4, "participant"))).await), Refusal::NewConfigNoQuorum);
    assert_eq!(refused(may.reconfigure(&leave(2)).await), Refusal::NewConfigNoQuorum, "a live one beside a dead one");
    may.reconfigure(&leave(4)).await.unwrap();
    let replace = Reconfiguration { joining: vec![line(4, "participant")], leaving: vec![3], from_version: None };
    may.reconfigure(&replace).await.unwrap();

    // A dead participant beside three live ones is accepted, and so is a shared address, though nobody should do that.
    let memory = ensemble(3);
    let may = memory.session_as("super", &remember("super-of-tests"));
    may.reconfigure(&join(line(4, "participant"))).await.unwrap();
    let same = line(1, "observer").replace("server.1", "server.7");
    may.reconfigure(&join(same)).await.unwrap();

    memory.set_reconfig_in_progress(true);
    assert_eq!(refused(may.reconfigure(&leave(4)).await), Refusal::ReconfigInProgress);
    memory.set_reconfig_in_progress(false);
    memory.set_reconfig_enabled(false);
    assert_eq!(refused(may.reconfigure(&leave(4)).await), Refusal::ReconfigDisabled);
    memory.set_reconfig_enabled(true);
    memory.set_standalone();
    assert_eq!(refused(may.reconfigure(&leave(4)).await), Refusal::Unimplemented);
    assert_eq!(may.configuration().await.unwrap().text, b"");
}

#[tokio::test]
async fn what_a_session_owns_goes_with_it() {
    let memory = ensemble(1);
    let (one, other) = (memory.session(), memory.session());
    one.create("/mine", b"", &Creation::open(Mode::Ephemeral)).await.unwrap();
    drop(one);
    assert_eq!(other.stat("/mine").await.unwrap(), None);
}
