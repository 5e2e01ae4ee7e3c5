//! Lock groups in memory: a coordinator that behaves as Kafka's does with classic groups, by any clock.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::lock_group::Join;
use crate::clients::kafka::lock_group::Joined;
use crate::clients::kafka::lock_group::Joining;
use crate::clients::kafka::lock_group::LOCK_PROTOCOL_TYPE;
use crate::clients::kafka::lock_group::LockGroup;
use crate::clients::kafka::lock_group::LockGroupState;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::lock_group::LockMember;
use crate::clients::kafka::lock_group::Membership;
use crate::clients::kafka::memory::Call;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelTopic;
use crate::clients::kafka::memory::door::Shared;
use crate::cluster::broker::BrokerId;
use crate::cluster::group::LiveGroup;
use crate::cluster::topic::TopicName;

/// How often a call that waits for other members looks again.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(5);

/// The topic in which a real cluster keeps its groups.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What the coordinators of a cluster in memory know.
#[derive(Debug, Clone)]
pub struct Coordinators {
    /// Classic groups by id.
    pub(super) groups: BTreeMap<String, Group>,
    /// Which coordinator brokers other than the coordinator name; none for the right one. Set, the coordinator is cut off
    /// from the controller: it goes on answering, and the others have another one.
    pub named_by_others: Option<BrokerId>,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_delay: Duration,
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    pub session_limits: (Duration, Duration),
    /// By which sessions end: that of this machine, unless a test has its own.
    pub clock: fn() -> Duration,
    /// Numbers for member ids.
    named: u64,
}

impl Default for Coordinators {
    fn default() -> Self {
        Self {
            groups: BTreeMap::new(),
            named_by_others: None,
            initial_delay: Duration::ZERO,
            session_limits: (Duration::from_secs(6), Duration::from_mins(30)),
            clock: machine_clock,
            named: 0,
        }
    }
}

fn machine_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or_default(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

impl Coordinators {
    /// Removes a member as a coordinator does whose session has ended.
    pub fn evict(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.members.clear();
            group.settle(Duration::MAX);
        }
    }

    /// A rebalance begins, as when another member has joined.
    pub fn rebalance(&mut self, group: &str) {
        let now = (self.clock)();
        if let Some(group) = self.groups.get_mut(group) {
            group.begin_rebalance(now, Duration::ZERO);
        }
    }

    /// The groups that have members, as a list of groups shows them.
    pub(super) fn live(&self) -> Vec<LiveGroup> {
        let groups = self.groups.iter().filter(|(_, group)| !group.members.is_empty());
        let live = groups.map(|(id, group)| LiveGroup {
            id: id.clone(),
            protocol_type: LOCK_PROTOCOL_TYPE.to_owned(),
            state: group.phase.name().to_owned(),
            members: group.members.len(),
            topics: BTreeSet::new(),
            hides_topics: false,
        });
        live.collect()
    }

    fn group(&mut self, id: &str) -> (&mut Group, Duration) {
        let now = (self.clock)();
        let group = self.groups.entry(id.to_owned()).or_default();
        group.settle(now);
        (group, now)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    phase: Phase,
    generation: i32,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids that were given to those who have not joined with them yet.
    named: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Empty,
    /// Members join: at least until the first moment, at most until the second.
    Preparing {
        not_before: Duration,
        until: Duration,
    },
    /// Members wait for the leader's assignment.
    Completing,
    Stable,
}

impl Phase {
    /// Kafka's name of it.
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing { .. } => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug, Clone)]
struct Member {
    metadata: Bytes,
    assignment: Bytes,
    session: Duration,
    rebalance: Duration,
    expires: Duration,
    joins: bool,
}

impl Group {
    /// Does what is due by now: sessions end, rebalances complete.
    fn settle(&mut self, now: Duration) {
        let before = self.members.len();
        self.members.retain(|_, member| member.joins || member.expires > now);
        if self.members.is_empty() {
            if before > 0 || self.phase != Phase::Empty {
                self.generation += 1;
            }
            (self.phase, self.leader) = (Phase::Empty, None);
            return;
        }
        if self.members.len() < before && self.phase != Phase::Empty {
            self.begin_rebalance(now, Duration::ZERO);
        }
        let Phase::Preparing { not_before, until } = self.phase else { return };
        let all = self.members.values().all(|member| member.joins);
        if (all && now >= not_before) || now >= until {
            self.complete(now);
        }
    }

    fn begin_rebalance(&mut self, now: Duration, delay: Duration) {
        if matches!(self.phase, Phase::Preparing { .. }) {
            return;
        }
        let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or_default();
        self.phase = Phase::Preparing { not_before: now + delay, until: now.saturating_add(longest) };
    }

    fn complete(&mut self, now: Duration) {
        self.members.retain(|_, member| member.joins);
        self.generation += 1;
        self.leader = self.leader.take().filter(|leader| self.members.contains_key(leader));
        self.leader = self.leader.take().or_else(|| self.members.keys().next().cloned());
        self.phase = if self.members.is_empty() { Phase::Empty } else { Phase::Completing };
        for member in self.members.values_mut() {
            (member.joins, member.assignment) = (false, Bytes::new());
            member.expires = now + member.session;
        }
    }

