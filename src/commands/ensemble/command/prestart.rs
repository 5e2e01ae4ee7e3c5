//! `toolbox ensemble prestart`: the init container of a ZooKeeper server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::change::in_order::InOrder;
use crate::clients::files;
use crate::clients::kubernetes::{ObjectName, Resource};
use crate::clients::zookeeper::settings::parse_servers;
use crate::cluster::address::Address;
use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::apply::StartExecutor;
use crate::commands::ensemble::observe::servers::SERVER_LIMIT;
use crate::commands::ensemble::observe::start::{How, look_at_disk, look_at_live, resolves};
use crate::commands::ensemble::plan::prestart::{Ground, Layout, Me, Outcome, PrestartStep, Terms, my_id, plan};
use crate::commands::ensemble::spec::own_line::{OwnLine, Values};
use crate::commands::ensemble::spec::zoo_cfg;
use crate::commands::identity::spec::name::ordinal;
use crate::context::ZooKeeperFlags;
use crate::context::rights::Workload;
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::formats::properties::FILE_BYTES_MAX;
use crate::output;
use crate::state::identity::Identity;
use crate::state::patience::{load, pause};

/// How long is waited between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many pods of the set are asked where there is no document.
const SIBLINGS_MAX: u32 = 9;

/// How often all is decided again because something is waited for, or others wrote the document.
pub(super) const ROUNDS_MAX: usize = 10_000;

/// Who this server is.
#[derive(Debug, Clone, Args)]
pub(super) struct MeArgs {
    /// This server's id [default: the one that the document has for the pod, else --first-id and the pod's ordinal]
    #[arg(long, env = "TOOLBOX_ENSEMBLE_ID", value_name = "ID", value_parser = usable_id)]
    pub(super) id: Option<ServerId>,

    /// The id of the pod with ordinal 0
    #[arg(long, env = "TOOLBOX_ENSEMBLE_FIRST_ID", value_name = "ID", default_value_t = 1)]
    pub(super) first_id: i64,

    /// The pod's name; outside Kubernetes give --id instead
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(super) pod_name: Option<String>,

    /// The pod's namespace, for --server-line
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub(super) pod_namespace: Option<String>,
}

/// Arguments of `toolbox ensemble prestart`.
#[derive(Debug, Clone, Args)]
pub(super) struct PrestartArgs {
    #[command(flatten)]
    me: MeArgs,

    /// dataDir: the persistent disk, with myid and version-2
    #[arg(long, env = "TOOLBOX_ENSEMBLE_DATA_DIR", value_name = "FOLDER", default_value = "/data")]
    data_dir: String,

    /// Folder of zoo.cfg and the dynamic file; it must persist and be writable, as ZooKeeper writes both [default: `conf` in
    /// --data-dir]
    #[arg(long, env = "TOOLBOX_ENSEMBLE_CONF_DIR", value_name = "FOLDER")]
    conf_dir: Option<String>,

    /// Your own lines of zoo.cfg, as tickTime or autopurge; without members, client port and dataDir
    #[arg(long, env = "TOOLBOX_ENSEMBLE_ZOO_CFG", value_name = "FILE")]
    zoo_cfg: Option<PathBuf>,

    /// This server's own line, for a document that does not have it yet, as `{pod-name}.zookeeper:2888:3888;2181`; {namespace},
    /// {ordinal} and {id} are filled in, too
    #[arg(long, env = "TOOLBOX_ENSEMBLE_SERVER_LINE", value_name = "LINE", value_parser = OwnLine::parse)]
    server_line: Option<OwnLine>,

    /// Begin a new ensemble of so many voters where there is no document, the disk is empty, and no server answers
    #[arg(long, env = "TOOLBOX_ENSEMBLE_SIZE", value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=15))]
    size: Option<u8>,

    /// A new ensemble may be small: --size 1
    #[arg(long, env = "TOOLBOX_ENSEMBLE_DEV")]
    dev: bool,

    /// The claim of the disk, as `data-zookeeper-0`: its volume is written to the disk, and a copy on another volume is said
    #[arg(long, env = "TOOLBOX_ENSEMBLE_CLAIM", value_name = "NAME")]
    claim: Option<String>,

    /// Begin the new ensemble with this server: needed where no pod has ordinal 0, on bare hosts above all. Give it to one server
    /// only: with documents of their own, two would begin two ensembles
    #[arg(long, env = "TOOLBOX_ENSEMBLE_BEGIN", requires = "size")]
    begin: bool,

