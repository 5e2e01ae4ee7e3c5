//! Carries out batches of steps. Safe to repeat: what is there already is done, and where an answer was lost the
//! cluster is looked at before anything is sent again.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::change::attempts::attempts;
use crate::change::carry_out::Ended;
use crate::change::looks::Looks;
use crate::clients::kafka::{Kafka, KafkaError, Mode, NewPartitions, NewTopic};
use crate::cluster::config::{ConfigChange, ConfigOperation, ConfigResource, ConfigSource};
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::observe::{self, Observed};
use crate::commands::topics::plan::configs::same_value;
use crate::commands::topics::plan::step::{ConfigEdit, TopicStep};

/// What a plan was made from, and what must still hold when it is carried out.
#[derive(Debug, Default)]
pub struct Basis {
    /// Ids of the topics: a plan does not hold for another topic of the same name.
    pub ids: BTreeMap<TopicName, Uuid>,
    /// End offsets of topics that are deleted because nothing is written to them.
    pub ends: BTreeMap<TopicName, Vec<i64>>,
}

impl Basis {
    /// Of an observation. Topics that are named one by one are deleted whatever is written to them.
    pub fn of(observed: &Observed, named_deletes: &BTreeSet<TopicName>) -> Self {
        let unnamed = observed.uses.keys().filter(|name| !named_deletes.contains(*name));
        let ends = unnamed.filter_map(|name| Some((name.clone(), observed.ends(name)?)));
        Self { ids: observed.ids(), ends: ends.collect() }
    }
}

/// Carries out one batch: steps of one kind. One ending a step. `created` gets the ids of the topics that are made.
pub async fn apply_to(
    kafka: &dyn Kafka,
    batch: &[TopicStep],
    basis: &Basis,
    created: &mut BTreeMap<TopicName, Uuid>,
) -> Vec<Ended> {
    let others = match recreated(kafka, batch, &basis.ids).await {
        Ok(others) => others,
        Err(error) => {
            let why = format!("whether it is still the same topic can't be read: {error}; run again");
            return vec![Ended::failed(why); batch.len()];
        }
    };
    let written = written_to(kafka, batch, basis).await;
    let is_left = |step: &&TopicStep| others.contains(step.name()) || written.contains(step.name());
    let kept: Vec<_> = batch.iter().filter(|step| !is_left(step)).cloned().collect();
    let mut ended = apply(kafka, &kept, created).await.into_iter();
    let mut ending = |step: &TopicStep| {
        if others.contains(step.name()) {
            let what = "it was deleted and created again since the plan was made";
            return Ended::failed(format!("{what}, which does not hold for the new topic; run again"));
        }
        if written.contains(step.name()) {
            return Ended::refused("records were appended to it since the plan was made, or its offsets can't be read");
        }
        ended.next().unwrap_or_else(|| Ended::unknown("no answer came for this step"))
    };
    batch.iter().map(&mut ending).collect()
}

/// Topics that would be deleted because nothing is written to them, and whose ends have moved since, or can't be read.
async fn written_to(kafka: &dyn Kafka, batch: &[TopicStep], basis: &Basis) -> BTreeSet<TopicName> {
    let mut written = BTreeSet::new();
    for step in batch {
        let TopicStep::Delete { name, partitions, .. } = step else { continue };
        let Some(before) = basis.ends.get(name) else { continue };
        if observe::ends(kafka, name, *partitions).await.as_ref() != Some(before) {
            written.insert(name.clone());
        }
    }
    written
}

/// Topics of the steps that have another id now than when the plan was made. A broker that is behind may show the former
/// one: it is asked again.
async fn recreated(
    kafka: &dyn Kafka,
    batch: &[TopicStep],
    ids: &BTreeMap<TopicName, Uuid>,
) -> Result<BTreeSet<TopicName>, KafkaError> {
    let is_old = |step: &&TopicStep| !matches!(step, TopicStep::Create { .. } | TopicStep::TakeOwnership { .. });
    let mut open: Vec<_> =
        batch.iter().filter(is_old).map(TopicStep::name).filter(|name| ids.contains_key(*name)).cloned().collect();
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        let now = kafka.metadata(TopicSelection::Named(&open)).await?.topics;
        open.retain(|name| {
            let id = now.get(name).and_then(|topic| topic.id);
            id.is_some_and(|id| ids.get(name).is_some_and(|then| *then != id))
        });
    }
    Ok(open.into_iter().collect())
}

