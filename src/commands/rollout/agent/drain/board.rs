//! What the drain guard did, for Prometheus.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What it did.
#[derive(Debug, Default)]
pub struct Board(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    /// Answers, by their word and whether nothing was to happen.
    answers: BTreeMap<(&'static str, bool), u64>,
    /// How long the last answer took.
    took: Option<Duration>,
    /// Whether an eviction is under way.
    is_open: bool,
    /// Until when the certificate is valid.
    valid_until: Option<Timestamp>,
}

impl Board {
    /// Counts an answer.
    pub fn answered(&self, word: &'static str, is_dry_run: bool, took: Duration) {
        let shown = &mut *self.lock();
        *shown.answers.entry((word, is_dry_run)).or_default() += 1;
        shown.took = Some(took);
    }

    /// Whether an eviction is under way.
    pub fn set_open(&self, is_open: bool) {
        self.lock().is_open = is_open;
    }

    /// Until when the certificate is valid.
    pub fn set_valid_until(&self, until: Timestamp) {
        self.lock().valid_until = Some(until);
    }

    /// Adds all of it to what Prometheus reads.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("toolbox_drain_guard");
        let shown = self.lock();
        let answers = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
        registry.register("answers", "Answers about evictions: allowed, not_now, forbidden or wrong", answers.clone());
        for ((word, is_dry_run), count) in &shown.answers {
            let dry_run = if *is_dry_run { "true" } else { "false" };
            answers.get_or_create(&vec![("answer", word), ("dry_run", dry_run)]).inc_by(*count);
        }
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        gauge(
            "eviction_under_way",
            "1 while an evicted pod's server is not back in sync",
            f64::from(u8::from(shown.is_open)),
        );
        if let Some(took) = shown.took {
            gauge("last_answer_duration_seconds", "How long the last answer took", took.as_secs_f64());
        }
        if let Some(until) = shown.valid_until {
            gauge(
                "certificate_not_after_timestamp_seconds",
                "Until when the certificate is valid",
                until.as_second() as f64,
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
