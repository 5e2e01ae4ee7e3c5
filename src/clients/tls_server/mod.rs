//! The server side of TLS, for ports that speak HTTPS: a certificate from files, read again when they change, or one that
//! this process makes for itself.
//!
//! Clients prove nothing here: whoever reaches the port may ask. A new certificate holds for connections that begin after it
//! was read; a pair of files that does not fit together, as while a mounted Secret changes, leaves the former one in place.

mod self_made;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::clients::files::read_text;

pub use self_made::add_to_bundle;

/// Longest file of a certificate chain or a key.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Most certificates of a chain.
const CHAIN_MAX: usize = 20;

/// A connection after its handshake.
pub type Secured = tokio_rustls::server::TlsStream<TcpStream>;

/// Why a certificate can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A file can't be read, or holds something else.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key is that of another certificate.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    OtherKey {
        /// The file with the certificate.
        certificate: String,
        /// The file with the key.
        key: String,
    },
    /// No certificate could be made.
    #[error("failed to make a certificate: {0}")]
    Making(String),
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// PEM files: the chain, own certificate first, and the key (PKCS#8, PKCS#1 or SEC1, not encrypted).
    Files { certificate: PathBuf, key: PathBuf },
    /// Made by this process for these names.
    SelfMade { names: Vec<String> },
}

/// The certificate of a port.
pub struct Certificates {
    source: Source,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What is shown to clients now.
#[derive(Debug)]
struct Current(RwLock<Shown>);

#[derive(Debug, Clone)]
struct Shown {
    certified: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().certified)
    }
}

impl Current {
    fn get(&self) -> Shown {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, shown: Shown) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

impl Certificates {
    /// From PEM files, as a Secret of type `kubernetes.io/tls` has them.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let source = Source::Files { certificate, key };
        let shown = source.read(&provider, Timestamp::UNIX_EPOCH)?;
        Self::new(source, provider, shown)
    }

    /// Made now for these DNS names or addresses, signed with its own key and valid for a year.
    pub fn self_made(names: Vec<String>, now: Timestamp) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let source = Source::SelfMade { names };
        let shown = source.read(&provider, now)?;
        Self::new(source, provider, shown)
    }

    fn new(source: Source, provider: Arc<CryptoProvider>, shown: Shown) -> Result<Self, CertificateError> {
        let current = Arc::new(Current(RwLock::new(shown)));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| CertificateError::Making(error.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&current) as Arc<_>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { source, provider, current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Whether this process made it.
    pub fn is_self_made(&self) -> bool {
        matches!(self.source, Source::SelfMade { .. })
    }

    /// Until when it is valid.
    pub fn valid_until(&self) -> Timestamp {
        self.current.get().not_after
    }

    /// The own certificate as PEM: what clients of a self-made one must trust.
    pub fn pem(&self) -> String {
        let shown = self.current.get();
        shown.certified.cert.first().map(self_made::pem).unwrap_or_default()
    }

    /// Reads the files again, or makes a new certificate when the own one is in the last third of its life. Whether another
    /// certificate is shown from now on; where that fails, the former one stays.
    pub fn refresh(&self, now: Timestamp) -> Result<bool, CertificateError> {
        let before = self.current.get();
        if self.is_self_made() && !self_made::is_old(before.not_before, before.not_after, now) {
            return Ok(false);
        }
        let shown = self.source.read(&self.provider, now)?;
        let is_new = shown.certified.cert != before.certified.cert;
        self.current.set(shown);
        Ok(is_new)
    }

    /// Why clients do not accept it at this time, if they do not.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let Shown { not_before, not_after, .. } = self.current.get();
        if now > not_after {
            return Some(format!("the certificate of the port expired at {not_after}"));
        }
        (now < not_before).then(|| format!("the certificate of the port is not valid before {not_before}"))
    }

    /// The handshake of one connection. The caller limits its time.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        self.acceptor.accept(stream).await
    }
}

impl Source {
    fn read(&self, provider: &CryptoProvider, now: Timestamp) -> Result<Shown, CertificateError> {
        let (certificate, key) = match self {
            Self::SelfMade { names } => {
                let (chain, key) = self_made::make(names, now)?;
                let place = "memory".to_owned();
                return shown(provider, (chain, key), (&place, &place));
            }
            Self::Files { certificate, key } => (certificate, key),
        };
        let places = (certificate.display().to_string(), key.display().to_string());
        let wrong = |file: &String, why: String| CertificateError::File { file: file.clone(), why };
        let text = read_text(certificate, FILE_BYTES_MAX).map_err(|error| wrong(&places.0, error.to_string()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).take(CHAIN_MAX + 1).collect();
        let chain = chain.map_err(|error| wrong(&places.0, format!("is no PEM of certificates: {error}")))?;
        if chain.is_empty() || chain.len() > CHAIN_MAX {
            return Err(wrong(&places.0, format!("has {} certificates, not 1 to {CHAIN_MAX}", chain.len())));
        }
        let text = read_text(key, FILE_BYTES_MAX).map_err(|error| wrong(&places.1, error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
        // What stands in a file with a key is not repeated.
        let key = key.map_err(|_| wrong(&places.1, "has no private key in PEM that is not encrypted".to_owned()))?;
        shown(provider, (chain, key), (&places.0, &places.1))
    }
}

fn shown(
    provider: &CryptoProvider,
    (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    (certificate_file, key_file): (&String, &String),
) -> Result<Shown, CertificateError> {
    let wrong = |file: &String, why: String| CertificateError::File { file: file.clone(), why };
    let (not_before, not_after) = {
        let own = chain.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok());
        let Some((_, own)) = own else {
            return Err(wrong(certificate_file, "its first certificate can't be read".to_owned()));
        };
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        (at(own.validity().not_before.timestamp()), at(own.validity().not_after.timestamp()))
    };
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| wrong(key_file, "has a key of a kind that is not supported".to_owned()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(Shown { certified: Arc::new(certified), not_before, not_after }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::OtherKey { certificate: certificate_file.clone(), key: key_file.clone() })
        }
        Err(error) => Err(wrong(certificate_file, error.to_string())),
    }
}
