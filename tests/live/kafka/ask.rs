//! The few questions that the harness itself asks a server, each on a connection of its own and with a limit.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    ApiKey, DescribeQuorumRequest, DescribeQuorumResponse, MetadataRequest, MetadataResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

const LIMIT: Duration = Duration::from_secs(5);

/// The oldest version with a cluster id, a controller and racks that every tested broker speaks.
const METADATA: i16 = 7;

/// What a broker says about its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The cluster's id.
    pub(crate) id: String,
    /// The controller; in KRaft mode just some broker.
    pub(crate) controller: i32,
    /// Ids and racks of the live brokers, by id.
    pub(crate) brokers: Vec<(i32, Option<String>)>,
}

/// Asks the broker that listens on this port of loopback.
pub(super) fn metadata(port: u16) -> anyhow::Result<Seen> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let mut answer = call(port, ApiKey::Metadata, METADATA, &request)?;
    let answer = MetadataResponse::decode(&mut answer, METADATA)?;
    let mut brokers: Vec<_> =
        answer.brokers.iter().map(|broker| (broker.node_id.0, broker.rack.as_ref().map(ToString::to_string))).collect();
    brokers.sort();
    let id = answer.cluster_id.map(|id| id.to_string()).unwrap_or_default();
    Ok(Seen { id, controller: answer.controller_id.0, brokers })
}

/// The node that leads the KRaft quorum.
pub(super) fn quorum_leader(port: u16) -> anyhow::Result<i32> {
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![PartitionData::default()]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let mut answer = call(port, ApiKey::DescribeQuorum, 0, &request)?;
    let answer = DescribeQuorumResponse::decode(&mut answer, 0)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.context("the broker described no quorum")?;
    ensure!(partition.error_code == 0, "the broker described no quorum: error {}", partition.error_code);
    Ok(partition.leader_id.0)
}

fn call(port: u16, key: ApiKey, version: i16, request: &impl Encodable) -> anyhow::Result<Bytes> {
    let header_version = key.request_header_version(version);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("servers")));
    let mut body = BytesMut::new();
    header.encode(&mut body, header_version)?;
    request.encode(&mut body, version)?;
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len())?);
    frame.put(body);
    let mut stream = connect(port)?;
    stream.write_all(&frame)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut answer)?;
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, key.response_header_version(version))?;
    ensure!(answer.has_remaining(), "the answer is empty");
    Ok(answer)
}

/// ZooKeeper's own account of itself (`srvr`).
pub(crate) fn zookeeper(port: u16) -> anyhow::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(b"srvr")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
