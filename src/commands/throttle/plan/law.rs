//! The control law itself. Pure: the same time, settings, snapshot and state give the same throttles.
//!
//! Steps:
//! 1. What each end of each move needs at least: [`needs`].
//! 2. What each broker's network has left for copying: `health × (fill × capacity - foreground)`. The foreground is
//!    what goes over the network less the copying itself, as measured ([`State::copying`]): never less what we
//!    allowed, because a copy that is slow for another reason would make the rate creep up. What it was lately counts:
//!    `foreground`.
//! 3. Where the floor is above that: [`Policy`].
//! 4. What is left is shared out among the flows, and a broker's rate is the sum of its flows, with room for one of
//!    them to grow, plus what its followers in sync fetch.
//! 5. The rate that is written follows slowly upwards, at once downwards: [`pace`]. Where a deadline leaves time, what is
//!    enough for it is a floor, too.
//! 6. When it will be done, and what a person should know: [`outlook`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Overrides;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{Side, Throttles};
use crate::commands::throttle::plan::floor::{Need, needs};
use crate::commands::throttle::plan::flows::{Flow, share};
use crate::commands::throttle::plan::health::health;
use crate::commands::throttle::plan::limits::{Limits, Policy, TICK};
use crate::commands::throttle::plan::outlook;
use crate::commands::throttle::plan::pace::{Aim, Held, Reason, is_negligible, pace};
use crate::commands::throttle::plan::snapshot::{Load, Snapshot};

pub use crate::commands::throttle::plan::state::State;

/// A rate is so much more than its flows, so that one of them can grow; but never more than clients leave. A tenth would
/// do in one tick, and would cost a write at each flow that ends: see [`crate::commands::throttle::plan::pace`].
const SLACK: f64 = 1.5;

/// The same where a deadline says how much is enough.
const SLACK_IN_TIME: f64 = 1.1;

/// Clients that take no more than this part of what they leave do not count where it is asked whether they come and go.
const QUIET: f64 = 0.05;

/// A destination whose load nobody measured is taken for one with so much of its network.
const UNMEASURED: f64 = 0.5;

/// A load that is older than so many ticks ([`TICK`] at least: sources are scraped about as often) is not used, but the
/// rates are held …
const TICKS_FRESH: u32 = 2;

/// … and after so many they fall back to the floor.
const TICKS_HELD: u32 = 5;

/// A deadline is aimed at so many ticks before it.
const TICKS_EARLY: f64 = 5.0;

/// The least weight of a flow: the last bytes of a small one should not wait for a large one.
const WEIGHT_MIN: f64 = 1_048_576.0;

/// What should hold, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// Rates and lists; nothing where nothing moves.
    pub throttles: Throttles,
    /// How each rate came about, ordered by broker.
    pub rates: Vec<RateDecision>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// How long it will take; none where it does not end at this rate.
    pub eta_seconds: Option<f64>,
    /// What is still to be copied.
    pub remaining: Bytes,
}

/// How one rate came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateDecision {
    /// The broker.
    pub broker: BrokerId,
    /// Which side.
    pub side: Side,
    /// The rate.
    pub rate: ByteRate,
    /// Why.
    pub reason: Reason,
    /// The least rate with which the moves end.
    pub floor: ByteRate,
    /// The most that clients leave it; none where that is not known.
    pub ceiling: Option<ByteRate>,
    /// What clients, and followers in sync, take of its network.
    pub foreground: Option<ByteRate>,
    /// What its network can do.
    pub capacity: Option<ByteRate>,
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The event's kind.
    pub kind: &'static str,
    /// `broker:3`, or `cluster`.
    pub subject: String,
    /// The words.
    pub text: String,
    /// Whether it was not said before.
    pub is_new: bool,
}

/// How far a broker's measured load is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Fresh,
    Held,
    Unknown,
}

/// One side of one broker that takes part.
struct End {
    broker: BrokerId,
    side: Side,
    need: Need,
    trust: Trust,
    capacity: Option<f64>,
    /// What clients take now; none where nobody measured it.
    clients: Option<f64>,
    /// What of it, and of what they took lately, counts.
    foreground: f64,
    /// What copying may take.
    budget: f64,
    /// The same with the network filled as far as it may ever be.
    top: f64,
    held: Option<Held>,
}