async fn apply(kafka: &dyn Kafka, batch: &[TopicStep], created: &mut BTreeMap<TopicName, Uuid>) -> Vec<Ended> {
    // Topics of requests whose answers were lost: what is there then is taken for ours.
    let mut lost = BTreeSet::new();
    attempts(batch, "run again", async |steps| {
        let answers = send(kafka, steps, Mode::Apply).await;
        let unanswered = steps
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.as_ref().is_err_and(KafkaError::leaves_result_unknown));
        lost.extend(unanswered.map(|(step, _)| step.name().clone()));
        let (ended, mut ids) = settle(kafka, steps, answers, &lost).await;
        created.append(&mut ids);
        ended
    })
    .await
}

/// Asks the brokers whether they would carry the steps out; nothing changes. The errors, with the index of each step.
pub async fn check(kafka: &dyn Kafka, steps: &[TopicStep]) -> Vec<(usize, KafkaError)> {
    let mut errors = Vec::new();
    for range in crate::change::carry_out::batches(steps) {
        let start = range.start;
        let answers = match &steps[start] {
            TopicStep::TakeOwnership { .. } | TopicStep::Delete { .. } | TopicStep::ChangeReplicas { .. } => continue,
            _ => send(kafka, &steps[range], Mode::Validate).await,
        };
        errors.extend(answers.into_iter().enumerate().filter_map(|(at, answer)| Some((start + at, answer.err()?))));
    }
    errors
}

/// Sends a batch: one call, one answer a step.
async fn send(kafka: &dyn Kafka, steps: &[TopicStep], mode: Mode) -> Vec<Result<(), KafkaError>> {
    match steps.first() {
        None => Vec::new(),
        Some(TopicStep::Create { .. }) => {
            kafka.create_topics(&steps.iter().filter_map(new_topic).collect::<Vec<_>>(), mode).await
        }
        Some(TopicStep::AddPartitions { .. }) => {
            kafka.create_partitions(&steps.iter().filter_map(new_partitions).collect::<Vec<_>>(), mode).await
        }
        Some(TopicStep::SetConfig { .. }) => {
            kafka.alter_configs(&steps.iter().filter_map(config_change).collect::<Vec<_>>(), mode).await
        }
        // Nothing is sent for them: owners stand in records, and moves are handed over once all other steps have ended.
        Some(TopicStep::TakeOwnership { .. } | TopicStep::ChangeReplicas { .. }) => {
            steps.iter().map(|_| Ok(())).collect()
        }
        Some(TopicStep::Delete { .. }) => {
            kafka.delete_topics(&steps.iter().map(|step| step.name().clone()).collect::<Vec<_>>()).await
        }
    }
}

fn new_topic(step: &TopicStep) -> Option<NewTopic> {
    let TopicStep::Create { name, assignment, config } = step else { return None };
    Some(NewTopic {
        name: name.clone(),
        partitions: None,
        replication_factor: None,
        assignment: Some(assignment.clone()),
        config: config.clone(),
    })
}

fn new_partitions(step: &TopicStep) -> Option<NewPartitions> {
    let TopicStep::AddPartitions { name, from, assignment, keyed: _ } = step else { return None };
    let added = i32::try_from(assignment.len()).unwrap_or(i32::MAX);
    Some(NewPartitions { name: name.clone(), count: from.saturating_add(added), assignment: Some(assignment.clone()) })
}

fn config_change(step: &TopicStep) -> Option<ConfigChange> {
    let TopicStep::SetConfig { name, edits } = step else { return None };
    let operation = |edit: &ConfigEdit| match &edit.to {
        Some(value) => ConfigOperation::Set(value.clone()),
        None => ConfigOperation::Delete,
    };
    let operations = edits.iter().map(|edit| (edit.key.clone(), operation(edit))).collect();
    Some(ConfigChange { resource: ConfigResource::Topic(name.clone()), operations })
}

/// What an answer means before the cluster was looked at.
enum Answer {
    /// The change was accepted.
    Accepted,
    /// It is there already, or the answer was lost: the cluster knows.
    Look,
    /// The controller knows no such topic (any more).
    Gone,
    /// It was not made.
    No(Ended),
}

fn read(step: &TopicStep, answer: Result<(), KafkaError>) -> Answer {
    let error = match answer {
        Ok(()) => return Answer::Accepted,
        Err(error) => error,
    };
    let name = if let KafkaError::Broker { name, .. } = &error { *name } else { "" };
    match (step, name) {
        _ if error.leaves_result_unknown() => Answer::Look,
        (TopicStep::Create { .. }, "TOPIC_ALREADY_EXISTS")
        | (TopicStep::AddPartitions { .. }, "INVALID_PARTITIONS") => Answer::Look,
        (TopicStep::Delete { .. }, "UNKNOWN_TOPIC_OR_PARTITION") => Answer::Gone,
        _ => Answer::No(Ended::failed(error.to_string())),
    }
}

