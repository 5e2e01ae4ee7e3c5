//! `toolbox throttle run`: the agent. It stands by while another one works, takes over what a dead one left, and leaves
//! throttles in force when it is stopped while data moves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::change::brake::Brake;
use crate::change::every::{Timing, every};
use crate::change::throttle::decide::Ways;
use crate::clients::kafka::Kafka;
use crate::cluster::metadata::TopicSelection;
use crate::commands::throttle::agent::http::{Access, Port, routes};
use crate::commands::throttle::agent::tick::{Agent, Told};
use crate::commands::throttle::agent::view::{Asked, Board};
use crate::commands::throttle::command::law::LawArgs;
use crate::commands::throttle::plan::law::State;
use crate::commands::throttle::spec::types;
use crate::context::Context;
use crate::context::load::LoadArgs;
use crate::context::overrides::KeptOverrides;
use crate::context::rights::Workload;
use crate::context::throttles::OwnThrottles;
use crate::exit::{Exit, Stop};
use crate::formats::secret::{SecretString, remember};
use crate::output;

/// How often an agent that stands by looks whether the other one is gone.
const STANDBY: Duration = Duration::from_secs(10);

/// How often it is looked whether `throttle set` asks for another rate.
const OVERRIDES_EVERY: Duration = Duration::from_secs(2);

/// Longest token file.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// Longest tick before it is braked.
const TICK_MAX: Duration = Duration::from_mins(5);

/// Arguments of `toolbox throttle run`.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    law: LawArgs,

    #[command(flatten)]
    load: LoadArgs,

    /// What to do where somebody changes a rate of ours
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_EXTERNAL_CHANGE",
        value_name = "WAY",
        default_value = "reassert",
        help_heading = "Agent"
    )]
    external_change: ExternalChange,

    /// End as soon as nothing moves and nothing of ours is left
    #[arg(long, env = "TOOLBOX_THROTTLE_UNTIL_IDLE", help_heading = "Agent")]
    until_idle: bool,

    /// Where overrides, metrics and health are served, as `127.0.0.1:8080`; where others than this machine reach it,
    /// overrides need a token
    #[arg(long, env = "TOOLBOX_THROTTLE_API_LISTEN", value_name = "ADDRESS", help_heading = "Agent")]
    api_listen: Option<SocketAddr>,

    /// File with the token that reading and changing overrides needs [default: TOOLBOX_THROTTLE_API_TOKEN]
    #[arg(long, env = "TOOLBOX_THROTTLE_API_TOKEN_FILE", value_name = "FILE", help_heading = "Agent")]
    api_token_file: Option<PathBuf>,
}

/// What to do where somebody changes a rate of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExternalChange {
    /// Set ours again
    Reassert,
    /// Leave it to them
    Respect,
}

/// Paces whatever moves.
pub(super) async fn run(context: &mut Context, args: &RunArgs) -> anyhow::Result<Exit> {
    if context.flags.observed.is_some() || context.flags.save_observed.is_some() {
        return Err(Stop::usage(
            "`throttle run` paces what it measures from tick to tick: there is nothing to save or to plan from; \
             --dry-run shows what a first tick would set on the cluster",
        )
        .into());
    }
    let told = told(context, args)?;
    let token = token(args)?;
    let access = match token {
        Some(token) => Access::Token(token),
        None if args.api_listen.is_none_or(|address| address.ip().is_loopback()) => Access::Open,
        None => {
            output::say(
                "overrides are closed: --api-listen lets others than this machine in, and there is no token \
                 (--api-token-file)",
            );
            Access::Closed
        }
    };
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    if context.is_dry_run() {
        return rehearse(context, kafka, told, &metadata.cluster_id).await;
    }
    context.check_rights(Workload::Throttle, &context.rights_setup(&metadata.cluster_id)).await?;
    // From here on it ends by itself when it is asked to: a tick that runs comes to its end.
    context.brake().changes_begin();
    let (board, asked) = Board::new();
    let board = Arc::new(board);
    board.show(|view| context.cluster_name().unwrap_or_default().clone_into(&mut view.cluster));
    let port = match args.api_listen {
        Some(address) => Some(serve(address, (Arc::clone(&board), access), told.limits.tick).await?),
        None => None,
    };
    let ended = work(context, (kafka, &metadata.cluster_id), told, (board, asked), args.until_idle).await;
    if let Some(port) = port {
        port.abort();
    }
    ended
}

fn told(context: &Context, args: &RunArgs) -> Result<Told, Stop> {
    let ways = Ways { reasserts: args.external_change == ExternalChange::Reassert, is_orphaned: false };
    Ok(Told {
        limits: args.law.limits()?,
        sources: args.load.sources(context.flags.recording.datadog_url.as_deref())?,
        known: args.law.known(context),
        by_type: types(args.load.cap_map()).map_err(Stop::usage)?,
        ways,
    })
}

fn token(args: &RunArgs) -> anyhow::Result<Option<SecretString>> {
    let text = match &args.api_token_file {
        Some(path) => {
            let size = std::fs::metadata(path).map(|file| file.len());
            let read = || std::fs::read_to_string(path);
            let text = size.and_then(|size| {
                if size <= TOKEN_BYTES_MAX { read() } else { Err(std::io::ErrorKind::FileTooLarge.into()) }
            });
            Some(text.with_context(|| format!("failed to read the token from {}", path.display()))?)
        }
        None => std::env::var("TOOLBOX_THROTTLE_API_TOKEN").ok(),
    };
    match text.map(|text| text.trim().to_owned()) {
        Some(token) if token.is_empty() => Err(Stop::usage("the token for --api-listen is empty").into()),
        token => Ok(token.map(remember)),
    }
}

