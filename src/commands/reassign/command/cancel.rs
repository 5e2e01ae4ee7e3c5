//! `toolbox reassign cancel`: takes running moves back, in the order that each partition had.
//!
//! Steps:
//! 1. Ask a run that carries a plan out to end, and wait for its lock.
//! 2. Cancel the selected moves, and wait until Kafka does not list them any more.
//! 3. Where Kafka gave the former replicas back in another order, or with extra ones: submit what was there.
//! 4. Let the former preferred leaders lead, take our throttles away, and remember what was cancelled.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::change::event::{Outcome, Severity};
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicName;
use crate::cluster::visible;
use crate::commands::reassign::apply::apply;
use crate::commands::reassign::command::record::{self, Asked, Control, Record};
use crate::commands::reassign::command::throttles::release;
use crate::commands::reassign::observe::observe;
use crate::commands::reassign::plan::preflight::{count, names};
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::step::{ReassignStep, list};
use crate::commands::reassign::plan::undo;
use crate::commands::reassign::spec::Selection;
use crate::context::{Agreed, Context};
use crate::exit::{Exit, Stop};
use crate::formats::reassignment_json::Moves;
use crate::output;
use crate::state::identity::Purpose;

/// Longest wait for the run that carries the plan out.
const LOCK_MAX: Duration = Duration::from_mins(1);

/// Pause between two tries of the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// Pauses between looks until cancels and orders are shown.
const PAUSES: [u64; 10] = [0, 50, 100, 200, 400, 800, 1_500, 3_000, 5_000, 10_000];

/// Arguments of `toolbox reassign cancel`.
#[derive(Debug, Clone, Args)]
pub(super) struct CancelArgs {
    /// The plan with the former replicas [default: every plan that was executed and still has moves that run]
    #[arg(value_name = "FILE")]
    plan: Option<PathBuf>,

    /// Take back moves, too, that were not begun from here
    #[arg(long, help_heading = "Reassignment")]
    beside_others: bool,

    /// Only moves of these topics, also those that were not begun from here
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', help_heading = "Reassignment")]
    topics: Vec<TopicName>,

    /// Only moves that bring copies to these brokers, or take them from there
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Reassignment")]
    brokers: Vec<BrokerId>,
}

/// Takes moves back.
pub(super) async fn run(context: &mut Context, args: &CancelArgs) -> anyhow::Result<Exit> {
    let wanted = args.plan.as_deref().map(record::read).transpose()?;
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let mut document = record::document(context, &metadata.cluster_id).await?;
    let mut record: Option<Record> = document.load().await?;
    context.check_same_place(&document).await?;
    let known = match wanted {
        Some(Moves::Plan(plan)) => plan.moves,
        Some(Moves::Assignment(_)) => {
            return Err(Stop::usage(
                "Kafka's file does not say where partitions were before; a plan of `toolbox mapping` does, and so does \
                 what was kept of the last `reassign execute`",
            )
            .into());
        }
        None => record.as_ref().map(Record::known).unwrap_or_default(),
    };
    let selection =
        Selection { topics: args.topics.iter().cloned().collect(), brokers: args.brokers.iter().copied().collect() };
    let (moves, plan) = selected(&*kafka, &known, (&selection, args.beside_others)).await?;
    if let Agreed::Ends(exit) = context.agree(plan).await? {
        let is_kept = record.is_some() && selection.is_all() && exit == Exit::Done;
        let is_released = !is_kept || context.is_dry_run() || release(context, &*kafka, &metadata.cluster_id).await?;
        return Ok(if is_released { exit } else { Exit::Failed });
    }
    let mut control = Control::open(context, &metadata.cluster_id).await?;
    let asked = control.read(Duration::ZERO).await;
    control.ask(&Asked { stop: true, ..asked.clone() }).await?;
    wait_for_lock(context, &metadata.cluster_id).await?;
    let left = take_back(context, &*kafka, &moves).await?;
    let mut is_kept = true;
    if let Some(record) = &mut record {
        // A run that goes on with the plan leaves these out.
        let waiting = record.plan.moves.iter().filter(|one| selection.has(one)).map(|one| one.partition.clone());
        let done = done_of(&*kafka, &record.plan.moves).await?;
        record.cancelled.extend(waiting.filter(|partition| !done.contains(partition)));
        is_kept = context.keep(&mut document, record).await;
    }
    control.ask(&Asked { stop: false, ..asked }).await?;
    let is_released = release(context, &*kafka, &metadata.cluster_id).await?;
    let run = context.run();
    let words = format!("{} taken back", count(moves.len(), "move"));
    let subject = format!("cluster:{}", run.cluster);
    context.record_finding("reassign.cancel.completed", &subject, &words, Severity::Warning).await;
    let value = json!({ "cancelled": moves.len(), "left": left });
    context.output().result(&value, |_| shown(&words, &left))?;
    Ok(if left.is_empty() && is_kept && is_released { Exit::Done } else { Exit::Failed })
}

