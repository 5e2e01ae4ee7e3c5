//! `toolbox ensemble`: its verbs and their arguments.

mod apply;
mod controller;
mod declare;
mod flags;
mod kraft;
mod prestart;
mod status;
mod watch;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox ensemble`.
#[derive(Debug, Clone, Args)]
pub struct EnsembleArgs {
    #[command(subcommand)]
    verb: Box<Verb>,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Show who votes and leads, how far each is behind, how many failures are survived, and what is wrong
    ///
    /// Of a ZooKeeper ensemble (--zookeeper) every server is asked at once, with the four-letter words `srvr`, `conf` and
    /// `mntr`, for at most 2 s. Only srvr is allowed by default: set `4lw.commands.whitelist=srvr,conf,mntr` in zoo.cfg. For TLS
    /// ports give --zookeeper-config with `zookeeper.client.secure=true` and `zookeeper.ssl.*`. Of a KRaft quorum the leader is
    /// asked, by way of a controller (--bootstrap-controller) or a broker (--bootstrap-server). Nothing is changed. Where the
    /// ensemble was adopted, the next step of `ensemble apply` is shown, or why it refuses. In Kubernetes `-o wide` shows pods, nodes
    /// and zones.
    ///
    /// Exit codes: 0 nothing is wrong; 5 no quorum, incoherent configuration, unsafe number, or a record that is damaged or of
    /// another ensemble; 2 wrong usage; 1 nobody could be asked.
    Status(status::StatusArgs),
    /// Show what `apply` would do next, with every guard and its numbers
    ///
    /// Exit codes: 0 all is as desired; 3 something would be done; 4 refused, with an E_… name; 5 unhealthy, or waiting.
    Plan(apply::PlanArgs),
    /// Make the membership of a ZooKeeper ensemble or KRaft quorum what the record says, one server at a time
    ///
    /// Each pass asks every server, settles what an earlier pass left open, and makes one change at most: it replaces a voter
    /// that is gone for good, promotes a joiner that is caught up, removes a server that should leave (the leader last), or
    /// changes an address. The change is written to the record first, sent for the version that was seen, read back, and
    /// confirmed on every member. What would endanger the quorum is refused. With -o json one document a pass is written.
    ///
    /// In Kubernetes the pods that the record names are read before each change, with their StatefulSet: while one of another member
    /// is not ready or terminates, while the StatefulSet is being rolled out, or where that can't be read, nothing is changed
    /// (E_ROLLOUT). A server whose claim or volume was deleted, or whose volume's node does not exist, at every pass of 15 minutes is
    /// gone for good; passes must not lie more than 10 minutes apart for that. After a live server was removed, the replicas of its
    /// StatefulSet are lowered by one if its pod is the last one; else it is said how to stop it.
    ///
    /// Of a KRaft quorum one voter is added or removed a pass, by way of the controllers (--bootstrap-controller, else those that
    /// the brokers name). The old directory of a new disk is removed before the new one is added. Static quorums are refused with
    /// the way to upgrade. Where controllers join by themselves, one is stopped before it is removed, and watched for a minute.
    ///
    /// Exit codes: 0 all is as desired; 1 failed, or the result is not known: run again; 3 a dry run found something to do;
    /// 4 refused, with an E_… name; 5 unhealthy, or still waiting when the time was over.
    Apply(apply::ApplyArgs),
    /// Do what `apply` does, every some seconds, until it is stopped: an agent
    ///
    /// In Kubernetes a Deployment: one pod holds the Leases and works, others stand by. What Kubernetes knows of the servers' pods
    /// enters every pass, as for `apply`. Alerts, refusals and changes are said and
    /// recorded when they are new.
    Watch(watch::WatchArgs),
    /// Take over a running ensemble: its members, addresses and version become the record
    ///
    /// The ensemble gets an id in the node /kafka-toolbox/ensemble-id, and the record (a ConfigMap, or a file) holds it. Run it
    /// again after a change that was made without the toolbox and is right. Nothing in the membership is changed. Of a KRaft quorum
    /// the record holds the voters with their directory ids.
    Adopt(declare::AdoptArgs),
    /// Let servers join: they are promoted once they follow and are caught up. Or give members new addresses
    ///
    /// Start each joiner with the present members and itself as observer in its dynamic configuration (`ensemble prestart` writes
    /// that). For an observer that stays one, write the role: `4=zk-3.zk:2888:3888:observer;2181`.
    ///
    /// A KRaft controller joins with the directory that follows the quorum under its id: format its disk with
    /// `kafka-storage.sh format --no-initial-controllers` and start it, or name its directory id. The same for a voter's new disk.
    Join(declare::JoinArgs),
    /// Let live servers leave: they are removed one by one, the leader last
    ///
    /// The id of a ZooKeeper server that left is never given again: an old disk may come back under it. A server that should be in
    /// the ensemble later joins under an id that was never used. A KRaft controller may join again under its id, with a new disk.
    Leave(declare::LeaveArgs),
    /// Declare a server gone for good: it is replaced or removed, and its disk is refused when it comes back
    ///
    /// Shows what is lost by it. Only for a server that does not answer: let a live one `leave`. One that a pass has seen alive is
    /// removed 15 minutes after that at the earliest, 20 at the latest: the record notes every 5 minutes who runs.
    Retire(declare::RetireArgs),
    /// Write what a server starts from, for the init container of its pod; or refuse, or wait
    Prestart(PrestartArgs),
}

impl EnsembleArgs {
    /// Whether the verb shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        !matches!(*self.verb, Verb::Status(_) | Verb::Plan(_) | Verb::Watch(_))
    }
}

/// Arguments of `toolbox ensemble prestart`.
#[derive(Debug, Clone, Args)]
struct PrestartArgs {
    #[command(subcommand)]
    kind: Prestart,
}

#[derive(Debug, Clone, Subcommand)]
enum Prestart {
    /// Of a ZooKeeper server: zoo.cfg, the dynamic file, myid
    ///
    /// Every known member is asked. Where an ensemble is live, its configuration is written: with this server as observer, if it is
    /// no member yet. Where none is, a file on disk that agrees with the document is kept, and the first server of a new ensemble
    /// begins alone; any other waits. Nothing is ever taken from a template, and what contradicts is refused under a name
    /// (E_ID_CONFLICT, E_RETIRED_DISK, E_EMPTY_DISK, E_MEMBERSHIP_REGRESSED, E_SPLIT_BRAIN, E_CONFIG_NOT_PERSISTED, E_DISK_IO, …).
    ///
    /// The document is the ConfigMap `toolbox-ensemble-CLUSTER` (outside Kubernetes a file of the state folder). Written are
    /// zoo.cfg and zoo.cfg.dynamic in --conf-dir, myid and .member in --data-dir, and `initialize` for the first server alone.
    /// Start ZooKeeper from that zoo.cfg. A pod never changes the membership: `ensemble apply` or `watch` promotes the server.
    ///
    /// An init container does not wait for Datadog: events go to the audit log in the state folder, and in a pod to Kubernetes,
    /// for which it waits 2 s at most. Exit codes: 0 it may start; 4 refused; 5 it may not start yet; 2 wrong usage; 1 failed.
    Zookeeper(Box<prestart::PrestartArgs>),
    /// Of a KRaft controller: format its disk once, and record its directory id
    ///
    /// The first controller of a new quorum is formatted with `--standalone`, every other one with `--no-initial-controllers`: it
    /// follows until `ensemble apply` or `watch` makes it a voter. A disk that is formatted is never formatted again. An empty disk
    /// of a voter is formatted only while the other voters have a quorum (else E_EMPTY_DISK), and counts as another voter then.
    /// Static quorums (controller.quorum.voters) are refused (E_STATIC_QUORUM).
    ///
    /// Kafka's own tool formats: give it as --format-cmd, and run this command in Kafka's image. The document is written before and
    /// after it, so that no disk is formatted that was not decided on in the same run, and none starts unrecorded.
    ///
    /// The document is the ConfigMap `toolbox-ensemble-CLUSTER-controllers` (outside Kubernetes a file of the state folder). Exit
    /// codes: 0 it may start; 4 refused; 5 it may not start yet; 2 wrong usage; 1 failed.
    Controller(Box<controller::ControllerArgs>),
}

/// Runs a verb to its end.
pub async fn run(context: &mut Context, args: EnsembleArgs) -> anyhow::Result<Exit> {
    let name = match &*args.verb {
        Verb::Status(_) => "status",
        Verb::Plan(_) => "plan",
        Verb::Apply(_) => "apply",
        Verb::Watch(_) => "watch",
        Verb::Adopt(_) => "adopt",
        Verb::Join(_) => "join",
        Verb::Leave(_) => "leave",
        Verb::Retire(_) => "retire",
        Verb::Prestart(PrestartArgs { kind: Prestart::Zookeeper(_) }) => "prestart zookeeper",
        Verb::Prestart(PrestartArgs { kind: Prestart::Controller(_) }) => "prestart controller",
    };
    context.command = format!("ensemble {name}");
    context.read_toolbox_file()?;
    let done = match &*args.verb {
        Verb::Status(args) => return status::run(context, args).await,
        Verb::Plan(args) => return apply::plan(context, args).await,
        Verb::Apply(args) => Box::pin(apply::apply(context, args)).await,
        Verb::Watch(args) => Box::pin(watch::run(context, args)).await,
        Verb::Adopt(args) => Box::pin(declare::adopt(context, args)).await,
        Verb::Join(args) => Box::pin(declare::join(context, args)).await,
        Verb::Leave(args) => Box::pin(declare::leave(context, args)).await,
        Verb::Retire(args) => Box::pin(declare::retire(context, args)).await,
        Verb::Prestart(PrestartArgs { kind: Prestart::Zookeeper(args) }) => {
            Box::pin(prestart::run(context, args)).await
        }
        Verb::Prestart(PrestartArgs { kind: Prestart::Controller(args) }) => {
            Box::pin(controller::run(context, args)).await
        }
    };
    context.end_verb(&done).await;
    done
}
