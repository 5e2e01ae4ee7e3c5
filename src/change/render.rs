//! Plans as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::change::plan::{Plan, Step};

/// A plan as lines: steps as they print themselves, then `!` warnings, then what is refused and why.
pub fn text<S: Step>(plan: &Plan<S>) -> String {
    let Plan { steps, warnings, refusals } = plan;
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(out, "{step}");
    }
    for warning in warnings {
        let _ = writeln!(out, "! {warning}");
    }
    for refusal in refusals {
        let _ = writeln!(out, "! refused: {} {}: {}", refusal.change, refusal.subject, refusal.reason);
    }
    out
}

/// One step as programs read it.
#[derive(Debug, Serialize)]
struct StepRow<'a, S> {
    subject: String,
    kind: &'static str,
    risk: crate::change::plan::Risk,
    line: String,
    step: &'a S,
}

/// A plan as JSON: `{steps: [{subject, kind, risk, line, step}], warnings, refusals}`.
pub fn json<S: Step>(plan: &Plan<S>) -> serde_json::Value {
    let Plan { steps, warnings, refusals } = plan;
    let rows: Vec<_> = steps
        .iter()
        .map(|step| StepRow {
            subject: step.subject(),
            kind: step.kind(),
            risk: step.risk(),
            line: step.to_string(),
            step,
        })
        .collect();
    serde_json::json!({ "steps": rows, "warnings": warnings, "refusals": refusals })
}
