//! What `ensemble watch` shows Prometheus: the number of voters and what it survives, the two alerts, what is refused.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::commands::ensemble::agent::View;
use crate::commands::ensemble::plan::coherence::Alert;

type Labels = Vec<(&'static str, String)>;

/// Adds what the agent sees to what Prometheus reads.
#[expect(clippy::cast_precision_loss, reason = "numbers of servers")]
pub fn register(view: &View, registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("kafka_toolbox_ensemble");
    let ensemble = || ("ensemble", view.ensemble.clone());
    let mut gauge = |name: &str, help: &str, values: Vec<(Labels, f64)>| {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        registry.register(name, help, family.clone());
        for (labels, value) in values {
            family.get_or_create(&[vec![ensemble()], labels].concat()).set(value);
        }
    };
    let one = |value: f64| vec![(Labels::new(), value)];
    if let Some(tolerance) = view.tolerance {
        gauge("voters", "Voters of the live configuration", one(tolerance.voters as f64));
        gauge("voters_live", "Voters that serve and are caught up", one(tolerance.live as f64));
        gauge(
            "spare_voters",
            "How many more voters may fail; below 0 there is no quorum",
            one(tolerance.spare() as f64),
        );
    }
    if let Some(size) = view.size {
        gauge("voters_desired", "Voters that there should be", one(size as f64));
    }
    let count = |alert| view.findings.iter().filter(|finding| finding.alert == alert).count() as f64;
    let alerts = [("incoherent-configuration", Alert::IncoherentConfiguration), ("unsafe-number", Alert::UnsafeNumber)];
    let alerts = alerts.map(|(name, alert)| (vec![("alert", name.to_owned())], count(alert)));
    gauge("findings", "What is wrong, by alert", alerts.to_vec());
    let refusal = view.refusal.iter().map(|code| (vec![("code", code.clone())], 1.0)).collect();
    gauge("refusal", "1 while every change is refused, with the name of why", refusal);
    gauge("waiting", "1 while a pass waits for something", one(f64::from(u8::from(view.waits))));
    let steps = Family::<Labels, Counter>::default();
    registry.register("steps", "Steps by the kind of their event and how they ended", steps.clone());
    for ((kind, outcome), count) in &view.steps {
        let labels = vec![ensemble(), ("kind", (*kind).to_owned()), ("outcome", outcome.clone())];
        steps.get_or_create(&labels).inc_by(*count);
    }
}
