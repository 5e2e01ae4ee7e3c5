//! Membership in a classic consumer group that serves as a lock: what [`LockGroups`] may ask of a cluster.
//!
//! Nobody consumes anything in such a group. Its coordinator names one member the leader, and no other while that one
//! renews its membership: the leader holds the lock. Members tell in their metadata who they are.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clients::kafka::KafkaError;
use crate::cluster::broker::BrokerId;

pub use crate::cluster::group::LOCK_PROTOCOL_TYPE;

/// The one protocol that members of a lock group offer; the coordinator refuses members with others.
pub const LOCK_PROTOCOL: &str = "v1";

/// Classic group membership, as locks need it.
///
/// Each call is sent once, to the broker that is named, and ends within its time limit: what an error means for the
/// lock, and whether to ask again, is the caller's to decide. The broker's error codes come as [`KafkaError::Broker`].
/// All calls may be repeated safely. After a lost answer to a join without member id, a member that nobody knows may be
/// left over; the coordinator removes it when its session ends.
#[async_trait]
pub trait LockGroups: Send + Sync {
    /// The broker that coordinates a group, as any broker says. The cluster creates `__consumer_offsets` where it is
    /// missing, and answers COORDINATOR_NOT_AVAILABLE until it is there.
    async fn coordinator(&self, group: &str, within: Duration) -> Result<BrokerId, KafkaError>;

    /// The same question, answered by a broker other than this one; in a cluster of one broker, by that one. Repeated
    /// calls ask one broker after the other.
    async fn confirmed_coordinator(
        &self,
        group: &str,
        not_asking: BrokerId,
        within: Duration,
    ) -> Result<BrokerId, KafkaError>;

    /// State and members of a group, from its coordinator.
    async fn describe_lock(&self, at: BrokerId, group: &str, within: Duration) -> Result<LockGroup, KafkaError>;

    /// Joins a group, or joins again after a rebalance began. It is answered when all members have joined, so that it
    /// may take as long as the rebalance timeout, and into an empty group `group.initial.rebalance.delay.ms`.
    async fn join(&self, at: BrokerId, join: &Join, within: Duration) -> Result<Joining, KafkaError>;

    /// Completes a rebalance: the leader says what each member is assigned, others wait for it.
    async fn sync(
        &self,
        at: BrokerId,
        membership: &Membership,
        assignments: BTreeMap<String, Bytes>,
        within: Duration,
    ) -> Result<(), KafkaError>;

    /// Renews a membership.
    async fn heartbeat(&self, at: BrokerId, membership: &Membership, within: Duration) -> Result<(), KafkaError>;

    /// Removes a member, which needs not be one's own.
    async fn leave(&self, at: BrokerId, group: &str, member_id: &str, within: Duration) -> Result<(), KafkaError>;

    /// The limits that a broker sets to session timeouts: `group.min.session.timeout.ms`, `group.max.session.timeout.ms`.
    async fn session_limits(&self, at: BrokerId, within: Duration) -> Result<(Duration, Duration), KafkaError>;
}

/// What a group looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockGroup {
    /// Whether it has members, and whether they have agreed.
    pub state: LockGroupState,
    /// `toolbox-lock` for a lock; empty for a group that is not there.
    pub protocol_type: String,
    /// Its members.
    pub members: Vec<LockMember>,
}

/// States of a group, as far as a lock needs to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockGroupState {
    /// Nobody is in it (`Empty`, `Dead`, or no such group). Kafka 4.x says so, too, while the first members join: only a
    /// join tells for certain.
    Free,
    /// Members are joining (`PreparingRebalance`, `CompletingRebalance`); their metadata is not shown meanwhile.
    Rebalancing,
    /// Its members have agreed.
    Stable,
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// What it calls itself, `client.id`.
    pub client_id: String,
    /// The address that the coordinator sees.
    pub client_host: String,
    /// What it joined with. Empty while the group rebalances.
    pub metadata: Bytes,
    /// What the leader assigned to it. Empty while the group rebalances.
    pub assignment: Bytes,
}

/// What to join with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The group.
    pub group: String,
    /// The id that the coordinator gave; none for the first time.
    pub member_id: Option<String>,
    /// Who this member is, for those that describe the group.
    pub metadata: Bytes,
    /// After so long without a heartbeat the coordinator removes the member.
    pub session: Duration,
    /// How long the coordinator waits for the members that are there when another one joins, before it removes them. The
    /// longest of all members' counts.
    pub rebalance: Duration,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// The coordinator has given this id (MEMBER_ID_REQUIRED); join again with it.
    Named(String),
    /// The rebalance is over.
    Joined(Joined),
}

/// A place in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Group, member and generation.
    pub membership: Membership,
    /// The member id of the leader.
    pub leader: String,
    /// Member ids of all members; empty for who is not the leader.
    pub members: Vec<String>,
}

impl Joined {
    /// Whether this member is the leader.
    pub fn leads(&self) -> bool {
        self.leader == self.membership.member_id
    }
}

/// A member in one generation of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// The id that the coordinator gave.
    pub member_id: String,
    /// The generation, which each rebalance makes anew.
    pub generation: i32,
}
