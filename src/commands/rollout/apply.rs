//! The side effects of a roll: commands that stop and start a server, pods that are deleted, partitions of updates, elections.
//! Each has its intent recorded before and its outcome after.

use std::time::Duration;

use crate::change::carry_out::{Ended, Watch, carry_out};
use crate::change::event::Outcome;
use crate::change::fail_point::fail_point;
use crate::change::settled::rolls::elected_lines;
use crate::change::settled::workloads::{PARTITION, SET, SET_UID};
use crate::clients::kafka::{Election, KafkaError, codes};
use crate::clients::kubernetes::{PodState, StatefulSet, Strategy};
use crate::clients::programs;
use crate::cluster::topic::TopicPartition;
use crate::commands::rollout::plan::Unit;
use crate::commands::rollout::plan::leaders::Away;
use crate::commands::rollout::plan::record::Record;
use crate::commands::rollout::plan::step::{Act, RollStep};
use crate::context::Context;
use crate::state::document::Document;

/// How often a start command is tried.
const START_TRIES: u32 = 3;

/// The time between two tries.
const START_PAUSE: Duration = Duration::from_secs(2);

/// Partitions of one election.
const ELECTED_MAX: usize = 1_000;

/// How servers are stopped and started outside Kubernetes.
#[derive(Debug)]
pub struct Commands {
    /// Stops a server and ends once its process is gone. `{id}` and `{kind}` are replaced.
    pub stop: String,
    /// Starts a server. It must be safe to run for one that runs.
    pub start: String,
    /// How long each may take.
    pub limit: Duration,
    /// The kind of servers.
    pub kind: &'static str,
    /// What is kept between runs.
    pub document: Document,
    /// The same, as it is now.
    pub record: Record,
}

impl Commands {
    /// Stops a server and starts it again. Whatever happens after the stop, the start is tried.
    ///
    /// # Errors
    ///
    /// The record can't be written (then nothing is stopped), or a command failed.
    pub async fn restart(&mut self, context: &mut Context, unit: &Unit) -> anyhow::Result<()> {
        self.record.stopping(unit.id, context.now());
        self.document.save(&self.record).await?;
        let stopped = self.run(context, Act::Stop, unit.id).await;
        if stopped.is_ok() {
            self.record.stopped();
            self.keep().await;
        }
        self.start(context, unit.id).await?;
        stopped.map_err(|why| anyhow::anyhow!("{} was not stopped: its stop command {why}", unit.name))
    }

    /// Starts the server that this run, or one that died, has stopped.
    ///
    /// # Errors
    ///
    /// Every try failed: the server may be down.
    pub async fn start(&mut self, context: &mut Context, id: i32) -> anyhow::Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Err(why) = self.run(context, Act::Start, id).await else { break };
            if tries == START_TRIES {
                let kind = self.kind;
                anyhow::bail!(
                    "{kind} {id} may be down: its start command {why}. Start it, then run this command again"
                );
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        self.record.started(context.now());
        self.keep().await;
        Ok(())
    }

    /// Says that every server is done and well.
    pub async fn complete(&mut self) {
        self.record.is_complete = true;
        self.keep().await;
    }

    /// Writes the record. Where that fails a later run restarts a server once more than needed.
    async fn keep(&mut self) {
        if let Err(error) = self.document.save(&self.record).await {
            tracing::warn!("the progress of the roll could not be written to {}: {error:#}", self.document.place());
        }
    }

    async fn run(&self, context: &mut Context, act: Act, id: i32) -> Result<(), String> {
        let line = if act == Act::Stop { &self.stop } else { &self.start };
        let line = line.replace("{id}", &id.to_string()).replace("{kind}", self.kind);
        let kind = self.kind;
        let step = RollStep {
            act,
            subject: format!("{kind}:{id}"),
            name: format!("{kind} {id}"),
            before: None,
            after: self.record.revision.as_ref().map(|revision| format!("revision: {revision}")),
        };
        let variables = [("TOOLBOX_ROLLOUT_ID", id.to_string()), ("TOOLBOX_ROLLOUT_KIND", kind.to_owned())];
        let limit = self.limit;
        let point = if act == Act::Stop { "rollout.stopped" } else { "rollout.started" };
        let ended = carried_out(context, step, async || {
            let done = programs::run(&line, &variables, limit).await;
            fail_point(point);
            done.map_or_else(Ended::failed, |()| Ended::done())
        })
        .await;
        match ended.outcome {
            Outcome::Done => Ok(()),
            _ => Err(ended.reason.unwrap_or_else(|| "gave no answer".to_owned())),
        }
    }
}

