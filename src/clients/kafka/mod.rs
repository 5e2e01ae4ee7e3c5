//! The door to Kafka: [`Kafka`] is what the commands may ask of a cluster.

pub mod codes;
pub mod gate;
pub mod live;
pub mod lock_group;
pub mod memory;
pub mod sasl;
pub mod settings;
mod stores;
pub mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clients::kafka::gate::WriteGate;
use crate::clients::kafka::lock_group::LockGroups;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigChange, ConfigEntry, ConfigResource};
use crate::cluster::group::LiveGroup;
use crate::cluster::metadata::{LogDir, Metadata, Reassignment, ReplicaSize, TopicSelection};
use crate::cluster::offset::{FoundOffset, OffsetQuery};
use crate::cluster::topic::{Topic, TopicName, TopicPartition};
use crate::cluster::visible;

/// One Kafka cluster.
///
/// Reads are retried until the connection's deadline. Writes are sent again only where the first one certainly did
/// nothing; where an answer was lost they end in [`KafkaError::AnswerLost`], and the caller looks before it decides.
/// A write of many items returns one result an item, in the order of the items; it is cut into requests that the
/// brokers take, and one bad item does not stop the others.
/// In KRaft, reads may show the state from before one's own write for some hundred milliseconds: poll.
#[async_trait]
pub trait Kafka: Send + Sync {
    /// The cluster's id, brokers and topics, with one request.
    async fn metadata(&self, topics: TopicSelection<'_>) -> Result<Metadata, KafkaError>;

    /// Those of some topics that a broker shows with at least so many partitions: several brokers are asked, one after the
    /// other, since each of them may be behind. A topic that none of them shows so is left out.
    async fn find_topics(&self, least: &BTreeMap<TopicName, usize>) -> Result<BTreeMap<TopicName, Topic>, KafkaError> {
        let names: Vec<_> = least.keys().cloned().collect();
        let mut topics = self.metadata(TopicSelection::Named(&names)).await?.topics;
        topics.retain(|name, topic| least.get(name).is_some_and(|least| topic.partitions.len() >= *least));
        Ok(topics)
    }

    /// Config entries of each resource: all keys, or those named. A missing topic has an error of its own.
    async fn configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[&str]>,
    ) -> Result<BTreeMap<ConfigResource, Result<Vec<ConfigEntry>, KafkaError>>, KafkaError>;

