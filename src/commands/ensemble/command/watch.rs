//! `toolbox ensemble watch`: the agent that does a pass every some seconds while it holds the locks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::agent::inbox::Inbox;
use crate::agent::port::routes::{Port, routes};
use crate::agent::port::server::{Served, serve};
use crate::agent::runtime::{Agent, Pace};
use crate::agent::status::Status;
use crate::commands::ensemble::agent::{Board, Reporter, Watcher, metrics};
use crate::commands::ensemble::apply::kraft::Quorum;
use crate::commands::ensemble::apply::zookeeper::{Ensemble, name};
use crate::commands::ensemble::command::flags::{FolderArgs, RestArgs, WhichArgs};
use crate::context::rights::Workload;
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// Longest pass before it is braked: a look, samples of joiners, a change that is confirmed.
const PASS_MAX: Duration = Duration::from_mins(2);

/// How long a change that is under way may go on after that: less than the 25 s that a run has after a signal.
const PASS_GRACE: Duration = Duration::from_secs(15);

/// What the port serves, for `--help`.
const ROUTES_HELP: &str = "\
HTTP port (--listen):
  GET /healthz   200 while passes go well, or it stands by and sees who
                 leads; else 503 with the reason
  GET /livez     503 where its loop hangs: livenessProbe
  GET /metrics   OpenMetrics, for Prometheus: kafka_toolbox_ensemble_…";

/// Arguments of `toolbox ensemble watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = ROUTES_HELP)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    which: WhichArgs,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    rest: RestArgs,

    /// The time between two passes
    #[arg(long, env = "TOOLBOX_ENSEMBLE_INTERVAL", value_name = "DURATION", default_value = "15s", value_parser = duration,
          help_heading = "Agent")]
    interval: Duration,

    /// Where metrics and health are served, as `127.0.0.1:8080`
    #[arg(long, env = "TOOLBOX_ENSEMBLE_LISTEN", value_name = "ADDRESS", help_heading = "Agent")]
    listen: Option<SocketAddr>,
}

type EnsembleAgent = Agent<(), ()>;

/// Watches an ensemble.
pub(super) async fn run(context: &mut Context, args: &WatchArgs) -> anyhow::Result<Exit> {
    if context.is_dry_run() || context.flags.save_observed.is_some() {
        return Err(Stop::usage(
            "`ensemble watch` changes what it finds to change, pass after pass; `ensemble plan` shows what the first pass would do",
        )
        .into());
    }
    check_rights(context, args).await?;
    let board = Arc::new(Board::default());
    let (interval, inbox) = (args.interval.max(Duration::from_secs(1)), Arc::new(Inbox::default()));
    let status = Arc::new(Status::new(interval, PASS_MAX + PASS_GRACE));
    let agent: EnsembleAgent = Agent {
        pace: Pace { interval, watch: None, deadline: PASS_MAX, grace: PASS_GRACE },
        status: Arc::clone(&status),
        inbox,
    };
    let port = match args.listen {
        Some(address) => Some(listen(address, &status, &board).await?),
        None => None,
    };
    let lead = async |context: &mut Context| {
        let reporter = Reporter::new(Arc::clone(&board));
        if let Some(controllers) = args.which.quorum(context)? {
            args.folders.check_none()?;
            let quorum = Quorum::open(context, &controllers, args.rest.rest).await?;
            quorum.lock(context).await?;
            return Ok(Watcher::Quorum(Box::new(quorum), reporter));
        }
        let ensemble = Ensemble::open(context, args.which.ensemble.wanted(), args.rest.rest).await?;
        let ensemble = ensemble.with_folders(args.folders.folders()?);
        ensemble.lock(context).await?;
        Ok(Watcher::Ensemble(Box::new(ensemble), reporter))
    };
    let tick = async |context: &mut Context, watcher: &mut Watcher, _| Box::pin(watcher.tick(context)).await;
    let ended = Box::pin(agent.run(context, lead, tick)).await;
    if let Some(port) = port {
        port.close().await;
    }
    ended?;
    Ok(Exit::Done)
}

/// Asks the API server for what the agent will need. With a name of its own, the ensemble's objects are not those of the table.
async fn check_rights(context: &Context, args: &WatchArgs) -> anyhow::Result<()> {
    let cluster = context.flags.cluster.clone();
    let is_quorum = args.which.quorum(context)?.is_some();
    let name = if is_quorum { cluster.as_deref() } else { name(context, args.which.ensemble.wanted()) };
    match (name, cluster.clone()) {
        (Some(name), Some(cluster)) if name == cluster => {
            context.check_rights(Workload::Ensemble, &context.rights_setup(&cluster)).await
        }
        _ => Ok(()),
    }
}

async fn listen(address: SocketAddr, status: &Arc<Status>, board: &Arc<Board>) -> anyhow::Result<Served> {
    let shown = Arc::clone(board);
    let port = Port::of_health(status, move |registry| metrics::register(&shown.view(), registry));
    let served = serve(address, routes(port)).await?;
    output::say(&format!("serving metrics and health on http://{}", served.address));
    Ok(served)
}