/// Decides which throttles should hold.
pub fn plan(
    now: Timestamp,
    limits: &Limits,
    snapshot: &Snapshot,
    overrides: &Overrides,
    state: &State,
) -> (Decision, State) {
    let needs = needs(snapshot, limits);
    let mut next = state.at(now, snapshot);
    if needs.is_empty() {
        return (Decision { throttles: lists(snapshot), ..Decision::default() }, next.at_rest(limits));
    }
    (next.health, next.health_at) = health(snapshot, state, now);
    let mut ends: Vec<End> = needs
        .iter()
        .map(|(key, need)| end(now, limits, (*key, *need), snapshot.brokers.get(&key.0), (state, &next)))
        .collect();
    for end in &mut ends {
        end.see_clients(now, limits, &mut next);
    }
    next.foreground.retain(|_, foreground| !foreground.is_over(now));
    let mut notes = Notes { said: &state.said, notes: Vec::new() };
    for end in &mut ends {
        end.meet_floor(limits, &mut notes);
    }
    let rates = allocate(now, limits, snapshot, &mut ends);
    let mut stalled =
        outlook::stalled(now, snapshot, &ends.iter().map(End::as_outlook).collect::<Vec<_>>(), &mut next.marks);
    // Below what is written it can't get on: that is another note.
    stalled.retain(|broker| ends.iter().any(|end| end.broker == *broker && end.could_get_on()));
    let mut decided = Vec::with_capacity(ends.len());
    for (end, copying) in ends.iter().zip(&rates.copying) {
        let given = overrides.rate(end.broker);
        let is_stalled = stalled.contains(&end.broker);
        let demand = Demand { copying: *copying, is_gentle: rates.is_gentle, is_stalled, given };
        let rate = end.decide(now, limits, demand, &mut notes);
        let since = end.held.filter(|held| held.rate == rate.rate).map_or(now, |held| held.since);
        next.held.insert(end.key(), Held { rate: rate.rate, since, seen: now });
        decided.push(rate);
    }
    next.held.retain(|_, held| held.is_recent(now, limits));
    let finished: Vec<_> = ends.iter().zip(&decided).map(|(end, rate)| (end.as_outlook(), rate.rate)).collect();
    let eta = outlook::eta(now, state, &finished);
    next.eta = eta;
    notes.say_unwell(snapshot);
    notes.say_outlook(limits, (rates.is_late, eta), &stalled);
    let Notes { notes, .. } = notes;
    next.said = notes.iter().map(|note: &Note| format!("{} {}", note.kind, note.subject)).collect();
    let remaining = snapshot.moving.iter().flat_map(|moving| &moving.adding).map(|(_, bytes)| bytes.0).sum();
    let decision = Decision {
        throttles: throttles(snapshot, &decided),
        rates: decided,
        notes,
        eta_seconds: eta,
        remaining: Bytes(remaining),
    };
    (decision, next)
}

/// The lists of what moves, and nothing else.
fn lists(snapshot: &Snapshot) -> Throttles {
    let mut throttles = Throttles::default();
    for moving in &snapshot.moving {
        let adding: Vec<_> = moving.adding.iter().map(|(broker, _)| *broker).collect();
        throttles.count(&moving.partition, &moving.sources, &adding);
    }
    throttles
}

fn throttles(snapshot: &Snapshot, decided: &[RateDecision]) -> Throttles {
    let mut throttles = lists(snapshot);
    for rate in decided {
        *throttles.rates.entry(rate.broker).or_default().of_mut(rate.side) = Some(rate.rate);
    }
    throttles
}

