//! How a port behaves when it is asked the first thing that its protocol begins with: no credentials, no trust store, a few
//! bytes. A frozen process accepts connections, since the kernel does that for it, but it neither answers nor hangs up.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::cluster::reaction::Reaction;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Kafka's ApiVersions in version 0, which every listener without TLS answers before SASL.
    ApiVersions,
    /// The begin of a TLS handshake.
    TlsHello,
    /// ZooKeeper's word `srvr`.
    Srvr,
}

/// Begin of ApiVersions in version 0: length, key 18, version, correlation id, no client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, b'p', b'r', b'o', b'b', 0xFF, 0xFF];

/// Where the correlation id stands in a request, and in an answer.
const CORRELATION: std::ops::Range<usize> = 8..12;
const ANSWERED_CORRELATION: std::ops::Range<usize> = 4..8;

/// The length of an answer to ApiVersions: a correlation id and an error code at least; Kafka 4's has some 500 bytes.
const LENGTH_MIN: i32 = 6;
const LENGTH_MAX: i32 = 1 << 20;

/// How answers to `srvr` begin: with the version, or that it does not serve, or that the word is not in the whitelist.
const SRVR_BEGINS: [&[u8]; 3] = [b"Zookeeper version:", b"This ZooKeeper instance", b"srvr is not executed"];

/// Bytes by which such an answer is known.
const SRVR_BYTES: usize = 8;

/// Greets a port and waits for the first bytes, until the deadline.
pub async fn greet(host: &str, port: u16, greeting: Greeting, deadline: Instant) -> Reaction {
    let connected = async {
        // No look-up where an address is given.
        if let Ok(address) = host.parse::<IpAddr>() {
            return TcpStream::connect((address, port)).await.map_err(|error| of_connect(&error));
        }
        let found = lookup_host((host, port)).await.map_err(|error| Reaction::NoWay(error.to_string()))?;
        let addresses: Vec<_> = found.collect();
        TcpStream::connect(&addresses[..]).await.map_err(|error| of_connect(&error))
    };
    match timeout_at(deadline, connected).await {
        Err(_) => Reaction::NotAccepted,
        Ok(Err(reaction)) => reaction,
        Ok(Ok(stream)) => match timeout_at(deadline, exchange(stream, greeting)).await {
            Err(_) => Reaction::Silent,
            // A reset is the process's, or the kernel's for a process that has just ended: the next connection tells.
            Ok(Err(_)) => Reaction::HungUp,
            Ok(Ok(reaction)) => reaction,
        },
    }
}

fn of_connect(error: &io::Error) -> Reaction {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reaction::Refused(error.to_string()),
        io::ErrorKind::TimedOut => Reaction::NotAccepted,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Reaction::HungUp,
        _ => Reaction::NoWay(error.to_string()),
    }
}

async fn exchange(mut stream: TcpStream, greeting: Greeting) -> io::Result<Reaction> {
    stream.set_nodelay(true)?;
    stream.write_all(&bytes(greeting)).await?;
    let mut begin = [0; 8];
    let mut length = 0;
    let wanted = match greeting {
        Greeting::ApiVersions => 8,
        Greeting::TlsHello => 1,
        Greeting::Srvr => SRVR_BYTES,
    };
    while length < wanted {
        match stream.read(&mut begin[length..]).await? {
            0 if length == 0 => return Ok(Reaction::HungUp),
            0 => return Ok(Reaction::OtherAnswer),
            more => length += more,
        }
        if !may_be(greeting, &begin[..length]) {
            return Ok(Reaction::OtherAnswer);
        }
    }
    Ok(Reaction::Answered)
}

fn bytes(greeting: Greeting) -> Vec<u8> {
    match greeting {
        Greeting::ApiVersions => API_VERSIONS.to_vec(),
        Greeting::Srvr => b"srvr".to_vec(),
        Greeting::TlsHello => client_hello(),
    }
}

/// A ClientHello that servers of TLS 1.2 and 1.3 answer with a greeting of their own: with an alert, brokers would log a
/// failed handshake each time. It offers no key share, for which TLS 1.3 asks again (RFC 8446, 4.2.8), and nothing is ever
/// exchanged: so the random bytes may be zeros.
fn client_hello() -> Vec<u8> {
    // TLS 1.3 with AES-GCM, and TLS 1.2 with ECDHE, for RSA and ECDSA certificates.
    const SUITES: [u16; 6] = [0x1301, 0x1302, 0xC02B, 0xC02F, 0xC02C, 0xC030];
    // ECDSA, RSA-PSS and RSA with SHA-256, SHA-384 and SHA-512.
    const SIGNATURES: [u16; 9] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601];
    const GROUPS: [u16; 3] = [0x001D, 0x0017, 0x0018];
    const VERSIONS: [u16; 2] = [0x0304, 0x0303];
    let list = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let extensions = [
        (0x000A, long(&list(&GROUPS))),
        (0x000B, vec![1, 0]),
        (0x000D, long(&list(&SIGNATURES))),
        (0x002B, [&[4], &list(&VERSIONS)[..]].concat()),
        (0x0033, long(&[])),
    ];
    let extensions: Vec<u8> =
        extensions.iter().flat_map(|(kind, body)| [&u16::to_be_bytes(*kind)[..], &long(body)].concat()).collect();
    let hello = [&[3, 3][..], &[0; 32], &[0], &long(&list(&SUITES)), &[1, 0], &long(&extensions)].concat();
    let handshake = [&[1, 0][..], &long(&hello)].concat();
    [&[22, 3, 1][..], &long(&handshake)].concat()
}

