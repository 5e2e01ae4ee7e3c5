//! Where sizes come from: the brokers, kafka-kit's files, or a system that measures.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::clients::metrics::Metrics;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::measured::{self, Queries};
use crate::commands::mapping::observe::metric_files;
use crate::context::Flags;
use crate::context::duration;
use crate::context::metrics::{MetricsFlags, datadog};
use crate::exit::Stop;

/// What JMX exporters make of `kafka.log:type=Log,name=Size`: the largest replica of each partition.
const PROMETHEUS_SIZES: &str = "max by (topic, partition) (kafka_log_log_size)";

/// What Datadog's agent makes of it, where it is told to.
const DATADOG_SIZES: &str = "max:kafka.log.partition.size{service:kafka} by {topic,partition}";

/// Datadog's points are drawn together, or an answer for many partitions would be too long.
const ROLLUP_SECONDS: u32 = 300;

/// Where sizes come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sizes")]
pub(super) struct SizeArgs {
    /// Who knows how large partitions are [default: brokers]. A rehearsal takes the sizes that were saved
    #[arg(long, env = "TOOLBOX_MAPPING_SIZES", value_name = "SOURCE")]
    sizes: Option<SizesFrom>,

    /// Partition sizes from a file of kafka-kit's metricsfetcher (`{"TOPIC":{"PARTITION":{"Size":BYTES}}}`, plain or
    /// gzipped) instead of the brokers
    #[arg(long, env = "TOOLBOX_MAPPING_PARTITIONMETA", value_name = "FILE")]
    partitionmeta: Option<PathBuf>,

    /// Free storage of brokers from a file of kafka-kit's metricsfetcher (`{"BROKER":{"StorageFree":BYTES}}`)
    #[arg(long, env = "TOOLBOX_MAPPING_BROKERMETRICS", value_name = "FILE")]
    brokermetrics: Option<PathBuf>,

    /// Query for bytes by topic and partition, and by broker if its replicas differ; it must mean this cluster alone
    /// [default: max of kafka_log_log_size, of Datadog max:kafka.log.partition.size{service:kafka}]
    #[arg(long, env = "TOOLBOX_MAPPING_PARTITION_SIZE_QUERY", value_name = "QUERY")]
    partition_size_query: Option<String>,

    /// Query for the free bytes of each broker's data disk [default: what the brokers say of their disks]
    #[arg(long, env = "TOOLBOX_MAPPING_BROKER_STORAGE_QUERY", value_name = "QUERY")]
    broker_storage_query: Option<String>,

    /// Query for the bytes a second that producers write to each topic, or to each of its partitions: leaders are evened
    /// out by it. Asked of the source of the sizes, else of Prometheus where its URL is given, else of Datadog
    #[arg(long, env = "TOOLBOX_MAPPING_BYTES_IN_QUERY", value_name = "QUERY")]
    bytes_in_query: Option<String>,

    /// Label or tag that holds a topic
    #[arg(long, env = "TOOLBOX_MAPPING_TOPIC_TAG", value_name = "NAME", default_value = "topic")]
    topic_tag: String,

    /// Label or tag that holds a partition
    #[arg(long, env = "TOOLBOX_MAPPING_PARTITION_TAG", value_name = "NAME", default_value = "partition")]
    partition_tag: String,

    /// Label or tag that holds a broker's id
    #[arg(long, env = "TOOLBOX_MAPPING_BROKER_ID_TAG", value_name = "NAME", default_value = "broker_id")]
    broker_id_tag: String,

    /// Refuse such files, and values of Prometheus or Datadog, that are older than this
    #[arg(long, env = "TOOLBOX_MAPPING_METRICS_AGE", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    metrics_age: Duration,

    #[command(flatten)]
    metrics: MetricsFlags,
}

/// Who knows how large partitions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SizesFrom {
    /// The brokers themselves
    Brokers,
    /// Prometheus: --prometheus-url
    Prometheus,
    /// Datadog: DD_API_KEY and DD_APP_KEY
    Datadog,
}

