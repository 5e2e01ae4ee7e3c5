//! Bytes that peers send.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Message};

use crate::metric_answers::{datadog, prometheus, refusal};
use crate::token_answer::{Answer, expiry};
use crate::{StoreKind, has_shape, opens, topics_of_member, words_of_certificate};

fn read<T: Decodable + Message>(key: ApiKey, version: u8, bytes: &[u8]) {
    let version = T::VERSIONS.min + i16::from(version) % (T::VERSIONS.max - T::VERSIONS.min + 1);
    if has_shape(key, version, bytes) {
        let _ = T::decode(&mut bytes::Bytes::copy_from_slice(bytes), version);
    }
}

/// A broker's answer of any kind and version: what passes our check of its shape, the codec reads without a panic and without
/// much memory. The first two bytes choose kind and version.
pub fn answers(bytes: &[u8]) {
    let [kind, version, rest @ ..] = bytes else { return };
    let version = *version;
    match kind % 25 {
        0 => read::<AlterPartitionReassignmentsResponse>(ApiKey::AlterPartitionReassignments, version, rest),
        1 => read::<ApiVersionsResponse>(ApiKey::ApiVersions, version, rest),
        2 => read::<ConsumerGroupDescribeResponse>(ApiKey::ConsumerGroupDescribe, version, rest),
        3 => read::<CreatePartitionsResponse>(ApiKey::CreatePartitions, version, rest),
        4 => read::<CreateTopicsResponse>(ApiKey::CreateTopics, version, rest),
        5 => read::<DeleteTopicsResponse>(ApiKey::DeleteTopics, version, rest),
        6 => read::<DescribeClusterResponse>(ApiKey::DescribeCluster, version, rest),
        7 => read::<DescribeConfigsResponse>(ApiKey::DescribeConfigs, version, rest),
        8 => read::<DescribeGroupsResponse>(ApiKey::DescribeGroups, version, rest),
        9 => read::<DescribeQuorumResponse>(ApiKey::DescribeQuorum, version, rest),
        10 => read::<ElectLeadersResponse>(ApiKey::ElectLeaders, version, rest),
        11 => read::<FindCoordinatorResponse>(ApiKey::FindCoordinator, version, rest),
        12 => read::<HeartbeatResponse>(ApiKey::Heartbeat, version, rest),
        13 => read::<IncrementalAlterConfigsResponse>(ApiKey::IncrementalAlterConfigs, version, rest),
        14 => read::<JoinGroupResponse>(ApiKey::JoinGroup, version, rest),
        15 => read::<LeaveGroupResponse>(ApiKey::LeaveGroup, version, rest),
        16 => read::<ListGroupsResponse>(ApiKey::ListGroups, version, rest),
        17 => read::<ListOffsetsResponse>(ApiKey::ListOffsets, version, rest),
        18 => read::<ListPartitionReassignmentsResponse>(ApiKey::ListPartitionReassignments, version, rest),
        19 => read::<MetadataResponse>(ApiKey::Metadata, version, rest),
        20 => read::<SaslAuthenticateResponse>(ApiKey::SaslAuthenticate, version, rest),
        21 => read::<SaslHandshakeResponse>(ApiKey::SaslHandshake, version, rest),
        22 => read::<ShareGroupDescribeResponse>(ApiKey::ShareGroupDescribe, version, rest),
        23 => read::<DescribeTopicPartitionsResponse>(ApiKey::DescribeTopicPartitions, version, rest),
        _ => read::<SyncGroupResponse>(ApiKey::SyncGroup, version, rest),
    }
}

/// The certificate that a broker shows: what messages say of it is text that a terminal shows.
pub fn certificates(bytes: &[u8]) {
    if let Some(words) = words_of_certificate(bytes, "kafka-1.example.com") {
        assert!(!words.is_empty());
    }
}

/// What a member puts into its consumer group: topics, or unknown.
pub fn group_bytes(bytes: &[u8]) {
    for topics in topics_of_member(bytes).into_iter().flatten() {
        assert!(topics <= bytes.len());
    }
}

/// An answer of Prometheus and of Datadog: samples, or a sentence.
pub fn metrics(bytes: &[u8]) {
    if let Ok((samples, _)) = prometheus(bytes) {
        samples.iter().for_each(|sample| assert!(sample.amount().is_none_or(f64::is_finite)));
    }
    if let Ok(samples) = datadog(bytes) {
        samples.iter().for_each(|sample| assert!(sample.amount().is_none_or(f64::is_finite)));
    }
    assert!(refusal(bytes).is_none_or(|words| !words.is_empty()));
}

/// An answer of the Kubernetes API server: plain data, or an error.
pub fn objects(bytes: &[u8]) {
    crate::read_object(bytes);
}

/// A key store or trust store, with and without a password: certificates and keys, or an error. The first byte chooses the form
/// that the settings name, and whether there is a password.
pub fn stores(bytes: &[u8]) {
    let [choice, store @ ..] = bytes else { return };
    let kind = [StoreKind::Pem, StoreKind::Pkcs12, StoreKind::Jks][usize::from(choice % 3)];
    let password = if choice & 0x80 == 0 { "" } else { "changeit" };
    let _ = opens(kind, store, password);
}

/// An answer of a token endpoint, and a token.
pub fn tokens(bytes: &[u8]) {
    let answer = Answer::read(bytes);
    let _ = answer.access_token.as_deref().and_then(expiry);
    let _ = std::str::from_utf8(bytes).ok().and_then(expiry);
}

/// What a ZooKeeper server sends: answers of nodes and of several operations, a challenge of SASL, and the texts of four-letter
/// words. Plain data, or an error.
pub fn zookeeper(bytes: &[u8]) {
    crate::read_zookeeper(bytes);
}
