//! Opens connections to brokers, plaintext or TLS, and says in one clear sentence why one could not be opened.

mod certificates;
mod config;
mod probe;
mod stream;
mod trouble;
mod verifier;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::Settings;
use crate::cluster::address::show_address;

pub(in crate::clients) use config::{Shown, client_config};
pub use stream::Stream;
pub(in crate::clients) use trouble::{of_tls, show_tcp};

/// Opens connections with the settings of one cluster. Made once; a plaintext one touches no TLS code.
#[derive(Debug, Clone)]
pub struct Connector {
    protocol: &'static str,
    timeout: Duration,
    tls: Option<Tls>,
    speaks_sasl: bool,
}

/// What a TLS connection needs, and what its troubles are explained with.
#[derive(Debug, Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    /// What the client shows of itself.
    shown: Shown,
}

impl Connector {
    /// Reads stores and prepares TLS, where the settings ask for it.
    pub fn new(settings: &Settings) -> Result<Self, KafkaError> {
        let tls = match &settings.security.tls {
            Some(tls) => {
                let (config, shown) = client_config(tls)?;
                Some(Tls { config, shown })
            }
            None => None,
        };
        Ok(Self {
            protocol: settings.security.protocol(),
            timeout: settings.timeout,
            tls,
            speaks_sasl: settings.security.sasl.is_some(),
        })
    }

    /// Opens one connection, handshake included, within the settings' timeout.
    ///
    /// [`KafkaError::Security`] is certain and no retry mends it; [`KafkaError::Unreachable`] has one address and
    /// reason in it, for the caller to collect.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Stream, KafkaError> {
        let address = show_address(host, port);
        let stream = self.in_time(&address, "connecting", TcpStream::connect((host, port))).await?;
        let stream = stream.map_err(|error| self.unreachable(&address, &show_tcp(&error)))?;
        // Requests are small and waited for: Nagle's algorithm would only delay them.
        stream.set_nodelay(true).map_err(|error| self.unreachable(&address, &show_tcp(&error)))?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| KafkaError::Security {
            address: address.clone(),
            message: "this host is no name that a certificate could be for".to_owned(),
            is_login: false,
        })?;
        let handshake = TlsConnector::from(tls.config.clone()).connect(name, stream);
        match self.in_time(&address, "the TLS handshake", handshake).await? {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(self.why_no_handshake(host, port, tls, &error).await),
        }
    }

    /// Why a broker ended the connection, failed it with a TLS alert, or sent no frame of Kafka's, before its first
    /// answer to anything but ApiVersions.
    ///
    /// In TLS 1.3 a refused client certificate shows only there; and a broker that is spoken to in the wrong protocol
    /// just hangs up. Where the reason can't be told from the error alone, this asks the port once more to find out.
    pub async fn why_no_answer(&self, host: &str, port: u16, error: &io::Error) -> KafkaError {
        let address = show_address(host, port);
        if let Some(tls) = &self.tls
            && let Some(message) = of_tls(error, &tls.shown)
        {
            return KafkaError::Security { address, message, is_login: false };
        }
        if self.tls.is_none() && probe::speaks_tls(host, port).await {
            let hint = if self.speaks_sasl { "SASL_SSL" } else { "SSL or SASL_SSL" };
            let message = format!(
                "this port speaks TLS, but security.protocol is {}: set it to {hint}, or use the plaintext port",
                self.protocol
            );
            return KafkaError::Security { address, message, is_login: false };
        }
        if !self.speaks_sasl
            && let Ok(mut stream) = Box::pin(self.connect(host, port)).await
            && let Some(offered) = probe::sasl_mechanisms(&mut stream).await
        {
            let hint = if self.tls.is_some() { "SASL_SSL" } else { "SASL_PLAINTEXT" };
            let message = format!(
                "this port wants SASL ({}), but security.protocol is {}: set it to {hint}, with sasl.mechanism and sasl.jaas.config",
                offered.join(", "),
                self.protocol
            );
            return KafkaError::Security { address, message, is_login: false };
        }
        self.unreachable(&address, &show_tcp(error))
    }

    async fn why_no_handshake(&self, host: &str, port: u16, tls: &Tls, error: &io::Error) -> KafkaError {
        let address = show_address(host, port);
        if let Some(message) = of_tls(error, &tls.shown) {
            return KafkaError::Security { address, message, is_login: false };
        }
        if probe::speaks_plaintext(host, port).await {
            let hint = if self.speaks_sasl { "SASL_PLAINTEXT" } else { "PLAINTEXT" };
            let message = format!(
                "this port speaks no TLS, but security.protocol is {}: use the TLS port, or set it to {hint}",
                self.protocol
            );
            return KafkaError::Security { address, message, is_login: false };
        }
        self.unreachable(&address, &format!("the TLS handshake broke off: {}", show_tcp(error)))
    }

    async fn in_time<T>(&self, address: &str, what: &str, work: impl Future<Output = T>) -> Result<T, KafkaError> {
        let late = |_| self.unreachable(address, &format!("{what} took longer than {} s", self.timeout.as_secs_f64()));
        timeout(self.timeout, work).await.map_err(late)
    }

    fn unreachable(&self, address: &str, why: &str) -> KafkaError {
        KafkaError::Unreachable { tried: vec![(address.to_owned(), why.to_owned())], within: self.timeout }
    }
}
