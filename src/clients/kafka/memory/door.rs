//! [`Memory`]: the traits of the client on a [`Model`], with faults on demand.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;

use crate::clients::kafka::Cluster;
use crate::clients::kafka::Configs;
use crate::clients::kafka::Election;
use crate::clients::kafka::Factor;
use crate::clients::kafka::Groups;
use crate::clients::kafka::Kafka;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::NewPartitions;
use crate::clients::kafka::NewTopic;
use crate::clients::kafka::Reassignments;
use crate::clients::kafka::ReplicaSizes;
use crate::clients::kafka::Topics;
use crate::clients::kafka::codes;
use crate::clients::kafka::gate::WriteGate;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::memory::Call;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::configs;
use crate::clients::kafka::memory::faults::Fault;
use crate::clients::kafka::memory::faults::Faults;
use crate::clients::kafka::memory::lock_group::MemoryLockGroups;
use crate::clients::kafka::memory::moves;
use crate::clients::kafka::memory::shown::add_sizes;
use crate::clients::kafka::memory::shown::metadata;
use crate::clients::kafka::memory::shown::states;
use crate::clients::kafka::memory::topics;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigChange;
use crate::cluster::config::ConfigEntry;
use crate::cluster::config::ConfigResource;
use crate::cluster::group::LiveGroup;
use crate::cluster::metadata::Metadata;
use crate::cluster::metadata::Reassignment;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::offset::FoundOffset;
use crate::cluster::offset::OffsetQuery;
use crate::cluster::topic::PartitionState;
use crate::cluster::topic::Topic;
use crate::cluster::topic::TopicName;
use crate::cluster::topic::TopicPartition;

/// A cluster in memory.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    gate: WriteGate,
}

/// The cluster, for all its clients.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    model: Model,
    faults: Faults,
    /// How many reads after a write still show what was before it, as in KRaft.
    lag: usize,
    stale: Option<(Model, usize)>,
}

impl Memory {
    /// A twin of this model.
    pub fn of(model: Model) -> Self {
        let state = Mutex::new(State { model, faults: Faults::default(), lag: 0, stale: None });
        Self { shared: Arc::new(Shared { state }), gate: WriteGate::default() }
    }

