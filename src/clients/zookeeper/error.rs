//! Why a call to ZooKeeper did not do what was asked.

use std::time::Duration;

use crate::cluster::visible;

/// Why a call to ZooKeeper did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZooKeeperError {
    /// No server gave a session before the deadline, or the connection was not made anew in time; nothing was sent.
    #[error("no ZooKeeper server could be used within {} s: {}", .within.as_secs_f64(), show_tried(.tried))]
    Unreachable {
        /// Addresses and reasons.
        tried: Vec<(String, String)>,
        /// The deadline (`--timeout`).
        within: Duration,
    },
    /// TLS failed in a way that a retry does not mend.
    #[error("{}: {}", visible::value(address), visible::line(message))]
    Security {
        /// The server's address.
        address: String,
        /// What is wrong, and which setting to look at.
        message: String,
    },
    /// The server refuses the user: a wrong password, or a mechanism that it does not have.
    #[error("authentication failed: {}", visible::line(.0))]
    AuthFailed(String),
    /// The connection's settings are wrong.
    #[error("{0}")]
    Settings(String),
    /// The request was sent, and the connection was lost before its answer: whether it was carried out is not known.
    #[error("the answer to {request} was lost ({}); whether it was carried out is not known", visible::line(why))]
    ConnectionLoss {
        /// The request, as `reconfig`.
        request: &'static str,
        /// What happened to the connection.
        why: String,
    },
    /// The request was sent, and no answer came before the deadline: whether it was carried out is not known.
    #[error("no answer to {request} within {} s; whether it was carried out is not known", .within.as_secs_f64())]
    TimedOut {
        /// The request.
        request: &'static str,
        /// The deadline.
        within: Duration,
    },
    /// The server answered with bytes that make no sense: whether the request was carried out is not known.
    #[error("the answer to {request} can't be read ({}); whether it was carried out is not known", visible::line(why))]
    Protocol {
        /// The request.
        request: &'static str,
        /// What can't be read.
        why: String,
    },
    /// The session has ended: the ensemble did not hear of it for longer than the session's time.
    #[error("the session has expired")]
    SessionExpired,
    /// The session was closed by [`ZooKeeper::close`](super::ZooKeeper::close).
    #[error("the session is closed")]
    Closed,
    /// The request is larger than a server takes; nothing was sent.
    #[error("{request} takes {bytes} bytes, and at most {bytes_max} are sent (jute.maxbuffer)")]
    TooLarge {
        /// The request.
        request: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// One operation of several is refused; none was carried out.
    #[error("operation {index} is refused: {error}")]
    Operation {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: Box<ZooKeeperError>,
    },
    /// The server refuses the request; nothing was changed.
    #[error("{}", show_refusal(*.0, .1))]
    Refused(Refusal, String),
}

/// What a server answers to a request that it does not carry out: ZooKeeper's `KeeperException.Code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not the version that was expected (-103).
    BadVersion,
    /// Too few servers of the new configuration are connected and up to date (-13).
    NewConfigNoQuorum,
    /// Another reconfiguration runs (-14).
    ReconfigInProgress,
    /// `reconfigEnabled` is not set (-123).
    ReconfigDisabled,
    /// The server has no such operation: a standalone server has no reconfig (-6).
    Unimplemented,
    /// The user may not (-102).
    NoAuth,
    /// The server can't make sense of the request (-8).
    BadArguments,
    /// The server can't read the request, as a server line of another form (-5).
    MarshallingError,
    /// There is no such node (-101).
    NoNode,
    /// There is such a node already (-110).
    NodeExists,
    /// The node has children (-111).
    NotEmpty,
    /// An ephemeral node can't have children (-108).
    NoChildrenForEphemerals,
    /// The access list is empty or names an unknown scheme (-114).
    InvalidAcl,
    /// The server is cut off from the leader and read-only (-119).
    NotReadOnly,
    /// The session moved to another server (-118).
    SessionMoved,
    /// A quota is exceeded (-125).
    QuotaExceeded,
    /// The server has too many requests to work on (-127).
    Throttled,
    /// Any other code.
    Other(i32),
}

