//! What a lock or a document belongs to: a purpose on a cluster, and an owner where several declare things there.
//!
//! The cluster's id decides. Its name in toolbox.yaml only makes the names of Kubernetes objects readable and stable; the
//! id stands inside each object, and an object with another id is refused.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::cluster::visible;

/// Longest part of an object's name that is taken over as it is.
const PART_MAX: usize = 50;

/// Longest readable beginning of a part that had to be changed.
const READABLE_MAX: usize = 36;

/// What a lock or a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// What an owner last applied to topics; the lock of `topics apply`.
    Topics,
    /// The plan that `reassign execute` carries out; the lock of moves.
    Moves,
    /// What a running `reassign execute` is asked to do.
    Control,
    /// Which throttles are set by the toolbox; the lock of throttles.
    Throttle,
    /// Rates that people asked for.
    Overrides,
    /// Moves that `reassign execute` is about to submit, for a running `throttle run`.
    Handover,
    /// Which pod and which disk have which broker id of a map.
    Brokers,
    /// What is desired of a ZooKeeper ensemble or KRaft quorum, and the change that is under way.
    Ensemble,
    /// The lock of whatever stops servers of a cluster or changes who votes: one at a time.
    Disruption,
}

impl Purpose {
    /// The word in names of objects and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Moves => "moves",
            Self::Control => "control",
            Self::Throttle => "throttle",
            Self::Overrides => "overrides",
            Self::Handover => "handover",
            Self::Brokers => "brokers",
            Self::Ensemble => "ensemble",
            Self::Disruption => "disruption",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topics => "topics",
            Self::Moves => "partition moves",
            Self::Control => "control of partition moves",
            Self::Throttle => "replication throttles",
            Self::Overrides => "throttle overrides",
            Self::Handover => "hand-over of partition moves",
            Self::Brokers => "broker ids",
            Self::Ensemble => "membership",
            Self::Disruption => "restarts and membership changes",
        })
    }
}

/// A cluster: its id, and its name where toolbox.yaml has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRef {
    /// The id that the brokers answer with.
    pub id: String,
    /// The name in toolbox.yaml.
    pub name: Option<String>,
}

impl fmt::Display for ClusterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", visible::value(&self.id)),
            None => f.write_str(&visible::value(&self.id)),
        }
    }
}

/// What a lock or a document belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it is for.
    pub purpose: Purpose,
    /// The cluster.
    pub cluster: ClusterRef,
    /// Who declares, where several may: kubectl's field manager.
    pub owner: Option<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.purpose, self.cluster)?;
        match &self.owner {
            Some(owner) => write!(f, ", owner {owner}"),
            None => Ok(()),
        }
    }
}

impl Identity {
    /// That of the registry of a map's broker ids. The cluster's name stands for its id, which a cluster does not have
    /// before its first broker starts; the registry holds the id once it is known.
    pub fn of_brokers(cluster: &str, map: &str) -> Self {
        let cluster_ref = ClusterRef { id: cluster.to_owned(), name: Some(cluster.to_owned()) };
        Self { purpose: Purpose::Brokers, cluster: cluster_ref, owner: Some(format!("{cluster}-{map}")) }
    }

    /// That of the document of a ZooKeeper ensemble's members. The name stands for an id: it is read by servers that
    /// start before their ensemble exists. The document holds the ensemble's own id.
    pub fn of_ensemble(name: &str) -> Self {
        let cluster = ClusterRef { id: name.to_owned(), name: Some(name.to_owned()) };
        Self { purpose: Purpose::Ensemble, cluster, owner: None }
    }

    /// That of the document of a cluster's KRaft controllers, by the cluster's name, for the same reason. While a cluster
    /// migrates it has both: controllers have a document of their own.
    pub fn of_controllers(name: &str) -> Self {
        Self { owner: Some(format!("{name}-controllers")), ..Self::of_ensemble(name) }
    }

    /// That of the lock by which restarts and changes of one ensemble's servers exclude each other, by the ensemble's id. The
    /// name is for people. The clusters that the ensemble serves have locks of their own.
    pub fn of_ensemble_lock(id: &str, name: &str) -> Self {
        let cluster = ClusterRef { id: id.to_owned(), name: Some(format!("{name}-ensemble")) };
        Self { purpose: Purpose::Disruption, cluster, owner: None }
    }

    /// The name of its Kubernetes objects: `toolbox-<purpose>-<owner, else the cluster's name, else its id>`. A name that
    /// Kubernetes would refuse is made legal, and ends in a hash of what it was.
    pub fn object_name(&self) -> String {
        let part = self.owner.as_ref().or(self.cluster.name.as_ref()).unwrap_or(&self.cluster.id);
        self.object_name_of(&legal_part(part, is_of_object))
    }

    /// The name of Kubernetes objects of its purpose that end so.
    pub fn object_name_of(&self, part: &str) -> String {
        format!("toolbox-{}-{part}", self.purpose.word())
    }

