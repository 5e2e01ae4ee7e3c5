//! `toolbox throttle clear` and `gc`: takes throttles away.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use crate::change::plan::{Plan, Step};
use crate::change::throttle::decide::{Decided, Ways, everything};
use crate::change::throttle::step::ThrottleStep;
use crate::clients::kafka::Kafka;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::overrides::Override;
use crate::cluster::throttle::{Side, ThrottleRecord, Throttles};
use crate::cluster::visible;
use crate::commands::throttle::agent::view::{Change, Edit};
use crate::commands::throttle::command::set::change_overrides;
use crate::context::throttles::{OwnThrottles, all_throttles};
use crate::context::watched::KeptOverrides;
use crate::context::{Context, duration};
use crate::exit::Exit;
use crate::output;

/// Most brokers and topics that are named in one line.
const NAMED_MAX: usize = 10;

/// Arguments of `toolbox throttle clear`.
#[derive(Debug, Clone, Args)]
pub(super) struct ClearArgs {
    /// Those of others, too: rates of all live brokers, lists of all topics
    #[arg(long)]
    all: bool,

    /// Only the overrides that an agent was given
    #[arg(long, conflicts_with = "all")]
    overrides: bool,
}

/// Arguments of `toolbox throttle gc`.
#[derive(Debug, Clone, Args)]
pub(super) struct GcArgs {
    /// Those of others, too
    #[arg(long, env = "TOOLBOX_THROTTLE_GC_ALL")]
    all: bool,

    /// Leave what was changed in this time: its run may only just be starting
    #[arg(long, env = "TOOLBOX_THROTTLE_GC_OLDER_THAN", value_name = "DURATION", default_value = "15m", value_parser = duration)]
    older_than: Duration,
}

/// Takes throttles away, whether something moves or not.
pub(super) async fn clear(context: &mut Context, args: &ClearArgs) -> anyhow::Result<Exit> {
    let (kafka, cluster_id) = cluster(context).await?;
    let looked_at = context.throttles_to_look_at(&cluster_id).await?;
    looked_at.manager(context).await?;
    if args.overrides {
        return clear_overrides(context, &cluster_id).await;
    }
    let throttles = own(context, &*kafka, &cluster_id, args.all).await?;
    if !args.all && throttles.record().is_empty() {
        say_others(&*kafka).await?;
    }
    let moving = kafka.reassignments().await.context("failed to read what moves")?.len();
    let warning =
        (moving > 0).then(|| format!("{moving} partitions move: without a throttle they go as fast as they can"));
    take_away(context, &*kafka, throttles, (args.all, Ways::default(), warning)).await
}

/// Removes all overrides that an agent was given.
async fn clear_overrides(context: &mut Context, cluster_id: &str) -> anyhow::Result<Exit> {
    let given = KeptOverrides::open(context, cluster_id).await?.value;
    let of_cluster = given.cluster.iter().map(|given| ("all brokers".to_owned(), given));
    let of_brokers = given.brokers.iter().map(|(id, given)| (format!("broker {id}"), given));
    let lines = of_cluster.chain(of_brokers).map(|(whose, Override { rate, by, .. })| {
        format!("- override for {whose}: {rate}, by {}\n", visible::value(by))
    });
    let lines: String = lines.collect();
    if given.is_empty() {
        output::print("there are no overrides\n")?;
        return Ok(Exit::Done);
    }
    if context.is_dry_run() {
        output::print(&format!("{lines}nothing was changed: this was a dry run\n"))?;
        return Ok(Exit::Changes);
    }
    let by = context.run().actor;
    change_overrides(context, cluster_id, &[Change { by, edit: Edit::RemoveAll }]).await?;
    output::print(&format!("{lines}the overrides are removed\n"))?;
    Ok(Exit::Done)
}

/// Takes away what dead runs left.
pub(super) async fn gc(context: &mut Context, args: &GcArgs) -> anyhow::Result<Exit> {
    let (kafka, cluster_id) = cluster(context).await?;
    let nothing = |why: &str| {
        output::print(&format!("nothing is taken away: {why}\n"))?;
        Ok(Exit::Done)
    };
    let moving = kafka.reassignments().await.context("failed to read what moves")?.len();
    if moving > 0 {
        return nothing(&format!("{moving} partitions move"));
    }
    let throttles = own(context, &*kafka, &cluster_id, args.all).await?;
    if let Some(age) = age(throttles.record(), context.now()).filter(|age| *age < args.older_than) {
        return nothing(&format!(
            "they were changed {} s ago, and what is younger than {} s is left (--older-than)",
            age.as_secs(),
            args.older_than.as_secs()
        ));
    }
    if !args.all && throttles.record().is_empty() {
        say_others(&*kafka).await?;
    }
    let ways = Ways { is_orphaned: true, ..Ways::default() };
    take_away(context, &*kafka, throttles, (args.all, ways, None)).await
}