    /// Looks into the cluster.
    pub fn look<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.state().model)
    }

    /// Changes the cluster behind the program's back.
    pub fn edit(&self, change: impl FnOnce(&mut Model)) {
        change(&mut self.state().model);
    }

    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().faults.calls.clone()
    }

    /// The n-th call of a kind, from 1, fails and does nothing.
    #[must_use]
    pub fn failing(self, call: Call, nth: usize, error: KafkaError) -> Self {
        self.planning(call, nth, Fault::Fail(error))
    }

    /// The n-th call of a kind, from 1, is carried out and its answer is lost.
    #[must_use]
    pub fn losing_the_answer(self, call: Call, nth: usize) -> Self {
        self.planning(call, nth, Fault::LoseAnswer)
    }

    /// The n-th call of a kind, from 1, is not carried out, and the caller can't know.
    #[must_use]
    pub fn losing_the_request(self, call: Call, nth: usize) -> Self {
        self.planning(call, nth, Fault::LoseRequest)
    }

    /// Someone changes the cluster just before the n-th call of a kind.
    #[must_use]
    pub fn before(self, call: Call, nth: usize, change: impl FnOnce(&mut Model) + Send + 'static) -> Self {
        self.planning(call, nth, Fault::Before(Box::new(change)))
    }

    /// The same, of a cluster that is in use already.
    pub fn will_change_before(&self, call: Call, nth: usize, change: impl FnOnce(&mut Model) + Send + 'static) {
        self.state().faults.plan(call, nth, Fault::Before(Box::new(change)));
    }

    /// Someone changes the cluster just after the n-th call of a kind.
    #[must_use]
    pub fn after(self, call: Call, nth: usize, change: impl FnOnce(&mut Model) + Send + 'static) -> Self {
        self.planning(call, nth, Fault::After(Box::new(change)))
    }

    /// One item (`orders`; of configs `topic:orders`) is refused whenever it is written or checked.
    #[must_use]
    pub fn refusing(self, call: Call, item: &str, error: KafkaError) -> Self {
        self.state().faults.refuse(call, item, error);
        self
    }

    /// The next so many reads after each write show the cluster as it was before.
    #[must_use]
    pub fn lagging(self, reads: usize) -> Self {
        self.state().lag = reads;
        self
    }

    /// The broker that is asked is behind: the next so many reads show another state, until somebody waits for the brokers
    /// to catch up.
    pub fn show_instead(&self, model: Model, reads: usize) {
        self.state().stale = Some((model, reads));
    }

    /// From now on no broker can be reached.
    pub fn go_away(&self) {
        self.state().faults.away = true;
    }

    /// Brokers can be reached again.
    pub fn come_back(&self) {
        self.state().faults.away = false;
    }

    fn planning(self, call: Call, nth: usize, fault: Fault) -> Self {
        self.state().faults.plan(call, nth, fault);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// What all items of a write get where the gate is closed.
    pub(super) fn refused(&self, mode: Mode, items: usize) -> Option<Vec<Result<(), KafkaError>>> {
        let why = self.gate.check().err().filter(|_| mode == Mode::Apply && items > 0)?;
        Some(vec![Err(KafkaError::LockNotHeld { why }); items])
    }

    pub(super) fn read<T>(
        &self,
        call: Call,
        read: impl FnOnce(&Model) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let mut state = self.state();
        let (faults, outcome) = state.begin(call);
        outcome?;
        let answer = match &mut state.stale {
            Some((model, left)) if *left > 0 => {
                *left -= 1;
                read(model)
            }
            _ => read(&state.model),
        };
        state.end(faults);
        answer
    }

    pub(super) fn write<T>(
        &self,
        call: Call,
        items: &[T],
        key: impl Fn(&T) -> String,
        write: impl Fn(&mut Model, &T) -> Result<(), KafkaError>,
    ) -> Vec<Result<(), KafkaError>> {
        if items.is_empty() {
            return Vec::new();
        }
        let mut state = self.state();
        let (faults, outcome) = state.begin(call);
        if let Err(error) = outcome {
            return vec![Err(error); items.len()];
        }
        let before = (state.lag > 0).then(|| (state.model.clone(), state.lag));
        let mut results: Vec<Result<(), KafkaError>> = Vec::with_capacity(items.len());
        for item in items {
            let refusal = state.faults.refusal(call, &key(item));
            results.push(refusal.map_or_else(|| write(&mut state.model, item), Err));
        }
        state.stale = before.or(state.stale.take());
        let lost = faults.iter().any(|fault| matches!(fault, Fault::LoseAnswer));
        state.end(faults);
        if lost {
            return vec![Err(lost_answer(call)); items.len()];
        }
        results
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one call that may change what coordinators know, with the faults that are planned for it.
    pub(super) fn ask<T>(
        &self,
        call: Call,
        answer: impl FnOnce(&mut Model) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let mut state = self.state();
        let (faults, outcome) = state.begin(call);
        outcome?;
        let answer = answer(&mut state.model);
        state.end(faults);
        answer
    }

    /// Looks at the cluster and changes it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        change(&mut self.state().model)
    }
}

impl State {
    /// Counts the call, lets happen what is planned before it, and says whether it fails.
    fn begin(&mut self, call: Call) -> (Vec<Fault>, Result<(), KafkaError>) {
        if self.faults.away {
            let tried = vec![("127.0.0.1:9093".to_owned(), "connection refused".to_owned())];
            let _ = self.faults.begin(call);
            return (Vec::new(), Err(KafkaError::Unreachable { tried, within: Duration::from_secs(10) }));
        }
        let mut later = Vec::new();
        for fault in self.faults.begin(call) {
            match fault {
                Fault::Before(change) => change(&mut self.model),
                Fault::Fail(error) => return (Vec::new(), Err(error)),
                Fault::LoseRequest => return (Vec::new(), Err(lost_answer(call))),
                Fault::LoseAnswer if !call.writes() => return (Vec::new(), Err(lost_answer(call))),
                Fault::LoseAnswer | Fault::After(_) => later.push(fault),
            }
        }
        (later, Ok(()))
    }