/// Whom to ask what.
pub(super) type Source = (Arc<dyn Metrics>, Queries);

impl SizeArgs {
    fn is_measured(&self) -> bool {
        self.sizes.is_some_and(|from| from != SizesFrom::Brokers)
    }

    /// Refuses flags that can't be meant together, before anything is asked.
    pub(super) fn check(&self) -> Result<(), Stop> {
        let has_query = self.partition_size_query.is_some() || self.broker_storage_query.is_some();
        if has_query && self.sizes.is_none() {
            return Err(Stop::usage("a query needs somebody to answer it: say --sizes prometheus, or --sizes datadog"));
        }
        if self.is_measured() && (self.partitionmeta.is_some() || self.brokermetrics.is_some()) {
            return Err(Stop::usage(
                "sizes come from one source: leave out --partitionmeta and --brokermetrics, or --sizes",
            ));
        }
        Ok(())
    }

    /// Puts the sizes of kafka-kit's files in the place of the brokers' own.
    pub(super) fn read_files(&self, observed: &mut Observed, now: Timestamp) -> Result<(), Stop> {
        let files = (self.partitionmeta.as_deref(), self.brokermetrics.as_deref());
        metric_files::overlay(observed, files.0, files.1, (now, self.metrics_age))
    }

    /// Puts measured sizes in the place of the brokers' own.
    pub(super) async fn measure(&self, observed: &mut Observed, source: Source, now: Timestamp) -> anyhow::Result<()> {
        let (metrics, queries) = source;
        measured::overlay(observed, &*metrics, &queries, (now, self.metrics_age)).await
    }

    /// Who measures the sizes; none if the brokers tell them.
    pub(super) fn source(&self, flags: &Flags) -> Result<Option<Source>, Stop> {
        let (is_prometheus, usual) = match self.sizes {
            None | Some(SizesFrom::Brokers) if self.bytes_in_query.is_none() => return Ok(None),
            None | Some(SizesFrom::Brokers) => (self.metrics.has_prometheus(), None),
            Some(SizesFrom::Prometheus) => (true, Some(PROMETHEUS_SIZES)),
            Some(SizesFrom::Datadog) => (false, Some(DATADOG_SIZES)),
        };
        let mut queries = self.queries(usual);
        if is_prometheus {
            return Ok(Some((self.metrics.prometheus(flags)?, queries)));
        }
        queries.sizes = queries.sizes.map(|query| rolled_up(&query, "max"));
        // The least of each interval: a disk that fills is not planned as it was before.
        queries.storage = queries.storage.map(|query| rolled_up(&query, "min"));
        queries.bytes_in = queries.bytes_in.map(|query| rolled_up(&query, "avg"));
        // Further back than what is refused for its age: old values are found, and named.
        Ok(Some((datadog(flags, self.metrics_age.saturating_mul(2))?, queries)))
    }

    /// The queries; that for sizes has a usual form where they come from there.
    fn queries(&self, usual: Option<&str>) -> Queries {
        Queries {
            sizes: usual.map(|usual| self.partition_size_query.clone().unwrap_or_else(|| usual.to_owned())),
            storage: self.broker_storage_query.clone(),
            bytes_in: self.bytes_in_query.clone(),
            topic_label: self.topic_tag.clone(),
            partition_label: self.partition_tag.clone(),
            broker_label: self.broker_id_tag.clone(),
        }
    }
}

/// A query of Datadog's with points that are drawn together, unless it says how by itself.
fn rolled_up(query: &str, by: &str) -> String {
    let is_plain = query.ends_with('}') && !query.contains(".rollup(");
    if is_plain { format!("{query}.rollup({by}, {ROLLUP_SECONDS})") } else { query.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_datadog_is_rolled_up_once() {
        assert_eq!(rolled_up("max:x{a:b} by {topic}", "max"), "max:x{a:b} by {topic}.rollup(max, 300)");
        for query in ["max:x{a:b} by {topic}.rollup(avg, 60)", "avg:x{*} by {host} * 2"] {
            assert_eq!(rolled_up(query, "max"), query);
        }
    }
}
