//! Datadog over HTTPS, with a CA of one's own as a proxy that opens TLS has it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::toolbox::Toolbox;

/// Answers one request over TLS with 202; returns its port, its certificate, and what it read.
fn serve_once() -> (u16, String, JoinHandle<Option<String>>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket);
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if let Some(value) = head
                .lines()
                .last()
                .and_then(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned))
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        reader.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").ok()?;
        Some(head + &String::from_utf8(body).unwrap())
    });
    (port, made.cert.pem(), server)
}

#[test]
fn a_proxy_with_a_ca_of_its_own_is_trusted_where_ssl_cert_file_names_it() {
    let (port, certificate, server) = serve_once();
    let toolbox = Toolbox::for_datadog(&format!("https://localhost:{port}"));
    let file = toolbox.state().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    let toolbox = toolbox.with("SSL_CERT_FILE", &file.display().to_string());
    let ran = toolbox.send("over tls");
    assert!(ran.err.contains("events: 1 sent, 0 spooled, 0 dropped"), "{ran:?}");
    let read = server.join().unwrap().unwrap();
    assert!(read.starts_with("POST /api/v1/events HTTP/1.1") && read.contains("over tls"), "{read}");
}

#[test]
fn a_server_that_nobody_vouches_for_gets_neither_event_nor_key() {
    let (port, _, server) = serve_once();
    let toolbox = Toolbox::for_datadog(&format!("https://localhost:{port}")).with("TOOLBOX_EVENTS_FLUSH_TIMEOUT", "1s");
    let ran = toolbox.send("to a stranger");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("events: 0 sent, 1 spooled, 0 dropped"), "{ran:?}");
    assert_eq!(server.join().unwrap(), None);
}
