//! `toolbox ensemble adopt`, `join`, `leave` and `retire`: what people say, made into the next record. The membership itself is
//! changed by `apply` and `watch` alone.

use std::collections::BTreeSet;

use clap::Args;
use uuid::Uuid;

use crate::change::plan::Plan;
use crate::cluster::ensemble::desired::Desired;
use crate::cluster::ensemble::member::{Role, ServerId, listed};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::quorum::NodeId;
use crate::cluster::visible;
use crate::commands::ensemble::apply::found::{self, recorded_elsewhere};
use crate::commands::ensemble::apply::pass::carry_out;
use crate::commands::ensemble::apply::zookeeper::{Ensemble, Known, name, name_of, unreachable};
use crate::commands::ensemble::command::flags::{WhichArgs, size};
use crate::commands::ensemble::command::kraft::{self, Declaration};
use crate::commands::ensemble::observe::servers::Look;
use crate::commands::ensemble::observe::sessions::Connections;
use crate::commands::ensemble::plan::ZooKeeper;
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::declare::{
    Adoption, adopt as adopted, join as joined, leave as left, resize, retire as retired,
};
use crate::commands::ensemble::plan::guards::SETTLE;
use crate::commands::ensemble::plan::kraft::declare::Adoption as QuorumAdoption;
use crate::commands::ensemble::plan::planned::{Declared, EnsembleId, EnsembleStep};
use crate::commands::ensemble::plan::refuse::{Found, is_split, not_adopted, not_its_own};
use crate::commands::ensemble::plan::seen::Seen;
use crate::commands::ensemble::plan::steps::{record_lines, refuse};
use crate::context::Context;
use crate::exit::{Exit, Stop};

/// Arguments of `toolbox ensemble adopt`.
#[derive(Debug, Clone, Args)]
pub(super) struct AdoptArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// How many voters there should be: 3, 5, … up to 15; 1 with --dev [default: as many as there are]
    #[arg(long, value_name = "NUMBER", value_parser = size)]
    size: Option<usize>,

    /// Allow one or two voters, and changes after which no failure is survived: for development
    #[arg(long)]
    dev: bool,
}

/// Arguments of `toolbox ensemble join`.
#[derive(Debug, Clone, Args)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Servers with their lines, as `4=zk-3.zk:2888:3888;2181` (`server.4=…` means the same); an id that is known gets this
    /// address. KRaft controllers by their id, and `4=DIRECTORY_ID` for one that does not run yet or got a new disk
    #[arg(value_name = "ID=LINE", required = true)]
    joiners: Vec<String>,

    /// How many voters there should be from now on: 3, 5, … up to 15; 1 with a record for development
    #[arg(long, value_name = "NUMBER", value_parser = size)]
    size: Option<usize>,

    /// The pods of these servers, in their order: `apply` waits while one of the other members' pods is not ready
    #[arg(long, value_name = "POD", value_delimiter = ',')]
    pods: Vec<String>,
}

/// Arguments of `toolbox ensemble leave`.
#[derive(Debug, Clone, Args)]
pub(super) struct LeaveArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Ids of live servers. The id of a ZooKeeper server that left is never given again
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ServerId>,

    /// How many voters there should be from now on: 3, 5, … up to 15; 1 with a record for development
    #[arg(long, value_name = "NUMBER", value_parser = size)]
    size: Option<usize>,
}

/// Arguments of `toolbox ensemble retire`.
#[derive(Debug, Clone, Args)]
pub(super) struct RetireArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// The server's id: never given again
    #[arg(value_name = "ID")]
    id: ServerId,

    /// Why its disk does not come back, for whoever reads the record
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// How many voters there should be from now on: 3, 5, … up to 15; 1 with a record for development
    #[arg(long, value_name = "NUMBER", value_parser = size)]
    size: Option<usize>,
}

/// A server that is to join.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    id: ServerId,
    line: ServerLine,
}

