//! `toolbox mapping`: its verbs and their arguments.

mod choices;
mod flags;
mod planning;
mod show;
mod sizes;
mod verbs;

use clap::{Args, Subcommand};

use crate::commands::mapping::spec::goals::Request;
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
    ///
    /// IF LOST counts partitions beyond those in trouble now: offline ones can be neither read nor written, those under
    /// min ISR take no writes with acks=all.
    Show(show::ShowArgs),
    /// Place replicas that can't stay, change the replication factor, repair racks; or place all anew
    ///
    /// Moves replicas from brokers that are gone or not allowed, and what stands in the way of spread racks; nothing else.
    /// Changes nothing in the cluster: --out writes the plan, `toolbox reassign execute` carries it out.
    ///
    /// Exit codes: 0 nothing to do, or the plan was written; 3 there are moves; 4 a finding marked x blocks the plan.
    Rebuild(verbs::RebuildArgs),
    /// Even out storage over brokers, then leaders, copying as little as that takes
    ///
    /// Each broker ends within the tolerance of the mean of its rack, in parts of its disk where disks differ; --choices
    /// shows what other tolerances would cost. What is above the disk limit comes below it first. Brokers that are gone
    /// keep their replicas: see `replace`. Changes nothing in the cluster: --out writes the plan, `toolbox reassign
    /// execute` carries it out.
    ///
    /// Exit codes: 0 nothing to do, or the plan was written; 3 there are moves; 4 a finding marked x blocks the plan.
    Rebalance(verbs::BalancingArgs),
    /// Give new brokers their share and drain those that leave; nothing else moves
    ///
    /// New are brokers that hold nothing of the topics; those that leave hold some and are not among --brokers, as
    /// `--brokers -1,1007` for one more, or `--brokers 1001-1005` for one less. Changes nothing in the cluster: --out
    /// writes the plan, `toolbox reassign execute` carries it out.
    ///
    /// Exit codes: 0 nothing to do, or the plan was written; 3 there are moves; 4 a finding marked x blocks the plan.
    Scale(verbs::BalancingArgs),
    /// Put the replicas of failed or leaving brokers on others, in the same places
    ///
    /// A successor takes the very places of the old broker where its rack and its disks allow that; what doesn't fit goes
    /// to other allowed brokers. Kafka's own topics move, too. Changes nothing in the cluster: --out writes the plan,
    /// `toolbox reassign execute` carries it out.
    ///
    /// Exit codes: 0 nothing to do, or the plan was written; 3 there are moves; 4 a finding marked x blocks the plan.
    Replace(verbs::ReplaceArgs),
    /// Empty brokers or a rack, or take only the leadership from them
    ///
    /// Everything that they hold goes to other brokers of the same map, Kafka's own topics too. What they led is spread
    /// evenly over those that hold a replica of it afterwards; no other leader changes. Changes nothing in the cluster: --out writes the plan, `toolbox reassign execute` carries it out.
    ///
    /// Exit codes: 0 nothing to do, or the plan was written; 3 there are moves; 4 a finding marked x blocks the plan.
    Evacuate(verbs::EvacuateArgs),
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: MappingArgs) -> anyhow::Result<Exit> {
    context.command = format!("mapping {}", args.verb.name());
    context.read_toolbox_file()?;
    context.say_toolbox_file();
    match &args.verb {
        Verb::Show(args) => show::run(context, args).await,
        Verb::Rebuild(args) => planning::run(context, &args.job()).await,
        Verb::Rebalance(args) => planning::run(context, &args.job(Request::Rebalance)).await,
        Verb::Scale(args) => planning::run(context, &args.job(Request::Scale)).await,
        Verb::Replace(args) => planning::run(context, &args.job()).await,
        Verb::Evacuate(args) => {
            args.check()?;
            planning::run(context, &args.job()).await
        }
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
