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
            Source::Measured(queries) => ask(queries, (brokers, now), &mut wrong).await,
            Source::Brokers => Ok(own()),
            Source::Static(rates) => Ok(said(*rates, (brokers, now))),
        };
        match readings {
            Ok(readings) if readings.used.is_empty() => {
                wrong.push(not_measured(source, &no_broker(source)));
            }
            Ok(mut readings) => {
                if let Source::Measured(Queries { metrics, signals, broker_label, .. }) = source {
                    let (unwell, more) = health::unwell(&**metrics, signals, (broker_label, brokers, now)).await;
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

/// Why nothing can be taken from a source that answered.
fn no_broker(source: &Source) -> String {
    match source {
        Source::Measured(Queries { sends, receives, .. }) => format!(
            "it has no value of a broker of this cluster in its answers to `{sends}` and `{receives}`; look at the queries and \
             at --broker-id-tag"
        ),
        Source::Brokers | Source::Static(_) => "it knows no broker of this cluster".to_owned(),
    }
}

fn said(rates: Sides<ByteRate>, (brokers, now): (&BTreeSet<BrokerId>, Timestamp)) -> Readings {
    let used = Sides { leader: Some((rates.leader, now)), follower: Some((rates.follower, now)) };
    let used = brokers.iter().map(|broker| (*broker, used)).collect();
    Readings { source: STATIC, used, ..Readings::default() }
}

/// Asks both queries. Values that can't be rates, and series without a broker, are left out and named in `wrong`, in words
/// that stay the same while the trouble does: what is left out is no load of 0.
async fn ask(
    queries: &Queries,
    (brokers, now): (&BTreeSet<BrokerId>, Timestamp),
    wrong: &mut Vec<String>,
) -> Result<Readings, MetricsError> {
    let Queries { metrics, sends, receives, over, type_label, .. } = queries;
    let (sent, received) = tokio::join!(metrics.query(sends, now), metrics.query(receives, now));
    let (sent, received) = (sent?, received?);
    let mut readings = Readings { source: metrics.name(), over: *over, ..Readings::default() };
    let sent = Usable::of(&sent, &queries.broker_label, brokers);
    let received = Usable::of(&received, &queries.broker_label, brokers);
    for (usable, query) in [(&sent, sends), (&received, receives)] {
        wrong.extend(usable.trouble(metrics.name(), query, &queries.broker_label));
        for (broker, sample, _) in &usable.samples {
            if let Some(kind) = sample.labels.get(type_label) {
                readings.types.insert(*broker, kind.clone());
            }
        }
    }
    for (broker, sample, amount) in &sent.samples {
        readings.used.entry(*broker).or_default().leader = Some((ByteRate::of_f64(*amount), sample.at));
    }
    for (broker, sample, amount) in &received.samples {
        readings.used.entry(*broker).or_default().follower = Some((ByteRate::of_f64(*amount), sample.at));
    }
    Ok(readings)
}

/// What of an answer can be used: amounts of brokers of this cluster.
pub(super) struct Usable<'a> {
    /// Broker, sample and amount.
    pub(super) samples: Vec<(BrokerId, &'a Sample, f64)>,
    /// Brokers of this cluster with a value that is no amount.
    no_amount: BTreeSet<BrokerId>,
    /// Whether there are series without the label of a broker.
    has_unlabelled: bool,
}

impl<'a> Usable<'a> {
    /// Of an answer, where this label holds a broker's id. What has another id belongs to other machines.
    pub(super) fn of(samples: &'a [Sample], label: &str, brokers: &BTreeSet<BrokerId>) -> Self {
        let mut usable = Self { samples: Vec::new(), no_amount: BTreeSet::new(), has_unlabelled: false };
        for sample in samples {
            let Some(id) = sample.labels.get(label) else {
                usable.has_unlabelled = true;
                continue;
            };
            let Some(broker) = id.parse().ok().filter(|broker| brokers.contains(broker)) else { continue };
            match sample.amount() {
                Some(amount) => usable.samples.push((broker, sample, amount)),
                None => drop(usable.no_amount.insert(broker)),
            }
        }
        usable
    }

    /// What could not be used, in words; each thing once.
    pub(super) fn trouble(&self, name: &str, query: &str, label: &str) -> Vec<String> {
        let mut trouble = Vec::new();
        if !self.no_amount.is_empty() {
            let ids: Vec<_> = self.no_amount.iter().map(ToString::to_string).collect();
            trouble.push(format!(
                "{name} answers `{query}` with NaN, an infinity or a negative number for broker {}: that counts as no value",
                ids.join(", ")
            ));
        }
        if self.has_unlabelled {
            trouble.push(format!(
                "{name} answers `{query}` with series that have no label `{label}`: they count as no value; look at \
                 --broker-id-tag"
            ));
        }
        trouble
    }
}
