//! The door to systems that measure brokers: [`Prometheus`] and [`DatadogQuery`]; [`Memory`] is their twin.
//!
//! A query is answered with one number a series, each with the time at which it was measured. Both systems answer 200 to
//! queries that failed; answers are bounded; keys travel in headers.

mod datadog;
mod http;
mod memory;
mod prometheus;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

pub use datadog::DatadogQuery;
pub use memory::Memory;
pub use prometheus::Prometheus;

/// Longest answer that is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Most series of one answer. One that has more is refused: a part of it would look like the whole.
pub(crate) const SERIES_MAX: usize = 100_000;

/// A system that measures brokers.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// The newest value of each series of a query, as of now.
    async fn query(&self, query: &str, now: Timestamp) -> Result<Vec<Sample>, MetricsError>;

    /// Its name, as `prometheus`.
    fn name(&self) -> &'static str;

    /// Where it is, without what may be secret.
    fn address(&self) -> String;

    /// How it writes a text as a label's value.
    fn label(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// The newest value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels or tags.
    pub labels: BTreeMap<String, String>,
    /// The value as it was answered; [`Sample::amount`] is what it means.
    pub value: f64,
    /// When it was measured.
    pub at: Timestamp,
}

impl Sample {
    /// The value, where it is an amount: finite and not below 0. NaN, the infinities (as of `histogram_quantile` without
    /// observations) and negative numbers are no value.
    pub fn amount(&self) -> Option<f64> {
        (self.value.is_finite() && self.value >= 0.0).then_some(self.value)
    }
}

/// Why a query was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// There is no answer.
    #[error("{address} could not be asked: {why}")]
    Unreachable {
        /// Whom, without what may be secret.
        address: String,
        /// What happened.
        why: String,
    },
    /// It says no.
    #[error("{address} answered {status}: {message}")]
    Refused {
        /// Who.
        address: String,
        /// The HTTP status.
        status: u16,
        /// Its words, shortened.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{address} answered something else than metrics: {message}")]
    Garbage {
        /// Who.
        address: String,
        /// What is wrong with it.
        message: String,
    },
}

impl MetricsError {
    /// Whether the same question may be answered a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Garbage { .. } => false,
        }
    }
}
