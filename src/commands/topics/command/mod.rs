//! `toolbox topics`: its verbs and their arguments.

mod sources;
mod validate;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox topics`.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what is wrong with declared topics
    Validate(validate::ValidateArgs),
}

/// Runs a verb to its end.
#[expect(clippy::unused_async, reason = "verbs that talk to a cluster wait")]
pub async fn run(_context: &mut Context, args: TopicsArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Validate(args) => validate::run(&args),
    }
}
