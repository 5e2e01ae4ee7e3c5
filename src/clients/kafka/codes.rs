//! Kafka's error codes: their names, and the ones that decide what happens next.

/// UNKNOWN_TOPIC_OR_PARTITION.
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// LEADER_NOT_AVAILABLE: an election is running, or the partition is offline.
pub const LEADER_NOT_AVAILABLE: i16 = 5;
/// NOT_LEADER_OR_FOLLOWER.
pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
/// REQUEST_TIMED_OUT: the broker stopped waiting; what was asked may still happen.
pub const REQUEST_TIMED_OUT: i16 = 7;
/// BROKER_NOT_AVAILABLE.
pub const BROKER_NOT_AVAILABLE: i16 = 8;
/// NETWORK_EXCEPTION: the broker lost its connection to another one before that had answered.
pub const NETWORK_EXCEPTION: i16 = 13;
/// COORDINATOR_LOAD_IN_PROGRESS.
pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
/// COORDINATOR_NOT_AVAILABLE.
pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// NOT_COORDINATOR.
pub const NOT_COORDINATOR: i16 = 16;
/// INVALID_TOPIC_EXCEPTION: an illegal name, or one that collides.
pub const INVALID_TOPIC: i16 = 17;
/// ILLEGAL_GENERATION: the group has rebalanced without this member.
pub const ILLEGAL_GENERATION: i16 = 22;
/// INCONSISTENT_GROUP_PROTOCOL: the group is used with another protocol.
pub const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
/// UNKNOWN_MEMBER_ID: the group has no such member (any more).
pub const UNKNOWN_MEMBER_ID: i16 = 25;
/// INVALID_SESSION_TIMEOUT: outside of the broker's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
pub const INVALID_SESSION_TIMEOUT: i16 = 26;
/// REBALANCE_IN_PROGRESS: each member has to join again.
pub const REBALANCE_IN_PROGRESS: i16 = 27;
/// GROUP_AUTHORIZATION_FAILED.
pub const GROUP_AUTHORIZATION_FAILED: i16 = 30;
/// CLUSTER_AUTHORIZATION_FAILED.
pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// SASL_AUTHENTICATION_FAILED.
pub const SASL_AUTHENTICATION_FAILED: i16 = 58;
/// UNSUPPORTED_SASL_MECHANISM.
pub const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
/// UNSUPPORTED_VERSION.
pub const UNSUPPORTED_VERSION: i16 = 35;
/// TOPIC_ALREADY_EXISTS.
pub const TOPIC_ALREADY_EXISTS: i16 = 36;
/// INVALID_PARTITIONS: fewer than there are, none, or as many as there are.
pub const INVALID_PARTITIONS: i16 = 37;
/// INVALID_REPLICATION_FACTOR.
pub const INVALID_REPLICATION_FACTOR: i16 = 38;
/// INVALID_REPLICA_ASSIGNMENT.
pub const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
/// INVALID_CONFIG: an unknown key or a refused value.
pub const INVALID_CONFIG: i16 = 40;
/// NOT_CONTROLLER: the request did nothing and belongs elsewhere.
pub const NOT_CONTROLLER: i16 = 41;
/// INVALID_REQUEST.
pub const INVALID_REQUEST: i16 = 42;
/// REASSIGNMENT_IN_PROGRESS.
pub const REASSIGNMENT_IN_PROGRESS: i16 = 60;
/// GROUP_ID_NOT_FOUND.
pub const GROUP_ID_NOT_FOUND: i16 = 69;
/// MEMBER_ID_REQUIRED: the coordinator has given the member an id, with which it joins again.
pub const MEMBER_ID_REQUIRED: i16 = 79;
/// PREFERRED_LEADER_NOT_AVAILABLE: the preferred leader is down or not in sync.
pub const PREFERRED_LEADER_NOT_AVAILABLE: i16 = 80;
/// ELIGIBLE_LEADERS_NOT_AVAILABLE: no replica that could be elected is up.
pub const ELIGIBLE_LEADERS_NOT_AVAILABLE: i16 = 83;
/// ELECTION_NOT_NEEDED: the preferred leader leads already, or there is a leader.
pub const ELECTION_NOT_NEEDED: i16 = 84;
/// NO_REASSIGNMENT_IN_PROGRESS: there is nothing to cancel.
pub const NO_REASSIGNMENT_IN_PROGRESS: i16 = 85;
/// THROTTLING_QUOTA_EXCEEDED: did nothing; to be sent again after the throttle time.
pub const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
/// REBOOTSTRAP_REQUIRED: the broker at this address is not the one that the request is for (Kafka 4.4).
pub const REBOOTSTRAP_REQUIRED: i16 = 129;

