//! Plans and results as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::change::carry_out::{Ended, Tally};
use crate::change::event::Outcome;
use crate::change::plan::{Plan, Refusal, Risk, Step, Warning};
use crate::cluster::broker::BrokerId;
use crate::cluster::size::Bytes;
use crate::cluster::visible;

/// Most lines of one kind (steps, warnings, refusals, failures) that [`summary`] and [`result_text`] show.
pub const LINES_MAX: usize = 50;

/// So many of the steps are shown as examples where there are more than [`LINES_MAX`].
const EXAMPLES: usize = 10;

/// A plan as lines: steps as they print themselves, then `!` warnings, then what is refused and why, then the counts.
pub fn text<S: Step>(plan: &Plan<S>) -> String {
    let mut out = String::new();
    out.extend(plan.steps.iter().map(step_line));
    out.extend(plan.warnings.iter().map(warning_line));
    out.extend(plan.refusals.iter().map(refusal_line));
    let _ = writeln!(out, "{}", counts(plan));
    out
}

/// The same, but of more than [`LINES_MAX`] steps only the first ones and those that lose data, their number by kind, and the replicas and bytes
/// that each broker gets; of as many warnings and refusals the first ones.
pub fn summary<S: Step>(plan: &Plan<S>) -> String {
    let Plan { steps, warnings, refusals } = plan;
    let mut out = String::new();
    let examples = if steps.len() > LINES_MAX { EXAMPLES } else { steps.len() };
    let (mut examples, mut left) = (examples, 0);
    for step in steps {
        // Whoever agrees to lose data has seen each name.
        let is_shown = step.risk() == Risk::LosesData || examples > 0;
        if is_shown {
            examples = examples.saturating_sub(1);
            out.push_str(&step_line(step));
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let _ = writeln!(out, "… and {left} more steps; -o wide shows all of them");
        let _ = writeln!(out, "{}", by_kind(steps));
        out.push_str(&by_broker(steps));
    }
    out.push_str(&first_lines(warnings.iter().map(warning_line), "warnings; -o wide shows all of them"));
    out.push_str(&first_lines(refusals.iter().map(refusal_line), "refusals; -o wide shows all of them"));
    let _ = writeln!(out, "{}", counts(plan));
    out
}

/// A step's line: whatever names and values are in it, it is one.
fn step_line<S: Step>(step: &S) -> String {
    format!("{}\n", visible::line(&step.to_string()))
}

fn warning_line(warning: &Warning) -> String {
    format!("! {}\n", visible::line(&warning.text))
}

fn refusal_line(refusal: &Refusal) -> String {
    let line = format!("{} {}: {}", refusal.change, name(&refusal.subject), refusal.reason);
    format!("! refused: {}\n", visible::line(&line))
}

/// The first lines, and how many are left out.
fn first_lines(lines: impl ExactSizeIterator<Item = String>, noun: &str) -> String {
    let left = lines.len().saturating_sub(LINES_MAX);
    let mut out: String = lines.take(LINES_MAX).collect();
    if left > 0 {
        let _ = writeln!(out, "! … and {left} more {noun}");
    }
    out
}

/// `1200 steps: 1150 move, 50 elect`.
fn by_kind<S: Step>(steps: &[S]) -> String {
    let mut numbers: Vec<(S::Batch, usize)> = Vec::new();
    for step in steps {
        match numbers.iter_mut().find(|(batch, _)| *batch == step.batch()) {
            Some((_, number)) => *number += 1,
            None => numbers.push((step.batch(), 1)),
        }
    }
    let words: Vec<_> = numbers.iter().map(|(batch, number)| format!("{number} {batch}")).collect();
    format!("{} steps: {}", steps.len(), words.join(", "))
}

/// Replicas of one broker: those that are added, with their bytes, and those that are removed.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    added: usize,
    bytes_added: u64,
    removed: usize,
}

