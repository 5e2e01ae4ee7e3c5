//! `toolbox reassign execute`: the way through.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, FromArgMatches};
use serde_json::json;

use crate::change::carry_out::Ended;
use crate::change::event::{Event, Outcome, Severity};
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::{MovePlan, PartitionMove};
use crate::cluster::metadata::TopicSelection;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::visible;
use crate::commands::reassign::agent::{Agent, Headroom, KeptRecord, Paced, Pacing, Throttling};
use crate::commands::reassign::command::record::{self, Asked, Control, Record};
use crate::commands::reassign::command::survey::Survey;
use crate::commands::reassign::command::throttles::{managed, release, say_what_is_left};
use crate::commands::reassign::observe::observe;
use crate::commands::reassign::plan::next::{Bounds, Limits, Manner};
use crate::commands::reassign::plan::preflight::{Allowed, Checked, check, count, of_other_topics, plan_of};
use crate::commands::reassign::plan::seen::Observed;
use crate::commands::reassign::plan::tick::Ending;
use crate::commands::reassign::plan::undo::differences;
use crate::commands::reassign::report;
use crate::commands::reassign::spec::Window;
use crate::commands::throttle::plan::look::Known;
use crate::commands::throttle::spec::{GivenCapacity, rate_above_zero, types};
use crate::context::load::LoadArgs;
use crate::context::rights::Workload;
use crate::context::throttles::OwnThrottles;
use crate::context::{Agreed, Context};
use crate::exit::{Exit, Stop};
use crate::formats::reassignment_json::Moves;
use crate::output;
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// How long the end may take to be shown by every broker.
const VERIFIED_WITHIN: [u64; 7] = [0, 200, 500, 1_000, 2_000, 3_000, 5_000];

/// Arguments of `toolbox reassign execute`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each one is a flag")]
pub(super) struct ExecuteArgs {
    /// The moves: plan.json of `toolbox mapping`, or Kafka's reassignment JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(super) plan: PathBuf,

    /// Move partitions from where they are, though the plan was made from another state
    #[arg(long, help_heading = "Reassignment")]
    replan: bool,

    /// Go on beside moves of other partitions that somebody else has begun
    #[arg(long, help_heading = "Reassignment")]
    beside_others: bool,

    /// Go on with moves of this plan that run already, though nothing here says that they were begun from here: only when it
    /// is certain that no other machine carries the plan out
    #[arg(long, help_heading = "Reassignment")]
    pub(super) take_over: bool,

    /// Take in moves that were cancelled before
    #[arg(long, help_heading = "Reassignment")]
    pub(super) include_cancelled: bool,

    /// Bring all new replicas in first, then hand the leadership over, then drop the old replicas
    #[arg(long, env = "TOOLBOX_REASSIGN_LEADER_FIRST", help_heading = "Reassignment")]
    leader_first: bool,

    /// Do not elect the preferred leaders of partitions that are where they should be
    #[arg(long, env = "TOOLBOX_REASSIGN_NO_ELECT", help_heading = "Reassignment")]
    no_elect: bool,

    /// Copy no faster than this into and out of each broker, as `50MB/s`; `auto` finds rates that let the moves end and
    /// leave clients their share of the load that is measured (see Load); or `none` [default: a running `throttle run`
    /// paces the moves, each batch before it is submitted; without one, none]
    #[arg(long, env = "TOOLBOX_REASSIGN_THROTTLE", value_name = "RATE", value_parser = throttle, help_heading = "Pacing")]
    throttle: Option<Throttle>,

