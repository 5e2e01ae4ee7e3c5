//! Datadog's HTTP API: `POST /api/v1/events` with the key in a header, never in a URL.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::clients::datadog::{Datadog, DatadogError, DatadogEvent};
use crate::clients::http::is_tls;
use crate::cluster::visible;
use crate::formats::secret::{ExposeSecret, SecretString, clean, strip_urls};

/// Longest wait for one answer. A hanging intake is tried again, within the flush budget.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// How much of a strange answer is shown.
const SHOWN_CHARS_MAX: usize = 120;

/// Longest wait that a rate limit may ask for; Datadog's periods are an hour at most.
const RESET_MAX: Duration = Duration::from_hours(1);

/// Datadog over HTTP.
#[derive(Debug)]
pub struct Http {
    /// As `https://api.datadoghq.com`, without a slash at its end.
    base: String,
    key: SecretString,
    /// Why nothing may be sent there.
    fault: Option<String>,
    /// Built with the first event: a run without events touches no TLS.
    client: OnceCell<Client>,
}

/// Datadog's answer, as far as it matters.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    errors: Vec<String>,
}

impl Http {
    /// The API at a base URL (`https://api.<site>`). Nothing is opened yet.
    pub fn new(base: &str, key: SecretString) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), key, fault: None, client: OnceCell::new() }
    }

    /// The same; where it may not be used, each event is refused with the reason.
    #[must_use]
    pub fn only_if(mut self, may_be_used: Result<(), String>) -> Self {
        self.fault = may_be_used.err();
        self
    }

    async fn client(&self) -> Result<&Client, DatadogError> {
        let build = || build(&self.key, is_tls(&self.base));
        self.client.get_or_try_init(async || build().map_err(DatadogError::Refused)).await
    }

    /// The base URL without what may be secret in it.
    fn address(&self) -> String {
        strip_urls(&self.base)
    }

    fn unreachable(&self, error: &reqwest::Error) -> DatadogError {
        let mut why = match (error.is_timeout(), error.is_connect()) {
            (true, _) => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
            (false, true) => "no connection".to_owned(),
            (false, false) => "the connection broke off".to_owned(),
        };
        // The innermost cause says most; the outer ones repeat the URL.
        let mut cause = error.source();
        while let Some(inner) = cause {
            if inner.source().is_none() && !error.is_timeout() {
                why = format!("{why}: {}", clean(&inner.to_string()));
            }
            cause = inner.source();
        }
        DatadogError::Unreachable { address: self.address(), why }
    }

    async fn judge(&self, response: Response) -> Result<(), DatadogError> {
        let status = response.status();
        // Accepted, whatever becomes of the rest of the answer: sending it again would double it.
        if status == StatusCode::ACCEPTED {
            return Ok(());
        }
        let after = reset(response.headers());
        let address = self.address();
        if status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
        {
            return Err(DatadogError::Busy { address, status: status.as_u16(), after });
        }
        let body = read(response).await.map_err(|error| self.unreachable(&error))?;
        let said = serde_json::from_str::<Answer>(&body);
        let errors = said.as_ref().map(|answer| answer.errors.join("; ")).unwrap_or_default();
        let words = if errors.is_empty() { shown(&body) } else { shown(&errors) };
        match status {
            _ if status.is_success() && said.is_ok() && errors.is_empty() => Ok(()),
            _ if status.is_success() => Err(DatadogError::Garbage { address, status: status.as_u16(), body: words }),
            StatusCode::PAYLOAD_TOO_LARGE => Err(DatadogError::TooLarge(format!("{address} answered 413: {words}"))),
            StatusCode::BAD_REQUEST if speaks_of_a_limit(&errors) => {
                Err(DatadogError::TooLarge(format!("{address} answered 400: {words}")))
            }
            StatusCode::BAD_REQUEST if said.is_ok() => {
                Err(DatadogError::Malformed(format!("{address} answered 400: {words}")))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(DatadogError::Refused(format!(
                "{address} answered {}: {words}; look at DD_API_KEY and DD_SITE",
                status.as_u16()
            ))),
            _ => Err(DatadogError::Refused(format!(
                "{address} answered {}: {words}; look at DD_SITE and --datadog-url",
                status.as_u16()
            ))),
        }
    }
}

#[async_trait]
impl Datadog for Http {
    async fn post(&self, event: &DatadogEvent) -> Result<(), DatadogError> {
        if let Some(why) = &self.fault {
            return Err(DatadogError::Refused(format!("{why}; look at DD_SITE and --datadog-url")));
        }
        let client = self.client().await?;
        let sent = client.post(format!("{}/api/v1/events", self.base)).json(event).send().await;
        match sent {
            Ok(response) => self.judge(response).await,
            // The URL itself is not repeated: it may hold a password.
            Err(error) if error.is_builder() => Err(DatadogError::Refused(
                "the URL of Datadog's API is none; look at DD_SITE and --datadog-url".to_owned(),
            )),
            Err(error) => Err(self.unreachable(&error)),
        }
    }
}

fn build(key: &SecretString, is_tls: bool) -> Result<Client, String> {
    if key.expose_secret().trim().is_empty() {
        return Err("DD_API_KEY is not set".to_owned());
    }
    let mut value = HeaderValue::from_str(key.expose_secret().trim())
        .map_err(|_| "DD_API_KEY holds characters that no key has".to_owned())?;
    value.set_sensitive(true);
    Client::builder()
        .default_headers(HeaderMap::from_iter([("DD-API-KEY".parse().map_err(|_| "a header name")?, value)]))
        .user_agent(concat!("kafka-toolbox/", env!("CARGO_PKG_VERSION")))
        // A redirect could carry the key to a stranger.
        .redirect(redirect::Policy::none())
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_backend_preconfigured(tls(is_tls)?)
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

/// TLS by the one provider of this program. Without HTTPS no certificate is read.
pub(crate) fn tls(is_used: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    if is_used {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        // A proxy that opens TLS has a CA of its own.
        if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
            let certificates = CertificateDer::pem_file_iter(&file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| format!("SSL_CERT_FILE can't be read: {error}"))?;
            roots.add_parsable_certificates(certificates);
        }
    }
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| format!("no TLS: {error}"))
}

/// How long a rate limit asks to wait.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let wait = seconds("x-ratelimit-reset").or_else(|| seconds("retry-after"))?;
    Duration::try_from_secs_f64(wait).ok().map(|wait| wait.min(RESET_MAX))
}

/// The beginning of an answer.
async fn read(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn speaks_of_a_limit(text: &str) -> bool {
    let text = text.to_lowercase();
    ["too long", "too large", "exceed", "limit", "maximum", "at most"].iter().any(|words| text.contains(words))
}

fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = visible::bounded(&clean(&line), SHOWN_CHARS_MAX).into_owned();
    if short.is_empty() { "nothing".to_owned() } else { short }
}
