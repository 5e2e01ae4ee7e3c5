//! Asks a port what it speaks, after it hung up without a word. Nothing secret is ever sent.

use std::future::Future;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clients::kafka::tls::Stream;

/// How long one question may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Kafka's error code for a mechanism that is not offered.
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;

/// Whether a port answers a TLS greeting in TLS: with a greeting of its own (22) or an alert (21).
pub(super) async fn speaks_tls(host: &str, port: u16) -> bool {
    // The shortest ClientHello: TLS 1.2, a random of zeros, one cipher suite, no extensions.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([0; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let ask = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(&hello).await.ok()?;
        stream.read_u8().await.ok()
    };
    matches!(in_time(ask).await, Some(21 | 22))
}

/// Whether a port answers ApiVersions without TLS.
pub(super) async fn speaks_plaintext(host: &str, port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        // Request 18 in version 0, correlation id 1, no client id.
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF]).await.ok()?;
        let _size = stream.read_u32().await.ok()?;
        stream.read_u32().await.ok()
    };
    in_time(ask).await == Some(1)
}

/// The mechanisms that a listener offers; none if it is not one for SASL.
pub(super) async fn sasl_mechanisms(stream: &mut Stream) -> Option<Vec<String>> {
    let ask = async {
        // SaslHandshake (17) in version 1, correlation id 1, no client id, a mechanism that no broker has.
        let mut request = vec![0, 0, 0, 13, 0, 17, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF];
        request.extend([0, 1, b'?']);
        stream.write_all(&request).await.ok()?;
        stream.flush().await.ok()?;
        let size = usize::try_from(stream.read_u32().await.ok()?).ok().filter(|size| *size <= ANSWER_BYTES_MAX)?;
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer).await.ok()?;
        mechanisms(&answer)
    };
    in_time(ask).await
}

/// Correlation id, error code, and the names as an array of strings.
fn mechanisms(answer: &[u8]) -> Option<Vec<String>> {
    let (head, mut rest) = answer.split_at_checked(10)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    if i16::from_be_bytes([head[4], head[5]]) != UNSUPPORTED_SASL_MECHANISM {
        return None;
    }
    let count = number(&head[6..]);
    let mut names = Vec::new();
    for _ in 0..count.min(ANSWER_BYTES_MAX) {
        let (length, after) = rest.split_at_checked(2)?;
        let (name, after) = after.split_at_checked(number(length))?;
        names.push(String::from_utf8_lossy(name).into_owned());
        rest = after;
    }
    Some(names)
}

async fn in_time<T>(ask: impl Future<Output = Option<T>>) -> Option<T> {
    timeout(PROBE_TIME_MAX, ask).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_read_and_nonsense_is_none() {
        let answer = [0, 0, 0, 1, 0, 33, 0, 0, 0, 2, 0, 1, b'A', 0, 2, b'B', b'C'];
        assert_eq!(mechanisms(&answer), Some(vec!["A".to_owned(), "BC".to_owned()]));
        assert_eq!(mechanisms(&answer[..15]), None);
        assert_eq!(mechanisms(&[0, 0, 0, 1, 0, 34, 0, 0, 0, 0]), None);
        assert_eq!(mechanisms(&[0, 0, 0, 1, 0, 33, 0xFF, 0xFF, 0xFF, 0xFF]), None);
        assert_eq!(mechanisms(&[]), None);
    }
}
