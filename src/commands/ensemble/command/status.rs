//! `toolbox ensemble status`: the page that someone opens at 3 a.m.

use std::time::Duration;

use clap::Args;

use crate::clients::kafka::live::Nodes;
use crate::clients::kafka::settings::Settings;
use crate::cluster::address::Address;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::desired::{Desired, DesiredState};
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::apply::kraft::of_controllers;
use crate::commands::ensemble::apply::record::Record;
use crate::commands::ensemble::apply::zookeeper::{name, name_of};
use crate::commands::ensemble::command::flags::{FolderArgs, Which, WhichArgs};
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::observe::channels;
use crate::commands::ensemble::observe::pass::{identify, places, serving};
use crate::commands::ensemble::observe::pods::{Pods, SHOWN_WITHIN};
use crate::commands::ensemble::observe::quorum::{self, NODE_LIMIT, NoQuorumSeen, QuorumLook};
use crate::commands::ensemble::observe::servers::{self, Look, Nameless, SERVER_LIMIT};
use crate::commands::ensemble::observe::sessions::Connections;
use crate::commands::ensemble::observe::stored::stored;
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::seen::Asked;
use crate::commands::ensemble::plan::{Input, decide, kraft, refuse};
use crate::commands::ensemble::report::{ensemble, quorum as quorum_report};
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::output;
use crate::state::identity::{Identity, Purpose};

/// How long finding the record by the ensemble's id may take.
const RECORD_LIMIT: Duration = Duration::from_millis(300);

/// How long it may take to find out whether a record that was named is the ensemble's own.
const OWN_LIMIT: Duration = Duration::from_secs(1);

/// How long servers may take that only the record names, where that is read last.
const JOINERS_LIMIT: Duration = Duration::from_millis(500);

/// Shortest time between two looks of `--watch`.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Arguments of `toolbox ensemble status`.
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    which: WhichArgs,

    #[command(flatten)]
    folders: FolderArgs,

    /// Show it again and again, with so much time between two looks (1s at least), until interrupted
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, default_missing_value = "2s")]
    watch: Option<Duration>,
}

/// Shows the ensemble or quorum. Ends with 5 where something is wrong at the last look.
pub(super) async fn run(context: &mut Context, args: &StatusArgs) -> anyhow::Result<Exit> {
    let brake = context.brake().clone();
    let mut pods = Pods::default();
    loop {
        let observed = context.observed(async || look(context, args, &mut pods).await).await?;
        let exit = match observed {
            Observed::Ensemble(look) => show_ensemble(context, &look)?,
            Observed::Quorum(look) => show_quorum(context, &look)?,
        };
        // What was saved stays as it is.
        let Some(interval) = args.watch.filter(|_| context.flags.observed.is_none()) else { return Ok(exit) };
        if tokio::time::timeout(interval.max(INTERVAL_MIN), brake.until_pulled()).await.is_ok() {
            return Ok(exit);
        }
    }
}

async fn look(context: &Context, args: &StatusArgs, pods: &mut Pods) -> anyhow::Result<Observed> {
    match args.which.which(context)? {
        Which::Ensemble => Ok(Observed::Ensemble(Box::new(ensemble_look(context, args, pods).await?))),
        Which::Quorum(named) => {
            args.folders.check_none()?;
            let (limit, settings) = settings(context, &named, NODE_LIMIT)?;
            let nodes = Nodes::new(settings).map_err(|error| Stop::usage(error.to_string()))?;
            let (found, cut_off) =
                tokio::join!(quorum::look_at(&nodes, &named, limit), channels::cut_off(&nodes, &named, limit));
            match found {
                Ok(seen) => {
                    let (mut seen, now) = (SeenQuorum { cut_off, ..seen }, context.steady().now());
                    let recorded = known(quorum_record(context, &nodes, &named).await);
                    let Recorded { desired, place, unreadable } = recorded;
                    let servers = named.iter().map(ToString::to_string).collect();
                    seen.asked = Asked { record: place, unreadable, servers, ..Asked::default() };
                    let limit = limit.min(SHOWN_WITHIN);
                    pods.look_at_controllers(context, desired.as_ref(), &mut seen, Some(limit)).await;
                    if let Some(desired) = &desired {
                        seen.recall(desired, now);
                    }
                    Ok(Observed::Quorum(Box::new(QuorumLook { seen, desired, at: Some(now) })))
                }
                Err(NoQuorumSeen::NoLeader) => Ok(Observed::Quorum(Box::default())),
                Err(NoQuorumSeen::ZooKeeperMode) => {
                    Err(Stop::usage("this cluster keeps its metadata in ZooKeeper: give --zookeeper HOST:PORT").into())
                }
                Err(NoQuorumSeen::NoAnswer(why)) => anyhow::bail!("no node describes the quorum: {}", why.join("; ")),
            }
        }
    }
}

