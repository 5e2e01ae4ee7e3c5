//! Lock groups over the network: each call is one attempt at the broker that is named, on connections of one's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::FindCoordinatorResponse;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::LeaveGroupResponse;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::configs;
use crate::clients::kafka::lock_group::Join;
use crate::clients::kafka::lock_group::Joined;
use crate::clients::kafka::lock_group::Joining;
use crate::clients::kafka::lock_group::LOCK_PROTOCOL;
use crate::clients::kafka::lock_group::LOCK_PROTOCOL_TYPE;
use crate::clients::kafka::lock_group::LockGroup;
use crate::clients::kafka::lock_group::LockGroupState;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::lock_group::LockMember;
use crate::clients::kafka::lock_group::Membership;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigResource;

/// Of the time for a confirmation, the share that one broker gets before the next one is asked.
const CONFIRMING_SHARE: u32 = 3;

/// Most brokers that are asked for one confirmation.
const CONFIRMING_MAX: usize = 3;

/// The lowest and highest session timeouts of a broker that does not tell them: Kafka's defaults.
const SESSION_LIMITS: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(30));

/// Lock groups of a cluster.
#[derive(Debug)]
pub(super) struct LiveLockGroups {
    cluster: Arc<Cluster>,
    /// How often each coordinator was to be confirmed: another broker's turn each time. One count for all would always
    /// ask the same broker about one of two that take turns.
    turns: Mutex<BTreeMap<BrokerId, usize>>,
    /// Whether a broker did not answer: it may have moved to another address.
    doubts_addresses: AtomicBool,
}

impl LiveLockGroups {
    /// On these connections.
    pub(super) fn of(cluster: Cluster) -> Self {
        Self { cluster: Arc::new(cluster), turns: Mutex::default(), doubts_addresses: AtomicBool::new(false) }
    }

    /// Asks one broker once.
    async fn once<C: Call>(
        &self,
        at: BrokerId,
        make: impl Fn(i16) -> C + Sync,
        within: Duration,
    ) -> Result<C::Answer, KafkaError> {
        let started = Instant::now();
        if self.doubts_addresses.swap(false, Ordering::Relaxed) {
            let refreshed = self.cluster.refresh(started + within / 2).await;
            self.doubts_addresses.store(refreshed.is_err(), Ordering::Relaxed);
        }
        let answer = self.cluster.ask_once(at, &make, started + within).await;
        if answer.as_ref().is_err_and(|error| error.code().is_none()) {
            self.doubts_addresses.store(true, Ordering::Relaxed);
        }
        answer
    }

    fn next_turn(&self, coordinator: BrokerId) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(coordinator).or_default();
        *turn = turn.wrapping_add(1);
        *turn
    }

    async fn coordinator_by(&self, asked: BrokerId, group: &str, within: Duration) -> Result<BrokerId, KafkaError> {
        let answer = self.once(asked, |version| find_coordinator(group, version), within).await?;
        coordinator_of(&answer)
    }
}

#[async_trait]
impl LockGroups for LiveLockGroups {
    async fn coordinator(&self, group: &str, within: Duration) -> Result<BrokerId, KafkaError> {
        let deadline = Instant::now() + within;
        let make = |version| find_coordinator(group, version);
        let (answer, _) = self.cluster.read(Target::Any(None), make, deadline).await?;
        coordinator_of(&answer)
    }

