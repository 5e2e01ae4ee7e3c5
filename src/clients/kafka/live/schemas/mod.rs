//! Messages in versions that the codec crate lacks: its 0.18 ends at DescribeLogDirs 4, ApiVersions 4 and AddRaftVoter 0, and
//! does not know UnregisterController.
//!
//! Made from Kafka's message schemas, as they lie in `common/message/` of kafka-clients-4.4.0.jar:
//! `DescribeLogDirsRequest.json`, `DescribeLogDirsResponse.json` (versions 1 to 5, flexible from 2),
//! `ApiVersionsRequest.json` (versions 0 to 5, flexible from 3; the answer of version 5 is that of version 4),
//! `AddRaftVoterRequest.json` (versions 0 and 1, flexible; the answer of version 1 is that of version 0),
//! `UnregisterControllerRequest.json` and `UnregisterControllerResponse.json` (version 0, flexible). Fields stand
//! in the schemas' order. DescribeLogDirs is ours in all its versions, so that one reader does; only what is used is kept.

#[cfg(test)]
mod tests;

use anyhow::ensure;
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};
use uuid::Uuid;

use crate::clients::kafka::live::shape;

/// Most elements that one list of an answer may have: as Kafka 4.4 has it.
const ELEMENTS_MAX: usize = 1_000_000;

/// Most tagged fields that one structure of an answer may have: as Kafka 4.4 has it.
const TAGS_MAX: usize = 10_000;

/// DescribeLogDirs of all topics.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DescribeLogDirsRequest;

/// What a broker's log dirs hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DescribeLogDirsResponse {
    /// Milliseconds that the broker wants us to be quiet.
    pub(super) throttle_time_ms: i32,
    /// From version 3.
    pub(super) error_code: i16,
    /// The log dirs.
    pub(super) results: Vec<LogDirResult>,
}

/// A log dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogDirResult {
    /// Why it is offline; 0 if it is not.
    pub(super) error_code: i16,
    /// Its absolute path.
    pub(super) log_dir: StrBytes,
    /// What it holds.
    pub(super) topics: Vec<LogDirTopic>,
    /// Bytes of its volume, from version 4; else -1.
    pub(super) total_bytes: i64,
    /// Bytes of it that may be used, from version 4; else -1.
    pub(super) usable_bytes: i64,
    /// From version 5.
    pub(super) is_cordoned: bool,
}

/// A topic in a log dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogDirTopic {
    /// Its name.
    pub(super) name: StrBytes,
    /// Its partitions there.
    pub(super) partitions: Vec<LogDirPartition>,
}

/// A partition in a log dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogDirPartition {
    /// Its number.
    pub(super) partition_index: i32,
    /// Bytes of its segments.
    pub(super) partition_size: i64,
    /// Records that it lies behind.
    pub(super) offset_lag: i64,
    /// Whether it replaces the replica in another log dir once it has all.
    pub(super) is_future_key: bool,
}

const LOG_DIRS_VERSIONS: VersionRange = VersionRange { min: 1, max: 5 };

impl Message for DescribeLogDirsRequest {
    const VERSIONS: VersionRange = LOG_DIRS_VERSIONS;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl Message for DescribeLogDirsResponse {
    const VERSIONS: VersionRange = LOG_DIRS_VERSIONS;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for DescribeLogDirsRequest {
    fn header_version(version: i16) -> i16 {
        if version >= 2 { 2 } else { 1 }
    }
}

impl HeaderVersion for DescribeLogDirsResponse {
    fn header_version(version: i16) -> i16 {
        i16::from(version >= 2)
    }
}

impl Encodable for DescribeLogDirsRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> anyhow::Result<()> {
        // No list of topics, then no tagged fields.
        if version >= 2 {
            buf.put_slice(&[0, 0]);
        } else {
            buf.put_i32(-1);
        }
        Ok(())
    }

    fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
        Ok(if version >= 2 { 2 } else { 4 })
    }
}

impl Decodable for DescribeLogDirsResponse {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> anyhow::Result<Self> {
        let mut reader = Reader { buf, is_flexible: version >= 2 };
        let throttle_time_ms = reader.i32()?;
        let error_code = if version >= 3 { reader.i16()? } else { 0 };
        let results = reader.list(|reader| LogDirResult::read(reader, version))?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, results })
    }
}

