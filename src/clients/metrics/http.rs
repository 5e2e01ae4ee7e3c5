//! One GET for a JSON document, within limits.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, redirect};
use tokio::sync::OnceCell;

use crate::clients::datadog::tls;
use crate::clients::http::is_tls;
use crate::clients::metrics::MetricsError;
use crate::clients::metrics::answers::{self, ANSWER_BYTES_MAX, Wrong};
use crate::cluster::visible;
use crate::formats::secret::{ExposeSecret, SecretString, clean, strip_urls};

/// Longest wait for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of a strange answer is shown.
const SHOWN_CHARS_MAX: usize = 200;
const SHOWN_BYTES_MAX: usize = 4 * 1024;

/// A JSON API over HTTP.
#[derive(Debug)]
pub(super) struct Api {
    /// Without a slash at its end.
    base: String,
    /// Headers with keys.
    secrets: Vec<(&'static str, SecretString)>,
    /// Built with the first question: a run that asks nobody touches no TLS.
    client: OnceCell<Client>,
}

impl Api {
    pub(super) fn new(base: &str, secrets: Vec<(&'static str, SecretString)>) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), secrets, client: OnceCell::new() }
    }

    /// The base URL without what may be secret in it.
    pub(super) fn address(&self) -> String {
        strip_urls(&self.base)
    }

    /// The bytes of the answer at a path.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<u8>, MetricsError> {
        let client = self.client.get_or_try_init(async || self.build()).await?;
        let mut url =
            reqwest::Url::parse(&format!("{}{path}", self.base)).map_err(|error| self.lost(&error.to_string()))?;
        url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        let sent = client.get(url).send().await;
        let mut response = sent.map_err(|error| self.lost(&innermost(&error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&innermost(&error)))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(self.garbage(&format!("it is longer than {} MiB", ANSWER_BYTES_MAX >> 20)));
            }
        }
        if !status.is_success() {
            let beginning = &body[..body.len().min(SHOWN_BYTES_MAX)];
            let said = answers::refusal(&body).unwrap_or_else(|| String::from_utf8_lossy(beginning).into_owned());
            let message = shown(&said);
            return Err(MetricsError::Refused { address: self.address(), status: status.as_u16(), message });
        }
        Ok(body)
    }

    /// An answer that brings no samples, as an error.
    pub(super) fn wrong(&self, wrong: &Wrong) -> MetricsError {
        match wrong {
            Wrong::Refused(words) => self.refused(words),
            Wrong::Garbage(words) => self.garbage(words),
        }
    }

    fn garbage(&self, message: &str) -> MetricsError {
        MetricsError::Garbage { address: self.address(), message: shown(message) }
    }

    fn refused(&self, message: &str) -> MetricsError {
        MetricsError::Refused { address: self.address(), status: 200, message: shown(message) }
    }

    fn lost(&self, why: &str) -> MetricsError {
        MetricsError::Unreachable { address: self.address(), why: clean(why) }
    }

    fn build(&self) -> Result<Client, MetricsError> {
        let mut headers = HeaderMap::new();
        for (name, secret) in &self.secrets {
            let mut value =
                HeaderValue::from_str(secret.expose_secret().trim()).map_err(|_| self.lost("its key is no header"))?;
            value.set_sensitive(true);
            headers.insert(*name, value);
        }
        let tls = tls(is_tls(&self.base)).map_err(|why| self.lost(&why))?;
        let builder = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("kafka-toolbox/", env!("CARGO_PKG_VERSION")))
            // A redirect could carry the key to a stranger.
            .redirect(redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(tls);
        builder.build().map_err(|error| self.lost(&innermost(&error)))
    }
}

/// The innermost cause says most; the outer ones repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn shown(text: &str) -> String {
    visible::bounded(&clean(text), SHOWN_CHARS_MAX).into_owned()
}
