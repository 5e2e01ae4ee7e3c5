//! What the twin does with moves: begins, overlays, cancels and finishes them as KRaft and ZooKeeper mode really do, and
//! copies bytes little by little where a test wants to see progress, throttles and stalls.
//!
//! What differs, as seen on Kafka 3.9 and 4.3: ZooKeeper mode refuses targets that are down, and remembers where an
//! overlaid move came from. KRaft takes them, forgets it, and gives the former replicas back in another order.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::clients::kafka::Factor;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelPartition;
use crate::clients::kafka::memory::shown::next_dir;
use crate::clients::kafka::memory::topics::refuse;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicPartition;

/// Begins a move, overlays the one that runs, or cancels it where there is no target.
pub(super) fn alter(
    model: &mut Model,
    (key, target): &(TopicPartition, Option<Vec<BrokerId>>),
    factor: Factor,
) -> Result<(), KafkaError> {
    if find(model, key).is_none() {
        let message = match (model.kraft, model.topics.contains_key(&key.topic)) {
            (false, _) => "The partition does not exist.".to_owned(),
            (true, false) => format!("Unable to find a topic named {}.", key.topic),
            (true, true) => format!("Unable to find partition {}:{}.", key.topic, key.partition),
        };
        return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, message));
    }
    match target {
        None => cancel(model, key),
        Some(target) => {
            check_target(model, target)?;
            check_factor(model, key, target)
                .or_else(|error| if factor == Factor::Kept { Err(error) } else { Ok(()) })?;
            begin(model, key, target);
            Ok(())
        }
    }
}

/// Lets the preferred leader lead, where it is in sync.
pub(super) fn elect(model: &mut Model, key: &TopicPartition) -> Result<(), KafkaError> {
    let live: BTreeSet<_> = model.brokers.keys().copied().collect();
    let Some(partition) = find(model, key) else {
        return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
    };
    let preferred = partition.replicas.first().filter(|one| live.contains(one) && partition.isr.contains(one));
    let Some(preferred) = preferred.copied() else {
        let message = format!("Failed to elect leader for partition {key} under strategy Preferred");
        return Err(refuse(codes::PREFERRED_LEADER_NOT_AVAILABLE, message));
    };
    if partition.leader.replace(preferred) == Some(preferred) {
        return Err(refuse(codes::ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.".to_owned()));
    }
    Ok(())
}

/// Where nobody leads, lets the first live replica lead, in sync or not: it alone is in sync then.
pub(super) fn elect_unclean(model: &mut Model, key: &TopicPartition) -> Result<(), KafkaError> {
    let live: BTreeSet<_> = model.brokers.keys().copied().collect();
    let Some(partition) = find(model, key) else {
        return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
    };
    if partition.leader.is_some_and(|leader| live.contains(&leader)) {
        return Err(refuse(codes::ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.".to_owned()));
    }
    let in_sync = partition.replicas.iter().find(|one| live.contains(one) && partition.isr.contains(one));
    let Some(elected) = in_sync.or_else(|| partition.replicas.iter().find(|one| live.contains(one))).copied() else {
        let message = format!("Failed to elect leader for partition {key} under strategy Unclean");
        return Err(refuse(codes::ELIGIBLE_LEADERS_NOT_AVAILABLE, message));
    };
    if !partition.isr.contains(&elected) {
        partition.isr = vec![elected];
    }
    partition.leader = Some(elected);
    Ok(())
}

/// Begins a move without any check.
pub(super) fn begin(model: &mut Model, key: &TopicPartition, target: &[BrokerId]) {
    let running = model.reassignments.get(key).cloned();
    let kraft = model.kraft;
    let Some(partition) = find(model, key) else { return };
    let without = |brokers: &[BrokerId], others: &[BrokerId]| -> Vec<BrokerId> {
        brokers.iter().filter(|one| !others.contains(one)).copied().collect()
    };
    let origin = match &running {
        Some(running) if !kraft => without(&partition.replicas, &running.adding),
        _ => partition.replicas.clone(),
    };
    let (mut adding, mut removing) = (without(target, &origin), without(&origin, target));
    if kraft {
        adding.sort_unstable();
        removing.sort_unstable();
    }
    partition.replicas = target.iter().chain(&removing).copied().collect();
    if kraft && let Some(running) = running {
        // An empty set is not written: the old one stays, and a move back ends never.
        adding = if adding.is_empty() { running.adding } else { adding };
        removing = if removing.is_empty() { running.removing } else { removing };
    }
    let replicas = partition.replicas.clone();
    partition.isr.retain(|one| replicas.contains(one));
    partition.bytes.retain(|one, _| replicas.contains(one));
    partition.log_dirs.retain(|one, _| replicas.contains(one));
    let is_new = |one: &&BrokerId| !origin.contains(one);
    let chosen: Vec<_> = adding.iter().filter(is_new).map(|one| (*one, next_dir(model, *one, key))).collect();
    if let Some(partition) = find(model, key) {
        partition.log_dirs.extend(chosen);
    }
    if adding.is_empty() && removing.is_empty() {
        model.reassignments.remove(key);
    } else {
        model.reassignments.insert(key.clone(), Reassignment { replicas, adding, removing });
    }
    lead(model, key);
    complete(model, key);
}

fn check_target(model: &Model, target: &[BrokerId]) -> Result<(), KafkaError> {
    let distinct: BTreeSet<_> = target.iter().collect();
    let known = if model.kraft { model.registered() } else { model.brokers.keys().copied().collect() };
    let stranger = target.iter().find(|one| !known.contains(one));
    let cordoned = target.iter().find(|one| model.kraft && model.cordoned.contains(one));
    if let Some(broker) = cordoned {
        let message = format!(
            "The manual partition assignment includes broker {broker}, but all its log directories are cordoned."
        );
        return Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, message));
    }
    let message = match (target.is_empty(), distinct.len() < target.len(), stranger) {
        (true, _, _) => "The manual partition assignment includes an empty replica list.".to_owned(),
        (_, true, _) if !model.kraft => "Duplicate replica ids in partition reassignment replica list".to_owned(),
        (_, true, _) => "The manual partition assignment includes a broker more than once.".to_owned(),
        (_, _, Some(broker)) if model.kraft => {
            format!("The manual partition assignment includes broker {broker}, but no such broker is registered.")
        }
        (_, _, Some(_)) => {
            let list = |ids: Vec<String>| ids.join(",");
            format!(
                "Replica assignment has brokers that are not alive. Replica list: ArrayBuffer({}), live broker list: Set({})",
                list(target.iter().map(ToString::to_string).collect()),
                list(model.brokers.keys().map(ToString::to_string).collect())
            )
        }
        (false, false, None) => return Ok(()),
    };
    Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, message))
}

