//! One look at a Kafka cluster, made for one broker or several: another broker's metadata, and what is known beside them. An answer that
//! is missing is an error: who can't see must not stop anything.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::clients::kafka::{Kafka, KafkaError, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::{Partition, TopicName, TopicPartition};
use crate::commands::rollout::verdict::seen::Sample;

/// The config key of the least number of replicas in sync.
const MINIMUM: &str = "min.insync.replicas";

/// Most topics without a leader whose eligible leaders are asked for.
const LEADERLESS_MAX: usize = 100;

/// Other brokers that are asked, one after the other, until one answers.
const OTHERS_MAX: usize = 3;

/// What a look is made for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The broker whose own view does not count.
    pub not: Option<BrokerId>,
    /// Brokers whose topics' minimums are needed.
    pub hosts: &'a [BrokerId],
    /// With which of the other brokers to begin, so that two looks are those of two brokers where there are two.
    pub turn: usize,
}

/// Looks at the cluster for one broker. `turn` says with which of the other brokers to begin.
pub async fn look(kafka: &dyn Kafka, broker: BrokerId, turn: usize, at: Timestamp) -> Result<Sample, KafkaError> {
    look_for(kafka, Ask { not: Some(broker), hosts: &[broker], turn }, at).await
}

/// Looks at the cluster for several brokers.
pub async fn look_for(kafka: &dyn Kafka, ask: Ask<'_>, at: Timestamp) -> Result<Sample, KafkaError> {
    kafka.begin_look();
    let (seen_by, view) = view(kafka, ask).await?;
    let fenced = kafka.fenced_brokers().await?;
    let quorum = match kafka.quorum().await {
        Ok(quorum) => Some(quorum),
        Err(KafkaError::Unsupported { .. }) => None,
        Err(error) => return Err(error),
    };
    let minimums = minimums(kafka, &hosted(ask.hosts, &view)).await?;
    let moves = kafka.reassignments().await?.into_iter().collect();
    let eligible = eligible(kafka, &view).await?;
    Ok(Sample { at, seen_by, view, minimums, moves, eligible, fenced, quorum })
}

/// The metadata of another broker; the broker's own where it is the only one.
async fn view(kafka: &dyn Kafka, ask: Ask<'_>) -> Result<(BrokerId, Metadata), KafkaError> {
    let all = kafka.metadata(TopicSelection::None).await?;
    let mut others: Vec<_> = all.brokers.keys().filter(|id| Some(**id) != ask.not).copied().collect();
    if others.is_empty() {
        others.extend(ask.not);
    }
    let mut last = None;
    let begin = ask.turn.checked_rem(others.len()).unwrap_or_default();
    for other in others.iter().cycle().skip(begin).take(others.len().min(OTHERS_MAX)) {
        match kafka.metadata_of(*other, TopicSelection::All).await {
            Ok(view) => return Ok((*other, view)),
            Err(error) => {
                tracing::debug!(broker = %other, %error, "the other broker was not asked");
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("no broker is listed"))))
}

/// The topics that brokers have replicas of.
fn hosted(brokers: &[BrokerId], view: &Metadata) -> Vec<TopicName> {
    let has = |partitions: &[Partition]| {
        partitions.iter().any(|partition| partition.replicas.iter().any(|one| brokers.contains(one)))
    };
    view.topics.values().filter(|topic| has(&topic.partitions)).map(|topic| topic.name.clone()).collect()
}

async fn minimums(kafka: &dyn Kafka, topics: &[TopicName]) -> Result<BTreeMap<TopicName, usize>, KafkaError> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resources: Vec<_> = topics.iter().cloned().map(ConfigResource::Topic).collect();
    let answers = kafka.configs(&resources, Some(&[MINIMUM])).await?;
    let minimum = |(resource, entries): (ConfigResource, Result<Vec<_>, KafkaError>)| {
        let ConfigResource::Topic(topic) = resource else { return None };
        // A topic that can't be read, since it was deleted a moment ago, counts as unknown.
        let entries: Vec<ConfigEntry> = entries.ok()?;
        let entry = entries.into_iter().find(|entry| entry.name == MINIMUM)?;
        Some((topic, entry.value?.trim().parse().ok()?))
    };
    Ok(answers.into_iter().filter_map(minimum).collect())
}

/// The eligible leaders of partitions without a leader, where the cluster shows them.
async fn eligible(kafka: &dyn Kafka, view: &Metadata) -> Result<Vec<(TopicPartition, Vec<BrokerId>)>, KafkaError> {
    let is_led = |leader: Option<BrokerId>| leader.is_some_and(|leader| view.brokers.contains_key(&leader));
    let topics: BTreeSet<_> = view
        .topics
        .values()
        .filter(|topic| topic.partitions.iter().any(|partition| !is_led(partition.leader)))
        .map(|topic| topic.name.clone())
        .take(LEADERLESS_MAX)
        .collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    match kafka.describe_partitions(&topics.into_iter().collect::<Vec<_>>()).await {
        Ok(states) => Ok(states.into_iter().map(|(key, state)| (key, state.eligible)).collect()),
        Err(KafkaError::Unsupported { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
