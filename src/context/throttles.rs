//! The replication throttles of one cluster, as this run manages them: alone, and with a record of what is ours.
//!
//! Whoever throttles does it through here, `reassign execute --throttle` as well as `throttle run`:
//!
//! ```text
//! let mut throttles = context.throttles(&cluster_id).await?;         // takes the lock, adopts what a dead run left
//! context.throttle(&mut throttles, &*kafka, &desired, Ways::default()).await?;   // before the moves, and at every tick
//! context.throttle(&mut throttles, &*kafka, &Throttles::default(), Ways::default()).await?;   // when nothing moves
//! ```
//!
//! `desired` is what must hold from now on, whole: [`Throttles::of_moves`] for a rate that a person gave, or what
//! `throttle/plan` decides. It is safe to say the same again and again: only differences are written. Partitions that
//! are in sync are simply not named any more. A run that is asked to stop while moves go on just ends: its throttles
//! stay in force, and the next run, of either command, takes them over.
//!
//! The record is kept before the first write and read before each batch: a run that lost its lock without noticing
//! finds another run's id there and stops.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::change::carry_out::{Ended, Run, Watch, carry_out};
use crate::change::event::{Event, Outcome, Severity};
use crate::change::looks::Looks;
use crate::change::plan::Step;
use crate::change::throttle::decide::{Decided, Ways, after, decide};
use crate::change::throttle::step::{ThrottleBatch, ThrottleStep};
use crate::clients::kafka::{Kafka, KafkaError, Mode, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource};
use crate::cluster::metadata::TopicSelection;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{PresentList, PresentRate, PresentThrottles, Side, Sides, ThrottleRecord, Throttles};
use crate::cluster::topic::TopicName;
pub use crate::context::brought::Brought;
use crate::context::{Context, LockHolder};
use crate::exit::Stop;
use crate::output;
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// Kafka's own "no limit".
const UNLIMITED: u64 = i64::MAX as u64;

/// The throttles of one cluster. While this is there, no other run changes them.
#[derive(Debug)]
pub struct OwnThrottles {
    document: Document,
    /// Where the record is written while its own place, in Kubernetes, can't be reached: the state folder.
    aside: Option<Document>,
    record: ThrottleRecord,
    /// What this run writes into the record.
    run_id: String,
    owner: String,
    clock: fn() -> Timestamp,
    /// Whether the record could not be written lately, which was said.
    is_unkept: bool,
}

impl Context {
    /// Takes the lock of this cluster's throttles, and takes over what an earlier run left.
    pub async fn throttles(&mut self, cluster_id: &str) -> anyhow::Result<OwnThrottles> {
        self.lock(&self.identity(Purpose::Throttle, cluster_id)).await?;
        let mut throttles = self.throttles_to_look_at(cluster_id).await?;
        // Also an empty one: others know by the run in it that they look at the right place.
        throttles.keep(throttles.record.clone()).await?;
        Ok(throttles)
    }

    /// The record as it is, without a lock: to look at it, or for a dry run.
    pub async fn throttles_to_look_at(&self, cluster_id: &str) -> anyhow::Result<OwnThrottles> {
        let identity = self.identity(Purpose::Throttle, cluster_id);
        let mut document = self.document(&identity).await?;
        let mut record: ThrottleRecord = document.load().await?.unwrap_or_default();
        let mut is_unkept = false;
        let mut aside = self.document_aside(&identity).await?;
        if let Some(aside) = &mut aside
            && let Some(later) = aside.load::<ThrottleRecord>().await?
            && later.run_id == record.run_id
            && later.changed_at > record.changed_at
        {
            (record, is_unkept) = (later, true);
        }
        let owner = format!("`toolbox {}` of {}", self.command, self.run().actor);
        let run_id = self.run_id.to_string();
        Ok(OwnThrottles { document, aside, record, run_id, owner, clock: self.clock, is_unkept })
    }

    /// Brings the throttles to the desired ones and records each step as an event. It asks nobody and shows nothing; a step that
    /// failed is in the answer, and the next call tries it again.
    pub async fn throttle(
        &mut self,
        throttles: &mut OwnThrottles,
        kafka: &dyn Kafka,
        desired: &Throttles,
        ways: Ways,
    ) -> anyhow::Result<Brought> {
        let decided = throttles.decide(kafka, desired, ways).await?;
        Ok(self.bring(throttles, kafka, decided).await)
    }

