//! One tick: look, measure, decide, set, say. It keeps nothing between ticks but the last look and the law's state.
//! Requests change overrides first; then the same tick puts them in force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::agent::inbox::Asked;
use crate::agent::port::refusal::Refusal;
use crate::agent::runtime::{Ticked, Why};
use crate::change::carry_out::Ended;
use crate::change::event::{Outcome, Severity};
use crate::change::plan::{Step, Warning};
use crate::change::throttle::decide::Ways;
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::overrides::Overrides;
use crate::cluster::readings::Readings;
use crate::cluster::size::{ByteRate, Bytes};
use crate::commands::throttle::agent::view::{Board, Change, Edit};
use crate::commands::throttle::observe::moves::look;
use crate::commands::throttle::plan::law::{Decision, Note, State, plan};
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::look::{Known, Look, own_readings, snapshot};
use crate::commands::throttle::plan::outlook::words;
use crate::commands::throttle::plan::snapshot::Snapshot;
use crate::context::Context;
use crate::context::load::{Source, measure};
use crate::context::throttles::{Brought, OwnThrottles};
use crate::context::watched::KeptHandover;
use crate::context::watched::KeptOverrides;
use crate::output;

/// Between the two looks of the first tick, without which nobody knows what is written.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// How long throttles are set for moves that were handed over and are not submitted.
const HANDOVER_MAX: Duration = Duration::from_mins(2);

/// Brokers that an answer names at most; more are counted.
const NAMED_MAX: usize = 50;

/// What the agent goes by.
pub struct Settings {
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
    /// Whether its work is over when nothing moves and nothing of ours is left.
    pub until_idle: bool,
}

/// Why the pacer ticks.
pub type PacerWhy = Why<Change, Result<Overrides, Refusal>>;

/// The agent while it leads.
pub struct Pacer {
    /// The cluster.
    pub kafka: Arc<dyn Kafka>,
    /// The throttles that it manages.
    pub throttles: OwnThrottles,
    /// Rates that a person gave.
    pub overrides: KeptOverrides,
    /// Moves that `reassign execute` is about to submit.
    pub handover: KeptHandover,
    /// Since when it knows of them.
    pub handed_over: Option<Instant>,
    /// What it goes by.
    pub settings: Arc<Settings>,
    /// Where it shows what it did.
    pub board: Arc<Board>,
    /// The last look.
    pub before: Option<Look>,
    /// What the law remembers.
    pub state: State,
    /// What was said already and still holds.
    pub said: BTreeSet<String>,
}

impl Pacer {
    /// One tick.
    pub async fn tick(&mut self, context: &mut Context, why: PacerWhy) -> anyhow::Result<Ticked> {
        let is_cut_off = self.board.view().cut_off.is_some();
        if is_cut_off && matches!(why, Why::Watch) {
            // Where overrides can't be read, each look would wait for its limit: ticks that are due are enough.
            return Ok(Ticked::Unchanged);
        }
        let is_new_batch = self.is_handed_a_batch().await;
        match why {
            Why::Asked(asked) => self.hear(context, asked).await,
            // What can't be read now is read by the next tick, which says so.
            Why::Watch if !is_new_batch && !self.overrides.reload().await.unwrap_or(false) => {
                return Ok(Ticked::Unchanged);
            }
            Why::Due | Why::Watch => {}
        }
        let done = self.look_and_set(context).await;
        let given = self.overrides.value.clone();
        self.board.show(|view| view.overrides = given);
        let is_over = done? && self.settings.until_idle;
        Ok(if is_over { Ticked::Over } else { Ticked::Done })
    }

    /// Whether a run that moves partitions has handed over another batch.
    async fn is_handed_a_batch(&mut self) -> bool {
        let is_new_batch = self.handover.reload().await.unwrap_or(false);
        if is_new_batch {
            self.handed_over = Some(Instant::now());
        }
        is_new_batch
    }