/// Reads all joiners; what is wrong names the text that it is about.
fn read_all<T>(texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Stop> {
    let one =
        |text: &String| read(text).map_err(|why| Stop::usage(format!("`{}`: {why}", visible::bounded(text, 200))));
    texts.iter().map(one).collect()
}

/// A server of a ZooKeeper ensemble.
fn server(text: &str) -> Result<Server, String> {
    const FORM: &str =
        "servers are named as ID=HOST:QUORUM_PORT:ELECTION_PORT[:ROLE];CLIENT_PORT, as 4=zk-3.zk:2888:3888;2181";
    let text = text.strip_prefix("server.").unwrap_or(text);
    let (id, line) = text.split_once('=').ok_or(FORM)?;
    let line =
        ServerLine::parse(line).map_err(|fault| format!("{fault}, at byte {} of the line; {FORM}", fault.offset))?;
    Ok(Server { id: id.parse()?, line })
}

/// A controller of a KRaft quorum.
fn controller(text: &str) -> Result<kraft::Joiner, String> {
    let (id, directory) = text.split_once('=').map_or((text, None), |(id, rest)| (id, Some(rest)));
    if directory.is_some_and(|directory| directory.contains(':')) {
        return Err("controllers are named as ID or ID=DIRECTORY_ID, without addresses".to_owned());
    }
    let directory = directory.map(str::parse).transpose()?;
    Ok(kraft::Joiner { node: node(id.parse()?)?, directory })
}

/// Refuses a line that names one id twice: the second would silently win.
fn check_unique(ids: impl IntoIterator<Item = impl ToString + Ord>) -> Result<(), Stop> {
    let mut seen = BTreeSet::new();
    for id in ids {
        let shown = id.to_string();
        if !seen.insert(id) {
            return Err(Stop::usage(format!("id {shown} is named twice: name each server or controller once")));
        }
    }
    Ok(())
}

fn node(id: ServerId) -> Result<NodeId, String> {
    let words = || format!("{id} is no node id: 0 to {} is expected", i32::MAX);
    i32::try_from(id.0).map(NodeId).map_err(|_| words())
}

/// Longest reason.
const REASON_MAX: usize = 500;

/// Takes a running ensemble over: its id, its record.
pub(super) async fn adopt(context: &mut Context, args: &AdoptArgs) -> anyhow::Result<Exit> {
    if let Some(controllers) = args.which.quorum(context)? {
        let adoption = QuorumAdoption { size: args.size, dev: args.dev };
        return kraft::adopt(context, &controllers, adoption).await;
    }
    let wanted = args.which.ensemble.wanted();
    let settings = context.zookeeper_settings(wanted.flags)?;
    let has_login = settings.login.is_some();
    let connections = Connections::new(settings);
    let found = connections.ensemble_id(connections.named(), connections.timeout()).await;
    let found = match found {
        Ok(found) => found,
        Err(why) => return Err(unreachable(&connections, None, &why).await),
    };
    let ensemble_id = found.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let name = match name(context, wanted) {
        Some(name) => name.to_owned(),
        None => name_of(context, ensemble_id.clone()).await?,
    };
    let mut ensemble = Ensemble::of(context, connections, Known { name, has_login, rest: SETTLE }).await?;
    let former = ensemble.record.desired.clone();
    // An ensemble that `prestart` began has an id in its record before it has the node.
    let recorded = former.as_ref().and_then(|former| former.ensemble_id.clone());
    let ensemble_id = found.clone().or(recorded).unwrap_or(ensemble_id);
    context.is_ensemble(&ensemble.name, Some(&ensemble_id));
    context.shows_ensemble_id(found.clone().unwrap_or_default());
    let look = ensemble.observed().await;
    let adoption = Adoption { size: args.size, dev: args.dev, ensemble_id: Some(ensemble_id.clone()) };
    let mut plan = Plan::default();
    let others = match (&former, &found) {
        (None, Some(id)) => found::of_ensemble(context, id).await?,
        _ => Vec::new(),
    };
    let other = recorded_elsewhere(&others, "--ensemble");
    let next = match other.or_else(|| of_another(&ensemble, &look.seen, found.as_deref())) {
        Some(refusal) => Err(refusal),
        None => adopted(&look.seen, &adoption, former.as_ref(), context.steady().now()),
    };
    match next {
        Err(refusal) => refuse(&mut plan, &refusal),
        Ok(next) => {
            if found.is_none() {
                plan.steps.push(EnsembleStep::Identify(EnsembleId { ensemble_id }));
            }
            let same = former.as_ref().is_some_and(|former| is_same(former, &next));
            if !same {
                let voters = next.wanted_voters().count();
                let words = format!("the record of {} takes over {voters} voters, size {}", ensemble.name, next.size);
                let (before, after) = (former.map(Box::new), Box::new(next));
                plan.steps.push(declared(Declared { id: None, words, gives_up_data: false, before, after }));
            }
        }
    }
    Box::pin(write(context, &mut ensemble, plan, look)).await
}

/// Refuses to adopt into the record of another ensemble. What forbids every adoption anyway is said first.
fn of_another(ensemble: &Ensemble, seen: &Seen, id: Option<&str>) -> Option<Refusal> {
    let (former, config) = (ensemble.record.desired.as_ref()?, seen.quorum.as_ref());
    if (is_split(seen) && !seen.asked.is_apart) || config.is_none() {
        return None;
    }
    let refusal = not_its_own(former, Found { id, lacks_id: id.is_none(), config }, &ensemble.asked())?;
    let next = "Nothing was changed. Give this ensemble a name of its own, or delete the record if the ensemble was built anew";
    Some(Refusal { next: next.to_owned(), ..refusal })
}

/// Whether two records say the same, but for when that was confirmed.
fn is_same(former: &Desired, next: &Desired) -> bool {
    let since = former.last_config.as_ref().map(|last| last.since);
    let mut next = next.clone();
    if let (Some(last), Some(since)) = (&mut next.last_config, since) {
        last.since = since;
    }
    next == *former
}

/// Lets servers join, or move.
pub(super) async fn join(context: &mut Context, args: &JoinArgs) -> anyhow::Result<Exit> {
    let quorum = args.which.quorum(context)?;
    if let Some(quorum) = quorum {
        if !args.pods.is_empty() {
            return Err(Stop::usage("--pods names pods of ZooKeeper servers: leave it out for controllers").into());
        }
        let controllers = read_all(&args.joiners, controller)?;
        check_unique(controllers.iter().map(|it| it.node))?;
        return kraft::declare(context, &quorum, Declaration::Join(controllers), args.size).await;
    }
    let servers = read_all(&args.joiners, server)?;
    check_unique(servers.iter().map(|it| it.id))?;
    if args.pods.len() > servers.len() {
        return Err(Stop::usage(format!("--pods names {} pods for {} servers", args.pods.len(), servers.len())).into());
    }
    let mut ensemble = opened(context, &args.which).await?;
    let next = next_record(&ensemble, |desired| {
        let mut next = desired.clone();
        for (position, Server { id, line }) in servers.iter().enumerate() {
            next = joined(&next, *id, line)?;
            if let (Some(member), Some(pod)) = (next.members.get_mut(id), args.pods.get(position)) {
                member.pod = Some(pod.clone());
            }
        }
        resize(&next, args.size)
    });
    let role = |role: Role| listed(servers.iter().filter(|it| it.line.role == role).map(|it| it.id));
    let mut words = Vec::new();
    for (of_role, verb) in [(Role::Participant, "should vote"), (Role::Observer, "should observe")] {
        if servers.iter().any(|joiner| joiner.line.role == of_role) {
            words.push(format!("server {} {verb}", role(of_role)));
        }
    }
    let statement = Statement { id: only(servers.iter().map(|it| it.id)), words: words.join(", ") };
    Box::pin(declare(context, &mut ensemble, statement, next)).await
}

/// Lets live servers leave.
pub(super) async fn leave(context: &mut Context, args: &LeaveArgs) -> anyhow::Result<Exit> {
    check_unique(args.ids.iter().copied())?;
    if let Some(controllers) = args.which.quorum(context)? {
        let nodes = args.ids.iter().map(|id| node(*id)).collect::<Result<Vec<_>, _>>().map_err(Stop::usage)?;
        return kraft::declare(context, &controllers, Declaration::Leave(nodes), args.size).await;
    }
    let mut ensemble = opened(context, &args.which).await?;
    let next = next_record(&ensemble, |desired| {
        let next = args.ids.iter().try_fold(desired.clone(), |next, id| left(&next, *id))?;
        resize(&next, args.size)
    });
    let words = format!("server {} should leave", listed(args.ids.iter().copied()));
    let statement = Statement { id: only(args.ids.iter().copied()), words };
    Box::pin(declare(context, &mut ensemble, statement, next)).await
}

/// Declares a server gone for good.
pub(super) async fn retire(context: &mut Context, args: &RetireArgs) -> anyhow::Result<Exit> {
    let reason = args.reason.trim();
    if reason.is_empty() || reason.len() > REASON_MAX {
        return Err(Stop::usage(format!("--reason must have from 1 to {REASON_MAX} bytes")).into());
    }
    if let Some(controllers) = args.which.quorum(context)? {
        let declaration = Declaration::Retire(node(args.id).map_err(Stop::usage)?, reason.to_owned());
        return kraft::declare(context, &controllers, declaration, args.size).await;
    }
    let mut ensemble = opened(context, &args.which).await?;
    let look = ensemble.observed().await;
    let mut loss = String::new();
    let next = next_record(&ensemble, |desired| {
        let without = retired(desired, &look.seen, args.id, reason)?;
        loss = without.loss;
        resize(&without.desired, args.size)
    });
    let mut plan = Plan::default();
    match next {
        Err(refusal) => refuse(&mut plan, &refusal),
        Ok(next) if ensemble.record.desired.as_ref() == Some(&next) => {}
        Ok(next) => {
            plan.warn(loss);
            plan.steps.push(declared(Declared {
                id: Some(args.id),
                words: format!("server {} is gone for good: {reason}", args.id),
                gives_up_data: true,
                before: ensemble.record.desired.clone().map(Box::new),
                after: Box::new(next),
            }));
        }
    }
    Box::pin(write(context, &mut ensemble, plan, look)).await
}

/// The ensemble that the flags name, once its record is known to be its own.
async fn opened(context: &mut Context, which: &WhichArgs) -> anyhow::Result<Ensemble> {
    let ensemble = Ensemble::open(context, which.ensemble.wanted(), SETTLE).await?;
    ensemble.check_is_its_own().await?;
    Ok(ensemble)
}

fn only(mut ids: impl Iterator<Item = ServerId>) -> Option<ServerId> {
    let first = ids.next()?;
    ids.next().is_none().then_some(first)
}

fn next_record(
    ensemble: &Ensemble,
    change: impl FnOnce(&Desired) -> Result<Desired, Refusal>,
) -> Result<Desired, Refusal> {
    change(ensemble.record.desired.as_ref().ok_or_else(not_adopted)?)
}

fn declared(declared: Declared) -> EnsembleStep {
    EnsembleStep::Declare(Box::new(declared))
}

/// What is declared, in words, and of which server; none for several.
struct Statement {
    id: Option<ServerId>,
    words: String,
}

async fn declare(
    context: &mut Context,
    ensemble: &mut Ensemble,
    statement: Statement,
    next: Result<Desired, Refusal>,
) -> anyhow::Result<Exit> {
    let Statement { id, mut words } = statement;
    let mut plan = Plan::default();
    let before = ensemble.record.desired.clone();
    match next {
        Err(refusal) => refuse(&mut plan, &refusal),
        Ok(next) if before.as_ref() == Some(&next) => {}
        Ok(next) => {
            if let Some(before) = before.as_ref().filter(|before| before.size != next.size) {
                words = format!("{words}; size {} -> {}", before.size, next.size);
            }
            let (before, after) = (before.map(Box::new), Box::new(next));
            plan.steps.push(declared(Declared { id, words, gives_up_data: false, before, after }));
        }
    }
    Box::pin(write(context, ensemble, plan, Look::default())).await
}

async fn write(
    context: &mut Context,
    ensemble: &mut Ensemble,
    plan: Plan<EnsembleStep>,
    look: Look,
) -> anyhow::Result<Exit> {
    // What is written is refused where somebody else wrote the record since it was read.
    context.shows_record(record_lines::<ZooKeeper>(ensemble.record.desired.as_ref()));
    let executor = ensemble.executor(look, context);
    carry_out(context, plan, executor).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joiner_is_written_as_zookeeper_writes_it_or_without_the_word() {
        let line = ServerLine::parse("zk-3.zk:2888:3888;2181").unwrap();
        let expected = Server { id: ServerId(4), line };
        assert_eq!(server("4=zk-3.zk:2888:3888;2181").unwrap(), expected);
        assert_eq!(server("server.4=zk-3.zk:2888:3888:participant;0.0.0.0:2181").unwrap(), expected);
        let joins = |directory| kraft::Joiner { node: NodeId(4), directory };
        assert_eq!(controller("4").unwrap(), joins(None));
        let id = "AAECAwQFBgcICQoLDA0ODw";
        assert_eq!(controller(&format!("4={id}")).unwrap(), joins(Some(id.parse().unwrap())));
        for wrong in ["x", "x=a:1:2;3", "4=a:1", "=a:1:2;3", "4=a", "4=", "9999999999"] {
            assert!(server(wrong).is_err() && controller(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_server_of_zookeeper_says_nothing_of_directory_ids() {
        for wrong in ["4", "4=127.0.0.1", "4=", "4=a:x:2;3"] {
            let said = server(wrong).unwrap_err();
            assert!(!said.contains("directory") && said.contains("ID=HOST:QUORUM_PORT"), "{wrong}: {said}");
        }
    }

    #[test]
    fn one_id_named_twice_on_a_line_is_wrong_usage() {
        check_unique([ServerId(4), ServerId(5)]).unwrap();
        let stop = check_unique([ServerId(4), ServerId(5), ServerId(4)]).unwrap_err();
        assert!(stop.exit == Exit::Usage && stop.message.contains("id 4 is named twice"), "{}", stop.message);
    }
}
