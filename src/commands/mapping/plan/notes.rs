//! [`Notes`]: collects findings, those about partitions as one per topic and code.

use std::collections::BTreeMap;

use super::Finding;
use super::Severity;
use super::model::Model;

/// Findings in the making.
#[derive(Default)]
pub(super) struct Notes {
    findings: Vec<Finding>,
    /// Partitions by severity, code, topic and words.
    partitions: BTreeMap<(Severity, &'static str, String, String), Vec<u32>>,
}

/// Most partitions that one finding names.
const NAMED_MAX: usize = 12;

impl Notes {
    /// Adds a finding.
    pub(super) fn add(&mut self, severity: Severity, code: &'static str, subject: String, text: String) {
        self.findings.push(Finding { severity, code, subject, text });
    }

    /// Adds a finding about one partition.
    pub(super) fn about(
        &mut self,
        model: &Model<'_>,
        partition: usize,
        (severity, code): (Severity, &'static str),
        text: &str,
    ) {
        let part = &model.partitions[partition];
        let key = (severity, code, part.topic.to_string(), text.to_owned());
        self.partitions.entry(key).or_default().push(part.number);
    }

    /// All findings, blocking ones first.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings;
        for ((severity, code, topic, text), mut numbers) in self.partitions {
            numbers.sort_unstable();
            let subject = format!("topic:{topic}");
            findings.push(Finding { severity, code, subject, text: format!("{}: {text}", named(&numbers)) });
        }
        findings.sort();
        findings.dedup();
        findings
    }
}

fn named(numbers: &[u32]) -> String {
    let word = if numbers.len() == 1 { "partition" } else { "partitions" };
    let shown: Vec<_> = numbers.iter().take(NAMED_MAX).map(u32::to_string).collect();
    match numbers.len().checked_sub(NAMED_MAX) {
        None | Some(0) => format!("{word} {}", shown.join(", ")),
        Some(more) => format!("{word} {} and {more} more", shown.join(", ")),
    }
}
