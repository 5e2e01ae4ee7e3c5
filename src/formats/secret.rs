//! Secrets: values that no output may show.
//!
//! Whoever reads a secret from a file, a flag or the environment calls [`remember`]; whoever writes a text that a
//! person or a sink sees passes it through [`scrub`].

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

pub use secrecy::{ExposeSecret, SecretString};

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
        if !loaded.contains(&value) {
            loaded.push(value.clone());
            // Longest first: a secret that contains another one is replaced whole.
            loaded.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }
    SecretString::from(value)
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

/// Whether a config key holds a secret by its name, whatever Kafka says of it.
pub fn is_secret_key(key: &str) -> bool {
    const WORDS: [&str; 9] =
        ["password", "passwd", "secret", "token", "credential", "jaas", "keytab", "private", "api.key"];
    let key = key.to_lowercase();
    let is_key_of_tls =
        key.strip_prefix("ssl.").is_some_and(|rest| rest == "key" || rest.strip_suffix(".key").is_some());
    is_key_of_tls || WORDS.iter().any(|word| key.contains(word))
}
