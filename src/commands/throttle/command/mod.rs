//! `toolbox throttle`: its verbs and their arguments.

mod clear;
mod law;
mod run;
mod set;
mod status;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox throttle`.
#[derive(Debug, Clone, Args)]
pub struct ThrottleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Pace whatever moves, until it is stopped: an agent
    Run(Box<run::RunArgs>),
    /// Show throttles: who set them, what runs, whether it will end
    Status(status::StatusArgs),
    /// Set a rate for what moves now, or tell the agent that runs
    Set(set::SetArgs),
    /// Take our throttles away, or all of them
    Clear(clear::ClearArgs),
    /// Take away what dead runs left behind, once nothing moves
    Gc(clear::GcArgs),
}

impl ThrottleArgs {
    /// Whether the verb shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        matches!(self.verb, Verb::Set(_) | Verb::Clear(_) | Verb::Gc(_))
    }
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: ThrottleArgs) -> anyhow::Result<Exit> {
    let name = match &args.verb {
        Verb::Run(_) => "run",
        Verb::Status(_) => "status",
        Verb::Set(_) => "set",
        Verb::Clear(_) => "clear",
        Verb::Gc(_) => "gc",
    };
    context.command = format!("throttle {name}");
    context.read_toolbox_file()?;
    context.say_toolbox_file();
    let done = match args.verb {
        Verb::Run(args) => Box::pin(run::run(context, &args)).await,
        Verb::Status(args) => return Box::pin(status::run(context, &args)).await,
        Verb::Set(args) => Box::pin(set::run(context, &args)).await,
        Verb::Clear(args) => Box::pin(clear::clear(context, &args)).await,
        Verb::Gc(args) => Box::pin(clear::gc(context, &args)).await,
    };
    context.end_verb(&done).await;
    done
}
