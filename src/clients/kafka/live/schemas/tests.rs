//! Messages of our own, byte by byte.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

/// The answer of a broker with one log dir of one partition, byte by byte, as the schema has it.
fn answer(version: i16) -> Bytes {
    let is_flexible = version >= 2;
    let mut bytes = BytesMut::new();
    let length = |bytes: &mut BytesMut, of: u8, is_list: bool| match (is_flexible, is_list) {
        (true, _) => bytes.put_u8(of + 1),
        (false, true) => bytes.put_i32(i32::from(of)),
        (false, false) => bytes.put_i16(i16::from(of)),
    };
    // One tagged field that nobody knows.
    let tags = |bytes: &mut BytesMut| bytes.put_slice(if is_flexible { &[1, 9, 2, 0, 0] } else { &[] });
    bytes.put_i32(7);
    if version >= 3 {
        bytes.put_i16(0);
    }
    length(&mut bytes, 1, true);
    bytes.put_i16(56);
    length(&mut bytes, 2, false);
    bytes.put_slice(b"/a");
    length(&mut bytes, 1, true);
    length(&mut bytes, 1, false);
    bytes.put_slice(b"t");
    length(&mut bytes, 1, true);
    bytes.put_i32(3);
    bytes.put_i64(1_000);
    bytes.put_i64(5);
    bytes.put_u8(1);
    (0..2).for_each(|_| tags(&mut bytes));
    if version >= 4 {
        bytes.put_i64(90);
        bytes.put_i64(40);
    }
    if version >= 5 {
        bytes.put_u8(1);
    }
    (0..2).for_each(|_| tags(&mut bytes));
    bytes.freeze()
}

#[test]
fn the_log_dirs_of_every_version_are_read() {
    for version in 1..=5 {
        let mut bytes = answer(version);
        let read = DescribeLogDirsResponse::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "version {version}");
        assert_eq!((read.throttle_time_ms, read.error_code, read.results.len()), (7, 0, 1));
        let dir = &read.results[0];
        assert_eq!((dir.error_code, dir.log_dir.as_str(), dir.is_cordoned), (56, "/a", version >= 5));
        assert_eq!((dir.total_bytes, dir.usable_bytes), if version >= 4 { (90, 40) } else { (-1, -1) });
        let partition =
            LogDirPartition { partition_index: 3, partition_size: 1_000, offset_lag: 5, is_future_key: true };
        assert_eq!(dir.topics, [LogDirTopic { name: StrBytes::from_static_str("t"), partitions: vec![partition] }]);
    }
}

#[test]
fn what_ends_early_or_promises_too_much_is_an_error() {
    let whole = answer(5);
    for end in 0..whole.len() {
        assert!(DescribeLogDirsResponse::decode(&mut whole.slice(..end), 5).is_err(), "{end} bytes");
    }
    let mut huge = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 15]);
    let error = DescribeLogDirsResponse::decode(&mut huge, 5).unwrap_err().to_string();
    assert!(error.contains("a list of 4294967294 elements"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 1_i16..6) {
        let _ = DescribeLogDirsResponse::decode(&mut Bytes::from(bytes), version);
    }
}

#[test]
fn a_request_says_for_whom_it_is_from_version_5_on() {
    let text = StrBytes::from_static_str;
    let request =
        ApiVersionsRequest::default().with_client_software_name(text("n")).with_client_software_version(text("v"));
    let encoded = |node, version| {
        let named = NamedApiVersionsRequest { request: request.clone(), node };
        let mut bytes = BytesMut::new();
        named.encode(&mut bytes, version).unwrap();
        assert_eq!(named.compute_size(version).unwrap(), bytes.len());
        bytes.to_vec()
    };
    assert_eq!(encoded(Some((text("c"), 258)), 4), [2, b'n', 2, b'v', 0]);
    assert_eq!(encoded(Some((text("c"), 258)), 5), [2, b'n', 2, b'v', 2, b'c', 0, 0, 1, 2, 0]);
    assert_eq!(encoded(None, 5), [2, b'n', 2, b'v', 0, 255, 255, 255, 255, 0]);
    assert_eq!(encoded(None, 0), [0_u8; 0]);
}

#[test]
fn all_topics_are_asked_for() {
    for (version, bytes) in [(1, &[255, 255, 255, 255][..]), (2, &[0, 0]), (5, &[0, 0])] {
        let mut encoded = BytesMut::new();
        DescribeLogDirsRequest.encode(&mut encoded, version).unwrap();
        assert_eq!(encoded, bytes);
        assert_eq!(DescribeLogDirsRequest.compute_size(version).unwrap(), bytes.len());
    }
}

#[test]
fn a_new_voter_is_named_with_its_directory_and_listeners_and_waits_for_the_commit_from_version_1_on() {
    let text = StrBytes::from_static_str;
    let listener = VoterListener { name: text("C"), host: text("h"), port: 9_093 };
    let request = AddRaftVoterRequest {
        cluster_id: Some(text("id")),
        timeout_ms: 1_000,
        voter_id: 104,
        voter_directory_id: Uuid::from_u128(7),
        listeners: vec![listener],
    };
    let mut whole = vec![3, b'i', b'd', 0, 0, 3, 232, 0, 0, 0, 104];
    whole.extend([&[0; 15][..], &[7, 2, 2, b'C', 2, b'h', 35, 133, 0]].concat());
    for (version, end) in [(0, &[0][..]), (1, &[1, 0])] {
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes, version).unwrap();
        assert_eq!(bytes.to_vec(), [&whole[..], end].concat(), "version {version}");
        assert_eq!(request.compute_size(version).unwrap(), bytes.len());
    }
}

#[test]
fn version_0_is_what_the_codec_writes() {
    use kafka_protocol::messages::AddRaftVoterRequest as Theirs;
    use kafka_protocol::messages::add_raft_voter_request::Listener;
    let text = StrBytes::from_static_str;
    let ours = AddRaftVoterRequest {
        cluster_id: None,
        timeout_ms: 7,
        voter_id: 1,
        voter_directory_id: Uuid::from_u128(1 << 100),
        listeners: vec![VoterListener { name: text("CONTROLLER"), host: text("host"), port: 1 }],
    };
    let listener = Listener::default().with_name(text("CONTROLLER")).with_host(text("host")).with_port(1);
    let theirs = Theirs::default()
        .with_cluster_id(None)
        .with_timeout_ms(7)
        .with_voter_id(1)
        .with_voter_directory_id(Uuid::from_u128(1 << 100))
        .with_listeners(vec![listener]);
    let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
    ours.encode(&mut one, 0).unwrap();
    theirs.encode(&mut other, 0).unwrap();
    assert_eq!(one, other);
}

#[test]
fn a_controller_is_unregistered_by_its_number_and_the_answer_has_words_or_none() {
    let request = UnregisterControllerRequest { controller_id: 258 };
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, 0).unwrap();
    assert_eq!(bytes.to_vec(), [0, 0, 1, 2, 0]);
    assert_eq!(request.compute_size(0).unwrap(), bytes.len());
    let read = |end: &'static [u8]| {
        let mut bytes = Bytes::from([&[0, 0, 0, 9, 0, 136][..], end].concat());
        UnregisterControllerResponse::decode(&mut bytes, 0)
    };
    let answer = read(&[0, 0]).unwrap();
    assert_eq!((answer.throttle_time_ms, answer.error_code, answer.error_message), (9, 136, None));
    assert_eq!(read(&[3, b'n', b'o', 0]).unwrap().error_message.as_deref(), Some("no"));
    assert!(read(&[3, b'n']).is_err() && read(&[]).is_err());
}
