//! What Kubernetes knows of the servers' pods, as plain data: pods, their StatefulSets, the zones of their nodes. And what is
//! known of a server's disk while it is well, by which it is recognised later that the disk is gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest time between two looks that both found something missing: after a longer one nobody knows whether it was missing all
/// the time, and the time begins anew.
pub const LOOKS_APART_MAX: SignedDuration = SignedDuration::from_mins(10);

/// How often the record is written while something stays missing.
pub const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(2);

/// Most claims of one pod that are looked at.
pub const CLAIMS_MAX: usize = 8;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// The node that it is on.
    pub node: Option<String>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Why none of its containers runs, where that does not pass by itself soon.
    pub stuck: Option<String>,
    /// Which of its containers ends again and again, and how it ended last; none where none does.
    pub crash_loop: Option<String>,
    /// The revision of its StatefulSet that it was made from.
    pub revision: Option<String>,
    /// The number behind the last dash of its name.
    pub ordinal: Option<u32>,
    /// The name of its StatefulSet, where it belongs to one.
    pub set: Option<String>,
    /// The uid of that.
    pub set_uid: Option<String>,
    /// The claims that it mounts.
    pub claims: Vec<String>,
    /// The headless service that names it (`spec.subdomain`), where there is one.
    pub subdomain: Option<String>,
}

/// The pod that a host name is the name of, as a StatefulSet's pods have it: `POD.SERVICE`, with `.NAMESPACE` and `.svc.DOMAIN`
/// behind it or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPod {
    /// The pod.
    pub pod: String,
    /// The headless service.
    pub service: String,
    /// The namespace, where the name has it.
    pub namespace: Option<String>,
}

impl HostPod {
    /// The pod that a name may be of: its first label ends with an ordinal, and what follows is not the domain of others.
    pub fn of(host: &str) -> Option<Self> {
        let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
        let (pod, service) = (labels.first()?, labels.get(1)?);
        let (set, ordinal) = pod.rsplit_once('-')?;
        let is_ordinal = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
        let is_in_cluster = labels.get(3).is_none_or(|label| *label == "svc");
        if set.is_empty() || !is_ordinal || !is_in_cluster || labels.iter().any(|label| label.is_empty()) {
            return None;
        }
        let namespace = labels.get(2).map(|label| (*label).to_owned());
        Some(Self { pod: (*pod).to_owned(), service: (*service).to_owned(), namespace })
    }

    /// Whether it would be a pod of this namespace.
    pub fn is_in(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
    }

    /// The StatefulSet that it would belong to.
    pub fn set(&self) -> &str {
        self.pod.rsplit_once('-').map_or(&self.pod, |(set, _)| set)
    }
}

/// A StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// Its uid.
    pub uid: String,
    /// The version that was read.
    pub resource_version: String,
    /// How many pods it is to have.
    pub replicas: u32,
    /// The ordinal of its first pod.
    pub first_ordinal: u32,
    /// From which ordinal on its controller replaces pods by itself; none where that waits until somebody deletes them.
    pub partition: Option<u32>,
    /// The revision that pods are to have.
    pub update_revision: String,
    /// Whether its controller has seen its last change.
    pub is_observed: bool,
}

impl Set {
    /// The ordinal of its last pod: the one that goes when there is to be one fewer.
    pub fn last_ordinal(&self) -> Option<u32> {
        self.first_ordinal.checked_add(self.replicas.checked_sub(1)?)
    }
}

/// What was read of the pods of an ensemble, without any cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodsRead {
    /// The namespace of the pods.
    pub namespace: String,
    /// The pods that the record names, and those that hosts of members are the names of, by name; what is not here does not exist.
    pub pods: BTreeMap<String, Pod>,
    /// Their StatefulSets, and those that missing pods would belong to, by name; none where it does not exist.
    pub sets: BTreeMap<String, Option<Set>>,
    /// Why pods or StatefulSets could not be read: then nothing of the above may be concluded from.
    pub unknown: Option<String>,
    /// The zones of nodes.
    pub zones: BTreeMap<String, String>,
    /// The zones of all nodes of the cluster, where they were asked for.
    pub cluster_zones: BTreeSet<String>,
    /// What is known of disks, by pod.
    pub disks: BTreeMap<String, DiskState>,
    /// Whether the replicas of a StatefulSet may be lowered, where that was asked for.
    pub may_scale: bool,
    /// What could not be read of nodes and volumes, one line each.
    pub notes: Vec<String>,
}