fn shown(words: &str, left: &[String]) -> String {
    let lines = left.iter().map(|line| format!("! {}\n", visible::line(line)));
    format!("{}{words}\n", lines.collect::<String>())
}

/// The running moves that are selected, and the plan of their cancels.
async fn selected(
    kafka: &dyn Kafka,
    known: &[PartitionMove],
    (selection, with_others): (&Selection, bool),
) -> anyhow::Result<(Vec<PartitionMove>, crate::change::plan::Plan<ReassignStep>)> {
    let running = kafka.reassignments().await.context("failed to list the moves")?;
    let topics = running.keys().map(|partition| partition.topic.clone()).collect();
    let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
    let undo::Chosen { moves, strangers, left } = undo::chosen(known, &observed, selection, with_others);
    let mut plan = undo::cancels(&moves, &observed);
    if !strangers.is_empty() {
        plan.warn(format!(
            "{} not begun from here: the former order is not known, so that Kafka's own is taken, which may be another, and \
             throttles of the tool that began them stay ({})",
            count(strangers.len(), "move"),
            names(&strangers.iter().collect::<Vec<_>>())
        ));
    }
    if !left.is_empty() {
        let words = format!(
            "under way, not begun from here: {} ({}). --beside-others takes them back, too, or --topics with their topics",
            count(left.len(), "move"),
            names(&left.iter().collect::<Vec<_>>())
        );
        if moves.is_empty() {
            plan.refuse("cluster:moves", "cancel", words);
        } else {
            plan.warn(words);
        }
    }
    Ok((moves, plan))
}

/// Waits until no run carries a plan out any more.
async fn wait_for_lock(context: &mut Context, cluster_id: &str) -> anyhow::Result<()> {
    let identity = context.identity(Purpose::Moves, cluster_id);
    let began = Instant::now();
    loop {
        match context.lock(&identity).await {
            Ok(()) => return Ok(()),
            Err(error) if output::exit_of(&error) == Exit::Refused && began.elapsed() < LOCK_MAX => {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(error).context("the run that carries the plan out did not end"),
        }
    }
}

/// Cancels, gives orders back, elects; says what is not as it was.
async fn take_back(context: &mut Context, kafka: &dyn Kafka, moves: &[PartitionMove]) -> anyhow::Result<Vec<String>> {
    let topics: BTreeSet<_> = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let mut failures = Vec::new();
    for pause in PAUSES {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
        let mut steps = undo::cancels(moves, &observed).steps;
        steps.extend(undo::restores(moves, &observed));
        if steps.is_empty() && is_settled(moves, &observed) {
            let elections = undo::elections(moves, &observed);
            if elections.is_empty() {
                return Ok(Vec::new());
            }
            steps = elections;
        }
        let ended = context.carry(&steps, async |batch: &[ReassignStep]| apply(kafka, batch).await).await;
        let failed = ended.iter().filter(|(_, ended)| ended.outcome != Outcome::Done);
        failures = failed
            .map(|(step, ended)| {
                format!("partition {}: {}", step.partition(), ended.reason.as_deref().unwrap_or("not done"))
            })
            .collect();
    }
    let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
    let mut left = Vec::new();
    for one in moves {
        let seen = observed.partitions.get(&one.partition);
        if observed.running.contains_key(&one.partition) {
            left.push(format!("partition {} still moves; run the same command again", one.partition));
        } else if let Some(seen) = seen.filter(|seen| seen.replicas != one.from && seen.replicas != one.to) {
            left.push(format!(
                "partition {} has the replicas {} instead of {}; run the same command again when all of them live",
                one.partition,
                list(&seen.replicas),
                list(&one.from)
            ));
        }
    }
    if !left.is_empty() {
        left.extend(failures);
    }
    Ok(left)
}

/// Whether every partition is where it was, or where it was to go.
fn is_settled(moves: &[PartitionMove], observed: &Observed) -> bool {
    moves.iter().all(|one| {
        let seen = observed.partitions.get(&one.partition);
        seen.is_none_or(|seen| seen.replicas == one.from || seen.replicas == one.to)
    })
}

async fn done_of(
    kafka: &dyn Kafka,
    moves: &[PartitionMove],
) -> anyhow::Result<BTreeSet<crate::cluster::topic::TopicPartition>> {
    let topics = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
    let done = moves.iter().filter(|one| observed.state(one) == crate::commands::reassign::plan::seen::State::Done);
    Ok(done.map(|one| one.partition.clone()).collect())
}