    fn end(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            if let Fault::After(change) = fault {
                change(&mut self.model);
            }
        }
    }
}

fn lost_answer(call: Call) -> KafkaError {
    KafkaError::AnswerLost {
        request: format!("{call:?} to 127.0.0.1:9093"),
        why: "the broker closed the connection".to_owned(),
    }
}

#[async_trait]
impl Cluster for Memory {
    async fn metadata(&self, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError> {
        self.read(Call::Metadata, |model| Ok(metadata(model, topics)))
    }

    async fn metadata_of(&self, broker: BrokerId, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError> {
        self.read(Call::Metadata, |model| configs::check_broker(model, broker).map(|()| metadata(model, topics)))
    }

    async fn fenced_brokers(&self) -> Result<Option<BTreeSet<BrokerId>>, KafkaError> {
        self.read(Call::DescribeCluster, |model| Ok(model.kraft.then(|| model.stopped.keys().copied().collect())))
    }

    async fn replica_sizes(&self, brokers: &[BrokerId]) -> Result<ReplicaSizes, KafkaError> {
        self.read(Call::DescribeLogDirs, |model| {
            let mut sizes = ReplicaSizes::default();
            for broker in brokers {
                match configs::check_broker(model, *broker) {
                    Ok(()) => add_sizes(model, *broker, &mut sizes),
                    Err(error) => {
                        sizes.missing.insert(*broker, error.to_string());
                    }
                }
            }
            Ok(sizes)
        })
    }
}

#[async_trait]
impl Topics for Memory {
    async fn find_topics(&self, least: &BTreeMap<TopicName, usize>) -> Result<BTreeMap<TopicName, Topic>, KafkaError> {
        let names: Vec<_> = least.keys().cloned().collect();
        let mut topics = self.metadata(TopicSelection::Named(&names)).await?.topics;
        topics.retain(|name, topic| least.get(name).is_some_and(|least| topic.partitions.len() >= *least));
        Ok(topics)
    }

    async fn create_topics(&self, topics: &[NewTopic], mode: Mode) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(mode, topics.len()) {
            return refused;
        }
        let create = |model: &mut Model, new: &NewTopic| topics::create(model, new, mode);
        self.write(Call::CreateTopics, topics, |new| new.name.to_string(), create)
    }

    async fn create_partitions(&self, topics: &[NewPartitions], mode: Mode) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(mode, topics.len()) {
            return refused;
        }
        let grow = |model: &mut Model, new: &NewPartitions| topics::grow(model, new, mode);
        self.write(Call::CreatePartitions, topics, |new| new.name.to_string(), grow)
    }

    async fn delete_topics(&self, topics: &[TopicName]) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(Mode::Apply, topics.len()) {
            return refused;
        }
        self.write(Call::DeleteTopics, topics, ToString::to_string, topics::delete)
    }

    async fn describe_partitions(
        &self,
        topics: &[TopicName],
    ) -> Result<BTreeMap<TopicPartition, PartitionState>, KafkaError> {
        self.read(Call::DescribeTopicPartitions, |model| states(model, topics))
    }

    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        query: OffsetQuery,
    ) -> Result<BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>, KafkaError> {
        self.read(Call::ListOffsets, |model| {
            Ok(partitions.iter().map(|key| (key.clone(), offset(model, key, query))).collect())
        })
    }
}

