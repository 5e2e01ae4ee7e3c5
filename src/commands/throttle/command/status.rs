//! `toolbox throttle status`: every throttle, whose it is, and whether the moves will end.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::sleep;

use crate::clients::kafka::Kafka;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::readings::Readings;
use crate::commands::throttle::observe::moves::look;
use crate::commands::throttle::plan::look::{Known, snapshot};
use crate::commands::throttle::plan::snapshot::Snapshot;
use crate::commands::throttle::report::{self, Status};
use crate::context::throttles::all_throttles;
use crate::context::watched::KeptOverrides;
use crate::context::{Context, duration};
use crate::exit::Exit;
use crate::output;

/// Arguments of `toolbox throttle status`.
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    /// How long to watch what moves, to know how fast it is
    #[arg(long, env = "TOOLBOX_THROTTLE_WATCH", value_name = "DURATION", default_value = "2s", value_parser = duration)]
    watch: Duration,
}

/// Shows throttles. Ends with 5 where a rate is below the floor: its moves will never end.
pub(super) async fn run(context: &mut Context, args: &StatusArgs) -> anyhow::Result<Exit> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let throttles = context.throttles_to_look_at(&metadata.cluster_id).await?;
    let overrides = KeptOverrides::open(context, &metadata.cluster_id).await?.value;
    let snapshot = watched(context, &*kafka, args.watch).await?;
    let seen = all_throttles(&*kafka).await?;
    let cluster = context.cluster_name().unwrap_or_default();
    let status = report::status(cluster, &seen, throttles.record(), &snapshot, &overrides);
    context.output().result(&status, |_| text(&status))?;
    let is_stuck = status.rates.iter().any(|row| row.is_below_floor);
    Ok(if is_stuck { Exit::Unhealthy } else { Exit::Done })
}

/// What moves, and how fast.
pub(super) async fn watched(context: &Context, kafka: &dyn Kafka, watch: Duration) -> anyhow::Result<Snapshot> {
    let first = look(kafka, context.now(), false).await?;
    if first.moves.is_empty() {
        return Ok(Snapshot::default());
    }
    sleep(watch).await;
    let second = look(kafka, context.now(), false).await?;
    Ok(snapshot(Some(&first), &second, &Readings::default(), &Known::default()))
}

fn text(status: &Status) -> String {
    let mut text = status.head();
    if !status.rates.is_empty() {
        let head = ["BROKER", "SIDE", "RATE", "SET BY", "COPYING", "FLOOR", ""];
        text.push_str(&output::table(&head, &status.rate_rows()));
    }
    if !status.lists.is_empty() {
        text.push_str(&output::table(&["TOPIC", "SIDE", "OURS", "FOREIGN"], &status.list_rows()));
    }
    text
}
