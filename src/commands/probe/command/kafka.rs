//! `toolbox probe kafka`: live, ready, controller and serve.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::Instant;

use crate::clients::first_answer::Greeting;
use crate::clients::kafka::live::Nodes;
use crate::clients::processes;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::quorum::{DirectoryId, NodeId};
use crate::commands::probe::agent::looks::{Broker, Looks, Readiness, look_at_broker};
use crate::commands::probe::command::flags::{self, AddressArgs, KAFKA, LiveVerb, ReadyVerb, ServeVerb};
use crate::commands::probe::command::serve::serve;
use crate::commands::probe::command::{end, live};
use crate::commands::probe::observe::controller as observe;
use crate::commands::probe::observe::kafka::Target;
use crate::commands::probe::observe::latch::Latch;
use crate::commands::probe::observe::port::Port;
use crate::commands::probe::report::Answer;
use crate::commands::probe::verdict::controller::{Own, ready};
use crate::commands::probe::verdict::kafka::{LOOKS, Terms};
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};

#[derive(Debug, Clone, Args)]
pub(super) struct KafkaArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Whether the broker or controller is alive: it answers ApiVersions, or works
    ///
    /// It fails where nothing listens; and where the port accepts, none of --tries is answered, and the process uses no CPU
    /// time: frozen. A busy one never fails, however late it answers. Whether a process is frozen is seen in /proc, in the
    /// exec form or with `shareProcessNamespace`; without either, a port that accepts is alive. Give it the listener that
    /// other brokers use; it needs no credentials. While logs are recovered nothing listens yet: let a startupProbe wait.
    Live(LiveVerb),
    /// Whether the broker is "100 % in sync": in the ISR of every partition that it has a replica of
    ///
    /// Strict first: it must be registered, not fenced, and in every ISR in two looks, as another broker sees it. Not waited
    /// for are replicas that a running move adds, and partitions without a leader whose other replicas are down. Then
    /// latched: it stays ready while its port is open, until its process restarts; --latch keeps that. A broker that
    /// answers, and whose requests do not reach the controller, is named (KRaft; in ZooKeeper mode that can't be seen).
    Ready(ReadyVerb<OnceArgs>),
    /// Whether a KRaft controller is ready: it leads or follows, and the voters have its id with its directory id
    ///
    /// Where it does not lead, its leader is asked. --address is the controller's own listener.
    Controller(ControllerVerb),
    /// Answer liveness and readiness of a broker over HTTP, from memory, looking at it every few seconds
    Serve(Box<ServeVerb<ReadyArgs>>),
}

#[derive(Debug, Clone, Args)]
struct OnceArgs {
    #[command(flatten)]
    ready: ReadyArgs,
    /// The broker's process, whose start the latch belongs to [default: found in /proc by its main class, and by its port
    /// where there are several; else process 1]
    #[arg(long, env = "TOOLBOX_PROBE_PID", value_name = "PID", help_heading = "Readiness")]
    pid: Option<u32>,
    /// Never latch: be ready only while nothing is missing, in one look
    ///
    /// Not for a readinessProbe: a large move or one slow disk would make many brokers unready at once.
    #[arg(
        long,
        env = "TOOLBOX_PROBE_STRICT",
        help_heading = "Readiness",
        conflicts_with = "latch",
        required_unless_present = "latch"
    )]
    strict: bool,
}

#[derive(Debug, Clone, Args)]
struct ReadyArgs {
    /// The broker's id
    #[arg(
        long,
        env = "TOOLBOX_PROBE_BROKER",
        value_name = "ID",
        help_heading = "Readiness",
        conflicts_with = "log_dir",
        required_unless_present = "log_dir"
    )]
    broker: Option<BrokerId>,

    /// One of the broker's log dirs: its id is read from meta.properties there
    #[arg(long, env = "TOOLBOX_PROBE_LOG_DIR", value_name = "FOLDER", help_heading = "Readiness")]
    log_dir: Option<PathBuf>,

    /// The file that keeps what was seen from one look to the next, in an emptyDir or in the container's /tmp
    #[arg(long, env = "TOOLBOX_PROBE_LATCH", value_name = "FILE", help_heading = "Readiness")]
    latch: Option<PathBuf>,

    /// After this long without being in sync it is `ready_degraded`: still not ready, and a person should look
    #[arg(
        long,
        env = "TOOLBOX_PROBE_STRICT_MAX",
        value_name = "DURATION",
        default_value = "30m",
        value_parser = duration,
        help_heading = "Readiness"
    )]
    strict_max: Duration,
}

