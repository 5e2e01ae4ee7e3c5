//! Flags about the control law.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::cluster::size::ByteRate;
use crate::commands::throttle::plan::limits::{Limits, Policy};
use crate::commands::throttle::plan::look::Known;
use crate::commands::throttle::spec::{GivenCapacity, percent, rate_above_zero};
use crate::context::{Context, duration};
use crate::exit::Stop;

/// Flags about the control law.
#[derive(Debug, Clone, Args)]
pub(super) struct LawArgs {
    /// What the brokers' networks can do each way: `125MB/s` for all, `1001=1.2GB/s` for one; goes before toolbox.yaml
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_CAPACITY",
        value_name = "[BROKER=]RATE",
        value_delimiter = ',',
        help_heading = "Pacing"
    )]
    capacity: Vec<GivenCapacity>,

    /// Part of a network that clients and copying may take together; at most 60% where only replicas show the load
    #[arg(long, env = "TOOLBOX_THROTTLE_FILL", value_name = "PERCENT", default_value = "80%", value_parser = percent, help_heading = "Pacing")]
    fill: f64,

    /// The same where a move needs more to end at all, or a deadline is near
    #[arg(long, env = "TOOLBOX_THROTTLE_FILL_MAX", value_name = "PERCENT", default_value = "95%", value_parser = percent, help_heading = "Pacing")]
    fill_max: f64,

    /// What to do where clients leave less than a move needs to end
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_POLICY",
        value_name = "POLICY",
        default_value = "progress",
        help_heading = "Pacing"
    )]
    policy: Policy,

    /// The least rate, and what holds where nobody knows the load
    #[arg(long, env = "TOOLBOX_THROTTLE_MIN_RATE", value_name = "RATE", default_value = "1MiB/s", value_parser = rate_above_zero, help_heading = "Pacing")]
    min_rate: ByteRate,

    /// When all should be done, as `2026-11-23T06:00:00Z`: no faster than that needs
    #[arg(long, env = "TOOLBOX_THROTTLE_DEADLINE", value_name = "TIME", help_heading = "Pacing")]
    deadline: Option<Timestamp>,

    /// The longest that a move should take, as `12h`: raises the least rate
    #[arg(long, env = "TOOLBOX_THROTTLE_MAX_DURATION", value_name = "DURATION", value_parser = duration, help_heading = "Pacing")]
    max_duration: Option<Duration>,

    /// How often to look and decide
    #[arg(long, env = "TOOLBOX_THROTTLE_INTERVAL", value_name = "DURATION", default_value = "30s", value_parser = duration, help_heading = "Pacing")]
    interval: Duration,

    /// Pace replicas that catch up after their broker was away, too
    #[arg(long, env = "TOOLBOX_THROTTLE_RECOVERY", help_heading = "Pacing")]
    recovery: bool,
}

impl LawArgs {
    /// The settings of the law.
    pub(super) fn limits(&self) -> Result<Limits, Stop> {
        if self.fill > self.fill_max {
            return Err(Stop::usage("--fill is above --fill-max: the first is the usual one, the second the utmost"));
        }
        if self.interval < Duration::from_secs(1) {
            return Err(Stop::usage("--interval is below 1s: Kafka's quotas average over 11 s"));
        }
        Ok(Limits {
            fill: self.fill,
            fill_max: self.fill_max,
            policy: self.policy,
            rate_min: self.min_rate,
            duration_max: self.max_duration,
            deadline: self.deadline,
            ..Limits::default().at_every(self.interval)
        })
    }

    /// What is known of the networks: by flag, else by toolbox.yaml.
    pub(super) fn known(&self, context: &Context) -> Known {
        Known { recovers: self.recovery, ..Known::of(context.maps.capacities(), &self.capacity) }
    }
}
