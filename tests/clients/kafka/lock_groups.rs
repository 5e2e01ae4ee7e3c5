//! The contract of lock groups, on real coordinators and in memory: who leads, what is shown, which codes say what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_toolbox::clients::kafka::lock_group::{
    Join, Joined, Joining, LOCK_PROTOCOL_TYPE, LockGroup, LockGroupState, LockGroups, Membership,
};
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::kafka::{Kafka, KafkaError, codes};
use kafka_toolbox::cluster::broker::BrokerId;

use super::contract::until;
use super::live::{PATIENT, open, wait};
use crate::live::kafka::{Cluster, Kind};

/// Longest single call.
const WITHIN: Duration = Duration::from_secs(30);

const SESSION: Duration = Duration::from_secs(10);

/// One group, asked on its coordinator.
struct Group {
    name: String,
    at: BrokerId,
    groups: Arc<dyn LockGroups>,
}

impl Group {
    fn join(&self, member_id: Option<&str>, metadata: &'static str) -> Join {
        let member_id = member_id.map(str::to_owned);
        let group = self.name.clone();
        Join { group, member_id, metadata: metadata.into(), session: SESSION, rebalance: SESSION }
    }

    /// The id that the coordinator gives.
    async fn named(&self, metadata: &'static str) -> String {
        match self.groups.join(self.at, &self.join(None, metadata), WITHIN).await.unwrap() {
            Joining::Named(id) => id,
            Joining::Joined(joined) => panic!("{joined:?} without an id"),
        }
    }

    async fn joined(&self, member_id: &str, metadata: &'static str) -> Joined {
        match self.groups.join(self.at, &self.join(Some(member_id), metadata), WITHIN).await.unwrap() {
            Joining::Joined(joined) => joined,
            Joining::Named(id) => panic!("{member_id} got another id, {id}"),
        }
    }

    async fn sync(&self, joined: &Joined) -> Result<(), KafkaError> {
        let assigned = joined.members.iter().map(|member| (member.clone(), "assigned".into()));
        let assigned = if joined.leads() { assigned.collect() } else { BTreeMap::new() };
        self.groups.sync(self.at, &joined.membership, assigned, WITHIN).await
    }

    async fn heartbeat(&self, membership: &Membership) -> Option<i16> {
        self.groups.heartbeat(self.at, membership, WITHIN).await.err().map(|error| error.code().unwrap())
    }

    async fn leave(&self, member_id: &str) -> Option<i16> {
        let left = self.groups.leave(self.at, &self.name, member_id, WITHIN).await;
        left.err().map(|error| error.code().unwrap())
    }

    async fn described(&self) -> LockGroup {
        self.groups.describe_lock(self.at, &self.name, WITHIN).await.unwrap()
    }
}

async fn lock_contract(kafka: &dyn Kafka) {
    let groups = kafka.lock_groups();
    let name = "toolbox-lock-contract".to_owned();
    let at = until("the coordinator", async || groups.coordinator(&name, WITHIN).await.ok()).await;
    let named = async || groups.confirmed_coordinator(&name, at, WITHIN).await.ok().filter(|named| *named == at);
    for _ in 0..3 {
        until("each other broker to name the same coordinator", named).await;
    }
    // In KRaft the others may know before the coordinator has loaded what it is to coordinate.
    let loaded = async || groups.describe_lock(at, &name, WITHIN).await.ok();
    assert_eq!(until("the group", loaded).await.state, LockGroupState::Free);
    let group = Group { name, at, groups };
    let first = the_first_member_leads(kafka, &group).await;
    // A broker answers one request of a connection after the other: a join that waits keeps all others waiting.
    let other = Group { name: group.name.clone(), at, groups: kafka.lock_groups() };
    let first = the_leader_stays_the_leader(&group, &other, first).await;
    errors_have_their_codes(kafka, &group, &first).await;
}

async fn the_first_member_leads(kafka: &dyn Kafka, group: &Group) -> Joined {
    let id = group.named("first").await;
    let first = group.joined(&id, "first").await;
    assert!(first.leads() && first.membership.member_id == id && first.members == [id.clone()], "{first:?}");
    let found = group.described().await;
    // Kafka 4.x shows what it has written, which is nothing yet.
    assert_ne!(found.state, LockGroupState::Stable, "until it is synced");
    assert!(found.members.iter().all(|member| member.metadata.is_empty()), "{found:?}");
    group.sync(&first).await.unwrap();
    let found = group.described().await;
    assert_eq!((found.state, found.protocol_type.as_str()), (LockGroupState::Stable, LOCK_PROTOCOL_TYPE));
    let [member] = &found.members[..] else { panic!("{found:?}") };
    assert_eq!((&member.member_id, &member.metadata[..]), (&id, &b"first"[..]));
    assert_eq!((&member.assignment[..], member.client_host.as_str()), (&b"assigned"[..], "127.0.0.1"));
    assert!(!member.client_id.is_empty());
    assert_eq!(group.heartbeat(&first.membership).await, None);

    let listed = until("the group in the list", async || {
        kafka.live_groups().await.unwrap().into_iter().find(|one| one.id == group.name)
    })
    .await;
    assert!(listed.is_lock() && listed.topics.is_empty() && !listed.hides_topics, "{listed:?}");
    assert_eq!((listed.members, listed.label().as_str()), (1, "lock group toolbox-lock-contract"));
    first
}

