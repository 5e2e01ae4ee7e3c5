//! Configs of topics and brokers: described, spread over the brokers, and altered.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::DescribeConfigsResponse;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::IncrementalAlterConfigsResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::protocol::StrBytes;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::writing::Batch;
use crate::clients::kafka::live::writing::Results;
use crate::cluster::broker::BrokerId;
use crate::cluster::config::ConfigChange;
use crate::cluster::config::ConfigEntry;
use crate::cluster::config::ConfigOperation;
use crate::cluster::config::ConfigResource;
use crate::cluster::config::ConfigSource;
use crate::cluster::topic::TopicName;

/// Kafka's number of the resource "topic".
const TOPIC: i8 = 2;

/// Kafka's number of the resource "broker"; an empty name means the default of all brokers.
const BROKER: i8 = 4;

/// With fewer topics than this one broker answers as fast as several.
pub(super) const TOPICS_WORTH_SPREADING: usize = 100;

/// How many brokers are asked beside each other for what one of them is enough for.
const BESIDE_MAX: usize = 3;

/// Resources in one request: with all keys of a topic its answer has some 1.2 MB.
const RESOURCES_MAX: usize = 1_000;

/// What each resource says, or why it does not.
pub(super) type Described = BTreeMap<ConfigResource, Result<Vec<ConfigEntry>, KafkaError>>;

/// Describes configs. What any broker can answer is spread over all of them; a broker's own goes to itself.
pub(super) async fn describe(
    cluster: &Cluster,
    resources: &[ConfigResource],
    keys: Option<&[&str]>,
) -> Result<Described, KafkaError> {
    let keys: Option<Vec<_>> = keys.map(|keys| keys.iter().map(|key| text(key)).collect());
    let deadline = cluster.deadline();
    let shares = shares(cluster, resources, deadline).await?;
    let asked = shares.iter().map(|(target, share)| {
        let keys = &keys;
        async move {
            let make = |_| request(share, keys.as_ref());
            cluster.read(*target, make, deadline).await.map(|(answer, _)| answer)
        }
    });
    let answers = try_join_all(asked).await?;
    let mut described: Described = answers.into_iter().flat_map(described).collect();
    confirm_missing(cluster, &mut described, keys.as_ref(), deadline).await?;
    for resource in resources {
        let missing = || {
            Err(KafkaError::Protocol {
                address: "a broker".to_owned(),
                message: format!("its answer to DescribeConfigs lacks {resource}"),
            })
        };
        described.entry(resource.clone()).or_insert_with(missing);
    }
    Ok(described)
}

/// One broker's own configs, whichever answers first: those that answered lately are asked first, and another one beside
/// each that takes long.
pub(super) async fn of_one(
    cluster: &Cluster,
    brokers: &[BrokerId],
    keys: &[&str],
) -> Result<(BrokerId, Vec<ConfigEntry>), KafkaError> {
    let deadline = cluster.deadline();
    cluster.know_brokers(deadline).await?;
    let keys: Vec<_> = keys.iter().map(|key| text(key)).collect();
    let ask = |broker: BrokerId| {
        let keys = &keys;
        async move {
            let resource = ConfigResource::Broker(broker);
            let make = |_| request(&[&resource], Some(keys));
            let (answer, _) = cluster.read(Target::Broker(broker), make, deadline).await?;
            let lacks = || KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("it does not tell its configs"));
            let entries = described(answer).next().ok_or_else(lacks)?.1?;
            Ok::<_, KafkaError>((broker, entries))
        }
    };
    let mut queue = VecDeque::from(cluster.by_last_answer(brokers));
    let mut running = FuturesUnordered::new();
    let mut last = KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("there is no live broker to ask"));
    loop {
        if running.len() < BESIDE_MAX
            && let Some(broker) = queue.pop_front()
        {
            running.push(ask(broker));
        }
        tokio::select! {
            next = running.next() => match next {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = tokio::time::sleep(cluster.slice()), if !queue.is_empty() && running.len() < BESIDE_MAX => {}
        }
    }
}

