//! How to reach a cluster: brokers, deadline, TLS and SASL.
//!
//! In goes what `--bootstrap-server` and a file of Java client properties say; out come checked [`Settings`] without
//! any I/O left to guess about, or every fault of the file with its place.

mod jaas;
mod keys;
mod load;
mod oauth;
mod reader;
mod sasl;
mod substitute;
#[cfg(test)]
mod tests;
mod tls;
pub(in crate::clients) mod zookeeper;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::cluster::address::Address;
use crate::formats::place::Fault;
use crate::formats::place::Place;
use crate::formats::secret::SecretString;

pub use load::Given;
pub use substitute::Outside;
pub(in crate::clients) use substitute::{environment, read};

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Brokers to start from.
    pub bootstrap: Vec<Address>,
    /// Controllers to start from, where the client talks to them and not to brokers (Kafka 3.7); else empty.
    pub bootstrap_controllers: Vec<Address>,
    /// What the brokers' logs and quotas call this client.
    pub client_id: String,
    /// The deadline of one call.
    pub timeout: Duration,
    /// The longest answer of a broker that is read, in bytes.
    pub response_bytes_max: usize,
    /// TLS and SASL.
    pub security: Security,
    /// What the person should know: keys that are ignored, protection that is switched off.
    pub notes: Vec<Note>,
}

/// Something worth saying about settings that work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it weakens the connection's security: show it at any log level.
    pub is_warning: bool,
    /// What, and where.
    pub fault: Fault,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

/// `security.protocol` and all that belongs to it.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// TLS, unless the protocol is `PLAINTEXT` or `SASL_PLAINTEXT`.
    pub tls: Option<TlsSettings>,
    /// SASL, unless the protocol is `PLAINTEXT` or `SSL`.
    pub sasl: Option<SaslSettings>,
}

impl Security {
    /// Kafka's name of the protocol.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// The `ssl.*` keys.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// Whom to believe; none for the machine's own roots.
    pub trust: Option<Source>,
    /// The client's certificate and key.
    pub identity: Option<Identity>,
    /// Whether the certificate must name the host that was asked for.
    pub checks_host_name: bool,
    /// Versions that may be spoken.
    pub versions: TlsVersions,
    /// Cipher suites; none for all that are safe.
    pub cipher_suites: Option<CipherSuites>,
}

/// `ssl.cipher.suites`.
#[derive(Debug, Clone)]
pub struct CipherSuites {
    /// Java's names.
    pub names: Vec<String>,
    /// Where the properties name them.
    pub place: Place,
}

/// TLS versions that may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsVersions {
    /// `TLSv1.2`.
    pub v1_2: bool,
    /// `TLSv1.3`.
    pub v1_3: bool,
}

/// Where certificates or keys are.
#[derive(Debug, Clone)]
pub enum Source {
    /// A store file.
    File {
        /// Its form.
        kind: StoreKind,
        /// Where it is, relative to the working folder as in Java.
        path: PathBuf,
        /// What opens it.
        password: Option<SecretString>,
        /// Where the properties name it.
        place: Place,
    },
    /// PEM texts in the properties themselves.
    Inline {
        /// Certificates, the own one first.
        certificates: SecretString,
        /// The private key, for a keystore.
        key: Option<SecretString>,
        /// Where the properties hold them.
        place: Place,
    },
}

/// A key store, and the password of the key in it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where it is.
    pub source: Source,
    /// `ssl.key.password`.
    pub key_password: Option<SecretString>,
}

/// Forms of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// PEM.
    Pem,
    /// PKCS#12 (`.p12`, `.pfx`).
    Pkcs12,
    /// Java's own, `JKS`.
    Jks,
}

/// The `sasl.*` keys.
#[derive(Debug, Clone)]
pub enum SaslSettings {
    /// User and password as they are.
    Plain(Credentials),
    /// SCRAM-SHA-256.
    ScramSha256(Credentials),
    /// SCRAM-SHA-512.
    ScramSha512(Credentials),
    /// A bearer token.
    OAuthBearer(OAuthBearer),
}

impl SaslSettings {
    /// The mechanism's registered name.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain(_) => "PLAIN",
            Self::ScramSha256(_) => "SCRAM-SHA-256",
            Self::ScramSha512(_) => "SCRAM-SHA-512",
            Self::OAuthBearer(_) => "OAUTHBEARER",
        }
    }
}

/// A user and a password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// The proof.
    pub password: SecretString,
    /// Where the properties hold them.
    pub place: Place,
}

/// How a bearer token is got.
#[derive(Debug, Clone)]
pub struct OAuthBearer {
    /// Where the token comes from.
    pub token: TokenSource,
    /// SASL extensions (`extension_NAME` in the JAAS options).
    pub extensions: Vec<(String, String)>,
    /// Where the properties say so.
    pub place: Place,
    /// The token that was got last; shared by all connections.
    pub cache: TokenCache,
}

/// A token and when it ends, as seconds since 1970.
pub type CachedToken = Option<(SecretString, Option<f64>)>;

/// The token that was got last.
pub type TokenCache = Arc<Mutex<CachedToken>>;

/// Where a bearer token comes from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// The properties themselves (`oauth.access.token` in the JAAS options; Java has no such option).
    Static(SecretString),
    /// A file, read at each connection (`sasl.oauthbearer.token.endpoint.url=file:/…`).
    File(PathBuf),
    /// Client credentials, shown to an HTTP endpoint.
    Endpoint(TokenEndpoint),
    /// An unsigned token of the given claims, for development.
    Unsecured(UnsecuredClaims),
}

/// An OAuth 2 endpoint that gives tokens for client credentials.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    /// `sasl.oauthbearer.token.endpoint.url`.
    pub url: String,
    /// `clientId`.
    pub client_id: String,
    /// `clientSecret`.
    pub client_secret: SecretString,
    /// `scope`.
    pub scope: Option<String>,
    /// Whether id and secret are encoded as in a URL before they go into the header.
    pub encodes_header: bool,
    /// Whom to believe where the URL is HTTPS: the same trust as the brokers'.
    pub trust: Option<Source>,
}

/// Claims of an unsigned token.
#[derive(Debug, Clone)]
pub struct UnsecuredClaims {
    /// `unsecuredLogin{String,Number,List}Claim_NAME` options, as JSON.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// How long the token lives.
    pub lifetime: Duration,
}
