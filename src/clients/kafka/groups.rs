//! [`Groups`]: consumer groups, and the locks that are made of groups.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::lock_group::LockGroups;
use crate::cluster::group::LiveGroup;

/// Consumer groups, and the locks that are made of groups.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Consumer groups that have members now, classic and new protocol, with the topics that they read.
    async fn live_groups(&self) -> Result<Vec<LiveGroup>, KafkaError>;

    /// Whether [`Groups::live_groups`] shows all groups: brokers leave out those that we may not describe, and do not say so.
    /// None where they do not tell (before Kafka 2.8).
    async fn sees_all_groups(&self) -> Result<Option<bool>, KafkaError> {
        Ok(Some(true))
    }

    /// The same cluster as one for locks, on connections of its own: it may be used in another thread with another
    /// runtime, and nothing that is asked here delays it. No connection is opened before the first call.
    fn lock_groups(&self) -> Arc<dyn LockGroups>;
}
