//! The agent of `ensemble watch`: a pass a tick while it leads, printed and recorded where something is new, and shown to Prometheus.

pub mod metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::agent::runtime::Ticked;
use crate::change::carry_out::Ended;
use crate::change::event::{Outcome, Severity};
use crate::change::in_order::{Executor, InOrder};
use crate::change::plan::Step;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::apply::kraft::Quorum;
use crate::commands::ensemble::apply::pass::{Decided, decided};
use crate::commands::ensemble::apply::zookeeper::Ensemble;
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::coherence::{Alert, Finding};
use crate::commands::ensemble::plan::pass::{Decision, Pass, Protocol};
use crate::commands::ensemble::plan::steps::{SUBJECT, refusal};
use crate::context::Context;
use crate::output;

/// What the agent shows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The ensemble's name.
    pub ensemble: String,
    /// How many failures it survives.
    pub tolerance: Option<Tolerance>,
    /// How many voters it should have.
    pub size: Option<usize>,
    /// What is wrong, by alert.
    pub findings: Vec<Finding>,
    /// The name of what forbids a change, where something does.
    pub refusal: Option<String>,
    /// Whether a pass waits for something.
    pub waits: bool,
    /// Steps by the kind of their event and how they ended.
    pub steps: BTreeMap<(&'static str, String), u64>,
}

/// Where it shows that.
#[derive(Debug, Default)]
pub struct Board(Mutex<View>);

