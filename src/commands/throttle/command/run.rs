//! `toolbox throttle run`: the agent. It stands by while another one works, takes over what a dead one left, and leaves
//! throttles in force when it is stopped while data moves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use crate::agent::port::access::Access;
use crate::agent::port::origin::Hosts;
use crate::agent::port::refusal::Refusal;
use crate::agent::port::routes::{Port, routes};
use crate::agent::port::server::{Served, serve};
use crate::agent::runtime::{Agent, Pace};
use crate::agent::status::Status;
use crate::change::throttle::decide::Ways;
use crate::clients::files;
use crate::clients::kafka::Kafka;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::overrides::Overrides;
use crate::commands::throttle::agent::http::{Api, TABLE, routes as api};
use crate::commands::throttle::agent::metrics;
use crate::commands::throttle::agent::tick::{Pacer, Settings};
use crate::commands::throttle::agent::view::{Asks, Board, Change};
use crate::commands::throttle::command::law::LawArgs;
use crate::commands::throttle::plan::law::State;
use crate::commands::throttle::spec::types;
use crate::context::Context;
use crate::context::load::LoadArgs;
use crate::context::rights::Workload;
use crate::context::throttles::OwnThrottles;
use crate::context::watched::KeptHandover;
use crate::context::watched::KeptOverrides;
use crate::exit::{Exit, Stop};
use crate::formats::secret::{SecretString, remember};
use crate::output;

/// How often it is looked whether `throttle set` asks for another rate.
const OVERRIDES_EVERY: Duration = Duration::from_secs(2);

/// Longest token file.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// Longest tick before it is braked.
const TICK_MAX: Duration = Duration::from_mins(5);

/// How long writes that are under way may go on after that: less than the 25 s that a run has after a signal.
const TICK_GRACE: Duration = Duration::from_secs(15);

/// What the port serves, for `--help`.
const ROUTES_HELP: &str = "\
HTTP port (--api-listen):
  GET /throttle, /throttle/BROKER     rates, their reasons, overrides, leader
  POST /throttle?rate=50MB/s          override for all brokers; &ttl=1h (to 30d),
                                      &autoremove=true (until the moves have
                                      ended), &by=NAME
  POST /throttle/BROKER?rate=50MB/s   the same for one broker
  DELETE /throttle, /throttle/BROKER  remove the override (?by=NAME); 404 where
                                      there is none
  DELETE /throttle/brokers            remove those of all single brokers
  POST /throttle/remove[/BROKER]      as DELETE, for clients of autothrottle
  POST /throttle/remove/all           as DELETE /throttle/brokers
  GET /healthz                        200 while it paces, or stands by and sees
                                      who leads; else 503 with the reason
  GET /livez                          503 where its loop hangs: livenessProbe
  GET /metrics                        OpenMetrics, for Prometheus

/throttle needs `Authorization: Bearer TOKEN` where a token is set. A standby
answers changes with 503 and names the leader. `Host` must be an address,
localhost, or a name of --api-host; requests that pages of other sites send are
refused with 403. At most 128 connections are kept; idle ones are closed after
15 s.

  curl -X POST -H \"Authorization: Bearer $TOKEN\" \\
    'http://127.0.0.1:8080/throttle/3?rate=20MB/s&ttl=2h&by=ann'";

/// Arguments of `toolbox throttle run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = ROUTES_HELP)]
pub(super) struct RunArgs {
    #[command(flatten)]
    law: LawArgs,

    #[command(flatten)]
    load: LoadArgs,

    /// What to do with a rate that somebody else set on a broker, before this run or since
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_EXTERNAL_CHANGE",
        value_name = "WAY",
        default_value = "replace",
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

    /// Names, besides addresses and localhost, under which the port may be addressed, as `throttle.kafka.svc`
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_API_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = host_name,
        help_heading = "Agent"
    )]
    api_host: Vec<String>,
}

type Throttler = Agent<Change, Result<Overrides, Refusal>>;

/// What to do with a rate that somebody else set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExternalChange {
    /// Say so, and set ours; what was there before is set again once nothing moves
    #[value(alias = "reassert")]
    Replace,
    /// Say so, and leave it as it is
    #[value(alias = "respect")]
    Keep,
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
    let settings = Arc::new(settings(context, args)?);
    let access = access(args)?;
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let cluster_id = metadata.cluster_id;
    if context.is_dry_run() {
        return rehearse(context, kafka, settings, &cluster_id).await;
    }
    context.check_rights(Workload::Throttle, &context.rights_setup(&cluster_id)).await?;
    let interval = settings.limits.tick;
    let (board, asks) = (Arc::new(Board::default()), Arc::new(Asks::default()));
    board.show(|view| context.cluster_name().unwrap_or_default().clone_into(&mut view.cluster));
    let agent = Agent {
        pace: Pace { interval, watch: Some(OVERRIDES_EVERY), deadline: TICK_MAX, grace: TICK_GRACE },
        status: Arc::new(Status::new(interval, TICK_MAX + TICK_GRACE)),
        inbox: asks,
    };
    let port = match args.api_listen {
        Some(address) => Some(listen(address, (&agent, &board), access, args.api_host.clone()).await?),
        None => None,
    };
    let lead = async |context: &mut Context| {
        board.begin();
        let throttles = context.throttles(&cluster_id).await?;
        pacer(context, (Arc::clone(&kafka), &cluster_id), Arc::clone(&settings), (throttles, Arc::clone(&board))).await
    };
    let tick = async |context: &mut Context, pacer: &mut Pacer, why| pacer.tick(context, why).await;
    let ended = Box::pin(agent.run(context, lead, tick)).await;
    if let Some(port) = port {
        port.close().await;
    }
    if let Some(pacer) = ended?
        && !pacer.throttles.record().is_empty()
    {
        output::say(&format!(
            "throttles are left in force while data moves; the next run, or `toolbox throttle gc`, takes them away ({})",
            pacer.throttles.place()
        ));
    }
    Ok(Exit::Done)
}

