//! The agent of `ensemble watch`: a pass a tick while it leads, said and recorded where something is new, and shown to Prometheus.

pub mod metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::agent::runtime::Ticked;
use crate::change::event::{Outcome, Severity};
use crate::change::plan::Step;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::apply::zookeeper::{Decided, Ensemble, decided};
use crate::commands::ensemble::plan::coherence::{Alert, Finding};
use crate::commands::ensemble::plan::steps::{SUBJECT, refusal};
use crate::commands::ensemble::plan::{Decision, Pass};
use crate::context::Context;
use crate::output;

/// What the agent shows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The ensemble's name.
    pub ensemble: String,
    /// How many failures it survives.
    pub tolerance: Option<Tolerance>,
    /// How many voters it shall have.
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

/// The agent while it leads.
#[derive(Debug)]
pub struct Watcher {
    /// The ensemble and its record.
    pub ensemble: Ensemble,
    /// Where it shows what it sees.
    pub board: Arc<Board>,
    /// What was said and recorded already, and still holds.
    pub said: BTreeSet<String>,
}

impl Watcher {
    /// One pass. A change whose result is not known, or that failed, makes a tick that failed.
    pub async fn tick(&mut self, context: &mut Context) -> anyhow::Result<Ticked> {
        let look = self.ensemble.look(context).await?;
        let Decided { pass, plan } = decided(&look, context, self.ensemble.rest());
        self.ensemble.say_membership(context, &look, &pass);
        self.show(&pass);
        self.say_news(context, &pass).await;
        if plan.steps.is_empty() {
            return Ok(Ticked::Done);
        }
        plan.steps.iter().for_each(|step| output::say(&step.to_string()));
        let (locks, clock) = (context.lock_check(), context.run().clock);
        let mut hands = self.ensemble.hands(look, locks, clock);
        let ended = context.carry(&plan.steps, async |steps| hands.apply(steps).await).await;
        let mut wrong = Vec::new();
        for (step, ended) in &ended {
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

    fn show(&self, pass: &Pass) {
        let size = self.ensemble.record.desired.as_ref().map(|desired| desired.size);
        self.board.show(|view| {
            self.ensemble.name.clone_into(&mut view.ensemble);
            (view.tolerance, view.size) = (pass.tolerance, size);
            view.findings.clone_from(&pass.findings);
            view.waits = matches!(pass.decision, Decision::Wait(_));
            view.refusal = match &pass.decision {
                Decision::Refuse(refusal) => Some(refusal.code.name().to_owned()),
                _ => None,
            };
        });
    }

    /// Says and records what is new since the last tick: alerts, refusals, and what it waits for.
    async fn say_news(&mut self, context: &mut Context, pass: &Pass) {
        let mut now = BTreeSet::new();
        for Finding { alert, text } in pass.findings.iter().filter(|finding| finding.alert != Alert::Notice) {
            let kind = match alert {
                Alert::UnsafeNumber => "ensemble.unsafe_number",
                Alert::IncoherentConfiguration | Alert::Notice => "ensemble.incoherent",
            };
            if self.is_new(&mut now, kind, text) {
                output::complain(text);
                context.record_finding(kind, SUBJECT, text, Severity::Warning).await;
            }
        }
        match &pass.decision {
            Decision::Refuse(why) if self.is_new(&mut now, why.code.name(), &why.why) => {
                output::complain(&format!("refused: {why}"));
                let event = context.run().refusal(&refusal(why));
                context.recorder().record(&[event]).await;
            }
            Decision::Wait(why) if self.is_new(&mut now, "waits", why) => output::say(&format!("waiting: {why}")),
            _ => {}
        }
        self.said = now;
    }

    /// Whether this was not said at the last tick. Numbers, as the seconds since something, make nothing new.
    fn is_new(&self, now: &mut BTreeSet<String>, kind: &str, text: &str) -> bool {
        let key = format!("{kind} {}", text.replace(|c: char| c.is_ascii_digit(), ""));
        let is_new = !self.said.contains(&key);
        now.insert(key);
        is_new
    }
}