    /// What the brokers' networks can do each way, for `--throttle auto`: `125MB/s` for all that toolbox.yaml does not name,
    /// `1001=1.2GB/s` for one
    #[arg(
        long,
        env = "TOOLBOX_REASSIGN_CAPACITY",
        value_name = "[BROKER=]RATE",
        value_delimiter = ',',
        help_heading = "Pacing"
    )]
    capacity: Vec<GivenCapacity>,

    #[command(flatten)]
    load: LoadArgs,

    /// Most partitions that are copied into a broker, and out of it, at once
    #[arg(
        long,
        env = "TOOLBOX_REASSIGN_PARTITIONS",
        value_name = "COUNT",
        default_value_t = 10,
        help_heading = "Pacing"
    )]
    partitions_per_broker: usize,

    /// Most bytes that are on their way into a broker, and out of it; a bigger partition is copied alone
    #[arg(
        long,
        env = "TOOLBOX_REASSIGN_BYTES",
        value_name = "BYTES",
        default_value = "100GB",
        help_heading = "Pacing"
    )]
    bytes_per_broker: Bytes,

    /// Most moves at once in the whole cluster
    #[arg(long, env = "TOOLBOX_REASSIGN_MOVES", value_name = "COUNT", default_value_t = 500, help_heading = "Pacing")]
    max_moves: usize,

    /// The part of each log dir that stays free while both copies exist, in percent
    #[arg(long, env = "TOOLBOX_REASSIGN_FREE", value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Pacing")]
    keep_free: u8,

    /// Begin moves only at these hours, as `22:00-06:00` by the clocks of --time-zone
    #[arg(long, env = "TOOLBOX_REASSIGN_WINDOW", value_name = "HH:MM-HH:MM", help_heading = "Pacing")]
    only_between: Option<Window>,

    /// Give up (the moves go on) when nothing at all has got on for so long
    #[arg(long, env = "TOOLBOX_REASSIGN_PATIENCE", value_name = "DURATION", default_value = "1h", value_parser = crate::context::duration, help_heading = "Pacing")]
    patience: Duration,

    /// Call a move stalled when nothing was copied for so long
    #[arg(long, env = "TOOLBOX_REASSIGN_STALLED_AFTER", value_name = "DURATION", default_value = "5m", value_parser = crate::context::duration, help_heading = "Pacing")]
    stalled_after: Duration,

    /// Longest pause between two looks at the cluster
    #[arg(long, env = "TOOLBOX_REASSIGN_TICK", value_name = "DURATION", default_value = "5s", value_parser = crate::context::duration, help_heading = "Pacing")]
    tick: Duration,

    /// Write how far it is to this file at each look, in Prometheus' text format
    #[arg(long, env = "TOOLBOX_REASSIGN_METRICS_FILE", value_name = "FILE", help_heading = "Pacing")]
    metrics_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
enum Throttle {
    None,
    Auto,
    Fixed(ByteRate),
}

fn throttle(text: &str) -> Result<Throttle, String> {
    match text {
        "none" => Ok(Throttle::None),
        "auto" => Ok(Throttle::Auto),
        rate => rate_above_zero(rate).map(Throttle::Fixed).map_err(|error| format!("{error}; or `auto`, or `none`")),
    }
}

/// Carries a plan out.
pub(super) async fn run(context: &mut Context, args: &ExecuteArgs) -> anyhow::Result<Exit> {
    let wanted = record::read(&args.plan)?;
    match context.flags.observed {
        Some(_) => rehearse(context, args, wanted).await,
        None => Box::pin(make(context, args, wanted)).await,
    }
}

/// Carries out a plan that another command made, with arguments from the environment only.
pub(super) async fn agreed(context: &mut Context, plan: MovePlan) -> anyhow::Result<Exit> {
    let arguments = ExecuteArgs::augment_args(clap::Command::new("execute").no_binary_name(true));
    let matches = arguments.try_get_matches_from(["-"]).map_err(|error| Stop::usage(error.render().to_string()))?;
    let args = ExecuteArgs::from_arg_matches(&matches).map_err(|error| Stop::usage(error.render().to_string()))?;
    Box::pin(make(context, &args, Moves::Plan(plan))).await
}

