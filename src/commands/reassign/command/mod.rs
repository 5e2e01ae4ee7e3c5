//! `toolbox reassign`: its verbs and their arguments.

mod bounds;
mod cancel;
mod elect;
mod execute;
mod pause;
pub(super) mod record;
mod status;
mod survey;
mod throttles;
mod verify;

use clap::{Args, Subcommand};

use crate::change::plan::Risk;
use crate::cluster::assignment::MovePlan;
use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox reassign`.
#[derive(Debug, Clone, Args)]
pub struct ReassignArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Carry a plan out, and follow it to its end; run it again to go on after anything
    Execute(Box<execute::ExecuteArgs>),
    /// Say how far the moves are, how fast, and what stands still
    Status(status::StatusArgs),
    /// Say whether every partition is as planned; exit 5 if one is not
    Verify(verify::VerifyArgs),
    /// Take running moves back: the former replicas in their order, and the throttles
    Cancel(cancel::CancelArgs),
    /// Let the preferred leaders of topics, brokers or partitions lead, as kafka-leader-election does
    Elect(elect::ElectArgs),
    /// Begin no more moves; those that run go on
    Pause,
    /// Begin moves again
    Resume,
    /// Give the running execution other bounds
    Set(bounds::SetArgs),
}

impl ReassignArgs {
    /// Whether the verb shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        matches!(self.verb, Verb::Execute(_) | Verb::Cancel(_) | Verb::Elect(_))
    }
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: ReassignArgs) -> anyhow::Result<Exit> {
    context.command = format!("reassign {}", args.verb.name());
    context.read_toolbox_file()?;
    context.say_toolbox_file();
    let done = match args.verb {
        Verb::Execute(args) => execute::run(context, &args).await,
        Verb::Status(args) => return status::run(context, &args).await,
        Verb::Verify(args) => return verify::run(context, &args).await,
        Verb::Cancel(args) => cancel::run(context, &args).await,
        Verb::Elect(args) => elect::run(context, &args).await,
        Verb::Pause => pause::run(context, true).await,
        Verb::Resume => pause::run(context, false).await,
        Verb::Set(args) => bounds::run(context, &args).await,
    };
    context.end_verb(&done).await;
    done
}

/// Carries out moves that another command planned, and that were agreed to there, as `reassign execute` would with
/// what the environment says of it (`TOOLBOX_REASSIGN_THROTTLE`, …).
pub async fn carry_on(context: &mut Context, plan: MovePlan) -> anyhow::Result<Exit> {
    "reassign execute".clone_into(&mut context.command);
    context.flags.yes = true;
    context.flags.max_risk = Some(Risk::MovesData);
    let done = execute::agreed(context, plan).await;
    context.end_verb(&done).await;
    done
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Self::Execute(_) => "execute",
            Self::Status(_) => "status",
            Self::Verify(_) => "verify",
            Self::Cancel(_) => "cancel",
            Self::Elect(_) => "elect",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Set(_) => "set",
        }
    }
}
