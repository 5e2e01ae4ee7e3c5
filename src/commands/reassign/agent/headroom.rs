//! Where `--throttle auto` learns the brokers' load and networks from: the same sources as `throttle run`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::cluster::broker::BrokerId;
use crate::cluster::readings::{BROKERS, Readings};
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Sides;
use crate::commands::throttle::plan::look::Known;
use crate::context::load::{Source, measure};

/// Said where nobody measures the load.
pub(super) const ESTIMATED: &str = "the load is estimated from the growth of replicas, without what consumers read: \
     --prometheus-url, or DD_API_KEY and DD_APP_KEY, let --throttle auto follow the measured networks";

/// Where the load and the networks are learned from, and what was learned last.
#[derive(Clone, Default)]
pub(in crate::commands::reassign) struct Headroom {
    /// Who measures the load, the best first.
    pub(super) sources: Vec<Source>,
    /// What the networks can do.
    pub(super) known: Known,
    /// The same by instance type.
    pub(super) by_type: BTreeMap<String, ByteRate>,
    last: Option<(Instant, Readings)>,
    said: BTreeSet<String>,
}

impl Headroom {
    /// With these sources, and what is known of the networks.
    pub(in crate::commands::reassign) fn new(
        sources: Vec<Source>,
        known: Known,
        by_type: BTreeMap<String, ByteRate>,
    ) -> Self {
        Self { sources, known, by_type, ..Self::default() }
    }

    /// Whether nothing but the growth of replicas is asked.
    pub(super) fn is_estimated(&self) -> bool {
        self.sources.iter().all(|source| matches!(source, Source::Brokers))
    }

    /// The load, asked for again when it is older than that; and what was wrong with sources, each once.
    pub(super) async fn read(
        &mut self,
        (brokers, now): (&BTreeSet<BrokerId>, Timestamp),
        every: Duration,
    ) -> (Readings, Vec<String>) {
        if let Some((_, readings)) = self.last.as_ref().filter(|(at, _)| at.elapsed() < every) {
            return (readings.clone(), Vec::new());
        }
        // What replicas show is taken from the looks at each tick: here it only says that it is to be used.
        let own = || Readings {
            source: BROKERS,
            used: brokers.iter().map(|broker| (*broker, Sides::default())).collect(),
            ..Readings::default()
        };
        let (readings, mut wrong) = measure(&self.sources, (brokers, now), own).await;
        self.last = Some((Instant::now(), readings.clone()));
        wrong.retain(|why| self.said.insert(why.clone()));
        // What a server answers differs from time to time; a list without an end it must not be.
        if self.said.len() > 1_000 {
            self.said.clear();
        }
        (readings, wrong)
    }
}
