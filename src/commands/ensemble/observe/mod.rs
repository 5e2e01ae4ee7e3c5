//! What the servers of an ensemble, or the controllers of a quorum, say of themselves: asked all at once, within a limit for the
//! whole look.

pub mod channels;
mod clusters;
pub mod controllers;
pub mod pass;
pub mod pods;
pub mod quorum;
mod server;
pub mod servers;
pub mod sessions;
pub mod start;
pub mod stored;

use serde::{Deserialize, Serialize};

use crate::commands::ensemble::observe::quorum::QuorumLook;
use crate::commands::ensemble::observe::servers::Look;

/// What was observed, as `--save-observed` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// A ZooKeeper ensemble.
    Ensemble(Box<Look>),
    /// A quorum of KRaft controllers.
    Quorum(Box<QuorumLook>),
}
