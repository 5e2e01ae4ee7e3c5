//! Key stores and trust stores: PEM, PKCS#12 and Java's JKS, from files or from the properties themselves.
//!
//! In goes a [`Source`] of the settings, out come certificates and a key. Each fault begins with the place in the
//! properties that names the store and says what the file is, what it should be, and how to get there. As in Java,
//! `JKS` and `PKCS12` each open both forms: what the bytes say counts.

mod jks;
mod pem;
mod pkcs12;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;

use crate::clients::files;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::Identity;
use crate::clients::kafka::settings::Source;
use crate::clients::kafka::settings::StoreKind;
use crate::formats::place::Fault;
use crate::formats::place::Place;
use crate::formats::secret::ExposeSecret;
use crate::formats::secret::SecretString;

/// Longest store file that is read.
const STORE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a store holds.
#[derive(Default)]
pub(super) struct Store {
    /// Certificates that are trusted, or that stand beside the key.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The first private key and its chain, own certificate first.
    pub key: Option<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>)>,
}

/// What is wrong with a store, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    what: String,
    hint: String,
}

impl Wrong {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }

    fn at(self, place: &Place, name: &str) -> KafkaError {
        let fault = Fault::new(place.clone(), format!("{name} {}", self.what));
        KafkaError::from(if self.hint.is_empty() { fault } else { fault.with_hint(self.hint) })
    }
}

/// Passwords of a store and of the key in it.
#[derive(Clone, Copy, Default)]
pub(super) struct Passwords<'a> {
    pub store: Option<&'a str>,
    pub key: Option<&'a str>,
}

/// The certificates of a trust store: at least one.
pub(super) fn trusted(source: &Source) -> Result<Vec<CertificateDer<'static>>, KafkaError> {
    let (place, name) = named(source, "the trust store", "ssl.truststore.certificates");
    let store = open(source, None).map_err(|wrong| wrong.at(place, &name))?;
    let mut certificates = store.certificates;
    certificates.extend(store.key.into_iter().flat_map(|(_, chain)| chain));
    if certificates.is_empty() {
        let hint = "import the brokers' CA: keytool -importcert -file ca.pem -keystore FILE";
        return Err(Wrong::new("holds no certificate", hint).at(place, &name));
    }
    Ok(certificates)
}

/// The key and chain of a key store.
pub(super) fn identity(
    identity: &Identity,
) -> Result<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>), KafkaError> {
    let (place, name) = named(&identity.source, "the key store", "ssl.keystore.key");
    let store = open(&identity.source, identity.key_password.as_ref()).map_err(|wrong| wrong.at(place, &name))?;
    let Some((key, chain)) = store.key else {
        let hint = "a key store holds the client's key and certificates; what only holds a CA is a trust store";
        return Err(Wrong::new("holds no private key", hint).at(place, &name));
    };
    if chain.is_empty() {
        return Err(
            Wrong::new("holds a private key, but no certificate for it", "add the certificate").at(place, &name)
        );
    }
    Ok((key, chain))
}

fn named<'a>(source: &'a Source, what: &str, key: &str) -> (&'a Place, String) {
    match source {
        Source::File { path, place, .. } => (place, format!("{what} {}", path.display())),
        Source::Inline { place, .. } => (place, format!("`{key}`")),
    }
}

fn open(source: &Source, key_password: Option<&SecretString>) -> Result<Store, Wrong> {
    let expose = |secret: &'_ SecretString| secret.expose_secret().to_owned();
    let key_password = key_password.map(expose);
    match source {
        Source::Inline { certificates, key, .. } => {
            let mut text = expose(certificates);
            if let Some(key) = key {
                text.push('\n');
                text.push_str(key.expose_secret());
            }
            pem::read(&text, key_password.as_deref())
        }
        Source::File { kind, path, password, .. } => {
            let password = password.as_ref().map(expose);
            let bytes = bytes(path)?;
            read(*kind, &bytes, Passwords { store: password.as_deref(), key: key_password.as_deref() })
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Wrong> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "a path that does not begin with / is looked up in the working folder",
            std::io::ErrorKind::PermissionDenied => "this user may not read it",
            _ => "",
        };
        Wrong::new(format!("can't be read: {error}"), hint)
    };
    let file = files::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(STORE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > STORE_BYTES_MAX {
        return Err(Wrong::new(format!("is longer than {STORE_BYTES_MAX} bytes"), "is it a store at all?"));
    }
    if bytes.is_empty() {
        return Err(Wrong::new("is empty", ""));
    }
    Ok(bytes)
}

/// Reads a store by what its bytes say, if the settings' form allows for it.
pub(super) fn read(kind: StoreKind, bytes: &[u8], passwords: Passwords<'_>) -> Result<Store, Wrong> {
    let is_pem = bytes.windows(10).any(|window| window == b"-----BEGIN");
    match (kind, bytes) {
        (StoreKind::Pem, _) if is_pem => {
            let text = String::from_utf8_lossy(bytes);
            pem::read(&text, passwords.key)
        }
        (StoreKind::Pem, [0xFE, 0xED, 0xFE, 0xED, ..]) => {
            Err(Wrong::new("is a JKS store, not PEM", "set its type to JKS"))
        }
        (StoreKind::Pem, [0x30, ..]) if is_certificate(bytes) => Err(Wrong::new(
            "is one certificate in DER form, not PEM",
            "convert it: openssl x509 -inform der -in FILE -out ca.pem",
        )),
        (StoreKind::Pem, [0x30, ..]) => Err(Wrong::new("is a PKCS#12 store, not PEM", "set its type to PKCS12")),
        (StoreKind::Pem, _) => Err(Wrong::new("has no PEM section", "it should have -----BEGIN CERTIFICATE-----")),
        (_, [0xFE, 0xED, 0xFE, 0xED, ..]) => jks::read(bytes, passwords),
        (_, [0xCE, 0xCE, 0xCE, 0xCE, ..]) => Err(Wrong::new(
            "is a JCEKS store, which is not supported",
            "convert it: keytool -importkeystore -srcstoretype JCEKS -deststoretype PKCS12 …",
        )),
        (_, [0x30, ..]) if is_certificate(bytes) => Err(Wrong::new(
            "is one certificate, not a store",
            "convert it to PEM with openssl x509 -inform der, and set the type to PEM",
        )),
        (_, [0x30, ..]) => pkcs12::read(bytes, passwords.store),
        _ if is_pem => Err(Wrong::new("is PEM", "set its type to PEM: Java's default is JKS")),
        _ => Err(Wrong::new("is neither a JKS nor a PKCS#12 store", "is it the right file?")),
    }
}

fn is_certificate(bytes: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(bytes).is_ok()
}

const WRONG_PASSWORD: &str = "does not open: its password is wrong, or the file is damaged";
