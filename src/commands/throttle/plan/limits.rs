//! The settings of the control law.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::readings::BROKERS;
use crate::cluster::size::ByteRate;

/// What to do where the brokers' headroom is less than what a move needs to end at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Let the move end: take what it needs, up to 95 % of the network
    #[default]
    Progress,
    /// Protect the clients: keep to the headroom, even if the move does not end, and say which moves to cancel
    Protect,
}

/// The settings of the control law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Part of a broker's network that clients and copying may take together.
    pub fill: f64,
    /// The same where a floor or a deadline asks for more.
    pub fill_max: f64,
    /// What to do where the headroom is less than the floor.
    pub policy: Policy,
    /// A rise of a rate by a smaller part than this is not written.
    pub hysteresis: f64,
    /// The time between two ticks.
    pub tick: Duration,
    /// A rate that was changed is not raised again for so long, and a load that ended counts for so long at least.
    pub hold: Duration,
    /// The least rate, and what holds where the load is not known.
    pub rate_min: ByteRate,
    /// The longest that a move should take, which raises the floor.
    pub duration_max: Option<Duration>,
    /// When all moves should be done; without it they are as fast as the headroom allows.
    pub deadline: Option<Timestamp>,
}

/// The time between two ticks, where nothing else is said.
pub const TICK: Duration = Duration::from_secs(30);

/// A rate is raised so often at most: Kafka's quotas average over 11 s, and the next look shows what it did.
const HOLD: Duration = Duration::from_secs(30);

/// The same in ticks, where they are short.
const HOLD_TICKS: u32 = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            fill: 0.80,
            fill_max: 0.95,
            policy: Policy::Progress,
            hysteresis: 0.3,
            tick: TICK,
            hold: HOLD,
            rate_min: ByteRate(1 << 20),
            duration_max: None,
            deadline: None,
        }
    }
}

/// A load that was estimated from replicas does not show consumers: less of the network is filled.
const FILL_ESTIMATED: (f64, f64) = (0.6, 0.75);

impl Limits {
    /// The settings for an agent that looks so often: `throttle run` and `reassign execute` have the same pace.
    #[must_use]
    pub fn at_every(self, tick: Duration) -> Self {
        Self { tick, hold: HOLD.min(tick * HOLD_TICKS), ..self }
    }

    /// The settings for a load that was measured so: where it is estimated, less of the network is filled.
    #[must_use]
    pub fn for_source(self, source: &str) -> Self {
        if source != BROKERS {
            return self;
        }
        Self { fill: self.fill.min(FILL_ESTIMATED.0), fill_max: self.fill_max.min(FILL_ESTIMATED.1), ..self }
    }
}
