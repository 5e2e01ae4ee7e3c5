//! The loop of a roll: look, decide, at most one restart, and so on until every server is done and well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::cluster::broker::BrokerId;
use crate::commands::rollout::apply::{self, Commands};
use crate::commands::rollout::observe::Observed;
use crate::commands::rollout::observe::fleet::{Fleet, Pass};
use crate::commands::rollout::plan::leaders::{Away, Due, Leadership, advice, away, words};
use crate::commands::rollout::plan::{Done, End, Next, Unit, is_process_gone, left_out, next, not_back};
use crate::commands::rollout::verdict::steady::Steady;
use crate::commands::rollout::verdict::{Answer, Terms, Verdict};
use crate::context::Context;
use crate::exit::Stop;
use crate::output;

/// A roll that can't read the state of its cluster for so long ends: who can't see must not stop anything.
pub const UNREAD_MAX: Duration = Duration::from_mins(1);

/// Longest time between an election and the look at what it did.
const ELECTED_PAUSE: Duration = Duration::from_secs(1);

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
    /// Whether preferred leaders are elected: those of each restarted broker before the next one stops, and all at the end.
    pub elects: bool,
    /// Longest wait until the brokers lead again what they can: then the roll is paused.
    pub leaders_within: Duration,
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
    /// How leadership goes back to those that were restarted.
    leadership: Leadership,
    /// Partitions that got their preferred leader.
    elected: usize,
    /// Why the last election did not give every partition its preferred leader.
    election_failed: Option<String>,
    /// Whether the preferred leaders of brokers that are not rolled were elected.
    is_rest_elected: bool,
}

impl State {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            turn: 0,
            steady: None,
            read_at: now,
            progress_at: now,
            said: String::new(),
            restarted: Vec::new(),
            not_back: BTreeMap::new(),
            leadership: Leadership::default(),
            elected: 0,
            election_failed: None,
            is_rest_elected: false,
        }
    }

    fn ends(self, end: End) -> Done {
        Done { end, restarted: self.restarted, elected: self.elected }
    }
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
        let mut state = State::new();
        loop {
            self.start_what_is_stopped(context, &mut state).await?;
            if let Some(why) = context.brake().pulled() {
                anyhow::bail!("stopped: {why}. {}; run the same command to go on", left_out(&state.not_back));
            }
            let waits = match self.pass(context, &mut state).await? {
                Passed::Finished => {
                    if let Some(commands) = &mut self.commands {
                        commands.complete().await;
                    }
                    return Ok(state.ends(End::Finished));
                }
                Passed::Paused(why) => return Ok(state.ends(End::Paused(why))),
                Passed::Restarted => continue,
                Passed::Elected => {
                    pause(context, self.every.min(ELECTED_PAUSE)).await;
                    continue;
                }
                Passed::Waits(why) => why,
            };
            if waits != state.said {
                output::say(&format!("waits: {waits}"));
                state.said.clone_from(&waits);
            }
            if state.progress_at.elapsed() >= self.wait_max {
                return Ok(state.ends(End::Paused(waits)));
            }
            pause(context, self.every).await;
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
            Next::Finished => None,
            Next::Wait(why) => {
                state.steady = None;
                state.leadership = Leadership::default();
                return Ok(Passed::Waits(why));
            }
            Next::Start(index) | Next::Try(index) => Some(index),
        };
        if let Some(passed) = self.lead_again(context, state, &pass).await? {
            state.steady = None;
            return Ok(passed);
        }
        let Some(index) = index else { return self.elect_the_rest(context, state, &pass).await };
        self.restart_if_it_may(context, state, &pass, index).await
    }

    /// Restarts the server that is next, if it may stop.
    async fn restart_if_it_may(
        &mut self,
        context: &mut Context,
        state: &mut State,
        pass: &Pass,
        index: usize,
    ) -> anyhow::Result<Passed> {
        let unit = &pass.units[index];
        let verdict = match self.verdict(context, pass, unit, state).await {
            Ok(verdict) => verdict,
            Err(error) => return unread(state, &error),
        };
        match verdict.answer {
            Answer::MayStop => {}
            Answer::Wait => return Ok(Passed::Waits(format!("{}: {}", unit.name, verdict.words()))),
            Answer::Refused => return Err(Stop::refused(format!("{}: {}", unit.name, verdict.words())).into()),
        }
        locked(context, state, "stopped")?;
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

    /// Lets every broker that was restarted lead again what it can, and waits for that; none where they all do. Called only while
    /// all of them are well.
    async fn lead_again(
        &self,
        context: &mut Context,
        state: &mut State,
        pass: &Pass,
    ) -> anyhow::Result<Option<Passed>> {
        let Observed::Brokers(sample) = &pass.observed else { return Ok(None) };
        if !self.elects {
            return Ok(None);
        }
        let done: BTreeSet<_> = pass.units.iter().filter(|unit| unit.is_done).map(|unit| BrokerId(unit.id)).collect();
        let away = away(sample, Some(&done));
        let due = state.leadership.look(!away.is_empty(), sample.at, self.leaders_within);
        let why = || match &state.election_failed {
            Some(failed) => format!("{}; the last election: {failed}", words(&away)),
            None => words(&away),
        };
        Ok(match due {
            Due::Back => None,
            Due::Elect => Some(elect(context, state, &away).await?),
            Due::Wait => Some(Passed::Waits(why())),
            Due::TooLong => {
                let seconds = self.leaders_within.as_secs();
                Some(Passed::Paused(format!(
                    "{}; {seconds} s have passed (--leaders-within); {}",
                    why(),
                    advice(&away)
                )))
            }
        })
    }

    /// Elects the preferred leaders of brokers that are not rolled, once: the roll does not wait for them.
    async fn elect_the_rest(&self, context: &mut Context, state: &mut State, pass: &Pass) -> anyhow::Result<Passed> {
        let Observed::Brokers(sample) = &pass.observed else { return Ok(Passed::Finished) };
        let away = if self.elects { away(sample, None) } else { Vec::new() };
        if away.is_empty() {
            return Ok(Passed::Finished);
        }
        if !state.is_rest_elected {
            state.is_rest_elected = true;
            return elect(context, state, &away).await;
        }
        output::say(&format!("{}; they are not waited for: these brokers are not rolled", words(&away)));
        Ok(Passed::Finished)
    }
}

/// Waits for the next look. Whoever asks to stop need not wait for it.
async fn pause(context: &Context, time: Duration) {
    let brake = context.brake().clone();
    let _ = timeout(time, brake.until_pulled()).await;
}

/// Elects the preferred leaders of these partitions.
async fn elect(context: &mut Context, state: &mut State, away: &[Away]) -> anyhow::Result<Passed> {
    locked(context, state, "elected")?;
    output::say(&format!("elects the preferred leaders of {} partitions", away.len()));
    let (elected, failed) = apply::elect(context, away).await?;
    state.elected += elected;
    state.election_failed = failed;
    Ok(Passed::Elected)
}

/// Refuses to go on where the lock is not certainly held.
fn locked(context: &Context, state: &State, what: &str) -> anyhow::Result<()> {
    let left = || left_out(&state.not_back);
    context.check_locks().map_err(|why| anyhow::anyhow!("nothing is {what} without the lock: {why}. {}", left()))
}

/// How a look ended.
enum Passed {
    Finished,
    Restarted,
    /// Preferred leaders were elected: the next look shows what that did.
    Elected,
    Waits(String),
    /// What is waited for has a limit of its own, and that has passed.
    Paused(String),
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