/// A broker of KRaft that lags behind does not know a new topic yet: it is missing only if every broker says so.
async fn confirm_missing(
    cluster: &Cluster,
    all: &mut Described,
    keys: Option<&Vec<StrBytes>>,
    deadline: tokio::time::Instant,
) -> Result<(), KafkaError> {
    if cluster.is_kraft() != Some(true) {
        return Ok(());
    }
    let is_missing = |said: &Result<_, KafkaError>| {
        said.as_ref().is_err_and(|error| error.code() == Some(codes::UNKNOWN_TOPIC_OR_PARTITION))
    };
    if !all.values().any(is_missing) {
        return Ok(());
    }
    for broker in cluster.know_brokers(deadline).await? {
        let missing: Vec<_> = all.iter().filter(|(_, said)| is_missing(said)).map(|(one, _)| one.clone()).collect();
        if missing.is_empty() {
            break;
        }
        let share: Vec<_> = missing.iter().take(RESOURCES_MAX).collect();
        let (answer, _) = cluster.read(Target::Any(Some(broker)), |_| request(&share, keys), deadline).await?;
        all.extend(described(answer).filter(|(_, said)| said.is_ok()));
    }
    Ok(())
}

type Share<'a> = (Target, Vec<&'a ConfigResource>);

/// Who is asked for what.
async fn shares<'a>(
    cluster: &Cluster,
    resources: &'a [ConfigResource],
    deadline: tokio::time::Instant,
) -> Result<Vec<Share<'a>>, KafkaError> {
    let (own, anyones): (Vec<_>, Vec<_>) =
        resources.iter().partition(|resource| matches!(resource, ConfigResource::Broker(_)));
    let mut by_broker: BTreeMap<BrokerId, Vec<&ConfigResource>> = BTreeMap::new();
    for resource in own {
        if let ConfigResource::Broker(broker) = resource {
            by_broker.entry(*broker).or_default().push(resource);
        }
    }
    let mut shares: Vec<Share<'_>> =
        by_broker.into_iter().map(|(broker, share)| (Target::Broker(broker), share)).collect();
    if anyones.len() < TOPICS_WORTH_SPREADING {
        if !anyones.is_empty() {
            shares.push((Target::Any(None), anyones));
        }
        return Ok(shares);
    }
    let brokers = cluster.know_brokers(deadline).await?;
    let size = anyones.len().div_ceil(brokers.len().max(1)).min(RESOURCES_MAX);
    let preferred = brokers.iter().copied().map(Some).cycle();
    shares.extend(anyones.chunks(size).zip(preferred).map(|(share, broker)| (Target::Any(broker), share.to_vec())));
    Ok(shares)
}

fn request(resources: &[&ConfigResource], keys: Option<&Vec<StrBytes>>) -> DescribeConfigsRequest {
    let resources = resources.iter().map(|resource| {
        let (kind, name) = wire_resource(resource);
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(&name))
            .with_configuration_keys(keys.cloned())
    });
    DescribeConfigsRequest::default().with_resources(resources.collect())
}

fn described(
    answer: DescribeConfigsResponse,
) -> impl Iterator<Item = (ConfigResource, Result<Vec<ConfigEntry>, KafkaError>)> {
    answer.results.into_iter().filter_map(|result| {
        let resource = resource_of(result.resource_type, &result.resource_name)?;
        let entries = match result.error_code {
            0 => Ok(result.configs.iter().map(entry_of).collect()),
            code => Err(KafkaError::broker(code, result.error_message.as_deref())),
        };
        Some((resource, entries))
    })
}

