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
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::clients::kafka::tls::trouble::show_certificate;
use crate::clients::kafka::tls::trouble::show_time;

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
        if is_about_name && !self.checks_host_name {
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
                let host = name.to_str();
                match names(&certificate) {
                    names if names.is_empty() => format!(
                        "the broker's certificate ({shown}) names no host in its subjectAltName, so it is not for {host}: make it anew with one"
                    ),
                    names => format!(
                        "the broker's certificate is not for {host}, but for {}: connect by one of these names, or add this one to the certificate",
                        names.join(", ")
                    ),
                }
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

/// The hosts that a certificate is for.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let show = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(show).collect()
}
