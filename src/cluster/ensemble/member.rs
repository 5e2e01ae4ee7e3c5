//! Ids and roles of an ensemble's servers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A server's id: the number in `myid`, and the N of `server.N`. ZooKeeper reads any whole number from 0; what this
/// toolbox adds to an ensemble lies in 1 to 255 ([`ServerId::is_usable`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub i64);

impl ServerId {
    /// Whether it may be given to a new server: 1 to 255, as ZooKeeper's administrator guide asks for.
    pub fn is_usable(self) -> bool {
        (1..=255).contains(&self.0)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServerId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i64>() {
            Ok(id) if id >= 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self(id)),
            _ => Err("a server id is a whole number from 0, usually 1 to 255".to_owned()),
        }
    }
}

/// Whether a server votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It votes: it may lead, and counts for the quorum.
    Participant,
    /// It follows without a vote.
    Observer,
}

impl Role {
    /// ZooKeeper's own word, as it stands in a server line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Ids on one line, as `1, 2 and 5`; `none` where there are none.
pub fn listed(ids: impl IntoIterator<Item = ServerId>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    match &ids[..] {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
