//! The slow loop of an execution: looks, decides, submits, records, waits; until every move is where it should be.
//!
//! It keeps nothing that a successor would need: what is under way is in the cluster, what is wished for in the plan.
//! It ends early when it is asked to (a signal, `reassign pause` does not end it, `reassign cancel` does), and when nothing
//! has got on for longer than its patience; moves that run go on in Kafka all the same.

mod handover;
mod headroom;
mod metrics;
mod throttling;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use crate::change::carry_out::Ended;
use crate::change::event::{Event, Outcome, Severity};
use crate::change::plan::Step;
use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{Side, Throttles};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::reassign::apply::apply;
use crate::commands::reassign::command::record::Control;
use crate::commands::reassign::observe::{observe, sizes};
use crate::commands::reassign::plan::next::{Limits, Manner, Next, next};
use crate::commands::reassign::plan::preflight::{count, names};
use crate::commands::reassign::plan::progress::{Pace, Progress, progress};
use crate::commands::reassign::plan::seen::{Observed, Sizes, State};
use crate::commands::reassign::plan::stalls::{Reason, Watched};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::unthrottled::Unthrottled;
use crate::commands::reassign::report;
use crate::commands::reassign::spec::Window;
use crate::commands::throttle::plan::law;
use crate::context::Context;
use crate::context::throttles::OwnThrottles;
use crate::output::StatusLine;

pub(super) use handover::Paced;
use headroom::ESTIMATED;
pub(super) use headroom::Headroom;

/// Shortest pause between two looks, while things change.
const TICK_MIN: Duration = Duration::from_millis(100);

/// What was submitted is given this long to be shown.
const SETTLING: Duration = Duration::from_secs(10);

/// How often a control that somebody may have changed is read.
const CONTROL_EVERY: Duration = Duration::from_secs(1);

/// Lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The time over which writes are measured before the first move begins.
const FIRST_SAMPLE: Duration = Duration::from_secs(2);

/// How often the election of one preferred leader is tried.
const ELECTIONS_MAX: usize = 5;

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
    /// Longest time in which nothing gets on.
    pub(super) patience: Duration,
    /// After how long without a copied byte a move counts as stalled.
    pub(super) stalled_after: Duration,
    /// Longest pause between two looks.
    pub(super) tick: Duration,
    /// A file for Prometheus.
    pub(super) metrics: Option<PathBuf>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// Every move is as planned.
    Done,
    /// It was asked to stop, and by whom.
    Stopped(String),
    /// `reassign cancel` asked it to.
    Cancelled,
    /// Nothing got on for too long, and why.
    GaveUp(String),
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
    moves: Vec<PartitionMove>,
    topics: BTreeSet<TopicName>,
    pacing: Pacing,
    control: Control,
    /// The throttles, where this run manages them.
    throttles: Option<OwnThrottles>,
    /// The agent that paces the moves, where one does.
    paced: Option<Paced>,
    line: StatusLine,
    begun: Instant,
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
    settling: BTreeMap<TopicPartition, Instant>,
    done: BTreeSet<TopicPartition>,
    elections: BTreeMap<TopicPartition, usize>,
    pace: Pace,
    watched: Watched,
    said: BTreeSet<Reason>,
    refused: BTreeMap<TopicPartition, String>,
    got_on: (Instant, (usize, u64)),
    heard: Instant,
}

