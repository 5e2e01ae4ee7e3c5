//! What the twin says about configs, and what it does when they are altered.

use std::collections::BTreeMap;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::codes;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::keys;
use crate::clients::kafka::memory::topics::known_key;
use crate::clients::kafka::memory::topics::refuse;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigChange;
use crate::cluster::config::ConfigEntry;
use crate::cluster::config::ConfigOperation;
use crate::cluster::config::ConfigResource;
use crate::cluster::config::ConfigSource;
use crate::cluster::quorum::NodeId;

/// What stands in each broker's file.
const BROKER_FILE: [(&str, &str); 2] = [("auto.create.topics.enable", "false"), ("num.io.threads", "2")];

/// Kafka's own defaults of brokers, as far as the twin knows them.
const BROKER_DEFAULTS: [(&str, &str); 3] =
    [("default.replication.factor", "1"), ("min.insync.replicas", "1"), ("num.partitions", "1")];

/// The longest value. Kafka 3.9.2 and 4.3.1 in KRaft answer to a longer one by hanging up.
const VALUE_BYTES_MAX: usize = 32_767;

/// Keys of brokers that can't be changed at run time.
const READ_ONLY: [&str; 4] = ["auto.create.topics.enable", "broker.id", "default.replication.factor", "node.id"];

/// Keys of brokers whose values are numbers from 0 on.
const RATES: [&str; 2] = ["follower.replication.throttled.rate", "leader.replication.throttled.rate"];

/// Keys of topics that take the brokers' value of another name, where there is one.
const INHERITED: [(&str, &str); 1] = [("min.insync.replicas", "min.insync.replicas")];

/// The entries of a resource, all or those named, ordered by name.
pub(super) fn describe(
    model: &Model,
    resource: &ConfigResource,
    keys: Option<&[&str]>,
) -> Result<Vec<ConfigEntry>, KafkaError> {
    let mut entries = match resource {
        ConfigResource::Topic(name) => match model.topics.get(name) {
            Some(topic) => topic_entries(model, &topic.config),
            None => return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, String::new())),
        },
        ConfigResource::Broker(broker) => broker_entries(model, *broker)?,
        ConfigResource::BrokerDefaults => {
            model.broker_defaults.iter().map(|(key, value)| entry(key, value, ConfigSource::BrokerDefaults)).collect()
        }
    };
    entries.retain(|entry| keys.is_none_or(|keys| keys.contains(&entry.name.as_str())));
    entries.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(entries)
}

fn entry(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
    ConfigEntry { name: name.to_owned(), value: Some(value.to_owned()), source, sensitive: false, read_only: false }
}

fn topic_entries(model: &Model, set: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    let entry_of = |key: &keys::Key| {
        let inherited = INHERITED.iter().find(|(name, _)| *name == key.name);
        let inherited = inherited.and_then(|(_, broker)| model.broker_defaults.get(*broker));
        match (set.get(key.name), inherited) {
            (Some(value), _) => entry(key.name, value, ConfigSource::Topic),
            (None, Some(value)) => entry(key.name, value, ConfigSource::BrokerDefaults),
            (None, None) => entry(key.name, key.default, ConfigSource::Default),
        }
    };
    keys::KEYS.iter().map(entry_of).collect()
}

/// What stands in a controller's file; one that is registered and does not run can't be asked.
fn controller_entries(model: &Model, controller: NodeId) -> Result<Vec<ConfigEntry>, KafkaError> {
    let Some(file) = model.controller_files.get(&controller) else {
        let message = format!("controller {controller} does not answer");
        return Err(refuse(codes::BROKER_NOT_AVAILABLE, message));
    };
    let static_entry = |(key, value): (&String, &String)| ConfigEntry {
        read_only: true,
        ..entry(key, value, ConfigSource::BrokerFile)
    };
    Ok(file.iter().map(static_entry).collect())
}

fn broker_entries(model: &Model, broker: BrokerId) -> Result<Vec<ConfigEntry>, KafkaError> {
    if model.is_controllers {
        return controller_entries(model, NodeId::from(broker));
    }
    check_broker(model, broker)?;
    let mut entries: BTreeMap<String, ConfigEntry> = BTreeMap::new();
    let id = broker.to_string();
    let file = BROKER_FILE.iter().copied().chain([("node.id", id.as_str()), ("broker.id", id.as_str())]);
    let layers = BROKER_DEFAULTS
        .iter()
        .map(|(key, value)| entry(key, value, ConfigSource::Default))
        .chain(file.map(|(key, value)| entry(key, value, ConfigSource::BrokerFile)))
        .chain(model.broker_defaults.iter().map(|(key, value)| entry(key, value, ConfigSource::BrokerDefaults)))
        .chain(
            model
                .broker_configs
                .get(&broker)
                .into_iter()
                .flatten()
                .map(|(key, value)| entry(key, value, ConfigSource::Broker)),
        );
    for mut layer in layers {
        layer.read_only = READ_ONLY.contains(&layer.name.as_str());
        entries.insert(layer.name.clone(), layer);
    }
    Ok(entries.into_values().collect())
}