async fn cluster(context: &mut Context) -> anyhow::Result<(std::sync::Arc<dyn Kafka>, String)> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    Ok((kafka, metadata.cluster_id))
}

/// The throttles, locked where there is something to take away: taking the lock takes seconds.
async fn own(context: &mut Context, kafka: &dyn Kafka, cluster_id: &str, all: bool) -> anyhow::Result<OwnThrottles> {
    let looked_at = context.throttles_to_look_at(cluster_id).await?;
    let is_nothing = looked_at.record().is_empty() && !(all && has_throttles(kafka).await?);
    if context.is_dry_run() || is_nothing {
        return Ok(looked_at);
    }
    context.throttles(cluster_id).await
}

/// Names throttles that are in force though this place has no record of any.
async fn say_others(kafka: &dyn Kafka) -> anyhow::Result<()> {
    let steps = everything(&all_throttles(kafka).await?, Ways::default());
    let mut subjects: Vec<_> = steps.iter().map(|step| step.subject().replace(':', " ")).collect();
    subjects.dedup();
    if let Some(more) = subjects.len().checked_sub(1) {
        let named = subjects.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more = if more < NAMED_MAX { String::new() } else { format!(" and {} more", more + 1 - NAMED_MAX) };
        output::say(&format!(
            "throttles are in force that this place has no record of, and they are left as they are: {named}{more}; `toolbox \
             throttle status` shows them, `toolbox throttle clear --all` takes them away"
        ));
    }
    Ok(())
}

/// Whether anything is throttled, by whomever.
async fn has_throttles(kafka: &dyn Kafka) -> anyhow::Result<bool> {
    Ok(!everything(&all_throttles(kafka).await?, Ways::default()).is_empty())
}

fn age(record: &ThrottleRecord, now: Timestamp) -> Option<Duration> {
    let changed: Timestamp = record.changed_at.parse().ok()?;
    (!record.is_empty()).then(|| now.duration_since(changed).unsigned_abs())
}

/// Rates of others that ours replaced: `--all` does not give them back.
fn replaced(record: &ThrottleRecord) -> Vec<String> {
    let rates = record.rates.iter().flat_map(|(broker, sides)| Side::BOTH.map(|side| (broker, side, *sides.of(side))));
    let replaced = rates.filter_map(|(broker, side, own)| Some((broker, side, own?.previous?)));
    let words = |(broker, side, rate)| {
        format!(
            "broker {broker} had a {side} rate of {rate} before ours: --all does not give it back; `throttle clear` \
             without --all would"
        )
    };
    replaced.map(words).collect()
}

async fn take_away(
    context: &mut Context,
    kafka: &dyn Kafka,
    mut throttles: OwnThrottles,
    (all, ways, warning): (bool, Ways, Option<String>),
) -> anyhow::Result<Exit> {
    let (Decided { mut plan, mut claim }, seen) = throttles.decide(kafka, &Throttles::default(), ways).await?;
    let down = throttles.record().rates.keys().filter(|broker| !seen.rates.contains_key(broker));
    let down: Vec<_> = down.map(ToString::to_string).collect();
    if all {
        // What is ours is among it, and so is what others had there before: `--all` takes that away, too.
        let steps = everything(&all_throttles(kafka).await?, ways);
        plan = Plan { steps, ..plan };
        for words in replaced(throttles.record()) {
            plan.warn(words);
        }
        claim = throttles.record().clone();
    }
    if let Some(warning) = warning.filter(|_| !plan.steps.is_empty()) {
        plan.warn(warning);
    }
    let apply = async |batch: &[ThrottleStep]| throttles.apply(kafka, &claim, batch).await;
    let settled = context.settle(plan, apply).await?;
    let is_kept = !settled.carried_out || throttles.settle(&claim, &settled.ended).await;
    if settled.exit == Exit::Done && !is_kept {
        return Ok(Exit::Failed);
    }
    if settled.exit == Exit::Done && !down.is_empty() {
        output::complain(&format!(
            "throttles of ours are left on broker {}, which can't be reached: run this again once it is back",
            down.join(", ")
        ));
        return Ok(Exit::Failed);
    }
    Ok(settled.exit)
}
