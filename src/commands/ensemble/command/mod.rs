//! `toolbox ensemble`: its verbs and their arguments.

mod flags;
mod status;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox ensemble`.
#[derive(Debug, Clone, Args)]
pub struct EnsembleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Show who votes and leads, how far each is behind, how many failures are survived, and what is wrong
    ///
    /// Of a ZooKeeper ensemble (--zookeeper) every server is asked at once, with the four-letter words `srvr`, `conf` and
    /// `mntr`, for at most 2 s. Only srvr is allowed by default: set `4lw.commands.whitelist=srvr,conf,mntr` in zoo.cfg. For TLS
    /// ports give --command-config with `security.protocol=SSL` and `ssl.*`. Of a KRaft quorum the leader is asked, by way of
    /// a controller (--bootstrap-controller) or a broker (--bootstrap-server). Nothing is changed.
    ///
    /// Exit codes: 0 nothing is wrong; 5 no quorum, incoherent configuration or unsafe number; 2 wrong usage; 1 nobody
    /// answered.
    Status(status::StatusArgs),
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: EnsembleArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Status(args) => {
            "ensemble status".clone_into(&mut context.command);
            status::run(context, &args).await
        }
    }
}
