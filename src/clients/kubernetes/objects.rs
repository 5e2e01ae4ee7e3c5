//! Kubernetes objects as plain data: the fields that the toolbox reads and writes.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most bytes that the API takes as the data of one ConfigMap.
pub const CONFIG_MAP_BYTES_MAX: usize = 1 << 20;

/// Most bytes of an event's note.
pub const NOTE_BYTES_MAX: usize = 1_024;

/// Most bytes of an event's reason, action and reporting instance.
const EVENT_WORD_BYTES_MAX: usize = 128;

/// Where an object is: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

impl ObjectName {
    /// The name of an object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMap {
    /// Namespace and name.
    pub name: ObjectName,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Texts by key.
    pub data: BTreeMap<String, String>,
    /// Bytes by key.
    pub binary_data: BTreeMap<String, Vec<u8>>,
    /// What was read, for [`super::Kubernetes::replace_config_map`]; empty in one that is yet to be created.
    pub resource_version: String,
}

impl ConfigMap {
    /// An empty ConfigMap that is yet to be created.
    pub fn new(name: ObjectName) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            data: BTreeMap::new(),
            binary_data: BTreeMap::new(),
            resource_version: String::new(),
        }
    }

    /// How many bytes of [`CONFIG_MAP_BYTES_MAX`] its data takes.
    pub fn bytes(&self) -> usize {
        let texts: usize = self.data.iter().map(|(key, text)| key.len() + text.len()).sum();
        let bytes: usize = self.binary_data.iter().map(|(key, bytes)| key.len() + bytes.len()).sum();
        texts + bytes
    }
}

/// A Lease: who holds something, and until when others must leave it to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Namespace and name.
    pub name: ObjectName,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Who holds it; nobody if it is free.
    pub holder: Option<String>,
    /// How long after its last change others leave it alone.
    pub duration_seconds: i32,
    /// When the holder took it, by the holder's clock.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed it, by the holder's clock.
    pub renewed: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub transitions: i32,
    /// What was read, for [`super::Kubernetes::replace_lease`]; empty in one that is yet to be created.
    pub resource_version: String,
}

impl Lease {
    /// A free Lease that is yet to be created.
    pub fn new(name: ObjectName) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            holder: None,
            duration_seconds: 1,
            acquired: None,
            renewed: None,
            transitions: 0,
            resource_version: String::new(),
        }
    }
}

/// An event to write about an object, shown by `kubectl describe` and `kubectl events` for about an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its name in the namespace of what it is about; the same event sent again has the same name.
    pub name: String,
    /// What it is about.
    pub regarding: Regarding,
    /// Why, in one CamelCase word, as `TopicConfigChanged`.
    pub reason: String,
    /// What was done, in one CamelCase word, as `Apply`.
    pub action: String,
    /// A sentence for people; cut at [`NOTE_BYTES_MAX`].
    pub note: String,
    /// Normal or warning.
    pub event_type: EventType,
    /// When.
    pub time: Timestamp,
}

impl NewEvent {
    /// The same with every text within the API's limits, cut between characters.
    #[must_use]
    pub fn within_limits(&self) -> Self {
        Self {
            reason: cut(&self.reason, EVENT_WORD_BYTES_MAX),
            action: cut(&self.action, EVENT_WORD_BYTES_MAX),
            note: cut(&self.note, NOTE_BYTES_MAX),
            ..self.clone()
        }
    }
}

/// Normal or warning: all that Kubernetes has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Nothing to worry about.
    Normal,
    /// Somebody should look.
    Warning,
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regarding {
    /// As `v1` or `batch/v1`.
    pub api_version: String,
    /// As `Pod` or `CronJob`.
    pub kind: String,
    /// Namespace and name.
    pub name: ObjectName,
    /// Its uid: without it `kubectl describe` does not show the event.
    pub uid: Option<String>,
}

/// What an object says about itself and the controller that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The object's uid.
    pub uid: Option<String>,
    /// Its controller, in the same namespace.
    pub controller: Option<Regarding>,
}

/// What identities need of a pod, a node or a claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The object's uid.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Of a pod: whether it has ended, as `Succeeded` and `Failed` ones.
    pub has_ended: bool,
    /// Of a pod: whether none of its containers has been started, init containers aside (phase `Pending`).
    pub is_pending: bool,
    /// Whether somebody deletes it: it is there until it has stopped.
    pub is_being_deleted: bool,
    /// Of a claim: the volume that it is bound to.
    pub volume: Option<String>,
}

/// What the API server trusts when it calls the webhooks of one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustBundles {
    /// By webhook, in their order: its name, and the certificates as PEM; empty where there are none.
    pub webhooks: Vec<(String, Vec<u8>)>,
}

/// Who and where we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespace in which the toolbox keeps its Leases and ConfigMaps.
    pub namespace: String,
    /// The pod that we run in, if it is known.
    pub pod: Option<Pod>,
    /// The ServiceAccount, as `kafka/toolbox`, if it is known.
    pub service_account: Option<String>,
    /// How the API server was found, as `in cluster` or `context NAME of FILE`.
    pub source: String,
    /// The API server's address.
    pub server: String,
}

impl Identity {
    /// The one that asks, for messages: the ServiceAccount, else the source of the credentials.
    pub fn asker(&self) -> String {
        match &self.service_account {
            Some(account) => format!("the ServiceAccount {account}"),
            None => format!("the user of {}", self.source),
        }
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its uid, if it is known.
    pub uid: Option<String>,
}

impl Pod {
    /// The pod as the object of an event.
    pub fn regarding(&self, namespace: &str) -> Regarding {
        Regarding {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: ObjectName::new(namespace, self.name.clone()),
            uid: self.uid.clone(),
        }
    }
}

/// The longest beginning of a text that has so many bytes and ends between characters; `…` says that it was cut.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("short", 1_024), "short");
        let note = "ä".repeat(600);
        let short = cut(&note, NOTE_BYTES_MAX);
        assert!(short.len() <= NOTE_BYTES_MAX && short.ends_with('…'), "{} bytes", short.len());
        assert_eq!(short.chars().count(), 511);
    }
}
