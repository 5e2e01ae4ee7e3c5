//! Doors to systems that measure brokers, from flags and the environment: `throttle` asks them for load, `mapping` for
//! sizes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::clients::files;
use crate::clients::http;
use crate::clients::metrics::{DatadogQuery, Metrics, Prometheus};
use crate::context::Flags;
use crate::exit::Stop;
use crate::formats::secret::{SecretString, remember};

/// Datadog's first site.
const SITE: &str = "datadoghq.com";

/// Longest file with a token.
const TOKEN_BYTES_MAX: u64 = 1 << 16;

/// Flags about systems that measure.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsFlags {
    /// Prometheus, or what speaks its API, as `http://prometheus.monitoring:9090`; SSL_CERT_FILE names the certificates of
    /// a CA of your own
    #[arg(long, env = "TOOLBOX_PROMETHEUS_URL", value_name = "URL")]
    prometheus_url: Option<String>,

    /// A file with the bearer token that Prometheus wants [default: TOOLBOX_PROMETHEUS_TOKEN itself, where it is set]
    #[arg(long, env = "TOOLBOX_PROMETHEUS_TOKEN_FILE", value_name = "FILE")]
    prometheus_token_file: Option<PathBuf>,
}

impl MetricsFlags {
    /// Whether a flag says where Prometheus is.
    pub fn has_prometheus(&self) -> bool {
        self.prometheus_url.is_some()
    }

    /// Prometheus, with its token where there is one.
    pub fn prometheus(&self, flags: &Flags) -> Result<Arc<dyn Metrics>, Stop> {
        let url = self.prometheus_url.as_deref().ok_or_else(|| Stop::usage("prometheus needs --prometheus-url"))?;
        let token = match &self.prometheus_token_file {
            Some(path) => Some(read_token(path)?),
            None => variable("TOOLBOX_PROMETHEUS_TOKEN").map(remember),
        };
        let secret = token.is_some().then_some("the bearer token");
        http::check(url, secret, flags.allow_plain_http)
            .map_err(|why| Stop::usage(format!("--prometheus-url: {why}")))?;
        Ok(Arc::new(Prometheus::new(url, token.as_ref())))
    }
}

/// Datadog with both its keys, looking back so far. It may be elsewhere than its site.
pub fn datadog(flags: &Flags, window: Duration) -> Result<Arc<dyn Metrics>, Stop> {
    let key = |name: &str| {
        let missing = || Stop::usage(format!("datadog needs {name}, to read metrics DD_API_KEY and DD_APP_KEY"));
        variable(name).map(remember).ok_or_else(missing)
    };
    let site = variable("DD_SITE").unwrap_or_else(|| SITE.to_owned());
    let base = flags.recording.datadog_url.clone().unwrap_or_else(|| format!("https://api.{site}"));
    http::check(&base, Some("DD_API_KEY"), flags.allow_plain_http)
        .map_err(|why| Stop::usage(format!("--datadog-url or DD_SITE: {why}")))?;
    let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    Ok(Arc::new(DatadogQuery::new(&base, key("DD_API_KEY")?, key("DD_APP_KEY")?, seconds)))
}

/// Whether both keys of Datadog are there.
pub fn has_datadog_keys() -> bool {
    variable("DD_API_KEY").is_some() && variable("DD_APP_KEY").is_some()
}

fn read_token(path: &Path) -> Result<SecretString, Stop> {
    use std::io::Read;
    let failed = |why: &str| Stop::usage(format!("--prometheus-token-file {}: {why}", path.display()));
    let file = files::open(path).map_err(|error| failed(&error.to_string()))?;
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty")),
        token => Ok(remember(token)),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
