//! The health of the brokers that take part: how much of its headroom each one may use.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::broker::BrokerId;
use crate::commands::throttle::plan::law::State;
use crate::commands::throttle::plan::snapshot::Snapshot;

/// Halved where a broker, or one that it copies from or to, is not well; else a tenth more than before. Asked twice at
/// one moment, it does not change twice.
pub fn health(snapshot: &Snapshot, state: &State, now: Timestamp) -> BTreeMap<BrokerId, f64> {
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
        let health = match (state.at == Some(now), unwell.contains(&broker)) {
            (true, _) => old.unwrap_or(1.0),
            (false, true) => (old.unwrap_or(1.0) / 2.0).max(0.1),
            (false, false) => (old.unwrap_or(1.0) + 0.1).min(1.0),
        };
        (broker, health)
    };
    all.map(next).collect()
}
