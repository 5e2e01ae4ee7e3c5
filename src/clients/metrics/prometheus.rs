//! Prometheus, and whatever speaks its API: `GET /api/v1/query`, an instant vector.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::clients::metrics::http::Api;
use crate::clients::metrics::{Metrics, MetricsError, Sample};
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
        let document = self.0.get("/api/v1/query", &asked).await?;
        if document.get("status").and_then(Value::as_str) != Some("success") {
            let words = document.get("error").and_then(Value::as_str).unwrap_or("its status is not `success`");
            return Err(self.0.refused(words));
        }
        // Thanos and its like answer with what they could reach, and say so here.
        for warning in document.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            tracing::warn!(address = self.0.address(), warning = clean(warning.as_str().unwrap_or_default()));
        }
        let data = document.get("data");
        let kind = data.and_then(|data| data.get("resultType")).and_then(Value::as_str).unwrap_or_default();
        let result = data.and_then(|data| data.get("result")).and_then(Value::as_array).filter(|_| kind == "vector");
        let result = result.ok_or_else(|| self.0.garbage(&format!("an instant vector is expected, not `{kind}`")))?;
        let samples = self.0.within_limits(result)?.iter().map(sample).collect::<Option<Vec<_>>>();
        samples.ok_or_else(|| self.0.garbage("a series without a value"))
    }

    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn address(&self) -> String {
        self.0.address()
    }
}

fn sample(series: &Value) -> Option<Sample> {
    let labels = series.get("metric")?.as_object()?;
    let labels = labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let [time, value] = series.get("value")?.as_array()?.as_slice() else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    let milliseconds = (time.as_f64()? * 1e3) as i64;
    Some(Sample {
        labels: labels.collect::<BTreeMap<_, _>>(),
        value: value.as_str()?.parse().ok()?,
        at: Timestamp::from_millisecond(milliseconds).ok()?,
    })
}
