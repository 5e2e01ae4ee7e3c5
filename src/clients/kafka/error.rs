//! [`KafkaError`]: why a call to Kafka did not do what was asked, and which errors leave the result of a write unknown.

use std::time::Duration;

use crate::clients::kafka::codes;
use crate::cluster::visible;

/// Why a call to Kafka did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No broker could be reached before the deadline; each address with its reason.
    #[error("no broker could be reached within {}: {}", show_seconds(*.within), .tried.iter().map(|(address, why)| format!("{}: {}", visible::value(address), visible::line(why))).collect::<Vec<_>>().join("; "))]
    Unreachable {
        /// Addresses and reasons.
        tried: Vec<(String, String)>,
        /// The deadline (`--timeout`).
        within: Duration,
    },
    /// TLS or SASL failed in a way that a retry does not mend: wrong password, wrong CA, wrong host name, …
    #[error("{}: {}", visible::value(address), visible::line(message))]
    Security {
        /// The broker's address.
        address: String,
        /// What is wrong, and which setting to look at.
        message: String,
        /// Whether it is the login that was refused, or the token for it. No other broker is tried then: what keeps the
        /// accounts may close one after a few wrong passwords. Kafka's own clients give up in the same way.
        is_login: bool,
    },
    /// The connection's settings are wrong.
    #[error("{0}")]
    Settings(String),
    /// The broker answered with an error code.
    #[error("{name} ({code}){}", .message.as_deref().map(|text| format!(": {}", visible::value(text))).unwrap_or_default())]
    Broker {
        /// Kafka's error code.
        code: i16,
        /// Kafka's name for the code, as `TOPIC_ALREADY_EXISTS`.
        name: &'static str,
        /// The broker's own words.
        message: Option<String>,
    },
    /// The request may or may not have been carried out: its answer did not come.
    #[error("the answer to {request} was lost ({}); whether it was carried out is not known", visible::line(why))]
    AnswerLost {
        /// The request, as `CreateTopics to broker 2`.
        request: String,
        /// What happened to the connection.
        why: String,
    },
    /// A write was not sent: the lock that it needs is not held (any more), or was not renewed lately.
    #[error("nothing was sent: {}", visible::line(why))]
    LockNotHeld {
        /// Which lock, and what happened to it.
        why: String,
    },
    /// An address leads to another server than it did: to another node (REBOOTSTRAP_REQUIRED of Kafka 4.4), or to another
    /// cluster. Reads begin again at the addresses to start from; writes of this client end in this error from then on.
    #[error(
        "{} {}; this run changes nothing more, since what it read may be of other servers: check that the addresses are right, then run it again",
        visible::value(address),
        visible::line(why)
    )]
    Misrouted {
        /// The address.
        address: String,
        /// What is found there, as `is not broker 2 of cluster X any more`.
        why: String,
    },
    /// The broker's ApiVersions lack this request: it is older, or a server that only speaks Kafka's protocol.
    #[error("{} does not offer {request}: Kafka {since} and newer do, other servers may not", visible::value(broker))]
    Unsupported {
        /// The broker.
        broker: String,
        /// The request's name.
        request: &'static str,
        /// The first version of Kafka that has it.
        since: &'static str,
    },
    /// The deadline passed.
    #[error("{} took longer than {}", visible::value(what), show_seconds(*.after))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The broker answered with bytes that make no sense.
    #[error("{} answered something that is not Kafka's protocol: {}", visible::value(address), visible::line(message))]
    Protocol {
        /// The broker's address.
        address: String,
        /// What could not be read.
        message: String,
    },
}

impl KafkaError {
    /// A broker's error code; empty words are no words.
    pub fn broker(code: i16, message: Option<&str>) -> Self {
        let message = message.filter(|text| !text.is_empty()).map(str::to_owned);
        Self::Broker { code, name: codes::name(code), message }
    }

    /// Whether a write that ended in this may have been carried out, now or a little later: whoever sent it looks at the
    /// cluster before it decides. The only place that says so. Errors that it does not name come before the write was sent,
    /// or say that nothing was done.
    pub fn leaves_result_unknown(&self) -> bool {
        match self {
            Self::AnswerLost { .. } | Self::TimedOut { .. } => true,
            Self::Broker { code, .. } => codes::leaves_result_unknown(*code),
            Self::Unreachable { .. }
            | Self::Security { .. }
            | Self::Settings(_)
            | Self::LockNotHeld { .. }
            | Self::Misrouted { .. }
            | Self::Unsupported { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// The broker's error code, where it answered with one.
    pub fn code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }
}

fn show_seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_and_not_answered_clearly_is_unknown_and_everything_else_did_nothing() {
        let lost = KafkaError::AnswerLost { request: "CreateTopics".to_owned(), why: "closed".to_owned() };
        let late = KafkaError::TimedOut { what: "CreateTopics".to_owned(), after: Duration::from_secs(1) };
        let unknown = [lost, late, KafkaError::broker(7, None), KafkaError::broker(13, None)];
        assert!(unknown.iter().all(KafkaError::leaves_result_unknown), "{unknown:?}");
        let clear = [
            KafkaError::broker(codes::NOT_CONTROLLER, None),
            KafkaError::broker(codes::TOPIC_ALREADY_EXISTS, None),
            KafkaError::LockNotHeld { why: "lost".to_owned() },
            KafkaError::Unreachable { tried: Vec::new(), within: Duration::from_secs(1) },
            KafkaError::Unsupported { broker: "a:1".to_owned(), request: "X", since: "4.0" },
        ];
        assert!(!clear.iter().any(KafkaError::leaves_result_unknown), "{clear:?}");
    }
}
