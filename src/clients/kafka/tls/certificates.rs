//! What a certificate says, as messages show it: whose it is, which hosts it is for, until when. Pure.

use rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::cluster::visible;

/// `CN=broker-1, issued by CN=ca`.
pub(super) fn show_certificate(certificate: &X509Certificate<'_>) -> String {
    const SHOWN_MAX: usize = 200;
    let clean = |text: String| -> String { visible::bounded(&text, SHOWN_MAX).into_owned() };
    let (subject, issuer) = (clean(certificate.subject().to_string()), clean(certificate.issuer().to_string()));
    let subject = if subject.is_empty() { "no subject".to_owned() } else { subject };
    if certificate.subject() == certificate.issuer() { subject } else { format!("{subject}, issued by {issuer}") }
}

/// `2026-01-31 12:00:00 UTC`.
pub(super) fn show_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("second {seconds} since 1970"),
    }
}

/// What to do about a certificate that is for other hosts.
pub(super) fn not_for(certificate: &X509Certificate<'_>, shown: &str, host: &str) -> String {
    match names(certificate) {
        names if names.contains(&as_dns_name(host)) => format!(
            "the broker's certificate has the address {host} in a DNS entry of its subjectAltName, where it is not looked for: make it anew with an IP entry (san=ip:{host})"
        ),
        names if names.is_empty() => format!(
            "the broker's certificate ({shown}) names no host in its subjectAltName, so it is not for {host}: make it anew with one"
        ),
        names => format!(
            "the broker's certificate is not for {host}, but for {}: connect by one of these names, or add this one to the certificate",
            names.join(", ")
        ),
    }
}

/// The hosts that a certificate is for.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let show = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) if name.parse::<std::net::IpAddr>().is_ok() => Some(as_dns_name(name)),
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(show).collect()
}

/// How messages show an address that stands where names of hosts belong.
fn as_dns_name(address: &str) -> String {
    format!("{address} (as a DNS name)")
}

/// Whether the last common name of the subject is the host, in a certificate that has no DNS names: Java looks there, too
/// (RFC 2818, 3.1). An address is looked for in the subjectAltName alone.
pub(super) fn is_common_name(end_entity: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = host else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(end_entity) else { return false };
    let has_dns_names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().any(|name| matches!(name, GeneralName::DNSName(_))),
        Ok(None) => false,
        Err(_) => true,
    };
    let common_name = certificate.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    !has_dns_names && common_name.is_some_and(|name| is_host(name, host.as_ref()))
}

/// Whether a name of a certificate is a host's; `*` stands for one whole first label of three or more.
fn is_host(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match name.strip_prefix("*.") {
        Some(domain) => {
            domain.contains('.') && host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
        }
        None => !name.is_empty() && name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(show_time(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(show_time(i64::MAX), "second 9223372036854775807 since 1970");
    }
}
