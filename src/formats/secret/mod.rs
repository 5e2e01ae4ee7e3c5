//! Secrets: values that no output may show.
//!
//! Whoever reads a secret from a file, a flag or the environment calls [`remember`]; whoever writes a text that a
//! person or a sink sees passes it through [`scrub`] (known values only) or [`clean`] (also what looks like one).
//! Config values are shown by an allow-list of their keys ([`shown_value`]), arguments by one of flags
//! ([`shown_arguments`]).

mod flags;
mod keys;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{LazyLock, PoisonError, RwLock};

use regex::{Captures, Regex};
pub use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

pub use keys::{is_secret_key, is_shown_key};

/// What stands where a secret stood.
pub const HIDDEN: &str = "(hidden)";

/// Shorter values are not replaced: they would tear harmless words apart.
const SCRUBBED_LENGTH_MIN: usize = 4;

static LOADED: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Wraps a secret and remembers its value, so that [`scrub`] takes it out of every text from now on.
pub fn remember(value: impl Into<String>) -> SecretString {
    let value = value.into();
    if value.len() >= SCRUBBED_LENGTH_MIN {
        let mut loaded = LOADED.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms(&value) {
            // Longest first: a secret that contains another one is replaced whole.
            let order = |known: &String| form.len().cmp(&known.len()).then_with(|| known.cmp(&form));
            if let Err(place) = loaded.binary_search_by(order) {
                loaded.insert(place, form);
            }
        }
    }
    SecretString::from(value)
}

/// A value as it is, and as it stands inside JSON and inside `{:?}`.
fn forms(value: &str) -> Vec<String> {
    let debug = format!("{value:?}");
    let json = serde_json::Value::from(value).to_string();
    let mut forms = vec![value.to_owned()];
    for quoted in [debug, json] {
        let inner = quoted[1..quoted.len() - 1].to_owned();
        if !forms.contains(&inner) {
            forms.push(inner);
        }
    }
    forms
}

/// The text without any secret that was [`remember`]ed.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let loaded = LOADED.read().unwrap_or_else(PoisonError::into_inner);
    let mut clean = Cow::Borrowed(text);
    for secret in loaded.iter() {
        if clean.contains(secret.as_str()) {
            clean = Cow::Owned(clean.replace(secret.as_str(), HIDDEN));
        }
    }
    clean
}

/// The text without remembered secrets, without user and query of URLs, and without values that stand behind a
/// secret's name (`password=…`, `"token": "…"`). For texts that others wrote: error messages, reasons, titles.
pub fn clean(text: &str) -> String {
    let text = strip_urls(&scrub(text));
    if may_name_secrets(&text) { hide_named(&text) } else { text }
}

/// The text without values that stand behind a secret's name.
fn hide_named(text: &str) -> String {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?ix) ( [\w.-]* (?: passw(?:or)?d | passphrase | secret | token | credential | api[._-]?key | private[._-]?key
                | keytab | jaas\.config ) [\w.-]* ["']? \s* [=:] \s* ) ( "(?:[^"\\]|\\.)*" | '[^']*' | [^\s,;]+ )
                | ( \bauthorization ["']? \s* [=:] \s* ["']? \w+ \s+ | \bbearer\s+ ) ( [^\s"']{8,} )"#,
        )
        .ok()
    });
    let Some(named) = &*NAMED else { return HIDDEN.to_owned() };
    let hide = |found: &Captures| {
        let name = found.get(1).or_else(|| found.get(3)).map_or("", |name| name.as_str());
        format!("{name}{HIDDEN}")
    };
    named.replace_all(text, hide).into_owned()
}

/// What any name of a secret in [`hide_named`] has in it.
const NAMES: [&str; 8] = ["pass", "secret", "token", "credential", "key", "jaas", "authorization", "bearer"];

