//! The webhook's port as HTTPS: within the limits of every port of an agent, and nothing without TLS.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use kafka_toolbox::agent::port::server::{CONNECTIONS_MAX, Served, serve_tls};
use kafka_toolbox::clients::tls_server::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const NAME: &str = "drain-guard.kafka.svc";

const LIMIT: Duration = Duration::from_secs(20);

async fn port() -> (Served, TlsConnector) {
    let certificates = Certificates::self_made(vec![NAME.to_owned()], Timestamp::now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificates.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let routes = Router::new().route("/", get(async || "here"));
    let served = serve_tls("127.0.0.1:0".parse().unwrap(), routes, Arc::new(certificates)).await.unwrap();
    (served, TlsConnector::from(Arc::new(config)))
}

async fn ask(served: &Served, connector: &TlsConnector) -> String {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    // The end of the connection may come without TLS' own.
    let _ = timeout(LIMIT, stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn it_answers_over_tls_and_says_nothing_to_whoever_speaks_none() {
    let (served, connector) = port().await;
    assert!(ask(&served, &connector).await.ends_with("here"));
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(LIMIT, plain.read_to_end(&mut bytes)).await.unwrap();
    assert!(!bytes.windows(4).any(|part| part == b"HTTP" || part == b"here"), "{bytes:?}");
    served.close().await;
}

#[tokio::test]
async fn whoever_begins_no_handshake_is_closed_and_keeps_nobody_out() {
    let (served, connector) = port().await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX + 8 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert!(ask(&served, &connector).await.ends_with("here"));
    // The youngest of them waits longest: five seconds for its handshake.
    let mut youngest = idle.pop().unwrap();
    let mut byte = [0];
    assert_eq!(timeout(LIMIT, youngest.read(&mut byte)).await.unwrap().unwrap_or_default(), 0);
    served.close().await;
}