/// The servers, and the record where there is one. Looking opens no session but the one that finds an unnamed record.
async fn ensemble_look(context: &Context, args: &StatusArgs, pods: &mut Pods) -> anyhow::Result<Look> {
    let flags = &args.which.ensemble;
    let settings = context.zookeeper_settings(&flags.zookeeper)?;
    let limit = context.flags.timeout.unwrap_or(SERVER_LIMIT).min(SERVER_LIMIT);
    let connections = Connections::new(settings);
    let named = name(context, flags.wanted());
    let mut recorded = known(match named {
        Some(name) => of_name(context, name).await,
        None => Ok(Recorded::default()),
    });
    // Joiners are no members: only the record says where they are.
    let places = recorded.desired.as_ref().map(places).unwrap_or_default();
    let words = connections.words(limit);
    let mut look = servers::look_at_known(&words, connections.named(), &places, limit).await;
    if named.is_none() {
        recorded = known(of_id(context, &connections, &look).await);
        add_joiners(&connections, recorded.desired.as_ref(), &mut look).await;
    } else if let Some(desired) = recorded.desired.as_ref().filter(|_| look.seen.is_serving())
        && let Err(why) = identify(&connections, desired, &mut look.seen, OWN_LIMIT).await
    {
        tracing::warn!("whether the record is that of this ensemble is not known: {why}");
    }
    let Recorded { desired, place, unreadable } = recorded;
    let servers = connections.named().iter().map(ToString::to_string).collect();
    look.seen.asked = Asked { record: place, unreadable, servers, ..look.seen.asked };
    stored(&args.folders.folders()?, &mut look).await;
    look.notes.iter().for_each(|note| tracing::warn!("{note}"));
    // What the record has to remember is written by `apply` and `watch` alone.
    let limit = context.flags.timeout.unwrap_or(SHOWN_WITHIN).min(SHOWN_WITHIN);
    pods.look(context, desired.as_ref(), &mut look.seen, Some(limit)).await;
    let now = context.steady().now();
    if let Some(desired) = &desired {
        look.seen.recall(desired, now);
    }
    Ok(Look { desired, at: Some(now), ..look })
}

/// What is desired, as far as that can be read.
struct Recorded<D> {
    desired: Option<D>,
    /// Where it is kept.
    place: Option<String>,
    /// Why there is a record that can't be used.
    unreadable: Option<String>,
}

impl<D> Default for Recorded<D> {
    fn default() -> Self {
        Self { desired: None, place: None, unreadable: None }
    }
}

impl<D: DesiredState> Recorded<D> {
    async fn open(context: &Context, identity: &Identity) -> anyhow::Result<Self> {
        let record = Record::open(context, identity).await?;
        let place = record.desired.as_ref().map(|_| record.place());
        Ok(Self { desired: record.desired, place, unreadable: None })
    }
}

/// What is desired, where it can be read. A record that can't be used is a finding; that nobody could be asked for it is only said.
fn known<D>(recorded: anyhow::Result<Recorded<D>>) -> Recorded<D> {
    recorded.unwrap_or_else(|error| {
        let is_refused = error.downcast_ref::<Stop>().is_some_and(|stop| stop.exit == Exit::Refused);
        if !is_refused {
            tracing::warn!("what is desired is not known: {error:#}");
        }
        Recorded { unreadable: is_refused.then(|| format!("{error:#}")), ..Recorded::default() }
    })
}

async fn of_name(context: &Context, name: &str) -> anyhow::Result<Recorded<Desired>> {
    Recorded::open(context, &Identity::of_ensemble(name)).await
}

