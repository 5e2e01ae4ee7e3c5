//! Figures as a table for people and as JSON for programs.

use comfy_table::Table;
use comfy_table::presets::UTF8_NO_BORDERS;
use serde_json::{Value, json};

use crate::measure::Measured;

/// The table.
pub(crate) fn table(all: &[Measured]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_NO_BORDERS);
    table.set_header([
        "what",
        "who",
        "median",
        "best",
        "worst",
        "runs",
        "peak MB",
        "requests",
        "answer KB",
        "to reach",
    ]);
    let mut before = "";
    for one in all {
        let title = if one.line == before { "" } else { one.line.as_str() };
        before = one.line.as_str();
        let mut cells = vec![title.to_owned(), one.contender.clone()];
        if let Some(reason) = &one.failed {
            cells.extend(["failed", "", "", "", "", "", ""].map(str::to_owned));
            cells.push(reason.chars().take(60).collect());
        } else {
            let best = one.seconds.iter().copied().reduce(f64::min);
            let worst = one.seconds.iter().copied().reduce(f64::max);
            cells.extend([one.median(), best, worst].map(|seconds| seconds.map_or_else(String::new, time)));
            cells.push(one.seconds.len().to_string());
            cells.push(one.megabytes.map_or_else(String::new, |megabytes| format!("{megabytes:.1}")));
            cells.push(one.requests_in_all().map_or_else(String::new, |count| count.to_string()));
            cells.push(one.answer_bytes.map_or_else(String::new, |bytes| bytes.div_ceil(1_000).to_string()));
            cells.push(goal(one));
        }
        table.add_row(cells);
    }
    table.to_string()
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1_000.0) } else { format!("{seconds:.2} s") }
}

fn goal(one: &Measured) -> String {
    let Some(reached) = one.reached() else { return String::new() };
    let goal = one.goal;
    let bounds = [
        goal.seconds.map(time),
        goal.megabytes.map(|megabytes| format!("{megabytes} MB")),
        goal.requests.map(|requests| format!("{requests} requests")),
    ];
    let bounds: Vec<_> = bounds.into_iter().flatten().collect();
    format!("{} {}", if reached { "✓" } else { "✗" }, bounds.join(", "))
}

/// The same with every single time.
pub(crate) fn json(all: &[Measured], binary_bytes: u64, missing: &[String]) -> Value {
    let lines: Vec<_> = all
        .iter()
        .map(|one| {
            json!({
                "line": one.line,
                "contender": one.contender,
                "medianSeconds": one.median(),
                "seconds": one.seconds,
                "peakMegabytes": one.megabytes,
                "requests": one.requests,
                "answerBytes": one.answer_bytes,
                "goal": {
                    "seconds": one.goal.seconds,
                    "megabytes": one.goal.megabytes,
                    "requests": one.goal.requests,
                },
                "reached": one.reached(),
                "failed": one.failed,
            })
        })
        .collect();
    json!({ "binaryBytes": binary_bytes, "missingRivals": missing, "lines": lines })
}
