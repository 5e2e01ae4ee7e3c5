//! (goal, observed) → [`Mapping`]: which partitions move where, and what a person should know. Pure and deterministic.

mod band;
mod budget;
mod even;
pub mod explain;
mod facts;
mod fill;
mod fit;
#[cfg(test)]
mod laws;
mod layout;
mod leaders;
mod limit;
mod mend;
mod model;
mod must;
mod notes;
mod numbers;
mod pairs;
mod peak;
mod refine;
mod second;
mod spread;
mod stuck;
mod survive;
#[cfg(test)]
mod tests;
mod verbs;
pub mod verify;
mod weigh;
mod window;

use std::fmt;

use serde::Serialize;

use crate::cluster::assignment::PartitionMove;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::spec::goal::Goal;

pub use explain::explain;
pub use verify::verify;

/// What the planner decided.
///
/// Its plans are legal (see [`verify()`]), and the same whatever the order of the input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Mapping {
    /// The moves, ordered by topic and partition; none if the goal is met already.
    pub moves: Vec<PartitionMove>,
    /// What a person should know; blocking ones stop the plan from being written unless their code is allowed.
    pub findings: Vec<Finding>,
}

/// Plans.
///
/// 1. What must change is placed: replicas on brokers that leave, other replication factors, racks to repair.
/// 2. Loads are evened out, where the verb asks for it: replicas go from full to empty brokers of a rack. What is above
///    its disk limit comes below it first, whatever the tolerance.
/// 3. Preferred leaders are evened out by the order of replicas.
/// 4. What a person should know is noted: what could not be done, and what would happen if a broker were lost.
pub fn plan(goal: &Goal, observed: &Observed) -> Mapping {
    let model = model::Model::new(goal, observed);
    let spread = spread::Spread::new(&model);
    let mut notes = notes::Notes::default();
    let layout = verbs::draft(&model, &spread, &mut notes);
    facts::note(&layout, observed, &mut notes);
    survive::check(&layout, &mut notes);
    Mapping { moves: layout.moves(), findings: notes.finish() }
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