#[async_trait]
impl Configs for Memory {
    async fn configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[&str]>,
    ) -> Result<BTreeMap<ConfigResource, Result<Vec<ConfigEntry>, KafkaError>>, KafkaError> {
        self.read(Call::DescribeConfigs, |model| {
            for resource in resources {
                if let ConfigResource::Broker(broker) = resource {
                    configs::check_broker(model, *broker)?;
                }
            }
            let described = resources.iter().map(|one| (one.clone(), configs::describe(model, one, keys)));
            Ok(described.collect())
        })
    }

    async fn alter_configs(&self, changes: &[ConfigChange], mode: Mode) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(mode, changes.len()) {
            return refused;
        }
        let alter = |model: &mut Model, change: &ConfigChange| configs::alter(model, change, mode);
        self.write(Call::AlterConfigs, changes, |change| change.resource.to_string(), alter)
    }

    async fn catch_up(&self, _own_configs: &BTreeSet<BrokerId>) -> Result<BTreeSet<BrokerId>, KafkaError> {
        self.read(Call::DescribeQuorum, |_| Ok(()))?;
        self.state().stale = None;
        Ok(BTreeSet::new())
    }
}

#[async_trait]
impl Groups for Memory {
    async fn live_groups(&self) -> Result<Vec<LiveGroup>, KafkaError> {
        let is_live = |group: &&LiveGroup| group.members > 0;
        self.read(Call::ListGroups, |model| {
            let mut groups: Vec<_> = model.groups.values().filter(is_live).cloned().collect();
            groups.extend(model.coordinators.live());
            groups.sort_by(|one, two| one.id.cmp(&two.id));
            Ok(groups)
        })
    }

    fn lock_groups(&self) -> Arc<dyn LockGroups> {
        Arc::new(MemoryLockGroups { shared: Arc::clone(&self.shared) })
    }
}

#[async_trait]
impl Reassignments for Memory {
    async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
        self.edit(|model| {
            if let Some(bytes) = model.copied_per_listing {
                model.copy_some(bytes);
            }
        });
        self.read(Call::ListReassignments, |model| Ok(model.reassignments.clone()))
    }

    async fn alter_reassignments(
        &self,
        targets: &[(TopicPartition, Option<Vec<BrokerId>>)],
        factor: Factor,
    ) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(Mode::Apply, targets.len()) {
            return refused;
        }
        let alter = |model: &mut Model, one: &_| moves::alter(model, one, factor);
        self.write(Call::AlterReassignments, targets, |(key, _)| key.to_string(), alter)
    }

    async fn elect_leaders(&self, election: Election, partitions: &[TopicPartition]) -> Vec<Result<(), KafkaError>> {
        if let Some(refused) = self.refused(Mode::Apply, partitions.len()) {
            return refused;
        }
        let elect = match election {
            Election::Preferred => moves::elect,
            Election::Unclean => moves::elect_unclean,
        };
        self.write(Call::ElectLeaders, partitions, ToString::to_string, elect)
    }
}

impl Kafka for Memory {
    fn write_gate(&self) -> &WriteGate {
        &self.gate
    }
}

fn offset(model: &Model, key: &TopicPartition, query: OffsetQuery) -> Result<Option<FoundOffset>, KafkaError> {
    let partition = usize::try_from(key.partition)
        .ok()
        .and_then(|number| model.topics.get(&key.topic)?.partitions.get(number))
        .ok_or_else(|| KafkaError::broker(codes::UNKNOWN_TOPIC_OR_PARTITION, None))?;
    if partition.leader.is_none() {
        return Err(KafkaError::broker(codes::LEADER_NOT_AVAILABLE, Some("the partition is offline")));
    }
    let at = |offset| Some(FoundOffset { offset, timestamp: None });
    Ok(match query {
        OffsetQuery::Earliest => at(partition.earliest),
        OffsetQuery::Latest => at(partition.latest()),
        OffsetQuery::AtOrAfter(time) => {
            let found = partition.first_at_or_after(time);
            found.map(|(offset, timestamp)| FoundOffset { offset, timestamp: Some(timestamp) })
        }
    })
}
