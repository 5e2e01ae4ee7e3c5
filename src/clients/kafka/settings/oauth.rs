//! OAUTHBEARER: where its token comes from, by the options of the login module and the `sasl.oauthbearer.*` keys.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::clients::http;
use crate::clients::kafka::settings::OAuthBearer;
use crate::clients::kafka::settings::TokenCache;
use crate::clients::kafka::settings::TokenEndpoint;
use crate::clients::kafka::settings::TokenSource;
use crate::clients::kafka::settings::UnsecuredClaims;
use crate::clients::kafka::settings::jaas;
use crate::clients::kafka::settings::reader::Reader;
use crate::clients::kafka::settings::sasl::PlacedLogin;
use crate::clients::kafka::settings::tls;
use crate::formats::secret::remember;

/// Handlers of Kafka whose work is built in: with them, a token comes from the URL.
const HANDLERS: [&str; 3] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.internals.secured.OAuthBearerLoginCallbackHandler",
];
const UNSECURED_HANDLER: &str =
    "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler";

const CLASSES: [&str; 5] = [
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.ClientCredentialsJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.FileJwtRetriever",
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
    "org.apache.kafka.common.security.oauthbearer.ClientJwtValidator",
];

/// An option of our own, beside Java's: the token itself.
const STATIC_TOKEN: &str = "oauth.access.token";

const KNOWN: [&str; 11] = [
    "clientId",
    "clientSecret",
    "scope",
    STATIC_TOKEN,
    "extension_NAME",
    "unsecuredLoginStringClaim_NAME",
    "unsecuredLoginNumberClaim_NAME",
    "unsecuredLoginListClaim_NAME",
    "unsecuredLoginPrincipalClaimName",
    "unsecuredLoginLifetimeSeconds",
    "unsecuredLoginScopeClaimName",
];

/// Reads where the token comes from. None after a fault.
pub(super) fn read(reader: &mut Reader, login: &PlacedLogin) -> Option<OAuthBearer> {
    let count = reader.faults.len();
    check_classes(reader);
    check_options(reader, login);
    if reader.faults.len() > count {
        return None;
    }
    let token = token_source(reader, login)?;
    let extensions = login.login.options.iter().filter_map(|option| {
        option.name.strip_prefix("extension_").map(|name| (name.to_owned(), option.value.clone()))
    });
    Some(OAuthBearer {
        token,
        extensions: extensions.collect(),
        place: login.place.clone(),
        cache: TokenCache::default(),
    })
}

fn check_classes(reader: &mut Reader) {
    let keys = [
        "sasl.login.callback.handler.class",
        "sasl.oauthbearer.jwt.retriever.class",
        "sasl.oauthbearer.jwt.validator.class",
    ];
    for key in keys {
        let Some(value) = reader.get(key) else { continue };
        let place = value.place();
        let is_known = [&HANDLERS[..], &CLASSES[..], &[UNSECURED_HANDLER]].concat().contains(&value.text.as_str());
        if !is_known {
            let hint = "Kafka's own OAuthBearerLoginCallbackHandler is built in";
            reader.fault(place, format!("`{key}`: Java classes can't be loaded"), hint);
        }
    }
}

fn check_options(reader: &mut Reader, login: &PlacedLogin) {
    for option in &login.login.options {
        let name = option.name.as_str();
        let place = login.place_of(name);
        if let Some(extension) = name.strip_prefix("extension_") {
            let is_legal = !extension.is_empty() && extension.chars().all(|c| c.is_ascii_alphabetic());
            let is_printable = option.value.chars().all(|c| (' '..='~').contains(&c) || "\t\r\n".contains(c));
            if !is_legal || extension == "auth" || !is_printable {
                let what = "`sasl.jaas.config`: an extension's name is made of letters, is not auth, and its value is plain ASCII";
                reader.fault(place, what, "");
            }
            continue;
        }
        let is_claim = ["String", "Number", "List"].iter().any(|kind| {
            name.strip_prefix(&format!("unsecuredLogin{kind}Claim_")).is_some_and(|claim| !claim.is_empty())
        });
        if !is_claim && !KNOWN.contains(&name) {
            let hint = jaas::hint_for_option(name, &KNOWN);
            reader.fault(place, "`sasl.jaas.config`: no such option of this login module", &hint);
        }
    }
}

