//! Opens connections to brokers, plaintext or TLS, and says in one clear sentence why one could not be opened.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::Settings;

/// Opens connections with the settings of one cluster. Made once; a plaintext one touches no TLS code.
#[derive(Debug)]
pub struct Connector {
    protocol: &'static str,
    timeout: Duration,
}

impl Connector {
    /// Reads stores and prepares TLS, where the settings ask for it.
    pub fn new(settings: &Settings) -> Result<Self, KafkaError> {
        Ok(Self { protocol: settings.security.protocol(), timeout: settings.timeout })
    }

    /// Opens one connection, handshake included, within the settings' timeout.
    ///
    /// [`KafkaError::Security`] is certain and no retry mends it; [`KafkaError::Unreachable`] has one address and
    /// reason in it, for the caller to collect.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Stream, KafkaError> {
        let address = show_address(host, port);
        match tokio::time::timeout(self.timeout, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| self.unreachable(&address, error.to_string()))?;
                Ok(Stream::Plain(stream))
            }
            Ok(Err(error)) => Err(self.unreachable(&address, error.to_string())),
            Err(_) => Err(self.unreachable(&address, "does not answer".to_owned())),
        }
    }

    /// Why a broker ended the connection, or failed it with a TLS alert, before its first answer.
    ///
    /// In TLS 1.3 a refused client certificate shows only there; and a broker that is spoken to in the wrong protocol
    /// just hangs up. Where the reason can't be told from the error alone, this asks the port once more to find out.
    pub async fn why_no_answer(&self, host: &str, port: u16, error: &io::Error) -> KafkaError {
        let address = show_address(host, port);
        if error.kind() == io::ErrorKind::UnexpectedEof && speaks_tls(host, port).await {
            let message = format!(
                "this port speaks TLS, but security.protocol is {}; set it to SSL or SASL_SSL, or use the plaintext port",
                self.protocol
            );
            return KafkaError::Security { address, message };
        }
        self.unreachable(&address, error.to_string())
    }

    fn unreachable(&self, address: &str, why: String) -> KafkaError {
        KafkaError::Unreachable { tried: vec![(address.to_owned(), why)], within: self.timeout }
    }
}

/// How long the question "what do you speak?" may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// Whether a port answers a TLS greeting in TLS: with a greeting of its own (22) or an alert (21).
async fn speaks_tls(host: &str, port: u16) -> bool {
    // The shortest ClientHello: TLS 1.2, a random of zeros, one cipher suite, no extensions.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([0; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let ask = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(&hello).await.ok()?;
        stream.read_u8().await.ok()
    };
    matches!(tokio::time::timeout(PROBE_TIME_MAX, ask).await, Ok(Some(21 | 22)))
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub fn show_address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A connection to a broker.
#[derive(Debug)]
pub enum Stream {
    /// Plaintext.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
