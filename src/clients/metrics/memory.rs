//! The twin: answers from memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clients::metrics::{Metrics, MetricsError, Sample};

/// What it knows.
#[derive(Debug, Default)]
pub struct Memory {
    answers: Mutex<BTreeMap<String, Vec<(String, f64)>>>,
}

impl Memory {
    /// From now on a query has these values, by broker.
    pub fn answers(&self, query: &str, values: &[(&str, f64)]) {
        let values = values.iter().map(|(broker, value)| ((*broker).to_owned(), *value)).collect();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(query.to_owned(), values);
    }
}

#[async_trait]
impl Metrics for Memory {
    async fn query(&self, query: &str, now: Timestamp) -> Result<Vec<Sample>, MetricsError> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(values) = answers.get(query) else {
            let message = format!("no answer to `{query}`");
            return Err(MetricsError::Refused { address: "memory".into(), status: 400, message });
        };
        let sample = |(broker, value): &(String, f64)| Sample {
            labels: BTreeMap::from([("broker_id".to_owned(), broker.clone())]),
            value: *value,
            at: now,
        };
        Ok(values.iter().map(sample).collect())
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn address(&self) -> String {
        "memory".to_owned()
    }
}
