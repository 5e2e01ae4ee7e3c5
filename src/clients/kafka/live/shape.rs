//! The shape of an answer, checked before the codec reads it: the codec makes room for as many elements as a list says
//! that it has, whatever the frame holds.
//!
//! In go a description of the fields ([`Shape`]) and the bytes; out comes nothing, or what is wrong. Nothing is allocated
//! by a length that a peer sent.

use anyhow::bail;
use anyhow::ensure;

/// Most elements that one list may have: as Kafka 4.4 has it.
const ELEMENTS_MAX: usize = 1_000_000;

/// Most structures in all lists of one answer: each takes up to some 200 bytes once it is read.
const STRUCTURES_MAX: usize = 2_000_000;

/// Most tagged fields that one structure may have: as Kafka 4.4 has it.
const TAGS_MAX: u32 = 10_000;

/// What an answer consists of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The first version with short lengths and tagged fields.
    pub(super) flexible_since: i16,
    /// Its fields: `4@1+ [(s 2)]` is a number of four bytes from version 1 on, then a list of structures of a text and a
    /// number of two bytes.
    pub(super) fields: &'static str,
}

impl Shape {
    /// Checks that an answer in some version has this shape, and that its lists and texts fit into it.
    pub(super) fn check(self, version: i16, bytes: &[u8]) -> anyhow::Result<()> {
        let mut text = Text { rest: self.fields.as_bytes(), version };
        let fields = text.fields()?;
        ensure!(text.rest.is_empty(), "a shape that is not closed");
        Walk::over(bytes, version >= self.flexible_since).structure(&fields)
    }
}

/// Checks the header of an answer, of version 0 (a number) or 1 (with tagged fields).
pub(super) fn check_header(version: i16, bytes: &[u8]) -> anyhow::Result<()> {
    let fields = Fields { all: vec![Kind::Bytes(4)], tagged: Vec::new() };
    Walk::over(bytes, version >= 1).structure(&fields)
}

/// One field's kind.
#[derive(Debug)]
enum Kind {
    Bytes(usize),
    Text,
    Blob,
    List(Box<Kind>),
    Structure(Fields),
    /// A structure behind a byte that says whether it is there: 1, or -1 (255) where it is not.
    Optional(Fields),
}

/// The fields of one version of a structure.
#[derive(Debug, Default)]
struct Fields {
    all: Vec<Kind>,
    tagged: Vec<(u32, Kind)>,
}

impl Kind {
    /// The fewest bytes that it takes.
    fn least(&self, is_flexible: bool) -> usize {
        match self {
            Self::Bytes(length) => *length,
            Self::Text => {
                if is_flexible {
                    1
                } else {
                    2
                }
            }
            Self::Blob | Self::List(_) => {
                if is_flexible {
                    1
                } else {
                    4
                }
            }
            Self::Structure(fields) => {
                fields.all.iter().map(|kind| kind.least(is_flexible)).sum::<usize>() + usize::from(is_flexible)
            }
            Self::Optional(_) => 1,
        }
    }
}

/// The description of fields, read for one version.
struct Text {
    rest: &'static [u8],
    version: i16,
}

impl Text {
    fn fields(&mut self) -> anyhow::Result<Fields> {
        let mut fields = Fields::default();
        loop {
            self.eat(b' ');
            match self.rest.first() {
                None | Some(b')') => return Ok(fields),
                Some(b'{') => {
                    self.rest = &self.rest[1..];
                    self.tagged(&mut fields)?;
                }
                Some(_) => {
                    let kind = self.kind()?;
                    if self.has_version()? {
                        fields.all.push(kind);
                    }
                }
            }
        }
    }

    fn tagged(&mut self, fields: &mut Fields) -> anyhow::Result<()> {
        while !self.eat(b'}') {
            self.eat(b' ');
            let tag = u32::try_from(self.number()?)?;
            ensure!(self.eat(b':'), "a tag without a field");
            fields.tagged.push((tag, self.kind()?));
        }
        Ok(())
    }

    fn kind(&mut self) -> anyhow::Result<Kind> {
        let Some(first) = self.rest.first() else { bail!("a shape that ends early") };
        if first.is_ascii_digit() {
            return Ok(Kind::Bytes(self.number()?));
        }
        self.rest = &self.rest[1..];
        let (kind, end) = match first {
            b's' => return Ok(Kind::Text),
            b'b' => return Ok(Kind::Blob),
            b'[' => (Kind::List(Box::new(self.kind()?)), b']'),
            b'(' => (Kind::Structure(self.fields()?), b')'),
            b'?' => {
                ensure!(self.eat(b'('), "an optional field that is no structure");
                (Kind::Optional(self.fields()?), b')')
            }
            other => bail!("a shape with {:?}", char::from(*other)),
        };
        ensure!(self.eat(end), "a shape that is not closed");
        Ok(kind)
    }

