//! `toolbox identity assign`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep};

use crate::change::in_order::InOrder;
use crate::change::plan::Plan;
use crate::change::settled::identities::ShownRegistry;
use crate::cluster::broker::BrokerId;
use crate::commands::identity::apply::{IdentityExecutor, load};
use crate::commands::identity::command::flags::{cluster, me, terms};
use crate::commands::identity::observe::{Places, Reader};
use crate::commands::identity::plan::{
    Act, Decision, Halt, IdentityStep, Kind, OutputFile, Replaced, Seen, Terms, Wanted, decide, lines, plan,
};
use crate::commands::identity::report::files;
use crate::commands::identity::spec::ids;
use crate::commands::identity::spec::listeners::Listeners;
use crate::context::rights::{Setup, Workload};
use crate::context::{Context, duration};
use crate::exit::Exit;
use crate::state::identity::{ClusterRef, Identity};
use crate::state::patience::pause;

/// How often an id is decided again because another pod took it.
const ROUNDS_MAX: usize = 200;

/// Arguments of `toolbox identity assign`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct AssignArgs {
    /// Broker's log dirs, or the ZooKeeper server's data dir: what they hold decides
    #[arg(
        long,
        visible_alias = "data-dir",
        env = "TOOLBOX_IDENTITY_LOG_DIRS",
        value_name = "FOLDER",
        value_delimiter = ',',
        required = true
    )]
    log_dirs: Vec<PathBuf>,

    /// Folder of the output files
    #[arg(long, env = "TOOLBOX_IDENTITY_OUT", value_name = "FOLDER", default_value = "/var/run/kafka-identity")]
    out: PathBuf,

    /// What gets an id
    #[arg(long, env = "TOOLBOX_IDENTITY_KIND", value_name = "KIND", default_value = "kafka")]
    pub(super) kind: Kind,

    /// The map of toolbox.yaml whose ids are drawn from [default: the cluster's only one]
    #[arg(long, env = "TOOLBOX_IDENTITY_MAP", value_name = "NAME", help_heading = "Ids")]
    pub(super) map: Option<String>,

    /// These ids instead of the map's, as `1001-1006,1010`; of ZooKeeper servers 1-255 without it
    #[arg(long, env = "TOOLBOX_IDENTITY_IDS", value_name = "RANGES", help_heading = "Ids", value_parser = id_set)]
    pub(super) ids: Option<BTreeSet<BrokerId>>,

    /// Ids of KRaft controllers, which no broker may have
    #[arg(long, env = "TOOLBOX_IDENTITY_CONTROLLER_IDS", value_name = "RANGES", help_heading = "Ids", value_parser = id_set)]
    pub(super) controller_ids: Option<BTreeSet<BrokerId>>,

    /// How an id is chosen for a disk that has none: by the pod's ordinal (0 is the lowest id of the map), or the lowest
    /// that nobody has
    #[arg(
        long,
        env = "TOOLBOX_IDENTITY_ALLOCATION",
        value_name = "HOW",
        help_heading = "Ids",
        default_value = "ordinal"
    )]
    pub(super) allocation: AllocationIn,

    /// The id that this pod must have [default: KAFKA_BROKER_ID or KAFKA_NODE_ID, where one is set]
    #[arg(long, env = "TOOLBOX_IDENTITY_ID", value_name = "ID", help_heading = "Ids", value_parser = ids::id)]
    pub(super) id: Option<BrokerId>,

    /// What is done where the disk of a known id is lost; same-id and new-id have risk moves-data (--max-risk)
    #[arg(
        long,
        env = "TOOLBOX_IDENTITY_REPLACED",
        value_name = "POLICY",
        help_heading = "Ids",
        default_value = "refuse"
    )]
    pub(super) replaced: Replaced,

    /// The cluster has no data yet: give ids out though no broker answers and others had ids before. Only for the first start
    #[arg(long, env = "TOOLBOX_IDENTITY_NEW_CLUSTER", help_heading = "Ids")]
    pub(super) new_cluster: bool,

    /// The label of nodes that names the rack
    #[arg(
        long,
        env = "TOOLBOX_IDENTITY_RACK_LABEL",
        value_name = "KEY",
        help_heading = "Racks",
        default_value = "topology.kubernetes.io/zone"
    )]
    rack_label: String,

    /// A variable of the environment that names the rack, where no label does
    #[arg(long, env = "TOOLBOX_IDENTITY_RACK_FROM_ENV", value_name = "VARIABLE", help_heading = "Racks")]
    pub(super) rack_from_env: Option<String>,

    /// Start without a rack where none is known
    #[arg(long, env = "TOOLBOX_IDENTITY_RACK_OPTIONAL", help_heading = "Racks")]
    pub(super) rack_optional: bool,

    /// Refuse a start in another rack than before
    #[arg(long, env = "TOOLBOX_IDENTITY_RACK_IMMUTABLE", help_heading = "Racks")]
    pub(super) rack_immutable: bool,

    /// Write advertised.listeners, with {host-ip}, {node-name}, {pod-name} and {id} filled in
    #[arg(long, env = "TOOLBOX_IDENTITY_ADVERTISED_LISTENERS", value_name = "LISTENERS", value_parser = Listeners::parse)]
    pub(super) advertised_listeners: Option<Listeners>,

    /// The claim of the disk, as `data-kafka-0`: disks are distinguished by their volumes
    #[arg(long, env = "TOOLBOX_IDENTITY_CLAIM", value_name = "NAME", help_heading = "Pod")]
    claim: Option<String>,

    /// Label the node with the id (kafka-toolbox/broker-id.MAP); it needs `get` and `patch` of nodes
    #[arg(long, env = "TOOLBOX_IDENTITY_LABEL_NODE", help_heading = "Pod", requires = "node_name")]
    pub(super) label_node: bool,

    /// Label the pod with the id (kafka-toolbox/broker-id); it needs `patch` of pods
    #[arg(long, env = "TOOLBOX_IDENTITY_LABEL_POD", help_heading = "Pod")]
    pub(super) label_pod: bool,

    /// The pod's name [default: HOSTNAME]
    #[arg(long, env = "POD_NAME", value_name = "NAME", help_heading = "Pod")]
    pub(super) pod_name: Option<String>,

    /// The pod's uid
    #[arg(long, env = "POD_UID", value_name = "UID", help_heading = "Pod")]
    pub(super) pod_uid: Option<String>,

    /// The node's name
    #[arg(long, env = "NODE_NAME", value_name = "NAME", help_heading = "Pod")]
    pub(super) node_name: Option<String>,

    /// The node's address
    #[arg(long, env = "HOST_IP", value_name = "ADDRESS", help_heading = "Pod")]
    pub(super) host_ip: Option<String>,

    /// How long the API server, other pods that write the registry, and the cluster are waited for
    #[arg(long, env = "TOOLBOX_IDENTITY_WITHIN", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    within: Duration,
}

