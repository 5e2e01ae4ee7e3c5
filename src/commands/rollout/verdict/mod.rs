//! Whether one server may stop now, from plain data: [`broker`], [`controller`] and [`server`] judge one look each, and
//! [`steady`] wants two looks that agree.

pub mod broker;
pub mod controller;
pub mod disruption;
pub mod seen;
pub mod server;
pub mod steady;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;

/// Most partitions that a verdict names; the others are counted.
pub const NAMED_MAX: usize = 100;

/// Whether a server may stop now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It may: no partition falls below its minimum ISR, and no quorum is lost.
    MayStop,
    /// It may not, and that is expected to pass.
    Wait,
    /// It may not, and waiting does not change that: a person has to decide.
    Refused,
}

impl Answer {
    /// As JSON has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::MayStop => "may_stop",
            Self::Wait => "wait",
            Self::Refused => "refused",
        }
    }
}

/// What a verdict takes for granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Brokers that must be registered, beside those that have replicas.
    pub expected: BTreeSet<BrokerId>,
    /// Brokers that need not be registered although they have replicas: they are gone for good.
    pub ignored: BTreeSet<BrokerId>,
    /// How many partition moves may be running.
    pub moves_max: usize,
    /// Whether partitions with a single replica may be without a leader, and a quorum without a majority.
    pub accepts_unavailable: bool,
    /// Topics whose partitions may be without a leader, whatever the above.
    pub accepted_topics: BTreeSet<TopicName>,
    /// Whether the server's process is known not to run: to stop it takes nothing away then. One that is not registered may
    /// also recover its log, and must be left alone.
    pub is_process_gone: bool,
}

/// Why a partition keeps a broker from stopping, or suffers although it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Without the broker, fewer replicas would be in sync than `min.insync.replicas`.
    WouldFallBelow,
    /// Fewer replicas are in sync than `min.insync.replicas` already, and the broker has one of the replicas.
    IsBelow,
    /// It has no leader.
    Offline,
    /// It has no leader, since the broker's own copy is offline: to stop the broker takes nothing away.
    OfflineHere,
    /// The broker has its only replica: without the broker it can be neither read nor written.
    OnlyReplica,
    /// It has no more replicas than `min.insync.replicas`: without the broker, writes with acks=all fail.
    NoSpareReplica,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldFallBelow => "its ISR would fall below min.insync.replicas",
            Self::IsBelow => "its ISR is below min.insync.replicas already",
            Self::Offline => "it has no leader",
            Self::OfflineHere => "it has no leader, because this broker's copy is offline",
            Self::OnlyReplica => "this broker has its only replica",
            Self::NoSpareReplica => "it has no more replicas than min.insync.replicas",
        })
    }
}

/// A partition that keeps a broker from stopping, or that suffers although it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
    /// How many must be: `min.insync.replicas`, at most the number of replicas.
    pub min_isr: usize,
    /// Who could be elected where it has no leader: the eligible leaders, else the ISR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<BrokerId>,
    /// Why.
    pub why: Why,
}

/// What keeps a server from stopping, beside single partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// In one word, for programs.
    pub code: ReasonCode,
    /// In one sentence.
    pub text: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Nobody knows this server.
    NotKnown,
    /// The broker is not registered: it is down, starts, or recovers its log.
    NotRegistered,
    /// The view is the broker's own, although others are there.
    OwnView,
    /// Other servers are out.
    OthersOut,
    /// Partition moves are running.
    Moves,
    /// The quorum has no leader.
    NoLeader,
    /// The others are too few for a majority.
    NoMajority,
    /// The servers disagree about the configuration, or have not stored it.
    ConfigNotPersisted,
    /// Two servers lead.
    SplitBrain,
    /// The configuration could not be read.
    NotReadable,
    /// A single look is not enough.
    OneLook,
    /// Partitions or a quorum would be unavailable, and that was not accepted.
    Unavailable,
    /// Partitions block.
    Partitions,
}

/// Whether a server may stop now, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether it may.
    pub answer: Answer,
    /// Why not.
    pub reasons: Vec<Reason>,
    /// Partitions that keep it from stopping, the first [`NAMED_MAX`].
    pub blockers: Vec<Blocker>,
    /// How many there are.
    pub blockers_count: usize,
    /// Partitions that suffer however long one waits, the first [`NAMED_MAX`].
    pub unavoidable: Vec<Blocker>,
    /// How many there are.
    pub unavoidable_count: usize,
    /// Whether it is the active controller, or leads its quorum: it is stopped last.
    pub is_active: bool,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            answer: Answer::MayStop,
            reasons: Vec::new(),
            blockers: Vec::new(),
            blockers_count: 0,
            unavoidable: Vec::new(),
            unavoidable_count: 0,
            is_active: false,
            notes: Vec::new(),
        }
    }
}

impl Verdict {
    /// Whether it may stop.
    pub fn may_stop(&self) -> bool {
        self.answer == Answer::MayStop
    }

    /// The same, and it waits for this.
    pub fn waits(&mut self, code: ReasonCode, text: impl Into<String>) {
        self.because(Answer::Wait, code, text);
    }

    /// The same, and it is refused for this.
    pub fn refuses(&mut self, code: ReasonCode, text: impl Into<String>) {
        self.because(Answer::Refused, code, text);
    }

    /// The verdict on a server with two roles: both must allow it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.answer = self.answer.max(other.answer);
        self.reasons.extend(other.reasons);
        self.blockers_count += other.blockers_count;
        self.unavoidable_count += other.unavoidable_count;
        self.blockers.extend(other.blockers);
        self.unavoidable.extend(other.unavoidable);
        self.blockers.truncate(NAMED_MAX);
        self.unavoidable.truncate(NAMED_MAX);
        self.is_active |= other.is_active;
        self.notes.extend(other.notes);
        self
    }

    /// Why not, in one line.
    pub fn words(&self) -> String {
        self.reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
    }

    fn because(&mut self, answer: Answer, code: ReasonCode, text: impl Into<String>) {
        self.answer = self.answer.max(answer);
        self.reasons.push(Reason { code, text: text.into() });
    }

    fn blocks(&mut self, blocker: Blocker) {
        self.blockers_count += 1;
        if self.blockers.len() < NAMED_MAX {
            self.blockers.push(blocker);
        }
    }

    fn suffers(&mut self, blocker: Blocker) {
        self.unavoidable_count += 1;
        if self.unavoidable.len() < NAMED_MAX {
            self.unavoidable.push(blocker);
        }
    }
}

/// Ids in one line, the first ten and how many more.
fn listed<T: fmt::Display>(ids: impl IntoIterator<Item = T>) -> String {
    const SHOWN_MAX: usize = 10;
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    let shown = ids.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
