//! `toolbox rollout run`: a rolling restart of StatefulSets, or of servers that commands stop and start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::change::event::{Event, Outcome, Severity};
use crate::change::plan::Plan;
use crate::clients::kubernetes::{ObjectName, PodState, StatefulSet, Strategy};
use crate::cluster::broker::{BrokerId, BrokerRange};
use crate::cluster::metadata::TopicSelection;
use crate::commands::rollout::agent::roll::Roll;
use crate::commands::rollout::apply::Commands;
use crate::commands::rollout::command::flags::RuleArgs;
use crate::commands::rollout::command::whose::Whose;
use crate::commands::rollout::observe::Observed;
use crate::commands::rollout::observe::fleet::{Fleet, IdsBy, Kind, Pass};
use crate::commands::rollout::plan::leaders::away;
use crate::commands::rollout::plan::record::Record;
use crate::commands::rollout::plan::step::{Act, RollStep};
use crate::commands::rollout::plan::{End, Unit, is_well, order};
use crate::commands::rollout::report;
use crate::commands::rollout::verdict::Answer;
use crate::context::rights::Workload;
use crate::context::{Agreed, Context, ControllerArgs, ZooKeeperFlags, duration};
use crate::exit::{Exit, Stop};
use crate::state::identity::Identity;

/// The label of a pod that holds its broker's id, as `identity assign` sets it.
const ID_LABEL: &str = "kafka-toolbox/broker-id";

/// Time between two looks at a StatefulSet whose controller has not seen its last change.
const UNOBSERVED_PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `toolbox rollout run`.
#[derive(Debug, Clone, Args)]
pub(super) struct RunArgs {
    /// A StatefulSet whose pods get its new revision; may be repeated for the sets of one cluster
    ///
    /// With updateStrategy OnDelete pods are deleted; with RollingUpdate its `partition` is lowered step by step, which goes
    /// from the highest ordinal down whoever is the controller. A partition of 0 is refused: pods would be replaced by
    /// readiness alone. An annotation kafka-toolbox/rollout-paused on one of the sets pauses the roll.
    #[arg(long, value_name = "NAME", help_heading = "Servers", conflicts_with_all = ["ids", "stop_cmd", "start_cmd"])]
    set: Vec<String>,

    /// What kind of servers they are
    #[arg(long, value_enum, default_value = "broker", help_heading = "Servers")]
    pub(super) kind: Kind,

    /// Ids of the servers, as `1001-1006,2001` [default: all brokers that are registered]
    #[arg(long, value_name = "IDS", value_delimiter = ',', help_heading = "Servers")]
    ids: Vec<BrokerRange>,

    /// The ensemble, for --kind server; the Kafka cluster that it serves, if any, is found in it at /cluster/id, or is named, since
    /// both are locked.
    #[command(flatten)]
    pub(super) zookeeper: ZooKeeperFlags,

    /// The label of a pod that holds its server's id
    #[arg(long, value_name = "LABEL", default_value = ID_LABEL, help_heading = "Servers")]
    id_label: String,

    /// The id of the pod with ordinal 0, where no label holds ids: 1 for ZooKeeper servers with `server.1` first
    #[arg(long, value_name = "ID", conflicts_with = "id_label", help_heading = "Servers")]
    first_id: Option<i32>,

    #[command(flatten)]
    pub(super) controllers: ControllerArgs,

    /// Outside Kubernetes: stops a server, and ends once its process is gone; `{id}` and `{kind}` are replaced, and are in
    /// TOOLBOX_ROLLOUT_ID and TOOLBOX_ROLLOUT_KIND. It is run by `sh -c`, and must let a broker hand its leaders over
    /// (SIGTERM)
    #[arg(long, value_name = "COMMAND", requires = "start_cmd", help_heading = "Commands")]
    stop_cmd: Option<String>,

    /// Starts a server. It must be safe to run for one that runs already: after a crash it may be run again. What it leaves
    /// in the background should have its output somewhere else
    #[arg(long, value_name = "COMMAND", requires = "stop_cmd", help_heading = "Commands")]
    start_cmd: Option<String>,

    /// How long each of the two may take
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration, help_heading = "Commands")]
    cmd_within: Duration,

    /// A name for what the servers are restarted for, as a version: a roll with the same name goes on where it ended, and does
    /// nothing once it is complete
    #[arg(long, value_name = "NAME", help_heading = "Commands")]
    revision: Option<String>,

    #[command(flatten)]
    rules: RuleArgs,

    /// Longest wait without progress: then the roll is paused, with exit code 5, and the same command goes on
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration, help_heading = "Pace")]
    wait_max: Duration,

    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration, help_heading = "Pace")]
    every: Duration,

    /// Longest wait until a broker that was restarted, and is in sync, leads again what it is the preferred leader of: then the
    /// roll is paused, with exit code 5. A preferred leader that can't lead is not waited for
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, conflicts_with = "no_elect",
          help_heading = "Pace")]
    leaders_within: Duration,

    /// Elect no preferred leaders, and do not wait for them
    #[arg(long, help_heading = "Pace")]
    no_elect: bool,
}

