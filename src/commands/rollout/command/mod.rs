//! `toolbox rollout`: its verbs and their arguments.

mod check;
mod drain_guard;
mod flags;
mod run;
mod wait;
mod whose;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox rollout`.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Whether a broker, a controller or a ZooKeeper server may stop now; nothing is changed
    ///
    /// A broker may stop if no partition falls below min.insync.replicas by it, none that it has a replica of is below that
    /// already, no partition of the cluster is without a leader, all other brokers are registered, and no partition moves
    /// run. Another broker is asked, twice. Partitions that have no more replicas than min.insync.replicas suffer in any
    /// case: they are listed as unavoidable, and those with a single replica refuse it unless that is accepted. A controller
    /// may stop if the others that are caught up are a majority, a ZooKeeper server if the others are one and all have
    /// stored the live configuration. It cannot be seen whether somebody else is about to stop another one: `rollout run`
    /// has a lock for that.
    ///
    /// Exit codes: 0 it may stop; 5 it may not now, wait; 4 refused: waiting does not help; 1 the state can't be read, so it
    /// may not; 2 wrong usage.
    Check(check::CheckArgs),
    /// Wait until a server is in sync, or until it may stop; nothing is changed
    ///
    /// A broker is in sync when it answers, another broker lists it, and each of its replicas is in sync but those that a
    /// running move adds or that wait for other brokers; a controller when it is caught up; a ZooKeeper server when it
    /// serves, is caught up and has the live configuration. Two looks must agree.
    ///
    /// Exit codes: 0 it is; 5 it was not within --within; 4 refused: waiting does not help; 1 the state can't be read for a
    /// minute; 2 wrong usage.
    Wait(wait::WaitArgs),
    /// Restart the servers of StatefulSets, or servers that two commands stop and start, one after the other
    ///
    /// Before each stop it is asked what `rollout check` asks, and the server that was restarted last must be in sync. First
    /// those that are not well, the active controller or leader last. A broker that is back in sync is elected where it is the
    /// preferred leader, and leads again before the next one stops; at the end the preferred leaders of all brokers are elected.
    /// One lock for the cluster, or for the ensemble of ZooKeeper servers, keeps out other rolls, changes of membership and the
    /// drain guard. Where another server fails, the roll waits and goes on once it is back; after --wait-max, or without leadership
    /// after --leaders-within, it is paused. A run that was killed goes on where it was: the pods' revisions say it, or the
    /// record in the state folder, and what was stopped is started first. It ends where the state can't be read for a minute.
    ///
    /// Exit codes: 0 all restarted and in sync; 5 paused; 4 refused; 3 a dry run found something to do; 1 a command failed,
    /// the lock was lost, or the state can't be read; 2 wrong usage.
    Run(Box<run::RunArgs>),
    /// A webhook for node drains: a broker, controller or ZooKeeper server is evicted only when it may stop
    ///
    /// The API server asks before it evicts a pod (ValidatingWebhookConfiguration for the creation of pods/eviction, see
    /// manifests/drain-guard). It is allowed where `rollout check` would allow a stop, by two looks; else it is denied with
    /// the reason: with 429 what passes by itself, so that `kubectl drain` tries again, with 403 what does not. An allowed
    /// eviction takes the lock of `rollout run` until the server is back in sync: one server at a time. Whatever can't be
    /// read or decided in time is denied. A dry run (`kubectl drain --dry-run=server`) is answered and leaves no trace.
    DrainGuard(Box<drain_guard::DrainGuardArgs>),
}

impl RolloutArgs {
    /// Whether it shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        matches!(&self.verb, Verb::Run(_))
    }
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: RolloutArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Check(args) => {
            "rollout check".clone_into(&mut context.command);
            context.read_toolbox_file()?;
            check::run(context, &args).await
        }
        Verb::Wait(args) => {
            "rollout wait".clone_into(&mut context.command);
            context.read_toolbox_file()?;
            wait::run(context, &args).await
        }
        Verb::Run(args) => {
            "rollout run".clone_into(&mut context.command);
            context.read_toolbox_file()?;
            run::run(context, &args).await
        }
        Verb::DrainGuard(args) => {
            "rollout drain-guard".clone_into(&mut context.command);
            context.read_toolbox_file()?;
            Box::pin(drain_guard::run(context, &args)).await
        }
    }
}