impl<'a> Agent<'a> {
    /// An execution of these moves.
    pub(super) fn new(
        kafka: &'a dyn Kafka,
        moves: Vec<PartitionMove>,
        pacing: Pacing,
        control: Control,
        (throttles, paced): (Option<OwnThrottles>, Option<Paced>),
    ) -> Self {
        let now = Instant::now();
        Self {
            kafka,
            topics: moves.iter().map(|one| one.partition.topic.clone()).collect(),
            moves,
            pacing,
            control,
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
            settling: BTreeMap::new(),
            done: BTreeSet::new(),
            elections: BTreeMap::new(),
            pace: Pace::default(),
            watched: Watched::default(),
            said: BTreeSet::new(),
            refused: BTreeMap::new(),
            got_on: (now, (0, 0)),
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
                    let (ending, changed) = self.tick(context, &observed).await?;
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
        if ending == Ending::Done {
            self.release(context).await;
            self.control.forget_rates(context.now()).await;
        }
        Ok(ending)
    }

    /// Reads the cluster; what is on disk only now and then, or when that is wanted afresh.
    async fn look(&mut self, afresh: bool) -> Result<Observed, KafkaError> {
        let mut observed = observe(self.kafka, &self.topics).await?;
        let is_old = self.sizes.as_ref().is_none_or(|disks| disks.at.elapsed() >= self.pacing.tick);
        if is_old || afresh {
            let sizes = sizes(self.kafka, &brokers_of(&self.moves, &observed), &self.topics).await?;
            let disks = Disks { at: Instant::now(), sizes, done: self.done_in(&observed) };
            self.former_sizes = self.sizes.replace(disks);
        }
        observed.sizes = self.sizes.as_ref().map(|disks| disks.sizes.clone()).unwrap_or_default();
        self.heard = Instant::now();
        Ok(observed)
    }

    /// One look and what follows from it: how it ends, if it ends, and whether anything changed.
    async fn tick(&mut self, context: &mut Context, observed: &Observed) -> anyhow::Result<(Option<Ending>, bool)> {
        let mut changed = self.settle(observed);
        let progress = progress(&self.moves, observed);
        changed |= self.record_completed(context, observed).await;
        let control = self.control.read(CONTROL_EVERY).await;
        let hours = self.hours(context);
        // A lock that was not renewed lately may be another run's by now: nothing is submitted until it is renewed.
        let unlocked = context.check_locks().err();
        let resting = unlocked.clone().or(control.paused.clone()).or(hours);
        self.show(context, (&progress, observed), resting.as_deref()).await;
        if control.stop {
            return Ok((Some(Ending::Cancelled), false));
        }
        let settling: BTreeSet<_> = self.settling.keys().cloned().collect();
        let held = self.held_unthrottled(observed);
        let left_alone = settling.iter().chain(held.keys()).cloned().collect();
        let mut next = next(&self.moves, observed, (&self.pacing.limits, self.pacing.manner), &left_alone);
        next.held.extend(held);
        if resting.is_some() {
            next.moves.clear();
        }
        let elections = if unlocked.is_some() { Vec::new() } else { self.elections_left(&next) };
        if progress.is_over() && settling.is_empty() && elections.is_empty() {
            return Ok((Some(Ending::Done), changed));
        }
        if unlocked.is_none() {
            changed |= self.submit(context, observed, &mut next).await?;
        }
        if let Some(why) = self.paced.as_mut().and_then(|paced| paced.stranded.take()) {
            return Ok((Some(Ending::GaveUp(why)), changed));
        }
        changed |= self.elect(context, elections).await;
        let got_on = (progress.done, progress.bytes_done);
        if changed || got_on != self.got_on.1 || (resting.is_some() && unlocked.is_none()) {
            self.got_on = (Instant::now(), got_on);
        }
        if self.got_on.0.elapsed() > self.pacing.patience {
            return Ok((Some(Ending::GaveUp(self.why_nothing_gets_on(&progress, observed, &next))), changed));
        }
        Ok((None, changed))
    }

    /// Forgets what was submitted and is shown by now, or should have been.
    fn settle(&mut self, observed: &Observed) -> bool {
        let before = self.settling.len();
        let states: BTreeMap<_, _> = self.moves.iter().map(|one| (&one.partition, observed.state(one))).collect();
        self.settling.retain(|partition, since| {
            let is_shown = matches!(states.get(partition), Some(State::Running | State::Done | State::Grown));
            !is_shown && since.elapsed() < SETTLING
        });
        self.settling.len() < before
    }

    fn done_in(&self, observed: &Observed) -> BTreeSet<TopicPartition> {
        let done = self.moves.iter().filter(|one| observed.state(one) == State::Done);
        done.map(|one| one.partition.clone()).collect()
    }

    /// Moves that ended since the last look, each an event.
    async fn record_completed(&mut self, context: &mut Context, observed: &Observed) -> bool {
        let is_first = self.done.is_empty() && self.begun == self.got_on.0;
        let done = self.done_in(observed);
        let fresh: Vec<_> = done.difference(&self.done).cloned().collect();
        self.done.extend(done);
        // What was done before this run is not its doing.
        if is_first || fresh.is_empty() {
            return !fresh.is_empty();
        }
        let run = context.run();
        let events = fresh.iter().map(|partition| {
            let words = format!("partition {partition} is where it should be");
            let subject = format!("partition:{partition}");
            let event = run.event("reassignment.move_completed", &subject, Outcome::Done, &words);
            Event { severity: Severity::Low, ..event }
        });
        let events: Vec<_> = events.collect();
        context.recorder().record(&events).await;
        true
    }

    /// Why moves do not begin now by the hour of the day.
    fn hours(&self, context: &Context) -> Option<String> {
        let (window, zone) = self.pacing.window.as_ref()?;
        let now = context.now().to_zoned(zone.clone());
        (!window.is_open(now.time())).then(|| format!("outside of the hours at {}", now.strftime("%H:%M %Z")))
    }

    /// Shows how far it is, and says what stands still.
    async fn show(
        &mut self,
        context: &mut Context,
        (progress, observed): (&Progress, &Observed),
        resting: Option<&str>,
    ) {
        let at = self.begun.elapsed();
        self.pace.see(at, progress);
        self.watched.see(at, progress);
        let words = report::line(progress, &self.pace, resting);
        self.line.at(report::thousandths(progress), &words);
        let seen = (&self.moves[..], observed);
        let stalled = self.watched.stalled(at, seen, self.pacing.stalled_after, self.fixed_rate());
        if let Some(path) = &self.pacing.metrics
            && let Err(error) = metrics::write(path, progress, &self.pace, &stalled)
        {
            tracing::warn!(%error, "the metrics can't be written to {}", path.display());
        }
        self.said.retain(|reason| stalled.contains_key(reason));
        for (reason, partitions) in stalled {
            if self.said.insert(reason.clone()) {
                let which = names(&partitions.iter().collect::<Vec<_>>());
                let text = format!("{} stalled: {} ({which})", count(partitions.len(), "move"), reason.words());
                self.line.say(&format!("! {text}"));
                let subject = format!("cluster:{}", context.run().cluster);
                context.record_finding("reassignment.stalled", &subject, &text, Severity::Error).await;
            }
        }
    }

    /// Begins what is next, throttled from its first byte on: what can't be throttled is held.
    async fn submit(&mut self, context: &mut Context, observed: &Observed, next: &mut Next) -> anyhow::Result<bool> {
        self.hold_unthrottled(context, observed, next).await;
        self.hand_over(context, observed, next).await;
        let kafka = self.kafka;
        let ended = context.carry(&next.moves, async |batch: &[ReassignStep]| apply(kafka, batch).await).await;
        for (step, Ended { outcome, reason }) in &ended {
            if matches!(outcome, Outcome::Done | Outcome::Unknown) {
                self.settling.insert(step.partition().clone(), Instant::now());
                self.refused.remove(step.partition());
            } else {
                let why = reason.clone().unwrap_or_default();
                if self.refused.insert(step.partition().clone(), why.clone()) != Some(why.clone()) {
                    self.line.say(&format!("! {}: {why}; it is tried again", step.subject()));
                }
            }
        }
        Ok(ended.iter().any(|(_, ended)| ended.outcome == Outcome::Done))
    }

    fn elections_left(&self, next: &Next) -> Vec<ReassignStep> {
        let tries = |step: &&ReassignStep| self.elections.get(step.partition()).copied().unwrap_or(0) < ELECTIONS_MAX;
        next.elections.iter().filter(tries).cloned().collect()
    }

    async fn elect(&mut self, context: &mut Context, elections: Vec<ReassignStep>) -> bool {
        let kafka = self.kafka;
        let ended = context.carry(&elections, async |batch: &[ReassignStep]| apply(kafka, batch).await).await;
        for (step, _) in &ended {
            *self.elections.entry(step.partition().clone()).or_default() += 1;
        }
        !ended.is_empty()
    }

    fn why_nothing_gets_on(&self, progress: &Progress, observed: &Observed, next: &Next) -> String {
        let at = self.begun.elapsed();
        let seen = (&self.moves[..], observed);
        let stalled = self.watched.stalled(at, seen, Duration::ZERO, self.fixed_rate());
        let mut words: Vec<_> = stalled
            .iter()
            .map(|(reason, partitions)| format!("{}: {}", count(partitions.len(), "move"), reason.words()))
            .collect();
        let mut held: BTreeMap<&String, Vec<&TopicPartition>> = BTreeMap::new();
        for (partition, why) in next.held.iter().chain(&self.refused) {
            held.entry(why).or_default().push(partition);
        }
        words.extend(held.into_iter().map(|(why, partitions)| format!("{}: {why}", names(&partitions))));
        format!(
            "nothing has got on for {} s, with {} running and {} not begun: {}",
            self.pacing.patience.as_secs(),
            progress.running,
            progress.waiting,
            words.join("; ")
        )
    }
}

/// Brokers that the moves come from and go to and that live.
pub(super) fn brokers_of(moves: &[PartitionMove], observed: &Observed) -> BTreeSet<BrokerId> {
    let named = moves.iter().flat_map(|one| one.from.iter().chain(&one.to)).copied();
    named.filter(|broker| observed.brokers.contains(broker)).collect()
}
