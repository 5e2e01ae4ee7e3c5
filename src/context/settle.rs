//! Settling a plan: show, refuse, ask, carry out, record.
//!
//! Steps:
//! 1. Set apart the steps above `--max-risk`: they are refused.
//! 2. Show the plan; one of many steps as a summary, unless `-o wide`. A dry run ends here: 4 if something is refused,
//!    else 3 if there is something to do. A plan that is carried out as a whole or not at all, and of which something is
//!    refused, ends here, too: nobody is asked.
//! 3. Ask on a terminal unless `--yes`; without a terminal, `--yes` is needed. Above risk `reversible`, the name of what
//!    changes, or how many such changes there are, is typed.
//! 4. Carry out batch by batch, with an intent before and an outcome after each step. A pulled
//!    brake (a signal, a deadline, a lost Lease) lets the batch end and stops.
//! 5. Show what failed, what was refused, what is not known, and the counts.

use serde_json::json;

use crate::change::brake::Brake;
use crate::change::carry_out::{Ended, Run, Tally, Watch, carry_out};
use crate::change::event::{Event, Outcome, Severity};
use crate::change::fail_point::fail_point;
use crate::change::plan::{Plan, Risk, Step};
use crate::change::render;
use crate::context::{Context, run_end};
use crate::exit::Exit;
use crate::output;

/// How a plan was settled.
#[derive(Debug)]
pub struct Settled<S> {
    /// The exit code of the run.
    pub exit: Exit,
    /// Every step that was to be carried out, and how it ended. Empty after a dry run or a "no".
    pub ended: Vec<(S, Ended)>,
    /// Whether the plan was agreed to and carried out; a plan without steps counts as carried out, a dry run does not.
    pub carried_out: bool,
}

/// Whether a plan is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// It is; by [`Context::carry`], in whatever order and time the command sees fit.
    Yes,
    /// It is not: a dry run, a "no", a refusal; or nothing is to do.
    Ends(Exit),
}

impl Context {
    /// Shows a plan as a whole and asks, where [`Context::settle`] would. It is all or nothing: a refusal, or a step above
    /// `--max-risk`, refuses everything, and then nobody is asked.
    pub async fn agree<S: Step>(&mut self, plan: Plan<S>) -> anyhow::Result<Agreed> {
        let (plan, too_risky) = self.split_by_risk(plan);
        let shown = shown(&plan, &too_risky);
        if self.is_dry_run() {
            return Ok(Agreed::Ends(self.show_rehearsal(&shown)?));
        }
        let is_refused = !shown.refusals.is_empty();
        if is_refused && self.output().is_structured() {
            self.show_untouched(&shown)?;
        } else {
            self.show_plan(&shown)?;
        }
        if !is_refused && let Some(exit) = self.ask(&plan).await? {
            self.show_untouched(&shown)?;
            return Ok(Agreed::Ends(exit));
        }
        let new = self.new_of_plan(refused_and_found(&self.run(), &plan, &too_risky));
        self.recorder().record(&new).await;
        if is_refused {
            output::complain(&why_refused(&plan, &too_risky));
            return Ok(Agreed::Ends(Exit::Refused));
        }
        Ok(if plan.steps.is_empty() { Agreed::Ends(Exit::Done) } else { Agreed::Yes })
    }

    /// The brake of this run: who waits between two batches looks at it.
    pub fn brake(&self) -> &Brake {
        &self.brake
    }

    /// Takes another brake for what follows, as an agent does for each tick; the former one.
    pub fn use_brake(&mut self, brake: Brake) -> Brake {
        std::mem::replace(&mut self.brake, brake)
    }

