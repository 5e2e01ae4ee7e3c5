//! One run of a mechanism: bytes of the broker in, bytes for the broker out.

use std::sync::Arc;
use std::time::Duration;

use rsasl::callback::Context;
use rsasl::callback::Request;
use rsasl::callback::SessionCallback;
use rsasl::callback::SessionData;
use rsasl::mechanisms::scram::properties::Iterations;
use rsasl::mechanisms::scram::properties::Salt;
use rsasl::mechanisms::scram::properties::SaltedPassword;
use rsasl::prelude::Mechname;
use rsasl::prelude::SASLClient;
use rsasl::prelude::SASLConfig;
use rsasl::prelude::Session;
use rsasl::prelude::SessionError;
use rsasl::prelude::State;
use rsasl::property::AuthId;
use rsasl::property::OAuthBearerKV;
use rsasl::property::OAuthBearerToken;
use rsasl::property::Password;

use crate::clients::kafka::sasl::salted::SaltedPasswords;
use crate::clients::kafka::sasl::scram;
use crate::clients::kafka::settings::Credentials;
use crate::formats::secret::ExposeSecret;
use crate::formats::secret::SecretString;

/// Fewer would make the password cheap to guess for whoever poses as a broker; Kafka allows no fewer.
const ITERATIONS_MIN: u64 = 4096;
/// More would keep this program busy for minutes; Kafka's brokers use some thousands.
const ITERATIONS_MAX: u64 = 1_000_000;

/// How much of a broker's words about a token is shown.
const STATUS_BYTES_MAX: usize = 1_000;

/// Why a mechanism can't go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The broker does not know the password, or is none of ours.
    ServerSignature,
    /// The broker asks for a number of iterations that is no good.
    Iterations(u64),
    /// The broker rejects a token, in its own words.
    Token(String),
    /// The broker's bytes make no sense, or the credentials can't be sent.
    Other(String),
    /// It takes too many messages.
    Endless,
}

impl Broken {
    /// A sentence for a person.
    pub(super) fn sentence(&self, mechanism: &str) -> String {
        match self {
            Self::ServerSignature => format!(
                "the broker's signature in {mechanism} is wrong: it does not know this user's password, so it may not be the broker that it seems to be"
            ),
            Self::Iterations(count) => format!(
                "the broker asks for {count} iterations of {mechanism}; only {ITERATIONS_MIN} to {ITERATIONS_MAX} are taken"
            ),
            Self::Token(status) => format!("the broker rejects the bearer token: {status}"),
            Self::Other(why) => format!("{mechanism} failed: {why}"),
            Self::Endless => format!("{mechanism} did not come to an end"),
        }
    }
}

/// A mechanism in progress.
pub(super) struct Exchange {
    session: Session,
    is_scram: bool,
    /// Messages of the broker that were read.
    messages: usize,
    is_token: bool,
    /// What the broker said last about how long the proof is good for.
    pub(super) session_lifetime: Option<Duration>,
}

impl Exchange {
    /// PLAIN or SCRAM.
    pub(super) fn with_password(
        mechanism: &str,
        credentials: &Credentials,
        salted: &Arc<SaltedPasswords>,
    ) -> Result<Self, Broken> {
        let proof = Proof::Password {
            mechanism: mechanism.to_owned(),
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            salted: Arc::clone(salted),
        };
        Self::start(mechanism, proof)
    }

    /// OAUTHBEARER.
    pub(super) fn with_token(token: SecretString, extensions: Vec<(String, String)>) -> Result<Self, Broken> {
        Self::start("OAUTHBEARER", Proof::Token { token, extensions })
    }

    fn start(mechanism: &str, proof: Proof) -> Result<Self, Broken> {
        let is_token = matches!(proof, Proof::Token { .. });
        let other = |error: String| Broken::Other(error);
        let config: Arc<SASLConfig> =
            SASLConfig::builder().with_defaults().with_callback(proof).map_err(|error| other(error.to_string()))?;
        let name = Mechname::parse(mechanism.as_bytes()).map_err(|error| other(error.to_string()))?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|error| other(error.to_string()))?;
        Ok(Self { session, is_scram: mechanism.starts_with("SCRAM"), messages: 0, is_token, session_lifetime: None })
    }

    /// Takes the broker's bytes, if there are any yet; gives the state and the bytes to send, if there are any.
    pub(super) fn step(&mut self, input: Option<&[u8]>) -> Result<(State, Option<Vec<u8>>), Broken> {
        if self.is_scram
            && let Some(input) = input
        {
            self.check_scram(input)?;
        }
        if self.is_token
            && let Some(status) = input.filter(|input| !input.is_empty())
        {
            let shown = &status[..status.len().min(STATUS_BYTES_MAX)];
            return Err(Broken::Token(String::from_utf8_lossy(shown).into_owned()));
        }
        let mut message = Vec::new();
        let state = self.session.step(input, &mut message).map_err(|error| match error {
            SessionError::MutualAuthenticationFailed => Broken::ServerSignature,
            error => Broken::Other(error.to_string()),
        })?;
        Ok((state, (!message.is_empty()).then_some(message)))
    }

    /// rsasl sees no message of SCRAM that has not the shape that it takes for granted.
    fn check_scram(&mut self, message: &[u8]) -> Result<(), Broken> {
        self.messages += 1;
        if self.messages > 1 {
            return scram::check_final(message).map_err(Broken::Other);
        }
        check_iterations(message)?;
        scram::check_first(message).map_err(Broken::Other)
    }
}

/// The broker's first message of SCRAM is `r=NONCE,s=SALT,i=ITERATIONS`. What is no number at all is refused with the shape.
fn check_iterations(message: &[u8]) -> Result<(), Broken> {
    let text = String::from_utf8_lossy(message);
    let count = text.split(',').skip(2).find_map(|part| part.strip_prefix("i="));
    match count.and_then(|count| count.parse::<u64>().ok()) {
        Some(count) if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&count) => Err(Broken::Iterations(count)),
        _ => Ok(()),
    }
}

/// What rsasl asks for.
enum Proof {
    Password { mechanism: String, username: String, password: SecretString, salted: Arc<SaltedPasswords> },
    Token { token: SecretString, extensions: Vec<(String, String)> },
}

impl SessionCallback for Proof {
    fn callback(&self, _: &SessionData, known: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        match self {
            Self::Password { mechanism, username, password, salted } => {
                let recipe = known.get_ref::<Salt>().zip(known.get_ref::<Iterations>());
                if let Some((salt, iterations)) = recipe.filter(|_| request.is::<SaltedPassword>()) {
                    let password = (mechanism.as_str(), password.expose_secret().as_bytes());
                    let take = |salted: &[u8]| request.satisfy::<SaltedPassword>(salted).map(drop);
                    return salted.with(password, (salt, *iterations), take).unwrap_or(Ok(()));
                }
                request.satisfy::<AuthId>(username)?.satisfy::<Password>(password.expose_secret().as_bytes())?;
            }
            Self::Token { token, extensions } => {
                let pairs: Vec<(&str, &str)> =
                    extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                request.satisfy::<OAuthBearerToken>(token.expose_secret())?.satisfy::<OAuthBearerKV>(&pairs)?;
            }
        }
        Ok(())
    }
}
