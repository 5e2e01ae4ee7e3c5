//! Config keys and values of topics and brokers, and changes to them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;

/// What a config belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker; such a request must go to that broker itself.
    Broker(BrokerId),
    /// The cluster-wide dynamic default of all brokers.
    BrokerDefaults,
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic:{name}"),
            Self::Broker(id) => write!(f, "broker:{id}"),
            Self::BrokerDefaults => f.write_str("broker:default"),
        }
    }
}

/// Where a value comes from (DescribeConfigs' `config_source`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// Set on this topic.
    Topic,
    /// Set on this broker at run time.
    Broker,
    /// Set at run time for all brokers.
    BrokerDefaults,
    /// From the broker's `server.properties`.
    BrokerFile,
    /// Kafka's own default.
    Default,
    /// A source that this tool does not know, or set on another kind of resource (loggers, groups, client metrics).
    Other,
}

/// One key of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value; none where Kafka hides it because it is sensitive, or where it is null.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether Kafka calls the value sensitive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Whether it can't be changed at run time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What happens to one key (IncrementalAlterConfigs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigOperation {
    /// Sets the value.
    Set(String),
    /// Removes the value, so that the default holds again.
    Delete,
    /// Appends to a list; elements that are there are not doubled. Kafka 2 doubles them, and where the key is not set
    /// 2.4 fails and 2.8 leaves an empty element: there, set the whole list.
    Append(String),
    /// Takes elements out of a list; what is left may be an explicit empty list.
    Subtract(String),
}

/// Changes to some keys of one resource. Keys that are not named keep their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The resource.
    pub resource: ConfigResource,
    /// The keys and what happens to each.
    pub operations: Vec<(String, ConfigOperation)>,
}

/// Whether Kafka takes two texts for one value: it keeps numbers, booleans and lists in a form of its own. `is_set` says that
/// neither the order nor a repetition of a list's words means anything.
pub fn same_value(one: &str, other: &str, is_set: bool) -> bool {
    one == other || canonical(one, is_set) == canonical(other, is_set)
}

fn canonical(value: &str, is_set: bool) -> String {
    let value = value.trim();
    if let Ok(number) = value.parse::<i64>() {
        return number.to_string();
    }
    if let Ok(number) = value.parse::<f64>()
        && number.is_finite()
    {
        return number.to_string();
    }
    if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        return value.to_ascii_lowercase();
    }
    let words = value.split(',').map(str::trim);
    if is_set {
        let words: BTreeSet<_> = words.filter(|word| !word.is_empty()).collect();
        return words.into_iter().collect::<Vec<_>>().join(",");
    }
    words.collect::<Vec<_>>().join(",")
}
