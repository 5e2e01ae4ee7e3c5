//! What the control law remembers from tick to tick.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::cluster::throttle::{Side, ThrottleRecord};
use crate::commands::throttle::plan::copied::Copied;
use crate::commands::throttle::plan::foreground::Foreground;
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::outlook::Mark;
use crate::commands::throttle::plan::pace::Held;
use crate::commands::throttle::plan::snapshot::{Load, Snapshot};

/// Longest time before the first tick for which the present copying is assumed.
const OVER_MAX: Duration = Duration::from_hours(1);

/// What the law remembers from tick to tick. Losing it makes the next tick more careful, and nothing else.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// When it was last asked.
    pub at: Option<Timestamp>,
    /// What of each broker's traffic is not the copying, and was not lately.
    pub foreground: BTreeMap<(BrokerId, Side), Foreground>,
    /// What was copied lately into and out of each broker.
    pub copied: BTreeMap<(BrokerId, Side), Copied>,
    /// How much of the headroom each broker gets, 0.1 to 1.
    pub health: BTreeMap<BrokerId, f64>,
    /// When that was last changed.
    pub health_at: Option<Timestamp>,
    /// The rates in force.
    pub held: BTreeMap<(BrokerId, Side), Held>,
    /// When each destination last made progress.
    pub marks: BTreeMap<BrokerId, Mark>,
    /// The time to the end, smoothed, in seconds.
    pub eta: Option<f64>,
    /// What was said already and still holds.
    pub said: BTreeSet<String>,
}

impl State {
    /// The state of one who takes over what another run set. The rates hold since that run changed them last: taking over
    /// is no change, and no reason to wait.
    pub fn adopting(record: &ThrottleRecord, now: Timestamp) -> Self {
        let mut state = Self::default();
        let since = record.changed_at.parse().unwrap_or(Timestamp::MIN).min(now);
        for (broker, sides) in &record.rates {
            for side in Side::BOTH {
                if let Some(rate) = sides.of(side).and_then(|own| own.set.or(own.setting)) {
                    state.held.insert((*broker, side), Held { rate, since, seen: now });
                }
            }
        }
        state
    }

    /// The state of the next tick, as far as it does not depend on what is decided: the time, and what was copied since.
    /// Who was never asked before takes what is copied now for what was copied all the time.
    #[must_use]
    pub fn at(&self, now: Timestamp, snapshot: &Snapshot) -> Self {
        let mut next = Self { at: Some(now), ..self.clone() };
        for (broker, load) in &snapshot.brokers {
            for side in Side::BOTH {
                let since = self.at.or_else(|| now.checked_sub(load.over.min(OVER_MAX)).ok()).unwrap_or(now);
                let copied = next.copied.entry((*broker, side)).or_default();
                copied.add((since.min(now), now), load.moving.of(side).to_f64());
            }
        }
        next.copied.retain(|_, copied| copied.forget(now));
        next
    }

    /// How much of a broker's measured load is the copying: the mean over the same time as the load itself.
    pub fn copying(&self, key: (BrokerId, Side), load: &Load) -> f64 {
        match load.at.filter(|_| !load.over.is_zero()) {
            Some(at) => self.copied.get(&key).map_or(0.0, |copied| copied.mean(at, load.over)),
            None => load.moving.of(key.1).to_f64(),
        }
    }

    /// What is left of it once nothing moves: rates that were in force until now, for a batch that follows at once.
    #[must_use]
    pub fn at_rest(self, limits: &Limits) -> Self {
        let now = self.at.unwrap_or(Timestamp::MIN);
        let mut held = self.held;
        held.retain(|_, held| held.is_recent(now, limits));
        Self { at: self.at, copied: self.copied, foreground: self.foreground, held, ..Self::default() }
    }
}
