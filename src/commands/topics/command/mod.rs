//! `toolbox topics`: its verbs and their arguments.

mod again;
mod apply;
mod declared;
mod describe;
mod export;
mod held;
mod list;
mod memory;
mod sources;
mod validate;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox topics`.
#[derive(Debug, Clone, Args)]
pub struct TopicsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List topics, those in trouble first
    List(list::ListArgs),
    /// Describe topics: partitions, trouble in words, settings
    Describe(describe::DescribeArgs),
    /// Show what apply would change; exit 3 if something would be, 4 if something would be refused
    Diff(apply::ApplyArgs),
    /// Make the cluster's topics as declared
    Apply(apply::ApplyArgs),
    /// Say what is wrong with declared topics
    Validate(validate::ValidateArgs),
    /// Write topics as a file for this tool, topicctl, Strimzi or Jikkou
    Export(export::ExportArgs),
}

impl TopicsArgs {
    /// Whether the verb shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        matches!(self.verb, Verb::Apply(_))
    }
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: TopicsArgs) -> anyhow::Result<Exit> {
    context.command = format!("topics {}", args.verb.name());
    context.read_toolbox_file()?;
    context.say_toolbox_file();
    match args.verb {
        Verb::List(args) => list::run(context, &args).await,
        Verb::Describe(args) => describe::run(context, &args).await,
        Verb::Diff(args) => apply::diff(context, &args).await,
        Verb::Apply(args) => apply::run(context, &args).await,
        Verb::Validate(args) => validate::run(context, &args).await,
        Verb::Export(args) => export::run(context, &args).await,
    }
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Describe(_) => "describe",
            Self::Diff(_) => "diff",
            Self::Apply(_) => "apply",
            Self::Validate(_) => "validate",
            Self::Export(_) => "export",
        }
    }
}
