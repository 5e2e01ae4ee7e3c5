//! What a broker and one other broker say of its replicas, within a deadline and with bounded cost: while a topic is known
//! that lacks a replica, only such topics are asked for; once latched, only the port.

use std::collections::BTreeMap;

use tokio::time::{Instant, timeout_at};

use crate::clients::first_answer::{Greeting, greet};
use crate::clients::kafka::live::{Nodes, OneNode};
use crate::clients::kafka::{KafkaError, codes};
use crate::cluster::address::show_address;
use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::in_sync::{Beside, replicas_of};
use crate::cluster::metadata::{Metadata, Reassignment, TopicSelection};
use crate::cluster::reaction::Reaction;
use crate::cluster::topic::{Topic, TopicName, TopicPartition};
use crate::commands::probe::verdict::kafka::{Channel, Look, Next, Seen};

/// Other brokers that are asked, one after the other, until one answers.
const OTHERS_MAX: u32 = 2;

/// Topics that lack replicas and are asked for once more, at most.
const SUSPECTS_MAX: usize = 20;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// Connections with the settings that were given.
    pub nodes: Nodes,
    /// Name or address of the broker's own listener, no brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its id.
    pub broker: BrokerId,
    /// How its port is greeted where it is latched.
    pub greeting: Greeting,
    /// Whether a connection costs no credentials: then a latched look asks for the controller, too.
    pub is_plain: bool,
}

/// Looks at a broker. `turn` says which of the other brokers is asked, so that it is not always the same one.
pub async fn look(target: &Target, next: Next<'_>, turn: usize, deadline: Instant) -> Seen {
    // Whoever is asked why a connection broke off may take longer than the calls themselves.
    let looked = timeout_at(deadline, look_at(target, next, turn, deadline)).await;
    looked.unwrap_or_else(|_| match next {
        // Nobody knows that the port accepts: a look that does know ends by itself.
        Next::Port => Seen::Latched { reaction: Reaction::NotAccepted, channel: Channel::Unseen },
        Next::Topics(_) | Next::Everything => {
            let address = show_address(&target.host, target.port);
            Seen::NoAnswer(format!("{address} did not answer everything within --timeout"))
        }
    })
}

async fn look_at(target: &Target, next: Next<'_>, turn: usize, deadline: Instant) -> Seen {
    match next {
        Next::Port => latched(target, deadline).await,
        Next::Topics(topics) => {
            let first = strict(target, Some(topics), turn, deadline).await;
            match &first {
                // What was missing is there: is all?
                Seen::Strict(look) if look.replicas.is_complete() => strict(target, None, turn, deadline).await,
                _ => first,
            }
        }
        Next::Everything => strict(target, None, turn, deadline).await,
    }
}

async fn latched(target: &Target, deadline: Instant) -> Seen {
    let Target { nodes, host, port, greeting, .. } = target;
    if !target.is_plain {
        let reaction = greet(host, *port, *greeting, deadline).await;
        return Seen::Latched { reaction, channel: Channel::Unseen };
    }
    let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    match timeout_at(half, nodes.connect(host, *port, half)).await {
        Ok(Ok(node)) => {
            let late = |_| Channel::Hangs("it gave no answer within --timeout".to_owned());
            let channel = timeout_at(deadline, channel(&node, deadline)).await.unwrap_or_else(late);
            Seen::Latched { reaction: Reaction::Answered, channel }
        }
        // The port shows more of why than the error does.
        _ => Seen::Latched { reaction: greet(host, *port, *greeting, deadline).await, channel: Channel::Unseen },
    }
}

async fn strict(target: &Target, topics: Option<&[TopicName]>, turn: usize, deadline: Instant) -> Seen {
    match try_strict(target, topics, turn, deadline).await {
        Ok(look) => Seen::Strict(Box::new(look)),
        Err(error @ (KafkaError::Security { .. } | KafkaError::Settings(_) | KafkaError::Unsupported { .. })) => {
            Seen::Unknown(error.to_string())
        }
        Err(error) => Seen::NoAnswer(no_answer(&error)),
    }
}

/// Why a broker could not be asked. One whose port speaks another protocol is not ready, as one that does not answer.
fn no_answer(error: &KafkaError) -> String {
    match error {
        KafkaError::Protocol { .. } => format!("its port answers, but not as a Kafka broker: {error}"),
        error => error.to_string(),
    }
}