    /// Carries out what was decided for the desired throttles, and records each step as an event.
    pub async fn bring(
        &mut self,
        throttles: &mut OwnThrottles,
        kafka: &dyn Kafka,
        (Decided { plan, claim }, seen): (Decided, PresentThrottles),
    ) -> Brought {
        let apply = async |batch: &[ThrottleStep]| throttles.apply(kafka, &claim, batch).await;
        let ended = self.carry(&plan.steps, apply).await;
        throttles.settle(&claim, &ended).await;
        let is_cut = ended.len() < plan.steps.len();
        let not_begun = is_cut.then(|| self.brake.pulled().unwrap_or_else(|| "the run was asked to stop".to_owned()));
        Brought { ended, not_begun, warnings: plan.warnings, seen }
    }

    /// Carries steps out and records them, without a word: what an agent does at each tick. Steps that were not begun
    /// because the run was asked to stop are missing in the answer.
    pub async fn carry<S: Step>(&mut self, steps: &[S], apply: impl AsyncFnMut(&[S]) -> Vec<Ended>) -> Vec<(S, Ended)> {
        let actor = self.run().actor;
        self.carry_for(&actor, steps, apply).await
    }

    /// The same for somebody who asked for it: the events name that person.
    pub async fn carry_for<S: Step>(
        &mut self,
        actor: &str,
        steps: &[S],
        apply: impl AsyncFnMut(&[S]) -> Vec<Ended>,
    ) -> Vec<(S, Ended)> {
        if steps.is_empty() {
            return Vec::new();
        }
        self.settle_dead_runs_once().await;
        let (run, brake) = (Run { actor: actor.to_owned(), ..self.run() }, self.brake.clone());
        brake.changes_begin();
        let mut watch = Quiet(brake);
        let ended = carry_out(steps, &run, self.recorder(), &mut watch, apply).await;
        steps.iter().cloned().zip(ended).collect()
    }

    /// Records something that was found, not done: what an agent's warnings become.
    pub async fn record_finding(&mut self, kind: &str, subject: &str, text: &str, severity: Severity) {
        let event = self.run().event(kind, subject, Outcome::Done, text);
        self.recorder().record(&[Event { severity, ..event }]).await;
    }
}

struct Quiet(crate::change::brake::Brake);

impl Watch for Quiet {
    fn at(&mut self, _ended: usize, _of: usize) {}

    fn should_stop(&self) -> bool {
        self.0.pulled().is_some()
    }

    fn brake(&self) -> Option<&crate::change::brake::Brake> {
        Some(&self.0)
    }

    fn boundary(&self, name: &'static str) {
        crate::change::fail_point::fail_point(name);
        tracing::trace!(name, "boundary");
    }
}

impl OwnThrottles {
    /// What is ours.
    pub fn record(&self) -> &ThrottleRecord {
        &self.record
    }

    /// The other run that manages the throttles now; refused where that keeps its record elsewhere.
    pub async fn manager(&self, context: &Context) -> anyhow::Result<Option<LockHolder>> {
        context.check_same_place(&self.document).await
    }

    /// Where the record is, for messages.
    pub fn place(&self) -> String {
        self.document.place()
    }

    /// Looks at the cluster and decides what to change.
    ///
    /// Where a value of others could be destroyed because a broker does not show it yet, it is waited until the brokers show
    /// what was set before, and decided again. A broker that does not get there in time counts as one that can't be asked.
    pub async fn decide(
        &self,
        kafka: &dyn Kafka,
        desired: &Throttles,
        ways: Ways,
    ) -> anyhow::Result<(Decided, PresentThrottles)> {
        let brokers: BTreeSet<_> = desired.rates.keys().chain(self.record.rates.keys()).copied().collect();
        let topics: BTreeSet<_> = desired.lists.keys().chain(self.record.lists.keys()).cloned().collect();
        let seen = present_throttles(kafka, &brokers, &topics).await?;
        let decided = decide(desired, &seen, &self.record, ways);
        let careful = decided.plan.steps.iter().filter(|step| step.relies_on_what_is_there());
        let careful: Vec<_> = careful.map(named_by).collect();
        if careful.is_empty() {
            return Ok((decided, seen));
        }
        let own_configs = careful.into_iter().filter_map(|(broker, _)| broker).collect();
        let behind =
            kafka.catch_up(&own_configs).await.context("failed to learn whether the brokers are up to date")?;
        let mut seen = present_throttles(kafka, &brokers, &topics).await?;
        seen.rates.retain(|broker, _| !behind.contains(broker));
        Ok((decide(desired, &seen, &self.record, ways), seen))
    }