/// A second member makes the group rebalance, and learns who leads; it leaves, and the group rebalances again.
async fn the_leader_stays_the_leader(group: &Group, other: &Group, first: Joined) -> Joined {
    let id = first.membership.member_id.clone();
    let second_id = other.named("second").await;
    let rejoining = async {
        let begun =
            async || (group.heartbeat(&first.membership).await == Some(codes::REBALANCE_IN_PROGRESS)).then_some(());
        until("the rebalance", begun).await;
        group.joined(&id, "first").await
    };
    let (second, again) = tokio::join!(other.joined(&second_id, "second"), rejoining);
    assert!(again.leads() && !second.leads() && second.leader == id, "{again:?} {second:?}");
    assert_eq!((again.members.len(), second.members.len()), (2, 0));
    assert!(again.membership.generation > first.membership.generation);
    assert_eq!(group.heartbeat(&first.membership).await, Some(codes::ILLEGAL_GENERATION));

    assert_eq!(other.leave(&second_id).await, None);
    assert_eq!(group.heartbeat(&again.membership).await, Some(codes::REBALANCE_IN_PROGRESS));
    let alone = group.joined(&id, "first").await;
    assert!(alone.leads() && alone.members == [id], "{alone:?}");
    group.sync(&alone).await.unwrap();
    alone
}

async fn errors_have_their_codes(kafka: &dyn Kafka, group: &Group, first: &Joined) {
    let stranger = Membership { member_id: "nobody".to_owned(), ..first.membership.clone() };
    assert_eq!(group.heartbeat(&stranger).await, Some(codes::UNKNOWN_MEMBER_ID));
    assert_eq!(group.leave("nobody").await, Some(codes::UNKNOWN_MEMBER_ID));
    let join = group.join(Some("nobody"), "nobody");
    let code = group.groups.join(group.at, &join, WITHIN).await.unwrap_err().code();
    assert_eq!(code, Some(codes::UNKNOWN_MEMBER_ID));
    let (least, most) = group.groups.session_limits(group.at, WITHIN).await.unwrap();
    assert_eq!((least, most), (Duration::from_secs(6), Duration::from_mins(30)));
    let short = Join { session: least / 2, ..group.join(None, "short") };
    let code = group.groups.join(group.at, &short, WITHIN).await.unwrap_err().code();
    assert_eq!(code, Some(codes::INVALID_SESSION_TIMEOUT));
    let elsewhere = [1, 2, 3].map(BrokerId).into_iter().find(|broker| *broker != group.at).unwrap();
    let moved = group.groups.heartbeat(elsewhere, &first.membership, WITHIN).await.unwrap_err().code();
    assert_eq!(moved, Some(codes::NOT_COORDINATOR));

    // Another client may remove a member that it knows to be dead.
    let other = kafka.lock_groups();
    other.leave(group.at, &group.name, &first.membership.member_id, WITHIN).await.unwrap();
    assert_eq!(group.heartbeat(&first.membership).await, Some(codes::UNKNOWN_MEMBER_ID));
    assert_eq!(group.leave(&first.membership.member_id).await, Some(codes::UNKNOWN_MEMBER_ID));
    let found = group.described().await;
    assert_eq!((found.state, found.members.len()), (LockGroupState::Free, 0));
}

#[tokio::test]
async fn the_twin_keeps_the_contract_of_lock_groups() {
    lock_contract(&Memory::kraft(3)).await;
}

fn keeps_the_contract(kind: Kind) {
    let cluster = Cluster::shared(kind);
    wait(lock_contract(&open(&cluster.bootstrap(), PATIENT)));
}

#[test]
fn kafka_2_4_with_zookeeper_keeps_the_contract_of_lock_groups() {
    keeps_the_contract(Kind::Kafka24Zookeeper);
}

#[test]
fn kafka_2_8_with_zookeeper_keeps_the_contract_of_lock_groups() {
    keeps_the_contract(Kind::Kafka28Zookeeper);
}

#[test]
fn kafka_3_9_with_zookeeper_keeps_the_contract_of_lock_groups() {
    keeps_the_contract(Kind::Kafka39Zookeeper);
}

#[test]
fn kafka_3_9_kraft_keeps_the_contract_of_lock_groups() {
    keeps_the_contract(Kind::Kafka39Kraft);
}

#[test]
fn kafka_4_3_kraft_keeps_the_contract_of_lock_groups() {
    keeps_the_contract(Kind::Kafka43Kraft);
}