    /// What one of these brokers says of its own configs, whichever answers first: where all have the same, a broker that
    /// hangs costs nothing. With who answered.
    async fn configs_of_one(
        &self,
        brokers: &[BrokerId],
        keys: &[&str],
    ) -> Result<(BrokerId, Vec<ConfigEntry>), KafkaError> {
        let mut last = KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("there is no live broker to ask"));
        for broker in brokers {
            let resource = ConfigResource::Broker(*broker);
            match self.configs(std::slice::from_ref(&resource), Some(keys)).await {
                Ok(mut answers) => match answers.remove(&resource) {
                    Some(Ok(entries)) => return Ok((*broker, entries)),
                    Some(Err(error)) => last = error,
                    None => {}
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Creates topics, or asks whether they could be.
    async fn create_topics(&self, topics: &[NewTopic], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Grows topics to a number of partitions, or asks whether they could be.
    async fn create_partitions(&self, topics: &[NewPartitions], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Deletes topics with all their records.
    async fn delete_topics(&self, topics: &[TopicName]) -> Vec<Result<(), KafkaError>>;

    /// Changes single config keys (IncrementalAlterConfigs), or asks whether they could be.
    async fn alter_configs(&self, changes: &[ConfigChange], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Moves that are running now.
    async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError>;

    /// Begins moves onto other replicas (the preferred leader first), or cancels them (`None`).
    ///
    /// What Kafka does not check, the caller does. KRaft takes a target that is registered and down: such a move hangs.
    /// A target for a partition that moves already overlays the running move; KRaft then forgets where it came from.
    /// A cancel in KRaft gives the former replicas back in another order, and after an overlay with extra ones.
    /// Kafka 4.4 refuses each target that names a cordoned broker.
    async fn alter_reassignments(
        &self,
        targets: &[(TopicPartition, Option<Vec<BrokerId>>)],
        factor: Factor,
    ) -> Vec<Result<(), KafkaError>>;

    /// Elects a leader of each partition; where none needs to be elected, nothing happens and that is no error.
    async fn elect_leaders(&self, election: Election, partitions: &[TopicPartition]) -> Vec<Result<(), KafkaError>>;

    /// What each replica holds on disk; all brokers are asked at once. Brokers that can't be asked are named apart.
    async fn replica_sizes(&self, brokers: &[BrokerId]) -> Result<ReplicaSizes, KafkaError>;

    /// Brokers that are registered and fenced, as those that died are: such a broker is down, whatever else lists it. None
    /// where brokers do not tell (before Kafka 4.0).
    async fn fenced_brokers(&self) -> Result<Option<BTreeSet<BrokerId>>, KafkaError>;

    /// Waits until brokers show what others committed before this call: configs of topics on all brokers, brokers' own
    /// configs on those that are named. In KRaft a broker may be some hundred milliseconds behind, and who writes a config
    /// over one that it did not see destroys it. Answers with the brokers that did not get there in time.
    async fn catch_up(&self, own_configs: &BTreeSet<BrokerId>) -> Result<BTreeSet<BrokerId>, KafkaError>;

    /// Offsets of partitions; each is asked of its leader.
    async fn offsets(
        &self,
        partitions: &[TopicPartition],
        query: OffsetQuery,
    ) -> Result<BTreeMap<TopicPartition, Result<Option<FoundOffset>, KafkaError>>, KafkaError>;

    /// Consumer groups that have members now, classic and new protocol, with the topics that they read.
    async fn live_groups(&self) -> Result<Vec<LiveGroup>, KafkaError>;

    /// Whether [`Kafka::live_groups`] shows all groups: brokers leave out those that we may not describe, and do not say so.
    /// None where they do not tell (before Kafka 2.8).
    async fn sees_all_groups(&self) -> Result<Option<bool>, KafkaError> {
        Ok(Some(true))
    }

    /// Says that another look at the cluster begins, in a command that looks again and again: the time that the looks before
    /// waited for answers in vain does not count for it.
    fn begin_look(&self) {}

    /// Says that the configs of so many topics will be asked for: connections may be made ready meanwhile.
    fn expect_configs(&self, _topics: usize) {}

    /// The same cluster as one for locks, on connections of its own: it may be used in another thread with another
    /// runtime, and nothing that is asked here delays it. No connection is opened before the first call.
    fn lock_groups(&self) -> Arc<dyn LockGroups>;

    /// What must be true right before a write is sent. Where it is not, [`KafkaError::LockNotHeld`] is the result and
    /// nothing was sent. What is only checked ([`Mode::Validate`]) does not need it.
    fn write_gate(&self) -> &WriteGate;

    /// How many requests were sent so far, for benchmarks and `--log debug`.
    fn requests_sent(&self) -> u64;
}

/// Who is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The preferred leader: the first replica, if it is in sync.
    Preferred,
    /// Of a partition without a leader, the first live replica, even if it is not in sync: what it lacks is lost.
    Unclean,
}

/// Whether a write is carried out or only checked (`validate_only`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Ask the brokers whether they would; nothing changes.
    Validate,
}

/// Whether moves may change how many replicas their partitions have (KIP-860). Brokers before Kafka 4.1 do not check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A target of another number of replicas is refused.
    Kept,
    /// Any number is taken: the number is the aim, or a step of a move changes it for a while.
    MayChange,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions; none for the broker's default (`num.partitions`; brokers from 2.4).
    pub partitions: Option<i32>,
    /// Replicas a partition; none for the broker's default (`default.replication.factor`).
    pub replication_factor: Option<i16>,
    /// Replicas of each partition, preferred leader first; where given, the two numbers above are not sent.
    pub assignment: Option<Vec<Vec<BrokerId>>>,
    /// Config keys and values that differ from the defaults.
    pub config: BTreeMap<String, String>,
}

/// A topic to give more partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPartitions {
    /// The topic.
    pub name: TopicName,
    /// How many partitions it has afterwards.
    pub count: i32,
    /// Replicas of each new partition; none lets Kafka choose.
    pub assignment: Option<Vec<Vec<BrokerId>>>,
}

/// What replicas hold, and which brokers could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicaSizes {
    /// Sizes by partition, one entry a replica.
    pub sizes: BTreeMap<TopicPartition, Vec<ReplicaSize>>,
    /// The log dirs of each broker that answered.
    #[serde(default)]
    pub log_dirs: BTreeMap<BrokerId, Vec<LogDir>>,
    /// Brokers that did not answer, or all of whose log dirs are offline, and why. What is offline beside log dirs that
    /// work is told by [`LogDir::fault`].
    pub missing: BTreeMap<BrokerId, String>,
}

/// Why a call to Kafka did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No broker could be reached before the deadline; each address with its reason.
    #[error("no broker could be reached within {}: {}", show_seconds(*.within), .tried.iter().map(|(address, why)| format!("{}: {}", visible::value(address), visible::line(why))).collect::<Vec<_>>().join("; "))]
    Unreachable {
        /// Addresses and reasons.
        tried: Vec<(String, String)>,
        /// The deadline (`--timeout`).
        within: Duration,
    },
    /// TLS or SASL failed in a way that a retry does not mend: wrong password, wrong CA, wrong host name, …
    #[error("{}: {}", visible::value(address), visible::line(message))]
    Security {
        /// The broker's address.
        address: String,
        /// What is wrong, and which setting to look at.
        message: String,
    },
    /// The connection's settings are wrong.
    #[error("{0}")]
    Settings(String),
    /// The broker answered with an error code.
    #[error("{name} ({code}){}", .message.as_deref().map(|text| format!(": {}", visible::value(text))).unwrap_or_default())]
    Broker {
        /// Kafka's error code.
        code: i16,
        /// Kafka's name for the code, as `TOPIC_ALREADY_EXISTS`.
        name: &'static str,
        /// The broker's own words.
        message: Option<String>,
    },
    /// The request may or may not have been carried out: its answer did not come.
    #[error("the answer to {request} was lost ({}); whether it was carried out is not known", visible::line(why))]
    AnswerLost {
        /// The request, as `CreateTopics to broker 2`.
        request: String,
        /// What happened to the connection.
        why: String,
    },
    /// A write was not sent: the lock that it needs is not held (any more), or was not renewed lately.
    #[error("nothing was sent: {}", visible::line(why))]
    LockNotHeld {
        /// Which lock, and what happened to it.
        why: String,
    },
    /// The broker's ApiVersions lack this request: it is older, or a server that only speaks Kafka's protocol.
    #[error("{} does not offer {request}: Kafka {since} and newer do, other servers may not", visible::value(broker))]
    Unsupported {
        /// The broker.
        broker: String,
        /// The request's name.
        request: &'static str,
        /// The first version of Kafka that has it.
        since: &'static str,
    },
    /// The deadline passed.
    #[error("{} took longer than {}", visible::value(what), show_seconds(*.after))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The broker answered with bytes that make no sense.
    #[error("{} answered something that is not Kafka's protocol: {}", visible::value(address), visible::line(message))]
    Protocol {
        /// The broker's address.
        address: String,
        /// What could not be read.
        message: String,
    },
}

impl KafkaError {
    /// A broker's error code; empty words are no words.
    pub fn broker(code: i16, message: Option<&str>) -> Self {
        let message = message.filter(|text| !text.is_empty()).map(str::to_owned);
        Self::Broker { code, name: codes::name(code), message }
    }

    /// The broker's error code, where it answered with one.
    pub fn code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }
}

fn show_seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
