//! The routes that every agent has, beside those of its command.
//!
//! | route | says |
//! |---|---|
//! | `GET /healthz` | 200 while the agent works or stands by as it should; 503 with why not |
//! | `GET /livez` | 200 while its loop goes round; 503 where it hangs and only a restart helps |
//! | `GET /metrics` | OpenMetrics text for Prometheus |

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::agent::metrics;
use crate::agent::port::access::{self, Access};
use crate::agent::port::origin::{self, Hosts};
use crate::agent::port::refusal::Refusal;
use crate::agent::status::{Role, Status};

/// The routes that every agent has.
const COMMON: [&str; 3] = ["GET /healthz", "GET /livez", "GET /metrics"];

/// What a port serves.
pub struct Port {
    /// How the agent fares.
    pub status: Arc<Status>,
    /// Who may use the command's own routes.
    pub access: Access,
    /// Under which names it may be addressed.
    pub hosts: Hosts,
    /// The command's own routes.
    pub api: Router,
    /// Those routes in words, for whoever asks for one that does not exist.
    pub table: Vec<&'static str>,
    /// Adds the command's own metrics.
    pub metrics: Arc<dyn Fn(&mut Registry) + Send + Sync>,
}

impl Port {
    /// Health and metrics alone, for whoever reaches the port.
    pub fn of_health(status: &Arc<Status>, metrics: impl Fn(&mut Registry) + Send + Sync + 'static) -> Self {
        Self {
            status: Arc::clone(status),
            access: Access::Closed,
            hosts: Hosts::default(),
            api: Router::new(),
            table: Vec::new(),
            metrics: Arc::new(metrics),
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("hosts", &self.hosts).field("table", &self.table).finish_non_exhaustive()
    }
}

/// All routes of a port.
pub fn routes(port: Port) -> Router {
    let Port { status, access, hosts, api, table, metrics } = port;
    let table: Arc<[&str]> = table.into_iter().chain(COMMON).collect();
    let of_fallback = Arc::clone(&table);
    let of_scrape = Arc::clone(&status);
    let scrape = async move || {
        let text = metrics::text(&of_scrape, |registry| metrics(registry));
        ([("content-type", metrics::CONTENT_TYPE)], text).into_response()
    };
    let common = Router::new()
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .with_state(status)
        .route("/metrics", get(scrape));
    let api = api.layer(from_fn_with_state(Arc::new(access), access::check));
    common
        .merge(api)
        .fallback(async move || no_route(StatusCode::NOT_FOUND, "there is no such route", &of_fallback))
        .method_not_allowed_fallback(async move || {
            no_route(StatusCode::METHOD_NOT_ALLOWED, "this route does not take this method", &table)
        })
        .layer(from_fn_with_state(Arc::new(hosts), origin::check))
}

fn no_route(status: StatusCode, words: &str, table: &[&str]) -> Response {
    (status, Json(json!({ "error": words, "routes": table }))).into_response()
}

/// What the agent is, as the answers of this port show it.
pub fn role(status: &Status) -> (&'static str, Option<String>) {
    match status.standing().role {
        Role::Starting => ("starting", None),
        Role::Standby(leader) => ("standby", Some(leader)),
        Role::Leader => ("leader", None),
    }
}

async fn healthz(State(status): State<Arc<Status>>) -> Response {
    let trouble = status.trouble();
    let code = if trouble.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let ((role, leader), standing) = (role(&status), status.standing());
    let body: Value = json!({
        "healthy": trouble.is_none(),
        "reason": trouble,
        "role": role,
        "leader": leader,
        "last_good_tick": standing.done_at,
    });
    (code, Json(body)).into_response()
}

async fn livez(State(status): State<Arc<Status>>) -> Result<Json<Value>, Refusal> {
    match status.hangs() {
        None => Ok(Json(json!({ "alive": true }))),
        Some(why) => Err(Refusal::unavailable(why)),
    }
}
