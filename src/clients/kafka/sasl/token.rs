//! Bearer tokens: from the properties, a file, or an HTTP endpoint for client credentials; or made here, unsigned.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::ClientConfig;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::clients::files;
use crate::clients::http::is_tls;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::patience::Patience;
use crate::clients::kafka::sasl::answer::{Answer, TOKEN_BYTES_MAX, expiry};
use crate::clients::kafka::sasl::at;
use crate::clients::kafka::settings::OAuthBearer;
use crate::clients::kafka::settings::TlsSettings;
use crate::clients::kafka::settings::TlsVersions;
use crate::clients::kafka::settings::TokenEndpoint;
use crate::clients::kafka::settings::TokenSource;
use crate::clients::kafka::settings::UnsecuredClaims;
use crate::clients::kafka::tls::client_config;
use crate::formats::place::Place;
use crate::formats::secret::ExposeSecret;
use crate::formats::secret::SecretString;
use crate::formats::secret::remember;
use crate::formats::secret::scrub;

/// A token that ends sooner than this is not used any more.
const SECONDS_LEFT_MIN: f64 = 30.0;

/// How long an unavailable endpoint is asked again.
const RETRY_FOR: Duration = Duration::from_secs(2);

/// A token that is good now.
pub(super) async fn get(oauth: &OAuthBearer, timeout: Duration) -> Result<SecretString, KafkaError> {
    let place = &oauth.place;
    match &oauth.token {
        TokenSource::Static(token) => checked(token.expose_secret(), place),
        TokenSource::File(path) => checked(&read(path, place)?, place),
        TokenSource::Unsecured(claims) => Ok(unsecured(claims, now())),
        TokenSource::Endpoint(endpoint) => {
            let mut cached = oauth.cache.lock().await;
            if let Some((token, ends)) = &*cached
                && ends.is_none_or(|ends| ends > now() + SECONDS_LEFT_MIN)
            {
                return Ok(token.clone());
            }
            let (token, ends) = ask(endpoint, timeout, place).await?;
            *cached = Some((token.clone(), ends));
            Ok(token)
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

/// A token as it may stand in a header: one word of visible ASCII.
fn checked(text: &str, place: &Place) -> Result<SecretString, KafkaError> {
    let token = text.trim();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(at(place, "the bearer token is empty, too long, or not one word: is it the right file?"));
    }
    Ok(remember(token))
}

fn read(path: &Path, place: &Place) -> Result<String, KafkaError> {
    let mut bytes = Vec::new();
    files::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| at(place, &format!("the token file {} can't be read: {error}", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A token that anyone could have made: header, claims, no signature.
fn unsecured(claims: &UnsecuredClaims, now: f64) -> SecretString {
    let mut claims_now = claims.claims.clone();
    claims_now.entry("iat").or_insert_with(|| json!(now));
    claims_now.entry("exp").or_insert_with(|| json!(now + claims.lifetime.as_secs_f64()));
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims_now).to_string());
    remember(format!("{header}.{payload}."))
}

/// A token, and when it expires, in seconds since 1970.
type Expiring = (SecretString, Option<f64>);

/// Why an endpoint gave no token.
struct NoToken {
    error: KafkaError,
    /// Whether it may give one a moment later.
    is_transient: bool,
}

impl From<KafkaError> for NoToken {
    fn from(error: KafkaError) -> Self {
        Self { error, is_transient: false }
    }
}

/// Asks an endpoint. One that is unavailable, as during a restart, is asked again; Kafka's clients do the same.
async fn ask(endpoint: &TokenEndpoint, timeout: Duration, place: &Place) -> Result<Expiring, KafkaError> {
    let mut patience = Patience::until(Instant::now() + timeout.min(RETRY_FOR));
    loop {
        match ask_once(endpoint, timeout, place).await {
            Ok(token) => return Ok(token),
            Err(NoToken { is_transient: true, .. }) if patience.pause().await => {}
            Err(NoToken { error, .. }) => return Err(error),
        }
    }
}

/// Asks an endpoint, with the client's id and secret in the header (RFC 6749, 4.4).
async fn ask_once(endpoint: &TokenEndpoint, timeout: Duration, place: &Place) -> Result<Expiring, NoToken> {
    let failed = |what: String| KafkaError::Security {
        address: show_url(&endpoint.url),
        message: scrub(&format!("the token endpoint {what}")).into_owned(),
        is_login: true,
    };
    let broken = |error: &reqwest::Error| NoToken {
        error: failed(show_http(error, timeout)),
        is_transient: is_transient(error),
    };
    let client = client(endpoint, timeout)?;
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(endpoint.scope.as_deref().map(|scope| ("scope", scope)));
    let request = client
        .post(&endpoint.url)
        .header("Authorization", authorization(endpoint))
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(encode_form(&form));
    let mut response = request.send().await.map_err(|error| broken(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > TOKEN_BYTES_MAX {
            return Err(failed("answers with more than a token".to_owned()).into());
        }
    }
    let status = response.status();
    let answer = Answer::read(&body);
    if !status.is_success() {
        let words = if answer.words.is_empty() { String::new() } else { format!(" {}", answer.words) };
        let hint = if status.as_u16() == 401 || status.as_u16() == 400 {
            ": are clientId, clientSecret and scope right?"
        } else {
            ""
        };
        let error = failed(format!("answers {status}{words}{hint}"));
        return Err(NoToken { error, is_transient: status.is_server_error() || status.as_u16() == 429 });
    }
    let Some(token) = answer.access_token.as_deref() else {
        return Err(failed("answers without an access_token: is it the right URL?".to_owned()).into());
    };
    let ends = expiry(token).or_else(|| answer.expires_in.map(|lifetime| now() + lifetime));
    Ok((checked(token, place)?, ends))
}

fn client(endpoint: &TokenEndpoint, timeout: Duration) -> Result<reqwest::Client, KafkaError> {
    let mut builder = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
    if is_tls(&endpoint.url) {
        let settings = TlsSettings {
            trust: endpoint.trust.clone(),
            identity: None,
            checks_host_name: true,
            versions: TlsVersions { v1_2: true, v1_3: true },
            cipher_suites: None,
        };
        let (config, _) = client_config(&settings)?;
        builder = builder.tls_backend_preconfigured(ClientConfig::clone(&config));
    }
    builder.build().map_err(|error| KafkaError::Settings(format!("failed to prepare HTTP: {error}")))
}

fn authorization(endpoint: &TokenEndpoint) -> String {
    let (id, secret) = (endpoint.client_id.as_str(), endpoint.client_secret.expose_secret());
    let pair =
        if endpoint.encodes_header { format!("{}:{}", encode(id), encode(secret)) } else { format!("{id}:{secret}") };
    format!("Basic {}", remember(STANDARD.encode(pair)).expose_secret())
}

fn encode_form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// As in the body of a form.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// A URL without what may be secret in it.
fn show_url(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return "(no URL)".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs that have no host, which hold no user either.
    let _ = (url.set_password(None), url.set_username(""));
    url.to_string()
}

/// Whether the same request may succeed a moment later: the connection was refused, or cut. A server that is not trusted stays
/// so, and a timeout has used up the time.
fn is_transient(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |cause| cause.source());
    let mut kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<std::io::Error>()?.kind()));
    let is_down = kinds.any(|kind| matches!(kind, ConnectionAborted | ConnectionRefused | ConnectionReset));
    let is_cut = !error.is_connect() && (error.is_request() || error.is_body());
    !error.is_timeout() && (is_down || is_cut)
}

fn show_http(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("does not answer within {} s", timeout.as_secs_f64());
    }
    // The innermost cause says what happened; those above it only say that something did.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("can't be asked: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_token_is_what_kafkas_own_module_makes() {
        let mut claims = serde_json::Map::new();
        claims.insert("sub".to_owned(), json!("admin"));
        let claims = UnsecuredClaims { claims, lifetime: Duration::from_mins(1) };
        let token = unsecured(&claims, 1000.5);
        let parts: Vec<_> = token.expose_secret().split('.').collect();
        let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("text");
        assert_eq!(text(parts[0]), r#"{"alg":"none"}"#);
        assert_eq!(text(parts[1]), r#"{"sub":"admin","iat":1000.5,"exp":1060.5}"#);
        assert_eq!((parts.len(), parts[2]), (3, ""));
        assert_eq!(expiry(token.expose_secret()), Some(1060.5));
    }

    #[test]
    fn urls_are_shown_without_user_and_query() {
        assert_eq!(show_url("https://bob:pw@idp/token?key=1#x"), "https://idp/token");
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encode_form(&[("scope", "a b&c=é")]), "scope=a+b%26c%3D%C3%A9");
    }
}
