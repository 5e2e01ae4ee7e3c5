//! Moves that are about to be submitted, as the run that submits them tells the one that paces what moves.

use serde::{Deserialize, Serialize};

use crate::cluster::assignment::PartitionMove;

/// Moves that are submitted as soon as their throttles are in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Handover {
    /// The run that submits them; empty where there is none.
    #[serde(default)]
    pub run_id: String,
    /// The moves; none when nothing is about to be submitted.
    #[serde(default)]
    pub moves: Vec<PartitionMove>,
    /// How often the same moves were handed over again: the other run forgets moves that are not submitted for a while.
    #[serde(default)]
    pub round: u64,
}