/// Turns answers into endings; none for a step that is to be sent again. `lost` are topics whose requests, this one or one
/// before, may have been carried out without an answer.
async fn settle(
    kafka: &dyn Kafka,
    steps: &[TopicStep],
    answers: Vec<Result<(), KafkaError>>,
    lost: &BTreeSet<TopicName>,
) -> (Vec<Option<Ended>>, BTreeMap<TopicName, Uuid>) {
    let mut first_errors = Vec::with_capacity(steps.len());
    let mut readings = Vec::with_capacity(steps.len());
    for (step, answer) in steps.iter().zip(answers) {
        first_errors.push(answer.as_ref().err().cloned());
        readings.push(read(step, answer));
    }
    let waiting: Vec<_> = steps
        .iter()
        .zip(&readings)
        .filter(|(_, reading)| matches!(reading, Answer::Accepted | Answer::Look))
        .map(|(step, reading)| Waiting { step, is_accepted: matches!(reading, Answer::Accepted) })
        .collect();
    let seen = look(kafka, waiting).await;
    let ending = |((step, reading), error): ((&TopicStep, Answer), Option<KafkaError>)| match reading {
        Answer::No(ended) => Some(ended),
        Answer::Accepted => {
            if seen.missing.contains(step.name()) {
                tracing::warn!(topic = %step.name(), "accepted, but the brokers do not show it yet");
            }
            Some(Ended::done())
        }
        Answer::Look if seen.missing.contains(step.name()) => not_there(error, seen.failed.as_ref()),
        Answer::Look | Answer::Gone if lost.contains(step.name()) => Some(Ended::done()),
        Answer::Look => Some(Ended::unchanged("it is as declared already: somebody else made it so")),
        Answer::Gone => Some(Ended::unchanged("somebody else has deleted it")),
    };
    let ended = steps.iter().zip(readings).zip(first_errors).map(ending).collect();
    (ended, seen.ids)
}

/// The ending of a step without a clear answer that the cluster does not show; none if it is to be sent again.
fn not_there(error: Option<KafkaError>, failed: Option<&KafkaError>) -> Option<Ended> {
    match (error, failed) {
        (Some(error), Some(failed)) => {
            Some(Ended::unknown(format!("{error}; and a look at the cluster failed: {failed}; run again")))
        }
        (Some(error @ KafkaError::Broker { name: "TOPIC_ALREADY_EXISTS" | "INVALID_PARTITIONS", .. }), None) => {
            let what = "no broker shows it as declared: somebody else changed it at this moment; run again";
            Some(Ended::failed(format!("{error}; {what}")))
        }
        _ => None,
    }
}

/// A step that the cluster is looked at for.
struct Waiting<'a> {
    step: &'a TopicStep,
    /// Whether the brokers said that it is done; else what is there may be somebody else's.
    is_accepted: bool,
}

/// What a look at the cluster found.
struct Seen {
    /// Topics whose steps it does not show as done.
    missing: BTreeSet<TopicName>,
    /// Why it could not be looked at, if it could not.
    failed: Option<KafkaError>,
    /// Ids of topics that it shows, of those that were created.
    ids: BTreeMap<TopicName, Uuid>,
}

/// Waits, within limits, until the cluster shows the steps as done. A cluster that can't be read is asked once more.
async fn look(kafka: &dyn Kafka, mut open: Vec<Waiting<'_>>) -> Seen {
    let mut failed = None;
    let mut ids = BTreeMap::new();
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        match shown(kafka, &open, &mut ids).await {
            Ok(done) => {
                open.retain(|one| !done.contains(one.step.name()));
                failed = None;
            }
            Err(error) if failed.is_some() => {
                failed = Some(error);
                break;
            }
            Err(error) => failed = Some(error),
        }
    }
    Seen { missing: open.into_iter().map(|one| one.step.name().clone()).collect(), failed, ids }
}

