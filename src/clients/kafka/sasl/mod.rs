//! SASL: proves to a broker who we are, over whatever carries the two requests.
//!
//! In go the settings and a [`SaslExchange`]; out comes how long the broker takes the proof for good, or one sentence
//! that says what is wrong. The mechanisms themselves are rsasl's.

mod answer;
mod mechanism;
mod salted;
mod scram;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rsasl::prelude::State;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::sasl::mechanism::Broken;
use crate::clients::kafka::sasl::mechanism::Exchange;
use crate::clients::kafka::settings::Credentials;
use crate::clients::kafka::settings::OAuthBearer;
use crate::clients::kafka::settings::SaslSettings;
use crate::clients::kafka::settings::Settings;
use crate::formats::place::Place;
use crate::formats::secret::scrub;

pub use salted::SaltedPasswords;

/// Most messages that one authentication takes; SCRAM takes three.
const MESSAGES_MAX: usize = 5;
/// Kafka's error code for a request that a listener without SASL does not take.
const ILLEGAL_SASL_STATE: i16 = 34;
/// Kafka's error code for a failed authentication.
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// The two requests of SASL, on one connection.
#[async_trait]
pub trait SaslExchange: Send {
    /// SaslHandshake: `Ok(Err(mechanisms))` where the broker does not offer this one.
    async fn handshake(&mut self, mechanism: &str) -> Result<Result<(), Vec<String>>, KafkaError>;

    /// SaslAuthenticate: the broker's answer, whatever its error code.
    async fn authenticate(&mut self, bytes: &[u8]) -> Result<SaslAnswer, KafkaError>;
}

/// The answer to SaslAuthenticate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaslAnswer {
    /// Kafka's error code; 0 is none, 58 is a failed authentication.
    pub error_code: i16,
    /// The broker's words.
    pub error_message: Option<String>,
    /// The mechanism's bytes.
    pub bytes: Vec<u8>,
    /// After how long the broker wants a new authentication (KIP-368); none for never.
    pub session_lifetime: Option<Duration>,
}

/// Proves who we are, if the settings say so; returns after how long the broker wants it proved again.
pub async fn authenticate(
    settings: &Settings,
    salted: &Arc<SaltedPasswords>,
    exchange: &mut dyn SaslExchange,
    address: &str,
) -> Result<Option<Duration>, KafkaError> {
    let Some(sasl) = &settings.security.sasl else { return Ok(None) };
    let security = |message: String, is_login| {
        let message = scrub(&message).into_owned();
        KafkaError::Security { address: address.to_owned(), message, is_login }
    };
    let broken = |message| security(message, false);
    // The token comes first: a broker must not wait in mid-handshake for an endpoint that does not answer.
    let mut mechanism = match sasl {
        SaslSettings::OAuthBearer(oauth) => {
            let token = token::get(oauth, settings.timeout).await?;
            Exchange::with_token(token, oauth.extensions.clone())
        }
        SaslSettings::Plain(credentials)
        | SaslSettings::ScramSha256(credentials)
        | SaslSettings::ScramSha512(credentials) => Exchange::with_password(sasl.mechanism(), credentials, salted),
    }
    .map_err(|error| broken(error.sentence(sasl.mechanism())))?;
    match exchange.handshake(sasl.mechanism()).await {
        Ok(Ok(())) => {}
        Ok(Err(offered)) => return Err(broken(not_offered(sasl.mechanism(), &offered))),
        Err(KafkaError::Broker { code: ILLEGAL_SASL_STATE, .. }) => {
            return Err(broken(no_sasl(settings.security.protocol())));
        }
        Err(error) => return Err(error),
    }
    let mut input: Option<Vec<u8>> = None;
    for _ in 0..MESSAGES_MAX {
        let (state, message) =
            mechanism.step(input.as_deref()).map_err(|error| broken(error.sentence(sasl.mechanism())))?;
        if let (State::Finished(_), None) = (&state, &message) {
            return Ok(mechanism.session_lifetime);
        }
        let answer = exchange.authenticate(&message.unwrap_or_default()).await?;
        if answer.error_code != 0 {
            return Err(security(refused(sasl, &answer), answer.error_code == SASL_AUTHENTICATION_FAILED));
        }
        mechanism.session_lifetime = answer.session_lifetime.filter(|lifetime| !lifetime.is_zero());
        if matches!(state, State::Finished(_)) {
            return Ok(mechanism.session_lifetime);
        }
        input = Some(answer.bytes);
    }
    Err(broken(Broken::Endless.sentence(sasl.mechanism())))
}

fn not_offered(mechanism: &str, offered: &[String]) -> String {
    let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
    format!(
        "the broker does not offer the SASL mechanism {mechanism} on this port; it offers {offered}: see sasl.mechanism"
    )
}

fn no_sasl(protocol: &str) -> String {
    let right = if protocol == "SASL_SSL" { "SSL" } else { "PLAINTEXT" };
    format!("this port takes no SASL, but security.protocol is {protocol}: set it to {right}, or use another port")
}

/// What a broker means by an error code in its answer.
fn refused(sasl: &SaslSettings, answer: &SaslAnswer) -> String {
    let words = answer.error_message.as_deref().filter(|words| !words.is_empty());
    let words = words.map(|words| format!("; the broker says: {words}")).unwrap_or_default();
    if answer.error_code != SASL_AUTHENTICATION_FAILED {
        return format!("{} failed with error {}{words}", sasl.mechanism(), answer.error_code);
    }
    match sasl {
        SaslSettings::Plain(Credentials { username, place, .. })
        | SaslSettings::ScramSha256(Credentials { username, place, .. })
        | SaslSettings::ScramSha512(Credentials { username, place, .. }) => format!(
            "the broker refuses user {username} with {}: wrong user name or password in sasl.jaas.config ({place}){words}",
            sasl.mechanism()
        ),
        SaslSettings::OAuthBearer(OAuthBearer { place, .. }) => {
            format!("the broker refuses the bearer token of sasl.jaas.config ({place}){words}")
        }
    }
}

/// A fault of the settings that shows only now.
fn at(place: &Place, what: &str) -> KafkaError {
    KafkaError::Settings(scrub(&format!("{place}: {what}")).into_owned())
}
