//! `toolbox mapping`: its verbs and their arguments.

mod files;
mod flags;
mod planning;
mod show;
mod verbs;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox mapping`.
#[derive(Debug, Clone, Args)]
pub struct MappingArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Who holds what: storage, replicas, leaders, racks, and what fails if a broker or rack is lost
    Show(show::ShowArgs),
    /// Place replicas that can't stay, change the replication factor, repair racks; or place all anew
    Rebuild(verbs::RebuildArgs),
    /// Even out storage over brokers, then leaders, copying as little as that takes
    Rebalance(verbs::RebalanceArgs),
    /// Give new brokers their share and drain those that leave; nothing else moves
    Scale(verbs::ScaleArgs),
    /// Put the replicas of failed or leaving brokers on others, in the same places
    Replace(verbs::ReplaceArgs),
    /// Empty brokers or a rack, or take only the leadership from them
    Evacuate(verbs::EvacuateArgs),
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: MappingArgs) -> anyhow::Result<Exit> {
    context.command = format!("mapping {}", args.verb.name());
    context.read_toolbox_file()?;
    match &args.verb {
        Verb::Show(args) => show::run(context, args).await,
        Verb::Rebuild(args) => planning::run(context, &args.job()).await,
        Verb::Rebalance(args) => planning::run(context, &args.job()).await,
        Verb::Scale(args) => planning::run(context, &args.job()).await,
        Verb::Replace(args) => planning::run(context, &args.job()).await,
        Verb::Evacuate(args) => planning::run(context, &args.job()).await,
    }
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Show(_) => "show",
            Self::Rebuild(_) => "rebuild",
            Self::Rebalance(_) => "rebalance",
            Self::Scale(_) => "scale",
            Self::Replace(_) => "replace",
            Self::Evacuate(_) => "evacuate",
        }
    }
}