#[derive(Debug, Clone, Args)]
struct ControllerVerb {
    #[command(flatten)]
    address: AddressArgs,

    /// The controller's node id
    #[arg(
        long,
        env = "TOOLBOX_PROBE_NODE",
        value_name = "ID",
        help_heading = "Readiness",
        conflicts_with = "log_dir",
        required_unless_present = "log_dir"
    )]
    node: Option<BrokerId>,

    /// The id of its metadata directory, as the quorum shows it
    #[arg(
        long,
        env = "TOOLBOX_PROBE_DIRECTORY_ID",
        value_name = "ID",
        help_heading = "Readiness",
        conflicts_with = "log_dir"
    )]
    directory_id: Option<String>,

    /// Its metadata.log.dir: both ids are read from meta.properties there
    #[arg(long, env = "TOOLBOX_PROBE_LOG_DIR", value_name = "FOLDER", help_heading = "Readiness")]
    log_dir: Option<PathBuf>,
}

impl ReadyArgs {
    async fn broker(&self, context: &Context, address: &str, looks: u32, deadline: Instant) -> anyhow::Result<Broker> {
        let Address { host, port } = flags::address(address)?;
        let broker = match (&self.log_dir, self.broker) {
            (Some(folder), _) => {
                let id = flags::meta_properties(folder, deadline).await?.id;
                id.map(BrokerId).ok_or_else(|| no_id(folder))?
            }
            (None, Some(broker)) => broker,
            (None, None) => return Err(Stop::usage("which broker is it? give --broker or --log-dir").into()),
        };
        let settings = flags::settings(context, address, deadline).await?;
        let (has_tls, has_sasl) = (settings.security.tls.is_some(), settings.security.sasl.is_some());
        let nodes = Nodes::new(settings).map_err(|error| Stop::usage(error.to_string()))?;
        let greeting = if has_tls { Greeting::TlsHello } else { Greeting::ApiVersions };
        Ok(Broker {
            target: Target { nodes, host, port, broker, greeting, is_plain: !has_tls && !has_sasl },
            latch: self.latch.clone().map(|path| Latch { path }),
            terms: Terms { looks, strict_max: self.strict_max },
            memory: None,
        })
    }
}

fn no_id(folder: &Path) -> Stop {
    Stop::usage(format!("meta.properties in {} has neither node.id nor broker.id", folder.display()))
}

pub(super) async fn run(context: &mut Context, args: KafkaArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Live(args) => live(context, &args, KAFKA).await,
        Verb::Ready(args) => {
            let OnceArgs { ready, pid, strict } = args.ready;
            let looks = if strict { 1 } else { LOOKS };
            let deadline = flags::deadline(context);
            let mut broker = ready.broker(context, &args.address.of(KAFKA), looks, deadline).await?;
            let (host, port) = (broker.target.host.clone(), broker.target.port);
            let (greeting, classes) = (broker.target.greeting, processes::KAFKA);
            let port = Port { host, port, greeting, classes, pid, tries: 1, startup_window: None };
            let answer = look_at_broker(&mut broker, &port, context.now(), deadline).await;
            end(context, &answer)
        }
        Verb::Controller(args) => controller(context, &args, &args.address.of(KAFKA)).await,
        Verb::Serve(args) => {
            let address = args.address.of(KAFKA);
            let port = args.live.port(&address, KAFKA)?;
            let broker = args.ready.broker(context, &address, LOOKS, flags::deadline(context)).await?;
            serve(context, &args.serve, Looks { port, readiness: Readiness::Broker(Box::new(broker)) }).await
        }
    }
}

async fn controller(context: &Context, args: &ControllerVerb, address: &str) -> anyhow::Result<Exit> {
    let (at, deadline) = (flags::address(address)?, flags::deadline(context));
    let (node, directory) = match (&args.log_dir, args.node) {
        (Some(folder), _) => {
            let meta = flags::meta_properties(folder, deadline).await?;
            (meta.id.map(NodeId).ok_or_else(|| no_id(folder))?, meta.directory)
        }
        (None, Some(node)) => (NodeId::from(node), args.directory_id.clone()),
        (None, None) => return Err(Stop::usage("which controller is it? give --node or --log-dir").into()),
    };
    let directory = directory.map(|text| text.trim().parse::<DirectoryId>()).transpose().map_err(Stop::usage)?;
    let settings = flags::settings(context, address, deadline).await?;
    let nodes = Nodes::new(settings).map_err(|error| Stop::usage(error.to_string()))?;
    let seen = observe::look(&nodes, &at, context.now(), deadline).await;
    end(context, &Answer::new(ready(&Own { node, directory }, &seen), seen))
}
