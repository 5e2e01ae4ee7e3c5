//! `toolbox ensemble prestart controller`: the init container of a KRaft controller.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::change::in_order::InOrder;
use crate::clients::files;
use crate::clients::kafka::live::Nodes;
use crate::cluster::address::Address;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::apply::{ControllerExecutor, FormatCommand};
use crate::commands::ensemble::command::flags::servers;
use crate::commands::ensemble::command::prestart::{
    ROUNDS_MAX, Waiting, check_rights, check_size, ensemble_name, pod_ordinal,
};
use crate::commands::ensemble::observe::quorum::{self, NODE_LIMIT, NoQuorumSeen};
use crate::commands::ensemble::observe::start::look_at_controller_disk;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::kraft::prestart::{Ground, Next, Terms, decide};
use crate::commands::ensemble::plan::kraft::prestart_steps::{ControllerStep, PropertiesFile, steps};
use crate::commands::ensemble::spec::controller::{Properties, of_node, read};
use crate::context::rights::Workload;
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::formats::properties::FILE_BYTES_MAX;
use crate::state::identity::Identity;
use crate::state::patience::{load, pause};

/// Arguments of `toolbox ensemble prestart controller`.
#[derive(Debug, Clone, Args)]
pub(super) struct ControllerArgs {
    /// The controller's server.properties; {pod-name}, {namespace} and {id} are filled in, and node.id is added
    #[arg(long, env = "TOOLBOX_CONTROLLER_PROPERTIES", value_name = "FILE")]
    properties: PathBuf,

    /// Where the filled-in properties are written, for the controller's server
    #[arg(long, env = "TOOLBOX_CONTROLLER_OUT", value_name = "FILE")]
    out: PathBuf,

    /// Kafka's tool by which an empty disk is formatted, as `/opt/kafka/bin/kafka-storage.sh`; it is run by `sh -c` with the arguments
    /// of `format` behind it
    #[arg(long, env = "TOOLBOX_CONTROLLER_FORMAT_CMD", value_name = "COMMAND")]
    format_cmd: Option<String>,

    /// Controllers to ask for the quorum, `HOST:PORT,…` [default: controller.quorum.bootstrap.servers of the properties]
    #[arg(long, env = "TOOLBOX_BOOTSTRAP_CONTROLLER", value_name = "CONTROLLERS")]
    bootstrap_controller: Option<String>,

    /// This controller's id [default: --first-id and the pod's ordinal]
    #[arg(long, env = "TOOLBOX_CONTROLLER_ID", value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    id: Option<i32>,

    /// The id of the pod with ordinal 0
    #[arg(long, env = "TOOLBOX_CONTROLLER_FIRST_ID", value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..))]
    first_id: i32,

    /// Begin a new quorum of so many voters where there is no document, the disk is empty, and no controller answers
    #[arg(long, env = "TOOLBOX_ENSEMBLE_SIZE", value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=15))]
    size: Option<u8>,

    /// A new quorum may be small: --size 1
    #[arg(long, env = "TOOLBOX_ENSEMBLE_DEV")]
    dev: bool,

    /// Begin the new quorum with this controller: needed where no pod has ordinal 0, on bare hosts above all. Give it to one
    /// controller only: with documents of their own, two would begin two quorums
    #[arg(long, env = "TOOLBOX_ENSEMBLE_BEGIN", requires = "size")]
    begin: bool,

    /// The pod's name; outside Kubernetes give --id instead
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,

    /// The pod's namespace, for the properties
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pod_namespace: Option<String>,

    /// How long the others and the API server are waited for; then the run ends with 5, or 1
    #[arg(long, env = "TOOLBOX_ENSEMBLE_WITHIN", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    within: Duration,
}

/// What stays the same from look to look.
struct Setup {
    terms: Terms,
    properties: Properties,
    file: PropertiesFile,
    named: Vec<Address>,
}

/// Formats the disk once, records its directory id, and writes the properties. Looks again until the controller may start.
pub(super) async fn run(context: &mut Context, args: &ControllerArgs) -> anyhow::Result<Exit> {
    let deadline = context.as_init_container(args.within);
    let name = ensemble_name(context)?;
    let mut setup = setup(context, args)?;
    let nodes = Nodes::new(context.settings_of("controller:9093", limit(context))?);
    let nodes = nodes.map_err(|error| Stop::usage(error.to_string()))?;
    check_rights(context, Workload::Controllers, &name, args.within).await?;
    let mut waiting = Waiting::default();
    for _ in 0..ROUNDS_MAX {
        let mut document = context.document(&Identity::of_controllers(&name)).await?;
        let observe = async || {
            let record = load::<DesiredQuorum>(&mut document, "document", deadline).await?;
            Ok(look(&setup, &nodes, record, limit(context)).await)
        };
        let ground = context.observed(observe).await?;
        setup.file.is_there = is_there(&setup.file);
        setup.terms.now = context.steady().now();
        let next = with_command(decide(&setup.terms, &ground), &setup, args);
        let is_over = Instant::now() >= deadline;
        let is_rehearsed = context.is_dry_run() || context.flags.observed.is_some();
        let is_last = is_over || is_rehearsed;
        if let Next::Wait(why) = &next {
            let who = format!("controller {}", setup.terms.node);
            if let Some(exit) = waiting.look_again(&who, why.clone(), is_last).await {
                return Ok(exit);
            }
            continue;
        }
        let plan = steps(&setup.terms, &ground, &next, &setup.file);
        let command = args.format_cmd.as_ref().map(|line| FormatCommand {
            line,
            cluster_id: &setup.terms.cluster_id,
            properties: &setup.file.path,
        });
        let (document, file) = (&mut document, &setup.file);
        let executor = ControllerExecutor { document, next: &next, file, command, deadline, is_outrun: false };
        let mut order = InOrder::new(executor);
        let exit = context.settle(plan, async |steps: &[ControllerStep]| order.apply(steps).await).await?.exit;
        // Its directory id is in the document before the controller starts, however late it is: else nobody would give it its vote.
        let is_formatted = matches!(next, Next::Format { .. }) && exit == Exit::Done && !is_rehearsed;
        if !is_formatted && (!order.executor.is_outrun || is_last) {
            return Ok(exit);
        }
        sleep(pause()).await;
    }
    anyhow::bail!("others changed the document {ROUNDS_MAX} times in the meantime; start again")
}

