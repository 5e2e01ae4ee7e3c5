//! What `rollout` shows: a verdict with its reasons and partitions.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cluster::broker::BrokerId;
use crate::cluster::visible;
use crate::commands::rollout::plan::{Done, End};
use crate::commands::rollout::verdict::{Answer, Blocker, Verdict};

/// A verdict as JSON has it.
#[derive(Debug, Clone, Serialize)]
pub struct Check<'a> {
    /// The server, as `broker 3`.
    pub subject: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: &'a Verdict,
}

impl<'a> Check<'a> {
    /// Of a server.
    pub fn new(subject: &impl std::fmt::Display, verdict: &'a Verdict) -> Self {
        Self { subject: subject.to_string(), verdict }
    }
}

/// Partitions that are shown unless everything is.
const SHOWN_MAX: usize = 20;

/// A verdict as a person reads it.
pub fn check(subject: &impl std::fmt::Display, verdict: &Verdict, is_wide: bool) -> String {
    let mut text = match verdict.answer {
        Answer::MayStop => format!("{subject} may stop now\n"),
        Answer::Wait => format!("{subject} may not stop now, wait:\n"),
        Answer::Refused => format!("{subject} may not stop:\n"),
    };
    for reason in &verdict.reasons {
        let _ = writeln!(text, "  {}", visible::line(&reason.text));
    }
    for note in &verdict.notes {
        let _ = writeln!(text, "! {}", visible::line(note));
    }
    let most = if is_wide { usize::MAX } else { SHOWN_MAX };
    let blocking = partitions(verdict.blockers_count, &verdict.blockers, most);
    let suffering = partitions(verdict.unavoidable_count, &verdict.unavoidable, most);
    for (title, rows) in [
        ("Partitions that do not allow it", blocking),
        ("Partitions that will be unavailable or below min ISR", suffering),
    ] {
        if !rows.is_empty() {
            let _ = write!(text, "\n{title}: {rows}");
        }
    }
    text
}

/// How many there are, and a table of those that are named.
fn partitions(count: usize, named: &[Blocker], most: usize) -> String {
    if named.is_empty() {
        return String::new();
    }
    let ids = |ids: &[BrokerId]| match ids {
        [] => "-".to_owned(),
        ids => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let row = |it: &Blocker| {
        let waits = if it.waits_for.is_empty() { String::new() } else { format!(", waits for {}", ids(&it.waits_for)) };
        let partition = format!("{}-{}", it.topic, it.partition);
        [partition, ids(&it.isr), it.min_isr.to_string(), format!("{}{waits}", it.why)]
    };
    let rows: Vec<_> = named.iter().take(most).map(row).collect();
    let head = ["PARTITION", "ISR", "MIN ISR", "WHY"];
    let width = |column: usize| rows.iter().map(|row| row[column].len()).chain([head[column].len()]).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = format!("{count}\n");
    let heads = head.map(str::to_owned);
    for row in std::iter::once(&heads).chain(&rows) {
        let [one, two, three] = widths;
        let _ = writeln!(text, "{:<one$}  {:<two$}  {:<three$}  {}", row[0], row[1], row[2], row[3]);
    }
    if count > rows.len() {
        let _ = writeln!(text, "and {} more", count - rows.len());
    }
    text
}

/// How a roll ended, as JSON has it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rolled<'a> {
    /// Whether every server has the revision and is well.
    pub is_complete: bool,
    /// Who was restarted by this run, in order.
    pub restarted: &'a [String],
    /// Partitions whose preferred leader was elected.
    pub elected: usize,
    /// What it waited for, where it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<&'a str>,
}

impl<'a> Rolled<'a> {
    /// Of a roll.
    pub fn new(done: &'a Done) -> Self {
        let waits_for = match &done.end {
            End::Finished => None,
            End::Paused(why) => Some(&**why),
        };
        Self { is_complete: waits_for.is_none(), restarted: &done.restarted, elected: done.elected, waits_for }
    }
}

/// How a roll ended, as a person reads it.
pub fn rolled(done: &Done) -> String {
    let restarted = done.restarted.len();
    match &done.end {
        End::Finished => format!("{restarted} restarted, {} leaders elected; all are in sync\n", done.elected),
        End::Paused(why) => {
            let why = visible::line(why);
            format!("paused: {restarted} restarted; waited too long: {why}. Run the same command to go on\n")
        }
    }
}
