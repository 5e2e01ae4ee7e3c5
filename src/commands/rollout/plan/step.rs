//! The side effects of a roll, as steps with intent and outcome.

use std::fmt;

use serde::Serialize;

use crate::change::event::Severity;
use crate::change::plan::{Risk, Step};

/// One side effect of a roll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollStep {
    /// What is done.
    pub act: Act,
    /// The server, as `broker:3` or `pod:kafka/kafka-2`.
    pub subject: String,
    /// The same for a person: `broker 3`.
    pub name: String,
    /// Uid, node and revision before, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Wait until one that an earlier run has restarted is back in sync, as a plan shows it.
    Await,
    /// Stop and start it, as a plan shows it.
    Restart,
    /// Run its stop command.
    Stop,
    /// Run its start command.
    Start,
    /// Delete its pod.
    DeletePod,
    /// Lower the partition of its StatefulSet's update.
    StepPartition,
    /// Elect preferred leaders.
    Elect,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Await => "await",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::DeletePod => "delete",
            Self::StepPartition => "update",
            Self::Elect => "elect",
        })
    }
}

impl fmt::Display for RollStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.act {
            Act::Await => write!(f, "~ {name}: wait until it is back in sync"),
            Act::Restart => write!(f, "~ {name}: restart"),
            Act::Stop => write!(f, "~ {name}: stop"),
            Act::Start => write!(f, "~ {name}: start"),
            Act::DeletePod => write!(f, "~ {name}: delete its pod, so that it is created again"),
            Act::StepPartition => write!(f, "~ {name}: let its StatefulSet replace it"),
            Act::Elect => write!(f, "~ {name}: elect the preferred leaders"),
        }
    }
}

impl Step for RollStep {
    type Batch = Act;

    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        match self.act {
            Act::Await => "rollout.awaited",
            Act::Restart => "rollout.restarted",
            Act::Stop => "rollout.stopped",
            Act::Start => "rollout.started",
            Act::DeletePod => "rollout.pod_deleted",
            Act::StepPartition => "rollout.partition_stepped",
            Act::Elect => "rollout.leaders_elected",
        }
    }

    fn batch(&self) -> Act {
        self.act
    }

    fn severity(&self) -> Severity {
        Severity::Info
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        (self.before.clone(), self.after.clone())
    }
}
