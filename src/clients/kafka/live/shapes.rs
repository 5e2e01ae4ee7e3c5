//! What the answers that are read consist of, made from Kafka's message schemas as they lie in `common/message/` of
//! kafka-clients-4.4.0.jar. One line for each request that is sent.
//!
//! A number is a field of so many bytes, `s` a text, `b` bytes, `[…]` a list, `(…)` a structure, `{TAG:…}` its tagged
//! fields, `?(…)` a structure that may be missing; `@3+`, `@1-3` and `@0` say which versions have a field, else all have it.

use crate::clients::kafka::live::keys;
use crate::clients::kafka::live::shape::Shape;

/// The shape of the answer to a request; none of those that have a reader of their own.
pub(super) fn shape_of(number: i16) -> Option<Shape> {
    let (flexible_since, fields) = match number {
        keys::AddRaftVoter | keys::RemoveRaftVoter | keys::UnregisterBroker | keys::UnregisterController => {
            (0, "4 2 s")
        }
        keys::AlterPartitionReassignments => (0, "4 1@1+ 2 s [(s [(4 2 s)])]"),
        keys::ApiVersions => (3, "2 [(2 2 2)] 4@1+ {0:[(s@3+ 2@3+ 2@3+)] 1:8 2:[(s@3+ 2@3+ 2@3+)] 3:1}"),
        keys::ConsumerGroupDescribe => {
            (0, "4 [(2 s s s 4 4 s [(s s s 4 s s [s] s ([(16 s [4])]) ([(16 s [4])]) 1@1+)] 4)]")
        }
        keys::CreatePartitions => (2, "4 [(s 2 s)]"),
        keys::CreateTopics => (5, "4 [(s 16@7+ 2 s 4@5+ 2@5+ [(s@5+ s@5+ 1@5+ 1@5+ 1@5+)]@5+ {0:2})]"),
        keys::DeleteTopics => (4, "4 [(s 16@6+ 2 s@5+)]"),
        keys::DescribeCluster => (0, "4 2 s 1@1+ s 4 [(4 s 4 s 1@2+)] 4"),
        keys::DescribeConfigs => (4, "4 [(2 s 1 s [(s s 1 1 1 [(s s 1)] 1@3+ s@3+)])]"),
        keys::DescribeGroups => (5, "4@1+ [(2 s@6+ s s s s [(s s@4+ s s b b)] 4@3+)]"),
        keys::DescribeQuorum => (
            0,
            "2 s@2+ [(s [(4 2 s@2+ 4 4 8 [(4 16@2+ 8 8@1+ 8@1+)] [(4 16@2+ 8 8@1+ 8@1+)])])] [(4@2+ [(s@2+ \
             s@2+ 2@2+)]@2+)]@2+",
        ),
        keys::DescribeTopicPartitions => (0, "4 [(2 s 16 1 [(2 4 4 4 [4] [4] [4] [4] [4])] 4)] ?(s 4)"),
        keys::ElectLeaders => (2, "4 2@1+ [(s [(4 2 s)])]"),
        keys::FindCoordinator => (3, "4@1+ 2@0-3 s@1-3 4@0-3 s@0-3 4@0-3 [(s@4+ 4@4+ s@4+ 4@4+ 2@4+ s@4+)]@4+"),
        keys::Heartbeat => (4, "4@1+ 2"),
        keys::IncrementalAlterConfigs => (1, "4 [(2 s 1 s)]"),
        keys::JoinGroup => (6, "4@2+ 2 4 s@7+ s s 1@9+ s [(s s@5+ b)]"),
        keys::LeaveGroup => (4, "4@1+ 2 [(s@3+ s@3+ 2@3+)]@3+"),
        keys::ListGroups => (3, "4@1+ 2 [(s s s@4+ s@5+)]"),
        keys::ListOffsets => (6, "4@2+ [(s [(4 2 8 8 4@4+)])]"),
        keys::ListPartitionReassignments => (0, "4 2 s [(s [(4 [4] [4] [4])])]"),
        keys::Metadata => (
            9,
            "4@3+ [(4 s 4 s@1+)] s@2+ 4@1+ [(2 s 16@10+ 1@1+ [(2 4 4 4@7+ [4] [4] [4]@5+)] 4@8+)] 4@8-10 \
             2@13+",
        ),
        keys::SaslAuthenticate => (2, "2 s b 8@1+"),
        keys::SaslHandshake => (i16::MAX, "2 [s]"),
        keys::ShareGroupDescribe => (0, "4 [(2 s s s 4 4 s [(s s 4 s s [s] ([(16 s [4])]))] 4)]"),
        keys::SyncGroup => (4, "4@1+ 2 s@5+ s@5+ b"),
        _ => return None,
    };
    Some(Shape { flexible_since, fields })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::AlterPartitionReassignmentsRequest;
    use kafka_protocol::messages::ConsumerGroupDescribeRequest;
    use kafka_protocol::messages::CreatePartitionsRequest;
    use kafka_protocol::messages::CreateTopicsRequest;
    use kafka_protocol::messages::DeleteTopicsRequest;
    use kafka_protocol::messages::DescribeClusterRequest;
    use kafka_protocol::messages::DescribeConfigsRequest;
    use kafka_protocol::messages::DescribeGroupsRequest;
    use kafka_protocol::messages::DescribeQuorumRequest;
    use kafka_protocol::messages::DescribeTopicPartitionsRequest;
    use kafka_protocol::messages::ElectLeadersRequest;
    use kafka_protocol::messages::FindCoordinatorRequest;
    use kafka_protocol::messages::HeartbeatRequest;
    use kafka_protocol::messages::IncrementalAlterConfigsRequest;
    use kafka_protocol::messages::JoinGroupRequest;
    use kafka_protocol::messages::LeaveGroupRequest;
    use kafka_protocol::messages::ListGroupsRequest;
    use kafka_protocol::messages::ListOffsetsRequest;
    use kafka_protocol::messages::ListPartitionReassignmentsRequest;
    use kafka_protocol::messages::MetadataRequest;
    use kafka_protocol::messages::RemoveRaftVoterRequest;
    use kafka_protocol::messages::SaslAuthenticateRequest;
    use kafka_protocol::messages::SaslHandshakeRequest;
    use kafka_protocol::messages::ShareGroupDescribeRequest;
    use kafka_protocol::messages::SyncGroupRequest;
    use kafka_protocol::messages::UnregisterBrokerRequest;
    use kafka_protocol::protocol::Decodable;
    use kafka_protocol::protocol::Message;

    use super::*;
    use crate::clients::kafka::live::calls::Call;
    use crate::clients::kafka::live::calls::KEYS;
    use crate::clients::kafka::live::schemas::AddRaftVoterRequest;
    use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
    use crate::clients::kafka::live::schemas::UnregisterControllerRequest;
    use crate::clients::kafka::live::shape::example;

    /// The codec reads what a shape describes, all of it, in each version that is spoken.
    fn agrees<C: Call>() -> i16 {
        let shape = shape_of(C::KEY).unwrap();
        for version in C::VERSION_MIN..=C::VERSION_MAX {
            let bytes = example(shape, version);
            shape.check(version, &bytes).unwrap();
            let mut rest = Bytes::from(bytes.clone());
            C::Answer::decode(&mut rest, version.min(C::Answer::VERSIONS.max))
                .unwrap_or_else(|error| panic!("{} v{version}: {error}", C::NAME));
            assert!(rest.is_empty(), "{} v{version} has {} bytes more", C::NAME, rest.len());
            for end in 0..bytes.len() {
                assert!(shape.check(version, &bytes[..end]).is_err(), "{} v{version}: {end} bytes", C::NAME);
            }
        }
        C::KEY
    }

    macro_rules! agree {
        ($($request:ident)*) => { [$(agrees::<$request>()),*] };
    }

    #[test]
    fn each_answer_that_is_read_has_the_shape_that_the_codec_reads() {
        let checked = agree! {
            AlterPartitionReassignmentsRequest NamedApiVersionsRequest ConsumerGroupDescribeRequest
            CreatePartitionsRequest CreateTopicsRequest DeleteTopicsRequest DescribeClusterRequest
            DescribeConfigsRequest DescribeGroupsRequest DescribeQuorumRequest ElectLeadersRequest
            FindCoordinatorRequest HeartbeatRequest IncrementalAlterConfigsRequest JoinGroupRequest
            LeaveGroupRequest ListGroupsRequest ListOffsetsRequest ListPartitionReassignmentsRequest
            AddRaftVoterRequest RemoveRaftVoterRequest UnregisterBrokerRequest UnregisterControllerRequest
            DescribeTopicPartitionsRequest
            MetadataRequest SaslAuthenticateRequest SaslHandshakeRequest ShareGroupDescribeRequest SyncGroupRequest
        };
        for number in KEYS {
            // DescribeLogDirs has a reader of our own, with limits.
            let is_checked = checked.iter().any(|one| one == number);
            assert!(is_checked || *number == keys::DescribeLogDirs, "{number} has no shape");
        }
    }
}
