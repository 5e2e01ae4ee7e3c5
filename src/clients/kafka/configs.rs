//! [`Configs`]: configs of topics and brokers: read, altered, and awaited on all brokers.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::clients::kafka::{KafkaError, Mode, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigChange, ConfigEntry, ConfigResource};

/// Configs of topics and brokers.
#[async_trait]
pub trait Configs: Send + Sync {
    /// Config entries of each resource: all keys, or those named. A missing topic has an error of its own.
    async fn configs(
        &self,
        resources: &[ConfigResource],
        keys: Option<&[&str]>,
    ) -> Result<BTreeMap<ConfigResource, Result<Vec<ConfigEntry>, KafkaError>>, KafkaError>;

    /// What one of these brokers says of its own configs, whichever answers first: where all have the same, a broker that
    /// hangs costs nothing. With who answered.
    async fn configs_of_one(
        &self,
        brokers: &[BrokerId],
        keys: &[&str],
    ) -> Result<(BrokerId, Vec<ConfigEntry>), KafkaError> {
        let mut last = KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some("there is no live broker to ask"));
        for broker in brokers {
            let resource = ConfigResource::Broker(*broker);
            match self.configs(std::slice::from_ref(&resource), Some(keys)).await {
                Ok(mut answers) => match answers.remove(&resource) {
                    Some(Ok(entries)) => return Ok((*broker, entries)),
                    Some(Err(error)) => last = error,
                    None => {}
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Changes single config keys (IncrementalAlterConfigs), or asks whether they could be.
    async fn alter_configs(&self, changes: &[ConfigChange], mode: Mode) -> Vec<Result<(), KafkaError>>;

    /// Waits until brokers show what others committed before this call: configs of topics on all brokers, brokers' own
    /// configs on those that are named. In KRaft a broker may be some hundred milliseconds behind, and who writes a config
    /// over one that it did not see destroys it. Brokers that need longer than 5 s are waited for only where no other is there
    /// sooner. Answers with the brokers that did not get there in time.
    async fn catch_up(&self, own_configs: &BTreeSet<BrokerId>) -> Result<BTreeSet<BrokerId>, KafkaError>;
}
