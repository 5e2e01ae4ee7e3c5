//! Who may use a command's own routes: everybody, whoever has the token, or nobody.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::agent::port::refusal::Refusal;
use crate::formats::secret::{ExposeSecret, SecretString};

/// Who may use a command's own routes.
#[derive(Debug)]
pub enum Access {
    /// Everybody: only this machine reaches the port.
    Open,
    /// Whoever has the token.
    Token(SecretString),
    /// Nobody: others reach the port, and there is no token.
    Closed,
}

impl Access {
    /// Whether these headers may pass.
    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self {
            Self::Open => Ok(()),
            Self::Token(token) if is_given(headers, token) => Ok(()),
            Self::Token(_) => Err(Refusal(
                StatusCode::UNAUTHORIZED,
                "this needs the agent's token, in a header `Authorization: Bearer TOKEN`".to_owned(),
            )),
            Self::Closed => Err(Refusal(
                StatusCode::FORBIDDEN,
                "overrides are closed: the agent has no token, and other machines reach this port. Start it with \
                 --api-token-file, or use `toolbox throttle set`"
                    .to_owned(),
            )),
        }
    }
}

/// Lets a request pass, or answers it.
pub(super) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Whether the token stands in the headers. The scheme's case does not matter (RFC 9110, 11.1).
fn is_given(headers: &HeaderMap, token: &SecretString) -> bool {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((scheme, given)) = given.split_once(' ') else { return false };
    scheme.eq_ignore_ascii_case("bearer") && is_same(given.trim(), token.expose_secret())
}

/// Compares without telling by its time how much was right: digests of one length, every byte of them.
fn is_same(one: &str, two: &str) -> bool {
    let (one, two) = (Sha256::digest(one), Sha256::digest(two));
    one.iter().zip(two.iter()).fold(0, |differs, (one, two)| differs | (one ^ two)) == 0
}
