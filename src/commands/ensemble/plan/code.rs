//! The names of refusals: an interface for scripts, alerts and events.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why nothing is changed. Every one ends `apply` with exit code 4, except [`Code::UnknownResult`] (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// No leader, or no majority.
    #[serde(rename = "E_NO_QUORUM")]
    NoQuorum,
    /// Two leaders, or two ensemble ids.
    #[serde(rename = "E_SPLIT_BRAIN")]
    SplitBrain,
    /// The membership is not the one that the last pass left.
    #[serde(rename = "E_MEMBERSHIP_REGRESSED")]
    MembershipRegressed,
    /// The members disagree about the membership.
    #[serde(rename = "E_VIEW_MISMATCH")]
    ViewMismatch,
    /// Somebody else changed the ensemble or the document.
    #[serde(rename = "E_CONFLICT")]
    Conflict,
    /// A change is under way.
    #[serde(rename = "E_IN_PROGRESS")]
    InProgress,
    /// The joiner does not run, does not follow, or lags.
    #[serde(rename = "E_NOT_CAUGHT_UP")]
    NotCaughtUp,
    /// Too few voters would be left, or the number would stay even.
    #[serde(rename = "E_UNSAFE_SIZE")]
    UnsafeSize,
    /// The server may come back with its disk.
    #[serde(rename = "E_NOT_GONE")]
    NotGone,
    /// An address that the other servers can't use, or that two servers name.
    #[serde(rename = "E_BAD_ADDRESS")]
    BadAddress,
    /// Two processes or disks claim one id.
    #[serde(rename = "E_ID_CONFLICT")]
    IdConflict,
    /// The identity may not reconfigure.
    #[serde(rename = "E_AUTH")]
    Auth,
    /// Dynamic reconfiguration is off, or impossible.
    #[serde(rename = "E_RECONFIG_OFF")]
    ReconfigOff,
    /// The StatefulSet is being changed, or a pod is not ready.
    #[serde(rename = "E_ROLLOUT")]
    Rollout,
    /// A member's file lags behind the live configuration.
    #[serde(rename = "E_CONFIG_NOT_PERSISTED")]
    ConfigNotPersisted,
    /// A voter's disk is empty, and nothing shows that the others have the data.
    #[serde(rename = "E_EMPTY_DISK")]
    EmptyDisk,
    /// The disk can't be read or written.
    #[serde(rename = "E_DISK_IO")]
    DiskIo,
    /// The disk belongs to a server that was retired.
    #[serde(rename = "E_RETIRED_DISK")]
    RetiredDisk,
    /// There is no record of the membership yet.
    #[serde(rename = "E_NOT_ADOPTED")]
    NotAdopted,
    /// The quorum of controllers is static.
    #[serde(rename = "E_STATIC_QUORUM")]
    StaticQuorum,
    /// A removed controller would add itself again.
    #[serde(rename = "E_AUTO_JOIN")]
    AutoJoin,
    /// Some node does not support the level of `kraft.version`.
    #[serde(rename = "E_KRAFT_VERSION_MIXED")]
    KraftVersionMixed,
    /// A node is both broker and controller.
    #[serde(rename = "E_COMBINED_ROLE")]
    CombinedRole,
    /// The cluster is being migrated from ZooKeeper to KRaft.
    #[serde(rename = "E_MIGRATION")]
    Migration,
    /// The record is of another ensemble or quorum than the one that was asked.
    #[serde(rename = "E_WRONG_ENSEMBLE")]
    WrongEnsemble,
    /// Nobody, or not everybody who matters, could be asked.
    #[serde(rename = "E_NOT_ASKED")]
    NotAsked,
    /// The answer was lost: the change may or may not have been made.
    #[serde(rename = "UNKNOWN_RESULT")]
    UnknownResult,
}

impl Code {
    /// The name, as it stands in text, JSON and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoQuorum => "E_NO_QUORUM",
            Self::SplitBrain => "E_SPLIT_BRAIN",
            Self::MembershipRegressed => "E_MEMBERSHIP_REGRESSED",
            Self::ViewMismatch => "E_VIEW_MISMATCH",
            Self::Conflict => "E_CONFLICT",
            Self::InProgress => "E_IN_PROGRESS",
            Self::NotCaughtUp => "E_NOT_CAUGHT_UP",
            Self::UnsafeSize => "E_UNSAFE_SIZE",
            Self::NotGone => "E_NOT_GONE",
            Self::BadAddress => "E_BAD_ADDRESS",
            Self::IdConflict => "E_ID_CONFLICT",
            Self::Auth => "E_AUTH",
            Self::ReconfigOff => "E_RECONFIG_OFF",
            Self::Rollout => "E_ROLLOUT",
            Self::ConfigNotPersisted => "E_CONFIG_NOT_PERSISTED",
            Self::EmptyDisk => "E_EMPTY_DISK",
            Self::DiskIo => "E_DISK_IO",
            Self::RetiredDisk => "E_RETIRED_DISK",
            Self::NotAdopted => "E_NOT_ADOPTED",
            Self::StaticQuorum => "E_STATIC_QUORUM",
            Self::AutoJoin => "E_AUTO_JOIN",
            Self::KraftVersionMixed => "E_KRAFT_VERSION_MIXED",
            Self::CombinedRole => "E_COMBINED_ROLE",
            Self::Migration => "E_MIGRATION",
            Self::WrongEnsemble => "E_WRONG_ENSEMBLE",
            Self::NotAsked => "E_NOT_ASKED",
            Self::UnknownResult => "UNKNOWN_RESULT",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why nothing is changed, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its name.
    pub code: Code,
    /// What is wrong, with numbers.
    pub why: String,
    /// What to do next.
    pub next: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, why: why.into(), next: next.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.code, self.why, self.next)
    }
}
