//! The door to systems that measure brokers: [`Prometheus`] and [`DatadogQuery`]; [`Memory`] is their twin.
//!
//! A query is answered with one number a series, each with the time at which it was measured. Both systems answer 200 to
//! queries that failed; answers are bounded; keys travel in headers.

pub mod answers;
mod datadog;
mod http;
mod memory;
mod prometheus;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::cluster::visible;

pub use answers::Sample;
pub use datadog::DatadogQuery;
pub use memory::Memory;
pub use prometheus::Prometheus;

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

/// Why a query was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// There is no answer.
    #[error("{address} could not be asked: {}", visible::value(why))]
    Unreachable {
        /// Whom, without what may be secret.
        address: String,
        /// What happened.
        why: String,
    },
    /// It says no.
    #[error("{address} answered {status}: {}", visible::value(message))]
    Refused {
        /// Who.
        address: String,
        /// The HTTP status.
        status: u16,
        /// Its words, shortened.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{address} answered something else than metrics: {}", visible::value(message))]
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
