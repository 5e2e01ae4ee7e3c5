//! Which versions of which requests one broker speaks (ApiVersions), and which one we use with it.

use std::collections::BTreeMap;

use kafka_protocol::messages::ApiVersionsResponse;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::keys;

/// The version of ApiVersions from which on a request says for whom it is.
pub(super) const NAMES_SINCE: i16 = 5;

/// What a broker speaks: lowest and highest version by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Versions(BTreeMap<i16, (i16, i16)>);

impl Versions {
    /// From a broker's answer.
    pub(super) fn of(answer: &ApiVersionsResponse) -> Self {
        Self(answer.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version))).collect())
    }

    /// The version to use for a call: the highest that both sides know.
    pub(super) fn pick<C: Call>(&self, broker: &str) -> Result<i16, KafkaError> {
        let Some((least, most)) = self.0.get(&C::KEY).copied() else { return Err(unsupported::<C>(broker)) };
        let version = most.min(C::VERSION_MAX);
        if version < C::VERSION_MIN {
            return Err(unsupported::<C>(broker));
        }
        if version < least {
            return Err(KafkaError::Protocol {
                address: broker.to_owned(),
                message: format!(
                    "its {} begins at version {least}, and this toolbox ends at {}; use a newer toolbox",
                    C::NAME,
                    C::VERSION_MAX
                ),
            });
        }
        Ok(version)
    }

    /// Whether the broker understands for whom a connection is (KIP-1242).
    pub(super) fn knows_names(&self) -> bool {
        self.0.get(&(keys::ApiVersions)).is_some_and(|(_, most)| *most >= NAMES_SINCE)
    }

    /// Whether the cluster runs on KRaft: only there brokers tell about the quorum.
    pub(super) fn is_kraft(&self) -> bool {
        self.0.contains_key(&(keys::DescribeQuorum))
    }
}

fn unsupported<C: Call>(broker: &str) -> KafkaError {
    KafkaError::Unsupported { broker: broker.to_owned(), request: C::NAME, since: C::SINCE }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;
    use kafka_protocol::messages::CreateTopicsRequest;
    use kafka_protocol::messages::ListPartitionReassignmentsRequest;
    use kafka_protocol::messages::MetadataRequest;

    use super::*;

    fn versions(keys: &[(ApiKey, i16, i16)]) -> Versions {
        Versions(keys.iter().map(|(key, least, most)| (*key as i16, (*least, *most))).collect())
    }

    #[test]
    fn the_highest_version_that_both_know_is_used() {
        let kafka_2_4 = versions(&[(ApiKey::Metadata, 0, 9), (ApiKey::CreateTopics, 0, 5)]);
        assert_eq!(kafka_2_4.pick::<MetadataRequest>("b"), Ok(9));
        assert_eq!(kafka_2_4.pick::<CreateTopicsRequest>("b"), Ok(5));
        let later = versions(&[(ApiKey::Metadata, 0, 99)]);
        assert_eq!(later.pick::<MetadataRequest>("b"), Ok(13));
    }

    #[test]
    fn a_broker_that_is_too_old_is_told_apart_from_one_that_is_too_new() {
        let old = versions(&[(ApiKey::CreateTopics, 0, 3)]);
        let error = old.pick::<CreateTopicsRequest>("b:9092").unwrap_err().to_string();
        assert_eq!(error, "b:9092 does not offer CreateTopics: Kafka 2.4 and newer do, other servers may not");
        let error = old.pick::<ListPartitionReassignmentsRequest>("b:9092").unwrap_err().to_string();
        let expected =
            "b:9092 does not offer ListPartitionReassignments: Kafka 2.4 and newer do, other servers may not";
        assert_eq!(error, expected);
        let new = versions(&[(ApiKey::CreateTopics, 50, 60)]);
        let error = new.pick::<CreateTopicsRequest>("b:9092").unwrap_err().to_string();
        assert!(error.contains("begins at version 50"), "{error}");
    }
}
