//! `toolbox reassign verify`: is everything as planned, and are our throttles gone?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::change::looks::Looks;
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::command::record::{self, Record};
use crate::commands::reassign::observe::observe;
use crate::commands::reassign::plan::preflight::plan_of;
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::undo::differences;
use crate::commands::reassign::report;
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::formats::reassignment_json::Moves;

/// Arguments of `toolbox reassign verify`.
#[derive(Debug, Clone, Args)]
pub(super) struct VerifyArgs {
    /// The moves: plan.json of `toolbox mapping`, or Kafka's reassignment JSON [default: what was executed last]
    #[arg(value_name = "FILE")]
    plan: Option<PathBuf>,
}

/// Verifies.
pub(super) async fn run(context: &mut Context, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let wanted = args.plan.as_deref().map(record::read).transpose()?;
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let moves = match wanted {
        Some(Moves::Plan(plan)) => plan.moves,
        Some(Moves::Assignment(assignment)) => plan_of(assignment, &Observed::default(), None),
        None => executed(context, &metadata.cluster_id).await?,
    };
    let (observed, wrong) = look(&*kafka, &moves).await?;
    let throttles = context.throttles_to_look_at(&metadata.cluster_id).await?;
    let dead = throttles.record().rates.keys().filter(|broker| !observed.brokers.contains(broker));
    let dead: Vec<_> = dead.map(ToString::to_string).collect();
    let when = if dead.is_empty() { String::new() } else { format!(" once broker {} is back", dead.join(", ")) };
    let left = || format!("in force ({}): `toolbox throttle clear` takes them away{when}", throttles.place());
    let left_at = (!throttles.record().is_empty()).then(left);
    let value = json!({ "partitions": moves.len(), "differences": wrong, "throttled": left_at.is_some() });
    context.output().result(&value, |_| report::verified(moves.len(), &wrong, left_at.as_deref()))?;
    Ok(if wrong.is_empty() && left_at.is_none() { Exit::Done } else { Exit::Unhealthy })
}

/// What is there, and what differs from the plan. A broker may show for some seconds what was before a move ended: where
/// nothing moves any more, a difference counts only if it stays.
async fn look(kafka: &dyn Kafka, moves: &[PartitionMove]) -> anyhow::Result<(Observed, Vec<(TopicPartition, String)>)> {
    let topics = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let mut last = (Observed::default(), Vec::new());
    let mut looks = Looks::default();
    while looks.again().await {
        let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
        let wrong = differences(moves, &observed);
        let is_final = wrong.is_empty() || wrong.iter().any(|(partition, _)| observed.running.contains_key(partition));
        last = (observed, wrong);
        if is_final {
            break;
        }
    }
    Ok(last)
}

/// The moves of the plan that was executed last, without those that were cancelled.
async fn executed(context: &Context, cluster_id: &str) -> anyhow::Result<Vec<PartitionMove>> {
    let mut document = record::document(context, cluster_id).await?;
    let Some(Record { plan, cancelled, .. }) = document.load().await? else {
        return Err(Stop::usage(format!(
            "nothing was executed on this cluster as far as {} knows: name the file of the moves",
            document.place()
        ))
        .into());
    };
    Ok(plan.moves.into_iter().filter(|one| !cancelled.contains(&one.partition)).collect())
}
