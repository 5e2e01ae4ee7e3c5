//! The whole look of a pass over a quorum: what its leader says, what each controller says of itself, who is registered, how joiners
//! keep up, and whether the leader was the same all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::clients::kafka::{Kafka, KafkaError, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::quorum::{Controllers, Endpoint, Features, NodeId, QuorumState};
use crate::commands::ensemble::plan::kraft::change::{Advice, known};
use crate::commands::ensemble::plan::kraft::seen::{SAMPLES_MIN, SeenQuorum};

/// How long one controller may take to say what it is.
const CONTROLLER_LIMIT: Duration = Duration::from_secs(2);

/// The time between two samples of a joiner.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Most controllers that are asked at once.
const CONTROLLERS_MAX: usize = 32;

/// Whether a controller joins the quorum by itself.
const AUTO_JOIN: &str = "controller.quorum.auto.join.enable";

/// Whether a node is broker, controller, or both.
const ROLES: &str = "process.roles";

/// What is answered while no controller leads.
const LEADERLESS: [i16; 4] =
    [codes::LEADER_NOT_AVAILABLE, codes::NOT_LEADER_OR_FOLLOWER, codes::REQUEST_TIMED_OUT, codes::NOT_CONTROLLER];

/// What a controller says of itself.
#[derive(Debug, Clone, Default)]
struct Own {
    features: Option<Features>,
    configs: Option<Vec<ConfigEntry>>,
}

/// Looks at everything that a pass goes by. `kafka` reaches the controllers themselves; what only they say stays unknown where
/// it reaches brokers.
pub async fn observe(kafka: &dyn Kafka, desired: Option<&DesiredQuorum>) -> Result<SeenQuorum, KafkaError> {
    kafka.begin_look();
    let quorum = described(kafka).await?;
    let first = (quorum.leader, quorum.leader_epoch);
    let mut seen = SeenQuorum { quorum, ..SeenQuorum::default() };
    if let Some(controllers) = registered(kafka).await? {
        seen.registered = endpoints(&seen.quorum, &controllers);
        seen.cluster_id = cluster_id(&controllers);
        let mut nodes: BTreeSet<NodeId> = seen.registered.keys().copied().collect();
        nodes.extend(seen.quorum.voters.iter().map(|voter| voter.key.id));
        let nodes: Vec<_> = nodes.into_iter().take(CONTROLLERS_MAX).collect();
        let said = join_all(nodes.iter().map(|node| own(kafka, *node))).await;
        take_over(&mut seen, &nodes.into_iter().zip(said).collect());
    }
    if let Some(desired) = desired {
        samples(kafka, desired, &mut seen).await?;
    }
    if first.0.is_some() {
        let last = kafka.quorum().await?;
        seen.leader_changed = first != (last.leader, last.leader_epoch);
    }
    Ok(seen)
}

/// The quorum. Where controllers answer and none of them reaches a leader in time, there is none.
async fn described(kafka: &dyn Kafka) -> Result<QuorumState, KafkaError> {
    let error = match kafka.quorum().await {
        Ok(quorum) => return Ok(quorum),
        Err(error) => error,
    };
    let is_silent =
        matches!(error, KafkaError::Unreachable { .. } | KafkaError::AnswerLost { .. } | KafkaError::TimedOut { .. });
    let is_leaderless = is_silent || error.code().is_some_and(|code| LEADERLESS.contains(&code));
    match kafka.controllers().await {
        Ok(_) if is_leaderless => Ok(QuorumState::default()),
        _ => Err(error),
    }
}

