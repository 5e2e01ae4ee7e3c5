//! The routes of the HTTP form. Nothing is asked of the server when a request comes.
//!
//! | call | answers |
//! |---|---|
//! | `GET /live` | 200 while the server is alive, else 503 |
//! | `GET /ready` | 200 while it is ready, else 503 |
//! | `GET /detail` | 200 with both, and all that the last look saw |
//!
//! Each answer is JSON with `state`, `reason` and `age_seconds` (null before the first look has ended).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::commands::probe::agent::board::Board;
use crate::commands::probe::verdict::Verdict;

/// The routes in words, for whoever asks for one that does not exist.
pub const TABLE: [&str; 3] = ["GET /live", "GET /ready", "GET /detail"];

/// The routes.
pub fn routes(board: Arc<Board>) -> Router {
    Router::new().route("/live", get(live)).route("/ready", get(ready)).route("/detail", get(detail)).with_state(board)
}

/// Metrics of what was found last.
pub fn register(board: &Board, registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("toolbox_probe");
    for (name, help, (verdict, age)) in
        [("live", "1 while the server is alive", board.live()), ("ready", "1 while the server is ready", board.ready())]
    {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(f64::from(u8::from(verdict.state.passes())));
        registry.register(name, help, gauge);
        if let (Some(age), "ready") = (age, name) {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(age.as_secs_f64());
            registry.register("age_seconds", "How old the last look is", gauge);
        }
    }
}

async fn live(State(board): State<Arc<Board>>) -> Response {
    let (verdict, age) = board.live();
    answer(&verdict, age)
}

async fn ready(State(board): State<Arc<Board>>) -> Response {
    let (verdict, age) = board.ready();
    answer(&verdict, age)
}

async fn detail(State(board): State<Arc<Board>>) -> Json<Value> {
    let ((live, age), (ready, _)) = (board.live(), board.ready());
    Json(json!({ "live": body(&live, age), "ready": body(&ready, age), "seen": board.detail() }))
}

fn answer(verdict: &Verdict, age: Option<Duration>) -> Response {
    let status = if verdict.state.passes() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body(verdict, age))).into_response()
}

fn body(verdict: &Verdict, age: Option<Duration>) -> Value {
    // Milliseconds are enough.
    let age = age.map(|age| (age.as_secs_f64() * 1_000.0).round() / 1_000.0);
    json!({ "state": verdict.state, "reason": verdict.reason, "age_seconds": age })
}
