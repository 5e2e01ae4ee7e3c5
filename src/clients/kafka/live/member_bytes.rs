//! What the members of a classic consumer group put into its bytes: the topics that they subscribe to and have assigned.
//!
//! In go bytes of any client, which no broker checks; out come topics, or nothing where the bytes can't be read. Nothing is
//! allocated by a length that stands in them. The formats are `ConsumerProtocolSubscription.json` and
//! `ConsumerProtocolAssignment.json` of Kafka: a version, then a list; later versions only add fields at the end.

use crate::cluster::topic::TopicName;

/// Most topics in the bytes of one member: as many elements as a list of Kafka 4.4 may have.
const TOPICS_MAX: usize = 1_000_000;

/// The topics that a member subscribes to; none where that can't be read. A member of a group that rebalances shows no
/// bytes at all.
pub(super) fn subscribed(bytes: &[u8]) -> Option<Vec<TopicName>> {
    topics(bytes, |_| Some(()))
}

/// The topics of which a member has partitions; none where that can't be read. A member that has none may have no bytes.
pub(super) fn assigned(bytes: &[u8]) -> Option<Vec<TopicName>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    topics(bytes, |rest| {
        let partitions = usize::try_from(i32::from_be_bytes(array(rest)?)).ok()?;
        take(rest, partitions.checked_mul(4)?).map(drop)
    })
}

/// A version and a list of topics, each followed by what `skip` reads over.
fn topics(mut rest: &[u8], skip: impl Fn(&mut &[u8]) -> Option<()>) -> Option<Vec<TopicName>> {
    if i16::from_be_bytes(array(&mut rest)?) < 0 {
        return None;
    }
    let count = usize::try_from(i32::from_be_bytes(array(&mut rest)?)).ok().filter(|count| *count <= TOPICS_MAX)?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(array(&mut rest)?)).ok()?;
        let name = std::str::from_utf8(take(&mut rest, length)?).ok()?;
        skip(&mut rest)?;
        topics.push(TopicName::new(name).ok()?);
    }
    Some(topics)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    take(rest, N)?.try_into().ok()
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (first, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(first)
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use bytes::BytesMut;
    use kafka_protocol::messages::ConsumerProtocolAssignment;
    use kafka_protocol::messages::ConsumerProtocolSubscription;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
    use kafka_protocol::protocol::Encodable;
    use kafka_protocol::protocol::StrBytes;
    use proptest::prelude::*;

    use super::*;

    fn names(all: &[&str]) -> Vec<TopicName> {
        all.iter().map(|name| TopicName::new(*name).unwrap()).collect()
    }

    fn encoded(version: i16, message: &impl Encodable) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        message.encode(&mut bytes, version).unwrap();
        bytes
    }

    #[test]
    fn what_clients_of_every_version_send_is_read() {
        let text = StrBytes::from_static_str;
        for version in 0..=3 {
            let subscription = ConsumerProtocolSubscription::default().with_topics(vec![text("orders"), text("bills")]);
            let partitions = TopicPartition::default().with_topic(text("orders").into()).with_partitions(vec![0, 7]);
            let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![partitions]);
            assert_eq!(subscribed(&encoded(version, &subscription)), Some(names(&["orders", "bills"])));
            assert_eq!(assigned(&encoded(version, &assignment)), Some(names(&["orders"])));
        }
        let mut later = encoded(3, &ConsumerProtocolSubscription::default().with_topics(vec![text("orders")]));
        later[1] = 9;
        later.put_slice(b"a field that we do not know");
        assert_eq!(subscribed(&later), Some(names(&["orders"])));
    }

    #[test]
    fn bytes_that_are_no_subscription_are_unknown_and_not_nothing() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"{\"version\": 1}",
            b"\xff\xff\0\0\0\0",
            b"\0\x01\x7f\xff\xff\xff",
            b"\0\x01\xff\xff\xff\xff",
            b"\0\x01\0\0\0\x02\0\x01a",
            b"\0\x01\0\0\0\x01\0\x02a/",
            b"\0\x01\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(subscribed(bytes), None, "{bytes:?}");
        }
        assert_eq!(subscribed(b"\0\x01\0\0\0\0\0\0\0\0"), Some(Vec::new()));
        assert_eq!(assigned(b""), Some(Vec::new()));
        assert_eq!(assigned(b"\0\x01\0\0\0\x01\0\x01a\x7f\xff\xff\xff"), None);
        assert_eq!(assigned(b"?"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (subscribed(&bytes), assigned(&bytes));
        }
    }
}
