//! SASL DIGEST-MD5 (RFC 2831) as ZooKeeper's servers speak it: one challenge, one response, and the server's own proof.
//!
//! The server's challenge in, the response out. Java servers offer `auth` alone and the algorithm `md5-sess`.

use std::collections::BTreeMap;

use md5::{Digest, Md5};

use crate::formats::secret::{ExposeSecret, SecretString};

/// What is authenticated to: ZooKeeper's clients say so, whatever the server's name is.
const URI: &str = "zookeeper/zk-sasl-md5";

/// The longest challenge that is read, in bytes (RFC 2831 allows 2,048).
const CHALLENGE_BYTES_MAX: usize = 2048;

/// An exchange of which the response is sent, and the proof awaited.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What is sent.
    pub(super) response: String,
    proof: String,
}

impl Exchange {
    /// Answers a challenge. `nonce` is the client's own: letters and digits that were never used before.
    pub(super) fn answer(
        challenge: &[u8],
        username: &str,
        password: &SecretString,
        nonce: &str,
    ) -> Result<Self, String> {
        let directives = directives(challenge)?;
        let get = |name: &str| directives.get(name).map(String::as_str);
        if get("algorithm") != Some("md5-sess") {
            return Err("the server offers no md5-sess".to_owned());
        }
        if get("qop").is_some_and(|offered| !offered.split(',').any(|qop| qop.trim() == "auth")) {
            return Err("the server does not offer to authenticate without encrypting".to_owned());
        }
        let server_nonce = get("nonce").ok_or("the server's challenge has no nonce")?;
        let realm = get("realm").unwrap_or_default();
        let secret = Md5::new()
            .chain_update(username)
            .chain_update(":")
            .chain_update(realm)
            .chain_update(":")
            .chain_update(password.expose_secret())
            .finalize();
        let session = Md5::new().chain_update(secret).chain_update(format!(":{server_nonce}:{nonce}")).finalize();
        let proof = |verb: &str| {
            let what = hex(&Md5::digest(format!("{verb}:{URI}")));
            hex(&Md5::digest(format!("{}:{server_nonce}:00000001:{nonce}:auth:{what}", hex(&session))))
        };
        let response = format!(
            "charset=utf-8,username={},realm={},nonce={},nc=00000001,cnonce={},digest-uri={},maxbuf=65536,response={},qop=auth",
            quoted(username),
            quoted(realm),
            quoted(server_nonce),
            quoted(nonce),
            quoted(URI),
            proof("AUTHENTICATE"),
        );
        Ok(Self { response, proof: proof("") })
    }

    /// Whether the server knows the password, too.
    pub(super) fn is_proved(&self, last: &[u8]) -> bool {
        directives(last).is_ok_and(|directives| directives.get("rspauth") == Some(&self.proof))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `name=value,name="value",…`; the first of each name counts.
fn directives(text: &[u8]) -> Result<BTreeMap<String, String>, String> {
    if text.len() > CHALLENGE_BYTES_MAX {
        return Err(format!("the server's challenge has {} bytes", text.len()));
    }
    let text = std::str::from_utf8(text).map_err(|_| "the server's challenge is not UTF-8")?;
    let mut directives = BTreeMap::new();
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let name: String = std::iter::from_fn(|| letters.next_if(|&letter| letter != '=' && letter != ',')).collect();
        let mut value = String::new();
        if letters.next_if_eq(&'=').is_some() {
            if letters.next_if_eq(&'"').is_some() {
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' => value.extend(letters.next()),
                        letter => value.push(letter),
                    }
                }
            }
            value.extend(std::iter::from_fn(|| letters.next_if(|&letter| letter != ',')));
        }
        letters.next_if_eq(&',');
        let name = name.trim().to_lowercase();
        if !name.is_empty() {
            directives.entry(name).or_insert_with(|| value.trim().to_owned());
        }
    }
    Ok(directives)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::secret::remember;

    const CHALLENGE: &str =
        r#"realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8"#;

    #[test]
    fn the_example_of_the_rfc_gives_its_digests_with_the_uri_of_zookeeper() {
        // RFC 2831, 4: user chris, password secret, cnonce OA6MHXh6VqTrRk; there the URI is imap/elwood.innosoft.com.
        let password = remember("secret");
        let exchange = Exchange::answer(CHALLENGE.as_bytes(), "chris", &password, "OA6MHXh6VqTrRk").unwrap();
        assert!(exchange.response.contains(r#"username="chris",realm="elwood.innosoft.com""#));
        let response = directives(exchange.response.as_bytes()).unwrap();
        assert_eq!(response["response"].len(), 32);
        assert!(exchange.is_proved(format!("rspauth={}", exchange.proof).as_bytes()));
        assert!(!exchange.is_proved(b"rspauth=0"));
        assert!(!exchange.is_proved(b""));
    }

    #[test]
    fn a_challenge_that_offers_something_else_is_refused() {
        let password = remember("secret");
        let answer = |challenge: &str| Exchange::answer(challenge.as_bytes(), "a", &password, "n").unwrap_err();
        assert!(answer("").contains("md5-sess"));
        assert!(answer("algorithm=md5-sess").contains("no nonce"));
        assert!(answer(r#"algorithm=md5-sess,nonce=x,qop="auth-conf""#).contains("without encrypting"));
        assert!(answer(&"x".repeat(3000)).contains("3000 bytes"));
    }

    #[test]
    fn quotes_and_backslashes_survive() {
        let read = directives(format!("a={},b=c", quoted(r#"x"y\z,="#)).as_bytes()).unwrap();
        assert_eq!(read["a"], r#"x"y\z,="#);
        assert_eq!(read["b"], "c");
    }

    proptest! {
        #[test]
        fn any_challenge_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Exchange::answer(&bytes, "a", &remember("secret"), "n");
            let _ = directives(&bytes);
        }
    }
}