/// Rolls.
pub(super) async fn run(context: &mut Context, args: &RunArgs) -> anyhow::Result<Exit> {
    if context.flags.observed.is_some() || context.flags.save_observed.is_some() {
        let words = "`rollout run` goes by what it sees from look to look: there is nothing to save or to plan from; --dry-run \
                     shows what it would do";
        return Err(Stop::usage(words).into());
    }
    let done = roll(context, args).await;
    context.end_verb(&done).await;
    done
}

async fn roll(context: &mut Context, args: &RunArgs) -> anyhow::Result<Exit> {
    let whose = Whose::find(context, args).await?;
    if !context.is_dry_run() {
        if !args.set.is_empty() {
            context.check_rights(Workload::Rollout, &context.rights_setup(&whose.id)).await?;
        }
        for identity in &whose.locks {
            context.lock(identity).await?;
        }
    }
    let mut fleet = fleet(context, args).await?;
    let commands = commands(context, args, &mut fleet, &whose.record).await?;
    let mut roll = Roll {
        fleet,
        terms: args.rules.terms(),
        apart: args.rules.apart(),
        every: args.every,
        wait_max: args.wait_max,
        elects: !args.no_elect && args.kind == Kind::Broker,
        leaders_within: args.leaders_within,
        commands,
    };
    roll.terms.expected.extend(roll.fleet.ids.iter().map(|id| BrokerId(*id)));
    let plan = plan(context, &roll).await?;
    match context.agree(plan).await? {
        Agreed::Ends(exit) => return Ok(exit),
        Agreed::Yes => {}
    }
    let done = Box::pin(roll.run(context)).await?;
    if let End::Paused(why) = &done.end {
        record_pause(context, why).await;
    }
    context.output().result(&report::Rolled::new(&done), |_| report::rolled(&done))?;
    Ok(if done.end == End::Finished { Exit::Done } else { Exit::Unhealthy })
}

async fn fleet(context: &Context, args: &RunArgs) -> anyhow::Result<Fleet> {
    let mut ids: BTreeSet<i32> = args.ids.iter().flat_map(BrokerRange::ids).map(|id| id.0).collect();
    if args.set.is_empty() && args.stop_cmd.is_none() {
        return Err(Stop::usage("what is to be restarted? give --set, or --stop-cmd and --start-cmd").into());
    }
    if args.set.is_empty() && ids.is_empty() {
        if args.kind != Kind::Broker {
            return Err(Stop::usage("which servers? give --ids").into());
        }
        let kafka = context.kafka().await?;
        ids.extend(kafka.metadata(TopicSelection::None).await?.brokers.keys().map(|id| id.0));
    }
    if !args.set.is_empty() && !context.keeps_state_in_kubernetes() {
        let words = "the lock of a roll of StatefulSets is a Lease, or the drain guard would not see it: give --state kubernetes";
        return Err(Stop::usage(words).into());
    }
    let namespace =
        if args.set.is_empty() { String::new() } else { context.kubernetes().await?.identity().namespace.clone() };
    let sets: Vec<_> = args.set.iter().map(|name| ObjectName::new(namespace.clone(), name.clone())).collect();
    Ok(Fleet {
        kind: args.kind,
        ids,
        sets,
        ids_by: args.first_id.map_or_else(|| IdsBy::Label(args.id_label.clone()), IdsBy::Ordinal),
        controllers: args.controllers.clone(),
        zookeeper: args.zookeeper.clone(),
    })
}

async fn commands(
    context: &Context,
    args: &RunArgs,
    fleet: &mut Fleet,
    identity: &Identity,
) -> anyhow::Result<Option<Commands>> {
    let (Some(stop), Some(start)) = (&args.stop_cmd, &args.start_cmd) else { return Ok(None) };
    let mut document = context.document(identity).await?;
    let kept: Option<Record> = document.load().await?;
    if let Some(kept) = kept.as_ref().filter(|kept| args.ids.is_empty() && !kept.is_complete) {
        // The one that a dead run has stopped is not registered now.
        let is_same = kept.kind == args.kind.word() && kept.revision == args.revision;
        fleet.ids.extend(kept.targets.iter().filter(|_| is_same));
    }
    let record = Record::of(kept, args.kind.word(), args.revision.as_deref(), &fleet.ids);
    Ok(Some(Commands {
        stop: stop.clone(),
        start: start.clone(),
        limit: args.cmd_within,
        kind: args.kind.word(),
        document,
        record,
    }))
}

