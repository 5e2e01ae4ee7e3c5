//! What a roll outside Kubernetes keeps between runs: which servers have the revision, and which one is stopped. In Kubernetes
//! the pods say it themselves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A roll, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What kind of servers, as `broker`.
    pub kind: String,
    /// The revision that they are to have (`--revision`); none where none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The servers of the roll.
    pub targets: BTreeSet<i32>,
    /// When each was started with it.
    pub done: BTreeMap<i32, Timestamp>,
    /// The one that a run stops, or has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Whether every server has it and is well.
    pub is_complete: bool,
}

/// A server that is out because of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// Its id.
    pub id: i32,
    /// Since when.
    pub at: Timestamp,
    /// Whether its stop command has ended well. Where it has not, the server may still be the old one: it is started, and
    /// restarted once more.
    pub is_stopped: bool,
}

impl Record {
    /// The record of this roll: the kept one where that is the same roll and not complete, else a new one. A complete one with
    /// the same named revision stays: nothing is to be done again. What another roll left stopped is taken over.
    pub fn of(kept: Option<Self>, kind: &str, revision: Option<&str>, targets: &BTreeSet<i32>) -> Self {
        let new = |stopped| Self {
            kind: kind.to_owned(),
            revision: revision.map(str::to_owned),
            targets: targets.clone(),
            stopped,
            ..Self::default()
        };
        let Some(kept) = kept.filter(|kept| kept.kind == kind) else { return new(None) };
        let is_same = kept.revision.as_deref() == revision;
        if !is_same || (kept.is_complete && revision.is_none()) {
            return new(kept.stopped);
        }
        // Servers that joined the roll since are restarted, too.
        let is_complete = kept.is_complete && targets.is_subset(&kept.targets);
        Self { targets: targets.clone(), is_complete, ..kept }
    }

    /// Before its stop command runs.
    pub fn stopping(&mut self, id: i32, at: Timestamp) {
        self.stopped = Some(Stopped { id, at, is_stopped: false });
    }

    /// Its stop command has ended well.
    pub fn stopped(&mut self) {
        if let Some(stopped) = &mut self.stopped {
            stopped.is_stopped = true;
        }
    }

    /// It was started again.
    pub fn started(&mut self, at: Timestamp) {
        let Some(Stopped { id, is_stopped, .. }) = self.stopped.take() else { return };
        if is_stopped {
            self.done.insert(id, at);
        }
    }
}