/// One end as it stands before anything is shared out.
fn end(
    now: Timestamp,
    limits: &Limits,
    ((broker, side), need): ((BrokerId, Side), Need),
    load: Option<&Load>,
    (state, next): (&State, &State),
) -> End {
    let held = state.held.get(&(broker, side)).copied();
    let capacity = load.and_then(|load| load.capacity).map(|capacity| capacity.of(side).to_f64());
    let used = load.and_then(|load| load.used).map(|used| used.of(side).to_f64());
    let ticks = load
        .and_then(|load| load.at)
        .map(|at| now.duration_since(at).as_secs_f64().max(0.0) / limits.tick.max(TICK).as_secs_f64());
    let trust = match (capacity, used, ticks) {
        (Some(_), Some(_), Some(ticks)) if ticks <= f64::from(TICKS_FRESH) => Trust::Fresh,
        (Some(_), Some(_), Some(ticks)) if ticks <= f64::from(TICKS_HELD) => Trust::Held,
        // A new broker may not be measured yet; one that others read from is.
        (Some(_), None, _) if side == Side::Follower => Trust::Fresh,
        _ => Trust::Unknown,
    };
    let moving = load.map_or(0.0, |load| next.copying((broker, side), load));
    let clients = used.map(|used| (used - moving).max(0.0));
    End { broker, side, need, trust, capacity, clients, foreground: 0.0, budget: 0.0, top: 0.0, held }
}

/// What the flows came to, by end, and whether the deadline is too near.
struct Allocated {
    copying: Vec<f64>,
    is_late: bool,
    /// There is a deadline, and what the flows got is enough for it.
    is_gentle: bool,
}

/// What one end is to have.
struct Demand {
    /// The flows that begin or end there.
    copying: f64,
    is_gentle: bool,
    is_stalled: bool,
    /// What a person gave.
    given: Option<ByteRate>,
}

/// Shares out what the brokers have left. A deadline makes it as gentle as it may be; one that is too near makes it as
/// fast as it can be.
fn allocate(now: Timestamp, limits: &Limits, snapshot: &Snapshot, ends: &mut [End]) -> Allocated {
    let index: BTreeMap<_, _> = ends.iter().enumerate().map(|(at, end)| (end.key(), at)).collect();
    let seconds_left = limits.deadline.map(|deadline| {
        let left = deadline.duration_since(now).as_secs_f64();
        // Some ticks before it: who aims at the last second is late by the time that it takes to notice.
        (left - limits.tick.as_secs_f64() * TICKS_EARLY).max(left / 2.0)
    });
    let mut flows = Vec::new();
    for moving in &snapshot.moving {
        let Some(leader) = moving.leader else { continue };
        for (broker, remaining) in &moving.adding {
            let remaining = remaining.to_f64();
            let in_time = |seconds: f64| {
                if seconds > 0.0 { remaining / seconds + moving.writes.to_f64() } else { f64::INFINITY }
            };
            let wants = seconds_left.map_or(f64::INFINITY, in_time);
            let (from, to) = (index[&(leader, Side::Leader)], index[&(*broker, Side::Follower)]);
            flows.push(Flow { from, to, weight: remaining.max(WEIGHT_MIN), wants });
        }
    }
    let budgets = |ends: &[End]| ends.iter().map(|end| end.budget).collect::<Vec<_>>();
    let mut rates = share(&flows, &budgets(ends));
    let is_late = limits.deadline.is_some() && flows.iter().zip(&rates).any(|(flow, rate)| *rate < flow.wants * 0.999);
    if is_late {
        for end in ends.iter_mut().filter(|end| end.trust == Trust::Fresh) {
            end.budget = end.budget.max(end.top);
        }
        for flow in &mut flows {
            flow.wants = f64::INFINITY;
        }
        rates = share(&flows, &budgets(ends));
    }
    let mut copying = vec![0.0; ends.len()];
    for (flow, rate) in flows.iter().zip(&rates) {
        copying[flow.from] += rate;
        copying[flow.to] += rate;
    }
    Allocated { copying, is_late, is_gentle: limits.deadline.is_some() && !is_late }
}

impl End {
    fn key(&self) -> (BrokerId, Side) {
        (self.broker, self.side)
    }

