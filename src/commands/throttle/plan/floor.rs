//! The progress floor: the least rate with which a move ends.
//!
//! With `w` the writes to a partition, `f` its followers in sync and `a` its replicas being added:
//!
//! - what a leader sends must exceed Σ w (f + a), because the quota counts the followers in sync, too;
//! - what a destination receives must exceed Σ w.
//!
//! Both get 20 % and a margin of 1 MiB/s on top, the least rate that the quota keeps to with some accuracy. The rule in
//! Kafka's own documents (more than the writes) forgets `f`, and with it a move may never end.

use std::collections::BTreeMap;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::ByteRate;
use crate::cluster::throttle::Side;
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::snapshot::{Moving, Snapshot};

/// On top of the writes.
const SPARE: f64 = 0.2;

/// What the moves need of one side of one broker, in bytes (a second).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Need {
    /// The least rate with which they end.
    pub floor: f64,
    /// What the quota counts although it is no copying: followers in sync. Leaders only.
    pub in_sync: f64,
    /// New records that must be copied, too.
    pub writes: f64,
    /// What is still to be copied.
    pub remaining: f64,
}

/// What the moves need, by broker and side. A partition without a leader can't be copied and needs nothing.
pub fn needs(snapshot: &Snapshot, limits: &Limits) -> BTreeMap<(BrokerId, Side), Need> {
    let mut needs = BTreeMap::<_, Need>::new();
    for moving in &snapshot.moving {
        let Some(leader) = moving.leader.filter(|_| !moving.adding.is_empty()) else { continue };
        let writes = moving.writes.to_f64();
        let need = needs.entry((leader, Side::Leader)).or_default();
        need.in_sync += in_sync(moving);
        for (_, remaining) in &moving.adding {
            need.writes += writes;
            need.remaining += remaining.to_f64();
        }
        for (broker, remaining) in &moving.adding {
            let need = needs.entry((*broker, Side::Follower)).or_default();
            need.writes += writes;
            need.remaining += remaining.to_f64();
        }
    }
    for need in needs.values_mut() {
        let in_time = limits.duration_max.map_or(0.0, |longest| need.remaining / longest.as_secs_f64().max(1.0));
        need.floor = (need.writes + need.in_sync) * (1.0 + SPARE) + in_time.max(limits.rate_min.to_f64());
    }
    needs
}

/// What the followers in sync of a partition fetch, which the leaders' quota counts.
pub fn in_sync(moving: &Moving) -> f64 {
    moving.writes.to_f64() * f64::from(moving.followers_in_sync)
}

/// The same rule for one rate that a person gave, or that others set: the floor of each broker that it lies below.
pub fn below_floor(snapshot: &Snapshot, rate: ByteRate) -> Vec<(BrokerId, Side, ByteRate)> {
    let limits = Limits { rate_min: ByteRate(0), ..Limits::default() };
    let needs = needs(snapshot, &limits).into_iter().map(|((broker, side), need)| {
        // Without spare and margin: below this the move certainly never ends.
        (broker, side, ByteRate::of_f64(need.writes + need.in_sync))
    });
    needs.filter(|(_, _, floor)| rate <= *floor && floor.0 > 0).collect()
}