async fn make(context: &mut Context, args: &ExecuteArgs, wanted: Moves) -> anyhow::Result<Exit> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    let cluster_id = &metadata.cluster_id;
    context.is_cluster(cluster_id)?;
    check_cluster(&wanted, cluster_id)?;
    let mut pacing = args.pacing(context)?;
    if !context.is_dry_run() {
        context.check_rights(Workload::Reassign, &context.rights_setup(cluster_id)).await?;
    }
    let mut survey = Survey::of(context, args, (wanted.clone(), &pacing, None), (&*kafka, cluster_id)).await?;
    if !context.is_dry_run() && survey.has_work() {
        // Taking the lock takes seconds: a run that finds nothing to do takes none. What was seen before it is seen again.
        survey = lock(context, args, (wanted, &pacing, survey), (&*kafka, cluster_id)).await?;
    }
    let agent = if context.is_dry_run() || !survey.has_work() {
        None
    } else {
        agent_that_paces(context, args, cluster_id).await?
    };
    let goes_on = survey.goes_on();
    let Survey { mut document, before, plan, cancelled, moves, observed, shown, .. } = survey;
    // What another command observed is its own to save.
    let observed = if is_ours(context) { context.observed(async || Ok(observed)).await? } else { observed };
    let agreed = context.agree(shown).await?;
    if let Agreed::Ends(exit) = agreed
        && (!goes_on || context.is_dry_run())
    {
        if exit == Exit::Done && !context.is_dry_run() {
            // A run that died when all was in place may have left its throttles.
            let is_released = release(context, &*kafka, cluster_id).await?;
            return Ok(if is_released { exit } else { Exit::Failed });
        }
        return Ok(exit);
    }
    let plan = with_bases(plan, &moves);
    let record = Record::of((plan, cancelled), (before.as_ref(), args.include_cancelled), &observed);
    keep(&mut document, &record).await?;
    let record = KeptRecord::new(document, record);
    let control = open_control(context, cluster_id, (&observed, &pacing)).await?;
    let paced = match agent {
        Some(agent) => {
            output::say(&format!("a throttle agent paces the moves ({agent}); each batch is handed over to it first"));
            pacing.throttle = Throttling::ByAgent;
            Some(Paced::open(context, cluster_id, agent).await?)
        }
        None => None,
    };
    let throttles =
        if paced.is_some() { None } else { managed(context, &*kafka, cluster_id, &pacing.throttle).await? };
    let is_unthrottled = throttles.is_none() && paced.is_none();
    let is_paced = paced.is_some();
    let exit = carry_out(context, &*kafka, (moves.clone(), record, pacing), (control, (throttles, paced))).await?;
    // Somebody may have set a throttle for these moves meanwhile.
    if exit == Exit::Done && is_unthrottled && !release(context, &*kafka, cluster_id).await? {
        return Ok(Exit::Failed);
    }
    if exit == Exit::Done && !is_paced {
        say_what_is_left(&*kafka, &moves).await;
    }
    Ok(exit)
}

/// Takes the lock, and looks at the cluster again.
async fn lock(
    context: &mut Context,
    args: &ExecuteArgs,
    (wanted, pacing, before): (Moves, &Pacing, Survey),
    (kafka, cluster_id): (&dyn Kafka, &str),
) -> anyhow::Result<Survey> {
    context.lock(&context.identity(Purpose::Moves, cluster_id)).await?;
    let sized = Some(before.observed.sizes);
    Survey::of(context, args, (wanted, pacing, sized), (kafka, cluster_id)).await
}

/// The plan with the bases that hold now; moves that are left out stay as they were planned.
fn with_bases(plan: MovePlan, moves: &[PartitionMove]) -> MovePlan {
    let now: BTreeMap<_, _> = moves.iter().map(|one| (&one.partition, one)).collect();
    let based = plan.moves.into_iter().map(|one| now.get(&one.partition).map_or(one, |now| (*now).clone()));
    MovePlan { moves: based.collect(), ..plan }
}

/// The running `throttle run` that paces these moves, in words; none where none runs, or where `--throttle none` asks for
/// none. A rate beside it is refused: each would undo what the other one sets.
async fn agent_that_paces(context: &Context, args: &ExecuteArgs, cluster_id: &str) -> anyhow::Result<Option<String>> {
    if matches!(args.throttle, Some(Throttle::None)) {
        return Ok(None);
    }
    let identity = context.identity(Purpose::Throttle, cluster_id);
    let Some(holder) = context.lock_holder(&identity).await? else { return Ok(None) };
    // Any other run is short, or was an execution that died a moment ago: its lock is waited for.
    if holder.command.as_ref().is_some_and(|command| command != "throttle run") {
        return Ok(None);
    }
    let mut record = context.document(&identity).await?;
    record.load::<serde::de::IgnoredAny>().await?;
    context.check_same_place(&record).await?;
    if args.throttle.is_some() {
        return Err(Stop::refused(format!(
            "another run manages the throttles of this cluster: {}. Nothing was changed. Leave --throttle out: that run then \
             paces these moves, too; `toolbox throttle set RATE` gives it a rate",
            holder.words
        ))
        .into());
    }
    Ok(Some(holder.words))
}

