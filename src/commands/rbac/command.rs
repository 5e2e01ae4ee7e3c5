//! `toolbox rbac`: its arguments; the rules are `context::rights`.

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::context::rights::{Rule, Setup, Workload, manifest, rules};
use crate::exit::{Exit, Stop};

/// Arguments of `toolbox rbac`.
#[derive(Debug, Clone, Args)]
pub struct RbacArgs {
    /// The command: `topics apply`, `reassign execute`, `throttle run`, `rollout run`, `identity assign`, `ensemble watch` (their first
    /// word is enough) or `rollout drain-guard`, or `toolbox` for people who run all of them
    #[arg(value_name = "COMMAND", required = true, num_args = 1..=3)]
    command: Vec<String>,

    /// Who declares the topics, as `--owner` of `topics apply` [default: the cluster's name]
    #[arg(long, env = "TOOLBOX_OWNER", value_name = "NAME")]
    owner: Option<String>,

    /// The map whose broker ids `identity assign` gives out, or `rollout drain-guard` reads [default: all maps of the cluster in toolbox.yaml]
    #[arg(long, env = "TOOLBOX_IDENTITY_MAP", value_name = "NAME")]
    map: Option<String>,
}

/// A workload with its rules, for programs.
#[derive(Serialize)]
struct Needs {
    command: &'static str,
    namespace: Option<String>,
    rules: Vec<Rule>,
}

/// Prints the ServiceAccount, the Role and the RoleBinding. No server is asked.
pub fn run(context: &mut Context, args: &RbacArgs) -> anyhow::Result<Exit> {
    context.command = "rbac".into();
    let workload = workload(&args.command)?;
    // The name is all that is needed of a cluster: that toolbox.yaml knows it is of no importance here, but for its maps.
    let has_maps = matches!(workload, Workload::Identity | Workload::DrainGuard);
    let needs_maps = has_maps && args.map.is_none();
    if context.flags.cluster.is_none() || needs_maps {
        context.read_toolbox_file()?;
    }
    let Some(cluster) = context.flags.cluster.clone() else {
        let message =
            "the names of the objects are made of the cluster's name: name it with --cluster, as toolbox.yaml does";
        return Err(Stop::usage(message).into());
    };
    let owner = args.owner.clone().unwrap_or_else(|| cluster.clone());
    let of_file = || context.maps.0.iter().map(|map| map.name.clone()).collect();
    let maps: Vec<_> = args.map.clone().map_or_else(of_file, |map| vec![map]);
    if has_maps && maps.is_empty() {
        return Err(Stop::usage("the registry of broker ids is named after its map: name it with --map").into());
    }
    let setup = Setup { owner, reads_config_maps: true, maps, ..context.rights_setup(&cluster) };
    let namespace = context.flags.kubernetes.namespace.clone();
    let needs = Needs { command: workload.command(), namespace, rules: rules(workload, &setup) };
    let yaml = || manifest(workload, &needs.rules, needs.namespace.as_deref()).trim_end().to_owned();
    context.output().result(&needs, |_| yaml())?;
    Ok(Exit::Done)
}

/// The workload that words name.
fn workload(words: &[String]) -> Result<Workload, Stop> {
    let words = words.join(" ");
    let is_meant = |workload: &Workload| words == workload.name() || words == workload.command();
    Workload::ALL.into_iter().find(is_meant).ok_or_else(|| {
        let known: Vec<_> = Workload::ALL.iter().map(|workload| format!("`{}`", workload.command())).collect();
        Stop::usage(format!("`{words}` needs nothing in Kubernetes, or is no command; there are {}", known.join(", ")))
    })
}