    /// The moves that are about to be submitted: they are paced as if they ran. A batch that is not submitted within
    /// [`HANDOVER_MAX`] is forgotten: its run died.
    fn coming(&self) -> &[PartitionMove] {
        match self.handed_over {
            Some(since) if since.elapsed() < HANDOVER_MAX => &self.handover.value.moves,
            _ => &[],
        }
    }

    /// Keeps what people ask for; the tick that follows puts it in force.
    async fn hear(&mut self, context: &mut Context, asked: Vec<Asked<Change, Result<Overrides, Refusal>>>) {
        for Asked { question, answer, .. } in asked {
            let words = question.to_string();
            let kept = self.keep(context, question).await;
            match &kept {
                Ok(_) => output::say(&words),
                Err(Refusal(_, why)) => output::say(&format!("{words}: refused, {why}")),
            }
            answer.send(kept);
        }
    }

    /// Keeps one change, and records it as done by whoever asks.
    async fn keep(&mut self, context: &mut Context, change: Change) -> Result<Overrides, Refusal> {
        if let Edit::Set(Some(broker), _) = change.edit {
            self.check_broker(broker).await?;
        }
        let failed = |error: &str| {
            Refusal::unavailable(format!(
                "the overrides could not be changed, and stay as they were: {error}; try again"
            ))
        };
        self.overrides.reload().await.map_err(|error| failed(&format!("{error:#}")))?;
        if let Some(why) = change.missing(&self.overrides.value) {
            return Err(Refusal::not_found(why));
        }
        let (by, overrides) = (change.by.clone(), &mut self.overrides);
        let apply = async |batch: &[Change]| {
            let changed = overrides.change(|value| batch.iter().fold(value, |value, one| one.applied(value))).await;
            let ended = changed.map_or_else(|error| Ended::failed(format!("{error:#}")), |()| Ended::done());
            batch.iter().map(|_| ended.clone()).collect()
        };
        match &context.carry_for(&by, &[change], apply).await[..] {
            [(_, ended)] if ended.outcome == Outcome::Done => {}
            [(_, ended)] => return Err(failed(ended.reason.as_deref().unwrap_or("it was not done"))),
            _ => return Err(failed("the agent is being stopped")),
        }
        let value = self.overrides.value.clone();
        self.board.show(|view| view.overrides = value.clone());
        Ok(value)
    }

