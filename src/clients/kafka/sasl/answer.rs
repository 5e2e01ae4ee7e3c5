//! What a token endpoint answers, and when a token ends: bytes in, plain data out. Pure.
#![expect(unreachable_pub, reason = "a fuzz target reads with it, too")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longest token, and longest answer of a token endpoint.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// An answer, as far as it is read (RFC 6749, 5.1 and 5.2). What it is not is passed over.
#[derive(Default)]
pub struct Answer {
    /// The token.
    pub access_token: Option<String>,
    /// Seconds for which it is valid.
    pub expires_in: Option<f64>,
    /// `error` and `error_description`, one after the other.
    pub words: String,
}

impl Answer {
    /// Reads an answer; one that is no JSON object says nothing.
    pub fn read(body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Fields {
            #[serde(default)]
            access_token: Lenient<String>,
            #[serde(default)]
            expires_in: Lenient<f64>,
            #[serde(default)]
            error: Lenient<String>,
            #[serde(default)]
            error_description: Lenient<String>,
        }
        let Fields { access_token, expires_in, error, error_description } =
            serde_json::from_slice(body).unwrap_or_default();
        let words = [error.0, error_description.0].into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self { access_token: access_token.0, expires_in: expires_in.0, words }
    }
}

/// When a JWT ends, by its own claim, in seconds since 1970.
pub fn expiry(token: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<f64>,
    }
    let payload = token.split('.').nth(1).filter(|payload| payload.len() <= TOKEN_BYTES_MAX)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.exp
}

/// A value of a type, or of another one, which counts as none.
struct Lenient<T>(Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any<T> {
            Meant(T),
            Other(serde::de::IgnoredAny),
        }
        Ok(match Any::deserialize(deserializer)? {
            Any::Meant(value) => Self(Some(value)),
            Any::Other(_) => Self(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_it_makes_sense() {
        let answer = Answer::read(br#"{"access_token":"abc","expires_in":3600,"scope":["x"]}"#);
        assert_eq!((answer.access_token.as_deref(), answer.expires_in), (Some("abc"), Some(3600.0)));
        let answer = Answer::read(br#"{"access_token":"abc","expires_in":"3600"}"#);
        assert_eq!((answer.access_token.as_deref(), answer.expires_in), (Some("abc"), None));
        let answer =
            Answer::read(br#"{"error":"invalid_client","error_description":"no such client","access_token":null}"#);
        assert_eq!((answer.access_token, answer.words.as_str()), (None, "invalid_client no such client"));
        assert_eq!(Answer::read(b"<html>").words, "");
    }
}
