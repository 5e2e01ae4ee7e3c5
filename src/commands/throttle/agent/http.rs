//! The agent's port: overrides as JSON behind a token, metrics and health for everybody.
//!
//! | call | does |
//! |---|---|
//! | `GET /throttle`, `GET /throttle/{broker}` | shows rates, reasons and overrides |
//! | `POST /throttle?rate=50MB/s[&ttl=1h][&autoremove=true]`, `POST /throttle/{broker}?…` | overrides |
//! | `DELETE /throttle`, `DELETE /throttle/{broker}`, `DELETE /throttle/brokers` | takes overrides back |
//! | `POST /throttle/remove`, `/throttle/remove/{broker}`, `/throttle/remove/all` | the same, as autothrottle has it |
//! | `GET /metrics`, `GET /healthz` | Prometheus; 503 where no tick went well lately |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Override;
use crate::commands::throttle::agent::metrics;
use crate::commands::throttle::agent::view::{Board, Change};
use crate::commands::throttle::spec::rate_above_zero;
use crate::context::duration;
use crate::formats::secret::{ExposeSecret, SecretString};

/// Longest wait for the agent: a tick may be under way.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// After so many ticks without one that went well, the agent is not healthy.
const TICKS_MISSED_MAX: u32 = 5;

/// What the handlers know.
#[derive(Debug)]
pub struct Port {
    /// What the agent shows and hears.
    pub board: Arc<Board>,
    /// Who may read and change overrides.
    pub access: Access,
    /// The time between two ticks.
    pub tick: Duration,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

/// Who may read and change overrides.
#[derive(Debug)]
pub enum Access {
    /// Everybody: only this machine reaches the port.
    Open,
    /// Whoever has the token.
    Token(SecretString),
    /// Nobody: others reach the port, and there is no token.
    Closed,
}

type Shared = Arc<Port>;

/// The routes.
pub fn routes(port: Port) -> Router {
    let port = Arc::new(port);
    let behind_token = Router::new()
        .route("/throttle", get(show).post(set).delete(remove))
        .route("/throttle/remove", post(remove))
        .route("/throttle/remove/all", post(remove_of_brokers))
        .route("/throttle/remove/{broker}", post(remove_one))
        .route("/throttle/brokers", delete(remove_of_brokers))
        .route("/throttle/{broker}", get(show_one).post(set_one).delete(remove_one))
        .layer(from_fn_with_state(Arc::clone(&port), check_token));
    Router::new().merge(behind_token).route("/metrics", get(scrape)).route("/healthz", get(health)).with_state(port)
}

/// Why a request is not served: a status and words.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn check_token(State(port): State<Shared>, request: Request, next: Next) -> Response {
    let token = match &port.access {
        Access::Open => return next.run(request).await,
        Access::Token(token) => token,
        Access::Closed => {
            let words = "overrides are closed: the agent has no token, and others than its machine reach this port";
            return Refused(StatusCode::FORBIDDEN, words.to_owned()).into_response();
        }
    };
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if is_same(given, token.expose_secret()) {
        return next.run(request).await;
    }
    let words = "a bearer token is needed: `Authorization: Bearer …`";
    Refused(StatusCode::UNAUTHORIZED, words.to_owned()).into_response()
}

/// Compares without telling by its time how much was right: digests of one length, every byte of them.
fn is_same(one: &str, two: &str) -> bool {
    let (one, two) = (Sha256::digest(one), Sha256::digest(two));
    one.iter().zip(two.iter()).fold(0, |differs, (one, two)| differs | (one ^ two)) == 0
}

/// What a rate is given with.
#[derive(Debug, Deserialize)]
struct Given {
    rate: String,
    ttl: Option<String>,
    #[serde(default)]
    autoremove: bool,
    by: Option<String>,
}

impl Given {
    fn read(self, now: Timestamp) -> Result<Override, Refused> {
        let bad = |why: String| Refused(StatusCode::BAD_REQUEST, why);
        let rate = rate_above_zero(&self.rate).map_err(bad)?;
        let ttl = self.ttl.as_deref().map(duration).transpose().map_err(bad)?;
        let until = ttl.map(|ttl| now.checked_add(ttl).map_err(|error| bad(error.to_string()))).transpose()?;
        let by = self.by.unwrap_or_else(|| "the HTTP API".to_owned());
        Ok(Override { rate, since: now, until, autoremove: self.autoremove, by })
    }
}

fn broker(text: &str) -> Result<BrokerId, Refused> {
    text.parse().map_err(|why| Refused(StatusCode::BAD_REQUEST, why))
}

async fn ask(port: &Port, change: Change) -> Result<Json<Value>, Refused> {
    let answer = timeout(ANSWER_MAX, port.board.ask(change)).await;
    let late = |_| Refused(StatusCode::SERVICE_UNAVAILABLE, "the agent has not answered; look at its log".to_owned());
    let overrides = answer.map_err(late)?.map_err(|why| Refused(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(Json(json!({ "overrides": overrides })))
}

async fn show(State(port): State<Shared>) -> Json<Value> {
    let view = port.board.view();
    Json(json!({
        "cluster": view.cluster,
        "at": view.at,
        "moving": view.moving,
        "remaining_bytes": view.remaining_bytes,
        "eta_seconds": view.eta_seconds,
        "source": view.source,
        "rates": view.rates,
        "notes": view.notes,
        "overrides": view.overrides,
        "failure": view.failure,
    }))
}

async fn show_one(State(port): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let broker = broker(&id)?;
    let view = port.board.view();
    let rates: Vec<_> = view.rates.iter().filter(|rate| rate.broker == broker).collect();
    let given = view.overrides.brokers.get(&broker);
    if rates.is_empty() && given.is_none() {
        let words = format!("broker {broker} takes part in no move and has no override");
        return Err(Refused(StatusCode::NOT_FOUND, words));
    }
    Ok(Json(json!({ "broker": broker, "rates": rates, "override": given })))
}

async fn set(State(port): State<Shared>, Query(given): Query<Given>) -> Result<Json<Value>, Refused> {
    let given = given.read((port.clock)())?;
    ask(&port, Change::Set(None, given)).await
}

async fn set_one(
    State(port): State<Shared>,
    Path(id): Path<String>,
    Query(given): Query<Given>,
) -> Result<Json<Value>, Refused> {
    let given = given.read((port.clock)())?;
    ask(&port, Change::Set(Some(broker(&id)?), given)).await
}

async fn remove(State(port): State<Shared>) -> Result<Json<Value>, Refused> {
    ask(&port, Change::Remove(None)).await
}

async fn remove_one(State(port): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    ask(&port, Change::Remove(Some(broker(&id)?))).await
}

async fn remove_of_brokers(State(port): State<Shared>) -> Result<Json<Value>, Refused> {
    ask(&port, Change::RemoveOfBrokers).await
}

async fn scrape(State(port): State<Shared>) -> Response {
    let kind = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (kind, metrics::text(&port.board.view())).into_response()
}

async fn health(State(port): State<Shared>) -> Response {
    let view = port.board.view();
    let age = view.at.map(|at| (port.clock)().duration_since(at).unsigned_abs());
    let is_healthy = age.is_some_and(|age| age <= port.tick * TICKS_MISSED_MAX);
    let status = if is_healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "healthy": is_healthy, "last_tick": view.at, "failure": view.failure }))).into_response()
}
