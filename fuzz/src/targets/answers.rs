//! Bytes that peers send.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Message};

use crate::metric_answers::{datadog, prometheus, refusal};
use crate::schemas::{DescribeLogDirsResponse, UnregisterControllerResponse};
use crate::token_answer::{Answer, expiry};
use crate::{StoreKind, keys, opens, read_answer, topics_of_member, words_of_certificate};

fn read<T: Decodable + Message>(key: i16, version: u8, bytes: &[u8]) {
    let version = T::VERSIONS.min + i16::from(version) % (T::VERSIONS.max - T::VERSIONS.min + 1);
    read_answer::<T>(key, version, bytes);
}

/// A broker's answer of any kind and version: what passes our check of its shape, the codec reads without a panic and without
/// much memory. The first two bytes choose kind and version.
pub fn answers(bytes: &[u8]) {
    let [kind, version, rest @ ..] = bytes else { return };
    let version = *version;
    match kind % 30 {
        0 => read::<AlterPartitionReassignmentsResponse>(keys::AlterPartitionReassignments, version, rest),
        1 => read::<ApiVersionsResponse>(keys::ApiVersions, version, rest),
        2 => read::<ConsumerGroupDescribeResponse>(keys::ConsumerGroupDescribe, version, rest),
        3 => read::<CreatePartitionsResponse>(keys::CreatePartitions, version, rest),
        4 => read::<CreateTopicsResponse>(keys::CreateTopics, version, rest),
        5 => read::<DeleteTopicsResponse>(keys::DeleteTopics, version, rest),
        6 => read::<DescribeClusterResponse>(keys::DescribeCluster, version, rest),
        7 => read::<DescribeConfigsResponse>(keys::DescribeConfigs, version, rest),
        8 => read::<DescribeGroupsResponse>(keys::DescribeGroups, version, rest),
        9 => read::<DescribeQuorumResponse>(keys::DescribeQuorum, version, rest),
        10 => read::<ElectLeadersResponse>(keys::ElectLeaders, version, rest),
        11 => read::<FindCoordinatorResponse>(keys::FindCoordinator, version, rest),
        12 => read::<HeartbeatResponse>(keys::Heartbeat, version, rest),
        13 => read::<IncrementalAlterConfigsResponse>(keys::IncrementalAlterConfigs, version, rest),
        14 => read::<JoinGroupResponse>(keys::JoinGroup, version, rest),
        15 => read::<LeaveGroupResponse>(keys::LeaveGroup, version, rest),
        16 => read::<ListGroupsResponse>(keys::ListGroups, version, rest),
        17 => read::<ListOffsetsResponse>(keys::ListOffsets, version, rest),
        18 => read::<ListPartitionReassignmentsResponse>(keys::ListPartitionReassignments, version, rest),
        19 => read::<MetadataResponse>(keys::Metadata, version, rest),
        20 => read::<SaslAuthenticateResponse>(keys::SaslAuthenticate, version, rest),
        21 => read::<SaslHandshakeResponse>(keys::SaslHandshake, version, rest),
        22 => read::<ShareGroupDescribeResponse>(keys::ShareGroupDescribe, version, rest),
        23 => read::<DescribeTopicPartitionsResponse>(keys::DescribeTopicPartitions, version, rest),
        24 => read::<AddRaftVoterResponse>(keys::AddRaftVoter, version, rest),
        25 => read::<RemoveRaftVoterResponse>(keys::RemoveRaftVoter, version, rest),
        26 => read::<UnregisterBrokerResponse>(keys::UnregisterBroker, version, rest),
        27 => read::<UnregisterControllerResponse>(keys::UnregisterController, version, rest),
        28 => read::<DescribeLogDirsResponse>(keys::DescribeLogDirs, version, rest),
        _ => read::<SyncGroupResponse>(keys::SyncGroup, version, rest),
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