    /// How long the others, this pod's own name and the API server are waited for; then the run ends with 5, or 1
    #[arg(long, env = "TOOLBOX_ENSEMBLE_WITHIN", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    within: Duration,

    /// --zookeeper names more servers to ask
    #[command(flatten)]
    zookeeper: ZooKeeperFlags,
}

fn usable_id(text: &str) -> Result<ServerId, String> {
    let id = text.parse::<ServerId>()?;
    if id.is_usable() { Ok(id) } else { Err("ids of servers are 1 to 255".to_owned()) }
}

/// The name after which the document is named.
pub(super) fn ensemble_name(context: &Context) -> Result<String, Stop> {
    let name = context.flags.cluster.clone();
    name.ok_or_else(|| Stop::usage("which ensemble? give --cluster NAME: the document is named after it"))
}

impl MeArgs {
    /// Who this is.
    pub(super) fn me(&self) -> Result<Me, Stop> {
        let pod = self.pod_name.clone().filter(|name| !name.is_empty());
        let ordinal = pod_ordinal(pod.as_deref(), self.id.is_some())?;
        Ok(Me { id: self.id, base: self.first_id, pod, ordinal, volume: None })
    }
}

/// The pod's number in its StatefulSet. A name without one is refused where no id is given.
pub(super) fn pod_ordinal(pod: Option<&str>, has_id: bool) -> Result<Option<u32>, Stop> {
    match pod.map(ordinal) {
        Some(Ok(number)) => Ok(u32::try_from(number).ok()),
        Some(Err(why)) if !has_id => Err(Stop::usage(format!("--pod-name: {why}; or give --id"))),
        _ => Ok(None),
    }
}

/// Refuses a number of voters with which nothing should begin.
pub(super) fn check_size(size: Option<u8>, dev: bool) -> Result<(), Stop> {
    if size.is_some_and(|size| size.is_multiple_of(2) || (size < 3 && !dev)) {
        return Err(Stop::usage("--size: 3 or 5 voters are safe; 1 with --dev; an even number survives no more"));
    }
    Ok(())
}

/// What a start waits for, look after look.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What was printed last: the same is not printed again.
    printed: Option<String>,
}

impl Waiting {
    /// Prints why a server, or controller, does not start yet, and waits a moment; after the last look the run ends.
    pub(super) async fn look_again(&mut self, who: &str, why: String, is_last: bool) -> Option<Exit> {
        if is_last {
            output::complain(&format!("{who} does not start yet: {why}"));
            return Some(Exit::Unhealthy);
        }
        if self.printed.as_ref() != Some(&why) {
            output::say(&format!("waiting: {why}"));
            self.printed = Some(why);
        }
        sleep(LOOK_AGAIN).await;
        None
    }
}

/// Writes what the server starts from, as soon as it may start. Looks again and again until then, within the limit.
pub(super) async fn run(context: &mut Context, args: &PrestartArgs) -> anyhow::Result<Exit> {
    let deadline = context.as_init_container(args.within);
    let (name, mut me) = (ensemble_name(context)?, args.me.me()?);
    check_size(args.size, args.dev)?;
    check_rights(context, Workload::Zookeeper, &name, args.within).await?;
    let settings = own_settings(args)?;
    me.volume = volume(context, args).await;
    let mut waiting = Waiting::default();
    for _ in 0..ROUNDS_MAX {
        let mut document = context.document(&Identity::of_ensemble(&name)).await?;
        let observe = async || {
            let record = load::<Desired>(&mut document, "document", deadline).await?;
            look(context, args, &me, record, &settings).await
        };
        let ground = context.observed(observe).await?;
        let terms = terms(context, args, &me, &settings, &ground)?;
        let Outcome { plan, waits, desired } = plan(&terms, &ground);
        let is_over = Instant::now() >= deadline;
        let (document, desired) = (&mut document, desired.as_ref());
        let mut order = InOrder::new(StartExecutor { document, desired, deadline, is_outrun: false });
        let has_steps = !plan.steps.is_empty() || !plan.refusals.is_empty();
        let mut exit = Exit::Done;
        if has_steps || waits.is_none() {
            exit = context.settle(plan, async |steps: &[PrestartStep]| order.apply(steps).await).await?.exit;
        }
        if order.executor.is_outrun && !is_over {
            sleep(pause()).await;
            continue;
        }
        let Some(why) = waits.filter(|_| exit == Exit::Done || exit == Exit::Changes) else { return Ok(exit) };
        let is_last = is_over || context.is_dry_run() || context.flags.observed.is_some();
        if let Some(exit) = waiting.look_again(&format!("server {}", terms.id), why, is_last).await {
            return Ok(exit);
        }
    }
    anyhow::bail!("others changed the document {ROUNDS_MAX} times in the meantime; start again")
}