impl LogDirResult {
    fn read<B: ByteBuf>(reader: &mut Reader<'_, B>, version: i16) -> anyhow::Result<Self> {
        let read = Self {
            error_code: reader.i16()?,
            log_dir: reader.text()?,
            topics: reader.list(LogDirTopic::read)?,
            total_bytes: if version >= 4 { reader.i64()? } else { -1 },
            usable_bytes: if version >= 4 { reader.i64()? } else { -1 },
            is_cordoned: version >= 5 && reader.bool()?,
        };
        reader.skip_tags()?;
        Ok(read)
    }
}

impl LogDirTopic {
    fn read<B: ByteBuf>(reader: &mut Reader<'_, B>) -> anyhow::Result<Self> {
        let read = Self { name: reader.text()?, partitions: reader.list(LogDirPartition::read)? };
        reader.skip_tags()?;
        Ok(read)
    }
}

impl LogDirPartition {
    fn read<B: ByteBuf>(reader: &mut Reader<'_, B>) -> anyhow::Result<Self> {
        let read = Self {
            partition_index: reader.i32()?,
            partition_size: reader.i64()?,
            offset_lag: reader.i64()?,
            is_future_key: reader.bool()?,
        };
        reader.skip_tags()?;
        Ok(read)
    }
}

/// ApiVersions, and from version 5 (KIP-1242) for whom it is: a broker that is somebody else says so.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct NamedApiVersionsRequest {
    /// What all versions have.
    pub(super) request: ApiVersionsRequest,
    /// The cluster's id and the broker's; none at an address whose broker is not known.
    pub(super) node: Option<(StrBytes, i32)>,
}

impl NamedApiVersionsRequest {
    /// A request that says who asks.
    pub(super) fn ours(node: Option<(StrBytes, i32)>) -> Self {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        Self { request, node }
    }
}

impl Message for NamedApiVersionsRequest {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 5 };
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for NamedApiVersionsRequest {
    fn header_version(version: i16) -> i16 {
        ApiVersionsRequest::header_version(version.min(4))
    }
}

impl Encodable for NamedApiVersionsRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> anyhow::Result<()> {
        if version < 5 {
            return self.request.encode(buf, version);
        }
        put_text(buf, Some(&self.request.client_software_name));
        put_text(buf, Some(&self.request.client_software_version));
        put_text(buf, self.node.as_ref().map(|(cluster, _)| cluster));
        buf.put_i32(self.node.as_ref().map_or(-1, |(_, node)| *node));
        put_varint(buf, 0);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
        if version < 5 {
            return self.request.compute_size(version);
        }
        size_of(self, version)
    }
}

/// Where a new voter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VoterListener {
    /// The listener's name.
    pub(super) name: StrBytes,
    /// Host name or address.
    pub(super) host: StrBytes,
    /// The port.
    pub(super) port: u16,
}

/// AddRaftVoter. It is answered once the change is committed: always in version 0, and in version 1 because it says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AddRaftVoterRequest {
    /// The cluster's id; another cluster refuses.
    pub(super) cluster_id: Option<StrBytes>,
    /// How long the leader may take, in milliseconds.
    pub(super) timeout_ms: i32,
    /// The node.
    pub(super) voter_id: i32,
    /// Its directory.
    pub(super) voter_directory_id: Uuid,
    /// Where it listens.
    pub(super) listeners: Vec<VoterListener>,
}

impl Message for AddRaftVoterRequest {
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for AddRaftVoterRequest {
    fn header_version(_version: i16) -> i16 {
        2
    }
}

impl Encodable for AddRaftVoterRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> anyhow::Result<()> {
        put_text(buf, self.cluster_id.as_ref());
        buf.put_i32(self.timeout_ms);
        buf.put_i32(self.voter_id);
        buf.put_slice(self.voter_directory_id.as_bytes());
        put_varint(buf, u32::try_from(self.listeners.len())?.saturating_add(1));
        for listener in &self.listeners {
            put_text(buf, Some(&listener.name));
            put_text(buf, Some(&listener.host));
            buf.put_u16(listener.port);
            put_varint(buf, 0);
        }
        if version >= 1 {
            // AckWhenCommitted.
            buf.put_u8(1);
        }
        put_varint(buf, 0);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
        size_of(self, version)
    }
}

/// UnregisterController (Kafka 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct UnregisterControllerRequest {
    /// The node.
    pub(super) controller_id: i32,
}

/// Whether the controller was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnregisterControllerResponse {
    /// Milliseconds that the server wants us to be quiet.
    pub(super) throttle_time_ms: i32,
    /// Why not; 0 if it was.
    pub(super) error_code: i16,
    /// The server's words.
    pub(super) error_message: Option<StrBytes>,
}

const ONLY_0: VersionRange = VersionRange { min: 0, max: 0 };

