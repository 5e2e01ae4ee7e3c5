//! A broker's two messages of SCRAM.

use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::SaltedPassword;
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SessionError};
use rsasl::property::AuthId;

use crate::have_scrams_shape;

struct Ada;

impl SessionCallback for Ada {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<AuthId>("ada")?.satisfy::<SaltedPassword>(&[7; 32])?;
        Ok(())
    }
}

/// Both messages, with the client's nonce where they say NONCE: what passes our check of their shape makes the library neither
/// panic nor believe it.
pub fn sasl(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (first, last) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let config: Arc<SASLConfig> = SASLConfig::builder().with_defaults().with_callback(Ada).expect("a config");
    let name = Mechname::parse(b"SCRAM-SHA-256").expect("a mechanism");
    let mut session = SASLClient::new(config).start_suggested(&[name]).expect("a session");
    let mut sent = Vec::new();
    session.step(None, &mut sent).expect("a first message");
    let nonce = sent.windows(3).position(|part| part == b",r=").map(|at| sent[at + 3..].to_vec()).unwrap_or_default();
    let first = match first.strip_prefix(b"r=NONCE") {
        Some(rest) => [b"r=", &nonce[..], rest].concat(),
        None => first.to_vec(),
    };
    let (is_first, is_last) = have_scrams_shape(&first, last);
    if is_first && session.step(Some(&first), &mut Vec::new()).is_ok() && is_last {
        assert!(session.step(Some(last), &mut Vec::new()).is_err(), "a signature without the password");
    }
}
