//! One tick: look, measure, decide, set, say. It keeps nothing between ticks but the last look and the law's state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::change::event::Severity;
use crate::change::plan::Step;
use crate::change::throttle::decide::Ways;
use crate::clients::kafka::Kafka;
use crate::cluster::readings::Readings;
use crate::cluster::size::{ByteRate, Bytes};
use crate::commands::throttle::agent::view::Board;
use crate::commands::throttle::observe::moves::look;
use crate::commands::throttle::plan::law::{Decision, Note, State, plan};
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::look::{Known, Look, own_readings, snapshot};
use crate::commands::throttle::plan::outlook::words;
use crate::commands::throttle::plan::snapshot::Snapshot;
use crate::context::Context;
use crate::context::load::{Source, measure};
use crate::context::overrides::KeptOverrides;
use crate::context::throttles::{Brought, OwnThrottles};
use crate::output;

/// Between the two looks of the first tick, without which nobody knows what is written.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// What the agent was told.
pub struct Told {
    /// The settings of the law.
    pub limits: Limits,
    /// Who measures the load, the best first.
    pub sources: Vec<Source>,
    /// What the networks can do.
    pub known: Known,
    /// The same by instance type, where a source knows the brokers' types.
    pub by_type: std::collections::BTreeMap<String, ByteRate>,
    /// How to deal with what others change.
    pub ways: Ways,
}

/// The agent.
pub struct Agent {
    /// The cluster.
    pub kafka: Arc<dyn Kafka>,
    /// The throttles that it manages.
    pub throttles: OwnThrottles,
    /// Rates that a person gave.
    pub overrides: KeptOverrides,
    /// What it was told.
    pub told: Told,
    /// Where it shows what it did.
    pub board: Arc<Board>,
    /// The last look.
    pub before: Option<Look>,
    /// What the law remembers.
    pub state: State,
    /// What was said already and still holds.
    pub said: BTreeSet<String>,
}

impl Agent {
    /// One tick. Whether nothing moves, and nothing of ours is left.
    pub async fn tick(&mut self, context: &mut Context) -> anyhow::Result<bool> {
        let done = self.look_and_set(context).await;
        let failure = done.as_ref().err().map(|error| format!("{error:#}"));
        let word = if failure.is_none() { "done" } else { "failed" };
        let (now, given) = (context.now(), self.overrides.value.clone());
        self.board.show(|view| {
            *view.ticks.entry(word).or_default() += 1;
            view.at = if failure.is_none() { Some(now) } else { view.at };
            view.overrides = given;
            view.failure = failure;
        });
        done
    }

    async fn look_and_set(&mut self, context: &mut Context) -> anyhow::Result<bool> {
        let now = self.look(context).await?;
        let (seen, readings, decision, state) = self.decide_at(&now).await?;
        let brought = context.throttle(&mut self.throttles, &*self.kafka, &decision.throttles, self.told.ways).await?;
        self.state = state;
        let is_idle = now.moves.is_empty();
        self.before = Some(now);
        self.record(context, &decision, &brought).await;
        self.show(&seen, &readings, &decision, &brought);
        Ok(seen.moving.is_empty() && is_idle && self.throttles.record().is_empty())
    }

    /// What a tick would set, and nothing else.
    pub async fn decide(&mut self, context: &Context) -> anyhow::Result<Decision> {
        let now = self.look(context).await?;
        Ok(self.decide_at(&now).await?.2)
    }

    async fn decide_at(&mut self, now: &Look) -> anyhow::Result<(Snapshot, Readings, Decision, State)> {
        let is_idle = now.moves.is_empty();
        self.overrides.reload().await?;
        let given = self.overrides.value.at(now.at, is_idle);
        self.overrides.keep(given.clone()).await?;
        let (live, before) = (now.metadata.brokers.keys().copied().collect(), self.before.as_ref());
        let (readings, wrong) = measure(&self.told.sources, (&live, now.at), || own_readings(before, now)).await;
        self.complain_of_sources(&wrong, is_idle);
        let limits = self.told.limits.clone().for_source(readings.source);
        let known = self.told.known.clone().with_types(&readings, &self.told.by_type);
        let seen = snapshot(self.before.as_ref(), now, &readings, &known);
        let (decision, state) = plan(now.at, &limits, &seen, &given, &self.state);
        Ok((seen, readings, decision, state))
    }

    /// A look; at first two, so that it is known what is written.
    async fn look(&mut self, context: &Context) -> anyhow::Result<Look> {
        let all = self.told.known.recovers || matches!(self.told.sources.first(), Some(Source::Brokers));
        let first = look(&*self.kafka, context.now(), all).await?;
        let is_known = self.before.as_ref().is_some_and(|before| !before.sizes.is_empty());
        if first.moves.is_empty() || is_known {
            return Ok(first);
        }
        self.before = Some(first);
        sleep(FIRST_PAUSE).await;
        look(&*self.kafka, context.now(), all).await
    }

    fn complain_of_sources(&mut self, wrong: &[String], is_idle: bool) {
        for why in wrong.iter().filter(|_| !is_idle) {
            self.say_once(why);
        }
    }

    fn say_once(&mut self, text: &str) {
        if self.said.insert(text.to_owned()) {
            output::say(&format!("! {text}"));
        }
        // What is said comes and goes with brokers and queries; a list without an end it must not be.
        if self.said.len() > 1_000 {
            self.said.clear();
        }
    }

    /// What was found, as events; each once while it holds.
    async fn record(&mut self, context: &mut Context, decision: &Decision, brought: &Brought) {
        for note in decision.notes.iter().filter(|note| note.is_new) {
            let Note { kind, subject, text, .. } = note;
            output::say(&format!("! {text}"));
            let severity = match *kind {
                "throttle.floor_conflict" | "reassignment.stalled" => Severity::Error,
                _ => Severity::Warning,
            };
            let subject =
                if subject == "cluster" { format!("cluster:{}", context.run().cluster) } else { subject.clone() };
            context.record_finding(kind, &subject, text, severity).await;
        }
        for warning in &brought.warnings {
            let is_new = !self.said.contains(&warning.text);
            self.say_once(&warning.text);
            if let Some(finding) = warning.finding.as_ref().filter(|_| is_new) {
                context.record_finding(&finding.kind, &finding.subject, &warning.text, Severity::Warning).await;
            }
        }
    }

    fn show(&mut self, seen: &Snapshot, readings: &Readings, decision: &Decision, brought: &Brought) {
        for (step, ended) in &brought.ended {
            let why = ended.reason.as_ref().map(|why| format!(" ({}: {why})", ended.outcome)).unwrap_or_default();
            output::say(&format!("{step}{why}"));
        }
        if !brought.ended.is_empty() && !seen.moving.is_empty() {
            let eta = decision.eta_seconds.map_or("not at these rates".to_owned(), |eta| format!("in {}", words(eta)));
            let (count, left) = (seen.moving.len(), decision.remaining);
            output::say(&format!("{count} moving, {left} left, done {eta}; load by {}", readings.source));
        }
        self.board.show(|view| {
            view.moving = seen.moving.len();
            let Bytes(remaining) = decision.remaining;
            view.remaining_bytes = remaining;
            view.eta_seconds = decision.eta_seconds.filter(|_| !seen.moving.is_empty());
            view.source = readings.source;
            view.rates.clone_from(&decision.rates);
            view.notes.clone_from(&decision.notes);
            for (step, ended) in &brought.ended {
                *view.changes.entry((step.kind(), ended.outcome.to_string())).or_default() += 1;
            }
        });
    }
}
