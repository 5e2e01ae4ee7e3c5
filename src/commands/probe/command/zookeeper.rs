//! `toolbox probe zookeeper`: live, ready and serve.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokio::time::Instant;

use crate::clients::four_letter_words::FourLetterWords;
use crate::cluster::address::Address;
use crate::commands::probe::agent::looks::{Looks, Readiness, ZookeeperServer};
use crate::commands::probe::command::flags::{self, LiveVerb, ReadyVerb, ServeVerb, ZOOKEEPER};
use crate::commands::probe::command::serve::serve;
use crate::commands::probe::command::{end, live};
use crate::commands::probe::observe::zookeeper as observe;
use crate::commands::probe::report::Answer;
use crate::commands::probe::verdict::zookeeper::{Expected, ready};
use crate::context::Context;
use crate::exit::{Exit, Stop};

#[derive(Debug, Clone, Args)]
pub(super) struct ZookeeperArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Whether the server is alive: its client port reacts
    ///
    /// A server without a quorum is alive: a restart would not give it one. It fails where nothing listens, or where the
    /// port accepts, nothing is answered, and the process uses no CPU time: frozen.
    Live(LiveVerb),
    /// Whether the server is ready: it leads, follows or observes, and is in the configuration that it serves
    ///
    /// It asks `srvr` and `conf`. Only srvr is allowed by default: set `4lw.commands.whitelist=srvr,conf` in zoo.cfg. Without
    /// `conf` it ends with exit code 1, unless --role-only. A server that was removed from the ensemble, or that joins it,
    /// says that it follows, and is not ready. For a TLS port give --command-config with `security.protocol=SSL` and `ssl.*`.
    Ready(ReadyVerb<ReadyArgs>),
    /// Answer both over HTTP, from memory, looking at the server every few seconds
    Serve(Box<ServeVerb<ReadyArgs>>),
}

#[derive(Debug, Clone, Args)]
struct ReadyArgs {
    /// The id that the server must have
    #[arg(long, env = "TOOLBOX_PROBE_ID", value_name = "ID", help_heading = "Readiness", conflicts_with = "data_dir")]
    id: Option<u64>,

    /// The server's dataDir: the id that it must have is read from its file myid
    #[arg(long, env = "TOOLBOX_PROBE_DATA_DIR", value_name = "FOLDER", help_heading = "Readiness")]
    data_dir: Option<PathBuf>,

    /// Be content with the role, and do not ask for the configuration: `conf` need not be whitelisted then
    #[arg(long, env = "TOOLBOX_PROBE_ROLE_ONLY", help_heading = "Readiness")]
    role_only: bool,

    /// The folder of the server's zoo.cfg: a server whose file there is older than the configuration that it serves is not ready
    ///
    /// ZooKeeper answers a change as made though a member can't write its folder, as with a ConfigMap mounted there, or a full or
    /// read-only volume: that member has the new configuration until it restarts (E_CONFIG_NOT_PERSISTED).
    #[arg(
        long,
        env = "TOOLBOX_PROBE_CONF_DIR",
        value_name = "FOLDER",
        help_heading = "Readiness",
        conflicts_with = "role_only"
    )]
    conf_dir: Option<PathBuf>,

    /// Take a server for ready that runs standalone, as no member of an ensemble
    #[arg(long, env = "TOOLBOX_PROBE_STANDALONE", help_heading = "Readiness")]
    standalone: bool,
}

impl ReadyArgs {
    async fn server(&self, context: &Context, address: &str, deadline: Instant) -> anyhow::Result<ZookeeperServer> {
        let Address { host, port } = flags::address(address)?;
        let id = match &self.data_dir {
            Some(folder) => Some(flags::my_id(folder, deadline).await?),
            None => self.id,
        };
        let settings = flags::settings(context, address, deadline).await?;
        let words = FourLetterWords::new(&settings, &host, port).map_err(|error| Stop::usage(error.to_string()))?;
        let expected = Expected { id, standalone: self.standalone };
        let server = observe::Server { words, role_only: self.role_only, conf_dir: self.conf_dir.clone() };
        Ok(ZookeeperServer { server, expected })
    }
}

pub(super) async fn run(context: &mut Context, args: ZookeeperArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Live(args) => live(context, &args, ZOOKEEPER).await,
        Verb::Ready(args) => {
            let deadline = flags::deadline(context);
            let server = args.ready.server(context, &args.address.of(ZOOKEEPER), deadline).await?;
            let seen = observe::look(&server.server, deadline).await;
            end(context, &Answer::new(ready(&seen, server.expected), seen))
        }
        Verb::Serve(args) => {
            let address = args.address.of(ZOOKEEPER);
            let port = args.live.port(&address, ZOOKEEPER)?;
            let server = args.ready.server(context, &address, flags::deadline(context)).await?;
            serve(context, &args.serve, Looks { port, readiness: Readiness::Zookeeper(server) }).await
        }
    }
}