fn limit(context: &Context) -> Duration {
    context.flags.timeout.unwrap_or(NODE_LIMIT).min(NODE_LIMIT)
}

/// Without a command, an empty disk is refused with what is to be run.
fn with_command(next: Next, setup: &Setup, args: &ControllerArgs) -> Next {
    match next {
        Next::Format { how, why, .. } if args.format_cmd.is_none() => {
            let command = FormatCommand {
                line: "kafka-storage.sh",
                cluster_id: &setup.terms.cluster_id,
                properties: &setup.file.path,
            };
            let next = format!("Give --format-cmd, by which `{}` is run here", command.text(how));
            Next::Refuse(Refusal::new(Code::EmptyDisk, format!("the disk is to be formatted: {why}"), next))
        }
        next => next,
    }
}

fn setup(context: &Context, args: &ControllerArgs) -> anyhow::Result<Setup> {
    let pod = args.pod_name.clone().filter(|name| !name.is_empty());
    let number = pod_ordinal(pod.as_deref(), args.id.is_some())?;
    let by_ordinal = || args.first_id.checked_add(i32::try_from(number?).ok()?);
    let node = args.id.or_else(by_ordinal).map(NodeId);
    let node = node.ok_or_else(|| Stop::usage("which controller is this? give --id, or the pod's name (POD_NAME)"))?;
    let cluster_id = context.flags.cluster_id.clone().ok_or_else(|| {
        Stop::usage("give --cluster-id (or `clusterId` in toolbox.yaml): disks are formatted for that cluster")
    })?;
    check_size(args.size, args.dev)?;
    let source = args.properties.display().to_string();
    let wrong = |why: String| Stop::usage(format!("--properties {source}: {why}"));
    let text = files::read_text(&args.properties, FILE_BYTES_MAX as u64).map_err(|error| wrong(error.to_string()))?;
    let text = of_node(&text, node, pod.as_deref(), args.pod_namespace.as_deref()).map_err(wrong)?;
    let properties = read(&source, text.as_bytes()).map_err(|faults| Stop::usage(faults.to_string()))?;
    if !properties.is_controller {
        return Err(wrong("process.roles does not have `controller`".to_owned()).into());
    }
    let list = args.bootstrap_controller.as_deref().or(properties.bootstrap.as_deref()).filter(|list| !list.is_empty());
    let named = list.map_or(Ok(Vec::new()), |list| servers("--bootstrap-controller", list))?;
    let file = PropertiesFile { path: args.out.display().to_string(), text, is_there: false };
    let terms = Terms {
        node,
        pod,
        ordinal: number,
        cluster_id,
        size: args.size.map(usize::from),
        dev: args.dev,
        begins: args.begin,
        is_static: properties.is_static,
        now: context.steady().now(),
    };
    Ok(Setup { terms, properties, file, named })
}

fn is_there(file: &PropertiesFile) -> bool {
    files::read_text(file.path.as_ref(), FILE_BYTES_MAX as u64).is_ok_and(|text| text == file.text)
}

async fn look(setup: &Setup, nodes: &Nodes, record: Option<DesiredQuorum>, limit: Duration) -> Ground {
    let mut ground = Ground { record, ..Ground::default() };
    match look_at_controller_disk(&setup.properties).await {
        Ok(disk) => ground.disk = Some(disk),
        Err(why) => ground.unreadable = Some(why),
    }
    if setup.named.is_empty() {
        return ground;
    }
    match quorum::look_at(nodes, &setup.named, limit).await {
        Ok(seen) => {
            ground.answers = Some("the quorum of the other controllers".to_owned());
            ground.quorum = Some(seen);
        }
        Err(NoQuorumSeen::NoLeader | NoQuorumSeen::ZooKeeperMode) => {
            ground.answers = Some("a controller that knows no leader".to_owned());
        }
        Err(NoQuorumSeen::NoAnswer(why)) => tracing::info!("no controller answers: {}", why.join("; ")),
    }
    ground
}
