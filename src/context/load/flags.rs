//! Flags about who measures the brokers' load.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::clients::metrics::Metrics;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Sides;
use crate::context::Flags;
use crate::context::duration;
use crate::context::load::health::HealthArgs;
use crate::context::load::{Queries, Source};
use crate::context::metrics::{MetricsFlags, datadog, has_datadog_keys};
use crate::exit::Stop;

/// Bytes a second that each broker sends: by its pod's network (cAdvisor), else what it counts itself, for clients and for
/// followers (the JMX exporter with the rules of `manifests/throttle/jmx-exporter.yaml`). Targets are labelled with their
/// broker's id.
const PROMETHEUS_SENDS: &str = concat!(
    "sum by (broker_id) (rate(container_network_transmit_bytes_total{broker_id!=\"\"}[2m])) or (",
    "sum by (broker_id) (rate(kafka_server_brokertopicmetrics_bytesout_total{broker_id!=\"\",topic=\"\"}[2m])) + ",
    "sum by (broker_id) (rate(kafka_server_brokertopicmetrics_replicationbytesout_total{broker_id!=\"\",topic=\"\"}[2m])))",
);
const PROMETHEUS_RECEIVES: &str = concat!(
    "sum by (broker_id) (rate(container_network_receive_bytes_total{broker_id!=\"\"}[2m])) or (",
    "sum by (broker_id) (rate(kafka_server_brokertopicmetrics_bytesin_total{broker_id!=\"\",topic=\"\"}[2m])) + ",
    "sum by (broker_id) (rate(kafka_server_brokertopicmetrics_replicationbytesin_total{broker_id!=\"\",topic=\"\"}[2m])))",
);

/// What Datadog's agent has.
const DATADOG_SENDS: &str = "avg:system.net.bytes_sent{service:kafka} by {broker_id,instance-type}";
const DATADOG_RECEIVES: &str = "avg:system.net.bytes_rcvd{service:kafka} by {broker_id,instance-type}";

/// Flags about who measures the brokers' load.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Who measures the brokers' load, the best first: the next is asked where one has no answer [default: prometheus with
    /// --prometheus-url, datadog with DD_API_KEY and DD_APP_KEY, then the growth of replicas]
    #[arg(long, env = "TOOLBOX_THROTTLE_LOAD", value_name = "SOURCE", value_delimiter = ',', help_heading = "Load")]
    load: Vec<Kind>,

    #[command(flatten)]
    metrics: MetricsFlags,

    /// Query for bytes a second that each broker sends [default: of Prometheus what cAdvisor, else the JMX exporter, counts;
    /// of Datadog system.net.bytes_sent]
    #[arg(long, env = "TOOLBOX_THROTTLE_NET_TX_QUERY", value_name = "QUERY", help_heading = "Load")]
    net_tx_query: Option<String>,

    /// Query for bytes a second that each broker receives [default: the same, of what it receives]
    #[arg(long, env = "TOOLBOX_THROTTLE_NET_RX_QUERY", value_name = "QUERY", help_heading = "Load")]
    net_rx_query: Option<String>,

    /// Label or tag that holds a broker's id
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_BROKER_ID_TAG",
        value_name = "NAME",
        default_value = "broker_id",
        help_heading = "Load"
    )]
    broker_id_tag: String,

    /// Label or tag that holds a broker's instance type, for --cap-map
    #[arg(
        long,
        env = "TOOLBOX_THROTTLE_INSTANCE_TYPE_TAG",
        value_name = "NAME",
        default_value = "instance-type",
        help_heading = "Load"
    )]
    instance_type_tag: String,

    /// What instance types' networks can do, as JSON: `{"i3.4xlarge": "1.2GB/s"}`
    #[arg(long, env = "TOOLBOX_THROTTLE_CAP_MAP", value_name = "JSON", help_heading = "Load")]
    cap_map: Option<String>,

    /// How far Datadog is asked to look back for its newest value
    #[arg(long, env = "TOOLBOX_THROTTLE_METRICS_WINDOW", value_name = "DURATION", default_value = "120s", value_parser = duration, help_heading = "Load")]
    metrics_window: Duration,

    /// What each broker sends and receives for clients, where `--load static` says that nobody measures it
    #[arg(long, env = "TOOLBOX_THROTTLE_STATIC_LOAD", value_name = "RATE", help_heading = "Load")]
    static_load: Option<ByteRate>,

    #[command(flatten)]
    health: HealthArgs,
}

