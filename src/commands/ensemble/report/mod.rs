//! The pages of `ensemble status`: of a ZooKeeper ensemble, and of a quorum of KRaft controllers.

pub mod ensemble;
pub mod quorum;

use std::fmt::Write as _;

use crate::commands::ensemble::plan::code::Refusal;
use crate::commands::ensemble::plan::coherence::{Alert, Finding};

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

/// Whether a finding is an alert.
fn is_alert(finding: &Finding) -> bool {
    finding.alert != Alert::Notice
}