/// A line for each broker whose replicas change; empty where none do.
fn by_broker<S: Step>(steps: &[S]) -> String {
    let mut flows: BTreeMap<BrokerId, Flow> = BTreeMap::new();
    for change in steps.iter().flat_map(Step::replica_changes) {
        let flow = flows.entry(change.broker).or_default();
        if change.is_added {
            flow.added += 1;
            flow.bytes_added = flow.bytes_added.saturating_add(change.bytes);
        } else {
            flow.removed += 1;
        }
    }
    let Some(copied) = flows.values().map(|flow| flow.bytes_added).reduce(u64::saturating_add) else {
        return String::new();
    };
    let mut out = format!("{} to copy in all\n", Bytes(copied));
    for (broker, flow) in flows.iter().take(LINES_MAX) {
        let Flow { added, bytes_added, removed } = *flow;
        let _ = writeln!(out, "  broker {broker}: {added} replicas added ({}), {removed} removed", Bytes(bytes_added));
    }
    if flows.len() > LINES_MAX {
        let _ = writeln!(out, "  … and {} more brokers", flows.len() - LINES_MAX);
    }
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

/// The result of a plan: each step that is not done with its reason (the first ones, unless `whole`), then the counts.
pub fn result_text<S: Step>(ended: &[(S, Ended)], tally: Tally, whole: bool) -> String {
    let line = |(step, Ended { outcome, reason, .. }): &(S, Ended)| {
        let line = format!("{outcome}: {step}: {}", reason.as_deref().unwrap_or("no reason is known"));
        format!("! {}\n", visible::line(&line))
    };
    let lines: Vec<_> = ended.iter().filter(|(_, ended)| ended.outcome != Outcome::Done).map(line).collect();
    let mut out = if whole {
        lines.concat()
    } else {
        first_lines(lines.into_iter(), "steps that are not done; `toolbox events list` shows all of them")
    };
    let _ = writeln!(out, "{tally}");
    out
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

/// The result of a plan as JSON: `{steps: [{subject, kind, outcome, reason}], done, failed, refused, unknown, unchanged}`.
pub fn result_json<S: Step>(ended: &[(S, Ended)], tally: Tally) -> Value {
    let steps: Vec<_> = ended
        .iter()
        .map(|(step, Ended { outcome, reason, .. })| {
            json!({ "subject": step.subject(), "kind": step.kind(), "outcome": outcome, "reason": reason })
        })
        .collect();
    let Tally { done, failed, refused, unknown, unchanged } = tally;
    json!({
        "steps": steps, "done": done, "failed": failed, "refused": refused, "unknown": unknown, "unchanged": unchanged
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::change::plan::ReplicaChange;

    /// A replica of 10 bytes on one of three brokers in turn, in the place of that on broker 9.
    #[derive(Debug, Clone, Serialize)]
    struct Move(i32);

    impl fmt::Display for Move {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "~ partition orders-{}", self.0)
        }
    }

    impl Step for Move {
        type Batch = &'static str;

        fn subject(&self) -> String {
            format!("partition:orders-{}", self.0)
        }

        fn risk(&self) -> Risk {
            Risk::MovesData
        }

        fn kind(&self) -> &'static str {
            "reassign.move_started"
        }

        fn batch(&self) -> &'static str {
            "move"
        }

        fn replica_changes(&self) -> Vec<ReplicaChange> {
            ReplicaChange::between(&[BrokerId(9)], &[BrokerId(self.0 % 3)], 10)
        }
    }

    fn plan(steps: i32) -> Plan<Move> {
        Plan { steps: (0..steps).map(Move).collect(), ..Plan::default() }
    }

    #[test]
    fn a_plan_of_fifty_steps_is_shown_whole_and_a_longer_one_as_a_summary_with_counts_and_bytes_by_broker() {
        assert_eq!(summary(&plan(50)), text(&plan(50)));
        assert_eq!(text(&plan(51)).lines().count(), 52);
        let shown = summary(&plan(51));
        let lines: Vec<_> = shown.lines().skip(9).collect();
        let expected = [
            "~ partition orders-9",
            "… and 41 more steps; -o wide shows all of them",
            "51 steps: 51 move",
            "510 B to copy in all",
            "  broker 0: 17 replicas added (170 B), 0 removed",
            "  broker 1: 17 replicas added (170 B), 0 removed",
            "  broker 2: 17 replicas added (170 B), 0 removed",
            "  broker 9: 0 replicas added (0 B), 51 removed",
            "51 to change; risk moves-data",
        ];
        assert_eq!(lines, expected, "{shown}");
        assert_eq!(json(&plan(51))["steps"].as_array().map(Vec::len), Some(51), "programs get all of it");
    }

    #[test]
    fn many_warnings_refusals_and_failures_are_cut_and_counted() {
        let mut long = plan(0);
        for number in 0..70 {
            long.warn(format!("warning {number}"));
            long.refuse(format!("partition:orders-{number}"), "move", "no");
        }
        let shown = summary(&long);
        assert_eq!(shown.lines().count(), 2 * (LINES_MAX + 1) + 1, "{shown}");
        assert!(shown.contains("! … and 20 more warnings; -o wide shows all of them\n"), "{shown}");
        assert!(shown.ends_with("! … and 20 more refusals; -o wide shows all of them\nnothing to do; 70 refused\n"));
        let ended: Vec<_> = (0..60).map(|number| (Move(number), Ended::failed("no"))).collect();
        let tally = Tally::of(&ended);
        assert_eq!(result_text(&ended, tally, false).lines().count(), LINES_MAX + 2);
        assert_eq!(result_text(&ended, tally, true).lines().count(), 61);
    }
}