    /// Shows a plan and, where that is agreed to, carries it out and records it. `apply` gets one batch at a time and
    /// answers with one ending a step.
    pub async fn settle<S: Step>(
        &mut self,
        plan: Plan<S>,
        apply: impl AsyncFnMut(&[S]) -> Vec<Ended>,
    ) -> anyhow::Result<Settled<S>> {
        let (plan, too_risky) = self.split_by_risk(plan);
        let ends = |exit| Ok(Settled { exit, ended: Vec::new(), carried_out: false });
        let shown = shown(&plan, &too_risky);
        if self.is_dry_run() {
            return ends(self.show_rehearsal(&shown)?);
        }
        self.show_plan(&shown)?;
        if let Some(exit) = self.ask(&plan).await? {
            self.show_untouched(&shown)?;
            return ends(exit);
        }
        let (ended, is_stopped) = self.act(&plan, &too_risky, apply).await?;
        let mut tally = Tally::of(&ended);
        tally.refused += plan.refusals.len();
        self.show_result(&plan, &too_risky, &ended, tally)?;
        // A Job that a node's drain stopped is tried again; one that was refused something (4) is not.
        let exit = if is_stopped { Exit::Failed } else { exit_of(tally) };
        Ok(Settled { exit, ended, carried_out: true })
    }

    /// Records that a run ended before it had a plan: bad input, a guard, a cluster that can't be reached. A dry run
    /// records nothing.
    pub async fn record_failure(&mut self, error: &anyhow::Error) {
        if self.is_dry_run() {
            return;
        }
        let run = self.run();
        let words = format!("{error:#}");
        let outcome = match output::exit_of(error) {
            Exit::Failed => Outcome::Failed,
            _ => Outcome::Refused,
        };
        let title = format!("{}: {}", run.command, words.lines().next().unwrap_or_default());
        let event = run.event(&run.kind("failed"), &format!("cluster:{}", run.cluster), outcome, &title);
        let event = Event { reason: Some(words), severity: Severity::Error, ..event };
        let new: Vec<_> = Some(event).filter(|event| self.is_new_failure(event)).into_iter().collect();
        self.recorder().record(&new).await;
    }

    /// Ends a verb that may change something: a failure is recorded, and where nothing was to do, what dead runs left open
    /// is given its outcomes all the same; then the locks are given back.
    pub async fn end_verb(&mut self, done: &anyhow::Result<Exit>) {
        self.settle_dead_runs_once().await;
        if let Err(error) = done {
            self.record_failure(error).await;
        }
        self.leave().await;
    }

