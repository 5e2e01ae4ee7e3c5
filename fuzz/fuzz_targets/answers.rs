//! Any bytes as a broker's answer of any kind and version: what passes our check of its shape, the codec reads without a
//! panic and without much memory. The first two bytes choose kind and version.
#![no_main]

use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Message};
use kafka_toolbox_fuzz::has_shape;
use libfuzzer_sys::fuzz_target;

fn read<T: Decodable + Message>(key: ApiKey, version: u8, bytes: &[u8]) {
    let version = T::VERSIONS.min + i16::from(version) % (T::VERSIONS.max - T::VERSIONS.min + 1);
    if has_shape(key, version, bytes) {
        let _ = T::decode(&mut bytes::Bytes::copy_from_slice(bytes), version);
    }
}

fuzz_target!(|bytes: &[u8]| {
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
});