/// Opens the control of this run, and removes requests that were made of an earlier run.
async fn open_control(
    context: &mut Context,
    cluster_id: &str,
    (observed, pacing): (&Observed, &Pacing),
) -> anyhow::Result<Control> {
    let mut control = Control::open(context, cluster_id).await?;
    let asked = control.read(Duration::ZERO).await;
    if asked.bounds != Bounds::default() {
        output::say(&format!(
            "bounds that `toolbox reassign set` asked for hold: {}; `toolbox reassign set --reset` takes them back",
            asked.bounds.words()
        ));
    }
    control.ask(&Asked { stop: false, ..asked }).await?;
    if observed.running.is_empty() && !matches!(pacing.throttle, Throttling::ByAgent) {
        // What was asked for until nothing moves: whoever should have forgotten it was killed, or cancelled.
        control.forget_rates(context).await;
    }
    let is_overridden = !control.rates(Duration::ZERO, context.now()).await.is_empty();
    if is_overridden && !pacing.throttle.is_off() {
        output::say(
            "rates that `toolbox throttle set` asked for go before --throttle; `toolbox throttle clear --overrides` takes \
             them back",
        );
    }
    Ok(control)
}

/// Whether this is `reassign` itself, not another command that has moves carried out.
pub(super) fn is_ours(context: &Context) -> bool {
    context.command.starts_with("reassign ")
}

/// Says from a saved observation what would be done.
async fn rehearse(context: &mut Context, args: &ExecuteArgs, wanted: Moves) -> anyhow::Result<Exit> {
    let observed: Observed = context.observed(async || anyhow::bail!("a rehearsal looks at no cluster")).await?;
    context.is_cluster(&observed.cluster_id)?;
    check_cluster(&wanted, &observed.cluster_id)?;
    let (moves, other) = match wanted {
        Moves::Plan(plan) => {
            let other = of_other_topics(&plan.moves, (&plan.topic_ids, "made"), &observed);
            (plan.moves, other.filter(|_| !args.replan))
        }
        Moves::Assignment(assignment) => (plan_of(assignment, &observed, None), None),
    };
    let pacing = args.pacing(context)?;
    let Checked { mut plan, .. } = check(moves, &observed, (&pacing.limits, pacing.manner), args.allowed());
    if let Some(why) = other {
        plan.refuse("cluster:moves", "go on", why);
    }
    match context.agree(plan).await? {
        Agreed::Ends(exit) => Ok(exit),
        Agreed::Yes => Ok(Exit::Changes),
    }
}

impl ExecuteArgs {
    /// Whether partitions are moved from where they are, whatever the plan was made from.
    pub(super) fn replan(&self) -> bool {
        self.replan
    }

    pub(super) fn allowed(&self) -> Allowed {
        Allowed { replan: self.replan, beside_others: self.beside_others }
    }

    fn pacing(&self, context: &Context) -> Result<Pacing, Stop> {
        Ok(Pacing {
            limits: Limits {
                partitions: self.partitions_per_broker,
                bytes: self.bytes_per_broker.0,
                moves: self.max_moves,
                free: f64::from(self.keep_free) / 100.0,
            },
            manner: Manner { leader_first: self.leader_first, elects: !self.no_elect },
            throttle: match self.throttle {
                None | Some(Throttle::None) => Throttling::Off,
                Some(Throttle::Fixed(rate)) => Throttling::Fixed(rate),
                Some(Throttle::Auto) => Throttling::Auto(Box::new(self.headroom(context)?)),
            },
            window: self.only_between.map(|window| (window, context.flags.repeat.time_zone.clone())),
            patience: self.patience,
            stalled_after: self.stalled_after,
            tick: self.tick,
            metrics: self.metrics_file.clone(),
        })
    }