    fn member(&mut self, membership: &Membership) -> Result<&mut Member, KafkaError> {
        let generation = self.generation;
        let member = self.members.get_mut(&membership.member_id).ok_or_else(|| refusal(codes::UNKNOWN_MEMBER_ID))?;
        if membership.generation == generation { Ok(member) } else { Err(refusal(codes::ILLEGAL_GENERATION)) }
    }

    fn joined(&self, group: &str, member_id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == member_id { self.members.keys().cloned().collect() } else { Vec::new() };
        let membership =
            Membership { group: group.to_owned(), member_id: member_id.to_owned(), generation: self.generation };
        Joined { membership, leader, members }
    }

    fn described(&self) -> LockGroup {
        let state = match self.phase {
            Phase::Empty => LockGroupState::Free,
            Phase::Stable => LockGroupState::Stable,
            Phase::Preparing { .. } | Phase::Completing => LockGroupState::Rebalancing,
        };
        let shown = |bytes: &Bytes| if self.phase == Phase::Stable { bytes.clone() } else { Bytes::new() };
        let members = self.members.iter().map(|(member_id, member)| LockMember {
            member_id: member_id.clone(),
            client_id: "toolbox".to_owned(),
            client_host: "127.0.0.1".to_owned(),
            metadata: shown(&member.metadata),
            assignment: shown(&member.assignment),
        });
        let protocol_type = if self.generation > 0 { LOCK_PROTOCOL_TYPE } else { "" };
        LockGroup { state, protocol_type: protocol_type.to_owned(), members: members.collect() }
    }
}

fn refusal(code: i16) -> KafkaError {
    KafkaError::broker(code, None)
}

/// The broker that coordinates; the topic of groups is made at the first question.
fn coordinator(model: &mut Model) -> Result<BrokerId, KafkaError> {
    let topic = TopicName::new(OFFSETS_TOPIC).map_err(|error| KafkaError::Settings(error.to_string()))?;
    let brokers: Vec<_> = model.brokers.keys().copied().take(3).collect();
    let partition = model.partition(brokers);
    let topic = model.topics.entry(topic).or_insert_with(|| ModelTopic {
        internal: true,
        partitions: vec![partition],
        ..ModelTopic::default()
    });
    let leader = topic.partitions.first().and_then(|partition| partition.leader);
    leader.ok_or_else(|| refusal(codes::COORDINATOR_NOT_AVAILABLE))
}

/// Lock groups of one cluster in memory.
#[derive(Debug)]
pub(super) struct MemoryLockGroups {
    pub(super) shared: Arc<Shared>,
}

impl MemoryLockGroups {
    fn ask<T>(
        &self,
        call: Call,
        at: Option<BrokerId>,
        answer: impl FnOnce(&mut Model) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        self.shared.ask(call, |model| {
            if let Some(at) = at {
                is_coordinator(model, at)?;
            }
            answer(model)
        })
    }
}

/// One that is cut off still believes to be the coordinator; the one that the others name has all that it has.
fn is_coordinator(model: &mut Model, at: BrokerId) -> Result<(), KafkaError> {
    if !model.brokers.contains_key(&at) {
        let tried = vec![(format!("broker {at}"), "connection refused".to_owned())];
        return Err(KafkaError::Unreachable { tried, within: Duration::from_secs(1) });
    }
    let named = model.coordinators.named_by_others;
    if at == coordinator(model)? || named == Some(at) { Ok(()) } else { Err(refusal(codes::NOT_COORDINATOR)) }
}

#[async_trait]
impl LockGroups for MemoryLockGroups {
    async fn coordinator(&self, _group: &str, _within: Duration) -> Result<BrokerId, KafkaError> {
        self.ask(Call::FindCoordinator, None, coordinator)
    }

    async fn confirmed_coordinator(
        &self,
        _group: &str,
        not_asking: BrokerId,
        _within: Duration,
    ) -> Result<BrokerId, KafkaError> {
        self.ask(Call::ConfirmCoordinator, None, |model| {
            let others = model.brokers.keys().any(|broker| *broker != not_asking);
            if !others && (model.brokers.is_empty() || !model.stopped.is_empty()) {
                return Err(refusal(codes::BROKER_NOT_AVAILABLE));
            }
            model.coordinators.named_by_others.map_or_else(|| coordinator(model), Ok)
        })
    }

    async fn describe_lock(&self, at: BrokerId, group: &str, _within: Duration) -> Result<LockGroup, KafkaError> {
        self.ask(Call::DescribeGroup, Some(at), |model| Ok(model.coordinators.group(group).0.described()))
    }

    async fn join(&self, at: BrokerId, join: &Join, within: Duration) -> Result<Joining, KafkaError> {
        let begun = self.ask(Call::JoinGroup, Some(at), |model| begin_to_join(&mut model.coordinators, join))?;
        let (member_id, before) = match begun {
            Begun::Named(id) => return Ok(Joining::Named(id)),
            Begun::Joins(id, generation) => (id, generation),
        };
        let done = |model: &mut Model| {
            let (group, _) = model.coordinators.group(&join.group);
            match group.members.get(&member_id) {
                None => Err(refusal(codes::UNKNOWN_MEMBER_ID)),
                Some(_) if group.generation == before => Ok(None),
                Some(_) => Ok(Some(Joining::Joined(group.joined(&join.group, &member_id)))),
            }
        };
        self.shared.wait("JoinGroup", within, done).await
    }

