//! The way through of every verb that plans: observe, select, plan, check, show, write.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::clients::files::{self, Readers};
use crate::cluster::assignment::{MOVE_PLAN_VERSION, MovePlan, PartitionMove};
use crate::cluster::map::Maps;
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::command::choices;
use crate::commands::mapping::command::flags::{LAWS, ResultArgs, SafetyArgs, Schema, TopicArgs};
use crate::commands::mapping::command::sizes::SizeArgs;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::given::shown_age;
use crate::commands::mapping::observe::live;
use crate::commands::mapping::plan::{Finding, Mapping, Severity, explain, plan, verify};
use crate::commands::mapping::report::answer::{self, Answer, Asked, Explanation, Planned};
use crate::commands::mapping::report::{self, page, text};
use crate::commands::mapping::spec::goals::{Limits, Request, goals};
use crate::commands::mapping::spec::select::Brokers;
use crate::context::{Context, free_beside};
use crate::exit::{Exit, Stop};
use crate::formats::reassignment_json;
use crate::output;

/// What a verb asks for, with its arguments read.
pub(super) struct Job<'a> {
    /// The verb.
    pub(super) request: Request<'a>,
    /// What holds for every goal.
    pub(super) limits: Limits,
    /// Where the topics belong, where a flag says so.
    pub(super) brokers: Option<&'a Brokers>,
    /// Whether Kafka's own topics are meant, too, where no map has them.
    pub(super) internal: bool,
    /// Whether several tolerances are only compared.
    pub(super) choices: bool,
    /// Which topics.
    pub(super) topics: &'a TopicArgs,
    /// Where sizes come from.
    pub(super) sizes: &'a SizeArgs,
    /// What must be kept.
    pub(super) safety: &'a SafetyArgs,
    /// What becomes of the plan.
    pub(super) result: &'a ResultArgs,
    /// The verb's own flags as they are said again in the plan.
    pub(super) words: Vec<String>,
}

/// Plans, shows, writes. Exits with 0 if nothing is to do or the plan was written, with 3 if there are moves, with 4 if
/// a finding blocks.
pub(super) async fn run(context: &mut Context, job: &Job<'_>) -> anyhow::Result<Exit> {
    if let Some(schema) = job.result.schema {
        return print_schema(schema, &answer::schema());
    }
    let maps = job.topics.maps(context).await?;
    let observed = observe(context, job.sizes).await?;
    if job.choices {
        return choices::show(context, job, &observed, &maps);
    }
    let (mut planned, findings, explanations) = make(job, &job.limits, &observed, &maps)?;
    let answer = Answer::of(&observed, &planned, &findings, &asked(context, job, explanations));
    let age = age(context, &observed);
    context.output().result(&answer, |wide| text::answer(&answer, age.as_deref(), wide, output::table))?;
    say_unused_codes(job.safety, &answer);
    let exit = finish(context, job, (&answer, &observed), &mut planned)?;
    free_beside((answer, observed, planned));
    Ok(exit)
}

/// What is asked of an answer.
pub(super) fn asked(context: &Context, job: &Job<'_>, explanations: Vec<Explanation>) -> Asked {
    Asked {
        made_by: [vec![context.command.clone()], job.topics.words(), job.words.clone()].concat().join(" "),
        throttle: job.result.throttle,
        allowed: job.safety.allow.iter().cloned().collect(),
        explanations,
    }
}

/// Writes what is to be written, and says how it ended.
fn finish(
    context: &Context,
    job: &Job<'_>,
    (answer, observed): (&Answer, &Observed),
    planned: &mut [Planned],
) -> anyhow::Result<Exit> {
    let writes = !context.flags.dry_run;
    if let Some(path) = job.result.html.as_deref().filter(|_| writes) {
        files::write(path, page::page(answer), Readers::Umask)
            .with_context(|| format!("failed to write {}", path.display()))?;
        output::say(&format!("the page is written to {}", path.display()));
    }
    if let Some(words) = blocked(answer) {
        output::complain(&words);
        return Ok(Exit::Refused);
    }
    let has_moves = !answer.moves.is_empty();
    if let Some(folder) = job.result.out.as_deref().filter(|_| writes) {
        let moves = planned.iter_mut().flat_map(|one| std::mem::take(&mut one.moves)).collect();
        write(folder, &plan_file(answer, moves, observed))?;
        return Ok(Exit::Done);
    }
    Ok(if has_moves { Exit::Changes } else { Exit::Done })
}

