//! Certificates that this process makes, and the bundle by which the API server trusts those of all replicas.

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::CertificateError;

/// How long a certificate is valid.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// It is valid for so long before it was made: clocks differ.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);

/// Most certificates of a bundle: those of the newest replicas.
const BUNDLE_MAX: usize = 6;

/// Longest bundle that is read; a longer one is replaced.
const BUNDLE_BYTES_MAX: usize = 256 << 10;

/// A certificate for these names with its key. Nobody else's is signed with it.
pub(super) fn make(
    names: &[String],
    now: Timestamp,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let failed = |error: rcgen::Error| CertificateError::Making(error.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "kafka-toolbox");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let day = |time: Timestamp| {
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now.checked_sub(BEFORE).unwrap_or(now));
    params.not_after = day(now.checked_add(LIFE).unwrap_or(now));
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))))
}

/// Whether a certificate is in the last third of its life.
pub(super) fn is_old(from: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    let life = until.duration_since(from);
    now.duration_since(from) >= life * 2 / 3
}

/// A certificate as PEM.
pub(super) fn pem(certificate: &CertificateDer<'static>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The bundle with the certificate of this process in it, oldest first; none where it has it already. Certificates that
/// have expired, that can't be read, or that are beyond the newest few are left out.
pub fn add_to_bundle(bundle: &[u8], own_pem: &str, now: Timestamp) -> Option<String> {
    let bundle = if bundle.len() > BUNDLE_BYTES_MAX { &[][..] } else { bundle };
    let own = CertificateDer::from_pem_slice(own_pem.as_bytes()).ok()?;
    let is_valid = |certificate: &CertificateDer<'_>| {
        let parsed = x509_parser::parse_x509_certificate(certificate).ok();
        parsed.is_some_and(|(_, parsed)| parsed.validity().not_after.timestamp() > now.as_second())
    };
    let before: Vec<_> = CertificateDer::pem_slice_iter(bundle).map_while(Result::ok).collect();
    let mut kept: Vec<_> = before.iter().filter(|certificate| is_valid(certificate)).cloned().collect();
    if !kept.contains(&own) {
        kept.push(own);
        let surplus = kept.len().saturating_sub(BUNDLE_MAX);
        kept.drain(..surplus);
    }
    (kept != before).then(|| kept.iter().map(pem).collect())
}
