//! DogStatsD: events as datagrams to the agent, over UDP or a Unix socket. There is no answer: what was sent is gone.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clients::datadog::{Datadog, DatadogError, DatadogEvent, UDP_BYTES_MAX, UNIX_BYTES_MAX, datagram};

/// DogStatsD's own port.
pub const PORT: u16 = 8125;

/// Longest wait for a socket that is full, or for a name to be found.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`.
    Udp(String),
    /// A datagram socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Reads `DD_DOGSTATSD_URL`: `udp://HOST[:PORT]` or `unix://PATH`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("`{url}` is not udp://HOST:PORT or unix:///PATH");
        if let Some(path) = url.strip_prefix("unix://") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(PathBuf::from(path))) };
        }
        if url.starts_with("unixstream://") {
            return Err(format!("`{url}` is a stream socket; only datagram sockets (unix:///PATH) are supported"));
        }
        let host = url.strip_prefix("udp://").ok_or_else(wrong)?.trim_end_matches('/');
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().map_err(|_| wrong())?),
            _ => (host, PORT),
        };
        if name.is_empty() { Err(wrong()) } else { Ok(Self::Udp(format!("{name}:{port}"))) }
    }

    /// Largest datagram that the agent takes there.
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::Udp(_) => UDP_BYTES_MAX,
            Self::Unix(_) => UNIX_BYTES_MAX,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host) => write!(f, "udp://{host}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The agent's DogStatsD port.
#[derive(Debug)]
pub struct DogStatsD {
    address: Address,
    /// Opened with the first event, and anew after an error: the agent may have restarted.
    socket: Mutex<Option<Socket>>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl DogStatsD {
    /// The agent at an address. Nothing is opened yet.
    pub fn new(address: Address) -> Self {
        Self { address, socket: Mutex::new(None) }
    }

    async fn send(&self, datagram: &[u8]) -> std::io::Result<()> {
        let mut held = self.socket.lock().await;
        let socket = match held.take() {
            Some(socket) => socket,
            None => open(&self.address).await?,
        };
        match &socket {
            Socket::Udp(socket) => socket.send(datagram).await?,
            Socket::Unix(socket) => socket.send(datagram).await?,
        };
        *held = Some(socket);
        Ok(())
    }
}

async fn open(address: &Address) -> std::io::Result<Socket> {
    match address {
        Address::Udp(host) => {
            let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the host name has no address");
            for to in tokio::net::lookup_host(host).await? {
                let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(from).await?;
                match socket.connect(to).await {
                    Ok(()) => return Ok(Socket::Udp(socket)),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        Address::Unix(path) => open_unix(path).map(Socket::Unix),
    }
}

fn open_unix(path: &Path) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

#[async_trait]
impl Datadog for DogStatsD {
    async fn post(&self, event: &DatadogEvent) -> Result<(), DatadogError> {
        let datagram = datagram(event, self.address.bytes_max())?;
        let unreachable = |why: String| DatadogError::Unreachable { address: self.address.to_string(), why };
        match timeout(SEND_TIMEOUT, self.send(&datagram)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("nothing was taken within {} s", SEND_TIMEOUT.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_datadogs_clients_do() {
        let shown = |url: &str| Address::parse(url).map(|address| address.to_string());
        assert_eq!(shown("udp://agent:9125"), Ok("udp://agent:9125".into()));
        assert_eq!(shown("udp://agent"), Ok("udp://agent:8125".into()));
        assert_eq!(shown("udp://[::1]"), Ok("udp://[::1]:8125".into()));
        assert_eq!(shown("unix:///var/run/datadog/dsd.socket"), Ok("unix:///var/run/datadog/dsd.socket".into()));
        for wrong in ["agent:8125", "udp://", "unix://", "unixstream:///x", "udp://agent:x"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