/// As Kafka 4.1 does it: what counts is where a running move ends.
fn check_factor(model: &mut Model, key: &TopicPartition, target: &[BrokerId]) -> Result<(), KafkaError> {
    let removing = model.reassignments.get(key).map_or(0, |running| running.removing.len());
    let now = find(model, key).map_or(0, |partition| partition.replicas.len()) - removing;
    if target.len() == now {
        return Ok(());
    }
    let message = format!("The replication factor is changed from {now} to {}", target.len());
    Err(refuse(codes::INVALID_REPLICATION_FACTOR, message))
}

fn cancel(model: &mut Model, key: &TopicPartition) -> Result<(), KafkaError> {
    let Some(running) = model.reassignments.remove(key) else {
        return Err(refuse(codes::NO_REASSIGNMENT_IN_PROGRESS, String::new()));
    };
    if let Some(partition) = find(model, key) {
        partition.replicas.retain(|one| !running.adding.contains(one));
        partition.isr.retain(|one| !running.adding.contains(one));
        partition.bytes.retain(|one, _| !running.adding.contains(one));
    }
    lead(model, key);
    Ok(())
}

impl Model {
    /// Cancels the move of one partition, as another tool does; nothing where none runs.
    pub fn cancel_move(&mut self, key: &TopicPartition) {
        drop(cancel(self, key));
    }

    /// Moves one partition to other brokers, as another tool does, over a move that runs.
    pub fn move_partition(&mut self, key: &TopicPartition, target: &[BrokerId]) {
        begin(self, key, target);
    }

    /// Lets every move finish whose adding brokers live, whatever is left to copy.
    pub fn finish_moves(&mut self) {
        let keys = self.reassignments.keys().cloned().collect();
        self.copy(keys, u64::MAX, false);
    }

    /// Lets the move of one partition finish, if its adding brokers live.
    pub fn finish_move(&mut self, key: &TopicPartition) {
        self.copy(vec![key.clone()], u64::MAX, false);
    }