/// The volume that the claim is bound to, where Kubernetes shows it: it distinguishes a disk from one that its files were copied to.
async fn volume(context: &Context, args: &PrestartArgs) -> Option<String> {
    let is_asked = context.keeps_state_in_kubernetes() && context.flags.observed.is_none();
    let name = args.claim.as_ref().filter(|_| is_asked)?;
    let kubernetes = context.kubernetes().await.ok()?;
    let claim = ObjectName::new(kubernetes.identity().namespace.clone(), name.clone());
    let found = kubernetes.facts(Resource::Claims, &claim).await;
    let found = found.inspect_err(|error| tracing::debug!("the volume of claim {name} is not known: {error}"));
    found.ok().flatten()?.volume
}

/// Asks for rights before anything is written, within half of the time: an API server that is slow has the other half for the
/// document.
pub(super) async fn check_rights(
    context: &Context,
    workload: Workload,
    name: &str,
    within: Duration,
) -> anyhow::Result<()> {
    if context.is_dry_run() || context.flags.observed.is_some() {
        return Ok(());
    }
    let setup = context.rights_setup(name);
    let checked = timeout(within / 2, context.check_rights(workload, &setup)).await;
    checked.unwrap_or_else(|_| {
        tracing::debug!("which rights this run has could not be asked in time");
        Ok(())
    })
}

fn own_settings(args: &PrestartArgs) -> anyhow::Result<zoo_cfg::Settings> {
    let (source, bytes) = match &args.zoo_cfg {
        None => ("zoo.cfg".to_owned(), Vec::new()),
        Some(path) => {
            let source = path.display().to_string();
            let bytes = files::read_bounded(path, FILE_BYTES_MAX as u64);
            let bytes = bytes.map_err(|error| Stop::usage(format!("--zoo-cfg: failed to read {source}: {error}")))?;
            (source, bytes)
        }
    };
    let read = zoo_cfg::settings(&source, &bytes, &absolute(&args.data_dir));
    Ok(read.map_err(|faults| Stop::usage(faults.to_string()))?)
}

/// A folder as it stands in zoo.cfg: the server is started in another working folder than this command.
fn absolute(folder: &str) -> String {
    let folder = folder.trim_end_matches('/');
    std::path::absolute(folder).map_or_else(|_| folder.to_owned(), |path| path.display().to_string())
}

fn layout(args: &PrestartArgs, settings: &zoo_cfg::Settings) -> Layout {
    let data = absolute(&args.data_dir);
    let conf = args.conf_dir.as_deref().map(absolute);
    Layout { conf: conf.unwrap_or_else(|| format!("{data}/conf")), log: settings.log.clone(), data }
}

fn id(record: Option<&Desired>, me: &Me) -> Result<ServerId, Stop> {
    let id = my_id(record, me).ok_or_else(|| {
        Stop::usage("which server is this? give --id, or the pod's name (POD_NAME by the downward API)")
    })?;
    if id.is_usable() {
        return Ok(id);
    }
    Err(Stop::usage(format!(
        "--first-id {} and the pod's ordinal give id {id}, but ids of servers are 1 to 255",
        me.base
    )))
}

fn terms(
    context: &Context,
    args: &PrestartArgs,
    me: &Me,
    settings: &zoo_cfg::Settings,
    ground: &Ground,
) -> Result<Terms, Stop> {
    let id = id(ground.record.as_ref(), me)?;
    let values = Values { pod: me.pod.as_deref(), namespace: args.me.pod_namespace.as_deref(), ordinal: me.ordinal };
    let line = args.server_line.as_ref().map(|line| line.filled(id, &values)).transpose();
    let line = line.map_err(|why| Stop::usage(format!("--server-line: {why}")))?;
    Ok(Terms {
        id,
        me: me.clone(),
        line,
        size: args.size.map(usize::from),
        dev: args.dev,
        begins: args.begin,
        layout: layout(args, settings),
        settings: settings.lines.clone(),
        now: context.steady().now(),
    })
}

