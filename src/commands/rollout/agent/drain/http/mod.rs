//! The webhook: `POST /evict` takes an AdmissionReview and answers it. Nothing else is served on this port.
//!
//! It has no check of `Host` and no token: the API server sends neither a name of ours that could be pointed elsewhere nor a
//! secret, and the certificate keeps browsers out. Whoever else reaches the port learns whether a pod may be evicted, and may
//! keep other evictions waiting for half a minute with each request; a NetworkPolicy says who does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use tokio::time::{Instant, timeout_at};

use crate::agent::inbox::Inbox;
use crate::agent::port::refusal::Refusal;
use crate::commands::rollout::agent::drain::board::Board;
use crate::commands::rollout::spec::review::{Answer, BODY_BYTES_MAX, Eviction, Unfit, parse};

/// The part of an answer's time that is left for what was decided to reach the API server.
const RESERVE: Duration = Duration::from_millis(500);

/// A question with its deadline.
#[derive(Debug)]
pub struct Question {
    /// About which pod.
    pub eviction: Eviction,
    /// What is not decided by then is denied.
    pub until: Instant,
}

/// How the guard is asked.
pub type Asks = Inbox<Question, Answer>;

/// What the handler knows.
#[derive(Debug)]
pub struct Api {
    /// How the guard is asked.
    pub asks: Arc<Asks>,
    /// Where answers are counted.
    pub board: Arc<Board>,
    /// The longest time until an answer.
    pub within: Duration,
}

/// The routes.
pub fn routes(api: Api) -> Router {
    let nothing = async || Refusal::not_found("there is `POST /evict` with an AdmissionReview").into_response();
    Router::new()
        .route("/evict", post(evict))
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(api))
}

async fn evict(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    let begun = Instant::now();
    let eviction = match parse(&body) {
        Ok(eviction) => eviction,
        Err(Unfit::NoReview(why)) => {
            api.board.answered("wrong", false, begun.elapsed());
            return Refusal(StatusCode::BAD_REQUEST, why).into_response();
        }
        Err(Unfit::NoEviction { uid, why }) => {
            let answer = Answer::Wrong(why);
            api.board.answered(answer.word(), false, begun.elapsed());
            return Json(answer.review(&uid)).into_response();
        }
    };
    let (uid, is_dry_run) = (eviction.uid.clone(), eviction.is_dry_run);
    let last = begun + api.within;
    let until = last.checked_sub(RESERVE).unwrap_or(begun);
    let limit = until.duration_since(begun);
    let late = || Answer::NotNow(format!("E_NO_ANSWER: no decision within {} s; try again", api.within.as_secs()));
    let asked = timeout_at(last, api.asks.ask(Question { eviction, until }, limit)).await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(unheard)) => Answer::NotNow(format!("E_NO_ANSWER: {unheard}")),
        Err(_) => late(),
    };
    api.board.answered(answer.word(), is_dry_run, begun.elapsed());
    Json(answer.review(&uid)).into_response()
}

#[cfg(test)]
mod tests;
