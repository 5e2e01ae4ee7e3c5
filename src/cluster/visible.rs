//! Texts that come from outside (names, values and messages of brokers, files and other systems), made fit for a terminal:
//! control characters, direction marks (bidi) and characters without width are written as escapes, and what is longer
//! than a limit is cut.
//!
//! [`value`] is for a single value: an end of line in it is escaped too, so that it cannot forge a line. [`text`] is for
//! what is laid out already, and [`json`] for JSON texts, which stay valid and mean the same.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Most characters of one value, as a cell of a table.
pub const VALUE_CHARACTERS_MAX: usize = 1_024;

/// Most characters of one line that is made of several values, as a step of a plan.
pub const LINE_CHARACTERS_MAX: usize = 64 * 1_024;

/// Whether a character may not reach a terminal as it is: C0 and C1 controls, DEL, direction marks, fillers, variation
/// selectors, tags, and whatever else has no width (Unicode's `Default_Ignorable_Code_Point`, `Bidi_Control`, `Zl`, `Zp`).
pub fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A single value on one line, of at most [`VALUE_CHARACTERS_MAX`] characters.
pub fn value(text: &str) -> Cow<'_, str> {
    bounded(text, VALUE_CHARACTERS_MAX)
}

/// One line of several values, of at most [`LINE_CHARACTERS_MAX`] characters.
pub fn line(text: &str) -> Cow<'_, str> {
    bounded(text, LINE_CHARACTERS_MAX)
}

/// A text on one line; of more than `most` characters the first ones, and how many follow.
pub fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    // Bytes are at least as many as characters: nearly all texts are short, and are not counted.
    let end = if text.len() <= most { None } else { text.char_indices().nth(most).map(|(at, _)| at) };
    let shown = escaped(&text[..end.unwrap_or(text.len())], |_| false);
    match end {
        None => shown,
        Some(end) => Cow::Owned(format!("{shown}… ({} more characters)", text[end..].chars().count())),
    }
}

/// A text of several lines: its ends of line and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |character| matches!(character, '\n' | '\t'))
}

/// A JSON text with `\uXXXX` for each hidden character; outside of its strings there are none but ends of line.
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |character| matches!(character, '\n' | '\t'),
        |character, out| {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

/// A JSON text as YAML: the same, but YAML has no surrogate pairs.
pub fn json_as_yaml(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |character| matches!(character, '\n' | '\t'),
        |character, out| {
            let code = u32::from(character);
            let _ = if code <= 0xffff { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
        },
    )
}

/// Whether a text has a hidden character, ends of line and tabs aside.
pub fn has_hidden(text: &str) -> bool {
    text.chars().any(|character| is_hidden(character) && !matches!(character, '\n' | '\t'))
}

fn escaped(text: &str, stays: fn(char) -> bool) -> Cow<'_, str> {
    replaced(text, stays, |character, out| out.extend(character.escape_default()))
}

fn replaced(text: &str, stays: fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let is_escaped = |character: char| is_hidden(character) && !stays(character);
    // Nearly all texts are printable ASCII, and bytes are compared faster than characters.
    let plain = plain_bytes(text.as_bytes(), stays('\n'));
    let Some(first) = text[plain..].find(is_escaped).map(|first| plain + first) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for character in text[first..].chars() {
        if is_escaped(character) {
            escape(character, &mut out);
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// How many bytes at the beginning are printable ASCII, or ends of line where these stay; to a multiple of eight where
/// others follow. Eight bytes are looked at in one word: a plan of a large cluster is tens of megabytes.
fn plain_bytes(text: &[u8], newline_stays: bool) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') || (*byte == b'\n' && newline_stays);
    let whole = words.iter().take_while(|word| is_plain_word(**word, newline_stays)).count() * 8;
    if whole + rest.len() == text.len() && rest.iter().all(is_plain) { text.len() } else { whole }
}

/// Whether eight bytes are plain. A carry never leaves its byte: each one is below 0x80 before something is added.
fn is_plain_word(bytes: [u8; 8], newline_stays: bool) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH * 0x80;
    const LOW: u64 = EACH * 0x7f;
    let word = u64::from_ne_bytes(bytes);
    // The highest bit of each byte that is 0x7f or more.
    let beyond = ((word & LOW) + EACH) | word;
    // The highest bit of each byte that is not below 0x20.
    let printable = ((word & LOW) + EACH * 0x60) | word;
    // The highest bit of each byte that is no end of line.
    let other = word ^ (EACH * u64::from(b'\n'));
    let other = ((other & LOW) + LOW) | other;
    let hidden = !printable & if newline_stays { other } else { HIGH };
    (beyond | hidden) & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn eight_bytes_at_once_are_judged_as_each_of_them(bytes: [u8; 8], rest: Vec<u8>, stays: bool) {
            let is_plain = |byte: u8| matches!(byte, b' '..=b'~') || (byte == b'\n' && stays);
            proptest::prop_assert_eq!(is_plain_word(bytes, stays), bytes.iter().all(|byte| is_plain(*byte)));
            let text = [&b"plain \n"[..], &rest].concat();
            let first = text.iter().position(|byte| !is_plain(*byte)).unwrap_or(text.len());
            let plain = plain_bytes(&text, stays);
            proptest::prop_assert!(plain <= first && (plain == first || plain + 8 > first), "{plain} of {first}");
        }

        #[test]
        fn one_odd_byte_among_plain_ones_is_seen(at in 0..8_usize, odd: u8, stays: bool) {
            let mut bytes = *b"aZ ~09!\x5f";
            bytes[at] = odd;
            let is_plain = matches!(odd, b' '..=b'~') || (odd == b'\n' && stays);
            proptest::prop_assert_eq!(is_plain_word(bytes, stays), is_plain);
        }
    }

    #[test]
    fn a_value_cannot_move_the_cursor_turn_the_direction_hide_itself_or_begin_a_line() {
        assert_eq!(value("a\u{1b}[2Jb\nc\td\r"), "a\\u{1b}[2Jb\\nc\\td\\r");
        assert_eq!(
            value("a\u{9b}b\u{202e}c\u{200b}d\u{feff}e\u{e0041}"),
            "a\\u{9b}b\\u{202e}c\\u{200b}d\\u{feff}e\\u{e0041}"
        );
        assert_eq!(value("Zürich 東京 🙂 a\\b"), "Zürich 東京 🙂 a\\b", "what can be seen stays");
        assert_eq!(text("a\n\tb\u{7f}\r\n"), "a\n\tb\\u{7f}\\r\n");
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let long = "ü".repeat(VALUE_CHARACTERS_MAX);
        assert_eq!(value(&long), long);
        assert_eq!(value(&format!("{long}\u{1b}xy")), format!("{long}… (3 more characters)"));
    }

    #[test]
    fn json_stays_json_and_means_the_same() {
        let value = serde_json::json!({"a\u{202e}": ["\u{1b}[0m\u{9b}", "\u{e0041}\u{7f}", "ü\n"]});
        let written = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&written);
        assert!(!has_hidden(&shown), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        let yaml = json_as_yaml(&written);
        assert!(!has_hidden(&yaml), "{yaml}");
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), value);
    }
}