    /// Adds what clients take to what is remembered of them, and decides what that leaves to copying.
    fn see_clients(&mut self, now: Timestamp, limits: &Limits, next: &mut State) {
        let known = self.capacity.unwrap_or(0.0);
        let network = match self.clients {
            Some(clients) if self.trust == Trust::Fresh => {
                let foreground = next.foreground.entry(self.key()).or_default();
                foreground.see(now, (clients, limits.fill * known), limits);
                self.foreground = foreground.counts(now, limits);
                known
            }
            Some(_) => known,
            None => known * UNMEASURED,
        };
        let least = self.need.floor - self.need.in_sync;
        (self.budget, self.top) = match self.trust {
            Trust::Fresh => {
                let health = next.health.get(&self.broker).copied().unwrap_or(1.0);
                let left = |fill: f64| (fill * network - self.foreground).max(0.0);
                (health * left(limits.fill), left(limits.fill_max))
            }
            Trust::Held => {
                let held = self.held.map_or(least, |held| (held.rate.to_f64() - self.need.in_sync).max(least));
                (held, held)
            }
            Trust::Unknown => (least, least),
        };
    }

    /// Whether it receives, and may receive more than is written.
    fn could_get_on(&self) -> bool {
        let held = self.held.map_or(0.0, |held| held.rate.to_f64());
        self.side == Side::Follower && held > self.need.writes + self.need.in_sync
    }

    fn as_outlook(&self) -> outlook::End {
        outlook::End { broker: self.broker, side: self.side, need: self.need }
    }

    /// Where the floor is above what clients leave: what the policy says.
    fn meet_floor(&mut self, limits: &Limits, notes: &mut Notes<'_>) {
        let least = self.need.floor - self.need.in_sync;
        if self.trust != Trust::Fresh || least <= self.budget {
            return;
        }
        let floor = ByteRate::of_f64(self.need.floor);
        let ceiling = ByteRate::of_f64(self.budget + self.need.in_sync);
        let Self { broker, side, .. } = self;
        let words =
            format!("the moves of broker {broker} need a {side} rate of {floor}, and clients leave it {ceiling}");
        let what = match (limits.policy, least <= self.top) {
            (Policy::Progress, true) => "it gets what it needs",
            (Policy::Progress, false) => {
                "it gets all that there is, and they will not end: cancel some of them, the busiest first, or have \
                 producers write less"
            }
            (Policy::Protect, _) => "it keeps to that, and they will not end: cancel some of them, the busiest first",
        };
        notes.add("throttle.floor_conflict", format!("broker:{broker}"), format!("{words}: {what}"));
        if limits.policy == Policy::Progress {
            self.budget = least.min(self.top).max(self.budget);
        }
    }

    /// The rate of this end.
    fn decide(
        &self,
        now: Timestamp,
        limits: &Limits,
        Demand { copying, is_gentle, is_stalled, given }: Demand,
        notes: &mut Notes<'_>,
    ) -> RateDecision {
        let Self { broker, side, need, .. } = self;
        let ceiling = self.budget + need.in_sync;
        let enough = if is_gentle { copying + need.in_sync } else { 0.0 };
        let reachable = need.floor.max(enough).min(ceiling);
        let slack = if is_gentle { SLACK_IN_TIME } else { SLACK };
        let mut target = ((copying * slack).min(self.budget) + need.in_sync).max(reachable);
        if let Some(held) = self.held.filter(|_| is_stalled) {
            // The cause is elsewhere: more would help nobody, and hurt once the cause is gone.
            target = target.min(held.rate.to_f64()).max(reachable);
        }
        let is_quiet = self.foreground <= self.budget * QUIET;
        let aim = Aim { target, floor: reachable, ceiling, is_quiet };
        let (rate, reason) = match (given, self.trust) {
            (Some(given), _) => (given, Reason::Override),
            (None, Trust::Fresh) => pace(now, limits, self.held, aim),
            (None, Trust::Held) => {
                let held = self.held.map_or(need.floor, |held| held.rate.to_f64().max(need.floor));
                (ByteRate::of_f64(held), Reason::HeldStale)
            }
            (None, Trust::Unknown) => {
                let known = self.held.map(|held| held.rate).filter(|rate| {
                    // The floor moves with the writes: not every movement is worth a write.
                    (need.floor..=need.floor * (1.0 + limits.hysteresis)).contains(&rate.to_f64())
                });
                (known.unwrap_or(ByteRate::of_f64(need.floor)), Reason::Unknown)
            }
        };
        let (rate, reason) = self.worth_a_write(limits, (rate, reason));
        self.note(rate, reason, notes);
        let is_fresh = self.trust == Trust::Fresh;
        RateDecision {
            broker: *broker,
            side: *side,
            rate,
            reason,
            floor: ByteRate::of_f64(need.floor),
            ceiling: is_fresh.then(|| ByteRate::of_f64(ceiling)),
            foreground: is_fresh.then(|| ByteRate::of_f64(self.foreground)),
            capacity: self.capacity.map(ByteRate::of_f64),
        }
    }

