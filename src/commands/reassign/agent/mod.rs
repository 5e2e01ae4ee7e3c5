//! The slow loop of an execution: looks, lets the plan decide, submits, records, waits; until every move is where it
//! should be, or can't be.
//!
//! All decisions are [`tick`]'s. What a successor needs (which moves have begun, and of which topics) is kept in the record;
//! what is under way is in the cluster.

mod handover;
mod headroom;
mod kept;
mod metrics;
mod throttling;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use crate::change::event::{Event, Outcome, Severity};
use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{Side, Throttles};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::apply::apply;
use crate::commands::reassign::command::record::Control;
use crate::commands::reassign::observe::{observe, sizes};
use crate::commands::reassign::plan::next::{Limits, Manner};
use crate::commands::reassign::plan::seen::{Observed, Sizes, State};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::tick::{Ending, Finding, Memory, Seen, Subject, Terms, Tick, tick};
use crate::commands::reassign::plan::unthrottled::Unthrottled;
use crate::commands::reassign::plan::{next, tick as decisions};
use crate::commands::reassign::report;
use crate::commands::reassign::spec::Window;
use crate::commands::throttle::plan::law;
use crate::context::Context;
use crate::context::throttles::OwnThrottles;
use crate::output::StatusLine;

pub(super) use handover::Paced;
use headroom::ESTIMATED;
pub(super) use headroom::Headroom;
pub(super) use kept::KeptRecord;

/// Shortest pause between two looks, while things change.
const TICK_MIN: Duration = Duration::from_millis(100);

/// How often a control that somebody may have changed is read.
const CONTROL_EVERY: Duration = Duration::from_secs(1);

/// Lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The time over which writes are measured before the first move begins.
const FIRST_SAMPLE: Duration = Duration::from_secs(2);

/// How copying is throttled.
#[derive(Clone)]
pub(super) enum Throttling {
    /// Not at all.
    Off,
    /// By a running `throttle run`: each batch is handed over to it before it is submitted.
    ByAgent,
    /// With this rate for each broker.
    Fixed(ByteRate),
    /// With what the control law finds.
    Auto(Box<Headroom>),
}

impl Throttling {
    /// Whether this run throttles nothing itself.
    pub(super) fn is_off(&self) -> bool {
        matches!(self, Self::Off | Self::ByAgent)
    }
}

/// How a plan is carried out.
#[derive(Clone)]
pub(super) struct Pacing {
    /// Bounds of what is under way.
    pub(super) limits: Limits,
    /// Phases and elections.
    pub(super) manner: Manner,
    /// How copying is throttled.
    pub(super) throttle: Throttling,
    /// Hours in which moves begin, and whose hours.
    pub(super) window: Option<(Window, TimeZone)>,
    /// Longest time without any progress.
    pub(super) patience: Duration,
    /// After how long without a copied byte a move counts as stalled.
    pub(super) stalled_after: Duration,
    /// Longest pause between two looks.
    pub(super) tick: Duration,
    /// A file for Prometheus.
    pub(super) metrics: Option<PathBuf>,
}

/// A look at the disks.
struct Disks {
    at: Instant,
    sizes: Sizes,
    /// Moves that were done then.
    done: BTreeSet<TopicPartition>,
}

/// One execution.
pub(super) struct Agent<'a> {
    kafka: &'a dyn Kafka,
    terms: Terms,
    topics: BTreeSet<TopicName>,
    pacing: Pacing,
    control: Control,
    record: KeptRecord,
    /// The throttles, where this run manages them.
    throttles: Option<OwnThrottles>,
    /// The agent that paces the moves, where one does.
    paced: Option<Paced>,
    line: StatusLine,
    begun: Instant,
    memory: Memory,
    sizes: Option<Disks>,
    /// The look at the disks before the last one.
    former_sizes: Option<Disks>,
    law: law::State,
    /// Ends of moves whose throttle lies below what is written, as far as that was said.
    below_floor: BTreeSet<(BrokerId, Side)>,
    /// The throttles that were last seen to hold.
    in_force: Option<(Instant, Throttles)>,
    /// What could not be throttled when that was last tried.
    unthrottled: Option<(Instant, Unthrottled)>,
    /// Whether no throttle of this run is left that it should have taken away.
    is_released: bool,
    /// When the cluster was last read.
    heard: Instant,
}