fn token_source(reader: &mut Reader, login: &PlacedLogin) -> Option<TokenSource> {
    if let Some(token) = login.login.get(STATIC_TOKEN) {
        return Some(TokenSource::Static(remember(token)));
    }
    let Some(url) = reader.get("sasl.oauthbearer.token.endpoint.url") else {
        let handler = reader.get("sasl.login.callback.handler.class").map(|value| (value.text.clone(), value.place()));
        if let Some((class, place)) = handler
            && HANDLERS.contains(&class.as_str())
        {
            reader.fault(
                place,
                "this handler wants `sasl.oauthbearer.token.endpoint.url`",
                "https://…, or file:/… for a token in a file",
            );
            return None;
        }
        return unsecured(reader, login).map(TokenSource::Unsecured);
    };
    let (url, place) = (url.text.clone(), url.place());
    if let Some(path) = url.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            reader.fault(
                place,
                "`sasl.oauthbearer.token.endpoint.url` is not a file's absolute path",
                "file:/path/to/token",
            );
            return None;
        }
        return Some(TokenSource::File(PathBuf::from(path)));
    }
    if http::check(&url, None, true).is_err() {
        reader.fault(
            place,
            "`sasl.oauthbearer.token.endpoint.url` is no URL",
            "https://…, or file:/… for a token in a file",
        );
        return None;
    }
    if let Err(why) = http::check(&url, Some("the client's secret"), reader.allows_plain_http) {
        reader.fault(place, format!("`sasl.oauthbearer.token.endpoint.url`: {why}"), "");
        return None;
    }
    if !http::is_tls(&url) {
        reader.warn_with(
            place,
            "the client's secret goes to the token endpoint unencrypted".to_owned(),
            "use an https: URL",
        );
    }
    endpoint(reader, login, url).map(TokenSource::Endpoint)
}

fn endpoint(reader: &mut Reader, login: &PlacedLogin, url: String) -> Option<TokenEndpoint> {
    let value = |key: &str, option: &str| {
        reader.get(key).map(|value| value.text.clone()).or_else(|| login.login.get(option).map(str::to_owned))
    };
    let client_id = value("sasl.oauthbearer.client.credentials.client.id", "clientId");
    let client_secret = value("sasl.oauthbearer.client.credentials.client.secret", "clientSecret");
    let scope = value("sasl.oauthbearer.scope", "scope").filter(|scope| !scope.is_empty());
    let (Some(client_id), Some(client_secret)) = (client_id, client_secret) else {
        let what = "`sasl.jaas.config` has no clientId and clientSecret for the token endpoint";
        reader.fault(login.place.clone(), what, "add clientId=\"…\" clientSecret=\"…\" before the `;`");
        return None;
    };
    let encodes_header = reader.boolean("sasl.oauthbearer.header.urlencode").unwrap_or(false);
    let trust = if http::is_tls(&url) { tls::trust(reader) } else { None };
    Some(TokenEndpoint { url, client_id, client_secret: remember(client_secret), scope, encodes_header, trust })
}

/// The claims of an unsigned token; a token without a principal is refused, as Java refuses it.
fn unsecured(reader: &mut Reader, login: &PlacedLogin) -> Option<UnsecuredClaims> {
    const LIFETIME_SECONDS: u64 = 3600;
    let mut claims = Map::new();
    for option in &login.login.options {
        let Some((kind, name)) = option.name.strip_prefix("unsecuredLogin").and_then(|rest| rest.split_once("Claim_"))
        else {
            continue;
        };
        let Some(value) = claim(kind, &option.value) else {
            reader.fault(login.place_of(&option.name), "`sasl.jaas.config`: this claim is not a number", "");
            return None;
        };
        claims.insert(name.to_owned(), value);
    }
    let principal = login.login.get("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
    if !claims.contains_key(principal) {
        let what = "`sasl.jaas.config` says neither where a token comes from nor who an unsigned one is for";
        let hint = "give sasl.oauthbearer.token.endpoint.url, or for development unsecuredLoginStringClaim_sub=\"…\"";
        reader.fault(login.place.clone(), what, hint);
        return None;
    }
    let lifetime = match login.login.get("unsecuredLoginLifetimeSeconds").map(str::parse::<u32>) {
        None => LIFETIME_SECONDS,
        Some(Ok(seconds @ 1..)) => u64::from(seconds),
        Some(_) => {
            let place = login.place_of("unsecuredLoginLifetimeSeconds");
            reader.fault(place, "`sasl.jaas.config`: this lifetime is not a number of seconds", "");
            return None;
        }
    };
    let what = "an unsigned token proves nothing: anyone can make one".to_owned();
    reader.warn_with(login.place.clone(), what, "for development only");
    Some(UnsecuredClaims { claims, lifetime: Duration::from_secs(lifetime) })
}

fn claim(kind: &str, text: &str) -> Option<Value> {
    match kind {
        "Number" => text.trim().parse::<serde_json::Number>().ok().map(Value::Number),
        // The first character separates: `|a|b` is a list of two.
        "List" => {
            let mut letters = text.chars();
            let items = letters.next().map(|separator| letters.as_str().split(separator).collect::<Vec<_>>());
            Some(items.unwrap_or_default().into())
        }
        _ => Some(Value::from(text)),
    }
}
