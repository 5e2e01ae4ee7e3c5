//! What `reassign execute` knows before it asks: the plan, the record of an earlier run, the cluster, and what would be
//! done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;

use crate::change::plan::Plan;
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::{MOVE_PLAN_VERSION, MovePlan, PartitionMove};
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::agent::{Pacing, brokers_of};
use crate::commands::reassign::command::execute::{ExecuteArgs, is_ours};
use crate::commands::reassign::command::record::{self, Record};
use crate::commands::reassign::observe::{observe, sizes};
use crate::commands::reassign::plan::lost::{is_cancelled, is_recreated};
use crate::commands::reassign::plan::preflight::{Checked, check, count, names, of_other_topics, plan_of};
use crate::commands::reassign::plan::seen::{Observed, Sizes, State, grown};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::context::Context;
use crate::formats::reassignment_json::Moves;
use crate::output;
use crate::state::document::Document;

/// How long partitions that are seen in a strange state are given to be shown right.
const LOOKS: [u64; 4] = [0, 300, 700, 1_500];

/// What is known before anything is asked or changed.
pub(super) struct Survey {
    /// Where the plan is kept.
    pub(super) document: Document,
    /// What an earlier run kept there.
    pub(super) before: Option<Record>,
    /// The plan, with the moves that are left out.
    pub(super) plan: MovePlan,
    /// Moves of it that were cancelled before, by us or by somebody else, and are left out.
    pub(super) cancelled: BTreeSet<TopicPartition>,
    /// The moves, checked against the cluster.
    pub(super) moves: Vec<PartitionMove>,
    /// The cluster.
    pub(super) observed: Observed,
    /// What would be done, and what is refused.
    pub(super) shown: Plan<ReassignStep>,
    /// Moves that an earlier run began and that are not shown as under way: only time tells whether they have arrived.
    uncertain: BTreeSet<TopicPartition>,
}

impl Survey {
    /// Reads the record and the cluster; sizes only where they were not read a moment ago: a broker that was just lost keeps
    /// whoever asks it waiting.
    pub(super) async fn of(
        context: &Context,
        args: &ExecuteArgs,
        (wanted, pacing, sized): (Moves, &Pacing, Option<Sizes>),
        (kafka, cluster_id): (&dyn Kafka, &str),
    ) -> anyhow::Result<Self> {
        let mut document = record::document(context, cluster_id).await?;
        let before: Option<Record> = document.load().await?;
        let is_first = sized.is_none();
        let (plan, mut cancelled) = moves_of(args, wanted, kafka, before.as_ref()).await?;
        if is_first && !cancelled.is_empty() {
            output::say(&format!(
                "left out: {} of this plan, cancelled before; --include-cancelled takes them in",
                count(cancelled.len(), "move")
            ));
        }
        let kept = |cancelled: &BTreeSet<TopicPartition>| {
            plan.moves.iter().filter(|one| !cancelled.contains(&one.partition)).cloned().collect::<Vec<_>>()
        };
        let (mut checked, mut observed) = look(args, kafka, kept(&cancelled), (pacing, sized)).await?;
        let begun = before.as_ref().filter(|_| !args.include_cancelled).filter(|before| before.is_of(&plan));
        let begun = begun.map(Record::begun_moves).unwrap_or_default();
        let vanished = |one: &&PartitionMove| {
            let is_other = before
                .as_ref()
                .is_some_and(|before| is_recreated(&one.partition.topic, &before.topic_ids, &observed.topic_ids));
            begun.contains_key(&one.partition) && observed.state(one) == State::Waiting && !is_other
        };
        let vanished: Vec<_> = checked.moves.iter().filter(vanished).cloned().collect();
        let (taken_back, uncertain): (Vec<_>, Vec<_>) =
            vanished.into_iter().partition(|one| is_cancelled(one, &observed));
        if !taken_back.is_empty() {
            if is_first {
                output::say(&format!(
                    "left out: {} of this plan, cancelled by somebody else ({}); --include-cancelled takes them in",
                    count(taken_back.len(), "move"),
                    names(&taken_back.iter().map(|one| &one.partition).collect::<Vec<_>>())
                ));
            }
            cancelled.extend(taken_back.into_iter().map(|one| one.partition));
            let sized = Some(observed.sizes);
            (checked, observed) = look(args, kafka, kept(&cancelled), (pacing, sized)).await?;
        }
        let uncertain: BTreeSet<_> = uncertain.into_iter().map(|one| one.partition).collect();
        let Checked { moves, plan: mut shown, stale: _ } = checked;
        let is_uncertain = |step: &ReassignStep| uncertain.contains(step.partition());
        shown.steps.retain(|step| !is_uncertain(step));
        if !uncertain.is_empty() {
            shown.warn(format!(
                "{} begun by an earlier run are not shown as under way: they have arrived, or somebody cancelled them; this \
                 run waits until that is certain ({})",
                count(uncertain.len(), "move"),
                names(&uncertain.iter().collect::<Vec<_>>())
            ));
        }
        if let Some(why) = begun_of_other_topics(&moves, before.as_ref(), &plan, &observed).filter(|_| !args.replan()) {
            shown.refuse("cluster:moves", "go on", why);
        }
        let strange = begun_elsewhere(&moves, before.as_ref(), &observed, is_ours(context));
        if let Some(why) = strange.filter(|_| !args.take_over) {
            shown.refuse("cluster:moves", "go on", why);
        }
        Ok(Self { document, before, plan, cancelled, moves, observed, shown, uncertain })
    }