    async fn confirmed_coordinator(
        &self,
        group: &str,
        not_asking: BrokerId,
        within: Duration,
    ) -> Result<BrokerId, KafkaError> {
        let deadline = Instant::now() + within;
        let brokers = self.cluster.know_brokers(deadline).await?;
        let mut asked: Vec<_> = brokers.iter().copied().filter(|broker| *broker != not_asking).collect();
        if asked.is_empty() {
            asked = brokers;
        }
        let first = self.next_turn(not_asking) % asked.len().max(1);
        asked.rotate_left(first);
        let mut failure = KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("the cluster names no live broker"));
        for broker in asked.into_iter().take(CONFIRMING_MAX) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.coordinator_by(broker, group, left.min(within / CONFIRMING_SHARE)).await {
                Ok(coordinator) => return Ok(coordinator),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn describe_lock(&self, at: BrokerId, group: &str, within: Duration) -> Result<LockGroup, KafkaError> {
        let make = |_| DescribeGroupsRequest::default().with_groups(vec![id(group)]);
        let answer = self.once(at, make, within).await?;
        let found = answer.groups.into_iter().find(|found| found.group_id.as_str() == group);
        let found = found.ok_or_else(|| lacks("DescribeGroups", group))?;
        match found.error_code {
            0 => Ok(group_of(found)),
            codes::GROUP_ID_NOT_FOUND => {
                Ok(LockGroup { state: LockGroupState::Free, protocol_type: String::new(), members: Vec::new() })
            }
            code => Err(KafkaError::broker(code, found.error_message.as_deref())),
        }
    }

    async fn join(&self, at: BrokerId, join: &Join, within: Duration) -> Result<Joining, KafkaError> {
        let answer = self.once(at, |_| join_request(join), within).await?;
        joining_of(join, answer)
    }

    async fn sync(
        &self,
        at: BrokerId,
        membership: &Membership,
        assignments: BTreeMap<String, Bytes>,
        within: Duration,
    ) -> Result<(), KafkaError> {
        let make = |version| sync_request(membership, &assignments, version);
        let answer = self.once(at, make, within).await?;
        outcome(answer.error_code)
    }

    async fn heartbeat(&self, at: BrokerId, membership: &Membership, within: Duration) -> Result<(), KafkaError> {
        let make = |_| {
            HeartbeatRequest::default()
                .with_group_id(id(&membership.group))
                .with_generation_id(membership.generation)
                .with_member_id(text(&membership.member_id))
        };
        let answer = self.once(at, make, within).await?;
        outcome(answer.error_code)
    }

    async fn leave(&self, at: BrokerId, group: &str, member_id: &str, within: Duration) -> Result<(), KafkaError> {
        let answer = self.once(at, |version| leave_request(group, member_id, version), within).await?;
        left(&answer)
    }

    async fn session_limits(&self, at: BrokerId, within: Duration) -> Result<(Duration, Duration), KafkaError> {
        let resource = ConfigResource::Broker(at);
        let keys = ["group.min.session.timeout.ms", "group.max.session.timeout.ms"];
        let described = configs::describe(&self.cluster, std::slice::from_ref(&resource), Some(&keys));
        let Ok(described) = tokio::time::timeout(within, described).await else {
            return Err(KafkaError::TimedOut { what: format!("DescribeConfigs to broker {at}"), after: within });
        };
        let entries = described?.remove(&resource).ok_or_else(|| lacks("DescribeConfigs", &at.to_string()))??;
        let limit = |key: &str, otherwise: Duration| {
            let value = entries.iter().find(|entry| entry.name == key).and_then(|entry| entry.value.as_deref());
            value.and_then(|value| value.parse().ok()).map_or(otherwise, Duration::from_millis)
        };
        Ok((limit(keys[0], SESSION_LIMITS.0), limit(keys[1], SESSION_LIMITS.1)))
    }
}

impl Cluster {
    /// Asks one broker once, without a second attempt, and returns the answer or the error.
    pub(super) async fn ask_once<C: Call>(
        &self,
        broker: BrokerId,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, KafkaError> {
        let started = Instant::now();
        let asked = async {
            let brokers = self.know_brokers(deadline).await?;
            if self.address_of(broker).is_none() {
                self.refresh(deadline).await?;
            }
            let live: Vec<_> = brokers.iter().map(ToString::to_string).collect();
            self.address_of(broker).ok_or_else(|| {
                let message = format!("broker {broker} is not among the live brokers {}", live.join(", "));
                KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some(&message))
            })
        };
        let within = deadline.saturating_duration_since(started);
        let late = || KafkaError::TimedOut { what: format!("{} to broker {broker}", C::NAME), after: within };
        let address = tokio::time::timeout_at(deadline, asked).await.map_err(|_| late())??;
        self.attempt(&address, make, deadline).await.map_err(|trouble| trouble.into_error::<C>(&address, within))
    }
}

fn id(group: &str) -> GroupId {
    GroupId(text(group))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn outcome(code: i16) -> Result<(), KafkaError> {
    if code == 0 { Ok(()) } else { Err(KafkaError::broker(code, None)) }
}

fn lacks(request: &str, what: &str) -> KafkaError {
    KafkaError::Protocol { address: "a broker".to_owned(), message: format!("its answer to {request} lacks {what}") }
}

fn find_coordinator(group: &str, version: i16) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default().with_key_type(0);
    if version >= 4 { request.with_coordinator_keys(vec![text(group)]) } else { request.with_key(text(group)) }
}

/// One coordinator, in the form of either version.
fn coordinator_of(answer: &FindCoordinatorResponse) -> Result<BrokerId, KafkaError> {
    let (code, message, broker) = match answer.coordinators.first() {
        Some(found) => (found.error_code, &found.error_message, found.node_id.0),
        None => (answer.error_code, &answer.error_message, answer.node_id.0),
    };
    if code != 0 {
        return Err(KafkaError::broker(code, message.as_deref()));
    }
    if broker < 0 {
        return Err(KafkaError::broker(codes::COORDINATOR_NOT_AVAILABLE, None));
    }
    Ok(BrokerId(broker))
}

fn group_of(found: DescribedGroup) -> LockGroup {
    let state = match found.group_state.as_str() {
        "Empty" | "Dead" => LockGroupState::Free,
        "Stable" => LockGroupState::Stable,
        _ => LockGroupState::Rebalancing,
    };
    let members = found.members.into_iter().map(|member| LockMember {
        member_id: member.member_id.to_string(),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.trim_start_matches('/').to_owned(),
        metadata: member.member_metadata,
        assignment: member.member_assignment,
    });
    LockGroup { state, protocol_type: found.protocol_type.to_string(), members: members.collect() }
}

fn join_request(join: &Join) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str(LOCK_PROTOCOL))
        .with_metadata(join.metadata.clone());
    JoinGroupRequest::default()
        .with_group_id(id(&join.group))
        .with_session_timeout_ms(milliseconds(join.session))
        .with_rebalance_timeout_ms(milliseconds(join.rebalance))
        .with_member_id(text(join.member_id.as_deref().unwrap_or_default()))
        .with_protocol_type(StrBytes::from_static_str(LOCK_PROTOCOL_TYPE))
        .with_protocols(vec![protocol])
}

