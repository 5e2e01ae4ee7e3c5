//! Sizes, and what is written, from a system that measures the brokers: Prometheus or Datadog, with the queries that
//! kafka-kit's metricsfetcher takes.
//!
//! Steps:
//! 1. Ask the queries; a passing trouble is waited out, within limits.
//! 2. Find the cluster's own partitions and brokers among the series. What is old, or could be two things, is refused by
//!    name. What can't be bytes (NaN, an infinity, a negative number) counts as no value, and is said with the query.
//! 3. Put the sizes in the place of the brokers' own. Partitions without one stay without, and are named.
//! 4. Share what is written to a topic among its partitions, where the answer does not name them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clients::metrics::{Metrics, MetricsError, Sample};
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::given::{bytes, set_sizes, set_storage, shown_age};
use crate::exit::Stop;

/// Pauses before a question that met a passing trouble is asked again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// More names than these are counted.
const NAMES_MAX: usize = 5;

/// What to ask.
#[derive(Debug, Clone)]
pub struct Queries {
    /// Bytes by topic and partition, and by broker where the answer has that label; without it the brokers' own stay.
    pub sizes: Option<String>,
    /// Free bytes by broker; without it the brokers' own numbers stay.
    pub storage: Option<String>,
    /// Bytes a second that producers write, by topic, and by partition where the answer has that label.
    pub bytes_in: Option<String>,
    /// The label that holds a topic.
    pub topic_label: String,
    /// The label that holds a partition.
    pub partition_label: String,
    /// The label that holds a broker's id.
    pub broker_label: String,
}

/// Replaces the sizes of an observation by measured ones, and adds what is written. Values older than `age_max` are
/// refused.
pub async fn overlay(
    observed: &mut Observed,
    metrics: &dyn Metrics,
    queries: &Queries,
    (now, age_max): (Timestamp, Duration),
) -> anyhow::Result<()> {
    let failed = |error: MetricsError| anyhow::Error::new(error).context("failed to read the sizes");
    let asked = async |query: &Option<String>| match query {
        Some(query) => ask(metrics, query, now).await.map(Some).map_err(failed),
        None => Ok(None),
    };
    let (sizes, storage) = (asked(&queries.sizes).await?, asked(&queries.storage).await?);
    let written = asked(&queries.bytes_in).await?;
    let answer = Answer { metrics, queries, now, age_max, no_bytes: RefCell::default() };
    if let Some(sizes) = sizes {
        let mut age = answer.set_sizes(observed, &sizes)?;
        if let Some(storage) = storage {
            age = age.max(answer.set_storage(observed, &storage)?);
        }
        observed.sizes_from = format!("{}{}", answer.words(age), without_size(observed));
    }
    if let Some(written) = written {
        let age = answer.set_written(observed, &written)?;
        observed.sizes_from = format!("{}; what is written from {}", observed.sizes_from, answer.words(age));
    }
    observed.sizes_from.push_str(&answer.trouble());
    Ok(())
}

async fn ask(metrics: &dyn Metrics, query: &str, now: Timestamp) -> Result<Vec<Sample>, MetricsError> {
    for pause in PAUSES {
        match metrics.query(query, now).await {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "asked again in {} ms", pause.as_millis());
                tokio::time::sleep(pause).await;
            }
            answer => return answer,
        }
    }
    metrics.query(query, now).await
}

/// How its series are to be read.
struct Answer<'a> {
    metrics: &'a dyn Metrics,
    queries: &'a Queries,
    now: Timestamp,
    age_max: Duration,
    /// Queries, each with how many of its values can't be bytes.
    no_bytes: RefCell<BTreeMap<String, usize>>,
}

/// Bytes by broker, and where no broker is named.
type Sizes = BTreeMap<(TopicName, usize), BTreeMap<Option<BrokerId>, u64>>;

