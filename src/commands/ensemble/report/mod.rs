//! The pages of `ensemble status`: of a ZooKeeper ensemble, and of a quorum of KRaft controllers.

pub mod ensemble;
pub mod quorum;

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{Alert, Finding};
use crate::commands::ensemble::plan::guards::Judgement;
use crate::commands::ensemble::plan::pass::{Candidate, Decision, Protocol};

/// What stands below a table: what is wrong, what forbids every change, and what would be next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Foot {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What forbids every change now.
    pub refusal: Option<Refusal>,
    /// What `ensemble apply` would do next, or why it does nothing; none without a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

impl Foot {
    /// Whether nothing is wrong. A refusal by the name of `harmless` is none of health: only changes are impossible.
    fn is_healthy(&self, harmless: Code) -> bool {
        let is_bad = self.refusal.as_ref().is_some_and(|refusal| refusal.code != harmless);
        !is_bad && !self.findings.iter().any(is_alert)
    }
}

impl fmt::Display for Foot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wrong(&self.findings, self.refusal.as_ref()))?;
        match &self.next_step {
            Some(next) => writeln!(f, "\nNext step of `toolbox ensemble apply`: {next}"),
            None => Ok(()),
        }
    }
}

/// What a pass would do, in one line; `change`: how a change is said.
fn next_step<P: Protocol>(decision: &Decision<P>, change: impl Fn(&P::Change) -> String) -> String {
    match decision {
        Decision::Nothing => "nothing: all is as desired".to_owned(),
        Decision::Wait(why) => format!("wait: {why}"),
        Decision::Refuse(refusal) => format!("refuse: {refusal}"),
        Decision::Confirm(op) => format!("confirm and record {op}"),
        Decision::Change(it) => change(it),
    }
}

fn wrong(findings: &[Finding], refusal: Option<&Refusal>) -> String {
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
pub fn checks<P: Protocol>(candidates: &[Candidate<P>]) -> String {
    let mut text = String::new();
    for Candidate { change, checks } in candidates {
        let _ = writeln!(text, "{change}");
        for check in checks {
            let judgement = match check.judgement {
                Judgement::Holds => "holds".to_owned(),
                Judgement::Refuses(code) => format!("refuses with {code}"),
                Judgement::Waits => "waits".to_owned(),
                Judgement::Unmeasured => "not measured".to_owned(),
            };
            let _ = writeln!(text, "  {:<3} {judgement} ({}): {}", check.guard, check.guard.words(), check.numbers);
        }
        text.push('\n');
    }
    text
}

/// Whether a finding is an alert.
pub fn is_alert(finding: &Finding) -> bool {
    finding.alert != Alert::Notice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::desired::ChangeKind;
    use crate::cluster::ensemble::member::ServerId;
    use crate::commands::ensemble::plan::change::Change;
    use crate::commands::ensemble::plan::guards::{Guard, judged};
    use crate::commands::ensemble::plan::{Candidate, ZooKeeper};

    #[test]
    fn each_guard_says_what_it_demands_and_how_it_judged() {
        let change =
            Change { kind: ChangeKind::Shrink, target: ServerId(3), instead_of: None, line: None, is_leader: false };
        let checks = vec![
            judged(Guard::I1, true, Code::ReconfigOff, "3 -> 2".to_owned()),
            judged(Guard::I12, false, Code::UnsafeSize, "1".to_owned()),
        ];
        let candidate: Candidate = Candidate { change, checks };
        let text = super::checks::<ZooKeeper>(&[candidate]);
        assert!(text.contains("  I1  holds (one member a call, from a known version): 3 -> 2\n"), "{text}");
        assert!(
            text.contains("  I12 refuses with E_UNSAFE_SIZE (the removed member is stopped afterwards): 1\n"),
            "{text}"
        );
    }
}