fn joining_of(join: &Join, answer: JoinGroupResponse) -> Result<Joining, KafkaError> {
    match answer.error_code {
        0 => Ok(Joining::Joined(Joined {
            membership: Membership {
                group: join.group.clone(),
                member_id: answer.member_id.to_string(),
                generation: answer.generation_id,
            },
            leader: answer.leader.to_string(),
            members: answer.members.into_iter().map(|member| member.member_id.to_string()).collect(),
        })),
        codes::MEMBER_ID_REQUIRED if !answer.member_id.is_empty() => Ok(Joining::Named(answer.member_id.to_string())),
        code => Err(KafkaError::broker(code, None)),
    }
}

fn sync_request(membership: &Membership, assignments: &BTreeMap<String, Bytes>, version: i16) -> SyncGroupRequest {
    let assigned = assignments.iter().map(|(member, bytes)| {
        SyncGroupRequestAssignment::default().with_member_id(text(member)).with_assignment(bytes.clone())
    });
    let request = SyncGroupRequest::default()
        .with_group_id(id(&membership.group))
        .with_generation_id(membership.generation)
        .with_member_id(text(&membership.member_id))
        .with_assignments(assigned.collect());
    if version < 5 {
        return request;
    }
    request
        .with_protocol_type(Some(StrBytes::from_static_str(LOCK_PROTOCOL_TYPE)))
        .with_protocol_name(Some(StrBytes::from_static_str(LOCK_PROTOCOL)))
}

fn leave_request(group: &str, member_id: &str, version: i16) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(id(group));
    if version < 3 {
        return request.with_member_id(text(member_id));
    }
    request.with_members(vec![MemberIdentity::default().with_member_id(text(member_id))])
}

/// The code of the whole answer, else that of the one member.
fn left(answer: &LeaveGroupResponse) -> Result<(), KafkaError> {
    let of_member = answer.members.first().map_or(0, |member| member.error_code);
    outcome(if answer.error_code == 0 { of_member } else { answer.error_code })
}
