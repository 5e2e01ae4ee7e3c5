//! Handshakes with a real client, files that change, and bundles.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;

fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn write(folder: &Path, (certificate, key): &(String, String)) -> (PathBuf, PathBuf) {
    let (certificate_file, key_file) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate_file, certificate).unwrap();
    std::fs::write(&key_file, key).unwrap();
    (certificate_file, key_file)
}

/// Whether a client that trusts `pem` alone accepts what `certificates` shows under this name.
async fn is_trusted(certificates: &Certificates, pem: &str, name: &str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(config).connect(name, stream).await.is_ok()
    };
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        certificates.accept(stream).await.is_ok()
    };
    let (client, _) = tokio::join!(client, server);
    client
}

#[tokio::test]
async fn a_self_made_certificate_is_for_its_names_and_trusted_by_a_bundle_with_it() {
    let now = Timestamp::now();
    let one = Certificates::self_made(vec!["drain-guard.kafka.svc".into()], now).unwrap();
    let two = Certificates::self_made(vec!["drain-guard.kafka.svc".into()], now).unwrap();
    let bundle = add_to_bundle(one.pem().as_bytes(), &two.pem(), now).unwrap();
    for certificates in [&one, &two] {
        assert!(is_trusted(certificates, &bundle, "drain-guard.kafka.svc").await);
        assert!(!is_trusted(certificates, &bundle, "other.kafka.svc").await);
        assert_eq!(certificates.trouble(now), None);
    }
    assert!(!is_trusted(&one, &two.pem(), "drain-guard.kafka.svc").await);
    assert_eq!(add_to_bundle(bundle.as_bytes(), &one.pem(), now), None);
}

#[tokio::test]
async fn a_new_pair_of_files_is_shown_and_one_that_does_not_fit_together_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (pair("a.b.svc"), pair("a.b.svc"));
    let (certificate_file, key_file) = write(folder.path(), &old);
    let certificates = Certificates::from_files(certificate_file.clone(), key_file).unwrap();
    let now = Timestamp::now();
    assert_eq!(certificates.refresh(now), Ok(false));
    std::fs::write(&certificate_file, &new.0).unwrap();
    let error = certificates.refresh(now).unwrap_err();
    assert!(matches!(error, CertificateError::OtherKey { .. }), "{error}");
    assert!(is_trusted(&certificates, &old.0, "a.b.svc").await, "the former one stays");
    write(folder.path(), &new);
    assert_eq!(certificates.refresh(now), Ok(true));
    assert!(is_trusted(&certificates, &new.0, "a.b.svc").await && !is_trusted(&certificates, &old.0, "a.b.svc").await);
    std::fs::remove_file(&certificate_file).unwrap();
    assert!(certificates.refresh(now).is_err() && is_trusted(&certificates, &new.0, "a.b.svc").await);
}

#[test]
fn files_that_are_no_certificate_are_named_and_a_key_is_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = pair("a.b.svc");
    for (certificate, key, words) in [
        (String::new(), key.clone(), "tls.crt: has 0 certificates"),
        (certificate.clone(), "SECRET".to_owned(), "tls.key: has no private key"),
        (key.clone(), key.clone(), "tls.crt: has 0 certificates"),
        (certificate.repeat(21), key.clone(), "tls.crt: has 21 certificates"),
        ("x".repeat(300 << 10), key.clone(), "tls.crt: "),
    ] {
        let (certificate_file, key_file) = write(folder.path(), &(certificate, key));
        let error = Certificates::from_files(certificate_file, key_file).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("SECRET"), "{error}");
    }
}

#[test]
fn a_certificate_that_expired_is_told_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.b.svc".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    let (certificate_file, key_file) =
        write(folder.path(), &(params.self_signed(&key).unwrap().pem(), key.serialize_pem()));
    let certificates = Certificates::from_files(certificate_file, key_file).unwrap();
    let at = |text: &str| certificates.trouble(text.parse().unwrap());
    assert_eq!(at("2020-01-15T00:00:00Z"), None);
    assert!(at("2019-12-31T00:00:00Z").unwrap().contains("not valid before 2020-01-01"));
    assert!(at("2026-01-01T00:00:00Z").unwrap().contains("expired at 2020-02-01"));
}

#[test]
fn a_bundle_keeps_the_newest_few_and_loses_what_is_old_or_unreadable() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let made = |at: &str| Certificates::self_made(vec!["x".into()], at.parse().unwrap()).unwrap().pem();
    let expired = made("2020-01-01T00:00:00Z");
    let all: Vec<_> = (0..8).map(|_| made("2026-01-01T00:00:00Z")).collect();
    let mut bundle = format!("{expired}rubbish");
    for one in &all {
        bundle = add_to_bundle(bundle.as_bytes(), one, now).unwrap();
    }
    assert_eq!(bundle, all[2..].concat());
    assert_eq!(add_to_bundle(&[0xff; 10], &all[0], now), Some(all[0].clone()));
    assert_eq!(add_to_bundle(&vec![b'x'; 1 << 20], &all[0], now), Some(all[0].clone()));
    assert_eq!(add_to_bundle(b"", "no certificate", now), None);
}
