//! Java properties: bytes in, keys and values with their places out, or every fault with its place.
//!
//! The rules are those of `java.util.Properties.load(InputStream)`, which is how Kafka's own tools read these files:
//! comments with `#` or `!`, separators `=`, `:` or white space, `\` before the end of a line joins it with the next,
//! `\uXXXX \t \n \r \f`, and any other escaped character stands for itself. Bytes are ISO-8859-1: what a UTF-8 editor
//! wrote as `é` is read as two characters, as Java reads it; [`Property::has_foreign_bytes`] tells, for a warning.
//! Other than Java, a key given twice is a fault: Java silently takes the last.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::formats::place::Fault;
use crate::formats::place::Faults;
use crate::formats::place::Place;

/// Longest file that is read.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Most keys of one file.
pub const KEYS_MAX: usize = 10_000;

/// Most faults that one file is told of.
const FAULTS_MAX: usize = 100;

/// A key, its value, and where they stand. The value may be a secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// Where the key begins.
    pub key_place: Place,
    value: String,
    /// Where the value's pieces stand: (byte in the value, line, column), ordered; never empty.
    pieces: Vec<(usize, u64, u64)>,
    foreign: bool,
}

impl Property {
    /// The value, unescaped. Trailing white space belongs to it, as in Java.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The same value under another key, at its own place.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Where the value begins; where it would begin, if it is empty.
    pub fn place(&self) -> Place {
        self.place_at(0)
    }

    /// Where a byte of the value stands in the file.
    pub fn place_at(&self, offset: usize) -> Place {
        let after = self.pieces.partition_point(|(start, _, _)| *start <= offset);
        let (start, line, column) = self.pieces.get(after.saturating_sub(1)).copied().unwrap_or((0, 1, 1));
        let passed = self.value.get(start..offset.min(self.value.len())).map_or(0, |text| text.chars().count());
        Place { source: self.key_place.source.clone(), line, column: column + passed as u64 }
    }

    /// Whether the key or value holds bytes beyond ASCII, which Java reads as ISO-8859-1 even in a UTF-8 file.
    pub fn has_foreign_bytes(&self) -> bool {
        self.foreign
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Property").field("key", &self.key).field("place", &self.key_place).finish_non_exhaustive()
    }
}

/// Reads a whole file. `source` is what places are shown with.
pub fn parse(source: &str, bytes: &[u8]) -> Result<Vec<Property>, Faults> {
    let source: Arc<str> = source.into();
    let place = |line, column| Place { source: source.clone(), line, column };
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; client properties have at most {FILE_BYTES_MAX}", bytes.len());
        return Err(Faults(vec![Fault::new(place(1, 1), message)]));
    }
    if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        let fault =
            Fault::new(place(1, 1), "the file starts with a byte order mark, which Java takes for part of the key")
                .with_hint("save it without one");
        return Err(Faults(vec![fault]));
    }
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    let mut properties: Vec<Property> = Vec::new();
    for line in LogicalLines::new(bytes) {
        if faults.len() >= FAULTS_MAX {
            break;
        }
        match property(&source, &line) {
            Ok(property) => {
                if let Some(first) = seen.get(&property.key) {
                    faults.push(twice(&property, first));
                    continue;
                }
                if properties.len() == KEYS_MAX {
                    faults.push(Fault::new(property.key_place, format!("the file has more than {KEYS_MAX} keys")));
                    break;
                }
                seen.insert(property.key.clone(), property.key_place.clone());
                properties.push(property);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(properties) } else { Err(Faults(faults)) }
}

fn twice(property: &Property, first: &Place) -> Fault {
    Fault::new(property.key_place.clone(), format!("{} is given twice: first at {first}", show_key(&property.key)))
        .with_hint("keep one of them; Java silently takes the last")
}

/// A key as messages show it: in backquotes if it looks like a key, else not at all.
///
/// A line that was not joined with the one before becomes a key of its own, and may be half a password or a line of a
/// private key.
pub fn show_key(key: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let looks_like_a_key = key.contains('.') && key.len() <= SHOWN_MAX && key.chars().all(is_plain);
    if looks_like_a_key { format!("`{key}`") } else { "this key".to_owned() }
}

/// A character of the file and where it stands.
#[derive(Clone, Copy)]
struct Letter {
    byte: u8,
    line: u64,
    column: u64,
}

/// Cuts bytes into logical lines: comments and blank lines left out, continued lines joined.
struct LogicalLines<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: u64,
    column: u64,
}

