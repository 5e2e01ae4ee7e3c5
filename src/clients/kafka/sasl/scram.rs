//! The shape of a broker's SCRAM messages (RFC 5802, section 7), checked before the library reads them: rsasl cuts each
//! attribute's two first bytes off without looking whether they are there.
//!
//! In go the broker's bytes; out comes nothing, or one sentence that says what is wrong with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest message of a broker that is read. Kafka's own have some 120 bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Checks the first message, `r=NONCE,s=SALT,i=ITERATIONS`, maybe with extensions behind that.
pub(super) fn check_first(message: &[u8]) -> Result<(), String> {
    let mut attributes = attributes(message)?;
    let nonce = attribute(attributes.next(), b'r', "the nonce")?;
    if nonce.is_empty() || !nonce.iter().all(u8::is_ascii_graphic) {
        return Err("the nonce of the broker's first message is empty or not printable".to_owned());
    }
    let salt = attribute(attributes.next(), b's', "the salt")?;
    is_base64(salt, "the salt")?;
    let iterations = attribute(attributes.next(), b'i', "the number of iterations")?;
    if iterations.is_empty() || !iterations.iter().all(u8::is_ascii_digit) {
        return Err("the number of iterations in the broker's first message is not a decimal number".to_owned());
    }
    Ok(())
}

/// Checks the last message, `v=SIGNATURE` or `e=ERROR`, maybe with extensions behind that.
pub(super) fn check_final(message: &[u8]) -> Result<(), String> {
    let first = attributes(message)?.next();
    if first.is_some_and(|part| part.starts_with(b"e=")) {
        return Ok(());
    }
    is_base64(attribute(first, b'v', "the signature")?, "the signature")
}

/// The parts of a message of a length that is no danger.
fn attributes(message: &[u8]) -> Result<impl Iterator<Item = &[u8]>, String> {
    match message.len() {
        0 => Err("the broker's message is empty".to_owned()),
        1..=MESSAGE_BYTES_MAX => Ok(message.split(|byte| *byte == b',')),
        length => Err(format!("the broker's message has {length} bytes; at most {MESSAGE_BYTES_MAX} are read")),
    }
}

/// The value of the attribute that must stand here.
fn attribute<'a>(part: Option<&'a [u8]>, letter: u8, what: &str) -> Result<&'a [u8], String> {
    match part {
        Some([found, b'=', value @ ..]) if *found == letter => Ok(value),
        Some([b'm', b'=', ..]) => Err("the broker requires an extension of SCRAM that is not supported".to_owned()),
        Some([b'e', b'=', why @ ..]) => Err(format!("the broker says: {}", String::from_utf8_lossy(why))),
        _ => Err(format!("{what} ({}=) is missing from the broker's message", char::from(letter))),
    }
}

fn is_base64(value: &[u8], what: &str) -> Result<(), String> {
    match STANDARD.decode(value) {
        Ok(bytes) if !bytes.is_empty() => Ok(()),
        Ok(_) => Err(format!("{what} in the broker's message is empty")),
        Err(_) => Err(format!("{what} in the broker's message is not base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_sends_is_taken() {
        assert_eq!(check_first(b"r=abcDEF,s=c2FsdA==,i=4096"), Ok(()));
        assert_eq!(check_first(b"r=abc,s=c2FsdA==,i=8192,x=extension"), Ok(()));
        assert_eq!(check_final(b"v=c2lnbmF0dXJl"), Ok(()));
        assert_eq!(check_final(b"e=invalid-proof"), Ok(()));
        assert_eq!(check_final(b"e="), Ok(()));
    }

    #[test]
    fn each_fault_of_a_message_is_a_sentence() {
        for (message, expected) in [
            ("", "the broker's message is empty"),
            ("r", "the nonce (r=) is missing from the broker's message"),
            ("r=abc", "the salt (s=) is missing from the broker's message"),
            ("r=abc,,i=4096", "the salt (s=) is missing from the broker's message"),
            ("r=abc,s", "the salt (s=) is missing from the broker's message"),
            ("r=abc,s=c2FsdA==", "the number of iterations (i=) is missing from the broker's message"),
            ("r=abc,s=c2FsdA==,i", "the number of iterations (i=) is missing from the broker's message"),
            ("r=abc,s=?,i=4096", "the salt in the broker's message is not base64"),
            ("r=abc,s=,i=4096", "the salt in the broker's message is empty"),
            ("r=abc,s=c2FsdA==,i=+1", "the number of iterations in the broker's first message is not a decimal number"),
            ("m=new,r=abc", "the broker requires an extension of SCRAM that is not supported"),
            ("e=unknown-user", "the broker says: unknown-user"),
        ] {
            assert_eq!(check_first(message.as_bytes()), Err(expected.to_owned()), "{message}");
        }
        assert!(check_first(&[b'r'; MESSAGE_BYTES_MAX + 1]).unwrap_err().contains("at most 4096 are read"));
        for (message, expected) in [
            ("", "the broker's message is empty"),
            ("v", "the signature (v=) is missing from the broker's message"),
            ("v=", "the signature in the broker's message is empty"),
            (",", "the signature (v=) is missing from the broker's message"),
        ] {
            assert_eq!(check_final(message.as_bytes()), Err(expected.to_owned()), "{message}");
        }
    }
}
