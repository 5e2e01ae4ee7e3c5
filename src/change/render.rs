//! Plans and results as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::change::carry_out::{Ended, Tally};
use crate::change::event::Outcome;
use crate::change::plan::{Plan, Risk, Step};

/// A plan as lines: steps as they print themselves, then `!` warnings, then what is refused and why, then the counts.
pub fn text<S: Step>(plan: &Plan<S>) -> String {
    let Plan { steps, warnings, refusals } = plan;
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(out, "{step}");
    }
    for warning in warnings {
        let _ = writeln!(out, "! {}", warning.text);
    }
    for refusal in refusals {
        let _ = writeln!(out, "! refused: {} {}: {}", refusal.change, name(&refusal.subject), refusal.reason);
    }
    let _ = writeln!(out, "{}", counts(plan));
    out
}

/// The subject's name without its kind.
fn name(subject: &str) -> &str {
    subject.split_once(':').map_or(subject, |(_, name)| name)
}

/// The last line of a shown plan: what would be done, the highest risk, what is refused.
pub fn counts<S: Step>(plan: &Plan<S>) -> String {
    let Plan { steps, warnings: _, refusals } = plan;
    let refused = match refusals.len() {
        0 => String::new(),
        n => format!("; {n} refused"),
    };
    let Some(risk) = highest_risk(steps) else {
        return format!("nothing to do{refused}");
    };
    let signs: Vec<_> = steps.iter().map(|step| step.to_string().chars().next().unwrap_or(' ')).collect();
    let count = |sign: char| signs.iter().filter(|found| **found == sign).count();
    let parts: Vec<_> = [('+', "to create"), ('~', "to change"), ('-', "to remove")]
        .iter()
        .map(|(sign, words)| (count(*sign), words))
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    format!("{}; risk {risk}{refused}", parts.join(", "))
}

/// The highest risk of any step; none without steps.
pub fn highest_risk<S: Step>(steps: &[S]) -> Option<Risk> {
    steps.iter().map(Step::risk).max()
}

/// What became of a plan: each step that is not done with its reason, then the counts.
pub fn result_text<S: Step>(ended: &[(S, Ended)], tally: Tally) -> String {
    let mut out = String::new();
    for (step, Ended { outcome, reason }) in ended {
        let word = word(*outcome);
        if *outcome != Outcome::Done {
            let first = step.to_string().lines().next().unwrap_or_default().to_owned();
            let _ = writeln!(out, "! {word}: {first}: {}", reason.as_deref().unwrap_or("no reason is known"));
        }
    }
    let Tally { done, failed, refused, unknown } = tally;
    let _ = writeln!(out, "{done} done, {failed} failed, {refused} refused, {unknown} unknown");
    out
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Planned => "planned",
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
    }
}

/// One step as programs read it.
#[derive(Debug, Serialize)]
struct StepRow<'a, S> {
    subject: String,
    kind: &'static str,
    risk: Risk,
    line: String,
    step: &'a S,
}

/// A plan as JSON: `{steps: [{subject, kind, risk, line, step}], warnings, refusals, summary}`.
pub fn json<S: Step>(plan: &Plan<S>) -> Value {
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
    json!({ "steps": rows, "warnings": warnings, "refusals": refusals, "summary": counts(plan) })
}

/// What became of a plan as JSON: `{steps: [{subject, kind, outcome, reason}], done, failed, refused, unknown}`.
pub fn result_json<S: Step>(ended: &[(S, Ended)], tally: Tally) -> Value {
    let steps: Vec<_> = ended
        .iter()
        .map(|(step, Ended { outcome, reason })| {
            json!({ "subject": step.subject(), "kind": step.kind(), "outcome": outcome, "reason": reason })
        })
        .collect();
    let Tally { done, failed, refused, unknown } = tally;
    json!({ "steps": steps, "done": done, "failed": failed, "refused": refused, "unknown": unknown })
}
