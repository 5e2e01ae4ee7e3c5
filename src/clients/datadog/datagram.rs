//! An event as a DogStatsD datagram: `_e{TITLE_BYTES,TEXT_BYTES}:TITLE|TEXT|d:…|k:…|p:…|t:…|#tag,tag`. Pure.
//!
//! The agent drops what is larger than its buffer without a word, so what does not fit is shortened here: first the
//! text, then the number of tags, then the title.

use crate::clients::datadog::{DatadogError, DatadogEvent};

/// Largest datagram over UDP: one Ethernet frame.
pub const UDP_BYTES_MAX: usize = 1_432;

/// Largest datagram over a Unix socket: the agent's buffer.
pub const UNIX_BYTES_MAX: usize = 8_192;

/// What stands at the end of a text that was cut off.
const CUT: &str = "…";

/// What the text is not cut below, as long as tags can go instead.
const TEXT_BYTES_KEPT: usize = 200;

/// An event as a datagram of at most so many bytes.
pub fn datagram(event: &DatadogEvent, bytes_max: usize) -> Result<Vec<u8>, DatadogError> {
    let title = line(&event.title);
    let text = line(&event.text);
    let mut tags: Vec<_> = event.tags.iter().map(|tag| tag.replace(['|', ',', '\n'], "_")).collect();
    loop {
        let bare = encode(&title, "", &tags, event).len() + digits(text.len()) - 1;
        let room = bytes_max.saturating_sub(bare);
        if text.len() <= room || room >= TEXT_BYTES_KEPT {
            return Ok(encode(&title, &cut(&text, room), &tags, event));
        }
        if tags.pop().is_none() {
            break;
        }
    }
    let bare = encode("", "", &[], event).len() + digits(title.len()) - 1;
    let title = cut(&title, bytes_max.saturating_sub(bare));
    let datagram = encode(&title, "", &[], event);
    if title.is_empty() || datagram.len() > bytes_max {
        return Err(DatadogError::TooLarge(format!("the event does not fit into a datagram of {bytes_max} bytes")));
    }
    Ok(datagram)
}

fn encode(title: &str, text: &str, tags: &[String], event: &DatadogEvent) -> Vec<u8> {
    let DatadogEvent { title: _, text: _, tags: _, alert_type, priority, aggregation_key, date_happened } = event;
    let key = aggregation_key.replace(['|', '\n'], "_");
    let mut out = format!(
        "_e{{{},{}}}:{title}|{text}|d:{date_happened}|k:{key}|p:{priority}|t:{alert_type}",
        title.len(),
        text.len()
    );
    if !tags.is_empty() {
        out.push_str("|#");
        out.push_str(&tags.join(","));
    }
    out.into_bytes()
}

/// Newlines are sent as `\n`: a datagram is one line.
fn line(text: &str) -> String {
    text.replace("\r\n", "\\n").replace(['\n', '\r'], "\\n")
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// The longest beginning of so many bytes that ends between characters, and not inside a `\n`.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let Some(room) = bytes_max.checked_sub(CUT.len()) else { return String::new() };
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{CUT}", text[..end].trim_end_matches('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::datadog::{AlertType, Priority};
    use proptest::prelude::*;

    fn event(title: &str, text: &str, tags: usize) -> DatadogEvent {
        DatadogEvent {
            title: title.into(),
            text: text.into(),
            tags: (0..tags).map(|n| format!("tag{n}:{}", "v".repeat(50))).collect(),
            alert_type: AlertType::UserUpdate,
            priority: Priority::Low,
            aggregation_key: "kt/prod/topic/0".into(),
            date_happened: 1_700_000_000,
        }
    }

    #[test]
    fn lengths_are_bytes_and_newlines_are_escaped() {
        let sent = datagram(&event("Überschrift", "a\nb", 0), UDP_BYTES_MAX).unwrap();
        let expected = "_e{12,4}:Überschrift|a\\nb|d:1700000000|k:kt/prod/topic/0|p:low|t:info";
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }

    #[test]
    fn a_long_text_is_shortened_to_fit_and_the_tags_stay() {
        let sent = datagram(&event("title", &"ä".repeat(4_000), 5), UDP_BYTES_MAX).unwrap();
        assert!((UDP_BYTES_MAX - 2..=UDP_BYTES_MAX).contains(&sent.len()), "{}", sent.len());
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.contains("…|d:") && sent.contains(",tag4:"), "{sent}");
    }

    #[test]
    fn tags_go_before_the_last_of_the_text_does() {
        let sent = datagram(&event("title", &"x".repeat(4_000), 40), UDP_BYTES_MAX).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.contains("tag0:") && !sent.contains("tag39:"), "{sent}");
        assert!(sent.matches('x').count() >= TEXT_BYTES_KEPT - 10);
    }

    proptest! {
        #[test]
        fn every_datagram_fits_and_says_its_true_lengths(
            title in "\\PC{1,100}", text in "(\\PC|\n){0,3000}", tags in 0_usize..60, max in 400_usize..9_000
        ) {
            let sent = String::from_utf8(datagram(&event(&title, &text, tags), max).unwrap()).unwrap();
            prop_assert!(sent.len() <= max);
            let (lengths, rest) = sent.strip_prefix("_e{").unwrap().split_once("}:").unwrap();
            let (title_bytes, text_bytes) = lengths.split_once(',').unwrap();
            let (title_bytes, text_bytes): (usize, usize) = (title_bytes.parse().unwrap(), text_bytes.parse().unwrap());
            prop_assert!(rest[title_bytes..].starts_with('|'));
            prop_assert!(rest[title_bytes + 1 + text_bytes..].starts_with("|d:"));
            prop_assert!(!sent.contains('\n'));
        }
    }
}
