//! JSON that people read: written indented, and, where a person hands over what is wrong, said in words for that person:
//! serde speaks of Rust's types.

use std::io::Write;

use serde::Serialize;
use serde_json::error::Category;

/// Longest part of serde's own words that is kept, in characters: it may quote the file.
const QUOTED_MAX: usize = 120;

/// A value as indented JSON.
pub fn pretty<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<String> {
    let mut text = Text(Vec::new());
    serde_json::to_writer_pretty(&mut text, value)?;
    Ok(String::from_utf8(text.0)?)
}

/// Indented JSON is written in pieces of a few bytes, tens of millions of them for a plan of a large cluster: a loop over
/// so few costs half of what a call of musl's `memcpy` does.
struct Text(Vec<u8>);

/// Longest piece that is written byte by byte.
const PIECE_BYTES_MAX: usize = 8;

impl Write for Text {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.write_all(piece)?;
        Ok(piece.len())
    }

    fn write_all(&mut self, piece: &[u8]) -> std::io::Result<()> {
        if piece.len() > PIECE_BYTES_MAX {
            self.0.extend_from_slice(piece);
            return Ok(());
        }
        for byte in piece {
            self.0.push(*byte);
        }
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is wrong, without its place: that is [`serde_json::Error::line`] and `column`.
pub fn words(error: &serde_json::Error, text: &str) -> String {
    let whole = error.to_string();
    let said = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(said, _)| said);
    match error.classify() {
        Category::Eof if text.trim().is_empty() => "the file is empty".to_owned(),
        Category::Eof => "the JSON ends before it is complete: the file may have been cut off".to_owned(),
        Category::Syntax if said == "trailing comma" => "a comma before the closing bracket: remove it".to_owned(),
        Category::Syntax if said == "expected value" => {
            "a value is expected here: a text in quotes, a number, true, false, null, `{` or `[`".to_owned()
        }
        Category::Syntax | Category::Io => bounded(said),
        Category::Data => of_data(said),
    }
}

/// Why a value is not the one that was expected.
fn of_data(said: &str) -> String {
    let rest = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    if let Some((found, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) {
        let hint = match (found.strip_prefix("string "), is_number(expected)) {
            (Some(_), true) => ": remove the quotes",
            _ => "",
        };
        return format!("{} is expected here, not {}{hint}", expected_kind(expected), found_kind(found));
    }
    if let Some(field) = said.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some((_, expected)) = said.strip_prefix("invalid length ").and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("{} is expected here, not a list", expected_kind(expected));
    }
    bounded(said)
}

fn is_number(expected: &str) -> bool {
    matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize")
}

/// What serde expected.
fn expected_kind(expected: &str) -> String {
    match expected {
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "string" | "a borrowed string" => "a text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in `[ ]`".to_owned(),
        "a map" => "an object in `{ }`".to_owned(),
        one if is_number(one) => "a whole number".to_owned(),
        one if one.starts_with("struct ") => "an object in `{ }`".to_owned(),
        one => bounded(one),
    }
}

/// What stands there.
fn found_kind(found: &str) -> String {
    match found {
        "map" => "an object in `{ }`".to_owned(),
        "sequence" => "a list in `[ ]`".to_owned(),
        "null" => "null".to_owned(),
        one => {
            let kinds = [("string ", "the text "), ("integer ", "the number "), ("floating point ", "the number ")];
            let kinds = kinds.iter().find_map(|(theirs, ours)| Some((ours, one.strip_prefix(theirs)?)));
            kinds.map_or_else(|| bounded(one), |(ours, value)| format!("{ours}{}", bounded(value)))
        }
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its reading is looked at")]
    struct Entry {
        topic: String,
        partition: i64,
        replicas: Vec<u32>,
        #[serde(default)]
        sizes: BTreeMap<String, f64>,
    }

    #[test]
    fn what_is_wrong_is_said_without_types_of_rust() {
        let cases = [
            ("", "the file is empty"),
            (" \n", "the file is empty"),
            (r#"{"topic": "a""#, "the JSON ends before it is complete: the file may have been cut off"),
            (
                r#"{"topic": "a", "partition": "0"}"#,
                "a whole number is expected here, not the text \"0\": remove the quotes",
            ),
            (r#"{"topic": 1}"#, "a text in quotes is expected here, not the number `1`"),
            (r#"{"topic": {}}"#, "a text in quotes is expected here, not an object in `{ }`"),
            (r#"{"partition": 1.5}"#, "a whole number is expected here, not the number `1.5`"),
            (r#"{"replicas": 3}"#, "a list in `[ ]` is expected here, not the number `3`"),
            (r#"{"replicas": [-1]}"#, "a whole number is expected here, not the number `-1`"),
            (r#"{"sizes": []}"#, "an object in `{ }` is expected here, not a list in `[ ]`"),
            (r#"{"topic": "a"}"#, "`partition` is missing"),
            (r#"["a"]"#, "an object in `{ }` is expected here, not a list"),
            (r#"{"topic": "a",}"#, "a comma before the closing bracket: remove it"),
            (r#"{"replicas": [1,]}"#, "a comma before the closing bracket: remove it"),
            ("'a'", "a value is expected here: a text in quotes, a number, true, false, null, `{` or `[`"),
        ];
        for (text, expected) in cases {
            let error = serde_json::from_str::<Entry>(text).unwrap_err();
            assert_eq!(words(&error, text), expected, "{text}: {error}");
        }
    }

    #[test]
    fn no_more_than_a_line_of_the_file_is_quoted() {
        let text = format!("{{\"partition\": \"{}\"}}", "é".repeat(10_000));
        let said = words(&serde_json::from_str::<Entry>(&text).unwrap_err(), &text);
        assert!(said.chars().count() < 2 * QUOTED_MAX + 60, "{said}");
    }
}
