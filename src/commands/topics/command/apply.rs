//! `toolbox topics apply` and `diff`: the way through.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::plan::Plan;
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::{MOVE_PLAN_VERSION, MovePlan};
use crate::cluster::topic::TopicName;
use crate::commands::topics::apply;
use crate::commands::topics::command::held;
use crate::commands::topics::command::memory::{Memory, Part};
use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::command::validate::refusal;
use crate::commands::topics::command::{again, declared};
use crate::commands::topics::observe::{Observed, observe};
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::plan::running;
use crate::commands::topics::plan::{Options, Planned, TopicStep, plan};
use crate::commands::topics::spec::{Sound, Spec, State, TopicSpec};
use crate::context::completion;
use crate::context::{Context, Loading, Settled, free_beside};
use crate::exit::{Exit, Stop};
use crate::formats::place::{Fault, Faults};
use crate::output;

/// Arguments of `toolbox topics diff` and `apply`.
#[derive(Debug, Clone, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// Apply what has no fault: a file or ConfigMap with a fault is left out whole and its topics stay as they are, and a
    /// topic that the brokers refuse is left out; the exit code is 2 all the same
    #[arg(long, env = "TOOLBOX_TOPICS_KEEP_GOING", help_heading = "Topics")]
    keep_going: bool,

    /// Take over topics that other owners declare: they leave those owners' records
    #[arg(long, env = "TOOLBOX_TOPICS_TAKE_OWNERSHIP", help_heading = "Topics")]
    take_ownership: bool,

    /// Change this topic although Kafka, Strimzi or Kafka Connect keeps its own data in it; repeatable. Without it such
    /// topics are left as they are
    #[arg(long = "internal-topic", value_name = "TOPIC", help_heading = "Topics", add = completion::topics())]
    internal_topics: Vec<TopicName>,

    /// Delete this topic, which the spec says is absent, even if it is in use; repeatable
    #[arg(long = "delete", value_name = "TOPIC", help_heading = "Deleting", add = completion::topics())]
    deletes: Vec<TopicName>,

    /// Most topics that one run deletes
    #[arg(
        long,
        env = "TOOLBOX_TOPICS_MAX_DELETES",
        value_name = "COUNT",
        default_value_t = 5,
        help_heading = "Deleting"
    )]
    max_deletes: usize,

    /// How long a topic must have had no new record before it is deleted, as `7d` or `12h`
    ///
    /// Where producers choose the times of records (message.timestamp.type=CreateTime, Kafka's default), those times prove
    /// nothing: a topic with records is deleted when the end offsets of its partitions have stood still for so long. The
    /// first run notes them in the record of what was last applied, and refuses. An empty topic needs no such wait.
    #[arg(long, env = "TOOLBOX_TOPICS_MIN_IDLE", value_name = "DURATION", default_value = "7d", help_heading = "Deleting", value_parser = Idle::parse)]
    min_idle: Idle,
}

/// A duration, and how it was written.
#[derive(Debug, Clone)]
struct Idle {
    text: String,
    duration: Duration,
}

impl Idle {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), duration: crate::context::duration(text)? })
    }
}

/// Shows what `apply` would change; nothing is changed. Exits with 3 if something would be, with 4 if something would be
/// refused.
pub(super) async fn diff(context: &mut Context, args: &ApplyArgs) -> anyhow::Result<Exit> {
    context.flags.dry_run = true;
    run(context, args).await
}

/// Makes the cluster as declared.
pub(super) async fn run(context: &mut Context, args: &ApplyArgs) -> anyhow::Result<Exit> {
    let done = make(context, args).await;
    context.end_verb(&done).await;
    done
}

