//! What a ZooKeeper ensemble is made of, as plain data.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use sha1::{Digest, Sha1};
use tokio::sync::mpsc;

use crate::formats::secret::{ExposeSecret, SecretString};

/// The node that holds the ensemble's configuration, whatever the chroot is.
pub const CONFIG_PATH: &str = "/zookeeper/config";

/// What there is to know of a node beside its data (`Stat` of ZooKeeper).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Transaction that created it.
    pub czxid: i64,
    /// Transaction that wrote its data last. That of the configuration equals the version in its text.
    pub mzxid: i64,
    /// When it was created, in milliseconds since 1970.
    pub ctime: i64,
    /// When its data was written last, in milliseconds since 1970.
    pub mtime: i64,
    /// Version of its data, from 0; that of the configuration stays -1.
    pub version: i32,
    /// Version of its list of children.
    pub cversion: i32,
    /// Version of its access list.
    pub aversion: i32,
    /// The session that owns it, where it is ephemeral; else 0.
    pub ephemeral_owner: i64,
    /// Length of its data in bytes.
    pub data_length: i32,
    /// Number of its children.
    pub children: i32,
    /// Transaction that changed its list of children last.
    pub pzxid: i64,
}

/// A node's data and stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its data.
    pub data: Vec<u8>,
    /// What there is to know of it.
    pub stat: Stat,
}

/// The ensemble's configuration: bytes, as the server has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// `server.N=…` lines and `version=` in hexadecimal; empty in a standalone server.
    pub text: Vec<u8>,
    /// Its stat; `mzxid` is the transaction of the change that made it, and equals its version.
    pub stat: Stat,
}

/// An incremental change of the membership.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconfiguration {
    /// Servers to add or to change, each as `server.N=HOST:QUORUM:ELECTION[:ROLE];[ADDRESS:]CLIENT`.
    pub joining: Vec<String>,
    /// Ids of servers to remove; ZooKeeper ignores those that it does not know.
    pub leaving: Vec<u64>,
    /// The version that the change is made for; with none, a change of somebody else in between is written over.
    pub from_version: Option<i64>,
}

/// What a user may do with a node: a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(pub i32);

impl Permissions {
    /// Read data, list children.
    pub const READ: Self = Self(1);
    /// Write data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Write the access list.
    pub const ADMIN: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One entry of a node's access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// What is allowed.
    pub permissions: Permissions,
    /// `world`, `auth`, `digest`, `sasl`, `x509` or `ip`.
    pub scheme: String,
    /// Who, in the scheme's own form; `anyone` for `world`.
    pub id: String,
}

impl Acl {
    /// Everybody may do everything.
    pub fn open() -> Vec<Self> {
        vec![Self { permissions: Permissions::ALL, scheme: "world".to_owned(), id: "anyone".to_owned() }]
    }

    /// What a digest user may: the access list holds a hash of name and password (`DigestAuthenticationProvider`).
    pub fn digest(user: &str, password: &SecretString, permissions: Permissions) -> Self {
        let hash = Sha1::new().chain_update(user).chain_update(":").chain_update(password.expose_secret()).finalize();
        let id = format!("{user}:{}", base64::engine::general_purpose::STANDARD.encode(hash));
        Self { permissions, scheme: "digest".to_owned(), id }
    }
}

/// How long a node lives, and who completes its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Until it is deleted.
    #[default]
    Persistent,
    /// The same; the server appends a number of ten digits to its name.
    PersistentSequential,
    /// As long as the session.
    Ephemeral,
    /// As long as the session; the server appends a number.
    EphemeralSequential,
}

impl Mode {
    /// ZooKeeper's number of it (`CreateMode`).
    pub fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
        }
    }

    /// Whether the server appends a number.
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::PersistentSequential | Self::EphemeralSequential)
    }

    /// Whether it ends with the session.
    pub fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }
}

/// How a node is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// How long it lives.
    pub mode: Mode,
    /// Who may do what with it; must not be empty.
    pub acl: Vec<Acl>,
}

impl Creation {
    /// A node of this mode with which everybody may do everything.
    pub fn open(mode: Mode) -> Self {
        Self { mode, acl: Acl::open() }
    }
}