impl Board {
    /// What it shows now.
    pub fn view(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn show(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a pass came to, of an ensemble or of a quorum.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// The ensemble's or the cluster's name.
    pub name: &'a str,
    /// How many voters there should be.
    pub size: Option<usize>,
    /// How many failures are survived.
    pub tolerance: Option<Tolerance>,
    /// What is wrong.
    pub findings: &'a [Finding],
    /// What forbids a change.
    pub refusal: Option<&'a Refusal>,
    /// What is waited for.
    pub waits: Option<&'a str>,
}

impl<'a> Outlook<'a> {
    /// What a pass came to.
    fn of<P: Protocol>(name: &'a str, size: Option<usize>, pass: &'a Pass<P>) -> Self {
        let (refusal, waits) = match &pass.decision {
            Decision::Refuse(refusal) => (Some(refusal), None),
            Decision::Wait(why) => (None, Some(why.as_str())),
            _ => (None, None),
        };
        Self { name, size, tolerance: pass.tolerance, findings: &pass.findings, refusal, waits }
    }
}

/// Shows what passes come to, and prints and records what is new in it.
#[derive(Debug)]
pub struct Reporter {
    board: Arc<Board>,
    /// What was printed and recorded already, and still holds.
    reported: BTreeSet<String>,
}

impl Reporter {
    /// One that has reported nothing yet.
    pub fn new(board: Arc<Board>) -> Self {
        Self { board, reported: BTreeSet::new() }
    }

    /// Shows what a pass came to, and prints and records what is new: alerts, refusals, and what it waits for.
    pub async fn report(&mut self, context: &mut Context, outlook: Outlook<'_>) {
        self.board.show(|view| {
            outlook.name.clone_into(&mut view.ensemble);
            (view.tolerance, view.size) = (outlook.tolerance, outlook.size);
            view.findings = outlook.findings.to_vec();
            view.waits = outlook.waits.is_some();
            view.refusal = outlook.refusal.map(|refusal| refusal.code.name().to_owned());
        });
        let mut now = BTreeSet::new();
        for Finding { alert, text } in outlook.findings.iter().filter(|finding| finding.alert != Alert::Notice) {
            let kind = match alert {
                Alert::UnsafeNumber => "ensemble.unsafe_number",
                Alert::IncoherentConfiguration | Alert::Notice => "ensemble.incoherent",
            };
            if self.is_new(&mut now, kind, text) {
                output::complain(text);
                context.record_finding(kind, SUBJECT, text, Severity::Warning).await;
            }
        }
        if let Some(why) = outlook.refusal
            && self.is_new(&mut now, why.code.name(), &why.why)
        {
            output::complain(&format!("refused: {why}"));
            let event = context.run().refusal(&refusal(why));
            context.recorder().record(&[event]).await;
        }
        if let Some(why) = outlook.waits
            && self.is_new(&mut now, "waits", why)
        {
            output::say(&format!("waiting: {why}"));
        }
        self.reported = now;
    }

    /// Whether this was not reported at the last tick. Numbers, as the seconds since something, make nothing new.
    fn is_new(&self, now: &mut BTreeSet<String>, kind: &str, text: &str) -> bool {
        let key = format!("{kind} {}", text.replace(|c: char| c.is_ascii_digit(), ""));
        let is_new = !self.reported.contains(&key);
        now.insert(key);
        is_new
    }

    /// Prints steps, carries them out and prints how they ended.
    async fn carry_out<S: Step>(
        &self,
        context: &mut Context,
        steps: &[S],
        executor: impl Executor<Step = S>,
    ) -> anyhow::Result<Ticked> {
        for step in steps {
            output::say(&step.to_string());
        }
        let mut order = InOrder::new(executor);
        let ended = context.carry(steps, async |steps| order.apply(steps).await).await;
        self.ended(&ended)
    }

    /// Prints how steps ended and counts them. A change whose result is not known, or that failed, makes a tick that failed.
    pub fn ended<S: Step>(&self, ended: &[(S, Ended)]) -> anyhow::Result<Ticked> {
        let mut wrong = Vec::new();
        for (step, ended) in ended {
            let (kind, outcome) = (step.kind(), ended.outcome.to_string());
            self.board.show(|view| *view.steps.entry((kind, outcome)).or_default() += 1);
            let why = ended.reason.as_deref().unwrap_or_default();
            match ended.outcome {
                Outcome::Done => output::say(&format!("done: {step}")),
                Outcome::Refused => output::complain(&format!("refused: {step}: {why}")),
                _ => wrong.push(format!("{step}: {}: {why}", ended.outcome)),
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(Ticked::Done)
    }
}

/// The agent while it leads.
#[derive(Debug)]
pub enum Watcher {
    /// Of a ZooKeeper ensemble.
    Ensemble(Box<Ensemble>, Reporter),
    /// Of a quorum of KRaft controllers.
    Quorum(Box<Quorum>, Reporter),
}

impl Watcher {
    /// One pass.
    pub async fn tick(&mut self, context: &mut Context) -> anyhow::Result<Ticked> {
        match self {
            Self::Ensemble(ensemble, reporter) => Box::pin(tick_ensemble(context, ensemble, reporter)).await,
            Self::Quorum(quorum, reporter) => tick_quorum(context, quorum, reporter).await,
        }
    }
}

async fn tick_ensemble(
    context: &mut Context,
    ensemble: &mut Ensemble,
    reporter: &mut Reporter,
) -> anyhow::Result<Ticked> {
    let look = ensemble.look(context).await?;
    let Decided { pass, plan } = decided(look.input(context.steady().now(), ensemble.rest()));
    ensemble.say_membership(context, &look, &pass);
    let size = ensemble.record.desired.as_ref().map(|desired| desired.size);
    reporter.report(context, Outlook::of(&ensemble.name, size, &pass)).await;
    let executor = ensemble.executor(look, context);
    reporter.carry_out(context, &plan.steps, executor).await
}

async fn tick_quorum(context: &mut Context, quorum: &mut Quorum, reporter: &mut Reporter) -> anyhow::Result<Ticked> {
    let look = quorum.look_to_change(context).await?;
    let Decided { pass, plan } = decided(look.input(context.steady().now(), quorum.rest()));
    Quorum::say_voters(context, &look, &pass);
    let size = look.desired.as_ref().map(|desired| desired.size);
    let name = context.cluster_name().unwrap_or_default().to_owned();
    reporter.report(context, Outlook::of(&name, size, &pass)).await;
    let executor = quorum.executor(context);
    reporter.carry_out(context, &plan.steps, executor).await
}
