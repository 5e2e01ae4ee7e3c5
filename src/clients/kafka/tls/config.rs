//! From the `ssl.*` settings to what rustls wants: roots, versions, cipher suites, the client's certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustls::ClientConfig;
use rustls::InconsistentKeys;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::CipherSuites;
use crate::clients::kafka::settings::Identity;
use crate::clients::kafka::settings::Source;
use crate::clients::kafka::settings::TlsSettings;
use crate::clients::kafka::stores;
use crate::clients::kafka::tls::certificates;
use crate::clients::kafka::tls::verifier::Verifier;
use crate::formats::place::Fault;
use crate::formats::place::Place;

/// What the client shows of itself.
#[derive(Debug, Clone)]
pub(in crate::clients) enum Shown {
    /// A certificate, as messages name it.
    Certificate(String),
    /// None.
    Nothing(Arc<NoCertificate>),
}

impl Shown {
    /// The certificate, as messages name it.
    pub(super) fn certificate(&self) -> Option<&str> {
        if let Self::Certificate(shown) = self { Some(shown) } else { None }
    }

    /// Whether a broker asked for a certificate, and got none.
    pub(super) fn is_missed(&self) -> bool {
        if let Self::Nothing(nothing) = self { nothing.is_asked.load(Ordering::Relaxed) } else { false }
    }
}

/// Shows no certificate, and remembers that a broker asked for one: some Java versions refuse that with an alert that may
/// mean anything.
#[derive(Debug, Default)]
pub(in crate::clients) struct NoCertificate {
    is_asked: AtomicBool,
}

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.is_asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The configuration, and what the client shows of itself.
pub(in crate::clients) fn client_config(settings: &TlsSettings) -> Result<(Arc<ClientConfig>, Shown), KafkaError> {
    let provider = Arc::new(provider(settings.cipher_suites.as_ref())?);
    let mut versions = Vec::new();
    if settings.versions.v1_3 {
        versions.push(&rustls::version::TLS13);
    }
    if settings.versions.v1_2 {
        versions.push(&rustls::version::TLS12);
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| no_suite_for_version(settings.cipher_suites.as_ref(), &error))?;
    let verifier = verifier(settings, &provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some(identity) = &settings.identity else {
        let nothing = Arc::new(NoCertificate::default());
        let config = builder.with_client_cert_resolver(nothing.clone());
        return Ok((Arc::new(config), Shown::Nothing(nothing)));
    };
    let (key, chain) = stores::identity(identity)?;
    let place = place(identity);
    let shown = check_dates(&chain, place)?;
    let certified = certified(&provider, chain, key).map_err(|error| {
        let what = match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!("the private key does not belong to the client certificate ({shown})")
            }
            error => format!("the client's key and certificate ({shown}) can't be used: {error}"),
        };
        KafkaError::from(Fault::new(place.clone(), what).with_hint("give the key that the certificate was made for"))
    })?;
    let config = builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Ok((Arc::new(config), Shown::Certificate(shown)))
}

/// The client's certificate with its key. Of the certificate only the key is looked at: whether it will do, a version 1
/// too, is for the broker to say.
fn certified(
    provider: &CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let signing = provider.key_provider.load_private_key(key)?;
    let own = chain.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok());
    let is_another =
        own.zip(signing.public_key()).is_some_and(|((_, own), public)| own.public_key().raw != public.as_ref());
    if is_another { Err(InconsistentKeys::KeyMismatch.into()) } else { Ok(CertifiedKey::new(chain, signing)) }
}

fn place(identity: &Identity) -> &Place {
    match &identity.source {
        Source::File { place, .. } | Source::Inline { place, .. } => place,
    }
}

