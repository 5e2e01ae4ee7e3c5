//! `toolbox ensemble plan` and `toolbox ensemble apply`.

use std::time::Duration;

use clap::Args;

use crate::commands::ensemble::apply::kraft::Quorum;
use crate::commands::ensemble::apply::pass::{decided, show};
use crate::commands::ensemble::apply::zookeeper::Ensemble;
use crate::commands::ensemble::apply::{Limits, passes};
use crate::commands::ensemble::command::flags::{FolderArgs, RestArgs, WhichArgs};
use crate::commands::ensemble::command::kraft;
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::report::checks;
use crate::context::{Context, duration};
use crate::exit::Exit;
use crate::output;

/// Arguments of `toolbox ensemble plan`.
#[derive(Debug, Clone, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    which: WhichArgs,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    rest: RestArgs,
}

/// Arguments of `toolbox ensemble apply`.
#[derive(Debug, Clone, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    which: WhichArgs,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    rest: RestArgs,

    /// Do one pass: one change at most
    #[arg(long, env = "TOOLBOX_ENSEMBLE_ONCE")]
    once: bool,

    /// How long passes go on: while one only waits (for a server, for the rest between two changes), it is tried again
    #[arg(long, env = "TOOLBOX_ENSEMBLE_WITHIN", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    within: Duration,
}

/// Shows what a pass would do, with every guard and its numbers.
pub(super) async fn plan(context: &mut Context, args: &PlanArgs) -> anyhow::Result<Exit> {
    context.flags.dry_run = true;
    let rest = args.rest.rest;
    if context.flags.observed.is_some() {
        return rehearse(context, rest).await;
    }
    if let Some(controllers) = args.which.quorum(context)? {
        args.folders.check_none()?;
        let quorum = Quorum::open(context, &controllers, rest).await?;
        return kraft::plan(context, quorum).await;
    }
    let folders = args.folders.folders()?;
    let mut ensemble = Ensemble::open(context, args.which.ensemble.wanted(), rest).await?.with_folders(folders);
    let look = ensemble.look(context).await?;
    if !context.output().is_structured() {
        output::print(&checks(&decided(look.input(context.steady().now(), rest)).pass.candidates))?;
    }
    ensemble.rehearse(context, look).await
}

/// Passes until nothing is left, one refuses, or the time is over.
pub(super) async fn apply(context: &mut Context, args: &ApplyArgs) -> anyhow::Result<Exit> {
    let rest = args.rest.rest;
    if context.flags.observed.is_some() {
        return rehearse(context, rest).await;
    }
    let limits = Limits { once: args.once || context.is_dry_run(), within: args.within };
    if let Some(controllers) = args.which.quorum(context)? {
        args.folders.check_none()?;
        let quorum = Quorum::open(context, &controllers, rest).await?;
        return kraft::apply(context, quorum, limits).await;
    }
    let folders = args.folders.folders()?;
    let mut ensemble = Ensemble::open(context, args.which.ensemble.wanted(), rest).await?.with_folders(folders);
    if !context.is_dry_run() {
        ensemble.lock(context).await?;
    }
    let brake = context.brake().clone();
    passes(limits, &brake, async || ensemble.pass(context).await).await
}

/// Decides from what was saved, and shows it. No server is needed for that.
async fn rehearse(context: &mut Context, rest: Duration) -> anyhow::Result<Exit> {
    let now = context.steady().now();
    match context.observed(async || anyhow::bail!("nothing was saved")).await? {
        Observed::Ensemble(look) => show(context, look.input(now, rest)).await,
        Observed::Quorum(look) => show(context, look.input(now, rest)).await,
    }
}
