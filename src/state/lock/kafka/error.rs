//! Why a lock could not be taken.

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::state::lock::kafka::Holder;

/// Why a lock could not be taken. In each case nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another run holds the lock, or takes it at this moment.
    #[error("another run holds the lock `{group}` of this cluster: {holder}")]
    Held {
        /// The group.
        group: String,
        /// Who that is.
        holder: Box<Holder>,
    },
    /// Others join and leave, and no holder could be seen for so long.
    #[error(
        "the lock `{group}` of this cluster is being taken or renewed by others, and no holder was seen within {seconds} s"
    )]
    Unsettled {
        /// The group.
        group: String,
        /// How long it was looked at.
        seconds: u64,
    },
    /// The cluster can't keep the lock: no right to the group, no coordinator, a group of the same name of others.
    #[error(
        "the cluster can't keep the lock `{group}`: {why}. Nothing was changed. Another kind of lock needs no group: \
         `--lock lease` in Kubernetes, `--lock file` elsewhere; it does not exclude runs that use the lock of the cluster"
    )]
    Unavailable {
        /// The group.
        group: String,
        /// Why, and what would help.
        why: String,
    },
    /// The cluster could not be asked.
    #[error("the lock `{group}` of this cluster could not be asked for: {error}")]
    Kafka {
        /// The group.
        group: String,
        /// What went wrong.
        error: KafkaError,
    },
}

impl LockError {
    /// Sorts an error of the cluster: what another kind of lock would help against is [`LockError::Unavailable`].
    pub(super) fn of(group: &str, error: KafkaError) -> Self {
        let why = match error.code() {
            Some(codes::GROUP_AUTHORIZATION_FAILED) => {
                format!(
                    "this user has no right to the group ({error}); allow Read and Describe on the group `{group}`, as \
                     `kafka-acls.sh --add --allow-principal User:… --operation Read --group {group}` does"
                )
            }
            Some(codes::COORDINATOR_NOT_AVAILABLE | codes::COORDINATOR_LOAD_IN_PROGRESS | codes::NOT_COORDINATOR) => {
                format!(
                    "the group has no coordinator ({error}); the partition of `__consumer_offsets` that keeps it may be \
                     offline, or too few brokers live for the topic to be created"
                )
            }
            Some(codes::INCONSISTENT_GROUP_PROTOCOL) => "a group of this name is used by something else".to_owned(),
            _ => return Self::Kafka { group: group.to_owned(), error },
        };
        Self::Unavailable { group: group.to_owned(), why }
    }
}