/// The record of an ensemble without a name, by its id.
async fn of_id(context: &Context, connections: &Connections, look: &Look) -> anyhow::Result<Recorded<Desired>> {
    // Without any record nobody needs the id; a session costs a transaction.
    if !context.keeps_state_in_kubernetes() && context.documents(Purpose::Ensemble).await?.is_empty() {
        return Ok(Recorded::default());
    }
    let all = look.seen.servers.keys().copied().collect();
    let mut serving = serving(look, &all, look.seen.leader());
    let strangers = look.nameless.iter().filter(|it| it.answer.mode().is_some());
    serving.extend(strangers.filter_map(|it| Address::parse(&it.address)));
    if serving.is_empty() {
        return Ok(Recorded::default());
    }
    match connections.ensemble_id(&serving, RECORD_LIMIT).await {
        Ok(Some(id)) => of_name(context, &name_of(context, id).await?).await,
        Ok(None) => Ok(Recorded::default()),
        Err(why) => anyhow::bail!("the ensemble's id can't be read: {why}"),
    }
}

/// Asks the servers of a record that were not asked yet.
async fn add_joiners(connections: &Connections, desired: Option<&Desired>, look: &mut Look) {
    let mut missing = desired.map(places).unwrap_or_default();
    missing.retain(|_, &mut id| !look.seen.servers.contains_key(&id));
    if missing.is_empty() {
        return;
    }
    let found = servers::look_at_known(&connections.words(JOINERS_LIMIT), &[], &missing, JOINERS_LIMIT).await;
    let is_missing = |id: &ServerId| missing.values().any(|one| one == id);
    look.seen.servers.extend(found.seen.servers.into_iter().filter(|(id, _)| is_missing(id)));
    look.addresses.extend(found.addresses.into_iter().filter(|(id, _)| is_missing(id)));
}

/// What is desired of the controllers.
async fn quorum_record(context: &Context, nodes: &Nodes, named: &[Address]) -> anyhow::Result<Recorded<DesiredQuorum>> {
    // Without any record nobody needs the id.
    if !context.keeps_state_in_kubernetes() && context.documents(Purpose::Ensemble).await?.is_empty() {
        return Ok(Recorded::default());
    }
    let Some(id) = quorum::cluster_id(nodes, named, RECORD_LIMIT).await else { return Ok(Recorded::default()) };
    Recorded::open(context, &of_controllers(context, &id)).await
}

/// How long one controller may take, and how it is spoken to.
fn settings(context: &Context, named: &[Address], most: Duration) -> Result<(Duration, Settings), Stop> {
    let limit = context.flags.timeout.unwrap_or(most).min(most);
    let first = named.first().map(ToString::to_string).unwrap_or_default();
    Ok((limit, context.settings_of(&first, limit)?))
}

/// Without any answer the result is not known.
fn exit(is_healthy: bool, is_answered: bool) -> Exit {
    match (is_healthy, is_answered) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Unhealthy,
        (false, false) => Exit::Failed,
    }
}

fn show_ensemble(context: &Context, look: &Look) -> anyhow::Result<Exit> {
    let input = Input { is_strict: false, ..look.input(context.steady().now(), SETTLE) };
    let stranger = |it: &Nameless| ensemble::Stranger { address: it.address.clone(), answer: it.answer.clone() };
    let strangers: Vec<_> = look.nameless.iter().map(stranger).collect();
    let address = |id| look.addresses.get(&id).cloned().unwrap_or_else(|| "-".to_owned());
    let places =
        ensemble::Places { strangers, has_record: look.desired.is_some(), notes: &look.notes, address: &address };
    let page = ensemble::page(&look.seen, &decide(input), refuse::at_once(input), &places);
    let text = |is_wide| {
        let table = output::table(&page.columns(is_wide), &page.rows(is_wide));
        format!("{}{table}{}", page.head(), page.foot)
    };
    context.output().result(&page, text)?;
    Ok(exit(page.healthy, look.seen.is_answered()))
}

fn show_quorum(context: &Context, look: &QuorumLook) -> anyhow::Result<Exit> {
    let QuorumLook { seen, desired, .. } = look;
    let input = kraft::Input { is_strict: false, ..look.input(context.steady().now(), SETTLE) };
    let refusal = kraft::wrong_quorum(input).or_else(|| kraft::at_once(seen));
    let page = quorum_report::page(seen, &decide(input), refusal, desired.is_some());
    let text = |is_wide| {
        let table = output::table(&quorum_report::Page::columns(is_wide), &page.rows(is_wide));
        format!("{}{table}{}", page.head(), page.foot)
    };
    context.output().result(&page, text)?;
    Ok(exit(page.healthy, true))
}
