//! What brokers and clients say of consumer groups: what can't be read, or is not shown, is not nothing.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_toolbox::clients::kafka::{Cluster as _, Groups};

use super::peer::{Asked, DESCRIBE_CLUSTER, DESCRIBE_GROUPS, LIST_GROUPS, Peers, Reply, text};
use crate::clients::kafka::live::{open, wait};

/// A group of one member with these bytes.
fn group(protocol_type: &'static str, metadata: &'static [u8]) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        let mut body = BytesMut::new();
        match asked.key {
            LIST_GROUPS => {
                body.put_i32(0);
                body.put_i16(0);
                body.put_i32(1);
                text(&mut body, "readers");
                text(&mut body, protocol_type);
            }
            DESCRIBE_GROUPS => {
                body.put_i32(1);
                body.put_i16(0);
                for word in ["readers", "Stable", protocol_type, "range"] {
                    text(&mut body, word);
                }
                body.put_i32(1);
                for word in ["member", "client", "/127.0.0.1"] {
                    text(&mut body, word);
                }
                for bytes in [metadata, b""] {
                    body.put_i32(i32::try_from(bytes.len()).unwrap());
                    body.put_slice(bytes);
                }
            }
            _ => return Reply::Ordinary,
        }
        Reply::Body(body.to_vec())
    }
}

#[test]
fn a_member_that_joins_with_strange_bytes_may_read_any_topic() {
    let orders = b"\0\x01\0\0\0\x01\0\x06orders\0\0\0\0";
    let absurd = b"\0\x01\x7f\xff\xff\xff";
    let cases: [(&'static str, &'static [u8], bool); 5] = [
        ("consumer", orders, false),
        ("consumer", b"{}", true),
        ("consumer", absurd, true),
        ("unheard-of", orders, true),
        ("connect", absurd, false),
    ];
    for (protocol_type, bytes, hides) in cases {
        wait(async {
            let peers = Peers::start(1, group(protocol_type, bytes)).await;
            let groups = open(&peers.bootstrap(), Duration::from_secs(20)).live_groups().await.unwrap();
            let shown: Vec<_> = groups.iter().map(|group| (group.members, group.hides_topics)).collect();
            assert_eq!(shown, [(1, hides)], "{protocol_type} {bytes:?}");
        });
    }
}

#[test]
fn groups_that_are_not_shown_for_want_of_a_right_are_known_to_be_missing() {
    const DESCRIBE: i32 = 1 << 8;
    for (operations, sees_all) in [(DESCRIBE, true), (0, false), (i32::MIN, false)] {
        wait(async {
            let peers = Peers::start(1, move |asked| {
                if asked.key != DESCRIBE_CLUSTER {
                    return Reply::Ordinary;
                }
                let mut body = BytesMut::new();
                body.put_u8(0);
                body.put_i32(0);
                body.put_i16(0);
                body.put_slice(&[0, 1]);
                body.put_i32(1);
                body.put_u8(1);
                body.put_i32(operations);
                body.put_u8(0);
                Reply::Body(body.to_vec())
            })
            .await;
            let kafka = open(&peers.bootstrap(), Duration::from_secs(20));
            assert_eq!(kafka.sees_all_groups().await.unwrap(), Some(sees_all));
            assert_eq!(kafka.fenced_brokers().await.unwrap(), None, "this version does not tell");
        });
    }
}
