//! Jute, the encoding of ZooKeeper's records: numbers are big-endian, texts and bytes have their length in front.
//!
//! Bytes of a peer in, values out. Nothing is allocated by a length that a peer sends: every length is compared with what
//! is left first.

use crate::clients::zookeeper::{Acl, Permissions, Stat};

/// What can't be read, as a fragment.
pub(super) type Garbled = String;

/// Builds one record.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// An empty record.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One more byte: 0 or 1.
    pub(super) fn boolean(mut self, value: bool) -> Self {
        self.0.push(u8::from(value));
        self
    }

    /// One more number of 32 bits.
    pub(super) fn int(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// One more number of 64 bits.
    pub(super) fn long(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// More bytes, with their length.
    pub(super) fn buffer(self, bytes: &[u8]) -> Self {
        // A frame is never that long: it is refused before it is sent.
        let mut record = self.int(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        record.0.extend_from_slice(bytes);
        record
    }

    /// One more text.
    pub(super) fn text(self, text: &str) -> Self {
        self.buffer(text.as_bytes())
    }

    /// A text that may be missing.
    pub(super) fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.int(-1),
        }
    }

    /// An access list.
    pub(super) fn acl(self, acl: &[Acl]) -> Self {
        let record = self.int(i32::try_from(acl.len()).unwrap_or(i32::MAX));
        acl.iter().fold(record, |record, entry| record.int(entry.permissions.0).text(&entry.scheme).text(&entry.id))
    }

    /// The record.
    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads one record.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A record from its bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[cfg(test)]
    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| format!("it ends early: {length} bytes are announced, {} are left", self.0.len()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "it ends early".to_owned())
    }

    /// A byte that is 0 or 1.
    pub(super) fn boolean(&mut self) -> Result<bool, Garbled> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("{other} is neither true nor false")),
        }
    }

    /// A number of 32 bits.
    pub(super) fn int(&mut self) -> Result<i32, Garbled> {
        self.array().map(i32::from_be_bytes)
    }

    /// A number of 64 bits.
    pub(super) fn long(&mut self) -> Result<i64, Garbled> {
        self.array().map(i64::from_be_bytes)
    }

    /// Bytes; a length of -1 means none.
    pub(super) fn buffer(&mut self) -> Result<&'a [u8], Garbled> {
        match self.int()? {
            -1 => Ok(&[]),
            length => self.take(usize::try_from(length).map_err(|_| format!("a length of {length}"))?),
        }
    }

    /// A text.
    pub(super) fn text(&mut self) -> Result<String, Garbled> {
        let bytes = self.buffer()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a text that is not UTF-8".to_owned())
    }

    /// How many entries a list has: no more than can be left, where each takes `bytes_min`.
    fn count(&mut self, bytes_min: usize) -> Result<usize, Garbled> {
        let count = self.int()?;
        let Ok(known) = usize::try_from(count.max(0)) else { return Err(format!("a list of {count} entries")) };
        if known > self.0.len() / bytes_min {
            return Err(format!("a list of {count} entries in {} bytes", self.0.len()));
        }
        Ok(known)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, Garbled> {
        let count = self.count(4)?;
        (0..count).map(|_| self.text()).collect()
    }

    /// An access list.
    pub(super) fn acl(&mut self) -> Result<Vec<Acl>, Garbled> {
        let count = self.count(12)?;
        let mut entry = || Ok(Acl { permissions: Permissions(self.int()?), scheme: self.text()?, id: self.text()? });
        (0..count).map(|_| entry()).collect()
    }

    /// A stat.
    pub(super) fn stat(&mut self) -> Result<Stat, Garbled> {
        Ok(Stat {
            czxid: self.long()?,
            mzxid: self.long()?,
            ctime: self.long()?,
            mtime: self.long()?,
            version: self.int()?,
            cversion: self.int()?,
            aversion: self.int()?,
            ephemeral_owner: self.long()?,
            data_length: self.int()?,
            children: self.int()?,
            pzxid: self.long()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let acl = vec![Acl { permissions: Permissions::READ, scheme: "digest".to_owned(), id: "a:b".to_owned() }];
        let bytes = Writer::new().int(-7).long(1 << 40).boolean(true).text("é").optional(None).acl(&acl).done();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.int(), Ok(-7));
        assert_eq!(reader.long(), Ok(1 << 40));
        assert_eq!(reader.boolean(), Ok(true));
        assert_eq!(reader.text(), Ok("é".to_owned()));
        assert_eq!(reader.buffer(), Ok(&[][..]));
        assert_eq!(reader.acl(), Ok(acl));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_length_beyond_the_record_is_refused_before_anything_is_allocated() {
        let huge = i32::MAX.to_be_bytes();
        assert!(Reader::new(&huge).buffer().is_err());
        assert!(Reader::new(&huge).texts().unwrap_err().contains("a list of 2147483647 entries in 0 bytes"));
        assert!(Reader::new(&huge).acl().is_err());
        assert!(Reader::new(&(-2_i32).to_be_bytes()).buffer().is_err());
        assert_eq!(Reader::new(&(-1_i32).to_be_bytes()).texts(), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::new(&bytes).texts();
            let _ = Reader::new(&bytes).acl();
            let _ = Reader::new(&bytes).stat();
            let _ = Reader::new(&bytes).text();
            let _ = Reader::new(&bytes).boolean();
        }
    }
}
