//! What the twin does when topics are created, grown or deleted: the checks of a broker, in its words.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::NewPartitions;
use crate::clients::kafka::NewTopic;
use crate::clients::kafka::codes;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::ModelTopic;
use crate::clients::kafka::memory::keys;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;

/// Creates a topic, or says why it can't be.
pub(super) fn create(model: &mut Model, new: &NewTopic, mode: Mode) -> Result<(), KafkaError> {
    if model.topics.contains_key(&new.name) {
        return Err(refuse(codes::TOPIC_ALREADY_EXISTS, format!("Topic '{}' already exists.", new.name)));
    }
    let collides = |other: &&TopicName| other.collision_key() == new.name.collision_key();
    if let Some(other) = model.topics.keys().find(collides) {
        let message = format!("Topic '{}' collides with existing topic: {other}", new.name);
        return Err(refuse(codes::INVALID_TOPIC, message));
    }
    let replicas = match &new.assignment {
        Some(assignment) => {
            check_assignment(model, assignment)?;
            assignment.clone()
        }
        None => place(model, new.partitions.unwrap_or(1), new.replication_factor.unwrap_or(1), 0)?,
    };
    for (name, value) in &new.config {
        let key = known_key(name)?;
        key.check(value).map_err(|why| refuse(codes::INVALID_CONFIG, why))?;
    }
    if mode == Mode::Apply {
        let partitions = replicas.into_iter().map(|replicas| model.partition(replicas)).collect();
        let topic =
            ModelTopic { id: Some(Uuid::now_v7()), partitions, config: new.config.clone(), ..ModelTopic::default() };
        model.topics.insert(new.name.clone(), topic);
    }
    Ok(())
}

/// Adds partitions to a topic, or says why it can't be.
pub(super) fn grow(model: &mut Model, new: &NewPartitions, mode: Mode) -> Result<(), KafkaError> {
    let Some(topic) = model.topics.get(&new.name) else {
        return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
    };
    let moves = model.reassignments.keys().any(|partition| partition.topic == new.name);
    if moves && !model.kraft {
        let message = format!("A partition reassignment is in progress for the topic '{}'.", new.name);
        return Err(refuse(codes::REASSIGNMENT_IN_PROGRESS, message));
    }
    let now = topic.partitions.len();
    let wanted = usize::try_from(new.count).unwrap_or(0);
    if wanted == now {
        return Err(refuse(codes::INVALID_PARTITIONS, format!("Topic already has {now} partition(s).")));
    }
    if wanted < now {
        let message =
            format!("The topic {} currently has {now} partition(s); {} would not be an increase.", new.name, new.count);
        return Err(refuse(codes::INVALID_PARTITIONS, message));
    }
    // While a move runs, its adding and removing replicas are counted, too.
    let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let replicas = match &new.assignment {
        Some(assignment) if assignment.len() != wanted - now => {
            let message = format!("{} manual assignments for {} new partitions", assignment.len(), wanted - now);
            return Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, message));
        }
        Some(assignment) => {
            check_assignment(model, assignment)?;
            if assignment.iter().any(|replicas| replicas.len() != factor) {
                let message = format!("The assignment's replication factor is not the topic's, {factor}");
                return Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, message));
            }
            assignment.clone()
        }
        None => {
            let added = i32::try_from(wanted - now).unwrap_or(i32::MAX);
            place(model, added, i16::try_from(factor).unwrap_or(i16::MAX), now)?
        }
    };
    if mode == Mode::Apply {
        let added: Vec<_> = replicas.into_iter().map(|replicas| model.partition(replicas)).collect();
        if let Some(topic) = model.topics.get_mut(&new.name) {
            topic.partitions.extend(added);
        }
    }
    Ok(())
}

/// Deletes a topic and its moves.
pub(super) fn delete(model: &mut Model, name: &TopicName) -> Result<(), KafkaError> {
    if model.topics.remove(name).is_none() {
        return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
    }
    model.reassignments.retain(|partition, _| partition.topic != *name);
    Ok(())
}

/// A key, or the broker's word that there is none.
pub(super) fn known_key(name: &str) -> Result<&'static keys::Key, KafkaError> {
    keys::find(name).ok_or_else(|| refuse(codes::INVALID_CONFIG, format!("Unknown topic config name: {name}")))
}

/// A broker's refusal.
pub(super) fn refuse(code: i16, message: String) -> KafkaError {
    KafkaError::Broker { code, name: codes::name(code), message: (!message.is_empty()).then_some(message) }
}

fn check_assignment(model: &Model, assignment: &[Vec<BrokerId>]) -> Result<(), KafkaError> {
    let factor = assignment.first().map_or(0, Vec::len);
    let registered = model.registered();
    for replicas in assignment {
        let distinct: BTreeSet<_> = replicas.iter().collect();
        let unknown = replicas.iter().find(|replica| !registered.contains(replica));
        let fault = if replicas.is_empty() {
            "The manual partition assignment includes an empty replica list.".to_owned()
        } else if distinct.len() != replicas.len() {
            "The manual partition assignment includes a broker more than once.".to_owned()
        } else if replicas.len() != factor {
            format!("A partition has {} replica(s), but previous partitions have {factor}.", replicas.len())
        } else if let Some(broker) = unknown.filter(|_| model.kraft) {
            // In ZooKeeper mode brokers take anyone.
            format!("The manual partition assignment includes broker {broker}, but no such broker is registered.")
        } else {
            continue;
        };
        return Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, fault));
    }
    if assignment.is_empty() {
        return Err(refuse(codes::INVALID_REPLICA_ASSIGNMENT, "The assignment is empty.".to_owned()));
    }
    Ok(())
}

/// Places replicas in turn.
fn place(model: &Model, partitions: i32, factor: i16, first: usize) -> Result<Vec<Vec<BrokerId>>, KafkaError> {
    let brokers: Vec<BrokerId> = model.brokers.keys().copied().collect();
    let count = match usize::try_from(partitions) {
        Ok(count) if count > 0 => count,
        _ => return Err(refuse(codes::INVALID_PARTITIONS, "Number of partitions must be larger than 0.".to_owned())),
    };
    let factor = match usize::try_from(factor) {
        Ok(number) if number > 0 => number,
        _ => {
            let message = "Replication factor must be larger than 0.".to_owned();
            return Err(refuse(codes::INVALID_REPLICATION_FACTOR, message));
        }
    };
    if factor > brokers.len() {
        let message = format!(
            "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
             reached because only {} broker(s) are registered.",
            brokers.len()
        );
        return Err(refuse(codes::INVALID_REPLICATION_FACTOR, message));
    }
    let row = |partition: usize| (0..factor).map(|replica| brokers[(partition + replica) % brokers.len()]).collect();
    Ok((first..first + count).map(row).collect())
}