impl<'a> Agent<'a> {
    /// An execution of these moves.
    pub(super) fn new(
        kafka: &'a dyn Kafka,
        pacing: Pacing,
        (moves, record): (Vec<PartitionMove>, KeptRecord),
        control: Control,
        (throttles, paced): (Option<OwnThrottles>, Option<Paced>),
    ) -> Self {
        let now = Instant::now();
        let rate = if let Throttling::Fixed(rate) = pacing.throttle { Some(rate) } else { None };
        Self {
            kafka,
            topics: moves.iter().map(|one| one.partition.topic.clone()).collect(),
            memory: record.memory(),
            terms: Terms {
                moves,
                limits: pacing.limits,
                manner: pacing.manner,
                patience: pacing.patience,
                stalled_after: pacing.stalled_after,
                rate,
            },
            pacing,
            control,
            record,
            throttles,
            paced,
            line: StatusLine::new(LINE_EVERY),
            begun: now,
            sizes: None,
            former_sizes: None,
            law: law::State::default(),
            below_floor: BTreeSet::new(),
            in_force: None,
            unthrottled: None,
            is_released: true,
            heard: now,
        }
    }

    /// Runs to the end.
    pub(super) async fn run(&mut self, context: &mut Context) -> anyhow::Result<Ending> {
        if let (Throttling::Auto(headroom), Some(throttles)) = (&self.pacing.throttle, &self.throttles) {
            self.law = law::State::adopting(throttles.record(), context.now());
            if headroom.is_estimated() {
                self.line.say(ESTIMATED);
            }
            // The law needs to know what is written before anything is copied.
            if self.look(true).await.is_ok() {
                sleep(FIRST_SAMPLE).await;
                // A failure is met again, and reported, by the first tick.
                drop(self.look(true).await);
            }
        }
        let mut pause = TICK_MIN;
        let ending = loop {
            if let Some(why) = context.brake().pulled() {
                break Ending::Stopped(why);
            }
            match self.look(false).await {
                Ok(observed) => {
                    let (ending, changed) = self.tick(context, &observed).await;
                    if let Some(ending) = ending {
                        break ending;
                    }
                    pause = if changed { TICK_MIN } else { pause.mul_f64(1.5).min(self.pacing.tick) };
                }
                Err(error @ KafkaError::Security { .. }) => return Err(error).context("failed to look at the moves"),
                Err(error) => {
                    if self.heard.elapsed() > self.pacing.patience {
                        return Err(error).context("failed to look at the moves for too long");
                    }
                    self.line.say(&format!("the cluster can't be read now, and is asked again: {error}"));
                    pause = self.pacing.tick;
                }
            }
            let brake = context.brake().clone();
            tokio::select! {
                biased;
                _ = brake.until_pulled() => {}
                () = sleep(pause) => {}
            }
        };
        if let Some(paced) = &mut self.paced {
            paced.close().await;
        }
        if matches!(ending, Ending::Done | Ending::Incomplete(_)) {
            self.is_released = self.release(context).await;
            self.control.ends(context).await;
        }
        if ending == Ending::Done {
            self.record.forget_begun().await;
        }
        Ok(ending)
    }

    /// Reads the cluster; what is on disk only now and then, or when that is wanted afresh.
    async fn look(&mut self, afresh: bool) -> Result<Observed, KafkaError> {
        self.kafka.begin_look();
        let mut observed = observe(self.kafka, &self.topics).await?;
        let is_old = self.sizes.as_ref().is_none_or(|disks| disks.at.elapsed() >= self.pacing.tick);
        if is_old || afresh {
            let mut sizes = sizes(self.kafka, &brokers_of(&self.terms.moves, &observed), &self.topics).await?;
            if let Some(former) = &self.sizes {
                sizes.carry_over(&former.sizes);
            }
            let disks = Disks { at: Instant::now(), sizes, done: self.done_in(&observed) };
            self.former_sizes = self.sizes.replace(disks);
        }
        observed.sizes = self.sizes.as_ref().map(|disks| disks.sizes.clone()).unwrap_or_default();
        self.heard = Instant::now();
        Ok(observed)
    }

    fn done_in(&self, observed: &Observed) -> BTreeSet<TopicPartition> {
        let done = self.terms.moves.iter().filter(|one| observed.state(one) == State::Done);
        done.map(|one| one.partition.clone()).collect()
    }

