//! Whether a broker's certificate is believed, as Java's default decides it; and in a sentence why not.

use std::fmt;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::OtherError;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_name;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;
use x509_parser::x509::X509Version;

use crate::clients::kafka::tls::certificates::{is_common_name, not_for, show_certificate, show_time};

/// Checks chain, dates and host name.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    /// Certificates that are believed as they are.
    pub(super) pinned: Vec<CertificateDer<'static>>,
    pub(super) checks_host_name: bool,
    /// What the roots are called in messages.
    pub(super) trust: String,
}

/// Why a certificate is not believed, for a person.
#[derive(Debug)]
pub(super) struct Disbelief(pub(super) String);

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Disbelief {}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = if self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) {
            verify_pinned(end_entity, server_name, now)
        } else {
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let Err(Error::InvalidCertificate(error)) = verdict else { return verdict };
        // The chain and the dates were checked first: all that is left to complain of is the name.
        let is_about_name =
            matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. });
        if is_about_name && (!self.checks_host_name || is_common_name(end_entity, server_name)) {
            return Ok(ServerCertVerified::assertion());
        }
        let sentence = self.sentence(&error, end_entity, server_name);
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Disbelief(sentence))))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// A certificate that stands in the trust store itself: only its dates and names are left to check.
fn verify_pinned(
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let encoding = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, certificate) = x509_parser::parse_x509_certificate(end_entity).map_err(encoding)?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if seconds > certificate.validity().not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    if seconds < certificate.validity().not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

impl Verifier {
    fn sentence(&self, error: &CertificateError, end_entity: &CertificateDer<'_>, name: &ServerName<'_>) -> String {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(end_entity) else {
            return "the broker's certificate can't be read".to_owned();
        };
        let shown = show_certificate(&certificate);
        let validity = certificate.validity();
        if certificate.version() != X509Version::V3 {
            return format!(
                "the broker's certificate ({shown}) is of X.509 version {}, which this program does not check: make it anew as version 3 with the host in its subjectAltName (keytool -gencert -ext san=dns:HOST, or openssl x509 -extfile)",
                certificate.version().0 + 1
            );
        }
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                let until = match error {
                    CertificateError::ExpiredContext { not_after, .. } => seconds(*not_after),
                    _ => validity.not_after.timestamp(),
                };
                let whose = whose(until, validity.not_after.timestamp());
                format!("{whose} expired on {} ({shown}): renew it", show_time(until))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let from = match error {
                    CertificateError::NotValidYetContext { not_before, .. } => seconds(*not_before),
                    _ => validity.not_before.timestamp(),
                };
                let whose = whose(from, validity.not_before.timestamp());
                format!("{whose} is valid only from {} on ({shown}): is the clock right?", show_time(from))
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                not_for(&certificate, &shown, &name.to_str())
            }
            CertificateError::UnknownIssuer if certificate.issuer() == certificate.subject() => format!(
                "the broker's certificate is self-signed ({shown}) and does not stand in {}: add it there",
                self.trust
            ),
            CertificateError::UnknownIssuer => {
                format!(
                    "the broker's certificate ({shown}) is signed by a CA that is not in {}: add that CA",
                    self.trust
                )
            }
            CertificateError::BadSignature => format!(
                "the broker's certificate ({shown}) is signed with another key than the CA of that name has in {}: was the CA renewed?",
                self.trust
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                format!(
                    "the broker's certificate ({shown}) is not for servers: its extended key usage lacks serverAuth"
                )
            }
            other => format!("the broker's certificate ({shown}) is not accepted: {other}"),
        }
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Whose date it is: the broker's own, or that of a certificate above it.
fn whose(date: i64, own: i64) -> &'static str {
    if date == own { "the broker's certificate" } else { "a certificate above the broker's" }
}

/// A certificate of version 1, of `openssl x509 -req` without extensions.
#[cfg(test)]
pub(super) const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIzCBywIUOKTxrv/UJxUdj2Q6tmcUXXUmkZ0wCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJY2xpZW50LXYxMCAXDTI2MTEyOTIxMDcwNVoYDzIxMjYxMTA1MjEwNzA1
WjAUMRIwEAYDVQQDDAljbGllbnQtdjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAStw5pepaW31ZOBJdK/OV4dfBpLF7T4dmMPSylsbz6ID3A2uiHNj3evbWb49wfo
NRP9DV67YedfSebRU8JVxtAiMAoGCCqGSM49BAMCA0cAMEQCIALGBVJJY0KTFLdX
hYFZWo9R7KpAK9yDSpUdjyxnYwnYAiAVVXqJjjewLVu+FqNW2lcf+133r1fxWJza
c8aXmqVFEw==
-----END CERTIFICATE-----
";

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_certificate_of_version_1_and_an_address_in_a_dns_entry_are_named_with_what_to_do() {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca", &[])).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = |pinned: &CertificateDer<'static>| Verifier {
            inner: Arc::clone(&inner),
            pinned: vec![pinned.clone()],
            checks_host_name: true,
            trust: "the trust store".to_owned(),
        };
        let said = |shown: &CertificateDer<'static>, host: &'static str| {
            let host = ServerName::try_from(host).unwrap();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(2_000_000_000));
            format!("{:?}", verifier(shown).verify_server_cert(shown, &[], &host, &[], now).unwrap_err())
        };
        let old = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        let why = said(&old, "kafka-1");
        assert!(why.contains("(CN=client-v1) is of X.509 version 1, which this program does not check"), "{why}");
        let mut parameters = rcgen::CertificateParams::default();
        let address = rcgen::SanType::DnsName("10.0.0.1".try_into().unwrap());
        parameters.subject_alt_names.push(address);
        let strange = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone();
        let why = said(&strange, "10.0.0.1");
        assert!(why.contains("has the address 10.0.0.1 in a DNS entry"), "{why}");
    }

    fn certificate(common_name: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_without_dns_names_is_for_its_common_name() {
        let host = |name: &'static str| ServerName::try_from(name).unwrap();
        assert!(is_common_name(&certificate("kafka-1.example.com", &[]), &host("Kafka-1.example.com")));
        assert!(is_common_name(&certificate("*.example.com", &[]), &host("kafka-1.example.com")));
        assert!(is_common_name(&certificate("kafka-1", &["10.0.0.1"]), &host("kafka-1")), "only an address is there");
        assert!(!is_common_name(&certificate("kafka-1", &["kafka-2"]), &host("kafka-1")), "a DNS name is there");
        assert!(!is_common_name(&certificate("kafka-2", &[]), &host("kafka-1")));
        assert!(!is_common_name(&certificate("10.0.0.1", &[]), &host("10.0.0.1")), "an address is no common name");
        assert!(!is_common_name(&certificate("*.com", &[]), &host("example.com")));
        assert!(!is_common_name(&certificate("*.example.com", &[]), &host("a.b.example.com")));
        assert!(!is_common_name(&CertificateDer::from(vec![0; 8]), &host("kafka-1")));
    }
}