    fn has_version(&mut self) -> anyhow::Result<bool> {
        if !self.eat(b'@') {
            return Ok(true);
        }
        let since = i16::try_from(self.number()?)?;
        let until = if self.eat(b'+') {
            i16::MAX
        } else if self.eat(b'-') {
            i16::try_from(self.number()?)?
        } else {
            since
        };
        Ok((since..=until).contains(&self.version))
    }

    fn number(&mut self) -> anyhow::Result<usize> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(std::str::from_utf8(digits)?.parse()?)
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }
}

/// A way through the bytes of an answer.
struct Walk<'b> {
    rest: &'b [u8],
    is_flexible: bool,
    structures_left: usize,
}

impl<'b> Walk<'b> {
    fn over(rest: &'b [u8], is_flexible: bool) -> Self {
        Self { rest, is_flexible, structures_left: STRUCTURES_MAX }
    }

    fn structure(&mut self, fields: &Fields) -> anyhow::Result<()> {
        for kind in &fields.all {
            self.value(kind)?;
        }
        if self.is_flexible { self.tags(&fields.tagged) } else { Ok(()) }
    }

    fn value(&mut self, kind: &Kind) -> anyhow::Result<()> {
        match kind {
            Kind::Bytes(length) => self.skip(*length),
            Kind::Text => {
                let length =
                    if self.is_flexible { self.compact()? } else { i64::from(i16::from_be_bytes(self.array()?)) };
                self.skip(known_length(length)?)
            }
            Kind::Blob => {
                let length = self.long()?;
                self.skip(known_length(length)?)
            }
            Kind::List(element) => self.list(element),
            Kind::Structure(fields) => self.structure(fields),
            // The codec takes every byte but 1 for "there is none".
            Kind::Optional(fields) => {
                if self.array()? == [1] {
                    self.structure(fields)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn list(&mut self, element: &Kind) -> anyhow::Result<()> {
        let length = self.long()?;
        let length = known_length(length)?;
        let fits = self.rest.len() / element.least(self.is_flexible).max(1);
        ensure!(
            length <= ELEMENTS_MAX.min(fits),
            "a list of {length} elements in {} bytes, at most {} are read",
            self.rest.len(),
            ELEMENTS_MAX.min(fits)
        );
        if let Kind::Bytes(size) = element {
            return self.skip(length * size);
        }
        if matches!(element, Kind::Structure(_)) {
            let Some(left) = self.structures_left.checked_sub(length) else {
                bail!("lists of more than {STRUCTURES_MAX} elements in one answer");
            };
            self.structures_left = left;
        }
        (0..length).try_for_each(|_| self.value(element))
    }

    fn tags(&mut self, known: &[(u32, Kind)]) -> anyhow::Result<()> {
        let count = self.varint()?;
        ensure!(count <= TAGS_MAX, "{count} tagged fields in one structure, at most {TAGS_MAX} are read");
        for _ in 0..count {
            let (tag, size) = (self.varint()?, usize::try_from(self.varint()?)?);
            let before = self.rest.len();
            match known.iter().find(|(known, _)| *known == tag) {
                Some((_, kind)) => {
                    self.value(kind)?;
                    ensure!(before - self.rest.len() == size, "a tagged field that is not as long as it says");
                }
                None => self.skip(size)?,
            }
        }
        Ok(())
    }

    /// The length of a list or of bytes; -1 for none.
    fn long(&mut self) -> anyhow::Result<i64> {
        if self.is_flexible { self.compact() } else { Ok(i64::from(i32::from_be_bytes(self.array()?))) }
    }

    /// One less than what stands there; -1 for none.
    fn compact(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> anyhow::Result<u32> {
        varint(|| self.array().map(|[byte]| byte))
    }

    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let Some((first, rest)) = self.rest.split_first_chunk::<N>() else { bail!("it ends in the middle of a field") };
        self.rest = rest;
        Ok(*first)
    }

    fn skip(&mut self, length: usize) -> anyhow::Result<()> {
        let Some(rest) = self.rest.get(length..) else {
            bail!("a field of {length} bytes where {} are left", self.rest.len());
        };
        self.rest = rest;
        Ok(())
    }
}

/// A length; -1 says that there is nothing, which is no danger.
fn known_length(length: i64) -> anyhow::Result<usize> {
    match length {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| anyhow::anyhow!("a negative length, {length}")),
    }
}

/// An unsigned varint of Kafka's protocol, as lengths of flexible versions and tags are written: 7 bits a byte, the lowest
/// first, in at most five bytes. `next` gives one byte after the other.
pub(super) fn varint(mut next: impl FnMut() -> anyhow::Result<u8>) -> anyhow::Result<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let byte = next()?;
        let part = u32::from(byte & 0x7f);
        ensure!(shift < 28 || part < 16, "a number of more than 32 bits");
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number of more than five bytes")
}

/// Bytes of a shape: each list has two elements, each text two letters, each tagged and each optional field is there.
#[cfg(test)]
pub(super) fn example(shape: Shape, version: i16) -> Vec<u8> {
    let mut text = Text { rest: shape.fields.as_bytes(), version };
    let fields = text.fields().unwrap();
    let mut bytes = Vec::new();
    write(&mut bytes, &Kind::Structure(fields), version >= shape.flexible_since);
    bytes
}

#[cfg(test)]
fn write(to: &mut Vec<u8>, kind: &Kind, is_flexible: bool) {
    let long =
        |to: &mut Vec<u8>, length: u8| if is_flexible { to.push(length + 1) } else { to.extend([0, 0, 0, length]) };
    match kind {
        Kind::Bytes(length) => to.extend(vec![0; *length]),
        Kind::Text if is_flexible => to.extend(b"\x03ab"),
        Kind::Text => to.extend(b"\0\x02ab"),
        Kind::Blob => {
            long(to, 3);
            to.extend(b"abc");
        }
        Kind::List(element) => {
            long(to, 2);
            (0..2).for_each(|_| write(to, element, is_flexible));
        }
        Kind::Optional(fields) | Kind::Structure(fields) => {
            if matches!(kind, Kind::Optional(_)) {
                to.push(1);
            }
            fields.all.iter().for_each(|kind| write(to, kind, is_flexible));
            if !is_flexible {
                return;
            }
            to.push(u8::try_from(fields.tagged.len() + 1).unwrap());
            for (tag, kind) in &fields.tagged {
                let mut value = Vec::new();
                write(&mut value, kind, is_flexible);
                to.extend([u8::try_from(*tag).unwrap(), u8::try_from(value.len()).unwrap()]);
                to.extend(value);
            }
            // And one that no version knows.
            to.extend([99, 1, 0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPICS: Shape = Shape { flexible_since: 2, fields: "4@1+ [(s [4] b@0-1)] {0:[(2)]}" };

    fn said(version: i16, bytes: &[u8]) -> String {
        TOPICS.check(version, bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_list_has_no_more_elements_than_the_bytes_can_hold() {
        assert_eq!(said(0, b"\x7f\xff\xff\xff"), "a list of 2147483647 elements in 0 bytes, at most 0 are read");
        assert_eq!(
            said(2, &[&[0_u8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 30]].concat()),
            "a list of 4294967294 elements in 30 bytes, at most 10 are read"
        );
        let numbers = [&b"\0\0\0\x01\0\0\x01\0\0\0"[..], &[0; 100]].concat();
        assert!(said(0, &numbers).starts_with("a list of 16777216 elements"), "{}", said(0, &numbers));
        let million = Shape { flexible_since: 0, fields: "[1]" };
        // Lengths of flexible versions are one more than they are: 1,000,001 and 1,000,002.
        let many = |length: [u8; 3]| [&length[..], &vec![0; 1_000_100]].concat();
        assert!(million.check(0, &many([0xc1, 0x84, 0x3d])).is_ok());
        let error = million.check(0, &many([0xc2, 0x84, 0x3d])).unwrap_err().to_string();
        assert!(error.contains("a list of 1000001 elements"), "{error}");
    }

    #[test]
    fn lengths_below_zero_and_beyond_the_end_are_refused() {
        assert_eq!(said(0, b"\xff\xff\xff\xfe"), "a negative length, -2");
        assert_eq!(said(0, b"\0\0\0\x01\0\x09ab\0\0\0\0\0\0"), "a field of 9 bytes where 8 are left");
        assert_eq!(said(0, b"\0\0"), "it ends in the middle of a field");
        assert!(TOPICS.check(0, b"\xff\xff\xff\xff").is_ok(), "a list may be missing");
    }

    #[test]
    fn tagged_fields_are_counted_and_as_long_as_they_say() {
        let tags = |tags: &[u8]| said(2, &[&[0, 0, 0, 0, 1][..], tags].concat());
        assert_eq!(tags(&[0xff, 0x7f]), "16383 tagged fields in one structure, at most 10000 are read");
        assert_eq!(tags(&[1, 0, 9, 2, 0, 0, 0]), "a tagged field that is not as long as it says");
        assert_eq!(tags(&[1, 7, 9, 0]), "a field of 9 bytes where 1 are left");
        assert!(check_header(1, &[0, 0, 0, 9, 0xff, 0xff, 0x03]).is_err());
        assert!(check_header(0, &[0, 0, 0, 9, 0xff]).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0_i16..4) {
            let _ = (TOPICS.check(version, &bytes), check_header(version.min(1), &bytes));
        }
    }
}
