//! The door to Datadog: events over HTTP ([`Http`]) and by DogStatsD ([`DogStatsD`]); [`Memory`]
//! is their twin.
//!
//! Limits that every intake keeps, and that the twin refuses beyond: a title of [`TITLE_CHARS_MAX`] characters, a text
//! of [`TEXT_CHARS_MAX`], an aggregation key of [`AGGREGATION_KEY_CHARS_MAX`], tags of [`TAG_CHARS_MAX`], and nothing
//! that happened more than 18 hours ago. A datagram must fit the socket: there the text is shortened.

mod datagram;
mod live;
mod memory;
mod statsd;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

pub use datagram::{UDP_BYTES_MAX, UNIX_BYTES_MAX, datagram};
pub use live::Http;
pub(crate) use live::tls;
pub use memory::Memory;
pub use statsd::{Address, DogStatsD, PORT};

/// Longest title.
pub const TITLE_CHARS_MAX: usize = 100;

/// Longest text.
pub const TEXT_CHARS_MAX: usize = 4_000;

/// Longest aggregation key.
pub const AGGREGATION_KEY_CHARS_MAX: usize = 100;

/// Longest tag.
pub const TAG_CHARS_MAX: usize = 200;

/// Datadog refuses what happened longer ago.
pub const AGE_SECONDS_MAX: i64 = 18 * 3_600;

/// One intake of Datadog.
#[async_trait]
pub trait Datadog: Send + Sync {
    /// Sends one event, once. Over HTTP an `Ok` means that Datadog accepted it; by DogStatsD, that it left this
    /// process.
    async fn post(&self, event: &DatadogEvent) -> Result<(), DatadogError>;
}

/// An event as Datadog's v1 API has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatadogEvent {
    /// The headline.
    pub title: String,
    /// The body; Markdown between `%%%` lines.
    pub text: String,
    /// `key:value`.
    pub tags: Vec<String>,
    /// Its colour in the stream.
    pub alert_type: AlertType,
    /// Whether it is chatter.
    pub priority: Priority,
    /// Events with the same key are folded into one in the stream.
    pub aggregation_key: String,
    /// When it happened, in seconds since 1970.
    pub date_happened: i64,
}

/// Datadog's `alert_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertType {
    /// Red.
    Error,
    /// Yellow.
    Warning,
    /// Grey.
    Info,
    /// Green.
    Success,
    /// Something that a person did. DogStatsD has no such type: there it is `info`.
    UserUpdate,
}

/// Datadog's `priority`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Shown.
    Normal,
    /// Hidden unless one looks for it.
    Low,
}

/// Why Datadog did not take an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatadogError {
    /// No answer: connection refused, reset, timed out, name not found.
    #[error("{address}: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What happened.
        why: String,
    },
    /// 408, 429 or 5xx.
    #[error("{address} answered {status}")]
    Busy {
        /// Where.
        address: String,
        /// The status.
        status: u16,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// 413, a 400 that speaks of a limit, or a datagram that can't be made small enough.
    #[error("{0}")]
    TooLarge(String),
    /// 400: it will never be taken.
    #[error("{0}")]
    Malformed(String),
    /// 401, 403, and what only a person can mend.
    #[error("{0}")]
    Refused(String),
    /// An answer that is not Datadog's, as a proxy's login page.
    #[error("{address} answered {status}, but not as Datadog does: {body}; does --datadog-url lead to Datadog?")]
    Garbage {
        /// Where.
        address: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

impl fmt::Display for AlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info | Self::UserUpdate => "info",
            Self::Success => "success",
        })
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Low => "low",
        })
    }
}