/// BROKER_ID_NOT_REGISTERED.
pub const BROKER_ID_NOT_REGISTERED: i16 = 102;
/// INCONSISTENT_CLUSTER_ID: the request is for another cluster.
pub const INCONSISTENT_CLUSTER_ID: i16 = 104;
/// MISMATCHED_ENDPOINT_TYPE: a broker was asked for controllers, or the other way about.
pub const MISMATCHED_ENDPOINT_TYPE: i16 = 114;
/// DUPLICATE_VOTER: the node is a voter already, perhaps with another directory.
pub const DUPLICATE_VOTER: i16 = 126;
/// VOTER_NOT_FOUND: no such voter, or it is the last one.
pub const VOTER_NOT_FOUND: i16 = 127;
/// CONTROLLER_ID_NOT_REGISTERED (Kafka 4.4).
pub const CONTROLLER_ID_NOT_REGISTERED: i16 = 136;

/// Whether a write that a broker answers with this code may still be carried out, because the broker did not wait for the
/// end, lost the controller meanwhile, or because the leader of the quorum resigned before a change of voters was committed
/// (NOT_LEADER_OR_FOLLOWER). See [`KafkaError::leaves_result_unknown`].
///
/// [`KafkaError::leaves_result_unknown`]: crate::clients::kafka::KafkaError::leaves_result_unknown
pub fn leaves_result_unknown(code: i16) -> bool {
    matches!(code, REQUEST_TIMED_OUT | NETWORK_EXCEPTION | NOT_LEADER_OR_FOLLOWER)
}

/// Kafka's name of a code, as `TOPIC_ALREADY_EXISTS`; `UNKNOWN_CODE` for one that is newer than this tool.
pub fn name(code: i16) -> &'static str {
    match usize::try_from(code) {
        Ok(index) => NAMES.get(index).copied().unwrap_or("UNKNOWN_CODE"),
        Err(_) => "UNKNOWN_SERVER_ERROR",
    }
}