/// Who measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Prometheus
    Prometheus,
    /// Datadog
    Datadog,
    /// The growth of the brokers' replicas; consumers are not in it
    Brokers,
    /// --static-load
    Static,
}

impl LoadArgs {
    /// The sources, the best first.
    pub fn sources(&self, flags: &Flags) -> Result<Vec<Source>, Stop> {
        let mut kinds = self.load.clone();
        if kinds.is_empty() {
            kinds.extend(self.metrics.has_prometheus().then_some(Kind::Prometheus));
            kinds.extend(has_datadog_keys().then_some(Kind::Datadog));
            kinds.push(Kind::Brokers);
        }
        let sources: Vec<_> = kinds.iter().map(|kind| self.source(*kind, flags)).collect::<Result<_, _>>()?;
        let is_asked = sources.iter().any(|source| matches!(source, Source::Measured(_)));
        if !is_asked && !self.health.signals().is_empty() {
            return Err(Stop::usage(
                "nobody is there who could answer --idle-query or --latency-query: give --prometheus-url, or DD_API_KEY and \
                 DD_APP_KEY, and leave them in --load",
            ));
        }
        Ok(sources)
    }

    /// What instance types can do, as it was given.
    pub fn cap_map(&self) -> Option<&str> {
        self.cap_map.as_deref()
    }

    fn source(&self, kind: Kind, flags: &Flags) -> Result<Source, Stop> {
        match kind {
            Kind::Prometheus => {
                Ok(self.measured(self.metrics.prometheus(flags)?, (PROMETHEUS_SENDS, PROMETHEUS_RECEIVES)))
            }
            Kind::Datadog => {
                let door = datadog(flags, self.metrics_window)?;
                Ok(self.measured(door, (DATADOG_SENDS, DATADOG_RECEIVES)))
            }
            Kind::Brokers => Ok(Source::Brokers),
            Kind::Static => {
                let rate = self.static_load.ok_or_else(|| Stop::usage("static needs --static-load, as 40MB/s"))?;
                Ok(Source::Static(Sides { leader: rate, follower: rate }))
            }
        }
    }

    fn measured(&self, metrics: Arc<dyn Metrics>, usual: (&str, &str)) -> Source {
        let sends = self.net_tx_query.clone().unwrap_or_else(|| usual.0.to_owned());
        let receives = self.net_rx_query.clone().unwrap_or_else(|| usual.1.to_owned());
        Source::Measured(Queries {
            metrics,
            over: averaged_over(&sends).max(averaged_over(&receives)),
            sends,
            receives,
            broker_label: self.broker_id_tag.clone(),
            type_label: self.instance_type_tag.clone(),
            signals: self.health.signals(),
        })
    }
}

/// Over how long a time the answers of a query are means: the longest range in it, as `[2m]`. Without one, and where only
/// the last two samples of it count (PromQL's `irate`), they are of the last moment.
fn averaged_over(query: &str) -> Duration {
    if query.contains("irate(") {
        return Duration::ZERO;
    }
    let ranges = query.split('[').skip(1).filter_map(|rest| rest.split([']', ':']).next());
    ranges.filter_map(|range| duration(range.trim()).ok()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_over_how_long_a_time_it_averages() {
        let over = |query: &str| averaged_over(query).as_secs();
        assert_eq!(over(PROMETHEUS_SENDS), 120);
        assert_eq!(over("sum(rate(a[30s])) + sum(rate(b[ 5m ]))"), 300);
        assert_eq!(over("max_over_time(rate(a[1m])[1h:1m])"), 3_600);
        assert_eq!((over("irate(a[5m])"), over("node_tx"), over(DATADOG_SENDS), over("a[x]")), (0, 0, 0, 0));
    }
}
