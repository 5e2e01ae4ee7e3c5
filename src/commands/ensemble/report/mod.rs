//! The pages of `ensemble status`: of a ZooKeeper ensemble, and of a quorum of KRaft controllers.

pub mod ensemble;
pub mod quorum;

use std::fmt::{self, Write as _};

use crate::commands::ensemble::plan::Candidate;
use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::coherence::{Alert, Finding};
use crate::commands::ensemble::plan::guards::{Check, Judgement};

/// What stands below a table: what is wrong, and what forbids every change.
fn foot(findings: &[Finding], refusal: Option<&Refusal>) -> String {
    let mut text = String::new();
    let titles = [
        (Alert::IncoherentConfiguration, "Incoherent configuration"),
        (Alert::UnsafeNumber, "Unsafe number"),
        (Alert::Notice, "Notes"),
    ];
    for (alert, title) in titles {
        let found: Vec<_> = findings.iter().filter(|finding| finding.alert == alert).collect();
        if found.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{title}:");
        for finding in found {
            let _ = writeln!(text, "  {}", finding.text);
        }
    }
    match refusal {
        Some(refusal) => {
            let _ = writeln!(text, "\nEvery change would be refused: {refusal}");
        }
        None if findings.is_empty() => text.push_str("\nNothing is wrong.\n"),
        None => {}
    }
    text
}

/// Every change that could be next, with its guards and their numbers.
pub fn checks(candidates: &[Candidate]) -> String {
    candidates.iter().map(|candidate| checks_of(&candidate.change, &candidate.checks)).collect()
}

/// A change with its guards and their numbers.
fn checks_of(change: &dyn fmt::Display, checks: &[Check]) -> String {
    let mut text = format!("{change}\n");
    for check in checks {
        let judgement = match check.judgement {
            Judgement::Holds => "holds".to_owned(),
            Judgement::Refuses(code) => format!("refuses ({code})"),
            Judgement::Waits => "waits".to_owned(),
            Judgement::Unmeasured => "not measured".to_owned(),
        };
        let _ = writeln!(text, "  {:<4}{judgement}: {}", check.guard, check.numbers);
    }
    text.push('\n');
    text
}

/// Whether a finding is an alert.
pub fn is_alert(finding: &Finding) -> bool {
    finding.alert != Alert::Notice
}