/// Bytes with their length in two bytes before them; what is put together here is short.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Whether these first bytes may be the answer.
fn may_be(greeting: Greeting, begin: &[u8]) -> bool {
    match greeting {
        Greeting::ApiVersions => {
            let id = &begin[ANSWERED_CORRELATION.start.min(begin.len())..];
            API_VERSIONS[CORRELATION].starts_with(id) && may_be_length(begin)
        }
        // A greeting, or an alert: both are made by the process.
        Greeting::TlsHello => matches!(begin[0], 21 | 22),
        Greeting::Srvr => SRVR_BEGINS.iter().any(|one| one.starts_with(begin) || begin.starts_with(one)),
    }
}

/// Whether an answer may begin with this length, as far as its four bytes have come: it has a correlation id and an error code.
fn may_be_length(begin: &[u8]) -> bool {
    match begin {
        [one, two, three, four, ..] => {
            let length = i32::from_be_bytes([*one, *two, *three, *four]);
            (LENGTH_MIN..=LENGTH_MAX).contains(&length)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// What is made of a peer that answers so; `None` closes at once.
    async fn reaction(greeting: Greeting, answer: Option<&'static [u8]>) -> Reaction {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            let Some(answer) = answer else { return };
            stream.write_all(answer).await.unwrap();
            std::future::pending::<()>().await;
        });
        greet("127.0.0.1", port, greeting, Instant::now() + Duration::from_millis(200)).await
    }

    #[tokio::test]
    async fn each_protocol_is_known_by_its_first_bytes() {
        assert_eq!(reaction(Greeting::ApiVersions, Some(b"\0\0\x01\0prob\0\0")).await, Reaction::Answered);
        assert_eq!(reaction(Greeting::ApiVersions, Some(b"\x15\x03\x03\0\x02\x02\x28")).await, Reaction::OtherAnswer);
        assert_eq!(reaction(Greeting::TlsHello, Some(b"\x16\x03\x03")).await, Reaction::Answered);
        assert_eq!(reaction(Greeting::TlsHello, Some(b"\x15\x03\x03")).await, Reaction::Answered);
        assert_eq!(reaction(Greeting::TlsHello, Some(b"HTTP/1.1 400")).await, Reaction::OtherAnswer);
        for said in [&b"This ZooKeeper"[..], b"Zookeeper version: 3.8.0", b"srvr is not executed because"] {
            assert_eq!(reaction(Greeting::Srvr, Some(said)).await, Reaction::Answered);
        }
        assert_eq!(reaction(Greeting::Srvr, Some(b"HTTP/1.1 400 Bad Request")).await, Reaction::OtherAnswer);
        for said in [&b"\xff\xff\xff\xffprob"[..], b"\x7f\xff\xff\xffprob", b"\0\0\0\0prob", b"HTTP/1.1 400"] {
            assert_eq!(reaction(Greeting::ApiVersions, Some(said)).await, Reaction::OtherAnswer);
        }
        assert_eq!(reaction(Greeting::Srvr, Some(b"\0\0\0\0")).await, Reaction::OtherAnswer);
    }

    #[test]
    fn a_client_hello_is_what_its_lengths_say() {
        let hello = client_hello();
        let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!((hello[0], number(3)), (22, hello.len() - 5));
        assert_eq!((hello[5], number(7)), (1, hello.len() - 9));
        // Version, random, no session: then the suites, one way not to compress, and the extensions to the end.
        let suites = 9 + 2 + 32 + 1;
        let extensions = suites + 2 + number(suites) + 2;
        assert_eq!(number(extensions), hello.len() - extensions - 2);
    }

    #[tokio::test]
    async fn a_peer_that_is_silent_hangs_up_or_is_not_there_is_told_apart() {
        assert_eq!(reaction(Greeting::ApiVersions, Some(b"")).await, Reaction::Silent);
        assert_eq!(reaction(Greeting::ApiVersions, Some(b"\0\0")).await, Reaction::Silent);
        assert_eq!(reaction(Greeting::ApiVersions, None).await, Reaction::HungUp);
        let deadline = Instant::now() + Duration::from_secs(2);
        let refused = greet("127.0.0.1", 1, Greeting::Srvr, deadline).await;
        assert!(matches!(refused, Reaction::Refused(_)), "{refused:?}");
        let unknown = greet("name.invalid", 1, Greeting::Srvr, deadline).await;
        assert!(matches!(unknown, Reaction::NoWay(_) | Reaction::NotAccepted), "{unknown:?}");
    }
}
