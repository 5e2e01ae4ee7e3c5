//! `toolbox ensemble status`: the page that someone opens at 3 a.m.

use std::time::Duration;

use clap::Args;

use crate::clients::kafka::live::Nodes;
use crate::clients::kafka::settings::Settings;
use crate::commands::ensemble::command::flags::{Which, WhichArgs};
use crate::commands::ensemble::observe::Observed;
use crate::commands::ensemble::observe::channels;
use crate::commands::ensemble::observe::quorum::{self, NODE_LIMIT, NoQuorumSeen, QuorumLook};
use crate::commands::ensemble::observe::servers::{self, Look, Nameless, SERVER_LIMIT};
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::plan::{Input, decide, kraft, refuse};
use crate::commands::ensemble::report::{ensemble, quorum as quorum_report};
use crate::context::{Context, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// Shortest time between two looks of `--watch`.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Arguments of `toolbox ensemble status`.
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Show it again and again, with so much time between two looks (1s at least), until interrupted
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, default_missing_value = "2s")]
    watch: Option<Duration>,
}

/// Shows the ensemble or quorum. Ends with 5 where something is wrong at the last look.
pub(super) async fn run(context: &mut Context, args: &StatusArgs) -> anyhow::Result<Exit> {
    let brake = context.brake().clone();
    loop {
        let observed = context.observed(async || look(context, args).await).await?;
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

async fn look(context: &Context, args: &StatusArgs) -> anyhow::Result<Observed> {
    match args.which.which(context)? {
        Which::Ensemble(named) => {
            let (limit, settings) = settings(context, &named, SERVER_LIMIT)?;
            let look = servers::look_at(&settings, &named, limit).await;
            look.notes.iter().for_each(|note| tracing::warn!("{note}"));
            Ok(Observed::Ensemble(Box::new(look)))
        }
        Which::Quorum(named) => {
            let (limit, settings) = settings(context, &named, NODE_LIMIT)?;
            let nodes = Nodes::new(settings).map_err(|error| Stop::usage(error.to_string()))?;
            let (found, cut_off) =
                tokio::join!(quorum::look_at(&nodes, &named, limit), channels::cut_off(&nodes, &named, limit));
            match found {
                Ok(seen) => {
                    let (seen, desired, at) = (SeenQuorum { cut_off, ..seen }, None, Some(context.now()));
                    Ok(Observed::Quorum(Box::new(QuorumLook { seen, desired, at })))
                }
                Err(NoQuorumSeen::NoLeader) => Ok(Observed::Quorum(Box::default())),
                Err(NoQuorumSeen::ZooKeeperMode) => {
                    Err(Stop::usage("this cluster keeps its metadata in ZooKeeper: give --zookeeper HOST:PORT").into())
                }
                Err(NoQuorumSeen::NoAnswer(why)) => anyhow::bail!("nobody says what the quorum is: {}", why.join("; ")),
            }
        }
    }
}

/// How long one server may take, and how it is spoken to.
fn settings(context: &Context, named: &[(String, u16)], most: Duration) -> Result<(Duration, Settings), Stop> {
    let limit = context.flags.timeout.unwrap_or(most).min(most);
    let address = |(host, port): &(String, u16)| {
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    let first = named.first().map(address).unwrap_or_default();
    Ok((limit, context.settings_of(&first, limit)?))
}

fn exit(is_healthy: bool) -> Exit {
    if is_healthy { Exit::Done } else { Exit::Unhealthy }
}

fn show_ensemble(context: &Context, look: &Look) -> anyhow::Result<Exit> {
    let input = Input { desired: None, seen: &look.seen, now: context.now(), is_strict: false };
    let stranger = |it: &Nameless| ensemble::Stranger { address: it.address.clone(), answer: it.answer.clone() };
    let strangers: Vec<_> = look.nameless.iter().map(stranger).collect();
    let address = |id| look.addresses.get(&id).cloned().unwrap_or_else(|| "-".to_owned());
    let places = ensemble::Places { strangers, address: &address };
    let page = ensemble::page(&look.seen, &decide(input), refuse::at_once(input), &places);
    let text = |is_wide| {
        let table = output::table(&ensemble::Page::columns(is_wide), &page.rows(is_wide));
        format!("{}{table}{}", page.head(), page.foot())
    };
    context.output().result(&page, text)?;
    Ok(exit(page.healthy))
}

fn show_quorum(context: &Context, look: &QuorumLook) -> anyhow::Result<Exit> {
    let QuorumLook { seen, desired, at } = look;
    let now = at.unwrap_or_else(|| context.now());
    let input = kraft::Input { desired: desired.as_ref(), seen, now, rest: SETTLE, is_strict: false };
    let page = quorum_report::page(seen, &kraft::decide(input), kraft::at_once(seen), desired.is_some());
    let text = |is_wide| {
        let table = output::table(&quorum_report::Page::columns(is_wide), &page.rows(is_wide));
        format!("{}{table}{}", page.head(), page.foot())
    };
    context.output().result(&page, text)?;
    Ok(exit(page.healthy))
}
