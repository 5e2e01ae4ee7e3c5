//! Plans from what is there, even if the broker that was asked is behind: the controller is asked whether it would carry
//! the steps out, and where it contradicts what was observed, the cluster is looked at again before anybody sees a plan.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::change::looks::Looks;
use crate::clients::kafka::{Kafka, KafkaError, codes};
use crate::cluster::topic::TopicName;
use crate::commands::topics::apply;
use crate::commands::topics::command::held;
use crate::commands::topics::observe::{self, Begun, Observed, observe};
use crate::commands::topics::plan::{Options, Planned, TopicStep, checks, doubt, plan};
use crate::commands::topics::spec::Spec;
use crate::context::Context;
use crate::formats::place::Fault;

/// How often the cluster is looked at again, at most.
const ROUNDS_MAX: usize = 4;

/// What the controller says about the steps of a plan.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What it would refuse, as faults of the spec.
    pub(super) faults: Vec<(TopicName, Fault)>,
    /// Topics that it knows, with at least so many partitions, and the observation does not.
    there: BTreeMap<TopicName, usize>,
    /// Topics that it does not know (any more), and the observation shows.
    gone: BTreeSet<TopicName>,
}

/// Plans, and looks at the cluster again where the controller contradicts the observation, or where config values that the
/// record says are in force do not show: a broker may have answered that is some seconds behind. The observation that the
/// plan was made from, and the plan.
pub(super) async fn plan_as_it_is(
    context: &Context,
    kafka: &dyn Kafka,
    (spec, options, times): (&Spec, &Options, (Timestamp, Timestamp)),
    mut observed: Observed,
) -> anyhow::Result<(Observed, Planned)> {
    for round in 0..ROUNDS_MAX {
        let mut planned = plan(spec, &observed, options);
        let asked = ask_brokers(kafka, spec, &observed, &planned.plan.steps).await;
        // After the first look everything is known that was committed before this run.
        let vanished = if round == 0 { doubt::vanished(spec, &observed) } else { BTreeSet::new() };
        let is_doubtful = round == 0
            && (!vanished.is_empty()
                || doubt::has_hidden_keys(spec, &observed)
                || doubt::has_doubtful_configs(&planned.plan.steps, observed.last_applied.as_ref()));
        if asked.there.is_empty() && asked.gone.is_empty() && !is_doubtful {
            planned.faults.extend(asked.faults);
            if round > 0 {
                observed = context.observed(async || Ok(observed)).await?;
            }
            return Ok((observed, planned));
        }
        observed = look_again((context, kafka), spec, (observed, &asked, &vanished), times).await?;
    }
    bail!(
        "the controller and the brokers go on contradicting each other about which topics there are; nothing was changed; run the same command again"
    )
}

/// Observes again: brokers that are behind are waited for, within limits, and what the controller knows is looked for on
/// each of several brokers.
async fn look_again(
    (context, kafka): (&Context, &dyn Kafka),
    spec: &Spec,
    (observed, asked, vanished): (Observed, &Asked, &BTreeSet<TopicName>),
    times: (Timestamp, Timestamp),
) -> anyhow::Result<Observed> {
    let behind = kafka.catch_up(&BTreeSet::new()).await;
    if let Ok(behind) = &behind
        && !behind.is_empty()
        && observed.metadata.brokers.keys().all(|broker| behind.contains(broker))
    {
        bail!(
            "no broker shows what the controller has committed, so what is there now is not known; nothing was changed; wait \
             until the brokers are less busy, and run the same command again, with a longer --timeout"
        );
    }
    tracing::debug!(there = asked.there.len(), gone = asked.gone.len(), ?behind, "the cluster is looked at again");
    let Observed { mut metadata, last_applied, declared_by_others, .. } = observed;
    metadata.topics.retain(|name, _| !asked.gone.contains(name));
    let found = kafka.find_topics(&vanished.iter().map(|name| (name.clone(), 1)).collect()).await;
    metadata.topics.extend(found.context("failed to look for topics that are declared absent")?);
    let mut open = asked.there.clone();
    // A cluster in ZooKeeper mode may need longer than others after thousands of changes: as long as was asked for.
    let mut looks = Looks::within(context.timeout());
    while !open.is_empty() && looks.again().await {
        let found = kafka.find_topics(&open).await.context("failed to read topics that the controller knows")?;
        open.retain(|name, _| !found.contains_key(name));
        metadata.topics.extend(found);
    }
    if let Some(name) = open.keys().next() {
        bail!(
            "the controller knows {} that no broker shows yet, topic {name} first: they are being carried out, or the topics \
             are still being deleted; nothing was changed; run the same command again",
            if open.len() == 1 {
                "a change of 1 topic".to_owned()
            } else {
                format!("changes of {} topics", open.len())
            }
        );
    }
    let mut observed = observe(kafka, spec, Begun { metadata, last_applied, declared_by_others }, times).await?;
    held::measure(kafka, spec, &mut observed, times.0).await;
    Ok(observed)
}

/// Asks the controller whether it would carry the steps out; nothing is changed.
pub(super) async fn ask_brokers(kafka: &dyn Kafka, spec: &Spec, observed: &Observed, steps: &[TopicStep]) -> Asked {
    let errors = apply::check(kafka, steps).await;
    let mut asked = Asked::default();
    let mut refused = Vec::new();
    for (index, error) in &errors {
        let name = steps[*index].name();
        match (&steps[*index], error.code()) {
            (TopicStep::Create { .. }, Some(codes::TOPIC_ALREADY_EXISTS)) => {
                asked.there.insert(name.clone(), 1);
            }
            (TopicStep::AddPartitions { from, .. }, Some(codes::INVALID_PARTITIONS)) => {
                asked.there.insert(name.clone(), usize::try_from(*from).unwrap_or(0).saturating_add(1));
            }
            (
                TopicStep::AddPartitions { .. } | TopicStep::SetConfig { .. },
                Some(codes::UNKNOWN_TOPIC_OR_PARTITION),
            ) => {
                asked.gone.insert(name.clone());
            }
            _ => refused.push((name, error)),
        }
    }
    let mut keys = observed.known_keys.clone();
    if !refused.is_empty() && keys.is_empty() {
        // Only for the hint: the fault is clear without it.
        keys = observe::known_keys(kafka, &observed.metadata).await.unwrap_or_default();
    }
    let faults = refused.into_iter().filter_map(|(name, error)| {
        let KafkaError::Broker { name: code, message, .. } = error else { return None };
        let words = message.as_deref().unwrap_or(code);
        let fault = checks::refused_by_brokers(spec.topics.get(name)?, (code, words), &keys)?;
        Some((name.clone(), fault))
    });
    asked.faults = faults.collect();
    asked
}
