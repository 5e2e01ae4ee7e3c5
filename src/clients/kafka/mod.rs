//! The client of Kafka: [`Kafka`] is what the commands may ask of a cluster, one trait for each noun.

pub mod cluster;
pub mod codes;
pub mod configs;
pub mod error;
pub mod gate;
pub mod groups;
pub mod live;
pub mod lock_group;
pub mod memory;
mod patience;
pub mod quorum;
pub mod reassignments;
pub mod sasl;
pub mod settings;
mod stores;
pub mod tls;
pub mod topics;

pub use cluster::{Cluster, ReplicaSizes};
pub use configs::Configs;
pub use error::KafkaError;
pub use groups::Groups;
pub use quorum::Quorum;
pub use reassignments::{Election, Factor, Reassignments};
pub use topics::{NewPartitions, NewTopic, Topics};

use crate::clients::kafka::gate::WriteGate;

/// One Kafka cluster: everything that may be asked of it. What needs one noun takes the trait of that noun.
///
/// Reads are retried until the connection's deadline. Writes are sent again only where the first one certainly did
/// nothing; where an answer was lost they end in an error that [`KafkaError::leaves_result_unknown`], and the caller looks
/// before it decides.
/// A write of many items returns one result an item, in the order of the items; it is cut into requests that the
/// brokers take, and one bad item does not stop the others.
/// In KRaft, reads may show the state from before one's own write for some hundred milliseconds: poll.
pub trait Kafka: Cluster + Topics + Configs + Groups + Reassignments + Quorum {
    /// Says that another look at the cluster begins, in a command that looks again and again: the time that the looks before
    /// waited for answers in vain does not count for it.
    fn begin_look(&self) {}

    /// What must be true right before a write is sent. Where it is not, [`KafkaError::LockNotHeld`] is the result and
    /// nothing was sent. What is only checked ([`Mode::Validate`]) does not need it.
    fn write_gate(&self) -> &WriteGate;
}

/// Whether a write is carried out or only checked (`validate_only`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Apply,
    /// Ask the brokers whether they would; nothing changes.
    Validate,
}