fn entry_of(entry: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: entry.name.to_string(),
        value: entry.value.as_ref().map(ToString::to_string),
        source: match entry.config_source {
            1 => ConfigSource::Topic,
            2 => ConfigSource::Broker,
            3 => ConfigSource::BrokerDefaults,
            4 => ConfigSource::BrokerFile,
            5 => ConfigSource::Default,
            _ => ConfigSource::Other,
        },
        sensitive: entry.is_sensitive,
        read_only: entry.read_only,
    }
}

fn wire_resource(resource: &ConfigResource) -> (i8, String) {
    match resource {
        ConfigResource::Topic(name) => (TOPIC, name.to_string()),
        ConfigResource::Broker(broker) => (BROKER, broker.to_string()),
        ConfigResource::BrokerDefaults => (BROKER, String::new()),
    }
}

fn resource_of(kind: i8, name: &str) -> Option<ConfigResource> {
    match (kind, name) {
        (TOPIC, name) => TopicName::new(name).ok().map(ConfigResource::Topic),
        (BROKER, "") => Some(ConfigResource::BrokerDefaults),
        (BROKER, broker) => broker.parse().ok().map(ConfigResource::Broker),
        _ => None,
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Alters configs: what belongs to a broker goes to that broker, the rest to any.
pub(super) async fn alter(cluster: &Cluster, changes: &[ConfigChange], mode: Mode) -> Results {
    let mut by_target: BTreeMap<Option<BrokerId>, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let broker = match &change.resource {
            ConfigResource::Broker(broker) => Some(*broker),
            ConfigResource::Topic(_) | ConfigResource::BrokerDefaults => None,
        };
        by_target.entry(broker).or_default().push(index);
    }
    let written = by_target.into_iter().map(|(broker, indices)| async move {
        let target = broker.map_or(Target::Any(None), Target::Broker);
        let batch = Alterations { changes: indices.iter().map(|index| &changes[*index]).collect(), target, mode };
        (cluster.write_all(&batch).await, indices)
    });
    let mut results: Vec<_> =
        join_all(written).await.into_iter().flat_map(|(results, indices)| indices.into_iter().zip(results)).collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

struct Alterations<'a> {
    changes: Vec<&'a ConfigChange>,
    target: Target,
    mode: Mode,
}

impl Batch for Alterations<'_> {
    type Request = IncrementalAlterConfigsRequest;

    fn len(&self) -> usize {
        self.changes.len()
    }

    fn key(&self, item: usize) -> String {
        self.changes[item].resource.to_string()
    }

    fn records(&self, item: usize) -> usize {
        1 + self.changes[item].operations.len()
    }

    fn target(&self) -> Target {
        self.target
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn request(&self, items: &[usize], _version: i16, _timeout_ms: i32) -> IncrementalAlterConfigsRequest {
        let resources = items.iter().map(|item| alteration(self.changes[*item]));
        IncrementalAlterConfigsRequest::default()
            .with_resources(resources.collect())
            .with_validate_only(self.mode == Mode::Validate)
    }

    fn outcomes(&self, answer: IncrementalAlterConfigsResponse) -> BTreeMap<String, (i16, Option<String>)> {
        let outcomes = answer.responses.into_iter().filter_map(|response| {
            let resource = resource_of(response.resource_type, &response.resource_name)?;
            Some((resource.to_string(), (response.error_code, response.error_message.map(|text| text.to_string()))))
        });
        outcomes.collect()
    }
}

fn alteration(change: &ConfigChange) -> AlterConfigsResource {
    let operations = change.operations.iter().map(|(key, operation)| {
        let (number, value) = match operation {
            ConfigOperation::Set(value) => (0, Some(value)),
            ConfigOperation::Delete => (1, None),
            ConfigOperation::Append(value) => (2, Some(value)),
            ConfigOperation::Subtract(value) => (3, Some(value)),
        };
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(number)
            .with_value(value.map(|value| text(value)))
    });
    let (kind, name) = wire_resource(&change.resource);
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(&name))
        .with_configs(operations.collect())
}
