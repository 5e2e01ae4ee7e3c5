//! Prometheus, and whatever speaks its API: `GET /api/v1/query`, an instant vector.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clients::metrics::http::Api;
use crate::clients::metrics::{Metrics, MetricsError, Sample, answers};
use crate::formats::secret::{ExposeSecret, SecretString, clean, remember};

/// Prometheus over HTTP.
#[derive(Debug)]
pub struct Prometheus(Api);

impl Prometheus {
    /// The server at a base URL, as `http://prometheus.monitoring:9090`, with a bearer token where one is needed.
    pub fn new(base: &str, token: Option<&SecretString>) -> Self {
        let header = token.map(|token| ("authorization", remember(format!("Bearer {}", token.expose_secret()))));
        Self(Api::new(base, header.into_iter().collect()))
    }
}

#[async_trait]
impl Metrics for Prometheus {
    async fn query(&self, query: &str, now: Timestamp) -> Result<Vec<Sample>, MetricsError> {
        let asked = [("query", query.to_owned()), ("time", now.as_second().to_string())];
        let body = self.0.get("/api/v1/query", &asked).await?;
        let (samples, warnings) = answers::prometheus(&body).map_err(|wrong| self.0.wrong(&wrong))?;
        // Thanos and its like answer with what they could reach, and say so here.
        for warning in warnings {
            tracing::warn!(address = self.0.address(), warning = clean(&warning));
        }
        Ok(samples)
    }

    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn address(&self) -> String {
        self.0.address()
    }
}