    /// The name of its file, without an ending: purpose, the cluster's id, and the owner.
    pub fn file_name(&self) -> String {
        let mut name = format!("{}-{}", self.purpose.word(), legal_part(&self.cluster.id, is_of_file));
        if let Some(owner) = &self.owner {
            name.push('-');
            name.push_str(&legal_part(owner, is_of_object));
        }
        name
    }

    /// The value of the label that finds all objects of a cluster. It begins and ends as Kubernetes wants it.
    pub fn cluster_label(&self) -> String {
        format!("id.{}.x", legal_part(&self.cluster.id, is_of_file))
    }
}

fn is_of_object(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn is_of_file(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// A text as part of a name: as it is where that is legal, else readable with a hash of the whole.
fn legal_part(text: &str, is_legal: fn(char) -> bool) -> String {
    // An id of Kafka may begin with a dash; part of an object's name may not.
    let is_edge_legal = |c: Option<char>| c.is_some_and(|c| c != '-' || is_legal('_'));
    let edges = [text.chars().next(), text.chars().next_back()];
    if text.len() <= PART_MAX && text.chars().all(is_legal) && edges.into_iter().all(is_edge_legal) {
        return text.to_owned();
    }
    let hash = Sha256::digest(text).iter().take(5).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    let mut readable = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()).map(|c| if is_of_object(c) { c } else { '-' }) {
        if readable.len() == READABLE_MAX {
            break;
        }
        if c != '-' || !readable.ends_with('-') {
            readable.push(c);
        }
    }
    let readable = readable.trim_matches('-');
    if readable.is_empty() { format!("{hash:010x}") } else { format!("{readable}-{hash:010x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str, name: Option<&str>, owner: Option<&str>) -> Identity {
        let cluster = ClusterRef { id: id.to_owned(), name: name.map(str::to_owned) };
        Identity { purpose: Purpose::Topics, cluster, owner: owner.map(str::to_owned) }
    }

    const ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

    #[test]
    fn objects_have_readable_names_of_owner_or_cluster_without_a_hash() {
        assert_eq!(identity(ID, Some("main"), Some("platform")).object_name(), "toolbox-topics-platform");
        let moves = Identity { purpose: Purpose::Moves, ..identity(ID, Some("main"), None) };
        assert_eq!(moves.object_name(), "toolbox-moves-main");
    }

    #[test]
    fn a_name_that_is_not_legal_is_made_legal_and_differs_from_its_like() {
        let name = |owner: &str| identity(ID, None, Some(owner)).object_name();
        let path = name("/etc/kafka/Topics.yaml");
        assert!(path.starts_with("toolbox-topics-etc-kafka-topics-yaml-"), "{path}");
        assert_ne!(path, name("/etc/kafka/topics.yaml"));
        let long = name(&"ä".repeat(300));
        assert!(long.len() <= 80 && long.chars().all(is_of_object), "{long}");
        assert_ne!(name("-"), name("--"));
    }

    #[test]
    fn files_are_named_by_the_clusters_id_however_it_was_addressed() {
        assert_eq!(identity(ID, Some("main"), None).file_name(), identity(ID, None, None).file_name());
        assert_eq!(identity(ID, None, None).file_name(), format!("topics-{ID}"));
        assert_ne!(identity("a/../b", None, None).file_name(), identity("a-b", None, None).file_name());
        assert!(!identity("../../x", None, None).file_name().contains('/'));
    }

    #[test]
    fn an_ensemble_and_the_controllers_of_one_cluster_have_documents_of_their_own() {
        assert_eq!(Identity::of_ensemble("main").object_name(), "toolbox-ensemble-main");
        assert_eq!(Identity::of_controllers("main").object_name(), "toolbox-ensemble-main-controllers");
        assert_ne!(Identity::of_ensemble("main").file_name(), Identity::of_controllers("main").file_name());
    }

    #[test]
    fn the_lock_of_an_ensemble_is_named_for_people_and_known_by_its_id() {
        let (one, other) = (Identity::of_ensemble_lock("id-1", "main"), Identity::of_ensemble_lock("id-1", "shop"));
        assert_eq!(one.object_name(), "toolbox-disruption-main-ensemble");
        assert_ne!(one.object_name(), other.object_name());
        assert_eq!((one.file_name(), one.cluster_label()), (other.file_name(), other.cluster_label()));
        assert_ne!(one.file_name(), Identity::of_ensemble_lock("id-2", "main").file_name());
    }

    #[test]
    fn the_label_of_a_cluster_is_legal_whatever_its_id() {
        for id in [ID, "-a_", "", &"x".repeat(500)] {
            let label = identity(id, None, None).cluster_label();
            let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            assert!(
                label.len() <= 63 && is_edge(label.chars().next()) && is_edge(label.chars().next_back()),
                "{label}"
            );
        }
    }
}