/// Whether a text may have a secret's name in it. Nearly all have none, and the pattern takes a millisecond to build.
fn may_name_secrets(text: &str) -> bool {
    // Other alphabets have letters that the pattern takes for those of ASCII.
    let has = |name: &&str| text.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()));
    !text.is_ascii() || NAMES.iter().any(has)
}

/// The text with user-info, query and fragment taken out of every URL in it.
pub fn strip_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>`|".contains(c)).unwrap_or(after.len());
        let (url, behind) = after.split_at(end);
        strip_url(url, &mut out);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Writes what follows `://` of one URL. A password may hold any sign: the last `@` before the query ends it.
fn strip_url(url: &str, out: &mut String) {
    let (address, is_cut) = match url.find(['?', '#']) {
        // `user:pa?ss@host`: what looks like a query is part of the user.
        Some(cut) if !url[cut..].contains('@') => (&url[..cut], true),
        _ => (url, false),
    };
    match address.rfind('@') {
        Some(user) => {
            let host = &address[user + 1..];
            let host = host.split(['?', '#']).next().unwrap_or_default();
            let _ = write!(out, "{HIDDEN}@{host}");
        }
        None => out.push_str(address),
    }
    if is_cut {
        let _ = write!(out, "?{HIDDEN}");
    }
}

/// A config value as it may be shown: itself where its key is known to be harmless, `(hidden)` where the key names
/// a secret, else a short hash, so that two values can be distinguished.
pub fn shown_value<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret_key(key) {
        return Cow::Borrowed(HIDDEN);
    }
    if !is_shown_key(key) {
        return Cow::Owned(format!("(hidden, sha256 {})", hash_prefix(value)));
    }
    match clean(value) {
        cleaned if cleaned == value => Cow::Borrowed(value),
        cleaned => Cow::Owned(cleaned),
    }
}

/// Lines of `key: value` as they may be shown; lines without a key are cleaned.
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((key, value)) if !key.trim().contains(char::is_whitespace) => {
                format!("{key}: {}", shown_value(key.trim(), value))
            }
            _ => clean(line),
        })
        .collect();
    lines.join("\n")
}

/// The first eight hexadecimal digits of a value's SHA-256.
pub fn hash_prefix(value: &str) -> String {
    Sha256::digest(value.as_bytes()).iter().take(4).fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A command line as it may be shown: command words, names of flags, values of flags that are known to be harmless, and of
/// some commands their files and rates. `words` are the leading command words (`topics apply`).
pub fn shown_arguments(words: &str, arguments: impl IntoIterator<Item = String>) -> String {
    let mut out = words.to_owned();
    let command = words;
    let mut words: Vec<_> = words.split(' ').rev().collect();
    let mut flag: Option<String> = None;
    for argument in arguments {
        if words.last() == Some(&argument.as_str()) {
            words.pop();
            flag = None;
        } else if let Some((name, value)) = argument.split_once('=').filter(|(name, _)| is_flag(name)) {
            let _ = write!(out, " {name}={}", shown_if(flags::is_shown(name), value));
            flag = None;
        } else if is_flag(&argument) {
            let _ = write!(out, " {argument}");
            flag = (!flags::is_switch(&argument)).then_some(argument);
        } else {
            let is_shown = match flag.take() {
                Some(flag) => flags::is_shown(&flag),
                None => flags::is_plain(command, &argument),
            };
            let _ = write!(out, " {}", shown_if(is_shown, &argument));
        }
    }
    out
}

/// `-f` or `--file`. `-fVALUE` is none: what is glued to a letter may be anything.
fn is_flag(argument: &str) -> bool {
    let letters = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    match (argument.strip_prefix("--"), argument.strip_prefix('-')) {
        (Some(name), _) => letters(name),
        (None, Some(name)) => name.len() == 1 && letters(name),
        (None, None) => false,
    }
}

fn shown_if(is_shown: bool, value: &str) -> String {
    if is_shown { clean(value) } else { HIDDEN.to_owned() }
}

#[cfg(test)]
mod tests;