/// aws-lc-rs, with the cipher suites that Java's names ask for.
fn provider(suites: Option<&CipherSuites>) -> Result<CryptoProvider, KafkaError> {
    let mut provider = aws_lc_rs::default_provider();
    let Some(CipherSuites { names, place }) = suites else { return Ok(provider) };
    let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    let supported = provider.cipher_suites.iter().map(name).collect::<Vec<_>>().join(", ");
    provider.cipher_suites.retain(|suite| names.contains(&name(suite)));
    if provider.cipher_suites.is_empty() {
        let fault = Fault::new(place.clone(), "`ssl.cipher.suites` leaves none that can be spoken");
        return Err(fault.with_hint(format!("there are {supported}")).into());
    }
    Ok(provider)
}

fn no_suite_for_version(suites: Option<&CipherSuites>, error: &rustls::Error) -> KafkaError {
    match suites {
        Some(suites) => {
            let what = "`ssl.cipher.suites` has none for the versions of `ssl.enabled.protocols`";
            let hint = "TLS_AES_… and TLS_CHACHA20_… are for TLSv1.3, TLS_ECDHE_… for TLSv1.2";
            Fault::new(suites.place.clone(), what).with_hint(hint).into()
        }
        None => KafkaError::Settings(format!("ssl.enabled.protocols: {error}")),
    }
}

fn verifier(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Verifier, KafkaError> {
    let (certificates, trust) = match &settings.trust {
        Some(source @ Source::File { path, .. }) => {
            (stores::trusted(source)?, format!("the trust store {}", path.display()))
        }
        Some(source @ Source::Inline { .. }) => (stores::trusted(source)?, "ssl.truststore.certificates".to_owned()),
        None => (
            rustls_native_certs::load_native_certs().certs,
            "this machine's roots (no trust store is given)".to_owned(),
        ),
    };
    let mut roots = RootCertStore::empty();
    let (_, _unreadable) = roots.add_parsable_certificates(certificates.iter().cloned());
    let trust = if roots.is_empty() && settings.trust.is_none() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        "Mozilla's roots that are built in (no trust store is given, and this machine has none)".to_owned()
    } else {
        trust
    };
    // Java believes a certificate that stands in the trust store itself, whatever it may sign.
    let pinned = if settings.trust.is_some() { certificates } else { Vec::new() };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| KafkaError::Settings(format!("{trust}: {error}")))?;
    Ok(Verifier { inner, pinned, checks_host_name: settings.checks_host_name, trust })
}

/// How messages name the client's certificate, if it may be shown today.
fn check_dates(chain: &[CertificateDer<'_>], place: &Place) -> Result<String, KafkaError> {
    let Some((_, own)) = chain.first().and_then(|own| x509_parser::parse_x509_certificate(own).ok()) else {
        return Err(Fault::new(place.clone(), "the client certificate can't be read").into());
    };
    let shown = certificates::show_certificate(&own);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0));
    let (from, until) = (own.validity().not_before.timestamp(), own.validity().not_after.timestamp());
    let wrong = if now > until {
        format!("the client certificate ({shown}) expired on {}", certificates::show_time(until))
    } else if now < from {
        format!("the client certificate ({shown}) is valid only from {} on", certificates::show_time(from))
    } else {
        return Ok(shown);
    };
    let hint = format!("renew it, or check the clock: it is {}", certificates::show_time(now));
    Err(Fault::new(place.clone(), wrong).with_hint(hint).into())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::clients::kafka::tls::verifier::VERSION_1;

    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgn+hI8/xKXgjAJrXd
pDXRlnlZOucor1tfNVMg8yUabC6hRANCAAStw5pepaW31ZOBJdK/OV4dfBpLF7T4
dmMPSylsbz6ID3A2uiHNj3evbWb49wfoNRP9DV67YedfSebRU8JVxtAi
-----END PRIVATE KEY-----
";

    #[test]
    fn a_client_certificate_of_version_1_is_shown_with_its_own_key_and_no_other() {
        let provider = aws_lc_rs::default_provider();
        let chain = || vec![CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        assert_eq!(certified(&provider, chain(), key).unwrap().cert, chain());
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let other = PrivateKeyDer::from_pem_slice(other.as_bytes()).unwrap();
        let error = certified(&provider, chain(), other).unwrap_err();
        assert_eq!(error, rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch));
    }
}
