//! The throttles of an execution: one rate for all, or what the control law says, from the first byte to the last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::change::event::Severity;
use crate::change::throttle::decide::Ways;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::readings::{BROKERS, Readings};
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::{Side, Throttles};
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::agent::{Agent, CONTROL_EVERY, TICK_MIN, Throttling};
use crate::commands::reassign::plan::auto;
use crate::commands::reassign::plan::next::Next;
use crate::commands::reassign::plan::seen::{Observed, State};
use crate::commands::reassign::plan::step::ReassignStep;
use crate::commands::reassign::plan::unthrottled::Unthrottled;
use crate::commands::throttle::plan::floor::below_floor;
use crate::commands::throttle::plan::law;
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::look::Known;
use crate::commands::throttle::plan::snapshot::Snapshot;
use crate::context::Context;

/// How often throttles are tried to be taken away at the end.
const RELEASES_MAX: usize = 5;

/// How long moves whose throttle could not be set wait before it is tried again.
const THROTTLED_AGAIN: Duration = Duration::from_secs(30);

impl Agent<'_> {
    /// Brings the throttles to what runs and is about to run; says what is not throttled as it should be.
    async fn throttle(&mut self, context: &mut Context, observed: &Observed, begun: &[ReassignStep]) -> Unthrottled {
        if self.throttles.is_none() || self.pacing.throttle.is_off() {
            return Unthrottled::default();
        }
        let begun: BTreeSet<_> =
            begun.iter().map(ReassignStep::partition).chain(self.memory.unsettled()).cloned().collect();
        let desired = self.desired(context, observed, &begun).await;
        let is_in_force =
            self.in_force.as_ref().is_some_and(|(since, last)| *last == desired && since.elapsed() < self.pacing.tick);
        let Some(throttles) = self.throttles.as_mut().filter(|_| !is_in_force) else { return Unthrottled::default() };
        // A broker that dies at this moment is no reason to end: its moves are not begun, and the next tick tries again.
        let (unthrottled, is_as_desired) =
            match context.throttle(throttles, self.kafka, &desired, Ways::default()).await {
                Ok(brought) => {
                    let unthrottled = Unthrottled::after(&desired, &observed.brokers, &brought.seen, &brought.ended);
                    let is_as_desired = unthrottled.is_empty() && brought.shortfall().is_none();
                    (unthrottled, is_as_desired)
                }
                Err(error) => (Unthrottled { all: Some(format!("{error:#}")), ..Unthrottled::default() }, false),
            };
        self.in_force = is_as_desired.then(|| (Instant::now(), desired));
        unthrottled
    }

    /// Moves that could not be throttled a moment ago, and why. They are left alone for a while: a broker that does not
    /// answer costs each try its timeout, and each try sets lists that are taken back.
    pub(super) fn held_unthrottled(&self, observed: &Observed) -> BTreeMap<TopicPartition, String> {
        let recent = self.unthrottled.as_ref().filter(|former| is_left_alone(former));
        recent.map(|(_, unthrottled)| unthrottled.held(&self.terms.moves, observed)).unwrap_or_default()
    }

    /// Takes out of what is next the moves whose throttle does not hold, and says why. Others take their places at the
    /// next tick.
    pub(super) async fn hold_unthrottled(&mut self, context: &mut Context, observed: &Observed, next: &mut Next) {
        let unthrottled = self.throttle(context, observed, &next.moves).await;
        let held = unthrottled.held(&self.terms.moves, observed);
        next.moves.retain(|step| !held.contains_key(step.partition()));
        next.held.extend(held);
        let former = self.unthrottled.take();
        let is_said = |why: &String| former.iter().any(|(_, former)| former.reasons().any(|said| said == why));
        for why in unthrottled.reasons().filter(|why| !is_said(why)) {
            self.line.say(&format!("! no move is begun without its throttle, and it is tried again: {why}"));
        }
        // Within the pause nobody asked for the former ones: they stay as they were.
        let former = former.filter(is_left_alone);
        self.unthrottled = match (former, unthrottled.is_empty()) {
            (former, true) => former,
            (None, false) => Some((Instant::now(), unthrottled)),
            (Some((_, former)), false) => Some((Instant::now(), former.and(unthrottled))),
        };
    }

    /// The throttles that should hold while these are begun: one rate for all, or what the control law says.
    async fn desired(
        &mut self,
        context: &mut Context,
        observed: &Observed,
        begun: &BTreeSet<TopicPartition>,
    ) -> Throttles {
        let now = context.now();
        let given = self.control.rates(CONTROL_EVERY, now).await;
        let (readings, known) = self.headroom(observed, now).await;
        let growth = self.former_sizes.as_ref().zip(self.sizes.as_ref()).map(|(former, latest)| auto::Growth {
            before: &former.sizes,
            after: &latest.sizes,
            over: latest.at.saturating_duration_since(former.at),
            done: &former.done,
        });
        let told = auto::snapshot((&self.terms.moves, observed), begun, growth, (&readings, &known, now));
        if let Some(rate) = self.fixed_rate() {
            self.say_floor(context, &told, rate).await;
            let is_copied =
                |one: &&PartitionMove| begun.contains(&one.partition) || observed.state(one) == State::Running;
            let moves: Vec<_> =
                self.terms.moves.iter().filter(is_copied).map(|one| (one, observed.arriving(one))).collect();
            let moves = moves.iter().map(|(one, adding)| (&one.partition, &one.from[..], &adding[..]));
            let mut desired = Throttles::of_moves(moves, rate);
            for (broker, sides) in &mut desired.rates {
                for side in Side::BOTH {
                    let own = sides.of_mut(side);
                    *own = own.map(|rate| given.rate(*broker).unwrap_or(rate));
                }
            }
            return desired;
        }
        let limits = Limits::default().at_every(self.pacing.tick).for_source(readings.source);
        let (decision, state) = law::plan(now, &limits, &told, &given, &self.law);
        self.law = state;
        for note in decision.notes.iter().filter(|note| note.is_new) {
            self.line.say(&format!("! {}", note.text));
            context.record_finding(note.kind, &note.subject, &note.text, Severity::Warning).await;
        }
        decision.throttles
    }

    /// The load and the networks, as far as somebody knows them.
    async fn headroom(&mut self, observed: &Observed, now: Timestamp) -> (Readings, Known) {
        let Throttling::Auto(headroom) = &mut self.pacing.throttle else {
            return (Readings { source: BROKERS, ..Readings::default() }, Known::default());
        };
        let (readings, wrong) = headroom.read((&observed.brokers, now), self.pacing.tick).await;
        let known = headroom.known.clone().with_types(&readings, &headroom.by_type);
        for why in wrong {
            self.line.say(&format!("! {why}"));
        }
        (readings, known)
    }

    pub(super) fn fixed_rate(&self) -> Option<ByteRate> {
        match self.pacing.throttle {
            Throttling::Fixed(rate) => Some(rate),
            Throttling::Off | Throttling::ByAgent | Throttling::Auto(_) => None,
        }
    }

    /// Says where producers write faster than the rate lets through: such a move never ends.
    async fn say_floor(&mut self, context: &mut Context, told: &Snapshot, rate: ByteRate) {
        for (broker, side, least) in below_floor(told, rate) {
            if !self.below_floor.insert((broker, side)) {
                continue;
            }
            let text = format!(
                "the throttle of {rate} is below {least}, which broker {broker} needs on its {side} side while producers \
                 write as now: its moves will not end; run again with a higher --throttle, or `auto`"
            );
            self.line.say(&format!("! {text}"));
            let subject = format!("broker:{broker}");
            context.record_finding("throttle.floor_conflict", &subject, &text, Severity::Error).await;
        }
    }

    /// Takes the throttles away. A broker that is down keeps its own until it is back; the record remembers it. Whether none
    /// of ours is left that could be taken away.
    pub(super) async fn release(&mut self, context: &mut Context) -> bool {
        let Some(throttles) = &mut self.throttles else { return true };
        let mut failure = None;
        for attempt in 1..=RELEASES_MAX {
            failure = match context.throttle(throttles, self.kafka, &Throttles::default(), Ways::default()).await {
                Ok(brought) if brought.shortfall().is_none() => {
                    for warning in brought.warnings {
                        self.line.say(&format!("! {}", warning.text));
                    }
                    return true;
                }
                Ok(brought) => brought.shortfall(),
                Err(error) => Some(format!("{error:#}")),
            };
            sleep(TICK_MIN * u32::try_from(attempt).unwrap_or(1)).await;
        }
        let why = failure.unwrap_or_default();
        self.line.say(&format!("! throttles of this run are left ({why}): `toolbox throttle clear` takes them away"));
        false
    }
}

/// Whether that is not tried again yet. Where nothing at all could be throttled nothing was written: the next tick tries.
fn is_left_alone((since, unthrottled): &(Instant, Unthrottled)) -> bool {
    unthrottled.all.is_none() && since.elapsed() < THROTTLED_AGAIN
}
