//! `toolbox reassign set`: other bounds for the run that carries a plan out, from its next look on.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::change::event::Severity;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::size::Bytes;
use crate::commands::reassign::command::record::{self, Asked, Control};
use crate::commands::reassign::plan::next::Bounds;
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::output;

/// Arguments of `toolbox reassign set`.
#[derive(Debug, Clone, Args)]
pub(super) struct SetArgs {
    /// Most partitions that are copied into a broker, and out of it, at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pacing")]
    partitions_per_broker: Option<u32>,

    /// Most bytes that are on their way into a broker, and out of it; a bigger partition is copied alone
    #[arg(long, value_name = "BYTES", help_heading = "Pacing")]
    bytes_per_broker: Option<Bytes>,

    /// Most moves at once in the whole cluster
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Pacing")]
    max_moves: Option<u32>,

    /// Go back to the bounds that the run was started with
    #[arg(long, conflicts_with_all = ["partitions_per_broker", "bytes_per_broker", "max_moves"], help_heading = "Pacing")]
    reset: bool,
}

impl SetArgs {
    fn bounds(&self) -> Bounds {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Bounds {
            partitions: self.partitions_per_broker.map(count),
            bytes: self.bytes_per_broker.map(|bytes| bytes.0),
            moves: self.max_moves.map(count),
        }
    }
}

/// Asks the running execution for other bounds.
pub(super) async fn run(context: &mut Context, args: &SetArgs) -> anyhow::Result<Exit> {
    let wanted = args.bounds();
    if wanted == Bounds::default() && !args.reset {
        let why = "nothing to set: give --partitions-per-broker, --bytes-per-broker, --max-moves, or --reset";
        return Err(Stop::usage(why).into());
    }
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    let cluster_id = &metadata.cluster_id;
    context.is_cluster(cluster_id)?;
    let mut document = record::document(context, cluster_id).await?;
    document.load::<serde::de::IgnoredAny>().await?;
    if context.check_same_place(&document).await?.is_none() {
        let why = "no execution runs on this cluster: give the bounds to `toolbox reassign execute`";
        return Err(Stop::refused(why).into());
    }
    let mut control = Control::open(context, cluster_id).await?;
    let asked = control.read(Duration::ZERO).await;
    let bounds = if args.reset { Bounds::default() } else { asked.bounds.and(wanted) };
    let words = match bounds.words() {
        words if words.is_empty() => "the bounds that the run was started with".to_owned(),
        words => words,
    };
    if bounds == asked.bounds {
        output::say(&format!("nothing to do: the run is asked for {words} already"));
        return Ok(Exit::Done);
    }
    if context.is_dry_run() {
        output::say(&format!("the run would be asked for {words}"));
        return Ok(Exit::Changes);
    }
    control.ask(&Asked { bounds, ..asked }).await?;
    let run = context.run();
    let subject = format!("cluster:{}", run.cluster);
    let text = format!("{} asks the run for {words}", run.actor);
    context.record_finding("reassign.bounds_set", &subject, &text, Severity::Info).await;
    output::say(&format!("the run is asked for {words}, and keeps to it from its next look on; moves that run go on"));
    Ok(Exit::Done)
}
