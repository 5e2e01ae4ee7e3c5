//! Kafka's numbers of requests, by their names.
#![expect(non_upper_case_globals, reason = "the names are Kafka's")]

use kafka_protocol::messages::ApiKey;

macro_rules! keys {
    ($($key:ident)*) => {$(pub(super) const $key: i16 = ApiKey::$key as i16;)*};
}

keys! {
    AddRaftVoter AlterPartitionReassignments ApiVersions ConsumerGroupDescribe CreatePartitions CreateTopics DeleteTopics
    DescribeCluster DescribeConfigs DescribeGroups DescribeLogDirs DescribeQuorum DescribeTopicPartitions ElectLeaders
    FindCoordinator Heartbeat IncrementalAlterConfigs JoinGroup LeaveGroup ListGroups ListOffsets
    ListPartitionReassignments Metadata RemoveRaftVoter SaslAuthenticate SaslHandshake ShareGroupDescribe SyncGroup
    UnregisterBroker
}

/// The codec does not know it.
pub(super) const UnregisterController: i16 = 94;