/// What was found of a server's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskState {
    /// It is there, and this is what it consists of.
    There(Disk),
    /// This is missing; what it is, in words.
    Missing(Lost, String),
    /// It could not be read, or nothing is known of it.
    Unknown,
}

/// The disk of a server's pod, as it was while the server was well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disk {
    /// The pod that mounted it then: a claim can't be replaced while a pod uses it.
    pub pod_uid: String,
    /// The claims.
    pub claims: Vec<Claim>,
}

/// A claim, and the volume that it was bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its uid: another claim of the same name is another disk. None where it was never seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

/// What a server's disk lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lost {
    /// The node that its volume is bound to does not exist.
    Node,
    /// Its claim or volume was deleted.
    Volume,
}

/// That something has been missing at every look since a moment. It is kept in the record, so that it survives the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Missing {
    /// What.
    pub lost: Lost,
    /// In words, as `claim data-zk-2 was deleted`.
    pub what: String,
    /// Since the first look that found it missing.
    pub since: Timestamp,
    /// At the last look that was noted.
    pub until: Timestamp,
}

impl Missing {
    /// What the record has to say after a look that found this missing; the same again where it need not be written.
    #[must_use]
    pub fn noted(before: Option<&Self>, lost: Lost, what: &str, now: Timestamp) -> Self {
        let goes_on = |before: &&Self| {
            let apart = now.duration_since(before.until);
            // A clock that was set back makes us wait longer, never shorter.
            before.lost == lost && !apart.is_negative() && apart <= LOOKS_APART_MAX
        };
        match before.filter(goes_on) {
            Some(before) if now.duration_since(before.until) < NOTED_EVERY => before.clone(),
            Some(before) => Self { until: now, ..before.clone() },
            None => Self { lost, what: what.to_owned(), since: now, until: now },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    fn looks(minutes: &[i64]) -> Missing {
        let noted = |before: Option<Missing>, minute: &i64| {
            Some(Missing::noted(before.as_ref(), Lost::Node, "node n", at(*minute)))
        };
        minutes.iter().fold(None, noted).unwrap()
    }

    #[test]
    fn a_time_of_absence_goes_on_from_look_to_look_and_begins_anew_after_a_long_pause_or_a_clock_that_was_set_back() {
        assert_eq!((looks(&[0, 1, 5, 14]).since, looks(&[0, 1]).until), (at(0), at(0)));
        assert_eq!(looks(&[0, 5, 10, 15]).since, at(0));
        assert_eq!(looks(&[0, 5, 16]).since, at(16), "nobody looked for 11 minutes");
        assert_eq!(looks(&[0, 5, 3]).since, at(3));
        let other = Missing::noted(Some(&looks(&[0])), Lost::Volume, "claim c", at(1));
        assert_eq!((other.since, other.lost), (at(1), Lost::Volume));
    }

    #[test]
    fn a_host_name_is_that_of_a_pod_where_a_stateful_set_would_have_given_it() {
        let pod = |host: &str| HostPod::of(host).map(|it| (it.pod, it.service, it.namespace));
        let of = |namespace: Option<&str>| Some(("zk-0".to_owned(), "zk".to_owned(), namespace.map(str::to_owned)));
        assert_eq!(pod("zk-0.zk"), of(None));
        for host in ["zk-0.zk.kafka", "zk-0.zk.kafka.svc", "zk-0.zk.kafka.svc.cluster.local."] {
            assert_eq!(pod(host), of(Some("kafka")), "{host}");
        }
        for host in
            ["zk-0", "zk.example.com", "zk-0.zk.kafka.example.com", "127.0.0.1", "-1.zk", "zk-.zk", "zk-0..kafka", ""]
        {
            assert_eq!(pod(host), None, "{host}");
        }
        let elsewhere = HostPod::of("my-zk-12.zk.other").unwrap();
        assert_eq!((elsewhere.set(), elsewhere.is_in("other"), elsewhere.is_in("kafka")), ("my-zk", true, false));
    }

    #[test]
    fn the_last_pod_of_a_set_is_counted_from_its_first() {
        let set = |first_ordinal, replicas| Set { replicas, first_ordinal, ..Set::default() }.last_ordinal();
        assert_eq!((set(0, 3), set(5, 3), set(0, 0), set(u32::MAX, 2)), (Some(2), Some(7), None, None));
    }
}