    /// Carries out one batch, after what will be ours was kept. Without a record nothing is written.
    pub async fn apply(&mut self, kafka: &dyn Kafka, claim: &ThrottleRecord, batch: &[ThrottleStep]) -> Vec<Ended> {
        if let Err(error) = self.claim(claim).await {
            let why = format!("nothing is written without a record of what is ours: {error:#}");
            return batch.iter().map(|_| Ended::refused(why.clone())).collect();
        }
        let overtaken = overtaken(kafka, batch).await;
        let free: Vec<_> = batch.iter().filter(|step| !overtaken.contains_key(&step.subject())).cloned().collect();
        let mut sent = send(kafka, &free).await.into_iter();
        let ended = batch.iter().map(|step| match overtaken.get(&step.subject()) {
            Some(why) => Ended::refused(format!("{why}; nothing was changed there, and the next look goes by that")),
            None => sent.next().unwrap_or_else(|| Ended::unknown("it has no answer")),
        });
        ended.collect()
    }

    /// Keeps what is ours after steps ended as they did. Steps that were not begun stay claimed: the next look knows.
    /// Whether it is kept.
    pub async fn settle(&mut self, claim: &ThrottleRecord, ended: &[(ThrottleStep, Ended)]) -> bool {
        let settled = after(claim, ended);
        if self.record.rates == settled.rates && self.record.lists == settled.lists && !self.is_unkept {
            return true;
        }
        let Err(error) = self.keep(settled.clone()).await else { return true };
        // The claim that is kept covers it; the next call writes what is left of it.
        if let Err(error) = self.keep_aside(settled, &error).await {
            output::complain(&format!(
                "what is throttled could not be kept in {} ({error:#}); the record there names throttles that are not in \
                 force any more, and the next run finds out by itself",
                self.place()
            ));
            return false;
        }
        true
    }

    /// Keeps the claim unless it is kept already, and makes sure that the record is still this run's.
    async fn claim(&mut self, claim: &ThrottleRecord) -> anyhow::Result<()> {
        let kept: Option<ThrottleRecord> = match self.document.load().await {
            // The lock says that no other run changes throttles meanwhile.
            Err(error) if !error.is::<Stop>() && self.record.run_id == self.run_id => {
                return self.keep_aside(claim.clone(), &error).await;
            }
            kept => kept?,
        };
        if let Some(kept) = &kept
            && kept.run_id != self.record.run_id
        {
            anyhow::bail!("another run took over: {} is that of {} now", self.place(), kept.owner);
        }
        let is_kept = kept.is_some_and(|kept| kept.rates == claim.rates && kept.lists == claim.lists);
        if is_kept && self.record.run_id == self.run_id && !self.is_unkept {
            return Ok(());
        }
        self.keep(claim.clone()).await
    }

    async fn keep(&mut self, record: ThrottleRecord) -> anyhow::Result<()> {
        let record = self.signed(record);
        self.document.save(&record).await.context("failed to keep which throttles are ours")?;
        self.record = record;
        if std::mem::take(&mut self.is_unkept) {
            output::say(&format!("the record of throttles is written to {} again", self.place()));
        }
        Ok(())
    }

