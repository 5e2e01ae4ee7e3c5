//! What a probe decides, from plain data: [`alive`] for any server, [`zookeeper`], [`kafka`] and [`controller`] for
//! readiness, [`aged`] for answers from memory. Every verdict explains itself in one line.

pub mod aged;
pub mod alive;
pub mod controller;
pub mod kafka;
#[cfg(test)]
mod tests;
pub mod zookeeper;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The process serves, or at least works.
    Alive,
    /// It does not: only a restart helps.
    NotAlive,
    /// Clients may use it, and the next one may be restarted.
    Ready,
    /// It is not ready (yet).
    NotReady,
    /// It is not ready, for longer than that should take: a person should look.
    ReadyDegraded,
    /// It could not be found out.
    Unknown,
}

impl State {
    /// Whether the probe passes.
    pub fn passes(self) -> bool {
        matches!(self, Self::Alive | Self::Ready)
    }

    /// The exit code: 0, 5, or 1 where it could not be found out. A kubelet takes all but 0 for a failure.
    pub fn exit(self) -> Exit {
        match self {
            Self::Alive | Self::Ready => Exit::Done,
            Self::NotAlive | Self::NotReady | Self::ReadyDegraded => Exit::Unhealthy,
            Self::Unknown => Exit::Failed,
        }
    }

    /// As JSON has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::NotAlive => "not_alive",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::ReadyDegraded => "ready_degraded",
            Self::Unknown => "unknown",
        }
    }
}

/// What a probe found, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What.
    pub state: State,
    /// Why, in one line.
    pub reason: String,
}

impl Verdict {
    /// Of a state and its reason.
    pub fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into() }
    }
}