impl<'a> LogicalLines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, line: 1, column: 1 }
    }

    /// The next byte; `\r\n` counts as one end of line, `\n`.
    fn take(&mut self) -> Option<Letter> {
        let byte = *self.bytes.get(self.offset)?;
        let letter = Letter { byte: if byte == b'\r' { b'\n' } else { byte }, line: self.line, column: self.column };
        self.offset += 1;
        if byte == b'\r' && self.bytes.get(self.offset) == Some(&b'\n') {
            self.offset += 1;
        }
        if letter.byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    fn skip_comment(&mut self) {
        while self.take().is_some_and(|letter| letter.byte != b'\n') {}
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Vec<Letter>;

    fn next(&mut self) -> Option<Vec<Letter>> {
        let mut letters: Vec<Letter> = Vec::new();
        // White space is skipped at the start of each natural line; `escaped` is true after an odd number of `\`.
        let (mut at_start, mut continued, mut escaped) = (true, false, false);
        while let Some(letter) = self.take() {
            let is_end = letter.byte == b'\n';
            if at_start && (is_blank(letter.byte) || (is_end && !continued)) {
                continue;
            }
            if letters.is_empty() && matches!(letter.byte, b'#' | b'!') {
                self.skip_comment();
                (at_start, continued) = (true, false);
                continue;
            }
            (at_start, continued) = (false, false);
            if !is_end {
                escaped = letter.byte == b'\\' && !escaped;
                letters.push(letter);
            } else if escaped {
                letters.pop();
                (at_start, continued, escaped) = (true, true, false);
            } else if letters.is_empty() {
                at_start = true;
            } else {
                return Some(letters);
            }
        }
        if escaped {
            letters.pop();
        }
        (!letters.is_empty()).then_some(letters)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0C)
}

/// One logical line, never empty, as a property.
fn property(source: &Arc<str>, line: &[Letter]) -> Result<Property, Fault> {
    let place = |letter: &Letter| Place { source: source.clone(), line: letter.line, column: letter.column };
    let (key_end, value_start) = split(line);
    let Some(first) = line.first() else {
        return Err(Fault::new(Place { source: source.clone(), line: 1, column: 1 }, "nothing here"));
    };
    if key_end == 0 {
        let hint = "write KEY=VALUE, or start a comment with #";
        return Err(Fault::new(place(first), "a value without a key").with_hint(hint));
    }
    let unescaped = |letters| unescape(letters).map_err(|(at, what)| Fault::new(place(&at), what).with_hint(ESCAPES));
    let (key, _) = unescaped(&line[..key_end])?;
    let (value, mut pieces) = unescaped(&line[value_start..])?;
    if pieces.is_empty() {
        let last = line.last().unwrap_or(first);
        pieces.push((0, last.line, last.column + 1));
    }
    let foreign = line.iter().any(|letter| !letter.byte.is_ascii());
    Ok(Property { key, key_place: place(first), value, pieces, foreign })
}

/// Where the key ends, and where the value begins.
fn split(line: &[Letter]) -> (usize, usize) {
    let mut escaped = false;
    let mut key_end = line.len();
    for (index, letter) in line.iter().enumerate() {
        if !escaped && (is_blank(letter.byte) || matches!(letter.byte, b'=' | b':')) {
            key_end = index;
            break;
        }
        escaped = letter.byte == b'\\' && !escaped;
    }
    let mut separated = false;
    let mut value_start = key_end;
    while let Some(letter) = line.get(value_start) {
        let is_separator = !separated && matches!(letter.byte, b'=' | b':');
        if !is_separator && !is_blank(letter.byte) {
            break;
        }
        separated |= is_separator;
        value_start += 1;
    }
    (key_end, value_start)
}

const ESCAPES: &str = "\\uXXXX takes four hexadecimal digits; a backslash itself is written \\\\";

type Unescaped = (String, Vec<(usize, u64, u64)>);

/// Resolves escapes; on a wrong one, where it is and what is wrong.
fn unescape(letters: &[Letter]) -> Result<Unescaped, (Letter, &'static str)> {
    let mut text = String::new();
    let mut pieces = Vec::new();
    let mut follows: Option<(u64, u64)> = None;
    // The first half of a surrogate pair, waiting for the second.
    let mut half: Option<(Letter, u16)> = None;
    let mut rest = letters;
    while let [letter, tail @ ..] = rest {
        let (unit, used) = match (letter.byte, tail.first()) {
            (b'\\', Some(next)) if next.byte == b'u' => (hexadecimal(letter, tail)?, 6),
            (b'\\', Some(next)) => (u16::from(escaped(next.byte)), 2),
            (b'\\', None) => (u16::from(b'\\'), 1),
            (byte, _) => (u16::from(byte), 1),
        };
        let start = half.map_or(*letter, |(first, _)| first);
        let decoded = match half.take() {
            Some((_, high)) => char::decode_utf16([high, unit]).next(),
            None if (0xD800..0xDC00).contains(&unit) => {
                half = Some((*letter, unit));
                None
            }
            None => char::decode_utf16([unit]).next(),
        };
        match decoded {
            Some(Ok(c)) => {
                if follows != Some((start.line, start.column)) {
                    pieces.push((text.len(), start.line, start.column));
                }
                text.push(c);
                // Escapes are wider in the file than in the value: the next character starts a new piece.
                follows = (used == 1).then_some((letter.line, letter.column + 1));
            }
            Some(Err(_)) => return Err((start, "half of a surrogate pair, which is no character")),
            None => {}
        }
        rest = rest.get(used..).unwrap_or(&[]);
    }
    match half {
        Some((start, _)) => Err((start, "half of a surrogate pair, which is no character")),
        None => Ok((text, pieces)),
    }
}

fn escaped(byte: u8) -> u8 {
    match byte {
        b't' => b'\t',
        b'n' => b'\n',
        b'r' => b'\r',
        b'f' => 0x0C,
        other => other,
    }
}

/// The value of `\uXXXX`; `tail` begins with the `u`.
fn hexadecimal(start: &Letter, tail: &[Letter]) -> Result<u16, (Letter, &'static str)> {
    let wrong = (*start, "malformed \\uXXXX");
    let digits = tail.get(1..5).ok_or(wrong)?;
    digits.iter().try_fold(0, |value: u16, letter| {
        let digit = char::from(letter.byte).to_digit(16).ok_or(wrong)?;
        Ok(value << 4 | u16::try_from(digit).map_err(|_| wrong)?)
    })
}

#[cfg(test)]
mod tests;
