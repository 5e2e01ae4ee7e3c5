//! What every agent shows Prometheus; a command adds its own. Texts are in OpenMetrics' format.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::agent::status::{Role, Status};

/// The kind of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The agent's metrics (`toolbox_agent_…`), and what the command adds.
pub fn text(status: &Status, add: impl FnOnce(&mut Registry)) -> String {
    let mut registry = Registry::default();
    register(status, registry.sub_registry_with_prefix("toolbox_agent"));
    add(&mut registry);
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &registry) {
        let _ = writeln!(text, "# {error}");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
fn register(status: &Status, registry: &mut Registry) {
    let standing = status.standing();
    let mut gauge = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let is = |yes: bool| f64::from(u8::from(yes));
    gauge("leader", "1 if this process works, 0 if it stands by", is(standing.role == Role::Leader));
    gauge("healthy", "1 if /healthz answers 200", is(status.trouble().is_none()));
    gauge("failed_ticks_in_a_row", "Ticks that failed one after another", f64::from(standing.failures));
    if let Some(at) = standing.ended_at {
        gauge("last_tick_timestamp_seconds", "When the last tick ended, however it did", at.as_second() as f64);
    }
    if let Some(at) = standing.done_at {
        gauge("last_good_tick_timestamp_seconds", "When the last tick ended that went well", at.as_second() as f64);
    }
    if let Some(took) = standing.took {
        gauge("last_tick_duration_seconds", "How long the last tick took", took.as_secs_f64());
    }
    let ticks = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
    registry.register("ticks", "Ticks by how they ended", ticks.clone());
    for (result, count) in standing.ticks {
        ticks.get_or_create(&vec![("result", result)]).inc_by(count);
    }
}
