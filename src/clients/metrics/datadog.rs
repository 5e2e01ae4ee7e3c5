//! Datadog's metrics: `GET /api/v1/query`, the newest value of each series that is not null.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::clients::metrics::http::Api;
use crate::clients::metrics::{Metrics, MetricsError, Sample};
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
        let document = self.api.get("/api/v1/query", &asked).await?;
        // Datadog answers 200 to queries that failed.
        if document.get("status").and_then(Value::as_str) != Some("ok") {
            let words = document.get("error").and_then(Value::as_str).unwrap_or("its status is not `ok`");
            return Err(self.api.refused(words));
        }
        let series = document.get("series").and_then(Value::as_array);
        let series = series.ok_or_else(|| self.api.garbage("there is no `series`"))?;
        Ok(self.api.within_limits(series)?.iter().filter_map(newest).collect())
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

/// The last point that is not null: the last bucket is often still empty.
fn newest(series: &Value) -> Option<Sample> {
    let points = series.get("pointlist")?.as_array()?;
    let point = points.iter().rev().find_map(|point| {
        let [time, value] = point.as_array()?.as_slice() else { return None };
        Some((time.as_f64()?, value.as_f64()?))
    })?;
    let tags = series.get("tag_set").and_then(Value::as_array).into_iter().flatten();
    let scope = series.get("scope").and_then(Value::as_str).unwrap_or_default();
    let tags = tags.filter_map(Value::as_str).chain(scope.split(','));
    let labels = tags.filter_map(|tag| tag.split_once(':')).map(|(key, value)| (key.to_owned(), value.to_owned()));
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    let milliseconds = point.0 as i64;
    Some(Sample {
        labels: labels.collect::<BTreeMap<_, _>>(),
        value: point.1,
        at: Timestamp::from_millisecond(milliseconds).ok()?,
    })
}