    /// One look and what follows from it: how it ends, if it ends, and whether anything changed.
    async fn tick(&mut self, context: &mut Context, observed: &Observed) -> (Option<Ending>, bool) {
        let asked = self.control.read(CONTROL_EVERY).await;
        self.terms.limits = asked.bounds.over(self.pacing.limits);
        // A lock that was not renewed lately may be another run's by now: nothing is submitted until it is renewed.
        let unlocked = context.check_locks().err();
        let resting = unlocked.clone().or(asked.paused.clone()).or(self.hours(context));
        let control = decisions::Control {
            stop: asked.stop,
            resting: resting.clone(),
            unlocked: unlocked.clone(),
            held: self.held_unthrottled(observed),
        };
        let sized_at = self.sizes.as_ref().map(|disks| disks.at.saturating_duration_since(self.begun));
        let seen = Seen { observed, at: self.begun.elapsed(), sized_at: sized_at.unwrap_or_default() };
        let (memory, mut decided) = tick(std::mem::take(&mut self.memory), &self.terms, seen, &control);
        self.memory = memory;
        self.record.keep(&self.memory).await;
        self.show(context, &decided, resting.as_deref()).await;
        if decided.ending.is_some() {
            return (decided.ending, decided.changed);
        }
        let mut changed = decided.changed;
        if unlocked.is_none() {
            let elections = std::mem::take(&mut decided.next.elections);
            changed |= self.submit(context, observed, decided.next).await;
            if let Some(why) = self.paced.as_mut().and_then(|paced| paced.stranded.take()) {
                return (Some(Ending::GaveUp(why)), changed);
            }
            changed |= self.carry(context, &elections).await;
        }
        (None, changed)
    }

    /// Why moves do not begin now by the hour of the day.
    fn hours(&self, context: &Context) -> Option<String> {
        let (window, zone) = self.pacing.window.as_ref()?;
        let now = context.now().to_zoned(zone.clone());
        (!window.is_open(now.time())).then(|| format!("outside of the hours at {}", now.strftime("%H:%M %Z")))
    }

    /// Shows how far it is, and says and records what was found.
    async fn show(&mut self, context: &mut Context, decided: &Tick, resting: Option<&str>) {
        let words = report::line(&decided.progress, &self.memory.pace, resting);
        self.line.at(report::thousandths(&decided.progress), &words);
        if let Some(path) = &self.pacing.metrics
            && let Err(error) = metrics::write(path, &decided.progress, &self.memory.pace, &decided.stalled)
        {
            tracing::warn!(%error, "the metrics can't be written to {}", path.display());
        }
        let run = context.run();
        let completed = decided.completed.iter().map(|partition| {
            let words = format!("partition {partition} is where it should be");
            let subject = format!("partition:{partition}");
            let event = run.event("reassign.move_completed", &subject, Outcome::Done, &words);
            Event { severity: Severity::Low, ..event }
        });
        let completed: Vec<_> = completed.collect();
        if !completed.is_empty() {
            context.recorder().record(&completed).await;
        }
        for Finding { kind, subject, words, severity } in &decided.findings {
            self.line.say(&format!("! {words}"));
            let subject = match subject {
                Subject::Cluster => format!("cluster:{}", run.cluster),
                Subject::Partition(partition) => format!("partition:{partition}"),
            };
            context.record_finding(kind, &subject, words, *severity).await;
        }
    }

    /// Begins what is next, throttled from its first byte on: what can't be throttled is held.
    async fn submit(&mut self, context: &mut Context, observed: &Observed, mut next: next::Next) -> bool {
        self.hold_unthrottled(context, observed, &mut next).await;
        self.hand_over(context, observed, &mut next).await;
        self.memory.withhold(std::mem::take(&mut next.held));
        self.carry(context, &next.moves).await
    }

    /// Whether the record of the execution could be kept when that was tried last.
    pub(super) fn is_kept(&self) -> bool {
        self.record.is_kept()
    }

    /// Whether no throttle of this run is left after its end.
    pub(super) fn is_released(&self) -> bool {
        self.is_released
    }

    /// Submits, remembers the answers, and says what was refused.
    async fn carry(&mut self, context: &mut Context, steps: &[ReassignStep]) -> bool {
        let kafka = self.kafka;
        let ended = context.carry(steps, async |batch: &[ReassignStep]| apply(kafka, batch).await).await;
        for words in self.memory.answered(self.begun.elapsed(), &ended) {
            self.line.say(&format!("! {words}"));
        }
        self.record.keep(&self.memory).await;
        ended.iter().any(|(_, ended)| ended.outcome == Outcome::Done)
    }
}

/// Brokers that the moves come from and go to and that live.
pub(super) fn brokers_of(moves: &[PartitionMove], observed: &Observed) -> BTreeSet<BrokerId> {
    let named = moves.iter().flat_map(|one| one.from.iter().chain(&one.to)).copied();
    named.filter(|broker| observed.brokers.contains(broker)).collect()
}
