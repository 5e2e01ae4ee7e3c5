//! The client of a ZooKeeper ensemble: nodes, watches, and the ensemble's own membership.
//!
//! [`ZooKeeper`] is what the rest of the program sees; [`live`] speaks to real servers, [`memory`] is a fake for tests.
//! Each call has a deadline (`--timeout`) and ends in a [`ZooKeeperError`]. The text of the configuration is handed over as
//! bytes: it is read elsewhere.

mod error;
pub mod folder;
pub mod live;
pub mod memory;
mod nodes;
pub mod settings;

use std::fmt::Debug;

use async_trait::async_trait;

pub use error::{Refusal, ZooKeeperError};
pub use nodes::{
    Acl, CONFIG_PATH, Configuration, Creation, Event, EventKind, Mode, Node, Operation, Outcome, Permissions,
    Reconfiguration, Stat, WatchKind, Watching,
};

/// A session with an ensemble.
///
/// Paths are absolute, and relative to the chroot of the settings where there is one; the node of the configuration is
/// outside of it. A version of none means "whatever version it has".
#[async_trait]
pub trait ZooKeeper: Send + Sync + Debug {
    /// The ensemble's configuration, as the server that is connected has it. It may be behind: [`ZooKeeper::sync`] first.
    async fn configuration(&self) -> Result<Configuration, ZooKeeperError>;

    /// Changes the membership incrementally, and returns the new configuration.
    ///
    /// Each call that is accepted makes a new version, also one that changes nothing. It must not be sent again after an
    /// error for which [`ZooKeeperError::is_unknown`]: read the configuration first.
    async fn reconfigure(&self, change: &Reconfiguration) -> Result<Configuration, ZooKeeperError>;

    /// Waits until the server that is connected has all that the leader had committed.
    async fn sync(&self, path: &str) -> Result<(), ZooKeeperError>;

    /// Creates a node; its path, which the server completes for sequential nodes.
    async fn create(&self, path: &str, data: &[u8], creation: &Creation) -> Result<String, ZooKeeperError>;

    /// Reads a node.
    async fn get(&self, path: &str) -> Result<Node, ZooKeeperError>;

    /// What there is to know of a node beside its data; none where there is no such node.
    async fn stat(&self, path: &str) -> Result<Option<Stat>, ZooKeeperError>;

    /// Writes a node's data.
    async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat, ZooKeeperError>;

    /// Removes a node that has no children.
    async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), ZooKeeperError>;

    /// The names of a node's children, sorted.
    async fn children(&self, path: &str) -> Result<Vec<String>, ZooKeeperError>;

    /// Who may do what with a node, and its stat (`aversion` is the version of this list).
    async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ZooKeeperError>;

    /// Writes who may do what with a node; `version` is the list's own.
    async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat, ZooKeeperError>;

    /// Carries out all operations or none.
    async fn multi(&self, operations: &[Operation]) -> Result<Vec<Outcome>, ZooKeeperError>;

    /// Watches a node until the returned value is dropped. Needs ZooKeeper 3.6.
    async fn watch(&self, path: &str, kind: WatchKind) -> Result<Watching, ZooKeeperError>;

    /// Ends the session: its ephemeral nodes are removed at once. Every later call fails with
    /// [`ZooKeeperError::Closed`].
    async fn close(&self) -> Result<(), ZooKeeperError>;
}
