//! Sends one batch of steps, and looks at the cluster where an answer was lost. Safe to repeat: Kafka takes the same
//! target again without doing anything, and a cancel without a move is one that is done.

use std::collections::BTreeSet;

use crate::change::attempts::attempts;
use crate::change::carry_out::Ended;
use crate::change::looks::Looks;
use crate::clients::kafka::{Election, Factor, Kafka, KafkaError, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::observe::observe;
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::step::ReassignStep;

/// Carries out one batch: steps of one kind. One ending a step.
pub(super) async fn apply(kafka: &dyn Kafka, batch: &[ReassignStep]) -> Vec<Ended> {
    let mut tried_before = BTreeSet::new();
    attempts(batch, "the next look knows", async |steps| {
        let answers = send(kafka, steps).await;
        let lost = steps.iter().zip(&answers).filter(|(_, answer)| is_lost(answer)).map(|(step, _)| step);
        let shown = shown(kafka, lost.collect()).await;
        let ended = |(step, answer): (&ReassignStep, _)| {
            if is_lost(&answer) {
                shown.contains(step.partition()).then(Ended::done)
            } else {
                Some(ending(step, answer, tried_before.contains(step.partition())))
            }
        };
        let ended = steps.iter().zip(answers).map(ended).collect();
        tried_before.extend(steps.iter().map(|step| step.partition().clone()));
        ended
    })
    .await
}

async fn send(kafka: &dyn Kafka, steps: &[ReassignStep]) -> Vec<Result<(), KafkaError>> {
    if let Some(ReassignStep::Elect { .. }) = steps.first() {
        let partitions: Vec<_> = steps.iter().map(|step| step.partition().clone()).collect();
        return kafka.elect_leaders(Election::Preferred, &partitions).await;
    }
    let target = |step: &ReassignStep| match step {
        ReassignStep::Move { partition, to, .. } | ReassignStep::Restore { partition, to, .. } => {
            (partition.clone(), Some(to.clone()))
        }
        ReassignStep::Cancel { partition, .. } | ReassignStep::Elect { partition, .. } => (partition.clone(), None),
    };
    let mut answers: Vec<_> = steps.iter().map(|_| Ok(())).collect();
    for factor in [Factor::Kept, Factor::MayChange] {
        let of_kind = |(_, step): &(usize, &ReassignStep)| factor_of(step) == factor;
        let (places, targets): (Vec<_>, Vec<_>) =
            steps.iter().enumerate().filter(of_kind).map(|(at, step)| (at, target(step))).unzip();
        for (at, answer) in places.into_iter().zip(kafka.alter_reassignments(&targets, factor).await) {
            answers[at] = answer;
        }
    }
    answers
}

/// Whether a step changes how many replicas its partition has. A cancel names no target; what it gives back is Kafka's.
fn factor_of(step: &ReassignStep) -> Factor {
    match step {
        ReassignStep::Move { from, to, .. } | ReassignStep::Restore { from, to, .. } if from.len() == to.len() => {
            Factor::Kept
        }
        _ => Factor::MayChange,
    }
}

fn is_lost(answer: &Result<(), KafkaError>) -> bool {
    answer.as_ref().is_err_and(KafkaError::leaves_result_unknown)
}

/// How a step ended whose answer came. Where an earlier request of ours had no answer, it was that one which did what is
/// not needed any more.
fn ending(step: &ReassignStep, answer: Result<(), KafkaError>, was_tried_before: bool) -> Ended {
    let Err(error) = answer else { return Ended::done() };
    let why = match (step, error.code()) {
        (ReassignStep::Cancel { .. }, Some(codes::NO_REASSIGNMENT_IN_PROGRESS)) => {
            "the move was over already: it had ended, or somebody else had cancelled it"
        }
        (ReassignStep::Elect { .. }, Some(codes::ELECTION_NOT_NEEDED)) => "the preferred leader leads already",
        _ => return Ended::failed(error.to_string()),
    };
    if was_tried_before { Ended::done() } else { Ended::unchanged(why) }
}

/// The partitions that the cluster shows as the steps want them, within limits.
async fn shown(kafka: &dyn Kafka, mut open: Vec<&ReassignStep>) -> BTreeSet<TopicPartition> {
    let mut shown = BTreeSet::new();
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        let topics = open.iter().map(|step| step.partition().topic.clone()).collect();
        let Ok(observed) = observe(kafka, &topics).await else { continue };
        let (done, left): (Vec<_>, Vec<_>) = open.into_iter().partition(|step| is_shown(step, &observed));
        shown.extend(done.into_iter().map(|step| step.partition().clone()));
        open = left;
    }
    shown
}

fn is_shown(step: &ReassignStep, observed: &Observed) -> bool {
    let partition = step.partition();
    let running = observed.running.get(partition);
    let Some(seen) = observed.partitions.get(partition) else { return false };
    let is_at = |to: &Vec<BrokerId>| running.map_or(seen.replicas == *to, |running| running.target() == *to);
    match step {
        ReassignStep::Move { to, .. } | ReassignStep::Restore { to, .. } => is_at(to),
        ReassignStep::Cancel { .. } => running.is_none(),
        ReassignStep::Elect { to, .. } => seen.leader == Some(*to),
    }
}