/// Shows what a first tick would set.
async fn rehearse(context: &mut Context, kafka: Arc<dyn Kafka>, told: Told, cluster_id: &str) -> anyhow::Result<Exit> {
    let throttles = context.throttles_to_look_at(cluster_id).await?;
    let (ways, (board, _asked)) = (told.ways, Board::new());
    let mut agent = agent(context, (kafka, cluster_id), told, (throttles, Arc::new(board))).await?;
    let decision = agent.decide(context).await?;
    let (decided, _) = agent.throttles.decide(&*agent.kafka, &decision.throttles, ways).await?;
    let refuse =
        async |batch: &[_]| batch.iter().map(|_| crate::change::carry_out::Ended::refused("dry run")).collect();
    Ok(context.settle(decided.plan, refuse).await?.exit)
}

async fn agent(
    context: &Context,
    (kafka, cluster_id): (Arc<dyn Kafka>, &str),
    told: Told,
    (throttles, board): (OwnThrottles, Arc<Board>),
) -> anyhow::Result<Agent> {
    let overrides = KeptOverrides::open(context, cluster_id).await?;
    let state = State::adopting(throttles.record(), context.now());
    Ok(Agent { kafka, throttles, overrides, told, board, before: None, state, said: BTreeSet::new() })
}

/// Takes the lock; while another agent has it, stands by.
async fn own(context: &mut Context, cluster_id: &str, board: &Board) -> anyhow::Result<Option<OwnThrottles>> {
    let (brake, mut is_said) = (context.brake().clone(), false);
    loop {
        match context.throttles(cluster_id).await {
            Ok(throttles) => return Ok(Some(throttles)),
            Err(error) if output::exit_of(&error) == Exit::Refused => {
                if !is_said {
                    output::say(&format!("standing by: {error:#}"));
                    is_said = true;
                }
            }
            Err(error) => return Err(error),
        }
        // Standing by is healthy.
        let now = context.now();
        board.show(|view| view.at = Some(now));
        tokio::select! {
            _ = brake.until_pulled() => return Ok(None),
            () = sleep(STANDBY) => {}
        }
    }
}

async fn work(
    context: &mut Context,
    (kafka, cluster_id): (Arc<dyn Kafka>, &str),
    told: Told,
    (board, mut asked): (Arc<Board>, mpsc::Receiver<Asked>),
    until_idle: bool,
) -> anyhow::Result<Exit> {
    let Some(throttles) = own(context, cluster_id, &board).await? else { return Ok(Exit::Done) };
    let timing = Timing {
        schedule: format!("@every {}s", told.limits.tick.as_secs()).parse()?,
        zone: TimeZone::UTC,
        jitter: Duration::ZERO,
        deadline: TICK_MAX,
    };
    let agent = agent(context, (kafka, cluster_id), told, (throttles, board)).await?;
    let (brake, shutdown) = (context.brake().clone(), Brake::default());
    let both = Mutex::new((agent, context));
    let tick = async || {
        let (agent, context) = &mut *both.lock().await;
        match agent.tick(context).await {
            Ok(is_idle) if is_idle && until_idle => shutdown.pull("nothing moves"),
            Ok(_) => {}
            Err(error) => output::complain(&format!("{error:#}; the next tick comes at its time")),
        }
    };
    let passes_on = async {
        shutdown.pull(brake.until_pulled().await);
        std::future::pending::<()>().await;
    };
    let hears = async {
        while let Some(one) = asked.recv().await {
            hear(&both, one).await;
            tick().await;
        }
    };
    let watches = async {
        loop {
            sleep(OVERRIDES_EVERY).await;
            // What can't be read now is read by the next tick, which says so.
            let is_changed = both.lock().await.0.overrides.reload().await.unwrap_or(false);
            if is_changed {
                tick().await;
            }
        }
    };
    tick().await;
    tokio::select! {
        biased;
        _ = every(&timing, jiff::Timestamp::now, &shutdown, async |_| tick().await) => {}
        () = hears => {}
        () = watches => {}
        () = passes_on => {}
    }
    let (agent, _) = &*both.lock().await;
    if !agent.throttles.record().is_empty() {
        output::say(&format!(
            "throttles are left in force while data moves; the next run, or `toolbox throttle gc`, takes them away ({})",
            agent.throttles.place()
        ));
    }
    Ok(Exit::Done)
}

/// Keeps what somebody asked for; the tick that follows brings it into force.
async fn hear(both: &Mutex<(Agent, &mut Context)>, asked: Asked) {
    let (agent, _) = &mut *both.lock().await;
    let Asked { change, answer } = asked;
    output::say(&format!("asked by the HTTP API: {change:?}"));
    let kept = match agent.overrides.reload().await {
        Ok(_) => agent.overrides.keep(change.applied(agent.overrides.value.clone())).await,
        Err(error) => Err(error),
    };
    let said = kept.map(|()| agent.overrides.value.clone()).map_err(|error| format!("{error:#}"));
    // Whoever asked may be gone.
    drop(answer.send(said));
}

async fn serve(
    address: SocketAddr,
    (board, access): (Arc<Board>, Access),
    tick: Duration,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let bound = listener.local_addr()?;
    output::say(&format!("serving overrides, metrics and health on http://{bound}"));
    let routes = routes(Port { board, access, tick, clock: jiff::Timestamp::now });
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            output::complain(&format!("the port {bound} is served no more: {error}"));
        }
    }))
}
