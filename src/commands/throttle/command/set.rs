//! `toolbox throttle set`: a rate for what moves now; where an agent runs, an override for it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::change::carry_out::Ended;
use crate::change::throttle::decide::{Decided, Ways};
use crate::change::throttle::step::ThrottleStep;
use crate::clients::kafka::Kafka;
use crate::cluster::broker::BrokerId;
use crate::cluster::map::NamePattern;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::overrides::Override;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Throttles;
use crate::commands::throttle::agent::view::Change;
use crate::commands::throttle::command::status::watched;
use crate::commands::throttle::plan::floor::below_floor;
use crate::commands::throttle::plan::snapshot::Snapshot;
use crate::commands::throttle::spec::rate_above_zero;
use crate::context::watched::KeptOverrides;
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// How long it watches what moves, to know what is written.
const WATCHED: Duration = Duration::from_secs(2);

/// Arguments of `toolbox throttle set`.
#[derive(Debug, Clone, Args)]
pub(super) struct SetArgs {
    /// The rate of each broker and side: `50MB/s` (50,000,000 bytes a second) or `50MiB/s`
    #[arg(value_parser = rate_above_zero)]
    rate: ByteRate,

    /// Only these brokers
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    brokers: Vec<BrokerId>,

    /// Only moves of these topics: a name, or a regular expression of whole names
    #[arg(long, value_name = "PATTERN", value_parser = NamePattern::new)]
    topics: Option<NamePattern>,

    /// Where `throttle run` or `reassign execute` has the throttles: how long they keep to it, as `2h`; without it, until
    /// nothing moves
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    ttl: Option<Duration>,
}

/// Sets a rate.
pub(super) async fn run(context: &mut Context, args: &SetArgs) -> anyhow::Result<Exit> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let cluster_id = metadata.cluster_id;
    let mut throttles = context.throttles_to_look_at(&cluster_id).await?;
    if throttles.manager(context).await?.is_some() {
        return ask_the_other_run(context, &cluster_id, args).await;
    }
    let snapshot = watched(context, &*kafka, WATCHED).await?;
    let edit = edit(&snapshot, args);
    if edit.rates.is_empty() {
        return Err(Stop::refused(
            "no partition that these arguments name moves now, so that there is nothing to throttle. Nothing was changed. \
             `toolbox reassign execute --throttle RATE` sets a throttle before the first byte is copied",
        )
        .into());
    }
    if !context.is_dry_run() {
        throttles = match context.throttles(&cluster_id).await {
            Ok(throttles) => throttles,
            Err(error) if output::exit_of(&error) == Exit::Refused => {
                return ask_the_other_run(context, &cluster_id, args).await;
            }
            Err(error) => return Err(error),
        };
    }
    let (Decided { mut plan, claim }, _) = throttles.decide(&*kafka, &edit, Ways::default()).await?;
    for (broker, side, floor) in below_floor(&snapshot, args.rate) {
        plan.warn(format!(
            "{} is not above the {floor} that the moves of broker {broker} need as its {side} rate: they will never end",
            args.rate
        ));
    }
    plan.warn("it stays until `toolbox throttle clear`, or until a run of `throttle` or `reassign` takes it over");
    let kafka: &dyn Kafka = &*kafka;
    let apply = async |batch: &[ThrottleStep]| throttles.apply(kafka, &claim, batch).await;
    let settled = context.settle(plan, apply).await?;
    let is_kept = !settled.carried_out || throttles.settle(&claim, &settled.ended).await;
    if settled.exit == Exit::Done && !is_kept {
        return Ok(Exit::Failed);
    }
    Ok(settled.exit)
}

fn edit(snapshot: &Snapshot, args: &SetArgs) -> Throttles {
    let meant = snapshot
        .moving
        .iter()
        .filter(|moving| args.topics.as_ref().is_none_or(|topics| topics.fits(&moving.partition.topic)));
    let moves: Vec<_> = meant
        .map(|moving| {
            let adding: Vec<_> = moving.adding.iter().map(|(broker, _)| *broker).collect();
            (&moving.partition, &moving.sources, adding)
        })
        .collect();
    let slices = moves.iter().map(|(partition, sources, adding)| (*partition, sources.as_slice(), adding.as_slice()));
    let mut edit = Throttles::of_moves(slices, args.rate);
    let named: BTreeSet<_> = args.brokers.iter().copied().collect();
    edit.rates.retain(|broker, _| named.is_empty() || named.contains(broker));
    edit
}

/// Another run has the throttles: it gets an override, and brings it into force within seconds.
async fn ask_the_other_run(context: &mut Context, cluster_id: &str, args: &SetArgs) -> anyhow::Result<Exit> {
    if args.topics.is_some() {
        return Err(Stop::refused(
            "`throttle run`, or `reassign execute` with a throttle, works on this cluster, and takes rates for the \
             cluster or for brokers, not for topics",
        )
        .into());
    }
    let whom = if args.brokers.is_empty() { "all brokers".to_owned() } else { named(&args.brokers) };
    if context.is_dry_run() {
        output::print(&format!("the run that throttles this cluster would be asked for {} on {whom}\n", args.rate))?;
        return Ok(Exit::Changes);
    }
    let now = context.now();
    let until = args.ttl.map(|ttl| now.checked_add(ttl)).transpose()?;
    let given = Override {
        rate: args.rate,
        since: now,
        until,
        autoremove: args.ttl.is_none(),
        has_applied: false,
        by: context.run().actor,
    };
    let whose: Vec<_> =
        if args.brokers.is_empty() { vec![None] } else { args.brokers.iter().copied().map(Some).collect() };
    let changes: Vec<_> = whose.into_iter().map(|broker| Change::set(broker, given.clone())).collect();
    change_overrides(context, cluster_id, &changes).await?;
    let until = match args.ttl {
        Some(_) => String::new(),
        None => "; it holds until the moves have ended, or until `toolbox throttle clear --overrides`".to_owned(),
    };
    output::print(&format!(
        "the run that throttles this cluster is asked for {} on {whom}, and sets it within seconds{until}\n",
        args.rate
    ))?;
    Ok(Exit::Done)
}

/// Changes overrides, all at once, and records each change.
pub(super) async fn change_overrides(
    context: &mut Context,
    cluster_id: &str,
    changes: &[Change],
) -> anyhow::Result<()> {
    let mut overrides = KeptOverrides::open(context, cluster_id).await?;
    let mut failure = None;
    let apply = async |batch: &[Change]| {
        let kept = overrides.change(|value| batch.iter().fold(value, |value, one| one.applied(value))).await;
        let why = kept.as_ref().err().map(|error| format!("{error:#}"));
        failure = kept.err();
        let ended = || why.clone().map_or_else(Ended::done, Ended::failed);
        batch.iter().map(|_| ended()).collect()
    };
    let ended = context.carry(changes, apply).await;
    match failure {
        Some(error) => Err(error),
        None if ended.len() < changes.len() => {
            Err(Stop::refused("the run was asked to stop: nothing was changed").into())
        }
        None => Ok(()),
    }
}

fn named(brokers: &[BrokerId]) -> String {
    let ids: Vec<_> = brokers.iter().map(ToString::to_string).collect();
    format!("broker {}", ids.join(", "))
}
