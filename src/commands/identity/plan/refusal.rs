//! Why a broker may not start, under names that stay: they stand in texts, JSON and events alike.

use std::fmt;

/// A refusal, or a question whose answer is needed first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// No id is given.
    Refused(Refusal),
    /// More must be known.
    Ask(Question),
}

/// What must be known before the decision goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What the Kafka cluster lists.
    Cluster,
    /// Whether a pod of this name runs.
    Pod(String),
    /// Whether other pods show that the cluster ran before.
    Traces,
}

/// Why no id is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The name.
    pub code: Code,
    /// Why, and what to do next.
    pub words: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.words)
    }
}

/// The names of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Another running pod has the id.
    IdInUse,
    /// The disk's id is not the one that this pod should have, or several log dirs disagree.
    DiskMismatch,
    /// The disk was retired.
    RetiredDisk,
    /// The disk belongs to another cluster.
    WrongCluster,
    /// A label, an annotation, a flag or the registry say different ids.
    LabelConflict,
    /// The node's label may say another id, and can't be read.
    LabelUnknown,
    /// The disk can't be read.
    DiskIo,
    /// The disk has data and no id.
    DiskNoId,
    /// The disk of a known id is lost, and no policy says what to do.
    DiskLost,
    /// Some partition has its last replica under the id whose disk is lost.
    LastReplica,
    /// The cluster must be asked, and does not answer.
    ClusterUnknown,
    /// The id was retired a short time ago, or partitions still list it.
    IdRetired,
    /// The cluster has brokers that no map has, and the map's ids seem to be counted from another number.
    IdRange,
    /// No id is left, or there is none for this ordinal.
    NoId,
    /// The pod's name has no ordinal.
    BadName,
    /// The rack is not known, or not legal.
    RackUnknown,
    /// The rack of the id changed, and may not.
    RackChanged,
    /// `advertised.listeners` can't be filled in.
    BadListeners,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdInUse => "E_ID_IN_USE",
            Self::DiskMismatch => "E_DISK_MISMATCH",
            Self::RetiredDisk => "E_RETIRED_DISK",
            Self::WrongCluster => "E_WRONG_CLUSTER",
            Self::LabelConflict => "E_LABEL_CONFLICT",
            Self::LabelUnknown => "E_LABEL_UNKNOWN",
            Self::DiskIo => "E_DISK_IO",
            Self::DiskNoId => "E_DISK_NO_ID",
            Self::DiskLost => "E_DISK_LOST",
            Self::LastReplica => "E_LAST_REPLICA",
            Self::ClusterUnknown => "E_CLUSTER_UNKNOWN",
            Self::IdRetired => "E_ID_RETIRED",
            Self::IdRange => "E_ID_RANGE",
            Self::NoId => "E_NO_ID",
            Self::BadName => "E_BAD_NAME",
            Self::RackUnknown => "E_RACK_UNKNOWN",
            Self::RackChanged => "E_RACK_CHANGED",
            Self::BadListeners => "E_BAD_LISTENERS",
        })
    }
}

/// A refusal as the end of a decision.
pub(super) fn refused<T>(code: Code, words: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Refused(Refusal { code, words: words.into() }))
}
