//! The loop of a roll: look, decide, at most one restart, and so on until every server is done and well.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::cluster::topic::TopicPartition;
use crate::commands::rollout::apply::{self, Commands};
use crate::commands::rollout::observe::Observed;
use crate::commands::rollout::observe::fleet::{Fleet, Pass};
use crate::commands::rollout::plan::{Done, End, Next, Unit, is_process_gone, left_out, next, not_back};
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::steady::Steady;
use crate::commands::rollout::verdict::{Answer, Terms, Verdict};
use crate::context::Context;
use crate::exit::Stop;
use crate::output;

/// A roll that can't read the state of its cluster for so long ends: who can't see must not stop anything.
pub const UNREAD_MAX: Duration = Duration::from_mins(1);

/// How long elected leaders are waited for.
const ELECTED_WITHIN: Duration = Duration::from_secs(30);

/// A roll.
#[derive(Debug)]
pub struct Roll {
    /// The servers.
    pub fleet: Fleet,
    /// What is taken for granted.
    pub terms: Terms,
    /// Time between two looks that must agree.
    pub apart: Duration,
    /// Time between two looks.
    pub every: Duration,
    /// Longest wait without progress: then the roll is paused.
    pub wait_max: Duration,
    /// Whether preferred leaders are elected at the end.
    pub elects: bool,
    /// How servers are restarted outside Kubernetes.
    pub commands: Option<Commands>,
}

/// What is kept from look to look.
#[derive(Debug)]
struct State {
    turn: usize,
    steady: Option<(i32, Steady)>,
    read_at: Instant,
    progress_at: Instant,
    said: String,
    restarted: Vec<String>,
    /// Who was restarted and is not back, by the last look.
    not_back: BTreeMap<i32, String>,
}

impl Roll {
    /// Rolls until the end.
    ///
    /// # Errors
    ///
    /// The state can't be read for a minute; a command fails; the lock is lost, or the run is asked to stop. What was stopped
    /// was started before.
    pub async fn run(&mut self, context: &mut Context) -> anyhow::Result<Done> {
        context.brake().changes_begin();
        let now = Instant::now();
        let mut state = State {
            turn: 0,
            steady: None,
            read_at: now,
            progress_at: now,
            said: String::new(),
            restarted: Vec::new(),
            not_back: BTreeMap::new(),
        };
        loop {
            self.start_what_is_stopped(context, &mut state).await?;
            if let Some(why) = context.brake().pulled() {
                anyhow::bail!("stopped: {why}. {}; run the same command to go on", left_out(&state.not_back));
            }
            let waits = match self.pass(context, &mut state).await? {
                Passed::Finished(sample) => {
                    let elected = self.finish(context, sample.as_deref()).await?;
                    return Ok(Done { end: End::Finished, restarted: state.restarted, elected });
                }
                Passed::Restarted => continue,
                Passed::Waits(why) => why,
            };
            if waits != state.said {
                output::say(&format!("waits: {waits}"));
                state.said.clone_from(&waits);
            }
            if state.progress_at.elapsed() >= self.wait_max {
                return Ok(Done { end: End::Paused(waits), restarted: state.restarted, elected: 0 });
            }
            // Whoever asks to stop need not wait for the next look.
            let brake = context.brake().clone();
            let _ = timeout(self.every, brake.until_pulled()).await;
        }
    }

    async fn start_what_is_stopped(&mut self, context: &mut Context, state: &mut State) -> anyhow::Result<()> {
        let Some(commands) = &mut self.commands else { return Ok(()) };
        let Some(stopped) = commands.record.stopped else { return Ok(()) };
        output::say(&format!("starts {} {}, which an earlier run has stopped", commands.kind, stopped.id));
        commands.start(context, stopped.id).await?;
        state.not_back.insert(stopped.id, format!("{} {}", commands.kind, stopped.id));
        state.progress_at = Instant::now();
        Ok(())
    }