/// Looks at the disk and at everybody who may be live.
async fn look(
    context: &Context,
    args: &PrestartArgs,
    me: &Me,
    record: Option<Desired>,
    settings: &zoo_cfg::Settings,
) -> anyhow::Result<Ground> {
    let id = id(record.as_ref(), me)?;
    let found = look_at_disk(&layout(args, settings)).await;
    let limit = context.flags.timeout.unwrap_or(SERVER_LIMIT).min(SERVER_LIMIT);
    let values = Values { pod: me.pod.as_deref(), namespace: args.me.pod_namespace.as_deref(), ordinal: me.ordinal };
    let recorded = record.as_ref().and_then(|record| record.members.get(&id)).map(|member| member.line.clone());
    let own = recorded.or_else(|| args.server_line.as_ref()?.filled(id, &values).ok());
    let mut more = more(context, args)?;
    if let (None, Some(line)) = (&record, &args.server_line) {
        more.extend(siblings(line, me, args.me.pod_namespace.as_deref()));
    }
    let session = ZooKeeperFlags { zookeeper: Some("zookeeper:2181".to_owned()), ..args.zookeeper.clone() };
    let session = context.zookeeper_settings(&session)?;
    let words = session.of_words(limit);
    let live =
        look_at_live(How { settings: &words, session: &session }, id, record.as_ref(), found.as_ref().ok(), more).await;
    let is_known = match &own {
        Some(own) => resolves(own).await,
        None => true,
    };
    Ok(Ground {
        record,
        found,
        live: live.live,
        rival: live.rival,
        answers: live.answers,
        resolves: is_known,
        fresh_id: Uuid::now_v7().to_string(),
    })
}

/// The other pods of the StatefulSet, at the addresses that they would have: where there is no document, one of them may serve all
/// the same, and then no ensemble is begun beside it.
fn siblings(line: &OwnLine, me: &Me, namespace: Option<&str>) -> Vec<Address> {
    let (Some(pod), Some(own)) = (&me.pod, me.ordinal) else { return Vec::new() };
    let Some(set) = pod.strip_suffix(&own.to_string()) else { return Vec::new() };
    let one = |ordinal: u32| {
        let name = format!("{set}{ordinal}");
        let id = ServerId(me.base.checked_add(i64::from(ordinal))?);
        let values = Values { pod: Some(&name), namespace, ordinal: Some(ordinal) };
        line.filled(id, &values).ok()?.client_address()
    };
    (0..SIBLINGS_MAX).filter(|ordinal| *ordinal != own).filter_map(one).collect()
}

/// Servers that the flags name.
fn more(context: &Context, args: &PrestartArgs) -> anyhow::Result<Vec<Address>> {
    let Some(list) = context.zookeeper_servers(&args.zookeeper) else { return Ok(Vec::new()) };
    let (addresses, _) = parse_servers(list).map_err(Stop::usage).context("other servers to ask")?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_folder_is_absolute_in_zoo_cfg() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("data/"), here.join("data").display().to_string());
        assert_eq!((absolute("/data/"), absolute("/data")), ("/data".to_owned(), "/data".to_owned()));
        let settings = zoo_cfg::settings("zoo.cfg", b"", &absolute("data")).unwrap();
        let data_dir = settings.lines.iter().find(|(key, _)| key == "dataDir");
        assert!(data_dir.is_some_and(|(_, folder)| folder.starts_with('/')), "{data_dir:?}");
    }

    #[test]
    fn without_a_document_the_other_pods_of_the_set_are_asked_at_the_addresses_that_they_would_have() {
        let line = OwnLine::parse("{pod-name}.zk.{namespace}.svc:2888:3888;2181").unwrap();
        let me = Me { id: None, base: 1, pod: Some("zk-1".to_owned()), ordinal: Some(1), volume: None };
        let asked = siblings(&line, &me, Some("kafka"));
        assert_eq!(asked.len(), 8);
        assert_eq!(asked[0], Address::new("zk-0.zk.kafka.svc", 2181));
        assert_eq!(asked[1], Address::new("zk-2.zk.kafka.svc", 2181));
        assert!(siblings(&line, &Me::default(), None).is_empty());
    }
}
