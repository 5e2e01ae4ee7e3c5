//! Bytes to text, and the parser's complaints in words that help.

use std::borrow::Cow;

use yaml_events::{ErrorKind, ScanError};

use crate::formats::place::Fault;
use crate::formats::yaml::{BYTES_MAX, DEPTH_MAX, Origin};

/// The text of a source's bytes: UTF-8, at most [`BYTES_MAX`] of them.
pub fn decode<'a>(origin: &Origin, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    if bytes.len() > BYTES_MAX {
        let message = format!("is longer than {} MiB, the most that is read", BYTES_MAX >> 20);
        return Err(Fault::new(origin.place(1, 1), message).with_hint("split it into several files"));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(Fault::new(origin.place(1, 1), "is UTF-16 text").with_hint("save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let bad = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        Fault::new(origin.place(line as u64, column as u64), format!("has the byte 0x{bad:02X}, which is not UTF-8"))
            .with_hint("save it as UTF-8")
    })
}

/// What the parser could not read.
pub(super) fn fault_of(origin: &Origin, error: &ScanError) -> Fault {
    let mark = error.marker();
    let place = origin.place(mark.line() as u64, mark.col() as u64 + 1);
    let (message, hint) = words(error.kind());
    let fault = Fault::new(place, message);
    if hint.is_empty() { fault } else { fault.with_hint(hint) }
}

fn words(kind: &ErrorKind) -> (Cow<'static, str>, Cow<'static, str>) {
    let (message, hint) = match kind {
        ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabNotAllowed => {
            ("a tab stands where YAML wants spaces", "indent with spaces")
        }
        ErrorKind::TabAtBlockScalarStart | ErrorKind::TabInPlainScalar => {
            ("a tab stands where YAML wants spaces", "replace it by spaces")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a second `:` on this line, or a line that is indented too far",
            "quote a value that has `: ` in it, and indent all keys of a mapping alike",
        ),
        ErrorKind::SimpleKeyExpected => ("this line is neither `key: value` nor `- item`", "is a `:` missing?"),
        ErrorKind::InvalidSimpleKey => ("a key that spans lines or is very long", "is a `:` or a quote missing?"),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::InvalidIndentation => (
            "this line does not line up with the lines above it",
            "indent all keys of a mapping, or all `-` of a list, alike",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed => ("a `-` may not stand here", "start a list on its own line"),
        ErrorKind::UnclosedQuotedScalar => ("a quote is opened here and never closed", "close it on the same line"),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("something follows the closing quote", "a quoted value ends with its quote; double a `'` inside of '…'")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("an unknown escape inside of \"…\"", "write `\\\\` for a backslash, or use '…', which has no escapes")
        }
        ErrorKind::MissingAnchorOrAliasName => {
            ("a `*` or `&` without a name; YAML reads `*` as an alias", "quote a value that starts with it: '*'")
        }
        ErrorKind::UndeclaredTagHandle => ("a tag that was never declared", "quote a value that starts with `!`"),
        ErrorKind::BomInsideDocument => ("a byte-order mark in the middle of the text", "remove it"),
        ErrorKind::UnexpectedEof => ("the text ends too early", "is it cut off?"),
        ErrorKind::RecursionLimitExceeded => {
            return (
                format!("lists and mappings nest deeper than {DEPTH_MAX}, the most that is read").into(),
                "".into(),
            );
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let character = character.escape_debug();
            return (format!("a value may not start with `{character}`").into(), "quote it: '…'".into());
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("a `{open}` is opened here and never closed").into(), "".into());
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("the `{open}` that is opened here is closed by `{close}`").into(), "".into());
        }
        ErrorKind::MisplacedFlowCollectionEnd => ("a bracket is closed that was never opened", ""),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            ("a `,` or the closing bracket is missing before this", "")
        }
        other => return (format!("not YAML: {other}").into(), "".into()),
    };
    (message.into(), hint.into())
}