/// How an id is chosen for a disk that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AllocationIn {
    /// By the pod's ordinal.
    Ordinal,
    /// The lowest that nobody has.
    FirstFree,
}

fn id_set(text: &str) -> Result<BTreeSet<BrokerId>, String> {
    ids::ids(text)
}

/// What one round decided: a plan, and what its steps need.
struct Decided {
    plan: Plan<IdentityStep>,
    decision: Option<Decision>,
    files: Vec<OutputFile>,
}

/// Gives the pod its id. Where another pod took that id while this one wrote, all is read and decided again.
pub(super) async fn run(context: &mut Context, args: &AssignArgs) -> anyhow::Result<Exit> {
    let deadline = context.as_init_container(args.within);
    context.read_toolbox_file()?;
    let (terms, me, cluster) = (terms(context, args)?, me(args)?, cluster(context)?);
    let places = Places {
        folders: args.log_dirs.clone(),
        claim: args.claim.clone(),
        rack_label: args.rack_label.clone(),
        out: args.out.clone(),
    };
    let reader = Reader { until: Some(deadline), ..reader(context, &terms).await? };
    let mut exit = Exit::Refused;
    for _ in 0..ROUNDS_MAX {
        let mut document = context.document(&Identity::of_brokers(&cluster, &terms.map)).await?;
        let observe = async || {
            let registry = load(&mut document, deadline).await?.without_future(terms.now);
            reader.observe(&terms, &places, me.clone(), registry).await
        };
        let seen = context.observed(observe).await?;
        let place = document.place();
        context.shows_registry(shown(context, &seen, &place));
        let Decided { mut plan, decision, files } = decided(&terms, &seen);
        for step in &mut plan.steps {
            if let Act::Register(entry) = &mut step.act {
                entry.registry = Some(place.clone());
            }
        }
        check_rights(context, &plan, &cluster, &terms.map).await?;
        let Some(decision) = decision else {
            return Ok(context.settle(plan, async |_: &[IdentityStep]| Vec::new()).await?.exit);
        };
        let mut order = InOrder::new(IdentityExecutor {
            document: &mut document,
            terms: &terms,
            seen: &seen,
            decision: &decision,
            files: &files,
            out: &args.out,
            kubernetes: reader.kubernetes.clone(),
            deadline,
            is_outrun: false,
        });
        exit = context.settle(plan, async |steps: &[IdentityStep]| order.apply(steps).await).await?.exit;
        if !order.executor.is_outrun || Instant::now() >= deadline {
            break;
        }
        sleep(pause()).await;
    }
    Ok(exit)
}