    /// Copies at most so many bytes to each adding replica, as far as throttles let it: one second's worth.
    pub fn copy_some(&mut self, bytes_max: u64) {
        let keys = self.reassignments.keys().cloned().collect();
        self.copy(keys, bytes_max, true);
    }

    fn copy(&mut self, keys: Vec<TopicPartition>, bytes_max: u64, with_throttles: bool) {
        let mut budgets: BTreeMap<(&str, BrokerId), u64> = BTreeMap::new();
        for key in keys {
            let Some(running) = self.reassignments.get(&key) else { continue };
            for broker in running.adding.clone() {
                let Some(leader) = find(self, &key).and_then(|partition| partition.leader) else { continue };
                if !self.brokers.contains_key(&broker) || !self.brokers.contains_key(&leader) {
                    continue;
                }
                let sides = [("leader", leader), ("follower", broker)];
                let sides = sides.map(|side| (side, self.throttle_of(&key, side).filter(|_| with_throttles)));
                let mut allowed = bytes_max;
                for (side, rate) in sides {
                    allowed = rate.map_or(allowed, |rate| allowed.min(*budgets.entry(side).or_insert(rate)));
                }
                let copied = find(self, &key).map_or(0, |partition| copy_to(partition, leader, broker, allowed));
                for (side, _) in sides.into_iter().filter(|(_, rate)| rate.is_some()) {
                    budgets.entry(side).and_modify(|left| *left = left.saturating_sub(copied));
                }
            }
            complete(self, &key);
        }
    }

    /// The rate that holds for a partition on one side of its copying; none if it is not throttled.
    fn throttle_of(&self, key: &TopicPartition, (side, broker): (&'static str, BrokerId)) -> Option<u64> {
        let list = self.topics.get(&key.topic)?.config.get(&format!("{side}.replication.throttled.replicas"))?;
        let entry = format!("{}:{broker}", key.partition);
        if list != "*" && !list.split(',').any(|one| one.trim() == entry) {
            return None;
        }
        let rate = format!("{side}.replication.throttled.rate");
        let own = self.broker_configs.get(&broker).and_then(|configs| configs.get(&rate));
        own.or(self.broker_defaults.get(&rate))?.parse().ok()
    }
}

/// Copies to one replica; it joins the ISR when it has everything.
fn copy_to(partition: &mut ModelPartition, leader: BrokerId, broker: BrokerId, allowed: u64) -> u64 {
    let whole = partition.bytes.get(&leader).copied().unwrap_or(0);
    let held = partition.bytes.entry(broker).or_default();
    let copied = allowed.min(whole.saturating_sub(*held));
    *held += copied;
    if *held >= whole && !partition.isr.contains(&broker) {
        partition.isr.push(broker);
    }
    copied
}

/// Ends a move whose targets are all in sync.
fn complete(model: &mut Model, key: &TopicPartition) {
    let Some(Reassignment { adding, removing, .. }) = model.reassignments.get(key).cloned() else { return };
    let Some(partition) = find(model, key) else { return };
    let in_sync = |one: &BrokerId| partition.isr.contains(one) && !removing.contains(one);
    let target: Vec<_> = partition.replicas.iter().filter(|one| !removing.contains(one)).copied().collect();
    if !target.iter().chain(&adding).all(in_sync) {
        return;
    }
    partition.isr.retain(|one| target.contains(one));
    partition.bytes.retain(|one, _| target.contains(one));
    partition.log_dirs.retain(|one, _| target.contains(one));
    partition.replicas = target;
    model.reassignments.remove(key);
    lead(model, key);
}

/// A leader that is no replica any more hands over to the first in sync.
fn lead(model: &mut Model, key: &TopicPartition) {
    let live: BTreeSet<_> = model.brokers.keys().copied().collect();
    let Some(partition) = find(model, key) else { return };
    let can_lead = |one: &&BrokerId| partition.isr.contains(one) && live.contains(one);
    if !partition.leader.is_some_and(|leader| partition.replicas.contains(&leader)) {
        partition.leader = partition.replicas.iter().find(can_lead).copied();
    }
}

fn find<'a>(model: &'a mut Model, key: &TopicPartition) -> Option<&'a mut ModelPartition> {
    let number = usize::try_from(key.partition).ok()?;
    model.topics.get_mut(&key.topic)?.partitions.get_mut(number)
}