/// By code, from 0.
#[rustfmt::skip]
const NAMES: [&str; 137] = [
    "NONE",
    "OFFSET_OUT_OF_RANGE",
    "CORRUPT_MESSAGE",
    "UNKNOWN_TOPIC_OR_PARTITION",
    "INVALID_FETCH_SIZE",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_OR_FOLLOWER",
    "REQUEST_TIMED_OUT",
    "BROKER_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "MESSAGE_TOO_LARGE",
    "STALE_CONTROLLER_EPOCH",
    "OFFSET_METADATA_TOO_LARGE",
    "NETWORK_EXCEPTION",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "INVALID_TOPIC_EXCEPTION",
    "RECORD_LIST_TOO_LARGE",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "INVALID_REQUIRED_ACKS",
    "ILLEGAL_GENERATION",
    "INCONSISTENT_GROUP_PROTOCOL",
    "INVALID_GROUP_ID",
    "UNKNOWN_MEMBER_ID",
    "INVALID_SESSION_TIMEOUT",
    "REBALANCE_IN_PROGRESS",
    "INVALID_COMMIT_OFFSET_SIZE",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "INVALID_TIMESTAMP",
    "UNSUPPORTED_SASL_MECHANISM",
    "ILLEGAL_SASL_STATE",
    "UNSUPPORTED_VERSION",
    "TOPIC_ALREADY_EXISTS",
    "INVALID_PARTITIONS",
    "INVALID_REPLICATION_FACTOR",
    "INVALID_REPLICA_ASSIGNMENT",
    "INVALID_CONFIG",
    "NOT_CONTROLLER",
    "INVALID_REQUEST",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    "POLICY_VIOLATION",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "DUPLICATE_SEQUENCE_NUMBER",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_TXN_STATE",
    "INVALID_PRODUCER_ID_MAPPING",
    "INVALID_TRANSACTION_TIMEOUT",
    "CONCURRENT_TRANSACTIONS",
    "TRANSACTION_COORDINATOR_FENCED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "SECURITY_DISABLED",
    "OPERATION_NOT_ATTEMPTED",
    "KAFKA_STORAGE_ERROR",
    "LOG_DIR_NOT_FOUND",
    "SASL_AUTHENTICATION_FAILED",
    "UNKNOWN_PRODUCER_ID",
    "REASSIGNMENT_IN_PROGRESS",
    "DELEGATION_TOKEN_AUTH_DISABLED",
    "DELEGATION_TOKEN_NOT_FOUND",
    "DELEGATION_TOKEN_OWNER_MISMATCH",
    "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
    "DELEGATION_TOKEN_EXPIRED",
    "INVALID_PRINCIPAL_TYPE",
    "NON_EMPTY_GROUP",
    "GROUP_ID_NOT_FOUND",
    "FETCH_SESSION_ID_NOT_FOUND",
    "INVALID_FETCH_SESSION_EPOCH",
    "LISTENER_NOT_FOUND",
    "TOPIC_DELETION_DISABLED",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "UNSUPPORTED_COMPRESSION_TYPE",
    "STALE_BROKER_EPOCH",
    "OFFSET_NOT_AVAILABLE",
    "MEMBER_ID_REQUIRED",
    "PREFERRED_LEADER_NOT_AVAILABLE",
    "GROUP_MAX_SIZE_REACHED",
    "FENCED_INSTANCE_ID",
    "ELIGIBLE_LEADERS_NOT_AVAILABLE",
    "ELECTION_NOT_NEEDED",
    "NO_REASSIGNMENT_IN_PROGRESS",
    "GROUP_SUBSCRIBED_TO_TOPIC",
    "INVALID_RECORD",
    "UNSTABLE_OFFSET_COMMIT",
    "THROTTLING_QUOTA_EXCEEDED",
    "PRODUCER_FENCED",
    "RESOURCE_NOT_FOUND",
    "DUPLICATE_RESOURCE",
    "UNACCEPTABLE_CREDENTIAL",
    "INCONSISTENT_VOTER_SET",
    "INVALID_UPDATE_VERSION",
    "FEATURE_UPDATE_FAILED",
    "PRINCIPAL_DESERIALIZATION_FAILURE",
    "SNAPSHOT_NOT_FOUND",
    "POSITION_OUT_OF_RANGE",
    "UNKNOWN_TOPIC_ID",
    "DUPLICATE_BROKER_REGISTRATION",
    "BROKER_ID_NOT_REGISTERED",
    "INCONSISTENT_TOPIC_ID",
    "INCONSISTENT_CLUSTER_ID",
    "TRANSACTIONAL_ID_NOT_FOUND",
    "FETCH_SESSION_TOPIC_ID_ERROR",
    "INELIGIBLE_REPLICA",
    "NEW_LEADER_ELECTED",
    "OFFSET_MOVED_TO_TIERED_STORAGE",
    "FENCED_MEMBER_EPOCH",
    "UNRELEASED_INSTANCE_ID",
    "UNSUPPORTED_ASSIGNOR",
    "STALE_MEMBER_EPOCH",
    "MISMATCHED_ENDPOINT_TYPE",
    "UNSUPPORTED_ENDPOINT_TYPE",
    "UNKNOWN_CONTROLLER_ID",
    "UNKNOWN_SUBSCRIPTION_ID",
    "TELEMETRY_TOO_LARGE",
    "INVALID_REGISTRATION",
    "TRANSACTION_ABORTABLE",
    "INVALID_RECORD_STATE",
    "SHARE_SESSION_NOT_FOUND",
    "INVALID_SHARE_SESSION_EPOCH",
    "FENCED_STATE_EPOCH",
    "INVALID_VOTER_KEY",
    "DUPLICATE_VOTER",
    "VOTER_NOT_FOUND",
    "INVALID_REGULAR_EXPRESSION",
    "REBOOTSTRAP_REQUIRED",
    "STREAMS_INVALID_TOPOLOGY",
    "STREAMS_INVALID_TOPOLOGY_EPOCH",
    "STREAMS_TOPOLOGY_FENCED",
    "SHARE_SESSION_LIMIT_REACHED",
    "GROUP_DELETION_FAILED",
    "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED",
    "CONTROLLER_ID_NOT_REGISTERED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kafkas_names() {
        let cases = [
            (-1, "UNKNOWN_SERVER_ERROR"),
            (UNKNOWN_TOPIC_OR_PARTITION, "UNKNOWN_TOPIC_OR_PARTITION"),
            (TOPIC_ALREADY_EXISTS, "TOPIC_ALREADY_EXISTS"),
            (NOT_CONTROLLER, "NOT_CONTROLLER"),
            (THROTTLING_QUOTA_EXCEEDED, "THROTTLING_QUOTA_EXCEEDED"),
            (127, "VOTER_NOT_FOUND"),
            (CONTROLLER_ID_NOT_REGISTERED, "CONTROLLER_ID_NOT_REGISTERED"),
            (BROKER_ID_NOT_REGISTERED, "BROKER_ID_NOT_REGISTERED"),
            (133, "SHARE_SESSION_LIMIT_REACHED"),
            (i16::MAX, "UNKNOWN_CODE"),
        ];
        for (code, expected) in cases {
            assert_eq!(name(code), expected, "{code}");
        }
    }
}