/// Reads the cluster, or what was saved of it; sizes that somebody else measured replace its own.
pub(super) async fn observe(context: &mut Context, sizes: &SizeArgs) -> anyhow::Result<Observed> {
    sizes.check()?;
    let now = context.now();
    let source = match context.flags.observed {
        Some(_) => None,
        None => sizes.source(&context.flags)?,
    };
    let mut observed = context
        .observed(async || {
            let kafka = context.kafka().await?;
            let mut observed = live::observe(&*kafka, now).await?;
            sizes.read_files(&mut observed, now)?;
            if let Some(source) = source {
                sizes.measure(&mut observed, source, now).await?;
            }
            Ok(observed)
        })
        .await?;
    if context.flags.observed.is_some() {
        sizes.read_files(&mut observed, now)?;
    }
    context.is_cluster(&observed.cluster_id)?;
    Ok(observed)
}

/// How long ago the cluster was looked at; none if it was just now.
pub(super) fn age(context: &Context, observed: &Observed) -> Option<String> {
    let observed_at: Timestamp = observed.observed_at.parse().ok()?;
    let age = context.now().duration_since(observed_at);
    context.flags.observed.is_some().then(|| shown_age(age))
}

/// Prints a schema, and that is all.
pub(super) fn print_schema(schema: Schema, output: &serde_json::Value) -> anyhow::Result<Exit> {
    let schema = match schema {
        Schema::Plan => &reassignment_json::plan_schema(),
        Schema::Output => output,
        Schema::Choices => &report::choices::schema(),
    };
    output::print(&serde_json::to_string_pretty(schema)?)?;
    Ok(Exit::Done)
}

/// The planner's word for partitions that nobody told the size of.
const UNKNOWN_SIZE: &str = "unknown-size";

/// Plans, what was found, and why.
pub(super) type Made = (Vec<Planned>, Vec<Finding>, Vec<Explanation>);

/// Plans each group by itself, within what is left of the limits.
pub(super) fn make(job: &Job<'_>, limits: &Limits, observed: &Observed, maps: &Maps) -> anyhow::Result<Made> {
    let selection = job.topics.selection(job.brokers, job.internal);
    let groups = selection.groups(observed, maps).map_err(Stop::usage)?;
    let goals = goals(&job.request, limits, &groups, observed, maps).map_err(Stop::usage)?;
    let (mut planned, mut findings, mut explanations) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes_left, mut moves_left) = (limits.budget_bytes, limits.moves_max);
    let mut moving = None;
    let count = goals.len();
    for (index, (_, mut goal)) in goals.into_iter().enumerate() {
        (goal.budget_bytes, goal.moves_max) = (bytes_left, moves_left);
        let now = moving.as_ref().unwrap_or(observed);
        let Mapping { moves, findings: found } = plan(&goal, now);
        let mapping = Mapping { moves, findings: Vec::new() };
        for mut finding in found.into_iter().chain(verify(&goal, now, &mapping)) {
            // Brokers that did not answer are seen; a partition that somebody else forgot is not.
            if finding.code == UNKNOWN_SIZE && observed.sizes_given {
                finding.severity = Severity::Blocking;
            }
            // Two groups on one broker say the same of it, each in its own numbers.
            let key = |one: &Finding| (one.severity, one.code, one.subject.clone());
            if index == 0 || !findings.iter().any(|known| key(known) == key(&finding)) {
                findings.push(finding);
            }
        }
        let asked = job.result.explain.iter().filter(|one| goal.topics.contains(&one.topic));
        explanations.extend(
            asked.map(|one| Explanation { partition: one.to_string(), sentences: explain(&goal, now, &mapping, one) }),
        );
        let copied = mapping.moves.iter().fold(0, |sum: u64, one| sum.saturating_add(one.bytes_copied()));
        bytes_left = bytes_left.map(|left| left.saturating_sub(copied));
        moves_left = moves_left.map(|left| left.saturating_sub(mapping.moves.len()));
        if index + 1 < count {
            moving = Some(now.while_moving(&mapping.moves));
        }
        planned.push(Planned { goal, moves: mapping.moves });
    }
    explanations.extend(untouched(job, &planned, observed));
    Ok((planned, findings, explanations))
}

