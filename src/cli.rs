//! The command line: global flags and one line a command. The only file that names all commands.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::agent::repeat::{can_repeat, repeat};
use crate::commands::ensemble::command as ensemble;
use crate::commands::events::command as events;
use crate::commands::identity::command as identity;
use crate::commands::mapping::command as mapping;
use crate::commands::probe::command as probe;
use crate::commands::rbac::command as rbac;
use crate::commands::reassign::command as reassign;
use crate::commands::rollout::command as rollout;
use crate::commands::throttle::command as throttle;
use crate::commands::topics::command as topics;
use crate::context::{Context, Flags, environment};
use crate::exit::{Exit, Stop};
use crate::manual;

/// Runs Kafka on Kubernetes: topics from ConfigMaps, an event for every side effect.
///
/// Every command plans, shows, asks, applies and records. Exit codes: 0 as desired, or now is; 1 failed; 2 wrong
/// usage or bad input; 3 a dry run found changes; 4 refused; 5 unhealthy.
#[derive(Debug, Parser)]
#[command(name = "toolbox", version, max_term_width = 120, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Topics as ConfigMaps or files declare them, against the cluster
    Topics(topics::TopicsArgs),
    /// Which brokers hold which partitions: shows it, and plans moves
    Mapping(Box<mapping::MappingArgs>),
    /// Moves of partitions: carried out, followed, verified, taken back
    Reassign(reassign::ReassignArgs),
    /// Paces replication: moves end, clients do not notice
    Throttle(throttle::ThrottleArgs),
    /// A ZooKeeper ensemble or KRaft quorum: who votes, what it survives, what is wrong
    Ensemble(ensemble::EnsembleArgs),
    /// Whether a broker, a controller or a ZooKeeper server may stop now; rolling restarts that keep to it
    Rollout(Box<rollout::RolloutArgs>),
    /// Which id and rack a broker has: for the init container of its pod
    Identity(identity::IdentityArgs),
    /// The record of every side effect: add to it, read it, deliver it
    Events(events::EventsArgs),
    /// Liveness and readiness of a ZooKeeper server, a broker or a controller, for a kubelet
    Probe(Box<probe::ProbeArgs>),
    /// What a command needs to be allowed in Kubernetes: prints ServiceAccount, Role and RoleBinding
    Rbac(rbac::RbacArgs),
    /// What a shell needs to complete commands, flags and live names
    Completions(manual::CompletionsArgs),
    /// Man pages
    Man(manual::ManArgs),
}

impl Cli {
    /// The definition of the command line, whole. Help names environment variables, never their values: some are secrets.
    pub fn definition() -> clap::Command {
        let mut definition = Self::unbuilt();
        definition.build();
        definition
    }

    /// The same without the global flags in each command: to build all commands takes as long as everything else that a
    /// short command does, and parsing builds those that the line names.
    fn unbuilt() -> clap::Command {
        hide_values(globals_last(Self::command()))
    }

    /// Reads this process's arguments; prints help or what is wrong with them, and ends the process, where clap does.
    ///
    /// A value of the environment that no flag takes is an error of ours, which names the variable.
    pub fn read() -> Result<Self, Stop> {
        let mut definition = Self::unbuilt();
        let matches = match definition.try_get_matches_from_mut(std::env::args_os()) {
            Ok(matches) => matches,
            Err(error) => {
                let line: Vec<_> = std::env::args_os().collect();
                let line = || line.iter().map(AsRef::as_ref);
                let wrong = environment::wrong_variable(&error, &definition, line());
                let wrong = wrong.or_else(|| environment::unfit_argument(&error, line()));
                return Err(wrong.unwrap_or_else(|| error.exit()));
            }
        };
        environment::empty_variable(&matches, &definition).map_or(Ok(()), Err)?;
        Ok(Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
    }

    /// The flags that every command takes.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Runs the command to its end: once, or whenever the schedule says so.
    pub async fn run(self) -> anyhow::Result<Exit> {
        let Self { flags, command } = self;
        if command.may_ask() {
            can_repeat(&flags)?;
        }
        repeat(&flags, async |context| Box::pin(command.clone().run(context)).await).await
    }

    /// Runs the command once, in a context that the caller changed: with memory twins, another clock.
    pub async fn run_in(self, change: impl FnOnce(Context) -> Context) -> anyhow::Result<Exit> {
        let mut context = change(Context::new(self.flags));
        let ended = Box::pin(self.command.run(&mut context)).await;
        context.leave().await;
        context.close(ended).await
    }
}

impl Command {
    /// Whether it shows a plan and asks before it changes something.
    fn may_ask(&self) -> bool {
        match self {
            Self::Topics(args) => args.may_ask(),
            Self::Reassign(args) => args.may_ask(),
            Self::Throttle(args) => args.may_ask(),
            Self::Identity(args) => args.may_ask(),
            Self::Rollout(args) => args.may_ask(),
            _ => false,
        }
    }

    async fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Command::Topics(args) => {
                let applied = topics::run(context, args).await;
                let (Ok(exit), Some(plan)) = (&applied, context.take_over()) else {
                    context.end_handed_over(&applied).await;
                    return applied;
                };
                let moved = Box::pin(reassign::carry_on(context, plan)).await;
                context.end_handed_over(&moved).await;
                // What is left undone says more than that the rest is done.
                let moved = moved?;
                Ok(if moved == Exit::Done { *exit } else { moved })
            }
            Command::Mapping(args) => mapping::run(context, *args).await,
            Command::Reassign(args) => Box::pin(reassign::run(context, args)).await,
            Command::Throttle(args) => throttle::run(context, args).await,
            Command::Ensemble(args) => Box::pin(ensemble::run(context, args)).await,
            Command::Rollout(args) => Box::pin(rollout::run(context, *args)).await,
            Command::Identity(args) => Box::pin(identity::run(context, args)).await,
            Command::Events(args) => events::run(context, args).await,
            Command::Probe(args) => Box::pin(probe::run(context, *args)).await,
            Command::Rbac(args) => rbac::run(context, &args),
            Command::Completions(args) => manual::completions(&args),
            Command::Man(args) => manual::man(&args, Cli::definition()),
        }
    }
}

/// Flags of every command that `-h` shows, too: what nearly every run needs.
const OFTEN: [&str; 5] = ["bootstrap_server", "cluster", "dry_run", "yes", "output"];

/// The flags of every command under one heading, which comes last; `-h` shows the few of them that are needed often.
fn globals_last(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        if !argument.is_global_set() {
            return argument;
        }
        let is_rare = !OFTEN.contains(&argument.get_id().as_str());
        argument.help_heading("Flags of every command").hide_short_help(is_rare)
    })
}

fn hide_values(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(hide_values)
}
