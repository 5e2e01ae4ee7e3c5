//! How a server's port behaves when it is greeted, and what its process does meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What came of one greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reaction", content = "why")]
pub enum Reaction {
    /// The answer that was expected has begun.
    Answered,
    /// Something else was said: another protocol, or a refusal.
    OtherAnswer,
    /// The connection was closed without a byte.
    HungUp,
    /// The connection was made, and nothing came in time.
    Silent,
    /// No connection was made in time: the process does not accept, or the network drops what is sent.
    NotAccepted,
    /// Nobody listens there.
    Refused(String),
    /// The name has no address, or the network can't be reached from here.
    NoWay(String),
}

/// What the CPU time of a process did while it was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cpu", content = "detail")]
pub enum CpuUse {
    /// Nobody looked: there was an answer.
    NotLookedAt,
    /// It grew: the process works.
    Grew,
    /// It stood still for so long: the process is frozen.
    StoodStill(Duration),
    /// It can't be seen, and why.
    Unseen(String),
}