/// What the registry has before anything is written.
fn shown(context: &Context, seen: &Seen, place: &str) -> ShownRegistry {
    ShownRegistry {
        place: place.to_owned(),
        pod_uid: seen.me.uid.clone(),
        is_file: !context.keeps_state_in_kubernetes(),
        entries: seen.registry.ids.iter().map(|(id, entry)| (id.0, lines(entry))).collect(),
    }
}

async fn reader(context: &Context, terms: &Terms) -> anyhow::Result<Reader> {
    if context.flags.observed.is_some() {
        return Ok(Reader { kubernetes: None, kafka: None, until: None });
    }
    let kubernetes = if context.keeps_state_in_kubernetes() { Some(context.kubernetes().await?) } else { None };
    let is_reachable = terms.kind == Kind::Kafka && context.flags.bootstrap_server.is_some();
    let kafka = if is_reachable { Some(context.kafka().await?) } else { None };
    Ok(Reader { kubernetes, kafka, until: None })
}

/// The decision as a plan; a refusal is a plan that refuses.
fn decided(terms: &Terms, seen: &Seen) -> Decided {
    let refuse = |why: String| {
        let mut plan = Plan::default();
        plan.refuse(format!("pod:{}", seen.me.pod), "assign", why);
        Decided { plan, decision: None, files: Vec::new() }
    };
    let decision = match decide(terms, seen) {
        Ok(decision) => decision,
        Err(Halt::Refused(refusal)) => return refuse(refusal.to_string()),
        // Each question is answered once, with "not known" at worst.
        Err(Halt::Ask(question)) => return refuse(format!("more must be known than was read: {question:?}")),
    };
    match files(terms, seen, &decision) {
        Ok(files) => {
            let plan = plan(terms, seen, &decision, Wanted(&files));
            Decided { plan, decision: Some(decision), files }
        }
        Err(refusal) => refuse(refusal.to_string()),
    }
}

/// Asks for rights before the registry is written.
async fn check_rights(context: &Context, plan: &Plan<IdentityStep>, cluster: &str, map: &str) -> anyhow::Result<()> {
    if context.is_dry_run() || !plan.steps.iter().any(|step| matches!(step.act, Act::Register(_))) {
        return Ok(());
    }
    let named = ClusterRef { id: cluster.to_owned(), name: Some(cluster.to_owned()) };
    let setup = Setup { cluster: named, maps: vec![map.to_owned()], ..context.rights_setup(cluster) };
    context.check_rights(Workload::Identity, &setup).await
}