    /// An override for a broker that does not exist would wait for ever, and nobody would see why.
    async fn check_broker(&self, broker: BrokerId) -> Result<(), Refusal> {
        let metadata = self.kafka.metadata(TopicSelection::None).await;
        let metadata = metadata.map_err(|error| {
            Refusal::unavailable(format!("it can't be seen now whether there is a broker {broker}: {error}"))
        })?;
        if metadata.brokers.contains_key(&broker) {
            return Ok(());
        }
        let live: Vec<_> = metadata.brokers.keys().take(NAMED_MAX).map(ToString::to_string).collect();
        let more = match metadata.brokers.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Refusal::not_found(format!("there is no live broker {broker}: there are {}{more}", live.join(", "))))
    }

    /// Whether nothing moves, and nothing of ours is left.
    async fn look_and_set(&mut self, context: &mut Context) -> anyhow::Result<bool> {
        let now = self.look(context).await?;
        let given = self.overrides_at(context, &now).await;
        let (seen, readings, decision, state) = self.decide_at(&now, &given).await?;
        let ways = self.settings.ways;
        let decided = self.throttles.decide(&*self.kafka, &decision.throttles, ways).await?;
        // What is found is said before anything of it is changed.
        self.record(context, &decision, &decided.0.plan.warnings).await;
        let brought = context.bring(&mut self.throttles, &*self.kafka, decided).await;
        self.state = state;
        let is_idle = now.moves.is_empty();
        self.before = Some(now);
        self.show(&seen, &readings, &decision, &brought);
        if let Some(why) = brought.failure() {
            anyhow::bail!("a change could not be made: {why}");
        }
        Ok(seen.moving.is_empty() && is_idle && self.throttles.record().is_empty())
    }

    /// What a tick would set, and nothing else.
    pub async fn decide(&mut self, context: &Context) -> anyhow::Result<Decision> {
        let now = self.look(context).await?;
        self.overrides.reload().await?;
        let given = self.overrides.value.at(now.at, now.moves.is_empty());
        Ok(self.decide_at(&now, &given).await?.2)
    }

    /// The overrides that hold. Where they can't be read or kept, those that were read last do: pacing goes on.
    async fn overrides_at(&mut self, context: &mut Context, now: &Look) -> Overrides {
        let read = self.overrides.reload().await;
        let given = self.overrides.value.at(now.at, now.moves.is_empty());
        let ended = self.overrides.value.without(&given);
        let kept = match read {
            Ok(_) if given == self.overrides.value => Ok(()),
            Ok(_) => {
                context.brake().changes_begin();
                self.overrides.keep(given.clone()).await
            }
            Err(error) => Err(error),
        };
        let was_cut_off = self.board.view().cut_off.is_some();
        match (&kept, was_cut_off) {
            (Err(error), false) => output::complain(&format!(
                "the overrides can't be read or kept now: {error:#}; the last ones hold, and pacing goes on"
            )),
            (Ok(()), true) => output::say("the overrides can be read and kept again"),
            _ => {}
        }
        for (subject, text) in ended.iter().filter(|_| kept.is_ok()) {
            output::say(text);
            context.record_finding("throttle.override_ended", subject, text, Severity::Info).await;
        }
        self.board.show(|view| view.cut_off = kept.err().map(|error| format!("{error:#}")));
        given
    }

    async fn decide_at(
        &mut self,
        now: &Look,
        given: &Overrides,
    ) -> anyhow::Result<(Snapshot, Readings, Decision, State)> {
        let is_idle = now.moves.is_empty();
        let (live, before) = (now.metadata.brokers.keys().copied().collect(), self.before.as_ref());
        let (readings, wrong) = measure(&self.settings.sources, (&live, now.at), || own_readings(before, now)).await;
        self.complain_of_sources(&wrong, is_idle);
        let limits = self.settings.limits.clone().for_source(readings.source);
        let known = self.settings.known.clone().with_types(&readings, &self.settings.by_type);
        let seen = snapshot(self.before.as_ref(), now, &readings, &known);
        let (decision, state) = plan(now.at, &limits, &seen, given, &self.state);
        Ok((seen, readings, decision, state))
    }

    /// A look; at first two, so that it is known what is written.
    async fn look(&mut self, context: &Context) -> anyhow::Result<Look> {
        let all = self.settings.known.recovers || matches!(self.settings.sources.first(), Some(Source::Brokers));
        let all = all || !self.coming().is_empty();
        let first = look(&*self.kafka, context.now(), all).await?.with_coming(self.coming());
        let is_known = self.before.as_ref().is_some_and(|before| !before.sizes.is_empty());
        if first.moves.is_empty() || is_known {
            return Ok(first);
        }
        self.before = Some(first);
        sleep(FIRST_PAUSE).await;
        Ok(look(&*self.kafka, context.now(), all).await?.with_coming(self.coming()))
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
    async fn record(&mut self, context: &mut Context, decision: &Decision, warnings: &[Warning]) {
        for note in decision.notes.iter().filter(|note| note.is_new) {
            let Note { kind, subject, text, .. } = note;
            output::say(&format!("! {text}"));
            let severity = match *kind {
                "throttle.floor_conflict" | "reassign.stalled" => Severity::Error,
                _ => Severity::Warning,
            };
            let subject =
                if subject == "cluster" { format!("cluster:{}", context.run().cluster) } else { subject.clone() };
            context.record_finding(kind, &subject, text, severity).await;
        }
        for warning in warnings {
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