    /// Keeps the record in the state folder instead: a run of this pod that comes after a crash finds it there. It is said
    /// once.
    async fn keep_aside(&mut self, record: ThrottleRecord, why: &anyhow::Error) -> anyhow::Result<()> {
        let record = self.signed(record);
        let Some(aside) = &mut self.aside else { anyhow::bail!("{why:#}") };
        aside.load::<ThrottleRecord>().await?;
        aside.save(&record).await.with_context(|| format!("{why:#}; and the state folder can't be written either"))?;
        let other = aside.place();
        self.record = record;
        if !std::mem::replace(&mut self.is_unkept, true) {
            output::complain(&format!(
                "the record of throttles can't be written to {} ({why:#}); it is written to {other} until that can be \
                 reached again",
                self.place(),
            ));
        }
        Ok(())
    }

    /// The record as this run's.
    fn signed(&self, record: ThrottleRecord) -> ThrottleRecord {
        // Taking over changes nothing: `gc` goes by how long ago something was changed.
        let is_same = record.rates == self.record.rates && record.lists == self.record.lists;
        let changed_at = if is_same { self.record.changed_at.clone() } else { (self.clock)().to_string() };
        ThrottleRecord { run_id: self.run_id.clone(), owner: self.owner.clone(), changed_at, ..record }
    }
}

/// The throttles of some brokers and topics. Brokers that can't be asked are left out.
pub async fn present_throttles(
    kafka: &dyn Kafka,
    brokers: &BTreeSet<BrokerId>,
    topics: &BTreeSet<TopicName>,
) -> anyhow::Result<PresentThrottles> {
    let mut present = PresentThrottles::default();
    if !topics.is_empty() {
        let resources: Vec<_> = topics.iter().cloned().map(ConfigResource::Topic).collect();
        let keys = Side::BOTH.map(Side::list_key);
        let answers = kafka.configs(&resources, Some(&keys)).await.context("failed to read the topics' throttles")?;
        for (resource, answer) in answers {
            let ConfigResource::Topic(topic) = resource else { continue };
            match answer {
                Ok(entries) => drop(present.lists.insert(topic, Sides::from_fn(|side| list_of(&entries, side)))),
                Err(error) if error.code() == Some(codes::UNKNOWN_TOPIC_OR_PARTITION) => {
                    present.gone.insert(topic);
                }
                Err(error) => return Err(error).context(format!("failed to read the throttles of topic {topic}")),
            }
        }
    }
    if brokers.is_empty() {
        return Ok(present);
    }
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read which brokers are there")?;
    let live = brokers.iter().filter(|broker| metadata.brokers.contains_key(broker));
    // One by one: a broker that just died must not hide the others.
    let asked = live.map(|broker| async move { (*broker, rates_of(kafka, *broker).await) });
    for (broker, answer) in join_all(asked).await {
        match answer {
            Ok(rates) => drop(present.rates.insert(broker, rates)),
            Err(error @ KafkaError::Security { .. }) => {
                return Err(error).context(format!("failed to read the throttle of broker {broker}"));
            }
            Err(error) => tracing::warn!(%broker, %error, "the broker's throttle can't be read"),
        }
    }
    Ok(present)
}

async fn rates_of(kafka: &dyn Kafka, broker: BrokerId) -> Result<Sides<PresentRate>, KafkaError> {
    let resource = ConfigResource::Broker(broker);
    let keys = Side::BOTH.map(Side::rate_key);
    let mut answers = kafka.configs(std::slice::from_ref(&resource), Some(&keys)).await?;
    let entries = answers.remove(&resource).unwrap_or_else(|| Ok(Vec::new()))?;
    Ok(Sides::from_fn(|side| rate_of(&entries, side)))
}

fn list_of(entries: &[ConfigEntry], side: Side) -> PresentList {
    let set = |entry: &&ConfigEntry| entry.name == side.list_key() && entry.source == ConfigSource::Topic;
    entries.iter().find(set).map_or(PresentList::Unset, |entry| PresentList::read(entry.value.as_deref()))
}

fn rate_of(entries: &[ConfigEntry], side: Side) -> PresentRate {
    let Some(entry) = entries.iter().find(|entry| entry.name == side.rate_key()) else { return PresentRate::Unset };
    let rate = entry.value.as_deref().and_then(|value| value.parse().ok()).map(ByteRate);
    match (entry.source, rate) {
        (ConfigSource::Broker, Some(rate)) => PresentRate::Set(rate),
        (ConfigSource::Broker, None) => PresentRate::Hidden,
        (ConfigSource::BrokerDefaults | ConfigSource::BrokerFile, Some(rate)) if rate.0 < UNLIMITED => {
            PresentRate::Inherited(rate)
        }
        _ => PresentRate::Unset,
    }
}