/// One operation of several that are carried out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The node must have this version.
    Check {
        /// Its path.
        path: String,
        /// Version of its data.
        version: i32,
    },
    /// Creates a node.
    Create {
        /// Its path.
        path: String,
        /// Its data.
        data: Vec<u8>,
        /// How it is created.
        creation: Creation,
    },
    /// Writes a node's data.
    Set {
        /// Its path.
        path: String,
        /// Its data.
        data: Vec<u8>,
        /// The version that it must have.
        version: Option<i32>,
    },
    /// Removes a node.
    Delete {
        /// Its path.
        path: String,
        /// The version that it must have.
        version: Option<i32>,
    },
}

impl Operation {
    /// The node that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Check { path, .. }
            | Self::Create { path, .. }
            | Self::Set { path, .. }
            | Self::Delete { path, .. } => path,
        }
    }
}

/// What one operation of several has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The version was as expected.
    Checked,
    /// The node of this path was created.
    Created(String),
    /// The data was written.
    Set(Stat),
    /// The node was removed.
    Deleted,
}

/// What a watch covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// A node's data, its existence and its list of children.
    Node,
    /// Data and existence of a node and of everything below it.
    Tree,
}

/// Something that may have changed what was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The node; empty where the event is about the session.
    pub path: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A node was created.
    Created,
    /// A node was deleted.
    Deleted,
    /// A node's data was written.
    DataChanged,
    /// A node's list of children changed.
    ChildrenChanged,
    /// Events may be missing: the connection was lost and made anew, or they came faster than they were read. Read again.
    Missed,
    /// The session has ended: no further event comes.
    Ended,
}

/// Events that wait to be read; more than this are counted as missed.
const EVENTS_MAX: usize = 256;

/// A watch; dropped, no further events are delivered.
#[derive(Debug)]
pub struct Watching {
    events: mpsc::Receiver<Event>,
    is_missed: Arc<AtomicBool>,
}

impl Watching {
    /// A watch, and where its events go.
    pub(super) fn new() -> (Self, Watcher) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let is_missed = Arc::new(AtomicBool::new(false));
        (Self { events, is_missed: Arc::clone(&is_missed) }, Watcher { sender, is_missed })
    }

    /// Waits for the next event. After [`EventKind::Ended`] it is that one each time.
    pub async fn next(&mut self) -> Event {
        if self.events.is_empty() && self.is_missed.swap(false, Ordering::AcqRel) {
            return Event { kind: EventKind::Missed, path: String::new() };
        }
        self.events.recv().await.unwrap_or(Event { kind: EventKind::Ended, path: String::new() })
    }
}

/// Where the events of a watch go.
#[derive(Debug, Clone)]
pub(super) struct Watcher {
    sender: mpsc::Sender<Event>,
    is_missed: Arc<AtomicBool>,
}

impl Watcher {
    /// Delivers an event; false where nobody reads any more.
    pub(super) fn deliver(&self, event: Event) -> bool {
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.is_missed.store(true, Ordering::Release);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_that_come_faster_than_they_are_read_are_said_to_be_missed() {
        let (mut watching, watcher) = Watching::new();
        let event = |kind| Event { kind, path: "/a".to_owned() };
        for _ in 0..=EVENTS_MAX {
            assert!(watcher.deliver(event(EventKind::DataChanged)));
        }
        for _ in 0..EVENTS_MAX {
            assert_eq!(watching.next().await.kind, EventKind::DataChanged);
        }
        assert_eq!(watching.next().await.kind, EventKind::Missed);
        assert!(watcher.deliver(event(EventKind::Deleted)));
        assert_eq!(watching.next().await, event(EventKind::Deleted));
        drop(watcher);
        assert_eq!(watching.next().await.kind, EventKind::Ended);
        assert_eq!(watching.next().await.kind, EventKind::Ended);
    }

    #[test]
    fn a_digest_user_stands_in_an_access_list_as_zookeeper_writes_it() {
        // The example of ZooKeeper's documents: DigestAuthenticationProvider of super:superpw.
        let acl = Acl::digest("super", &crate::formats::secret::remember("superpw"), Permissions::ALL);
        assert_eq!(acl.id, "super:g9oN2HttPfn8MMWJZ2r45Np/LIA=");
    }

    #[test]
    fn permissions_are_a_set() {
        let both = Permissions::READ.and(Permissions::ADMIN);
        assert!(both.contains(Permissions::READ) && !both.contains(Permissions::WRITE));
        assert!(Permissions::ALL.contains(both));
    }
}
