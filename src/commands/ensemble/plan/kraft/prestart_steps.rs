//! The start of a controller as a plan: the document first, then the properties, then the disk.

use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{Plan, Risk, Step};
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::quorum::NodeId;
use crate::commands::ensemble::plan::kraft::prestart::{Format, Ground, Next, Terms};
use crate::commands::ensemble::plan::prestart::StartBatch;

/// The file that the controller's server starts with, as it is to be.
#[derive(Debug, Clone)]
pub struct PropertiesFile {
    /// Where.
    pub path: String,
    /// Its text. It may hold passwords.
    pub text: String,
    /// Whether it is there with this text.
    pub is_there: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ControllerStep {
    /// The controller.
    pub node: NodeId,
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Act {
    /// The document is written.
    Record {
        /// What changes in it.
        what: String,
    },
    /// The server's properties are written.
    WriteProperties {
        /// Where.
        path: String,
    },
    /// The disk is formatted by Kafka's own tool.
    Format {
        /// How.
        how: Format,
        /// Why.
        why: String,
    },
}

/// The steps, and the document as it is to be, where it changes.
pub fn steps(terms: &Terms, ground: &Ground, next: &Next, file: &PropertiesFile) -> Plan<ControllerStep> {
    let mut plan = Plan::default();
    let desired = match next {
        Next::Start(desired) | Next::Format { desired, .. } => desired,
        Next::Wait(_) => return plan,
        Next::Refuse(refusal) => {
            plan.refuse(format!("controller:{}", terms.node), "start", refusal.to_string());
            return plan;
        }
    };
    let mut add = |act: Act| plan.steps.push(ControllerStep { node: terms.node, act });
    if ground.record.as_ref() != Some(desired) {
        add(Act::Record { what: what(terms, ground.record.as_ref(), desired) });
    }
    if !file.is_there {
        add(Act::WriteProperties { path: file.path.clone() });
    }
    if let Next::Format { how, why, .. } = next {
        add(Act::Format { how: *how, why: why.clone() });
    }
    plan
}

fn what(terms: &Terms, before: Option<&DesiredQuorum>, after: &DesiredQuorum) -> String {
    let directory = |desired: &DesiredQuorum| desired.members.get(&terms.node).and_then(|member| member.directory);
    let pod = terms.pod.as_ref().map(|pod| format!(" for pod {pod}")).unwrap_or_default();
    match (before, directory(after)) {
        (None, _) => format!("a new quorum of {} voters, begun by this controller{pod}", after.size),
        (Some(before), _) if !before.members.contains_key(&terms.node) => format!("the id is reserved{pod}"),
        (Some(before), Some(now)) if directory(before) != Some(now) => format!("its directory id is {now}"),
        (Some(before), None) if directory(before).is_some() => "its former directory id is given up".to_owned(),
        _ => format!("the entry of the controller is completed{pod}"),
    }
}

impl fmt::Display for ControllerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node;
        match &self.act {
            Act::Record { what } => write!(f, "~ controller {node}: document: {what}"),
            Act::WriteProperties { path } => write!(f, "+ controller {node}: {path} is written"),
            Act::Format { how, why } => {
                write!(f, "+ controller {node}: the disk is formatted with {}: {why}", how.flag())
            }
        }
    }
}

impl Step for ControllerStep {
    type Batch = StartBatch;

    fn subject(&self) -> String {
        format!("controller:{}", self.node)
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        match &self.act {
            Act::Record { .. } => "ensemble.recorded",
            Act::WriteProperties { .. } => "ensemble.written",
            Act::Format { .. } => "ensemble.formatted",
        }
    }

    fn batch(&self) -> StartBatch {
        match &self.act {
            Act::Record { .. } => StartBatch::Record,
            Act::WriteProperties { .. } => StartBatch::Write,
            Act::Format { .. } => StartBatch::Format,
        }
    }

    fn severity(&self) -> Severity {
        match &self.act {
            Act::WriteProperties { .. } => Severity::Low,
            Act::Record { .. } | Act::Format { .. } => Severity::Info,
        }
    }
}