async fn make(context: &mut Context, args: &ApplyArgs) -> anyhow::Result<Exit> {
    let loading = context.load_observed();
    let (declared, first_look) = declared::read(context, &args.sources, args.keep_going).await?;
    let (spec, is_partial) = (&declared.spec, !declared.left_out.is_empty());
    check(context, args, &declared)?;
    let kafka = cluster(context, spec).await?;
    let mut memory = match &kafka {
        Some(kafka) => {
            let metadata = first_look.metadata(&**kafka).await?;
            Some(Memory::open(context, &args.sources, spec, metadata).await?)
        }
        None => None,
    };
    let observed = look(context, args, spec, loading, memory.as_mut()).await?;
    context.is_cluster(&observed.metadata.cluster_id)?;
    let times = (context.now(), context.now() - args.min_idle.duration);
    let options = options(context, args, (is_partial, times.1));
    let (observed, Planned { plan, mut faults }) = match kafka.as_deref() {
        None => {
            let planned = plan(spec, &observed, &options);
            (observed, planned)
        }
        Some(kafka) => again::plan_as_it_is(context, kafka, (spec, &options, times), observed).await?,
    };
    faults.extend(declared::protected(&declared, observed.last_applied.as_ref()));
    for note in spec.notes_beside(faults.iter().map(|(_, fault)| fault)) {
        output::say(&format!("note: {note}"));
    }
    let plan = stop_at_faults(args, plan, &faults)?;
    let last = observed.last_applied.as_ref();
    let basis = apply::Basis::of(&observed, &options.named_deletes);
    let is_refused = |name: &TopicName| !args.take_ownership && observed.declared_by_others.contains_key(name);
    let claim = match last.filter(|_| plan.steps.is_empty() || context.is_dry_run()) {
        Some(last) => Cow::Borrowed(last),
        None => Cow::Owned(last.cloned().unwrap_or_default().claiming(&plan.steps, spec, is_refused, &basis.ids)),
    };
    let Settled { exit, ended, carried_out } =
        settle(context, kafka, plan, (last, &claim, &basis), memory.as_mut()).await?;
    let mut is_kept = true;
    if let Some(memory) = memory.filter(|_| carried_out) {
        let faulty = faults.iter().map(|(name, _)| name.clone()).collect();
        let part = Part { spec, is_partial, faulty, takes_ownership: args.take_ownership };
        is_kept = memory.settle(context, &part, (&observed, &claim), &ended).await;
    }
    if let Some(moves) = moves_of(&ended, &observed, &context.command) {
        context.hand_over(moves);
    }
    let left_out: Vec<_> = declared.faults.iter().chain(faults.iter().map(|(_, fault)| fault)).cloned().collect();
    let is_bad = !left_out.is_empty();
    if is_bad {
        context.record_failure(&declared::partly(left_out).into()).await;
    }
    drop(claim);
    free_beside((declared, observed, ended));
    Ok(match exit {
        Exit::Done if !is_kept => Exit::Failed,
        Exit::Done | Exit::Refused if is_bad => Exit::Usage,
        exit => exit,
    })
}

/// Refuses documents of another cluster, and names in the flags that nothing declares.
fn check(context: &Context, args: &ApplyArgs, declared: &Sound) -> anyhow::Result<()> {
    declared::is_of_cluster(context, &declared.spec)?;
    if !declared.left_out.is_empty() {
        return Ok(());
    }
    let is_absent = |topic: &TopicSpec| topic.state == State::Absent;
    if let Some(name) = args.deletes.iter().find(|name| !declared.spec.topics.get(*name).is_some_and(is_absent)) {
        return Err(Stop::usage(format!(
            "--delete {name}: what was given does not declare this topic with `state: absent`; nothing was changed"
        ))
        .into());
    }
    if let Some(name) = args.internal_topics.iter().find(|name| !declared.spec.topics.contains_key(*name)) {
        let message =
            format!("--internal-topic {name}: what was given does not declare this topic; nothing was changed");
        return Err(Stop::usage(message).into());
    }
    Ok(())
}

/// What else decides about the plan.
fn options(context: &Context, args: &ApplyArgs, (is_partial, idle_since): (bool, Timestamp)) -> Options {
    Options {
        maps: context.maps.clone(),
        named_deletes: args.deletes.iter().cloned().collect(),
        internal_topics: args.internal_topics.iter().cloned().collect(),
        max_deletes: args.max_deletes,
        min_idle: args.min_idle.text.clone(),
        idle_since: Some(idle_since),
        is_partial,
        owner: args.sources.owner(),
        takes_ownership: args.take_ownership,
    }
}

