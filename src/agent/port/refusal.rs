//! Every answer that is a no: a status, and words that say what to do, as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::agent::inbox::Unheard;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub StatusCode, pub String);

impl Refusal {
    /// 400: the request is wrong.
    pub fn wrong(words: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, words.into())
    }

    /// 404: what it names does not exist.
    pub fn not_found(words: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, words.into())
    }

    /// 503: not now.
    pub fn unavailable(words: impl Into<String>) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, words.into())
    }
}

impl From<Unheard> for Refusal {
    fn from(why: Unheard) -> Self {
        let status =
            if why == Unheard::Unknown { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::SERVICE_UNAVAILABLE };
        Self(status, why.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, words) = self;
        (status, Json(json!({ "error": words }))).into_response()
    }
}
