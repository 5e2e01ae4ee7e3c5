//! Opens connections to ZooKeeper servers, plaintext or TLS, and says in one sentence why one could not be opened.
//!
//! TLS is that of the connections to brokers: the same stores, versions, checks and messages.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clients::kafka::tls::{Shown, Stream, client_config, of_tls, show_tcp};
use crate::clients::zookeeper::ZooKeeperError;
use crate::clients::zookeeper::settings::Settings;
use crate::cluster::address::show_address;

/// Opens connections with the settings of one ensemble. A plaintext one touches no TLS code.
#[derive(Debug)]
pub(super) struct Dialer {
    /// The settings of the ensemble.
    pub(super) settings: Settings,
    tls: Option<(Arc<ClientConfig>, Shown)>,
}

/// Why a server could not be used.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    /// Another server, or the same one later, may do.
    Now(String),
    /// No retry mends it.
    Certainly(ZooKeeperError),
}

impl Dialer {
    /// Reads stores and prepares TLS, where the settings ask for it.
    pub(super) fn new(settings: Settings) -> Result<Self, ZooKeeperError> {
        let tls = settings.tls.as_ref().map(client_config).transpose();
        let tls = tls.map_err(|error| ZooKeeperError::Settings(error.to_string()))?;
        Ok(Self { settings, tls })
    }

    /// Opens one connection, handshake included. The caller limits the time.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Stream, Failed> {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| Failed::Now(show_io(&error)))?;
        // Requests are small and waited for: Nagle's algorithm would only delay them.
        stream.set_nodelay(true).map_err(|error| Failed::Now(show_io(&error)))?;
        let Some((config, shown)) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let security = |message: String| {
            Failed::Certainly(ZooKeeperError::Security { address: show_address(host, port), message })
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| security("this host is no name that a certificate could be for".to_owned()))?;
        match TlsConnector::from(Arc::clone(config)).connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(match of_tls(&error, shown) {
                Some(message) => security(for_server(&message)),
                None => Failed::Now(format!(
                    "the TLS handshake broke off ({}): is this its plaintext port?",
                    show_io(&error)
                )),
            }),
        }
    }

    /// Why a server ended the connection before it gave a session. In TLS 1.3 a refused client certificate shows only here.
    pub(super) fn why_no_session(&self, address: &str, error: &io::Error) -> Failed {
        if let Some((_, shown)) = &self.tls
            && let Some(message) = of_tls(error, shown)
        {
            let (address, message) = (address.to_owned(), for_server(&message));
            return Failed::Certainly(ZooKeeperError::Security { address, message });
        }
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Failed::Now(show_io(error));
        }
        let port = if self.tls.is_some() { "" } else { ", or this is its TLS port" };
        Failed::Now(format!("it closed the connection: it serves no clients now (no quorum?){port}"))
    }
}

/// An error of the network, as a short fragment.
pub(super) fn show_io(error: &io::Error) -> String {
    for_server(&show_tcp(error))
}

/// A message about a broker, said of a ZooKeeper server.
fn for_server(message: &str) -> String {
    message.replace("the broker", "the server").replace("no Kafka broker", "no ZooKeeper server")
}