/// The moves of the steps that are done with being agreed to: `reassign` carries them out.
fn moves_of(ended: &[(TopicStep, Ended)], observed: &Observed, command: &str) -> Option<MovePlan> {
    let agreed = ended.iter().filter(|(_, ended)| ended.outcome == Outcome::Done);
    let moves = agreed.filter_map(|(step, _)| match step {
        TopicStep::ChangeReplicas { name, moves, .. } => Some([moves.clone(), running::moves(observed, name)].concat()),
        _ => None,
    });
    let mut moves: Vec<_> = moves.flatten().collect();
    moves.sort_by(|one, other| one.partition.cmp(&other.partition));
    let placement = observed.placement.as_ref().filter(|_| !moves.is_empty())?;
    let ids = observed.ids();
    let owned = |(topic, id): (&TopicName, &Uuid)| (topic.clone(), *id);
    Some(MovePlan {
        version: MOVE_PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id: observed.metadata.cluster_id.clone(),
        observed_at: placement.observed_at.clone(),
        made_by: command.to_owned(),
        topic_ids: moves.iter().filter_map(|one| ids.get_key_value(&one.partition.topic)).map(owned).collect(),
        moves,
    })
}

/// The cluster; none in a rehearsal.
async fn cluster(context: &Context, spec: &Spec) -> anyhow::Result<Option<Arc<dyn Kafka>>> {
    match context.flags.observed {
        Some(_) => Ok(None),
        None => Ok(Some(context.kafka_expecting_configs(spec.topics.len()).await?)),
    }
}

async fn look(
    context: &Context,
    args: &ApplyArgs,
    spec: &Spec,
    loading: Loading<Observed>,
    memory: Option<&mut Memory>,
) -> anyhow::Result<Observed> {
    context
        .observed_from(loading, async || {
            // Without it this is a rehearsal, and nothing is read from a cluster.
            let memory = memory.context("no cluster was looked at")?;
            let kafka = context.kafka().await?;
            let idle_since = context.now() - args.min_idle.duration;
            let mut observed = observe(&*kafka, spec, memory.hand_over(), (context.now(), idle_since)).await?;
            held::measure(&*kafka, spec, &mut observed, context.now()).await;
            Ok(observed)
        })
        .await
}

/// The plan without the topics that have a fault, if the run may go on at all.
fn stop_at_faults(
    args: &ApplyArgs,
    mut plan: Plan<TopicStep>,
    found: &[(TopicName, Fault)],
) -> anyhow::Result<Plan<TopicStep>> {
    if found.is_empty() {
        return Ok(plan);
    }
    let mut faults: Vec<_> = found.iter().map(|(_, fault)| fault.clone()).collect();
    faults.sort();
    let faults = Faults(faults);
    if !args.keep_going {
        return Err(refusal(&faults).into());
    }
    output::complain_lines(&format!("left out because of faults:\n{faults}"));
    plan.steps.retain(|step| !found.iter().any(|(name, _)| name == step.name()));
    Ok(plan)
}

/// Shows the plan and carries it out. Keys that are about to be set are claimed first.
async fn settle(
    context: &mut Context,
    kafka: Option<Arc<dyn Kafka>>,
    plan: Plan<TopicStep>,
    (last, claim, basis): (Option<&LastApplied>, &LastApplied, &apply::Basis),
    mut memory: Option<&mut Memory>,
) -> anyhow::Result<Settled<TopicStep>> {
    if let Some(memory) = memory.as_deref_mut().filter(|_| !context.is_dry_run()) {
        memory.open_former(context, &plan.steps).await?;
    }
    let apply = async |batch: &[TopicStep]| {
        let (Some(kafka), Some(memory)) = (kafka.as_deref(), memory.as_deref_mut()) else {
            return batch.iter().map(|_| Ended::refused("a rehearsal changes nothing")).collect();
        };
        if let Err(ended) = memory.claim(last, claim).await {
            return vec![ended; batch.len()];
        }
        if let Some(TopicStep::TakeOwnership { .. }) = batch.first() {
            return memory.take_from_former(batch).await;
        }
        apply::apply_to(kafka, batch, basis, &mut memory.created_ids).await
    };
    context.settle(plan, apply).await
}
