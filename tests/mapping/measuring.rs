//! Prometheus and Datadog as tests need them: they refuse what the real ones refuse, over HTTP, or over TLS with a
//! certificate of a private CA.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(super) const TOKEN: &str = "open-sesame-prometheus";
pub(super) const API_KEY: &str = "api-key-0123456789";
pub(super) const APP_KEY: &str = "app-key-9876543210";

/// What it answers to a query, at a time in seconds since 1970.
type Knows = Arc<dyn Fn(&str, i64) -> String + Send + Sync>;

/// A system that measures.
#[derive(Clone)]
pub(super) struct Measuring {
    is_datadog: bool,
    knows: Knows,
    /// What it answers first: status and body.
    first: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    /// The queries that it was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Measuring {
    pub(super) fn prometheus(knows: impl Fn(&str, i64) -> String + Send + Sync + 'static) -> Self {
        Self { is_datadog: false, knows: Arc::new(knows), first: Arc::default(), asked: Arc::default() }
    }

    pub(super) fn datadog(knows: impl Fn(&str, i64) -> String + Send + Sync + 'static) -> Self {
        Self { is_datadog: true, ..Self::prometheus(knows) }
    }

    pub(super) fn first(self, answers: &[(u16, &'static str)]) -> Self {
        self.first.lock().unwrap().extend(answers);
        self
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Starts on a thread of its own; its base URL.
    pub(super) fn start(&self) -> String {
        let (listener, address) = bind();
        let routes = self.routes();
        serve(async move {
            let _ = axum::serve(TcpListener::from_std(listener).unwrap(), routes).await;
        });
        format!("http://{address}")
    }

    /// The same over TLS: its base URL, and the certificate of the CA that vouches for it.
    pub(super) fn start_with_tls(&self) -> (String, String) {
        let (listener, address) = bind();
        let (config, ca) = certificate();
        let routes = self.routes();
        serve(async move {
            let listener =
                TlsListener { tcp: TcpListener::from_std(listener).unwrap(), acceptor: TlsAcceptor::from(config) };
            let _ = axum::serve(listener, routes).await;
        });
        (format!("https://localhost:{}", address.port()), ca)
    }

    fn routes(&self) -> Router {
        let this = self.clone();
        Router::new().fallback(move |request: Request| {
            let answer = this.answer(&request);
            async move { answer }
        })
    }

    fn answer(&self, request: &Request) -> Response {
        let status = |code: u16| StatusCode::from_u16(code).unwrap();
        if request.method() != Method::GET || request.uri().path() != "/api/v1/query" {
            return (status(404), "404 page not found").into_response();
        }
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        if self.is_datadog && (header("dd-api-key"), header("dd-application-key")) != (API_KEY, APP_KEY) {
            return (status(403), r#"{"errors":["Forbidden"]}"#).into_response();
        }
        if !self.is_datadog && header("authorization") != format!("Bearer {TOKEN}") {
            return (status(401), "Unauthorized").into_response();
        }
        let Query(asked) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()).unwrap();
        let value = |name: &str| asked.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let time = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
        let at = if self.is_datadog { time("from").and(time("to")) } else { time("time") };
        let (Some(query), Some(at)) = (value("query").filter(|query| is_balanced(query)), at) else {
            let body = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\""}"#;
            return (status(400), body).into_response();
        };
        self.asked.lock().unwrap().push(query.clone());
        match self.first.lock().unwrap().pop_front() {
            Some((code, body)) => (status(code), body).into_response(),
            None => (self.knows)(&query, at).into_response(),
        }
    }
}

fn is_balanced(query: &str) -> bool {
    let count = |wanted: char| query.chars().filter(|c| *c == wanted).count();
    !query.is_empty() && count('(') == count(')') && count('{') == count('}')
}

fn bind() -> (StdListener, SocketAddr) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn serve(server: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // No test needs it longer.
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_mins(5), server).await });
    });
}

/// A certificate for `localhost` by a CA that nobody knows, and that CA's certificate.
fn certificate() -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (Arc::new(config), ca.pem())
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((socket, address)) = self.tcp.accept().await else { continue };
            // Who does not trust the certificate hangs up.
            if let Ok(stream) = self.acceptor.accept(socket).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A vector as Prometheus answers it: labels as JSON, and values.
pub(super) fn vector(series: &[(String, f64)], at: i64) -> String {
    let series: Vec<_> =
        series.iter().map(|(labels, value)| format!(r#"{{"metric":{{{labels}}},"value":[{at},"{value}"]}}"#)).collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
}

/// Series as Datadog answers them: tags and one value each, and an empty last bucket.
pub(super) fn series(series: &[(String, f64)], at: i64) -> String {
    let at = at * 1_000;
    let series: Vec<_> = series
        .iter()
        .map(|(tags, value)| {
            let tags: Vec<_> = tags.split(',').map(|tag| format!("\"{tag}\"")).collect();
            format!(r#"{{"tag_set":[{}],"pointlist":[[{at},{value}],[{}.0,null]]}}"#, tags.join(","), at + 1)
        })
        .collect();
    format!(r#"{{"status":"ok","series":[{}]}}"#, series.join(","))
}
