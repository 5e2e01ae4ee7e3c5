//! Reads a request's query strictly: what is not known, or given twice, is an error that names what is known.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;

use crate::agent::port::refusal::Refusal;
use crate::cluster::visible;

/// Longest text that a person gives.
pub const TEXT_MAX: usize = 200;

/// The parameters of a request, by name.
pub fn parameters(uri: &Uri, known: &[&str]) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(pairs) = pairs.map_err(|error| Refusal::wrong(format!("the query can't be read: {error}")))?;
    let mut read = BTreeMap::new();
    for (name, value) in pairs {
        let shown = shown(&name);
        if !known.contains(&name.as_str()) {
            return Err(Refusal::wrong(match known {
                [] => format!("unknown parameter `{shown}`: this request takes none"),
                known => format!("unknown parameter `{shown}`: known are {}", known.join(", ")),
            }));
        }
        if read.insert(name, value).is_some() {
            return Err(Refusal::wrong(format!("the parameter `{shown}` is given twice")));
        }
    }
    Ok(read)
}

/// A text that is kept and shown: short, and without control characters, which could forge lines of a log.
pub fn text(name: &str, value: String) -> Result<String, Refusal> {
    if value.chars().count() > TEXT_MAX {
        return Err(Refusal::wrong(format!("`{name}` is longer than {TEXT_MAX} characters")));
    }
    if value.trim().is_empty() || value.chars().any(visible::is_hidden) {
        return Err(Refusal::wrong(format!("`{name}` must be a text without control characters")));
    }
    Ok(value)
}

/// Yes or no, as `true` or `false`.
pub fn yes_or_no(name: &str, value: &str) -> Result<bool, Refusal> {
    value.parse().map_err(|_| Refusal::wrong(format!("`{name}` is `true` or `false`, not `{}`", shown(value))))
}

/// A text of a request in words of ours: no control characters, and not long.
pub fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let clean: String =
        text.chars().take(SHOWN_MAX).map(|c| if visible::is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() { format!("{clean}…") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<BTreeMap<String, String>, String> {
        let uri = format!("/throttle?{query}").parse().unwrap();
        parameters(&uri, &["rate", "ttl"]).map_err(|Refusal(_, words)| words)
    }

    #[test]
    fn a_parameter_that_is_unknown_or_given_twice_is_an_error_that_names_the_known_ones() {
        assert_eq!(read("rate=1MB%2Fs&ttl=1h").unwrap()["rate"], "1MB/s");
        assert_eq!(read("rate=1&rates=2").unwrap_err(), "unknown parameter `rates`: known are rate, ttl");
        assert_eq!(read("rate=1&rate=2").unwrap_err(), "the parameter `rate` is given twice");
        assert_eq!(read(&format!("{}=1", "x".repeat(100))).unwrap_err().matches('x').count(), 60);
    }

    #[test]
    fn a_text_is_bounded_and_forges_no_line() {
        assert_eq!(text("by", "Ann Ön".into()), Ok("Ann Ön".into()));
        for wrong in ["", " ", "a\nb", "a\u{1b}[2J", "a\u{202e}b", "a\u{200b}", &"x".repeat(201)] {
            assert!(text("by", wrong.to_owned()).is_err(), "{wrong:?}");
        }
        assert!(yes_or_no("autoremove", "1").is_err());
    }
}