    /// Who measures the load, and what the networks can do.
    fn headroom(&self, context: &Context) -> Result<Headroom, Stop> {
        let sources = self.load.sources(&context.flags)?;
        let by_type = types(self.load.cap_map()).map_err(Stop::usage)?;
        Ok(Headroom::new(sources, Known::of(context.maps.capacities(), &self.capacity), by_type))
    }
}

fn check_cluster(wanted: &Moves, cluster_id: &str) -> Result<(), Stop> {
    match wanted {
        Moves::Plan(plan) if plan.cluster_id != cluster_id => Err(Stop::refused(format!(
            "the plan was made for cluster {}, and this is cluster {}: nothing was changed",
            visible::value(&plan.cluster_id),
            visible::value(cluster_id)
        ))),
        _ => Ok(()),
    }
}

async fn keep(document: &mut Document, record: &Record) -> anyhow::Result<()> {
    let place = document.place();
    document.save(record).await.with_context(|| {
        format!("failed to keep in {place} where the partitions were before: nothing was moved, since a cancel could not give the former order back")
    })
}

async fn carry_out(
    context: &mut Context,
    kafka: &dyn Kafka,
    (moves, record, pacing): (Vec<PartitionMove>, KeptRecord, Pacing),
    (control, throttles): (Control, (Option<OwnThrottles>, Option<Paced>)),
) -> anyhow::Result<Exit> {
    let run = context.run();
    let words = format!("{} are moved", count(moves.len(), "partition"));
    let started = run.event("reassign.execute.started", &format!("cluster:{}", run.cluster), Outcome::Planned, &words);
    context.brake().changes_begin();
    context.recorder().record(std::slice::from_ref(&started)).await;
    let mut agent = Agent::new(kafka, pacing, (moves.clone(), record), control, throttles);
    let ended = agent.run(context).await;
    let is_clean = agent.is_kept() && agent.is_released();
    drop(agent);
    let (kind, severity, outcome, exit) = match &ended {
        Ok(Ending::Done) => ("reassign.execute.completed", Severity::Success, Ended::done(), Exit::Done),
        Ok(Ending::Stopped(why)) => {
            let why =
                format!("{why}: moves that run go on, and so do their throttles; run the same command again to go on");
            ("reassign.execute.stopped", Severity::Warning, Ended::failed(why), Exit::Failed)
        }
        Ok(Ending::Incomplete(lost)) => {
            let why = format!("all other moves are done, and these were given up: {}", lost.join("; "));
            ("reassign.execute.incomplete", Severity::Error, Ended::failed(why), Exit::Failed)
        }
        Ok(Ending::Cancelled) => {
            let why = "`toolbox reassign cancel` takes the moves back";
            ("reassign.execute.cancelled", Severity::Warning, Ended::refused(why), Exit::Refused)
        }
        Ok(Ending::GaveUp(why)) => {
            let why = format!("{why}. The moves stay as they are; run the same command again to go on");
            ("reassign.execute.failed", Severity::Error, Ended::failed(why), Exit::Failed)
        }
        Err(error) => ("reassign.execute.failed", Severity::Error, Ended::failed(format!("{error:#}")), Exit::Failed),
    };
    let event = Event { kind: kind.to_owned(), severity, ..run.outcome(&started, &outcome) };
    context.recorder().record(&[event]).await;
    if ended? != Ending::Done {
        output::complain(outcome.reason.as_deref().unwrap_or_default());
        return Ok(exit);
    }
    let exit = finish(context, kafka, &moves).await?;
    Ok(if is_clean { exit } else { Exit::Failed })
}

/// The last look: what is as planned, and what is not.
async fn finish(context: &Context, kafka: &dyn Kafka, moves: &[PartitionMove]) -> anyhow::Result<Exit> {
    let topics = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let mut wrong = Vec::new();
    for pause in VERIFIED_WITHIN {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
        wrong = differences(moves, &observed);
        if wrong.is_empty() {
            break;
        }
    }
    let value = json!({ "partitions": moves.len(), "differences": wrong });
    context.output().result(&value, |_| report::verified(moves.len(), &wrong, None))?;
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}
