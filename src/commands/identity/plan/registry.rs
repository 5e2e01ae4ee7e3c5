//! The registry of a map: which pod and which disk have which id. It records and guards; the disk is stronger.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::desired::CLOCKS_DIFFER;
use crate::commands::identity::spec::disk::DiskId;

/// For so long a retired id is not given to anybody.
pub(super) const REST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Most retired disks that are remembered; the oldest are forgotten.
pub(super) const RETIRED_DISKS_MAX: usize = 200;

/// All ids of one map that were ever given out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registry {
    /// The cluster's id, once a disk or toolbox.yaml said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Who has each id.
    #[serde(default)]
    pub ids: BTreeMap<BrokerId, Entry>,
    /// Disks that may not start any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired_disks: Vec<RetiredDisk>,
}

/// Who has an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whether it is in use.
    pub state: State,
    /// The pod.
    pub pod: String,
    /// The pod's uid when it started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The node on which it started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The volume of its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The ids of its log dirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_ids: Vec<String>,
    /// Its rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Whether the disk was ever seen with this id.
    #[serde(default)]
    pub is_on_disk: bool,
    /// Since when this pod has it; of a retired one, when it was retired.
    pub since: Timestamp,
}

/// Whether an id is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is a broker's.
    Assigned,
    /// It was a broker's, and is nobody's.
    Retired,
}

/// A disk that may not start any more: another one took its id, or its broker got another id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredDisk {
    /// The id that it holds.
    pub id: BrokerId,
    /// Its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The ids of its log dirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_ids: Vec<String>,
    /// When it was retired.
    pub at: Timestamp,
}

impl Registry {
    /// The id that a pod has.
    pub fn of_pod(&self, pod: &str) -> Option<(BrokerId, &Entry)> {
        let is_mine = |(_, entry): &(&BrokerId, &Entry)| entry.pod == pod && entry.state == State::Assigned;
        self.ids.iter().find(is_mine).map(|(id, entry)| (*id, entry))
    }

    /// Remembers the disk of an id as one that may not start any more, now that the id's disk is at `new`.
    pub fn retire_disk(&mut self, id: BrokerId, now: Timestamp, new: &Place<'_>) {
        let Some(entry) = self.ids.get(&id) else { return };
        let disk = RetiredDisk {
            id,
            volume: entry.volume.clone(),
            node: entry.node.clone(),
            directory_ids: entry.directory_ids.clone(),
            at: now,
        };
        // A disk that nothing distinguishes from the new one would keep the new one from starting.
        let is_there = (disk.volume.as_deref(), disk.node.as_deref()) == (new.volume, new.node);
        let is_known = disk.volume.is_some() || disk.node.is_some();
        if disk.directory_ids.is_empty() && (is_there || !is_known) {
            return;
        }
        self.retired_disks.push(disk);
        let surplus = self.retired_disks.len().saturating_sub(RETIRED_DISKS_MAX);
        self.retired_disks.drain(..surplus);
    }

    /// The same with the present time where an id was retired at a later one, by a clock that was wrong: it would rest until then.
    /// Of an assigned id a wrong time stays: it is no reason to take an empty disk for a new one.
    #[must_use]
    pub fn without_future(mut self, now: Timestamp) -> Self {
        let is_wrong =
            |entry: &&mut Entry| entry.state == State::Retired && entry.since.duration_since(now) > CLOCKS_DIFFER;
        for entry in self.ids.values_mut().filter(is_wrong) {
            entry.since = now;
        }
        self
    }

    /// Retires an id that a pod had: nobody has it from now on.
    pub fn retire_id(&mut self, id: BrokerId, pod: &str, now: Timestamp) {
        self.retire_disk(id, now, &Place { volume: None, node: None });
        let entry = self.ids.entry(id).or_insert_with(|| Entry {
            state: State::Retired,
            pod: pod.to_owned(),
            pod_uid: None,
            node: None,
            volume: None,
            directory_ids: Vec::new(),
            rack: None,
            is_on_disk: false,
            since: now,
        });
        entry.state = State::Retired;
        entry.since = now;
    }
}

impl RetiredDisk {
    /// Whether it is this disk. The folder ids decide where it had some, else the volume, else the node (a disk of a
    /// node without claims is the node's).
    pub fn is(&self, disk: &DiskId, all: &[String], place: &Place<'_>) -> bool {
        if self.id != disk.id {
            return false;
        }
        if !self.directory_ids.is_empty() {
            return self.directory_ids.iter().any(|id| all.contains(id));
        }
        match (self.volume.as_deref(), place.volume) {
            (Some(old), Some(volume)) => old == volume,
            (None, None) => self.node.is_some() && self.node.as_deref() == place.node,
            _ => false,
        }
    }
}

/// Where a disk is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its volume.
    pub volume: Option<&'a str>,
    /// Its node.
    pub node: Option<&'a str>,
}

impl Entry {
    /// Whether a retired id may be given out again, as far as time goes. One that was retired in the future rests from the time
    /// at which the registry was corrected ([`Registry::without_future`]).
    pub fn has_rested(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= REST
    }
}