/// Has a pod created again: deletes it, or lets its StatefulSet replace it. A conflict means that it is another one by now: the
/// next look shows it.
///
/// # Errors
///
/// The API server refused it, or did not answer.
pub async fn replace_pod(context: &mut Context, unit: &Unit, pod: &PodState, set: &StatefulSet) -> anyhow::Result<()> {
    let kubernetes = context.kubernetes().await?;
    let stepped = unit.pod.as_ref().and_then(|pod| pod.stepped).filter(|_| set.strategy != Strategy::OnDelete);
    let revision = |revision: &str| format!("revision: {revision}");
    let place = format!("uid: {}\nnode: {}", pod.uid, pod.node.as_deref().unwrap_or("-"));
    let step = RollStep {
        act: if stepped.is_some() { Act::StepPartition } else { Act::DeletePod },
        subject: format!("pod:{}", pod.name),
        name: unit.name.clone(),
        before: Some(format!("{place}\n{}", revision(pod.revision().unwrap_or("-")))),
        after: Some(match stepped {
            Some(ordinal) => format!(
                "{}\n{SET}: {}\n{SET_UID}: {}\n{PARTITION}: {ordinal}",
                revision(&set.update_revision),
                set.name,
                set.uid
            ),
            None => revision(&set.update_revision),
        }),
    };
    let ended = carried_out(context, step, async || {
        fail_point("rollout.replacing");
        let done = match stepped {
            Some(ordinal) => kubernetes.set_partition(set, ordinal).await,
            None => kubernetes.delete_pod(&pod.name, &pod.uid).await,
        };
        fail_point("rollout.replaced");
        match done {
            Ok(()) => Ended::done(),
            Err(error) if error.is_passing() => Ended::unknown(error.to_string()),
            Err(error) => Ended::failed(error.to_string()),
        }
    })
    .await;
    match ended.outcome {
        Outcome::Failed => anyhow::bail!("{}: {}", unit.name, ended.reason.unwrap_or_default()),
        _ => Ok(()),
    }
}

/// Elects preferred leaders; how many partitions got theirs, and why not all did.
pub async fn elect(context: &mut Context, away: &[Away]) -> anyhow::Result<(usize, Option<String>)> {
    let kafka = context.kafka().await?;
    let partitions: Vec<TopicPartition> = away.iter().map(|it| it.partition.clone()).collect();
    let step = RollStep {
        act: Act::Elect,
        subject: format!("cluster:{}", context.cluster_name().unwrap_or_default()),
        name: format!("{} partitions", partitions.len()),
        before: None,
        // By that a later run finds out how the election ended, if this one dies.
        after: elected_lines(away.iter().map(|it| (it.preferred, &it.partition))),
    };
    let (mut elected, mut failed) = (0, None);
    carried_out(context, step, async || {
        for chunk in partitions.chunks(ELECTED_MAX) {
            for result in kafka.elect_leaders(Election::Preferred, chunk).await {
                match result {
                    Ok(()) => elected += 1,
                    Err(KafkaError::Broker { code, .. }) if code == codes::ELECTION_NOT_NEEDED => elected += 1,
                    Err(error) => failed = Some(error.to_string()),
                }
            }
        }
        fail_point("rollout.elected");
        failed.clone().map_or_else(Ended::done, Ended::failed)
    })
    .await;
    Ok((elected, failed))
}

/// Carries one step out, with its intent before and its outcome after. It is never given up half-way.
async fn carried_out(context: &mut Context, step: RollStep, act: impl AsyncFnOnce() -> Ended) -> Ended {
    let run = context.run();
    let mut act = Some(act);
    let apply = async |_: &[RollStep]| match act.take() {
        Some(act) => vec![act().await],
        None => Vec::new(),
    };
    let ended = carry_out(std::slice::from_ref(&step), &run, context.recorder(), &mut Unwatched, apply).await;
    ended.into_iter().next().unwrap_or_else(|| Ended::unknown("no answer came"))
}

/// Nobody watches a single step.
struct Unwatched;

impl Watch for Unwatched {
    fn at(&mut self, _ended: usize, _of: usize) {}

    fn should_stop(&self) -> bool {
        false
    }
}
