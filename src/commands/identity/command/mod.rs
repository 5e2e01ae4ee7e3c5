//! `toolbox identity`: its verbs.

mod assign;
mod flags;
mod show;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Arguments of `toolbox identity`.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Give this pod's broker its id and rack, for an init container
    ///
    /// The id that the disk holds wins; then the annotation `kafka-toolbox/broker-id` of its claim, the label
    /// `kafka-toolbox/broker-id.MAP` of its node, the registry, and last the pod's ordinal (or the lowest free id). The
    /// ordinal is what follows the last `-` of the pod's name. Whatever contradicts is refused under a name (E_DISK_MISMATCH,
    /// E_ID_IN_USE, …, exit code 4) with what to do, and nothing is written then; meta.properties is never written.
    ///
    /// An empty disk gets an id of which nobody knows anything where the cluster lists no replica of it. A cluster that does not answer
    /// counts as new only while the registry has no more than entries of the last hour whose disks were never seen, and no other pod of
    /// the StatefulSet runs without an entry; else E_CLUSTER_UNKNOWN.
    ///
    /// The registry is the ConfigMap `toolbox-brokers-CLUSTER-MAP` (outside Kubernetes a file of the state folder). The files
    /// in --out are broker.id, rack.id, node.name, host.ip, map, env (KEY=VALUE), overrides.properties, and identity.json
    /// with the evidence; of ZooKeeper servers myid, which the data dir gets, too.
    ///
    /// Racks come from the variable POD_ZONE (the pod's label topology.kubernetes.io/zone by the downward API), else from
    /// the node's label, else from --rack-from-env; an empty one is no rack. An init container does not wait for Datadog:
    /// events go to the audit log in the state folder, and in a pod to Kubernetes, for which it waits 2 s at most.
    Assign(Box<assign::AssignArgs>),
    /// Show why this pod has its id, and with --map who has which id
    Show(show::ShowArgs),
}

impl IdentityArgs {
    /// Whether it shows a plan and asks before it changes something.
    pub fn may_ask(&self) -> bool {
        matches!(self.verb, Verb::Assign(_))
    }
}

/// Runs the command to its end.
pub async fn run(context: &mut Context, args: IdentityArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Assign(args) => {
            context.command = "identity assign".into();
            let done = assign::run(context, &args).await;
            context.end_verb(&done).await;
            done
        }
        Verb::Show(args) => {
            context.command = "identity show".into();
            show::run(context, &args).await
        }
    }
}