/// A broker that is not there can't be asked.
pub(super) fn check_broker(model: &Model, broker: BrokerId) -> Result<(), KafkaError> {
    let is_controller = model.is_controllers && model.controller_files.contains_key(&NodeId::from(broker));
    if is_controller || model.brokers.contains_key(&broker) {
        return Ok(());
    }
    let live: Vec<_> = model.brokers.keys().map(ToString::to_string).collect();
    let message = format!("broker {broker} is not among the live brokers {}", live.join(", "));
    Err(refuse(codes::BROKER_NOT_AVAILABLE, message))
}

/// Changes some keys of a resource: all of them, or none if one is refused.
pub(super) fn alter(model: &mut Model, change: &ConfigChange, mode: Mode) -> Result<(), KafkaError> {
    let set = match &change.resource {
        ConfigResource::Topic(name) => match model.topics.get(name) {
            Some(topic) => topic.config.clone(),
            None => {
                return Err(refuse(codes::UNKNOWN_TOPIC_OR_PARTITION, format!("The topic '{name}' does not exist.")));
            }
        },
        ConfigResource::Broker(broker) => {
            check_broker(model, *broker)?;
            model.broker_configs.get(broker).cloned().unwrap_or_default()
        }
        ConfigResource::BrokerDefaults => model.broker_defaults.clone(),
    };
    let is_topic = matches!(change.resource, ConfigResource::Topic(_));
    let after = change.operations.iter().try_fold(set, |mut set, (name, operation)| {
        let value = if is_topic { altered(&set, name, operation)? } else { altered_of_broker(&set, name, operation)? };
        if let Some(value) = value.as_ref().filter(|value| model.kraft && value.len() > VALUE_BYTES_MAX) {
            let request = "IncrementalAlterConfigs".to_owned();
            let why = format!("the broker closed the connection over a value of {} bytes", value.len());
            return Err(KafkaError::AnswerLost { request, why });
        }
        match value {
            Some(value) => set.insert(name.clone(), value),
            None => set.remove(name),
        };
        Ok::<_, KafkaError>(set)
    })?;
    if mode == Mode::Validate {
        return Ok(());
    }
    match &change.resource {
        ConfigResource::Topic(name) => {
            if let Some(topic) = model.topics.get_mut(name) {
                topic.config = after;
            }
        }
        ConfigResource::Broker(broker) => {
            model.broker_configs.insert(*broker, after);
        }
        ConfigResource::BrokerDefaults => model.broker_defaults = after,
    }
    Ok(())
}

/// The value of a topic's key afterwards; none for its default.
fn altered(
    set: &BTreeMap<String, String>,
    name: &str,
    operation: &ConfigOperation,
) -> Result<Option<String>, KafkaError> {
    let key = known_key(name)?;
    let now = set.get(name).map_or(key.default, String::as_str);
    let not_a_list = |verb: &str| {
        let message = format!("Can't {verb} to key {name} because its type is not LIST. It is {}.", key.type_name());
        refuse(codes::INVALID_CONFIG, message)
    };
    let value = match operation {
        ConfigOperation::Delete => return Ok(None),
        ConfigOperation::Set(value) => value.clone(),
        ConfigOperation::Append(_) if !key.is_list() => return Err(not_a_list("APPEND")),
        ConfigOperation::Subtract(_) if !key.is_list() => return Err(not_a_list("SUBTRACT")),
        ConfigOperation::Append(added) => {
            let mut list: Vec<_> = keys::elements(now).collect();
            for element in keys::elements(added) {
                if !list.contains(&element) {
                    list.push(element);
                }
            }
            list.join(",")
        }
        ConfigOperation::Subtract(removed) => {
            let removed: Vec<_> = keys::elements(removed).collect();
            keys::elements(now).filter(|element| !removed.contains(element)).collect::<Vec<_>>().join(",")
        }
    };
    key.check(&value).map_err(|why| refuse(codes::INVALID_CONFIG, why))?;
    Ok(Some(value))
}

/// The same of a broker's key. Brokers take keys that they do not know.
fn altered_of_broker(
    set: &BTreeMap<String, String>,
    name: &str,
    operation: &ConfigOperation,
) -> Result<Option<String>, KafkaError> {
    if READ_ONLY.contains(&name) {
        let message = format!("Cannot update these configs dynamically: [{name}]");
        return Err(refuse(codes::INVALID_REQUEST, message));
    }
    match operation {
        ConfigOperation::Delete => Ok(None),
        ConfigOperation::Set(value) => {
            if RATES.contains(&name) && value.parse::<u64>().is_err() {
                let message = format!("Invalid value {value} for configuration {name}: Value must be at least 0");
                return Err(refuse(codes::INVALID_REQUEST, message));
            }
            Ok(Some(value.clone()))
        }
        ConfigOperation::Append(_) | ConfigOperation::Subtract(_) => {
            let now = set.get(name).cloned().unwrap_or_default();
            let message = format!("Can't change key {name} (now `{now}`) because its type is not LIST.");
            Err(refuse(codes::INVALID_CONFIG, message))
        }
    }
}
