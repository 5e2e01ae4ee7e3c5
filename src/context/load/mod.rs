//! Who measures the brokers' load: a ranked list of sources, the next one where one has no answer.

mod flags;
mod health;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clients::metrics::{Metrics, MetricsError, Sample};
use crate::cluster::broker::BrokerId;
use crate::cluster::readings::{BROKERS, Readings, STATIC};
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Sides;

pub use flags::LoadArgs;
pub use health::{Bound, Signal};

/// One source of the brokers' load.
#[derive(Clone)]
pub enum Source {
    /// A system that measures their networks.
    Measured(Queries),
    /// The growth of their replicas: what consumers read is not in it.
    Brokers,
    /// What a person said.
    Static(Sides<ByteRate>),
}

/// What to ask a system that measures.
#[derive(Clone)]
pub struct Queries {
    /// The system.
    pub metrics: Arc<dyn Metrics>,
    /// Bytes a second that a broker sends.
    pub sends: String,
    /// Bytes a second that it receives.
    pub receives: String,
    /// Over how long a time the answers are means, as far as the queries say it.
    pub over: Duration,
    /// The label that holds its id.
    pub broker_label: String,
    /// The label that holds its instance type.
    pub type_label: String,
    /// How to know that a broker is not well.
    pub signals: Vec<Signal>,
}

impl Source {
    /// As a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Measured(queries) => queries.metrics.name(),
            Self::Brokers => BROKERS,
            Self::Static(_) => STATIC,
        }
    }
}

/// The load of these brokers by the first source that has an answer, and what was wrong with those before it; `own` is
/// what their replicas show.
pub async fn measure(
    sources: &[Source],
    (brokers, now): (&BTreeSet<BrokerId>, Timestamp),
    own: impl Fn() -> Readings + Send,
) -> (Readings, Vec<String>) {
    let mut wrong = Vec::new();
    for source in sources {
        let readings = match source {
            Source::Measured(queries) => ask(queries, now).await,
            Source::Brokers => Ok(own()),
            Source::Static(rates) => Ok(said(*rates, (brokers, now))),
        };
        match readings {
            Ok(readings) if readings.used.is_empty() => {
                wrong.push(not_measured(source, "no broker is named in its answer; look at --broker-id-tag"));
            }
            Ok(mut readings) => {
                if let Source::Measured(Queries { metrics, signals, broker_label, .. }) = source {
                    let (unwell, more) = health::unwell(&**metrics, signals, (broker_label, now)).await;
                    readings.unwell = unwell;
                    wrong.extend(more);
                }
                return (readings, wrong);
            }
            Err(error) => wrong.push(not_measured(source, &error.to_string())),
        }
    }
    (Readings { source: "none", ..Readings::default() }, wrong)
}

fn not_measured(source: &Source, why: &str) -> String {
    format!("the load is not measured by {}: {why}", source.name())
}

fn said(rates: Sides<ByteRate>, (brokers, now): (&BTreeSet<BrokerId>, Timestamp)) -> Readings {
    let used = Sides { leader: Some((rates.leader, now)), follower: Some((rates.follower, now)) };
    let used = brokers.iter().map(|broker| (*broker, used)).collect();
    Readings { source: STATIC, used, ..Readings::default() }
}

async fn ask(queries: &Queries, now: Timestamp) -> Result<Readings, MetricsError> {
    let Queries { metrics, sends, receives, over, broker_label, type_label, signals: _ } = queries;
    let (sends, receives) = tokio::join!(metrics.query(sends, now), metrics.query(receives, now));
    let (sends, receives) = (sends?, receives?);
    let mut readings = Readings { source: metrics.name(), over: *over, ..Readings::default() };
    let id = |sample: &Sample| sample.labels.get(broker_label)?.parse::<BrokerId>().ok();
    for sample in sends.iter().chain(&receives) {
        if let (Some(broker), Some(kind)) = (id(sample), sample.labels.get(type_label)) {
            readings.types.insert(broker, kind.clone());
        }
    }
    let measured = |sample: &Sample| Some((ByteRate::of_f64(sample.value.max(0.0)), sample.at));
    for (sample, broker) in sends.iter().filter_map(|sample| Some((sample, id(sample)?))) {
        readings.used.entry(broker).or_default().leader = measured(sample);
    }
    for (sample, broker) in receives.iter().filter_map(|sample| Some((sample, id(sample)?))) {
        readings.used.entry(broker).or_default().follower = measured(sample);
    }
    Ok(readings)
}