    /// The plan without the steps that `--max-risk` forbids, and those.
    fn split_by_risk<S: Step>(&self, plan: Plan<S>) -> (Plan<S>, Vec<(S, Ended)>) {
        let Some(limit) = self.risk_limit() else { return (plan, Vec::new()) };
        let Plan { steps, warnings, refusals } = plan;
        let (steps, risky): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| step.risk() <= limit);
        let refused = risky.into_iter().map(|step| {
            let risk = step.risk();
            let why = format!("its risk is {risk}; --max-risk {limit} refuses it, --max-risk {risk} lets it through");
            (step, Ended::refused(why))
        });
        (Plan { steps, warnings, refusals }, refused.collect())
    }

    /// The highest risk that is let through: what was said, else `reversible` where nobody is asked.
    fn risk_limit(&self) -> Option<Risk> {
        let asks = !self.flags.yes && !self.is_dry_run();
        let silent = self.flags.yes.then_some(Risk::Reversible);
        self.flags.max_risk.or(if asks { None } else { silent })
    }

    /// Shows what a dry run found, and says how it ends: as the run itself where that refuses something.
    fn show_rehearsal<S: Step>(&self, shown: &Plan<S>) -> anyhow::Result<Exit> {
        let document = json!({ "cluster": self.cluster, "dry_run": true, "plan": render::json(shown) });
        self.output().result(&document, |is_wide| text(shown, is_wide))?;
        Ok(match (shown.refusals.is_empty(), shown.steps.is_empty()) {
            (false, _) => Exit::Refused,
            (true, false) => Exit::Changes,
            (true, true) => Exit::Done,
        })
    }

    /// Shows a plan to whoever is asked next; where a document for a program follows, only to a person.
    fn show_plan<S: Step>(&self, shown: &Plan<S>) -> anyhow::Result<()> {
        let words = || text(shown, self.output().is_wide());
        match self.output().is_structured() {
            false => output::print(&words()),
            true if !self.flags.yes => {
                output::say_lines(words().trim_end());
                Ok(())
            }
            true => Ok(()),
        }
    }

    /// The document of a plan that was not agreed to, for a program.
    fn show_untouched<S: Step>(&self, shown: &Plan<S>) -> anyhow::Result<()> {
        if !self.output().is_structured() {
            return Ok(());
        }
        let document = json!({ "cluster": self.cluster, "dry_run": false, "plan": render::json(shown) });
        self.output().result(&document, |_| String::new())
    }

    /// Asks whether to go on, where there is something to do and `--yes` was not given; how the run ends if not.
    async fn ask<S: Step>(&self, plan: &Plan<S>) -> anyhow::Result<Option<Exit>> {
        if plan.steps.is_empty() || self.flags.yes {
            return Ok(None);
        }
        if !output::can_ask() {
            output::complain(
                "refused: nobody can be asked, because this is not a terminal; --yes applies without asking, --dry-run \
                 only shows",
            );
            return Ok(Some(Exit::Refused));
        }
        let (question, typed) = question(plan);
        if output::ask(&question, typed.as_deref()).await? {
            return Ok(None);
        }
        output::complain("nothing was changed");
        Ok(Some(Exit::Refused))
    }

    /// Carries the steps out and records everything, the refused steps too. Also whether it was stopped before its end.
    async fn act<S: Step>(
        &mut self,
        plan: &Plan<S>,
        too_risky: &[(S, Ended)],
        apply: impl AsyncFnMut(&[S]) -> Vec<Ended>,
    ) -> anyhow::Result<(Vec<(S, Ended)>, bool)> {
        if !plan.steps.is_empty() {
            self.settle_dead_runs_once().await;
        }
        let run = self.run();
        let brake = self.brake.clone();
        let new = self.new_of_plan(refused_and_found(&run, plan, too_risky));
        let recorder = self.recorder();
        recorder.record(&new).await;
        if plan.steps.is_empty() {
            return Ok((too_risky.to_vec(), false));
        }
        let started = run_end::started(&run, plan);
        brake.changes_begin();
        recorder.record(std::slice::from_ref(&started)).await;
        let mut progress = Progress { bar: output::Bar::new(plan.steps.len()), brake };
        let ended = carry_out(&plan.steps, &run, recorder, &mut progress, apply).await;
        let Progress { bar, brake } = progress;
        bar.clear();
        if ended.len() < plan.steps.len() {
            output::complain(&format!(
                "{}: {} of {} steps were not begun; run the same command again to finish",
                brake.pulled().unwrap_or_default(),
                plan.steps.len() - ended.len(),
                plan.steps.len()
            ));
        }
        let begun = ended.len();
        let left = std::iter::repeat_with(|| Ended::refused("not begun: the run was asked to stop"));
        let all: Vec<_> = plan.steps.iter().cloned().zip(ended.into_iter().chain(left)).collect();
        let stopped = all.len() > begun;
        self.end_run((run, started), &all, stopped.then(|| self.brake.pulled().unwrap_or_default())).await;
        Ok((all.into_iter().chain(too_risky.to_vec()).collect(), stopped))
    }

    fn show_result<S: Step>(
        &self,
        plan: &Plan<S>,
        too_risky: &[(S, Ended)],
        ended: &[(S, Ended)],
        tally: Tally,
    ) -> anyhow::Result<()> {
        let document = || {
            json!({
                "cluster": self.cluster,
                "dry_run": false,
                "plan": render::json(&shown(plan, too_risky)),
                "result": render::result_json(ended, tally),
            })
        };
        match self.output().is_structured() {
            true => self.output().result(&document(), |_| String::new()),
            false if ended.is_empty() && tally.refused == 0 => Ok(()),
            // What is refused for its risk was shown with the plan.
            false => {
                let tried = &ended[..ended.len().saturating_sub(too_risky.len())];
                output::print(&render::result_text(tried, tally, self.output().is_wide()))
            }
        }
    }

    /// What all events of this run say.
    pub fn run(&self) -> Run {
        let flags = &self.flags;
        let expected = flags.cluster_id.as_ref().or(self.cluster_id.as_ref());
        let by_id = || expected.map(|id| self.named_clusters.get(id).unwrap_or(id));
        let named = self.cluster.as_ref().or(flags.cluster.as_ref()).or_else(by_id).or(flags.bootstrap_server.as_ref());
        Run {
            id: self.run_id,
            cluster: named.cloned().unwrap_or_else(|| "unknown".to_owned()),
            cluster_id: self.cluster_id.as_ref().or(flags.cluster_id.as_ref()).cloned(),
            actor: self.actor(),
            command: self.command.clone(),
            clock: self.clock,
        }
    }
}

