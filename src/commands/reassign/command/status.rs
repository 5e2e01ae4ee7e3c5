//! `toolbox reassign status`: how far, how fast, and what stands still.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::clients::kafka::Kafka;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::metadata::TopicSelection;
use crate::commands::reassign::agent::brokers_of;
use crate::commands::reassign::command::record::{self, Control, Record};
use crate::commands::reassign::observe::{observe, sizes};
use crate::commands::reassign::plan::pace::Pace;
use crate::commands::reassign::plan::preflight::plan_of;
use crate::commands::reassign::plan::progress::progress;
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::stalls::Watched;
use crate::commands::reassign::plan::undo;
use crate::commands::reassign::report::Status;
use crate::context::Context;
use crate::exit::Exit;
use crate::formats::reassignment_json::Moves;
use crate::output;

/// Arguments of `toolbox reassign status`.
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    /// The moves: plan.json of `toolbox mapping`, or Kafka's reassignment JSON [default: what was executed last, and every
    /// move that runs]
    #[arg(value_name = "FILE")]
    plan: Option<PathBuf>,

    /// The time over which the rate is taken
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::context::duration, help_heading = "Output")]
    sample: Duration,
}

/// Looks twice and shows the difference.
pub(super) async fn run(context: &mut Context, args: &StatusArgs) -> anyhow::Result<Exit> {
    let wanted = args.plan.as_deref().map(record::read).transpose()?;
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let mut document = record::document(context, &metadata.cluster_id).await?;
    let record: Option<Record> = document.load().await?;
    let totals: BTreeMap<_, _> = match &record {
        Some(record) => record.begun_moves().into_iter().map(|(partition, begun)| (partition, begun.bytes)).collect(),
        None => BTreeMap::new(),
    };
    let moves = moves_of(wanted, record, &*kafka).await?;
    let all: Vec<_> = moves.iter().collect();
    let (mut pace, mut watched, began) = (Pace::default(), Watched::default(), Instant::now());
    let mut observed = look(&*kafka, &moves).await?;
    let mut now = progress(&moves, &observed, &totals, |_| false);
    pace.see(Duration::ZERO, &all, &observed);
    watched.see(Duration::ZERO, &now);
    if now.running > 0 {
        tokio::time::sleep(args.sample).await;
        observed = look(&*kafka, &moves).await?;
        now = progress(&moves, &observed, &totals, |_| false);
        pace.see(began.elapsed(), &all, &observed);
        watched.see(began.elapsed(), &now);
    }
    let own: std::collections::BTreeSet<_> = moves.iter().map(|one| &one.partition).collect();
    // Two looks are too few to call a move slow: only what can be seen at once counts.
    let stalls = watched.stalled(began.elapsed(), (&moves, &observed), Duration::MAX, None);
    let throttles = context.throttles_to_look_at(&metadata.cluster_id).await?;
    let status = Status {
        progress: &now,
        pace: &pace,
        stalls: stalls.into_iter().map(|(reason, partitions)| (reason.words(), partitions)).collect(),
        paused: Control::open(context, &metadata.cluster_id).await?.read(Duration::ZERO).await.paused,
        others: observed.running.keys().filter(|partition| !own.contains(partition)).count(),
        throttled: !throttles.record().is_empty(),
    };
    context.output().result(&status.json(), |_| status.text(output::table))?;
    Ok(Exit::Done)
}

/// The moves of a file; else those that were executed last, with every one that runs beside them.
async fn moves_of(
    wanted: Option<Moves>,
    record: Option<Record>,
    kafka: &dyn Kafka,
) -> anyhow::Result<Vec<PartitionMove>> {
    let known = match wanted {
        Some(Moves::Plan(plan)) => return Ok(plan.moves),
        Some(Moves::Assignment(assignment)) => {
            let topics = assignment.iter().map(|(partition, _)| partition.topic.clone()).collect();
            let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
            return Ok(plan_of(assignment, &observed, record.as_ref().map(|record| &record.plan)));
        }
        None => record,
    };
    let earlier = known.as_ref().map(Record::known).unwrap_or_default();
    let mut moves: Vec<_> = known
        .map(|Record { plan, cancelled, .. }| {
            plan.moves.into_iter().filter(|one| !cancelled.contains(&one.partition)).collect()
        })
        .unwrap_or_default();
    let running = Observed { running: kafka.reassignments().await?, ..Observed::default() };
    let (others, _) = undo::running(&earlier, &running);
    let known: std::collections::BTreeSet<_> = moves.iter().map(|one| one.partition.clone()).collect();
    moves.extend(others.into_iter().filter(|one| !known.contains(&one.partition)));
    moves.sort_by(|one, two| one.partition.cmp(&two.partition));
    Ok(moves)
}

async fn look(kafka: &dyn Kafka, moves: &[PartitionMove]) -> anyhow::Result<Observed> {
    let topics = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let mut observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
    observed.sizes = sizes(kafka, &brokers_of(moves, &observed), &topics).await.context("failed to read sizes")?;
    Ok(observed)
}