/// What the roll would do: a restart for each server that has not got the revision, and what is refused at once.
async fn plan(context: &Context, roll: &Roll) -> anyhow::Result<Plan<RollStep>> {
    let record = roll.commands.as_ref().map(|commands| &commands.record);
    let Pass { units, observed, held, pods, missing } = first_look(context, roll).await?;
    let mut plan = Plan::default();
    plain_updates(&mut plan, &pods);
    let kind = roll.fleet.kind.word();
    let step =
        |act, id: i32, name: String| RollStep { act, subject: format!("{kind}:{id}"), name, before: None, after: None };
    if let Some(stopped) = record.and_then(|record| record.stopped) {
        plan.steps.push(step(Act::Start, stopped.id, format!("{kind} {}", stopped.id)));
    }
    // What an earlier run has restarted; in Kubernetes there is no record that would say that the roll is complete.
    let is_complete = record.is_some_and(|record| record.is_complete);
    let earlier: Vec<_> = units.iter().filter(|unit| unit.is_done && !is_complete).collect();
    for unit in earlier.iter().filter(|unit| !is_well(unit)) {
        plan.steps.push(step(Act::Await, unit.id, unit.name.clone()));
    }
    plan.steps.extend(missing.into_iter().map(|pod| RollStep {
        act: Act::Await,
        subject: format!("pod:{pod}"),
        name: format!("pod {pod}"),
        before: None,
        after: None,
    }));
    // Stepped sets have one candidate at a time; the others follow.
    let mut order = order(&units);
    order.extend((0..units.len()).filter(|index| !units[*index].is_done && !order.contains(index)).collect::<Vec<_>>());
    for index in order {
        let unit = &units[index];
        plan.steps.push(step(Act::Restart, unit.id, unit.name.clone()));
        let is_own = matches!(&observed, Observed::Brokers(sample) if sample.seen_by.0 == unit.id);
        let again = if is_own { Some(roll.fleet.look_for(context, unit.id, 1).await?) } else { None };
        let verdict = again.as_ref().unwrap_or(&observed).judge(&roll.fleet.subject(unit.id), &roll.terms);
        if verdict.answer == Answer::Refused {
            plan.refuse(format!("{kind}:{}", unit.id), "restart", verdict.words());
        }
        if verdict.unavoidable_count > 0 && verdict.answer != Answer::Refused {
            let count = verdict.unavoidable_count;
            plan.warn(format!("while {} is out, {count} partitions can't be written to, or have no leader", unit.name));
        }
    }
    let is_open = record.is_some_and(|record| !record.is_complete && !record.done.is_empty());
    if roll.elects && (!plan.steps.is_empty() || is_open || lead_too_little(&earlier, &observed)) {
        plan.steps.push(RollStep {
            act: Act::Elect,
            subject: format!("cluster:{}", context.cluster_name().unwrap_or_default()),
            name: "all partitions".to_owned(),
            before: None,
            after: None,
        });
    }
    if let Some(why) = held.filter(|_| !plan.steps.is_empty()) {
        plan.warn(why);
    }
    Ok(plan)
}

/// A look at StatefulSets whose controller has seen their last change: before that they name their former revision, and nothing
/// would seem to be left to do.
async fn first_look(context: &Context, roll: &Roll) -> anyhow::Result<Pass> {
    let record = roll.commands.as_ref().map(|commands| &commands.record);
    let until = Instant::now() + context.timeout();
    loop {
        let pass = roll.fleet.look(context, record, 0).await?;
        let Some((_, set)) = pass.pods.values().find(|(_, set)| !set.is_observed) else { return Ok(pass) };
        if Instant::now() >= until {
            let (name, seconds) = (&set.name, context.timeout().as_secs());
            let words = format!(
                "the controller of StatefulSet {name} has not seen its last change for {seconds} s, so its new revision is not \
                 known: look at kube-controller-manager, and run this command again"
            );
            return Err(Stop::refused(words).into());
        }
        tokio::time::sleep(UNOBSERVED_PAUSE).await;
    }
}

/// Whether servers that were restarted do not lead what they could.
fn lead_too_little(restarted: &[&Unit], observed: &Observed) -> bool {
    let Observed::Brokers(sample) = observed else { return false };
    !away(sample, Some(&restarted.iter().map(|unit| BrokerId(unit.id)).collect())).is_empty()
}

/// A set whose controller replaces pods by itself is refused, while any of its pods has an old revision.
fn plain_updates(plan: &mut Plan<RollStep>, pods: &BTreeMap<i32, (PodState, StatefulSet)>) {
    let is_plain = |(pod, set): &&(PodState, StatefulSet)| {
        set.strategy == Strategy::Partition(0) && pod.revision() != Some(&set.update_revision)
    };
    let sets: BTreeMap<_, _> = pods.values().filter(is_plain).map(|(_, set)| (&set.name, set.replicas)).collect();
    for (name, replicas) in sets {
        let words = format!(
            "its updateStrategy is RollingUpdate with partition 0: its controller replaces pods by readiness alone. Set \
             updateStrategy.type to OnDelete, or partition to {replicas}"
        );
        plan.refuse(format!("statefulset:{name}"), "restart", words);
    }
}

async fn record_pause(context: &mut Context, why: &str) {
    let run = context.run();
    let subject = format!("cluster:{}", context.cluster_name().unwrap_or_default());
    let event = run.event("rollout.paused", &subject, Outcome::Done, "the roll waited too long and is paused");
    let event = Event { reason: Some(why.to_owned()), severity: Severity::Warning, ..event };
    context.recorder().record(std::slice::from_ref(&event)).await;
}
