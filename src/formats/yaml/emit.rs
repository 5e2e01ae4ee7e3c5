//! Texts as YAML scalars that every reader takes for the same text.

use std::fmt::Write as _;

/// Largest whole number that readers who take numbers for floating point (JSON's) still read exactly.
const EXACT_MAX: u64 = 1 << 53;

/// A text that must stay one: in quotes wherever some reader could take it for a number, a truth value or nothing.
pub fn quoted_text(text: &str) -> String {
    if is_plain_word(text) { text.to_owned() } else { quote(text) }
}

/// A text of which whole numbers and truth values look nicer without quotes, for readers that take them as they stand.
pub fn verbatim_text(text: &str) -> String {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_clear = digits == "0" || (!digits.starts_with('0') && text != "-0");
    let is_number =
        is_clear && digits.parse::<u64>().is_ok_and(|number| number <= EXACT_MAX) && !digits.starts_with('+');
    if is_number || matches!(text, "true" | "false") { text.to_owned() } else { quoted_text(text) }
}

fn is_plain_word(text: &str) -> bool {
    /// What YAML 1.1 readers take for something else than a text.
    const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ','))
        && !text.ends_with(',')
        && !WORDS.contains(&&*text.to_lowercase())
}

/// In double quotes, with escapes for all that is not plainly visible.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            ' '..='~' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ' => quoted.push(character),
            other => {
                let code = u32::from(other);
                // Writing to a String can't fail.
                let _ = if code <= 0xFFFF { write!(quoted, "\\u{code:04X}") } else { write!(quoted, "\\U{code:08X}") };
            }
        }
    }
    quoted.push('"');
    quoted
}