impl Answer<'_> {
    fn source(&self) -> String {
        format!("{} at {}", self.metrics.name(), self.metrics.address())
    }

    fn words(&self, age: SignedDuration) -> String {
        format!("{} ({} old when it was read)", self.source(), shown_age(age))
    }

    /// Sets the sizes; the age of the oldest.
    fn set_sizes(&self, observed: &mut Observed, samples: &[Sample]) -> Result<SignedDuration, Stop> {
        let Queries { topic_label, partition_label, broker_label, .. } = self.queries;
        let names = self.names(observed, samples)?;
        let mut sizes = Sizes::new();
        let mut age = SignedDuration::ZERO;
        for sample in samples {
            let label = |name: &str| sample.labels.get(name).map(String::as_str);
            let topic = label(topic_label).and_then(|label| names.get(label));
            let number = label(partition_label).and_then(|label| label.parse::<usize>().ok());
            let (Some(topic), Some(number)) = (topic, number) else { continue };
            if observed.topics.get(topic).is_none_or(|topic| topic.partitions.len() <= number) {
                continue;
            }
            let Some(size) = self.bytes(self.queries.sizes.as_ref(), sample) else { continue };
            age = age.max(self.age(&format!("partition {topic}-{number}"), sample)?);
            let broker = label(broker_label).and_then(|label| label.parse().ok());
            let known = sizes.entry((topic.clone(), number)).or_default().entry(broker).or_default();
            *known = size.max(*known);
        }
        if sizes.is_empty() {
            return Err(Stop::refused(format!(
                "{} names no partition of this cluster in its {} series{}: look at --partition-size-query, --topic-tag and \
                 --partition-tag",
                self.source(),
                samples.len(),
                self.trouble()
            )));
        }
        set_sizes(observed, |topic, number, broker| {
            let known = sizes.get(&(topic.clone(), number))?;
            known.get(&Some(broker)).or_else(|| known.get(&None)).copied()
        });
        Ok(age)
    }

    /// Sets what is written; the age of the oldest. Each broker counts what it takes as a leader, so that several series
    /// of a topic, or of a partition, add up. A topic without any is not written to.
    fn set_written(&self, observed: &mut Observed, samples: &[Sample]) -> Result<SignedDuration, Stop> {
        let Queries { topic_label, partition_label, .. } = self.queries;
        let names = self.names(observed, samples)?;
        let mut written: BTreeMap<(TopicName, Option<usize>), u64> = BTreeMap::new();
        let mut age = SignedDuration::ZERO;
        for sample in samples {
            let Some(topic) = sample.labels.get(topic_label).and_then(|label| names.get(label)) else { continue };
            let number = sample.labels.get(partition_label).and_then(|label| label.parse::<usize>().ok());
            let subject =
                number.map_or_else(|| format!("topic {topic}"), |number| format!("partition {topic}-{number}"));
            let Some(rate) = self.bytes(self.queries.bytes_in.as_ref(), sample) else { continue };
            age = age.max(self.age(&subject, sample)?);
            let sum = written.entry((topic.clone(), number)).or_default();
            *sum = sum.saturating_add(rate);
        }
        if written.is_empty() {
            return Err(Stop::refused(format!(
                "{} names no topic of this cluster in its {} series{}: look at --bytes-in-query and --topic-tag",
                self.source(),
                samples.len(),
                self.trouble()
            )));
        }
        for (name, topic) in &mut observed.topics {
            let count = u64::try_from(topic.partitions.len()).unwrap_or(u64::MAX).max(1);
            let of_topic = written.get(&(name.clone(), None)).map(|rate| rate / count);
            for (number, partition) in topic.partitions.iter_mut().enumerate() {
                partition.bytes_in = written.get(&(name.clone(), Some(number))).copied().or(of_topic);
            }
        }
        Ok(age)
    }

    /// The topics by how the system writes them. Names of ours that it writes alike are refused if it has them.
    fn names(&self, observed: &Observed, samples: &[Sample]) -> Result<BTreeMap<String, TopicName>, Stop> {
        let mut names: BTreeMap<String, TopicName> = BTreeMap::new();
        let mut alike: BTreeMap<String, [TopicName; 2]> = BTreeMap::new();
        for name in observed.topics.keys() {
            let label = self.metrics.label(name.as_str());
            if let Some(other) = names.insert(label.clone(), name.clone()) {
                alike.insert(label, [other, name.clone()]);
            }
        }
        let mut labels = samples.iter().filter_map(|sample| sample.labels.get(&self.queries.topic_label));
        match labels.find_map(|label| alike.get(label)) {
            Some([one, other]) => Err(Stop::refused(format!(
                "{} writes the topics {one} and {other} alike, so that their sizes can't be distinguished: take the sizes from \
                 the brokers",
                self.source()
            ))),
            None => Ok(names),
        }
    }

    /// Sets what is free; the age of the oldest.
    fn set_storage(&self, observed: &mut Observed, samples: &[Sample]) -> Result<SignedDuration, Stop> {
        let mut free: BTreeMap<BrokerId, u64> = BTreeMap::new();
        let mut age = SignedDuration::ZERO;
        for sample in samples {
            let label = sample.labels.get(&self.queries.broker_label);
            let Some(id) = label.and_then(|label| label.parse::<BrokerId>().ok()) else { continue };
            if !observed.brokers.contains_key(&id) {
                continue;
            }
            let Some(bytes) = self.bytes(self.queries.storage.as_ref(), sample) else { continue };
            age = age.max(self.age(&format!("broker {id}"), sample)?);
            if free.insert(id, bytes).is_some() {
                return Err(Stop::refused(format!(
                    "{} has several values for the free storage of broker {id}: --broker-storage-query must leave one, as \
                     that of its data disk",
                    self.source()
                )));
            }
        }
        if free.is_empty() {
            return Err(Stop::refused(format!(
                "{} names no broker of this cluster in its {} series{}: look at --broker-storage-query and --broker-id-tag",
                self.source(),
                samples.len(),
                self.trouble()
            )));
        }
        set_storage(observed, &free, &self.source());
        Ok(age)
    }

    fn age(&self, subject: &str, sample: &Sample) -> Result<SignedDuration, Stop> {
        let age = self.now.duration_since(sample.at).max(SignedDuration::ZERO);
        if age.unsigned_abs() <= self.age_max {
            return Ok(age);
        }
        Err(Stop::refused(format!(
            "the newest value for {subject} that {} has is {} old, and a plan from old sizes fills disks: see that it is \
             measured, or allow its age with --metrics-age",
            self.source(),
            shown_age(age)
        )))
    }

    /// The bytes of an answer to a query; a value that can't be bytes is none, and is remembered.
    fn bytes(&self, query: Option<&String>, sample: &Sample) -> Option<u64> {
        let bytes = bytes(sample.value);
        if let (None, Some(query)) = (bytes, query) {
            *self.no_bytes.borrow_mut().entry(query.clone()).or_default() += 1;
        }
        bytes
    }

    /// Which values could not be used, in words; empty if all could.
    fn trouble(&self) -> String {
        let no_bytes = self.no_bytes.borrow();
        let words = no_bytes.iter().map(|(query, count)| {
            format!("; {count} of its values for `{query}` are NaN, infinite or negative and count as none")
        });
        words.collect()
    }
}

/// The partitions without a size, in words; empty if there are none.
fn without_size(observed: &Observed) -> String {
    let mut names = Vec::new();
    let mut count = 0;
    for (name, topic) in &observed.topics {
        let missing = topic.partitions.iter().enumerate().filter(|(_, partition)| partition.bytes.is_empty());
        for (number, _) in missing {
            count += 1;
            names.extend((names.len() < NAMES_MAX).then(|| format!("{name}-{number}")));
        }
    }
    let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
    match count {
        0 => String::new(),
        _ => format!(", which has no size of {}{more}", names.join(", ")),
    }
}