    /// Whether all that is left is to follow moves that run already.
    pub(super) fn goes_on(&self) -> bool {
        self.shown.refusals.is_empty()
            && self.shown.steps.is_empty()
            && (!self.uncertain.is_empty() || self.moves.iter().any(|one| self.observed.state(one) == State::Running))
    }

    /// Whether there is anything to do that is not refused.
    pub(super) fn has_work(&self) -> bool {
        self.shown.refusals.is_empty() && (!self.shown.steps.is_empty() || self.goes_on())
    }
}

/// Moves of the plan that run, and that no run which keeps its state where this one does has begun: outside of Kubernetes
/// nothing else tells that somebody on another machine carries the same plan out.
fn begun_elsewhere(
    moves: &[PartitionMove],
    before: Option<&Record>,
    observed: &Observed,
    has_flag: bool,
) -> Option<String> {
    let known = before.map(Record::known).unwrap_or_default();
    let known: BTreeSet<_> = known.iter().map(|one| (&one.partition, &one.to)).collect();
    let is_strange =
        |one: &&PartitionMove| observed.state(one) == State::Running && !known.contains(&(&one.partition, &one.to));
    let strange: Vec<_> = moves.iter().filter(is_strange).map(|one| &one.partition).collect();
    let what_next = if has_flag {
        "let them, or go on with --take-over when it is certain that nobody does"
    } else {
        "`toolbox reassign status` shows how far they are; run the same command again when they have ended, which they do \
         in Kafka even if nobody watches them"
    };
    let words = format!(
        "{} of this plan already under way, not begun from here: {}. Somebody else may be carrying the plan out: \
         {what_next}",
        count(strange.len(), "move"),
        names(&strange)
    );
    (!strange.is_empty()).then_some(words)
}

/// Why the plan does not hold any more, where topics of it were deleted and created again since it was begun or made.
fn begun_of_other_topics(
    moves: &[PartitionMove],
    before: Option<&Record>,
    plan: &MovePlan,
    observed: &Observed,
) -> Option<String> {
    let begun = before.filter(|before| before.is_of(plan));
    let begun = begun.and_then(|before| of_other_topics(moves, (&before.topic_ids, "begun"), observed));
    begun.or_else(|| of_other_topics(moves, (&plan.topic_ids, "made"), observed))
}

/// Moves of earlier plans that run beside this one: without a record, a cancel could not give their order back.
pub(super) fn still_running(before: &Record, plan: &MovePlan, observed: &Observed) -> Vec<PartitionMove> {
    let planned: BTreeSet<_> = plan.moves.iter().map(|one| &one.partition).collect();
    let mut earlier = before.known();
    earlier.retain(|one| {
        let running = observed.running.get(&one.partition).map(Reassignment::target);
        !planned.contains(&one.partition) && running.is_some_and(|to| to == one.to || to == grown(one))
    });
    earlier.sort_by(|one, two| one.partition.cmp(&two.partition));
    earlier.dedup_by(|one, two| one.partition == two.partition);
    earlier
}

/// The moves of the plan, and which of them were cancelled before.
async fn moves_of(
    args: &ExecuteArgs,
    wanted: Moves,
    kafka: &dyn Kafka,
    before: Option<&Record>,
) -> anyhow::Result<(MovePlan, BTreeSet<TopicPartition>)> {
    let mut plan = match wanted {
        Moves::Plan(plan) => plan,
        Moves::Assignment(assignment) => {
            let topics = assignment.iter().map(|(partition, _)| partition.topic.clone()).collect();
            let observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
            MovePlan {
                version: MOVE_PLAN_VERSION,
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                cluster_id: observed.cluster_id.clone(),
                observed_at: String::new(),
                made_by: format!("from {}", args.plan.display()),
                topic_ids: BTreeMap::new(),
                moves: plan_of(assignment, &observed, before.map(|record| &record.plan)),
            }
        }
    };
    // What was cancelled belongs to the plan that it was cancelled of.
    let mut cancelled =
        before.filter(|record| record.is_of(&plan)).map(|record| record.cancelled.clone()).unwrap_or_default();
    if args.include_cancelled {
        cancelled.clear();
    }
    plan.moves.sort_by(|one, two| one.partition.cmp(&two.partition));
    Ok((plan, cancelled))
}

/// Checks the plan against the cluster. A broker may show late what was done a moment ago: partitions in a strange state
/// are looked at again.
async fn look(
    args: &ExecuteArgs,
    kafka: &dyn Kafka,
    moves: Vec<PartitionMove>,
    (pacing, mut sized): (&Pacing, Option<Sizes>),
) -> anyhow::Result<(Checked, Observed)> {
    let topics = moves.iter().map(|one| one.partition.topic.clone()).collect();
    let mut looked = None;
    for pause in LOOKS {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let mut observed = observe(kafka, &topics).await.context("failed to read the cluster")?;
        observed.sizes = match sized.take() {
            Some(sized) => sized,
            None => sizes(kafka, &brokers_of(&moves, &observed), &topics).await.context("failed to read sizes")?,
        };
        let checked = check(moves.clone(), &observed, (&pacing.limits, pacing.manner), args.allowed());
        let is_clear = checked.stale.is_empty();
        looked = Some((checked, observed));
        if is_clear {
            break;
        }
    }
    looked.context("the cluster was not looked at")
}
