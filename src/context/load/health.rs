//! Signals that a broker is not well, from the system that measures the load: request handlers that are hardly idle, produce
//! requests that take long. An automatic throttle gives such a broker, and those that it copies from or to, less.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::clients::metrics::Metrics;
use crate::cluster::broker::BrokerId;
use crate::context::duration;
use crate::context::load::Usable;

/// A signal that is older than this says nothing about now.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Flags about how well brokers are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthArgs {
    /// Query for the part of the time in which each broker's request handlers are idle, 0 to 1 as Kafka's
    /// RequestHandlerAvgIdlePercent has it
    #[arg(long, env = "TOOLBOX_THROTTLE_IDLE_QUERY", value_name = "QUERY")]
    idle_query: Option<String>,

    /// A broker whose request handlers are idle for a smaller part than this gets half of its headroom, and half of that
    /// ten seconds later or at the next look, until they are idle again
    #[arg(long, env = "TOOLBOX_THROTTLE_IDLE_MIN", value_name = "PART", default_value_t = 0.3, value_parser = part)]
    idle_min: f64,

    /// Query for the milliseconds in which each broker answers 99 of 100 produce requests
    #[arg(long, env = "TOOLBOX_THROTTLE_LATENCY_QUERY", value_name = "QUERY", requires = "latency_max")]
    latency_query: Option<String>,

    /// A broker that takes longer than this gets less in the same way, as `100ms`
    #[arg(long, env = "TOOLBOX_THROTTLE_LATENCY_MAX", value_name = "DURATION", value_parser = duration)]
    latency_max: Option<Duration>,
}

fn part(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a part of the time: 0.3 is, of 0 to 1");
    let number: f64 = text.trim().parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(wrong()) }
}

/// One signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// What to ask.
    pub query: String,
    /// Which values are well.
    pub bound: Bound,
}

/// Which values of a signal are well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The idle part of the request handlers' time is this at least.
    Idle(f64),
    /// 99 of 100 produce requests take so many milliseconds at most.
    Latency(f64),
}

impl HealthArgs {
    /// The signals that were asked for.
    pub(super) fn signals(&self) -> Vec<Signal> {
        let idle = self.idle_query.clone().map(|query| Signal { query, bound: Bound::Idle(self.idle_min) });
        let latency = self.latency_query.clone().zip(self.latency_max);
        let latency =
            latency.map(|(query, most)| Signal { query, bound: Bound::Latency(most.as_secs_f64() * 1_000.0) });
        idle.into_iter().chain(latency).collect()
    }
}

impl Bound {
    /// What a value says against a broker.
    fn trouble(self, value: f64) -> Option<String> {
        match self {
            Self::Idle(least) => (value < least).then(|| {
                let (part, least) = (value * 100.0, least * 100.0);
                format!("its request handlers are idle for {part:.0}% of the time, less than {least:.0}%")
            }),
            Self::Latency(most) => (value > most)
                .then(|| format!("99 of 100 produce requests to it take up to {value:.0} ms, more than {most:.0} ms")),
        }
    }
}

/// Brokers that are not well, each with why, and what was wrong with the questions.
pub(super) async fn unwell(
    metrics: &dyn Metrics,
    signals: &[Signal],
    (broker_label, brokers, now): (&str, &BTreeSet<BrokerId>, Timestamp),
) -> (BTreeMap<BrokerId, String>, Vec<String>) {
    let (mut unwell, mut wrong) = (BTreeMap::new(), Vec::new());
    for Signal { query, bound } in signals {
        let samples = match metrics.query(query, now).await {
            Ok(samples) => samples,
            Err(error) => {
                wrong.push(format!("how well brokers are is not told by {}: {error}", metrics.name()));
                continue;
            }
        };
        let usable = Usable::of(&samples, broker_label, brokers);
        wrong.extend(usable.trouble(metrics.name(), query, broker_label));
        if usable.samples.is_empty() {
            let name = metrics.name();
            wrong.push(format!(
                "{name} has no value of a broker of this cluster in its answer to `{query}`; look at --broker-id-tag"
            ));
        }
        let fresh = usable.samples.iter().filter(|(_, sample, _)| now.duration_since(sample.at) <= AGE_MAX);
        for (broker, why) in fresh.filter_map(|(broker, _, amount)| Some((*broker, bound.trouble(*amount)?))) {
            unwell.entry(broker).or_insert(why);
        }
    }
    (unwell, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_time_is_between_none_and_all() {
        assert_eq!(part("0.3"), Ok(0.3));
        for wrong in ["30%", "30", "-0.1", "1.1", "NaN", ""] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_beyond_its_bound_is_said_in_words() {
        assert_eq!(Bound::Idle(0.3).trouble(0.3), None);
        let words = "its request handlers are idle for 12% of the time, less than 30%";
        assert_eq!(Bound::Idle(0.3).trouble(0.12).as_deref(), Some(words));
        assert_eq!(Bound::Latency(100.0).trouble(100.0), None);
        let words = "99 of 100 produce requests to it take up to 240 ms, more than 100 ms";
        assert_eq!(Bound::Latency(100.0).trouble(240.0).as_deref(), Some(words));
    }
}
