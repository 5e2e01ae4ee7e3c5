//! How far it is, as a file in Prometheus' text format: for node_exporter's textfile collector, or a sidecar.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::clients::files::{self, Readers};
use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::plan::pace::{Left, Pace};
use crate::commands::reassign::plan::progress::Progress;
use crate::commands::reassign::plan::stalls::Reason;

type Labels = Vec<(&'static str, String)>;
type Values = Family<Labels, Gauge<f64, AtomicU64>>;

/// Writes the file at once: whoever reads it finds the old text or the new one.
pub(super) fn write(
    path: &Path,
    progress: &Progress,
    pace: &Pace,
    stalled: &BTreeMap<Reason, Vec<TopicPartition>>,
) -> anyhow::Result<()> {
    Ok(files::write(path, text(progress, pace, stalled)?, Readers::Everyone)?)
}

fn text(progress: &Progress, pace: &Pace, stalled: &BTreeMap<Reason, Vec<TopicPartition>>) -> anyhow::Result<String> {
    let mut registry = Registry::with_prefix("kafka_toolbox_reassign");
    let mut family = |name: &str, help: &str| {
        let family = Values::default();
        registry.register(name, help, family.clone());
        family
    };
    let partitions = family("partitions", "Partitions of the plan, by where they stand");
    let Progress { done, running, waiting, lost, .. } = progress;
    for (state, count) in [("done", done), ("moving", running), ("waiting", waiting), ("lost", lost)] {
        partitions.get_or_create(&vec![("state", state.to_owned())]).set(float(*count as u64));
    }
    let bytes = family("bytes", "Bytes that come to a broker in all, as the moves were when they began");
    let copied = family("copied_bytes", "Of these, the bytes that are copied");
    let open = family("left_bytes", "Bytes that still have to be copied to a broker, growth included");
    let rate = family("copied_bytes_per_second", "How fast a broker is copied to");
    for (broker, arriving) in &progress.brokers {
        let labels = vec![("broker", broker.to_string())];
        bytes.get_or_create(&labels).set(float(arriving.bytes));
        copied.get_or_create(&labels).set(float(arriving.bytes_done));
        open.get_or_create(&labels).set(float(arriving.bytes_left));
        rate.get_or_create(&labels).set(float(pace.rate_into(*broker).unwrap_or(0)));
    }
    let left =
        family("left_seconds", "How long it still takes; absent while nothing is copied, +Inf where it will not end");
    match pace.left(progress) {
        Left::Unknown => {}
        Left::Never => {
            left.get_or_create(&Vec::new()).set(f64::INFINITY);
        }
        Left::In(time) => {
            left.get_or_create(&Vec::new()).set(time.as_secs_f64());
        }
    }
    let stalls = family("stalled_partitions", "Moves that stand still");
    stalls.get_or_create(&Vec::new()).set(float(stalled.values().map(Vec::len).sum::<usize>() as u64));
    let mut text = String::new();
    encode(&mut text, &registry).context("failed to write metrics")?;
    Ok(text)
}

#[expect(clippy::cast_precision_loss, reason = "a metric need not be exact to the byte")]
fn float(number: u64) -> f64 {
    number as f64
}
