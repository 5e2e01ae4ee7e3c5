//! Puts sizes that somebody else measured in the place of those of the brokers.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::Observed;

/// Sets the size of each replica: `size` knows it by topic, partition and broker. A partition of which no replica is known
/// has no size afterwards.
pub(super) fn set_sizes(observed: &mut Observed, size: impl Fn(&TopicName, usize, BrokerId) -> Option<u64>) {
    for (name, topic) in &mut observed.topics {
        for (number, partition) in topic.partitions.iter_mut().enumerate() {
            let known: Vec<_> = partition.replicas.iter().map(|broker| size(name, number, *broker)).collect();
            let is_known = known.iter().any(Option::is_some);
            partition.bytes = known.into_iter().map(Option::unwrap_or_default).take_while(|_| is_known).collect();
        }
    }
    observed.sizes_given = true;
}

/// Sets what is free on each broker; `source` is said of live ones that are not named.
pub(super) fn set_storage(observed: &mut Observed, free: &BTreeMap<BrokerId, u64>, source: &str) {
    let mut held: BTreeMap<BrokerId, u64> = BTreeMap::new();
    for partition in observed.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        // One number a broker says nothing about its log dirs.
        partition.log_dirs.clear();
        for (broker, bytes) in partition.replicas.iter().zip(&partition.bytes) {
            let sum = held.entry(*broker).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
    for (id, broker) in &mut observed.brokers {
        match free.get(id) {
            Some(free) => {
                let total = free.saturating_add(held.get(id).copied().unwrap_or(0));
                let (total_bytes, usable_bytes) = (Some(total), Some(*free));
                broker.log_dirs = vec![LogDir { total_bytes, usable_bytes, ..LogDir::default() }];
                broker.missing = None;
            }
            None if broker.live => broker.missing = Some(format!("{source} does not name it")),
            None => {}
        }
    }
}

/// Whole bytes; metrics are written as floating point. None where it can't be a size.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
pub(super) fn bytes(count: f64) -> Option<u64> {
    (count.is_finite() && (0.0..1e18).contains(&count)).then_some(count as u64)
}

/// An age in words: `5 s`, `12 min`, `3 h`, `2 d`.
pub fn shown_age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