impl Message for UnregisterControllerRequest {
    const VERSIONS: VersionRange = ONLY_0;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl Message for UnregisterControllerResponse {
    const VERSIONS: VersionRange = ONLY_0;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for UnregisterControllerRequest {
    fn header_version(_version: i16) -> i16 {
        2
    }
}

impl HeaderVersion for UnregisterControllerResponse {
    fn header_version(_version: i16) -> i16 {
        1
    }
}

impl Encodable for UnregisterControllerRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _version: i16) -> anyhow::Result<()> {
        buf.put_i32(self.controller_id);
        put_varint(buf, 0);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
        size_of(self, version)
    }
}

impl Decodable for UnregisterControllerResponse {
    fn decode<B: ByteBuf>(buf: &mut B, _version: i16) -> anyhow::Result<Self> {
        let mut reader = Reader { buf, is_flexible: true };
        let (throttle_time_ms, error_code) = (reader.i32()?, reader.i16()?);
        let error_message = reader.nullable_text()?;
        reader.skip_tags()?;
        Ok(Self { throttle_time_ms, error_code, error_message })
    }
}

/// The length of a message, counted by writing it: these are small.
fn size_of(message: &impl Encodable, version: i16) -> anyhow::Result<usize> {
    let mut counted = bytes::BytesMut::new();
    message.encode(&mut counted, version)?;
    Ok(counted.len())
}

/// A nullable text of a flexible version.
fn put_text<B: BufMut>(buf: &mut B, text: Option<&StrBytes>) {
    let Some(text) = text else { return put_varint(buf, 0) };
    put_varint(buf, u32::try_from(text.len()).unwrap_or(u32::MAX - 1).saturating_add(1));
    buf.put_slice(text.as_bytes());
}

fn put_varint<B: BufMut>(buf: &mut B, mut value: u32) {
    while value >= 0x80 {
        buf.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    buf.put_u8(value.to_le_bytes()[0]);
}

/// Reads fields one after another; what is missing is an error, never a panic.
struct Reader<'b, B> {
    buf: &'b mut B,
    is_flexible: bool,
}

impl<B: ByteBuf> Reader<'_, B> {
    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        ensure!(self.buf.remaining() >= N, "it ends in the middle of a field");
        let mut bytes = [0; N];
        self.buf.copy_to_slice(&mut bytes);
        Ok(bytes)
    }

    fn bool(&mut self) -> anyhow::Result<bool> {
        Ok(self.array::<1>()? != [0])
    }

    fn i16(&mut self) -> anyhow::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> anyhow::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> anyhow::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> anyhow::Result<u32> {
        shape::varint(|| self.array().map(|[byte]| byte))
    }

    /// A length: of flexible versions one more than it is, and 0 for none.
    fn length(&mut self, is_list: bool) -> anyhow::Result<usize> {
        self.nullable_length(is_list)?.ok_or_else(|| anyhow::anyhow!("nothing where something must be"))
    }

    fn nullable_length(&mut self, is_list: bool) -> anyhow::Result<Option<usize>> {
        let length = if self.is_flexible {
            i64::from(self.varint()?) - 1
        } else if is_list {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        Ok(usize::try_from(length).ok())
    }

    fn text(&mut self) -> anyhow::Result<StrBytes> {
        let length = self.length(false)?;
        Ok(StrBytes::from_utf8(self.bytes(length)?)?)
    }

    fn nullable_text(&mut self) -> anyhow::Result<Option<StrBytes>> {
        let Some(length) = self.nullable_length(false)? else { return Ok(None) };
        Ok(Some(StrBytes::from_utf8(self.bytes(length)?)?))
    }

    fn bytes(&mut self, length: usize) -> anyhow::Result<Bytes> {
        ensure!(self.buf.remaining() >= length, "it ends in the middle of a field");
        Ok(self.buf.get_bytes(length))
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
        let length = self.length(true)?;
        // Each element takes a byte at least.
        ensure!(length <= ELEMENTS_MAX.min(self.buf.remaining()), "a list of {length} elements");
        (0..length).map(|_| read(self)).collect()
    }

    fn skip_tags(&mut self) -> anyhow::Result<()> {
        if !self.is_flexible {
            return Ok(());
        }
        let count = self.varint()?;
        ensure!(usize::try_from(count)? <= TAGS_MAX, "{count} tagged fields");
        for _ in 0..count {
            self.varint()?;
            let length = self.varint()?;
            self.bytes(usize::try_from(length)?)?;
        }
        Ok(())
    }
}
