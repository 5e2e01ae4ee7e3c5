//! The agent's own routes: rates and overrides as JSON, behind the token.
//!
//! | call | does |
//! |---|---|
//! | `GET /throttle`, `GET /throttle/{broker}` | shows rates, reasons and overrides |
//! | `POST /throttle?rate=50MB/s[&ttl=1h][&autoremove=true][&by=NAME]`, `POST /throttle/{broker}?…` | overrides |
//! | `DELETE /throttle[?by=NAME]`, `DELETE /throttle/{broker}` | removes one override; 404 where there is none |
//! | `DELETE /throttle/brokers` | removes those of all single brokers, not the one for all brokers |
//! | `POST /throttle/remove`, `/throttle/remove/{broker}`, `/throttle/remove/all` | the same three, as autothrottle has it |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::agent::port::parameters::{parameters, shown, text, yes_or_no};
use crate::agent::port::refusal::Refusal;
use crate::agent::port::routes::role;
use crate::agent::status::Status;
use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Override;
use crate::cluster::size::ByteRate;
use crate::commands::throttle::agent::view::{Asks, Board, Change, Edit};
use crate::commands::throttle::spec::rate_above_zero;
use crate::context::duration;

/// Longest wait for the agent: a tick may be under way.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// Longest time that an override may hold.
const TTL_MAX: Duration = Duration::from_hours(30 * 24);

/// Highest rate: no broker copies more.
const RATE_MAX: ByteRate = ByteRate(1_000_000_000_000);

/// What an override is given with.
const GIVEN: [&str; 4] = ["rate", "ttl", "autoremove", "by"];

/// The routes in words, for whoever asks for one that does not exist.
pub const TABLE: [&str; 10] = [
    "GET /throttle",
    "GET /throttle/{broker}",
    "POST /throttle?rate=50MB/s[&ttl=1h][&autoremove=true][&by=NAME]",
    "POST /throttle/{broker}?rate=…",
    "DELETE /throttle[?by=NAME]",
    "DELETE /throttle/{broker}",
    "DELETE /throttle/brokers",
    "POST /throttle/remove",
    "POST /throttle/remove/{broker}",
    "POST /throttle/remove/all",
];

/// What the handlers know.
#[derive(Debug)]
pub struct Api {
    /// What the agent shows.
    pub board: Arc<Board>,
    /// How the agent is asked.
    pub asks: Arc<Asks>,
    /// How the agent fares.
    pub status: Arc<Status>,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

type Shared = Arc<Api>;
type Answer = Result<Json<Value>, Refusal>;

/// The agent's own routes.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/throttle", get(show).post(set).delete(remove))
        .route("/throttle/remove", post(remove))
        .route("/throttle/remove/all", post(remove_of_brokers))
        .route("/throttle/remove/{broker}", post(remove_one))
        .route("/throttle/brokers", delete(remove_of_brokers))
        .route("/throttle/{broker}", get(show_one).post(set_one).delete(remove_one))
        .with_state(Arc::new(api))
}

/// The override that a query gives.
fn given(uri: &Uri, now: Timestamp) -> Result<Override, Refusal> {
    let mut given = parameters(uri, &GIVEN)?;
    let Some(rate) = given.remove("rate") else {
        return Err(Refusal::wrong("`rate` is missing: say how much, as `?rate=50MB/s`"));
    };
    let rate = rate_above_zero(&rate).map_err(Refusal::wrong)?;
    if rate > RATE_MAX {
        return Err(Refusal::wrong(format!("`rate` is {rate}, and at most {RATE_MAX}")));
    }
    let until = given.remove("ttl").map(|ttl| until(&ttl, now)).transpose()?;
    let autoremove = given.remove("autoremove").map(|value| yes_or_no("autoremove", &value)).transpose()?;
    let by = given.remove("by").map(|by| text("by", by)).transpose()?;
    Ok(Override {
        rate,
        since: now,
        until,
        autoremove: autoremove.unwrap_or_default(),
        has_applied: false,
        by: by.unwrap_or_else(anybody),
    })
}

