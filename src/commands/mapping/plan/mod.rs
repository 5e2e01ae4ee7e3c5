//! (goal, observed) → [`Mapping`]: which partitions move where, and what a person should know. Pure and deterministic.

use std::fmt;

use serde::Serialize;

use crate::cluster::assignment::PartitionMove;

/// What the planner decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Mapping {
    /// The moves, ordered by topic and partition; none if the goal is met already.
    pub moves: Vec<PartitionMove>,
    /// What a person should know; blocking ones stop the plan from being written unless their code is allowed.
    pub findings: Vec<Finding>,
}

/// Something that the planner found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A stable word for `--allow`, as `no-n-minus-1`.
    pub code: &'static str,
    /// Whom it concerns, as `topic:orders` or `broker:3`.
    pub subject: String,
    /// What is the matter, and what to do.
    pub text: String,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The plan is not written unless the code is allowed.
    Blocking,
    /// Worth knowing.
    Advisory,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Blocking => "blocking",
            Self::Advisory => "advisory",
        })
    }
}