    /// One look, and at most one restart.
    async fn pass(&mut self, context: &mut Context, state: &mut State) -> anyhow::Result<Passed> {
        state.turn = state.turn.wrapping_add(1);
        let record = self.commands.as_ref().map(|commands| &commands.record);
        let pass = match self.fleet.look(context, record, state.turn).await {
            Ok(pass) => pass,
            Err(error) if error.chain().any(<dyn std::error::Error>::is::<Stop>) => return Err(error),
            Err(error) => return unread(state, &error),
        };
        state.read_at = Instant::now();
        state.not_back = not_back(&state.not_back, &pass.units);
        let index = match next(&pass.units, None, pass.held.as_deref()) {
            Next::Finished => return Ok(Passed::Finished(sample_of(pass.observed))),
            Next::Wait(why) => {
                state.steady = None;
                return Ok(Passed::Waits(why));
            }
            Next::Start(index) | Next::Try(index) => index,
        };
        let unit = &pass.units[index];
        let verdict = match self.verdict(context, &pass, unit, state).await {
            Ok(verdict) => verdict,
            Err(error) => return unread(state, &error),
        };
        match verdict.answer {
            Answer::MayStop => {}
            Answer::Wait => return Ok(Passed::Waits(format!("{}: {}", unit.name, verdict.words()))),
            Answer::Refused => return Err(Stop::refused(format!("{}: {}", unit.name, verdict.words())).into()),
        }
        context.check_locks().map_err(|why| {
            anyhow::anyhow!("nothing is stopped without the lock: {why}. {}", left_out(&state.not_back))
        })?;
        output::say(&format!("restarts {}", unit.name));
        match (&mut self.commands, pass.pods.get(&unit.id)) {
            (Some(commands), _) => commands.restart(context, unit).await?,
            (None, Some((pod, set))) => apply::replace_pod(context, unit, pod, set).await?,
            (None, None) => anyhow::bail!("{} is gone", unit.name),
        }
        state.restarted.push(unit.name.clone());
        state.not_back.insert(unit.id, unit.name.clone());
        state.progress_at = Instant::now();
        state.steady = None;
        state.said.clear();
        Ok(Passed::Restarted)
    }

    /// Whether the next server may stop, by this look and those before.
    async fn verdict(&self, context: &Context, pass: &Pass, unit: &Unit, state: &mut State) -> anyhow::Result<Verdict> {
        let terms = Terms { is_process_gone: is_process_gone(unit), ..self.terms.clone() };
        let is_own = matches!(&pass.observed, Observed::Brokers(sample) if sample.seen_by.0 == unit.id);
        let again = if is_own { Some(self.fleet.look_for(context, unit.id, state.turn).await?) } else { None };
        let observed = again.as_ref().unwrap_or(&pass.observed);
        let verdict = observed.judge(&self.fleet.subject(unit.id), &terms);
        let (_, mut steady) = state.steady.filter(|(id, _)| *id == unit.id).unwrap_or((unit.id, Steady::default()));
        let verdict = steady.look(verdict, observed.at(), self.apart);
        state.steady = Some((unit.id, steady));
        Ok(verdict)
    }

    /// Elects the preferred leaders, and says that the roll is complete.
    async fn finish(&mut self, context: &mut Context, sample: Option<&Sample>) -> anyhow::Result<usize> {
        let mut elected = 0;
        if let Some(sample) = sample.filter(|_| self.elects) {
            let away = away(sample);
            if !away.is_empty() {
                let (count, failed) = apply::elect(context, &away).await?;
                elected = count;
                if let Some(why) = failed {
                    output::say(&format!("{} of {} leaders were elected: {why}", count, away.len()));
                }
                self.await_leaders(context).await;
            }
        }
        if let Some(commands) = &mut self.commands {
            commands.complete().await;
        }
        Ok(elected)
    }

    /// Waits until the elected leaders lead, for a while.
    async fn await_leaders(&self, context: &Context) {
        let until = Instant::now() + ELECTED_WITHIN;
        let mut left = 0;
        while Instant::now() < until {
            match self.fleet.look(context, None, 0).await {
                Ok(Pass { observed: Observed::Brokers(sample), .. }) => left = away(&sample).len(),
                Ok(_) => return,
                Err(error) => tracing::debug!("leaders can't be read: {error:#}"),
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(self.every.min(Duration::from_secs(1))).await;
        }
        output::say(&format!("{left} partitions are not led by their preferred leader yet"));
    }
}

/// How a look ended.
enum Passed {
    Finished(Option<Box<Sample>>),
    Restarted,
    Waits(String),
}

fn sample_of(observed: Observed) -> Option<Box<Sample>> {
    match observed {
        Observed::Brokers(sample) => Some(sample),
        Observed::Quorum { .. } | Observed::Ensemble { .. } => None,
    }
}

/// A look that showed nothing: the roll goes on looking for a while, and then ends.
fn unread(state: &mut State, error: &anyhow::Error) -> anyhow::Result<Passed> {
    state.steady = None;
    if state.read_at.elapsed() < UNREAD_MAX {
        return Ok(Passed::Waits(format!("the state can't be read: {error:#}")));
    }
    anyhow::bail!(
        "the state could not be read for {} s, and nothing is stopped without it: {error:#}. {}; run the same \
         command to go on",
        UNREAD_MAX.as_secs(),
        left_out(&state.not_back)
    )
}

/// Partitions whose preferred leader is in sync and does not lead.
fn away(sample: &Sample) -> Vec<TopicPartition> {
    let mut away = Vec::new();
    for topic in sample.view.topics.values() {
        for partition in &topic.partitions {
            let Some(preferred) = partition.replicas.first() else { continue };
            let may_lead = partition.isr.contains(preferred) && !partition.offline.contains(preferred);
            if may_lead && partition.leader != Some(*preferred) {
                away.push(TopicPartition { topic: topic.name.clone(), partition: partition.partition });
            }
        }
    }
    away
}