/// What is asked before a plan is carried out, and the text that must be typed to agree: a `y` is typed too easily where a
/// step can't be taken back.
fn question<S: Step>(plan: &Plan<S>) -> (String, Option<String>) {
    let question = format!("Apply? {}.", render::counts(plan));
    let risky: Vec<_> = plan.steps.iter().filter(|step| step.risk() > Risk::Reversible).collect();
    let (what, typed) = match risky[..] {
        [] => return (question, None),
        [one] => {
            let (subject, risk) = (one.subject(), one.risk());
            let (kind, name) = subject.split_once(':').unwrap_or(("subject", &subject));
            (format!("the name of the {kind} whose change is {risk}, `{name}`"), name.to_owned())
        }
        _ => (format!("the number of changes above risk reversible, {}", risky.len()), risky.len().to_string()),
    };
    (format!("{question} Type {what}, to apply:"), Some(typed))
}

/// The plan with every step, those that are refused for their risk last and as refusals.
fn shown<S: Step>(plan: &Plan<S>, too_risky: &[(S, Ended)]) -> Plan<S> {
    let mut shown = plan.clone();
    for (step, ended) in too_risky {
        let line = step.to_string();
        let line = line.lines().next().unwrap_or_default();
        let reason = format!("{line}: {}", ended.reason.as_deref().unwrap_or_default());
        shown.refuse(step.subject(), &step.batch().to_string(), reason);
    }
    shown
}

/// A plan as text: whole if so much is wanted, else a summary where it is long.
fn text<S: Step>(plan: &Plan<S>, is_wide: bool) -> String {
    if is_wide { render::text(plan) } else { render::summary(plan) }
}

/// Why nothing of a plan is carried out.
fn why_refused<S>(plan: &Plan<S>, too_risky: &[(S, Ended)]) -> String {
    let why = too_risky.first().and_then(|(_, ended)| ended.reason.as_deref()).unwrap_or_default();
    match (too_risky.len(), plan.refusals.len()) {
        (0, refused) => format!(
            "nothing was changed: {refused} refused, and the plan is carried out as a whole or not at all; see the lines with \
             `refused`"
        ),
        (risky, _) => format!("nothing was changed: of {risky} steps, {why}"),
    }
}

fn exit_of(tally: Tally) -> Exit {
    let Tally { done: _, failed, refused, unknown, unchanged: _ } = tally;
    match (failed + unknown, refused) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Events of what is refused and of what was found.
fn refused_and_found<S: Step>(run: &Run, plan: &Plan<S>, too_risky: &[(S, Ended)]) -> Vec<Event> {
    let refusals = plan.refusals.iter().map(|refusal| run.refusal(refusal));
    let risky = too_risky.iter().map(|(step, ended)| {
        let line = step.to_string();
        let event = run.event(step.kind(), &step.subject(), Outcome::Refused, line.lines().next().unwrap_or_default());
        Event { reason: ended.reason.clone(), ..event }
    });
    let found = plan.warnings.iter().filter_map(|warning| {
        let finding = warning.finding.as_ref()?;
        let event = run.event(&finding.kind, &finding.subject, Outcome::Done, &warning.text);
        Some(Event { severity: Severity::Warning, ..event })
    });
    found.chain(refusals).chain(risky).collect()
}

/// A bar on a terminal, a line now and then elsewhere; and the brake.
struct Progress {
    bar: output::Bar,
    brake: Brake,
}

impl Watch for Progress {
    fn at(&mut self, ended: usize, _of: usize) {
        self.bar.at(ended);
    }

    fn should_stop(&self) -> bool {
        self.brake.pulled().is_some()
    }

    fn brake(&self) -> Option<&Brake> {
        Some(&self.brake)
    }

    fn boundary(&self, name: &'static str) {
        fail_point(name);
        tracing::trace!(name, "boundary");
    }
}
