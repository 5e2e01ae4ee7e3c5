//! Which answer belongs to which request, which versions we speak, and which Kafka has it: a line a call.
//!
//! The version that is used is the highest that the broker, the request and the answer all know. The lowest one is that
//! of Kafka 2.4, the oldest broker that we promise; fields that a version lacks are left out where requests are made.

use kafka_protocol::messages::AddRaftVoterResponse;
use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
use kafka_protocol::messages::AlterPartitionReassignmentsResponse;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::ConsumerGroupDescribeResponse;
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::CreatePartitionsResponse;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DeleteTopicsResponse;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::DescribeClusterResponse;
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::DescribeConfigsResponse;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::DescribeGroupsResponse;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::DescribeQuorumResponse;
use kafka_protocol::messages::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::DescribeTopicPartitionsResponse;
use kafka_protocol::messages::ElectLeadersRequest;
use kafka_protocol::messages::ElectLeadersResponse;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::FindCoordinatorResponse;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::HeartbeatResponse;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::IncrementalAlterConfigsResponse;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::LeaveGroupResponse;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::ListGroupsResponse;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::ListOffsetsResponse;
use kafka_protocol::messages::ListPartitionReassignmentsRequest;
use kafka_protocol::messages::ListPartitionReassignmentsResponse;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::RemoveRaftVoterRequest;
use kafka_protocol::messages::RemoveRaftVoterResponse;
use kafka_protocol::messages::SaslAuthenticateRequest;
use kafka_protocol::messages::SaslAuthenticateResponse;
use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::messages::SaslHandshakeResponse;
use kafka_protocol::messages::ShareGroupDescribeRequest;
use kafka_protocol::messages::ShareGroupDescribeResponse;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::messages::UnregisterBrokerRequest;
use kafka_protocol::messages::UnregisterBrokerResponse;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Message;

use crate::clients::kafka::live::keys;
use crate::clients::kafka::live::schemas::AddRaftVoterRequest;
use crate::clients::kafka::live::schemas::DescribeLogDirsRequest;
use crate::clients::kafka::live::schemas::DescribeLogDirsResponse;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::clients::kafka::live::schemas::UnregisterControllerRequest;
use crate::clients::kafka::live::schemas::UnregisterControllerResponse;

/// A request, and the answer that belongs to it.
pub(super) trait Call: Message + Encodable + HeaderVersion + Send + Sync + 'static {
    /// Its answer.
    type Answer: Message + Decodable + HeaderVersion + Send + 'static;
    /// Kafka's number for it.
    const KEY: i16;
    /// Kafka's name for it.
    const NAME: &'static str;
    /// The first Kafka that has the lowest version that we speak.
    const SINCE: &'static str;
    /// The lowest version that we speak.
    const VERSION_MIN: i16;
    /// The highest version that request and answer both know: the crate's two ranges differ here and there. A line that names
    /// another one says that the answer is as in the version before.
    const VERSION_MAX: i16 =
        if Self::VERSIONS.max < Self::Answer::VERSIONS.max { Self::VERSIONS.max } else { Self::Answer::VERSIONS.max };

    /// How long the broker wants us to be quiet after this answer.
    fn throttle_time_ms(answer: &Self::Answer) -> i32;
}

macro_rules! calls {
    ($($key:ident: $request:ident => $answer:ident $({ $throttle:ident })?, version $min:literal $(to $max:literal)?, Kafka $since:literal;)*) => {$(
        impl Call for $request {
            type Answer = $answer;
            const KEY: i16 = keys::$key;
            const NAME: &'static str = stringify!($key);
            const SINCE: &'static str = $since;
            const VERSION_MIN: i16 = $min;
            $(const VERSION_MAX: i16 = $max;)?

            fn throttle_time_ms(_answer: &Self::Answer) -> i32 {
                0 $(+ _answer.$throttle)?
            }
        }
    )*

        /// All that is asked.
        #[cfg(test)]
        pub(super) const KEYS: &[i16] = &[$(keys::$key),*];
    };
}

calls! {
    AddRaftVoter: AddRaftVoterRequest => AddRaftVoterResponse { throttle_time_ms }, version 0 to 1, Kafka "3.9";
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse { throttle_time_ms }, version 0, Kafka "2.4";
    ApiVersions: NamedApiVersionsRequest => ApiVersionsResponse { throttle_time_ms }, version 0, Kafka "0.10";
    ConsumerGroupDescribe: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse { throttle_time_ms }, version 0, Kafka "3.7";
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse { throttle_time_ms }, version 1, Kafka "2.0";
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse { throttle_time_ms }, version 4, Kafka "2.4";
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse { throttle_time_ms }, version 1, Kafka "0.11";
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse { throttle_time_ms }, version 0, Kafka "2.8";
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse { throttle_time_ms }, version 1, Kafka "1.1";
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse { throttle_time_ms }, version 0, Kafka "0.9";
    DescribeLogDirs: DescribeLogDirsRequest => DescribeLogDirsResponse { throttle_time_ms }, version 1, Kafka "2.0";
    DescribeQuorum: DescribeQuorumRequest => DescribeQuorumResponse, version 0, Kafka "3.3";
    DescribeTopicPartitions: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse { throttle_time_ms }, version 0, Kafka "3.8";
    ElectLeaders: ElectLeadersRequest => ElectLeadersResponse { throttle_time_ms }, version 1, Kafka "2.4";
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse { throttle_time_ms }, version 1, Kafka "0.11";
    Heartbeat: HeartbeatRequest => HeartbeatResponse { throttle_time_ms }, version 1, Kafka "0.11";
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse { throttle_time_ms }, version 0, Kafka "2.3";
    JoinGroup: JoinGroupRequest => JoinGroupResponse { throttle_time_ms }, version 4, Kafka "2.2";
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse { throttle_time_ms }, version 1, Kafka "0.11";
    ListGroups: ListGroupsRequest => ListGroupsResponse { throttle_time_ms }, version 0, Kafka "0.9";
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse { throttle_time_ms }, version 2, Kafka "0.11";
    ListPartitionReassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse { throttle_time_ms }, version 0, Kafka "2.4";
    Metadata: MetadataRequest => MetadataResponse { throttle_time_ms }, version 5, Kafka "1.0";
    RemoveRaftVoter: RemoveRaftVoterRequest => RemoveRaftVoterResponse { throttle_time_ms }, version 0, Kafka "3.9";
    SaslAuthenticate: SaslAuthenticateRequest => SaslAuthenticateResponse, version 0, Kafka "1.0";
    SaslHandshake: SaslHandshakeRequest => SaslHandshakeResponse, version 1, Kafka "1.0";
    ShareGroupDescribe: ShareGroupDescribeRequest => ShareGroupDescribeResponse { throttle_time_ms }, version 1, Kafka "4.1";
    SyncGroup: SyncGroupRequest => SyncGroupResponse { throttle_time_ms }, version 1, Kafka "0.11";
    UnregisterBroker: UnregisterBrokerRequest => UnregisterBrokerResponse { throttle_time_ms }, version 0, Kafka "2.8";
    UnregisterController: UnregisterControllerRequest => UnregisterControllerResponse { throttle_time_ms }, version 0, Kafka "4.4";
}