fn settings(context: &Context, args: &RunArgs) -> Result<Settings, Stop> {
    let ways = Ways { reasserts: args.external_change == ExternalChange::Replace, ..Ways::default() };
    Ok(Settings {
        limits: args.law.limits()?,
        sources: args.load.sources(&context.flags)?,
        known: args.law.known(context),
        by_type: types(args.load.cap_map()).map_err(Stop::usage)?,
        ways,
        until_idle: args.until_idle,
    })
}

/// Who may read and change overrides.
fn access(args: &RunArgs) -> anyhow::Result<Access> {
    Ok(match token(args)? {
        Some(token) => Access::Token(token),
        None if args.api_listen.is_none_or(|address| address.ip().is_loopback()) => Access::Open,
        None => {
            output::say(
                "overrides over HTTP are closed: --api-listen lets other machines in, and there is no token \
                 (--api-token-file)",
            );
            Access::Closed
        }
    })
}

/// A name for `Host`: no address, no scheme, no port.
fn host_name(text: &str) -> Result<String, String> {
    const NAME_MAX: usize = 253;
    let is_legal = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&c);
    if text.is_empty() || text.len() > NAME_MAX || !text.chars().all(is_legal) {
        return Err(format!("`{text}` is not a name such as throttle.kafka.svc (no port, no http://)"));
    }
    Ok(text.to_owned())
}

fn token(args: &RunArgs) -> anyhow::Result<Option<SecretString>> {
    let text = match &args.api_token_file {
        Some(path) => {
            let text = files::read_text(path, TOKEN_BYTES_MAX);
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
async fn rehearse(
    context: &mut Context,
    kafka: Arc<dyn Kafka>,
    settings: Arc<Settings>,
    cluster_id: &str,
) -> anyhow::Result<Exit> {
    let throttles = context.throttles_to_look_at(cluster_id).await?;
    let (ways, board) = (settings.ways, Arc::new(Board::default()));
    let mut pacer = pacer(context, (kafka, cluster_id), settings, (throttles, board)).await?;
    let decision = pacer.decide(context).await?;
    let (decided, _) = pacer.throttles.decide(&*pacer.kafka, &decision.throttles, ways).await?;
    let refuse =
        async |batch: &[_]| batch.iter().map(|_| crate::change::carry_out::Ended::refused("dry run")).collect();
    Ok(context.settle(decided.plan, refuse).await?.exit)
}

async fn pacer(
    context: &Context,
    (kafka, cluster_id): (Arc<dyn Kafka>, &str),
    settings: Arc<Settings>,
    (throttles, board): (OwnThrottles, Arc<Board>),
) -> anyhow::Result<Pacer> {
    let overrides = KeptOverrides::open(context, cluster_id).await?;
    let handover = KeptHandover::open(context, cluster_id).await?;
    let handed_over = (!handover.value.moves.is_empty()).then(Instant::now);
    let state = State::adopting(throttles.record(), context.now());
    let (before, said) = (None, BTreeSet::new());
    Ok(Pacer { kafka, throttles, overrides, handover, handed_over, settings, board, before, state, said })
}

/// Opens the port.
async fn listen(
    address: SocketAddr,
    (agent, board): (&Throttler, &Arc<Board>),
    access: Access,
    hosts: Vec<String>,
) -> anyhow::Result<Served> {
    let (status, shown) = (Arc::clone(&agent.status), Arc::clone(board));
    let own = Api {
        board: Arc::clone(board),
        asks: Arc::clone(&agent.inbox),
        status: Arc::clone(&status),
        clock: jiff::Timestamp::now,
    };
    let port = Port {
        status,
        access,
        hosts: Hosts::new(hosts, "--api-host"),
        api: api(own),
        table: TABLE.to_vec(),
        metrics: Arc::new(move |registry| metrics::register(&shown.view(), registry)),
    };
    let served = serve(address, routes(port)).await?;
    output::say(&format!("serving overrides, metrics and health on http://{}", served.address));
    Ok(served)
}
