//! Datadog's metrics: `GET /api/v1/query`, the newest value of each series that is not null.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clients::metrics::http::Api;
use crate::clients::metrics::{Metrics, MetricsError, Sample, answers};
use crate::formats::secret::SecretString;

/// Datadog's metrics over HTTP.
#[derive(Debug)]
pub struct DatadogQuery {
    api: Api,
    window_seconds: i64,
}

impl DatadogQuery {
    /// The API at a base URL (`https://api.<site>`), with both keys, looking back so many seconds.
    pub fn new(base: &str, api_key: SecretString, application_key: SecretString, window_seconds: i64) -> Self {
        let keys = vec![("dd-api-key", api_key), ("dd-application-key", application_key)];
        Self { api: Api::new(base, keys), window_seconds }
    }
}

#[async_trait]
impl Metrics for DatadogQuery {
    async fn query(&self, query: &str, now: Timestamp) -> Result<Vec<Sample>, MetricsError> {
        let to = now.as_second();
        let asked = [
            ("from", to.saturating_sub(self.window_seconds).to_string()),
            ("to", to.to_string()),
            ("query", query.to_owned()),
        ];
        let body = self.api.get("/api/v1/query", &asked).await?;
        answers::datadog(&body).map_err(|wrong| self.api.wrong(&wrong))
    }

    fn name(&self) -> &'static str {
        "datadog"
    }

    fn address(&self) -> String {
        self.api.address()
    }

    /// Tags are in lower case, and of several underscores in a row one is left: `__consumer_offsets` is
    /// `_consumer_offsets`.
    fn label(&self, text: &str) -> String {
        let mut label = String::with_capacity(text.len());
        for c in text.chars().flat_map(char::to_lowercase) {
            if c != '_' || !label.ends_with('_') {
                label.push(c);
            }
        }
        label
    }
}