async fn try_strict(
    target: &Target,
    topics: Option<&[TopicName]>,
    turn: usize,
    deadline: Instant,
) -> Result<Look, KafkaError> {
    let Target { nodes, host, port, broker, .. } = target;
    let own = nodes.connect(host, *port, deadline).await?;
    let brokers = own.metadata(TopicSelection::None, deadline).await?;
    let selection = topics.map_or(TopicSelection::All, TopicSelection::Named);
    let image = own.image_offset(deadline).await?;
    let lists_itself = brokers.brokers.contains_key(broker);
    let (seen_by, view, other_image) = match other_view(target, &brokers, selection, turn, deadline).await {
        Some(Other { broker, view, image }) => (broker, view, image),
        None => (*broker, own.metadata(selection, deadline).await?, None),
    };
    let is_listed = view.brokers.contains_key(broker);
    // Its own image may be the older one: then a topic that it does not know may be new.
    let is_newer = image.zip(other_image).is_some_and(|(own, other)| own >= other);
    let mut beside = beside(&own, *broker, &view, is_newer, deadline).await;
    // Last: a question that hangs keeps all that follow on the same connection from being answered.
    let channel = channel(&own, deadline).await;
    let mut replicas = replicas_of(*broker, &view, &beside);
    let mut moves_unseen = None;
    if !replicas.is_complete() && !matches!(channel, Channel::Hangs(_)) {
        match moves(target, &own, &brokers, deadline).await {
            Ok(moves) => {
                beside.moves = Some(moves);
                replicas = replicas_of(*broker, &view, &beside);
            }
            Err(error) => moves_unseen = Some(error.to_string()),
        }
    }
    Ok(Look { seen_by, is_listed, lists_itself, replicas, channel, moves_unseen, image, other_image })
}

/// Another broker's view.
struct Other {
    broker: BrokerId,
    view: Metadata,
    image: Option<i64>,
}

async fn other_view(
    target: &Target,
    brokers: &Metadata,
    topics: TopicSelection<'_>,
    turn: usize,
    deadline: Instant,
) -> Option<Other> {
    let others: Vec<&Broker> = brokers.brokers.values().filter(|one| one.id != target.broker).collect();
    let begin = turn.checked_rem(others.len())?;
    let asked = others.iter().cycle().skip(begin).take(others.len());
    for (left, other) in (1..=OTHERS_MAX).rev().zip(asked) {
        // The broker itself is still to be asked if no other one answers.
        let slice = deadline.saturating_duration_since(Instant::now()) / (left + 1);
        let until = Instant::now() + slice;
        let view = async {
            let node = target.nodes.connect(&other.host, other.port, until).await?;
            let image = node.image_offset(until).await?;
            Ok::<_, KafkaError>((node.metadata(topics, until).await?, image))
        };
        match timeout_at(until, view).await {
            Ok(Ok((view, image))) => return Some(Other { broker: other.id, view, image }),
            Ok(Err(error)) => tracing::debug!(broker = %other.id, %error, "the other broker was not asked"),
            Err(_) => tracing::debug!(broker = %other.id, "the other broker did not answer in time"),
        }
    }
    None
}

/// What the broker itself says of topics in which it lacks a replica, as another broker sees them: who may be elected where the
/// ISR is empty, and whether a topic is deleted already. Nothing where nothing is lacking, or brokers do not show it (ZooKeeper
/// mode, where topics that are being deleted are not listed at all, and Kafka before 3.8).
async fn beside(own: &OneNode, broker: BrokerId, view: &Metadata, is_newer: bool, deadline: Instant) -> Beside {
    let mut beside = Beside::default();
    let suspects = suspects(broker, view);
    if suspects.is_empty() || !own.is_kraft() {
        return beside;
    }
    let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    match own.partitions(&suspects, until).await {
        Ok(states) => {
            let is_gone = |name: &TopicName| is_newer && !states.keys().any(|key| key.topic == *name);
            beside.deleted = suspects.into_iter().filter(is_gone).collect();
            let eligible = states.into_iter().filter(|(_, state)| !state.eligible.is_empty());
            beside.eligible = eligible.map(|(key, state)| (key, state.eligible)).collect();
        }
        Err(error) => tracing::debug!(%error, "eligible leaders are not known"),
    }
    beside
}

/// The first topics of which the broker has a replica that is not in sync.
fn suspects(broker: BrokerId, view: &Metadata) -> Vec<TopicName> {
    let lacks = |topic: &&Topic| {
        topic.partitions.iter().any(|one| one.replicas.contains(&broker) && !one.isr.contains(&broker))
    };
    view.topics.values().filter(lacks).take(SUSPECTS_MAX).map(|topic| topic.name.clone()).collect()
}

/// Whether the broker gets answers from the controller. Half of the time that is left is waited for one.
async fn channel(node: &OneNode, deadline: Instant) -> Channel {
    if !node.is_kraft() {
        return Channel::Unseen;
    }
    let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    match node.passes_on(until).await {
        Ok(()) => Channel::Works,
        Err(KafkaError::Unsupported { .. }) => Channel::Unseen,
        Err(error) => Channel::Hangs(error.to_string()),
    }
}

/// The moves that run now. In ZooKeeper mode only the controller knows them.
async fn moves(
    target: &Target,
    own: &OneNode,
    brokers: &Metadata,
    deadline: Instant,
) -> Result<BTreeMap<TopicPartition, Reassignment>, KafkaError> {
    if own.is_kraft() || brokers.controller == Some(target.broker) {
        return own.moves(deadline).await;
    }
    let controller = brokers.controller.and_then(|id| brokers.brokers.get(&id));
    let Some(controller) = controller else {
        return Err(KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("the cluster has no controller now")));
    };
    target.nodes.connect(&controller.host, controller.port, deadline).await?.moves(deadline).await
}