/// The controllers that are registered; none where brokers were asked, or controllers before Kafka 3.7.
async fn registered(kafka: &dyn Kafka) -> Result<Option<Controllers>, KafkaError> {
    match kafka.controllers().await {
        Ok(controllers) => Ok(Some(controllers)),
        Err(KafkaError::Unsupported { .. }) => Ok(None),
        Err(error) if error.code() == Some(codes::MISMATCHED_ENDPOINT_TYPE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where each registered controller listens, by the name that the voters have for the listener that was asked.
pub(super) fn endpoints(quorum: &QuorumState, controllers: &Controllers) -> BTreeMap<NodeId, Option<Endpoint>> {
    let name_of = |(node, endpoints): (&NodeId, &Vec<Endpoint>)| {
        let at = controllers.nodes.get(node)?;
        endpoints.iter().find(|it| it.host == at.host && it.port == at.port).map(|it| it.listener.clone())
    };
    let names: BTreeSet<String> = quorum.endpoints.iter().filter_map(name_of).collect();
    // Controllers that name one listener differently can't say how the joiner's is called.
    let name = names.first().filter(|_| names.len() == 1);
    let endpoint =
        |host: &str, port| name.map(|listener| Endpoint { listener: listener.clone(), host: host.to_owned(), port });
    controllers.nodes.iter().map(|(node, at)| (*node, endpoint(&at.host, at.port))).collect()
}

/// The cluster's id, where a controller shows one.
pub(super) fn cluster_id(controllers: &Controllers) -> Option<String> {
    Some(controllers.cluster_id.clone()).filter(|id| !id.is_empty())
}

async fn own(kafka: &dyn Kafka, node: NodeId) -> Own {
    let features = async { timeout(CONTROLLER_LIMIT, kafka.features(Some(node))).await.ok()?.ok() };
    let resource = [ConfigResource::Broker(BrokerId(node.0))];
    let keys = [AUTO_JOIN, ROLES];
    let configs = async {
        let answer = timeout(CONTROLLER_LIMIT, kafka.configs(&resource, Some(&keys))).await.ok()?;
        answer.ok()?.remove(&resource[0])?.ok()
    };
    let (features, configs) = tokio::join!(features, configs);
    Own { features, configs }
}

fn take_over(seen: &mut SeenQuorum, said: &BTreeMap<NodeId, Own>) {
    let value = |own: &Own, key: &str| {
        let entry = own.configs.as_ref()?.iter().find(|entry| entry.name == key)?;
        entry.value.clone()
    };
    seen.answers = said.iter().map(|(node, own)| (*node, own.features.is_some())).collect();
    let lacks = |features: &Features| features.supported.get("kraft.version").is_none_or(|levels| levels.max < 1);
    seen.without_kraft_version =
        said.iter().filter(|(_, own)| own.features.as_ref().is_some_and(lacks)).map(|(node, _)| *node).collect();
    let is_both =
        |own: &Own| value(own, ROLES).is_some_and(|roles| roles.split(',').any(|role| role.trim() == "broker"));
    seen.combined = said.iter().filter(|(_, own)| is_both(own)).map(|(node, _)| *node).collect();
    let ready: Vec<_> = said.values().filter_map(|own| own.features.as_ref()).map(|it| it.zk_migration_ready).collect();
    seen.migrates = (!ready.is_empty()).then(|| ready.contains(&true));
    seen.auto_join = auto_join(seen, said, value);
}

/// On if any controller says so; off only if every voter that follows said so, or has a version without the key (before 4.2).
fn auto_join(
    seen: &SeenQuorum,
    said: &BTreeMap<NodeId, Own>,
    value: impl Fn(&Own, &str) -> Option<String>,
) -> Option<bool> {
    if said.values().any(|own| value(own, AUTO_JOIN).as_deref() == Some("true")) {
        return Some(true);
    }
    let runs = |node: NodeId| seen.answers.get(&node) == Some(&true);
    let mut running = seen.quorum.voters.iter().filter(|voter| seen.is_caught_up(voter) || runs(voter.key.id));
    let has_said = |node: NodeId| said.get(&node).is_some_and(|own| own.configs.is_some());
    (!seen.quorum.voters.is_empty() && running.all(|voter| has_said(voter.key.id))).then_some(false)
}

/// Looks again at controllers that could become voters: each must be caught up in every sample.
async fn samples(kafka: &dyn Kafka, desired: &DesiredQuorum, seen: &mut SeenQuorum) -> Result<(), KafkaError> {
    let joins = known(desired, seen).into_iter().filter(|(_, it)| it.advice == Advice::Add).map(|(node, _)| node);
    let is_caught_up = |seen: &SeenQuorum, node: NodeId| {
        let recorded = desired.members.get(&node).and_then(|member| member.directory);
        let mut replicas = seen.quorum.observers.iter();
        replicas.any(|it| it.key.id == node && it.key.directory == recorded && seen.is_caught_up(it))
    };
    let mut left: BTreeSet<NodeId> = joins.collect();
    seen.samples = left.iter().map(|node| (*node, 0)).collect();
    for sample in 1..=SAMPLES_MIN {
        left.retain(|node| is_caught_up(seen, *node));
        if left.is_empty() {
            break;
        }
        for node in &left {
            seen.samples.insert(*node, sample);
        }
        if sample < SAMPLES_MIN {
            sleep(SAMPLE_EVERY).await;
            seen.quorum = kafka.quorum().await?;
        }
    }
    Ok(())
}
