//! The health of the brokers that take part: how much of its headroom each one may use.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::cluster::broker::BrokerId;
use crate::commands::throttle::plan::law::State;
use crate::commands::throttle::plan::snapshot::Snapshot;

/// It changes so often at most: Kafka's quotas need that long to show what a rate does. An execution looks far more often.
const STEP: SignedDuration = SignedDuration::from_secs(10);

/// Halved where a broker, or one that it copies from or to, is not well; else a tenth more than before; and when that was.
/// Asked again within [`STEP`], it does not change. A clock that was put back does not delay it.
pub fn health(snapshot: &Snapshot, state: &State, now: Timestamp) -> (BTreeMap<BrokerId, f64>, Option<Timestamp>) {
    let is_due = state.health_at.is_none_or(|at| now.duration_since(at).abs() >= STEP);
    let mut unwell: BTreeSet<BrokerId> = BTreeSet::new();
    let is_unwell = |broker: &BrokerId| snapshot.brokers.get(broker).is_some_and(|load| load.unwell.is_some());
    for moving in &snapshot.moving {
        let ends: Vec<_> =
            moving.leader.iter().chain(moving.adding.iter().map(|(broker, _)| broker)).copied().collect();
        if ends.iter().any(is_unwell) {
            unwell.extend(ends);
        }
    }
    let all = snapshot.moving.iter().flat_map(|moving| {
        moving.leader.iter().chain(moving.adding.iter().map(|(broker, _)| broker)).copied().collect::<Vec<_>>()
    });
    let next = |broker: BrokerId| {
        let old = state.health.get(&broker).copied();
        let health = match (is_due, unwell.contains(&broker)) {
            (false, _) => old.unwrap_or(1.0),
            (true, true) => (old.unwrap_or(1.0) / 2.0).max(0.1),
            (true, false) => (old.unwrap_or(1.0) + 0.1).min(1.0),
        };
        (broker, health)
    };
    (all.map(next).collect(), if is_due { Some(now) } else { state.health_at })
}
