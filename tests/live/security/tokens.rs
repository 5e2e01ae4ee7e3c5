//! Bearer tokens from the properties, from a file, and from an endpoint over HTTP and HTTPS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::live::security::bed::{KINDS, bed, keys, with_token};
use crate::live::security::certificates::{BROKER_NAMES, Pair};

/// A token as the broker's unsecured validator takes it.
fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = serde_json::json!({"sub": "eve", "iat": now, "exp": now + 600});
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", encode(r#"{"alg":"none"}"#.to_owned()), encode(claims.to_string()))
}

fn trust() -> String {
    keys().stores.trusting("PEM", "ca.pem")
}

#[test]
fn a_token_comes_from_the_properties_or_from_a_file() {
    let path = keys().stores.write("token", &format!("{}\n", token()));
    let given = with_token(&format!("oauth.access.token=\"{}\"", token()));
    let handler = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
    let from_file = with_token("")
        + &format!(
            "sasl.login.callback.handler.class={handler}\nsasl.oauthbearer.token.endpoint.url=file://{}\n",
            path.display()
        );
    for kind in KINDS {
        assert_eq!(bed(kind).ask("SASL", &format!("{given}{}", trust())), Ok(()), "{}", kind.name());
        assert_eq!(bed(kind).ask("SASL", &format!("{from_file}{}", trust())), Ok(()), "{}", kind.name());
    }
    let missing = from_file.replace(&path.display().to_string(), "/nowhere/token");
    let said = bed(KINDS[0]).ask("SASL", &format!("{missing}{}", trust())).unwrap_err();
    assert!(said.contains("the token file /nowhere/token can't be read"), "{said}");
}

#[test]
fn a_token_comes_from_an_endpoint_for_the_clients_credentials() {
    let body = format!(r#"{{"access_token":"{}","token_type":"Bearer","expires_in":600}}"#, token());
    let expected = format!("Basic {}", STANDARD.encode("me:t0ken-S3cret"));
    for kind in KINDS {
        for tls in [None, Some(keys().authority.broker(&BROKER_NAMES, 2020..2100))] {
            let (url, asked) = endpoint("200 OK", &body, tls);
            let properties = from_endpoint(&url);
            assert_eq!(bed(kind).ask("SASL", &properties), Ok(()), "{} {url}", kind.name());
            let request = asked.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(request.starts_with("POST /token HTTP/1.1"), "{request}");
            assert!(request.contains(&expected), "{request}");
            assert!(request.ends_with("grant_type=client_credentials&scope=kafka+admin"), "{request}");
        }
    }
}

#[test]
fn an_endpoint_that_gives_no_token_is_named_with_its_reason() {
    let (denied, _asked) =
        endpoint("401 Unauthorized", r#"{"error":"invalid_client","error_description":"no t0ken-S3cret"}"#, None);
    let (strange, _asked) = endpoint("200 OK", "<html>hello</html>", None);
    let (untrusted, _asked) = endpoint("200 OK", "{}", Some(keys().stranger.broker(&BROKER_NAMES, 2020..2100)));
    let cases = [
        (denied, "answers 401 Unauthorized invalid_client"),
        (strange, "answers without an access_token"),
        (untrusted, "signed by a CA that is not in the trust store"),
        ("http://127.0.0.1:9/token".to_owned(), "can't be asked"),
    ];
    for (url, words) in cases {
        let said = bed(KINDS[0]).ask("SASL", &from_endpoint(&url)).unwrap_err();
        assert!(said.contains(words) && said.contains("the token endpoint"), "{url}: {said}");
        assert!(!said.contains("t0ken-S3cret"), "{said}");
    }
}

#[test]
fn an_endpoint_that_fails_for_a_moment_is_asked_again_and_one_that_refuses_is_not() {
    let body = format!(r#"{{"access_token":"{}","token_type":"Bearer","expires_in":600}}"#, token());
    let refused = http("401 Unauthorized", "{}");
    let unavailable = [http("503 Service Unavailable", "{}"), http("429 Too Many Requests", "{}"), String::new()];
    for (first, asked_again) in unavailable.iter().map(|first| (first, true)).chain([(&refused, false)]) {
        let (url, asked) = endpoint_that_answers(vec![first.clone(), http("200 OK", &body)], None);
        let done = bed(KINDS[0]).ask("SASL", &from_endpoint(&url));
        assert_eq!(done.is_ok(), asked_again, "{first}: {done:?}");
        assert_eq!(asked.try_iter().count(), 1 + usize::from(asked_again), "{first}");
    }
}

fn from_endpoint(url: &str) -> String {
    let options = "clientId=\"me\" clientSecret=\"t0ken-S3cret\" scope=\"kafka admin\"";
    format!("{}sasl.oauthbearer.token.endpoint.url={url}\n{}", with_token(options), trust())
}

/// A server that answers one request, and hands it over. It ends with its thread, at the latest with the run.
pub(super) fn endpoint(status: &str, body: &str, tls: Option<Pair>) -> (String, Receiver<String>) {
    endpoint_that_answers(vec![http(status, body)], tls)
}

/// An answer as it is sent.
fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// The same with one answer after the other; an empty one cuts the connection.
fn endpoint_that_answers(answers: Vec<String>, tls: Option<Pair>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://127.0.0.1:{}/token", listener.local_addr().unwrap().port());
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let request = match &tls {
                None => serve(stream, &answer),
                Some(pair) => serve(StreamOwned::new(ServerConnection::new(config(pair)).unwrap(), stream), &answer),
            };
            // A client that does not trust this server sends nothing; a test that expects nothing does not listen.
            if let Some(request) = request {
                let _ = sender.send(request);
            }
        }
    });
    (url, asked)
}

fn config(pair: &Pair) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Reads one request to the end of its body and answers it; none if there is no request.
fn serve(mut stream: impl Read + Write, answer: &str) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
        if body.len() >= length.parse::<usize>().unwrap() {
            stream.write_all(answer.as_bytes()).ok()?;
            stream.flush().ok()?;
            return Some(text);
        }
    }
}
