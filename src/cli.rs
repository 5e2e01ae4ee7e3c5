//! The command line: global flags and one line a command. The only file that names all commands.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

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

/// Adds the arguments of a command.
type Arguments = fn(clap::Command) -> clap::Command;

/// The arguments of each command, by its name.
const ARGUMENTS: [(&str, Arguments); 12] = [
    ("topics", topics::TopicsArgs::augment_args),
    ("mapping", mapping::MappingArgs::augment_args),
    ("reassign", reassign::ReassignArgs::augment_args),
    ("throttle", throttle::ThrottleArgs::augment_args),
    ("ensemble", ensemble::EnsembleArgs::augment_args),
    ("rollout", rollout::RolloutArgs::augment_args),
    ("identity", identity::IdentityArgs::augment_args),
    ("events", events::EventsArgs::augment_args),
    ("probe", probe::ProbeArgs::augment_args),
    ("rbac", rbac::RbacArgs::augment_args),
    ("completions", manual::CompletionsArgs::augment_args),
    ("man", manual::ManArgs::augment_args),
];

impl Cli {
    /// The definition of the command line, whole. Help names environment variables, never their values: some are secrets.
    pub fn definition() -> clap::Command {
        let mut definition = Self::unbuilt();
        definition.build();
        definition
    }

    /// The same without the global flags in each command.
    fn unbuilt() -> clap::Command {
        hide_values(globals_last(Self::command()))
    }

    /// The flags of every command, and the commands that the line may name: a command whose name is no word of it is not
    /// meant. To define all commands takes longer than everything else that a probe does. It lacks the texts for people: a line
    /// that it does not understand is parsed again with the whole definition.
    fn of_line(line: &[OsString]) -> clap::Command {
        let root = clap::Command::new("toolbox").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
        let named = ARGUMENTS.iter().filter(|(name, _)| line.iter().any(|word| word == *name));
        named.fold(Flags::augment_args(root), |root, (name, arguments)| {
            root.subcommand(arguments(clap::Command::new(*name)))
        })
    }

    /// Reads this process's arguments; prints help or what is wrong with them, and ends the process, where clap does.
    ///
    /// A value of the environment that no flag takes is an error of ours, which names the variable.
    pub fn read() -> Result<Self, Stop> {
        let line: Vec<_> = std::env::args_os().collect();
        let mut definition = Self::of_line(&line);
        let mut matches = definition.try_get_matches_from_mut(&line);
        if matches.as_ref().is_err_and(|error| error.kind() != ErrorKind::DisplayVersion) {
            definition = Self::unbuilt();
            matches = definition.try_get_matches_from_mut(&line);
        }
        let matches = match matches {
            Ok(matches) => matches,
            Err(error) => {
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
            Self::Ensemble(args) => args.may_ask(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and arguments of a command and of those below it; of an argument what decides how a line is read.
    fn shape(command: &clap::Command, path: &str, shape: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let argument = |it: &clap::Arg| {
            let takes = (it.get_num_args(), it.get_default_values(), it.get_env(), it.is_required_set());
            format!("{path} {:?} {:?} {:?} {takes:?}", it.get_id(), it.get_long(), it.get_short())
        };
        let mut own: Vec<_> = command.get_arguments().map(argument).collect();
        own.sort();
        shape.append(&mut own);
        shape.push(format!(
            "{path} {:?} {}",
            command.get_all_aliases().collect::<Vec<_>>(),
            command.is_subcommand_required_set()
        ));
        for below in command.get_subcommands() {
            self::shape(below, &path, shape);
        }
    }

    #[test]
    fn a_line_that_names_a_command_is_read_as_by_the_whole_definition() {
        let (mut whole, mut of_line) = (Vec::new(), Vec::new());
        let names: Vec<OsString> = ARGUMENTS.iter().map(|(name, _)| OsString::from(name)).collect();
        shape(&Cli::command(), "", &mut whole);
        shape(&Cli::of_line(&names), "", &mut of_line);
        assert_eq!(of_line, whole);
        let line: Vec<OsString> = ["toolbox", "--cluster", "mapping", "topics", "list"].map(OsString::from).into();
        let mut definition = Cli::of_line(&line);
        let names: Vec<_> = definition.get_subcommands().map(|it| it.get_name().to_owned()).collect();
        assert_eq!(names, ["topics", "mapping"], "a value may look like a command");
        let matches = definition.try_get_matches_from_mut(&line).unwrap();
        assert_eq!(matches.subcommand_name(), Some("topics"));
        assert!(Cli::from_arg_matches(&matches).is_ok());
    }
}