/// The broker or topic that a step is about.
fn named_by(step: &ThrottleStep) -> (Option<BrokerId>, Option<TopicName>) {
    match step {
        ThrottleStep::Rates { broker, .. } => (Some(*broker), None),
        ThrottleStep::Lists { topic, .. } => (None, Some(topic.clone())),
    }
}

/// Steps that would destroy what somebody set since they were decided, by subject, and what that is. A person may have
/// thought about a plan for minutes. What can't be read is sent: its broker refuses or takes it.
async fn overtaken(kafka: &dyn Kafka, batch: &[ThrottleStep]) -> BTreeMap<String, String> {
    let careful: Vec<_> = batch.iter().filter(|step| step.relies_on_what_is_there()).collect();
    let brokers: BTreeSet<_> = careful.iter().filter_map(|step| named_by(step).0).collect();
    let topics: BTreeSet<_> = careful.iter().filter_map(|step| named_by(step).1).collect();
    if careful.is_empty() {
        return BTreeMap::new();
    }
    match present_throttles(kafka, &brokers, &topics).await {
        Ok(seen) => careful.iter().filter_map(|step| Some((step.subject(), step.overtaken(&seen)?))).collect(),
        Err(error) => {
            tracing::warn!(%error, "the throttles could not be read again before they are changed");
            BTreeMap::new()
        }
    }
}

/// Sends a batch and waits, within limits, until the brokers show it.
async fn send(kafka: &dyn Kafka, batch: &[ThrottleStep]) -> Vec<Ended> {
    let changes: Vec<ConfigChange> = batch.iter().map(ThrottleStep::config_change).collect();
    let answers = kafka.alter_configs(&changes, Mode::Apply).await;
    let is_lost = KafkaError::leaves_result_unknown;
    let open = batch.iter().zip(&answers).filter(|(_, answer)| answer.as_ref().err().is_none_or(is_lost));
    let missing = not_shown(kafka, open.map(|(step, _)| step).collect()).await;
    let is_shown = |step: &ThrottleStep| !missing.contains(&step.subject());
    let ending = |(step, answer): (&ThrottleStep, Result<(), KafkaError>)| match answer {
        Ok(()) => {
            if !is_shown(step) {
                tracing::warn!(subject = %step.subject(), "accepted, but the brokers do not show it yet");
            }
            Ended::done()
        }
        Err(error) if is_lost(&error) && is_shown(step) => Ended::done(),
        Err(error) if is_lost(&error) => Ended::unknown(format!("{error}; the next look mends it")),
        Err(error)
            if error.code() == Some(codes::UNKNOWN_TOPIC_OR_PARTITION)
                && step.batch() == ThrottleBatch::ShortenLists =>
        {
            Ended::done()
        }
        Err(error) => Ended::failed(error.to_string()),
    };
    batch.iter().zip(answers).map(ending).collect()
}

/// The subjects of the steps that the brokers do not show as done.
async fn not_shown(kafka: &dyn Kafka, mut open: Vec<&ThrottleStep>) -> BTreeSet<String> {
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        let brokers = open.iter().filter_map(|step| named_by(step).0).collect();
        let topics = open.iter().filter_map(|step| named_by(step).1).collect();
        if let Ok(seen) = present_throttles(kafka, &brokers, &topics).await {
            open.retain(|step| !step.is_shown(&seen));
        }
    }
    open.iter().map(|step| step.subject()).collect()
}

/// Every throttle of a cluster, whoever set it: of all live brokers and all topics.
pub async fn all_throttles(kafka: &dyn Kafka) -> anyhow::Result<PresentThrottles> {
    let metadata = kafka.metadata(TopicSelection::All).await.context("failed to read the cluster's metadata")?;
    let brokers = metadata.brokers.keys().copied().collect();
    let topics = metadata.topics.keys().cloned().collect();
    let mut present = present_throttles(kafka, &brokers, &topics).await?;
    present.lists.retain(|_, sides| *sides != Sides::default());
    Ok(present)
}