/// Who asks, where they do not say it.
fn anybody() -> String {
    "somebody over HTTP".to_owned()
}

/// Who asks for a removal.
fn who(uri: &Uri) -> Result<String, Refusal> {
    let by = parameters(uri, &["by"])?.remove("by").map(|by| text("by", by)).transpose()?;
    Ok(by.unwrap_or_else(anybody))
}

fn until(ttl: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let ttl = duration(ttl).map_err(|why| {
        // What is no duration is repeated there as it was sent.
        let is_none = why.starts_with('`');
        let words = if is_none { "which is not a duration such as 90s, 10m, 2h or 7d" } else { why.as_str() };
        Refusal::wrong(format!("`ttl` is `{}`, {words}", shown(ttl)))
    })?;
    if ttl > TTL_MAX {
        return Err(Refusal::wrong("`ttl` is longer than 30 days (30d)"));
    }
    now.checked_add(ttl).map_err(|error| Refusal::wrong(error.to_string()))
}

fn broker(text: &str) -> Result<BrokerId, Refusal> {
    text.parse().map_err(|_| Refusal::wrong(format!("`{}` is not a broker's id: a number is", shown(text))))
}

fn no_parameters(uri: &Uri) -> Result<(), Refusal> {
    parameters(uri, &[]).map(drop)
}

async fn ask(api: &Api, change: Change) -> Answer {
    let done = change.to_string();
    let overrides = api.asks.ask(change, ANSWER_MAX).await??;
    Ok(Json(json!({ "done": done, "overrides": overrides })))
}

async fn show(State(api): State<Shared>, uri: Uri) -> Answer {
    no_parameters(&uri)?;
    let (view, standing, (role, leader)) = (api.board.view(), api.status.standing(), role(&api.status));
    Ok(Json(json!({
        "cluster": view.cluster,
        "role": role,
        "leader": leader,
        "at": standing.done_at,
        "moving": view.moving,
        "remaining_bytes": view.remaining_bytes,
        "eta_seconds": view.eta_seconds,
        "source": view.source,
        "rates": view.rates,
        "notes": view.notes,
        "overrides": view.overrides,
        "overrides_unreadable": view.cut_off,
        "failure": standing.failure,
    })))
}

async fn show_one(State(api): State<Shared>, Path(id): Path<String>, uri: Uri) -> Answer {
    no_parameters(&uri)?;
    let broker = broker(&id)?;
    let view = api.board.view();
    let rates: Vec<_> = view.rates.iter().filter(|rate| rate.broker == broker).collect();
    let given = view.overrides.brokers.get(&broker);
    if rates.is_empty() && given.is_none() {
        return Err(Refusal::not_found(format!("broker {broker} takes part in no move and has no override")));
    }
    Ok(Json(json!({ "broker": broker, "rates": rates, "override": given })))
}

async fn set(State(api): State<Shared>, uri: Uri) -> Answer {
    let given = given(&uri, (api.clock)())?;
    ask(&api, Change::set(None, given)).await
}

async fn set_one(State(api): State<Shared>, Path(id): Path<String>, uri: Uri) -> Answer {
    let broker = broker(&id)?;
    let given = given(&uri, (api.clock)())?;
    ask(&api, Change::set(Some(broker), given)).await
}

async fn remove(State(api): State<Shared>, uri: Uri) -> Answer {
    ask(&api, Change { by: who(&uri)?, edit: Edit::Remove(None) }).await
}

async fn remove_one(State(api): State<Shared>, Path(id): Path<String>, uri: Uri) -> Answer {
    ask(&api, Change { by: who(&uri)?, edit: Edit::Remove(Some(broker(&id)?)) }).await
}

async fn remove_of_brokers(State(api): State<Shared>, uri: Uri) -> Answer {
    ask(&api, Change { by: who(&uri)?, edit: Edit::RemoveOfBrokers }).await
}
