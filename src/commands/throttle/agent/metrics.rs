//! The agent's decisions as metrics: every rate with its reason, floor and ceiling, in Prometheus' text format.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::commands::throttle::agent::view::View;

type Labels = Vec<(&'static str, String)>;
type Rates = Family<Labels, Gauge<f64, AtomicU64>>;

/// Adds what the agent decided to what Prometheus reads.
pub fn register(view: &View, registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("kafka_toolbox_throttle");
    rates(registry, view);
    totals(registry, view);
}

fn family(registry: &mut Registry, name: &str, help: &str) -> Rates {
    let family = Rates::default();
    registry.register(name, help, family.clone());
    family
}

fn rates(registry: &mut Registry, view: &View) {
    let rate = family(registry, "rate_bytes_per_second", "The rate that is set, and why");
    let floor = family(registry, "floor_bytes_per_second", "The least rate with which the moves end");
    let ceiling = family(registry, "ceiling_bytes_per_second", "The most that clients leave");
    let foreground = family(registry, "foreground_bytes_per_second", "What clients and followers in sync take");
    for decided in &view.rates {
        let labels = vec![("broker", decided.broker.to_string()), ("side", decided.side.to_string())];
        let why = [labels.clone(), vec![("reason", decided.reason.word().to_owned())]].concat();
        rate.get_or_create(&why).set(decided.rate.to_f64());
        floor.get_or_create(&labels).set(decided.floor.to_f64());
        if let Some(most) = decided.ceiling {
            ceiling.get_or_create(&labels).set(most.to_f64());
        }
        if let Some(used) = decided.foreground {
            foreground.get_or_create(&labels).set(used.to_f64());
        }
    }
    let given = family(registry, "override_bytes_per_second", "Rates that a person gave");
    if let Some(cluster) = &view.overrides.cluster {
        given.get_or_create(&vec![("broker", "all".to_owned())]).set(cluster.rate.to_f64());
    }
    for (broker, one) in &view.overrides.brokers {
        given.get_or_create(&vec![("broker", broker.to_string())]).set(one.rate.to_f64());
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 bytes nobody counts single ones")]
fn totals(registry: &mut Registry, view: &View) {
    let none = Labels::new();
    let moving = family(registry, "moving_partitions", "Partitions that get replicas now");
    moving.get_or_create(&none).set(view.moving as f64);
    let remaining = family(registry, "remaining_bytes", "What is still to be copied");
    remaining.get_or_create(&none).set(view.remaining_bytes as f64);
    if let Some(seconds) = view.eta_seconds {
        family(registry, "eta_seconds", "The time to the end").get_or_create(&none).set(seconds);
    }
    let notes = family(registry, "notes", "What a person should know, by the kind of its event");
    for note in &view.notes {
        notes.get_or_create(&vec![("kind", note.kind.to_owned()), ("subject", note.subject.clone())]).set(1.0);
    }
    let source = family(registry, "load_source", "Who measured the load");
    if !view.source.is_empty() {
        source.get_or_create(&vec![("source", view.source.to_owned())]).set(1.0);
    }
    let cut_off =
        family(registry, "overrides_unreadable", "1 while the last known overrides hold, since none can be read");
    cut_off.get_or_create(&none).set(f64::from(u8::from(view.cut_off.is_some())));
    let changes = Family::<Labels, Counter>::default();
    registry.register("changes", "Writes by the kind of their event and how they ended", changes.clone());
    for ((kind, outcome), count) in &view.changes {
        changes.get_or_create(&vec![("kind", (*kind).to_owned()), ("outcome", outcome.clone())]).inc_by(*count);
    }
}