/// The topics of the steps that the cluster shows as done.
async fn shown(
    kafka: &dyn Kafka,
    open: &[Waiting<'_>],
    ids: &mut BTreeMap<TopicName, Uuid>,
) -> Result<BTreeSet<TopicName>, KafkaError> {
    if let Some(Waiting { step: TopicStep::SetConfig { .. }, .. }) = open.first() {
        let wanted = open.iter().filter_map(|one| match one.step {
            TopicStep::SetConfig { name, edits } => {
                Some((name, edits.iter().map(|edit| (edit.key.as_str(), edit.to.as_deref())).collect()))
            }
            _ => None,
        });
        return shown_configs(kafka, wanted.collect()).await;
    }
    let topics = topics(kafka, open).await?;
    if let Some(Waiting { step: TopicStep::Create { .. }, .. }) = open.first() {
        ids.extend(topics.iter().filter_map(|(name, topic)| Some((name.clone(), topic.id?))));
    }
    let is_done = |step: &TopicStep| match (step, topics.get(step.name())) {
        (TopicStep::Create { assignment, .. }, Some(topic)) => {
            has_shape(topic, assignment.len(), assignment.first().map_or(0, Vec::len))
        }
        (TopicStep::AddPartitions { from, assignment, .. }, Some(topic)) => {
            usize::try_from(*from).is_ok_and(|from| topic.partitions.len() == from + assignment.len())
        }
        (TopicStep::Delete { .. }, there) => there.is_none(),
        (TopicStep::TakeOwnership { .. } | TopicStep::ChangeReplicas { .. }, _) => true,
        _ => false,
    };
    let mut done: BTreeSet<_> =
        open.iter().filter(|one| is_done(one.step)).map(|one| one.step.name().clone()).collect();
    // What was there already, or was made while the answer was lost, may have another config.
    let doubtful = open.iter().filter(|one| !one.is_accepted && done.contains(one.step.name()));
    let wanted: BTreeMap<&TopicName, Wanted<'_>> = doubtful
        .filter_map(|one| match one.step {
            TopicStep::Create { name, config, .. } if !config.is_empty() => {
                Some((name, config.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect()))
            }
            _ => None,
        })
        .collect();
    if !wanted.is_empty() {
        let asked: BTreeSet<_> = wanted.keys().map(|name| (*name).clone()).collect();
        let as_wanted = shown_configs(kafka, wanted).await?;
        done.retain(|name| !asked.contains(name) || as_wanted.contains(name));
    }
    Ok(done)
}

/// The topics of the steps: of those that are created or grow, as some broker shows them that knows the change.
async fn topics(kafka: &dyn Kafka, open: &[Waiting<'_>]) -> Result<BTreeMap<TopicName, Topic>, KafkaError> {
    if let Some(Waiting { step: TopicStep::Delete { .. }, .. }) = open.first() {
        let names: Vec<_> = open.iter().map(|one| one.step.name().clone()).collect();
        return Ok(kafka.metadata(TopicSelection::Named(&names)).await?.topics);
    }
    let least = |step: &TopicStep| match step {
        TopicStep::Create { assignment, .. } => assignment.len(),
        TopicStep::AddPartitions { from, assignment, .. } => {
            usize::try_from(*from).unwrap_or(0).saturating_add(assignment.len())
        }
        _ => 0,
    };
    kafka.find_topics(&open.iter().map(|one| (one.step.name().clone(), least(one.step))).collect()).await
}

fn has_shape(topic: &Topic, partitions: usize, replicas: usize) -> bool {
    topic.partitions.len() == partitions && topic.partitions.iter().all(|one| one.replicas.len() >= replicas)
}

/// Config keys, each with the value that is to be set on the topic; none where the default is to hold.
type Wanted<'a> = BTreeMap<&'a str, Option<&'a str>>;

/// The topics whose config is as wanted.
async fn shown_configs(
    kafka: &dyn Kafka,
    wanted: BTreeMap<&TopicName, Wanted<'_>>,
) -> Result<BTreeSet<TopicName>, KafkaError> {
    let keys: BTreeSet<&str> = wanted.values().flat_map(|keys| keys.keys().copied()).collect();
    let resources: Vec<_> = wanted.keys().map(|name| ConfigResource::Topic((*name).clone())).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let answers = kafka.configs(&resources, Some(&keys)).await?;
    let is_done = |name: &TopicName, wanted: &Wanted<'_>| {
        let Some(Ok(entries)) = answers.get(&ConfigResource::Topic(name.clone())) else { return false };
        wanted.iter().all(|(key, to)| {
            let entry = entries.iter().find(|entry| entry.name == *key && entry.source == ConfigSource::Topic);
            match (to, entry) {
                (None, entry) => entry.is_none(),
                (Some(to), Some(entry)) => entry.value.as_deref().is_none_or(|value| same_value(key, value, to)),
                (Some(_), None) => false,
            }
        })
    };
    Ok(wanted.iter().filter(|(name, keys)| is_done(name, keys)).map(|(name, _)| (*name).clone()).collect())
}