    /// The rate that holds, where another one differs so little that it is not written; and never less than the least one,
    /// whatever the policy: with 0 nothing would ever be copied. What a person gave is written as it is.
    fn worth_a_write(&self, limits: &Limits, (rate, reason): (ByteRate, Reason)) -> (ByteRate, Reason) {
        if reason == Reason::Override {
            return (rate, reason);
        }
        let rate = rate.max(limits.rate_min).max(ByteRate(1));
        let is_decided = matches!(reason, Reason::Raised | Reason::Lowered | Reason::Floor);
        match self.held.filter(|held| is_negligible(held.rate, rate)) {
            Some(held) => (held.rate, if is_decided { Reason::Held } else { reason }),
            None => (rate, reason),
        }
    }

    fn note(&self, rate: ByteRate, reason: Reason, notes: &mut Notes<'_>) {
        let Self { broker, side, need, .. } = self;
        let subject = || format!("broker:{broker}");
        let floor = ByteRate::of_f64(need.writes + need.in_sync);
        match reason {
            Reason::Override if rate <= floor => notes.add(
                "throttle.floor_conflict",
                subject(),
                format!(
                    "the {side} rate {rate} that was given for broker {broker} is not above {floor}, what producers \
                     write: its moves will never end"
                ),
            ),
            Reason::Unknown if self.capacity.is_none() => notes.add(
                "throttle.metrics_stale",
                subject(),
                format!("nobody knows what the network of broker {broker} can do: it gets the least; give --capacity"),
            ),
            Reason::Unknown => notes.add(
                "throttle.metrics_stale",
                subject(),
                format!("nobody has measured the load of broker {broker} lately: it gets the least"),
            ),
            _ => {}
        }
    }
}

/// What a person should know, each once.
struct Notes<'a> {
    said: &'a BTreeSet<String>,
    notes: Vec<Note>,
}

impl Notes<'_> {
    fn add(&mut self, kind: &'static str, subject: String, text: String) {
        let is_new = !self.said.contains(&format!("{kind} {subject}"));
        self.notes.push(Note { kind, subject, text, is_new });
    }

    fn say_unwell(&mut self, snapshot: &Snapshot) {
        let ends = snapshot.moving.iter().flat_map(|one| one.leader.iter().chain(one.adding.iter().map(|(to, _)| to)));
        for broker in ends.collect::<BTreeSet<_>>() {
            let Some(why) = snapshot.brokers.get(broker).and_then(|load| load.unwell.as_ref()) else { continue };
            let text = format!("broker {broker} is not well: {why}; what it copies gets less until it is");
            self.add("throttle.broker_unwell", format!("broker:{broker}"), text);
        }
    }

    fn say_outlook(&mut self, limits: &Limits, (is_late, eta): (bool, Option<f64>), stalled: &BTreeSet<BrokerId>) {
        if let Some(deadline) = limits.deadline.filter(|_| is_late) {
            let when = eta.map_or("never at this rate".to_owned(), |eta| format!("in {}", outlook::words(eta)));
            let text = format!("the moves will not be done by {deadline}; they are expected to be done {when}");
            self.add("throttle.deadline_at_risk", "cluster".to_owned(), text);
        }
        for broker in stalled {
            let text = format!(
                "broker {broker} has copied nothing for {} min although its throttle lets it: look for a full disk, a \
                 dead broker, or a move that Kafka does not end; a higher rate will not help",
                outlook::STALLED_AFTER.as_secs() / 60
            );
            self.add("reassign.stalled", format!("broker:{broker}"), text);
        }
    }
}