/// Partitions that were asked about and that no goal touches.
fn untouched(job: &Job<'_>, planned: &[Planned], observed: &Observed) -> Vec<Explanation> {
    let is_planned = |topic| planned.iter().any(|one| one.goal.topics.contains(topic));
    let asked = job.result.explain.iter().filter(|one| !is_planned(&one.topic));
    let why = |one: &TopicPartition| match observed.topics.get(&one.topic) {
        Some(_) => format!("topic {} is not among those that this command may touch", one.topic),
        None => format!("the cluster has no topic {}", one.topic),
    };
    let explanation = |one: &TopicPartition| Explanation { partition: one.to_string(), sentences: vec![why(one)] };
    asked.map(explanation).collect()
}

/// Why nothing is written, if findings block.
fn blocked(answer: &Answer) -> Option<String> {
    let codes: BTreeSet<_> = answer.blocking().map(|finding| finding.code.as_str()).collect();
    let (broken, open): (Vec<_>, Vec<_>) = codes.into_iter().partition(|code| LAWS.contains(code));
    if !broken.is_empty() {
        return Some(format!(
            "the plan breaks a law ({}) and is not written: this is a fault of toolbox itself; please report it with the \
             file that --save-observed writes",
            broken.join(", ")
        ));
    }
    let flags: Vec<_> = open.iter().map(|code| format!("--allow {code}")).collect();
    (!open.is_empty())
        .then(|| format!("refused: findings marked x block the plan; {} lets it through", flags.join(" ")))
}

/// A code that allows nothing is a slip, or a leftover.
fn say_unused_codes(safety: &SafetyArgs, answer: &Answer) {
    for code in &safety.allow {
        if !answer.findings.iter().any(|finding| finding.allowed && finding.code == *code) {
            output::say(&format!("note: --allow {code} lets nothing through: no finding that blocks has this code"));
        }
    }
}

fn plan_file(answer: &Answer, mut moves: Vec<PartitionMove>, observed: &Observed) -> MovePlan {
    moves.sort_by(|one, other| one.partition.cmp(&other.partition));
    let id = |one: &PartitionMove| {
        let topic = &one.partition.topic;
        Some((topic.clone(), observed.topics.get(topic)?.id?))
    };
    MovePlan {
        version: MOVE_PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id: answer.cluster_id.clone(),
        observed_at: answer.observed_at.clone(),
        made_by: answer.made_by.clone(),
        topic_ids: moves.iter().filter_map(id).collect(),
        moves,
    }
}

/// The three files: first those that describe, last the one that is carried out.
fn write(folder: &Path, plan: &MovePlan) -> anyhow::Result<()> {
    let forward = plan.moves.iter().map(|one| (&one.partition, &one.to[..]));
    let back = plan.moves.iter().map(|one| (&one.partition, &one.from[..]));
    let all = [
        ("rollback.json", reassignment_json::write(back)?),
        ("reassignment.json", reassignment_json::write(forward)?),
        ("plan.json", reassignment_json::write_plan(plan)?),
    ];
    files::write_all(folder, &all, Readers::Umask)
        .map_err(|(path, error)| anyhow::Error::new(error).context(format!("failed to write {}", path.display())))?;
    let what = text::count(plan.moves.len(), "move");
    output::say(&format!("{what} written to {}: plan.json, reassignment.json, rollback.json", folder.display()));
    Ok(())
}
