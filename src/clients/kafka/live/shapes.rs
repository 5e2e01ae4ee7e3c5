//! What the answers that are read consist of, made from Kafka's message schemas as they lie in `common/message/` of
//! kafka-clients-4.4.0.jar. One line for each request that is sent.
//!
//! A number is a field of so many bytes, `s` a text, `b` bytes, `[…]` a list, `(…)` a structure, `{TAG:…}` its tagged
//! fields; `@3+`, `@1-3` and `@0` say which versions have a field, else all have it.

use kafka_protocol::messages::ApiKey;

use crate::clients::kafka::live::shape::Shape;

/// The shape of the answer to a request; none of those that have a reader of their own.
pub(super) fn shape_of(key: ApiKey) -> Option<Shape> {
    let (flexible_since, fields) = match key {
        ApiKey::AlterPartitionReassignments => (0, "4 1@1+ 2 s [(s [(4 2 s)])]"),
        ApiKey::ApiVersions => (3, "2 [(2 2 2)] 4@1+ {0:[(s@3+ 2@3+ 2@3+)] 1:8 2:[(s@3+ 2@3+ 2@3+)] 3:1}"),
        ApiKey::ConsumerGroupDescribe => {
            (0, "4 [(2 s s s 4 4 s [(s s s 4 s s [s] s ([(16 s [4])]) ([(16 s [4])]) 1@1+)] 4)]")
        }
        ApiKey::CreatePartitions => (2, "4 [(s 2 s)]"),
        ApiKey::CreateTopics => (5, "4 [(s 16@7+ 2 s 4@5+ 2@5+ [(s@5+ s@5+ 1@5+ 1@5+ 1@5+)]@5+ {0:2})]"),
        ApiKey::DeleteTopics => (4, "4 [(s 16@6+ 2 s@5+)]"),
        ApiKey::DescribeCluster => (0, "4 2 s 1@1+ s 4 [(4 s 4 s 1@2+)] 4"),
        ApiKey::DescribeConfigs => (4, "4 [(2 s 1 s [(s s 1 1 1 [(s s 1)] 1@3+ s@3+)])]"),
        ApiKey::DescribeGroups => (5, "4@1+ [(2 s@6+ s s s s [(s s@4+ s s b b)] 4@3+)]"),
        ApiKey::DescribeQuorum => (
            0,
            "2 s@2+ [(s [(4 2 s@2+ 4 4 8 [(4 16@2+ 8 8@1+ 8@1+)] [(4 16@2+ 8 8@1+ 8@1+)])])] [(4@2+ [(s@2+ \
             s@2+ 2@2+)]@2+)]@2+",
        ),
        ApiKey::ElectLeaders => (2, "4 2@1+ [(s [(4 2 s)])]"),
        ApiKey::FindCoordinator => (3, "4@1+ 2@0-3 s@1-3 4@0-3 s@0-3 4@0-3 [(s@4+ 4@4+ s@4+ 4@4+ 2@4+ s@4+)]@4+"),
        ApiKey::Heartbeat => (4, "4@1+ 2"),
        ApiKey::IncrementalAlterConfigs => (1, "4 [(2 s 1 s)]"),
        ApiKey::JoinGroup => (6, "4@2+ 2 4 s@7+ s s 1@9+ s [(s s@5+ b)]"),
        ApiKey::LeaveGroup => (4, "4@1+ 2 [(s@3+ s@3+ 2@3+)]@3+"),
        ApiKey::ListGroups => (3, "4@1+ 2 [(s s s@4+ s@5+)]"),
        ApiKey::ListOffsets => (6, "4@2+ [(s [(4 2 8 8 4@4+)])]"),
        ApiKey::ListPartitionReassignments => (0, "4 2 s [(s [(4 [4] [4] [4])])]"),
        ApiKey::Metadata => (
            9,
            "4@3+ [(4 s 4 s@1+)] s@2+ 4@1+ [(2 s 16@10+ 1@1+ [(2 4 4 4@7+ [4] [4] [4]@5+)] 4@8+)] 4@8-10 \
             2@13+",
        ),
        ApiKey::SaslAuthenticate => (2, "2 s b 8@1+"),
        ApiKey::SaslHandshake => (i16::MAX, "2 [s]"),
        ApiKey::ShareGroupDescribe => (0, "4 [(2 s s s 4 4 s [(s s 4 s s [s] ([(16 s [4])]))] 4)]"),
        ApiKey::SyncGroup => (4, "4@1+ 2 s@5+ s@5+ b"),
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
    use kafka_protocol::messages::SaslAuthenticateRequest;
    use kafka_protocol::messages::SaslHandshakeRequest;
    use kafka_protocol::messages::ShareGroupDescribeRequest;
    use kafka_protocol::messages::SyncGroupRequest;
    use kafka_protocol::protocol::Decodable;

    use super::*;
    use crate::clients::kafka::live::calls::Call;
    use crate::clients::kafka::live::calls::KEYS;
    use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
    use crate::clients::kafka::live::shape::example;

    /// The codec reads what a shape describes, all of it, in each version that is spoken.
    fn agrees<C: Call>() -> ApiKey {
        let shape = shape_of(C::KEY).unwrap();
        for version in C::VERSION_MIN..=C::VERSION_MAX {
            let bytes = example(shape, version);
            shape.check(version, &bytes).unwrap();
            let mut rest = Bytes::from(bytes.clone());
            C::Answer::decode(&mut rest, version).unwrap_or_else(|error| panic!("{} v{version}: {error}", C::NAME));
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
            MetadataRequest SaslAuthenticateRequest SaslHandshakeRequest ShareGroupDescribeRequest SyncGroupRequest
        };
        for key in KEYS {
            // DescribeLogDirs has a reader of our own, with limits.
            let is_checked = checked.iter().any(|one| *one as i16 == *key as i16);
            assert!(is_checked || matches!(key, ApiKey::DescribeLogDirs), "{key:?} has no shape");
        }
    }
}