    async fn sync(
        &self,
        at: BrokerId,
        membership: &Membership,
        assignments: BTreeMap<String, Bytes>,
        within: Duration,
    ) -> Result<(), KafkaError> {
        self.ask(Call::SyncGroup, Some(at), |model| {
            let (group, _) = model.coordinators.group(&membership.group);
            group.member(membership)?;
            if matches!(group.phase, Phase::Preparing { .. }) {
                return Err(refusal(codes::REBALANCE_IN_PROGRESS));
            }
            if group.phase == Phase::Completing && group.leader.as_ref() == Some(&membership.member_id) {
                for (id, bytes) in assignments {
                    if let Some(member) = group.members.get_mut(&id) {
                        member.assignment = bytes;
                    }
                }
                group.phase = Phase::Stable;
            }
            Ok(())
        })?;
        let done = |model: &mut Model| {
            let (group, _) = model.coordinators.group(&membership.group);
            group.member(membership)?;
            match group.phase {
                Phase::Completing => Ok(None),
                Phase::Stable => Ok(Some(())),
                Phase::Empty | Phase::Preparing { .. } => Err(refusal(codes::REBALANCE_IN_PROGRESS)),
            }
        };
        self.shared.wait("SyncGroup", within, done).await
    }

    async fn heartbeat(&self, at: BrokerId, membership: &Membership, _within: Duration) -> Result<(), KafkaError> {
        self.ask(Call::Heartbeat, Some(at), |model| {
            let (group, now) = model.coordinators.group(&membership.group);
            let phase = group.phase;
            let member = group.member(membership)?;
            member.expires = now + member.session;
            match phase {
                Phase::Preparing { .. } => Err(refusal(codes::REBALANCE_IN_PROGRESS)),
                Phase::Empty | Phase::Completing | Phase::Stable => Ok(()),
            }
        })
    }

    async fn leave(&self, at: BrokerId, group: &str, member_id: &str, _within: Duration) -> Result<(), KafkaError> {
        self.ask(Call::LeaveGroup, Some(at), |model| {
            let (group, now) = model.coordinators.group(group);
            group.named.retain(|named| named != member_id);
            group.members.remove(member_id).ok_or_else(|| refusal(codes::UNKNOWN_MEMBER_ID))?;
            if !group.members.is_empty() {
                group.begin_rebalance(now, Duration::ZERO);
            }
            group.settle(now);
            Ok(())
        })
    }

    async fn session_limits(&self, _at: BrokerId, _within: Duration) -> Result<(Duration, Duration), KafkaError> {
        self.ask(Call::DescribeConfigs, None, |model| Ok(model.coordinators.session_limits))
    }
}

enum Begun {
    /// An id was given.
    Named(String),
    /// A member joins; the generation before.
    Joins(String, i32),
}

fn begin_to_join(coordinators: &mut Coordinators, join: &Join) -> Result<Begun, KafkaError> {
    let (least, most) = coordinators.session_limits;
    if join.session < least || join.session > most {
        return Err(refusal(codes::INVALID_SESSION_TIMEOUT));
    }
    coordinators.named += 1;
    let (new_id, delay) = (format!("toolbox-{}", coordinators.named), coordinators.initial_delay);
    let (group, now) = coordinators.group(&join.group);
    let Some(id) = &join.member_id else {
        group.named.push(new_id.clone());
        return Ok(Begun::Named(new_id));
    };
    let is_named = group.named.iter().position(|named| named == id).map(|at| group.named.remove(at)).is_some();
    if !is_named && !group.members.contains_key(id) {
        return Err(refusal(codes::UNKNOWN_MEMBER_ID));
    }
    let delay = if group.members.is_empty() { delay } else { Duration::ZERO };
    let member = Member {
        metadata: join.metadata.clone(),
        assignment: Bytes::new(),
        session: join.session,
        rebalance: join.rebalance,
        expires: now + join.session,
        joins: true,
    };
    group.members.insert(id.clone(), member);
    let before = group.generation;
    group.begin_rebalance(now, delay);
    group.settle(now);
    Ok(Begun::Joins(id.clone(), before))
}

impl Shared {
    /// Looks again and again until there is an answer, or for so long.
    async fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        mut done: impl FnMut(&mut Model) -> Result<Option<T>, KafkaError>,
    ) -> Result<T, KafkaError> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(answer) = self.change(&mut done)? {
                return Ok(answer);
            }
            if tokio::time::Instant::now() >= deadline {
                let request = format!("{what} to 127.0.0.1:9093");
                return Err(KafkaError::AnswerLost { request, why: "the answer did not come in time".to_owned() });
            }
            tokio::time::sleep(LOOKED_AT_EVERY).await;
        }
    }
}
