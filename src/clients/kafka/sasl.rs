//! SASL: proves to a broker who we are, over whatever carries the two requests.

use std::time::Duration;

use async_trait::async_trait;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::settings::SaslSettings;
use crate::clients::kafka::settings::Settings;
use crate::formats::secret::ExposeSecret;

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
    exchange: &mut dyn SaslExchange,
    address: &str,
) -> Result<Option<Duration>, KafkaError> {
    let Some(sasl) = &settings.security.sasl else { return Ok(None) };
    if let Err(offered) = exchange.handshake(sasl.mechanism()).await? {
        return Err(KafkaError::Security {
            address: address.to_owned(),
            message: format!(
                "the broker does not offer the SASL mechanism {}; it offers {}",
                sasl.mechanism(),
                offered.join(", ")
            ),
        });
    }
    let SaslSettings::Plain(credentials) = sasl else {
        return Err(KafkaError::Settings(format!("SASL mechanism {} is not supported", sasl.mechanism())));
    };
    let message = format!("\0{}\0{}", credentials.username, credentials.password.expose_secret());
    let answer = exchange.authenticate(message.as_bytes()).await?;
    if answer.error_code != 0 {
        return Err(KafkaError::Security {
            address: address.to_owned(),
            message: answer.error_message.unwrap_or_else(|| format!("SASL failed with error {}", answer.error_code)),
        });
    }
    Ok(answer.session_lifetime)
}