impl Refusal {
    /// What a code means; 0 is none.
    pub fn of(code: i32) -> Option<Self> {
        Some(match code {
            0 => return None,
            -5 => Self::MarshallingError,
            -6 => Self::Unimplemented,
            -8 => Self::BadArguments,
            -13 => Self::NewConfigNoQuorum,
            -14 => Self::ReconfigInProgress,
            -101 => Self::NoNode,
            -102 => Self::NoAuth,
            -103 => Self::BadVersion,
            -108 => Self::NoChildrenForEphemerals,
            -110 => Self::NodeExists,
            -111 => Self::NotEmpty,
            -114 => Self::InvalidAcl,
            -118 => Self::SessionMoved,
            -119 => Self::NotReadOnly,
            -123 => Self::ReconfigDisabled,
            -125 => Self::QuotaExceeded,
            -127 => Self::Throttled,
            code => Self::Other(code),
        })
    }

    /// What it means, as a lower-case fragment.
    fn meaning(self) -> &'static str {
        match self {
            Self::BadVersion => "it has another version than expected (BadVersion)",
            Self::NewConfigNoQuorum => {
                "too few servers of the new configuration are connected and up to date (NewConfigNoQuorum)"
            }
            Self::ReconfigInProgress => "another reconfiguration runs (ReconfigInProgress)",
            Self::ReconfigDisabled => "the server's reconfigEnabled is not set (ReconfigDisabled)",
            Self::Unimplemented => "the server has no such operation, as a standalone server (Unimplemented)",
            Self::NoAuth => "this user may not (NoAuth)",
            Self::BadArguments => "the server can't make sense of the request (BadArguments)",
            Self::MarshallingError => "the server can't read the request (MarshallingError)",
            Self::NoNode => "there is no such node (NoNode)",
            Self::NodeExists => "there is such a node already (NodeExists)",
            Self::NotEmpty => "the node has children (NotEmpty)",
            Self::NoChildrenForEphemerals => "an ephemeral node can't have children (NoChildrenForEphemerals)",
            Self::InvalidAcl => "the access list is not valid (InvalidACL)",
            Self::NotReadOnly => "the server is cut off from the leader and read-only (NotReadOnly)",
            Self::SessionMoved => "the session moved to another server (SessionMoved)",
            Self::QuotaExceeded => "a quota is exceeded (QuotaExceeded)",
            Self::Throttled => "the server has too many requests to work on (Throttled)",
            Self::Other(_) => "the server refuses it",
        }
    }
}

impl ZooKeeperError {
    /// Whether the request may have been carried out all the same: read, then decide; never send it again blindly.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::ConnectionLoss { .. } | Self::TimedOut { .. } | Self::Protocol { .. })
    }

    /// What the server answered, where it refused the request; of several operations that of the one it refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal, _) => Some(*refusal),
            Self::Operation { error, .. } => error.refusal(),
            _ => None,
        }
    }
}

fn show_tried(tried: &[(String, String)]) -> String {
    if tried.is_empty() {
        return "no attempt to connect had ended by then".to_owned();
    }
    let one = |(address, why): &(String, String)| format!("{}: {}", visible::value(address), visible::line(why));
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn show_refusal(refusal: Refusal, subject: &str) -> String {
    let subject = visible::value(subject);
    match refusal {
        Refusal::Other(code) => format!("{subject}: {} (code {code})", refusal.meaning()),
        _ => format!("{subject}: {}", refusal.meaning()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_reconfiguration_has_a_meaning_of_its_own() {
        let codes = [-5, -6, -8, -13, -14, -102, -103, -123, -127, -42];
        let all: Vec<_> = codes.iter().map(|&code| Refusal::of(code).unwrap()).collect();
        for (position, refusal) in all.iter().enumerate() {
            assert!(!all[..position].contains(refusal));
            let shown = ZooKeeperError::Refused(*refusal, "reconfig".to_owned()).to_string();
            assert!(shown.starts_with("reconfig: "), "{shown}");
        }
        assert_eq!(Refusal::of(0), None);
        assert!(ZooKeeperError::Refused(Refusal::Other(-42), "/a".to_owned()).to_string().contains("-42"));
    }

    #[test]
    fn a_lost_answer_is_unknown_and_a_refusal_is_not() {
        let lost = ZooKeeperError::ConnectionLoss { request: "reconfig", why: "closed".to_owned() };
        assert!(lost.is_unknown() && lost.refusal().is_none());
        let refused = ZooKeeperError::Refused(Refusal::BadVersion, "/a".to_owned());
        let one = ZooKeeperError::Operation { index: 1, error: Box::new(refused) };
        assert!(!one.is_unknown());
        assert_eq!(one.refusal(), Some(Refusal::BadVersion));
        let unreachable = ZooKeeperError::Unreachable { tried: vec![], within: Duration::from_secs(1) };
        assert!(!unreachable.is_unknown(), "nothing was sent");
    }
}
