//! One connection as frames: each has its length in front.
//!
//! Lengths are compared with the limit (`jute.maxbuffer`) before anything is made of them, and room for an answer grows with
//! the bytes that have come, not with the length that the peer says. Reading may be given up and taken up again.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::jute::{Garbled, Reader};
use crate::clients::kafka::tls::Stream;

/// How much is read at once.
const ROOM_BYTES: usize = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    input: BytesMut,
    bytes_max: usize,
}

/// What stands in front of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the request.
    pub(super) xid: i32,
    /// The last transaction that the server has.
    pub(super) zxid: i64,
    /// 0, or why the request was not carried out.
    pub(super) code: i32,
}

impl Header {
    /// How many bytes it takes.
    pub(super) const BYTES: usize = 16;

    /// Reads it.
    pub(super) fn read(frame: &[u8]) -> Result<Self, Garbled> {
        let mut reader = Reader::new(frame);
        Ok(Self { xid: reader.int()?, zxid: reader.long()?, code: reader.int()? })
    }
}

impl Wire {
    /// Frames over this stream, none longer than `bytes_max`.
    pub(super) fn new(stream: Stream, bytes_max: usize) -> Self {
        Self { stream, input: BytesMut::new(), bytes_max }
    }

    /// The next frame, without its length. Dropped before it is done, it loses nothing.
    pub(super) async fn read(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = self.whole_frame()? {
                return Ok(frame);
            }
            self.input.reserve(ROOM_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn whole_frame(&mut self) -> io::Result<Option<Bytes>> {
        let Some(length) = self.input.first_chunk::<4>().map(|length| i32::from_be_bytes(*length)) else {
            return Ok(None);
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= self.bytes_max).ok_or_else(|| {
            let alert = self.input.starts_with(&[21, 3]);
            let hint = if alert { ": this port speaks TLS" } else { "" };
            let what =
                format!("an answer of {length} bytes; at most {} are read (jute.maxbuffer){hint}", self.bytes_max);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        if self.input.len() < 4 + length {
            return Ok(None);
        }
        self.input.advance(4);
        Ok(Some(self.input.split_to(length).freeze()))
    }

    /// Sends one frame. Given up half-way, the connection can't be used any more.
    pub(super) async fn write(&mut self, record: &[u8]) -> io::Result<()> {
        let length = i32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut frame = Vec::with_capacity(4 + record.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(record);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await
    }
}
