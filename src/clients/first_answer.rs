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

/// Greets a port and waits for the first bytes, until the deadline.
pub async fn greet(host: &str, port: u16, greeting: Greeting, deadline: Instant) -> Reaction {
    let connected = async {
        // No look-up where an address is given.
        match host.parse::<IpAddr>() {
            Ok(address) => TcpStream::connect((address, port)).await.map_err(of_connect),
            Err(_) => {
                let addresses: Vec<_> =
                    lookup_host((host, port)).await.map_err(|e| Reaction::NoWay(e.to_string()))?.collect();
                TcpStream::connect(&addresses[..]).await.map_err(of_connect)
            }
        }
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

fn of_connect(error: io::Error) -> Reaction {
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
    let wanted = if greeting == Greeting::ApiVersions { 8 } else { 1 };
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
        Greeting::TlsHello => {
            // The shortest ClientHello: TLS 1.2, a random of zeros, one cipher suite, no extensions.
            let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
            hello.extend([0; 32]);
            hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
            hello
        }
    }
}

/// Whether these first bytes may be the answer.
fn may_be(greeting: Greeting, begin: &[u8]) -> bool {
    match greeting {
        Greeting::ApiVersions => {
            let id = &begin[ANSWERED_CORRELATION.start.min(begin.len())..];
            API_VERSIONS[CORRELATION].starts_with(id)
        }
        // A greeting, or an alert: both are made by the process.
        Greeting::TlsHello => matches!(begin[0], 21 | 22),
        Greeting::Srvr => begin[0].is_ascii_alphabetic(),
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
        assert_eq!(reaction(Greeting::Srvr, Some(b"This ZooKeeper")).await, Reaction::Answered);
        assert_eq!(reaction(Greeting::Srvr, Some(b"\0\0\0\0")).await, Reaction::OtherAnswer);
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
